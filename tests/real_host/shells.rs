//! Whatever the login shell is, whatever its profile does, and whatever `/bin/sh` is: the same things come out.

use std::collections::BTreeMap;
use std::fs;

use provision_tests::{Error, Host, Testbed};

use crate::support::Plan;

/// Users by their login shell, with what that reads before it does as it is told.
const USERS: [(&str, &str, &str, &str); 3] = [
    ("bashful", "/bin/bash", ".bashrc", BASHRC),
    ("cshore", "/bin/tcsh", ".cshrc", CSHRC),
    ("fishy", "/usr/bin/fish", ".config/fish/config.fish", FISH),
];

/// What `/bin/sh` may be.
const SHELLS: [&str; 3] = ["/bin/dash", "/bin/bash", "/usr/bin/busybox"];

const BASHRC: &str = r#"
echo "Willkommen auf $HOSTNAME"; echo 'Unbefugte fort!' >&2
umask 077
export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LANGUAGE=de IFS=: CDPATH=/:/etc TMPDIR=/nowhere
export GREP_OPTIONS=--color=always POSIXLY_CORRECT=1 QUOTING_STYLE=c TIME_STYLE=full-iso BLOCK_SIZE=human-readable
# Names of ours.
export n=0 base=/nowhere state=/nowhere stale=1 held=1 left=9 owed=/nowhere bad=' 0 1 2 ' limit=0 span=x
stat() { echo hijacked; }; dd() { echo hijacked; }; printf() { echo hijacked; }; say() { :; }; put() { :; }; task() { :; }
export -f stat dd printf say put task
shopt -s expand_aliases
alias stat='echo alias' dd='echo alias' mv='mv -i' cp='cp -i' rm='rm -i'
set -uC -o noglob
export SHELLOPTS
"#;

const CSHRC: &str = r#"
echo "Willkommen auf $HOST"
umask 077
set noclobber
setenv LANG de_DE.UTF-8
setenv LC_ALL de_DE.UTF-8
setenv POSIXLY_CORRECT 1
setenv base /nowhere
setenv state /nowhere
setenv TMPDIR /nowhere
alias dd 'echo alias'
alias sh 'echo alias'
alias rm 'rm -i'
"#;

const FISH: &str = r#"
echo "Willkommen auf $hostname"; echo 'Unbefugte fort!' >&2
umask 077
set -x LANG de_DE.UTF-8
set -x LC_ALL de_DE.UTF-8
set -x POSIXLY_CORRECT 1
set -x base /nowhere
set -x TMPDIR /nowhere
function dd; echo hijacked; end
alias rm 'rm -i'
"#;

/// What both ways have: as the user, and as root through sudo.
const PLAN: &str = r#"
[directory.root]
path = "ROOT"
mode = "0751"

[directory.blank]
path = "ROOT/two words"

[file.text]
path = "ROOT/two words/größe 'n' $(all)"
content = "tabs\tand\\backslashes\n`back` $ticks \"quotes\" 'too'\nÄpfel\n"
mode = "0604"

[file.large]
path = "ROOT/large"
source = "large"

[file.checked]
path = "ROOT/checked"
content = "checked\n"
validate = ["sh", "-c", "test \"$(cat \"$1\")\" = checked", "sh", "%s"]

[link.link]
path = "ROOT/link"
target = "two words/größe 'n' $(all)"

[command.once]
run = ["sh", "-c", "cat >\"$1\"; umask; echo \"$LC_ALL/$IFS/$CDPATH\" | tr -d ' \\t\\n'", "sh", "made by $(hand)"]
input = "input for `it`\n"
directory = "ROOT"
creates = "ROOT/made by $(hand)"

[command.guarded]
run = ["rm", "never"]
directory = "ROOT"
unless = ["test", "-s", "large"]
after = ["file.large"]
"#;

const UNITS: &str = r#"
[unit.shells]
unit = "shells.service"
content = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"

[service.shells]
unit = "shells.service"
"#;

/// A host whose users' shells are hostile, in another language, with a /tmp that nothing runs from.
fn host(bed: &Testbed) -> Result<Host, Error> {
    let host = bed.fresh_host("shells")?;
    host.sh("mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs /tmp")?.ok()?;
    host.copy_in("/etc/default/locale", b"LANG=de_DE.UTF-8\nLC_ALL=de_DE.UTF-8\n")?;
    for (user, shell, profile, text) in USERS {
        let home = format!("/home/{user}");
        host.sh(&format!(
            "useradd --create-home --shell {shell} {user} && echo '{user} ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/{user} &&
             install -d -m 700 -o {user} {home}/.ssh && install -m 600 -o {user} /root/.ssh/authorized_keys {home}/.ssh/"
        ))?
        .ok()?;
        host.copy_in(&format!("{home}/{profile}"), text.as_bytes())?;
        host.copy_in(&format!("{home}/.profile"), BASHRC.as_bytes())?;
        host.sh(&format!("chown -R {user}: {home}"))?.ok()?;
    }
    // Otherwise this would try nothing.
    let banner = host.login("bashful", "stat x; cp --nonsense")?;
    assert!(banner.stdout.contains("Willkommen") && banner.stdout.contains("alias x"), "{banner}");
    assert!(banner.stderr.contains("Unbefugte") && banner.stderr.contains("Unbekannte Option"), "{banner}");
    Ok(host)
}

fn plan(bed: &Testbed, host: &Host, user: &str, become_root: bool) -> Result<Plan, Error> {
    let (root, more) =
        if become_root { ("/srv/shells".to_owned(), UNITS) } else { (format!("/home/{user}/shells"), "") };
    let folder = bed.directory().join("shells").join(format!("{user}-{become_root}"));
    fs::create_dir_all(&folder).map_err(Error::Run)?;
    // More than a pipe or a window holds, and every byte there is.
    let large: Vec<u8> = (0..3_000_001_u32).map(|at| (at ^ (at >> 8)).to_le_bytes()[0]).collect();
    fs::write(folder.join("large"), large).map_err(Error::Run)?;
    let file = folder.join("plan.toml");
    let text = format!(
        "name = \"shells\"\n[host.h]\naddress = \"{}\"\nuser = \"{user}\"\nbecome = {become_root}\n{}{more}",
        host.ipv4,
        PLAN.replace("ROOT", &root)
    );
    fs::write(&file, text).map_err(Error::Run)?;
    Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
}

/// Everything below a directory: names, sorts, modes, targets and contents.
fn tree(host: &Host, root: &str) -> Result<String, Error> {
    let script = "cd \"$1\" && find . -printf '%P|%y|%m|%l\\n' | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort";
    host.exec(&["dash", "-c", script, "dash", root])?.ok()
}

#[test]
fn the_same_comes_out_of_every_shell() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = host(bed)?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (turn, shell) in SHELLS.into_iter().enumerate() {
        host.exec(&["ln", "-sfn", shell, "/usr/bin/sh"])?.ok()?;
        for (at, (user, ..)) in USERS.into_iter().enumerate() {
            // Through sudo each shell with each; without it, where the profile is the same, each once.
            let ways: &[bool] = if at == turn { &[true, false] } else { &[true] };
            for &become_root in ways {
                let way = format!("{user}, root: {become_root}, through {shell}");
                let plan = plan(bed, &host, user, become_root)?;
                let root = if become_root { "/srv/shells".to_owned() } else { format!("/home/{user}/shells") };
                let ran = plan.applied_twice(bed, &host)?;
                let said = ran.stdout.contains("0022\\nC/");
                assert!(said, "{way}: a command has another umask or locale\n{}", ran.stdout);
                found.entry(tree(&host, &root)?).or_default().push(way);
                if become_root {
                    assert_eq!(host.exec(&["systemctl", "is-active", "shells"])?.ok()?, "active");
                }
                plan.run(bed, "destroy", &["--yes", "--delete-data"])?.ok();
                assert!(!host.exec(&["test", "-e", &root])?.success(), "{root} is left");
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:#?}");
    let tree = found.into_keys().next().unwrap_or_default();
    for line in [".|d|751|".trim_start_matches('.'), "two words/größe 'n' $(all)|f|604|", "made by $(hand)|f|644|"] {
        assert!(tree.lines().any(|found| found == line), "{line} is not in\n{tree}");
    }
    // Everything was found in place: nothing was kept anywhere else.
    assert!(!host.exec(&["test", "-e", "/nowhere"])?.success());
    Ok(())
}
