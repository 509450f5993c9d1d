//! The elements that a `for_each` goes over, each with its key and what `each` is for it.

use std::collections::BTreeSet;

use super::node::{Entry, Node, Table, Value};
use super::problem::Place;
use super::template::is_template;
use crate::address::Key;
use crate::secret::Text;

/// What a `for_each` takes.
pub(super) const FORMS: &str =
    "a list of text or numbers, a table, or one of both from an input: \"{{ input.sites }}\"";

/// Takes in a finding: its place, what is the matter, and what to do.
pub(super) type Finds<'a> = dyn FnMut(Option<Place>, String, String) + 'a;

/// Whether it is written as one that has elements, or comes from somewhere.
pub(super) fn is_list(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => is_template(text.expose()),
        Value::Array(_) | Value::Table(_) => true,
        _ => false,
    }
}

/// The elements of what a `for_each` has come to, each with what `each` is for it; none where that cannot be told, which is a
/// finding. `outer` is the `each` around it.
pub(super) fn spread(
    node: &Node,
    label: &str,
    outer: Option<&Node>,
    found: &mut Finds<'_>,
) -> Option<Vec<(Key, Node)>> {
    if node.is_secret() && matches!(node.value, Value::Array(_)) {
        let message = format!("`for_each` of {label} goes over a secret: its elements would be seen in addresses");
        found(node.place, message, "go over something else, and look the secret up by `each.key`".to_owned());
        return None;
    }
    let mut sound = true;
    let mut elements: Vec<(String, Option<Place>, Node)> = Vec::new();
    let mut way_out = None;
    match &node.value {
        Value::Array(items) => {
            way_out = Some(|text: &str| format!("; a table gives a value another name: name = {text:?}"));
            for item in items {
                let text = match &item.value {
                    Value::Text(text) => text.expose().to_owned(),
                    Value::Integer(number) => number.to_string(),
                    _ => {
                        let message = format!("`for_each` of {label} has {} in its list", item.type_name());
                        let help = "a list is of text or numbers; of other values make a table: name = value";
                        found(item.place.or(node.place), message, help.to_owned());
                        sound = false;
                        continue;
                    }
                };
                elements.push((text, item.place, item.clone()));
            }
        }
        Value::Table(table) => {
            let entry = |(key, entry): (&String, &Entry)| (key.clone(), entry.key, entry.node.clone());
            elements.extend(table.entries.iter().map(entry));
        }
        _ => {
            let message = format!("`for_each` of {label} comes to {}", node.type_name());
            found(node.place, message, format!("it takes {FORMS}"));
            return None;
        }
    }
    let mut all: Vec<(Key, Node)> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (text, place, value) in elements {
        let place = place.or(node.place);
        if !seen.insert(text.clone()) {
            let message = format!("`for_each` of {label} has {text:?} twice");
            found(place, message, "each element is there once, so take one out".to_owned());
            sound = false;
            continue;
        }
        match text.parse::<Key>() {
            Ok(key) => {
                let each = each_of(&key, value, outer);
                all.push((key, each));
            }
            Err(reason) => {
                let message = format!("{text:?} cannot be a key of `for_each` of {label}");
                let way_out = way_out.map(|way_out| way_out(&text)).unwrap_or_default();
                found(place, message, format!("{reason}{way_out}"));
                sound = false;
            }
        }
    }
    sound.then_some(all)
}

fn each_of(key: &Key, value: Node, outer: Option<&Node>) -> Node {
    let key = Node { value: Value::Text(Text::plain(key.as_str())), place: None, rendered: true };
    let mut each = Table::default();
    let outer = outer.map(|outer| ("outer", outer.clone()));
    for (name, node) in [("key", key), ("value", value)].into_iter().chain(outer) {
        each.entries.insert(name.to_owned(), Entry { key: None, node });
    }
    Node::new(Value::Table(each), None)
}
