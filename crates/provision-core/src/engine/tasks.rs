//! From what is to be done to what one exchange does: tasks, what each waits for, what it owes, and what is noted of all.

use std::collections::BTreeSet;
use std::time::Duration;

use time::format_description::well_known::Rfc3339;

use super::arrival;
use super::exchange::Run;
use super::observe::Verb;
use super::prepare::{Debt, Member, Work, debts, settled};
use super::rehearsal::{self, Before};
use crate::blob::Blob;
use crate::change::{Moved, Signal};
use crate::knob::{NEW, PENDING};
use crate::ledger::{Head, Ledger};
use crate::object::Object;
use crate::resource::{Relation, Watch};
use crate::step::{Batch, Journal, Purpose, Revert, Step, Task, UnitAction};

/// The host may wait so long for what it is sent, unless it is told to be less patient.
const LEASE: Duration = Duration::from_secs(60);

impl Run<'_> {
    pub(super) fn make_batch(&self, members: &[Member], work: &[Work]) -> Batch {
        let debts = debts(self.changes, work);
        let tasks = members.iter().filter_map(|member| self.task(*member, members, work, &debts)).collect();
        self.exchange(tasks, self.purpose(work))
    }

    /// One exchange, with what is written down about it.
    pub(super) fn exchange(&self, tasks: Vec<Task>, purpose: Purpose) -> Batch {
        let (plan, step_limit) = (self.changes.observed.graph.plan().to_owned(), self.changes.observed.host.step_limit);
        Batch { tasks, plan, step_limit, journal: self.journal(purpose) }
    }

    fn task(&self, member: Member, members: &[Member], work: &[Work], debts: &[Debt]) -> Option<Task> {
        let address = self.address(member)?;
        let needed = self.needed_by(member);
        let after = members.iter().enumerate().filter(|(_, other)| needed.contains(other)).map(|(index, _)| index);
        let after: Vec<usize> = after.collect();
        let (steps, owes, pays, late) = match member {
            Member::Removal(at) => {
                let resumed = self.changes.removals.iter().flat_map(|removal| &removal.after);
                let restarts = resumed.filter_map(|step| match step {
                    Step::Unit { unit, action: UnitAction::Restart } => Some(unit.to_string()),
                    _ => None,
                });
                (self.changes.removals.get(at)?.steps.clone(), restarts.collect(), Vec::new(), false)
            }
            Member::Resumed(at) => {
                let steps = self.changes.removals.get(at)?.after.clone();
                let pays = settled(&steps);
                (steps, Vec::new(), pays, false)
            }
            Member::Resource(at) => {
                let Some(Work::Steps(steps)) = work.get(at) else { return None };
                let signals = self.change(member).is_some_and(|change| change.signal > Signal::None);
                let owed = debts.iter().filter(|debt| signals && debt.causes.contains(&at));
                let mut pays = settled(steps);
                pays.extend(debts.iter().filter(|debt| debt.debtor == at).flat_map(|debt| debt.names.clone()));
                let Before { command, linger } = rehearsal::before(self.changes, work, at);
                let late = command || linger || steps.iter().any(comes_with);
                // What has been tried before the apply began.
                let done = |step: &&Step| !command && matches!(step, Step::Rehearse(_));
                let steps: Vec<Step> = steps.iter().filter(|step| !done(step)).cloned().collect();
                (steps, owed.flat_map(|debt| debt.names.clone()).collect(), pays, late)
            }
        };
        let set = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        // One that was as wanted when the plan came to hold it has no origin; what somebody made of it since is none either.
        let moved = self.change(member).is_some_and(|change| matches!(change.moved, Some(Moved::Host | Moved::Both)));
        let held = self.changes.observed.ownership.entry(&address).filter(|_| moved);
        let drifted = held.map(|entry| entry.objects.clone()).unwrap_or_default();
        let waits = steps.iter().any(|step| matches!(step, Step::Await(_)));
        let asked = match member {
            Member::Resource(at) if waits => self.asked(at),
            _ => Vec::new(),
        };
        Some(Task { address, after, steps, owes: set(owes), pays: set(pays), late, drifted, asked })
    }

    /// What must have succeeded before a member is tried.
    pub(super) fn needed_by(&self, member: Member) -> BTreeSet<Member> {
        match member {
            // What runs goes before what it runs with: where it cannot be stopped, the rest stays.
            Member::Removal(at) => {
                let stopped = (0..at).filter(|other| self.stops(*other)).map(Member::Removal);
                let items = if self.changes.leaves_last(at) { self.changes.items.len() } else { 0 };
                stopped.chain((0..items).map(Member::Resource)).collect()
            }
            Member::Resumed(_) => {
                let removals = 0..self.changes.removals.len();
                removals.filter(|at| !self.changes.leaves_last(*at)).map(Member::Removal).collect()
            }
            Member::Resource(at) => {
                self.changes.observed.graph.closure(at, Relation::After).into_iter().map(Member::Resource).collect()
            }
        }
    }

    /// Whether something that leaves is a running unit.
    fn stops(&self, at: usize) -> bool {
        let steps = self.changes.removals.get(at).map(|removal| removal.steps.as_slice()).unwrap_or_default();
        steps
            .iter()
            .any(|step| matches!(step, Step::Revert(Revert { object: Object::Unit(_) | Object::Snapshot { .. }, .. })))
    }

    fn purpose(&self, work: &[Work]) -> Purpose {
        let stamp = self.changes.observed.memory.stamp();
        match (self.changes.observed.verb, self.number) {
            _ if !self.journalled => Purpose::Watch,
            (Verb::Rollback(number), _) => {
                let stays = self.changes.removals.iter().flat_map(|removal| removal.stays.clone()).collect();
                Purpose::Rollback { stamp, number, stays }
            }
            (Verb::Apply | Verb::Destroy, Some(_)) => Purpose::Continue,
            (Verb::Apply | Verb::Destroy, None) => {
                let ledger = self.changes.observed.ownership.during(&self.changes.observed.ledger);
                Purpose::Begin {
                    stamp,
                    head: self.head(),
                    ledger: blob(&ledger),
                    keep: self.changes.observed.graph.keep(),
                    awaited: arrival::awaited(work),
                    rehearsals: rehearsal::first(self.changes, work),
                }
            }
        }
    }

    fn when(&self) -> String {
        // The year of a clock that this type can hold always has four digits.
        self.changes.time().truncate_to_second().format(&Rfc3339).unwrap_or_default()
    }

    fn head(&self) -> Blob {
        let head = Head {
            verb: self.changes.observed.verb.word().to_owned(),
            when: self.when(),
            who: self.changes.orders.who.clone(),
            plan: self.changes.observed.plan.clone(),
            changes: self.changes.changed().count(),
        };
        Blob::from_bytes(serde_json::to_string_pretty(&head).unwrap_or_default().into_bytes())
    }

    fn journal(&self, purpose: Purpose) -> Journal {
        let checks = self.changes.observed.graph.resources().filter_map(|(_, resource)| match resource.watch() {
            Some(Watch::Here(check)) => Some(check.limit),
            _ => None,
        });
        Journal {
            purpose,
            who: self.changes.orders.who.clone(),
            since: self.when(),
            wait: self.changes.orders.lock_wait,
            lease: self.changes.observed.host.silence.min(LEASE) + checks.sum::<Duration>(),
            arm: None,
        }
    }
}

pub(super) fn blob(ledger: &Ledger) -> Blob {
    Blob::from_bytes(ledger.text().into_bytes())
}

/// Whether a step sets something that comes with the same apply.
fn comes_with(step: &Step) -> bool {
    matches!(step, Step::Turn { state, .. } if state.strip_prefix(NEW).unwrap_or(state).starts_with(PENDING))
}
