//! How things stand on a host, as one digest: enough to tell that something has moved, and never of a secret's text.
//!
//! What a resource shares with others counts only as far as it is its own: of the images, the zone and the directories
//! above, what concerns others may move.

use sha2::{Digest, Sha256};

use crate::blob::hex;
use crate::edit::Edit;
use crate::edit::draft::Draft;
use crate::engine::Changes;
use crate::knob::secret::{self, SecretState};
use crate::object::{Object, Record, Was};
use crate::path::AbsPath;
use crate::probe::{
    Answers, Ask, Entry, FileState, ImageState, PathState, PublicKeyState, Sort, Undecided, UnitState, Wanted,
};
use crate::request::Reply;
use crate::resource::Resource;
use crate::systemd::{Managed, Manager};

/// Of a resource of the plan: over what it asks.
pub(super) fn of_resource(resource: &dyn Resource, changes: &Changes) -> String {
    let objects = resource.objects();
    let mut state = State::new(changes.answers(), &objects);
    for ask in resource.asks() {
        state.ask(&ask);
    }
    state.finish()
}

/// Of something that leaves: over the objects that are given back.
pub(super) fn of_leaving(records: &[&Record], changes: &Changes) -> String {
    let objects: Vec<Object> = records.iter().map(|record| record.object.clone()).collect();
    let mut state = State::new(changes.answers(), &objects);
    for record in records {
        state.ask(&Ask::standing(&record.object));
        state.beside(record);
    }
    state.finish()
}

struct State<'a> {
    answers: &'a Answers,
    objects: &'a [Object],
    hash: Sha256,
}

impl<'a> State<'a> {
    fn new(answers: &'a Answers, objects: &'a [Object]) -> Self {
        Self { answers, objects, hash: Sha256::new() }
    }

    fn finish(self) -> String {
        hex(&self.hash.finalize())
    }

    /// With its length, so that no two lists of texts look the same.
    fn put(&mut self, text: &str) {
        self.hash.update(format!("{}:{text}", text.len()));
    }

    fn ask(&mut self, ask: &Ask) {
        let answers = self.answers;
        let text = match ask {
            // A directory above is its own resource's, or nobody's.
            Ask::Path(path) if !self.is_ours(path) => return,
            Ask::Path(path) => answers.path(path).map(standing),
            // Its digest would be that of a secret.
            Ask::File { content: Wanted::Never, .. } | Ask::Joined(_) => return,
            Ask::File { path, .. } if self.edits(path).next().is_some() => self.pieces(path),
            Ask::File { path, content } => answers.file(path, content).map(file),
            Ask::PublicKey(path) => answers.public_key(path).map(public_key),
            // Whether a user's manager runs at all, and what a user may do, comes and goes.
            Ask::Unit(name) if !self.objects.contains(&Object::Unit(name.clone())) => return,
            Ask::Unit(name) => answers.unit(name).map(unit),
            Ask::Knob(knob) if !self.objects.contains(&Object::Knob(knob.clone())) => return,
            // Its digest would be that of a secret.
            Ask::Knob(knob) if knob.sort().word == secret::WORD => {
                answers.knob(knob).map(|state| format!("knob {}", SecretState::open(state)))
            }
            Ask::Images(manager) => answers.images(manager).map(|images| self.images(manager, images)),
            Ask::Guard(guard) => answers.guard(guard).map(|status| format!("guard {status}")),
            // Why there is no answer is said in other words each time.
            Ask::Query(query) => answers.query(query).map(|reply| match reply {
                Reply::NoAnswer(_) => "query unanswered".to_owned(),
                Reply::Expected => "query yes".to_owned(),
                Reply::Other(status) => format!("query {status}"),
            }),
            Ask::Listing(path) => answers.listing(path).map(|names| format!("names {names:?}")),
            Ask::Stored { sort, name } => answers.stored(*sort, name).map(|there| format!("stored {there}")),
            Ask::Knob(knob) => answers.knob(knob).map(|state| format!("knob {state}")),
            // What it is for is looked at anew in any case.
            Ask::Here(_) | Ask::Podman | Ask::Generated(_) | Ask::Layers { .. } => return,
            Ask::Owed(_) | Ask::Memory { .. } | Ask::Records { .. } | Ask::History(_) => return,
        };
        let text = text.unwrap_or_else(|_| "unknown".to_owned());
        self.put(&text);
    }

    /// What counts of a path that leaves besides what stands there.
    fn beside(&mut self, record: &Record) {
        let Object::Path(path) = &record.object else { return };
        let answers = self.answers;
        let entry = answers.path(path).ok().and_then(PathState::entry);
        match (&record.was, entry.map(|entry| (&entry.sort, entry.mode))) {
            (Was::Absent, Some((Sort::Directory, _))) => self.ask(&Ask::Listing(path.clone())),
            // What not everybody may read may be a secret.
            (Was::File { .. }, Some((Sort::File, mode))) if mode.is_public() => {
                self.ask(&Ask::File { path: path.clone(), content: Wanted::Always });
            }
            _ => {}
        }
    }

    fn edits(&self, path: &AbsPath) -> impl Iterator<Item = &'a Edit> {
        let objects = self.objects.iter();
        let edits = objects.filter_map(|object| if let Object::Edit(edit) = object { Some(edit) } else { None });
        let path = path.clone();
        edits.filter(move |edit| edit.path == path)
    }

    /// Only the pieces of a file that are ours; of what not everybody may read nothing.
    fn pieces(&self, path: &AbsPath) -> Result<String, Undecided> {
        let draft = Draft::look(path, self.answers)?;
        if !draft.is_public() {
            return Ok("pieces".to_owned());
        }
        let pieces: Vec<Option<String>> = self.edits(path).filter_map(|edit| edit.shown(draft.text()).ok()).collect();
        Ok(format!("pieces {pieces:?}"))
    }

    fn is_ours(&self, path: &AbsPath) -> bool {
        self.objects.iter().any(|object| object.path() == Some(path))
    }

    fn images(&self, manager: &Manager, images: &[ImageState]) -> String {
        let is_ours = |name: &&String| {
            let own = Object::Image(Managed::new(manager, name.as_str()));
            self.objects.contains(&own)
        };
        let mut ours: Vec<String> = images
            .iter()
            .flat_map(|image| image.names.iter().filter(is_ours).map(move |name| format!("{name} {}", image.id)))
            .collect();
        ours.sort();
        format!("images {ours:?}")
    }
}

fn standing(state: &PathState) -> String {
    let Some(Entry { sort, mode, user, group, size }) = state.entry() else { return "absent".to_owned() };
    let of_its_own = match sort {
        Sort::File => size.to_string(),
        Sort::Link(target) => target.clone(),
        // The size of a directory says how much was ever in it.
        Sort::Directory | Sort::Other => String::new(),
    };
    format!("{} {mode} {} {} {of_its_own}", sort.name(), user.id, group.id)
}

fn file(state: &FileState) -> String {
    match state {
        FileState::Absent => "no file".to_owned(),
        FileState::Present { sha256, .. } => format!("file {sha256}"),
    }
}

fn public_key(state: &PublicKeyState) -> String {
    match state {
        PublicKeyState::Absent => "no key".to_owned(),
        PublicKeyState::Unseen => "key unseen".to_owned(),
        PublicKeyState::Unreadable => "key unreadable".to_owned(),
        PublicKeyState::Present(sha256) => format!("key {sha256}"),
    }
}

/// Without what comes and goes by itself.
fn unit(state: &UnitState) -> String {
    let UnitState { load, active, sub: _, file, stale } = state;
    format!("unit {load} {active} {file} {stale}")
}
