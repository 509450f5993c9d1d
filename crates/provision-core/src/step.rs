//! What is done to a host, as data. Steps are the only thing that can change one.

use std::time::Duration;

use crate::address::Address;
use crate::attribute::{Account, Mode};
use crate::blob::Blob;
use crate::edit::Edit;
use crate::fetch::Download;
use crate::knob::{ABSENT, Knob};
use crate::ledger::{Ended, Scope};
use crate::object::Object;
use crate::path::AbsPath;
use crate::probe::Guard;
use crate::request::Effect;
use crate::saved::Saved;
use crate::systemd::{Managed, Manager};

#[cfg(test)]
mod aloud_tests;
#[cfg(test)]
mod arrival_tests;
mod fetch;
mod journal;
pub(crate) mod lock;
mod note;
mod rehearsal;
pub(crate) mod reply;
mod request;
mod revert;
#[cfg(test)]
mod rewrite_tests;
#[cfg(all(test, unix))]
mod round_trip_tests;
#[cfg(test)]
mod runtime_tests;
pub(crate) mod script;
mod snapshot;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod undo;
#[cfg(test)]
mod user_tests;

pub(crate) use rehearsal::told;
pub use rehearsal::{Flaws, Laid, Rehearsal, Rehearsed};
pub use reply::{BatchReply, Heard, Outage, Refusal};

/// One change of a host. Each either happens whole or leaves what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes one directory; its parent must be there.
    MakeDirectory {
        /// Where.
        path: AbsPath,
        /// Its permission bits.
        mode: Mode,
        /// Who owns it.
        ownership: Ownership,
    },
    /// Makes one directory of mode 0755 unless it is there: one that several resources make as part of themselves.
    EnsureDirectory {
        /// Where; its parent must be there.
        path: AbsPath,
    },
    /// The same in a user's home, of mode 0700, with that user's rights alone: what root did there, a link could lead
    /// elsewhere.
    EnsureUserDirectory {
        /// Whose.
        manager: Manager,
        /// Where; its parent must be there.
        path: AbsPath,
    },
    /// Sets the permission bits and owners of what is there.
    SetAttributes {
        /// Where; not a link.
        path: AbsPath,
        /// Its permission bits, where they change.
        mode: Option<Mode>,
        /// Who owns it, where that changes.
        ownership: Ownership,
    },
    /// Puts a file in place: staged beside it, checked, then renamed over it.
    PutFile {
        /// Where.
        path: AbsPath,
        /// What is in it.
        content: Blob,
        /// Its permission bits.
        mode: Mode,
        /// Who owns it.
        ownership: Ownership,
        /// A command that must succeed before the file replaces the old one; `%s` in an argument is the staged file.
        validate: Vec<String>,
    },
    /// The same in a user's home, with that user's rights alone; then the file is the user's.
    PutUserFile {
        /// Whose.
        manager: Manager,
        /// Where.
        path: AbsPath,
        /// What is in it.
        content: Blob,
        /// Its permission bits.
        mode: Mode,
    },
    /// Downloads a file on the host, with curl or wget, and puts it in place once its digest is right.
    Fetch {
        /// Where it goes.
        path: AbsPath,
        /// Where it comes from, and its digest.
        download: Download,
        /// Permission bits.
        mode: Mode,
        /// Its owner and group.
        ownership: Ownership,
        /// Longest time that it may take.
        limit: Duration,
    },
    /// Puts a symbolic link in place of nothing or of another link.
    PutLink {
        /// Where.
        path: AbsPath,
        /// What it says.
        target: String,
    },
    /// The same in a user's home, with that user's rights alone.
    PutUserLink {
        /// Whose.
        manager: Manager,
        /// Where.
        path: AbsPath,
        /// What it says.
        target: String,
    },
    /// Removes a file, a link or an empty directory, with the rights of whoever's manager it is. Nothing there is as good.
    Remove {
        /// As whom.
        manager: Manager,
        /// Where.
        path: AbsPath,
    },
    /// Changes a piece of a file: the whole file is replaced by a copy of itself with new content, if it is still the one that
    /// was looked at.
    Rewrite {
        /// The piece.
        edit: Edit,
        /// The file's new content.
        rewrite: Rewrite,
        /// Permission bits of a file that is made.
        mode: Mode,
        /// Who owns a file that is made.
        ownership: Ownership,
    },
    /// Asks podman's own generator what it makes of Quadlet files that are not in place yet, and fails when it makes less
    /// than it should. It leaves no trace. The engine does it before an apply begins, with the files of all resources
    /// together, unless a command comes before that may bring podman or files.
    Rehearse(Rehearsal),
    /// Lets a manager of systemd's read its unit files anew, once, before its next unit is acted upon or at the end.
    ReloadUnits(Manager),
    /// Acts upon a systemd unit.
    Unit {
        /// By its full name.
        unit: Managed,
        /// What is done.
        action: UnitAction,
    },
    /// Stops a unit and copies its data aside, for a rollback of the apply to put back. Where there is no room for the copies, the
    /// unit is not stopped.
    Save {
        /// By its full name.
        unit: Managed,
        /// Its data.
        data: Vec<Saved>,
    },
    /// Loads an image archive into podman's store.
    LoadImage {
        /// The archive.
        archive: Blob,
        /// The ID that the image must have afterwards, in hex.
        id: String,
        /// The name it gets.
        name: Managed,
    },
    /// Gives an image in podman's store one more name.
    TagImage {
        /// Its ID in hex.
        id: String,
        /// The name; an image that had it loses it.
        name: Managed,
    },
    /// Lets podman fetch an image.
    PullImage {
        /// What is fetched.
        reference: Managed,
        /// As which platform, such as `linux/arm64`; the host's own without it.
        platform: Option<String>,
    },
    /// Takes an object back to what a record says that it was, and says in its output what it had to leave.
    Revert(Revert),
    /// Claims an object that a later step brings about by itself, such as the volume that a unit makes: it is noted what
    /// was there before, and nothing else is done.
    Claim(Object),
    /// Sets a knob.
    Turn {
        /// Which.
        knob: Knob,
        /// To what; [`crate::knob::ABSENT`] removes it.
        state: String,
        /// What it is made of besides, such as the bytes of an archive or a secret.
        input: Option<Blob>,
    },
    /// Runs a command.
    Run(Run),
    /// Makes a request that changes something, unless that has been done.
    Request(Box<Effect>),
    /// Asks until something answers as it should; from the host, with curl.
    Await(Await),
    /// Tells the last lines of the logs of some units.
    Overhear(Vec<Managed>),
}

/// A file of which only a piece is the plan's, as it is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Digests ([`Rewrite::NO_FILE`] for none) of the file as it was looked at, and as each step of the same apply before this
    /// one leaves it. It must be the last one when its turn comes, and one of them when what is there is noted.
    pub before: Vec<String>,
    /// What it becomes.
    pub after: After,
    /// What the piece is before ([`crate::edit::Note`]); it may hold a secret.
    pub note: Blob,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// It stays as it is.
    Same,
    /// It gets this content.
    Content(Blob),
    /// It goes.
    Gone,
}

impl Rewrite {
    /// In place of a digest: that there is no file.
    pub const NO_FILE: &str = "-";

    fn blob(&self) -> Option<&Blob> {
        if let After::Content(blob) = &self.after { Some(blob) } else { None }
    }
}

/// Owner and group, each only where it is to be set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The owner.
    pub user: Option<Account>,
    /// The group.
    pub group: Option<Account>,
}

/// What systemctl(1) is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAction {
    /// `enable`.
    Enable,
    /// `disable`.
    Disable,
    /// `start`, which the unit's limit of starts does not refuse (`StartLimitBurst=`, systemd.unit(5)).
    Start,
    /// `stop`.
    Stop,
    /// `restart`, which the unit's limit of starts does not refuse either.
    Restart,
    /// `reload`.
    Reload,
}

impl UnitAction {
    /// The verb.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Program and arguments; no shell sees them.
    pub argv: Vec<String>,
    /// Where it runs; the login directory without it.
    pub directory: Option<AbsPath>,
    /// Its standard input; empty without it. It is sent beside the script, so that it shows in no list of processes.
    pub input: Option<Blob>,
    /// Longest time it may take.
    pub limit: Duration,
    /// Looked at again just before: the command is left out when one of them says that it is not needed.
    pub guards: Vec<Need>,
}

/// A condition for a command to be needed. One that cannot be looked at, such as a program that is not there, fails the
/// step: it tells neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Nothing stands at the path.
    Absent(AbsPath),
    /// The guard fails.
    Fails(Guard),
    /// The guard succeeds.
    Succeeds(Guard),
}

/// An HTTP request that is repeated until its answer is right or the time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Await {
    /// Arguments for curl, without the program: made by the kind from typed values.
    pub curl: Vec<String>,
    /// Acceptable statuses.
    pub status: Vec<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// When to give up.
    pub limit: Duration,
    /// How long to wait between two tries.
    pub pause: Duration,
}

impl Step {
    /// What a person would call it, in the present tense.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::MakeDirectory { path, .. } => format!("make the directory {path}"),
            Self::EnsureDirectory { path } | Self::EnsureUserDirectory { path, .. } => {
                format!("make the directory {path} unless it is there")
            }
            Self::SetAttributes { path, .. } => format!("set mode and owner of {path}"),
            Self::Rewrite { edit, .. } => format!("edit {}", edit.title()),
            Self::PutFile { path, .. } | Self::PutUserFile { path, .. } => format!("put the file {path} in place"),
            Self::Fetch { path, .. } => format!("download {path}"),
            Self::PutLink { path, .. } | Self::PutUserLink { path, .. } => format!("put the link {path} in place"),
            Self::Remove { path, .. } => format!("remove what is at {path}"),
            Self::Rehearse(rehearsal) => rehearsal.describe(),
            Self::ReloadUnits(Manager::System) => "let systemd read its units".to_owned(),
            Self::ReloadUnits(Manager::Own) => "let systemd read the login user's units".to_owned(),
            Self::ReloadUnits(Manager::User(user)) => format!("let systemd read the units of {user}"),
            Self::Unit { unit, action } => format!("{} {unit}", action.verb()),
            Self::Save { unit, .. } => format!("stop {unit} and copy its data aside"),
            Self::LoadImage { name, .. } => format!("load the image {}", name.spelled()),
            Self::TagImage { name, .. } => format!("name the image {}", name.spelled()),
            Self::PullImage { reference, .. } => format!("pull the image {}", reference.spelled()),
            Self::Revert(revert) => revert.describe(),
            Self::Claim(object) => format!("claim {object}"),
            Self::Turn { knob, state, .. } if state == ABSENT => format!("remove {}", knob.title()),
            Self::Turn { knob, .. } => format!("set {}", knob.title()),
            Self::Run(run) => format!("run {}", run.argv.first().map_or("", String::as_str)),
            Self::Request(effect) => effect.request.title(),
            Self::Await(_) => "wait for an answer".to_owned(),
            Self::Overhear(_) => "read the log".to_owned(),
        }
    }

    /// What is sent beside the script.
    #[must_use]
    pub fn blob(&self) -> Option<&Blob> {
        match self {
            Self::Rewrite { rewrite, .. } => rewrite.blob(),
            Self::Revert(revert) => revert.rewrite.as_ref().and_then(Rewrite::blob),
            Self::PutFile { content, .. } | Self::PutUserFile { content, .. } => Some(content),
            Self::LoadImage { archive, .. } => Some(archive),
            Self::Turn { input, .. } => input.as_ref(),
            Self::Run(run) => run.input.as_ref(),
            _ => None,
        }
    }

    /// What is sent and kept on the host while it arrives. A command's input is not: its guard may say that it is not needed.
    pub(crate) fn kept(&self) -> Option<&Blob> {
        self.blob().filter(|blob| blob.is_kept() && !matches!(self, Self::Run(_)))
    }

    /// What may be large enough to be kept, to be told how much of it the host has. Files of which only a piece is the plan's
    /// never are.
    pub(crate) fn blob_mut(&mut self) -> Option<&mut Blob> {
        match self {
            Self::PutFile { content, .. } | Self::PutUserFile { content, .. } => Some(content),
            Self::LoadImage { archive, .. } => Some(archive),
            Self::Turn { input, .. } => input.as_mut(),
            _ => None,
        }
    }

    /// What it makes of a file of which only a piece is the plan's.
    #[must_use]
    pub fn rewrite(&self) -> Option<&Rewrite> {
        match self {
            Self::Rewrite { rewrite, .. } => Some(rewrite),
            Self::Revert(revert) => revert.rewrite.as_ref(),
            _ => None,
        }
    }

    /// What it makes or changes, to be noted before it is done.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        match self {
            Self::MakeDirectory { path, .. }
            | Self::EnsureDirectory { path }
            | Self::SetAttributes { path, .. }
            | Self::EnsureUserDirectory { path, .. }
            | Self::PutFile { path, .. }
            | Self::PutUserFile { path, .. }
            | Self::Fetch { path, .. }
            | Self::PutLink { path, .. }
            | Self::PutUserLink { path, .. }
            | Self::Remove { path, .. } => vec![Object::Path(path.clone())],
            // What becomes of the data is up to what is started next; they are noted when their copies are whole.
            Self::Unit { unit, .. } | Self::Save { unit, .. } => vec![Object::Unit(unit.clone())],
            // The image itself is there yet when another one has got its name.
            Self::LoadImage { id, name, .. } => {
                vec![Object::Image(Managed::new(&name.manager, id.as_str())), Object::Image(name.clone())]
            }
            Self::TagImage { name, .. } => vec![Object::Image(name.clone())],
            Self::PullImage { reference, .. } => vec![Object::Image(reference.clone())],
            Self::Rewrite { edit, .. } => vec![Object::Edit(edit.clone())],
            Self::Revert(revert) => vec![revert.object.clone()],
            Self::Claim(object) => vec![object.clone()],
            Self::Turn { knob, .. } => vec![Object::Knob(knob.clone())],
            Self::Request(effect) => effect.delete.iter().map(|delete| Object::Knob(delete.knob.clone())).collect(),
            Self::Rehearse(_) | Self::ReloadUnits(_) | Self::Run(_) | Self::Await(_) | Self::Overhear(_) => Vec::new(),
        }
    }

    /// How the step is taken back, given that what it replaced is known.
    #[must_use]
    pub fn undo(&self) -> Undo {
        match self {
            Self::MakeDirectory { .. } | Self::EnsureDirectory { .. } | Self::EnsureUserDirectory { .. } => {
                Undo::Remove
            }
            Self::SetAttributes { .. }
            | Self::PutFile { .. }
            | Self::PutUserFile { .. }
            | Self::Fetch { .. }
            | Self::PutLink { .. }
            | Self::PutUserLink { .. }
            | Self::Remove { .. }
            | Self::Rewrite { .. }
            | Self::TagImage { .. }
            | Self::Turn { .. } => Undo::Restore,
            Self::LoadImage { .. } | Self::PullImage { .. } => Undo::Remove,
            Self::Unit { action, .. } => match action {
                UnitAction::Enable | UnitAction::Disable | UnitAction::Start | UnitAction::Stop => Undo::Restore,
                UnitAction::Restart | UnitAction::Reload => Undo::Repeat,
            },
            Self::ReloadUnits(_) => Undo::Repeat,
            Self::Save { .. } => Undo::Restore,
            // What it replaced is noted like what any other step replaces.
            Self::Revert(_) => Undo::Restore,
            Self::Claim(_) => Undo::Remove,
            Self::Rehearse(_) | Self::Await(_) | Self::Overhear(_) => Undo::Nothing,
            Self::Run(_) => Undo::Impossible("what a command did is known to that command alone"),
            Self::Request(effect) if effect.delete.is_some() => Undo::Remove,
            Self::Request(_) => Undo::Impossible("what a request did is known to whoever was asked"),
        }
    }
}

/// How a step is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// What it made is removed.
    Remove,
    /// What was there before is put back.
    Restore,
    /// It is done again after what caused it is taken back.
    Repeat,
    /// It changed nothing.
    Nothing,
    /// It cannot be, and why.
    Impossible(&'static str),
}

/// An object on its way back to what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// What is taken back.
    pub object: Object,
    /// Whose record says what it was.
    pub scope: Scope,
    /// What becomes of data: of a volume that the plan made, of a directory that is not empty, of an image.
    pub data: Data,
    /// For a piece of a file: the file as it is to become. Without it, as on a host that helps itself, the whole file comes
    /// back as it was.
    pub rewrite: Option<Rewrite>,
}

/// What becomes of data that a plan has brought about when it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Data {
    /// It stays, and so does its record.
    #[default]
    Keep,
    /// It goes.
    Delete,
}

impl Revert {
    fn describe(&self) -> String {
        match &self.object {
            Object::Path(path) => format!("put back what was at {path}"),
            Object::Unit(name) => format!("take {name} back to how it was"),
            Object::Image(id) if self.object.image_id().is_some() => format!("remove the image {}", id.spelled()),
            Object::Image(name) => format!("give the image name {} back", name.spelled()),
            Object::Volume { name, unit } => format!("remove the volume {}", unit.beside(name).spelled()),
            Object::Network { name, unit } => format!("remove the network {}", unit.beside(name).spelled()),
            Object::Edit(edit) => format!("put {} back", edit.title()),
            Object::Knob(knob) => format!("take {} back to how it was", knob.title()),
            Object::Snapshot { unit, of } => format!("stop {unit} and put {} back", of.title()),
        }
    }
}

/// The steps of one resource, which stand and fall together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The resource.
    pub address: Address,
    /// Places in the batch of the tasks that must have succeeded before.
    pub after: Vec<usize>,
    /// In order.
    pub steps: Vec<Step>,
    /// Restarts that are owed from the moment this task begins: units, each as its text.
    pub owes: Vec<String>,
    /// Restarts that are no longer owed once this task has succeeded.
    pub pays: Vec<String>,
    /// Whether what its objects are is noted only when its turn comes: a command that runs before may change them.
    pub late: bool,
    /// Objects that the plan held already and that the host has moved since: what they are now is not what they were before
    /// the plan, and only the apply's own history has it.
    pub drifted: Vec<Object>,
    /// Units whose log is told of when it fails: those that it asks something of.
    pub asked: Vec<Managed>,
}

impl Task {
    /// Steps that wait for nothing and owe nothing.
    #[must_use]
    pub const fn new(address: Address, steps: Vec<Step>) -> Self {
        Self {
            address,
            after: Vec::new(),
            steps,
            owes: Vec::new(),
            pays: Vec::new(),
            late: false,
            drifted: Vec::new(),
            asked: Vec::new(),
        }
    }
}

/// What one exchange does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub tasks: Vec<Task>,
    /// The plan's name, under which the host notes what is owed.
    pub plan: String,
    /// Longest time for a step that has no limit of its own.
    pub step_limit: Duration,
    /// What is written down about it, and who is let in.
    pub journal: Journal,
}

impl Batch {
    /// What is sent behind the script, in order.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.journal.blobs().chain(self.tasks.iter().flat_map(|task| &task.steps).filter_map(Step::blob))
    }
}

/// What an exchange that changes a host writes down before and after its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// What it is part of.
    pub purpose: Purpose,
    /// By whom, for whoever finds the host locked: `user@machine`.
    pub who: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// How long to wait for somebody else who is at it.
    pub wait: Duration,
    /// How long the host may wait for the next piece of what it is sent, and for the next exchange of the same apply, until
    /// whoever sends it counts as gone.
    pub lease: Duration,
    /// Whether the host is to take the apply back by itself unless it hears from us again.
    pub arm: Option<Arm>,
}

/// A host's way out of a change that cuts it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// How long it waits.
    pub after: Duration,
    /// What it then runs.
    pub script: Blob,
}

impl Arm {
    /// With the script that takes back the apply in whose directory it stands.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self { after, script: Blob::from_bytes(undo::script().into_bytes()) }
    }
}

/// What an exchange is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It begins an apply: takes the lock, notes what is there before, and only then writes the ledger and does tasks.
    Begin {
        /// [`crate::ledger::Memory::stamp`] as it was found; with any other nothing is done.
        stamp: String,
        /// The file `head`.
        head: Blob,
        /// The ledger from now on.
        ledger: Blob,
        /// How much of the history is kept.
        keep: Keep,
        /// Digests of what this apply sends and is kept while it arrives; what else is kept of earlier ones goes.
        awaited: Vec<String>,
        /// What podman's generators are asked before anything at all is written down: when one of them makes less than it
        /// should, that is the end of it.
        rehearsals: Vec<Rehearsal>,
    },
    /// It changes nothing and only waits for answers: nothing is written down and nobody is kept out.
    Watch,
    /// It goes on with the apply that this connection began.
    Continue,
    /// It tells a host that was armed that it need not take the apply back. [`Refusal::Moved`] says that it has.
    Disarm,
    /// It takes an apply back: the tasks are reverts of its scope. When all have succeeded, its result is `rolled-back`, the
    /// ledger and the records are as they were before it, and the lock goes.
    Rollback {
        /// As for [`Purpose::Begin`].
        stamp: String,
        /// Which apply.
        number: u32,
        /// The keys of objects that stay, since they are data: it is remembered that the plan has brought them.
        stays: Vec<String>,
    },
    /// It ends the apply that this connection began, or one that was cut: the result is written, and the lock goes. With no
    /// apply at all it only replaces the ledger.
    End {
        /// As for [`Purpose::Begin`]; none when this connection began the apply.
        stamp: Option<String>,
        /// How it ended.
        result: Ended,
        /// The ledger from now on, where it differs.
        ledger: Option<Blob>,
        /// Whether the plan's directory goes when no record is left in it: after a destroy.
        vanish: bool,
    },
}

/// How much of a plan's history a host keeps. The newest apply is always kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many applies.
    pub applies: u32,
    /// With copies of files of at most so many bytes in all.
    pub bytes: u64,
}

impl Journal {
    /// What is sent before anything that the tasks carry: the head, the ledger, and the script of what the host is armed with.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        let (head, ledger) = match &self.purpose {
            Purpose::Begin { head, ledger, .. } => (Some(head), Some(ledger)),
            Purpose::End { ledger, .. } => (None, ledger.as_ref()),
            Purpose::Watch | Purpose::Continue | Purpose::Disarm | Purpose::Rollback { .. } => (None, None),
        };
        head.into_iter().chain(ledger).chain(self.arm.as_ref().map(|arm| &arm.script))
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All its steps were done.
    Done {
        /// What they printed.
        output: String,
    },
    /// A guard said that the command was not needed after all.
    NotNeeded,
    /// A step failed; those after it were not tried.
    Failed {
        /// Which, in its task.
        step: usize,
        /// Exit status of what failed; 124 when its time was up.
        status: i32,
        /// What it printed.
        output: String,
    },
    /// Something it needs had not succeeded, or the batch ended early.
    Skipped {
        /// The task that had not succeeded, by its place in the batch; absent when the connection was lost.
        because: Option<usize>,
    },
}
