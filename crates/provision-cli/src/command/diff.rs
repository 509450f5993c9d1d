//! `provision diff`: what an apply would change.

use provision_core::engine::{Changes, Orders};
use provision_core::seal::Seal;
use provision_core::step::Data;
use serde_json::Value;

use super::Outcome;
use super::order::Asked;
use super::survey::{Aim, Survey, undecided};
use crate::args;
use crate::connect::Connector;
use crate::error::Error;
use crate::exit::Exit;
use crate::load::{hosts, load};
use crate::sealed;
use crate::surroundings::Surroundings;
use crate::view::{View, human, json};

/// Asks the hosts and shows what differs.
pub async fn run(arguments: &args::Diff, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Diff { plan, reach, exit_code, out, delete_data, generated } = arguments;
    let loaded = load(plan, surroundings)?;
    let hosts = hosts(&loaded.plan, &reach.hosts)?;
    let connector = Connector::new(reach, &loaded.path, surroundings)?;
    let survey = Survey {
        plan: &loaded.plan,
        connector: &connector,
        aim: Aim::Apply,
        data: delete_data.then_some(Data::Delete),
        orders: Orders::default(),
        seal: None,
    };
    let Asked { found: mut ready, waiting, mut errors } = survey.ask(&hosts).await;
    if *generated {
        (ready, errors) = survey.with_generated(ready, errors).await;
    }
    let changes: Vec<&Changes> = ready.iter().filter_map(|ready| ready.changes.as_ref()).collect();
    view.show(&human::changes::changes(&changes, view));
    view.show(&human::changes::waiting(&waiting, view));
    view.show(&human::changes::notes(&changes, view));
    view.show(&human::changes::notices(&changes, view));
    errors.extend(changes.iter().flat_map(|changes| undecided(changes)));
    let mut body = view.body(|| {
        let known = changes.iter().map(|changes| json::of_host(changes));
        json::changes(&loaded.plan, known.chain(waiting.iter().map(json::of_waiting)))
    });
    if let Some(file) = out {
        errors.extend(waiting.iter().map(|waiting| Error::Incomplete {
            message: format!("host {} cannot be sealed: it takes {}", waiting.host.name, waiting.what()),
            help: Some("apply to that host first, or leave this one out with --host"),
        }));
        if errors.is_empty() {
            let path = surroundings.working_directory.join(&loaded.path);
            let written = sealed::write(file, &Seal::new(path.as_str(), &loaded.plan, &changes));
            if written.is_ok() {
                view.show(&human::sentence(&format!("sealed in {file}: `provision apply {file}`"), view.blank()));
                if let Value::Object(body) = &mut body {
                    body.insert("sealed".to_owned(), file.as_str().into());
                }
            }
            errors.extend(written.err());
        } else {
            errors.push(Error::Incomplete { message: format!("{file} was not written"), help: None });
        }
    }
    let differs = !waiting.is_empty() || changes.iter().any(|changes| changes.changed().next().is_some());
    for ready in ready {
        ready.link.close().await;
    }
    let mut outcome = Outcome::new(body, errors);
    if *exit_code && differs {
        outcome.exit = outcome.exit.max(Exit::Differences);
    }
    Ok(outcome)
}
