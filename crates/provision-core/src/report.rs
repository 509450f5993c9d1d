//! What an apply came to, resource by resource.

use std::fmt;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::change::Action;
use crate::secret::Revealed;
use crate::systemd::Managed;

/// What became of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The host's name in the plan.
    pub host: String,
    /// The number of the apply in the host's history; none where nothing was changed.
    pub apply: Option<u32>,
    /// What has left the plan, then every resource, in the order in which they were applied.
    pub resources: Vec<(Address, Outcome)>,
    /// What has left the plan and stays on the host all the same, each with why.
    pub kept: Vec<(Address, String)>,
    /// Whether the host took the apply back by itself, since after one of its changes no fresh connection to it came about.
    pub reverted: bool,
    /// How the apply was taken back after it had failed, where that was asked for.
    pub rolled_back: Option<Box<Report>>,
    /// Whether what was there before serves again after that: what the checks of services that were down have come to, asked once
    /// more, those of them that the last apply had as well. One that has changed since is skipped, as is what comes after one
    /// that has no answer.
    pub serving: Vec<(Address, Outcome)>,
    /// Services that were stopped on the way, each with how long it did not serve.
    pub down: Vec<Downtime>,
    /// Failures that belong to no single resource, such as a lost connection.
    pub failures: Vec<String>,
    /// Outputs of the plan: name and text, secrets masked. Empty when something failed.
    pub outputs: Vec<(String, String)>,
    /// Secrets that were made up in this apply, are on the host now, and are to be shown this once. They are there also when
    /// something else has failed: no later apply shows them.
    pub revealed: Vec<(Address, Revealed)>,
}

/// How long a service did not serve: from when its stop began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downtime {
    /// The service.
    pub address: Address,
    /// Its unit.
    pub unit: Managed,
    /// How long; it does not serve yet without this.
    pub lasted: Option<Duration>,
    /// Until when.
    pub until: Until,
    /// When its stop began, in hundredths of a second since the host's boot.
    pub(crate) from: Option<u64>,
    /// When systemd had it up again.
    pub(crate) up: Option<u64>,
    /// When that was heard of.
    pub(crate) heard: Option<Instant>,
}

/// What tells that a service serves again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// systemd had it up, as the host saw it: nothing asks for an answer of it.
    Up,
    /// A check from the host had its answer, as the host saw it.
    Answered(Address),
    /// A check from this side had its answer, as this side saw it.
    AnsweredHere(Address),
    /// Nothing: it is not up again, or a check has had no answer.
    Never,
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("until systemd had it up again"),
            Self::Answered(check) => write!(f, "until {check} had its answer"),
            Self::AnsweredHere(check) => write!(f, "until {check} had its answer here"),
            Self::Never => f.write_str("and does not serve yet"),
        }
    }
}

/// What became of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was as wanted.
    Unchanged,
    /// It was changed as the plan of changes said.
    Changed {
        /// What was done.
        action: Action,
        /// What the host said, secrets masked: the last of it, where it is long.
        output: String,
    },
    /// Its guard said, at the moment itself, that nothing was needed.
    NotNeeded,
    /// It answers as it should.
    Answered {
        /// What it answered, in a few words.
        answer: String,
    },
    /// It failed.
    Failed {
        /// What was tried, and what the host said, secrets masked.
        message: String,
    },
    /// It was left alone, since something it needs had failed.
    Skipped {
        /// What had failed.
        because: Option<Address>,
    },
    /// It was changed, and when asked again the host still differed.
    NotConverged {
        /// What still differs.
        message: String,
    },
}

impl Outcome {
    /// Whether it is an error.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Skipped { .. } | Self::NotConverged { .. })
    }
}

impl Report {
    /// Whether everything is as wanted now.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.failures.is_empty() && !self.resources.iter().any(|(_, outcome)| outcome.is_failure())
    }

    /// How many resources came to an end of the given sort.
    pub fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.resources.iter().filter(|(_, outcome)| wanted(outcome)).count()
    }
}
