//! The verbs, one a file, and what diff and apply have in common: asking the hosts.

use futures_util::future::join_all;
use provision_core::address::Address;
use provision_core::engine::{self, Changes};
use provision_core::plan::Plan;
use provision_core::plan::host::Host;
use provision_core::probe::Undecided;
use serde_json::Value;
use time::OffsetDateTime;

use crate::args::{Format, Verb};
use crate::connect::{Connector, Link};
use crate::error::Error;
use crate::exit::Exit;
use crate::surroundings::Surroundings;
use crate::view::View;

pub mod apply;
pub mod diff;
pub mod graph;
pub mod kinds;
pub mod validate;

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub exit: Exit,
    /// The result for programs.
    pub body: Value,
    /// What went wrong.
    pub errors: Vec<Error>,
}

impl Outcome {
    /// Nothing went wrong.
    pub fn success(body: Value) -> Self {
        Self { exit: Exit::Success, body, errors: Vec::new() }
    }

    /// A result with what went wrong on the way.
    pub fn new(body: Value, errors: Vec<Error>) -> Self {
        let exit = errors.iter().map(Error::exit).max().unwrap_or(Exit::Success);
        Self { exit, body, errors }
    }
}

impl From<Vec<Error>> for Outcome {
    fn from(errors: Vec<Error>) -> Self {
        Self::new(Value::Null, errors)
    }
}

impl Verb {
    /// What it is called in the result for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Validate(_) => "validate",
            Self::Diff(_) => "diff",
            Self::Apply(apply) if apply.dry_run => "diff",
            Self::Apply(_) => "apply",
            Self::Graph(_) => "graph",
            Self::Kinds(_) => "kinds",
        }
    }

    /// Whether it asks for the result for programs in its own way.
    pub fn is_for_programs(&self) -> bool {
        matches!(self, Self::Graph(graph) if graph.format == Format::Json)
    }
}

/// Does what the command line says.
pub async fn run(verb: Verb, view: &View) -> Outcome {
    let surroundings = match Surroundings::read() {
        Ok(surroundings) => surroundings,
        Err(error) => return vec![error].into(),
    };
    let done = match verb {
        Verb::Validate(arguments) => validate::run(&arguments, &surroundings, view),
        Verb::Diff(arguments) => diff::run(&arguments, &surroundings, view).await,
        Verb::Apply(arguments) => apply::run(arguments, &surroundings, view).await,
        Verb::Graph(arguments) => graph::run(&arguments, &surroundings, view),
        Verb::Kinds(arguments) => kinds::run(&arguments, view),
    };
    done.unwrap_or_else(Outcome::from)
}

/// A host that has been asked.
struct Ready {
    link: Link,
    changes: Changes,
}

/// Asks all hosts at once. Nothing is changed by it.
async fn observe(plan: &Plan, hosts: &[&Host], connector: &Connector) -> (Vec<Ready>, Vec<Error>) {
    let now = now();
    let asked = hosts.iter().map(|host| async {
        let link = connector.connect(host).await?;
        let observed = engine::observe(plan, host, link.connection())
            .await
            .map_err(|error| Error::host(&host.name, connector.user(host), error))?;
        Ok(Ready { link, changes: observed.diff(now) })
    });
    let mut ready = Vec::new();
    let mut errors = Vec::new();
    for answer in join_all(asked).await {
        match answer {
            Ok(host) => ready.push(host),
            Err(error) => errors.push(error),
        }
    }
    (ready, errors)
}

/// The resources of which it cannot be said what to do.
fn undecided(ready: &[Ready]) -> Vec<Error> {
    let of_host = |changes: &Changes| -> Vec<Error> {
        let host = changes.host().name.clone();
        let error = |(address, reason): (&Address, &Undecided)| Error::Undecided {
            host: host.clone(),
            address: address.clone(),
            reason: reason.clone(),
        };
        changes.undecided().map(error).collect()
    };
    ready.iter().flat_map(|ready| of_host(&ready.changes)).collect()
}

/// The clock, read here and nowhere else.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
