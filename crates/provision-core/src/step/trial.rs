//! Batches done through real shells, as an ordinary user with a home of the test's own, for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reply::BatchReply;
use super::{Batch, Journal, Keep, Purpose, Task, reply, script};
use crate::blob::Blob;
use crate::ledger::Ended;
use crate::shell::trial::run;

pub(super) const NONCE: &str = "n0nce";
pub(super) const LEDGER: &[u8] = b"{\"format\": 1, \"plan\": \"test\", \"resources\": []}\n";

/// Where the plan's state is.
pub(super) fn state(home: &Path) -> PathBuf {
    home.join(".local/state/provision/test")
}

/// What the next apply has to name.
pub(super) fn stamp(home: &Path) -> String {
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

pub(super) fn begin(stamp: &str) -> Purpose {
    Purpose::Begin {
        stamp: stamp.to_owned(),
        head: Blob::from_bytes(b"{\"verb\": \"apply\"}\n".to_vec()),
        ledger: Blob::from_bytes(LEDGER.to_vec()),
        keep: Keep { applies: 10, bytes: 1 << 28 },
    }
}

pub(super) fn end(result: Ended) -> Purpose {
    Purpose::End { stamp: None, result, ledger: None, vanish: false }
}

pub(super) fn batch(purpose: Purpose, tasks: Vec<Task>) -> Batch {
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

/// The program, with tools of the test's own first in its `PATH`.
pub(super) fn program(home: &Path, batch: &Batch) -> String {
    let home = crate::shell::quote(home.to_str().unwrap());
    format!(
        "HOME={home}; PATH=\"$HOME/bin:$PATH\"; XDG_STATE_HOME=; id() {{ echo 1000; }}\n{}",
        script::program(batch, NONCE)
    )
}

pub(super) fn input(batch: &Batch) -> Vec<u8> {
    batch.blobs().flat_map(|blob| blob.bytes().unwrap().to_vec()).collect()
}

pub(super) fn attempt(shell: &[&str], home: &Path, batch: &Batch) -> BatchReply {
    attempt_with(shell, home, batch, &input(batch))
}

pub(super) fn attempt_with(shell: &[&str], home: &Path, batch: &Batch, input: &[u8]) -> BatchReply {
    let reply = run(shell, &["-c", &program(home, batch)], input);
    reply::read(batch, &reply, NONCE).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&reply)))
}
