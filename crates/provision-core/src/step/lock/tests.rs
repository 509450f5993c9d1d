//! Who is let in, under every shell that a host may have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::reply::{BatchReply, Heard, Progress};
use super::super::trial::*;
use super::super::{Batch, Outcome, Purpose, Refusal, Run, Step};
use crate::ledger::Ended;
use crate::shell::trial::shells;
use crate::transport::Sink;

const HOLDER: &str = "alice@laptop since 2026-11-23T10:00:00Z";

/// A connection: a process that runs one exchange after another and lives until it is hung up.
struct Connection {
    process: Child,
    place: PathBuf,
    batches: Vec<Batch>,
}

/// What stands for sshd. Its name has everything in it that makes `/proc/PID/stat` hard to read.
const SSHD: &str = r#"
printf 'a) Z 1 (\nb)' >/proc/$$/comm
i=0
while :; do
  until [ -e "$0/go$i" ]; do sleep 0.02; done
  ( eval "$(cat "$0/line$i")" ) <"$0/in$i" >"$0/out$i" 2>"$0/err$i"
  : >"$0/done$i"
  i=$((i + 1))
done"#;

impl Connection {
    fn new(home: &Path, name: &str) -> Self {
        let place = home.join(name);
        fs::create_dir(&place).unwrap();
        let process = Command::new("sh").args(["-c", SSHD]).arg(&place).stdin(Stdio::null()).spawn().unwrap();
        Self { process, place, batches: Vec::new() }
    }

    fn start(&mut self, shell: &[&str], home: &Path, batch: Batch) {
        let number = self.batches.len();
        let program = program(home, &batch);
        let line = line(shell, &program);
        fs::write(self.place.join(format!("line{number}")), line).unwrap();
        fs::write(self.place.join(format!("in{number}")), [program.as_bytes(), &input(&batch)].concat()).unwrap();
        fs::write(self.place.join(format!("go{number}")), "").unwrap();
        self.batches.push(batch);
    }

    fn said(&self) -> Vec<u8> {
        fs::read(self.place.join(format!("out{}", self.batches.len() - 1))).unwrap_or_default()
    }

    fn finish(&self) -> BatchReply {
        let done = self.place.join(format!("done{}", self.batches.len() - 1));
        until("the exchange to end", || done.exists());
        super::super::trial::heard(self.batches.last().unwrap(), &self.said()).0
    }

    fn exchange(&mut self, shell: &[&str], home: &Path, batch: Batch) -> BatchReply {
        self.start(shell, home, batch);
        self.finish()
    }

    fn hang_up(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test of processes has no other way to let time pass")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !ready() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        pause(10);
    }
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    home
}

fn beginning(stamp: &str, steps: Vec<Step>) -> Batch {
    batch(begin(stamp), vec![task("t", steps)])
}

fn waits(mut batch: Batch, seconds: u64) -> Batch {
    batch.journal.wait = Duration::from_secs(seconds);
    batch
}

fn command(text: &str) -> Step {
    Step::Run(Run {
        argv: ["sh", "-c", text].map(str::to_owned).to_vec(),
        directory: None,
        input: None,
        limit: Duration::from_secs(100),
        guards: Vec::new(),
    })
}

fn heard(reply: &[u8]) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut tell = |one| heard.push(one);
    Progress::new(NONCE, &mut tell).accept(reply);
    heard
}

fn lock(home: &Path) -> PathBuf {
    state(home).join("lock")
}

fn rewrite(home: &Path, line: usize, text: &str) {
    let lock = lock(home);
    let old = fs::read_to_string(&lock).unwrap();
    let lines: Vec<&str> = old.lines().enumerate().map(|(i, old)| if i == line { text } else { old }).collect();
    fs::write(lock, lines.join("\n") + "\n").unwrap();
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn whoever_comes_second_waits_and_is_told_for_whom() {
    for shell in shells() {
        let home = home();
        let (mut first, mut second) = (Connection::new(home.path(), "1"), Connection::new(home.path(), "2"));
        let file = home.path().join("f");
        assert_eq!(first.exchange(shell, home.path(), beginning("0", vec![])).apply, Some(1), "{shell:?}");
        let before = tree(&state(home.path()));
        let reply = second.exchange(shell, home.path(), beginning("0", vec![put(&file, b"x")]));
        assert_eq!(reply.refused, Some(Refusal::Locked(HOLDER.to_owned())), "{shell:?}");
        assert_eq!((reply.outcomes, reply.ended), (vec![Outcome::Skipped { because: None }], true));
        assert_eq!(before, tree(&state(home.path())), "{shell:?}");

        second.start(shell, home.path(), waits(beginning("1 done", vec![put(&file, b"x")]), 30));
        until("the second to wait", || heard(&second.said()) == [Heard::Waiting(HOLDER.to_owned())]);
        // What the connection began goes on without waiting, and nobody else can go on with it.
        let more = batch(Purpose::Continue, vec![task("t", vec![put(&home.path().join("g"), b"x")])]);
        assert_eq!(first.exchange(shell, home.path(), more).outcomes, [done("")], "{shell:?}");
        assert!(!file.exists());
        assert_eq!(first.exchange(shell, home.path(), batch(end(Ended::Done), vec![])).refused, None);
        let reply = second.finish();
        assert_eq!((reply.refused, reply.apply, reply.outcomes), (None, Some(2), vec![done("")]), "{shell:?}");
        assert_eq!(second.exchange(shell, home.path(), batch(end(Ended::Failed), vec![])).refused, None);
        assert!(!lock(home.path()).exists(), "{shell:?}");
        assert_eq!(stamp(home.path()), "2 failed");
    }
}

#[test]
fn what_somebody_else_began_cannot_be_gone_on_with() {
    for shell in shells() {
        let home = home();
        let (mut first, mut second) = (Connection::new(home.path(), "1"), Connection::new(home.path(), "2"));
        let goes_on = || batch(Purpose::Continue, vec![task("t", vec![put(&home.path().join("f"), b"x")])]);
        let reply = second.exchange(shell, home.path(), goes_on());
        assert_eq!(reply.refused, Some(Refusal::Moved("0".to_owned())), "{shell:?}");
        first.exchange(shell, home.path(), beginning("0", vec![]));
        let reply = second.exchange(shell, home.path(), goes_on());
        assert_eq!(reply.refused, Some(Refusal::Locked(HOLDER.to_owned())), "{shell:?}");
        first.hang_up();
        let reply = second.exchange(shell, home.path(), goes_on());
        assert_eq!(reply.refused, Some(Refusal::Moved("1 cut".to_owned())), "{shell:?}");
        let reply = second.exchange(shell, home.path(), batch(end(Ended::Done), vec![]));
        assert_eq!(reply.refused, Some(Refusal::Moved("1 cut".to_owned())), "{shell:?}");
        assert!(!home.path().join("f").exists());
        assert_eq!(stamp(home.path()), "1 cut", "{shell:?}");
    }
}

#[test]
fn a_lock_whose_holder_is_gone_is_taken_over_and_said_so() {
    type Way = fn(&Path, &mut Connection);
    let ways: [(&str, Way); 4] = [
        ("the connection is gone", |_, first| first.hang_up()),
        ("the host was started again", |home, _| rewrite(home, 1, "another-boot")),
        ("the pid is another process's now", |home, first| rewrite(home, 2, &format!("{} 1", first.process.id()))),
        ("the time is up", |home, _| rewrite(home, 0, "1")),
    ];
    for shell in shells() {
        for (why, end_it) in ways {
            let home = home();
            let (mut first, mut second) = (Connection::new(home.path(), "1"), Connection::new(home.path(), "2"));
            first.exchange(shell, home.path(), beginning("0", vec![]));
            end_it(home.path(), &mut first);
            let reply =
                second.exchange(shell, home.path(), beginning("1 cut", vec![put(&home.path().join("f"), b"x")]));
            assert_eq!((reply.refused, reply.apply), (None, Some(2)), "{why} {shell:?}");
            assert_eq!(heard(&second.said())[0], Heard::TookOver(HOLDER.to_owned()), "{why} {shell:?}");
        }
    }
}

#[test]
fn what_is_left_of_a_gone_holder_is_ended_and_nothing_else() {
    for shell in shells() {
        let home = home();
        let (mut first, mut second) = (Connection::new(home.path(), "1"), Connection::new(home.path(), "2"));
        let works = "echo $$ >\"$HOME/pid\"; sleep 100 & echo $! >\"$HOME/child\"; wait; echo late >\"$HOME/late\"";
        first.start(shell, home.path(), beginning("0", vec![command(works)]));
        until("it to work", || home.path().join("child").exists());
        pause(50);
        first.hang_up();
        let pids: Vec<String> = ["pid", "child"]
            .iter()
            .map(|name| fs::read_to_string(home.path().join(name)).unwrap().trim().to_owned())
            .collect();
        let script = fs::read_to_string(lock(home.path())).unwrap().lines().nth(3).unwrap().to_owned();
        let script = script.split(' ').next().unwrap().to_owned();
        assert!(lives(&script) && pids.iter().all(|pid| lives(pid)));
        let reply = second.exchange(shell, home.path(), beginning("1 cut", vec![]));
        assert_eq!(reply.apply, Some(2), "{shell:?}");
        until("the old ones to end", || !lives(&script) && !pids.iter().any(|pid| lives(pid)));
        assert!(!home.path().join("late").exists(), "{shell:?}");
        second.hang_up();

        // The same number, another process.
        let mut innocent = Command::new("sleep").arg("100").spawn().unwrap();
        rewrite(home.path(), 3, &format!("{} 1", innocent.id()));
        let mut third = Connection::new(home.path(), "3");
        assert_eq!(third.exchange(shell, home.path(), beginning("2 cut", vec![])).apply, Some(3), "{shell:?}");
        assert!(innocent.try_wait().unwrap().is_none(), "{shell:?}");
        innocent.kill().unwrap();
        innocent.wait().unwrap();
    }
}

#[test]
fn of_many_at_once_one_gets_in_wherever_the_lock_stood() {
    for shell in shells() {
        for stale in ["none", "gone", "broken"] {
            let home = home();
            let mut stamp = "0";
            if stale != "none" {
                let mut gone = Connection::new(home.path(), "gone");
                gone.exchange(shell, home.path(), beginning("0", vec![]));
                gone.hang_up();
                stamp = "1 cut";
            }
            if stale == "broken" {
                fs::write(lock(home.path()), "12").unwrap();
            }
            let mut many: Vec<Connection> = (0..8).map(|i| Connection::new(home.path(), &i.to_string())).collect();
            for (i, one) in many.iter_mut().enumerate() {
                let step = put(&home.path().join(format!("f{i}")), b"x");
                one.start(shell, home.path(), waits(beginning(stamp, vec![step]), 1));
            }
            let replies: Vec<BatchReply> = many.iter().map(Connection::finish).collect();
            let inside = replies.iter().filter(|reply| reply.apply.is_some()).count();
            let outside =
                replies.iter().filter(|reply| reply.refused == Some(Refusal::Locked(HOLDER.to_owned()))).count();
            assert_eq!((inside, outside), (1, 7), "{stale} {shell:?} {replies:?}");
            let files = (0..8).filter(|i| home.path().join(format!("f{i}")).exists()).count();
            assert_eq!(files, 1, "{stale} {shell:?}");
        }
    }
}

#[test]
fn a_second_script_of_one_connection_waits_for_the_first() {
    for shell in shells() {
        let home = home();
        // This process is the connection.
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let works = "echo x >\"$HOME/began\"; until [ -e \"$HOME/stop\" ]; do sleep 0.05; done";
                attempt(shell, home.path(), &beginning("0", vec![command(works)]))
            });
            until("it to begin", || home.path().join("began").exists());
            let second = attempt(shell, home.path(), &beginning("1 cut", vec![]));
            fs::write(home.path().join("stop"), "").unwrap();
            assert_eq!(second.refused, Some(Refusal::Locked(HOLDER.to_owned())), "{shell:?}");
            assert_eq!(first.join().unwrap().outcomes, [done("")]);
            assert_eq!(attempt(shell, home.path(), &beginning("1 cut", vec![])).apply, Some(2), "{shell:?}");
        });
    }
}

#[test]
fn a_step_has_its_time_before_its_holder_counts_as_gone() {
    for shell in shells() {
        let home = home();
        let look = "cat \"$HOME/.local/state/provision/test/lock\" /proc/uptime";
        let reply = attempt(shell, home.path(), &beginning("0", vec![command(look)]));
        let Outcome::Done { output } = &reply.outcomes[0] else { panic!("{reply:?}") };
        let lines: Vec<&str> = output.lines().collect();
        let until: u64 = lines[0].trim().parse().unwrap();
        let now: u64 = lines[6].split('.').next().unwrap().parse().unwrap();
        // The command's limit and the lease.
        assert!((128..=131).contains(&(until - now)), "{output} {shell:?}");
        assert_eq!(lines[5], HOLDER);
    }
}

#[test]
fn sudo_is_not_taken_for_the_connection() {
    for shell in shells() {
        let home = home();
        let program = program(home.path(), &beginning("0", vec![]));
        let line = line(shell, &program);
        let text = "printf sudo >/proc/$$/comm; eval \"( $0 )\"; :";
        let input = [program.as_bytes(), &input(&beginning("0", vec![]))].concat();
        crate::shell::trial::run(&["sh"], &["-c", text, &line], &input);
        let lock = fs::read_to_string(lock(home.path())).unwrap();
        let anchor = lock.lines().nth(2).unwrap().split(' ').next().unwrap();
        assert_eq!(anchor, std::process::id().to_string(), "{lock} {shell:?}");
    }
}

#[test]
fn what_only_asks_needs_no_lock_and_writes_nothing() {
    for shell in shells() {
        let home = home();
        let reply = attempt(shell, home.path(), &batch(Purpose::Watch, vec![]));
        assert_eq!((reply.refused, reply.apply, reply.ended), (None, None, true), "{shell:?}");
        assert!(!state(home.path()).exists(), "{shell:?}");
    }
}
