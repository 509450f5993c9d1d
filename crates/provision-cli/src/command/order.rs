//! Asks hosts of which some take values of others: each after those.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use provision_core::address::Address;
use provision_core::engine::{self, Changes, EngineError, Lent};
use provision_core::plan::Plan;
use provision_core::plan::host::Host;

use super::now;
use crate::connect::{Connector, Link};
use crate::error::Error;

/// A host that cannot be looked at before others are as wanted.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// The host.
    pub host: &'a Host,
    /// What it takes of which host, where that is still to be applied.
    pub on: BTreeMap<String, BTreeSet<Address>>,
}

/// What came of asking.
pub struct Asked<'a, T> {
    /// What was answered, in the order of the hosts.
    pub found: Vec<T>,
    /// Hosts that were reached and not asked.
    pub waiting: Vec<Waiting<'a>>,
    /// Why others could not be asked.
    pub errors: Vec<Error>,
}

/// A host on its way to being asked.
struct Open<'a> {
    host: &'a Host,
    link: Link,
    /// Whether it is asked for what it lends alone.
    aside: bool,
}

/// Connects to hosts, and to those that lend to them, and asks each once all that it takes of others is known.
pub async fn ask<'a, T>(
    plan: &'a Plan,
    connector: &Connector,
    hosts: &[&'a Host],
    question: impl AsyncFn(&'a Host, Link, &Lent) -> Result<T, Error>,
    changes: impl Fn(&T) -> Option<&Changes>,
) -> Asked<'a, T> {
    let asides = lenders(plan, hosts);
    let all = hosts.iter().map(|host| (*host, false)).chain(asides.into_iter().map(|host| (host, true)));
    let connected = all.map(|(host, aside)| async move {
        connector.connect(host).await.map(|link| Open { host, link, aside }).map_err(|error| (host, error))
    });
    let (mut open, mut errors) = (Vec::new(), Vec::new());
    // Hosts that have been asked, or never will be.
    let mut over: BTreeSet<&str> = BTreeSet::new();
    for connected in join_all(connected).await {
        match connected {
            Ok(host) => open.push(host),
            Err((host, error)) => {
                over.insert(&host.name);
                errors.push(error);
            }
        }
    }
    let mut lent = Lent::default();
    let (mut found, mut waiting) = (BTreeMap::new(), Vec::new());
    while !open.is_empty() {
        let (next, later): (Vec<Open<'a>>, Vec<Open<'a>>) =
            open.into_iter().partition(|open| plan.borrows(open.host).keys().all(|name| over.contains(name.as_str())));
        open = later;
        if next.is_empty() {
            // A plan in which hosts wait for each other in a circle is no plan.
            break;
        }
        over.extend(next.iter().map(|open| open.host.name.as_str()));
        let mut free = Vec::new();
        for Open { host, link, aside } in next {
            let on = lent.waits(plan, host);
            if on.is_empty() {
                free.push(Open { host, link, aside });
                continue;
            }
            link.close().await;
            let comes = |name: &String| hosts.iter().any(|host| host.name == *name);
            match (aside, on.keys().all(comes)) {
                (true, _) => {}
                (false, true) => waiting.push(Waiting { host, on }),
                (false, false) => errors.push(Waiting { host, on }.into_error(connector)),
            }
        }
        let (asides, wanted): (Vec<_>, Vec<_>) = free.into_iter().partition(|open| open.aside);
        let answers = join_all(wanted.into_iter().map(|Open { host, link, .. }| {
            let asked = question(host, link, &lent);
            async move { (host, asked.await) }
        }));
        let beside = join_all(asides.into_iter().map(|Open { host, link, .. }| {
            let lent = &lent;
            async move {
                let observed = engine::observe_with(plan, host, lent, link.connection()).await;
                link.close().await;
                observed
                    .map(|observed| observed.diff(now()))
                    .map_err(|error| Error::host(&host.name, connector.user(host), error))
            }
        }));
        let (answers, beside) = (answers.await, beside.await);
        for (host, answer) in answers {
            match answer {
                Ok(answer) => {
                    if let Some(changes) = changes(&answer) {
                        lent.add(changes);
                    }
                    found.insert(host.name.clone(), answer);
                }
                Err(error) => errors.push(error),
            }
        }
        for answer in beside {
            match answer {
                Ok(changes) => lent.add(&changes),
                Err(error) => errors.push(error),
            }
        }
    }
    let found = hosts.iter().filter_map(|host| found.remove(&host.name)).collect();
    Asked { found, waiting, errors }
}

/// The hosts that lend to some and are not among them.
fn lenders<'a>(plan: &'a Plan, hosts: &[&'a Host]) -> Vec<&'a Host> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Host> = hosts.to_vec();
    while let Some(host) = open.pop() {
        let fresh: Vec<&str> =
            plan.borrows(host).keys().map(String::as_str).filter(|name| names.insert(name)).collect();
        open.extend(plan.hosts().iter().filter(|host| fresh.contains(&host.name.as_str())));
    }
    let asked = |host: &&Host| hosts.iter().any(|asked| asked.name == host.name);
    plan.hosts().iter().filter(|host| names.contains(host.name.as_str()) && !asked(host)).collect()
}

impl Waiting<'_> {
    /// That it is not going to be looked at.
    pub fn into_error(self, connector: &Connector) -> Error {
        let Self { host, on } = self;
        Error::host(&host.name, connector.user(host), EngineError::Waits { host: host.name.clone(), on })
    }

    /// What it takes, for people: `trust_anchor.site from host registry`.
    pub fn what(&self) -> String {
        let one = |(host, addresses): (&String, &BTreeSet<Address>)| {
            let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
            format!("{} from host {host}", addresses.join(", "))
        };
        self.on.iter().map(one).collect::<Vec<_>>().join(" and ")
    }
}
