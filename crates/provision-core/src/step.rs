//! What is done to a host, as data. Steps are the only thing that can change one.

use std::time::Duration;

use crate::address::Address;
use crate::attribute::{Account, Mode};
use crate::blob::Blob;
use crate::path::AbsPath;
use crate::probe::Guard;

pub(crate) mod reply;
#[cfg(test)]
mod runtime_tests;
pub(crate) mod script;
#[cfg(test)]
mod tests;

pub use reply::{BatchReply, Heard};

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
    /// Puts a symbolic link in place of nothing or of another link.
    PutLink {
        /// Where.
        path: AbsPath,
        /// What it says.
        target: String,
    },
    /// Lets systemd read its unit files anew, once, before the next unit is acted upon or at the end.
    ReloadUnits,
    /// Acts upon a systemd unit.
    Unit {
        /// Its full name.
        name: String,
        /// What is done.
        action: UnitAction,
    },
    /// Loads an image archive into podman's store.
    LoadImage {
        /// The archive.
        archive: Blob,
        /// The ID that the image must have afterwards, in hex.
        id: String,
        /// The name it gets.
        name: String,
    },
    /// Gives an image in podman's store one more name.
    TagImage {
        /// Its ID in hex.
        id: String,
        /// The name; an image that had it loses it.
        name: String,
    },
    /// Lets podman fetch an image.
    PullImage {
        /// What is fetched.
        reference: String,
        /// As which platform, such as `linux/arm64`; the host's own without it.
        platform: Option<String>,
    },
    /// Opens a port in firewalld.
    OpenPort {
        /// The zone; the default one without it.
        zone: Option<String>,
        /// A number or a range: `8443`, `5000-5010`.
        port: String,
        /// `tcp`, `udp`, `sctp` or `dccp`.
        protocol: String,
        /// Where it is still closed.
        layer: Layer,
    },
    /// Runs a command.
    Run(Run),
    /// Asks until something answers as it should; from the host, with curl.
    Await(Await),
}

/// Owner and group, each only where it is to be set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The owner.
    pub user: Option<Account>,
    /// The group.
    pub group: Option<Account>,
}

/// The two configurations of firewalld (firewall-cmd(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// In force now, gone after a reload.
    Running,
    /// In force after a reload.
    Permanent,
}

/// What systemctl(1) is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAction {
    /// `enable`.
    Enable,
    /// `disable`.
    Disable,
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `reload`.
    Reload,
    /// `reset-failed`: forgets failures, which also lets a unit start that has failed too often to be started.
    ResetFailed,
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
            Self::ResetFailed => "reset-failed",
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
            Self::EnsureDirectory { path } => format!("make the directory {path} unless it is there"),
            Self::SetAttributes { path, .. } => format!("set mode and owner of {path}"),
            Self::PutFile { path, .. } => format!("put the file {path} in place"),
            Self::PutLink { path, .. } => format!("put the link {path} in place"),
            Self::ReloadUnits => "let systemd read its units".to_owned(),
            Self::Unit { name, action } => format!("{} {name}", action.verb()),
            Self::LoadImage { name, .. } => format!("load the image {name}"),
            Self::TagImage { name, .. } => format!("name the image {name}"),
            Self::PullImage { reference, .. } => format!("pull the image {reference}"),
            Self::OpenPort { port, protocol, layer, .. } => match layer {
                Layer::Running => format!("open {port}/{protocol} in the running firewall"),
                Layer::Permanent => format!("open {port}/{protocol} in the permanent firewall"),
            },
            Self::Run(run) => format!("run {}", run.argv.first().map_or("", String::as_str)),
            Self::Await(_) => "wait for an answer".to_owned(),
        }
    }

    /// What is sent beside the script.
    #[must_use]
    pub fn blob(&self) -> Option<&Blob> {
        match self {
            Self::PutFile { content, .. } => Some(content),
            Self::LoadImage { archive, .. } => Some(archive),
            Self::Run(run) => run.input.as_ref(),
            _ => None,
        }
    }

    /// How the step is taken back, given that what it replaced is known.
    #[must_use]
    pub fn undo(&self) -> Undo {
        match self {
            Self::MakeDirectory { .. } | Self::EnsureDirectory { .. } => Undo::Remove,
            Self::SetAttributes { .. }
            | Self::PutFile { .. }
            | Self::PutLink { .. }
            | Self::TagImage { .. }
            | Self::OpenPort { .. } => Undo::Restore,
            Self::LoadImage { .. } | Self::PullImage { .. } => Undo::Remove,
            Self::Unit { action, .. } => match action {
                UnitAction::Enable | UnitAction::Disable | UnitAction::Start | UnitAction::Stop => Undo::Restore,
                UnitAction::Restart | UnitAction::Reload => Undo::Repeat,
                UnitAction::ResetFailed => Undo::Nothing,
            },
            Self::ReloadUnits => Undo::Repeat,
            Self::Await(_) => Undo::Nothing,
            Self::Run(_) => Undo::Impossible("what a command did is known to that command alone"),
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

/// The steps of one resource, which stand and fall together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The resource.
    pub address: Address,
    /// Places in the batch of the tasks that must have succeeded before.
    pub after: Vec<usize>,
    /// In order.
    pub steps: Vec<Step>,
    /// Restarts that are owed from the moment this task begins: unit names.
    pub owes: Vec<String>,
    /// Restarts that are no longer owed once this task has succeeded.
    pub pays: Vec<String>,
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
