//! Lines of a text.
//!
//! A piece is either one line, the same wherever it stands, or whatever a pattern finds in one line.

use regex::Regex;

use super::lines::Lines;
use super::{EditError, Note, Slot};

/// Where a new line goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// To the end.
    End,
    /// Before the first line that has this.
    Before(Regex),
    /// Behind the last line that has this.
    After(Regex),
}

/// The slot of a line as it is.
#[must_use]
pub fn exactly(line: &str) -> Slot {
    Slot::new([format!("={line}")])
}

/// The slot of what a pattern finds.
#[must_use]
pub fn like(pattern: &str) -> Slot {
    Slot::new([format!("~{pattern}")])
}

fn found(lines: &Lines, slot: &Slot) -> Result<Vec<usize>, EditError> {
    let Some(key) = slot.keys().first() else { return Ok(Vec::new()) };
    if let Some(pattern) = key.strip_prefix('~') {
        let pattern = Regex::new(pattern).map_err(|error| EditError::new(error.to_string()))?;
        return Ok(lines.iter().filter(|(_, text)| pattern.is_match(text)).map(|(at, _)| at).collect());
    }
    let line = key.strip_prefix('=').unwrap_or(key);
    Ok(lines.iter().filter(|(_, text)| *text == line).map(|(at, _)| at).collect())
}

/// The text with the line; without one, where none is wanted. A line that is there already stays where it is.
///
/// # Errors
/// When a pattern finds several lines, so that nobody can tell which one is meant, or there is no place for a new one.
pub fn set(text: &str, slot: &Slot, wanted: Option<&str>, place: &Place) -> Result<String, EditError> {
    let mut lines = Lines::new(text);
    let places = found(&lines, slot)?;
    let is_pattern = slot.keys().first().is_some_and(|key| key.starts_with('~'));
    match (wanted, places.as_slice()) {
        (None, _) => lines.set(&places, &[], 0),
        (Some(wanted), []) => {
            let at = next(&lines, place)?;
            lines.insert(at, wanted);
        }
        (Some(wanted), [at]) => lines.replace(*at, wanted),
        (Some(_), several) if is_pattern => {
            let numbers: Vec<String> = several.iter().map(|at| (at + 1).to_string()).collect();
            let message =
                format!("the pattern finds {} lines ({}) and may find one", several.len(), numbers.join(", "));
            return Err(EditError::new(message));
        }
        (Some(_), _) => {}
    }
    Ok(lines.text())
}

fn next(lines: &Lines, place: &Place) -> Result<usize, EditError> {
    let nowhere = |field: &str, pattern: &Regex| {
        EditError::new(format!(
            "no line is like the {field} pattern {:?}, so there is no place for a new one",
            pattern.as_str()
        ))
    };
    match place {
        Place::End => Ok(lines.len()),
        // What is made has no line to go by.
        _ if lines.len() == 0 => Ok(0),
        Place::Before(pattern) => {
            let first = lines.iter().find(|(_, text)| pattern.is_match(text));
            first.map(|(at, _)| at).ok_or_else(|| nowhere("insert_before", pattern))
        }
        Place::After(pattern) => {
            let last = lines.iter().rev().find(|(_, text)| pattern.is_match(text));
            last.map(|(at, _)| at + 1).ok_or_else(|| nowhere("insert_after", pattern))
        }
    }
}

pub(super) fn note(text: &str, slot: &Slot) -> Result<Note, EditError> {
    let lines = Lines::new(text);
    Ok(Note { lines: lines.note(&found(&lines, slot)?), ..Note::default() })
}

pub(super) fn put_back(text: &str, slot: &Slot, note: &Note) -> Result<String, EditError> {
    let mut lines = Lines::new(text);
    let places = found(&lines, slot)?;
    let end = lines.len();
    lines.put_back(&places, &note.lines, end);
    Ok(lines.text())
}
