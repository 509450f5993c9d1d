//! Archives unpacked by the real tools: GNU's, Info-ZIP's and zstd, and BusyBox's where its shell runs them.

use std::fs;
use std::path::Path;

use crate::blob::{Blob, sha256_hex};
use crate::knob::{ABSENT, Knob};
use crate::ledger::Scope;
use crate::object::Object;
use crate::probe::Ask;
use crate::probe::runtime_tests::{ask, home};
use crate::shell::trial::{run, shells};
use crate::step::trial::{apply, done, revert, task};
use crate::step::{Data, Outcome, Step};

mod hostile;

use hostile::{Member, zip};

fn knob(path: &Path) -> Knob {
    Knob::new(&super::ARCHIVE, path.to_str().unwrap())
}

/// A tree with names that are hard to bear, as an archive in one of the formats.
fn archive(home: &Path, format: &str) -> Vec<u8> {
    if format == "zip" {
        return zip(&[
            Member::file("top/a b/$(x)", "one"),
            Member::file("top/.dot", "two"),
            Member::link("top/link", "a b"),
        ]);
    }
    let text = "cd \"$0\" && rm -rf made && mkdir -p 'made/top/a b' && printf one >'made/top/a b/$(x)' && printf two >made/top/.dot \
        && ln -s 'a b' made/top/link && cd made && case $1 in
          tar) tar -cf ../out top ;;
          *) tar -cf - top | $1 -c >../out ;;
        esac; cd .. && cat out; rm -f out";
    run(&["sh"], &["-c", text, home.to_str().unwrap(), format], b"")
}

fn turn(path: &Path, line: &str, input: Option<&[u8]>) -> Step {
    let input = input.map(|bytes| Blob::from_bytes(bytes.to_vec()));
    Step::Turn { knob: knob(path), state: line.to_owned(), input }
}

fn got(shell: &[&str], home: &Path, path: &Path) -> String {
    let knob = knob(path);
    ask(shell, home, &[Ask::Knob(knob.clone())]).knob(&knob).unwrap().clone()
}

#[test]
fn every_format_is_unpacked_as_a_whole() {
    for shell in shells() {
        for format in ["tar", "gzip", "xz", "zstd", "zip"] {
            let home = home();
            let path = home.path().join("d e");
            let bytes = archive(home.path(), format);
            let line = format!("{} {format} 1 - -", sha256_hex(&bytes));
            let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(&bytes))])]);
            assert_eq!(reply.outcomes, [done("")], "{format} {shell:?}");
            assert_eq!(fs::read(path.join("a b/$(x)")).unwrap(), b"one");
            assert_eq!(fs::read(path.join(".dot")).unwrap(), b"two");
            assert_eq!(fs::read_link(path.join("link")).unwrap(), Path::new("a b"));
            assert_eq!(got(shell, home.path(), &path), line);
            assert!(!home.path().join(".d e.provision-new").exists());
        }
    }
}

#[test]
fn what_was_there_comes_back_whether_an_archive_brought_it_or_not() {
    for shell in shells() {
        let home = home();
        let path = home.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("before"), "1").unwrap();
        let bytes = archive(home.path(), "tar");
        let place = home.path().join("t.tar");
        fs::write(&place, &bytes).unwrap();
        let [flat, stripped] = [0, 1].map(|strip| format!("{} tar {strip} - -", sha256_hex(&bytes)));
        for line in [&flat, &stripped] {
            let step = turn(&path, &format!("{line}\n{}", place.display()), None);
            assert_eq!(apply(shell, home.path(), vec![task("a", vec![step])]).outcomes, [done("")], "{shell:?}");
            assert_eq!(&got(shell, home.path(), &path), line);
        }
        let object = Object::Knob(knob(&path));
        // The apply before is taken back to the other archive, and the origin to what no archive brought.
        let back = revert(&object, Scope::Apply(2), Data::Keep);
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![back])]).outcomes, [done("")], "{shell:?}");
        assert!(path.join("top/.dot").exists(), "{shell:?}");
        let back = revert(&object, Scope::Origin, Data::Keep);
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![back])]).outcomes, [done("")], "{shell:?}");
        assert_eq!(fs::read(path.join("before")).unwrap(), b"1", "{shell:?}");
        assert_eq!(got(shell, home.path(), &path), "foreign");
    }
}

#[test]
fn what_does_not_fit_leaves_what_is_there() {
    for shell in shells() {
        let home = home();
        let path = home.path().join("d");
        let bytes = archive(home.path(), "tar");
        let cases = [
            (format!("{} tar 0 - -", "0".repeat(64)), bytes.clone(), "and the plan wants"),
            (format!("{} tar 2 - -", sha256_hex(&bytes)), bytes, "strip is too much"),
            (format!("{} tar 0 - -", sha256_hex(b"no tar")), b"no tar".to_vec(), ""),
        ];
        for (line, bytes, expected) in cases {
            let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(&bytes))])]);
            let [Outcome::Failed { output, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
            assert!(output.contains(expected), "{output} {shell:?}");
            assert_eq!(got(shell, home.path(), &path), ABSENT);
            assert!(!home.path().join(".d.provision-new").exists(), "{shell:?}");
        }
    }
}
