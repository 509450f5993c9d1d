//! The functions under every shell, with dpkg, apt, rpm and dnf made up: a package is a file in `db`, what apt-get foresees
//! is written in `foreseen`, and every call that changes something goes to `calls`.

use std::fs;
use std::path::Path;

use super::*;
use crate::blob::Blob;
use crate::knob::Knob;
use crate::ledger::Scope;
use crate::object::{Object, Was};
use crate::probe::Ask;
use crate::probe::runtime_tests::{ask, home};
use crate::shell::trial::{shells, tool};
use crate::step::trial::{apply, attempt, batch, begin, done, revert, rollback, stamp, task, was};
use crate::step::{Data, Outcome, Step};

const DPKG_QUERY: &str = r#"
f=$3; shift 4; c=0
for p; do
  n=${p%%:*}
  if [ -e "$D/$n" ]; then
    IFS='|' read -r s v <"$D/$n"
    case $f in
      apt*) printf 'apt|%s|all|%s|%s\n' "$n" "$s" "$v" ;;
      *Version*) printf '%s%s' "$s" "$v" ;;
      *) printf '%s' "$s" ;;
    esac
  else c=1; fi
done
exit $c"#;

const APT_GET: &str = r#"
simulated=; verb=; words=
while [ $# != 0 ]; do
  case $1 in
    -s) simulated=1 ;;
    -o) shift ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$1; else words="$words $1"; fi ;;
  esac
  shift
done
if [ -e "$H/locked" ]; then rm "$H/locked"; echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)'; exit 100; fi
case $verb:$simulated in
  update:) echo "update" >>"$H/calls"; rm -f "$H/old" ;;
  install:1) if [ -e "$H/old" ]; then echo "E: Unable to locate package tool"; exit 100; fi; cat "$H/foreseen" ;;
  install:)
    echo "install$words" >>"$H/calls"
    sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1 \2/p' "$H/foreseen" | while read -r n v; do echo "ii |$v" >"$D/$n"; done ;;
  autoremove:1) cat "$H/unneeded" ;;
esac"#;

const DPKG: &str = r#"
verb=$1; shift 2; echo "dpkg $verb $*" >>"$H/calls"; c=0
for p; do
  if [ -e "$H/needed-$p" ]; then
    printf 'dpkg: dependency problems prevent removal of %s:\n other depends on %s.\n' "$p" "$p"; c=1
  else rm -f "$D/$p"; fi
done
exit $c"#;

const RPM: &str = r#"
case $1 in
  -q) shift 4; for p; do if [ -e "$D/$p" ]; then IFS='|' read -r s v <"$D/$p"; printf 'dnf|%s|noarch|ii |0:%s\n' "$p" "$v"; else echo "package $p is not installed"; fi; done ;;
  -e) shift 3; for p; do if [ -e "$H/needed-$p" ]; then echo "error: Failed dependencies:
	$p is needed by (installed) other-1.0-1.noarch"; exit 1; fi; done ;;
esac"#;

const DNF: &str = r#"
case "$*" in
  '--assumeno install '*) cat "$H/foreseen"; exit 1 ;;
  *repoquery*) cat "$H/unneeded"; exit ;;
esac
echo "dnf $*" >>"$H/calls"
case "$*" in
  *' remove '*) for p; do rm -f "$D/$p"; done ;;
  *' install '*) echo 'ii |2.0-1' >"$D/rtool"; echo 'ii |1.0-1' >"$D/rlib" ;;
esac"#;

fn host() -> tempfile::TempDir {
    let home = home();
    fs::create_dir(home.path().join("db")).unwrap();
    let bin = home.path().join("bin");
    for (name, text) in [("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET), ("dpkg", DPKG), ("rpm", RPM), ("dnf", DNF)] {
        let at = home.path().display();
        tool(&bin, name, &format!("H={at}; D={at}/db\n{text}"));
    }
    tool(&bin, "apt-mark", &format!("echo \"apt-mark $*\" >>{}/calls", home.path().display()));
    for (file, text) in [("foreseen", FORESEEN), ("unneeded", ""), ("calls", "")] {
        fs::write(home.path().join(file), text).unwrap();
    }
    home
}

const FORESEEN: &str =
    "Inst tlib (2.0 localhost [all])\nInst tool [0.9] (1.0-1 localhost [all]) []\nConf tlib (2.0 localhost [all])\n";

fn put(home: &Path, name: &str, text: &str) {
    fs::write(home.join("db").join(name), text).unwrap();
}

fn calls(home: &Path) -> String {
    let text = fs::read_to_string(home.join("calls")).unwrap();
    fs::write(home.join("calls"), "").unwrap();
    text
}

fn package(name: &str) -> Knob {
    Knob::new(&PACKAGE, name)
}

fn turn(name: &str, state: &str) -> Step {
    Step::Turn { knob: package(name), state: state.to_owned(), input: None }
}

const INSTALL: &str = "version \nmarked manual\nfor file.a\nwith tool=1.0-1";

#[test]
fn packages_are_read_without_writing() {
    for shell in shells() {
        let host = host();
        put(host.path(), "tool", "hi |1:1.0-1");
        put(host.path(), "half", "iF |1");
        put(host.path(), "gone", "rc |1");
        put(host.path(), "rtool", "ii |2.0-1");
        let names = ["tool", "half", "gone", "nosuch", "dnf/rtool", "dnf/nosuch"];
        let asks: Vec<Ask> = names.iter().map(|name| Ask::Knob(package(name))).collect();
        let answers = ask(shell, host.path(), &asks);
        let states: Vec<&str> = names.iter().map(|name| answers.knob(&package(name)).unwrap().as_str()).collect();
        let half = "broken dpkg has it as iF \nversion 1\nheld no\nmarked manual";
        let expected = [
            "version 1:1.0-1\nheld yes\nmarked manual",
            half,
            "absent",
            "absent",
            "version 2.0-1\nheld never",
            "absent",
        ];
        assert_eq!(states, expected, "{shell:?}");
        assert_eq!(calls(host.path()), "", "{shell:?}");
    }
}

#[test]
fn what_would_come_is_foreseen() {
    for shell in shells() {
        let host = host();
        put(host.path(), "there", "ii |1.0");
        fs::write(host.path().join("foreseen"), format!("{FORESEEN}Remv exim4 [4.9] (x)\n")).unwrap();
        let plan = |name: &str| Knob::new(&PACKAGE_PLAN, name);
        let coming = "install tlib 2.0\nchange tool 0.9 1.0-1\nremove exim4 4.9";
        let cases = [
            ("install tool", coming),
            ("install there=1.0", "nothing"),
            ("install-lean there=1.1", coming),
            ("remove nosuch", "nothing"),
            ("files deb tool=1", "unknown"),
            ("install rtool by:dnf", "unknown"),
        ];
        let asks: Vec<Ask> =
            cases.iter().map(|(name, _)| Ask::Knob(plan(name))).chain([Ask::Knob(plan("files rpm tool"))]).collect();
        let answers = ask(shell, host.path(), &asks);
        for (name, expected) in cases {
            assert_eq!(answers.knob(&plan(name)).map(String::as_str), Ok(expected), "{name} {shell:?}");
        }
        assert!(answers.knob(&plan("files rpm tool")).is_err(), "{shell:?}");
    }
}

#[test]
fn what_came_along_is_noted_before_and_goes_with_it() {
    for shell in shells() {
        let host = host();
        let object = Object::Knob(package("tool"));
        let along = Object::Knob(package("tlib"));
        fs::write(host.path().join("old"), "").unwrap();
        fs::write(host.path().join("locked"), "").unwrap();
        assert_eq!(
            apply(shell, host.path(), vec![task("a", vec![turn("tool", INSTALL)])]).outcomes,
            [done("")],
            "{shell:?}"
        );
        assert_eq!(calls(host.path()), "update\ninstall tool=1.0-1\n", "{shell:?}");
        for object in [&object, &along] {
            assert_eq!(was(host.path(), Scope::Origin, object), Some(Was::Absent), "{shell:?}");
        }
        // It is said to be unneeded, and so is one that the plan has not brought.
        fs::write(host.path().join("unneeded"), "Remv tlib [2.0]\nRemv theirs [1]\n").unwrap();
        put(host.path(), "theirs", "ii |1");
        let back = vec![revert(&object, Scope::Origin, Data::Keep), revert(&along, Scope::Origin, Data::Keep)];
        assert_eq!(apply(shell, host.path(), vec![task("a", back)]).outcomes, [done("")], "{shell:?}");
        assert!(!host.path().join("db/tlib").exists() && !host.path().join("db/tool").exists(), "{shell:?}");
        assert!(host.path().join("db/theirs").exists(), "{shell:?}");
        assert_eq!(was(host.path(), Scope::Origin, &along), None, "{shell:?}");
    }
}

#[test]
fn what_something_else_needs_stays_and_keeps_its_record() {
    for shell in shells() {
        let host = host();
        let object = Object::Knob(package("tool"));
        apply(shell, host.path(), vec![task("a", vec![turn("tool", INSTALL)])]);
        fs::write(host.path().join("needed-tool"), "").unwrap();
        let reply = apply(shell, host.path(), vec![task("a", vec![revert(&object, Scope::Origin, Data::Keep)])]);
        let kept = "kept knob package tool: something else needs it: other";
        assert_eq!(reply.outcomes, [done(kept)], "{shell:?}");
        assert_eq!(was(host.path(), Scope::Origin, &object), Some(Was::Absent), "{shell:?}");
        // Asked for, it is an error.
        let reply = apply(shell, host.path(), vec![task("a", vec![turn("tool", "absent")])]);
        assert!(
            matches!(&reply.outcomes[0], Outcome::Failed { output, .. } if output.contains("depends on tool")),
            "{reply:?} {shell:?}"
        );
    }
}

#[test]
fn a_rollback_takes_all_of_it_together_and_puts_versions_back() {
    for shell in shells() {
        let host = host();
        apply(shell, host.path(), vec![task("a", vec![turn("tool", INSTALL)])]);
        calls(host.path());
        let back = |name: &str| revert(&Object::Knob(package(name)), Scope::Apply(1), Data::Delete);
        let reply = attempt(
            shell,
            host.path(),
            &batch(rollback(host.path(), 1), vec![task("a", vec![back("tlib"), back("tool")])]),
        );
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(calls(host.path()), "dpkg --purge tlib tool\n", "{shell:?}");
        assert!(!host.path().join("db/tlib").exists() && !host.path().join("db/tool").exists(), "{shell:?}");
        put(host.path(), "tool", "hi |0.9");
        apply(shell, host.path(), vec![task("a", vec![turn("tool", "version 1.0-1\nheld no\nwith tool=1.0-1")])]);
        let made = "apt-mark unhold tool\ninstall tool=1.0-1\napt-mark hold tool\n";
        assert_eq!(calls(host.path()), made, "{shell:?}");
        fs::write(host.path().join("foreseen"), "Inst tool [1.0-1] (0.9 x [all])\n").unwrap();
        let number = stamp(host.path()).split(' ').next().unwrap().parse().unwrap();
        let step = revert(&Object::Knob(package("tool")), Scope::Apply(number), Data::Keep);
        let reply = attempt(shell, host.path(), &batch(rollback(host.path(), number), vec![task("a", vec![step])]));
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(calls(host.path()), "install tool=0.9\napt-mark hold tool\n", "{shell:?}");
    }
}

#[test]
fn files_arrive_and_are_installed_with_the_last() {
    for shell in shells() {
        let host = host();
        tool(
            &host.path().join("bin"),
            "apt-get",
            &format!(
                "cd {0}; case \"$*\" in *' -s '*) cat foreseen ;; *) for f; do case $f in /*) cat \"$f\" >>calls ;; esac; done; echo 'ii |1.0-1' >db/tool; echo 'ii |2.0' >db/tlib ;; esac",
                host.path().display()
            ),
        );
        let send = |name: &str, state: &str, bytes: &[u8]| Step::Turn {
            knob: package(name),
            state: format!("version 1\nfor file.a\n{state}"),
            input: Some(Blob::from_bytes(bytes.to_vec())),
        };
        let steps = vec![
            send("tlib", "file tlib_2.0_all.deb\nlater yes", b"one\n"),
            send("tool", "file tool_1.0-1_all.deb", b"two\n"),
        ];
        assert_eq!(apply(shell, host.path(), vec![task("a", steps)]).outcomes, [done("")], "{shell:?}");
        assert_eq!(calls(host.path()), "one\ntwo\n", "{shell:?}");
    }
}

#[test]
fn dnf_does_the_same() {
    const TABLE: &str = "Dependencies resolved.\n====\n Package  Architecture  Version  Repository  Size\n====\nInstalling:\n rtool    noarch        2.0-1    local       5 k\nInstalling dependencies:\n rlib\n          noarch        1.0-1    local       5 k\n\nTransaction Summary\n====\nInstall  2 Packages\n";
    for shell in shells() {
        let host = host();
        fs::write(host.path().join("foreseen"), TABLE).unwrap();
        let steps = vec![turn("dnf/rtool", "version 2.0-1\nfor file.a\nwith rtool=2.0-1\nrecommends no")];
        assert_eq!(
            attempt(shell, host.path(), &batch(begin("0"), vec![task("a", steps)])).outcomes,
            [done("")],
            "{shell:?}"
        );
        assert_eq!(calls(host.path()), "dnf -y -q install --setopt=install_weak_deps=False rtool-2.0-1\n", "{shell:?}");
        let [object, along] = ["dnf/rtool", "dnf/rlib"].map(|name| Object::Knob(package(name)));
        assert_eq!(was(host.path(), Scope::Origin, &along), Some(Was::Absent), "{shell:?}");
        fs::write(host.path().join("unneeded"), "rlib\ntheirs\n").unwrap();
        let back = vec![revert(&object, Scope::Origin, Data::Keep)];
        assert_eq!(apply(shell, host.path(), vec![task("a", back)]).outcomes, [done("")], "{shell:?}");
        let removal = "dnf -y -q --setopt=clean_requirements_on_remove=False remove";
        assert_eq!(calls(host.path()), format!("{removal} rtool\n{removal} rlib\n"), "{shell:?}");
    }
}
