//! The only orchestration: observe, diff, apply, verify.
//!
//! Nothing here prints, reads a clock, an environment or a home directory, and every `await` may be the last.

mod apply;
mod arrival;
mod changes;
mod drift;
mod exchange;
mod generated;
mod guard;
mod lent;
mod observe;
mod outage;
mod ownership;
mod prepare;
mod rehearsal;
mod removal;
mod said;
mod status;
mod tasks;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::connection::ConnectionError;
use crate::plan::problem::PlanError;
use crate::probe::Undecided;

pub use apply::apply;
pub use changes::{Adopt, Changes, Orders};
pub use lent::Lent;
pub use observe::{Observed, Verb, observe, observe_destroy, observe_rollback, observe_with};
pub(crate) use prepare::owed_run;
pub use status::{Owned, Standing, Status, status};

/// Why a host could not be observed or changed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The host could not be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// With the host's facts the plan is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What the host remembers of the plan cannot be made out; nothing has been done.
    #[error("{0}")]
    Memory(Undecided),
    /// A change cannot be made; nothing has been done.
    #[error("{address}: {reason}")]
    Unprepared {
        /// The resource.
        address: Address,
        /// Why.
        reason: Undecided,
    },
    /// For some resources it could not be found out what to do; nothing has been done.
    #[error("{count} resources of {host} could not be decided")]
    Undecided {
        /// The host's name in the plan.
        host: String,
        /// How many.
        count: usize,
    },
    /// Some things are on the host already and do not belong to the plan; nothing has been done.
    #[error("{count} resources are on {host} already and differ")]
    Foreign {
        /// The host's name in the plan.
        host: String,
        /// How many.
        count: usize,
    },
    /// Somebody else is at it; nothing has been done.
    #[error("{host} is being changed by {holder}")]
    Locked {
        /// The host's name in the plan.
        host: String,
        /// Who, and since when.
        holder: String,
    },
    /// Somebody else has changed it since it was looked at; nothing has been done.
    #[error("{host} has been changed by somebody else since it was looked at")]
    Moved {
        /// The host's name in the plan.
        host: String,
    },
    /// What is to be noted before anything is changed cannot be; nothing has been done.
    #[error("cannot note down on {host} what is about to be done: {reason}")]
    Journal {
        /// The host's name in the plan.
        host: String,
        /// What the host said.
        reason: String,
    },
    /// podman's own generator would not make of the plan's Quadlet files what it should; nothing has been done.
    #[error("podman on {host} would not make the units that the plan wants")]
    Unfit {
        /// The host's name in the plan.
        host: String,
        /// What is the matter, by resource where it is one's.
        flaws: Vec<(Option<Address>, Undecided)>,
    },
    /// It takes values of resources on other hosts that are still to be applied there, or that were not asked; nothing has been
    /// done.
    #[error("host {host} takes what is not known yet from {}", hosts(on))]
    Waits {
        /// The host's name in the plan.
        host: String,
        /// By the other host: the resources there.
        on: BTreeMap<String, BTreeSet<Address>>,
    },
    /// There is no apply that could be taken back.
    #[error("{host} remembers no apply of the plan {plan} that could be taken back")]
    NothingToRollBack {
        /// The host's name in the plan.
        host: String,
        /// The plan's name.
        plan: String,
    },
}

fn hosts(on: &BTreeMap<String, BTreeSet<Address>>) -> String {
    let one = |(host, addresses): (&String, &BTreeSet<Address>)| {
        let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
        format!("host {host} ({})", addresses.join(", "))
    };
    on.iter().map(one).collect::<Vec<_>>().join(" and ")
}
