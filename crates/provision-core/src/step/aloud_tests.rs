//! What commands print, on its way out of every shell that a host may have.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::reply::{Heard, Line, Progress};
use super::trial::{self, NONCE, task};
use super::*;
use crate::shell::trial::shells;
use crate::transport::Sink;

/// Whoever waits for something that does not come says so at last, and has then failed.
const GIVE_UP: &str =
    "n=0; until [ -e \"$HOME/go\" ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 9; sleep 0.1 2>/dev/null || sleep 1; done";

fn commands(texts: &[&str]) -> Batch {
    let command = |text: &&str| {
        let argv = ["sh", "-c", text].map(str::to_owned).to_vec();
        let limit = Duration::from_secs(100);
        Step::Run(Run { argv, directory: None, input: None, limit, guards: Vec::new() })
    };
    let tasks = texts.iter().map(|text| task("it", vec![command(text)])).collect();
    trial::batch(Purpose::Watch, tasks)
}

fn start(shell: &[&str], home: &Path, batch: &Batch) -> Child {
    let program = trial::program(home, batch);
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &trial::line(shell, &program)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    child
}

/// Reads what comes until `enough` of it was heard, or all of it.
fn listen(stdout: &mut ChildStdout, reply: &mut Vec<u8>, enough: impl Fn(&Heard) -> bool) -> Vec<Heard> {
    let mut buffer = [0_u8; 1000];
    loop {
        let read = stdout.read(&mut buffer).unwrap();
        reply.extend_from_slice(&buffer[..read]);
        let mut heard = Vec::new();
        let mut tell = |one| heard.push(one);
        Progress::new(NONCE, &mut tell).accept(reply);
        if read == 0 || heard.iter().any(&enough) {
            return heard;
        }
    }
}

fn said(text: &str) -> Heard {
    Heard::Said(0, Line { text: text.to_owned(), cut: false })
}

fn is(heard: &Heard, text: &str) -> bool {
    *heard == said(text)
}

#[test]
fn a_line_is_heard_while_its_command_still_runs() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let batch = commands(&[&format!("echo first; echo second >&2; {GIVE_UP}; echo last; exit 3"), "echo unheard"]);
        let mut child = start(shell, home.path(), &batch);
        let (mut stdout, mut reply) = (child.stdout.take().unwrap(), Vec::new());
        // It ends only once its lines have come.
        let heard = listen(&mut stdout, &mut reply, |heard| is(heard, "second"));
        let so_far = [Heard::Begun(0), said("first"), said("second")];
        assert_eq!(heard, so_far, "{shell:?}");
        fs::write(home.path().join("go"), "").unwrap();
        let heard = listen(&mut stdout, &mut reply, |_| false);
        let failed = Heard::Ended(0, Outcome::Failed { step: 0, status: 3, output: String::new() });
        assert_eq!(heard[..5], [&so_far[..], &[said("last"), failed]].concat(), "{shell:?}");
        child.wait().unwrap();
    }
}

#[test]
fn what_a_command_prints_is_its_own_and_so_is_its_status() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let batch = commands(&[
            "echo one; echo two >&2; exit 3",
            "printf 'no end'",
            // It is waited for whoever still holds the output.
            "( sleep 1; echo late ) & echo early",
            "sh -c 'kill -KILL $$'; exit $?",
            "i=0; while [ $i -lt 20000 ]; do echo \"$i @n0nce done 0 and more that fills the line to its end\"; i=$((i + 1)); done",
            ":",
        ]);
        let reply = trial::exchange(shell, &trial::program(home.path(), &batch), b"");
        let (read, heard) = trial::heard(&batch, &reply);
        let lines = |task: usize| -> Vec<&str> {
            let of = |heard: &&Heard| matches!(heard, Heard::Said(index, _) if *index == task);
            heard
                .iter()
                .filter(of)
                .map(|heard| if let Heard::Said(_, line) = heard { line.text.as_str() } else { "" })
                .collect()
        };
        assert_eq!(
            read.outcomes[0],
            Outcome::Failed { step: 0, status: 3, output: "one\ntwo".to_owned() },
            "{shell:?}"
        );
        assert_eq!(read.outcomes[1], trial::done("no end"), "{shell:?}");
        assert_eq!(lines(2), ["early", "late"], "{shell:?}");
        assert!(matches!(read.outcomes[3], Outcome::Failed { status: 137, .. }), "{shell:?} {:?}", read.outcomes[3]);
        let many = lines(4);
        assert_eq!((many.len(), many[19_999].split(' ').next()), (20_000, Some("19999")), "{shell:?}");
        assert_eq!(read.outcomes[5], trial::done(""), "{shell:?}");
        assert!(read.ended, "{shell:?}");
    }
}

#[test]
fn a_command_whose_listeners_are_gone_works_on() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "echo first; {GIVE_UP}; i=0; while [ $i -lt 20000 ]; do echo more of it; i=$((i + 1)); done; : >\"$HOME/whole\""
        );
        let mut child = start(shell, home.path(), &commands(&[&text]));
        let mut stdout = child.stdout.take().unwrap();
        listen(&mut stdout, &mut Vec::new(), |heard| is(heard, "first"));
        drop(stdout);
        fs::write(home.path().join("go"), "").unwrap();
        let _ended_by_a_signal = child.wait().unwrap();
        assert!(home.path().join("whole").exists(), "{shell:?}");
    }
}
