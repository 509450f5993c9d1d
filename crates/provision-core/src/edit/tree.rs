//! Values below keys, where they stand in a text: how one is set and put back by changing its own letters alone.
//!
//! A format says where everything stands and how a value is written; what is done with that is the same for all. After every
//! change the text is read again, and says what it said before but for the piece, or the change is refused.

use std::ops::Range;

use indexmap::IndexMap;

use super::lines::{Lines, NotedLine};
use super::value::Value;
use super::{EditError, Format, Slot};

mod back;
mod node;

pub(crate) use back::{note, put_back};
pub(crate) use node::{Body, Data, Member, Node, Table};
pub use node::{Cut, Shape, Syntax, Was};

/// How far keys lead: the table that the rest is to be looked for in, its own member where it is not the root, and the
/// member that was found at the end.
struct Way<'a> {
    table: &'a Node,
    owner: Option<&'a Member>,
    depth: usize,
    found: Option<&'a Member>,
}

fn walk<'a>(text: &str, root: &'a Node, keys: &[String]) -> Result<Way<'a>, EditError> {
    let mut way = Way { table: root, owner: None, depth: 0, found: None };
    for (at, key) in keys.iter().enumerate() {
        let path = || match at {
            0 => "the whole".to_owned(),
            at => Slot::new(keys.iter().take(at).cloned()).to_string(),
        };
        if let Some(what) = way.table.fixed.or(way.table.closed()) {
            return Err(EditError::at(
                text,
                way.table.span.start,
                format!("{what} here leads to the value: it cannot be edited"),
            ));
        }
        let table = match &way.table.data {
            Data::Table(table) => table,
            // As good as an empty table, where the format says so.
            Data::Scalar(Value::Null) => return Ok(way),
            other => {
                let what = match other {
                    Data::Scalar(value) => value.name(),
                    _ => "a list",
                };
                return Err(EditError::at(text, way.table.span.start, format!("{} is {what}, not a table", path())));
            }
        };
        let Some((_, member)) = table.find(key) else { return Ok(way) };
        way.depth = at + 1;
        if way.depth == keys.len() {
            way.found = Some(member);
        } else {
            (way.table, way.owner) = (&member.value, Some(member));
        }
    }
    Ok(way)
}

/// The value of a slot.
///
/// # Errors
/// When the text cannot be read, or a key on the way leads to something else than a table.
pub fn get(syntax: &dyn Syntax, text: &str, slot: &Slot) -> Result<Option<Value>, EditError> {
    let root = syntax.parse(text)?;
    Ok(walk(text, &root, slot.keys())?.found.map(|member| member.value.value()))
}

/// The value of a slot of a file in some format.
///
/// # Errors
/// As for [`get`], and when the format has no keys that lead to values.
pub(crate) fn value(format: Format, text: &str, slot: &Slot) -> Result<Option<Value>, EditError> {
    get(format.syntax().ok_or_else(|| EditError::new("this format has no keys"))?, text, slot)
}

/// The text with a value in the slot; with nothing there where none is wanted.
///
/// # Errors
/// As for [`get`], and when it cannot be done without touching anything else.
pub fn set(syntax: &dyn Syntax, text: &str, slot: &Slot, wanted: Option<&Value>) -> Result<String, EditError> {
    let root = syntax.parse(text)?;
    let way = walk(text, &root, slot.keys())?;
    let before = root.value();
    let new = match (way.found, wanted) {
        (None, None) => return Ok(text.to_owned()),
        (Some(member), Some(wanted)) if member.value.value() == *wanted => return Ok(text.to_owned()),
        (Some(member), Some(wanted)) => {
            movable(text, member)?;
            let written = rewritten(syntax, text, &root, &way, member, wanted);
            splice(text, &member.region, &written)
        }
        (None, Some(wanted)) => insert(syntax, text, &root, &way, slot.keys(), wanted)?,
        (Some(member), None) => {
            movable(text, member)?;
            remove(syntax, text, &way, member)?.0
        }
    };
    let expected = before.with(slot.keys(), wanted.cloned());
    match syntax.parse(&new) {
        Ok(after) if same(&after.value(), &expected) => Ok(new),
        _ => Err(EditError::new("it cannot be edited without touching what is around it: make this change by hand")),
    }
}

/// Whether two say the same, where an empty table and nothing are the same at the root.
fn same(one: &Value, two: &Value) -> bool {
    let hollow = |value: &Value| match value {
        Value::Null => true,
        Value::Table(table) => table.is_empty(),
        _ => false,
    };
    one == two || (hollow(one) && hollow(two))
}

fn movable(text: &str, member: &Member) -> Result<(), EditError> {
    let refuse =
        |what: &str| EditError::at(text, member.span.start, format!("the value has {what}: it cannot be edited"));
    if !member.own_lines {
        return Err(EditError::at(
            text,
            member.span.start,
            "this is a table with a header of its own: name a key in it instead",
        ));
    }
    member.value.pinned().map_or(Ok(()), |what| Err(refuse(what)))
}

fn splice(text: &str, at: &Range<usize>, new: &str) -> String {
    let (before, after) = (text.get(..at.start).unwrap_or_default(), text.get(at.end..).unwrap_or_default());
    format!("{before}{new}{after}")
}

/// What a line begins with: blanks.
fn indent(text: &str, offset: usize) -> &str {
    let line = line_start(text, offset);
    let rest = text.get(line..).unwrap_or_default();
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest.get(..blanks).unwrap_or_default()
}

fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

fn line_number(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count()
}

fn line_end(text: &str) -> &'static str {
    if text.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
}

/// By how much a level goes in: as the first member of anything does that stands on a line of its own.
fn unit(text: &str, root: &Node) -> String {
    fn look<'t>(text: &'t str, node: &Node, outer: &str) -> Option<&'t str> {
        node.table()?.members.iter().find_map(|member| {
            let own = indent(text, member.span.start);
            let begins = line_start(text, member.span.start) + own.len() == member.span.start;
            match own.strip_prefix(outer).filter(|more| begins && !more.is_empty()) {
                Some(more) => Some(more),
                None => look(text, &member.value, own),
            }
        })
    }
    look(text, root, "").unwrap_or("  ").to_owned()
}

fn in_braces(node: &Node) -> bool {
    matches!(&node.data, Data::Table(Table { body: Body::Braces(_), .. }))
}

fn rewritten(syntax: &dyn Syntax, text: &str, root: &Node, way: &Way<'_>, member: &Member, wanted: &Value) -> String {
    let own = indent(text, member.span.start);
    let behind = text.get(member.region.end..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let shape = match (in_braces(way.table), behind.trim().is_empty()) {
        (true, _) => Shape::Braces,
        (false, true) => Shape::Lines,
        (false, false) => Shape::Line,
    };
    let written = syntax.value(wanted, shape, own, &unit(text, root));
    ended(text, &written)
}

fn ended(text: &str, new: &str) -> String {
    if line_end(text) == "\n" { new.to_owned() } else { new.replace('\n', "\r\n") }
}

/// Puts a member in that is not there, with the tables that lead to it.
fn insert(
    syntax: &dyn Syntax,
    text: &str,
    root: &Node,
    way: &Way<'_>,
    keys: &[String],
    wanted: &Value,
) -> Result<String, EditError> {
    let missing = keys.get(way.depth..).unwrap_or_default();
    let [key, rest @ ..] = missing else { return Err(EditError::new("there is nothing to put in")) };
    let unit = unit(text, root);
    let nested = wanted.clone().nested(rest);
    if let Some(what) = way.table.fixed.or(way.table.closed()) {
        return Err(EditError::at(
            text,
            way.table.span.start,
            format!("{what} here leads to the value: it cannot be edited"),
        ));
    }
    match way.table.table().map(|table| (table, &table.body)) {
        Some((table, Body::Braces(inside))) => Ok(insert_in_braces(syntax, text, table, inside, key, &nested, &unit)),
        Some((table, Body::Lines { start, lead })) if rest.is_empty() || syntax.header(&[]).is_none() => {
            let (at, lead) = match table.members.iter().rfind(|member| member.own_lines) {
                Some(last) => (line_number(text, last.span.end) + 1, lead.clone()),
                None => (line_number(text, *start), lead.clone()),
            };
            let own: String = lead.chars().take_while(|c| c.is_whitespace()).collect();
            let value = syntax.value(&nested, Shape::Lines, &own, &unit);
            let mut lines = Lines::new(text);
            lines.insert(at, &format!("{lead}{}{}{value}", syntax.key(key), syntax.sign()));
            Ok(lines.text())
        }
        // An empty value that lines can follow, in YAML.
        None if way.owner.is_none() || syntax.emptied().is_some() => {
            let (at, own) = match way.owner {
                Some(owner) => {
                    (line_number(text, owner.span.end) + 1, format!("{}{unit}", indent(text, owner.span.start)))
                }
                None => (Lines::new(text).len(), String::new()),
            };
            if syntax.braced_root() {
                let value =
                    syntax.value(&Value::Table(IndexMap::from([(key.clone(), nested)])), Shape::Braces, "", &unit);
                return Ok(format!("{text}{value}{}", line_end(text)));
            }
            let value = syntax.value(&nested, Shape::Lines, &own, &unit);
            let mut lines = Lines::new(text);
            lines.insert(at, &format!("{own}{}{}{value}", syntax.key(key), syntax.sign()));
            Ok(lines.text())
        }
        // With a header of its own, at the end.
        _ => {
            let Some((last, above)) = keys.split_last() else { return Err(EditError::new("there is no key")) };
            let Some(header) = syntax.header(above) else {
                return Err(EditError::at(text, way.table.span.start, "there is null, not a table"));
            };
            let mut lines = Lines::new(text);
            if parted(&lines) {
                lines.insert(lines.len(), "");
            }
            lines.insert(lines.len(), &header);
            let value = syntax.value(wanted, Shape::Lines, "", &unit);
            lines.insert(lines.len(), &format!("{}{}{value}", syntax.key(last), syntax.sign()));
            Ok(lines.text())
        }
    }
}

/// Whether a new header is parted from what is there by an empty line.
fn parted(lines: &Lines) -> bool {
    let last = lines.len().checked_sub(1).and_then(|last| lines.get(last));
    last.is_some_and(|last| !last.trim().is_empty())
}

fn insert_in_braces(
    syntax: &dyn Syntax,
    text: &str,
    table: &Table,
    inside: &Range<usize>,
    key: &str,
    value: &Value,
    unit: &str,
) -> String {
    let between = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let sign = table
        .members
        .last()
        .map(|last| between(last.key_end, last.value.span.start))
        .filter(|sign| sign.trim().len() == 1 && !sign.contains('\n'));
    // Between braces a sign of YAML's is none without a blank.
    let sign = sign.unwrap_or(if syntax.sign() == ":" { ": " } else { syntax.sign() });
    let outer = indent(text, inside.start);
    let Some(last) = table.members.last() else {
        let own = format!("{outer}{unit}");
        if syntax.braced_root() {
            let member = format!("{}{sign}{}", syntax.key(key), syntax.value(value, Shape::Braces, &own, unit));
            return splice(text, inside, &ended(text, &format!("\n{own}{member}\n{outer}")));
        }
        let member = format!("{}{sign}{}", syntax.key(key), syntax.value(value, Shape::Braces, "", ""));
        return splice(text, inside, if syntax.sign().contains('=') { format!(" {member} ") } else { member }.as_str());
    };
    let first = table.members.first().unwrap_or(last);
    let before_last = table.members.len().checked_sub(2).and_then(|at| table.members.get(at));
    let lead = between(inside.start, first.span.start);
    let gap = match before_last {
        Some(before) => between(before.span.end, last.span.start),
        None => "",
    };
    let separator = match () {
        () if gap.trim() == "," => gap.to_owned(),
        () if lead.contains('\n') => format!(",{}{}", line_end(text), indent(text, first.span.start)),
        () => ", ".to_owned(),
    };
    let own = indent(text, last.span.start);
    let written = if separator.contains('\n') {
        ended(text, &syntax.value(value, Shape::Braces, own, unit))
    } else {
        syntax.value(value, Shape::Braces, "", "")
    };
    let end = last.span.end..last.span.end;
    splice(text, &end, &format!("{separator}{}{sign}{written}", syntax.key(key)))
}

/// Takes a member out, and says what went.
fn remove(syntax: &dyn Syntax, text: &str, way: &Way<'_>, member: &Member) -> Result<(String, Cut), EditError> {
    let table = way.table.table().ok_or_else(|| EditError::new("there is nothing to take it out of"))?;
    let at = table.find(&member.key).map_or(0, |(at, _)| at);
    let after = at.checked_sub(1).and_then(|at| table.members.get(at));
    let next = table.members.get(at + 1);
    let alone = after.is_none() && next.is_none();
    let key = after.map(|member| member.key.clone());
    if let Body::Braces(inside) = &table.body {
        let part = match (after, next) {
            (Some(after), _) => after.span.end..member.span.end,
            (None, Some(next)) => member.span.start..next.span.start,
            (None, None) => inside.clone(),
        };
        let cut = Cut::Part { text: text.get(part.clone()).unwrap_or_default().to_owned(), after: key, alone };
        return Ok((splice(text, &part, ""), cut));
    }
    if !member.own_lines {
        return Ok((text.to_owned(), Cut::Nothing {}));
    }
    let (first, last) = (line_number(text, member.span.start), line_number(text, member.span.end));
    let mut lines = Lines::new(text);
    let noted = lines.note(&(first..=last).collect::<Vec<_>>());
    let Some(line) = noted.first().map(|line| NotedLine {
        text: noted.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n"),
        open: noted.last().is_some_and(|last| last.open),
        ..line.clone()
    }) else {
        return Err(EditError::new("there is no such line"));
    };
    for at in (first..=last).rev() {
        lines.remove(at);
    }
    let mut new = lines.text();
    if let (true, Some(owner), Some(emptied)) = (alone, way.owner, syntax.emptied()) {
        let start = owner.region.start..owner.region.start;
        new = splice(&new, &start, emptied);
    }
    Ok((new, Cut::Lines { line, after: key, alone }))
}
