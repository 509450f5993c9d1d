//! Asks the hosts of a plan, all at once. Nothing is changed by it.

use futures_util::future::join_all;
use provision_core::address::Address;
use provision_core::engine::{self, Changes, Lent, Orders};
use provision_core::plan::Plan;
use provision_core::plan::host::Host;
use provision_core::probe::Undecided;
use provision_core::seal::{Difference, Seal};
use provision_core::step::Data;

use super::now;
use super::order::{self, Asked};
use crate::connect::{Connector, Link};
use crate::error::Error;

/// What is to become of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The hosts become as the plan wants them.
    Apply,
    /// Everything is taken back.
    Destroy,
    /// The last apply is taken back.
    Rollback,
}

/// What is asked for.
pub struct Survey<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The way to its hosts.
    pub connector: &'a Connector,
    /// What is to become of it.
    pub aim: Aim,
    /// What becomes of data that leaves, where that was said.
    pub data: Option<Data>,
    /// How changes are to be made.
    pub orders: Orders,
    /// What the changes must be, where that was sealed.
    pub seal: Option<&'a Seal>,
}

/// A host that has been asked.
pub struct Ready<'a> {
    /// The host.
    pub host: &'a Host,
    /// The way to it.
    pub link: Link,
    /// What would be done; nothing at all to a host that does not know a plan which is to be destroyed.
    pub changes: Option<Changes>,
}

impl<'a> Survey<'a> {
    /// Connects to all hosts and asks them.
    pub async fn ask(&self, hosts: &[&'a Host]) -> Asked<'a, Ready<'a>> {
        match self.aim {
            Aim::Apply => {
                let question = async |host: &'a Host, link: Link, lent: &Lent| self.ask_one(host, link, lent).await;
                order::ask(self.plan, self.connector, hosts, question, |ready| ready.changes.as_ref()).await
            }
            // What is taken back takes nothing of others.
            Aim::Destroy | Aim::Rollback => {
                let asked = hosts.iter().map(|host| async {
                    let link = self.connector.connect(host).await?;
                    self.ask_one(host, link, &Lent::default()).await
                });
                let (found, errors) = sorted(join_all(asked).await);
                Asked { found, waiting: Vec::new(), errors }
            }
        }
    }

    /// Asks hosts once more.
    pub async fn ask_again(&self, hosts: Vec<(&'a Host, Link)>) -> Asked<'a, Ready<'a>> {
        if self.aim == Aim::Apply && hosts.iter().any(|(host, _)| !self.plan.borrows(host).is_empty()) {
            // What they take of others may be another by now.
            let names: Vec<&Host> = hosts.iter().map(|(host, _)| *host).collect();
            for (_, link) in hosts {
                link.close().await;
            }
            return self.ask(&names).await;
        }
        let lent = Lent::default();
        let asked = hosts.into_iter().map(|(host, link)| self.ask_one(host, link, &lent));
        let (found, errors) = sorted(join_all(asked).await);
        Asked { found, waiting: Vec::new(), errors }
    }

    async fn ask_one(&self, host: &'a Host, link: Link, lent: &Lent) -> Result<Ready<'a>, Error> {
        let (plan, connection) = (self.plan, link.connection());
        let observed = match self.aim {
            Aim::Apply => engine::observe_with(plan, host, lent, connection).await,
            Aim::Destroy => engine::observe_destroy(plan, host, connection).await,
            Aim::Rollback => engine::observe_rollback(plan, host, connection).await,
        };
        let mut observed = observed.map_err(|error| Error::host(&host.name, self.connector.user(host), error))?;
        if self.aim == Aim::Destroy && !observed.is_known() {
            return Ok(Ready { host, link, changes: None });
        }
        if let Some(data) = self.data {
            observed = observed.with_data(data);
        }
        let changes = match self.seal.and_then(|seal| seal.now(&host.name)) {
            // With the dates that were shown.
            Some(sealed) => observed.diff_as_of(sealed, now()),
            None => observed.diff(now()),
        };
        Ok(Ready { host, link, changes: Some(changes.ordered(self.orders.clone())) })
    }
}

impl<'a> Survey<'a> {
    /// Asks hosts what podman would generate of what changes.
    pub async fn with_generated(&self, ready: Vec<Ready<'a>>, errors: Vec<Error>) -> (Vec<Ready<'a>>, Vec<Error>) {
        let asked = ready.into_iter().map(|Ready { host, link, changes }| async {
            let Some(changes) = changes else { return Ok(Ready { host, link, changes: None }) };
            let changes = changes.with_generated(link.connection()).await;
            let changes = changes.map_err(|error| Error::host(&host.name, self.connector.user(host), error))?;
            Ok(Ready { host, link, changes: Some(changes) })
        });
        let (ready, refused) = sorted(join_all(asked).await);
        (ready, errors.into_iter().chain(refused).collect())
    }
}

fn sorted<T>(answers: Vec<Result<T, Error>>) -> (Vec<T>, Vec<Error>) {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for answer in answers {
        match answer {
            Ok(answer) => found.push(answer),
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

/// The resources of which it cannot be said what to do.
pub fn undecided(changes: &Changes) -> Vec<Error> {
    let host = &changes.host().name;
    let error = |(address, reason): (&Address, &Undecided)| Error::Undecided {
        host: host.clone(),
        address: address.clone(),
        reason: reason.clone(),
    };
    changes.undecided().map(error).collect()
}

/// What is on the host already and may not be taken over.
pub fn foreign(changes: &Changes) -> Vec<Error> {
    let host = &changes.host().name;
    let error = |(address, reason): (&Address, Undecided)| Error::Foreign {
        host: host.clone(),
        address: address.clone(),
        reason,
    };
    changes.foreign().map(error).collect()
}

/// What is not as it was when the plan was sealed.
pub fn moved(seal: &Seal, changes: &Changes) -> Vec<Error> {
    let host = &changes.host().name;
    let error = |difference: Difference| Error::Moved { host: Some(host.clone()), difference };
    seal.check(changes).err().unwrap_or_default().into_iter().map(error).collect()
}
