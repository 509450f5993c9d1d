//! Sections of `key = value`, as systemd, git, php and many others have them.
//!
//! A section begins with `[name]`; what comes before the first has the name "". A line that begins with `#` or `;` is a
//! comment, one that ends with `\` goes on in the next. A key may come again, and a section, too. What follows the sign, to
//! the end of the line, is the value: what some programs take for a comment there, others do not.

use super::lines::Lines;
use super::{EditError, Hole, Note, NotedLine, Slot};

struct Entry<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

fn header(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix('[')?;
    // A name in quotes may have anything in it, git-config(1).
    let mut quoted = false;
    let end = inside.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ']' && !quoted
    });
    inside.get(..end?.0).map(str::trim)
}

fn entry(line: &str) -> Option<Entry<'_>> {
    if line.trim().is_empty() || is_comment(line) || header(line).is_some() {
        return None;
    }
    Some(match line.split_once('=') {
        Some((key, value)) => Entry { key: key.trim(), value: Some(value.trim()) },
        None => Entry { key: line.trim(), value: None },
    })
}

fn read(text: &str) -> Lines {
    let mut lines = Lines::new(text);
    let odd = |line: &str| line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
    lines.join(|line| odd(line) && entry(line.lines().next().unwrap_or_default()).is_some());
    lines
}

/// The lines of the slot's key in the slot's section, and where a new one goes; nowhere when there is no such section.
struct Found {
    places: Vec<usize>,
    next: Option<usize>,
    /// Where the last such section begins.
    header: Option<usize>,
}

fn find(lines: &Lines, slot: &Slot) -> Result<Found, EditError> {
    let [section, key] = slot.keys() else { return Err(EditError::new("the slot is not a section and a key")) };
    let mut found = Found { places: Vec::new(), next: section.is_empty().then_some(0), header: None };
    let mut inside = section.is_empty();
    // Comments at the very beginning belong to the file; the first key comes after them.
    let mut leading = inside;
    for (at, line) in lines.iter() {
        if let Some(name) = header(line) {
            inside = name == section;
            leading = false;
            if inside {
                (found.header, found.next) = (Some(at), Some(at + 1));
            }
        } else if inside {
            let entry = entry(line);
            if entry.as_ref().is_some_and(|entry| entry.key == key) {
                if let Some(after) = lines.get(at + 1)
                    && after.starts_with([' ', '\t'])
                    && !line.starts_with([' ', '\t'])
                    && self::entry(after).is_some_and(|entry| entry.value.is_none())
                {
                    let message =
                        "it looks like the value of the key before it goes on here: such a key cannot be edited";
                    return Err(EditError::at_line(at + 2, message));
                }
                found.places.push(at);
            }
            if entry.is_some() || (!line.trim().is_empty() && (!section.is_empty() || leading)) {
                found.next = Some(at + 1);
            }
            leading &= entry.is_none();
        }
    }
    if let Some(last) = found.places.last() {
        found.next = Some(last + 1);
    }
    Ok(found)
}

/// The values of the key, in order; a key without a sign has an empty one.
///
/// # Errors
/// When it cannot be told where they end.
pub fn get(text: &str, slot: &Slot) -> Result<Vec<String>, EditError> {
    let lines = read(text);
    let places = find(&lines, slot)?.places;
    let value =
        |at: &usize| lines.get(*at).and_then(entry).and_then(|entry| entry.value).unwrap_or_default().to_owned();
    Ok(places.iter().map(value).collect())
}

/// How a new key is written here: what comes before it, and the sign.
fn style(lines: &Lines, next: Option<usize>) -> (String, String) {
    let of = |line: &str| {
        let (key, value) = line.lines().next()?.split_once('=')?;
        entry(line)?;
        let indent: String = key.chars().take_while(|c| c.is_whitespace()).collect();
        let [before, after] = [key.trim_start(), value].map(|text| text.to_owned());
        let before: String = before.chars().rev().take_while(|c| c.is_whitespace()).collect();
        let after: String = after.chars().take_while(|c| c.is_whitespace()).collect();
        Some((indent, format!("{before}={after}")))
    };
    let own = next.and_then(|next| {
        lines.iter().take(next).rev().map_while(|(_, line)| header(line).is_none().then(|| of(line))).flatten().next()
    });
    own.or_else(|| lines.iter().find_map(|(_, line)| of(line))).unwrap_or_else(|| (String::new(), " = ".to_owned()))
}

fn is_blank(line: Option<&str>) -> bool {
    line.is_none_or(|line| line.trim().is_empty())
}

/// The text with the key having these values, once each; without the key where there are none.
///
/// # Errors
/// When one value is wanted, `lone`, and the key comes several times, or it cannot be told where a value ends.
pub fn set(text: &str, slot: &Slot, values: &[String], lone: bool) -> Result<String, EditError> {
    let mut lines = read(text);
    let Found { places, next, .. } = find(&lines, slot)?;
    if lone && places.len() > 1 {
        let numbers: Vec<String> = places.iter().map(|at| (at + 1).to_string()).collect();
        return Err(EditError::new(format!(
            "the key comes {} times: write a list to say all of its values",
            numbers.len()
        )));
    }
    if get(text, slot)? == values {
        return Ok(text.to_owned());
    }
    let [section, key] = slot.keys() else { return Ok(text.to_owned()) };
    let (indent, sign) = style(&lines, next);
    let write = |(at, value): (usize, &String)| {
        let old = places.get(at).and_then(|at| lines.get(*at)).filter(|line| line.contains('='));
        let start = match old.and_then(|line| line.split_once('=')) {
            Some((before, rest)) => {
                let blanks: String = rest.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
                format!("{before}={blanks}")
            }
            None => format!("{indent}{key}{sign}"),
        };
        format!("{start}{value}").trim_end().to_owned()
    };
    let texts: Vec<String> = values.iter().enumerate().map(write).collect();
    if let Some(next) = next {
        lines.set(&places, &texts, next);
    } else if !texts.is_empty() {
        if blank_before(&lines) {
            lines.insert(lines.len(), "");
        }
        lines.insert(lines.len(), &format!("[{section}]"));
        let end = lines.len();
        lines.set(&[], &texts, end);
    }
    let new = lines.text();
    if get(&new, slot)? != values || others(&new, slot) != others(text, slot) {
        return Err(EditError::new("it cannot be edited without touching what is around it: make this change by hand"));
    }
    Ok(new)
}

/// What every other key says, by section.
fn others(text: &str, slot: &Slot) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (_, line) in read(text).iter() {
        if let Some(name) = header(line) {
            name.clone_into(&mut section);
        } else if let Some(entry) = entry(line)
            && slot.keys() != [section.as_str(), entry.key]
        {
            found.push((section.clone(), line.to_owned()));
        }
    }
    found
}

/// Whether a new section is parted from what is there by an empty line.
fn blank_before(lines: &Lines) -> bool {
    lines.len().checked_sub(1).is_some_and(|last| !is_blank(lines.get(last)))
}

pub(super) fn note(text: &str, slot: &Slot) -> Result<Note, EditError> {
    let lines = read(text);
    let Found { places, next, .. } = find(&lines, slot)?;
    let hole = (next.is_none() && blank_before(&lines)).then_some(Hole::Parted);
    Ok(Note { lines: lines.note(&places), depth: usize::from(next.is_some()), hole, ..Note::default() })
}

pub(super) fn put_back(text: &str, slot: &Slot, note: &Note) -> Result<String, EditError> {
    let mut lines = read(text);
    let Found { places, next, .. } = find(&lines, slot)?;
    let next = match (next, note.lines.is_empty(), slot.keys()) {
        (Some(next), ..) => next,
        (None, true, _) => return Ok(text.to_owned()),
        // The section went meanwhile.
        (None, false, keys) => {
            if blank_before(&lines) {
                lines.insert(lines.len(), "");
            }
            lines.insert(lines.len(), &format!("[{}]", keys.first().map_or("", String::as_str)));
            lines.len()
        }
    };
    let (same, others) = note.lines.split_at(places.len().min(note.lines.len()));
    lines.put_back(&places, same, next);
    for line in others {
        let next = find(&lines, slot)?.next.unwrap_or(next);
        let home = home(&lines, line, slot, next);
        lines.put_back(&[], &[home], next);
    }
    if note.depth == 0
        && let Some(header) = find(&lines, slot)?.header
    {
        remove_hollow(&mut lines, header, note.hole == Some(Hole::Parted));
    }
    Ok(lines.text())
}

/// A noted line with its own place, unless that has come to be in another section.
fn home(lines: &Lines, line: &NotedLine, slot: &Slot, next: usize) -> NotedLine {
    let section = slot.keys().first().map_or("", String::as_str);
    let at = lines.home(line, next);
    let current = lines.iter().take(at).filter_map(|(_, line)| header(line)).next_back().unwrap_or_default();
    let at = if current == section { at } else { next };
    let previous = at.checked_sub(1).and_then(|before| lines.get(before)).map(str::to_owned);
    NotedLine { at, previous, ..line.clone() }
}

/// Takes a section out that was made and has nothing in it any more.
fn remove_hollow(lines: &mut Lines, header_at: usize, parted: bool) {
    let body = lines.iter().skip(header_at + 1).take_while(|(_, line)| header(line).is_none());
    if body.into_iter().any(|(_, line)| !line.trim().is_empty()) {
        return;
    }
    lines.remove(header_at);
    if let Some(before) = header_at.checked_sub(1).filter(|before| parted && is_blank(lines.get(*before))) {
        lines.remove(before);
    }
}
