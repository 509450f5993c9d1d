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
    /// A resource has come to its end.
    Finished {
        /// The resource.
        address: Address,
        /// How.
        outcome: Outcome,
    },
    /// Everything was done, and the host is asked once more.
    Verifying,
}

/// Where events go.
pub type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// For those who do not listen.
pub fn ignore(_event: Event) {}
