//! Renders a plan for one host: templates become values, tables become resources, references become edges.

use std::cell::RefCell;
use std::collections::BTreeMap;

use minijinja::Value as Rendered;

use super::digest::{Witness, of_resource};
use super::fields::Fields;
use super::host::{Host, Reach};
use super::node::{Entry, Node, Table, Value};
use super::problem::{Place, Problems, nearest, suggest};
use super::template::{Reference, from_rendered, is_template, map, table_to_rendered, to_rendered};
use super::{Declared, Plan};
use crate::address::Address;
use crate::facts::{self, Facts};
use crate::graph::{Graph, Vertex};
use crate::resource::{Resource, Setup, Target};
use crate::secret::Text;

/// What `host.*` offers to templates.
pub(super) const HOST_ATTRIBUTES: &[&str] = &["address", "name", "port", "user"];

/// The attributes of the resources that have been read, by kind and name. A resource whose reading failed is there
/// without attributes: what refers to it is not reported a second time.
type Known = BTreeMap<String, BTreeMap<String, Option<Table>>>;

impl Plan {
    pub(super) fn resolve_for(&self, host: &Host, facts: &Facts) -> Result<Graph, Problems> {
        let problems = RefCell::new(Problems::default());
        let base = self.base(host, facts);
        let mut known = Known::new();
        let mut vertices = Vec::new();
        for declared in &self.resources {
            if !declared.hosts.is_empty() && !declared.hosts.contains(&host.name) {
                continue;
            }
            let vertex = self.read(declared, &base, &mut known, &problems);
            vertices.extend(vertex);
        }
        let outputs = self
            .outputs
            .iter()
            .filter_map(|(name, node)| {
                let references = self.references_in(node, &RefCell::new(Problems::default()));
                self.check_attributes(&references, &known, &problems);
                let references: Vec<Reference> = references.into_iter().map(|(reference, _)| reference).collect();
                match self.render_node(node, &known, &base, &references, &problems).value {
                    Value::Text(text) => Some((name.clone(), text)),
                    Value::Integer(number) => Some((name.clone(), Text::plain(number.to_string()))),
                    Value::Boolean(value) => Some((name.clone(), Text::plain(value.to_string()))),
                    _ => None,
                }
            })
            .collect();
        if !problems.borrow().is_whole() {
            // Without all of its resources a graph would be said to lack what it only lost.
            return Err(problems.into_inner());
        }
        let mut problems = problems.into_inner();
        let graph = Graph::build(self.name.clone(), vertices, outputs, &mut problems);
        if problems.is_empty() { Ok(graph.with_ownership(&self.ownership)) } else { Err(problems) }
    }

    fn base(&self, host: &Host, facts: &Facts) -> Vec<(String, Rendered)> {
        let (address, port, user) = match &host.reach {
            Reach::Local => ("local".to_owned(), 0, String::new()),
            Reach::Ssh(ssh) => (ssh.address.clone(), ssh.port, ssh.user.clone().unwrap_or_default()),
        };
        let host = map([
            ("address".to_owned(), Rendered::from(address)),
            ("name".to_owned(), Rendered::from(host.name.as_str())),
            ("port".to_owned(), Rendered::from(port)),
            ("user".to_owned(), Rendered::from(user)),
        ]);
        let facts = map(facts.iter().map(|(name, value)| (name.to_owned(), Rendered::from(value))));
        let plan = map([("name".to_owned(), Rendered::from(self.name.as_str()))]);
        vec![("host".to_owned(), host), ("fact".to_owned(), facts), ("plan".to_owned(), plan)]
    }

    fn read(
        &self,
        declared: &Declared,
        base: &[(String, Rendered)],
        known: &mut Known,
        problems: &RefCell<Problems>,
    ) -> Option<Vertex> {
        let Declared { address, kind, table, place, references, hosts: _ } = declared;
        let attributes = known.entry(address.kind().to_owned()).or_default();
        attributes.insert(address.name().to_owned(), None);
        self.check_attributes(references, known, problems);
        let names: Vec<Reference> = references.iter().map(|(reference, _)| reference.clone()).collect();
        let Value::Table(rendered) =
            self.render_node(&Node::new(Value::Table(table.clone()), *place), known, base, &names, problems).value
        else {
            return None;
        };
        let fields = Fields::new(address.to_string(), &rendered, *place, problems);
        let after: Vec<Address> = fields.list("after");
        let _read_before: Vec<String> = fields.list("hosts");
        let adopt = fields.boolean("adopt").unwrap_or(false);
        for address in &after {
            if !self.resources.iter().any(|resource| resource.address == *address) {
                let known: Vec<String> = self.resources.iter().map(|resource| resource.address.to_string()).collect();
                let help = suggest(&address.to_string(), known.iter().map(String::as_str));
                fields.item_problem("after", address, format!("the plan has no {address}"), help);
            } else if address == &declared.address {
                fields.item_problem("after", address, format!("{address} is to come after itself"), "take it out");
            }
        }
        let witness = Witness::new(self.assets.as_ref());
        let setup = Setup { address, plan: &self.name, assets: &witness };
        let resource = (kind.read)(&fields, &setup);
        fields.finish();
        let resource = resource?;
        self.check_named(declared, resource.as_ref(), problems);
        let assets = witness.seen();
        let digest = of_resource(kind, &rendered, &assets);
        let mut attributes = rendered.clone();
        for (name, value) in resource.attributes() {
            let node = Node { value: Value::Text(Text::plain(value)), place: None, rendered: true };
            attributes.entries.insert(name.to_owned(), Entry { key: None, node });
        }
        known.entry(address.kind().to_owned()).or_default().insert(address.name().to_owned(), Some(attributes));
        let mut refers: Vec<Address> = names.iter().flat_map(|reference| self.targets(reference)).collect();
        refers.retain(|target| target != address);
        Some(Vertex { address: address.clone(), place: *place, resource, after, refers, digest, assets, adopt })
    }

    /// A finding for each resource that a field names and that is not there, at its name.
    fn check_named(&self, declared: &Declared, resource: &dyn Resource, problems: &RefCell<Problems>) {
        for want in resource.wants().into_iter().filter(|want| want.required) {
            let Target::Resource(named) = want.target else { continue };
            if !self.resources.iter().any(|resource| resource.address == named) {
                let known: Vec<String> = self.resources.iter().map(|resource| resource.address.to_string()).collect();
                let named = named.to_string();
                let help = nearest(&named, known.iter().map(String::as_str)).map_or_else(
                    || "add it, or take the name out".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let place = place_of(&declared.table, &named).or(declared.place);
                let message = format!("{} wants {named}, which the plan does not have", declared.address);
                problems.borrow_mut().add_help(place, message, help);
            }
        }
    }

    /// A finding for each attribute that is referred to and is not there.
    fn check_attributes(&self, references: &[(Reference, Option<Place>)], known: &Known, problems: &RefCell<Problems>) {
        for (reference, place) in references {
            let (Some(kind), Some(name), Some(attribute)) = (reference.part(0), reference.part(1), reference.part(2))
            else {
                continue;
            };
            if crate::resource::kind(kind).is_none() {
                continue;
            }
            let text = reference.0.join(".");
            let place = place.map(|place| self.place_of(&text, place));
            match known.get(kind).and_then(|of_kind| of_kind.get(name)) {
                Some(Some(table)) if !table.entries.contains_key(attribute) => {
                    let help = suggest(attribute, table.entries.keys().map(String::as_str));
                    let message = format!("`{text}` refers to something that is not there");
                    problems.borrow_mut().add_help(place, message, help);
                }
                // It could not be read: that has been reported.
                Some(_) => {}
                None if self.has(kind, name) => {
                    let message = format!("`{text}` is not for this host");
                    problems.borrow_mut().add_help(place, message, "give both resources the same `hosts`");
                }
                // Not in the plan: that has been reported.
                None => {}
            }
        }
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.resources.iter().any(|resource| resource.address.kind() == kind && resource.address.name() == name)
    }

    /// Whether there is a finding already about why a text cannot be rendered.
    fn is_reported(&self, text: &str, known: &Known) -> bool {
        let Ok(references) = self.templates.references(text) else { return true };
        let is_missing = |reference: &Reference| match (reference.part(0), reference.part(1), reference.part(2)) {
            (Some("input"), Some(name), _) => !self.values.contains_key(name),
            (Some("host"), Some(name), _) => !HOST_ATTRIBUTES.contains(&name),
            (Some("fact"), Some(name), _) => !facts::NAMES.iter().any(|(fact, _)| *fact == name),
            (Some("plan"), Some(name), _) => name != "name",
            (Some(kind), Some(name), attribute) => match known.get(kind).and_then(|of_kind| of_kind.get(name)) {
                None => attribute.is_some() || !self.has(kind, name),
                Some(None) => true,
                Some(Some(table)) => attribute.is_some_and(|attribute| {
                    let entry = table.entries.get(attribute);
                    entry.is_none_or(|entry| matches!(entry.node.value, Value::Unknown))
                }),
            },
            (Some("input" | "host" | "fact" | "plan"), None, _) => false,
            (Some(word), None, _) => crate::resource::kind(word).is_none(),
            (None, ..) => false,
        };
        references.iter().any(is_missing)
    }

    /// Renders a table that may use nothing but inputs.
    pub(super) fn render_table(&self, table: &Table, problems: &RefCell<Problems>) -> Option<Table> {
        let node = Node::new(Value::Table(table.clone()), None);
        match self.render_node(&node, &Known::new(), &[], &[], problems).value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Renders every text in a value. What cannot be rendered is unknown, and reported.
    fn render_node(
        &self,
        node: &Node,
        known: &Known,
        base: &[(String, Rendered)],
        references: &[Reference],
        problems: &RefCell<Problems>,
    ) -> Node {
        // Only what is referred to goes in: a plan of a thousand resources is not copied a thousand times.
        let mut context: BTreeMap<String, Rendered> = base.iter().cloned().collect();
        let inputs = self.values.iter().map(|(name, node)| (name.clone(), to_rendered(node)));
        context.insert("input".to_owned(), map(inputs));
        for kind in references.iter().filter_map(|reference| reference.part(0)) {
            if let Some(of_kind) = known.get(kind)
                && !context.contains_key(kind)
            {
                let wanted =
                    |name: &str| references.iter().any(|r| r.is(kind) && r.part(1).is_none_or(|part| part == name));
                let of_kind = of_kind
                    .iter()
                    .filter(|(name, _)| wanted(name))
                    .filter_map(|(name, table)| Some((name.clone(), table_to_rendered(table.as_ref()?))));
                context.insert(kind.to_owned(), map(of_kind));
            }
        }
        let context = map(context);
        self.render_in(node, known, &context, problems)
    }

    fn render_in(&self, node: &Node, known: &Known, context: &Rendered, problems: &RefCell<Problems>) -> Node {
        let value = match &node.value {
            Value::Text(text) if is_template(text.expose()) => {
                let secret = self.is_tainted(text.expose(), known);
                let rendered = self.templates.render(text.expose(), context);
                let value = rendered.and_then(|value| from_rendered(&value, secret)).unwrap_or_else(|failure| {
                    let mut problems = problems.borrow_mut();
                    problems.lose();
                    if !self.is_reported(text.expose(), known) {
                        // The reason could quote what it stumbled over.
                        let message = self.secrets.mask(&format!("cannot render this: {}", failure.message));
                        problems.add_help(node.place, message, failure.help);
                    }
                    Value::Unknown
                });
                return Node { value, place: node.place, rendered: true };
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.render_in(item, known, context, problems)).collect())
            }
            Value::Table(table) => {
                let render = |(key, entry): (&String, &Entry)| {
                    let node = self.render_in(&entry.node, known, context, problems);
                    (key.clone(), Entry { key: entry.key, node })
                };
                Value::Table(Table { entries: table.entries.iter().map(render).collect() })
            }
            other => other.clone(),
        };
        Node { value, ..*node }
    }

    /// Whether a secret goes into a text. Told from what it refers to, so that no filter or loop can launder one.
    fn is_tainted(&self, text: &str, known: &Known) -> bool {
        let Ok(references) = self.templates.references(text) else { return true };
        references.iter().any(|reference| match (reference.part(0), reference.part(1)) {
            (Some("input"), Some(name)) => self.values.get(name).is_some_and(Node::is_secret),
            (Some("input"), None) => self.values.values().any(Node::is_secret),
            (Some(kind), name) => known.get(kind).into_iter().flatten().any(|(of_kind, table)| {
                name.is_none_or(|name| name == of_kind)
                    && table.iter().flat_map(|table| &table.entries).any(|(key, entry)| {
                        reference.part(2).is_none_or(|attribute| attribute == key) && entry.node.is_secret()
                    })
            }),
            (None, _) => false,
        })
    }
}

/// Where a text stands within a list of a table.
fn place_of(table: &Table, wanted: &str) -> Option<Place> {
    let mut items = table.entries.values().filter_map(|entry| match &entry.node.value {
        Value::Array(items) => Some(items.iter()),
        _ => None,
    });
    let is_it = |node: &&Node| matches!(&node.value, Value::Text(text) if text.expose() == wanted);
    items.find_map(|mut items| items.find(is_it)).and_then(|node| node.place)
}
