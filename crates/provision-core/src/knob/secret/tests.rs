//! The functions under every shell, with a podman that keeps its secrets as the real one does.

use std::fs;
use std::path::Path;

use super::{SECRET, SecretState};
use crate::blob::{Blob, sha256_hex};
use crate::knob::{ABSENT, Knob};
use crate::ledger::Scope;
use crate::object::Object;
use crate::probe::Ask;
use crate::probe::runtime_tests::{ask, home};
use crate::shell::trial::{shells, tool};
use crate::step::trial::{apply, attempt, batch, done, revert, rollback, state, task};
use crate::step::{Data, Outcome, Step};

/// Keeps `NAME` as a directory with `id`, `labels` and `value`, and writes of all of them what podman writes. It notes down how
/// it is called, fails while `fail` is there, and knows `--replace` while `new` is there.
const PODMAN: &str = r#"
kept=$HOME/kept; store=$HOME/.local/share/containers/storage/secrets; mkdir -p "$kept" "$store/filedriver"
printf '%s\n' "$*" >>"$HOME/told"
each() { # what for each, with commas in between
  first=1
  for d in "$kept"/*/; do
    [ -d "$d" ] || continue
    n=${d%/}; n=${n##*/}; i=$(cat "$d/id")
    [ $first = 1 ] || echo ,
    first=0; "$1"
  done
  [ $first = 1 ] || echo
}
one() {
  printf '    "%s": {\n      "name": "%s",\n      "id": "%s",\n' "$i" "$n" "$i"
  if [ -s "$d/labels" ]; then
    echo '      "labels": {'; sort "$d/labels" | sed 's/^\([^=]*\)=\(.*\)/        "\1": "\2"/; $!s/$/,/'; echo '      },'
  fi
  printf '      "metadata": {},\n      "createdAt": "x",\n      "driver": "%s",\n      "driverOptions": {\n        "path": "%s"\n      }\n    }' "$(cat "$d/driver")" "$store/filedriver"
}
name() { printf '    "%s": "%s"' "$n" "$i"; }
back() { printf '    "%s": "%s"' "$i" "$n"; }
datum() { printf '  "%s": "%s"' "$i" "$(base64 -w0 <"$d/value")"; }
write() {
  { echo '{'; echo '  "secrets": {'; each one; echo '  },'; echo '  "nameToID": {'; each name; echo '  },'; echo '  "idToName": {'; each back; echo '  }'; printf '}'; } >"$store/secrets.json"
  { echo '{'; each datum; printf '}'; } >"$store/filedriver/secretsdata.json"
}
[ "$1" = secret ] || exit 125
case $2 in
  rm) [ -d "$kept/$4" ] || { echo "Error: no secret with name or id \"$4\"" >&2; exit 1; }; rm -r "$kept/$4"; write; echo id; exit ;;
  create) ;;
  *) exit 125 ;;
esac
shift 2; replace=; labels=; driver=file
while :; do
  case $1 in
    --help) echo "  -l, --label"; if [ -e "$HOME/new" ]; then echo "      --replace"; fi; exit ;;
    --driver) driver=$2; shift 2 ;;
    --label) labels="$labels$2
"; shift 2 ;;
    --replace) [ -e "$HOME/new" ] || { echo 'unknown flag: --replace' >&2; exit 125; }; replace=1; shift ;;
    --) shift; break ;;
    *) exit 125 ;;
  esac
done
[ "$2" = - ] || exit 125
if [ -d "$kept/$1" ] && [ -z "$replace" ]; then echo "Error: $1: secret name in use" >&2; exit 125; fi
rm -rf "$kept/$1"
cat >"$HOME/arrived"
if [ -e "$HOME/fail" ] && [ "$(cat "$HOME/arrived")" != old ]; then write; echo 'Error: no space left' >&2; exit 125; fi
mkdir "$kept/$1"; mv "$HOME/arrived" "$kept/$1/value"; printf %s "$labels" >"$kept/$1/labels"; echo "$driver" >"$kept/$1/driver"
wc -l <"$HOME/told" | sed 's/.*/abcdef&/; s/ //g' >"$kept/$1/id"
write; cat "$kept/$1/id"
"#;

fn host() -> tempfile::TempDir {
    let home = home();
    tool(&home.path().join("bin"), "podman", PODMAN);
    home
}

fn knob() -> Knob {
    Knob::new(&SECRET, "db-1.x")
}

fn text(value: &str, labels: &[&str]) -> String {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    SecretState { driver: "file".to_owned(), labels, sha256: Some(sha256_hex(value.as_bytes())) }.text()
}

fn set(value: &str, labels: &[&str]) -> Step {
    Step::Turn { knob: knob(), state: text(value, labels), input: Some(Blob::from_bytes(value.as_bytes().to_vec())) }
}

fn got(shell: &[&str], home: &Path) -> String {
    let answers = ask(shell, home, &[Ask::Knob(knob())]);
    answers.knob(&knob()).map_or_else(|unknown| format!("unknown: {unknown}"), Clone::clone)
}

fn value(home: &Path) -> String {
    fs::read_to_string(home.join("kept/db-1.x/value")).unwrap()
}

fn by_hand(shell: &[&str], home: &Path, text: &str) {
    let text = format!("HOME={0}; export HOME; PATH={0}/bin:$PATH; {text}", home.display());
    crate::shell::trial::run(shell, &["-c", &text], b"");
}

/// Hard to bear in a shell, and not UTF-8 would be no text.
const VALUE: &str = " hunter22 $(id) `x` 'a' \"b\" \\ %s\n\nä\n";

#[test]
fn a_value_goes_in_by_standard_input_alone_and_is_found_again() {
    for shell in shells() {
        let host = host();
        assert_eq!(got(shell, host.path()), ABSENT, "{shell:?}");
        let labels = ["a=b c", "d=$(id)", "e="];
        let reply = apply(shell, host.path(), vec![task("a", vec![set(VALUE, &labels)])]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(value(host.path()), VALUE, "{shell:?}");
        assert_eq!(got(shell, host.path()), text(VALUE, &labels), "{shell:?}");
        let told = fs::read_to_string(host.path().join("told")).unwrap();
        assert_eq!(
            told, "secret create --driver file --label a=b c --label d=$(id) --label e= -- db-1.x -\n",
            "{shell:?}"
        );
        // A long one, which is more than one block.
        let long = "x".repeat(511_999);
        let reply = apply(shell, host.path(), vec![task("a", vec![set(&long, &[])])]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(got(shell, host.path()), text(&long, &[]), "{shell:?}");
    }
}

#[test]
fn labels_change_without_a_value_and_every_podman_replaces() {
    for shell in shells() {
        for new in [true, false] {
            let host = host();
            if new {
                fs::write(host.path().join("new"), "").unwrap();
            }
            for step in [
                set("one", &["a=b"]),
                set("two", &["a=b"]),
                Step::Turn { knob: knob(), state: text("two", &["c=d"]), input: None },
            ] {
                let Step::Turn { state, .. } = step.clone() else { unreachable!() };
                assert_eq!(apply(shell, host.path(), vec![task("a", vec![step])]).outcomes, [done("")], "{shell:?}");
                assert_eq!(got(shell, host.path()), state, "{shell:?}");
            }
            assert_eq!(value(host.path()), "two");
        }
    }
}

#[test]
fn what_was_there_comes_back_with_its_value_and_the_notes_go() {
    for shell in shells() {
        let host = host();
        by_hand(shell, host.path(), "printf old | podman secret create --label by=hand -- db-1.x -");
        let before = got(shell, host.path());
        assert_eq!(before, text("old", &["by=hand"]), "{shell:?}");
        for value in ["one", "two"] {
            let reply = apply(shell, host.path(), vec![task("a", vec![set(value, &[])])]);
            assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        }
        // No note has a value in clear.
        let origin = state(host.path()).join("origin");
        let key = Object::Knob(knob()).key();
        assert_eq!(fs::read_to_string(origin.join(format!("{key}.value.was"))).unwrap(), "b2xk\n", "{shell:?}");
        // The newest apply goes back to the one before it.
        let back = batch(
            rollback(host.path(), 2),
            vec![task("a", vec![revert(&Object::Knob(knob()), Scope::Apply(2), Data::Keep)])],
        );
        assert_eq!(attempt(shell, host.path(), &back).outcomes, [done("")], "{shell:?}");
        assert_eq!((got(shell, host.path()), value(host.path())), (text("one", &[]), "one".to_owned()), "{shell:?}");
        let back = vec![task("a", vec![revert(&Object::Knob(knob()), Scope::Origin, Data::Keep)])];
        assert_eq!(apply(shell, host.path(), back).outcomes, [done("")], "{shell:?}");
        assert_eq!((got(shell, host.path()), value(host.path())), (before, "old".to_owned()), "{shell:?}");
        assert_eq!(fs::read_dir(&origin).unwrap().count(), 0, "{shell:?}");
    }
}

#[test]
fn what_the_plan_made_goes() {
    for shell in shells() {
        let host = host();
        assert_eq!(apply(shell, host.path(), vec![task("a", vec![set("x", &[])])]).outcomes, [done("")]);
        let back = vec![task("a", vec![revert(&Object::Knob(knob()), Scope::Origin, Data::Keep)])];
        assert_eq!(apply(shell, host.path(), back.clone()).outcomes, [done("")], "{shell:?}");
        assert_eq!(got(shell, host.path()), ABSENT, "{shell:?}");
    }
}

#[test]
fn a_podman_that_fails_half_way_leaves_what_was_there() {
    for shell in shells() {
        for new in [true, false] {
            let host = host();
            by_hand(shell, host.path(), "printf old | podman secret create --label by=hand -- db-1.x -");
            fs::write(host.path().join("fail"), "").unwrap();
            if new {
                fs::write(host.path().join("new"), "").unwrap();
            }
            let reply = apply(shell, host.path(), vec![task("a", vec![set("other", &[])])]);
            let [Outcome::Failed { status: 125, output, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
            assert_eq!(output, "Error: no space left", "{shell:?}");
            assert_eq!(got(shell, host.path()), text("old", &["by=hand"]), "{shell:?} {new}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    for shell in shells() {
        let host = host();
        by_hand(shell, host.path(), "printf old | podman secret create --driver pass -- db-1.x -");
        assert_eq!(got(shell, host.path()), "driver pass", "{shell:?}");
        let reply = apply(shell, host.path(), vec![task("a", vec![set("x", &[])])]);
        let [Outcome::Failed { output, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
        assert!(
            output.ends_with(
                "its value is kept by podman's driver pass, and only with the driver file it could be put back"
            ),
            "{output} {shell:?}"
        );
        let store = host.path().join(".local/share/containers/storage/secrets");
        by_hand(
            shell,
            host.path(),
            "podman secret rm -- db-1.x; printf x | podman secret create --label 'a=\\u003c' -- db-1.x -",
        );
        assert!(
            got(shell, host.path())
                .ends_with("has db-1.x in a form that provision does not read: a label with a letter that is escaped"),
            "{shell:?}"
        );
        by_hand(shell, host.path(), "podman secret rm -- db-1.x; printf x | podman secret create -- db-1.x -");
        fs::write(store.join("filedriver/secretsdata.json"), "{}").unwrap();
        assert_eq!(got(shell, host.path()), "driver file\nsha256 lost", "{shell:?}");
        fs::write(store.join("secrets.json"), "{\"nameToID\":{}}").unwrap();
        assert!(got(shell, host.path()).ends_with("is in a form that provision does not read"), "{shell:?}");
    }
}

#[test]
fn what_tells_of_a_value_is_told_apart_from_the_rest() {
    assert_eq!(SecretState::open(&text("x", &["a=b"])), "driver file\nlabel a=b");
    assert_eq!(SecretState::open(ABSENT), ABSENT);
    assert_eq!(SecretState::read(ABSENT), None);
}
