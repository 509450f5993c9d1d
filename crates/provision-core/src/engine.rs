//! The only orchestration: observe, diff, apply, verify.
//!
//! Nothing here prints, reads a clock, an environment or a home directory, and every `await` may be the last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use time::OffsetDateTime;

mod apply;
pub(crate) mod watch;

use crate::address::Address;
use crate::change::{Action, Cause, Change, Signal};
use crate::connection::{Connection, ConnectionError};
use crate::facts::Facts;
use crate::graph::Graph;
use crate::plan::Plan;
use crate::plan::host::Host;
use crate::plan::problem::PlanError;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Relation, Thing};
use crate::secret::Secrets;

pub use apply::apply;
pub(crate) use apply::owed_run;

/// Why a host could not be observed or changed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The host could not be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// With the host's facts the plan is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A change cannot be made; nothing has been done.
    #[error("{address}: {reason}")]
    Unprepared {
        /// The resource.
        address: Address,
        /// Why.
        reason: Undecided,
    },
    /// For some resources it could not be found out what to do; nothing has been done.
    #[error("{count} resources of {host} could not be decided")]
    Undecided {
        /// The host's name in the plan.
        host: String,
        /// How many.
        count: usize,
    },
}

/// A host with its resources and what it answered.
#[derive(Debug)]
pub struct Observed {
    host: Host,
    graph: Graph,
    answers: Answers,
    secrets: Secrets,
}

/// Asks a host everything that the plan's resources want to know: one exchange, and one before it where the plan uses
/// facts.
///
/// # Errors
/// When the host cannot be asked, or the plan is wrong once its facts are known.
pub async fn observe(plan: &Plan, host: &Host, connection: &dyn Connection) -> Result<Observed, EngineError> {
    let facts = if plan.needs_facts() { connection.facts().await? } else { Facts::default() };
    let graph = plan.resolve(host, &facts)?;
    let answers = connection.ask(&asks(&graph)).await?;
    Ok(Observed { host: host.clone(), graph, answers, secrets: plan.secrets().clone() })
}

fn asks(graph: &Graph) -> BTreeSet<Ask> {
    let mut asks: BTreeSet<Ask> = graph.resources().flat_map(|(_, resource)| resource.asks()).collect();
    if asks.iter().any(|ask| matches!(ask, Ask::Unit(_))) {
        asks.insert(Ask::Owed(graph.plan().to_owned()));
    }
    asks
}

/// What an apply would do to one host: what is shown is what is done.
#[derive(Debug)]
pub struct Changes {
    host: Host,
    graph: Graph,
    answers: Answers,
    secrets: Secrets,
    now: OffsetDateTime,
    /// When that was, for whoever needs the time later: a plan may be looked at for long before it is applied.
    since: Instant,
    items: Vec<Result<Change, Undecided>>,
}

impl Observed {
    /// Compares what is with what is wanted.
    #[must_use]
    pub fn diff(self, now: OffsetDateTime) -> Changes {
        let Self { host, graph, answers, secrets } = self;
        let items = diff(&graph, &answers, now);
        Changes { host, graph, answers, secrets, now, since: Instant::now(), items }
    }
}

fn diff(graph: &Graph, answers: &Answers, now: OffsetDateTime) -> Vec<Result<Change, Undecided>> {
    let empty = Vec::new();
    let owed = answers.owed(graph.plan()).unwrap_or(&empty);
    let provided: Vec<Vec<Thing>> = graph.resources().map(|(_, resource)| resource.provides()).collect();
    let mut items: Vec<Result<Change, Undecided>> = Vec::with_capacity(graph.len());
    for (at, (_, resource)) in graph.resources().enumerate() {
        let item = {
            let mut upstream: BTreeMap<Thing, &Change> = BTreeMap::new();
            let mut offered: Vec<&Thing> = Vec::new();
            let mut command = false;
            for index in graph.closure(at, Relation::After) {
                let things = provided.get(index).map(Vec::as_slice).unwrap_or_default();
                offered.extend(things);
                if let Some(Ok(change)) = items.get(index)
                    && !change.is_none()
                {
                    upstream.extend(things.iter().map(|thing| (thing.clone(), change)));
                    command |= change.action == Action::Run;
                }
            }
            let causes = causes(graph, at, &items);
            resource.diff(answers, &Context { now, upstream: &upstream, provided: &offered, command, causes, owed })
        };
        items.push(item);
    }
    items
}

/// The changes that reach a resource through what it uses, by address.
fn causes(graph: &Graph, at: usize, items: &[Result<Change, Undecided>]) -> Vec<Cause> {
    let mut causes: BTreeMap<&Address, Cause> = BTreeMap::new();
    for (used, _) in graph.dependencies(at).filter(|(_, relation)| *relation == Relation::Uses) {
        let Some(through) = graph.vertex(used) else { continue };
        for index in graph.closure(used, Relation::Uses).into_iter().chain([used]) {
            let Some((vertex, Ok(change))) = graph.vertex(index).zip(items.get(index)) else { continue };
            if change.signal == Signal::None {
                continue;
            }
            let (address, signal) = (vertex.address.clone(), change.signal);
            let cause = causes.entry(&vertex.address).or_insert(Cause { address, signal, through: Vec::new() });
            cause.through.push(through.address.clone());
        }
    }
    causes
        .into_values()
        .map(|mut cause| {
            cause.through.sort();
            cause
        })
        .collect()
}

impl Changes {
    /// The host they are for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Every resource in order, with its change or why it could not be decided.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, Result<&Change, &Undecided>)> {
        self.graph.resources().zip(&self.items).map(|((address, _), item)| (address, item.as_ref()))
    }

    /// The changes that there are.
    pub fn changed(&self) -> impl Iterator<Item = (&Address, &Change)> {
        self.iter()
            .filter_map(|(address, item)| item.ok().map(|change| (address, change)))
            .filter(|(_, c)| !c.is_none())
    }

    /// What could not be decided.
    pub fn undecided(&self) -> impl Iterator<Item = (&Address, &Undecided)> {
        self.iter().filter_map(|(address, item)| item.err().map(|reason| (address, reason)))
    }

    /// Whether the host is as wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.iter().all(|item| item.as_ref().is_ok_and(Change::is_none))
    }

    /// How many resources are watched at each apply, changed or not.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.graph.resources().filter(|(_, resource)| resource.watch().is_some()).count()
    }

    /// The resources and their order.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}
