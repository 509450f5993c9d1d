//! What is noted, under every shell that a host may have.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::super::trial::*;
use super::super::{Outcome, UnitAction};
use crate::ledger::Scope;
use crate::object::{Object, Was};
use crate::shell::trial::{shells, tool};
use crate::systemd::Managed;

use super::*;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    home
}

fn claim(object: &Object) -> Step {
    Step::Claim(object.clone())
}

#[test]
fn what_stands_at_a_path_is_noted_with_a_copy_whatever_its_name() {
    let names = ["plain", "two words", "$(touch x)", "a'b\"c", "-rf", "a\\b", "*", "ä", "trailing ", ") 1 S"];
    let contents: [&[u8]; 4] = [b"", b"\0\x01\xff\n\n", b"\n@n0nce done 3\n", &[b'x'; 70_000]];
    for shell in shells() {
        let home = home();
        let place = home.path().join("-p lace\\");
        fs::create_dir(&place).unwrap();
        let mut steps = Vec::new();
        let mut expected: Vec<(Object, Option<&[u8]>)> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let content = contents[index % contents.len()];
            let (file, link, directory, none) = (
                place.join(format!("{name}f")),
                place.join(format!("{name}l")),
                place.join(format!("{name}d")),
                place.join(format!("{name}n")),
            );
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o4641)).unwrap();
            symlink(name, &link).unwrap();
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o1770)).unwrap();
            for path in [&none, &file, &link, &directory] {
                steps.push(claim(&object(path)));
                expected.push((object(path), (path == &file).then_some(content)));
            }
        }
        fs::write(place.join("last "), "x").unwrap();
        steps.push(claim(&object(&place.join("last "))));
        let before = tree(&place);
        let reply = apply(shell, home.path(), vec![task("a", steps.clone()), task("b", steps)]);
        assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?}");
        assert_eq!(before, tree(&place), "{shell:?}");
        assert_eq!(reply.apply, Some(1));
        let lines = records(home.path(), Scope::Apply(1));
        assert_eq!(lines.len(), expected.len() + 1, "each is noted once, {shell:?}");
        let mut sorted = lines.clone();
        let mut origin = records(home.path(), Scope::Origin);
        sorted.sort();
        origin.sort();
        assert_eq!(origin, sorted, "{shell:?}");
        for (index, (object, content)) in expected.iter().enumerate() {
            let path = object.path().unwrap().as_str();
            let sort = ["n", "f", "l", "d"][index % 4];
            let (uid, gid) = (fs::metadata(&place).unwrap().uid(), fs::metadata(&place).unwrap().gid());
            let expected = match (sort, content) {
                ("n", _) => Was::Absent,
                ("l", _) => Was::Link,
                ("d", _) => Was::Directory { mode: crate::attribute::Mode::new(0o1770), user: uid, group: gid },
                (_, content) => Was::File {
                    mode: crate::attribute::Mode::new(0o4641),
                    user: uid,
                    group: gid,
                    size: content.unwrap().len() as u64,
                    sha256: crate::blob::sha256_hex(content.unwrap()),
                },
            };
            for scope in [Scope::Origin, Scope::Apply(1)] {
                assert_eq!(was(home.path(), scope, object), Some(expected.clone()), "{path} {shell:?}");
                let copy = state(home.path()).join(scope.directory()).join(format!("{}.was", object.key()));
                match sort {
                    "f" => {
                        assert_eq!(fs::read(&copy).unwrap(), content.unwrap(), "{path} {shell:?}");
                        let (old, new) = (fs::metadata(path).unwrap(), fs::metadata(&copy).unwrap());
                        assert_eq!((old.mode(), old.mtime()), (new.mode(), new.mtime()), "{path} {shell:?}");
                        assert_ne!(old.ino(), new.ino());
                    }
                    "l" => assert_eq!(fs::read_link(&copy).unwrap(), fs::read_link(path).unwrap()),
                    _ => assert!(!copy.exists(), "{path} {shell:?}"),
                }
            }
        }
        let left = fs::read_dir(state(home.path()).join("history/1")).unwrap();
        let left = left.flatten().filter(|entry| entry.file_name().to_str().unwrap().starts_with('.')).count();
        assert_eq!(left, 0, "something was left behind, {shell:?}");
    }
}

#[test]
fn the_origin_is_of_the_first_apply_and_the_history_of_each() {
    for shell in shells() {
        let home = home();
        let file = home.path().join("f");
        fs::write(&file, "first").unwrap();
        for content in [b"second", b"third!"] {
            apply(shell, home.path(), vec![task("f", vec![put(&file, content)])]);
        }
        let kept = |scope: Scope| {
            let copy = state(home.path()).join(scope.directory()).join(format!("{}.was", object(&file).key()));
            fs::read_to_string(copy).unwrap()
        };
        assert_eq!(kept(Scope::Origin), "first", "{shell:?}");
        assert_eq!((kept(Scope::Apply(1)).as_str(), kept(Scope::Apply(2)).as_str()), ("first", "second"), "{shell:?}");
        let directory = state(home.path());
        for place in [&directory, &directory.join("origin"), &directory.join("history"), &directory.join("history/2")] {
            assert_eq!(fs::metadata(place).unwrap().mode() & 0o777, 0o700, "{place:?} {shell:?}");
        }
        assert_eq!(fs::metadata(directory.join("ledger")).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_thing_that_is_only_taken_back_gets_no_origin() {
    for shell in shells() {
        let home = home();
        let file = home.path().join("f");
        fs::write(&file, "x").unwrap();
        let back = revert(&object(&file), Scope::Origin, super::super::Data::Keep);
        let reply = apply(shell, home.path(), vec![task("f", vec![back])]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(records(home.path(), Scope::Origin), [""; 0], "{shell:?}");
        assert_eq!(records(home.path(), Scope::Apply(1)).len(), 1, "{shell:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    }
}

#[test]
fn a_large_file_is_kept_itself_only_where_it_is_replaced_as_a_whole() {
    for shell in shells() {
        let home = home();
        let (large, run, small) = (home.path().join("l"), home.path().join("r"), home.path().join("s"));
        for (path, size) in [(&large, (1 << 20) + 1), (&run, (1 << 20) + 1), (&small, 1 << 20)] {
            fs::write(path, vec![b'x'; size]).unwrap();
        }
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let before = [inode(&large), inode(&run), inode(&small)];
        let changes_it = Step::SetAttributes {
            path: abs(&run),
            mode: Some(crate::attribute::Mode::new(0o600)),
            ownership: super::super::Ownership::default(),
        };
        let tasks = vec![
            task("l", vec![put(&large, b"new")]),
            task("r", vec![changes_it, put(&run, b"new")]),
            task("s", vec![put(&small, b"new")]),
        ];
        assert_eq!(apply(shell, home.path(), tasks).outcomes, vec![done(""); 3], "{shell:?}");
        let copy = |path: &Path| state(home.path()).join("history/1").join(format!("{}.was", object(path).key()));
        let same: Vec<bool> = [&large, &run, &small]
            .iter()
            .zip(before)
            .map(|(path, inode_before)| inode(&copy(path)) == inode_before)
            .collect();
        assert_eq!(same, [true, false, false], "{shell:?}");
        assert_eq!(fs::read(copy(&large)).unwrap().len(), (1 << 20) + 1);
        assert_eq!(fs::read(&large).unwrap(), b"new");
    }
}

/// A late task's notes are of its own moment; an early task's of the beginning.
#[test]
fn a_late_task_is_noted_when_its_turn_comes() {
    for shell in shells() {
        let home = home();
        let (early, late) = (home.path().join("early"), home.path().join("late"));
        let command = Step::Run(super::super::Run {
            argv: ["sh", "-c", "echo made >\"$HOME/early\"; echo made >\"$HOME/late\""].map(str::to_owned).to_vec(),
            directory: None,
            input: None,
            limit: std::time::Duration::from_secs(5),
            guards: Vec::new(),
        });
        let mut last = task("late", vec![put(&late, b"new")]);
        last.late = true;
        let tasks = vec![task("run", vec![command]), task("early", vec![put(&early, b"new")]), last];
        assert_eq!(apply(shell, home.path(), tasks).outcomes, vec![done(""); 3], "{shell:?}");
        assert_eq!(was(home.path(), Scope::Apply(1), &object(&early)), Some(Was::Absent), "{shell:?}");
        assert!(matches!(was(home.path(), Scope::Origin, &object(&late)), Some(Was::File { .. })), "{shell:?}");
    }
}

#[test]
fn units_ports_images_and_what_podman_stores_are_noted() {
    let systemctl = r#"
echo "$*" >>"$HOME/calls"
[ "$1" = show ] || exit 0
while [ "$1" != -- ]; do shift; done; shift
first=1
for u; do
  [ -n "$first" ] || echo; first=
  case $u in
    bad*) echo "Failed to get properties: Unit name $u is not valid." >&2; exit 1 ;;
    gone*) printf 'ActiveState=inactive\nLoadState=not-found\nUnitFileState=\n' ;;
    made*) printf 'ActiveState=active\nLoadState=loaded\nUnitFileState=generated\n' ;;
    *) printf 'ActiveState=failed\nLoadState=loaded\nUnitFileState=enabled\n' ;;
  esac
done"#;
    let podman = r#"
case "$*" in
  'image inspect --format {{.Id}} -- localhost/there:1') echo sha256:b7c1 ;;
  'image inspect'*) echo 'Error: no such image' >&2; exit 125 ;;
  'image exists -- localhost/broken:1') echo 'Error: database is locked' >&2; exit 125 ;;
  'volume exists -- there'|'network exists -- there') ;;
  *' exists '*) exit 1 ;;
esac"#;
    let expected = [
        ("unit gone.service", "unit:unknown:unknown"),
        ("unit made.service", "unit:active:generated"),
        ("unit web@1.service", "unit:failed:enabled"),
        ("image localhost/there:1", "image:b7c1"),
        ("image localhost/gone:1", "absent"),
        ("volume there there-volume.service", "present"),
        ("volume gone gone-volume.service", "absent"),
        ("network there there-network.service", "present"),
        ("network gone gone-network.service", "absent"),
    ];
    for shell in shells() {
        let home = home();
        for (name, text) in [("systemctl", systemctl), ("podman", podman)] {
            tool(&home.path().join("bin"), name, text);
        }
        let objects: Vec<Object> = expected.iter().map(|(object, _)| object.parse().unwrap()).collect();
        let steps: Vec<Step> = objects.iter().map(claim).collect();
        let reply = apply(shell, home.path(), vec![task("all", steps)]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        for ((_, expected), object) in expected.iter().zip(&objects) {
            let found = was(home.path(), Scope::Origin, object).map(|was| was.to_string());
            assert_eq!(found.as_deref(), Some(*expected), "{object} {shell:?}");
        }
        let calls = fs::read_to_string(home.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), 1, "units are asked about in one run: {calls}");

        let bad: Vec<Object> =
            ["unit bad.service", "image localhost/broken:1"].map(|object| object.parse().unwrap()).to_vec();
        let mut tasks: Vec<Task> =
            bad.iter().enumerate().map(|(i, object)| task(&format!("t{i}"), vec![claim(object)])).collect();
        tasks.push(task("good", vec![claim(&objects[0])]));
        let reply = apply(shell, home.path(), tasks);
        let said: Vec<&str> = reply
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Failed { output, .. } => output,
                _ => "",
            })
            .collect();
        let expected = [
            "cannot note down how the unit bad.service is before it is changed: Failed to get properties: Unit name bad.service is not valid.",
            "cannot note down how the image localhost/broken:1 is before it is changed: Error: database is locked",
            "",
        ];
        assert_eq!(said, expected, "{shell:?}");
    }
}

#[test]
fn what_cannot_be_noted_is_not_touched_and_what_needs_it_is_skipped() {
    for shell in shells() {
        let home = home();
        let (bad, good) = (home.path().join("bad"), home.path().join("good"));
        fs::write(&bad, "old").unwrap();
        // A copy that fails is as good as a file that cannot be read, which root can.
        tool(&home.path().join("bin"), "cp", "echo \"cp: error reading '$3': Input/output error\" >&2; exit 1");
        let mut after = task("after", vec![put(&home.path().join("after"), b"x")]);
        after.after = vec![0];
        let tasks = vec![task("bad", vec![put(&bad, b"new")]), after, task("good", vec![put(&good, b"new")])];
        let reply = apply(shell, home.path(), tasks);
        let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{reply:?}") };
        let path = bad.to_str().unwrap();
        let expected = format!(
            "cannot note down what is at {path} before it is changed: cp: error reading '{path}': Input/output error"
        );
        assert_eq!(*output, expected, "{shell:?}");
        assert_eq!(reply.outcomes[1], Outcome::Skipped { because: Some(0) }, "{shell:?}");
        assert_eq!(reply.outcomes[2], done(""), "{shell:?}");
        assert_eq!(fs::read_to_string(&bad).unwrap(), "old");
        assert_eq!(records(home.path(), Scope::Origin).len(), 2, "{shell:?}");
    }
}

/// Processor time of all children so far, in ticks of 10 ms: the clock would tell of the machine's other work, too.
fn spent() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}

/// Not a test of speed: it prints what noting takes.
#[test]
#[ignore = "prints figures"]
fn what_noting_a_thousand_paths_takes() {
    let time = |shell: &[&str], home: &Path, tasks: Vec<Task>| {
        let before = spent();
        assert_eq!(attempt(shell, home, &batch(begin(&stamp(home)), tasks)).refused, None);
        10 * (spent() - before)
    };
    for shell in shells() {
        let empty: Vec<Task> = (0..1000).map(|i| task(&format!("f{i}"), Vec::new())).collect();
        let other = home();
        let without = time(shell, other.path(), empty);
        for there in ["absent", "present"] {
            let home = home();
            let paths: Vec<_> = (0..1000).map(|i| home.path().join(format!("f{i}"))).collect();
            if there == "present" {
                paths.iter().for_each(|path| fs::write(path, vec![b'x'; 2000]).unwrap());
            }
            let tasks: Vec<Task> =
                paths.iter().enumerate().map(|(i, path)| task(&format!("f{i}"), vec![claim(&object(path))])).collect();
            let with = time(shell, home.path(), tasks);
            println!("{shell:?}: noting 1000 {there}: {} ms of {with} ms", with.saturating_sub(without));
            assert_eq!(records(home.path(), Scope::Apply(1)).len(), 1000);
        }
    }
}

#[test]
fn absent_paths_are_noted_without_any_tool() {
    for shell in shells() {
        let home = home();
        let place = home.path().join("into");
        fs::create_dir(&place).unwrap();
        let mut program = format!(
            "{NOTE}\nPATH=/nonexistent; state={0}; into={0}/into; apply=1 noted= roots= copies=\n",
            home.path().display()
        );
        let steps: Vec<Step> = (0..1000).map(|i| claim(&object(&home.path().join(format!("f{i}"))))).collect();
        write_function(&mut program, "notes", &notes([task("f", steps)].iter().enumerate())).unwrap();
        program.push_str("notes; echo \"$noted\"");
        let said = exchange(shell, &format!("{program}\n{}", crate::shell::WHOLE), b"");
        assert_eq!(String::from_utf8(said).unwrap().split_whitespace().count(), 1000, "{shell:?}");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1000, "{shell:?}");
    }
}

#[test]
fn what_two_tasks_touch_is_noted_once() {
    let unit = Step::Unit { unit: Managed::system("a.service"), action: UnitAction::Start };
    let found = notes([task("a", vec![unit.clone()]), task("b", vec![unit])].iter().enumerate());
    assert_eq!(found.iter().map(|note| note.tasks.clone()).collect::<Vec<_>>(), [[0, 1]]);
}
