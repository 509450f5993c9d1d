//! JSON, RFC 8259; comments and commas behind the last are taken as they are.

use std::ops::Range;

use jsonc_parser::ast::{Object, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::EditError;
use super::tree::{Body, Data, Member, Node, Shape, Syntax, Table};
use super::value::{Value, quoted};

pub(crate) struct Json;

fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..ParseOptions::default()
    }
}

impl Syntax for Json {
    fn parse(&self, text: &str) -> Result<Node, EditError> {
        let parsed = parse_to_ast(text, &CollectOptions::default(), &options())
            .map_err(|error| EditError::at(text, error.range().start, format!("no JSON: {}", error.kind())))?;
        match parsed.value {
            Some(value) => node(text, &value),
            None => Ok(Node { span: 0..text.len(), data: Data::Scalar(Value::Null), fixed: None }),
        }
    }

    fn value(&self, value: &Value, _shape: Shape, indent: &str, unit: &str) -> String {
        let inner = format!("{indent}{unit}");
        let listed = |parts: Vec<String>, open: char, close: char| match (parts.is_empty(), unit.is_empty()) {
            (true, _) => format!("{open}{close}"),
            (false, true) => format!("{open}{}{close}", parts.join(", ")),
            (false, false) => format!("{open}\n{inner}{}\n{indent}{close}", parts.join(&format!(",\n{inner}"))),
        };
        match value {
            Value::List(items) => {
                listed(items.iter().map(|item| self.value(item, Shape::Braces, &inner, unit)).collect(), '[', ']')
            }
            Value::Table(table) => {
                let member = |(key, value): (&String, &Value)| {
                    format!("{}: {}", quoted(key), self.value(value, Shape::Braces, &inner, unit))
                };
                listed(table.iter().map(member).collect(), '{', '}')
            }
            other => other.to_string(),
        }
    }

    fn key(&self, key: &str) -> String {
        quoted(key)
    }

    fn sign(&self) -> &'static str {
        ": "
    }

    fn braced_root(&self) -> bool {
        true
    }
}

fn span(value: &impl Ranged) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

fn node(text: &str, value: &Ast<'_>) -> Result<Node, EditError> {
    let data = match value {
        Ast::StringLit(literal) => Data::Scalar(Value::Text(literal.value.to_string())),
        Ast::NumberLit(literal) => Data::Scalar(number(literal.value)),
        Ast::BooleanLit(literal) => Data::Scalar(Value::Boolean(literal.value)),
        Ast::NullKeyword(_) => Data::Scalar(Value::Null),
        Ast::Array(array) => Data::List(array.elements.iter().map(|item| node(text, item)).collect::<Result<_, _>>()?),
        Ast::Object(object) => Data::Table(table(text, object)?),
    };
    // Only an empty text can be taken for an empty table.
    let fixed = matches!(value, Ast::NullKeyword(_)).then_some("null");
    Ok(Node { span: span(value), data, fixed: fixed.filter(|_| false) })
}

fn table(text: &str, object: &Object<'_>) -> Result<Table, EditError> {
    let mut members: Vec<Member> = Vec::with_capacity(object.properties.len());
    for property in &object.properties {
        let key = property.name.as_str().to_owned();
        if members.iter().any(|member| member.key == key) {
            return Err(EditError::at(text, property.range.start, "a key comes twice in one object"));
        }
        let value = node(text, &property.value)?;
        members.push(Member {
            key,
            span: property.range.start..value.span.end,
            key_end: property.name.range().end,
            region: value.span.clone(),
            own_lines: true,
            value,
        });
    }
    Ok(Table { members, body: Body::Braces(object.range.start + 1..object.range.end.saturating_sub(1)) })
}

fn number(text: &str) -> Value {
    if let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    match text.parse::<f64>() {
        // What a number of this machine cannot hold whole is kept as it is written.
        Ok(number) if text.contains(['.', 'e', 'E']) => Value::Float(number),
        _ => Value::Other(text.to_owned()),
    }
}
