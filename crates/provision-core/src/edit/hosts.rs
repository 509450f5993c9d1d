//! hosts(5): a line is an address and its names, and what follows `#` is a comment.

use std::net::IpAddr;

use super::lines::Lines;
use super::{EditError, Note, Slot};

struct HostsLine<'a> {
    address: &'a str,
    names: Vec<&'a str>,
}

fn read(line: &str) -> Option<HostsLine<'_>> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?;
    Some(HostsLine { address, names: words.collect() })
}

fn same_address(one: &str, two: &str) -> bool {
    match (one.parse::<IpAddr>(), two.parse::<IpAddr>()) {
        (Ok(one), Ok(two)) => one == two,
        _ => one == two,
    }
}

/// The lines of the slot's address whose first name is the slot's.
fn found(lines: &Lines, slot: &Slot) -> Vec<usize> {
    let [address, first] = slot.keys() else { return Vec::new() };
    let ours = |line: &str| {
        read(line).is_some_and(|line| {
            same_address(line.address, address)
                && line.names.first().is_some_and(|name| name.eq_ignore_ascii_case(first))
        })
    };
    lines.iter().filter(|(_, text)| ours(text)).map(|(at, _)| at).collect()
}

/// The text with a line of the slot's address and these names, the first of which is the slot's; without it where there are
/// none. A comment behind it stays.
///
/// # Errors
/// When another line gives one of the names to another address of the same family.
pub fn set(text: &str, slot: &Slot, names: &[String]) -> Result<String, EditError> {
    let mut lines = Lines::new(text);
    let places = found(&lines, slot);
    let Some(address) = slot.keys().first().filter(|_| !names.is_empty()) else {
        lines.set(&places, &[], 0);
        return Ok(lines.text());
    };
    for (at, line) in lines.iter().filter(|(at, _)| !places.contains(at)) {
        let Some(other) = read(line).filter(|other| !same_address(other.address, address)) else { continue };
        let same_family = other.address.contains(':') == address.contains(':');
        let taken = other.names.iter().find(|name| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
        if let Some(name) = taken.filter(|_| same_family) {
            return Err(EditError::at_line(at + 1, format!("{name} is given to {} there already", other.address)));
        }
    }
    let kept = places.first().and_then(|at| lines.get(*at)).map(str::to_owned);
    if let Some(line) = kept.as_deref().and_then(read)
        && places.len() == 1
        && line.names == *names
    {
        return Ok(text.to_owned());
    }
    let comment =
        kept.as_deref().and_then(|line| Some(format!(" {}", line.get(line.find('#')?..)?))).unwrap_or_default();
    let tabs = lines.iter().find(|(_, line)| read(line).is_some()).is_some_and(|(_, line)| line.contains('\t'));
    let line = format!("{address}{}{}{comment}", if tabs { '\t' } else { ' ' }, names.join(" "));
    let end = lines.len();
    lines.set(&places, &[line], end);
    Ok(lines.text())
}

/// The names that the slot's address has on its line.
#[must_use]
pub fn get(text: &str, slot: &Slot) -> Option<Vec<String>> {
    let lines = Lines::new(text);
    let places = found(&lines, slot);
    let line = read(lines.get(*places.first()?)?)?;
    Some(line.names.iter().map(|name| (*name).to_owned()).collect())
}

pub(super) fn note(text: &str, slot: &Slot) -> Note {
    let lines = Lines::new(text);
    Note { lines: lines.note(&found(&lines, slot)), ..Note::default() }
}

pub(super) fn put_back(text: &str, slot: &Slot, note: &Note) -> String {
    let mut lines = Lines::new(text);
    let (places, end) = (found(&lines, slot), lines.len());
    lines.put_back(&places, &note.lines, end);
    lines.text()
}
