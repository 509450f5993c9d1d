//! Reads the fields of one table into typed values and collects every finding on the way.
//!
//! Asking for a field is what makes its key known, so the list of known keys cannot go stale.

use std::cell::RefCell;
use std::fmt::Display;
use std::str::FromStr;

use super::node::{Entry, Node, Table, Value};
use super::problem::{Place, Problems, nearest, suggest};
use crate::secret::Text;

/// The fields of a table that are still to be read.
///
/// Every method returns `None` for a field that is absent *or* wrong; when it is wrong there is a finding, and a kind
/// that gives up on a `None` it needs loses nothing.
pub struct Fields<'a> {
    /// What to call the table in a finding: `directory.root`.
    label: String,
    table: &'a Table,
    place: Option<Place>,
    known: RefCell<Vec<&'static str>>,
    problems: &'a RefCell<Problems>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(
        label: impl Into<String>,
        table: &'a Table,
        place: Option<Place>,
        problems: &'a RefCell<Problems>,
    ) -> Self {
        Self { label: label.into(), table, place, known: RefCell::default(), problems }
    }

    /// What the table is called in findings.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Adds a finding about the field `name`, or about the whole table when the field is absent.
    pub fn problem(&self, name: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = self.table.entries.get(name).and_then(|entry| entry.node.place).or(self.place);
        self.problems.borrow_mut().add_help(place, message, help);
    }

    /// Adds a finding about an item of the list `name`.
    pub(crate) fn item_problem(
        &self,
        name: &str,
        item: &impl ToString,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let item = item.to_string();
        let items = match self.table.entries.get(name).map(|entry| &entry.node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let is_it = |node: &&Node| matches!(&node.value, Value::Text(text) if text.expose() == item);
        match items.iter().find(is_it).and_then(|node| node.place) {
            Some(place) => self.problems.borrow_mut().add_help(Some(place), message, help),
            None => self.problem(name, message, help),
        }
    }

    /// Whether the field is written at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.table.entries.contains_key(name)
    }

    /// Whether the field is a list, whatever is in it.
    #[must_use]
    pub(crate) fn is_list(&self, name: &str) -> bool {
        self.table.entries.get(name).is_some_and(|entry| matches!(entry.node.value, Value::Array(_)))
    }

    /// Whether a key that nobody asked for was meant to be this one. Call it after [`Fields::finish`].
    pub(crate) fn is_meant(&self, name: &str) -> bool {
        let known = self.known.borrow();
        let unknown = self.table.entries.keys().filter(|key| !known.contains(&key.as_str()));
        unknown.into_iter().any(|key| nearest(key, known.iter().copied()) == Some(name))
    }

    /// Whether the field was made by a template.
    #[must_use]
    pub(crate) fn is_rendered(&self, name: &str) -> bool {
        self.table.entries.get(name).is_some_and(|entry| entry.node.rendered)
    }

    /// A field that must be there.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str) -> Option<T> {
        self.must_have(name);
        self.optional(name)
    }

    /// A field that may be there.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &'static str) -> Option<T> {
        let node = self.take(name)?;
        self.parse(name, node)
    }

    /// Which of some fields is there; unless it is exactly one, that is a finding at `place`.
    pub(crate) fn one_of<const N: usize>(&self, place: &str, names: [&'static str; N]) -> Option<&'static str> {
        let mut given = names.into_iter().filter(|name| self.has(name));
        let found = match (given.next(), given.next()) {
            (Some(name), None) => return Some(name),
            (None, _) => "none",
            (Some(_), Some(_)) if N == 2 => "both",
            (Some(_), Some(_)) => "several",
        };
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let listed =
            quoted.split_last().map(|(last, rest)| format!("{} and {last}", rest.join(", "))).unwrap_or_default();
        self.problem(place, format!("{} has {found} of {listed}", self.label), "write exactly one of them");
        None
    }

    /// Text, or a whole number that comes as its text.
    pub fn scalar(&self, name: &'static str) -> Option<String> {
        let node = self.take(name)?;
        match &node.value {
            Value::Integer(number) => Some(number.to_string()),
            Value::Text(_) => self.parse(name, node),
            _ => {
                self.wrong_type(name, node, "text or an integer");
                None
            }
        }
    }

    /// Text that may hold a secret.
    pub fn text(&self, name: &'static str) -> Option<Text> {
        let node = self.take(name)?;
        self.node_text(name, node)
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &'static str) -> Option<bool> {
        let node = self.take(name)?;
        match &node.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if node.rendered && matches!(text.expose(), "true" | "false") => {
                Some(text.expose() == "true")
            }
            _ => {
                self.wrong_type(name, node, "true or false");
                None
            }
        }
    }

    /// A whole number in a range.
    pub fn integer(&self, name: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let node = self.take(name)?;
        self.node_integer(name, node, &range)
    }

    /// A list of whole numbers in a range; empty when the field is absent. A wrong item is a finding and left out.
    pub fn integers(&self, name: &'static str, range: std::ops::RangeInclusive<i64>) -> Vec<i64> {
        let Some(node) = self.take(name) else { return Vec::new() };
        match &node.value {
            Value::Array(items) => items.iter().filter_map(|item| self.node_integer(name, item, &range)).collect(),
            _ => {
                self.wrong_type(name, node, "a list of integers");
                Vec::new()
            }
        }
    }

    /// A list; empty when the field is absent. A wrong item is a finding and left out.
    pub fn list<T: FromStr<Err: Display>>(&self, name: &'static str) -> Vec<T> {
        let Some(node) = self.take(name) else { return Vec::new() };
        match &node.value {
            Value::Array(items) => items.iter().filter_map(|item| self.parse(name, item)).collect(),
            _ => {
                self.wrong_type(name, node, "a list");
                Vec::new()
            }
        }
    }

    /// A table of texts, in the order in which it is written; empty when absent.
    pub fn texts(&self, name: &'static str) -> Vec<(String, Text)> {
        let Some(node) = self.take(name) else { return Vec::new() };
        match &node.value {
            Value::Table(table) => table
                .entries
                .iter()
                .filter_map(|(key, entry)| Some((key.clone(), self.node_text(name, &entry.node)?)))
                .collect(),
            _ => {
                self.wrong_type(name, node, "a table");
                Vec::new()
            }
        }
    }

    /// A table whose keys are not known beforehand: each with its values, a lone value being a list of one.
    /// Booleans and numbers come as their text. Secrets are refused.
    pub fn settings(&self, name: &'static str) -> Vec<Setting> {
        self.take(name).map(|node| self.node_settings(name, node)).unwrap_or_default()
    }

    /// A table of such tables, in the order in which they are written; empty when absent.
    pub fn sections(&self, name: &'static str) -> Vec<Section> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let Value::Table(table) = &node.value else {
            self.wrong_type(name, node, "a table of tables");
            return Vec::new();
        };
        let section = |(key, Entry { key: place, node }): (&String, &Entry)| Section {
            header: Setting { key: key.clone(), values: Vec::new(), place: place.or(node.place) },
            settings: self.node_settings(&format!("{name}.{key}"), node),
        };
        table.entries.iter().map(section).collect()
    }

    fn node_settings(&self, name: &str, node: &Node) -> Vec<Setting> {
        let Value::Table(table) = &node.value else {
            self.wrong_type(name, node, "a table");
            return Vec::new();
        };
        let scalar = |key: &str, item: &Node| match &item.value {
            Value::Text(text) if text.is_secret() => {
                self.refuse_secret(name, item);
                None
            }
            Value::Text(text) => Some(text.expose().to_owned()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Boolean(value) => Some(value.to_string()),
            Value::Float(_) | Value::Array(_) | Value::Table(_) | Value::Unknown => {
                self.wrong_type(&format!("{name}.{key}"), item, "text, an integer or a boolean");
                None
            }
        };
        table
            .entries
            .iter()
            .map(|(key, Entry { key: place, node })| Setting {
                key: key.clone(),
                values: match &node.value {
                    Value::Array(items) => items.iter().filter_map(|item| scalar(key, item)).collect(),
                    _ => scalar(key, node).into_iter().collect(),
                },
                place: place.or(node.place),
            })
            .collect()
    }

    /// A value of any type.
    pub(crate) fn raw(&self, name: &'static str) -> Option<&'a Node> {
        self.take(name)
    }

    /// A table with known fields.
    pub fn table(&self, name: &'static str) -> Option<Fields<'a>> {
        let node = self.take(name)?;
        match &node.value {
            Value::Table(table) => {
                Some(Fields::new(format!("{}.{name}", self.label), table, node.place, self.problems))
            }
            _ => {
                self.wrong_type(name, node, "a table");
                None
            }
        }
    }

    /// A list of tables with known fields; empty when absent.
    pub fn tables(&self, name: &'static str) -> Vec<Fields<'a>> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let Value::Array(items) = &node.value else {
            self.wrong_type(name, node, "a list of tables");
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| match &item.value {
                Value::Table(table) => {
                    Some(Fields::new(format!("{}.{name}[{index}]", self.label), table, item.place, self.problems))
                }
                _ => {
                    self.wrong_type(name, item, "a table");
                    None
                }
            })
            .collect()
    }

    /// A list whose items are tables with known fields, or text that stands for one; empty when the field is absent.
    pub fn items<T: FromStr<Err: Display>>(&self, name: &'static str) -> Vec<Item<'a, T>> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let Value::Array(items) = &node.value else {
            self.wrong_type(name, node, "a list");
            return Vec::new();
        };
        let item = |(index, item): (usize, &'a Node)| match &item.value {
            Value::Table(table) => {
                let label = format!("{}.{name}[{index}]", self.label);
                Some(Item::Table(Fields::new(label, table, item.place, self.problems)))
            }
            _ => self.parse(name, item).map(Item::Text),
        };
        items.iter().enumerate().filter_map(item).collect()
    }

    /// A finding about a setting that [`Fields::settings`] gave.
    pub fn setting_problem(&self, setting: &Setting, message: impl Into<String>, help: impl Into<String>) {
        self.problems.borrow_mut().add_help(setting.place, message, help);
    }

    /// Reports every key that nobody asked for. Call it last.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for (key, entry) in &self.table.entries {
            if !known.contains(&key.as_str()) {
                // What it was meant to be is not missing as well.
                if let Some(meant) = nearest(key, known.iter().copied()).filter(|meant| !self.has(meant)) {
                    self.problems.borrow_mut().withdraw(self.place, &self.lacks(meant));
                }
                self.problems.borrow_mut().add_help(
                    entry.key.or(entry.node.place),
                    format!("unknown key `{key}` in {}", self.label),
                    suggest(key, known.iter().copied()),
                );
            }
        }
    }

    fn take(&self, name: &'static str) -> Option<&'a Node> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&name) {
            known.push(name);
        }
        self.table.entries.get(name).map(|entry| &entry.node)
    }

    /// Adds a finding unless the field is there.
    pub(crate) fn must_have(&self, name: &str) {
        if !self.has(name) {
            self.problems.borrow_mut().add_help(
                self.place,
                self.lacks(name),
                if self.is_of_a_kind() {
                    format!("add `{name} = ...`; `provision kinds` shows what it takes")
                } else {
                    format!("add `{name} = ...`")
                },
            );
        }
    }

    fn lacks(&self, name: &str) -> String {
        format!("{} lacks `{name}`", self.label)
    }

    fn is_of_a_kind(&self) -> bool {
        self.label.split('.').next().is_some_and(|word| crate::resource::kind(word).is_some())
    }

    fn node_text(&self, name: &str, node: &Node) -> Option<Text> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) if node.rendered => Some(Text::plain(number.to_string())),
            Value::Boolean(value) if node.rendered => Some(Text::plain(value.to_string())),
            _ => {
                self.wrong_type(name, node, "text");
                None
            }
        }
    }

    fn node_integer(&self, name: &str, node: &Node, range: &std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = match &node.value {
            Value::Integer(number) => *number,
            Value::Text(text) if node.rendered && text.expose().parse::<i64>().is_ok() => text.expose().parse().ok()?,
            _ => {
                self.wrong_type(name, node, "an integer");
                return None;
            }
        };
        if range.contains(&number) {
            return Some(number);
        }
        self.problems.borrow_mut().add_help(
            node.place,
            format!("{} is out of range for `{name}` of {}", number, self.label),
            format!("it goes from {} to {}", range.start(), range.end()),
        );
        None
    }

    fn parse<T: FromStr<Err: Display>>(&self, name: &str, node: &Node) -> Option<T> {
        let text = self.node_text(name, node)?;
        if text.is_secret() {
            self.refuse_secret(name, node);
            return None;
        }
        match text.expose().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.borrow_mut().add_help(
                    node.place,
                    format!("{:?} does not fit `{name}` of {}", text.expose(), self.label),
                    error.to_string(),
                );
                None
            }
        }
    }

    fn refuse_secret(&self, name: &str, node: &Node) {
        self.problems.borrow_mut().add_help(
            node.place,
            format!("a secret cannot go into `{name}` of {}: others could read it there", self.label),
            "secrets may stand in the content of a file and in the standard input of a command",
        );
    }

    fn wrong_type(&self, name: &str, node: &Node, wanted: &str) {
        if matches!(node.value, Value::Unknown) {
            return;
        }
        let quotes = match &node.value {
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) if wanted == "text" => ": put it in quotes",
            Value::Text(text) if wanted == "an integer" && text.expose().parse::<i64>().is_ok() => {
                ": take the quotes off"
            }
            Value::Text(text) if wanted == "true or false" && matches!(text.expose(), "true" | "false") => {
                ": take the quotes off"
            }
            _ => "",
        };
        self.problems.borrow_mut().add_help(
            node.place,
            format!("`{name}` of {} is {}", self.label, node.type_name()),
            format!("it takes {wanted}{quotes}"),
        );
    }
}

/// One entry of [`Fields::items`].
pub enum Item<'a, T> {
    /// The short form.
    Text(T),
    /// The long form.
    Table(Fields<'a>),
}

/// One entry of [`Fields::settings`].
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key as written.
    pub key: String,
    /// Its values in order.
    pub values: Vec<String>,
    place: Option<Place>,
}

/// One entry of [`Fields::sections`].
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name as the key, without values.
    pub header: Setting,
    /// What it says.
    pub settings: Vec<Setting>,
}
