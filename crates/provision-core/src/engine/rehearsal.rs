//! What is tried with podman's own generator before an apply begins, and of whom it speaks when it fails.

use std::collections::BTreeMap;

use super::EngineError;
use super::changes::Changes;
use super::prepare::Work;
use crate::address::Address;
use crate::knob::linger::LINGER;
use crate::object::{Object, Was};
use crate::path::AbsPath;
use crate::probe::Undecided;
use crate::quadlet::QuadletName;
use crate::resource::{Relation, Thing};
use crate::step::{Flaws, Rehearsal, Rehearsed, Revert, Step};
use crate::systemd::Manager;

/// What comes before a resource in the same apply, and may change what can be known of it.
pub(super) struct Before {
    /// A command or a package: it may bring podman, or files of Quadlet's.
    pub(super) command: bool,
    /// A user is let linger: until then nobody may be there who could say how a unit, a volume or an image of the user is.
    pub(super) linger: bool,
}

/// What comes before a resource, by those of its prerequisites that are going to do something.
pub(super) fn before(changes: &Changes, work: &[Work], at: usize) -> Before {
    let graph = &changes.observed.graph;
    let mut found = Before { command: false, linger: false };
    for at in graph.closure(at, Relation::After) {
        let (Some(Work::Steps(steps)), Some(vertex)) = (work.get(at), graph.vertex(at)) else { continue };
        found.command |= vertex.resource.provides().iter().any(Thing::brings_more);
        for step in steps {
            found.command |= matches!(step, Step::Run(_));
            found.linger |= matches!(step, Step::Turn { knob, .. } if knob.sort().word == LINGER.word);
        }
    }
    found
}

/// Everything that is tried first.
pub(super) fn first(changes: &Changes, work: &[Work]) -> Vec<Rehearsal> {
    together(changes, tried(changes, work).map(|(_, rehearsal)| rehearsal))
}

/// What is tried together, for each whose generator it is: with one that is to come, each fits the others or not, and what
/// leaves is gone.
pub(super) fn together<'a>(changes: &Changes, tried: impl Iterator<Item = &'a Rehearsal>) -> Vec<Rehearsal> {
    let mut managers: BTreeMap<Manager, Vec<Rehearsed>> = BTreeMap::new();
    for rehearsal in tried {
        managers.entry(rehearsal.manager.clone()).or_default().extend(rehearsal.files.iter().cloned());
    }
    let gone = gone(changes);
    managers.into_iter().map(|(manager, files)| Rehearsal { manager, files, gone: gone.clone() }).collect()
}

fn tried<'a>(changes: &'a Changes, work: &'a [Work]) -> impl Iterator<Item = (&'a Address, &'a Rehearsal)> {
    let resources = changes.observed.graph.resources().zip(work).enumerate();
    resources.flat_map(|(at, ((address, _), work_of))| {
        let steps = if let Work::Steps(steps) = work_of { steps.as_slice() } else { &[] };
        let rehearsals =
            steps.iter().filter_map(|step| if let Step::Rehearse(rehearsal) = step { Some(rehearsal) } else { None });
        let rehearsals: Vec<&Rehearsal> = rehearsals.collect();
        // Few have something to try, and only of those it matters what comes before.
        let early = !rehearsals.is_empty() && !before(changes, work, at).command;
        rehearsals.into_iter().filter(move |_| early).map(move |rehearsal| (address, rehearsal))
    })
}

/// Files of Quadlet's that leave the plan in the same apply.
fn gone(changes: &Changes) -> Vec<AbsPath> {
    let steps = changes.removals.iter().flat_map(|removal| &removal.steps);
    let objects = steps.filter_map(|step| match step {
        Step::Revert(Revert { object: Object::Path(path), .. }) => Some(path),
        _ => None,
    });
    let was = |path: &AbsPath| {
        let of = |record: &&crate::object::Record| record.object.path() == Some(path);
        changes.observed.records.iter().find(of).is_some_and(|record| record.was == Was::Absent)
    };
    let read = |path: &AbsPath| path.name().parse::<QuadletName>().is_ok() || path.name().ends_with(".conf");
    objects.filter(|path| read(path) && was(path)).cloned().collect()
}

/// What a host said of what was tried, by the resource that it is about.
pub(super) fn unfit(changes: &Changes, work: &[Work], host: String, flaws: &Flaws) -> EngineError {
    let tried: Vec<(&Address, &Rehearsed)> = tried(changes, work)
        .flat_map(|(address, rehearsal)| rehearsal.files.iter().map(move |file| (address, file)))
        .collect();
    let mask = |text: &str| changes.observed.secrets.mask(text);
    if flaws.lost.is_empty() {
        let why = mask(&flaws.said.join("\n"));
        let message = format!("the Quadlet files of the plan cannot be tried with podman's own unit generator: {why}");
        return EngineError::Unfit { host, flaws: vec![(None, Undecided::new(message))] };
    }
    // Of what the generator says, each line names the file that it is about.
    let about = |line: &&String| tried.iter().any(|(_, file)| names(line, file.path.name()));
    let of_none: Vec<&String> = flaws.said.iter().filter(|line| !about(line)).collect();
    let mut found: BTreeMap<Option<Address>, Vec<String>> = BTreeMap::new();
    for service in &flaws.lost {
        let own = tried.iter().find(|(_, file)| file.service.as_ref() == Some(service));
        let owner = own.map(|(address, _)| *address).or_else(|| shapes(changes, &tried, service));
        let file = own.map(|(_, file)| file.path.name());
        let mut said: Vec<&String> =
            flaws.said.iter().filter(|line| file.is_some_and(|file| names(line, file))).collect();
        if said.is_empty() {
            said.clone_from(&of_none);
        }
        let what = if own.is_some() { "" } else { " any more" };
        let said: Vec<String> = said.into_iter().map(|line| mask(line)).collect();
        let why = if said.is_empty() { String::new() } else { format!(": {}", said.join("\n")) };
        let message = format!("podman's own unit generator would not make {service}{what}{why}");
        found.entry(owner.cloned()).or_default().push(message);
    }
    let help = "nothing has been touched; podman-systemd.unit(5) on the host tells what its podman knows";
    let flaws = found
        .into_iter()
        .map(|(address, messages)| (address, Undecided::with_help(messages.join("\n"), help)))
        .collect();
    EngineError::Unfit { host, flaws }
}

/// Which of those that were tried shapes a service, such as by a drop-in.
fn shapes<'a>(changes: &Changes, tried: &[(&'a Address, &Rehearsed)], service: &str) -> Option<&'a Address> {
    let unit = |thing: &Thing| matches!(thing, Thing::Unit(unit) if unit.name == service);
    let provides = |address: &Address| {
        changes
            .observed
            .graph
            .resources()
            .any(|(known, resource)| known == address && resource.provides().iter().any(unit))
    };
    tried.iter().map(|(address, _)| *address).find(|address| provides(address))
}

/// Whether a line names a file, and not only one whose name ends alike.
pub(super) fn names(line: &str, file: &str) -> bool {
    line.match_indices(file).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + file.len()..).and_then(|after| after.chars().next());
        let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | '.'));
        !part(before) && !after.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@'))
    })
}
