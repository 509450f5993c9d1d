//! `provision status`: what a plan owns on its hosts, and what the hosts remember of it.

use provision_core::engine::{self, Lent, Status};
use provision_core::plan::host::Host;

use super::order::{self, Asked};
use super::{Outcome, now};
use crate::args;
use crate::connect::{Connector, Link};
use crate::error::Error;
use crate::load::{hosts, load};
use crate::surroundings::Surroundings;
use crate::view::{View, human, json};

/// Asks the hosts and shows how the plan stands there.
pub async fn run(arguments: &args::Status, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Status { plan, reach } = arguments;
    let loaded = load(plan, surroundings)?;
    let hosts = hosts(&loaded.plan, &reach.hosts)?;
    let connector = Connector::new(reach, &loaded.path, surroundings)?;
    let (plan, now) = (&loaded.plan, now());
    let question = async |host: &Host, link: Link, lent: &Lent| {
        let status = engine::status(plan, host, lent, link.connection(), now).await;
        link.close().await;
        status.map_err(|error| Error::host(&host.name, connector.user(host), error))
    };
    let Asked { found, waiting, errors } =
        order::ask(plan, &connector, &hosts, question, |status: &Status| Some(&status.changes)).await;
    view.show(&human::status::status(&found, view));
    view.show(&human::changes::waiting(&waiting, view));
    Ok(Outcome::new(view.body(|| json::status::status(plan, &found, &waiting)), errors))
}
