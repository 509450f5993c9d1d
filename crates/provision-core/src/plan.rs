//! From the text of a plan to its resources on one host. Collects every finding; does no I/O but reading the files
//! that the plan names beside it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::Utf8PathBuf;
use indexmap::IndexMap;

pub mod asset;
pub mod build;
mod digest;
mod element;
mod expand;
pub mod fields;
mod gate;
pub mod host;
pub mod input;
pub(crate) mod lend;
mod module;
mod names;
pub(crate) mod node;
pub mod ownership;
pub mod problem;
mod reader;
mod render;
mod resolve;
mod rule;
mod selection;
mod template;
#[cfg(test)]
mod tests;
mod world;

use crate::address::{Address, Key, NAME, Segment, check_name};
use crate::attribute::UserName;
use crate::facts::Facts;
use crate::fetch::Outside;
use crate::graph::Graph;
use crate::path::AbsPath;
use crate::resource::{Resource, Target, Thing, Want};
use crate::secret::Secrets;
use crate::systemd::Manager;
use asset::Assets;
use fields::Fields;
use host::Host;
use input::{Input, Inputs};
use lend::Borrowed;
use module::{Module, References};
use names::Names;
use node::{Entry, Node, Table, Value};
use ownership::Ownership;
use problem::{Place, PlanError, Problems, Source};
use reader::Reader;
use template::{Templates, is_template, map, to_rendered};
use world::Mode;

/// A plan that has been read and found free of mistakes.
pub struct Plan {
    /// The plan's own text, then those of the plans that it uses.
    sources: Vec<Arc<Source>>,
    name: String,
    description: Option<String>,
    hosts: Vec<Host>,
    inputs: IndexMap<String, Input>,
    values: IndexMap<String, Node>,
    /// The plan and those that it uses, each after those that it uses itself.
    modules: Vec<Module>,
    /// Which of them is the plan.
    root: usize,
    /// What holds of an input of a plan that is used where nothing is given: by the plan's number and the input's name.
    defaults: BTreeMap<(usize, String), Node>,
    /// Where a relative path starts that is given from outside.
    working_directory: Utf8PathBuf,
    templates: Templates,
    secrets: Secrets,
    ownership: Ownership,
    /// What may be there on any of its hosts.
    addresses: BTreeSet<Address>,
    digest: String,
    /// The users whose home directories paths depend on.
    homes: BTreeSet<UserName>,
    /// Whether paths depend on that of the user as whom the steps run.
    own_home: bool,
    /// What its resources get from outside of it, on any of its hosts.
    outside: BTreeSet<(Address, Outside)>,
    /// Whether resources hand on what is kept on the host.
    keeps_secrets: bool,
    /// What each host takes of others.
    borrowed: BTreeMap<String, Borrowed>,
    /// Of each host, the resources that others take values of.
    lent: Borrowed,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name)
            .field("resources", &self.addresses.len())
            .finish_non_exhaustive()
    }
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
        let root = node::parse(0, &source.text, &mut problems);
        Self::from_table(source, root, assets, inputs, problems)
    }

    fn from_table(
        source: Source,
        root: Table,
        assets: Arc<dyn Assets>,
        inputs: &Inputs,
        syntax: Problems,
    ) -> Result<Self, PlanError> {
        let problems = RefCell::new(Problems::default());
        let name = read_name(&root, Some(Place::new(0, 0..0)), &problems);
        let description = read_description(&root, &problems);
        let declared = input::declare(section(&root, "input", &problems), &problems);
        let values = input::resolve(&declared, inputs, &problems);
        let mut secrets = Secrets::default();
        values.values().for_each(|value| remember(value, &mut secrets));
        let templates = Templates::new(&name);
        let hosts = read_hosts(&root, &templates, &declared, &values, &problems);
        let names = names_of_hosts(&root, &hosts);
        let mut reader = Reader::new(source, names, &templates, &problems, syntax);
        let ownership = Ownership::read(&root, &problems);
        let described = declared.iter().map(|(name, declared)| (name.clone(), declared.input.clone())).collect();
        let root = reader.plan(root, &assets, declared);
        let Reader { modules, sources, syntax, .. } = reader;
        Names { modules: &modules, hosts: &hosts, sources: &sources, problems: &problems }.check();
        let mut plan = Self {
            sources,
            name,
            description,
            hosts,
            inputs: described,
            values,
            modules,
            root,
            defaults: BTreeMap::new(),
            working_directory: inputs.working_directory().to_owned(),
            templates,
            secrets,
            ownership,
            addresses: BTreeSet::new(),
            homes: BTreeSet::new(),
            own_home: false,
            outside: BTreeSet::new(),
            keeps_secrets: false,
            borrowed: BTreeMap::new(),
            lent: Borrowed::new(),
            digest: String::new(),
        };
        plan.read_defaults(&problems);
        let files = plan.look_through(&problems);
        plan.digest = plan.digest_of(&files);
        let mut problems = problems.into_inner();
        problems.give_way_to(&syntax, &plan.sources);
        problems.extend(syntax);
        // What is lost without a finding is none the less not there.
        if problems.is_whole() { Ok(plan) } else { Err(problems.into_error(&plan.sources)) }
    }

    fn read_defaults(&mut self, problems: &RefCell<Problems>) {
        for (at, module) in self.modules.iter().enumerate().filter(|(at, _)| *at != self.root) {
            for (name, declaration) in &module.inputs {
                if let Some(node) = declaration.default_value(name, &self.working_directory, problems) {
                    remember(&node, &mut self.secrets);
                    self.defaults.insert((at, name.clone()), node);
                }
            }
        }
    }

    /// Looks for mistakes on each host as far as that goes without asking it: its facts are made up, and what a `when` over
    /// facts decides is looked at as if it were there. Gives the digests of the files beside the plan.
    fn look_through(&mut self, problems: &RefCell<Problems>) -> BTreeSet<String> {
        let (mut files, mut here) = (BTreeSet::new(), BTreeSet::new());
        let (mut homes, mut own_home) = (BTreeSet::new(), false);
        let mut addresses: BTreeMap<(usize, Vec<Segment>), BTreeSet<Address>> = BTreeMap::new();
        let (mut sound, mut lent) = (true, Borrowed::new());
        let mut secrets = std::mem::take(&mut self.secrets);
        for host in &self.hosts {
            let (resolved, found) = self.resolve_for(host, &Facts::example(), Mode::EveryHost);
            sound &= found.is_whole();
            problems.borrow_mut().extend(found);
            files.extend(resolved.assets);
            self.outside.extend(resolved.graph.iter().flat_map(from_outside));
            self.keeps_secrets |= !resolved.kept.is_empty() || !resolved.borrowed.is_empty();
            for (lender, addresses) in &resolved.borrowed {
                lent.entry(lender.clone()).or_default().extend(addresses.iter().cloned());
            }
            if !resolved.borrowed.is_empty() {
                self.borrowed.insert(host.name.clone(), resolved.borrowed);
            }
            for manager in resolved.homes {
                match manager {
                    Manager::User(name) => _ = homes.insert(name),
                    Manager::System | Manager::Own => own_home = true,
                }
            }
            here.extend(resolved.here);
            for (instance, own) in resolved.addresses {
                addresses.entry(instance).or_default().extend(own);
            }
            secrets.extend(&resolved.secrets);
        }
        (self.secrets, self.lent) = (secrets, lent);
        self.addresses = here;
        (self.homes, self.own_home) = (homes, own_home);
        let mut moved: BTreeSet<ownership::Move> = BTreeSet::new();
        for (at, module) in self.modules.iter().enumerate() {
            let instances = addresses.iter().filter(|((number, _), _)| *number == at);
            let known: BTreeSet<Address> = instances.clone().flat_map(|(_, own)| own).cloned().collect();
            // Where something could not be told there may be more.
            if known.is_empty() && !sound {
                continue;
            }
            let moves = ownership::read_moved(&module.root, &known, problems);
            for ((_, within), _) in instances {
                moved.extend(moves.iter().map(|(old, new)| (old.clone().inside(within), new.clone().inside(within))));
            }
        }
        self.ownership.moved = moved.into_iter().collect();
        files
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
        let of_facts = |references: &References| references.iter().any(|(reference, _)| reference.is("fact"));
        let of_homes = self.own_home || !self.homes.is_empty();
        of_homes
            || self.modules.iter().any(|module| {
                let mut found = module.outputs.iter().any(|output| of_facts(&output.references));
                module.body.look(&mut |references| found |= of_facts(references));
                found
            })
    }

    /// The resources that may be there on any of its hosts, sorted: what a `when` over facts decides is among them.
    #[must_use]
    pub fn addresses(&self) -> &BTreeSet<Address> {
        &self.addresses
    }

    /// The users whose home directories its paths depend on.
    #[must_use]
    pub fn homes(&self) -> &BTreeSet<UserName> {
        &self.homes
    }

    /// What its resources get from outside of the plan and the files beside it, on any of its hosts.
    #[must_use]
    pub fn outside(&self) -> &BTreeSet<(Address, Outside)> {
        &self.outside
    }

    /// Files on a host whose content its resources hand on: secrets that were made up once, and what other hosts take of it.
    /// [`Facts::keep`] takes what is in
    /// them; [`Plan::resolve`] makes up those that it is told nothing of.
    #[must_use]
    pub fn kept_secrets(&self, host: &Host, facts: &Facts) -> BTreeSet<AbsPath> {
        if self.keeps_secrets { self.resolve_for(host, facts, Mode::ThisHost).0.kept } else { BTreeSet::new() }
    }

    /// The resources on other hosts that a host takes values of, by the names of those hosts.
    #[must_use]
    pub fn borrows(&self, host: &Host) -> &BTreeMap<String, BTreeSet<Address>> {
        const NONE: &BTreeMap<String, BTreeSet<Address>> = &BTreeMap::new();
        self.borrowed.get(&host.name).unwrap_or(NONE)
    }

    /// Whether other hosts take values of a resource.
    fn lends(&self, host: &str, address: &Address) -> bool {
        self.lent.get(host).is_some_and(|lent| lent.contains(address))
    }

    /// The resources on one host, with their order.
    ///
    /// # Errors
    /// What is wrong once the host's facts are known.
    pub fn resolve(&self, host: &Host, facts: &Facts) -> Result<Graph, PlanError> {
        match self.resolve_for(host, facts, Mode::ThisHost) {
            (resolve::Resolved { graph: Some(graph), .. }, problems) if problems.is_empty() => Ok(graph),
            (_, problems) => Err(problems.into_error(&self.sources)),
        }
    }
}

/// What the resources on a host get from outside, and the images that they use and none of them brings.
fn from_outside(graph: &Graph) -> Vec<(Address, Outside)> {
    let provided: BTreeSet<Thing> = graph.resources().flat_map(|(_, resource)| resource.provides()).collect();
    let pulled = |want: Want| match want.target {
        // What has no registry was made on the host.
        Target::Thing(thing @ Thing::Image(_)) if !provided.contains(&thing) => match thing {
            Thing::Image(name) if !name.name.starts_with("localhost/") => {
                Some(Outside::Host(format!("lets podman pull {}", name.name)))
            }
            _ => None,
        },
        _ => None,
    };
    let of = |(address, resource): (&Address, &dyn Resource)| {
        let own = resource.outside().into_iter().chain(resource.wants().into_iter().filter_map(pulled));
        own.map(|outside| (address.clone(), outside)).collect::<Vec<_>>()
    };
    graph.resources().flat_map(of).collect()
}

fn read_description(root: &Table, problems: &RefCell<Problems>) -> Option<String> {
    match root.entries.get("description").map(|entry| &entry.node) {
        Some(Node { value: Value::Text(text), .. }) => Some(text.expose().to_owned()),
        Some(node) => {
            let message = format!("`description` is {}", node.type_name());
            problems.borrow_mut().add_help(node.place, message, "it takes text");
            None
        }
        None => None,
    }
}

fn read_hosts(
    root: &Table,
    templates: &Templates,
    declared: &IndexMap<String, input::Declaration>,
    values: &IndexMap<String, Node>,
    problems: &RefCell<Problems>,
) -> Vec<Host> {
    let Some((table, _)) = section(root, "host", problems) else { return vec![Host::local("local")] };
    let input = map(values.iter().map(|(name, node)| (name.clone(), to_rendered(node))));
    let mut hosts = Vec::new();
    for (name, entry) in &table.entries {
        if check_name(name).is_err() {
            let (message, help) = (format!("{name:?} is not a name"), format!("a host's is {NAME}"));
            problems.borrow_mut().add_help(entry.key, message, help);
        }
        let Value::Table(body) = &entry.node.value else {
            let message = format!("host.{name} is {}", entry.node.type_name());
            problems.borrow_mut().add_help(entry.node.place, message, format!("a host is a table: [host.{name}]"));
            hosts.push(Host::local(name));
            continue;
        };
        let place = entry.key.or(entry.node.place);
        let context = |each: Option<&Node>| {
            let each = each.map(|each| ("each".to_owned(), to_rendered(each)));
            map(std::iter::once(("input".to_owned(), input.clone())).chain(each))
        };
        let render = |body: &Table, each: Option<&Node>| {
            host::render(body, templates, declared, values, &context(each), each, problems)
        };
        let read = |own: &str, group: Option<&str>, each: Option<&Node>| {
            let fields = render(body, each);
            let host = Host::read(own, group, &Fields::new(format!("host.{name}"), &fields, place, problems));
            // A wrong host keeps its place, so that what else is wrong with the plan is found too.
            host.unwrap_or_else(|| Host { group: group.map(str::to_owned), ..Host::local(own) })
        };
        let Some(elements) = body.entries.get("for_each") else {
            hosts.push(read(name, None, None));
            continue;
        };
        let all = elements_of(name, elements, &render, values, problems);
        let all = all.iter().map(|(key, each)| read(&format!("{name}[{key}]"), Some(name), Some(each)));
        hosts.extend(all);
    }
    hosts
}

/// What a `hosts` may name: each host, and each group, which may have no element at all.
fn names_of_hosts(root: &Table, hosts: &[Host]) -> Vec<String> {
    let own = hosts.iter().map(|host| host.name.clone());
    let Some(Value::Table(table)) = root.entries.get("host").map(|entry| &entry.node.value) else {
        return own.collect();
    };
    let is_group =
        |entry: &Entry| matches!(&entry.node.value, Value::Table(body) if body.entries.contains_key("for_each"));
    let groups = table.entries.iter().filter(|(_, entry)| is_group(entry)).map(|(name, _)| name.clone());
    groups.chain(own).collect()
}

/// The elements of a host's `for_each`; none where they cannot be told, which is a finding.
fn elements_of(
    name: &str,
    written: &Entry,
    render: &dyn Fn(&Table, Option<&Node>) -> Table,
    values: &IndexMap<String, Node>,
    problems: &RefCell<Problems>,
) -> Vec<(Key, Node)> {
    let label = format!("host.{name}");
    let mut add = |place, message, help| problems.borrow_mut().add_help(place, message, help);
    let node = &written.node;
    if !element::is_list(node) {
        let message = format!("`for_each` of {label} is {}", node.type_name());
        add(node.place, message, format!("it takes {}", element::FORMS));
        return Vec::new();
    }
    // As it is, where it is an input and nothing else: a template would lose the order of a table.
    let whole = match &node.value {
        Value::Text(text) => template::lone_reference(text.expose()),
        _ => None,
    };
    let whole = whole.and_then(|path| match path.split_first() {
        Some((root, [input])) if root == "input" => {
            values.get(input).map(|found| Node { place: node.place, ..found.clone() })
        }
        _ => None,
    });
    let node = match whole {
        Some(node) => node,
        None => {
            let one = Table { entries: std::iter::once(("for_each".to_owned(), written.clone())).collect() };
            match render(&one, None).entries.shift_remove("for_each") {
                Some(entry) if !entry.node.is_unknown() => entry.node,
                _ => return Vec::new(),
            }
        }
    };
    element::spread(&node, &label, None, &mut add).unwrap_or_default()
}

fn read_name(root: &Table, top: Option<Place>, problems: &RefCell<Problems>) -> String {
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
            problems.borrow_mut().add_help(top, "the plan lacks `name`", help);
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
