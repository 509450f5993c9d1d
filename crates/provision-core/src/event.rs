//! What the engine tells while it works. It has no other voice.

use crate::address::Address;
use crate::report::Outcome;

/// One thing that happened on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The host has begun with a resource.
    Begun {
        /// The resource.
        address: Address,
    },
    /// What a resource does has printed a line, while it is still at work. Every secret of the plan is masked in it;
    /// nothing else is made harmless: a host may print anything, such as what a terminal acts upon.
    Said {
        /// The resource.
        address: Address,
        /// The line, without its end. One that is very long is cut.
        line: String,
    },
    /// A resource has come to its end.
    Finished {
        /// The resource.
        address: Address,
        /// How.
        outcome: Outcome,
    },
    /// Somebody else is changing the host, and it is waited for them.
    Waiting {
        /// Who, and since when.
        holder: String,
    },
    /// Whoever was changing the host is gone, and their lock was taken over.
    TookOver {
        /// Who it was, and since when.
        holder: String,
    },
    /// Something failed, and what was done is taken back.
    RollingBack,
    /// Everything was done, and the host is asked once more.
    Verifying,
}

/// Where events go.
pub type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// For those who do not listen.
pub fn ignore(_event: Event) {}
