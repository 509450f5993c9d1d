//! Batches done through real shells, as an ordinary user with a home of the test's own, for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use super::reply::{BatchReply, Heard, Progress};
use super::{Batch, Data, Journal, Keep, Outcome, Ownership, Purpose, Revert, Step, Task, reply, script};
use crate::address::Address;
use crate::attribute::Mode;
use crate::blob::Blob;
use crate::ledger::{Ended, Scope};
use crate::object::{Object, Record, Was};
use crate::path::AbsPath;
use crate::shell::trial::run;
use crate::shell::{Become, bootstrap};
use crate::transport::Sink;

pub(crate) const NONCE: &str = "n0nce";
pub(crate) const LEDGER: &[u8] = b"{\"format\": 1, \"plan\": \"test\", \"resources\": []}\n";

/// Where the plan's state is.
pub(crate) fn state(home: &Path) -> PathBuf {
    home.join(".local/state/provision/test")
}

/// What the next apply has to name.
pub(crate) fn stamp(home: &Path) -> String {
    let numbers = fs::read_dir(state(home).join("history")).into_iter().flatten().flatten();
    let newest = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.map_or_else(
        || "0".to_owned(),
        |number| {
            let result = fs::read_to_string(state(home).join(format!("history/{number}/result"))).unwrap_or_default();
            format!("{number} {}", Ended::from_word(result.trim()).word())
        },
    )
}

pub(crate) fn begin(stamp: &str) -> Purpose {
    Purpose::Begin {
        stamp: stamp.to_owned(),
        head: Blob::from_bytes(b"{\"verb\": \"apply\"}\n".to_vec()),
        ledger: Blob::from_bytes(LEDGER.to_vec()),
        keep: Keep { applies: 10, bytes: 1 << 28 },
        awaited: Vec::new(),
        rehearsals: Vec::new(),
    }
}

pub(crate) fn end(result: Ended) -> Purpose {
    Purpose::End { stamp: None, result, ledger: None, vanish: false }
}

pub(crate) fn rollback(home: &Path, number: u32) -> Purpose {
    Purpose::Rollback { stamp: stamp(home), number, stays: Vec::new() }
}

pub(crate) fn batch(purpose: Purpose, tasks: Vec<Task>) -> Batch {
    let journal = Journal {
        purpose,
        who: "alice@laptop".to_owned(),
        since: "2026-11-23T10:00:00Z".to_owned(),
        wait: Duration::ZERO,
        lease: Duration::from_secs(30),
        arm: None,
    };
    Batch { tasks, plan: "test".to_owned(), step_limit: Duration::from_secs(20), journal }
}

/// The program, with tools of the test's own first in its `PATH`, and BusyBox's where its shell runs it.
pub(crate) fn program(home: &Path, batch: &Batch) -> String {
    let home = crate::shell::quote(home.to_str().unwrap());
    format!(
        "HOME={home}; PATH=\"$HOME/bin:${{BUSYBOX:+$BUSYBOX:}}$PATH\"; XDG_STATE_HOME=; id() {{ echo 1000; }}\n\
         provision_generators=\"$HOME/generators\"; XDG_RUNTIME_DIR=\"$HOME/run\"; XDG_CONFIG_HOME=\n{}",
        script::program(batch, NONCE)
    )
}

pub(crate) fn input(batch: &Batch) -> Vec<u8> {
    let sent = |blob: &Blob| blob.bytes().unwrap()[usize::try_from(blob.there()).unwrap()..].to_vec();
    batch.blobs().flat_map(sent).collect()
}

/// The command line that starts a program, through a shell of the test's choice.
pub(crate) fn line(shell: &[&str], program: &str) -> String {
    let line = bootstrap(program, Become::No).replace("/bin/sh", &shell.join(" "));
    match shell {
        ["busybox", ..] => format!("BUSYBOX={}; export BUSYBOX; {line}", busybox().display()),
        _ => line,
    }
}

/// A directory with BusyBox's tools, made once for all tests.
fn busybox() -> PathBuf {
    static MADE: Once = Once::new();
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/busybox-tools");
    MADE.call_once(|| {
        fs::create_dir_all(&place).unwrap();
        let install = ["-c", "busybox --install -s \"$0\" && rm -f \"$0\"/sh \"$0\"/ash", place.to_str().unwrap()];
        run(&["sh"], &install, b"");
        assert!(place.join("stat").exists());
    });
    place
}

/// Sends a program as a connection does, on standard input: it may be longer than an argument.
pub(crate) fn exchange(shell: &[&str], program: &str, input: &[u8]) -> Vec<u8> {
    let line = line(shell, program);
    run(shell, &["-c", &line], &[program.as_bytes(), input].concat())
}

pub(crate) fn attempt(shell: &[&str], home: &Path, batch: &Batch) -> BatchReply {
    attempt_with(shell, home, batch, &input(batch))
}

pub(crate) fn attempt_with(shell: &[&str], home: &Path, batch: &Batch, input: &[u8]) -> BatchReply {
    heard(batch, &exchange(shell, &program(home, batch), input)).0
}

/// What a reply comes to, with what commands print before what their tasks say themselves, and all that is told of it.
pub(crate) fn heard(batch: &Batch, reply: &[u8]) -> (BatchReply, Vec<Heard>) {
    let mut told = Vec::new();
    let mut tell = |heard| told.push(heard);
    let mut progress = Progress::new(NONCE, &mut tell);
    progress.accept(reply);
    progress.finish();
    let kept = std::mem::take(&mut progress.reply);
    let mut whole =
        reply::read(batch, &kept, NONCE).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(reply)));
    for (index, outcome) in whole.outcomes.iter_mut().enumerate() {
        let (Outcome::Done { output } | Outcome::Failed { output, .. }) = outcome else { continue };
        let lines = told.iter().filter_map(|heard| match heard {
            Heard::Said(task, line) if *task == index => Some(line.text.as_str()),
            _ => None,
        });
        let lines: Vec<&str> = lines.chain([output.as_str()]).collect();
        *output = lines.join("\n").trim_end().to_owned();
    }
    (whole, told)
}

pub(crate) fn task(name: &str, steps: Vec<Step>) -> Task {
    Task::new(Address::new("file", name).unwrap(), steps)
}

pub(crate) fn put(path: &Path, content: &[u8]) -> Step {
    Step::PutFile {
        path: abs(path),
        content: Blob::from_bytes(content.to_vec()),
        mode: Mode::new(0o644),
        ownership: Ownership::default(),
        validate: Vec::new(),
    }
}

pub(crate) fn revert(object: &Object, scope: Scope, data: Data) -> Step {
    Step::Revert(Revert { object: object.clone(), scope, data, rewrite: None })
}

pub(crate) fn abs(path: &Path) -> AbsPath {
    path.to_str().unwrap().parse().unwrap()
}

pub(crate) fn object(path: &Path) -> Object {
    Object::Path(abs(path))
}

pub(crate) fn done(output: &str) -> Outcome {
    Outcome::Done { output: output.to_owned() }
}

/// The records of a scope, read from the files, in order; of the origin by key.
pub(crate) fn records(home: &Path, scope: Scope) -> Vec<String> {
    let directory = state(home).join(scope.directory());
    let keys: Vec<String> = match scope {
        Scope::Apply(_) => {
            fs::read_to_string(directory.join("order")).unwrap_or_default().lines().map(str::to_owned).collect()
        }
        Scope::Origin => {
            let names = fs::read_dir(&directory).into_iter().flatten().flatten();
            let mut keys: Vec<String> = names.map(|name| name.file_name().into_string().unwrap()).collect();
            keys.retain(|key| !key.ends_with(".was"));
            keys.sort();
            keys
        }
    };
    let line = |key: &String| fs::read_to_string(directory.join(key)).unwrap().lines().next().unwrap().to_owned();
    keys.iter().map(line).collect()
}

/// What a record says that an object was.
pub(crate) fn was(home: &Path, scope: Scope, object: &Object) -> Option<Was> {
    let line = fs::read_to_string(state(home).join(scope.directory()).join(object.key())).ok()?;
    let record: Record = line.lines().next()?.parse().unwrap();
    assert_eq!(record.object, *object);
    Some(record.was)
}

/// Everything below a directory: names, sorts, modes, owners, targets of links and contents.
pub(crate) fn tree(directory: &Path) -> String {
    let text =
        "cd \"$0\" && find . -printf '%p %y %m %U:%G %l\\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2";
    String::from_utf8(run(&["sh"], &["-c", text, directory.to_str().unwrap()], b"")).unwrap()
}

/// Does tasks as an apply of its own, and ends it as done.
pub(crate) fn apply(shell: &[&str], home: &Path, tasks: Vec<Task>) -> BatchReply {
    // This process is the parent of all shells, and so the connection that they are of.
    let reply = attempt(shell, home, &batch(begin(&stamp(home)), tasks));
    assert_eq!(reply.refused, None);
    assert_eq!(attempt(shell, home, &batch(end(Ended::Done), Vec::new())).refused, None);
    reply
}
