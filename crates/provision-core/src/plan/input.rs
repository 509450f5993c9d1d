//! Inputs: what a plan leaves open, typed and described, and the values that were given for it.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use camino::Utf8PathBuf;
use indexmap::IndexMap;

use super::fields::Fields;
use super::node::{Node, Table, Value};
use super::problem::{Place, Problems, suggest};
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
    /// A path; a relative one starts at the working directory of whoever gives it.
    Path,
    /// A list of text; on a command line, separated by commas.
    List,
}

impl std::str::FromStr for InputType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "integer" => Ok(Self::Integer),
            "boolean" => Ok(Self::Boolean),
            "port" => Ok(Self::Port),
            "path" => Ok(Self::Path),
            "list" => Ok(Self::List),
            _ => Err(suggest(text, ["text", "integer", "boolean", "port", "path", "list"])),
        }
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

    /// Gives a value that [`super::Plan::values`] has told, as the weakest of all. It is to be what it was, so a name that
    /// the plan does not have any more is a mistake.
    pub fn keep(&mut self, name: &str, value: &serde_json::Value) {
        let Some(node) = taken(value) else { return };
        let given = || Given { node, origin: "the sealed plan".to_owned(), deliberate: true };
        self.given.entry(name.to_owned()).or_insert_with(given);
    }

    /// Gives the values of a variables file: `name = value` in TOML.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn set_file(&mut self, name: &str, text: &str) -> Result<(), toml::de::Error> {
        let table: toml::Table = toml::from_str(text)?;
        for (key, entry) in super::node::from_toml_table(&table).entries {
            let given = Given { node: entry.node, origin: format!("the variables file {name}"), deliberate: true };
            self.given.insert(key, given);
        }
        Ok(())
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
        Value::Float(_) | Value::Table(_) | Value::Unknown => None,
    }
}

fn taken(value: &serde_json::Value) -> Option<Node> {
    use serde_json::Value as Kept;
    let value = match value {
        Kept::String(text) => Value::Text(Text::plain(text)),
        Kept::Number(number) => Value::Integer(number.as_i64()?),
        Kept::Bool(value) => Value::Boolean(*value),
        Kept::Array(items) => Value::Array(items.iter().map(taken).collect::<Option<_>>()?),
        Kept::Null | Kept::Object(_) => return None,
    };
    Some(Node::new(value, None))
}

/// Reads the `[input.*]` tables and gives each its value.
pub(crate) fn resolve(
    table: Option<(&Table, Option<Place>)>,
    inputs: &Inputs,
    problems: &std::cell::RefCell<Problems>,
) -> (IndexMap<String, Input>, IndexMap<String, Node>) {
    let mut declared = IndexMap::new();
    let mut values = IndexMap::new();
    let entries = table.map(|(table, _)| &table.entries);
    for (name, entry) in entries.into_iter().flatten() {
        if crate::address::check_name(name).is_err() {
            let (message, help) =
                (format!("{name:?} is not a name"), format!("an input's is {}", crate::address::NAME));
            problems.borrow_mut().add_help(entry.key, message, help);
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
        let default = fields.raw("default");
        fields.finish();
        let input_type = asked.unwrap_or_else(|| default.map_or(InputType::Text, inferred));
        let given = inputs.given.get(name);
        let value = match (given, default) {
            (Some(given), _) => convert(&given.node, input_type, inputs)
                .map_err(|reason| problems.borrow_mut().add_help(place, wrong_value(name, &given.origin), reason)),
            (None, Some(default)) => convert(default, input_type, inputs).map_err(|reason| {
                // A finding shows the text that it is about.
                let place = if secret { place } else { default.place };
                problems.borrow_mut().add_help(place, wrong_value(name, "its default"), reason);
            }),
            // There is a finding about the default.
            (None, None) if fields.is_meant("default") => Err(()),
            (None, None) => {
                problems.borrow_mut().add_help(
                    place,
                    format!("input.{name} has no value"),
                    format!("give it with --var {name}=VALUE, in a --var-file, or as PROVISION_VAR_{name}"),
                );
                Err(())
            }
        };
        let required = default.is_none();
        declared.insert(name.clone(), Input { description, input_type, secret, required });
        if let Ok(value) = value {
            values.insert(name.clone(), if secret { hide(value) } else { value });
        }
    }
    for (name, given) in inputs.given.iter().filter(|(_, given)| given.deliberate) {
        if entries.is_none_or(|entries| !entries.contains_key(name)) {
            problems.borrow_mut().add_help(
                None,
                format!("{} gives a value for input.{name}, which the plan does not have", given.origin),
                suggest(name, entries.into_iter().flat_map(|entries| entries.keys().map(String::as_str))),
            );
        }
    }
    (declared, values)
}

fn wrong_value(name: &str, origin: &str) -> String {
    format!("the value for input.{name} from {origin} does not fit")
}

fn inferred(default: &Node) -> InputType {
    match default.value {
        Value::Integer(_) => InputType::Integer,
        Value::Boolean(_) => InputType::Boolean,
        Value::Array(_) => InputType::List,
        Value::Text(_) | Value::Float(_) | Value::Table(_) | Value::Unknown => InputType::Text,
    }
}

/// Reads a value as a type. The message never repeats the value: it may be a secret.
fn convert(node: &Node, input_type: InputType, inputs: &Inputs) -> Result<Node, String> {
    let text = match &node.value {
        Value::Text(text) => Some(text.expose()),
        _ => None,
    };
    let value = match (input_type, &node.value) {
        (InputType::Text, Value::Text(text)) => Value::Text(text.clone()),
        (InputType::Text, _) => {
            let quotes =
                if matches!(node.value, Value::Array(_) | Value::Table(_)) { "" } else { ": put it in quotes" };
            return Err(format!("it is {}, and text is wanted{quotes}", node.type_name()));
        }
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
        (InputType::Path, Value::Text(text)) => {
            let path = inputs.working_directory.join(text.expose());
            Value::Text(Text::plain(normal(path.as_str())))
        }
        (InputType::Path, _) => return Err("it takes a path in quotes".to_owned()),
        (InputType::List, Value::Array(items)) if items.iter().all(|item| matches!(item.value, Value::Text(_))) => {
            Value::Array(items.clone())
        }
        (InputType::List, _) => match text.filter(|_| node.rendered) {
            Some(text) => Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Node::new(Value::Text(Text::plain(item)), None))
                    .collect(),
            ),
            None => return Err("it takes a list of text".to_owned()),
        },
    };
    if input_type == InputType::Port && !matches!(value, Value::Integer(1..=65_535)) {
        return Err("a port goes from 1 to 65535".to_owned());
    }
    Ok(Node { value, place: node.place, rendered: node.rendered })
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
        Value::Table(table) => Value::Table(table),
        Value::Unknown => Value::Unknown,
    };
    Node { value, ..node }
}
