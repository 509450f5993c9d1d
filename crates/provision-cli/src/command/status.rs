//! `provision status`: what a plan owns on its hosts, and what the hosts remember of it.

use futures_util::future::join_all;
use provision_core::engine;

use super::{Outcome, now};
use crate::args;
use crate::connect::Connector;
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
    let asked = hosts.iter().map(|host| async {
        let link = connector.connect(host).await?;
        let status = engine::status(plan, host, link.connection(), now).await;
        link.close().await;
        status.map_err(|error| Error::host(&host.name, connector.user(host), error))
    });
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for answer in join_all(asked).await {
        match answer {
            Ok(status) => found.push(status),
            Err(error) => errors.push(error),
        }
    }
    view.show(&human::status::status(&found, view));
    Ok(Outcome::new(view.body(|| json::status::status(plan, &found)), errors))
}
