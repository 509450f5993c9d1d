//! The functions under every shell, with the host's files and tools made up.

use std::fs;
use std::path::Path;

use super::*;
use crate::knob::group::GROUP;
use crate::shell::LIMITED;
use crate::shell::trial::{run, shells, tool};

/// A host: the files below `etc`, and tools that write down how they were called.
fn host() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for directory in ["bin", "etc", "etc/skel"] {
        fs::create_dir(at(directory)).unwrap();
    }
    for (file, text) in [
        (
            "passwd",
            "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000:A 'b' $(c),,,:/home/core:\nlone:x:7:99::/:/bin/sh\n",
        ),
        ("group", "root:x:0:\nwheel:x:10:core\ncore:x:1000:\nadm:x:4:root,core\ncored:x:1001:xcore\n"),
        ("shadow", "root:*:1:0:9:7:::\ncore:!$y$hash:1:0:99999:7::20000:\nlone:$y$hash:1::::::\n"),
        ("subuid", "core:200000:65536\nother:1:2\ncore:100000:5\n"),
        ("subgid", "1000:100000:65536\n"),
    ] {
        fs::write(at("etc").join(file), text).unwrap();
    }
    for name in ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"] {
        tool(&at("bin"), name, "printf '%s' \"${0##*/}\"; printf ' <%s>' \"$@\"; echo");
    }
    tool(&at("bin"), "getent", "case $2 in ldap) echo ldap:x:1:1::/:/bin/sh ;; *) exit 2 ;; esac");
    home
}

fn call(shell: &[&str], sort: &KnobSort, home: &Path, calls: &str) -> String {
    let home = home.to_str().unwrap();
    let functions = sort.functions.replace("/etc/", &format!("{home}/etc/"));
    let program = format!("PATH={home}/bin:$PATH; LC_ALL=C; kept=\n{LIMITED}\n{functions}\n{calls}");
    String::from_utf8(run(shell, &["-c", &program], b"")).unwrap()
}

fn get(shell: &[&str], sort: &KnobSort, home: &Path, name: &str) -> String {
    let word = sort.word;
    call(
        shell,
        sort,
        home,
        &format!("prepare_{word} {name}; get_{word} {name} || printf 'unknown: '; printf '%s' \"$got\""),
    )
}

fn set(shell: &[&str], sort: &KnobSort, home: &Path, name: &str, state: &str) -> String {
    let word = sort.word;
    call(
        shell,
        sort,
        home,
        &format!("prepare_{word} {name}; set_{word} {name} '{state}' 9 keep '' || echo \"status $?\""),
    )
}

const CORE: &str = "uid 1000\ngroup core\ncomment A 'b' $(c),,,\nhome /home/core\nshell \ngroups adm,wheel\nsubuid 100000:5,200000:65536\nsubgid 100000:65536\nexpires 20000\npassword locked";

#[test]
fn an_account_is_read_from_the_hosts_own_files() {
    for shell in shells() {
        let host = host();
        let read = |name| get(shell, &USER, host.path(), name);
        assert_eq!(read("core"), CORE, "{shell:?}");
        assert_eq!(read("gone"), "absent", "{shell:?}");
        // A group without a name is its number; one that has none set a password of `*`.
        assert!(
            read("lone").contains("\ngroup 99\n") && read("lone").ends_with("\nexpires \npassword set"),
            "{shell:?}"
        );
        assert!(read("root").ends_with("\npassword none"), "{shell:?}");
        assert!(read("ldap").starts_with("unknown: it is not in "), "{shell:?}");
        assert_eq!(get(shell, &GROUP, host.path(), "adm"), "gid 4", "{shell:?}");
        assert_eq!(get(shell, &GROUP, host.path(), "ad"), "absent", "{shell:?}");
        fs::remove_file(host.path().join("etc/shadow")).unwrap();
        assert!(read("core").starts_with("unknown: the host has no "), "{shell:?}");
    }
}

#[test]
fn a_host_without_the_tools_is_told() {
    for shell in shells() {
        let host = host();
        fs::remove_file(host.path().join("bin/usermod")).unwrap();
        let home = host.path().to_str().unwrap();
        let calls = format!("PATH={home}/bin; prepare_user core; get_user core || echo \"$got\"");
        let said = call(shell, &USER, host.path(), &calls);
        assert_eq!(
            said, "the host lacks usermod, which manage users (the package passwd or shadow-utils)\n",
            "{shell:?}"
        );
    }
}

#[test]
fn an_account_is_made_with_what_is_said_of_it() {
    for shell in shells() {
        let host = host();
        let done = set(
            shell,
            &USER,
            host.path(),
            "new",
            "new yes\nuid 7\ncomment A b\nhome /srv/n\nmake-home yes\nsystem yes",
        );
        // It is not there afterwards: nobody made it.
        let made = "useradd <-u> <7> <-r> <-c> <A b> <-d> <\u{2f}srv/n> <-U> <-m> <--> <new>\n";
        assert!(done.starts_with(made), "{done} {shell:?}");
        let done = set(shell, &USER, host.path(), "adm", "new yes\nsubuid 1:2");
        assert!(done.starts_with("useradd <-K> <SUB_UID_COUNT=0> <-g> <adm> <-M> <--> <adm>\n"), "{done} {shell:?}");
    }
}

#[test]
fn only_what_differs_is_changed() {
    for shell in shells() {
        let host = host();
        let change = |from: &str, to: &str| {
            set(shell, &USER, host.path(), "core", &CORE.replace("'b' $(c)", "b").replace(from, to))
        };
        let comment = "usermod <-c> <A b,,,> <--> <core>\n";
        assert_eq!(change("", ""), comment, "{shell:?}");
        assert_eq!(change("expires 20000", "expires "), "usermod <-c> <A b,,,> <-e> <> <--> <core>\n", "{shell:?}");
        assert_eq!(change("groups adm,wheel", "groups "), "usermod <-c> <A b,,,> <-G> <> <--> <core>\n", "{shell:?}");
        assert_eq!(change("password locked", "password set"), "usermod <-c> <A b,,,> <-U> <--> <core>\n", "{shell:?}");
        assert_eq!(
            change("password locked", "password none"),
            "usermod <-c> <A b,,,> <-p> <!> <--> <core>\n",
            "{shell:?}"
        );
        let ranges = change("subuid 100000:5,200000:65536", "subuid 7:3,200000:65536");
        assert_eq!(ranges, format!("{comment}usermod <-V> <100000-100004> <-v> <7-9> <--> <core>\n"), "{shell:?}");
        let added = change("groups adm,wheel", "add-groups adm,new");
        assert_eq!(added, format!("{comment}usermod <-a> <-G> <new> <--> <core>\n"), "{shell:?}");
        let more = change("password locked", "subids 65541");
        assert_eq!(more, format!("{comment}usermod <-w> <165536-231076> <--> <core>\n"), "{shell:?}");
    }
}

#[test]
fn a_password_that_is_gone_is_said() {
    for shell in shells() {
        let host = host();
        let said = set(shell, &USER, host.path(), "root", "uid 0\npassword set");
        assert!(
            said.contains("but for its password, which is kept nowhere") && said.ends_with("status 1\n"),
            "{said} {shell:?}"
        );
    }
}

#[test]
fn a_removed_account_leaves_its_group_to_the_groups_own_record() {
    for shell in shells() {
        let host = host();
        let etc = host.path().join("etc");
        let userdel = format!("echo userdel \"$@\"; sed -i '/^core:/d' {0}/group {0}/passwd", etc.display());
        tool(&host.path().join("bin"), "userdel", &userdel);
        assert_eq!(set(shell, &USER, host.path(), "core", "absent"), "groupadd <-g> <1000> <--> <core>\n", "{shell:?}");
        tool(&host.path().join("bin"), "userdel", "echo 'it is used by process 1'; exit 6");
        assert_eq!(
            set(shell, &USER, host.path(), "lone", "absent"),
            "it is used by process 1\nstatus 6\n",
            "{shell:?}"
        );
    }
}

#[test]
fn a_group_is_made_changed_and_removed() {
    for shell in shells() {
        let host = host();
        let set = |name: &str, state: &str| set(shell, &GROUP, host.path(), name, state);
        assert_eq!(set("new", "system yes"), "groupadd <-r> <--> <new>\n", "{shell:?}");
        assert_eq!(set("new", "system yes\ngid 5"), "groupadd <-r> <-g> <5> <--> <new>\n", "{shell:?}");
        assert_eq!(set("adm", "gid 5"), "groupmod <-g> <5> <--> <adm>\n", "{shell:?}");
        assert_eq!(set("adm", "gid 4"), "", "{shell:?}");
        assert_eq!(set("adm", "absent"), "groupdel <--> <adm>\n", "{shell:?}");
    }
}
