//! `provision diff`: what an apply would change.

use provision_core::engine::Changes;

use super::{Outcome, Ready, observe, undecided};
use crate::args;
use crate::connect::Connector;
use crate::error::Error;
use crate::exit::Exit;
use crate::load::{hosts, load};
use crate::surroundings::Surroundings;
use crate::view::{View, human, json};

/// Asks the hosts and shows what differs.
pub async fn run(arguments: &args::Diff, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Diff { plan, reach, exit_code } = arguments;
    let loaded = load(plan, surroundings)?;
    let hosts = hosts(&loaded.plan, &reach.hosts)?;
    let connector = Connector::new(reach, &loaded.path, surroundings)?;
    let (ready, mut errors) = observe(&loaded.plan, &hosts, &connector).await;
    let changes: Vec<&Changes> = ready.iter().map(|ready| &ready.changes).collect();
    view.show(&human::changes::changes(&changes, view));
    errors.extend(undecided(&ready));
    let body = view.body(|| json::changes(&loaded.plan, &changes));
    let differs = changes.iter().any(|changes| changes.changed().next().is_some());
    for Ready { link, changes: _ } in ready {
        link.close().await;
    }
    let mut outcome = Outcome::new(body, errors);
    if *exit_code && differs {
        outcome.exit = outcome.exit.max(Exit::Differences);
    }
    Ok(outcome)
}
