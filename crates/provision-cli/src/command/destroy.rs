//! `provision destroy`: everything that the plan has brought about is taken back.

use provision_core::engine::Orders;

use super::Outcome;
use super::survey::{Aim, Survey};
use super::work::{self, Job};
use crate::args;
use crate::connect::Connector;
use crate::error::Error;
use crate::load::{hosts, load};
use crate::surroundings::Surroundings;
use crate::view::View;

/// Asks the hosts, shows what goes and what comes back, and does that and nothing else.
pub async fn run(arguments: &args::Destroy, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Destroy { plan, reach, consent, delete_data: _, keep_data: _ } = arguments;
    work::refuse_without_terminal(consent, "destroy", view)?;
    let loaded = load(plan, surroundings)?;
    let hosts = hosts(&loaded.plan, &reach.hosts)?;
    let connector = Connector::new(reach, &loaded.path, surroundings)?;
    let orders = Orders { who: surroundings.who(), lock_wait: consent.lock_timeout.duration(), ..Orders::default() };
    let survey = Survey {
        plan: &loaded.plan,
        connector: &connector,
        aim: Aim::Destroy,
        data: Some(arguments.data()),
        orders,
        seal: None,
    };
    work::run(Job { survey, hosts, consent: *consent }, view).await
}
