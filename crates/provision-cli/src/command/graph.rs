//! `provision graph`: the order of the resources and what each waits for.

use provision_core::facts::Facts;

use super::Outcome;
use crate::args::{self, Format};
use crate::error::Error;
use crate::load::{hosts, load};
use crate::surroundings::Surroundings;
use crate::view::{View, human, json};

/// Reads the plan and shows its graph.
pub fn run(arguments: &args::Graph, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Graph { plan, hosts: wanted, format } = arguments;
    let loaded = load(plan, surroundings)?;
    let plan = &loaded.plan;
    let mut graphs = Vec::new();
    for host in hosts(plan, wanted)? {
        let graph = plan.resolve(host, &Facts::example()).map_err(|error| vec![Error::Plan(error)])?;
        graphs.push((host.name.as_str(), graph));
    }
    if plan.needs_facts() {
        view.note(&human::note("no host was asked, so facts are made up", view.blank()));
    }
    match format {
        Format::Json => {}
        Format::Text => view.show(&human::graph::text(&graphs, view.blank())),
        Format::Dot => view.show(&human::lines(&human::graph::dot(plan, &graphs), view.blank())),
    }
    Ok(Outcome::success(view.body(|| json::graph(plan, &graphs))))
}
