//! A value as a plan writes it and as structured files have it.

use std::fmt;

use indexmap::IndexMap;

/// A value. What a format has besides, such as a date, is kept as it is written.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// JSON's and YAML's null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// What no plan can say, as it is written.
    Other(String),
    /// A list.
    List(Vec<Value>),
    /// A table, in order. Two are equal when they say the same in any order.
    Table(IndexMap<String, Value>),
}

impl Value {
    /// What to call it in a message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Other(_) => "a value of another sort",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The table below some keys as it is with `value` at their end.
    pub(crate) fn with(mut self, keys: &[String], value: Option<Self>) -> Self {
        match keys {
            [] => value.unwrap_or(Self::Null),
            [key, rest @ ..] => {
                if !matches!(self, Self::Table(_)) {
                    self = Self::Table(IndexMap::new());
                }
                if let Self::Table(table) = &mut self {
                    if rest.is_empty() && value.is_none() {
                        table.shift_remove(key);
                    } else {
                        let inner = table.shift_remove(key).unwrap_or(Self::Null);
                        table.insert(key.clone(), inner.with(rest, value));
                    }
                }
                self
            }
        }
    }

    /// The value in tables of these keys.
    pub(crate) fn nested(self, keys: &[String]) -> Self {
        keys.iter().rev().fold(self, |value, key| Self::Table(IndexMap::from([(key.clone(), value)])))
    }
}

/// As JSON on one line, which people read and which tells any two values apart.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(&quoted(value)),
            Self::Other(value) => f.write_str(value),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Table(table) => {
                f.write_str("{")?;
                for (at, (key, value)) in table.iter().enumerate() {
                    write!(f, "{}{}: {value}", if at == 0 { "" } else { ", " }, quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// It may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.name())
    }
}

/// Text in quotes as JSON, TOML and YAML all read it.
pub(super) fn quoted(text: &str) -> String {
    // A string always has a JSON text. What JSON may leave as it is and the others may not is escaped, too.
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut quoted = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
            quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            quoted.push(c);
        }
    }
    quoted
}
