//! What is asked of a host, as data, and what it answers.
//!
//! Asking changes nothing. Every question of a batch goes out in one program; questions of one sort share one tool run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::attribute::{Account, Mode};
use crate::image_archive::Layers;
use crate::knob::Knob;
use crate::ledger::{Applied, Memory, Records, Scope};
use crate::object::Object;
use crate::path::AbsPath;
use crate::quadlet::PodmanVersion;
use crate::request::{Query, Reply};
use crate::step::Rehearsal;
use crate::systemd::{Managed, Manager};
use crate::transport::Resolved;
use crate::x509::DnsName;

pub(crate) mod generator;
mod memory;
mod podman;
pub(crate) mod reply;
#[cfg(test)]
pub(crate) mod runtime_tests;
pub(crate) mod script;
pub(crate) mod store;
#[cfg(test)]
mod tests;

/// One question. Equal questions are asked once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// What stands at a path, links not followed.
    Path(AbsPath),
    /// The digest of a regular file, and maybe what is in it.
    File {
        /// Where it is.
        path: AbsPath,
        /// When its content is wanted.
        content: Wanted,
    },
    /// The public half of the private key in a file; the key itself stays on the host.
    PublicKey(AbsPath),
    /// The digest of some files one after another, such as of a certificate and its key; the files stay on the host.
    Joined(Vec<AbsPath>),
    /// A systemd unit, by its full name.
    Unit(Managed),
    /// The images in somebody's store of podman's.
    Images(Manager),
    /// Which of some layers, by their digests `sha256:...`, are in somebody's store of podman's.
    Layers {
        /// Whose.
        manager: Manager,
        /// Of what is unpacked, or of what that comes from.
        digests: BTreeSet<String>,
    },
    /// Which podman there is.
    Podman,
    /// What podman's own generator makes of Quadlet files as they are and as they are to be.
    Generated(Rehearsal),
    /// Whether a command succeeds. It must be one that changes nothing.
    Guard(Guard),
    /// Whether something answers a request as expected. It must be one that changes nothing.
    Query(Query),
    /// The units whose restart is noted as owed for a plan.
    Owed(String),
    /// What the host remembers of a plan.
    Memory {
        /// The plan's name.
        plan: String,
        /// SHA-256 of the ledger as it would be if nothing had moved: that one need not be sent.
        ledger: String,
    },
    /// The records of a plan: what was there before.
    Records {
        /// The plan's name.
        plan: String,
        /// Which.
        scope: Scope,
    },
    /// The applies of a plan that the host still remembers.
    History(String),
    /// The names in a directory; of nothing where there is none.
    Listing(AbsPath),
    /// Whether podman has a volume or a network of a name.
    Stored {
        /// Which of the two.
        sort: Store,
        /// Its name.
        name: Managed,
    },
    /// The state of a knob.
    Knob(Knob),
    /// What a name leads to on this side, where the plan is applied from: nothing is asked of the host.
    Here(DnsName),
}

impl Ask {
    /// What tells how an object stands.
    #[must_use]
    pub fn standing(object: &Object) -> Self {
        match object {
            Object::Path(path) => Self::Path(path.clone()),
            Object::Unit(name) => Self::Unit(name.clone()),
            Object::Image(name) => Self::Images(name.manager.clone()),
            Object::Volume { name, unit } => Self::Stored { sort: Store::Volume, name: unit.beside(name) },
            Object::Network { name, unit } => Self::Stored { sort: Store::Network, name: unit.beside(name) },
            Object::Edit(edit) => Self::File { path: edit.path.clone(), content: Wanted::Always },
            Object::Knob(knob) => Self::Knob(knob.clone()),
            Object::Snapshot { unit, of } => Self::Knob(of.extent(&unit.manager)),
        }
    }
}

/// What podman keeps by name besides images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Volumes.
    Volume,
    /// Networks.
    Network,
}

/// When the content of a file is wanted besides its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Never: it may be secret.
    Never,
    /// When its SHA-256 (lower-case hex) is another.
    Unless(String),
    /// Whatever it is.
    Always,
}

/// A command that is run for its exit status alone, its input empty and its output thrown away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard {
    /// Program and arguments; no shell sees them.
    pub argv: Vec<String>,
    /// Where it runs; the login directory without it.
    pub directory: Option<AbsPath>,
    /// Longest time it may take.
    pub limit: Duration,
}

/// Most bytes of a file's content that come back with a probe; longer ones are known by their digest alone.
pub const CONTENT_LIMIT: usize = 256 * 1024;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Ask::Path`].
    Path(PathState),
    /// To [`Ask::File`].
    File(FileState),
    /// To [`Ask::PublicKey`].
    PublicKey(PublicKeyState),
    /// To [`Ask::Joined`]: SHA-256 in lower-case hex; none when one of them is absent, no regular file, or not ours to read.
    Joined(Option<String>),
    /// To [`Ask::Unit`].
    Unit(UnitState),
    /// To [`Ask::Images`].
    Images(Vec<ImageState>),
    /// To [`Ask::Layers`].
    Layers(Layers),
    /// To [`Ask::Podman`].
    Podman(PodmanState),
    /// To [`Ask::Generated`].
    Generated(Generated),
    /// To [`Ask::Guard`]: its exit status; 124 when the time was up, as `timeout` has it, 127 when there is no such
    /// program, 126 when it cannot be run or not where it should.
    Guard(i32),
    /// To [`Ask::Query`].
    Query(Reply),
    /// To [`Ask::Owed`].
    Owed(Vec<String>),
    /// To [`Ask::Memory`].
    Memory(Memory),
    /// To [`Ask::Records`].
    Records(Records),
    /// To [`Ask::History`], oldest first.
    History(Vec<Applied>),
    /// To [`Ask::Listing`], sorted.
    Listing(Vec<String>),
    /// To [`Ask::Stored`].
    Stored(bool),
    /// To [`Ask::Knob`].
    Knob(String),
    /// To [`Ask::Here`].
    Here(Resolved),
    /// It could not be found out.
    Unknown(String),
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathState {
    /// Nothing.
    Absent,
    /// Something.
    Present(Entry),
}

impl PathState {
    /// The entry, when there is one.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Absent => None,
            Self::Present(entry) => Some(entry),
        }
    }
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub sort: Sort,
    /// Its permission bits.
    pub mode: Mode,
    /// Its owner.
    pub user: Owner,
    /// Its group.
    pub group: Owner,
    /// Size in bytes.
    pub size: u64,
}

/// The sorts of directory entry that are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sort {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link and what it says.
    Link(String),
    /// A device, a socket, a named pipe.
    Other,
}

impl Sort {
    /// What to call it in a message.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Link(_) => "link",
            Self::Other => "device, socket or pipe",
        }
    }
}

/// A user or group as the host names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The number.
    pub id: u32,
    /// The name; absent when the host knows none for the number.
    pub name: Option<String>,
}

impl Owner {
    /// Whether an account of a plan is this one.
    #[must_use]
    pub fn is(&self, account: &Account) -> bool {
        match account {
            Account::Id(id) => self.id == *id,
            Account::Name(name) => self.name.as_ref() == Some(name),
        }
    }

    /// The name, or the number where there is none.
    #[must_use]
    pub fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

/// A regular file with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// Nothing there, or something that is not a regular file.
    Absent,
    /// A regular file.
    Present {
        /// SHA-256 in lower-case hex.
        sha256: String,
        /// Its first [`CONTENT_LIMIT`] bytes, where they were wanted.
        content: Option<Vec<u8>>,
    },
}

/// What is known of a private key without taking it from its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKeyState {
    /// Nothing there, or something that is not a regular file.
    Absent,
    /// Nobody could look: the host has no openssl, or the file is not ours to read.
    Unseen,
    /// A file without a private key that can be used without a passphrase.
    Unreadable,
    /// The SHA-256 (lower-case hex) of the public half, as [`crate::x509::public_key_sha256`] has it.
    Present(String),
}

/// A unit, in the words of systemctl(1) and `org.freedesktop.systemd1(5)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitState {
    /// `LoadState`: `loaded`, `not-found`, `masked`... and `asleep`, where it is a user's and the manager of that user does
    /// not run.
    pub load: String,
    /// `ActiveState`: `active`, `inactive`, `failed`, `activating`...
    pub active: String,
    /// `SubState`: `running`, `exited`, `auto-restart`...
    pub sub: String,
    /// `UnitFileState`: `enabled`, `disabled`, `generated`, `static`... empty when there is no file.
    pub file: String,
    /// `NeedDaemonReload`: its files are newer than what systemd has read.
    pub stale: bool,
}

impl UnitState {
    /// Of a unit of a manager that does not run.
    #[must_use]
    pub fn asleep() -> Self {
        Self { load: "asleep".to_owned(), ..Self::unknown() }
    }

    /// Whether its manager does not run.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.load == "asleep"
    }

    /// Of a unit that nobody has read, as `systemctl show` has it.
    #[must_use]
    pub fn unknown() -> Self {
        let [load, active, sub] = ["not-found", "inactive", "dead"].map(str::to_owned);
        Self { load, active, sub, ..Self::default() }
    }

    /// Whether there is something to stop.
    #[must_use]
    pub fn is_up(&self) -> bool {
        is_up(&self.active)
    }
}

/// Whether a unit in this `ActiveState` is something to stop. A record says `unknown` of one that systemd did not know.
pub(crate) fn is_up(active: &str) -> bool {
    !matches!(active, "inactive" | "failed" | "maintenance" | "unknown")
}

/// An image in podman's store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ImageState {
    /// Its ID, which is the SHA-256 of its configuration, in hex.
    pub id: String,
    /// Digests of its manifests, of a list of platforms too when it came by one: `sha256:...`.
    pub digests: Vec<String>,
    /// Its names: `repository:tag`, or `repository@sha256:...` for one that was pulled by digest.
    pub names: Vec<String>,
}

/// podman as the host has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodmanState {
    /// There is none.
    #[default]
    Absent,
    /// One that cannot make units of Quadlet files, with its version where that can be told.
    WithoutQuadlet(Option<PodmanVersion>),
    /// This version.
    Present(PodmanVersion),
}

/// What a host's generator makes of Quadlet files: units by name, with their text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generated {
    /// Of the files as they are.
    pub before: BTreeMap<String, String>,
    /// Of the files as they are to be.
    pub after: BTreeMap<String, String>,
    /// What it complains of, with the files as they are to be.
    pub complaints: Vec<String>,
}

/// Why something could not be decided: not a difference, an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Undecided {
    /// What could not be found out, and why.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Undecided {
    /// Without advice.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// With advice.
    #[must_use]
    pub fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

/// The answers of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers(BTreeMap<Ask, Answer>);

macro_rules! typed {
    ($(#[$doc:meta] $method:ident($($argument:ident: $type:ty),*) $ask:expr => $variant:ident($answer:ty);)*) => {$(
        #[$doc]
        ///
        /// # Errors
        /// When it could not be found out, or was not asked.
        pub fn $method(&self, $($argument: $type),*) -> Result<&$answer, Undecided> {
            let ask = $ask;
            match self.0.get(&ask) {
                Some(Answer::$variant(answer)) => Ok(answer),
                Some(Answer::Unknown(reason)) => Err(Undecided::new(reason.clone())),
                Some(_) | None => Err(Undecided::new(format!("the host did not answer {ask:?}"))),
            }
        }
    )*};
}

impl Answers {
    /// Keeps an answer; a later one replaces an earlier one.
    pub fn insert(&mut self, ask: Ask, answer: Answer) {
        self.0.insert(ask, answer);
    }

    /// Keeps all the answers of others as well.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether a question has any answer.
    #[must_use]
    pub fn has(&self, ask: &Ask) -> bool {
        self.0.contains_key(ask)
    }

    typed! {
        /// What stands at a path.
        path(path: &AbsPath) Ask::Path(path.clone()) => Path(PathState);
        /// A file asked for with the same wish for its content.
        file(path: &AbsPath, content: &Wanted) Ask::File { path: path.clone(), content: content.clone() } => File(FileState);
        /// The public half of a private key.
        public_key(path: &AbsPath) Ask::PublicKey(path.clone()) => PublicKey(PublicKeyState);
        /// The digest of files one after another.
        joined(paths: &[AbsPath]) Ask::Joined(paths.to_vec()) => Joined(Option<String>);
        /// A unit.
        unit(name: &Managed) Ask::Unit(name.clone()) => Unit(UnitState);
        /// The images.
        images(manager: &Manager) Ask::Images(manager.clone()) => Images(Vec<ImageState>);
        /// Which layers are there.
        layers(manager: &Manager, digests: &BTreeSet<String>)
            Ask::Layers { manager: manager.clone(), digests: digests.clone() } => Layers(Layers);
        /// podman.
        podman() Ask::Podman => Podman(PodmanState);
        /// What podman's generator makes.
        generated(rehearsal: &Rehearsal) Ask::Generated(rehearsal.clone()) => Generated(Generated);
        /// A command's exit status.
        guard(guard: &Guard) Ask::Guard(guard.clone()) => Guard(i32);
        /// What came of a request.
        query(query: &Query) Ask::Query(query.clone()) => Query(Reply);
        /// The units that are owed a restart.
        owed(plan: &str) Ask::Owed(plan.to_owned()) => Owed(Vec<String>);
        /// What is remembered of a plan; asked for with the same digest of its ledger.
        memory(plan: &str, ledger: &str) Ask::Memory { plan: plan.to_owned(), ledger: ledger.to_owned() } => Memory(Memory);
        /// Records.
        records(plan: &str, scope: Scope) Ask::Records { plan: plan.to_owned(), scope } => Records(Records);
        /// The applies that are remembered.
        history(plan: &str) Ask::History(plan.to_owned()) => History(Vec<Applied>);
        /// The names in a directory.
        listing(path: &AbsPath) Ask::Listing(path.clone()) => Listing(Vec<String>);
        /// The state of a knob.
        knob(knob: &Knob) Ask::Knob(knob.clone()) => Knob(String);
        /// What a name leads to on this side.
        here(name: &DnsName) Ask::Here(name.clone()) => Here(Resolved);
        /// Whether podman has it.
        stored(sort: Store, name: &Managed) Ask::Stored { sort, name: name.clone() } => Stored(bool);
    }
}
