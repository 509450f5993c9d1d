//! How a made-up host answers questions.

use super::state::State;
use crate::blob::sha256_hex;
use crate::path::AbsPath;
use crate::probe::{
    Answer, Ask, CONTENT_LIMIT, Entry, FileState, PathState, PublicKeyState, Sort, Store, UnitState, Wanted,
};
use crate::request::{Query, Reply};
use crate::x509::public_key_sha256;

impl State {
    /// What stands at a path: in the tree, or a copy that is kept of what stood there.
    pub(super) fn at(&self, path: &AbsPath) -> Option<&(Entry, Vec<u8>)> {
        self.entries.get(path).or_else(|| self.copy_at(path))
    }

    pub(super) fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Path(path) => {
                Answer::Path(self.at(path).map_or(PathState::Absent, |(entry, _)| PathState::Present(entry.clone())))
            }
            Ask::File { path, content } => Answer::File(self.file(path, content)),
            Ask::PublicKey(path) => Answer::PublicKey(match self.at(path) {
                Some((entry, _)) if entry.sort == Sort::File && self.lacks_openssl => PublicKeyState::Unseen,
                Some((entry, content)) if entry.sort == Sort::File => {
                    public_key_sha256(content).map_or(PublicKeyState::Unreadable, PublicKeyState::Present)
                }
                _ => PublicKeyState::Absent,
            }),
            Ask::Joined(paths) => Answer::Joined(self.joined(paths)),
            Ask::Unit(unit) if self.asleep.contains(&unit.manager) => Answer::Unit(UnitState::asleep()),
            Ask::Unit(unit) => Answer::Unit(self.unit_named(&unit.to_string()).unwrap_or_else(UnitState::unknown)),
            Ask::Images(manager) => Answer::Images(self.images_seen(manager).to_vec()),
            Ask::Layers { .. } => Answer::Layers(self.layers.clone()),
            Ask::Podman => Answer::Podman(self.podman),
            Ask::Generated(rehearsal) => Answer::Generated(self.generated(rehearsal)),
            Ask::Guard(guard) => Answer::Guard(self.status(&guard.argv)),
            Ask::Query(query) => Answer::Query(self.reply(query)),
            Ask::Here(name) => Answer::Here(self.names_here.get(name.as_str()).cloned().unwrap_or_default()),
            Ask::Owed(_) => Answer::Owed(self.owed.iter().cloned().collect()),
            Ask::Memory { plan, ledger } => Answer::Memory(self.memory(plan, ledger)),
            Ask::Records { plan, scope } => Answer::Records(self.records(plan, *scope)),
            Ask::History(plan) => Answer::History(self.history(plan)),
            Ask::Listing(path) => Answer::Listing(self.names_in(path)),
            Ask::Knob(knob) => Answer::Knob(self.knob(knob)),
            Ask::Stored { sort, name } => Answer::Stored(match sort {
                Store::Volume => self.volumes.contains(&name.to_string()),
                Store::Network => self.networks.contains(&name.to_string()),
            }),
        }
    }

    /// What a query is answered: yes once what it asks for was made.
    pub(super) fn reply(&self, query: &Query) -> Reply {
        match self.replies.get(&query.request.url) {
            _ if self.requested.contains(&query.request.url) => Reply::Expected,
            Some(reply) => reply.clone(),
            None => Reply::Other(404),
        }
    }

    fn file(&self, path: &AbsPath, wanted: &Wanted) -> FileState {
        match self.at(path) {
            Some((entry, content)) if entry.sort == Sort::File => {
                let sha256 = sha256_hex(content);
                let shown = match wanted {
                    Wanted::Never => false,
                    Wanted::Unless(digest) => *digest != sha256,
                    Wanted::Always => true,
                };
                let content = shown.then(|| content.iter().take(CONTENT_LIMIT).copied().collect());
                FileState::Present { sha256, content }
            }
            _ => FileState::Absent,
        }
    }

    fn joined(&self, paths: &[AbsPath]) -> Option<String> {
        let contents = paths.iter().map(|path| self.at(path).filter(|(entry, _)| entry.sort == Sort::File));
        let whole: Option<Vec<&[u8]>> = contents.map(|found| found.map(|(_, content)| content.as_slice())).collect();
        whole.map(|parts| sha256_hex(&parts.concat()))
    }

    /// The names of what stands directly in a directory, sorted.
    pub(super) fn names_in(&self, directory: &AbsPath) -> Vec<String> {
        let mut names: Vec<String> = self
            .entries
            .keys()
            .filter(|path| path.parent().as_ref() == Some(directory))
            .map(|path| path.name().to_owned())
            .collect();
        names.sort();
        names
    }
}
