//! Inputs: what a plan leaves open, typed and described, and the values that were given for it.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;

use super::fields::Fields;
use super::node::{Entry, Node, Table, Value, from_json, from_json_object, from_toml};
use super::problem::{Place, Problems, suggest};
use super::rule::Rule;
use crate::secret::Text;

/// A declared input, for people.
#[derive(Debug, Clone)]
pub struct Input {
    /// What it is for.
    pub description: Option<String>,
    /// The type of its value.
    pub input_type: InputType,
    /// Whether its value must not be seen.
    pub secret: bool,
    /// Whether a value must be given.
    pub required: bool,
}

/// The types of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A TCP or UDP port, 1 to 65535.
    Port,
    /// A path; a relative one starts at the working directory of whoever gives it, and an empty one stays empty.
    Path,
    /// A list of text; on a command line, separated by commas.
    List,
    /// A list of whole numbers; on a command line, separated by commas.
    Integers,
    /// Names with values: text, whole numbers, true or false, lists, tables. In the order of the names. On a command line an
    /// object in JSON or an inline table in TOML.
    Table,
}

/// The words for them in a plan.
const TYPES: [(&str, InputType); 8] = [
    ("text", InputType::Text),
    ("integer", InputType::Integer),
    ("boolean", InputType::Boolean),
    ("port", InputType::Port),
    ("path", InputType::Path),
    ("list", InputType::List),
    ("integers", InputType::Integers),
    ("table", InputType::Table),
];

impl std::str::FromStr for InputType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = TYPES.iter().find(|(word, _)| *word == text);
        known.map(|(_, found)| *found).ok_or_else(|| suggest(text, TYPES.iter().map(|(word, _)| *word)))
    }
}

/// Values given from outside, and the directory from which relative paths among them start.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    given: BTreeMap<String, Given>,
    working_directory: Utf8PathBuf,
}

#[derive(Debug, Clone)]
struct Given {
    node: Node,
    origin: String,
    /// Whether a name that the plan does not have is a mistake; an environment may hold anything.
    deliberate: bool,
}

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `PROVISION_VAR_name`.
    Environment,
    /// A variables file.
    File,
    /// The command line, or the program that embeds the library.
    Argument,
}

impl Inputs {
    /// No values. `working_directory` is where a relative path starts.
    #[must_use]
    pub fn new(working_directory: Utf8PathBuf) -> Self {
        Self { given: BTreeMap::new(), working_directory }
    }

    /// Gives a value as text, to be read as the input's type. A later value replaces an earlier one.
    pub fn set(&mut self, name: &str, text: &str, origin: Origin) {
        let origin_name = match origin {
            Origin::Environment => format!("the environment variable PROVISION_VAR_{name}"),
            Origin::File => "a variables file".to_owned(),
            Origin::Argument => format!("--var {name}"),
        };
        let mut node = Node::new(Value::Text(Text::plain(text)), None);
        node.rendered = true;
        let deliberate = origin != Origin::Environment;
        self.given.insert(name.to_owned(), Given { node, origin: origin_name, deliberate });
    }

    /// Only the values of a plan's secret inputs, and another directory to start at.
    pub(crate) fn secrets(&self, plan: &super::Plan, working_directory: Utf8PathBuf) -> Self {
        let secret = |name: &String| plan.inputs().get(name).is_some_and(|input| input.secret);
        let given = self.given.iter().filter(|(name, _)| secret(name));
        Self { given: given.map(|(name, given)| (name.clone(), given.clone())).collect(), working_directory }
    }

    /// Gives a value that [`super::Plan::values`] has told, as the weakest of all; `origin` is what findings call where it
    /// was kept. It is to be what it was, so a name that
    /// the plan does not have any more is a mistake.
    pub fn keep(&mut self, name: &str, value: &serde_json::Value, origin: &str) {
        let Ok(node) = from_json(value) else { return };
        let given = || Given { node, origin: origin.to_owned(), deliberate: true };
        self.given.entry(name.to_owned()).or_insert_with(given);
    }

    /// Gives the values of a variables file: `name = value` in TOML.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn set_file(&mut self, name: &str, text: &str) -> Result<(), toml::de::Error> {
        let table: toml::Table = toml::from_str(text)?;
        self.set_table(name, super::node::from_toml_table(&table));
        Ok(())
    }

    /// Gives the values of a variables file that is an object in JSON.
    ///
    /// # Errors
    /// When the text is none.
    pub fn set_json_file(&mut self, name: &str, text: &str) -> Result<(), serde_json::Error> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let table = from_json_object(&object).map_err(serde::de::Error::custom)?;
        self.set_table(name, table);
        Ok(())
    }

    fn set_table(&mut self, name: &str, table: Table) {
        for (key, Entry { node, .. }) in table.entries {
            let given = Given { node, origin: format!("the variables file {name}"), deliberate: true };
            self.given.insert(key, given);
        }
    }

    pub(super) fn working_directory(&self) -> &Utf8Path {
        &self.working_directory
    }
}

/// A value as it is kept outside of a plan.
pub(super) fn kept(node: &Node) -> Option<serde_json::Value> {
    match &node.value {
        Value::Text(text) if text.is_secret() => None,
        Value::Text(text) => Some(text.expose().into()),
        Value::Integer(number) => Some((*number).into()),
        Value::Boolean(value) => Some((*value).into()),
        Value::Array(items) => items.iter().map(kept).collect(),
        Value::Table(table) => {
            let entry = |(name, entry): (&String, &Entry)| Some((name.clone(), kept(&entry.node)?));
            table.entries.iter().map(entry).collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
        Value::Float(_) | Value::Unknown => None,
    }
}

/// An input as a plan declares it.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) input: Input,
    rule: Rule,
    /// As it is written.
    pub(crate) default: Option<Node>,
    pub(crate) place: Option<Place>,
}

/// Reads the `[input.*]` tables.
pub(crate) fn declare(
    table: Option<(&Table, Option<Place>)>,
    problems: &std::cell::RefCell<Problems>,
) -> IndexMap<String, Declaration> {
    let mut declared = IndexMap::new();
    for (name, entry) in table.into_iter().flat_map(|(table, _)| &table.entries) {
        if crate::address::check_name(name).is_err() {
            let help = format!("an input's is {}", crate::address::NAME);
            problems.borrow_mut().add_help(entry.key, format!("{name:?} is not a name"), help);
            continue;
        }
        let Value::Table(body) = &entry.node.value else {
            problems.borrow_mut().add_help(
                entry.node.place,
                format!("input.{name} is {}", entry.node.type_name()),
                format!("an input is a table: [input.{name}]"),
            );
            continue;
        };
        let place = entry.key.or(entry.node.place);
        let fields = Fields::new(format!("input.{name}"), body, place, problems);
        let description: Option<String> = fields.optional("description");
        let asked: Option<InputType> = fields.optional("type");
        let secret = fields.boolean("secret").unwrap_or(false);
        let default = fields.raw("default").cloned();
        let input_type = asked.unwrap_or_else(|| default.as_ref().map_or(InputType::Text, inferred));
        let rule = Rule::read(&fields, input_type);
        fields.finish();
        // With another spelling there is a finding about that, and none about a value that is missing.
        let meant = fields.is_meant("default").then(|| Node::new(Value::Unknown, place));
        let default = default.or(meant);
        let input = Input { description, input_type, secret, required: default.is_none() };
        declared.insert(name.clone(), Declaration { input, rule, default, place });
    }
    declared
}

impl Declaration {
    /// A value as what the input takes. A relative path starts at `directory`.
    ///
    /// # Errors
    /// Why it is none; the reason never repeats the value, which may be a secret.
    pub(crate) fn value(&self, node: &Node, directory: &Utf8Path) -> Result<Node, String> {
        let value = convert(node, self.input.input_type, directory)?;
        self.rule.check(&value)?;
        Ok(if self.input.secret { hide(value) } else { value })
    }

    /// The value that holds where none is given; none where it must be, or where there was a finding.
    pub(crate) fn default_value(
        &self,
        name: &str,
        directory: &Utf8Path,
        problems: &std::cell::RefCell<Problems>,
    ) -> Option<Node> {
        let default = self.default.as_ref().filter(|default| !matches!(default.value, Value::Unknown))?;
        let wrong = |reason| {
            // A finding shows the text that it is about.
            let place = if self.input.secret { self.place } else { default.place };
            problems.borrow_mut().add_help(place, wrong_value(name, "its default"), reason);
        };
        self.value(default, directory).map_err(wrong).ok()
    }
}

/// Gives each input of the plan its value.
pub(crate) fn resolve(
    declared: &IndexMap<String, Declaration>,
    inputs: &Inputs,
    problems: &std::cell::RefCell<Problems>,
) -> IndexMap<String, Node> {
    let mut values = IndexMap::new();
    for (name, declaration) in declared {
        let place = declaration.place;
        let value = match inputs.given.get(name) {
            Some(given) => declaration
                .value(&given.node, &inputs.working_directory)
                .map_err(|reason| problems.borrow_mut().add_help(place, wrong_value(name, &given.origin), reason))
                .ok(),
            None => declaration.default_value(name, &inputs.working_directory, problems),
        };
        if declaration.default.is_none() && !inputs.given.contains_key(name) {
            problems.borrow_mut().add_help(
                place,
                format!("input.{name} has no value"),
                format!("give it with --var {name}=VALUE, in a --var-file, or as PROVISION_VAR_{name}"),
            );
        }
        values.extend(value.map(|value| (name.clone(), value)));
    }
    for (name, given) in inputs.given.iter().filter(|(_, given)| given.deliberate) {
        if !declared.contains_key(name) {
            problems.borrow_mut().add_help(
                None,
                format!("{} gives a value for input.{name}, which the plan does not have", given.origin),
                suggest(name, declared.keys().map(String::as_str)),
            );
        }
    }
    values
}

pub(crate) fn wrong_value(name: &str, origin: &str) -> String {
    format!("the value for input.{name} from {origin} does not fit")
}

fn inferred(default: &Node) -> InputType {
    match default.value {
        Value::Integer(_) => InputType::Integer,
        Value::Boolean(_) => InputType::Boolean,
        Value::Array(ref items) if is_of_integers(items) && !items.is_empty() => InputType::Integers,
        Value::Array(_) => InputType::List,
        Value::Table(_) => InputType::Table,
        Value::Text(_) | Value::Float(_) | Value::Unknown => InputType::Text,
    }
}

fn is_of_integers(items: &[Node]) -> bool {
    items.iter().all(|item| matches!(item.value, Value::Integer(_)))
}

/// What a template has made of a number or a boolean, as text.
fn as_text(node: &Node) -> Option<Text> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) if node.rendered => Some(Text::plain(number.to_string())),
        Value::Boolean(value) if node.rendered => Some(Text::plain(value.to_string())),
        _ => None,
    }
}

/// Reads a value as a type. The message never repeats the value: it may be a secret.
fn convert(node: &Node, input_type: InputType, directory: &Utf8Path) -> Result<Node, String> {
    let text = match &node.value {
        Value::Text(text) => Some(text.expose()),
        _ => None,
    };
    let value = match (input_type, &node.value) {
        (InputType::Text, _) => match as_text(node) {
            Some(text) => Value::Text(text),
            None if matches!(node.value, Value::Array(_) | Value::Table(_)) => {
                return Err(format!("it is {}, and text is wanted", node.type_name()));
            }
            None => return Err(format!("it is {}, and text is wanted: put it in quotes", node.type_name())),
        },
        (InputType::Integer | InputType::Port, Value::Integer(number)) => Value::Integer(*number),
        (InputType::Integer | InputType::Port, _) => match text.filter(|_| node.rendered).map(str::parse::<i64>) {
            Some(Ok(number)) => Value::Integer(number),
            Some(Err(error)) if matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => {
                return Err("it takes an integer of at most 64 bits".to_owned());
            }
            _ => return Err("it takes an integer".to_owned()),
        },
        (InputType::Boolean, Value::Boolean(value)) => Value::Boolean(*value),
        (InputType::Boolean, _) => match text.filter(|_| node.rendered) {
            Some("true") => Value::Boolean(true),
            Some("false") => Value::Boolean(false),
            _ => return Err("it takes true or false".to_owned()),
        },
        // Nowhere, rather than the working directory: so an input says that there may be none.
        (InputType::Path, Value::Text(text)) if text.expose().is_empty() => node.value.clone(),
        (InputType::Path, Value::Text(text)) => {
            let path = normal(directory.join(text.expose()).as_str());
            Value::Text(if text.is_secret() { Text::secret(path) } else { Text::plain(path) })
        }
        (InputType::Path, _) => return Err("it takes a path in quotes".to_owned()),
        (InputType::List, Value::Array(items)) => {
            let item = |item: &Node| as_text(item).map(|text| Node { value: Value::Text(text), ..*item });
            Value::Array(items.iter().map(item).collect::<Option<_>>().ok_or("it takes a list of text")?)
        }
        (InputType::List, _) => match text.filter(|_| node.rendered) {
            Some(text) => {
                Value::Array(pieces(text).map(|item| Node::new(Value::Text(Text::plain(item)), None)).collect())
            }
            None => return Err("it takes a list of text".to_owned()),
        },
        (InputType::Integers, Value::Array(items)) if is_of_integers(items) => Value::Array(items.clone()),
        (InputType::Integers, _) => match text.filter(|_| node.rendered) {
            Some(text) => {
                let item = |item: &str| item.parse().map(|number| Node::new(Value::Integer(number), None));
                let items = pieces(text).map(item).collect::<Result<_, _>>();
                Value::Array(items.map_err(|_| "it takes whole numbers, separated by commas")?)
            }
            None => return Err("it takes a list of whole numbers".to_owned()),
        },
        (InputType::Table, Value::Table(table)) => Value::Table(sorted(table)?),
        (InputType::Table, _) => match text.filter(|_| node.rendered).map(read_table) {
            Some(table) => Value::Table(sorted(&table?)?),
            None => return Err("it takes a table".to_owned()),
        },
    };
    if input_type == InputType::Port && !matches!(value, Value::Integer(1..=65_535)) {
        return Err("a port goes from 1 to 65535".to_owned());
    }
    Ok(Node { value, place: node.place, rendered: node.rendered })
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A table that is given as text.
fn read_table(text: &str) -> Result<Table, String> {
    const FORM: &str = "it takes an object in JSON, such as {\"a\": 1}, or an inline table in TOML, such as { a = 1 }";
    if let Ok(object) = serde_json::from_str(text) {
        return from_json_object(&object);
    }
    let found: Option<toml::Table> = toml::from_str(&format!("x = {text}")).ok();
    match found.as_ref().and_then(|table| table.get("x")).map(from_toml) {
        Some(Node { value: Value::Table(table), .. }) => Ok(table),
        _ => Err(FORM.to_owned()),
    }
}

/// In the order of the names, which is the same wherever the value comes from: a sealed plan does not keep another.
fn sorted(table: &Table) -> Result<Table, String> {
    let mut entries: Vec<(String, Entry)> = Vec::new();
    for (name, Entry { key, node }) in &table.entries {
        entries.push((name.clone(), Entry { key: *key, node: within_table(node)? }));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(Table { entries: entries.into_iter().collect() })
}

fn within_table(node: &Node) -> Result<Node, String> {
    let value = match &node.value {
        Value::Table(table) => Value::Table(sorted(table)?),
        Value::Array(items) => Value::Array(items.iter().map(within_table).collect::<Result<_, _>>()?),
        Value::Float(_) => return Err("a table has no fractions: put the number in quotes".to_owned()),
        other => other.clone(),
    };
    Ok(Node { value, ..*node })
}

/// Takes `.` and `..` out of a path without looking at the file system, as a shell does for `cd`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn hide(node: Node) -> Node {
    let value = match node.value {
        Value::Text(text) => Value::Text(Text::secret(text.expose())),
        Value::Integer(number) => Value::Text(Text::secret(number.to_string())),
        Value::Boolean(value) => Value::Text(Text::secret(value.to_string())),
        Value::Float(number) => Value::Text(Text::secret(number.to_string())),
        Value::Array(items) => Value::Array(items.into_iter().map(hide).collect()),
        Value::Table(table) => {
            let entry = |(name, Entry { key, node }): (String, Entry)| (name, Entry { key, node: hide(node) });
            Value::Table(Table { entries: table.entries.into_iter().map(entry).collect() })
        }
        Value::Unknown => Value::Unknown,
    };
    Node { value, ..node }
}
