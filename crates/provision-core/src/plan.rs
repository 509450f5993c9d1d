//! From the text of a plan to its resources on one host. Collects every finding; does no I/O but reading the files
//! that the plan names beside it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

pub mod asset;
pub mod build;
mod digest;
pub mod fields;
pub mod host;
pub mod input;
pub(crate) mod node;
pub mod ownership;
pub mod problem;
mod resolve;
mod template;
#[cfg(test)]
mod tests;

use crate::address::{Address, NAME, check_name};
use crate::facts::Facts;
use crate::graph::Graph;
use crate::resource::{KINDS, Kind, kind};
use crate::secret::Secrets;
use asset::Assets;
use fields::Fields;
use host::Host;
use input::{Input, Inputs};
use node::{Entry, Node, Table, Value};
use ownership::Ownership;
use problem::{Place, PlanError, Problems, Source, suggest};
use template::{Failure, Reference, Templates, is_template};

/// A plan that has been read and found free of mistakes.
pub struct Plan {
    source: Arc<Source>,
    name: String,
    description: Option<String>,
    hosts: Vec<Host>,
    inputs: IndexMap<String, Input>,
    values: IndexMap<String, Node>,
    resources: Vec<Declared>,
    outputs: Vec<(String, Node)>,
    templates: Templates,
    assets: Arc<dyn Assets>,
    secrets: Secrets,
    ownership: Ownership,
    digest: String,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name)
            .field("resources", &self.resources.len())
            .finish_non_exhaustive()
    }
}

/// A resource as it is written.
#[derive(Debug, Clone)]
struct Declared {
    address: Address,
    kind: &'static Kind,
    table: Table,
    place: Option<Place>,
    references: Vec<(Reference, Option<Place>)>,
    /// Hosts it is for; all without any.
    hosts: Vec<String>,
}

/// Words that stand beside the kinds at the top of a plan.
const TOP: &[&str] = &["name", "description", "input", "host", "outputs"];

/// Every such word.
fn top() -> impl Iterator<Item = &'static str> {
    TOP.iter().copied().chain(ownership::WORDS)
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place and a way out.
    pub fn parse(source: Source, assets: Arc<dyn Assets>, inputs: &Inputs) -> Result<Self, PlanError> {
        let mut problems = Problems::default();
        let root = node::parse(&source.text, &mut problems);
        Self::from_table(source, root, assets, inputs, problems)
    }

    fn from_table(
        source: Source,
        root: Table,
        assets: Arc<dyn Assets>,
        inputs: &Inputs,
        syntax: Problems,
    ) -> Result<Self, PlanError> {
        let source = Arc::new(source);
        let problems = RefCell::new(Problems::default());
        let name = read_name(&root, &problems);
        let description = match root.entries.get("description").map(|entry| &entry.node) {
            Some(Node { value: Value::Text(text), .. }) => Some(text.expose().to_owned()),
            Some(node) => {
                problems.borrow_mut().add_help(
                    node.place,
                    format!("`description` is {}", node.type_name()),
                    "it takes text",
                );
                None
            }
            None => None,
        };
        let (inputs, values) = input::resolve(section(&root, "input", &problems), inputs, &problems);
        let templates = Templates::new(&name);
        let mut plan = Self {
            source: Arc::clone(&source),
            name,
            description,
            hosts: Vec::new(),
            inputs,
            values,
            resources: Vec::new(),
            outputs: Vec::new(),
            templates,
            assets,
            secrets: Secrets::default(),
            ownership: Ownership::default(),
            digest: String::new(),
        };
        for value in plan.values.values() {
            remember(value, &mut plan.secrets);
        }
        plan.read_hosts(&root, &problems);
        plan.read_resources(&root, &problems);
        plan.read_outputs(&root, &problems);
        let addresses: Vec<&Address> = plan.resources.iter().map(|resource| &resource.address).collect();
        plan.ownership = Ownership::read(&root, &addresses, &problems);
        plan.check_references(&problems);
        let ordered = plan.order(&problems);
        let hosts: Vec<Host> = plan.hosts.clone();
        let mut files = BTreeSet::new();
        for host in hosts.iter().filter(|_| ordered) {
            match plan.resolve_for(host, &Facts::example()) {
                Ok(graph) => files.extend(graph.assets().cloned()),
                Err(found) => problems.borrow_mut().extend(found),
            }
        }
        plan.digest = plan.digest_of(&root, &files);
        let mut problems = problems.into_inner();
        problems.give_way_to(&syntax, &source.text);
        problems.extend(syntax);
        // What is lost without a finding is none the less not there.
        if problems.is_whole() { Ok(plan) } else { Err(problems.into_error(&source)) }
    }

    /// The plan's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the plan says it is for.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Its hosts, in the order in which they are written.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Its inputs by name.
    #[must_use]
    pub fn inputs(&self) -> &IndexMap<String, Input> {
        &self.inputs
    }

    /// The values of its inputs that anyone may see, in the order of the plan: text, whole numbers, true or false, lists of
    /// text. [`Inputs::keep`] takes them back.
    pub fn values(&self) -> impl Iterator<Item = (&str, serde_json::Value)> {
        let open = self.values.iter().filter(|(name, _)| self.inputs.get(*name).is_none_or(|input| !input.secret));
        open.filter_map(|(name, node)| Some((name.as_str(), input::kept(node)?)))
    }

    /// The secrets among its values, for masking what a host says.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether its resources depend on facts of the host, so that those must be asked first.
    #[must_use]
    pub fn needs_facts(&self) -> bool {
        self.resources.iter().any(|resource| resource.references.iter().any(|(reference, _)| reference.is("fact")))
            || self.outputs.iter().any(|(_, node)| {
                texts(node).iter().any(|(text, _)| {
                    self.templates
                        .references(text)
                        .is_ok_and(|found| found.iter().any(|reference| reference.is("fact")))
                })
            })
    }

    /// The resources on one host, with their order.
    ///
    /// # Errors
    /// What is wrong once the host's facts are known.
    pub fn resolve(&self, host: &Host, facts: &Facts) -> Result<Graph, PlanError> {
        self.resolve_for(host, facts).map_err(|problems| problems.into_error(&self.source))
    }

    fn read_hosts(&mut self, root: &Table, problems: &RefCell<Problems>) {
        let Some((table, _)) = section(root, "host", problems) else {
            self.hosts.push(Host::local("local"));
            return;
        };
        for (name, entry) in &table.entries {
            if check_name(name).is_err() {
                problems.borrow_mut().add_help(
                    entry.key,
                    format!("{name:?} is not a name"),
                    format!("a host's is {NAME}"),
                );
            }
            let Value::Table(body) = &entry.node.value else {
                let message = format!("host.{name} is {}", entry.node.type_name());
                problems.borrow_mut().add_help(entry.node.place, message, format!("a host is a table: [host.{name}]"));
                self.hosts.push(Host::local(name));
                continue;
            };
            // A host's own fields may use inputs, and nothing else: nothing else is known before it is reached.
            for (reference, place) in self.references_in(&entry.node, problems) {
                if reference.is("input") {
                    self.check_reference(&reference, place, problems);
                } else {
                    let message = format!("a host cannot refer to {}", reference.0.join("."));
                    problems.borrow_mut().add_help(place, message, "only inputs are known before a host is reached");
                }
            }
            let host = self.render_table(body, problems).and_then(|rendered| {
                let place = entry.key.or(entry.node.place);
                Host::read(name, &Fields::new(format!("host.{name}"), &rendered, place, problems))
            });
            // A wrong host keeps its place, so that what else is wrong with the plan is found too.
            self.hosts.push(host.unwrap_or_else(|| Host::local(name)));
        }
    }

    fn read_resources(&mut self, root: &Table, problems: &RefCell<Problems>) {
        for (key, entry) in root.entries.iter().filter(|(key, _)| top().all(|word| word != *key)) {
            let Some(kind) = kind(key) else {
                let known = KINDS.iter().map(|kind| kind.name).chain(top());
                problems.borrow_mut().add_help(entry.key, format!("unknown kind `{key}`"), suggest(key, known));
                continue;
            };
            let Value::Table(resources) = &entry.node.value else {
                let message = format!("`{key}` is {}", entry.node.type_name());
                problems.borrow_mut().add_help(
                    entry.node.place,
                    message,
                    format!("a resource has a name: [{key}.name]"),
                );
                continue;
            };
            if let Some((field, wrong)) =
                resources.entries.iter().find(|(_, entry)| !matches!(entry.node.value, Value::Table(_)))
            {
                // Of a header without a name each key would be a finding.
                let (message, help) = match wrong.node.value {
                    Value::Array(_) => (
                        format!("{key}.{field} is a list"),
                        format!("a resource is one table: [{key}.{field}], in single brackets"),
                    ),
                    _ => (
                        format!("`{field}` of [{key}] is {}, not a resource", wrong.node.type_name()),
                        format!("a resource is a table with a name: [{key}.NAME]"),
                    ),
                };
                problems.borrow_mut().add_help(wrong.key.or(wrong.node.place), message, help);
            }
            for (name, entry) in &resources.entries {
                self.read_resource(kind, name, entry, problems);
            }
        }
    }

    fn read_resource(&mut self, kind: &'static Kind, name: &str, entry: &Entry, problems: &RefCell<Problems>) {
        let Value::Table(table) = &entry.node.value else { return };
        let Ok(address) = Address::new(kind.name, name) else {
            let (message, help) = (format!("{name:?} is not a name"), format!("a resource's is {NAME}"));
            problems.borrow_mut().add_help(entry.key.or(entry.node.place), message, help);
            return;
        };
        let mut table = table.clone();
        for field in kind.templates {
            if let Some(entry) = table.entries.get_mut(*field) {
                self.load_template(field, &mut entry.node, problems);
            }
        }
        let place = entry.key.or(entry.node.place);
        let fields = Fields::new(address.to_string(), &table, place, problems);
        let hosts: Vec<String> = fields.list("hosts");
        for host in &hosts {
            if !self.hosts.iter().any(|known| known.name == *host) {
                let known = self.hosts.iter().map(|host| host.name.as_str());
                fields.item_problem("hosts", host, format!("the plan has no host `{host}`"), suggest(host, known));
            }
        }
        let references = self.references_in(&Node::new(Value::Table(table.clone()), place), problems);
        self.resources.push(Declared { address, kind, table, place, references, hosts });
    }

    /// Puts the text of a template file in place of its name.
    fn load_template(&self, field: &str, node: &mut Node, problems: &RefCell<Problems>) {
        let Value::Text(name) = &node.value else { return };
        match self.assets.read(name.expose()).map(String::from_utf8) {
            Ok(Ok(text)) => node.value = Value::Text(crate::secret::Text::plain(text)),
            Ok(Err(_)) => {
                let message = format!("{} is not UTF-8 text, so it cannot be a template", name.expose());
                let help = "name it in `source`, which sends a file as it is";
                problems.borrow_mut().add_help(node.place, message, help);
            }
            Err(reason) => {
                let help = format!("a relative path in `{field}` starts at the plan's directory");
                problems.borrow_mut().add_help(node.place, reason, help);
            }
        }
    }

    fn read_outputs(&mut self, root: &Table, problems: &RefCell<Problems>) {
        let Some((table, _)) = section(root, "outputs", problems) else { return };
        for (name, entry) in &table.entries {
            if matches!(entry.node.value, Value::Table(_) | Value::Array(_)) {
                let message = format!("outputs.{name} is {}", entry.node.type_name());
                problems.borrow_mut().add_help(entry.node.place, message, "an output is text");
                continue;
            }
            for (reference, place) in self.references_in(&entry.node, problems) {
                self.check_reference(&reference, place, problems);
            }
            self.outputs.push((name.clone(), entry.node.clone()));
        }
    }

    /// Every reference in the texts of a value, with its place.
    fn references_in(&self, node: &Node, problems: &RefCell<Problems>) -> Vec<(Reference, Option<Place>)> {
        let mut found = Vec::new();
        for (text, place) in texts(node) {
            match self.templates.references(text) {
                Ok(references) => found.extend(references.into_iter().map(|reference| (reference, place))),
                Err(Failure { message, help }) => problems.borrow_mut().add_help(place, message, help),
            }
        }
        found
    }

    fn check_references(&self, problems: &RefCell<Problems>) {
        for resource in &self.resources {
            for (reference, place) in &resource.references {
                self.check_reference(reference, *place, problems);
            }
        }
    }

    /// Whether a reference leads somewhere, as far as can be said before anything is rendered.
    fn check_reference(&self, reference: &Reference, place: Option<Place>, problems: &RefCell<Problems>) {
        let text = reference.0.join(".");
        let place = place.map(|place| self.place_of(&text, place));
        let (first, second) = (reference.part(0).unwrap_or_default(), reference.part(1));
        let missing = |help: String| {
            problems.borrow_mut().add_help(place, format!("`{text}` refers to something that is not there"), help);
        };
        match (first, second) {
            ("input", Some(name)) if !self.inputs.contains_key(name) => {
                missing(suggest(name, self.inputs.keys().map(String::as_str)));
            }
            ("host", Some(name)) if !resolve::HOST_ATTRIBUTES.contains(&name) => {
                missing(suggest(name, resolve::HOST_ATTRIBUTES.iter().copied()));
            }
            ("fact", Some(name)) if !crate::facts::NAMES.iter().any(|(fact, _)| *fact == name) => {
                missing(suggest(name, crate::facts::NAMES.iter().map(|(fact, _)| *fact)));
            }
            ("plan", Some(name)) if name != "name" => missing(suggest(name, ["name"])),
            ("input" | "host" | "fact" | "plan", _) => {}
            (kind_name, name) => {
                if kind(kind_name).is_none() {
                    let known = KINDS.iter().map(|kind| kind.name).chain(["input", "host", "fact", "plan"]);
                    missing(suggest(kind_name, known));
                } else if let Some(name) = name
                    && !self.resources.iter().any(|r| r.address.kind() == kind_name && r.address.name() == name)
                {
                    let of_kind = self.resources.iter().filter(|r| r.address.kind() == kind_name);
                    missing(suggest(name, of_kind.map(|resource| resource.address.name())));
                }
            }
        }
    }

    /// Where a reference stands in a text; the whole text when it is spelled in another way there.
    fn place_of(&self, reference: &str, place: Place) -> Place {
        let text = self.source.text.get(place.start..place.end).unwrap_or_default();
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let alone = |at: &usize| {
            let (before, rest) = text.split_at(*at);
            let after = rest.get(reference.len()..).unwrap_or_default();
            !before.ends_with(of_a_name) && !after.starts_with(of_a_name)
        };
        match text.match_indices(reference).map(|(at, _)| at).find(alone) {
            Some(at) => Place { start: place.start + at, end: place.start + at + reference.len() },
            None => place,
        }
    }

    /// Puts the resources in an order in which each comes after those it refers to; says whether there is one.
    fn order(&mut self, problems: &RefCell<Problems>) -> bool {
        let mut order = Vec::new();
        let mut state = vec![Visit::Fresh; self.resources.len()];
        let mut circles = Problems::default();
        for index in 0..self.resources.len() {
            self.visit(index, &mut state, &mut order, &mut Vec::new(), &mut circles);
        }
        let ordered = circles.is_empty();
        problems.borrow_mut().extend(circles);
        self.resources = order.into_iter().filter_map(|index| self.resources.get(index).cloned()).collect();
        ordered
    }

    fn visit(
        &self,
        index: usize,
        state: &mut Vec<Visit>,
        order: &mut Vec<usize>,
        trail: &mut Vec<usize>,
        circles: &mut Problems,
    ) {
        let Some(resource) = self.resources.get(index) else { return };
        match state.get(index) {
            Some(Visit::Fresh) => {}
            Some(Visit::Open) => {
                let from = trail.iter().position(|seen| *seen == index).unwrap_or(0);
                let names = trail.iter().skip(from).chain(std::iter::once(&index));
                let names: Vec<String> =
                    names.filter_map(|at| self.resources.get(*at)).map(|r| r.address.to_string()).collect();
                circles.add_help(
                    resource.place,
                    format!("these refer to each other in a circle: {}", names.join(" -> ")),
                    "take one of the references out, for instance by an input that both use",
                );
                return;
            }
            Some(Visit::Done) | None => return,
        }
        if let Some(slot) = state.get_mut(index) {
            *slot = Visit::Open;
        }
        trail.push(index);
        for address in resource.references.iter().flat_map(|(reference, _)| self.targets(reference)) {
            if let Some(target) = self.resources.iter().position(|r| r.address == address) {
                self.visit(target, state, order, trail, circles);
            }
        }
        trail.pop();
        if let Some(slot) = state.get_mut(index) {
            *slot = Visit::Done;
        }
        order.push(index);
    }

    /// The resources that a reference means: one, or all of a kind when only the kind is named.
    fn targets(&self, reference: &Reference) -> BTreeSet<Address> {
        self.resources
            .iter()
            .filter(|resource| {
                reference.is(resource.address.kind())
                    && reference.part(1).is_none_or(|name| name == resource.address.name())
            })
            .map(|resource| resource.address.clone())
            .collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Visit {
    Fresh,
    Open,
    Done,
}

impl Reference {
    fn part(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(String::as_str)
    }

    fn is(&self, first: &str) -> bool {
        self.0.first().is_some_and(|part| part == first)
    }
}

fn read_name(root: &Table, problems: &RefCell<Problems>) -> String {
    let help = "write `name = \"registry\"` above all headers: small letters, digits and `-`, at most 48";
    match root.entries.get("name").map(|entry| &entry.node) {
        Some(Node { value: Value::Text(text), place, .. }) => {
            let name = text.expose();
            let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && name.len() <= 48;
            if !fits {
                problems.borrow_mut().add_help(*place, format!("{name:?} cannot be the name of a plan"), help);
            }
            name.to_owned()
        }
        Some(node) => {
            problems.borrow_mut().add_help(node.place, format!("`name` is {}", node.type_name()), help);
            String::new()
        }
        None => {
            let top = Place { start: 0, end: 0 };
            problems.borrow_mut().add_help(Some(top), "the plan lacks `name`", help);
            String::new()
        }
    }
}

fn section<'a>(root: &'a Table, name: &str, problems: &RefCell<Problems>) -> Option<(&'a Table, Option<Place>)> {
    let entry = root.entries.get(name)?;
    match &entry.node.value {
        Value::Table(table) => Some((table, entry.key)),
        _ => {
            let message = format!("`{name}` is {}", entry.node.type_name());
            problems.borrow_mut().add_help(entry.node.place, message, format!("it is a table: [{name}]"));
            None
        }
    }
}

/// Every text in a value that is a template, with its place.
fn texts(node: &Node) -> Vec<(&str, Option<Place>)> {
    match &node.value {
        Value::Text(text) if is_template(text.expose()) => vec![(text.expose(), node.place)],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Table(table) => table.entries.values().flat_map(|entry| texts(&entry.node)).collect(),
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Unknown => Vec::new(),
    }
}

fn remember(node: &Node, secrets: &mut Secrets) {
    match &node.value {
        Value::Text(text) if text.is_secret() => secrets.add(text.expose()),
        Value::Array(items) => items.iter().for_each(|item| remember(item, secrets)),
        Value::Table(table) => table.entries.values().for_each(|entry| remember(&entry.node, secrets)),
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Unknown => {}
    }
}
