//! A plan that is built in Rust instead of read from a file. The same rules hold, and the same findings come back.

use std::sync::Arc;

use super::Plan;
use super::asset::{Assets, NoAssets};
use super::input::Inputs;
use super::module::{BLOCK, USE};
use super::node::{Entry, Node, Table, Value, from_toml, from_toml_table};
use super::ownership::OnFailure;
use super::problem::{PlanError, Problems, Source};
use crate::attribute::Size;
use crate::secret::Text;
use crate::step::Keep;

/// Collects the parts of a plan.
///
/// ```
/// use provision_core::plan::build::PlanBuilder;
///
/// let plan = PlanBuilder::new("demo")
///     .resource("directory", "root", toml::toml! { path = "/srv/demo" })
///     .resource("file", "hello", toml::toml! {
///         path = "{{ directory.root.path }}/hello"
///         content = "Hello.\n"
///     })
///     .build()?;
/// assert_eq!(plan.name(), "demo");
/// # Ok::<(), provision_core::plan::problem::PlanError>(())
/// ```
pub struct PlanBuilder {
    root: Table,
    inputs: Inputs,
    assets: Arc<dyn Assets>,
}

impl PlanBuilder {
    /// Starts a plan. Without a host it is for this machine.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut root = Table::default();
        put(&mut root, "name", Node::new(Value::Text(Text::plain(name)), None));
        Self { root, inputs: Inputs::default(), assets: Arc::new(NoAssets) }
    }

    /// Adds a host with the fields of a `[host.name]` table.
    #[must_use]
    pub fn host(self, name: &str, fields: toml::Table) -> Self {
        self.entry("host", name, Node::new(Value::Table(from_toml_table(&fields)), None))
    }

    /// Adds a resource with the fields of a `[kind.name]` table.
    #[must_use]
    pub fn resource(self, kind: &str, name: &str, fields: toml::Table) -> Self {
        self.entry(kind, name, Node::new(Value::Table(from_toml_table(&fields)), None))
    }

    /// Adds a block of resources with the fields of a `[block.name]` table, its resources among them.
    #[must_use]
    pub fn block(self, name: &str, fields: toml::Table) -> Self {
        self.entry(BLOCK, name, Node::new(Value::Table(from_toml_table(&fields)), None))
    }

    /// Uses another plan, with the fields of a `[use.name]` table. Where it is found [`PlanBuilder::assets`] says.
    #[must_use]
    pub fn uses(self, name: &str, fields: toml::Table) -> Self {
        self.entry(USE, name, Node::new(Value::Table(from_toml_table(&fields)), None))
    }

    /// Adds an input and its value.
    #[must_use]
    pub fn input(self, name: &str, value: impl Into<toml::Value>) -> Self {
        let mut table = Table::default();
        put(&mut table, "default", from_toml(&value.into()));
        self.entry("input", name, Node::new(Value::Table(table), None))
    }

    /// Adds an input whose value must not be seen.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        let mut table = Table::default();
        put(&mut table, "default", Node::new(Value::Text(Text::secret(value)), None));
        put(&mut table, "secret", Node::new(Value::Boolean(true), None));
        self.entry("input", name, Node::new(Value::Table(table), None))
    }

    /// Adds an output.
    #[must_use]
    pub fn output(self, name: &str, value: &str) -> Self {
        self.entry("outputs", name, Node::new(Value::Text(Text::plain(value)), None))
    }

    /// Says what becomes of an apply that fails; without it what was done stays.
    #[must_use]
    pub fn on_failure(mut self, choice: OnFailure) -> Self {
        put(&mut self.root, "on_failure", Node::new(Value::Text(Text::plain(choice.word())), None));
        self
    }

    /// Says how much of the history a host keeps; without it ten applies and 256 MiB.
    #[must_use]
    pub fn history(mut self, keep: Keep) -> Self {
        let size = Size::from_bytes(keep.bytes).to_string();
        let mut table = Table::default();
        put(&mut table, "applies", Node::new(Value::Integer(keep.applies.into()), None));
        put(&mut table, "size", Node::new(Value::Text(Text::plain(size)), None));
        put(&mut self.root, "history", Node::new(Value::Table(table), None));
        self
    }

    /// Says that a resource had another address when it was last applied.
    #[must_use]
    pub fn moved(self, old: &str, new: &str) -> Self {
        self.entry("moved", old, Node::new(Value::Text(Text::plain(new)), None))
    }

    /// Says where the files are that the plan names.
    #[must_use]
    pub fn assets(mut self, assets: Arc<dyn Assets>) -> Self {
        self.assets = assets;
        self
    }

    /// Checks everything and makes the plan.
    ///
    /// # Errors
    /// All that is wrong with it; the findings name resources and have no line.
    pub fn build(self) -> Result<Plan, PlanError> {
        let source = Source { name: "the plan".to_owned(), text: String::new() };
        Plan::from_table(source, self.root, self.assets, &self.inputs, Problems::default())
    }

    fn entry(mut self, section: &str, name: &str, node: Node) -> Self {
        let slot = self
            .root
            .entries
            .entry(section.to_owned())
            .or_insert_with(|| Entry { key: None, node: Node::new(Value::Table(Table::default()), None) });
        if let Value::Table(table) = &mut slot.node.value {
            put(table, name, node);
        }
        self
    }
}

fn put(table: &mut Table, key: &str, node: Node) {
    table.entries.insert(key.to_owned(), Entry { key: None, node });
}
