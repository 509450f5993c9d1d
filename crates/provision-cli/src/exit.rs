//! How the command ends: the exit codes, and which of several counts.

use std::process::ExitCode;

/// Why the command ends as it does. Ordered: of several hosts the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// In sync, applied, or nothing to complain of.
    Success,
    /// There are differences, and `--exit-code` asked for this.
    Differences,
    /// Something failed, could not be decided, or was declined.
    Failed,
    /// A host could not be reached or trusted.
    Unreachable,
    /// After a change the connection did not come back, and the host took it back by itself.
    Reverted,
    /// The plan is invalid or the command line is wrong.
    Invalid,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number that a shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Differences => 2,
            Self::Invalid => 3,
            Self::Unreachable => 4,
            Self::Reverted => 5,
            // What a shell reports for a process that SIGINT ended.
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The codes, for `--help`.
pub const HELP: &str = "\
Exit codes:
  0    in sync, applied, taken back, or valid
  1    something failed or could not be decided, or the question was answered with no
  2    there are differences (`diff --exit-code`, and nothing else)
  3    the plan is invalid or the command line is wrong
  4    a host could not be reached or trusted
  5    the connection did not come back after a change, and the host took it back by itself
  130  interrupted by Ctrl-C during an apply
Of several hosts the worst counts: 3, then 5, 4, 1, 2, 0.";
