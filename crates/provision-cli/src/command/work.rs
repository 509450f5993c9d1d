//! Changes hosts: what an apply, a destroy and a rollback have in common. It shows what would be done, asks, does it, and
//! says what came of it. Where somebody else was faster, it looks again.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use provision_core::engine::{self, Changes, EngineError, Verb};
use provision_core::plan::host::Host;
use provision_core::report::{Outcome as Resource, Report};
use serde_json::{Map, Value};

use super::Outcome;
use super::order::{Asked, Waiting};
use super::survey::{Aim, Ready, Survey, foreign, moved, undecided};
use crate::args::Consent;
use crate::connect::Link;
use crate::error::{Error, SEAL_ANEW, count};
use crate::prompt;
use crate::view::progress::Progress;
use crate::view::{View, human, json};

/// How often it is looked again when others are faster: with more than so many of them something else is wrong.
const ROUNDS: usize = 5;

/// What is to be done.
pub struct Job<'a> {
    /// What is asked for.
    pub survey: Survey<'a>,
    /// The hosts that are meant, in the plan's order.
    pub hosts: Vec<&'a Host>,
    /// How it is agreed upon.
    pub consent: Consent,
}

/// Refuses at once what would have to be refused later.
pub fn refuse_without_terminal(consent: &Consent, verb: &str, view: &View) -> Result<(), Vec<Error>> {
    if consent.yes || consent.dry_run {
        return Ok(());
    }
    let look = if verb == "apply" { "provision diff".to_owned() } else { format!("provision {verb} --dry-run") };
    let help = format!("look at the changes with `{look}`, then {verb} with --yes");
    if view.is_json() {
        return Err(vec![Error::usage(format!("{verb} --json cannot ask whether to go on"), help)]);
    }
    if !prompt::can_ask() {
        return Err(vec![Error::usage("there is no terminal to ask whether to go on", help)]);
    }
    Ok(())
}

/// Does it: to all hosts at once, but for those that take values of others, which come after these.
pub async fn run(job: Job<'_>, view: &View) -> Result<Outcome, Vec<Error>> {
    let mut told: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut errors = Vec::new();
    let mut hosts = job.hosts.clone();
    let mut later = false;
    loop {
        match job.stage(&hosts, later, &mut told, &mut errors, view).await? {
            Stage::Over => break,
            Stage::Interrupted(interrupted) => return Ok(vec![interrupted].into()),
            Stage::Waits(waiting) => hosts = waiting.into_iter().map(|waiting| waiting.host).collect(),
        }
        later = true;
    }
    let hosts = job.hosts.iter().filter_map(|host| told.remove(&host.name));
    Ok(Outcome::new(view.body(|| json::changes(job.survey.plan, hosts)), errors))
}

/// How it goes on once some hosts are done.
enum Stage<'a> {
    /// Not at all.
    Over,
    /// Somebody had enough.
    Interrupted(Error),
    /// With those that waited for them.
    Waits(Vec<Waiting<'a>>),
}

fn moved_again(host: &Host) -> Error {
    Error::host(&host.name, None, EngineError::Moved { host: host.name.clone() })
}

/// The last word where nothing can be done.
fn nothing_done(hosts: usize, reason: Reason, later: bool) -> Error {
    let help = match reason {
        Reason::Sealed => Some(SEAL_ANEW),
        Reason::Other => (hosts > 1).then_some("--host NAME applies to that host alone"),
    };
    let more = if later { " more" } else { "" };
    Error::Incomplete { message: format!("nothing{more} was changed"), help }
}

/// Why nothing can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// A sealed plan does not fit any more.
    Sealed,
    /// Anything else.
    Other,
}

fn question(all: &[&Changes]) -> String {
    let verb = match all.first().map(|changes| changes.verb()) {
        Some(Verb::Destroy) => "Take all of this back",
        Some(Verb::Rollback(_)) => "Take this back",
        _ => return "Apply these changes?".to_owned(),
    };
    let mut kept: Vec<String> =
        all.iter().flat_map(|changes| changes.kept()).map(|(address, _)| address.to_string()).collect();
    kept.dedup();
    if kept.is_empty() { format!("{verb}?") } else { format!("{verb}, and leave {}?", kept.join(", ")) }
}

/// What is left of a host once its changes are being made.
struct Working<'a> {
    host: &'a Host,
    link: Link,
    verb: Verb,
}

/// How it went on.
struct Worked<'a> {
    /// Hosts on which somebody else was faster, so that nothing was done.
    faster: Vec<(&'a Host, Link)>,
    /// That somebody had enough.
    interrupted: Option<Error>,
}

impl<'a> Job<'a> {
    /// Does it to some hosts. `later` is whether others have been changed before.
    async fn stage(
        &self,
        hosts: &[&'a Host],
        later: bool,
        told: &mut BTreeMap<String, Map<String, Value>>,
        errors: &mut Vec<Error>,
        view: &View,
    ) -> Result<Stage<'a>, Vec<Error>> {
        let Asked { found: mut asked, mut waiting, errors: mut refusals } = self.survey.ask(hosts).await;
        for round in 1.. {
            let (ready, unknown): (Vec<Ready<'_>>, Vec<Ready<'_>>) =
                asked.into_iter().partition(|ready| ready.changes.is_some());
            for Ready { host, link, .. } in unknown {
                let plan = self.survey.plan.name();
                let text = format!("nothing to destroy: host {} knows nothing of the plan {plan}", host.name);
                view.show(&human::sentence(&text, view.blank()));
                told.insert(host.name.clone(), json::of_stranger(host));
                link.close().await;
            }
            refusals.extend(self.refusals(&ready));
            if self.survey.seal.is_some() {
                // What it was sealed for was known.
                refusals.extend(waiting.drain(..).map(|waiting| waiting.into_error(self.survey.connector)));
            }
            let all: Vec<&Changes> = ready.iter().filter_map(|ready| ready.changes.as_ref()).collect();
            let differs = all.iter().any(|changes| !changes.is_empty());
            view.show(&self.page(&all, differs, round > 1, view));
            view.show(&human::changes::waiting(&waiting, view));
            if view.is_json() {
                told.extend(all.iter().map(|changes| (changes.host().name.clone(), json::of_host(changes))));
                told.extend(waiting.iter().map(|waiting| (waiting.host.name.clone(), json::of_waiting(waiting))));
            }
            if !refusals.is_empty() || self.consent.dry_run {
                if !self.consent.dry_run {
                    // All hosts or none: a plan may spread one system over several.
                    let sealed = refusals.iter().any(|error| matches!(error, Error::Moved { .. }));
                    let reason = if sealed { Reason::Sealed } else { Reason::Other };
                    refusals.push(nothing_done(self.hosts.len(), reason, later || round > 1));
                }
                errors.append(&mut refusals);
                return Ok(Stage::Over);
            }
            if differs && !self.consent.yes && !prompt::confirm(&question(&all)).await.map_err(|error| vec![error])? {
                errors.push(Error::Declined);
                return Ok(Stage::Over);
            }
            if differs {
                view.show(&human::sentence("", view.blank()));
            }
            let Worked { faster, interrupted } = self.work(ready, told, errors, view).await;
            if let Some(interrupted) = interrupted {
                return Ok(Stage::Interrupted(interrupted));
            }
            if faster.is_empty() {
                break;
            }
            // What is taken back would be what the other one has applied, not what was shown.
            if round == ROUNDS || self.survey.aim == Aim::Rollback {
                errors.extend(faster.iter().map(|(host, _)| moved_again(host)));
                break;
            }
            let again = self.survey.ask_again(faster).await;
            (asked, refusals) = (again.found, again.errors);
            waiting.extend(again.waiting);
        }
        if waiting.is_empty() {
            return Ok(Stage::Over);
        }
        if errors.is_empty() {
            view.show(&human::sentence("", view.blank()));
            return Ok(Stage::Waits(waiting));
        }
        errors.extend(waiting.iter().map(|waiting| Error::Incomplete {
            message: format!("host {} was left as it is: it takes {}", waiting.host.name, waiting.what()),
            help: None,
        }));
        Ok(Stage::Over)
    }

    /// Why nothing can be done to some hosts.
    fn refusals(&self, ready: &[Ready<'_>]) -> Vec<Error> {
        let mut refusals = Vec::new();
        for changes in ready.iter().filter_map(|ready| ready.changes.as_ref()) {
            refusals.extend(undecided(changes));
            let moved = self.survey.seal.map(|seal| moved(seal, changes)).unwrap_or_default();
            // What has moved since it was sealed need not be taken over as well.
            if !self.consent.dry_run && moved.is_empty() {
                refusals.extend(foreign(changes));
            }
            refusals.extend(moved);
        }
        refusals
    }

    /// What is shown before it is asked.
    fn page(&self, all: &[&Changes], differs: bool, again: bool, view: &View) -> crate::view::Page {
        let mut page = view.blank();
        for changes in all.iter().filter(|_| again) {
            page.page(&human::changes::faster(changes, view));
        }
        if differs || self.consent.dry_run {
            page.page(&human::changes::changes(all, view));
        } else {
            page.page(&human::changes::asides(all, view));
        }
        if self.consent.dry_run {
            page.page(&human::changes::notes(all, view));
        } else {
            page.page(&human::changes::resumes(all, view));
        }
        page.page(&human::changes::notices(all, view));
        if differs && !self.consent.yes && !self.consent.dry_run {
            page.gap();
        }
        page
    }

    async fn work(
        &self,
        ready: Vec<Ready<'a>>,
        told: &mut BTreeMap<String, Map<String, Value>>,
        errors: &mut Vec<Error>,
        view: &View,
    ) -> Worked<'a> {
        let several = self.hosts.len() > 1;
        let progress = Progress::new(view, self.hosts.len());
        let mut hosts = Vec::new();
        let mut all = Vec::new();
        for Ready { host, link, changes } in ready {
            let Some(changes) = changes else { continue };
            hosts.push(Working { host, link, verb: changes.verb() });
            all.push(changes);
        }
        let done = join_all(hosts.iter().zip(all).map(|(working, changes)| {
            let (name, progress) = (&working.host.name, &progress);
            let events = move |event| progress.take(name, event);
            async move { engine::apply(changes, working.link.connection(), &events).await }
        }));
        let done = tokio::select! {
            done = done => done,
            _ = tokio::signal::ctrl_c() => {
                progress.clear();
                return Worked { faster: Vec::new(), interrupted: Some(interrupted(&progress, several)) };
            }
        };
        progress.clear();

        let mut reports: Vec<(Verb, Report)> = Vec::new();
        let mut faster = Vec::new();
        let states = progress.states();
        for (Working { host, link, verb }, result) in hosts.into_iter().zip(done) {
            let entry = told.entry(host.name.clone()).or_default();
            if let Some(state) = states.get(&host.name) {
                json::add_waiting(entry, state);
            }
            match result {
                Ok(report) => {
                    if view.is_json() {
                        json::add_report(entry, &report);
                    }
                    reports.push((verb, report));
                    link.close().await;
                }
                Err(EngineError::Moved { .. }) => faster.push((host, link)),
                Err(error) => {
                    errors.extend(Error::each(&host.name, self.survey.connector.user(host), error));
                    link.close().await;
                }
            }
        }
        self.tell(&reports, several, errors, view);
        Worked { faster, interrupted: None }
    }

    /// What came of it.
    fn tell(&self, reports: &[(Verb, Report)], several: bool, errors: &mut Vec<Error>, view: &View) {
        let mut page = view.blank();
        for (verb, report) in reports {
            human::report::summary(&mut page, report, *verb, several);
        }
        for (_, report) in reports {
            human::report::revealed(&mut page, report, several);
        }
        for (_, report) in reports {
            human::report::outputs(&mut page, report, several);
            errors.extend(failures(report));
        }
        let changed =
            |report: &Report| report.resources.iter().any(|(_, outcome)| !matches!(outcome, Resource::Unchanged));
        if reports.iter().any(|(_, report)| changed(report)) {
            view.show(&human::sentence("", view.blank()));
        }
        view.show(&page);
    }
}

/// What went wrong on one host, and a last word about it.
fn failures(report: &Report) -> Vec<Error> {
    let mut errors = failed(report);
    if errors.is_empty() {
        return errors;
    }
    let host = &report.host;
    let failed = report.count(Resource::is_failure);
    if report.reverted && failed == 0 {
        return errors;
    }
    let message =
        format!("{failed} of {} on host {host} failed or were skipped", count(report.resources.len(), "resource"));
    let help = match &report.rolled_back {
        _ if report.reverted => Some("what was done was taken back by the host; mend the cause and apply again"),
        None => Some("what was done stays; mend the cause and apply again, and it goes on from there"),
        Some(_) if !unanswered(report).is_empty() => Some(
            "what was done was taken back, but what was there before does not answer either: look at what its check and its log say",
        ),
        Some(back) if back.succeeded() => Some("what was done was taken back; mend the cause and apply again"),
        Some(_) => Some("what was done was taken back in part; `provision rollback` does the rest"),
    };
    if let Some(back) = &report.rolled_back {
        errors.extend(self::failed(back));
    }
    errors.extend(unanswered(report));
    errors.push(Error::Incomplete { message, help });
    errors
}

/// What did not answer after a rollback.
fn unanswered(report: &Report) -> Vec<Error> {
    let failed = report.serving.iter().filter_map(|(address, outcome)| {
        let Resource::Failed { message } = outcome else { return None };
        let message = format!("asked again after what was done was taken back: {message}");
        Some(Error::Resource { host: report.host.clone(), address: address.clone(), message })
    });
    failed.collect()
}

fn failed(report: &Report) -> Vec<Error> {
    let host = &report.host;
    let resources = report.resources.iter().filter_map(|(address, outcome)| {
        let message = match outcome {
            Resource::Failed { message } => message.clone(),
            Resource::NotConverged { message } => format!("it was changed, and still differs: {message}"),
            _ => return None,
        };
        Some(Error::Resource { host: host.clone(), address: address.clone(), message })
    });
    let cut = |message: &String| match report.reverted {
        true => Error::Reverted { host: host.clone(), message: message.clone() },
        false => Error::Cut { host: host.clone(), message: message.clone() },
    };
    resources.chain(report.failures.iter().map(cut)).collect()
}

/// What is known when somebody has had enough.
fn interrupted(progress: &Progress<'_>, several: bool) -> Error {
    let states = progress.states();
    let mut parts: Vec<String> = states
        .iter()
        .map(|(host, state)| {
            let host = if several { format!("on host {host} ") } else { String::new() };
            let done = format!("{host}{} done", count(state.finished, "resource"));
            match &state.running {
                Some(running) => format!("{done}, and {running} begun, which the host may still finish"),
                None => done,
            }
        })
        .collect();
    if parts.is_empty() {
        parts.push("nothing was changed".to_owned());
    }
    Error::Interrupted { state: parts.join("\n") }
}
