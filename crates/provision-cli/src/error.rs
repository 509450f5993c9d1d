//! Everything that can go wrong, with its exit code and a way out. Only a view prints it.

use std::io;

use camino::Utf8PathBuf;
use provision_core::address::Address;
use provision_core::bundle::{BundleError, PackError};
use provision_core::connection::ConnectionError;
use provision_core::engine::EngineError;
use provision_core::plan::problem::PlanError;
use provision_core::probe::Undecided;
use provision_core::seal::{Difference, SealError};
use provision_core::transport::TransportError;

use crate::advice;
use crate::exit::Exit;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that is not there or cannot be.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// A file of the command line cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
        /// What to do, where that is not plain.
        help: Option<&'static str>,
    },
    /// The plan, or a variables file, has findings.
    #[error("{} in {}", count(.0.problems.len(), "finding"), listed(&.0.files()))]
    Plan(PlanError),
    /// A host could not be asked, or not changed at all.
    #[error("{}", told(.host, .error))]
    Host {
        /// Its name in the plan.
        host: String,
        /// As whom one logs in there, for advice.
        user: Option<String>,
        /// What happened.
        error: Box<EngineError>,
    },
    /// It cannot be said what to do about a resource.
    #[error("{address} on host {host}: {}", .reason.message)]
    Undecided {
        /// The host's name in the plan.
        host: String,
        /// The resource.
        address: Address,
        /// Why.
        reason: Undecided,
    },
    /// Something is on the host already, differs, and is not the plan's.
    #[error("{address} on host {host}: {}", .reason.message)]
    Foreign {
        /// The host's name in the plan.
        host: String,
        /// The resource.
        address: Address,
        /// What is the matter.
        reason: Undecided,
    },
    /// Something is not as it was when the plan was sealed.
    #[error("{}{difference}", on(.host))]
    Moved {
        /// The host's name in the plan; none where it is the plan itself.
        host: Option<String>,
        /// What.
        difference: Difference,
    },
    /// A file begins like a sealed plan and is none that could be used.
    #[error("{path}: {reason}")]
    Seal {
        /// Its path.
        path: Utf8PathBuf,
        /// Why.
        reason: SealError,
    },
    /// A file begins like a bundle and is none that could be used.
    #[error("{path}: {reason}")]
    Bundle {
        /// Its path.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        reason: BundleError,
    },
    /// A bundle cannot be made.
    #[error("{reason}")]
    Pack {
        /// Why.
        #[source]
        reason: PackError,
    },
    /// A resource failed during an apply.
    #[error("{address} on host {host}: {message}")]
    Resource {
        /// The host's name in the plan.
        host: String,
        /// The resource.
        address: Address,
        /// What was tried and what the host said.
        message: String,
    },
    /// An apply ended early on a host.
    #[error("host {host}: {message}")]
    Cut {
        /// The host's name in the plan.
        host: String,
        /// Why.
        message: String,
    },
    /// After a change the connection did not come back.
    #[error("host {host}: {message}")]
    Reverted {
        /// The host's name in the plan.
        host: String,
        /// How that was noticed.
        message: String,
    },
    /// The last word about an apply that did not succeed.
    #[error("{message}")]
    Incomplete {
        /// How far it got.
        message: String,
        /// What to do, where there is a choice.
        help: Option<&'static str>,
    },
    /// The question was answered with no.
    #[error("declined: nothing was changed")]
    Declined,
    /// Ctrl-C.
    #[error("interrupted: {state}")]
    Interrupted {
        /// What is known.
        state: String,
    },
    /// The machine this runs on does not work as it should.
    #[error("cannot {what}")]
    Here {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// A wrong command line.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }

    /// What the library says of a host.
    pub fn host(host: &str, user: Option<&str>, error: EngineError) -> Self {
        match error {
            EngineError::Plan(error) => Self::Plan(error),
            error => Self::Host { host: host.to_owned(), user: user.map(str::to_owned), error: Box::new(error) },
        }
    }

    /// What the library says of a host, one for each resource that it speaks of.
    pub fn each(host: &str, user: Option<&str>, error: EngineError) -> Vec<Self> {
        let EngineError::Unfit { flaws, .. } = error else { return vec![Self::host(host, user, error)] };
        let one = |(address, reason): (Option<Address>, Undecided)| match address {
            Some(address) => Self::Undecided { host: host.to_owned(), address, reason },
            None => Self::host(host, user, EngineError::Memory(reason)),
        };
        flaws.into_iter().map(one).collect()
    }

    /// How the command ends because of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Read { .. } | Self::Plan(_) | Self::Seal { .. } | Self::Bundle { .. } => {
                Exit::Invalid
            }
            Self::Host { error, .. } => match error.as_ref() {
                // A file on this side: the host has nothing to do with it.
                EngineError::Connection(ConnectionError::Transport(TransportError::Input { .. })) => Exit::Failed,
                EngineError::Connection(_) => Exit::Unreachable,
                EngineError::Plan(_) => Exit::Invalid,
                _ => Exit::Failed,
            },
            Self::Undecided { .. }
            | Self::Foreign { .. }
            | Self::Moved { .. }
            | Self::Resource { .. }
            | Self::Cut { .. }
            | Self::Incomplete { .. }
            | Self::Declined
            | Self::Pack { .. }
            | Self::Here { .. } => Exit::Failed,
            Self::Reverted { .. } => Exit::Reverted,
            Self::Interrupted { .. } => Exit::Interrupted,
        }
    }

    /// Something that must not be overlooked.
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Host { error, .. } => match error.as_ref() {
                EngineError::Connection(ConnectionError::Transport(error)) => advice::warning(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// What to do, in lines.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } => Some(help.clone()),

            Self::Host { host, user, error } => match error.as_ref() {
                EngineError::Connection(error) => advice::connection(error, host, user.as_deref()),
                EngineError::Unprepared { reason, .. } | EngineError::Memory(reason) => reason.help.clone(),
                EngineError::Locked { .. } => Some(LOCKED.to_owned()),
                EngineError::Moved { .. } => Some(AGAIN.to_owned()),
                EngineError::Journal { .. } => Some(JOURNAL.to_owned()),
                EngineError::NothingToRollBack { .. } => Some(NOTHING_TO_ROLL_BACK.to_owned()),
                EngineError::Waits { .. } => Some(WAITS.to_owned()),
                _ => None,
            },
            Self::Undecided { reason, .. } | Self::Foreign { reason, .. } => reason.help.clone(),
            Self::Moved { host: None, .. } => Some(SEAL_ANEW.to_owned()),
            Self::Bundle { reason: BundleError::Later(_), .. } => Some(LATER.to_owned()),
            Self::Bundle { .. } => Some(CARRY_ANEW.to_owned()),
            Self::Pack { reason: PackError::Changed(_) } => Some("pack it again once nobody changes it".to_owned()),
            Self::Pack { reason: PackError::Ambiguous { .. } } => {
                Some("name the two by paths without `..` behind a link".to_owned())
            }
            Self::Pack { reason: PackError::Name(_) } => Some("give it another name".to_owned()),
            Self::Pack { .. } => None,
            Self::Seal { .. } => Some("write it anew with `provision diff --out`".to_owned()),
            Self::Reverted { .. } => Some(
                "`provision diff` shows where the host stands; look for what locks it out before you apply again"
                    .to_owned(),
            ),
            Self::Read { help, .. } | Self::Incomplete { help, .. } => help.map(str::to_owned),
            Self::Interrupted { .. } => {
                Some("`provision diff` tells where the host stands; the next apply goes on from there".to_owned())
            }
            Self::Plan(_)
            | Self::Moved { .. }
            | Self::Resource { .. }
            | Self::Cut { .. }
            | Self::Declined
            | Self::Here { .. } => None,
        }
    }

    /// The chain of causes, outermost first, without the error itself.
    pub fn causes(&self) -> Vec<String> {
        let first: Option<&dyn std::error::Error> = match self {
            // Its display is already in ours.
            Self::Bundle { reason, .. } => std::error::Error::source(reason),
            Self::Pack { reason } => std::error::Error::source(reason),
            Self::Host { error, .. } => std::error::Error::source(error),
            other => std::error::Error::source(other),
        };
        std::iter::successors(first, |error| error.source()).map(ToString::to_string).collect()
    }
}

/// What to do about a sealed plan that does not fit any more.
pub const SEAL_ANEW: &str = "look at the changes again with `provision diff --out`, and apply what it writes";
const LATER: &str = "use the provision that is in it: `tar -xf FILE provision`";
const CARRY_ANEW: &str = "carry it over anew, or pack it anew with `provision bundle`; `sha256sum` tells whether it is the file \
                          that was packed";
const LOCKED: &str = "wait until they are done, or let the command wait longer with --lock-timeout; a lock whose owner is \
                      gone is taken over by itself";
const AGAIN: &str = "look at what is there now, and do it again if it still is what you want";
const JOURNAL: &str = "nothing was changed: without a note of what was there before nothing is; is the disk full, or the file \
                       system read-only?";
const WAITS: &str =
    "what it takes is known once that resource is as the plan wants it: apply to that host first, or to both at once";
const NOTHING_TO_ROLL_BACK: &str = "`provision status` shows what the host remembers; `history` in the plan says how much \
                                    that is";

/// What the library says of a host, with its name where it says no more.
fn told(host: &str, error: &EngineError) -> String {
    match error {
        EngineError::Locked { holder, .. } => format!("host {host} is being changed by {holder}"),
        EngineError::Moved { .. } => format!("host {host} was changed by somebody else after it had been looked at"),
        EngineError::NothingToRollBack { plan, .. } => {
            format!("host {host} remembers no apply of the plan {plan} that could be taken back")
        }
        EngineError::Waits { .. } => error.to_string(),
        error => format!("host {host}: {error}"),
    }
}

fn on(host: &Option<String>) -> String {
    host.as_ref().map(|host| format!("host {host}: ")).unwrap_or_default()
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// `1 finding`, `2 findings`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
