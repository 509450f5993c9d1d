//! Rewriting a file for the sake of a piece, noting and putting back, through every shell that a host may have.

#![expect(clippy::disallowed_methods, reason = "nothing else runs in this test's thread")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::trial::{abs, apply, attempt, batch, begin, done, records, state, task, tree};
use super::{After, Arm, Data, Outcome, Ownership, Purpose, Revert, Rewrite, Step, Task};
use crate::attribute::Mode;
use crate::blob::{Blob, sha256_hex};
use crate::edit::{Edit, Format, line};
use crate::ledger::Scope;
use crate::object::Object;
use crate::shell::trial::{shells, tool};

fn edit(path: &Path, word: &str) -> Edit {
    Edit { path: abs(path), format: Format::Line, slot: line::exactly(word) }
}

fn digest(content: Option<&str>) -> String {
    content.map_or_else(|| Rewrite::NO_FILE.to_owned(), |content| sha256_hex(content.as_bytes()))
}

fn rewrite(before: &[Option<&str>], after: After) -> Rewrite {
    let before = before.iter().map(|content| digest(*content)).collect();
    Rewrite { before, after, note: Blob::from_bytes(b"{\"depth\":0, \"$(id)\": 'x'}".to_vec()) }
}

fn to(content: &str) -> After {
    After::Content(Blob::from_bytes(content.as_bytes().to_vec()))
}

fn step(path: &Path, word: &str, rewrite: Rewrite) -> Step {
    Step::Rewrite { edit: edit(path, word), rewrite, mode: Mode::new(0o640), ownership: Ownership::default() }
}

fn back(path: &Path, word: &str, rewrite: Rewrite) -> Task {
    let object = Object::Edit(edit(path, word));
    task("back", vec![Step::Revert(Revert { object, scope: Scope::Origin, data: Data::Keep, rewrite: Some(rewrite) })])
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_file_gets_its_content_and_keeps_all_else() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a 'b' $(id)");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        // Where the file system has them.
        let attribute = std::process::Command::new("setfattr").args(["-n", "user.x", "-v", "y"]).arg(&path).status();
        // Open for as long as that, or the new file may have its number.
        let old = fs::File::open(&path).unwrap();
        let inode = old.metadata().unwrap().ino();
        let (one, two) = (
            step(&path, "a", rewrite(&[Some("old\n")], to("old\na"))),
            rewrite(&[Some("old\n"), Some("old\na")], to("old\na\nb\n")),
        );
        let reply = apply(shell, home.path(), vec![task("a", vec![one]), task("b", vec![step(&path, "b", two)])]);
        assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?}");
        assert_eq!(read(&path), "old\na\nb\n", "{shell:?}");
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o604, "{shell:?}");
        assert_ne!(found.ino(), inode, "it was written in place");
        drop(old);
        if attribute.is_ok_and(|status| status.success()) && shell.first() != Some(&"busybox") {
            let said =
                std::process::Command::new("getfattr").args(["--only-values", "-n", "user.x"]).arg(&path).output();
            assert_eq!(said.unwrap().stdout, b"y", "{shell:?}");
        }
        let noted = records(home.path(), Scope::Apply(1));
        assert_eq!(
            noted,
            [format!("1 file.a edit edit {}", edit(&path, "a")), format!("1 file.b edit edit {}", edit(&path, "b"))]
        );
        let key = Object::Edit(edit(&path, "b")).key();
        assert_eq!(read(&state(home.path()).join(format!("origin/{key}.was"))), "{\"depth\":0, \"$(id)\": 'x'}");
        assert_eq!(read(&state(home.path()).join(format!("history/1/{key}.whole.was"))), "old\n");
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("provision-new")), "{left:?}");
    }
}

#[test]
fn a_file_that_is_another_by_then_is_left_alone_and_so_is_what_only_looks_like_it() {
    for shell in shells() {
        for what in ["another", "link", "gone", "directory"] {
            let home = tempfile::tempdir().unwrap();
            let (path, other) = (home.path().join("f"), home.path().join("other"));
            fs::write(&other, "old\n").unwrap();
            match what {
                "another" => fs::write(&path, "theirs\n").unwrap(),
                "link" => std::os::unix::fs::symlink(&other, &path).unwrap(),
                "directory" => fs::create_dir(&path).unwrap(),
                _ => {}
            }
            let before = tree(home.path());
            let steps = vec![step(&path, "a", rewrite(&[Some("old\n")], to("new\n")))];
            let tasks = vec![task("a", steps), task("b", vec![super::trial::put(&home.path().join("g"), b"its own")])];
            let reply = attempt(shell, home.path(), &batch(begin("0"), tasks));
            let output = format!(
                "cannot note down what is in {} before it is changed: it has changed since it was looked at: apply again",
                path.display()
            );
            assert_eq!(reply.outcomes, [Outcome::Failed { step: 0, status: 1, output }, done("")], "{what} {shell:?}");
            assert_eq!(read(&home.path().join("g")), "its own", "the next takes its own data");
            fs::remove_file(home.path().join("g")).unwrap();
            let after = tree(home.path());
            let same = |text: &str| {
                text.lines()
                    .filter(|line| !line.contains("/.local") && !line.starts_with(". "))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(same(&after), same(&before), "{what} {shell:?}");
        }
    }
}

#[test]
fn a_file_is_made_and_goes_again() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        let make = step(&path, "a", rewrite(&[None], to("a\n")));
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![make])]).outcomes, [done("")], "{shell:?}");
        assert_eq!((read(&path).as_str(), fs::metadata(&path).unwrap().mode() & 0o7777), ("a\n", 0o640), "{shell:?}");
        let reply = apply(shell, home.path(), vec![back(&path, "a", rewrite(&[Some("a\n")], After::Gone))]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert!(!path.exists());
        assert!(records(home.path(), Scope::Origin).is_empty(), "its record went with it");
    }
}

#[test]
fn a_piece_is_put_back_if_the_file_is_what_was_looked_at() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        fs::write(&path, "x\n").unwrap();
        apply(shell, home.path(), vec![task("a", vec![step(&path, "a", rewrite(&[Some("x\n")], to("x\na\n")))])]);
        fs::write(&path, "x\na\ny\n").unwrap();
        let late = attempt(
            shell,
            home.path(),
            &batch(begin("1 done"), vec![back(&path, "a", rewrite(&[Some("x\na\n")], to("x\n")))]),
        );
        assert!(matches!(late.outcomes.as_slice(), [Outcome::Failed { .. }]), "{late:?} {shell:?}");
        assert_eq!(read(&path), "x\na\ny\n", "{shell:?}");
        let reply = attempt(
            shell,
            home.path(),
            &batch(begin("2 cut"), vec![back(&path, "a", rewrite(&[Some("x\na\ny\n")], to("x\ny\n")))]),
        );
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(read(&path), "x\ny\n", "{shell:?}");
        assert!(records(home.path(), Scope::Origin).is_empty(), "{shell:?}");
        // What was never noted is not touched, and its data is taken off all the same.
        let again = attempt(
            shell,
            home.path(),
            &batch(
                begin("3 cut"),
                vec![
                    back(&path, "never", rewrite(&[Some("x\ny\n")], to("no\n"))),
                    task("g", vec![super::trial::put(&home.path().join("g"), b"its own")]),
                ],
            ),
        );
        assert_eq!(again.outcomes[1], done(""), "{again:?}");
        assert_eq!((read(&path).as_str(), read(&home.path().join("g")).as_str()), ("x\ny\n", "its own"), "{shell:?}");
    }
}

#[test]
fn a_host_that_hears_nothing_brings_the_whole_file_back() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("bin")).unwrap();
        tool(&home.path().join("bin"), "systemd-run", "exit 9");
        let (path, made) = (home.path().join("f"), home.path().join("made"));
        fs::write(&path, "x\n").unwrap();
        let tasks = vec![
            task("a", vec![step(&path, "a", rewrite(&[Some("x\n")], to("x\na\n")))]),
            task("b", vec![step(&path, "b", rewrite(&[Some("x\n"), Some("x\na\n")], to("x\na\nb\n")))]),
            task("c", vec![step(&made, "c", rewrite(&[None], to("c\n")))]),
        ];
        let mut batch = batch(begin("0"), tasks);
        batch.journal.arm = Some(Arm::new(Duration::from_secs(2)));
        let reply = attempt(shell, home.path(), &batch);
        assert_eq!((reply.refused, reply.outcomes), (None, vec![done(""); 3]), "{shell:?}");
        assert_eq!(read(&path), "x\na\nb\n");
        let result = state(home.path()).join("history/1/result");
        for _ in 0..80 {
            if read(&result) == "rolled-back\n" && !state(home.path()).join("history/1/firing").exists() {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        assert_eq!(
            (read(&path).as_str(), made.exists(), read(&result).as_str()),
            ("x\n", false, "rolled-back\n"),
            "{shell:?}"
        );
        assert_eq!(attempt(shell, home.path(), &super::trial::batch(Purpose::Disarm, Vec::new())).outcomes, []);
    }
}
