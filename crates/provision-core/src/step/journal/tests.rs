//! What is written down before and after the tasks, under every shell that a host may have.

use std::fs;
use std::path::Path;

use super::super::trial::*;
use super::super::{Data, Outcome, Refusal, Task};
use super::*;
use crate::ledger::{Ended, Scope};
use crate::shell::trial::{shells, tool};
use crate::step::Step;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for name in ["bin", "p"] {
        fs::create_dir(home.path().join(name)).unwrap();
    }
    home
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn with_ledger(mut purpose: Purpose, text: &str) -> Purpose {
    if let Purpose::Begin { ledger, .. } = &mut purpose {
        *ledger = Blob::from_bytes(text.as_bytes().to_vec());
    }
    purpose
}

fn owing(name: &str, unit: &str, steps: Vec<Step>) -> Task {
    Task { owes: vec![unit.to_owned()], ..task(name, steps) }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn with_another_stamp_nothing_is_done() {
    for shell in shells() {
        let home = home();
        let file = home.path().join("p/f");
        apply(shell, home.path(), vec![task("f", vec![put(&file, b"old")])]);
        let before = tree(home.path());
        let steps = || vec![owing("f", "a.service", vec![put(&file, b"new")])];
        let number = 1;
        let rolls = Purpose::Rollback { stamp: "1 cut".to_owned(), number, stays: Vec::new() };
        let ends = Purpose::End { stamp: Some("1 failed".to_owned()), result: Ended::Done, ledger: None, vanish: true };
        for purpose in [begin("0"), begin("1 cut"), begin("2 done"), rolls, ends] {
            let reply = attempt(shell, home.path(), &batch(purpose, steps()));
            assert_eq!(reply.refused, Some(Refusal::Moved("1 done".to_owned())), "{shell:?}");
            assert_eq!((reply.outcomes, reply.ended), (vec![Outcome::Skipped { because: None }], true));
            assert_eq!(before, tree(home.path()), "{shell:?}");
        }
    }
}

#[test]
fn a_rollback_gives_back_the_ledger_the_origin_and_what_was_owed() {
    for shell in shells() {
        let home = home();
        let (state, p) = (state(home.path()), home.path().join("p"));
        let (old, gone, new) = (p.join("old"), p.join("gone"), p.join("new"));
        fs::write(&old, "0").unwrap();
        let first =
            vec![owing("old", "a.service", vec![put(&old, b"1")]), owing("gone", "b.service", vec![put(&gone, b"1")])];
        let purpose = with_ledger(begin("0"), "first\n");
        assert_eq!(attempt(shell, home.path(), &batch(purpose, first)).apply, Some(1));
        attempt(shell, home.path(), &batch(end(Ended::Done), vec![]));
        let seen =
            || (tree(&p), read(state.join("ledger")), records(home.path(), Scope::Origin), names(&state.join("owed")));
        let copies = || names(&state.join("origin"));
        let (before, copied) = (seen(), copies());
        assert_eq!(before.3, ["a.service", "b.service"]);

        let second = || {
            let mut pays = owing("new", "c.service", vec![put(&new, b"2"), put(&old, b"2")]);
            pays.pays = vec!["a.service".to_owned()];
            vec![pays, task("gone", vec![revert(&object(&gone), Scope::Origin, Data::Keep)])]
        };
        let objects = [object(&gone), object(&old), object(&new)];
        let back = || -> Vec<Task> {
            let steps = objects.iter().map(|object| vec![revert(object, Scope::Apply(2), Data::Keep)]);
            steps.enumerate().map(|(i, steps)| task(&format!("t{i}"), steps)).collect()
        };
        for result in [None, Some(Ended::Done)] {
            let purpose = with_ledger(begin(&stamp(home.path())), "second\n");
            let reply = attempt(shell, home.path(), &batch(purpose, second()));
            assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?}");
            if let Some(result) = result {
                attempt(shell, home.path(), &batch(end(result), vec![]));
            }
            let after = seen();
            assert_eq!((after.1.as_str(), after.2.len()), ("second\n", 2), "{shell:?}");
            assert_eq!(after.3, ["b.service", "c.service"]);
            assert!(!gone.exists());

            // Of a rollback that fails nothing is forgotten, and it can be done again.
            let mut failing = back();
            failing.push(task("no", vec![put(&p.join("none/f"), b"x")]));
            let number = stamp(home.path()).split(' ').next().unwrap().parse().unwrap();
            let scoped = |tasks: Vec<Task>| -> Vec<Task> {
                let scope = |step: Step| match step {
                    Step::Revert(mut revert) => {
                        revert.scope = Scope::Apply(number);
                        Step::Revert(revert)
                    }
                    other => other,
                };
                let rescope = |task: Task| Task { steps: task.steps.into_iter().map(scope).collect(), ..task };
                tasks.into_iter().map(rescope).collect()
            };
            let reply = attempt(shell, home.path(), &batch(rollback(home.path(), number), scoped(failing)));
            assert!(matches!(reply.outcomes[3], Outcome::Failed { .. }), "{shell:?}");
            assert_eq!(stamp(home.path()), format!("{number} cut"), "{shell:?}");
            assert_eq!(read(state.join("ledger")), "second\n");

            // Cut just before its end, it is done again.
            for _ in 0..2 {
                let _ = fs::remove_file(state.join(format!("history/{number}/result")));
                let reply = attempt(shell, home.path(), &batch(rollback(home.path(), number), scoped(back())));
                assert_eq!((reply.refused, reply.outcomes), (None, vec![done(""); 3]), "{shell:?}");
                assert_eq!(before, seen(), "{shell:?}");
                assert_eq!(copied, copies(), "{shell:?}");
                assert_eq!(stamp(home.path()), format!("{number} rolled-back"), "{shell:?}");
                assert!(!state.join("lock").exists());
            }
        }
    }
}

#[test]
fn the_first_apply_is_rolled_back_to_nothing() {
    for shell in shells() {
        let home = home();
        let file = home.path().join("p/f");
        let before = tree(&home.path().join("p"));
        let task_of = |steps| vec![owing("f", "a.service", steps)];
        attempt(shell, home.path(), &batch(begin("0"), task_of(vec![put(&file, b"x")])));
        let back = vec![task("f", vec![revert(&object(&file), Scope::Apply(1), Data::Keep)])];
        attempt(shell, home.path(), &batch(rollback(home.path(), 1), back));
        let state = state(home.path());
        assert_eq!(before, tree(&home.path().join("p")), "{shell:?}");
        assert_eq!((state.join("ledger").exists(), names(&state.join("origin")).len()), (false, 0), "{shell:?}");
        assert_eq!(names(&state.join("owed")), [""; 0], "{shell:?}");
        assert_eq!(stamp(home.path()), "1 rolled-back");
    }
}

/// Data that an apply has brought stay when it is taken back, and are remembered, so that they can go when data may.
#[test]
fn what_stays_after_a_rollback_is_remembered_as_the_plan_s() {
    for shell in shells() {
        // Told by whoever looked at the host, or found out by the host itself.
        for told in [true, false] {
            let home = home();
            let directory = home.path().join("p/d");
            let makes = Step::EnsureDirectory { path: abs(&directory) };
            let file = home.path().join("p/f");
            let tasks = vec![task("d", vec![makes, put(&file, b"x")])];
            attempt(shell, home.path(), &batch(begin("0"), tasks));
            fs::write(directory.join("somebody's"), b"x").unwrap();
            let mut reverts = vec![revert(&object(&file), Scope::Apply(1), Data::Keep)];
            let mut purpose = rollback(home.path(), 1);
            let Purpose::Rollback { stays, .. } = &mut purpose else { unreachable!() };
            if told {
                stays.push(object(&directory).key());
            } else {
                reverts.push(revert(&object(&directory), Scope::Apply(1), Data::Keep));
            }
            attempt(shell, home.path(), &batch(purpose, vec![task("b", reverts)]));
            assert_eq!(stamp(home.path()), "1 rolled-back", "{shell:?}");
            let left = records(home.path(), Scope::Origin);
            assert_eq!(left, [format!("1 file.d absent path {}", directory.display())], "{told} {shell:?}");
            let back = vec![task("b", vec![revert(&object(&directory), Scope::Origin, Data::Delete)])];
            assert_eq!(apply(shell, home.path(), back).outcomes, [done("")], "{shell:?}");
            assert!(!directory.exists(), "{shell:?}");
            assert_eq!(records(home.path(), Scope::Origin).len(), 0, "{shell:?}");
        }
    }
}

#[test]
fn the_history_is_pruned_by_number_and_by_size_and_the_origin_never() {
    for shell in shells() {
        for (keep, left) in [
            (Keep { applies: 3, bytes: 1 << 30 }, vec!["10", "11", "9"]),
            (Keep { applies: 100, bytes: 4500 }, vec!["10", "11", "8", "9"]),
            (Keep { applies: 100, bytes: 0 }, vec!["11"]),
            (Keep { applies: 0, bytes: 1 << 30 }, vec!["11"]),
        ] {
            let home = home();
            let file = home.path().join("p/f");
            fs::write(&file, vec![b'o'; 700]).unwrap();
            for number in 1..=11_u8 {
                let mut purpose = begin(&stamp(home.path()));
                if let Purpose::Begin { keep: kept, .. } = &mut purpose {
                    *kept = keep;
                }
                let content = vec![number; 1000 + usize::from(number)];
                attempt(shell, home.path(), &batch(purpose, vec![task("f", vec![put(&file, &content)])]));
                attempt(shell, home.path(), &batch(end(Ended::Done), vec![]));
            }
            assert_eq!(names(&state(home.path()).join("history")), left, "{keep:?} {shell:?}");
            let tasks = vec![task("f", vec![revert(&object(&file), Scope::Origin, Data::Keep)])];
            assert_eq!(apply(shell, home.path(), tasks).outcomes, [done("")], "{shell:?}");
            assert_eq!(fs::read(&file).unwrap(), vec![b'o'; 700], "{shell:?}");
        }
    }
}

#[test]
fn after_a_destroy_nothing_is_left_unless_something_is_still_remembered() {
    for shell in shells() {
        let home = home();
        let (file, directory) = (home.path().join("p/f"), home.path().join("p/d"));
        let vanish = |result| Purpose::End { stamp: None, result, ledger: None, vanish: true };
        let makes = Step::EnsureDirectory { path: abs(&directory) };
        apply(shell, home.path(), vec![task("f", vec![makes, put(&file, b"x"), put(&directory.join("f"), b"x")])]);
        let back = |path: &Path, data| task("b", vec![revert(&object(path), Scope::Origin, data)]);
        let tasks = vec![back(&file, Data::Keep), back(&directory, Data::Keep)];
        attempt(shell, home.path(), &batch(begin(&stamp(home.path())), tasks));
        attempt(shell, home.path(), &batch(vanish(Ended::Done), vec![]));
        assert_eq!(stamp(home.path()), "2 done", "the directory was kept, {shell:?}");
        assert!(!state(home.path()).join("lock").exists());

        let tasks = vec![back(&directory.join("f"), Data::Keep), back(&directory, Data::Keep)];
        attempt(shell, home.path(), &batch(begin(&stamp(home.path())), tasks));
        assert_eq!(attempt(shell, home.path(), &batch(vanish(Ended::Done), vec![])).refused, None);
        assert_eq!(names(&home.path().join("p")), [""; 0], "{shell:?}");
        assert_eq!(names(&home.path().join(".local/state")), [""; 0], "{shell:?}");
        // And from there everything begins anew.
        assert_eq!(apply(shell, home.path(), vec![task("f", vec![put(&file, b"x")])]).apply, Some(1), "{shell:?}");
        // Another plan's state stays where it is.
        fs::create_dir(home.path().join(".local/state/provision/other")).unwrap();
        attempt(shell, home.path(), &batch(begin("1 done"), vec![back(&file, Data::Keep)]));
        attempt(shell, home.path(), &batch(vanish(Ended::Done), vec![]));
        assert_eq!(names(&home.path().join(".local/state/provision")), ["other"], "{shell:?}");
    }
}

#[test]
fn an_apply_that_was_cut_is_ended_by_the_next_that_looks() {
    for shell in shells() {
        let home = home();
        attempt(shell, home.path(), &batch(begin("0"), vec![]));
        let ledger = Blob::from_bytes(b"later\n".to_vec());
        let stamp_now = Some("1 cut".to_owned());
        let purpose =
            Purpose::End { stamp: stamp_now, result: Ended::Done, ledger: Some(ledger.clone()), vanish: false };
        let reply = attempt(shell, home.path(), &batch(purpose, vec![]));
        assert_eq!((reply.refused, reply.apply), (None, Some(1)), "{shell:?}");
        assert_eq!(
            (stamp(home.path()).as_str(), read(state(home.path()).join("ledger")).as_str()),
            ("1 done", "later\n")
        );
        // With no apply at all it only puts the ledger.
        let home = self::home();
        let purpose =
            Purpose::End { stamp: Some("0".to_owned()), result: Ended::Done, ledger: Some(ledger), vanish: false };
        assert_eq!(attempt(shell, home.path(), &batch(purpose, vec![])).refused, None, "{shell:?}");
        assert_eq!((stamp(home.path()).as_str(), read(state(home.path()).join("ledger")).as_str()), ("0", "later\n"));
        assert!(!state(home.path()).join("lock").exists());
    }
}

#[test]
fn what_an_apply_that_was_cut_left_half_made_is_swept_away() {
    for shell in shells() {
        let home = home();
        let p = home.path().join("p");
        let names_of = ["f", "two words", "a'b ", "-n"];
        let steps: Vec<Step> = names_of.iter().map(|name| put(&p.join(name), b"x")).collect();
        attempt(shell, home.path(), &batch(begin("0"), vec![task("f", steps)]));
        for name in names_of {
            fs::write(p.join(format!(".{name}.provision-new")), "half").unwrap();
        }
        fs::write(p.join(".other.provision-new"), "somebody else's").unwrap();
        attempt(shell, home.path(), &batch(begin("1 cut"), vec![]));
        let hidden: Vec<String> = names(&p).into_iter().filter(|name| name.starts_with('.')).collect();
        assert_eq!(hidden, [".other.provision-new"], "{shell:?}");
    }
}

/// Wherever the input is cut, the next apply works, and so does a rollback, which gives back what was there.
#[test]
fn an_apply_that_was_cut_at_any_byte_is_taken_forward_or_back() {
    for (at, shell) in shells().into_iter().enumerate() {
        let home = home();
        let p = home.path().join("p");
        let (old, new) = (p.join("old"), p.join("new"));
        fs::write(&old, "before").unwrap();
        let tasks = || vec![task("old", vec![put(&old, b"after")]), task("new", vec![put(&new, b"new")])];
        let before = tree(&p);
        let whole = input(&batch(begin("0"), tasks()));
        // Every byte under one of the shells, and those of the files under all.
        for sent in (0..=whole.len()).filter(|sent| sent % shells().len() == at || sent + 8 >= whole.len()) {
            let stamp_before = stamp(home.path());
            let purpose = begin(&stamp_before);
            let reply = attempt_with(shell, home.path(), &batch(purpose, tasks()), &whole[..sent]);
            let journal = whole.len() - 8;
            if sent < journal {
                let Some(Refusal::Journal(why)) = &reply.refused else { panic!("{sent} {reply:?}") };
                assert!(why.ends_with(" is not what was sent"), "{why}");
                assert_eq!((stamp(home.path()), tree(&p)), (stamp_before, before.clone()), "{sent} {shell:?}");
                assert!(!state(home.path()).join("lock").exists());
                continue;
            }
            for path in [&old, &new] {
                assert!(["", "before", "after", "new"].contains(&read(path).as_str()), "{sent} {shell:?}");
            }
            // Taken back, forward, and back again.
            let number: u32 = reply.apply.unwrap();
            let back = |number: u32| {
                let steps = [&new, &old].map(|path| revert(&object(path), Scope::Apply(number), Data::Keep));
                let reply =
                    attempt(shell, home.path(), &batch(rollback(home.path(), number), vec![task("b", steps.to_vec())]));
                assert_eq!((reply.refused, reply.outcomes), (None, vec![done("")]), "{sent} {shell:?}");
                assert_eq!(tree(&p), before, "{sent} {shell:?}");
            };
            if sent % 2 == 0 {
                back(number);
                continue;
            }
            let reply = attempt(shell, home.path(), &batch(begin(&stamp(home.path())), tasks()));
            assert_eq!(reply.outcomes, [done(""), done("")], "{sent} {shell:?}");
            attempt(shell, home.path(), &batch(end(Ended::Done), vec![]));
            let steps = [&new, &old].map(|path| revert(&object(path), Scope::Origin, Data::Keep));
            apply(shell, home.path(), vec![task("b", steps.to_vec())]);
            assert_eq!(tree(&p), before, "{sent} {shell:?}");
        }
        assert_eq!(names(&state(home.path())), ["history", "ledger", "mutex", "origin"], "{shell:?}");
    }
}

/// A script that dies at any of its commands leaves what the next one works with.
#[test]
fn an_apply_whose_script_is_killed_is_taken_forward() {
    let tools = ["cp", "sha256sum", "stat", "sync", "ln", "mv", "rm", "mkdir", "dd", "chmod"];
    for (at, name) in tools.iter().enumerate() {
        let all = shells();
        let shell = all[at % all.len()];
        let home = home();
        let p = home.path().join("p");
        fs::write(p.join("f"), "before").unwrap();
        for call in 1..=4 {
            // The tool kills the shell that has called it.
            let kill = format!(
                "printf x >>\"$HOME/{name}-{call}\"
[ \"$(wc -c <\"$HOME/{name}-{call}\")\" != {call} ] || kill -9 $PPID
PATH=${{PATH#*:}} exec {name} \"$@\""
            );
            tool(&home.path().join("bin"), name, &kill);
            let steps = || vec![task("f", vec![put(&p.join("f"), b"after"), put(&p.join("g"), b"after")])];
            let killed = batch(begin(&stamp(home.path())), steps());
            exchange(shell, &program(home.path(), &killed), &input(&killed));
            fs::remove_file(home.path().join("bin").join(name)).unwrap();
            assert!(["before", "after"].contains(&read(p.join("f")).as_str()), "{name} {call} {shell:?}");
            assert_eq!(apply(shell, home.path(), steps()).outcomes, [done("")], "{name} {call} {shell:?}");
            let back = ["g", "f"].map(|name| revert(&object(&p.join(name)), Scope::Origin, Data::Keep));
            let reply = apply(shell, home.path(), vec![task("f", back.to_vec())]);
            assert_eq!(reply.outcomes, [done("")], "{name} {call} {shell:?}");
            let left = (names(&p), read(p.join("f")));
            assert_eq!(left, (vec!["f".to_owned()], "before".to_owned()), "{name} {call} {shell:?}");
        }
    }
}

#[test]
fn a_full_disk_is_said_plainly_and_nothing_is_touched() {
    for shell in shells() {
        let home = home();
        let place = home.path().join(".local");
        fs::create_dir(&place).unwrap();
        let small = ["-t", "tmpfs", "-o", "size=160k", "none"];
        let mounted = std::process::Command::new("mount").args(small).arg(&place).status();
        if !mounted.is_ok_and(|status| status.success()) {
            // Only root can make a small disk; `tests/run` as root does.
            return;
        }
        let result = std::panic::catch_unwind(|| {
            let p = home.path().join("p");
            let steps = || {
                let good = task("good", vec![put(&p.join("good"), b"x")]);
                vec![task("large", vec![put(&p.join("large"), b"new")]), good]
            };
            // The copy of one file has no room; the rest has.
            fs::write(p.join("large"), vec![b'x'; 200_000]).unwrap();
            let reply = attempt(shell, home.path(), &batch(begin("0"), steps()));
            let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{shell:?} {reply:?}") };
            assert!(output.starts_with("cannot note down what is at /"), "{output}");
            assert!(output.contains("No space left on device"), "{output} {shell:?}");
            assert_eq!(
                (fs::read(p.join("large")).unwrap().len(), &reply.outcomes[1]),
                (200_000, &done("")),
                "{shell:?}"
            );
            attempt(shell, home.path(), &batch(end(Ended::Failed), vec![]));

            // Nothing has room.
            let fill = |size: usize| fs::write(place.join("fill"), vec![b'x'; size]);
            let _ = fill(1 << 20);
            let reply = attempt(shell, home.path(), &batch(begin("1 failed"), steps()));
            let Some(Refusal::Journal(why)) = &reply.refused else { panic!("{shell:?} {reply:?}") };
            assert!(
                why.contains("No space left") || why.contains("cannot write") || why.contains("I/O error"),
                "{why}"
            );
            assert!(!why.trim().is_empty());
            assert_eq!(stamp(home.path()), "1 failed", "{shell:?}");
            assert_eq!(
                (names(&state(home.path()).join("history")), state(home.path()).join("lock").exists()),
                (vec!["1".to_owned()], false)
            );
            fs::remove_file(place.join("fill")).unwrap();
            fs::write(p.join("large"), "small").unwrap();
            assert_eq!(attempt(shell, home.path(), &batch(begin("1 failed"), steps())).apply, Some(2), "{shell:?}");
        });
        assert!(std::process::Command::new("umount").arg(&place).status().unwrap().success());
        result.unwrap();
    }
}
