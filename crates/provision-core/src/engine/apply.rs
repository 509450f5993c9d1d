//! Apply and verify: changes become tasks, tasks become as few exchanges as they can.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::watch::{self, Trust};
use super::{Changes, EngineError, asks, diff};
use crate::address::Address;
use crate::blob::sha256_hex;
use crate::change::{Action, Change};
use crate::check::Check;
use crate::connection::Connection;
use crate::event::{Event, Events};
use crate::path::AbsPath;
use crate::probe::{FileState, Wanted};
use crate::report::{Outcome, Report};
use crate::resource::{Materials, Relation, Thing, Watch};
use crate::step::reply::Heard;
use crate::step::{self, Batch, Step, Task, UnitAction};

/// Makes the changes, and no others, then asks the host once more.
///
/// The number of exchanges depends on the checks from this side that stand between other resources, never on how many
/// resources there are: one for the steps, one to verify, and one before them when key material on the host is needed.
///
/// # Errors
/// When nothing has been done: the host cannot be reached, or a change cannot be prepared. Everything that goes wrong
/// later is in the report.
pub async fn apply(changes: Changes, connection: &dyn Connection, events: Events<'_>) -> Result<Report, EngineError> {
    let undecided = changes.undecided().count();
    if undecided > 0 {
        return Err(EngineError::Undecided { host: changes.host.name.clone(), count: undecided });
    }
    let mut materials = gather(&changes, connection).await?;
    let work = prepare(&changes, &mut materials)?;
    let mut run =
        Run { changes: &changes, materials: &materials, events, outcomes: BTreeMap::new(), failures: Vec::new() };
    for part in parts(&work) {
        match part {
            Part::Batch(members) => run.batch(&members, &work, connection).await?,
            Part::Here(at) => run.watch(at, connection).await,
        }
        if !run.failures.is_empty() {
            break;
        }
    }
    let changed = changes.changed().next().is_some();
    if changed && run.failures.is_empty() {
        events(Event::Verifying);
        run.verify(connection).await;
    }
    Ok(run.report())
}

/// What is to be done about one resource.
#[derive(Debug)]
enum Work {
    Nothing,
    Steps(Vec<Step>),
    Here,
}

/// What goes to the host together, or is done from this side.
#[derive(Debug)]
enum Part {
    Batch(Vec<usize>),
    Here(usize),
}

/// Reads from the host what steps and checks need and nothing else has. No exchange when there is nothing to read.
async fn gather(changes: &Changes, connection: &dyn Connection) -> Result<Materials, EngineError> {
    let mut materials = Materials::new(changes.now);
    let mut wanted = BTreeSet::new();
    // What is made anew comes from the steps that make it: what is there now is of no use to anybody.
    let made = made(changes);
    let unchanged = Change::none();
    for ((_, resource), item) in changes.graph.resources().zip(&changes.items) {
        let change = item.as_ref().unwrap_or(&unchanged);
        if change.is_none() && resource.watch().is_none() {
            continue;
        }
        for path in resource.reads(change).into_iter().filter(|path| !made.contains(path)) {
            match changes.answers.file(&path, &Wanted::Always) {
                // Only when it is all of it: a longer one comes back cut.
                Ok(FileState::Present { content: Some(content), sha256 }) if sha256_hex(content) == *sha256 => {
                    materials.insert(path, Zeroizing::new(content.clone()));
                }
                _ => {
                    // Something there that is no regular file may be a link to one.
                    let there = changes.answers.path(&path).map_or(true, |state| state.entry().is_some());
                    if there {
                        wanted.insert(path);
                    }
                }
            }
        }
    }
    for (path, content) in connection.read(&wanted).await? {
        materials.insert(path, content);
    }
    Ok(materials)
}

/// The files that this apply makes anew.
fn made(changes: &Changes) -> BTreeSet<AbsPath> {
    changes
        .graph
        .resources()
        .zip(&changes.items)
        .filter(|(_, item)| item.as_ref().is_ok_and(|change| matches!(change.action, Action::Create | Action::Replace)))
        .flat_map(|((_, resource), _)| resource.provides())
        .filter_map(|thing| if let Thing::Path(path) = thing { Some(path) } else { None })
        .collect()
}

/// Makes all steps, in order: what one resource is about to write, a later one may build upon.
fn prepare(changes: &Changes, materials: &mut Materials) -> Result<Vec<Work>, EngineError> {
    let mut work = Vec::with_capacity(changes.items.len());
    for ((address, resource), item) in changes.graph.resources().zip(&changes.items) {
        let change = item.as_ref().ok().filter(|change| !change.is_none());
        let steps = match change {
            Some(change) => resource
                .steps(change, &changes.answers, materials)
                .map_err(|reason| EngineError::Unprepared { address: address.clone(), reason })?,
            None => Vec::new(),
        };
        for step in &steps {
            if let Step::PutFile { path, content, .. } = step
                && let Some(bytes) = content.bytes()
            {
                materials.insert(path.clone(), Zeroizing::new(bytes.to_vec()));
            }
        }
        work.push(match (steps.is_empty(), resource.watch()) {
            (false, _) => Work::Steps(steps),
            (true, Some(Watch::Host(wait))) => Work::Steps(vec![Step::Await(wait)]),
            (true, Some(Watch::Here(_))) => Work::Here,
            (true, None) => Work::Nothing,
        });
    }
    Ok(work)
}

fn parts(work: &[Work]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut batch = Vec::new();
    for (at, work) in work.iter().enumerate() {
        match work {
            Work::Nothing => {}
            Work::Steps(_) => batch.push(at),
            Work::Here => {
                if !batch.is_empty() {
                    parts.push(Part::Batch(std::mem::take(&mut batch)));
                }
                parts.push(Part::Here(at));
            }
        }
    }
    if !batch.is_empty() {
        parts.push(Part::Batch(batch));
    }
    parts
}

/// An apply on its way.
struct Run<'a> {
    changes: &'a Changes,
    materials: &'a Materials,
    events: Events<'a>,
    outcomes: BTreeMap<usize, Outcome>,
    failures: Vec<String>,
}

impl Run<'_> {
    fn address(&self, at: usize) -> Option<Address> {
        self.changes.graph.vertex(at).map(|vertex| vertex.address.clone())
    }

    fn change(&self, at: usize) -> Option<&Change> {
        self.changes.items.get(at)?.as_ref().ok().filter(|change| !change.is_none())
    }

    fn finish(&mut self, at: usize, outcome: Outcome) {
        if let Some(address) = self.address(at) {
            (self.events)(Event::Finished { address, outcome: outcome.clone() });
        }
        self.outcomes.insert(at, outcome);
    }

    /// The resource upstream whose failure keeps this one from being tried.
    fn blocker(&self, at: usize) -> Option<usize> {
        let failed = |index: &usize| self.outcomes.get(index).is_some_and(Outcome::is_failure);
        self.changes.graph.closure(at, Relation::After).into_iter().find(failed)
    }

    /// Skips what cannot be tried any more and gives the rest.
    fn possible(&mut self, members: &[usize]) -> Vec<usize> {
        let mut rest = Vec::new();
        for at in members {
            match self.blocker(*at) {
                Some(failed) => {
                    let because = self.root(failed);
                    self.finish(*at, Outcome::Skipped { because });
                }
                None => rest.push(*at),
            }
        }
        rest
    }

    /// What failed first, for something that was itself only skipped.
    fn root(&self, at: usize) -> Option<Address> {
        match self.outcomes.get(&at) {
            Some(Outcome::Skipped { because }) => because.clone(),
            _ => self.address(at),
        }
    }

    async fn batch(
        &mut self,
        members: &[usize],
        work: &[Work],
        connection: &dyn Connection,
    ) -> Result<(), EngineError> {
        let members = self.possible(members);
        if members.is_empty() {
            return Ok(());
        }
        let batch = self.make_batch(&members, work);
        let describe = |at: usize, index: usize| {
            batch.tasks.get(at).and_then(|task| task.steps.get(index)).map_or_else(String::new, Step::describe)
        };
        let descriptions: Vec<Vec<String>> = batch
            .tasks
            .iter()
            .enumerate()
            .map(|(at, task)| (0..task.steps.len()).map(|i| describe(at, i)).collect())
            .collect();
        let steps = |index: usize| descriptions.get(index).map(Vec::as_slice).unwrap_or_default();
        let mut tell = |heard: Heard| match heard {
            Heard::Begun(index) => {
                if let Some(address) = members.get(index).and_then(|at| self.address(*at)) {
                    (self.events)(Event::Begun { address });
                }
            }
            Heard::Waiting(_) | Heard::TookOver(_) => {}
            Heard::Ended(index, outcome) => {
                if let Some(at) = members.get(index) {
                    let outcome = self.outcome(*at, &outcome, &members, steps(index));
                    self.finish(*at, outcome);
                }
            }
        };
        let reply = match connection.run(batch, &mut tell).await {
            Ok(reply) => reply,
            Err(error) if self.outcomes.is_empty() => return Err(error.into()),
            Err(error) => {
                self.failures.push(error.to_string());
                return Ok(());
            }
        };
        // Of what was not told on the way, because the connection was lost.
        for (index, (at, outcome)) in members.iter().zip(&reply.outcomes).enumerate() {
            if !self.outcomes.contains_key(at) {
                let outcome = self.outcome(*at, outcome, &members, steps(index));
                self.finish(*at, outcome);
            }
        }
        if let Some(said) = reply.reload_failed {
            self.failures.push(format!("systemd could not read its units: {}", self.changes.secrets.mask(&said)));
        }
        if let Some(lost) = reply.lost {
            self.failures.push(self.changes.secrets.mask(&lost));
        }
        Ok(())
    }

    fn make_batch(&self, members: &[usize], work: &[Work]) -> Batch {
        let debts = self.debts(work);
        let tasks = members
            .iter()
            .filter_map(|at| {
                let Some(Work::Steps(steps)) = work.get(*at) else { return None };
                let closure = self.changes.graph.closure(*at, Relation::After);
                let after = members.iter().enumerate().filter(|(_, other)| closure.contains(other)).map(|(i, _)| i);
                let signals = self.change(*at).is_some_and(|change| change.signal > crate::change::Signal::None);
                let mut owes: Vec<String> = debts
                    .iter()
                    .filter(|debt| signals && debt.causes.contains(at))
                    .flat_map(|debt| debt.names.clone())
                    .collect();
                owes.sort();
                owes.dedup();
                let address = self.address(*at)?;
                let mut pays = settled(steps);
                pays.extend(debts.iter().filter(|debt| debt.debtor == *at).flat_map(|debt| debt.names.clone()));
                pays.sort();
                pays.dedup();
                Some(Task { address, after: after.collect(), steps: steps.clone(), owes, pays, late: false })
            })
            .collect();
        let (plan, step_limit) = (self.changes.graph.plan().to_owned(), self.changes.host.step_limit);
        Batch { tasks, plan, step_limit, journal: journal() }
    }

    /// What this apply will owe, in whichever batch: a check may stand between a cause and what follows from it.
    fn debts(&self, work: &[Work]) -> Vec<Debt> {
        let graph = &self.changes.graph;
        let mut debts = Vec::new();
        for (debtor, work) in work.iter().enumerate() {
            let (Work::Steps(steps), Some(vertex)) = (work, graph.vertex(debtor)) else { continue };
            let names = restarted(steps);
            if !names.is_empty() {
                debts.push(Debt { debtor, names, causes: graph.closure(debtor, Relation::Uses) });
            }
            let triggers = vertex.resource.when_changed();
            if !triggers.is_empty() {
                let found = graph.resources().enumerate().filter(|(_, (address, _))| triggers.contains(address));
                let found: Vec<usize> = found.map(|(index, _)| index).collect();
                let beyond = found.iter().flat_map(|index| graph.closure(*index, Relation::Uses));
                let causes = beyond.chain(found.iter().copied()).collect();
                debts.push(Debt { debtor, names: vec![owed_run(&vertex.address)], causes });
            }
        }
        debts
    }

    fn outcome(&self, at: usize, outcome: &step::Outcome, members: &[usize], steps: &[String]) -> Outcome {
        let mask = |text: &str| self.changes.secrets.mask(text);
        match outcome {
            step::Outcome::Done { output } => match self.change(at) {
                Some(change) => Outcome::Changed { action: change.action, output: mask(output) },
                None if output.is_empty() => Outcome::Answered { answer: "answered as it should".to_owned() },
                None => Outcome::Answered { answer: mask(output) },
            },
            step::Outcome::NotNeeded => Outcome::NotNeeded,
            step::Outcome::Failed { step, status, output } => {
                let what = steps.get(*step).map_or("", String::as_str);
                let why = match (*status, output.trim()) {
                    (124, "") => "its time was up".to_owned(),
                    (124, said) => format!("its time was up\n{said}"),
                    (status, "") => format!("exit status {status}"),
                    (_, said) => said.to_owned(),
                };
                Outcome::Failed { message: mask(&format!("cannot {what}: {why}")) }
            }
            step::Outcome::Skipped { because } => {
                let because = because.and_then(|index| members.get(index)).and_then(|failed| self.root(*failed));
                Outcome::Skipped { because }
            }
        }
    }

    async fn watch(&mut self, at: usize, connection: &dyn Connection) {
        let possible = self.possible(&[at]);
        let Some(vertex) = self.changes.graph.vertex(at).filter(|_| !possible.is_empty()) else { return };
        let Some(Watch::Here(check)) = vertex.resource.watch() else { return };
        (self.events)(Event::Begun { address: vertex.address.clone() });
        let outcome = match self.ask_from_here(&check, connection).await {
            Ok(answer) => Outcome::Answered { answer },
            Err(message) => Outcome::Failed { message: self.changes.secrets.mask(&message) },
        };
        self.finish(at, outcome);
    }

    async fn ask_from_here(&self, check: &Check, connection: &dyn Connection) -> Result<String, String> {
        let now = watch::moved_on(self.changes.now, self.changes.since);
        let trust = match &check.tls {
            // Made by a command or a service of this very apply: no step of ours has its bytes.
            Some(tls) if !self.materials.has(&tls.authority) => {
                let found = connection.read(&BTreeSet::from([tls.authority.clone()])).await;
                let mut late = Materials::default();
                for (path, content) in found.map_err(|error| error.to_string())? {
                    late.insert(path, content);
                }
                Trust::new(Some(tls), &late, now)?
            }
            tls => Trust::new(tls.as_ref(), self.materials, now)?,
        };
        watch::until(check, &trust, connection).await
    }

    /// Asks everything again: no change may be left where one was made.
    async fn verify(&mut self, connection: &dyn Connection) {
        let answers = match connection.ask(&asks(&self.changes.graph)).await {
            Ok(answers) => answers,
            Err(error) => {
                self.failures.push(format!("cannot verify: {error}"));
                return;
            }
        };
        for (at, item) in diff(&self.changes.graph, &answers, self.changes.now).into_iter().enumerate() {
            let message = match item {
                Ok(change) if change.is_none() => continue,
                Ok(change) => still(&change),
                Err(reason) => reason.to_string(),
            };
            if !self.outcomes.get(&at).is_some_and(Outcome::is_failure) {
                self.finish(at, Outcome::NotConverged { message: self.changes.secrets.mask(&message) });
            }
        }
    }

    fn report(mut self) -> Report {
        let Changes { host, graph, .. } = self.changes;
        let resources: Vec<(Address, Outcome)> = graph
            .resources()
            .enumerate()
            .map(|(at, (address, _))| {
                let missing = || match self.changes.items.get(at) {
                    // Never tried, because the apply ended early.
                    Some(Ok(change)) if !change.is_none() => Outcome::Skipped { because: None },
                    _ => Outcome::Unchanged,
                };
                (address.clone(), self.outcomes.remove(&at).unwrap_or_else(missing))
            })
            .collect();
        let mut report = Report { host: host.name.clone(), resources, failures: self.failures, outputs: Vec::new() };
        if report.succeeded() {
            report.outputs =
                graph.outputs().iter().map(|(name, text)| (name.clone(), text.shown().to_owned())).collect();
        }
        report
    }
}

/// Something that must follow from a change, in this apply or a later one.
struct Debt {
    /// The resource that does it.
    debtor: usize,
    /// Under which the host notes it.
    names: Vec<String>,
    /// The resources whose change makes it necessary.
    causes: BTreeSet<usize>,
}

/// The name under which a host notes that a command is owed; no unit can have it, for the `=`.
pub(crate) fn owed_run(address: &Address) -> String {
    format!("{}={}", address.kind(), address.name())
}

/// The units that some steps restart or reload.
fn restarted(steps: &[Step]) -> Vec<String> {
    steps
        .iter()
        .filter_map(|step| match step {
            Step::Unit { name, action: UnitAction::Restart | UnitAction::Reload } => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// The units that some steps leave as new as a restart would: those they start or stop, too.
fn settled(steps: &[Step]) -> Vec<String> {
    let settles = |action: UnitAction| !matches!(action, UnitAction::Enable | UnitAction::Disable);
    let mut units: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Unit { name, action } if settles(*action) => Some(name.clone()),
            _ => None,
        })
        .collect();
    units.dedup();
    units
}

/// What still differs, on one line.
fn still(change: &Change) -> String {
    if change.action == Action::Run {
        let reasons =
            if change.reasons.is_empty() { String::new() } else { format!(": {}", change.reasons.join(", ")) };
        return format!("it would run again{reasons}");
    }
    let mut parts: Vec<String> = change
        .attributes
        .iter()
        .map(|attribute| format!("{} is still {}", attribute.name, attribute.before.line()))
        .collect();
    parts.extend(change.reasons.iter().cloned());
    if parts.is_empty() {
        parts.push(format!("it would {} again", change.action.word()));
    }
    parts.join(", ")
}

fn journal() -> crate::step::Journal {
    crate::step::Journal {
        purpose: crate::step::Purpose::Continue,
        who: String::new(),
        since: String::new(),
        wait: std::time::Duration::ZERO,
        lease: std::time::Duration::from_secs(60),
    }
}
