//! What an apply came to, resource by resource.

use crate::address::Address;
use crate::change::Action;

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
    /// Failures that belong to no single resource, such as a lost connection.
    pub failures: Vec<String>,
    /// Outputs of the plan: name and text, secrets masked. Empty when something failed.
    pub outputs: Vec<(String, String)>,
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
