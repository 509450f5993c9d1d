//! `provision apply`: shows what differs, asks, and changes it; or does what was sealed.

use provision_core::engine::{Adopt, Orders};
use provision_core::plan::host::Host;
use provision_core::seal::Seal;
use provision_core::step::Data;

use super::Outcome;
use super::survey::{Aim, Survey};
use super::work::{self, Job};
use crate::args;
use crate::connect::Connector;
use crate::error::Error;
use crate::load::{Loaded, hosts, load, load_sealed};
use crate::sealed;
use crate::surroundings::Surroundings;
use crate::view::View;

/// Asks the hosts, shows what differs, and changes that and nothing else.
pub async fn run(arguments: args::Apply, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Apply { plan, reach, consent, adopt, delete_data, on_failure } = arguments;
    work::refuse_without_terminal(&consent, "apply", view)?;
    let seal = sealed::read(&plan.path).map_err(|error| vec![error])?;
    let loaded = match &seal {
        Some(seal) => load_sealed(seal, &plan, surroundings)?,
        None => load(&plan, surroundings)?,
    };
    let hosts = match &seal {
        Some(seal) => sealed_hosts(seal, &loaded, &reach.hosts)?,
        None => hosts(&loaded.plan, &reach.hosts)?,
    };
    let data = delete_data.then_some(Data::Delete);
    let data = match &seal {
        Some(seal) if delete_data && seal.data() == Data::Keep => {
            let help = "seal it anew with `provision diff --delete-data --out`";
            return Err(vec![Error::usage("the plan was sealed without --delete-data", help)]);
        }
        Some(seal) => Some(seal.data()),
        None => data,
    };
    let connector = Connector::new(&reach, &loaded.path, surroundings)?;
    let orders = Orders {
        who: surroundings.who(),
        lock_wait: consent.lock_timeout.duration(),
        adopt: if adopt { Adopt::All } else { Adopt::Named },
        on_failure: on_failure.map(Into::into),
        fetch: loaded.fetch(surroundings),
    };
    let survey =
        Survey { plan: &loaded.plan, connector: &connector, aim: Aim::Apply, data, orders, seal: seal.as_ref() };
    work::run(Job { survey, hosts, consent }, view).await
}

/// The hosts that a plan was sealed for, or those of them that are named.
fn sealed_hosts<'a>(seal: &Seal, loaded: &'a Loaded, wanted: &[String]) -> Result<Vec<&'a Host>, Vec<Error>> {
    let is_sealed = |name: &str| seal.hosts().any(|sealed| sealed == name);
    let found = hosts(&loaded.plan, wanted)?;
    let other = |host: &&Host| !is_sealed(&host.name) && wanted.iter().any(|name| host.is_called(name));
    let others: Vec<Error> = found
        .iter()
        .copied()
        .filter(other)
        .map(|host| {
            let help = "seal it for that host as well: `provision diff --out`";
            Error::usage(format!("the plan was not sealed for host {}", host.name), help)
        })
        .collect();
    if !others.is_empty() {
        return Err(others);
    }
    Ok(found.into_iter().filter(|host| is_sealed(&host.name)).collect())
}
