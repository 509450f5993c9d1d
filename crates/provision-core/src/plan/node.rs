//! A plan's values, each with its place in the text and whether a secret went into it.

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problems};
use crate::secret::Text;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Option<Place>,
    /// Made by a template: then a number may stand where text is wanted.
    pub(crate) rendered: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Text),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// A template that could not be rendered. There is a finding about that, so nothing else is said of it.
    Unknown,
}

/// Keys in the order in which they were written, each with its own place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: IndexMap<String, Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Option<Place>,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(value: Value, place: Option<Place>) -> Self {
        Self { value, place, rendered: false }
    }

    /// What to call the type of the value in a message.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Unknown => "unknown",
        }
    }

    /// What stands at a path of names below it, as far as it goes: the value, and how many of the names led to it.
    pub(crate) fn at(&self, path: &[String]) -> (&Self, usize) {
        let mut node = self;
        for (depth, part) in path.iter().enumerate() {
            match &node.value {
                Value::Table(table) => match table.entries.get(part) {
                    Some(entry) => node = &entry.node,
                    None => return (node, depth),
                },
                _ => return (node, depth),
            }
        }
        (node, path.len())
    }

    /// Whether a text in it could not be told.
    pub(crate) fn is_unknown(&self) -> bool {
        match &self.value {
            Value::Unknown => true,
            Value::Array(items) => items.iter().any(Self::is_unknown),
            Value::Table(table) => table.entries.values().any(|entry| entry.node.is_unknown()),
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => false,
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        match &self.value {
            Value::Text(text) => text.is_secret(),
            Value::Array(items) => items.iter().any(Self::is_secret),
            Value::Table(table) => table.entries.values().any(|entry| entry.node.is_secret()),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Unknown => false,
        }
    }
}

/// Reads TOML text; a syntax error is a finding like any other.
/// `source` is the number under which its places are found again.
pub(crate) fn parse(source: usize, text: &str, problems: &mut Problems) -> Table {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let (place, message) =
            (error.span().map(|span| Place::new(source, span)), format!("not valid TOML: {}", error.message()));
        let help = way_out(&message);
        problems.add_help(place, message, help);
    }
    problems.only_first(text);
    table(source, root.get_ref(), problems)
}

/// What to do about a syntax error, told from the parser's words for it.
fn way_out(message: &str) -> &'static str {
    const WAYS: &[(&str, &str)] = &[
        ("leading zero", "a number that starts with 0 goes in quotes: \"0750\""),
        ("unclosed table", "a header is one line and ends with `]`; a name with a blank in it is none"),
        ("multi-line", "text that begins with three quotes ends with three of the same"),
        ("non-double-quote visible characters", "a control character is written as an escape: \"\\u0000\""),
        ("escaped value", "a backslash is written twice, or the text goes into single quotes: 'C:\\users'"),
        ("unicode", "a backslash is written twice, or the text goes into single quotes: 'C:\\users'"),
        ("string, expected", "text ends with the quote that it begins with, on the same line"),
        ("opening quote", "text stands in straight quotes: \"/etc/motd\""),
        ("array", "a list ends with `]`, and there is a comma between two values"),
        ("extra assignment", "there is a comma between two values"),
        ("radix", "write what it begins with in small letters: 0xC8"),
        ("must be quoted", "text stands in straight quotes: \"/etc/motd\""),
        ("duplicate key", "a key, and a header, is there once: join the two, or give one another name"),
        ("cannot extend value", "a key with a value has no parts: take one of the two out"),
        ("missing comma", "there is a comma between two values, and a bracket after the last"),
        ("key with no value", "it is written `key = value`"),
        ("unexpected key or value", "each line has one key; a comment begins with `#`"),
        ("unquoted key", "a line is `key = value` or a header such as `[file.motd]`"),
        ("key-value pair", "a line is `key = value` or a header such as `[file.motd]`"),
    ];
    let way = WAYS.iter().find(|(words, _)| message.contains(words));
    way.map_or("https://toml.io shows how it is written", |(_, help)| help)
}

fn table(source: usize, table: &DeTable<'_>, problems: &mut Problems) -> Table {
    let mut entries: Vec<(usize, String, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let place = Place::new(source, key.span());
            (place.start, key.get_ref().to_string(), Entry { key: Some(place), node: node(source, value, problems) })
        })
        .collect();
    // The parser's map is sorted by key; the order of the text is what a reader expects back.
    entries.sort_by_key(|(start, ..)| *start);
    Table { entries: entries.into_iter().map(|(_, key, entry)| (key, entry)).collect() }
}

fn node(source: usize, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Node {
    let place = Some(Place::new(source, value.span()));
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(Text::plain(text.as_ref())),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            // What is left of a number that could not be read, which has been reported.
            Err(_) if number.as_str().is_empty() => Value::Integer(0),
            Err(_) => {
                let help = "the largest is 9223372036854775807; what is no number goes in quotes";
                problems.add_help(place, format!("{} does not fit a 64-bit integer", number.as_str()), help);
                Value::Integer(0)
            }
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => {
            problems.add_help(place, format!("{date}: a plan has no dates"), "put it in quotes");
            Value::Text(Text::plain(date.to_string()))
        }
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(source, item, problems)).collect()),
        DeValue::Table(inner) => Value::Table(table(source, inner, problems)),
    };
    Node::new(value, place)
}

/// Takes in JSON: a variables file, an argument, or what a sealed plan has kept.
///
/// # Errors
/// What it holds that a plan cannot.
pub(crate) fn from_json(value: &serde_json::Value) -> Result<Node, String> {
    use serde_json::Value as Json;
    let value = match value {
        Json::String(text) => Value::Text(Text::plain(text)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(float)) if !number.is_u64() => Value::Float(float),
            _ => return Err(format!("{number} does not fit a 64-bit integer")),
        },
        Json::Bool(value) => Value::Boolean(*value),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(object) => Value::Table(from_json_object(object)?),
        Json::Null => return Err("null has no meaning in a plan".to_owned()),
    };
    Ok(Node::new(value, None))
}

/// Takes in a JSON object.
///
/// # Errors
/// As for [`from_json`].
pub(crate) fn from_json_object(object: &serde_json::Map<String, serde_json::Value>) -> Result<Table, String> {
    let entry = |(key, value): (&String, &serde_json::Value)| {
        from_json(value).map(|node| (key.clone(), Entry { key: None, node }))
    };
    Ok(Table { entries: object.iter().map(entry).collect::<Result<_, _>>()? })
}

/// Takes in a value of the `toml` crate, for plans that are built in Rust.
pub(crate) fn from_toml(value: &toml::Value) -> Node {
    Node::new(
        match value {
            toml::Value::String(text) => Value::Text(Text::plain(text.as_str())),
            toml::Value::Integer(number) => Value::Integer(*number),
            toml::Value::Float(number) => Value::Float(*number),
            toml::Value::Boolean(value) => Value::Boolean(*value),
            toml::Value::Datetime(date) => Value::Text(Text::plain(date.to_string())),
            toml::Value::Array(items) => Value::Array(items.iter().map(from_toml).collect()),
            toml::Value::Table(table) => Value::Table(from_toml_table(table)),
        },
        None,
    )
}

pub(crate) fn from_toml_table(table: &toml::Table) -> Table {
    Table {
        entries: table.iter().map(|(key, value)| (key.clone(), Entry { key: None, node: from_toml(value) })).collect(),
    }
}
