//! An apply that is cut anywhere, in every way: the command, the connection or the host goes away, at each call that
//! the program on the host makes and at random times. What is there afterwards is old or new, and the next run, or a
//! rollback, puts it in order by itself.
//!
//! `PROVISION_CUTS` is the number of cuts, `PROVISION_CUT_SEED` what they are drawn from. `PROVISION_CUT_ONLY` makes one
//! of them again, by its number; `PROVISION_CUT_CALLS=1` shows the calls.

mod crowd;
mod schedule;
mod site;
mod state;
mod trial;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

use provision_tests::cutting::{Side, Then};
use provision_tests::{Error, Testbed};

pub use crowd::Crowd;
use schedule::Schedule;
use site::{Phase, Site};
use state::State;
use trial::Cut;
use way::Way;

/// As many as a run of CI has time for; `PROVISION_CUTS` makes more of them.
const CUTS: usize = 60;

const SEED: u64 = 20_261_123;

/// How many hosts are cut side by side: most of the time each waits for something.
const HOSTS: usize = 4;

/// How often a cut is tried that comes too late, since the run had fewer calls than the last one.
const TRIES: usize = 3;

#[test]
fn an_apply_that_is_cut_anywhere_is_whole_and_is_taken_forward_or_back() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (cuts, seed) = (number("PROVISION_CUTS").unwrap_or(CUTS as u64), number("PROVISION_CUT_SEED").unwrap_or(SEED));
    let site = Site::new(bed, "cuts-0")?;
    let Measured { rest, calls } = Measured::of(&site)?;
    let schedule = Schedule::new(usize::try_from(cuts).unwrap_or(CUTS), seed, &calls);
    let schedule = match number("PROVISION_CUT_ONLY") {
        Some(only) => schedule.only(only),
        None => schedule,
    };
    say(&format!("cuts: seed {seed}, calls of the program on the host: {calls:?}"));

    let book = Mutex::new(Book::default());
    thread::scope(|scope| {
        let (bed, rest, book, schedule) = (&bed, &rest, &book, &schedule);
        let others = (1..HOSTS).map(|which| {
            scope.spawn(move || {
                let name = format!("cuts-{which}");
                work(Site::new(bed, &name)?, schedule.share(which, HOSTS), rest, book)
            })
        });
        let others: Vec<_> = others.collect();
        let mut ended = work(site, schedule.share(0, HOSTS), rest, book);
        for other in others {
            let other = other.join().unwrap_or_else(|_| Err(Error::Bed("another host's thread ended".to_owned())));
            ended = ended.and(other);
        }
        ended
    })?;
    book.into_inner().unwrap_or_default().close(seed, &calls);
    Ok(())
}

/// The ways without a cut.
struct Measured {
    /// What their ends look like.
    rest: BTreeMap<Phase, State>,
    /// How many calls there are.
    calls: BTreeMap<Phase, usize>,
}

impl Measured {
    /// Goes each way once.
    fn of(site: &Site<'_>) -> Result<Self, Error> {
        let nothing = State::of(&site.host)?;
        let (mut rest, mut calls) = (BTreeMap::new(), BTreeMap::new());
        for phase in Phase::ALL {
            site.wrappers.arm(0, Side::Before, Then::Pass)?;
            site.go(phase)?.ok();
            site.wrappers.disarm()?;
            let made = site.wrappers.calls()?;
            if number("PROVISION_CUT_CALLS").is_some() {
                say(&format!("{phase:?}\n{}", made.join("\n")));
            }
            calls.insert(phase, made.len());
            let state = State::of(&site.host)?;
            assert_eq!(state.unlike(&state), [""; 0], "after {phase:?}, without a cut");
            rest.insert(phase, state);
        }
        let end = rest.get(&Phase::Destroy).unwrap_or(&nothing);
        assert_eq!(end.unlike(&nothing), [""; 0], "after the destroy, without a cut");
        Ok(Self { rest, calls })
    }
}

/// What has been seen.
#[derive(Debug, Default)]
struct Book {
    cuts: usize,
    ways: BTreeMap<Way, usize>,
    rollbacks: usize,
    random: usize,
    boundaries: BTreeSet<(Phase, u32)>,
    failures: Vec<String>,
}

/// Goes round and round on one host, until each cut was made.
fn work(mut site: Site<'_>, cuts: Vec<Cut>, rest: &BTreeMap<Phase, State>, book: &Mutex<Book>) -> Result<(), Error> {
    let name = site.host.name.clone();
    let mut pending: BTreeMap<Phase, Vec<Cut>> = BTreeMap::new();
    for cut in cuts.into_iter().rev() {
        pending.entry(cut.phase).or_default().push(cut);
    }
    let mut round = 0;
    while pending.values().any(|cuts| !cuts.is_empty()) {
        for phase in Phase::ALL {
            let left = |phase| pending.get(&phase).is_some_and(|cuts: &Vec<Cut>| !cuts.is_empty());
            if matches!(phase, Phase::Forth | Phase::Back) && !left(Phase::Forth) && !left(Phase::Back) {
                continue;
            }
            let Some(cut) = pending.get_mut(&phase).and_then(Vec::pop) else {
                site.go(phase)?.ok();
                continue;
            };
            if made(&mut site, cut, rest, book) {
                continue;
            }
            // The next cut starts from a place that is known.
            round += 1;
            site = Site::new(site.bed, &format!("{name}-{round}"))?;
            for way in Phase::ALL.into_iter().take_while(|way| *way != Phase::Destroy && *way <= phase) {
                site.go(way)?.ok();
            }
            if phase == Phase::Destroy {
                break;
            }
        }
    }
    Ok(())
}

/// Makes a cut and writes it down; false when something was wrong.
fn made(site: &mut Site<'_>, mut cut: Cut, rest: &BTreeMap<Phase, State>, book: &Mutex<Book>) -> bool {
    for _ in 0..TRIES {
        let tried = site.try_cut(&cut, rest);
        let Ok(mut book) = book.lock() else { return false };
        match tried {
            Ok(outcome) if outcome.call.is_none() && outcome.failures.is_empty() && outcome.calls > 0 => {
                // The run is done, and nothing of it is left to cut: once more round for it.
                drop(book);
                let calls = u32::try_from(outcome.calls).unwrap_or(1);
                cut.call = cut.call.min(calls).saturating_sub(3).max(1);
                if site.turn_round(cut.phase).is_err() {
                    return false;
                }
            }
            Ok(outcome) => {
                book.cuts += 1;
                *book.ways.entry(cut.way).or_default() += 1;
                book.rollbacks += usize::from(outcome.rolled_back);
                book.random += usize::from(cut.random.is_some());
                book.boundaries.insert((cut.phase, cut.boundary()));
                for failure in &outcome.failures {
                    book.fail(format!("{cut} ({})\n    {failure}", outcome.call.as_deref().unwrap_or("-")));
                }
                return outcome.failures.is_empty();
            }
            Err(error) => {
                book.fail(format!("{cut}\n    {error}"));
                return false;
            }
        }
    }
    say(&format!("{cut}: the run had ended before that call, {TRIES} times"));
    true
}

impl Book {
    /// Told at once: a run takes minutes.
    fn fail(&mut self, failure: String) {
        say(&failure);
        self.failures.push(failure);
    }

    fn close(self, seed: u64, calls: &BTreeMap<Phase, usize>) {
        let Self { cuts, ways, rollbacks, random, boundaries, failures } = self;
        let covered = |phase| boundaries.iter().filter(|(of, _)| *of == phase).count();
        let places: Vec<String> =
            calls.iter().map(|(phase, calls)| format!("{phase:?} {} of {}", covered(*phase), calls + 1)).collect();
        say(&format!(
            "cuts: {ways:?}, {random} at random times, {rollbacks} rolled back; places: {}",
            places.join(", ")
        ));
        say(&format!("cuts: {cuts}, failures: {}", failures.len()));
        assert!(failures.is_empty(), "PROVISION_CUT_SEED={seed}:\n{}", failures.join("\n"));
    }
}

/// Past the test runner's capture: the numbers are asked for whether the test fails or not.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[expect(clippy::disallowed_methods, reason = "how a person asks for other cuts")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
