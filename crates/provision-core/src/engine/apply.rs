//! Apply, destroy and rollback: changes become tasks, tasks as few exchanges as they can, and the host notes how it ended.

use super::arrival;
use super::exchange::Run;
use super::observe::{Subject, Verb, taken_back};
use super::outage::Serving;
use super::prepare::{Part, Work, gather, parts, prepare};
use super::removal::Removal;
use super::{Changes, EngineError, outage};
use crate::connection::Connection;
use crate::event::{Event, Events};
use crate::plan::ownership::OnFailure;
use crate::report::Report;
use crate::step::Step;

/// Makes the changes, and no others, then asks the host once more.
///
/// The number of exchanges depends on the checks from this side that stand between other resources, never on how many
/// resources there are: one for the steps, one to verify, one to note how it ended, and one before them when key material on
/// the host is needed. Where nothing changes there is none at all, unless the host's memory of the plan is out of date.
///
/// # Errors
/// When nothing has been done: the host cannot be reached, somebody else is at it or has been since it was looked at, or a
/// change cannot be prepared. Everything that goes wrong later is in the report.
pub async fn apply(changes: Changes, connection: &dyn Connection, events: Events<'_>) -> Result<Report, EngineError> {
    let mut report = make(changes, connection, events).await?;
    outage::settle(&mut report);
    Ok(report)
}

async fn make(changes: Changes, connection: &dyn Connection, events: Events<'_>) -> Result<Report, EngineError> {
    refuse(&changes)?;
    let mut materials = gather(&changes, connection).await?;
    let mut work = prepare(&changes, &mut materials)?;
    arrival::resume(&changes, &mut work).await?;
    let mut run = Run::new(&changes, &materials, events);
    let parts = parts(&changes, &work);
    // A rollback is the host's business to the end, even where nothing is left of what it takes back.
    let rolls_back = matches!(changes.observed.verb, Verb::Rollback(_));
    let leaves = |removal: &Removal| !removal.steps.is_empty() || !removal.after.is_empty();
    run.journalled = rolls_back || changes.removals.iter().any(leaves) || work.iter().any(mutates);
    for part in parts {
        match part {
            Part::Batch(members) => run.batch(&members, &work, connection).await?,
            Part::Here(at) => run.watch(at, connection).await,
        }
        if !run.failures.is_empty() {
            break;
        }
    }
    if run.journalled {
        if run.failures.is_empty() {
            events(Event::Verifying);
            run.verify(connection).await;
        }
        run.end(connection).await;
    } else if changes.is_to_be_noted() {
        run.note(connection).await?;
    }
    let mut report = run.report();
    let choice = changes.orders.on_failure.unwrap_or_else(|| changes.observed.graph.on_failure());
    let begun = changes.observed.verb == Verb::Apply && report.apply.is_some() && !report.reverted;
    if !report.succeeded() && begun && choice == OnFailure::Rollback {
        events(Event::RollingBack);
        match Box::pin(roll_back(&changes, &report, connection, events)).await {
            Ok((back, serving)) => {
                report.rolled_back = Some(Box::new(back));
                outage::join(&mut report, serving);
            }
            Err(error) => report.failures.push(format!("cannot take it back: {error}")),
        }
    }
    Ok(report)
}

/// Takes back what an apply has done that failed; over a new connection, where the old one is lost. Then it asks whether what
/// was there before serves again.
async fn roll_back(
    changes: &Changes,
    report: &Report,
    connection: &dyn Connection,
    events: Events<'_>,
) -> Result<(Report, Vec<Serving>), EngineError> {
    let anew = if report.failures.is_empty() { Vec::new() } else { connection.anew().await };
    let anew = anew.into_iter().find_map(|again| again.connection.ok());
    let connection = anew.as_deref().unwrap_or(connection);
    let (plan, digest) = (changes.observed.graph.plan(), changes.observed.plan.as_str());
    let subject = Subject { plan, digest, secrets: &changes.observed.secrets, host: &changes.observed.host };
    let mut backs: Vec<Report> = Vec::new();
    loop {
        let observed = taken_back(subject, connection).await?;
        // What the apply went on from is no state to come back to: its own way leads further.
        let cut = observed.follows_a_cut();
        let back = observed.diff(changes.time()).ordered(changes.orders.clone());
        let back = make(back, connection, events).await?;
        let further = cut && back.succeeded();
        backs.push(back);
        if !further {
            break;
        }
    }
    let serving = if backs.last().is_some_and(Report::succeeded) {
        let down = report.down.iter().chain(backs.iter().flat_map(|back| &back.down));
        let units = down.map(|down| &down.unit).collect();
        outage::ask_again(changes, &units, connection, events).await
    } else {
        Vec::new()
    };
    let one = |later: Option<Box<Report>>, mut back: Report| {
        back.rolled_back = later;
        Some(Box::new(back))
    };
    let first = backs.into_iter().rev().fold(None, one);
    first.map(|first| (*first, serving)).ok_or_else(|| EngineError::NothingToRollBack {
        host: changes.observed.host.name.clone(),
        plan: plan.to_owned(),
    })
}

fn refuse(changes: &Changes) -> Result<(), EngineError> {
    let host = || changes.observed.host.name.clone();
    let undecided = changes.undecided().count();
    if undecided > 0 {
        return Err(EngineError::Undecided { host: host(), count: undecided });
    }
    let foreign = changes.foreign().count();
    if foreign > 0 {
        return Err(EngineError::Foreign { host: host(), count: foreign });
    }
    Ok(())
}

/// Whether something may change the host: asking it for an answer does not.
fn mutates(work: &Work) -> bool {
    matches!(work, Work::Steps(steps) if steps.iter().any(|step| !matches!(step, Step::Await(_))))
}
