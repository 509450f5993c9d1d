//! Apply, destroy and rollback: changes become tasks, tasks as few exchanges as they can, and the host notes how it ended.

use super::exchange::Run;
use super::prepare::{Part, Work, gather, parts, prepare};
use super::{Changes, EngineError};
use crate::connection::Connection;
use crate::event::{Event, Events};
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
    refuse(&changes)?;
    let mut materials = gather(&changes, connection).await?;
    let work = prepare(&changes, &mut materials)?;
    let mut run = Run::new(&changes, &materials, events);
    let parts = parts(&changes, &work);
    run.journalled = changes.removals.iter().any(|removal| !removal.steps.is_empty()) || work.iter().any(mutates);
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
    Ok(run.report())
}

fn refuse(changes: &Changes) -> Result<(), EngineError> {
    let host = || changes.host.name.clone();
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
