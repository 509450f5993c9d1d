//! TOML 1.0.

use std::ops::Range;

use toml_edit::{Document, InlineTable, Item, Table as TomlTable, Value as Toml_};

use super::tree::{Body, Data, Member, Node, Shape, Syntax, Table};
use super::value::{Value, quoted};
use super::{EditError, is_bare};

pub(crate) struct Toml;

impl Syntax for Toml {
    fn parse(&self, text: &str) -> Result<Node, EditError> {
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            EditError::at(text, at, format!("no TOML: {}", error.message().trim_end_matches('\n').replace('\n', ", ")))
        })?;
        let root = document.as_table();
        Ok(Node { span: 0..text.len(), data: Data::Table(table(text, root, root_start(text), "")?), fixed: None })
    }

    fn value(&self, value: &Value, _shape: Shape, _indent: &str, _unit: &str) -> String {
        match value {
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item, Shape::Braces, "", "")).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Table(table) if table.is_empty() => "{}".to_owned(),
            Value::Table(table) => {
                let member = |(key, value): (&String, &Value)| {
                    format!("{} = {}", self.key(key), self.value(value, Shape::Braces, "", ""))
                };
                format!("{{ {} }}", table.iter().map(member).collect::<Vec<_>>().join(", "))
            }
            Value::Float(number) if number.is_infinite() => if *number > 0.0 { "inf" } else { "-inf" }.to_owned(),
            other => other.to_string(),
        }
    }

    fn key(&self, key: &str) -> String {
        if is_bare(key) { key.to_owned() } else { quoted(key) }
    }

    fn sign(&self) -> &'static str {
        " = "
    }

    fn header(&self, keys: &[String]) -> Option<String> {
        Some(format!("[{}]", keys.iter().map(|key| self.key(key)).collect::<Vec<_>>().join(".")))
    }
}

/// Where the first key goes in a text that has only tables with headers: before the first of them and its comment.
fn root_start(text: &str) -> usize {
    let mut offset = 0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        offset += line.len();
        match line.trim_start().chars().next() {
            Some('#') => {}
            // What stands above an empty line belongs to the file.
            None => start = offset,
            Some(_) => return start,
        }
    }
    text.len()
}

fn table(text: &str, source: &TomlTable, start: usize, lead: &str) -> Result<Table, EditError> {
    let mut members = Vec::new();
    for (key, item) in source.iter() {
        let at = source.key(key).and_then(toml_edit::Key::span);
        members.push(match item {
            Item::None => continue,
            Item::Value(value) => {
                let at = at.ok_or_else(|| unplaced(key))?;
                assigned(text, key, &at, node(text, value)?, true)
            }
            Item::Table(inner) => {
                let at = at.unwrap_or(0..0);
                let fixed = None;
                if inner.is_dotted() {
                    let lead = format!("{lead}{}.", Toml.key(key));
                    let data = Data::Table(table(text, inner, at.start, &lead)?);
                    spread(key, &at, Node { span: at.clone(), data, fixed })
                } else if inner.is_implicit() {
                    let mut found = table(text, inner, at.start, "")?;
                    found.body = Body::Nowhere;
                    spread(key, &at, Node { span: at.clone(), data: Data::Table(found), fixed })
                } else {
                    let header = inner.span().ok_or_else(|| unplaced(key))?;
                    let after = text
                        .get(header.end..)
                        .and_then(|rest| rest.find('\n'))
                        .map_or(text.len(), |end| header.end + end + 1);
                    let data = Data::Table(table(text, inner, after, "")?);
                    spread(key, &header.clone(), Node { span: header, data, fixed })
                }
            }
            Item::ArrayOfTables(tables) => {
                let at = tables.span().or(at).ok_or_else(|| unplaced(key))?;
                let inner = |inner: &TomlTable| -> Result<Node, EditError> {
                    Ok(Node {
                        span: at.clone(),
                        data: Data::Table(table(text, inner, at.start, "")?),
                        fixed: Some("a list of tables"),
                    })
                };
                let items = tables.iter().map(inner).collect::<Result<_, _>>()?;
                spread(key, &at.clone(), Node { span: at, data: Data::List(items), fixed: Some("a list of tables") })
            }
        });
    }
    Ok(Table { members, body: Body::Lines { start, lead: lead.to_owned() } })
}

fn unplaced(key: &str) -> EditError {
    EditError::new(format!("the key {key:?} has no place in the text"))
}

fn assigned(text: &str, key: &str, at: &Range<usize>, value: Node, own_lines: bool) -> Member {
    // A dotted key begins with the first of its parts.
    let line = text.get(..at.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let blanks = text.get(line..at.start).map_or(0, |lead| lead.len() - lead.trim_start().len());
    let start = if own_lines { line + blanks } else { at.start };
    Member {
        key: key.to_owned(),
        span: start..value.span.end,
        key_end: at.end,
        region: value.span.clone(),
        own_lines,
        value,
    }
}

/// A table that is not in one place.
fn spread(key: &str, at: &Range<usize>, value: Node) -> Member {
    Member { key: key.to_owned(), span: at.clone(), key_end: at.end, region: at.clone(), own_lines: false, value }
}

fn node(text: &str, value: &Toml_) -> Result<Node, EditError> {
    let span = value.span().unwrap_or(0..0);
    let data = match value {
        Toml_::String(value) => Data::Scalar(Value::Text(value.value().clone())),
        Toml_::Integer(value) => Data::Scalar(Value::Integer(*value.value())),
        // No number is the same as this one, not even itself.
        Toml_::Float(value) if value.value().is_nan() => Data::Scalar(Value::Other("nan".to_owned())),
        Toml_::Float(value) => Data::Scalar(Value::Float(*value.value())),
        Toml_::Boolean(value) => Data::Scalar(Value::Boolean(*value.value())),
        Toml_::Datetime(value) => Data::Scalar(Value::Other(value.value().to_string())),
        Toml_::Array(array) => Data::List(array.iter().map(|item| node(text, item)).collect::<Result<_, _>>()?),
        Toml_::InlineTable(inner) => Data::Table(inline(text, inner, &span)?),
    };
    Ok(Node { span, data, fixed: None })
}

fn inline(text: &str, source: &InlineTable, span: &Range<usize>) -> Result<Table, EditError> {
    let mut members = Vec::new();
    for (key, value) in source.iter() {
        let at = source.key(key).and_then(toml_edit::Key::span).ok_or_else(|| unplaced(key))?;
        let mut value = node(text, value)?;
        if let Toml_::InlineTable(inner) = source.get(key).unwrap_or(&Toml_::from(false))
            && inner.is_dotted()
        {
            value.fixed = Some("a key with dots between braces");
        }
        let mut member = assigned(text, key, &at, value, false);
        member.own_lines = true;
        members.push(member);
    }
    members.sort_by_key(|member| member.span.start);
    Ok(Table { members, body: Body::Braces(span.start + 1..span.end.saturating_sub(1)) })
}
