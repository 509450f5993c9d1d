//! What is large is kept while it arrives, under real shells: cut, gone on with, checked, and gone once it was used.

use std::fs;
use std::path::{Path, PathBuf};

use super::trial::{attempt, attempt_with, batch, begin, done, end, input, put, revert, stamp, state, task};
use super::{Batch, Data, Outcome, Purpose, Step, Task};
use crate::blob::Blob;
use crate::ledger::{Ended, Memory, Scope};
use crate::object::Object;
use crate::probe::{self, Ask};
use crate::shell::trial::{run, shells, tool};
use crate::systemd::Managed;

const LENGTH: usize = 9 << 20;

fn content() -> Vec<u8> {
    (0..LENGTH).map(|at| (at / 251) as u8).collect()
}

/// Puts what is large at a path, of which the host has so many bytes.
fn put_rest(path: &Path, content: &[u8], there: usize) -> Step {
    let mut step = put(path, content);
    let blob = step.blob_mut().unwrap();
    *blob = blob.with_beginning(there as u64);
    step
}

fn awaiting(home: &Path, tasks: Vec<Task>) -> Batch {
    let mut purpose = begin(&stamp(home));
    if let Purpose::Begin { awaited, .. } = &mut purpose {
        awaited.extend(tasks.iter().flat_map(|task| &task.steps).filter_map(Step::kept).map(|b| b.sha256().to_owned()));
    }
    batch(purpose, tasks)
}

fn arriving(home: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(state(home).join("arriving")).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
}

fn memory(shell: &[&str], home: &Path) -> Memory {
    let ask = Ask::Memory { plan: "test".to_owned(), ledger: String::new() };
    let program = probe::script::program(std::slice::from_ref(&ask), "n0nce");
    let place = crate::shell::quote(home.to_str().unwrap());
    let program = format!("HOME={place}; XDG_STATE_HOME=; id() {{ echo 1000; }}\n{program}");
    let answers = probe::reply::read(&[&ask], &run(shell, &["-c", &program], b""), "n0nce").unwrap();
    answers.memory("test", "").unwrap().clone()
}

struct Place {
    home: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    let path = home.path().join("large");
    Place { home, path }
}

/// Cuts the first attempt when so many bytes of the file have been sent; gives what the host then says is there.
fn cut(shell: &[&str], place: &Place, sent: usize) -> u64 {
    let home = place.home.path();
    let batch = awaiting(home, vec![task("large", vec![put(&place.path, &content())])]);
    let whole = input(&batch);
    let reply = attempt_with(shell, home, &batch, &whole[..whole.len() - LENGTH + sent]);
    assert!(
        matches!(&reply.outcomes[0], Outcome::Failed { output, .. } if output.contains("the connection ended after"))
    );
    assert!(!place.path.exists());
    let found = memory(shell, home).arriving;
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), [Blob::from_bytes(content()).sha256()]);
    *found.values().next().unwrap()
}

#[test]
fn a_transfer_that_was_cut_goes_on_where_it_ended() {
    for shell in shells() {
        let place = place();
        let home = place.home.path();
        let there = cut(shell, &place, 5_000_000);
        assert_eq!(there, 5_000_000, "{shell:?}");
        let arrived = state(home).join("arriving");
        let mode =
            |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777;
        assert_eq!(mode(&arrived), 0o700);
        assert_eq!(mode(&fs::read_dir(&arrived).unwrap().next().unwrap().unwrap().path()), 0o600);
        // A second time, with a small file before and behind it.
        let (small, other) = (home.join("small"), home.join("other"));
        let steps = vec![put(&small, b"small"), put_rest(&place.path, &content(), 5_000_000), put(&other, b"other")];
        let batch = awaiting(home, vec![task("large", steps)]);
        let sent = input(&batch);
        assert!(sent.len() < LENGTH - 5_000_000 + 1000);
        assert_eq!(attempt_with(shell, home, &batch, &sent).outcomes, [done("")], "{shell:?}");
        assert!(fs::read(&place.path).unwrap() == content(), "{shell:?}");
        assert_eq!((fs::read(small).unwrap(), fs::read(other).unwrap()), (b"small".to_vec(), b"other".to_vec()));
        assert_eq!(arriving(home), []);
        attempt(shell, home, &super::trial::batch(end(Ended::Done), Vec::new()));
        assert!(!arrived.exists(), "{shell:?}");
    }
}

#[test]
fn what_arrived_after_it_was_looked_at_does_no_harm() {
    for shell in shells() {
        let place = place();
        let home = place.home.path();
        cut(shell, &place, 6_000_001);
        let batch = awaiting(home, vec![task("large", vec![put_rest(&place.path, &content(), 5_999_000)])]);
        assert_eq!(attempt(shell, home, &batch).outcomes, [done("")], "{shell:?}");
        assert!(fs::read(&place.path).unwrap() == content(), "{shell:?}");
    }
}

#[test]
fn what_is_damaged_or_gone_is_sent_again_from_its_beginning() {
    for shell in shells() {
        let place = place();
        let home = place.home.path();
        cut(shell, &place, 5_000_000);
        let file = state(home).join("arriving").join(Blob::from_bytes(content()).sha256());
        let mut damaged = fs::read(&file).unwrap();
        damaged[77] ^= 1;
        fs::write(&file, damaged).unwrap();
        let last = home.join("last");
        let tasks = |there: usize| {
            vec![task("large", vec![put_rest(&place.path, &content(), there)]), task("last", vec![put(&last, b"last")])]
        };
        let attempted = |there: usize| {
            drop(fs::remove_file(&last));
            let reply = attempt(shell, home, &awaiting(home, tasks(there)));
            // Whatever becomes of it, what comes behind it finds its own.
            assert_eq!((&reply.outcomes[1], fs::read(&last).unwrap()), (&done(""), b"last".to_vec()), "{shell:?}");
            reply.outcomes[0].clone()
        };
        let why = |outcome: Outcome| if let Outcome::Failed { output, .. } = outcome { output } else { String::new() };
        assert_eq!(why(attempted(5_000_000)).trim_end(), "what arrived is not what was sent: apply again", "{shell:?}");
        assert_eq!(arriving(home), [], "{shell:?}");
        assert_eq!(why(attempted(5_000_000)).trim_end(), "what had arrived of it is gone: apply again", "{shell:?}");
        assert!(!place.path.exists());
        assert_eq!(attempted(0), done(""), "{shell:?}");
        assert!(fs::read(&place.path).unwrap() == content(), "{shell:?}");
    }
}

#[test]
fn what_the_next_apply_does_not_want_goes_and_so_it_does_with_a_rollback() {
    for shell in shells() {
        let place = place();
        let home = place.home.path();
        cut(shell, &place, 5_000_000);
        let batch = awaiting(home, vec![task("other", vec![put(&home.join("other"), b"other")])]);
        assert_eq!(attempt(shell, home, &batch).outcomes, [done("")]);
        assert_eq!(arriving(home), [], "{shell:?}");
        cut(shell, &place, 5_000_000);
        assert_eq!(arriving(home).len(), 1);
        let number = stamp(home).split(' ').next().unwrap().parse().unwrap();
        let object = Object::Path(super::trial::abs(&place.path));
        let back = vec![task("large", vec![revert(&object, Scope::Apply(number), Data::Keep)])];
        let reply = attempt(shell, home, &super::trial::batch(super::trial::rollback(home, number), back));
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(arriving(home), [], "{shell:?}");
    }
}

#[test]
fn a_step_that_fails_keeps_what_has_arrived_and_podman_is_given_the_file() {
    for shell in shells() {
        let place = place();
        let home = place.home.path();
        let podman = r#"case $1 in load) [ ! -e "$HOME/full" ] || exit 125; cp "$4" "$HOME/loaded"; echo "$3" ;; esac"#;
        tool(&home.join("bin"), "podman", podman);
        let load = |there: usize| {
            let archive = Blob::from_bytes(content()).with_beginning(there as u64);
            let step = Step::LoadImage { archive, id: "b7c1".to_owned(), name: Managed::system("localhost/a:1") };
            awaiting(home, vec![task("image", vec![step])])
        };
        fs::write(home.join("full"), "").unwrap();
        let reply = attempt(shell, home, &load(0));
        assert!(matches!(reply.outcomes[0], Outcome::Failed { status: 125, .. }), "{reply:?}");
        assert_eq!(memory(shell, home).arriving.into_values().collect::<Vec<_>>(), [LENGTH as u64]);
        fs::remove_file(home.join("full")).unwrap();
        // Nothing is left to be sent.
        let again = load(LENGTH);
        assert!(input(&again).len() < 1000);
        assert_eq!(attempt(shell, home, &again).outcomes, [done("")], "{shell:?}");
        assert!(fs::read(home.join("loaded")).unwrap() == content(), "{shell:?}");
        assert_eq!(arriving(home), []);
    }
}
