//! How long services did not serve while they were changed, and what their logs say when that goes wrong.
//!
//! What the host does it measures itself, by the time since its boot: from when a stop begins until systemd has the unit up
//! again, and until a `check` from the host has its answer. What a `check` from this side adds is measured here, from when
//! the host has told that the unit is up: it has the way to and fro in it, never less than what was.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::exchange::Run;
use super::ownership::Ownership;
use super::prepare::{Member, Work};
use crate::address::Address;
use crate::connection::Connection;
use crate::event::Events;
use crate::graph::Graph;
use crate::probe::Ask;
use crate::report::{Downtime, Outcome as Came, Report, Until};
use crate::resource::{Materials, Relation, Thing, Watch};
use crate::step::{Outage, Outcome, Purpose, Step, Task};
use crate::systemd::Managed;

/// What was heard of services that were stopped, and of answers.
#[derive(Debug, Default)]
pub(super) struct Outages {
    heard: Vec<Heard>,
    answers: Vec<Answered>,
}

#[derive(Debug)]
struct Heard {
    member: Member,
    outage: Outage,
    at: Instant,
}

/// That a check has had its answer.
#[derive(Debug)]
struct Answered {
    at: usize,
    when: When,
}

#[derive(Debug, Clone, Copy)]
enum When {
    /// In hundredths of a second since the host's boot.
    Host(u64),
    Here(Instant),
}

impl Outages {
    pub(super) fn stopped(&mut self, member: Member, outage: Outage) {
        // One that is not up again at first may be so after the next task.
        self.heard.retain(|heard| heard.outage.until.is_some() || heard.outage.unit != outage.unit);
        self.heard.push(Heard { member, outage, at: Instant::now() });
    }

    /// A check from the host.
    pub(super) fn answered(&mut self, member: Member, ticks: u64) {
        if let Member::Resource(at) = member {
            self.answers.push(Answered { at, when: When::Host(ticks) });
        }
    }

    /// A check from this side, just now.
    pub(super) fn answered_here(&mut self, at: usize) {
        self.answers.push(Answered { at, when: When::Here(Instant::now()) });
    }

    /// How long each of the plan's services did not serve, in the order in which they were up again.
    fn downtimes(&self, graph: &Graph, address: impl Fn(Member) -> Option<Address>) -> Vec<Downtime> {
        let mut all: Vec<Downtime> = Vec::new();
        for Heard { member, outage, at } in &self.heard {
            let Some(address) = address(*member) else { continue };
            // Of what one resource stopped, its own unit counts.
            let own = match member {
                Member::Resource(index) => runs(graph, *index).any(|unit| unit == outage.unit),
                Member::Removal(_) | Member::Resumed(_) => true,
            };
            if !own {
                continue;
            }
            let (lasted, until) = match (outage.from, outage.until, member) {
                (_, None, _) => (None, Until::Never),
                (None, Some(_), _) => (None, Until::Up),
                (Some(from), Some(until), Member::Resource(index)) => self.answer(graph, *index, from, until, *at),
                (Some(from), Some(until), _) => (Some(ticks(until.saturating_sub(from))), Until::Up),
            };
            let (from, up) = (outage.from, outage.until);
            all.retain(|known| known.address != address);
            all.push(Downtime { address, unit: outage.unit.clone(), lasted, until, from, up, heard: Some(*at) });
        }
        all
    }

    /// Until the first check that comes after the service has its answer; until it was up where there is none.
    fn answer(&self, graph: &Graph, service: usize, from: u64, up: u64, at: Instant) -> (Option<Duration>, Until) {
        let watched = |check: usize| graph.vertex(check).is_some_and(|vertex| vertex.resource.watch().is_some());
        let after = |check: usize| graph.closure(check, Relation::After).contains(&service);
        let checks: Vec<usize> = (0..graph.len()).filter(|check| watched(*check) && after(*check)).collect();
        if checks.is_empty() {
            return (Some(ticks(up.saturating_sub(from))), Until::Up);
        }
        let ended = self.answers.iter().filter(|answered| checks.contains(&answered.at)).filter_map(|answered| {
            let check = graph.vertex(answered.at)?.address.clone();
            Some(match answered.when {
                When::Host(when) => (ticks(when.max(up).saturating_sub(from)), Until::Answered(check)),
                When::Here(when) => {
                    let more = when.saturating_duration_since(at);
                    (ticks(up.saturating_sub(from)) + more, Until::AnsweredHere(check))
                }
            })
        });
        match ended.min_by_key(|(lasted, _)| *lasted) {
            Some((lasted, until)) => (Some(lasted), until),
            None => (None, Until::Never),
        }
    }
}

/// Of hundredths of a second.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(10))
}

/// The units that a resource runs.
fn runs(graph: &Graph, at: usize) -> impl Iterator<Item = Managed> {
    let things = graph.vertex(at).map(|vertex| vertex.resource.provides()).unwrap_or_default();
    things.into_iter().filter_map(|thing| if let Thing::Running(unit) = thing { Some(unit) } else { None })
}

/// What a check says of services once an apply was taken back.
pub(super) struct Serving {
    check: Address,
    /// The units that it asks something of, of those that were down.
    units: Vec<Managed>,
    outcome: Came,
    when: Option<When>,
}

/// Asks the checks of services that were down, once what was before the apply runs again: as they are in the plan, where they
/// were the same when that was applied. A ledger has no more of a check than its digest. The first without an answer is the
/// last: each may take its time, and one is enough.
pub(super) async fn ask_again(
    changes: &Changes,
    units: &BTreeSet<&Managed>,
    connection: &dyn Connection,
    events: Events<'_>,
) -> Vec<Serving> {
    let (graph, ledger) = (&changes.observed.graph, &changes.observed.ledger);
    let asked = |check: usize| -> Vec<Managed> {
        let after = graph.closure(check, Relation::After).into_iter();
        after.flat_map(|service| runs(graph, service)).filter(|unit| units.contains(unit)).collect()
    };
    let watch = |at: usize| Some((graph.vertex(at)?, graph.vertex(at)?.resource.watch()?));
    let checks = (0..graph.len()).filter_map(|at| Some((at, watch(at)?, asked(at))));
    let checks: Vec<_> = checks.filter(|(_, _, units)| !units.is_empty()).collect();
    if checks.is_empty() {
        return Vec::new();
    }
    // As it is now: an apply that went on from a cut one has gone back further than it began.
    let (plan, digest) = (graph.plan(), ledger.sha256());
    let ask = Ask::Memory { plan: plan.to_owned(), ledger: digest.clone() };
    let Ok(answers) = connection.ask(&BTreeSet::from([ask])).await else { return Vec::new() };
    let memory = answers.memory(plan, &digest);
    let Some(before) = memory.ok().and_then(|memory| Ownership::new(graph, ledger, memory).ok()) else {
        return Vec::new();
    };
    // What was read or made for the apply may be another by now.
    let materials = Materials::new(changes.time());
    let mut run = Run::new(changes, &materials, events);
    let mut all: Vec<Serving> = Vec::new();
    for (at, (vertex, watch), units) in checks {
        let check = vertex.address.clone();
        let Some(entry) = before.entry(&check) else { continue };
        let failed = all.iter().find(|serving| matches!(serving.outcome, Came::Failed { .. }));
        let failed = failed.map(|serving| serving.check.clone());
        let same = graph.digest(at) == Some(entry.digest.as_str());
        let (outcome, when) = if failed.is_some() || !same {
            (Came::Skipped { because: failed }, None)
        } else {
            run.answer_again(at, watch, connection).await
        };
        all.push(Serving { check, units, outcome, when });
    }
    all
}

/// After a rollback: what was down since the apply, and is up again with what was before it, was down all the while; and it
/// serves again only when it answers.
pub(super) fn join(report: &mut Report, serving: Vec<Serving>) {
    let mut last = report.rolled_back.as_deref();
    let mut backs = Vec::new();
    while let Some(back) = last {
        backs.push(back.down.iter().map(|down| down.unit.clone()).collect::<Vec<_>>());
        last = back.rolled_back.as_deref();
    }
    let mut next = report.rolled_back.as_deref_mut();
    let mut depth = 0;
    while let Some(back) = next {
        depth += 1;
        for later in &mut back.down {
            let earlier =
                report.down.iter().find(|earlier| earlier.unit == later.unit && earlier.until == Until::Never);
            let since = earlier.and_then(|earlier| earlier.from);
            if let (Some(from), Some(up)) = (since, later.up) {
                later.lasted = Some(ticks(up.saturating_sub(from)));
            }
            let again = backs.iter().skip(depth).flatten().any(|unit| *unit == later.unit);
            if later.until == Until::Up && !again {
                later.from = since.or(later.from);
                heed(later, &serving);
            }
        }
        next = back.rolled_back.as_deref_mut();
    }
    report.serving = serving.into_iter().map(|Serving { check, outcome, .. }| (check, outcome)).collect();
}

/// Until the first check has its answer; never where one has none.
fn heed(down: &mut Downtime, serving: &[Serving]) {
    let of_it = || serving.iter().filter(|serving| serving.units.contains(&down.unit));
    if of_it().any(|serving| matches!(serving.outcome, Came::Failed { .. })) {
        (down.lasted, down.until) = (None, Until::Never);
        return;
    }
    let ended = of_it().find_map(|Serving { check, when, .. }| {
        let (from, up) = (down.from?, down.up?);
        Some(match (*when)? {
            When::Host(when) => (ticks(when.max(up).saturating_sub(from)), Until::Answered(check.clone())),
            When::Here(when) => {
                let more = when.saturating_duration_since(down.heard?);
                (ticks(up.saturating_sub(from)) + more, Until::AnsweredHere(check.clone()))
            }
        })
    });
    if let Some((lasted, until)) = ended {
        (down.lasted, down.until) = (Some(lasted), until);
    }
}

/// Of what was down before an apply began it cannot tell for how long.
pub(super) fn settle(report: &mut Report) {
    let mut next = Some(report);
    while let Some(report) = next {
        report.down.retain(|down| down.lasted.is_some() || (down.from.is_some() && down.until == Until::Never));
        next = report.rolled_back.as_deref_mut();
    }
}

/// Most services whose logs are told of when something fails: the nearest are enough.
const LOGS: usize = 3;

impl Run<'_> {
    /// What a check says after a rollback, and when.
    async fn answer_again(&mut self, at: usize, watch: Watch, connection: &dyn Connection) -> (Came, Option<When>) {
        let member = Member::Resource(at);
        match watch {
            Watch::Here(_) => self.watch(at, connection).await,
            Watch::Host(wait) => {
                let mut work: Vec<Work> = (0..at).map(|_| Work::Nothing).collect();
                work.push(Work::Steps(vec![Step::Await(wait)]));
                if let Err(error) = self.batch(&[member], &work, connection).await {
                    return (Came::Failed { message: error.to_string() }, None);
                }
            }
        }
        let lost = || Came::Failed { message: self.failures.join("; ") };
        let outcome = self.outcomes.get(&member).cloned().unwrap_or_else(lost);
        let answer = self.outages.answers.iter().rev().find(|answered| answered.at == at);
        (outcome, answer.map(|answered| answered.when))
    }

    pub(super) fn downtimes(&self) -> Vec<Downtime> {
        self.outages.downtimes(&self.changes.observed.graph, |member| self.address(member))
    }

    /// The units that something asks: those that were changed before it, or any.
    pub(super) fn asked(&self, at: usize) -> Vec<Managed> {
        let graph = &self.changes.observed.graph;
        let services: Vec<(usize, Managed)> = graph
            .closure(at, Relation::After)
            .into_iter()
            .flat_map(|service| runs(graph, service).map(move |unit| (service, unit)))
            .collect();
        let changed = |(service, _): &&(usize, Managed)| self.change(Member::Resource(*service)).is_some();
        let chosen: Vec<&(usize, Managed)> = match services.iter().filter(changed).collect::<Vec<_>>() {
            changed if changed.is_empty() => services.iter().collect(),
            changed => changed,
        };
        chosen.into_iter().rev().take(LOGS).map(|(_, unit)| unit.clone()).collect()
    }

    /// The last lines of the logs of some units; nothing when the host does not tell.
    pub(super) async fn overhear(&self, units: Vec<Managed>, connection: &dyn Connection) -> String {
        let Some(address) = self.changes.observed.graph.resources().next().map(|(address, _)| address.clone()) else {
            return String::new();
        };
        if units.is_empty() {
            return String::new();
        }
        let task = Task::new(address, vec![Step::Overhear(units)]);
        let reply = connection.run(self.exchange(vec![task], Purpose::Watch), &mut |_| {}).await;
        match reply.ok().and_then(|reply| reply.outcomes.into_iter().next()) {
            Some(Outcome::Done { output }) if !output.trim().is_empty() => format!("\n{}", output.trim_end()),
            _ => String::new(),
        }
    }

    /// The units that resources run.
    pub(super) fn units_of(&self, members: impl Iterator<Item = Member>) -> Vec<Managed> {
        let graph = &self.changes.observed.graph;
        let resources = members.filter_map(|member| if let Member::Resource(at) = member { Some(at) } else { None });
        resources.flat_map(|at| runs(graph, at)).take(LOGS).collect()
    }
}
