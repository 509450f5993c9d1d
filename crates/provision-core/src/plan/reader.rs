//! Reads the files of a plan: the one that is applied, and every one that it uses.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;

use super::asset::Assets;
use super::fields::Fields;
use super::input::{self, Declaration};
use super::lend::ON;
use super::module::{BLOCK, Body, Condition, Declared, GATE, Gate, Given, Module, Output, Part, References, USE, What};
use super::names::place_of;
use super::node::{self, Entry, Node, Table, Value};
use super::problem::{Place, Problems, Source, suggest};
use super::template::{Failure, Templates, is_template};
use super::{ownership, read_name, section, texts, top};
use crate::address::{NAME, check_name};
use crate::resource::{KINDS, Kind, kind};
use crate::secret::Text;

/// What templates in a gate may look at: what is known before anything is made.
const EARLY: [&str; 5] = ["input", "fact", "host", "plan", "each"];

/// Reads a plan's files.
pub(super) struct Reader<'a> {
    pub(super) modules: Vec<Module>,
    pub(super) sources: Vec<Arc<Source>>,
    templates: &'a Templates,
    problems: &'a RefCell<Problems>,
    /// Findings about syntax, apart from the others: those may follow from these.
    pub(super) syntax: Problems,
    /// Modules that have been read, by what tells their files apart.
    read: BTreeMap<Utf8PathBuf, Option<usize>>,
    /// Those that are being read, outermost first, with their names.
    open: Vec<(Option<Utf8PathBuf>, String)>,
    /// Of the plan that is applied.
    hosts: Vec<String>,
}

/// Where a table stands.
#[derive(Clone, Copy)]
struct Site<'a> {
    assets: &'a Arc<dyn Assets>,
    /// Whether it is in a plan that is used by another.
    nested: bool,
}

impl<'a> Reader<'a> {
    /// `source` is the plan itself, which has been read from text.
    pub(super) fn new(
        source: Source,
        hosts: Vec<String>,
        templates: &'a Templates,
        problems: &'a RefCell<Problems>,
        syntax: Problems,
    ) -> Self {
        Self {
            modules: Vec::new(),
            sources: vec![Arc::new(source)],
            templates,
            problems,
            syntax,
            read: BTreeMap::new(),
            open: Vec::new(),
            hosts,
        }
    }

    /// Reads the plan that is applied, and every one that it uses; its number.
    pub(super) fn plan(
        &mut self,
        root: Table,
        assets: &Arc<dyn Assets>,
        inputs: IndexMap<String, Declaration>,
    ) -> usize {
        let file = self.sources.first().map(|source| source.name.clone()).unwrap_or_default();
        let identity =
            Utf8Path::new(&file).file_name().and_then(|name| assets.plan(name).ok()).map(|plan| plan.identity);
        self.open.push((identity, file.clone()));
        let site = Site { assets, nested: false };
        let module = self.module(file, root, site, inputs);
        self.open.pop();
        self.modules.push(module);
        self.modules.len() - 1
    }

    fn module(&mut self, file: String, root: Table, site: Site<'_>, inputs: IndexMap<String, Declaration>) -> Module {
        let body = self.body(&root, site, &|key| top().any(|word| word == key));
        let outputs = self.outputs(&root);
        let mut module =
            Module { file, assets: Arc::clone(site.assets), inputs, needed: BTreeSet::new(), body, outputs, root };
        module.needed = module.refers_to();
        module
    }

    /// A plan that another one uses.
    fn used(&mut self, name: &str, place: Option<Place>, site: Site<'_>) -> Option<usize> {
        let found = match site.assets.plan(name) {
            Ok(found) => found,
            Err(reason) => {
                let help = "a plan is a file, or a directory with a plan.toml in it; a relative path starts at the directory \
                            of the plan that uses it";
                self.problems.borrow_mut().add_help(place, reason, help);
                return None;
            }
        };
        let same = |identity: &Option<Utf8PathBuf>| identity.as_ref() == Some(&found.identity);
        if let Some(from) = self.open.iter().position(|(identity, _)| same(identity)) {
            let names = self.open.iter().skip(from).map(|(_, name)| name.as_str());
            let names: Vec<&str> = names.chain(std::iter::once(found.name.as_str())).collect();
            self.problems.borrow_mut().add_help(
                place,
                format!("these plans use each other in a circle: {}", names.join(" -> ")),
                "take one [use] out; what both need can be a plan of its own",
            );
            return None;
        }
        if let Some(read) = self.read.get(&found.identity) {
            return *read;
        }
        let number = self.sources.len();
        self.sources.push(Arc::new(Source { name: found.name.clone(), text: found.text.clone() }));
        let root = node::parse(number, &found.text, &mut self.syntax);
        self.open.push((Some(found.identity.clone()), found.name.clone()));
        read_name(&root, Some(Place::new(number, 0..0)), self.problems);
        self.refuse_whole_plan(&root);
        let inputs = input::declare(section(&root, "input", self.problems), self.problems);
        let module = self.module(found.name, root, Site { assets: &found.assets, nested: true }, inputs);
        self.open.pop();
        self.modules.push(module);
        let number = self.modules.len() - 1;
        self.read.insert(found.identity, Some(number));
        Some(number)
    }

    /// What only the plan that is applied can say is not passed over in one that it uses.
    fn refuse_whole_plan(&self, root: &Table) {
        for (key, entry) in root.entries.iter().filter(|(key, _)| ownership::OF_THE_WHOLE.contains(&key.as_str())) {
            self.problems.borrow_mut().add_help(
                entry.key,
                format!("`{key}` is of the plan that is applied, and this one is used by another"),
                "take it out here, and say it there",
            );
        }
    }

    /// Reads the resources and parts of a table; `passed` are keys that something else reads.
    fn body(&mut self, table: &Table, site: Site<'_>, passed: &dyn Fn(&str) -> bool) -> Body {
        let mut body = Body::default();
        for (key, entry) in table.entries.iter().filter(|(key, _)| !passed(key)) {
            let known_kind = kind(key);
            if known_kind.is_none() && key != BLOCK && key != USE {
                let known =
                    KINDS.iter().map(|kind| kind.name).chain([BLOCK, USE]).chain(top().filter(|word| passed(word)));
                let known = known.chain(GATE.into_iter().chain(["after"]).filter(|word| passed(word)));
                self.problems.borrow_mut().add_help(entry.key, format!("unknown kind `{key}`"), suggest(key, known));
                continue;
            }
            let Value::Table(members) = &entry.node.value else {
                let message = format!("`{key}` is {}", entry.node.type_name());
                let what = if known_kind.is_some() { "a resource" } else { "it" };
                let help = format!("{what} has a name: [{key}.name]");
                self.problems.borrow_mut().add_help(entry.node.place, message, help);
                continue;
            };
            let nameless = members.entries.iter().find(|(_, entry)| !matches!(entry.node.value, Value::Table(_)));
            if let (Some(kind), Some((field, wrong))) = (known_kind, nameless) {
                // Of a header without a name each key would be a finding.
                let (message, help) = no_resource(kind, field, &wrong.node);
                self.problems.borrow_mut().add_help(wrong.key.or(wrong.node.place), message, help);
            }
            for (name, entry) in &members.entries {
                match known_kind {
                    Some(kind) => body.resources.extend(self.resource(kind, name, entry, site)),
                    None => {
                        let part = self.part(key, name, entry, site);
                        let twin = |part: &Part| body.parts.iter().any(|other| other.name == part.name);
                        if let Some(part) = part.as_ref().filter(|part| twin(part)) {
                            // Addresses in them would begin alike.
                            let message = format!("there are block.{name} and use.{name}");
                            let help = "give one of them another name";
                            self.problems.borrow_mut().add_help(part.place, message, help);
                        }
                        body.parts.extend(part);
                    }
                }
            }
        }
        body
    }

    fn resource(&mut self, kind: &'static Kind, name: &str, entry: &Entry, site: Site<'_>) -> Option<Declared> {
        let place = entry.key.or(entry.node.place);
        // What is none has its finding.
        let Value::Table(table) = &entry.node.value else { return None };
        if check_name(name).is_err() {
            let (message, help) = (format!("{name:?} is not a name"), format!("a resource's is {NAME}"));
            self.problems.borrow_mut().add_help(place, message, help);
            return None;
        }
        let label = format!("{}.{name}", kind.name);
        let gate = self.gate(&label, table, place, site);
        let mut table = table.clone();
        table.entries.retain(|key, _| !GATE.contains(&key.as_str()));
        for field in kind.templates {
            if let Some(entry) = table.entries.get_mut(*field) {
                self.load_template(field, &mut entry.node, site.assets.as_ref());
            }
        }
        let references = self.references(&Node::new(Value::Table(table.clone()), place));
        Some(Declared { kind, name: name.to_owned(), label, table, place, references, gate })
    }

    fn part(&mut self, word: &str, name: &str, entry: &Entry, site: Site<'_>) -> Option<Part> {
        let place = entry.key.or(entry.node.place);
        if check_name(name).is_err() {
            let (message, help) = (format!("{name:?} is not a name"), format!("that of a {word} is {NAME}"));
            self.problems.borrow_mut().add_help(place, message, help);
            return None;
        }
        let label = format!("{word}.{name}");
        let Value::Table(table) = &entry.node.value else {
            let message = format!("{label} is {}", entry.node.type_name());
            let help = if word == BLOCK { "[block.name.kind.name]" } else { "[use.name]" };
            self.problems.borrow_mut().add_help(place, message, format!("it is a table: {help}"));
            return None;
        };
        let gate = self.gate(&label, table, place, site);
        let after = self.after(&label, table, place);
        let what = if word == BLOCK {
            What::Block(self.body(table, site, &|key| GATE.contains(&key) || key == "after"))
        } else {
            self.use_(&label, table, place, site)
        };
        Some(Part { name: name.to_owned(), label, place, gate, after, what })
    }

    fn use_(&mut self, label: &str, table: &Table, place: Option<Place>, site: Site<'_>) -> What {
        let fields = Fields::new(label, table, place, self.problems);
        let plan: Option<String> = fields.required("plan");
        let inputs = fields.raw("inputs");
        for word in GATE.into_iter().chain(["after"]) {
            let _read_elsewhere = fields.raw(word);
        }
        fields.finish();
        let mut given = BTreeMap::new();
        match inputs.map(|node| (&node.value, node)) {
            Some((Value::Table(table), _)) => {
                for (name, entry) in &table.entries {
                    let (node, references) = (entry.node.clone(), self.references(&entry.node));
                    given.insert(name.clone(), Given { node, references });
                }
            }
            Some((_, node)) => {
                let message = format!("`inputs` of {label} is {}", node.type_name());
                self.problems.borrow_mut().add_help(
                    node.place,
                    message,
                    "it takes a table: inputs = { name = \"value\" }",
                );
            }
            None => {}
        }
        let written = table.entries.get("plan").map(|entry| &entry.node);
        let module = match (&plan, written) {
            (Some(plan), Some(node)) if is_template(plan) => {
                let help = "which plans there are must be known from the text; leave one out with `when`";
                self.problems.borrow_mut().add_help(node.place, format!("`plan` of {label} is a template"), help);
                None
            }
            (Some(plan), Some(node)) => self.used(plan, node.place, site),
            _ => None,
        };
        if let Some(module) = module.and_then(|at| self.modules.get(at)) {
            check_inputs(label, table, place, &given, module, self.problems);
        }
        What::Use { module, inputs: given }
    }

    fn gate(&self, label: &str, table: &Table, place: Option<Place>, site: Site<'_>) -> Gate {
        let fields = Fields::new(label, table, place, self.problems);
        let mut hosts: Vec<String> = fields.list("hosts");
        for host in hosts.iter().filter(|host| !self.hosts.contains(*host)) {
            if site.nested {
                let help = "say at the [use] for which hosts it is";
                fields.problem("hosts", format!("{label} names hosts, and is in a plan that another one uses"), help);
                break;
            }
            let known = self.hosts.iter().map(String::as_str);
            fields.problem("hosts", format!("the plan has no host `{host}`"), suggest(host, known));
        }
        // What is for no host at all would not be looked at any further.
        hosts.retain(|host| self.hosts.contains(host) && !site.nested);
        let when = fields.raw("when").and_then(|node| self.condition(label, node));
        let for_each = fields.raw("for_each").cloned();
        let for_each_references = for_each.as_ref().map(|node| self.references(node)).unwrap_or_default();
        let early = EARLY.into_iter().filter(|root| *root != "fact");
        self.refuse_late("for_each", label, &for_each_references, &early.collect::<Vec<_>>());
        Gate { when, for_each, for_each_references, hosts }
    }

    fn condition(&self, label: &str, node: &Node) -> Option<Condition> {
        let text = match &node.value {
            Value::Text(text) => text.shown().to_owned(),
            Value::Boolean(value) => value.to_string(),
            _ => {
                let help = "it takes an expression in quotes, such as \"fact.os_id == 'debian'\"";
                let message = format!("`when` of {label} is {}", node.type_name());
                self.problems.borrow_mut().add_help(node.place, message, help);
                return None;
            }
        };
        if is_template(&text) {
            let message = format!("`when` of {label} is a template");
            let help = "it takes the expression alone, without {{ and }}";
            self.problems.borrow_mut().add_help(node.place, message, help);
            return None;
        }
        let found = match self.templates.expression_references(&text) {
            Ok(found) => found,
            Err(Failure { message, .. }) => {
                let reason = message.replace("not a valid template", "not a valid expression");
                let help = "such as \"input.replicas > 1 and fact.os_id == 'debian'\"";
                self.problems.borrow_mut().add_help(node.place, format!("`when` of {label}: {reason}"), help);
                return None;
            }
        };
        let references: References = found.into_iter().map(|reference| (reference, node.place)).collect();
        self.refuse_late("when", label, &references, &EARLY);
        Some(Condition { text, place: node.place, references })
    }

    /// A gate is looked at before anything is made.
    fn refuse_late(&self, word: &str, label: &str, references: &References, early: &[&str]) {
        for (reference, place) in references {
            let root = reference.part(0).unwrap_or_default();
            if kind(root).is_some() || [USE, BLOCK, ON].contains(&root) || root == "fact" && !early.contains(&"fact") {
                let message = format!("`{word}` of {label} cannot look at {}", reference.text());
                let known: Vec<String> = early.iter().map(|root| format!("`{root}`")).collect();
                let help = format!("what there is must be known beforehand: it looks at {}", known.join(", "));
                let place = place.map(|place| place_of(&self.sources, reference, place));
                self.problems.borrow_mut().add_help(place, message, help);
            }
        }
    }

    fn after(&self, label: &str, table: &Table, place: Option<Place>) -> Vec<(String, Option<Place>)> {
        let fields = Fields::new(label, table, place, self.problems);
        let _texts: Vec<String> = fields.list("after");
        match table.entries.get("after").map(|entry| &entry.node.value) {
            Some(Value::Array(items)) => {
                let text = |item: &Node| match &item.value {
                    Value::Text(text) => Some((text.shown().to_owned(), item.place)),
                    _ => None,
                };
                items.iter().filter_map(text).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Puts the text of a template file in place of its name.
    fn load_template(&self, field: &str, node: &mut Node, assets: &dyn Assets) {
        let Value::Text(name) = &node.value else { return };
        match assets.read(name.expose()).map(String::from_utf8) {
            Ok(Ok(text)) => node.value = Value::Text(Text::plain(text)),
            Ok(Err(_)) => {
                let message = format!("{} is not UTF-8 text, so it cannot be a template", name.expose());
                let help = "name it in `source`, which sends a file as it is";
                self.problems.borrow_mut().add_help(node.place, message, help);
            }
            Err(reason) => {
                let help = format!("a relative path in `{field}` starts at the plan's directory");
                self.problems.borrow_mut().add_help(node.place, reason, help);
            }
        }
    }

    fn outputs(&self, root: &Table) -> Vec<Output> {
        let Some((table, _)) = section(root, "outputs", self.problems) else { return Vec::new() };
        let mut outputs = Vec::new();
        for (name, entry) in &table.entries {
            if matches!(entry.node.value, Value::Table(_) | Value::Array(_)) {
                let message = format!("outputs.{name} is {}", entry.node.type_name());
                self.problems.borrow_mut().add_help(entry.node.place, message, "an output is text");
                continue;
            }
            let (node, references) = (entry.node.clone(), self.references(&entry.node));
            outputs.push(Output { name: name.clone(), node, references });
        }
        outputs
    }

    /// Every reference in the texts of a value, with its place.
    fn references(&self, node: &Node) -> References {
        let mut found = Vec::new();
        for (text, place) in texts(node) {
            match self.templates.references(text) {
                Ok(references) => found.extend(references.into_iter().map(|reference| (reference, place))),
                Err(Failure { message, help }) => self.problems.borrow_mut().add_help(place, message, help),
            }
        }
        found
    }
}

/// What stands where a kind has its resources and is none, and what to do about it.
fn no_resource(kind: &Kind, field: &str, node: &Node) -> (String, String) {
    let key = kind.name;
    match node.value {
        Value::Array(_) => (
            format!("{key}.{field} is a list"),
            format!("a resource is one table: [{key}.{field}], in single brackets"),
        ),
        _ => (
            format!("`{field}` of [{key}] is {}, not a resource", node.type_name()),
            format!("a resource is a table with a name: [{key}.NAME]"),
        ),
    }
}

/// The inputs that a plan is given by one that uses it, against those that it has.
fn check_inputs(
    label: &str,
    table: &Table,
    place: Option<Place>,
    given: &BTreeMap<String, Given>,
    module: &Module,
    problems: &RefCell<Problems>,
) {
    let entries = match table.entries.get("inputs").map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => Some(&table.entries),
        _ => None,
    };
    for (name, value) in given.iter().filter(|(name, _)| !module.inputs.contains_key(*name)) {
        let key = entries.and_then(|entries| entries.get(name)).and_then(|entry| entry.key);
        problems.borrow_mut().add_help(
            key.or(value.node.place),
            format!("{} has no input `{name}`", module.file),
            suggest(name, module.inputs.keys().map(String::as_str)),
        );
    }
    for (name, declaration) in &module.inputs {
        let wanted = declaration.default.is_none() && module.needed.contains(name);
        if wanted && !given.contains_key(name) {
            let what = declaration.input.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            problems.borrow_mut().add_help(
                place,
                format!("{label} lacks the input `{name}`{what}"),
                format!("add it to inputs = {{ {name} = ... }}"),
            );
        }
    }
}
