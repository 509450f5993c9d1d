//! `provision validate`: everything that can be said of a plan without a host.

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
    let hosts = count(plan.hosts().len(), "host");
    let text = format!("{} is valid: {} on {hosts}", loaded.path, count(plan.addresses().len(), "resource"));
    view.show(&human::sentence(&text, view.blank()));
    Ok(Outcome::success(view.body(|| json::valid(plan, loaded.path.as_str(), plan.addresses().len()))))
}
