//! `provision validate`: everything that can be said of a plan without a host.

use std::collections::BTreeSet;

use provision_core::facts::Facts;

use super::Outcome;
use crate::args;
use crate::error::{Error, count};
use crate::load::load;
use crate::surroundings::Surroundings;
use crate::view::{View, human, json};

/// Reads the plan.
pub fn run(arguments: &args::Plan, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let loaded = load(arguments, surroundings)?;
    let plan = &loaded.plan;
    let mut addresses = BTreeSet::new();
    for host in plan.hosts() {
        // No host is asked, so its facts are made up: which resources there are does not depend on them.
        let graph = plan.resolve(host, &Facts::example()).map_err(|error| vec![Error::Plan(error)])?;
        addresses.extend(graph.resources().map(|(address, _)| address.clone()));
    }
    let hosts = count(plan.hosts().len(), "host");
    let text = format!("{} is valid: {} on {hosts}", loaded.path, count(addresses.len(), "resource"));
    view.show(&human::sentence(&text, view.blank()));
    Ok(Outcome::success(view.body(|| json::valid(plan, loaded.path.as_str(), addresses.len()))))
}
