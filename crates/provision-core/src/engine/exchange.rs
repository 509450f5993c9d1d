//! An apply on its way: exchanges with the host, what is heard of each, and what became of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::EngineError;
use super::changes::{Changes, diff};
use super::guard::{self, Found, Guarded};
use super::observe::{Verb, asks};
use super::outage::Outages;
use super::prepare::{Member, Work};
use super::rehearsal;
use super::said::Said;
use super::tasks::blob;
use super::watch::{self, Trust};
use crate::address::Address;
use crate::change::{Action, Change};
use crate::check::Check;
use crate::connection::Connection;
use crate::edit::draft::Drafts;
use crate::event::{Event, Events};
use crate::ledger::Ended;
use crate::report::{Outcome, Report};
use crate::resource::{Materials, Watch};
use crate::step::reply::{Heard, Line, Refusal};
use crate::step::{self, Arm, Purpose, Step, Task};

/// An apply on its way.
pub(super) struct Run<'a> {
    pub(super) changes: &'a Changes,
    materials: &'a Materials,
    events: Events<'a>,
    pub(super) outcomes: BTreeMap<Member, Outcome>,
    /// What each has printed while it was at work: the end of it.
    said: BTreeMap<Member, Said>,
    /// Whether anything of it changes the host, and is therefore noted there.
    pub(super) journalled: bool,
    /// The apply's number on the host, once it has begun.
    pub(super) number: Option<u32>,
    pub(super) failures: Vec<String>,
    pub(super) outages: Outages,
    /// Whether the connection is gone.
    lost: bool,
    reverted: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(changes: &'a Changes, materials: &'a Materials, events: Events<'a>) -> Self {
        let (outcomes, failures) = (BTreeMap::new(), Vec::new());
        Self {
            changes,
            materials,
            events,
            outcomes,
            said: BTreeMap::new(),
            journalled: false,
            number: None,
            failures,
            outages: Outages::default(),
            lost: false,
            reverted: false,
        }
    }

    pub(super) fn address(&self, member: Member) -> Option<Address> {
        match member {
            Member::Removal(at) | Member::Resumed(at) => {
                self.changes.removals.get(at).map(|removal| removal.address.clone())
            }
            Member::Resource(at) => self.changes.observed.graph.vertex(at).map(|vertex| vertex.address.clone()),
        }
    }

    /// The change that a member makes.
    pub(super) fn change(&self, member: Member) -> Option<&Change> {
        let item = match member {
            Member::Removal(at) | Member::Resumed(at) => &self.changes.removals.get(at)?.change,
            Member::Resource(at) => self.changes.items.get(at)?,
        };
        item.as_ref().ok().filter(|change| !change.is_none())
    }

    fn finish(&mut self, member: Member, outcome: Outcome) {
        // What only forgets a record, or repeats a good end, is nothing to tell of.
        let silent = match member {
            Member::Resumed(_) => !outcome.is_failure(),
            Member::Removal(_) => self.change(member).is_none() && !outcome.is_failure(),
            Member::Resource(_) => false,
        };
        if let Some(address) = self.address(member).filter(|_| !silent) {
            (self.events)(Event::Finished { address, outcome: outcome.clone() });
        }
        self.outcomes.insert(member, outcome);
    }

    /// Something that a member does has printed a line.
    fn hear(&mut self, member: Member, line: &Line) {
        let secrets = &self.changes.observed.secrets;
        let line = match line {
            Line { text, cut: false } => secrets.mask(text),
            Line { text, cut: true } => format!("{}...", secrets.mask_beginning(text)),
        };
        self.said.entry(member).or_default().add(&line);
        if let Some(address) = self.address(member) {
            (self.events)(Event::Said { address, line });
        }
    }

    /// Skips what cannot be tried any more, because something that it needs has failed, and gives the rest.
    fn possible(&mut self, members: &[Member]) -> Vec<Member> {
        let mut rest = Vec::new();
        for member in members {
            let failed = |member: &Member| self.outcomes.get(member).is_some_and(Outcome::is_failure);
            match self.needed_by(*member).into_iter().find(failed) {
                Some(failed) => {
                    let because = self.root(failed);
                    self.finish(*member, Outcome::Skipped { because });
                }
                None => rest.push(*member),
            }
        }
        rest
    }

    /// What failed first, for something that was itself only skipped.
    fn root(&self, member: Member) -> Option<Address> {
        match self.outcomes.get(&member) {
            Some(Outcome::Skipped { because }) => because.clone(),
            _ => self.address(member),
        }
    }

    pub(super) async fn batch(
        &mut self,
        members: &[Member],
        work: &[Work],
        connection: &dyn Connection,
    ) -> Result<(), EngineError> {
        let members = self.possible(members);
        if members.is_empty() && !matches!(self.changes.observed.verb, Verb::Rollback(_)) {
            return Ok(());
        }
        let mut batch = self.make_batch(&members, work);
        let confirm = self.changes.observed.host.confirm;
        let guarded = match batch.journal.purpose {
            Purpose::Begin { .. } | Purpose::Continue if guard::is_dangerous(&batch) => {
                Guarded::new(&batch, confirm, connection).await
            }
            _ => Guarded::default(),
        };
        if !guarded.is_empty() {
            batch.journal.arm = Some(Arm::new(confirm));
        }
        // Whoever comes first may have to wait for the lock.
        let wait = if self.number.is_none() { self.changes.orders.lock_wait } else { Duration::ZERO };
        let describe = |task: &Task| task.steps.iter().map(Step::describe).collect();
        let descriptions: Vec<Vec<String>> = batch.tasks.iter().map(describe).collect();
        let steps = |index: usize| descriptions.get(index).map(Vec::as_slice).unwrap_or_default();
        let mut tell = |heard: Heard| match heard {
            Heard::Waiting(holder) => (self.events)(Event::Waiting { holder }),
            Heard::TookOver(holder) => (self.events)(Event::TookOver { holder }),
            Heard::Served(index, outage) => {
                if let Some(member) = members.get(index) {
                    self.outages.stopped(*member, outage);
                }
            }
            Heard::Answered(index, ticks) => {
                if let Some(member) = members.get(index) {
                    self.outages.answered(*member, ticks);
                }
            }
            Heard::Begun(index) => {
                let member = members.get(index).filter(|member| self.change(**member).is_some() || is_check(**member));
                if let Some(address) = member.and_then(|member| self.address(*member)) {
                    (self.events)(Event::Begun { address });
                }
            }
            Heard::Said(index, line) => {
                if let Some(member) = members.get(index) {
                    self.hear(*member, &line);
                }
            }
            Heard::Ended(index, outcome) => {
                if let Some(member) = members.get(index) {
                    let outcome = self.outcome(*member, &outcome, &members, steps(index));
                    self.finish(*member, outcome);
                }
            }
        };
        let exchange = connection.run(batch, &mut tell);
        let reply = if guarded.is_empty() {
            exchange.await
        } else {
            // Of a connection that is cut nothing may ever be heard again.
            match tokio::time::timeout(confirm + wait, exchange).await {
                Ok(reply) => reply,
                Err(_) => {
                    self.lost = true;
                    self.failures.push(format!("the host did not answer any more within {} s", confirm.as_secs()));
                    return self.confirm(&guarded, connection).await;
                }
            }
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if self.outcomes.is_empty() && guarded.is_empty() => return Err(error.into()),
            Err(error) => {
                self.lost = true;
                self.failures.push(error.to_string());
                return self.confirm(&guarded, connection).await;
            }
        };
        if let Some(refusal) = reply.refused {
            let error = match refusal {
                Refusal::Rehearsal(flaws) => {
                    let host = self.changes.observed.host.name.clone();
                    return Err(rehearsal::unfit(self.changes, work, host, &flaws));
                }
                refusal => self.refused(refusal),
            };
            if self.outcomes.is_empty() {
                return Err(error);
            }
            self.failures.push(error.to_string());
            return Ok(());
        }
        self.number = self.number.or(reply.apply.filter(|_| self.journalled));
        // Of what was not told on the way, because the connection was lost.
        for (index, (member, outcome)) in members.iter().zip(&reply.outcomes).enumerate() {
            if !self.outcomes.contains_key(member) {
                let outcome = self.outcome(*member, outcome, &members, steps(index));
                self.finish(*member, outcome);
            }
        }
        if let Some(said) = reply.reload_failed {
            self.failures
                .push(format!("systemd could not read its units: {}", self.changes.observed.secrets.mask(&said)));
        }
        if let Some(lost) = reply.lost {
            self.lost = true;
            self.failures.push(self.changes.observed.secrets.mask(&lost));
        }
        self.confirm(&guarded, connection).await
    }

    /// Tells a host that was told to take everything back that it need not, over a fresh connection; or waits until it has.
    async fn confirm(&mut self, guarded: &Guarded, connection: &dyn Connection) -> Result<(), EngineError> {
        if guarded.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(guarded.settling).await;
        let mut missing = Vec::new();
        let look_for = async {
            loop {
                match guard::look(connection, &guarded.families).await {
                    Found::There(again) => {
                        let fresh = again.into_iter().find_map(|again| again.connection.ok());
                        if let Some(reply) = self.disarm(fresh.as_deref()).await {
                            return reply;
                        }
                    }
                    Found::Lost(why) => missing = why,
                }
                tokio::time::sleep(guard::PAUSE).await;
            }
        };
        let limit = self.changes.observed.host.confirm + guard::PATIENCE;
        let disarmed = tokio::time::timeout(limit, look_for).await;
        match disarmed {
            Ok(Disarmed::InTime) => {}
            Ok(Disarmed::TooLate) => {
                self.reverted = true;
                let why = if missing.is_empty() { "in time".to_owned() } else { missing.join("; ") };
                self.failures.push(format!(
                    "after these changes no fresh connection came about ({why}), and the host took the whole apply back by itself"
                ));
            }
            Err(_) => self.failures.push(format!(
                "after these changes no fresh connection came about ({}), and none since, though the host was to take the \
                 apply back after {} s by itself",
                missing.join("; "),
                self.changes.observed.host.confirm.as_secs()
            )),
        }
        Ok(())
    }

    /// Tells the host over a fresh connection to stay as it is; nothing comes back when that did not reach it.
    async fn disarm(&self, connection: Option<&dyn Connection>) -> Option<Disarmed> {
        let batch = self.exchange(Vec::new(), Purpose::Disarm);
        let reply = connection?.run(batch, &mut |_| {}).await.ok()?;
        match reply.refused {
            Some(Refusal::Moved(stamp)) if stamp.ends_with(Ended::RolledBack.word()) => Some(Disarmed::TooLate),
            // It was never armed: the connection went before.
            Some(_) => Some(Disarmed::InTime),
            None => reply.lost.is_none().then_some(Disarmed::InTime),
        }
    }

    fn refused(&self, refusal: Refusal) -> EngineError {
        let host = self.changes.observed.host.name.clone();
        match refusal {
            Refusal::Locked(holder) => EngineError::Locked { host, holder },
            Refusal::Moved(_) => EngineError::Moved { host },
            // Whoever sent what was tried has told already.
            Refusal::Rehearsal(_) => EngineError::Unfit { host, flaws: Vec::new() },
            Refusal::Journal(reason) => {
                EngineError::Journal { host, reason: self.changes.observed.secrets.mask(&reason) }
            }
        }
    }

    /// How the apply ends on the host: its result is noted, the ledger is what it is from now on, and the lock goes.
    pub(super) async fn end(&mut self, connection: &dyn Connection) {
        if self.number.is_none()
            || self.lost
            || self.reverted
            || matches!(self.changes.observed.verb, Verb::Rollback(_))
        {
            return;
        }
        let good = self.failures.is_empty() && !self.outcomes.values().any(Outcome::is_failure);
        let (ownership, wanted) = (&self.changes.observed.ownership, &self.changes.observed.ledger);
        // What could not be taken back is still owned; where something was never tried, nobody knows.
        let failed = |address: &Address| {
            self.changes.removals.iter().enumerate().any(|(at, removal)| {
                let outcomes = [Member::Removal(at), Member::Resumed(at)].map(|member| self.outcomes.get(&member));
                removal.address == *address && outcomes.into_iter().flatten().any(Outcome::is_failure)
            })
        };
        let lost = !self.failures.is_empty();
        let (ledger, during) = (ownership.with_orphans(wanted, |a| lost || failed(a)), ownership.during(wanted));
        let ledger = (ledger != during).then(|| blob(&ledger));
        let result = if good { Ended::Done } else { Ended::Failed };
        let vanish = good && self.changes.observed.verb == Verb::Destroy;
        if let Some(refusal) = self.say(Purpose::End { stamp: None, result, ledger, vanish }, connection).await {
            self.failures.push(self.refused(refusal).to_string());
        }
    }

    /// Brings the host's memory up to date where nothing else is to be done.
    pub(super) async fn note(&mut self, connection: &dyn Connection) -> Result<(), EngineError> {
        let stamp = Some(self.changes.observed.memory.stamp());
        let ledger = self.changes.observed.ownership.stale.then(|| blob(&self.changes.observed.ledger));
        let vanish = self.changes.observed.verb == Verb::Destroy;
        let refusal = self.say(Purpose::End { stamp, result: Ended::Done, ledger, vanish }, connection).await;
        refusal.map_or(Ok(()), |refusal| Err(self.refused(refusal)))
    }

    /// An exchange without tasks.
    async fn say(&mut self, purpose: Purpose, connection: &dyn Connection) -> Option<Refusal> {
        let batch = self.exchange(Vec::new(), purpose);
        let mut tell = |heard: Heard| match heard {
            Heard::Waiting(holder) => (self.events)(Event::Waiting { holder }),
            Heard::TookOver(holder) => (self.events)(Event::TookOver { holder }),
            Heard::Begun(_) | Heard::Said(..) | Heard::Ended(..) | Heard::Served(..) | Heard::Answered(..) => {}
        };
        match connection.run(batch, &mut tell).await {
            Ok(reply) => {
                if let Some(lost) = reply.lost {
                    self.failures.push(self.changes.observed.secrets.mask(&lost));
                }
                reply.refused
            }
            Err(error) => {
                self.failures.push(format!("cannot note on the host how it ended: {error}"));
                None
            }
        }
    }

    fn outcome(&self, member: Member, outcome: &step::Outcome, members: &[Member], steps: &[String]) -> Outcome {
        let mask = |text: &str| self.changes.observed.secrets.mask(text);
        let said = self.said.get(&member);
        match outcome {
            step::Outcome::Done { output } => match self.change(member) {
                Some(change) => {
                    let said = said.map(Said::end).unwrap_or_default();
                    Outcome::Changed { action: change.action, output: together(&said, &mask(output)) }
                }
                None if output.is_empty() => Outcome::Answered { answer: "answered as it should".to_owned() },
                None => Outcome::Answered { answer: mask(output) },
            },
            step::Outcome::NotNeeded => Outcome::NotNeeded,
            step::Outcome::Failed { step, status, output } => {
                let what = steps.get(*step).map_or("", String::as_str);
                let output = step::told(output);
                let said = said.map(Said::last).unwrap_or_default();
                let why = match (*status, output.trim(), said.as_str()) {
                    (124, own, said) => together("its time was up", &together(said, own)),
                    // A command's own words need not tell that it has failed.
                    (status, "", said) => together(&format!("exit status {status}"), said),
                    (_, own, said) => together(said, own),
                };
                // A command that could be tried has run, whatever came of it.
                let tried = !matches!(*status, 126 | 127) && !output.trim_start().starts_with("the guard ");
                let message = match what.strip_prefix("run ").filter(|_| tried) {
                    Some(program) => format!("{program} failed: {why}"),
                    None => format!("cannot {what}: {why}"),
                };
                Outcome::Failed { message: short(&mask(&message)) }
            }
            step::Outcome::Skipped { because } => {
                let because = because.and_then(|index| members.get(index)).and_then(|failed| self.root(*failed));
                Outcome::Skipped { because }
            }
        }
    }

    pub(super) async fn watch(&mut self, at: usize, connection: &dyn Connection) {
        let possible = self.possible(&[Member::Resource(at)]);
        let Some(vertex) = self.changes.observed.graph.vertex(at).filter(|_| !possible.is_empty()) else { return };
        let Some(Watch::Here(check)) = vertex.resource.watch() else { return };
        (self.events)(Event::Begun { address: vertex.address.clone() });
        let outcome = match self.ask_from_here(&check, connection).await {
            Ok(answer) => {
                self.outages.answered_here(at);
                Outcome::Answered { answer }
            }
            Err(message) => {
                // What is taken back next takes nothing from the log, but adds to it.
                let log = self.overhear(self.asked(at), connection).await;
                Outcome::Failed { message: short(&self.changes.observed.secrets.mask(&format!("{message}{log}"))) }
            }
        };
        self.finish(Member::Resource(at), outcome);
    }

    async fn ask_from_here(&self, check: &Check, connection: &dyn Connection) -> Result<String, String> {
        let now = self.changes.time();
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
    pub(super) async fn verify(&mut self, connection: &dyn Connection) {
        let takeback = self.changes.observed.takeback();
        let mut asks = asks(&self.changes.observed.graph);
        asks.extend(takeback.asks());
        let answers = match connection.ask(&asks).await {
            Ok(answers) => answers,
            Err(error) => {
                self.failures.push(format!("cannot verify: {error}"));
                return;
            }
        };
        let times = (self.changes.now, self.changes.time());
        let resources = diff(&self.changes.observed.graph, &answers, times, &BTreeSet::new(), Drafts::new())
            .0
            .into_iter()
            .enumerate();
        let mut left: Vec<(Member, String)> = Vec::new();
        for (at, item) in resources {
            match item {
                Ok(change) if change.is_none() => {}
                Ok(change) => left.push((Member::Resource(at), still(&change))),
                Err(reason) => left.push((Member::Resource(at), reason.to_string())),
            }
        }
        for (at, removal) in self.changes.removals.iter().enumerate() {
            let remains = removal.steps.iter().filter_map(|step| takeback.remains(step, &answers)).collect::<Vec<_>>();
            if !remains.is_empty() {
                left.push((Member::Removal(at), remains.join(", ")));
            }
        }
        left.retain(|(member, _)| !self.outcomes.get(member).is_some_and(Outcome::is_failure));
        // What failed before has told already.
        let told = self.outcomes.values().any(Outcome::is_failure);
        let units = if told { Vec::new() } else { self.units_of(left.iter().map(|(member, _)| *member)) };
        let log = self.overhear(units, connection).await;
        if let Some((_, message)) = left.iter_mut().find(|(member, _)| !self.units_of([*member].into_iter()).is_empty())
        {
            message.push_str(&log);
        }
        for (member, message) in left {
            if !self.outcomes.get(&member).is_some_and(Outcome::is_failure) {
                self.finish(member, Outcome::NotConverged { message: self.changes.observed.secrets.mask(&message) });
            }
        }
    }

    pub(super) fn report(mut self) -> Report {
        let changes = self.changes;
        let mut resources: Vec<(Address, Outcome)> = Vec::new();
        let mut revealed = Vec::new();
        let mut kept: Vec<(Address, String)> =
            changes.kept().map(|(address, why)| (address.clone(), why.to_owned())).collect();
        for (at, removal) in changes.removals.iter().enumerate() {
            let first = self.outcomes.remove(&Member::Removal(at));
            let second = self.outcomes.remove(&Member::Resumed(at)).filter(Outcome::is_failure);
            let skipped = || (!removal.steps.is_empty()).then_some(Outcome::Skipped { because: None });
            // What the host itself has found a reason to keep.
            if let Some(Outcome::Changed { output: said, .. } | Outcome::Answered { answer: said }) = &first {
                let stays = said.lines().filter_map(|line| line.strip_prefix("kept ")?.split_once(": "));
                let stays = stays.map(|(object, why)| (removal.address.clone(), format!("{object} stays: {why}")));
                kept.extend(stays);
            }
            let outcome = second.or(first).or_else(skipped);
            let seen = removal.change.as_ref().is_ok_and(|change| !change.is_none());
            if let Some(outcome) = outcome.filter(|outcome| seen || outcome.is_failure()) {
                resources.push((removal.address.clone(), outcome));
            }
        }
        for (at, (address, resource)) in changes.observed.graph.resources().enumerate() {
            let missing = || match changes.items.get(at) {
                // Never tried, because the apply ended early.
                Some(Ok(change)) if !change.is_none() => Outcome::Skipped { because: None },
                _ => Outcome::Unchanged,
            };
            let outcome = self.outcomes.remove(&Member::Resource(at)).unwrap_or_else(missing);
            if let (Outcome::Changed { .. }, Some(Ok(change))) = (&outcome, changes.items.get(at)) {
                revealed.extend(resource.reveals(change).map(|secret| (address.clone(), secret)));
            }
            resources.push((address.clone(), outcome));
        }
        let down = self.downtimes();
        let (host, apply) = (changes.observed.host.name.clone(), self.number);
        let mut report = Report {
            host,
            apply,
            resources,
            kept,
            down,
            failures: self.failures,
            outputs: Vec::new(),
            reverted: self.reverted,
            rolled_back: None,
            serving: Vec::new(),
            revealed,
        };
        if report.succeeded() {
            let outputs = changes.observed.graph.outputs().iter();
            report.outputs = outputs.map(|(name, text)| (name.clone(), text.shown().to_owned())).collect();
        }
        report
    }
}

/// Whether a host heard in time that it is to stay as it is.
enum Disarmed {
    InTime,
    TooLate,
}

/// A resource may be asked for its answer without changing.
const fn is_check(member: Member) -> bool {
    matches!(member, Member::Resource(_))
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

/// Two texts, the second below the first, each of which may be empty.
fn together(first: &str, second: &str) -> String {
    let gap = if first.is_empty() || second.is_empty() { "" } else { "\n" };
    format!("{first}{gap}{second}")
}

/// Cuts lines that nobody would read to their end, such as a page that a server answers with. What is masked must be masked
/// before: half a secret is not known for one.
fn short(text: &str) -> String {
    const LONGEST: usize = 500;
    let cut = |line: &str| match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}
