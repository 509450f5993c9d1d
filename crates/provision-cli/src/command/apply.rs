//! `provision apply`: shows what differs, asks, and changes it.

use futures_util::future::join_all;
use provision_core::engine::{self, Changes};
use provision_core::report::{Outcome as Resource, Report};
use serde_json::{Map, Value};

use super::{Outcome, Ready, diff, observe, undecided};
use crate::args;
use crate::connect::{Connector, Link};
use crate::error::{Error, count};
use crate::load::{Loaded, hosts, load};
use crate::prompt;
use crate::surroundings::Surroundings;
use crate::view::progress::Progress;
use crate::view::{View, human, json};

const QUESTION: &str = "Apply these changes?";

/// Asks the hosts, shows what differs, and changes that and nothing else.
pub async fn run(arguments: args::Apply, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Apply { plan, reach, yes, dry_run } = arguments;
    if dry_run {
        return diff::run(&args::Diff { plan, reach, exit_code: false }, surroundings, view).await;
    }
    if !yes {
        refuse_without_terminal(view)?;
    }
    let loaded = load(&plan, surroundings)?;
    let hosts = hosts(&loaded.plan, &reach.hosts)?;
    let connector = Connector::new(&reach, &loaded.path, surroundings)?;
    let (ready, mut errors) = observe(&loaded.plan, &hosts, &connector).await;
    errors.extend(undecided(&ready));

    let changes: Vec<&Changes> = ready.iter().map(|ready| &ready.changes).collect();
    let differs = changes.iter().any(|changes| !changes.is_empty());
    if differs {
        view.show(&human::changes::changes(&changes, view));
    }
    if !errors.is_empty() {
        // All hosts or none: a plan may spread one system over several.
        errors.push(nothing_done(hosts.len()));
        return Ok(Outcome::new(view.body(|| json::changes(&loaded.plan, &changes)), errors));
    }
    if differs && !yes && !prompt::confirm(QUESTION).await.map_err(|error| vec![error])? {
        return Err(vec![Error::Declined]);
    }
    if differs {
        view.show(&human::sentence("", view.blank()));
    }
    Ok(work(&loaded, ready, &connector, view).await)
}

fn refuse_without_terminal(view: &View) -> Result<(), Vec<Error>> {
    let help = "look at the changes with `provision diff`, then apply with --yes";
    if view.is_json() {
        return Err(vec![Error::usage("apply --json cannot ask whether to go on", help)]);
    }
    if !prompt::can_ask() {
        return Err(vec![Error::usage("there is no terminal to ask whether to go on", help)]);
    }
    Ok(())
}

fn nothing_done(hosts: usize) -> Error {
    let help = (hosts > 1).then_some("--host NAME applies to that host alone");
    Error::Incomplete { message: "nothing was changed".to_owned(), help }
}

/// What is left of a host once its changes are being made.
struct Working {
    link: Link,
    name: String,
    shown: Map<String, Value>,
}

async fn work(loaded: &Loaded, ready: Vec<Ready>, connector: &Connector, view: &View) -> Outcome {
    let several = ready.len() > 1;
    let progress = Progress::new(view, ready.len());
    let mut hosts = Vec::new();
    let mut all = Vec::new();
    for Ready { link, changes } in ready {
        let shown = if view.is_json() { json::of_host(&changes) } else { Map::new() };
        hosts.push(Working { link, name: changes.host().name.clone(), shown });
        all.push(changes);
    }
    let applied = join_all(hosts.iter().zip(all).map(|(host, changes)| {
        let progress = &progress;
        async move {
            let at = changes.host().clone();
            let events = |event| progress.take(&host.name, event);
            let report = engine::apply(changes, host.link.connection(), &events).await;
            report.map_err(|error| Error::host(&host.name, connector.user(&at), error))
        }
    }));
    let reports = tokio::select! {
        reports = applied => reports,
        _ = tokio::signal::ctrl_c() => {
            progress.clear();
            return vec![interrupted(&progress, several)].into();
        }
    };
    progress.clear();

    let mut page = view.blank();
    let mut errors = Vec::new();
    for report in reports.iter().flatten() {
        human::report::summary(&mut page, report, several);
    }
    for report in reports.iter().flatten() {
        human::report::outputs(&mut page, report, several);
        errors.extend(failures(report));
    }
    let changed = |report: &Report| report.resources.iter().any(|(_, outcome)| !matches!(outcome, Resource::Unchanged));
    if reports.iter().flatten().any(changed) {
        view.show(&human::sentence("", view.blank()));
    }
    view.show(&page);
    let shown = hosts.iter_mut().map(|host| std::mem::take(&mut host.shown));
    let shown: Vec<_> = shown.zip(reports.iter().map(|report| report.as_ref().ok())).collect();
    let body = view.body(|| json::applied(&loaded.plan, shown));
    errors.extend(reports.into_iter().filter_map(Result::err));
    for host in hosts {
        host.link.close().await;
    }
    Outcome::new(body, errors)
}

/// What went wrong on one host, and a last word about it.
fn failures(report: &Report) -> Vec<Error> {
    let host = &report.host;
    let mut errors: Vec<Error> = report
        .resources
        .iter()
        .filter_map(|(address, outcome)| {
            let message = match outcome {
                Resource::Failed { message } => message.clone(),
                Resource::NotConverged { message } => {
                    format!("it was changed, and still differs from the plan: {message}")
                }
                _ => return None,
            };
            Some(Error::Resource { host: host.clone(), address: address.clone(), message })
        })
        .collect();
    let cut = |message: &String| Error::Cut { host: host.clone(), message: message.clone() };
    errors.extend(report.failures.iter().map(cut));
    if !errors.is_empty() {
        let failed = report.count(Resource::is_failure);
        let message =
            format!("{failed} of {} on host {host} failed or were skipped", count(report.resources.len(), "resource"));
        let help = "what was done stays; mend the cause and apply again, and it goes on from there";
        errors.push(Error::Incomplete { message, help: Some(help) });
    }
    errors
}

/// What is known when somebody has had enough.
fn interrupted(progress: &Progress<'_>, several: bool) -> Error {
    let states = progress.states();
    let mut parts: Vec<String> = states
        .iter()
        .map(|(host, state)| {
            let host = if several { format!(" on host {host}") } else { String::new() };
            match &state.last {
                Some(last) => format!(
                    "{} begun{host}, the last one {last}; the host may still finish the step that was running",
                    count(state.begun, "resource")
                ),
                None => format!("nothing begun{host}"),
            }
        })
        .collect();
    if parts.is_empty() {
        parts.push("nothing was changed".to_owned());
    }
    Error::Interrupted { state: parts.join("\n") }
}
