//! Steps done to real directories through every shell that a host may have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use std::path::Path;

use super::reply::BatchReply;
use super::*;
use crate::shell::trial::shells;

/// A directory to work in, in a home of the test's own.
fn place() -> (tempfile::TempDir, AbsPath) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().canonicalize().unwrap().join("place");
    fs::create_dir(&path).unwrap();
    (home, path.to_str().unwrap().parse().unwrap())
}

fn task(name: &str, after: &[usize], steps: Vec<Step>) -> Task {
    Task { after: after.to_vec(), ..Task::new(Address::new("file", name).unwrap(), steps) }
}

fn put(path: &AbsPath, content: &[u8]) -> Step {
    Step::PutFile {
        path: path.clone(),
        content: Blob::from_bytes(content.to_vec()),
        mode: Mode::new(0o640),
        ownership: Ownership::default(),
        validate: Vec::new(),
    }
}

/// Runs a batch as an apply, with its tasks' blobs cut to `sent` bytes.
fn attempt(shell: &[&str], tasks: Vec<Task>, root: &AbsPath, sent: Option<usize>) -> BatchReply {
    let home = root.parent().unwrap();
    let home = Path::new(home.as_str());
    let batch = trial::batch(trial::begin(&trial::stamp(home)), tasks);
    let mut input = trial::input(&batch);
    let journal: u64 = batch.journal.blobs().map(Blob::length).sum();
    input.truncate(sent.map_or(input.len(), |sent| sent + usize::try_from(journal).unwrap()));
    trial::attempt_with(shell, home, &batch, &input)
}

fn done() -> Outcome {
    Outcome::Done { output: String::new() }
}

#[test]
fn files_arrive_byte_for_byte_whatever_their_names() {
    let names = ["plain", "two words", "$(touch x)", "a'b\"c", "-rf", "a\\b", "*", "ä"];
    let contents: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\0\x01\xff\n\n".to_vec(),
        b"\n@n0nce done 3\n".to_vec(),
        vec![b'x'; 70_000],
        (0..=255_u8).cycle().take((2 << 20) + 17).collect(),
    ];
    for shell in shells() {
        let (_guard, root) = place();
        let files: Vec<(AbsPath, &Vec<u8>)> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (root.join(name).unwrap(), &contents[index % contents.len()]))
            .collect();
        let tasks: Vec<Task> = files
            .iter()
            .enumerate()
            .map(|(i, (path, content))| task(&format!("f{i}"), &[], vec![put(path, content)]))
            .collect();
        let reply = attempt(shell, tasks, &root, None);
        assert!(reply.ended && reply.outcomes.iter().all(|outcome| *outcome == done()), "{shell:?} {reply:?}");
        for (path, content) in files {
            assert_eq!(&&fs::read(path.as_str()).unwrap(), &content, "{path} {shell:?}");
            assert_eq!(fs::metadata(path.as_str()).unwrap().permissions().mode() & 0o7777, 0o640);
        }
        assert_eq!(fs::read_dir(root.as_str()).unwrap().count(), names.len(), "something was left behind");
    }
}

#[test]
fn a_failed_task_skips_its_dependants_and_keeps_the_rest_in_step() {
    for shell in shells() {
        let (_guard, root) = place();
        let path = |name: &str| root.join(name).unwrap();
        let tasks = vec![
            task("bad", &[], vec![put(&path("missing").join("f").unwrap(), &[b'b'; 100_000])]),
            task("dependant", &[0], vec![put(&path("never"), &[b'n'; 50_000]), put(&path("never2"), b"x")]),
            task("far", &[1], vec![put(&path("never3"), b"y")]),
            task("good", &[], vec![put(&path("good"), b"good content")]),
        ];
        let reply = attempt(shell, tasks, &root, None);
        assert!(matches!(reply.outcomes[0], Outcome::Failed { step: 0, .. }), "{shell:?} {reply:?}");
        assert_eq!(reply.outcomes[1], Outcome::Skipped { because: Some(0) });
        assert_eq!(reply.outcomes[2], Outcome::Skipped { because: Some(1) });
        assert_eq!(reply.outcomes[3], done(), "{shell:?}");
        assert_eq!(fs::read(path("good").as_str()).unwrap(), b"good content");
        assert!(!fs::exists(path("never").as_str()).unwrap());
    }
}

#[test]
fn a_file_is_the_old_one_or_the_new_one_wherever_the_input_is_cut() {
    let new = vec![b'n'; 3_000];
    for shell in shells() {
        for sent in (0..=new.len()).step_by(500) {
            let (_guard, root) = place();
            let path = root.join("f").unwrap();
            fs::write(path.as_str(), "old").unwrap();
            let reply = attempt(shell, vec![task("f", &[], vec![put(&path, &new)])], &root, Some(sent));
            let found = fs::read(path.as_str()).unwrap();
            if sent == new.len() {
                assert_eq!((found, &reply.outcomes[0]), (new.clone(), &done()));
            } else {
                assert_eq!(found, b"old", "after {sent} bytes, {shell:?}");
                let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{reply:?}") };
                assert_eq!(output, &format!("what arrived for {path} is not what was sent"));
            }
        }
    }
}

#[test]
fn a_refused_file_leaves_the_old_one() {
    for shell in shells() {
        let (_guard, root) = place();
        let path = root.join("f").unwrap();
        fs::write(path.as_str(), "old").unwrap();
        let refused = |validate: &[&str]| Step::PutFile {
            path: path.clone(),
            content: Blob::from_bytes(b"new".to_vec()),
            mode: Mode::new(0o600),
            ownership: Ownership::default(),
            validate: validate.iter().map(|word| (*word).to_owned()).collect(),
        };
        let reply = attempt(shell, vec![task("f", &[], vec![refused(&["grep", "-q", "old", "%s"])])], &root, None);
        let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{reply:?}") };
        assert_eq!(output, &format!("the new content of {path} was refused by: grep"), "{shell:?}");
        assert_eq!(fs::read(path.as_str()).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.as_str()).unwrap().count(), 1, "the staged file was left behind");
        let reply = attempt(shell, vec![task("f", &[], vec![refused(&["grep", "-q", "new", "%s"])])], &root, None);
        assert_eq!(reply.outcomes[0], done(), "{shell:?}");
        assert_eq!(fs::read(path.as_str()).unwrap(), b"new");
    }
}

#[test]
fn directories_links_and_modes_are_made_and_changed() {
    for shell in shells() {
        let (_guard, root) = place();
        let path = |name: &str| root.join(name).unwrap();
        let none = Ownership::default();
        symlink("old", path("link").as_str()).unwrap();
        fs::create_dir(path("real").as_str()).unwrap();
        symlink("real", path("dirlink").as_str()).unwrap();
        let steps = vec![
            Step::MakeDirectory { path: path("d"), mode: Mode::new(0o2775), ownership: none.clone() },
            Step::MakeDirectory {
                path: path("d").join("e f").unwrap(),
                mode: Mode::new(0o700),
                ownership: none.clone(),
            },
            Step::SetAttributes { path: path("d"), mode: Some(Mode::new(0o711)), ownership: none },
            Step::PutLink { path: path("link"), target: "new $(x)".to_owned() },
            Step::PutLink { path: path("dirlink"), target: "-n".to_owned() },
            Step::PutLink { path: path("fresh"), target: "/nowhere".to_owned() },
        ];
        let reply = attempt(shell, vec![task("all", &[], steps)], &root, None);
        assert_eq!(reply.outcomes[0], done(), "{shell:?}");
        let mode = |name: &str| fs::metadata(path(name).as_str()).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("d"), mode("d/e f")), (0o711, 0o700), "{shell:?}");
        let target = |name: &str| fs::read_link(path(name).as_str()).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            (target("link"), target("dirlink"), target("fresh")),
            ("new $(x)".into(), "-n".into(), "/nowhere".into())
        );
        assert_eq!(fs::read_dir(path("real").as_str()).unwrap().count(), 0, "a link was put into what another led to");
    }
}

#[test]
fn what_is_in_the_way_is_not_removed() {
    for shell in shells() {
        let (_guard, root) = place();
        let directory = root.join("d").unwrap();
        fs::create_dir(directory.as_str()).unwrap();
        let file = root.join("f").unwrap();
        fs::write(file.as_str(), "x").unwrap();
        let tasks = vec![
            task("d", &[], vec![put(&directory, b"new")]),
            task("f", &[], vec![Step::PutLink { path: file.clone(), target: "/x".to_owned() }]),
        ];
        let reply = attempt(shell, tasks, &root, None);
        let said: Vec<&str> = reply
            .outcomes
            .iter()
            .map(|outcome| if let Outcome::Failed { output, .. } = outcome { output.as_str() } else { "" })
            .collect();
        assert_eq!(said, [format!("{directory} is a directory"), format!("{file} is not a link")], "{shell:?}");
    }
}

#[test]
fn what_is_owed_is_noted_before_and_paid_after() {
    for shell in shells() {
        let (_guard, root) = place();
        let file = root.join("f").unwrap();
        let bad = root.join("none/f").unwrap();
        let owed = root.parent().unwrap().join(".local/state/provision/test/owed").unwrap();
        let cause =
            |path: &AbsPath| Task { owes: vec!["a@1.service".into()], ..task("cause", &[], vec![put(path, b"x")]) };
        let restart = |ok: bool| Task {
            pays: vec!["a@1.service".into()],
            ..task(
                "service",
                &[0],
                vec![Step::Run(Run {
                    argv: vec![if ok { "true" } else { "false" }.to_owned()],
                    directory: None,
                    input: None,
                    limit: Duration::from_secs(5),
                    guards: Vec::new(),
                })],
            )
        };
        let noted = || fs::read_dir(owed.as_str()).map_or(0, |entries| entries.count());
        attempt(shell, vec![cause(&file), restart(false)], &root, None);
        assert_eq!(noted(), 1, "a restart that failed is still owed, {shell:?}");
        attempt(shell, vec![cause(&file), restart(true)], &root, None);
        assert_eq!(noted(), 0, "{shell:?}");
        attempt(shell, vec![cause(&bad), restart(true)], &root, None);
        assert_eq!(noted(), 1, "what may have changed half-way is owed, {shell:?}");
    }
}

#[test]
fn every_step_says_how_it_is_taken_back() {
    let path: AbsPath = "/f".parse().unwrap();
    let command = Step::Run(Run {
        argv: vec!["true".to_owned()],
        directory: None,
        input: None,
        limit: Duration::from_secs(1),
        guards: Vec::new(),
    });
    let unit = |action: UnitAction| Step::Unit { unit: Managed::system("a.service"), action };
    let made = Step::MakeDirectory { path: path.clone(), mode: Mode::new(0o755), ownership: Ownership::default() };
    let cases = [
        (made, Undo::Remove),
        (put(&path, b"x"), Undo::Restore),
        (Step::Remove { manager: Manager::System, path: path.clone() }, Undo::Restore),
        (unit(UnitAction::Stop), Undo::Restore),
        (unit(UnitAction::Restart), Undo::Repeat),
        (Step::ReloadUnits(Manager::System), Undo::Repeat),
        (command, Undo::Impossible("what a command did is known to that command alone")),
    ];
    for (step, undo) in cases {
        assert_eq!(step.undo(), undo, "{}", step.describe());
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_the_old_file_and_the_next_task_its_data() {
    let full = tempfile::tempdir().unwrap();
    let small = full.path().to_str().unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none", small]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        // Only root can make a small disk; `tests/run` as root does.
        return;
    }
    let result = std::panic::catch_unwind(|| {
        for (shell, length) in shells().into_iter().flat_map(|shell| [(shell, 200_000), (shell, 3 << 20)]) {
            let (_guard, root) = place();
            let old: AbsPath = format!("{small}/f").parse().unwrap();
            fs::write(old.as_str(), "old").unwrap();
            let next = root.join("next").unwrap();
            let tasks = vec![
                task("full", &[], vec![put(&old, &vec![b'x'; length])]),
                task("next", &[], vec![put(&next, b"its own data")]),
            ];
            let reply = attempt(shell, tasks, &root, None);
            let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{shell:?} {reply:?}") };
            assert!(output.contains("No space left on device"), "{shell:?}: {output}");
            assert_eq!(fs::read(old.as_str()).unwrap(), b"old");
            assert_eq!(fs::read_dir(small).unwrap().count(), 1, "the staged file was left behind");
            assert_eq!(
                (reply.outcomes[1].clone(), fs::read(next.as_str()).unwrap()),
                (done(), b"its own data".to_vec())
            );
        }
    });
    assert!(std::process::Command::new("umount").arg(small).status().unwrap().success());
    result.unwrap();
}
