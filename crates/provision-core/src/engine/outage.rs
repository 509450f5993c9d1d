//! How long services did not serve while they were changed, and what their logs say when that goes wrong.
//!
//! What the host does it measures itself, by the time since its boot: from when a stop begins until systemd has the unit up
//! again, and until a `check` from the host has its answer. What a `check` from this side adds is measured here, from when
//! the host has told that the unit is up: it has the way to and fro in it, never less than what was.

use std::time::{Duration, Instant};

use super::exchange::Run;
use super::prepare::Member;
use crate::address::Address;
use crate::connection::Connection;
use crate::graph::Graph;
use crate::report::{Downtime, Report, Until};
use crate::resource::{Relation, Thing};
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
            all.push(Downtime { address, unit: outage.unit.clone(), lasted, until, from, up });
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

/// After a rollback: what was down since the apply, and is up again with what was before it, was down all the while.
pub(super) fn join(report: &mut Report) {
    let mut next = report.rolled_back.as_deref_mut();
    while let Some(back) = next {
        for later in &mut back.down {
            let earlier =
                report.down.iter().find(|earlier| earlier.unit == later.unit && earlier.until == Until::Never);
            if let (Some(from), Some(up)) = (earlier.and_then(|earlier| earlier.from), later.up) {
                later.lasted = Some(ticks(up.saturating_sub(from)));
            }
        }
        next = back.rolled_back.as_deref_mut();
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
