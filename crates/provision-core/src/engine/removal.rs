//! What is taken back: of what the host was before, as its records have it, and of what it is now, the change that leads
//! back and the steps that make it.
//!
//! Nothing here knows kinds: a resource that has left the plan has no spec any more, only the objects that it held.

use std::collections::{BTreeMap, BTreeSet};

use self::image::{is_named, short_name};
use crate::address::Address;
use crate::change::{Action, Attribute, Change, Shown};
use crate::edit::draft::{Draft, Drafts};
use crate::edit::{Edit, EditError, Note};
use crate::knob::firewall::{self, FIREWALL};
use crate::knob::random::RANDOM;
use crate::knob::{ABSENT, Knob, http, secret};
use crate::ledger::{Memory, Scope};
use crate::object::{Object, Record, Was};
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, FileState, PathState, Sort, Store, Undecided, UnitState, Wanted, is_up};
use crate::saved::{Saved, amount};
use crate::step::{After, Data, Revert, Rewrite, Step, UnitAction};
use crate::systemd::{Managed, Manager, path_name};

mod image;

/// What may stay for being data.
fn is_data(object: &Object) -> bool {
    match object {
        Object::Path(_) | Object::Image(_) | Object::Volume { .. } => true,
        Object::Knob(knob) => knob.sort().word == RANDOM.word,
        _ => false,
    }
}

/// A resource, or what is left of one, on its way out.
#[derive(Debug)]
pub(crate) struct Removal {
    /// Its address when it was applied.
    pub(crate) address: Address,
    /// What is shown of it.
    pub(crate) change: Result<Change, Undecided>,
    /// What takes it back: also what only forgets a record, where there is nothing to see.
    pub(crate) steps: Vec<Step>,
    /// The keys of what stays because it is data.
    pub(crate) stays: Vec<String>,
    /// What follows once everything else has been taken back.
    pub(crate) after: Vec<Step>,
}

/// What is taken back, and under which rule.
pub(crate) struct Takeback<'a> {
    pub(crate) plan: &'a str,
    pub(crate) memory: &'a Memory,
    /// When the apply began that is taken back.
    pub(crate) when: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) data: Data,
    pub(crate) records: &'a [Record],
    /// What the plan still holds: a directory above any of it stays.
    pub(crate) held: BTreeSet<&'a Object>,
    /// What is data because the plan said so.
    pub(crate) stays: &'a BTreeSet<Object>,
}

/// What of the host is another by the time that the next is taken back.
#[derive(Default)]
struct Way {
    /// Paths that are no longer there: a directory with nothing else in it goes as well.
    gone: BTreeSet<AbsPath>,
    /// Files of which pieces have been put back.
    drafts: Drafts,
    /// Units to be stopped by the definition that they have now: they get another one back, and hold a network that goes.
    stops: BTreeSet<Managed>,
}

/// One object on its way back.
enum Back {
    /// It is as it was.
    Same,
    /// It differs, and will be put back.
    Changes(Vec<Attribute>),
    /// It stays, and why.
    Kept(String),
}

impl Takeback<'_> {
    /// What to ask of the host.
    pub(crate) fn asks(&self) -> BTreeSet<Ask> {
        let mut asks = BTreeSet::new();
        for record in self.records {
            asks.insert(Ask::standing(&record.object));
            if let Object::Edit(edit) = &record.object {
                asks.insert(Ask::Path(edit.path.clone()));
            }
            match (&record.object, &record.was) {
                (Object::Path(path), Was::Absent) => _ = asks.insert(Ask::Listing(path.clone())),
                (Object::Path(path), Was::File { .. }) => {
                    let files = std::iter::once(path.clone()).chain(self.copy(record));
                    asks.extend(files.map(|path| Ask::File { path, content: Wanted::Always }));
                }
                (Object::Knob(_), Was::Knob) | (Object::Edit(_), Was::Edit) => {
                    asks.extend(self.copy(record).map(|path| Ask::File { path, content: Wanted::Always }));
                }
                (Object::Path(_), Was::Link) => asks.extend(self.copy(record).map(Ask::Path)),
                (Object::Unit(_), _) => _ = asks.insert(Ask::Owed(self.plan.to_owned())),
                _ => {}
            }
        }
        asks
    }

    fn copy(&self, record: &Record) -> Option<AbsPath> {
        self.memory.copy(self.scope, &record.object)
    }

    /// The removals of some resources, each with its objects in the order in which they were made; given in the order in
    /// which they were applied, and taken back the other way round.
    /// Also the files of which pieces are put back, as they are then.
    pub(crate) fn removals(&self, resources: &[(Address, Vec<Object>)], answers: &Answers) -> (Vec<Removal>, Drafts) {
        let records: BTreeMap<&Object, &Record> = self.records.iter().map(|record| (&record.object, record)).collect();
        let mut way = Way { stops: held_up(&records, answers), ..Way::default() };
        let mut found: Vec<(Removal, Vec<&Record>)> = Vec::new();
        for (address, objects) in resources.iter().rev() {
            let records: Vec<&Record> =
                objects.iter().rev().filter_map(|object| records.get(object).copied()).collect();
            let mut steps = Vec::new();
            let mut stays = Vec::new();
            let change = self.take_back(&records, answers, &mut way, (&mut steps, &mut stays));
            found.push((Removal { address: address.clone(), change, steps, stays, after: Vec::new() }, records));
        }
        // What a unit that runs has taken in: files, pieces of them, and secrets of podman's.
        let files = found.iter().any(|(removal, records)| {
            let mut attributes = removal.change.iter().flat_map(|change| &change.attributes);
            let rewrites = removal.steps.iter().filter_map(Step::rewrite).any(|rewrite| rewrite.after != After::Same);
            let secrets: Vec<String> = records.iter().filter_map(|record| secret_title(&record.object)).collect();
            rewrites
                || attributes.any(|attribute| {
                    attribute.name.starts_with('/') || secrets.iter().any(|title| *title == attribute.name)
                })
        });
        // A unit that is stopped for its data to be put back does not run any more, whatever it was.
        let halted: BTreeSet<Managed> = found
            .iter()
            .flat_map(|(removal, _)| &removal.steps)
            .filter_map(|step| match step {
                Step::Revert(Revert { object: Object::Snapshot { unit, .. }, .. }) => Some(unit.clone()),
                _ => None,
            })
            .collect();
        let empty = Vec::new();
        let owed = answers.owed(self.plan).unwrap_or(&empty);
        let finish = |(mut removal, records): (Removal, Vec<&Record>)| {
            let restarts =
                |record: &Record| files || matches!(&record.object, Object::Unit(unit) if halted.contains(unit));
            let after = records.iter().flat_map(|record| self.resumed(record, answers, restarts(record), owed));
            removal.after = after.collect();
            if let Ok(change) = &mut removal.change {
                settle(change, &removal.address, &records, &removal.after);
            }
            removal
        };
        (found.into_iter().map(finish).collect(), way.drafts)
    }

    /// The second half of a unit's way back, once the files are back: what started at boot does so again, and what ran runs with
    /// them. Its record goes last, so that an apply that is cut before knows what is left to do.
    fn resumed(&self, record: &Record, answers: &Answers, restarts: bool, owed: &[String]) -> Vec<Step> {
        let (Object::Unit(unit), Was::Unit { active, file }) = (&record.object, &record.was) else { return Vec::new() };
        let Ok(now) = answers.unit(unit) else { return Vec::new() };
        if !is_up(active) && file != "enabled" {
            return Vec::new();
        }
        let step = |action| Step::Unit { unit: unit.clone(), action };
        let mut steps = Vec::new();
        if file == "enabled" && now.file != "enabled" {
            steps.push(step(UnitAction::Enable));
        }
        if is_up(active) {
            match (now.is_up(), restarts || owed.contains(&unit.to_string())) {
                (false, _) => steps.push(step(UnitAction::Start)),
                (true, true) => steps.push(step(UnitAction::Restart)),
                (true, false) => {}
            }
        }
        steps.push(self.revert(record));
        steps
    }

    /// What a step of ours was to take back and has not, in the answers after it. The copy that a file came back from may be
    /// gone by then.
    pub(crate) fn remains(&self, step: &Step, answers: &Answers) -> Option<String> {
        let Step::Revert(Revert { object, .. }) = step else { return None };
        let record = self.records.iter().find(|record| record.object == *object)?;
        let message = |state: &str| Some(format!("{} is still {state}", name(object)));
        match (object, &record.was) {
            (Object::Edit(edit), _) => {
                let wanted = match &step.rewrite()?.after {
                    After::Same => return None,
                    After::Gone => "",
                    After::Content(blob) => std::str::from_utf8(blob.bytes()?).ok()?,
                };
                let now = Draft::look(&edit.path, answers).ok()?;
                if edit.shown(now.text()).ok()? == edit.shown(wanted).ok()? { None } else { message("not what it was") }
            }
            (Object::Path(path), Was::Absent) => answers.path(path).ok()?.entry().and_then(|_| message("there")),
            (Object::Path(path), Was::File { sha256, .. }) => match answers.file(path, &Wanted::Always) {
                Ok(FileState::Present { sha256: found, .. }) if found == sha256 => None,
                _ => message("not what it was"),
            },
            (Object::Path(path), _) => answers.path(path).ok()?.entry().map_or_else(|| message("gone"), |_| None),
            // Whether they are back nobody but the host can tell.
            (Object::Snapshot { .. }, _) => None,
            // Something may still use it, and then the host has said so.
            (object, _) if object.image_id().is_some() => None,
            // It says itself what may stay of it; where that was so, the host has said why.
            (Object::Knob(knob), Was::Absent) if knob.sort().stays.is_some() => None,
            _ => match self.back(record, answers, &BTreeSet::new()) {
                Ok(Back::Changes(_)) => message("not what it was"),
                _ => None,
            },
        }
    }

    fn revert(&self, record: &Record) -> Step {
        Step::Revert(Revert { object: record.object.clone(), scope: self.scope, data: self.data, rewrite: None })
    }

    fn take_back(
        &self,
        records: &[&Record],
        answers: &Answers,
        way: &mut Way,
        (steps, stays): (&mut Vec<Step>, &mut Vec<String>),
    ) -> Result<Change, Undecided> {
        let mut change = Change::new(Action::Remove);
        for record in records {
            if let Object::Edit(edit) = &record.object {
                let (back, rewrite) = self.edit(edit, record, answers, &mut way.drafts)?;
                if let Back::Changes(attributes) = back {
                    change.attributes.extend(attributes);
                }
                let (object, scope, data) = (record.object.clone(), self.scope, self.data);
                steps.push(Step::Revert(Revert { object, scope, data, rewrite: Some(rewrite) }));
                continue;
            }
            match self.back(record, answers, &way.gone)? {
                Back::Same => {}
                Back::Changes(attributes) => change.attributes.extend(attributes),
                Back::Kept(why) => {
                    if is_data(&record.object) {
                        stays.push(record.object.key());
                    }
                    // An image that has a name stays by that.
                    if record.object.image_id().is_some_and(|id| is_named(id, answers)) {
                        continue;
                    }
                    change.reasons.push(format!("{} stays: {why}", name(&record.object)));
                    continue;
                }
            }
            if let (Object::Snapshot { unit, of }, Was::Copy(_)) = (&record.object, &record.was) {
                change.reasons.push(format!(
                    "stops {unit} and puts {} back: what has been written to it since then is lost",
                    of.title()
                ));
            }
            if let (Object::Knob(knob), Was::Absent, Data::Keep) = (&record.object, &record.was, self.data)
                && let Some(stays) = knob.sort().stays
                && answers.knob(knob).is_ok_and(|now| now != ABSENT)
            {
                change.reasons.push(stays.to_owned());
            }
            if let (Object::Path(path), Was::Absent) = (&record.object, &record.was) {
                way.gone.insert(path.clone());
            }
            match &record.object {
                Object::Unit(unit) if comes_back(record) => {
                    if way.stops.contains(unit) {
                        steps.push(Step::Unit { unit: unit.clone(), action: UnitAction::Stop });
                    }
                }
                _ => steps.push(self.revert(record)),
            }
        }
        Ok(change)
    }

    fn back(&self, record: &Record, answers: &Answers, gone: &BTreeSet<AbsPath>) -> Result<Back, Undecided> {
        let Record { was, object, .. } = record;
        match object {
            Object::Path(path) => self.path(path, record, answers, gone),
            Object::Unit(unit) => Ok(unit_back(unit, was, answers.unit(unit)?)),
            Object::Image(id) if object.image_id().is_some() => Ok(self.image_itself(id, was, answers)),
            Object::Image(name) => self.image(name, was, answers),
            Object::Volume { name, unit } => {
                let name = unit.beside(name);
                if *was == Was::Present || !*answers.stored(Store::Volume, &name)? {
                    return Ok(Back::Same);
                }
                Ok(self.data(|| one(format!("volume {}", name.spelled()), "present".into(), Shown::Absent)))
            }
            // Of those the file counts, and what else is put back in it.
            Object::Edit(_) => Ok(Back::Same),
            Object::Knob(knob) => self.knob(knob, record, answers),
            Object::Snapshot { unit, of } => Ok(self.snapshot(unit, of, was, answers)),
            Object::Network { name, unit } => {
                let name = unit.beside(name);
                if *was == Was::Present || !*answers.stored(Store::Network, &name)? {
                    return Ok(Back::Same);
                }
                Ok(Back::Changes(vec![one(format!("network {}", name.spelled()), "present".into(), Shown::Absent)]))
            }
        }
    }

    /// A piece of a file: what it was goes into the file as it is now.
    fn edit(
        &self,
        edit: &Edit,
        record: &Record,
        answers: &Answers,
        drafts: &mut Drafts,
    ) -> Result<(Back, Rewrite), Undecided> {
        let path = &edit.path;
        let wrong = |error: EditError| {
            let message = format!("{} cannot be put back: {path}: {error}", edit.title());
            Undecided::with_help(message, "put that right on the host, then go on")
        };
        let mut draft = Draft::of(path, answers, drafts)?;
        if !draft.exists() {
            // Whoever took the file away has taken the piece along.
            return Ok((Back::Same, draft.rewrite(edit, None).map_err(wrong)?));
        }
        let kept = match self.copy(record).map(|copy| answers.file(&copy, &Wanted::Always)) {
            Some(Ok(FileState::Present { content: Some(content), .. })) => Note::read(content).ok(),
            _ => None,
        };
        let note = kept.ok_or_else(|| {
            let help = "put it back by hand, then go on";
            Undecided::with_help(format!("the note of what {} was cannot be read on the host", edit.title()), help)
        })?;
        let new = edit.put_back(draft.text(), &note).map_err(wrong)?;
        let shown = |text: &str| -> Result<Shown, Undecided> {
            Ok(match edit.shown(text).map_err(wrong)? {
                Some(_) if note.hidden || !draft.is_public() => Shown::Secret,
                text => text.into(),
            })
        };
        let attributes =
            if new == draft.text() { Vec::new() } else { vec![one(edit.title(), shown(draft.text())?, shown(&new)?)] };
        let goes = note.no_file && edit.is_hollow(&new);
        let rewrite = draft.rewrite(edit, (!goes).then_some(new)).map_err(wrong)?;
        drafts.insert(path.clone(), draft);
        Ok((if attributes.is_empty() { Back::Same } else { Back::Changes(attributes) }, rewrite))
    }

    fn knob(&self, knob: &Knob, record: &Record, answers: &Answers) -> Result<Back, Undecided> {
        let now = answers.knob(knob)?;
        let is_gone = |state: &str| state == ABSENT || (is_of_firewall(knob) && firewall::is_closed(state));
        let shown = |state: &str| if is_gone(state) { Shown::Absent } else { (knob.sort().show)(state).into() };
        let before = match (&record.was, self.copy(record)) {
            (Was::Knob, Some(copy)) => match answers.file(&copy, &Wanted::Always)? {
                FileState::Present { content: Some(content), .. } => String::from_utf8_lossy(content).into_owned(),
                _ => {
                    return Err(Undecided::new(format!("the note of how {} was cannot be read: {copy}", knob.title())));
                }
            },
            _ => ABSENT.to_owned(),
        };
        // Its text is only what takes it back.
        if knob.sort().word == http::WORD && before != ABSENT {
            let gone = || Back::Kept("it was taken back by a request, and only an apply makes it again".to_owned());
            return Ok(if *now == ABSENT { gone() } else { Back::Same });
        }
        if knob.sort().word == RANDOM.word && before == ABSENT && *now != ABSENT && self.data == Data::Keep {
            return Ok(Back::Kept("it is a secret, which data may need".to_owned()));
        }
        // Two secrets look the same.
        if knob.sort().word == secret::WORD && *now != before {
            let hidden = |state: &str| if state == ABSENT { Shown::Absent } else { Shown::Secret };
            return Ok(Back::Changes(vec![one(knob.title(), hidden(now), hidden(&before))]));
        }
        let is_back = *now == before || (is_of_firewall(knob) && firewall::is_back(now, &before));
        Ok(if is_back { Back::Same } else { changed(knob.title(), shown(now), shown(&before)) })
    }

    /// Data are not compared: the newer ones, whatever they are, go.
    fn snapshot(&self, unit: &Managed, of: &Saved, was: &Was, answers: &Answers) -> Back {
        let when = self.when.as_deref().map_or_else(|| "before this apply".to_owned(), |when| format!("at {when}"));
        let gone = answers.knob(&of.extent(&unit.manager)).is_ok_and(|extent| extent == ABSENT);
        match (was, of) {
            (Was::Absent, _) if gone => Back::Same,
            (Was::Absent, Saved::Volume(_)) => Back::Kept("it has come since, and a volume is data".to_owned()),
            (Was::Absent, Saved::Path(_)) => Back::Changes(vec![one(
                of.title(),
                "as it is now".into(),
                format!("(absent), as it was {when}").into(),
            )]),
            (was, _) => {
                let size = if let Was::Copy(bytes) = was { format!(", {}", amount(*bytes)) } else { String::new() };
                let now = if gone { Shown::Absent } else { "as it is now".into() };
                Back::Changes(vec![one(of.title(), now, format!("as it was {when}{size}").into())])
            }
        }
    }

    fn data(&self, attribute: impl FnOnce() -> Attribute) -> Back {
        match self.data {
            Data::Keep => Back::Kept("it is data, and only --delete-data removes that".to_owned()),
            Data::Delete => Back::Changes(vec![attribute()]),
        }
    }

    fn path(
        &self,
        path: &AbsPath,
        record: &Record,
        answers: &Answers,
        gone: &BTreeSet<AbsPath>,
    ) -> Result<Back, Undecided> {
        let now = answers.path(path)?;
        let label = path.to_string();
        match (&record.was, now) {
            (Was::Absent, PathState::Absent) => Ok(Back::Same),
            (Was::Absent, PathState::Present(entry)) => {
                if self.stays.contains(&record.object) && self.scope == Scope::Origin {
                    return Ok(self.data(|| one(label, stands(entry).into(), Shown::Absent)));
                }
                if entry.sort == Sort::Directory {
                    let below = self.held.iter().filter_map(|object| object.path());
                    if below.into_iter().any(|held| held.is_within(path)) {
                        return Ok(Back::Kept("the plan still has something in it".to_owned()));
                    }
                    // What is on a file system that is unmounted before is not in the directory.
                    let covered = self.records.iter().any(|record| is_mount_on(record, path));
                    let left = if covered { Vec::new() } else { left_in(path, answers.listing(path)?, gone) };
                    if !left.is_empty() && self.data == Data::Keep {
                        let why = format!(
                            "it has {} in it that {} not of this plan ({}), and only --delete-data removes that",
                            counted(left.len()),
                            if left.len() == 1 { "is" } else { "are" },
                            some(&left)
                        );
                        return Ok(Back::Kept(why));
                    }
                    let more = if left.is_empty() { String::new() } else { format!(" with {}", some(&left)) };
                    return Ok(Back::Changes(vec![one(label, format!("directory{more}").into(), Shown::Absent)]));
                }
                Ok(Back::Changes(vec![one(label, stands(entry).into(), Shown::Absent)]))
            }
            (Was::Directory { mode, user, group }, PathState::Present(entry)) if entry.sort == Sort::Directory => {
                let was = format!("directory {mode} {user}:{group}");
                let is = format!("directory {} {}:{}", entry.mode, entry.user.id, entry.group.id);
                Ok(changed(label, is.into(), was.into()))
            }
            (Was::Directory { .. }, PathState::Absent) => {
                Ok(Back::Changes(vec![one(label, Shown::Absent, "directory".into())]))
            }
            (Was::File { .. }, now) => self.file(path, record, now, answers),
            (Was::Link, now) => {
                let copy = self.copy(record).ok_or_else(|| lost(path))?;
                let target = |state: &PathState| match state.entry().map(|entry| &entry.sort) {
                    Some(Sort::Link(target)) => Some(format!("link to {target}")),
                    _ => None,
                };
                let was = target(answers.path(&copy)?).ok_or_else(|| lost(path))?;
                let is = target(now).or_else(|| now.entry().map(stands));
                Ok(changed(label, is.into(), was.into()))
            }
            (was, PathState::Present(entry)) => Err(Undecided::with_help(
                format!("{path} is a {} now and was something else before ({was})", entry.sort.name()),
                "move it away by hand: it is not removed without being asked",
            )),
            (was, PathState::Absent) => Err(Undecided::with_help(
                format!("{path} was there before ({was}), and there is no copy to put back"),
                "make it by hand, then go on",
            )),
        }
    }

    /// A file that was there before: its copy goes back.
    fn file(&self, path: &AbsPath, record: &Record, now: &PathState, answers: &Answers) -> Result<Back, Undecided> {
        let Was::File { mode, user, group, size, sha256 } = &record.was else { return Ok(Back::Same) };
        let copy = self.copy(record).ok_or_else(|| lost(path))?;
        let content = |path: &AbsPath| match answers.file(path, &Wanted::Always) {
            Ok(FileState::Present { sha256, content }) => Some((sha256.clone(), content.clone())),
            _ => None,
        };
        let Some((_, kept)) = content(&copy) else { return Err(lost(path)) };
        // What not everybody may read is shown to nobody.
        let is_public = mode.is_public() && now.entry().is_none_or(|entry| entry.mode.is_public());
        let shown = |content: Option<Vec<u8>>, size: u64, sha256: &str| {
            let text = content.filter(|bytes| is_public && bytes.len() as u64 == size);
            match text.and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => Shown::Content(text),
                None if is_public => Shown::Bytes { length: size, sha256: sha256.to_owned() },
                None => Shown::Secret,
            }
        };
        let mut attributes = Vec::new();
        let before = match now {
            PathState::Absent => Some(Shown::Absent),
            PathState::Present(entry) if entry.sort == Sort::File => {
                let (found, content) = content(path).ok_or_else(|| Undecided::new(format!("cannot read {path}")))?;
                let owner = |mode: String, user: u32, group: u32| format!("{mode} {user}:{group}");
                let is = owner(entry.mode.to_string(), entry.user.id, entry.group.id);
                let was = owner(mode.to_string(), *user, *group);
                if is != was {
                    attributes.push(one(format!("{path} mode and owner"), is.into(), was.into()));
                }
                (found != *sha256).then(|| shown(content, entry.size, &found))
            }
            PathState::Present(entry) => Some(stands(entry).into()),
        };
        if let Some(before) = before {
            attributes.insert(0, one(path.to_string(), before, shown(kept, *size, sha256)));
        }
        Ok(if attributes.is_empty() { Back::Same } else { Back::Changes(attributes) })
    }
}

/// Says what the whole comes down to, and what a person may wonder about.
fn settle(change: &mut Change, address: &Address, records: &[&Record], after: &[Step]) {
    for step in after {
        if let Step::Unit { unit, action } = step {
            change.reasons.push(format!("{} {unit} afterwards, which was up or enabled before", action.verb()));
        }
    }
    // A unit that was up or enabled before has not come with the plan.
    let came = |record: &&Record| matches!(record.was, Was::Absent | Was::Unit { .. }) && !comes_back(record);
    // What a piece of a file or of a firewall was is known from where it leads to.
    let taken_out = || change.attributes.iter().all(|attribute| attribute.after == Shown::Absent);
    let is_piece = |record: &Record| match &record.object {
        Object::Knob(knob) => is_of_firewall(knob),
        _ => record.was == Was::Edit,
    };
    let gone = records.iter().all(|record| came(record) || (is_piece(record) && taken_out()));
    if address.kind() == "command" {
        change.reasons.push("what the command did stays: it alone knows how to take it back".to_owned());
    }
    if address.kind() == "http" && records.is_empty() {
        change.reasons.push("what was requested stays: no request that takes it back is kept".to_owned());
    }
    let resumes = after.iter().any(|step| matches!(step, Step::Unit { .. }));
    if change.attributes.is_empty() && !resumes {
        change.action = Action::Keep;
    } else if !gone {
        change.action = Action::Restore;
    }
}

/// The half of a unit's way back that can be gone before anything else: it stops, and does not start at boot.
fn unit_back(unit: &Managed, was: &Was, now: &UnitState) -> Back {
    let Was::Unit { active, file } = was else { return Back::Same };
    let mut attributes = Vec::new();
    if now.is_up() && !is_up(active) {
        attributes.push(one(unit.to_string(), now.active.as_str().into(), "stopped".into()));
    }
    if now.file == "enabled" && file != "enabled" {
        attributes.push(one(format!("{unit} at boot"), "enabled".into(), "disabled".into()));
    }
    if attributes.is_empty() { Back::Same } else { Back::Changes(attributes) }
}

/// Whether it is a unit that ran or started at boot before, so that its way back has a second half.
fn comes_back(record: &Record) -> bool {
    matches!(&record.was, Was::Unit { active, file } if is_up(active) || file == "enabled")
}

/// Units that run, did before, and get the file back that defined them then, where a network goes: whatever they have in it
/// would hold it.
fn held_up(records: &BTreeMap<&Object, &Record>, answers: &Answers) -> BTreeSet<Managed> {
    let goes = |record: &&Record| matches!(record.object, Object::Network { .. }) && record.was != Was::Present;
    if !records.values().any(goes) {
        return BTreeSet::new();
    }
    let defines = |record: &Record, unit: &Managed| {
        let path = record.object.path().filter(|_| matches!(record.was, Was::File { .. } | Was::Link));
        path.is_some_and(|path| path.name() == unit.name && path.as_str().contains("/systemd/"))
    };
    let units = records.values().filter(|record| comes_back(record)).filter_map(|record| match &record.object {
        Object::Unit(unit) => Some(unit),
        _ => None,
    });
    units
        .filter(|unit| answers.unit(unit).is_ok_and(UnitState::is_up))
        .filter(|unit| records.values().any(|record| defines(record, unit)))
        .cloned()
        .collect()
}

/// Whether a record is of a file system on this directory, which was not there before.
fn is_mount_on(record: &Record, path: &AbsPath) -> bool {
    let Object::Unit(unit) = &record.object else { return false };
    let mounts = unit.manager == Manager::System && unit.name.strip_suffix(".mount") == Some(&path_name(path));
    mounts && !comes_back(record)
}

fn secret_title(object: &Object) -> Option<String> {
    if let Object::Knob(knob) = object { (knob.sort().word == secret::WORD).then(|| knob.title()) } else { None }
}

fn one(name: String, before: Shown, after: Shown) -> Attribute {
    Attribute { name: name.into(), before, after, applied: None }
}

fn is_of_firewall(knob: &Knob) -> bool {
    knob.sort().word == FIREWALL.word
}

fn changed(name: String, before: Shown, after: Shown) -> Back {
    if before == after { Back::Same } else { Back::Changes(vec![one(name, before, after)]) }
}

fn name(object: &Object) -> String {
    match object {
        Object::Image(id) if object.image_id().is_some() => short_name(id),
        Object::Path(path) => path.to_string(),
        Object::Edit(edit) => edit.title(),
        Object::Knob(knob) => knob.title(),
        other => other.to_string(),
    }
}

fn stands(entry: &crate::probe::Entry) -> String {
    match &entry.sort {
        Sort::File => format!("file, {} bytes", entry.size),
        Sort::Link(target) => format!("link to {target}"),
        other => other.name().to_owned(),
    }
}

/// What is in a directory besides what goes.
fn left_in(directory: &AbsPath, names: &[String], gone: &BTreeSet<AbsPath>) -> Vec<String> {
    let stays = |name: &&String| {
        // What an apply that was cut has left of its staging is swept before.
        let staged = name.starts_with('.') && name.ends_with(".provision-new");
        !staged && directory.join(name).map_or(true, |path| !gone.contains(&path))
    };
    names.iter().filter(stays).cloned().collect()
}

fn counted(number: usize) -> String {
    if number == 1 { "1 thing".to_owned() } else { format!("{number} things") }
}

/// The first names of some.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    if names.len() > SHOWN {
        text.push("...");
    }
    text.join(", ")
}

fn lost(path: &AbsPath) -> Undecided {
    Undecided::with_help(
        format!("the copy of what was at {path} before is gone from the host"),
        "put the file back by hand, then go on",
    )
}
