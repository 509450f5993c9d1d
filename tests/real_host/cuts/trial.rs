//! One cut, and what must be true after it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use provision_tests::Error;
use provision_tests::cutting::{Reached, Side, Then};
use serde_json::Value;

use super::site::{Phase, Site, told};
use super::state::State;
use super::way::{Stay, Way, pause};
use crate::support::Ran;

/// How long the host may go on by itself after a cut, with steps of which none takes a second.
const SETTLED: Duration = Duration::from_secs(20);

/// What is to be done to one run of the command.
#[derive(Debug, Clone)]
pub struct Cut {
    pub number: usize,
    pub phase: Phase,
    /// Counted on the host, from 1.
    pub call: u32,
    pub side: Side,
    pub way: Way,
    /// The call does not wait: the cut comes this many milliseconds after it, wherever the host is then.
    pub random: Option<u64>,
    /// What waits goes on waiting until the next run has ended.
    pub stay: Stay,
    pub then: After,
}

/// What a person does after the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The same again.
    Again,
    /// `provision rollback`, and then the same again.
    Rollback,
}

/// How a cut went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The call at which it was made; none when the run ended before that call.
    pub call: Option<String>,
    /// How many calls there were until the run was at its end or cut.
    pub calls: usize,
    /// Whether there was a new apply to take back.
    pub rolled_back: bool,
    pub failures: Vec<String>,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, phase, call, side, way, random, stay, then } = self;
        write!(f, "cut {number}: {phase:?}, {way:?} {side:?} call {call}")?;
        if let Some(random) = random {
            write!(f, " + {random} ms")?;
        }
        if *stay == Stay::Yes {
            f.write_str(", what waits stays")?;
        }
        write!(f, ", then {then:?}")
    }
}

impl Outcome {
    fn expect(&mut self, what: &str, found: Vec<String>) {
        if !found.is_empty() {
            self.failures.push(format!("{what}:\n      {}", found.join("\n      ")));
        }
    }

    fn succeeded(&mut self, what: &str, ran: &Ran) {
        if ran.code != Some(0) {
            self.failures.push(format!("{what}: {}", words(ran)));
        }
    }
}

impl Site<'_> {
    /// Makes one cut. `rest`: what the ends of the ways look like.
    pub fn try_cut(&mut self, cut: &Cut, rest: &BTreeMap<Phase, State>) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let wanted = rest.get(&cut.phase).ok_or_else(|| Error::Bed("a way without an end".to_owned()))?;
        let before = State::of(&self.host)?;

        self.wrappers.arm(cut.call, cut.side, if cut.random.is_some() { Then::Pass } else { Then::Hold })?;
        let mut running = self.start(cut.phase, cut.way.silence())?;
        let reached = self.wrappers.wait(&mut running.child)?;
        let mut cut = cut.clone();
        let ran = match &reached {
            Some(reached) => {
                pause(cut.random.unwrap_or(0));
                // The calls after this one are not counted: the numbers would be of no use.
                self.wrappers.disarm()?;
                outcome.call = Some(reached.call.clone());
                // Whoever is stopped for good while it holds that file keeps everybody out: no cut does that.
                if reached.call.starts_with("flock") {
                    cut.stay = Stay::No;
                }
                self.cut(cut.way, running, reached, cut.stay)?
            }
            None => {
                outcome.calls = self.wrappers.calls()?.len();
                self.wrappers.disarm()?;
                let ran = running.end()?;
                if !(cut.way.is_impatient() && ran.stderr.contains("was silent for")) {
                    outcome.succeeded("without a cut", &ran);
                    return Ok(outcome);
                }
                // The machine was slower than the command is patient: a cut like another, at a place of its own.
                outcome.call = Some("none, the host was slow".to_owned());
                cut.stay = Stay::No;
                ran
            }
        };
        let cut = &cut;
        outcome.expect("the command that was cut", ended_in_order(cut, &ran));
        if cut.stay == Stay::No {
            outcome.expect("left running after the cut", self.settled()?);
        }

        let after = State::of(&self.host)?;
        outcome.expect("torn", after.torn(&before, wanted));
        if cut.then == After::Rollback && after.newest() > before.newest() {
            outcome.rolled_back = true;
            outcome.succeeded("rollback", &self.rollback(cut.phase)?);
            self.let_go(cut, reached.as_ref(), &mut outcome)?;
            outcome.expect("after the rollback", State::of(&self.host)?.unlike_before(&before));
            outcome.succeeded("apply after the rollback", &self.go(cut.phase)?);
        } else {
            let ran = self.go(cut.phase)?;
            outcome.succeeded("apply after the cut", &ran);
            self.let_go(cut, reached.as_ref(), &mut outcome)?;
            outcome.expect("restarts", after.unasked(&State::of(&self.host)?, &told(&ran)));
        }
        outcome.expect("left running", self.settled()?);
        outcome.expect("in the end", State::of(&self.host)?.unlike(wanted));
        if cut.phase != Phase::Destroy {
            let ran = self.diff(cut.phase)?;
            outcome.succeeded("diff", &ran);
            if ran.code == Some(0) {
                outcome.expect("in the diff", ran.changes().into_iter().map(|change| format!("{change:?}")).collect());
            }
        }
        Ok(outcome)
    }

    /// Goes all the way round without a cut, to where the way begins that was just gone.
    pub fn turn_round(&self, phase: Phase) -> Result<(), Error> {
        let ways: &[Phase] = match phase {
            Phase::Create => &[Phase::Destroy],
            Phase::Forth => &[Phase::Back],
            Phase::Back => &[Phase::Forth],
            Phase::Destroy => &[Phase::Create],
        };
        for way in ways {
            let ran = self.go(*way)?;
            if ran.code != Some(0) {
                return Err(Error::Bed(format!("{way:?}, without a cut: {}", words(&ran))));
            }
        }
        Ok(())
    }

    /// A call that was left waiting was ended by the next run, or does now what it does without harm.
    fn let_go(&self, cut: &Cut, reached: Option<&Reached>, outcome: &mut Outcome) -> Result<(), Error> {
        let left = reached.filter(|reached| cut.stay == Stay::Yes && self.wrappers.lives(reached.process));
        if let Some(left) = left {
            self.wrappers.release(left)?;
            outcome.expect("left running", self.settled()?);
        }
        Ok(())
    }

    /// Waits for the host to end what it does; what is still running after a while.
    pub fn settled(&self) -> Result<Vec<String>, Error> {
        let limit = Instant::now() + SETTLED;
        loop {
            let running = self.host.login_processes()?;
            if running.is_empty() || Instant::now() > limit {
                return Ok(running);
            }
            pause(5);
        }
    }
}

/// What the command did wrong where it was left alive: it must end by itself, with a word on why.
fn ended_in_order(cut: &Cut, ran: &Ran) -> Vec<String> {
    if cut.way == Way::Command {
        return Vec::new();
    }
    // 0: all was done before the cut had an effect. 1: a step failed. 4: the host could not be reached. 5: it took back
    // what might have cut it off, since nobody came to say that it had not.
    let known = matches!(ran.code, Some(0 | 1 | 4 | 5));
    // What happened to the host is in the JSON, too.
    if known && (ran.code == Some(0) || !ran.stdout.is_empty()) && !ran.stderr.contains("panicked") {
        return Vec::new();
    }
    vec![words(ran)]
}

/// What a run says of its end, without all that it was going to do.
fn words(ran: &Ran) -> String {
    let json: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let outcome = |result: &Value| result.get("outcome").and_then(Value::as_str).unwrap_or_default().to_owned();
    let well =
        |result: &&Value| matches!(outcome(result).as_str(), "unchanged" | "changed" | "answered" | "not_needed");
    let results = json.pointer("/hosts/0/results").and_then(Value::as_array).into_iter().flatten();
    let bad: Vec<String> = results.filter(|result| !well(result)).map(ToString::to_string).collect();
    format!(
        "exit code {:?}: {}\n{}\n{}",
        ran.code,
        json.get("errors").unwrap_or(&Value::Null),
        bad.join("\n"),
        ran.stderr
    )
}
