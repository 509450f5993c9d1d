//! YAML 1.2: one document whose root is a mapping.
//!
//! Anchors, aliases and tags may stand where nothing is edited. What YAML 1.1 reads otherwise, such as `yes`, is text here.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::EditError;
use super::tree::{Body, Data, Member, Node, Shape, Syntax, Table};
use super::value::{Value, quoted};

pub(crate) struct Yaml;

const EMPTIED: &str = " {}";

impl Syntax for Yaml {
    fn parse(&self, text: &str) -> Result<Node, EditError> {
        Reader::new(text)?.document()
    }

    fn value(&self, value: &Value, shape: Shape, indent: &str, unit: &str) -> String {
        match value {
            _ if shape == Shape::Braces => value.to_string(),
            Value::List(_) | Value::Table(_) if shape == Shape::Line => format!(" {value}"),
            Value::List(items) if !items.is_empty() => {
                let items = items.iter().map(|item| format!("\n{indent}{}- {}", spaces(unit), scalar(item)));
                items.collect()
            }
            Value::Table(table) if !table.is_empty() => {
                let inner = format!("{indent}{}", spaces(unit));
                let member = |(key, value): (&String, &Value)| {
                    format!("\n{inner}{}:{}", self.key(key), self.value(value, Shape::Lines, &inner, unit))
                };
                table.iter().map(member).collect()
            }
            other => format!(" {}", scalar(other)),
        }
    }

    fn key(&self, key: &str) -> String {
        plain(key)
    }

    fn sign(&self) -> &'static str {
        ":"
    }

    fn emptied(&self) -> Option<&'static str> {
        Some(EMPTIED)
    }
}

/// Tabs cannot indent here.
fn spaces(unit: &str) -> &str {
    if unit.is_empty() || unit.contains('\t') { "  " } else { unit }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) => plain(text),
        Value::Float(number) if number.is_infinite() => if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        other => other.to_string(),
    }
}

/// Text without quotes where every reader of YAML takes it for the same text.
fn plain(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let fit = |c: char| c.is_ascii_alphanumeric() || "/_.@+-".contains(c);
    let words = text.split(' ').all(|word| !word.is_empty() && word.chars().all(fit));
    let lower = text.to_ascii_lowercase();
    let word = matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    if begins && words && !word { text.to_owned() } else { quoted(text) }
}

struct Reader<'t> {
    text: &'t str,
    events: Vec<(Event<'t>, Range<usize>)>,
    at: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Result<Self, EditError> {
        // Places come in letters.
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let offset = |at: usize| offsets.get(at).copied().unwrap_or(text.len());
        let mut events = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, Span { start, end }) = event.map_err(|error| {
                EditError::at(text, offset(error.marker().index()), format!("no YAML: {}", error.info()))
            })?;
            events.push((event, offset(start.index())..offset(end.index())));
        }
        Ok(Self { text, events, at: 0 })
    }

    fn document(mut self) -> Result<Node, EditError> {
        let starts: Vec<usize> = self
            .events
            .iter()
            .filter(|(event, _)| matches!(event, Event::DocumentStart(_)))
            .map(|(_, at)| at.start)
            .collect();
        let empty = Node { span: 0..self.text.len(), data: Data::Scalar(Value::Null), fixed: None };
        match starts.as_slice() {
            [] => return Ok(empty),
            [_] => {}
            [_, second, ..] => {
                return Err(EditError::at(
                    self.text,
                    *second,
                    "there are several documents in it: such a file cannot be edited",
                ));
            }
        }
        if self.text.lines().any(|line| line.trim_end() == "...") {
            return Err(EditError::new("it has an end of a document (`...`): such a file cannot be edited"));
        }
        while self
            .events
            .get(self.at)
            .is_some_and(|(event, _)| matches!(event, Event::StreamStart | Event::DocumentStart(_)))
        {
            self.at += 1;
        }
        let mut root = self.node()?;
        if let Data::Scalar(Value::Null) = root.data {
            root.span = 0..self.text.len();
        }
        Ok(root)
    }

    fn next(&mut self) -> Option<(Event<'t>, Range<usize>)> {
        let event = self.events.get(self.at).cloned();
        self.at += 1;
        event
    }

    fn ends(&self) -> bool {
        matches!(self.events.get(self.at), None | Some((Event::MappingEnd | Event::SequenceEnd, _)))
    }

    fn node(&mut self) -> Result<Node, EditError> {
        let Some((event, span)) = self.next() else { return Err(EditError::new("no YAML: it ends too early")) };
        let marked = |anchor: usize, tagged: bool| match (anchor, tagged) {
            (0, false) => None,
            (0, true) => Some("a tag"),
            _ => Some("an anchor"),
        };
        Ok(match event {
            Event::Alias(_) => Node { span, data: Data::Scalar(Value::Other("*".to_owned())), fixed: Some("an alias") },
            Event::Scalar(value, style, anchor, tag) => {
                let span = self.trimmed(span, style);
                let data = Data::Scalar(if style == ScalarStyle::Plain {
                    core(&value)
                } else {
                    Value::Text(value.into_owned())
                });
                Node { span, data, fixed: marked(anchor, tag.is_some()) }
            }
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                while !self.ends() {
                    items.push(self.node()?);
                }
                let end = self.closed(']', span.end);
                let last = items.last().map_or(span.end, |item| item.span.end);
                let end = if self.is_flow(&span, '[') { end } else { last };
                Node { span: span.start..end, data: Data::List(items), fixed: marked(anchor, tag.is_some()) }
            }
            Event::MappingStart(anchor, tag) => self.mapping(span, marked(anchor, tag.is_some()))?,
            _ => return Err(EditError::at(self.text, span.start, "no YAML: a value is missing")),
        })
    }

    /// Takes the end of a collection, and gives the place behind its brace, which the parser says to be behind a comment.
    fn closed(&mut self, brace: char, start: usize) -> usize {
        let Some((_, span)) = self.next() else { return start };
        let found = self.text.get(span.clone()).and_then(|text| text.find(brace));
        found.map_or(span.end, |at| span.start + at + 1)
    }

    fn is_flow(&self, span: &Range<usize>, open: char) -> bool {
        self.text.get(span.clone()).is_some_and(|text| text.starts_with(open))
    }

    /// Without the empty lines behind a text of several lines, and without a comment behind a text in quotes, up to which the
    /// parser says that it goes.
    fn trimmed(&self, span: Range<usize>, style: ScalarStyle) -> Range<usize> {
        if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            let text = self.text.get(span.clone()).unwrap_or_default();
            return span.start..span.start + quoted_end(text).unwrap_or(text.len());
        }
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return span;
        }
        let text = self.text.get(span.clone()).unwrap_or_default();
        let begins = self.text.get(..span.start).and_then(|before| before.rfind(['|', '>'])).unwrap_or(span.start);
        let end = span.start + text.trim_end().len();
        begins..end.max(begins + 1)
    }

    fn mapping(&mut self, span: Range<usize>, fixed: Option<&'static str>) -> Result<Node, EditError> {
        let flow = self.is_flow(&span, '{');
        let mut members: Vec<Member> = Vec::new();
        let mut closed = None;
        while !self.ends() {
            let key = self.node()?;
            let value = self.node()?;
            let Some(member) = self.member(&key, value, flow)? else {
                closed = Some("a key that is no plain text, or a merge key,");
                continue;
            };
            if members.iter().any(|known| known.key == member.key) {
                return Err(EditError::at(self.text, key.span.start, "a key comes twice in one mapping"));
            }
            members.push(member);
        }
        let end = self.closed('}', span.end);
        let (start, last) = (span.start, members.last().map_or(span.end, |last| last.span.end));
        if flow {
            let body = closed.map_or(Body::Braces(start + 1..end.saturating_sub(1)), Body::Closed);
            return Ok(Node { span: start..end, data: Data::Table(Table { members, body }), fixed });
        }
        let line = self.text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let lead = self.text.get(line..start).unwrap_or_default().to_owned();
        if !lead.trim().is_empty() {
            // The first key stands behind a dash or a `---`.
            closed = closed.or(Some("a mapping that begins within a line"));
        }
        let body = closed.map_or(Body::Lines { start: line, lead }, Body::Closed);
        Ok(Node { span: start..last, data: Data::Table(Table { members, body }), fixed })
    }

    fn member(&self, key: &Node, mut value: Node, flow: bool) -> Result<Option<Member>, EditError> {
        let (Data::Scalar(name), None) = (&key.data, key.fixed) else { return Ok(None) };
        let written = self.text.get(key.span.clone()).unwrap_or_default();
        let name = match name {
            Value::Text(text) if text != "<<" => text.clone(),
            // A number or a word that is no text, as it is written.
            Value::Text(_) | Value::Null => return Ok(None),
            _ => written.to_owned(),
        };
        let rest = self.text.get(key.span.end..).unwrap_or_default();
        let Some(sign) = rest.find(':').filter(|sign| rest.get(..*sign).is_some_and(|gap| gap.trim().is_empty()))
        else {
            return Ok(None);
        };
        let after = key.span.end + sign + 1;
        if value.span.is_empty() && matches!(value.data, Data::Scalar(Value::Null)) {
            value.span = after..after;
        }
        let region = if flow { value.span.clone() } else { after..value.span.end.max(after) };
        Ok(Some(Member {
            key: name,
            span: key.span.start..value.span.end.max(after),
            key_end: key.span.end,
            region,
            own_lines: true,
            value,
        }))
    }
}

/// Where a text in quotes ends. A quote within stands behind a backslash, or twice.
fn quoted_end(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        if quote == '"' && c == '\\' {
            rest.next();
        } else if c == quote {
            if quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == quote) {
                rest.next();
            } else {
                return Some(at + 1);
            }
        }
    }
    None
}

/// A plain scalar in the core schema, YAML 1.2.2 section 10.3.2.
fn core(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Other(text.to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_or_else(|_| Value::Other(text.to_owned()), Value::Integer);
    }
    if text.starts_with("0x") || text.starts_with("0o") {
        let radix = if text.starts_with("0x") { 16 } else { 8 };
        if let Some(Ok(number)) = text.get(2..).map(|digits| i64::from_str_radix(digits, radix)) {
            return Value::Integer(number);
        }
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    match text.parse::<f64>() {
        Ok(number) if numeric => Value::Float(number),
        _ => Value::Text(text.to_owned()),
    }
}
