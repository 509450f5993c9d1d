//! From changes to steps: what the steps need from the host, the steps, and what goes to the host together.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::EngineError;
use super::changes::Changes;
use super::guard::may_cut_off;
use super::observe::Verb;
use crate::address::Address;
use crate::blob::sha256_hex;
use crate::change::{Action, Change};
use crate::connection::Connection;
use crate::path::AbsPath;
use crate::probe::{FileState, Undecided, Wanted};
use crate::resource::{Materials, Relation, Thing, Watch};
use crate::step::{Step, UnitAction};

/// What is to be done about one resource.
#[derive(Debug)]
pub(super) enum Work {
    /// Nothing.
    Nothing,
    /// Steps on the host.
    Steps(Vec<Step>),
    /// A check from this side.
    Here,
}

/// One of the things that an apply does, in the order of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// Something leaves: by its place among the removals.
    Removal(usize),
    /// What follows once everything has left, such as the restart of a unit that runs with what is put back.
    Resumed(usize),
    /// A resource of the plan: by its place in the graph.
    Resource(usize),
}

/// What goes to the host together, or is done from this side.
#[derive(Debug)]
pub(super) enum Part {
    /// In one exchange.
    Batch(Vec<Member>),
    /// A check from this side.
    Here(usize),
}

/// Reads from the host what steps and checks need and nothing else has. No exchange when there is nothing to read.
pub(super) async fn gather(changes: &Changes, connection: &dyn Connection) -> Result<Materials, EngineError> {
    let mut materials = Materials::new(changes.now);
    let mut wanted = BTreeSet::new();
    // What is made anew comes from the steps that make it: what is there now is of no use to anybody.
    let made = made(changes);
    let unchanged = Change::none();
    for (path, content) in changes.observed.graph.resources().flat_map(|(_, resource)| resource.brings()) {
        materials.insert(path, content);
    }
    for ((address, resource), item) in changes.observed.graph.resources().zip(&changes.items) {
        let change = item.as_ref().unwrap_or(&unchanged);
        if let Some(download) = resource.downloads(change).filter(|_| !change.is_none()) {
            let content = changes.orders.fetch.fetch(&download).await.map_err(|reason| {
                let reason = Undecided::new(format!("cannot download {}: {reason}", download.url));
                EngineError::Unprepared { address: address.clone(), reason }
            })?;
            materials.insert_download(download, content);
        }
        if change.is_none() && resource.watch().is_none() {
            continue;
        }
        let reads = resource.reads(change);
        for path in reads.into_iter().filter(|path| !made.contains(path) && !materials.has(path)).collect::<Vec<_>>() {
            match changes.observed.answers.file(&path, &Wanted::Always) {
                // Only when it is all of it: a longer one comes back cut.
                Ok(FileState::Present { content: Some(content), sha256 }) if sha256_hex(content) == *sha256 => {
                    materials.insert(path, Zeroizing::new(content.clone()));
                }
                _ => {
                    // Something there that is no regular file may be a link to one.
                    let there = changes.observed.answers.path(&path).map_or(true, |state| state.entry().is_some());
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
        .graph()
        .resources()
        .zip(&changes.items)
        .filter(|(_, item)| item.as_ref().is_ok_and(|change| matches!(change.action, Action::Create | Action::Replace)))
        .flat_map(|((_, resource), _)| resource.provides())
        .filter_map(|thing| if let Thing::Path(path) = thing { Some(path) } else { None })
        .collect()
}

/// Makes all steps, in order: what one resource is about to write, a later one may build upon.
pub(super) fn prepare(changes: &Changes, materials: &mut Materials) -> Result<Vec<Work>, EngineError> {
    let mut work = Vec::with_capacity(changes.items.len());
    materials.drafts.clone_from(&changes.drafts);
    for ((address, resource), item) in changes.observed.graph.resources().zip(&changes.items) {
        let change = item.as_ref().ok().filter(|change| !change.is_none());
        let steps = match change {
            Some(change) => resource
                .steps(change, &changes.observed.answers, materials)
                .map_err(|reason| EngineError::Unprepared { address: address.clone(), reason })?,
            None => Vec::new(),
        };
        if steps.iter().any(|step| matches!(step, Step::Rewrite { .. })) {
            let left = resource.leaves(&changes.observed.answers, &materials.drafts);
            materials.drafts.extend(left);
        }
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

/// Sorts everything into exchanges: what leaves first, the last that came first; then the rest in its order; then what could
/// not leave before that. What may cut the host off has an exchange of its own, so that it is known at once whether it did.
pub(super) fn parts(changes: &Changes, work: &[Work]) -> Vec<Part> {
    let leaving = changes.removals.iter().enumerate();
    let (last, first): (Vec<usize>, Vec<usize>) = leaving
        .clone()
        .filter(|(_, removal)| !removal.steps.is_empty())
        .map(|(at, _)| at)
        .partition(|at| changes.leaves_last(*at));
    let mut members: Vec<Member> = first.into_iter().map(Member::Removal).collect();
    // What runs again does so in the order in which it was first applied.
    let resumed = leaving.rev().filter(|(_, removal)| !removal.after.is_empty());
    members.extend(resumed.map(|(at, _)| Member::Resumed(at)));
    if let Verb::Rollback(_) = changes.observed.verb {
        // Whole or not at all: the host ends it with the same exchange.
        return vec![Part::Batch(members)];
    }
    let wanted = work.iter().enumerate().filter(|(_, work)| !matches!(work, Work::Nothing));
    members.extend(wanted.map(|(at, _)| Member::Resource(at)));
    members.extend(last.into_iter().map(Member::Removal));
    let mut parts: Vec<Part> = Vec::new();
    let mut last = None;
    for member in members {
        let steps: &[Step] = match member {
            Member::Removal(at) => changes.removals.get(at).map(|removal| removal.steps.as_slice()).unwrap_or_default(),
            Member::Resumed(at) => changes.removals.get(at).map(|removal| removal.after.as_slice()).unwrap_or_default(),
            Member::Resource(at) => match work.get(at) {
                Some(Work::Steps(steps)) => steps,
                _ => {
                    parts.push(Part::Here(at));
                    last = None;
                    continue;
                }
            },
        };
        let danger = steps.iter().any(may_cut_off);
        match parts.last_mut() {
            Some(Part::Batch(batch)) if last == Some(danger) => batch.push(member),
            _ => parts.push(Part::Batch(vec![member])),
        }
        last = Some(danger);
    }
    parts
}

/// Something that must follow from a change, in this apply or a later one.
pub(super) struct Debt {
    /// The resource that does it.
    pub(super) debtor: usize,
    /// Under which the host notes it.
    pub(super) names: Vec<String>,
    /// The resources whose change makes it necessary.
    pub(super) causes: BTreeSet<usize>,
}

/// What an apply will owe, in whichever exchange: a check may stand between a cause and what follows from it.
pub(super) fn debts(changes: &Changes, work: &[Work]) -> Vec<Debt> {
    let graph = &changes.observed.graph;
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

/// The name under which a host notes that a command is owed; no unit can have it, for the `=`.
pub(crate) fn owed_run(address: &Address) -> String {
    address.label()
}

/// The units that some steps restart or reload.
fn restarted(steps: &[Step]) -> Vec<String> {
    steps
        .iter()
        .filter_map(|step| match step {
            Step::Unit { unit, action: UnitAction::Restart | UnitAction::Reload } => Some(unit.to_string()),
            _ => None,
        })
        .collect()
}

/// The units that some steps leave as new as a restart would: those they start or stop, too.
pub(super) fn settled(steps: &[Step]) -> Vec<String> {
    let settles = |action: UnitAction| !matches!(action, UnitAction::Enable | UnitAction::Disable);
    let mut units: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Unit { unit, action } if settles(*action) => Some(unit.to_string()),
            _ => None,
        })
        .collect();
    units.dedup();
    units
}
