//! Templates become values.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value as Rendered;

use super::expand::{Family, InputValue, Member};
use super::input::{Declaration, wrong_value};
use super::lend::ON;
use super::module::{Given, Part, References, USE};
use super::node::{Entry, Node, Table, Value};
use super::problem::{Place, Problems};
use super::template::{Reference, from_rendered, is_template, lone_reference, map, to_rendered};
use super::world::{Sight, Target, World};
use crate::resource::kind;

/// An input of a plan that another one uses, and what it is given there.
pub(super) struct Asked<'w> {
    pub(super) part: &'w Part,
    pub(super) name: &'w str,
    pub(super) given: &'w Given,
    pub(super) declaration: &'w Declaration,
}

impl World<'_> {
    /// Everything that some references lead to.
    pub(super) fn context(&self, references: &[&Reference], sight: Sight<'_>) -> Rendered {
        // Only what is referred to goes in: a plan of a thousand resources is not copied a thousand times.
        let mut context: BTreeMap<String, Rendered> = self.base.iter().cloned().collect();
        let paths: Vec<Vec<String>> = references.iter().map(|reference| self.path(reference, sight)).collect();
        for root in paths.iter().filter_map(|path| path.first()) {
            if context.contains_key(root) {
                continue;
            }
            let value = match root.as_str() {
                "each" => sight.each.map(to_rendered),
                "input" => Some(self.rendered_inputs(sight.scope)),
                ON => {
                    let those: Vec<Vec<String>> =
                        paths.iter().filter(|path| path.first() == Some(root)).cloned().collect();
                    Some(self.rendered_others(&those, sight))
                }
                kind_name if kind_name == USE || kind(kind_name).is_some() => {
                    let those = paths.iter().filter(|path| path.first() == Some(root));
                    // Looked up one by one: a chain of references through a large plan would go through all of it each time.
                    let named: Option<BTreeSet<&str>> = those.map(|path| path.get(1).map(String::as_str)).collect();
                    let families = match &named {
                        Some(names) => names
                            .iter()
                            .filter_map(|name| Some((*name, self.family(sight.scope, kind_name, name)?)))
                            .collect(),
                        None => self.families(sight.scope, kind_name),
                    };
                    let families = families.into_iter();
                    Some(map(families.filter_map(|(name, family)| {
                        Some((name.to_owned(), self.rendered_family(kind_name, family)?))
                    })))
                }
                _ => None,
            };
            context.extend(value.map(|value| (root.clone(), value)));
        }
        map(context)
    }

    fn rendered_inputs(&self, scope: usize) -> Rendered {
        map(self.inputs_of(scope).iter().filter_map(|(name, value)| {
            let value = match value {
                InputValue::Known { node, .. } => to_rendered(node),
                InputValue::Cell(at) => to_rendered(self.value(*at)?),
                InputValue::Lost => return None,
            };
            Some(((*name).to_owned(), value))
        }))
    }

    fn rendered_family(&self, kind: &str, family: &Family) -> Option<Rendered> {
        let one = |member: &Member| -> Option<Rendered> {
            if member.absent.is_some() {
                return None;
            }
            if kind != USE {
                return self.value(member.at).map(to_rendered);
            }
            let outputs = self.instances.get(member.at)?.outputs.iter();
            let value = |(name, at): (&&str, &usize)| Some(((*name).to_owned(), to_rendered(self.value(*at)?)));
            Some(map(outputs.filter_map(value)))
        };
        if family.keyed {
            let members = family.members.iter();
            Some(map(members.filter_map(|(key, member)| Some((key.clone(), one(member)?)))))
        } else {
            family.members.values().next().and_then(one)
        }
    }

    /// Renders a value; none where that cannot be done, which is a finding.
    pub(super) fn render(&mut self, node: &Node, references: &References, sight: Sight<'_>) -> Option<Node> {
        let problems = RefCell::new(Problems::default());
        self.check(references, sight, &mut problems.borrow_mut());
        let rendered = self.render_node(node, references, sight, &problems);
        let problems = problems.into_inner();
        let whole = problems.is_whole();
        self.take(problems, None);
        (whole && !rendered.is_unknown()).then_some(rendered)
    }

    /// Renders every text in a value. What cannot be rendered is unknown, and reported. A text that is one reference and
    /// nothing else is what that leads to, with its order and its secrets.
    pub(super) fn render_node(
        &self,
        node: &Node,
        references: &References,
        sight: Sight<'_>,
        problems: &RefCell<Problems>,
    ) -> Node {
        let names: Vec<&Reference> = references.iter().map(|(reference, _)| reference).collect();
        let context = self.context(&names, sight);
        self.render_in(node, &context, sight, problems)
    }

    fn render_in(&self, node: &Node, context: &Rendered, sight: Sight<'_>, problems: &RefCell<Problems>) -> Node {
        let value = match &node.value {
            Value::Text(text) if is_template(text.expose()) => {
                return self.render_text(text.expose(), node.place, context, sight, problems);
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.render_in(item, context, sight, problems)).collect())
            }
            Value::Table(table) => {
                let render = |(key, entry): (&String, &Entry)| {
                    let node = self.render_in(&entry.node, context, sight, problems);
                    (key.clone(), Entry { key: entry.key, node })
                };
                Value::Table(Table { entries: table.entries.iter().map(render).collect() })
            }
            other => other.clone(),
        };
        Node { value, ..*node }
    }

    fn render_text(
        &self,
        text: &str,
        place: Option<Place>,
        context: &Rendered,
        sight: Sight<'_>,
        problems: &RefCell<Problems>,
    ) -> Node {
        if let Some(node) = lone_reference(text).and_then(|path| self.whole(&path, sight)) {
            return Node { place, rendered: true, ..node };
        }
        let Ok(found) = self.plan.templates.references(text) else {
            problems.borrow_mut().lose();
            return Node { value: Value::Unknown, place, rendered: true };
        };
        let secret = found.iter().any(|reference| self.is_tainted(reference, sight));
        let rendered = self.plan.templates.render(text, context);
        let value = rendered.and_then(|value| from_rendered(&value, secret)).unwrap_or_else(|failure| {
            let mut problems = problems.borrow_mut();
            problems.lose();
            let references: References = found.into_iter().map(|reference| (reference, place)).collect();
            if !self.explain(&references, sight, &mut problems) {
                // The reason could quote what it stumbled over.
                let message = self.plan.secrets.mask(&format!("cannot render this: {}", failure.message));
                problems.add_help(place, message, failure.help);
            }
            Value::Unknown
        });
        Node { value, place, rendered: true }
    }

    /// The list or table that a path leads to, as it is.
    fn whole(&self, path: &[String], sight: Sight<'_>) -> Option<Node> {
        let (node, left) = match self.target(path, sight) {
            Target::Value(node, left) => (node, left),
            Target::Cell(at, left) => (self.value(at)?, left),
            _ => return None,
        };
        let rest = path.get(left..)?;
        let (node, depth) = node.at(rest);
        let whole = depth == rest.len() && matches!(node.value, Value::Array(_) | Value::Table(_));
        whole.then(|| rendered(node))
    }

    /// The value that an input of a plan gets from one that uses it.
    pub(super) fn input_value(&mut self, asked: &Asked<'_>, sight: Sight<'_>) -> Option<Node> {
        let Asked { part, name, given, declaration } = asked;
        let node = self.render(&given.node, &given.references, sight)?;
        // Written in a plan, a path starts there.
        let instance = self.scopes.get(sight.scope).and_then(|scope| self.instances.get(scope.instance));
        let assets = instance.and_then(|found| self.plan.modules.get(found.module)).map(|module| &module.assets);
        let beside = assets.and_then(|assets| assets.locate("").ok()).unwrap_or_default();
        match declaration.value(&node, &self.plan.working_directory.join(beside)) {
            Ok(node) => Some(node),
            Err(reason) => {
                self.add(given.node.place, wrong_value(name, &part.label), reason);
                self.lost = true;
                None
            }
        }
    }
}

/// The same as if a template had made each value in it.
fn rendered(node: &Node) -> Node {
    let value = match &node.value {
        Value::Array(items) => Value::Array(items.iter().map(rendered).collect()),
        Value::Table(table) => {
            let entry = |(name, entry): (&String, &Entry)| {
                (name.clone(), Entry { key: entry.key, node: rendered(&entry.node) })
            };
            Value::Table(Table { entries: table.entries.iter().map(entry).collect() })
        }
        other => other.clone(),
    };
    Node { value, place: None, rendered: true }
}
