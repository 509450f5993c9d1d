//! The verbs, one a file; what several have in common is in `survey`, which asks hosts, and `work`, which changes them.

use serde_json::Value;
use time::OffsetDateTime;

use crate::args::{Format, Verb};
use crate::error::Error;
use crate::exit::Exit;
use crate::surroundings::Surroundings;
use crate::view::View;

pub mod apply;
pub mod bundle;
pub mod destroy;
pub mod diff;
pub mod graph;
pub mod kinds;
pub mod order;
pub mod rollback;
pub mod status;
mod survey;
pub mod validate;
mod work;

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
            Self::Apply(apply) if apply.consent.dry_run => "diff",
            Self::Apply(_) => "apply",
            Self::Destroy(_) => "destroy",
            Self::Rollback(_) => "rollback",
            Self::Status(_) => "status",
            Self::Graph(_) => "graph",
            Self::Bundle(_) => "bundle",
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
        Verb::Destroy(arguments) => destroy::run(&arguments, &surroundings, view).await,
        Verb::Rollback(arguments) => rollback::run(&arguments, &surroundings, view).await,
        Verb::Status(arguments) => status::run(&arguments, &surroundings, view).await,
        Verb::Graph(arguments) => graph::run(&arguments, &surroundings, view),
        Verb::Bundle(arguments) => bundle::run(&arguments, &surroundings, view).await,
        Verb::Kinds(arguments) => kinds::run(&arguments, view),
    };
    done.unwrap_or_else(Outcome::from)
}

/// The clock, read here and nowhere else.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
