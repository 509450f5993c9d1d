//! Renders a plan for one host: templates become values, tables become resources, references become edges.

use std::cell::RefCell;
use std::collections::BTreeMap;

use minijinja::Value as Rendered;

use super::fields::Fields;
use super::host::{Host, Reach};
use super::node::{Entry, Node, Table, Value};
use super::problem::{Problems, suggest};
use super::template::{Reference, from_rendered, is_template, map, table_to_rendered, to_rendered};
use super::{Declared, Plan};
use crate::address::Address;
use crate::facts::Facts;
use crate::graph::{Graph, Vertex};
use crate::resource::Setup;
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
                let references: Vec<Reference> = references.into_iter().map(|(reference, _)| reference).collect();
                match self.render_node(node, &known, &base, &references, &problems)?.value {
                    Value::Text(text) => Some((name.clone(), text)),
                    Value::Integer(number) => Some((name.clone(), Text::plain(number.to_string()))),
                    Value::Boolean(value) => Some((name.clone(), Text::plain(value.to_string()))),
                    _ => None,
                }
            })
            .collect();
        if !problems.borrow().is_empty() {
            return Err(problems.into_inner());
        }
        let mut problems = problems.into_inner();
        let graph = Graph::build(self.name.clone(), vertices, outputs, &mut problems);
        if problems.is_empty() { Ok(graph) } else { Err(problems) }
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
        if !self.check_attributes(declared, known, problems) {
            return None;
        }
        let names: Vec<Reference> = references.iter().map(|(reference, _)| reference.clone()).collect();
        let Value::Table(rendered) =
            self.render_node(&Node::new(Value::Table(table.clone()), *place), known, base, &names, problems)?.value
        else {
            return None;
        };
        let fields = Fields::new(address.to_string(), &rendered, *place, problems);
        let after: Vec<Address> = fields.list("after");
        let _read_before: Vec<String> = fields.list("hosts");
        for address in &after {
            if !self.resources.iter().any(|resource| resource.address == *address) {
                let known: Vec<String> = self.resources.iter().map(|resource| resource.address.to_string()).collect();
                let help = suggest(&address.to_string(), known.iter().map(String::as_str));
                fields.problem("after", format!("the plan has no {address}"), help);
            }
        }
        let setup = Setup { address, plan: &self.name, assets: self.assets.as_ref() };
        let resource = (kind.read)(&fields, &setup);
        fields.finish();
        let resource = resource?;
        let mut attributes = rendered.clone();
        for (name, value) in resource.attributes() {
            let node = Node { value: Value::Text(Text::plain(value)), place: None, rendered: true };
            attributes.entries.insert(name.to_owned(), Entry { key: None, node });
        }
        known.entry(address.kind().to_owned()).or_default().insert(address.name().to_owned(), Some(attributes));
        let mut refers: Vec<Address> = names.iter().flat_map(|reference| self.targets(reference)).collect();
        refers.retain(|target| target != address);
        Some(Vertex { address: address.clone(), place: *place, resource, after, refers })
    }

    /// Whether every attribute that is referred to is there; a finding for each that is not.
    fn check_attributes(&self, declared: &Declared, known: &Known, problems: &RefCell<Problems>) -> bool {
        let mut sound = true;
        for (reference, place) in &declared.references {
            let (Some(name), Some(attribute)) = (reference.part(1), reference.part(2)) else { continue };
            let Some(kind) = reference.part(0).filter(|kind| crate::resource::kind(kind).is_some()) else { continue };
            let place = place.map(|place| self.place_of(&reference.0.join("."), place));
            match known.get(kind).and_then(|of_kind| of_kind.get(name)) {
                Some(Some(table)) if !table.entries.contains_key(attribute) => {
                    let help = suggest(attribute, table.entries.keys().map(String::as_str));
                    let message = format!("`{}` refers to something that is not there", reference.0.join("."));
                    problems.borrow_mut().add_help(place, message, help);
                    sound = false;
                }
                Some(None) => sound = false,
                // Not for this host, or not in the plan: that has been reported.
                None => {
                    if self.resources.iter().any(|r| r.address.name() == name && reference.is(r.address.kind())) {
                        let message = format!("`{}` is not for this host", reference.0.join("."));
                        problems.borrow_mut().add_help(place, message, "give both resources the same `hosts`");
                    }
                    sound = false;
                }
                Some(Some(_)) => {}
            }
        }
        sound
    }

    /// Renders a table that may use nothing but inputs.
    pub(super) fn render_table(&self, table: &Table, problems: &RefCell<Problems>) -> Option<Table> {
        let node = Node::new(Value::Table(table.clone()), None);
        match self.render_node(&node, &Known::new(), &[], &[], problems)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Renders every text in a value. None when something could not be rendered, which has been reported.
    fn render_node(
        &self,
        node: &Node,
        known: &Known,
        base: &[(String, Rendered)],
        references: &[Reference],
        problems: &RefCell<Problems>,
    ) -> Option<Node> {
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

    fn render_in(&self, node: &Node, known: &Known, context: &Rendered, problems: &RefCell<Problems>) -> Option<Node> {
        let value = match &node.value {
            Value::Text(text) if is_template(text.expose()) => {
                if self.lacks_input(text.expose()) {
                    return None;
                }
                let secret = self.is_tainted(text.expose(), known);
                let rendered = self.templates.render(text.expose(), context);
                match rendered.and_then(|value| from_rendered(&value, secret)) {
                    Ok(value) => return Some(Node { value, place: node.place, rendered: true }),
                    Err(reason) => {
                        // The reason could quote what it stumbled over.
                        problems
                            .borrow_mut()
                            .add(node.place, self.secrets.mask(&format!("cannot render this: {reason}")));
                        return None;
                    }
                }
            }
            Value::Array(items) => {
                let items: Vec<Option<Node>> =
                    items.iter().map(|item| self.render_in(item, known, context, problems)).collect();
                Value::Array(items.into_iter().collect::<Option<Vec<_>>>()?)
            }
            Value::Table(table) => {
                let entries: Vec<Option<(String, Entry)>> = table
                    .entries
                    .iter()
                    .map(|(key, entry)| {
                        let node = self.render_in(&entry.node, known, context, problems)?;
                        Some((key.clone(), Entry { key: entry.key, node }))
                    })
                    .collect();
                Value::Table(Table { entries: entries.into_iter().collect::<Option<_>>()? })
            }
            other => other.clone(),
        };
        Some(Node { value, ..*node })
    }

    /// Whether a text uses an input that has no value, which has been reported where the input stands.
    fn lacks_input(&self, text: &str) -> bool {
        let references = self.templates.references(text).unwrap_or_default();
        references.iter().any(|r| r.is("input") && r.part(1).is_some_and(|name| !self.values.contains_key(name)))
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
