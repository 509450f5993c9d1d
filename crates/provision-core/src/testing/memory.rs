//! What a made-up host remembers of plans, as `ledger.rs` has it: ledgers, records, history, who is at it.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{State, bytes, owner};
use crate::address::Address;
use crate::attribute::Mode;
use crate::blob::sha256_hex;
use crate::knob::ABSENT;
use crate::ledger::{Applied, Ended, Ledger, LedgerFound, LockFound, Memory, Records, Scope};
use crate::object::{Object, Record, Was};
use crate::path::AbsPath;
use crate::probe::{Entry, Sort, UnitState};
use crate::saved::Saved;
use crate::step::reply::Heard;
use crate::step::{Batch, Journal, Keep, Outcome, Purpose, Refusal, Task};
use crate::systemd::Managed;

/// Below it there is a directory for each plan.
const HOME: &str = "/var/lib/provision";

/// What a host remembers of one plan.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The ledger.
    pub ledger: Option<Vec<u8>>,
    /// What objects were before the plan first touched them, by their keys.
    pub origin: BTreeMap<String, Noted>,
    /// The applies, by their numbers.
    pub applies: BTreeMap<u32, Past>,
    /// Who is at it.
    pub lock: Option<LockFound>,
    /// How many bytes of what an apply that was cut has begun to send are there, by its digest.
    pub arriving: BTreeMap<String, u64>,
    /// The apply that this connection began.
    pub(super) current: Option<u32>,
    pub(super) keep: Option<Keep>,
}

/// A record, with the copy of what stood there.
#[derive(Debug, Clone)]
pub struct Noted {
    /// As the host writes it down.
    pub record: Record,
    /// What stood at a path.
    pub copy: Option<(Entry, Vec<u8>)>,
    /// Data as they were.
    pub data: Vec<(AbsPath, (Entry, Vec<u8>))>,
}

/// One apply, and what was there before it.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The file `head`.
    pub head: Vec<u8>,
    /// In the order in which they were made.
    pub noted: Vec<Noted>,
    /// The ledger, as it was.
    pub ledger: Option<Vec<u8>>,
    /// What was owed.
    pub owed: BTreeSet<String>,
    /// Records of the origin that went because their object was taken back.
    pub dropped: BTreeMap<String, Noted>,
    /// How it ended; absent when it was cut or goes on.
    pub result: Option<Ended>,
}

impl Past {
    fn has(&self, object: &Object) -> bool {
        self.noted.iter().any(|noted| noted.record.object == *object)
    }

    fn copies(&self) -> u64 {
        let size = |noted: &Noted| noted.copy.as_ref().map_or(0, |(_, content)| content.len() as u64);
        self.noted.iter().chain(self.dropped.values()).map(size).sum()
    }
}

impl Remembered {
    fn last(&self) -> Option<Applied> {
        let (number, past) = self.applies.last_key_value()?;
        let result = past.result.unwrap_or(Ended::Cut);
        Some(Applied { number: *number, result, head: serde_json::from_slice(&past.head).ok() })
    }

    fn noted(&self, scope: Scope) -> Vec<&Noted> {
        match scope {
            Scope::Origin => self.origin.values().collect(),
            Scope::Apply(number) => self.applies.get(&number).into_iter().flat_map(|past| &past.noted).collect(),
        }
    }

    /// The oldest go until the rest is few and small enough; the newest stays in any case.
    fn prune(&mut self) {
        let Some(keep) = self.keep else { return };
        let size = |applies: &BTreeMap<u32, Past>| applies.values().map(Past::copies).sum::<u64>();
        while self.applies.len() > 1 && (self.applies.len() > keep.applies as usize || size(&self.applies) > keep.bytes)
        {
            self.applies.pop_first();
        }
    }

    fn is_empty(&self) -> bool {
        self.ledger.is_none() && self.origin.is_empty() && self.applies.is_empty()
    }
}

impl State {
    pub(super) fn memory(&self, plan: &str, expected: &str) -> Memory {
        let known = self.plans.get(plan).cloned().unwrap_or_default();
        let held = self.held.clone().map(|holder| LockFound { holder, alive: true });
        let ledger = match &known.ledger {
            None => LedgerFound::Absent,
            Some(text) if sha256_hex(text) == expected => LedgerFound::Same,
            Some(text) => LedgerFound::Other(text.clone()),
        };
        let mut others = BTreeMap::new();
        for (name, other) in self.plans.iter().filter(|(name, _)| *name != plan) {
            if let Some(ledger) = other.ledger.as_deref().and_then(|text| Ledger::read(text).ok()) {
                let objects = ledger.resources.into_iter().flat_map(|entry| entry.objects).collect();
                others.insert(name.clone(), objects);
            }
        }
        let (last, touched) = (known.last(), !known.origin.is_empty());
        let directory = format!("{HOME}/{plan}");
        Memory { directory, ledger, last, lock: held.or(known.lock), others, touched, arriving: known.arriving }
    }

    pub(super) fn records(&self, plan: &str, scope: Scope) -> Records {
        let noted = self.plans.get(plan).map(|known| known.noted(scope)).unwrap_or_default();
        noted.into_iter().map(|noted| noted.record.clone()).collect()
    }

    pub(super) fn history(&self, plan: &str) -> Vec<Applied> {
        let Some(known) = self.plans.get(plan) else { return Vec::new() };
        let applied = |(number, past): (&u32, &Past)| Applied {
            number: *number,
            result: past.result.unwrap_or(Ended::Cut),
            head: serde_json::from_slice(&past.head).ok(),
        };
        known.applies.iter().map(applied).collect()
    }

    /// A copy that is kept of what stood at a path, by the path of that copy.
    pub(super) fn copy_at(&self, path: &AbsPath) -> Option<&(Entry, Vec<u8>)> {
        let below = path.as_str().strip_prefix(HOME)?.strip_prefix('/')?;
        let (plan, below) = below.split_once('/')?;
        let (directory, name) = below.rsplit_once('/')?;
        let scope = match directory.strip_prefix("history/") {
            Some(number) => Scope::Apply(number.parse().ok()?),
            None => (directory == Scope::Origin.directory()).then_some(Scope::Origin)?,
        };
        let noted = self.noted(plan, scope, name.strip_suffix(".was")?)?;
        noted.copy.as_ref().filter(|(entry, _)| matches!(entry.sort, Sort::File | Sort::Link(_)))
    }

    pub(super) fn noted(&self, plan: &str, scope: Scope, key: &str) -> Option<&Noted> {
        self.plans.get(plan)?.noted(scope).into_iter().find(|noted| noted.record.object.key() == key)
    }

    /// Lets an exchange in, and writes down what comes before its tasks; gives the apply that it belongs to.
    pub(super) fn admit(
        &mut self,
        batch: &Batch,
        tell: &mut (dyn FnMut(Heard) + Send),
    ) -> Result<Option<u32>, Refusal> {
        let Batch { plan, journal, .. } = batch;
        // One only looks; the other is for hosts that can be cut off, which this one cannot.
        if let Purpose::Watch | Purpose::Disarm = journal.purpose {
            return Ok(None);
        }
        if let Some(holder) = &self.held {
            if !journal.wait.is_zero() {
                tell(Heard::Waiting(holder.clone()));
            }
            return Err(Refusal::Locked(holder.clone()));
        }
        if let Purpose::Begin { rehearsals, .. } = &journal.purpose
            && let Some(flaws) = rehearsals.iter().find_map(|rehearsal| self.rehearse(rehearsal))
        {
            return Err(Refusal::Rehearsal(flaws));
        }
        let found = self.memory(plan, "").stamp();
        let stamp = match &journal.purpose {
            Purpose::Begin { stamp, .. } | Purpose::Rollback { stamp, .. } => Some(stamp),
            Purpose::End { stamp, .. } => stamp.as_ref(),
            // Somebody who does steps outside of an apply: nothing is written down about those.
            Purpose::Continue if self.plans.get(plan).is_none_or(|known| known.current.is_none()) => return Ok(None),
            Purpose::Continue | Purpose::Watch | Purpose::Disarm => None,
        };
        self.lock(plan, journal, tell);
        if stamp.is_some_and(|stamp| *stamp != found) {
            self.release(plan);
            return Err(Refusal::Moved(found));
        }
        match &journal.purpose {
            Purpose::Begin { head, ledger, keep, .. } => match (bytes(head), bytes(ledger)) {
                (Ok(head), Ok(ledger)) => Ok(Some(self.begin(batch, head, ledger, *keep))),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.release(plan);
                    Err(Refusal::Journal(reason))
                }
            },
            Purpose::Continue => {
                let current = self.plans.get(plan).and_then(|known| known.current);
                if let Some(number) = current {
                    self.note_early(batch, number);
                }
                Ok(current)
            }
            Purpose::Rollback { number, .. } => {
                // Until it is whole, the apply is there in part.
                let known = self.plans.get_mut(plan);
                if let Some(past) = known.and_then(|known| known.applies.get_mut(number)) {
                    past.result = None;
                }
                Ok(Some(*number))
            }
            Purpose::Watch | Purpose::Disarm => Ok(None),
            Purpose::End { .. } => Ok(self.plans.get(plan).and_then(Remembered::last).map(|last| last.number)),
        }
    }

    fn lock(&mut self, plan: &str, journal: &Journal, tell: &mut (dyn FnMut(Heard) + Send)) {
        let known = self.plans.entry(plan.to_owned()).or_default();
        if let Some(LockFound { holder, alive: false }) = &known.lock {
            tell(Heard::TookOver(holder.clone()));
        }
        let holder = format!("{} since {}", journal.who, journal.since);
        known.lock = Some(LockFound { holder, alive: true });
    }

    fn release(&mut self, plan: &str) {
        if let Some(known) = self.plans.get_mut(plan) {
            (known.lock, known.current) = (None, None);
            if known.is_empty() {
                self.plans.remove(plan);
            }
        }
    }

    fn begin(&mut self, batch: &Batch, head: Vec<u8>, ledger: Vec<u8>, keep: Keep) -> u32 {
        let owed = self.owed.clone();
        let known = self.plans.entry(batch.plan.clone()).or_default();
        let number = known.applies.last_key_value().map_or(1, |(last, _)| last + 1);
        known.applies.insert(number, Past { head, ledger: known.ledger.take(), owed, ..Past::default() });
        (known.ledger, known.current, known.keep) = (Some(ledger), Some(number), Some(keep));
        self.note_early(batch, number);
        number
    }

    fn note_early(&mut self, batch: &Batch, number: u32) {
        for task in batch.tasks.iter().filter(|task| !task.late) {
            self.note(&batch.plan, number, task);
        }
    }

    /// Notes what the objects of a task are, each once an apply, and once for ever as what it was in the first place.
    pub(super) fn note(&mut self, plan: &str, number: u32, task: &Task) {
        let objects = task.steps.iter().flat_map(|step| step.objects().into_iter().map(move |object| (step, object)));
        for (step, object) in objects {
            let (was, copy) = match step.rewrite() {
                Some(rewrite) => (Was::Edit, bytes(&rewrite.note).ok().map(kept)),
                None => self.what_is(&object),
            };
            let Some(known) = self.plans.get_mut(plan) else { continue };
            let Some(past) = known.applies.get_mut(&number).filter(|past| !past.has(&object)) else { continue };
            let record = Record { apply: number, address: task.address.clone(), was, object };
            let noted = Noted { record, copy, data: Vec::new() };
            past.noted.push(noted.clone());
            if !task.drifted.contains(&noted.record.object) {
                known.origin.entry(noted.record.object.key()).or_insert(noted);
            }
        }
    }

    /// Keeps the data of a unit as they are.
    pub(super) fn save(&mut self, plan: &str, apply: Option<u32>, address: &Address, unit: &Managed, data: &[Saved]) {
        for of in data {
            let Saved::Path(path) = of else { continue };
            let data: Vec<_> = self.entries.iter().filter(|(found, _)| found.is_within(path)).collect();
            let data: Vec<_> = data.into_iter().map(|(path, found)| (path.clone(), found.clone())).collect();
            let bytes = data.iter().map(|(_, (_, content))| content.len() as u64).sum();
            let was = if data.is_empty() { Was::Absent } else { Was::Copy(bytes) };
            let object = Object::Snapshot { unit: unit.clone(), of: of.clone() };
            let known = self.plans.get_mut(plan);
            if let (Some(number), Some(known)) = (apply, known)
                && let Some(past) = known.applies.get_mut(&number).filter(|past| !past.has(&object))
            {
                let record = Record { apply: number, address: address.clone(), was, object };
                past.noted.push(Noted { record, copy: None, data });
            }
        }
    }

    fn what_is(&self, object: &Object) -> (Was, Option<(Entry, Vec<u8>)>) {
        let there = |there: bool| if there { Was::Present } else { Was::Absent };
        let was = match object {
            Object::Path(path) => match self.entries.get(path) {
                None => Was::Absent,
                Some(found @ (entry, content)) => return (what_stands(entry, content), Some(found.clone())),
            },
            Object::Unit(unit) => self.units.get(&unit.to_string()).map_or_else(
                || Was::Unit { active: "unknown".to_owned(), file: "unknown".to_owned() },
                |UnitState { active, file, .. }| {
                    let file = if file.is_empty() { "none" } else { file };
                    Was::Unit { active: active.clone(), file: file.to_owned() }
                },
            ),
            Object::Image(id) if object.image_id().is_some() => {
                let there = self.images_seen(&id.manager).iter().any(|image| image.id == id.name);
                if there { Was::Image(id.name.clone()) } else { Was::Absent }
            }
            Object::Image(name) => {
                let mut images = self.images_seen(&name.manager).iter();
                let image = images.find(|image| image.names.contains(&name.name));
                image.map_or(Was::Absent, |image| Was::Image(image.id.clone()))
            }
            // What it is says the step that touches it.
            Object::Edit(_) => Was::Edit,
            // Noted when it is copied.
            Object::Snapshot { .. } => Was::Absent,
            Object::Knob(knob) => match self.knob(knob) {
                state if state == ABSENT => Was::Absent,
                state => {
                    return (Was::Knob, Some(kept(state.into_bytes())));
                }
            },
            Object::Volume { name, unit } => there(self.volumes.contains(&unit.beside(name).to_string())),
            Object::Network { name, unit } => there(self.networks.contains(&unit.beside(name).to_string())),
        };
        (was, None)
    }

    /// An object is as it was before the plan first touched it: its record goes, for as long as the apply stands.
    pub(super) fn drop_origin(&mut self, plan: &str, number: u32, key: &str) {
        let Some(known) = self.plans.get_mut(plan) else { return };
        if let Some((past, noted)) = known.applies.get_mut(&number).zip(known.origin.remove(key)) {
            past.dropped.insert(key.to_owned(), noted);
        }
    }

    /// Writes down what comes after the tasks.
    pub(super) fn conclude(&mut self, batch: &Batch, outcomes: &[Outcome]) -> Result<(), String> {
        let Batch { plan, journal, .. } = batch;
        let done = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done { .. } | Outcome::NotNeeded));
        match &journal.purpose {
            Purpose::Rollback { number, stays, .. } => {
                if done {
                    self.take_back(plan, *number, stays);
                }
                self.release(plan);
            }
            Purpose::Begin { .. } | Purpose::Continue | Purpose::Watch | Purpose::Disarm => {}
            Purpose::End { result, ledger, vanish, .. } => {
                let known = self.plans.entry(plan.clone()).or_default();
                if let Some(ledger) = ledger {
                    known.ledger = Some(bytes(ledger)?);
                }
                // A cut is told by there being no word.
                if let Some(mut last) = known.applies.last_entry().filter(|_| *result != Ended::Cut) {
                    last.get_mut().result.get_or_insert(*result);
                }
                known.prune();
                let vanishes = *vanish && known.origin.is_empty();
                self.release(plan);
                if vanishes {
                    self.plans.remove(plan);
                }
            }
        }
        Ok(())
    }

    fn take_back(&mut self, plan: &str, number: u32, stays: &[String]) {
        if let Some(known) = self.plans.get_mut(plan)
            && let Some(past) = known.applies.get_mut(&number)
        {
            known.origin.retain(|key, noted| noted.record.apply != number || stays.contains(key));
            known.origin.append(&mut past.dropped);
            known.ledger = past.ledger.clone();
            self.owed = past.owed.clone();
            past.result = Some(Ended::RolledBack);
        }
    }

    /// The connection goes away: whoever finds the locks sees that nobody is there any more.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.cut_at = None;
        // The program on the host goes with it, and what it was about to do in the end is not done.
        self.reload = false;
        for known in self.plans.values_mut() {
            known.current = None;
            if let Some(lock) = &mut known.lock {
                lock.alive = false;
            }
        }
    }
}

/// A note that is kept beside a record.
fn kept(content: Vec<u8>) -> (Entry, Vec<u8>) {
    let root = || owner(None);
    let size = content.len() as u64;
    (Entry { sort: Sort::File, mode: Mode::new(0o600), user: root(), group: root(), size }, content)
}

fn what_stands(entry: &Entry, content: &[u8]) -> Was {
    let (mode, user, group) = (entry.mode, entry.user.id, entry.group.id);
    match entry.sort {
        Sort::Directory => Was::Directory { mode, user, group },
        Sort::File => Was::File { mode, user, group, size: content.len() as u64, sha256: sha256_hex(content) },
        Sort::Link(_) => Was::Link,
        Sort::Other => Was::Other,
    }
}
