//! How a plan stands on a host, for people: what it owns there and what was there before, what has moved since, what is kept
//! of what has left, and what the host remembers of its applies. Asks, and changes nothing.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{Changes, EngineError, Lent, observe_with};
use crate::address::Address;
use crate::change::{Change, Moved};
use crate::connection::Connection;
use crate::edit::draft::Draft;
use crate::knob::ABSENT;
use crate::ledger::{Applied, Entry, Scope};
use crate::object::{Object, Record, Was};
use crate::plan::Plan;
use crate::plan::host::Host;
use crate::probe::{Answers, Ask, Store, Undecided};
use crate::step::Data;

use super::removal::Takeback;

/// How a plan stands on one host.
#[derive(Debug)]
pub struct Status {
    /// What an apply would do, and what the host remembers: [`Changes::memory`].
    pub changes: Changes,
    /// SHA-256 of the plan as it is now, to compare with what was applied.
    pub plan: String,
    /// What the host's ledger has, in its order.
    pub owned: Vec<Owned>,
    /// Resources of the plan that the ledger does not have. For those that are on the host already and differ it says so:
    /// [`Moved::Foreign`].
    pub unapplied: Vec<(Address, Option<Moved>)>,
    /// What the plan has made and does not hold any more, and what is on the host all the same.
    pub kept: Vec<Record>,
    /// Names of units whose restart is owed, and of commands whose run is.
    pub owed: Vec<String>,
    /// The applies that the host remembers, oldest first.
    pub history: Vec<Applied>,
}

/// A resource that the plan owns on the host.
#[derive(Debug, Clone)]
pub struct Owned {
    /// Its address in the plan; in the ledger, where it has left the plan.
    pub address: Address,
    /// How it is.
    pub standing: Standing,
    /// What it holds, each with what was there before, where the host has noted that.
    pub objects: Vec<(Object, Option<Was>)>,
}

/// How something that the plan owns is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As the plan wants it.
    Same,
    /// Not as the plan wants it, and which side has moved.
    Moved(Moved),
    /// It has left the plan, and the next apply takes it away.
    Orphaned,
    /// That could not be found out.
    Undecided(Undecided),
}

/// Asks a host how a plan stands there: what [`observe_with`] asks, and one exchange more; another where something is kept.
///
/// # Errors
/// As for [`observe_with`].
pub async fn status(
    plan: &Plan,
    host: &Host,
    lent: &Lent,
    connection: &dyn Connection,
    now: OffsetDateTime,
) -> Result<Status, EngineError> {
    let changes = observe_with(plan, host, lent, connection).await?.diff(now);
    let name = plan.name();
    let records = Ask::Records { plan: name.to_owned(), scope: Scope::Origin };
    let asks = BTreeSet::from([records, Ask::History(name.to_owned()), Ask::Owed(name.to_owned())]);
    let answers = connection.ask(&asks).await?;
    let records = answers.records(name, Scope::Origin).map_err(EngineError::Memory)?;
    let kept = left(&changes, records);
    let kept = if kept.is_empty() {
        kept
    } else {
        let takeback =
            Takeback { records: &kept, scope: Scope::Origin, data: Data::Keep, ..changes.observed.takeback() };
        let answers = connection.ask(&takeback.asks()).await?;
        kept.into_iter().filter(|record| is_there(&record.object, &answers)).collect()
    };
    Ok(Status {
        owned: owned(&changes, records),
        unapplied: unapplied(&changes),
        kept,
        owed: answers.owed(name).map_err(EngineError::Memory)?.clone(),
        history: answers.history(name).map_err(EngineError::Memory)?.clone(),
        plan: plan.digest().to_owned(),
        changes,
    })
}

fn owned(changes: &Changes, records: &[Record]) -> Vec<Owned> {
    let own = |address: &Address, standing: Standing, objects: &[Object]| {
        let was = |object: &Object| records.iter().find(|record| record.object == *object).map(|r| r.was.clone());
        let objects = objects.iter().map(|object| (object.clone(), was(object))).collect();
        Owned { address: address.clone(), standing, objects }
    };
    let orphans = &changes.observed.ownership.orphans;
    let mut owned: Vec<Owned> =
        orphans.iter().map(|(entry, lost)| own(&entry.address, Standing::Orphaned, lost)).collect();
    for ((address, _), item) in changes.observed.graph.resources().zip(&changes.items) {
        let Some(entry) = changes.observed.ownership.entry(address) else { continue };
        let lost = orphans.iter().find(|(orphan, _)| orphan.address == entry.address).map(|(_, lost)| lost);
        let held = entry.objects.iter().filter(|object| !lost.is_some_and(|lost| lost.contains(object)));
        let held: Vec<Object> = held.cloned().collect();
        owned.push(own(address, standing(item), &held));
    }
    owned
}

fn standing(item: &Result<Change, Undecided>) -> Standing {
    match item {
        Ok(change) if change.is_none() => Standing::Same,
        Ok(change) => Standing::Moved(change.moved.unwrap_or(Moved::Follows)),
        Err(reason) => Standing::Undecided(reason.clone()),
    }
}

fn unapplied(changes: &Changes) -> Vec<(Address, Option<Moved>)> {
    let items = changes.observed.graph.resources().zip(&changes.items);
    items
        .filter(|((address, _), _)| changes.observed.ownership.entry(address).is_none())
        .map(|((address, _), item)| (address.clone(), item.as_ref().ok().and_then(|change| change.moved)))
        .collect()
}

/// What was made by the plan and is in its ledger no more. What a resource makes for itself beside what it holds, such as the
/// directory of a definition, goes by the resource's name.
fn left(changes: &Changes, records: &[Record]) -> Vec<Record> {
    let ownership = &changes.observed.ownership;
    let entries: Vec<&Entry> =
        ownership.entries.values().chain(ownership.orphans.iter().map(|(entry, _)| entry)).collect();
    let held = |object: &Object| entries.iter().any(|entry| entry.objects.contains(object));
    let beside = |record: &Record| {
        let known = entries.iter().any(|entry| entry.address == record.address);
        known && record.object.path().is_some() && record.address.kind() != "directory"
    };
    let left = records.iter().filter(|record| record.was == Was::Absent && !held(&record.object) && !beside(record));
    left.cloned().collect()
}

fn is_there(object: &Object, answers: &Answers) -> bool {
    match object {
        Object::Path(path) => answers.path(path).is_ok_and(|state| state.entry().is_some()),
        // With a name it is that which counts.
        Object::Image(id) if object.image_id().is_some() => answers
            .images(&id.manager)
            .is_ok_and(|images| images.iter().any(|image| image.id == id.name && image.names.is_empty())),
        Object::Image(name) => answers
            .images(&name.manager)
            .is_ok_and(|images| images.iter().any(|image| image.names.contains(&name.name))),
        Object::Volume { name, unit } => answers.stored(Store::Volume, &unit.beside(name)).is_ok_and(|there| *there),
        Object::Network { name, unit } => answers.stored(Store::Network, &unit.beside(name)).is_ok_and(|there| *there),
        Object::Knob(knob) => knob.sort().thing && answers.knob(knob).is_ok_and(|state| state != ABSENT),
        Object::Edit(edit) => Draft::look(&edit.path, answers)
            .is_ok_and(|draft| edit.shown(draft.text()).is_ok_and(|text| text.is_some())),
        Object::Unit(_) | Object::Snapshot { .. } => false,
    }
}
