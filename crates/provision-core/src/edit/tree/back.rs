//! What a value was, and putting it back: where it stood, behind what stood before it, or as new.

use super::{
    Body, Cut, Data, Member, Syntax, Table, Was, get, insert, line_number, movable, parted, remove, splice, walk,
};
use crate::edit::lines::{Lines, NotedLine};
use crate::edit::value::Value;
use crate::edit::{EditError, Hole, Note, Slot};

pub(crate) fn note(syntax: &dyn Syntax, text: &str, slot: &Slot) -> Result<Note, EditError> {
    let root = syntax.parse(text)?;
    let way = walk(text, &root, slot.keys())?;
    let value = match way.found {
        Some(member) => {
            let raw = text.get(member.region.clone()).unwrap_or_default().to_owned();
            Some(Was { raw, cut: remove(syntax, text, &way, member)?.1 })
        }
        None => None,
    };
    let hole = match (&value, way.table.table()) {
        (Some(_), _) => None,
        (None, Some(Table { members, body: Body::Braces(inside) })) if members.is_empty() => {
            text.get(inside.clone()).map(|inside| Hole::Braces(inside.to_owned()))
        }
        (None, None) => {
            let empty = way.owner.map_or(Some(text), |owner| text.get(owner.region.clone()));
            empty.map(|empty| Hole::Empty(empty.to_owned()))
        }
        (None, Some(_)) => (syntax.header(&[]).is_some() && parted(&Lines::new(text))).then_some(Hole::Parted),
    };
    Ok(Note { value, depth: way.depth, hole, ..Note::default() })
}

pub(crate) fn put_back(syntax: &dyn Syntax, text: &str, slot: &Slot, note: &Note) -> Result<String, EditError> {
    let root = syntax.parse(text)?;
    let way = walk(text, &root, slot.keys())?;
    let new = match (&note.value, way.found) {
        (Some(was), Some(member)) => {
            movable(text, member)?;
            splice(text, &member.region, &was.raw)
        }
        (Some(was), None) => bring_back(syntax, text, slot, was)?,
        (None, Some(member)) => {
            movable(text, member)?;
            clear(syntax, remove(syntax, text, &way, member)?.0, slot, note)?
        }
        (None, None) => clear(syntax, text.to_owned(), slot, note)?,
    };
    match syntax.parse(&new) {
        Ok(_) => Ok(new),
        Err(_) => Err(EditError::new("what was there before does not fit in any more: put it back by hand")),
    }
}

/// Takes the tables out that were made on the way to a piece and have nothing in them any more, and fills the hole that was
/// there before.
fn clear(syntax: &dyn Syntax, mut text: String, slot: &Slot, note: &Note) -> Result<String, EditError> {
    let keys = slot.keys();
    for depth in (note.depth + 1..keys.len()).rev() {
        let above = keys.get(..depth).unwrap_or_default();
        let root = syntax.parse(&text)?;
        let way = walk(&text, &root, above)?;
        let Some(member) = way.found else { continue };
        let empty = member.value.table().is_some_and(|table| table.members.is_empty())
            || matches!(member.value.data, Data::Scalar(Value::Null));
        if !empty {
            return Ok(text);
        }
        text = if member.own_lines {
            remove(syntax, &text, &way, member)?.0
        } else {
            match without_header(&text, member, note.hole == Some(Hole::Parted)) {
                Some(new) => new,
                // Somebody has written a comment below it.
                None => return Ok(text),
            }
        };
    }
    let root = syntax.parse(&text)?;
    let above = keys.get(..note.depth).unwrap_or_default();
    let owner = walk(&text, &root, above)?.found;
    let node = match owner {
        Some(member) => &member.value,
        None if above.is_empty() => &root,
        None => return Ok(text),
    };
    let Some(Table { members, body: Body::Braces(inside) }) = node.table() else { return Ok(text) };
    Ok(match (&note.hole, owner) {
        _ if !members.is_empty() => text,
        (Some(Hole::Braces(hole)), _) => splice(&text, inside, hole),
        (Some(Hole::Empty(empty)), Some(owner)) => splice(&text, &owner.region, empty),
        (Some(Hole::Empty(empty)), None) => splice(&text, &(node.span.start..text.len()), empty),
        _ => text,
    })
}

fn without_header(text: &str, member: &Member, parted: bool) -> Option<String> {
    let Some(Table { body: Body::Lines { .. }, .. }) = member.value.table() else { return None };
    let at = line_number(text, member.value.span.start);
    let mut lines = Lines::new(text);
    let below = lines.iter().skip(at + 1).take_while(|(_, line)| !line.trim_start().starts_with('['));
    if below.into_iter().any(|(_, line)| !line.trim().is_empty()) {
        return None;
    }
    lines.remove(at);
    if let Some(before) =
        at.checked_sub(1).filter(|before| parted && lines.get(*before).is_some_and(|l| l.trim().is_empty()))
    {
        lines.remove(before);
    }
    Some(lines.text())
}

/// Puts back what was taken out: where it stood, behind what stood before it, or as new.
fn bring_back(syntax: &dyn Syntax, text: &str, slot: &Slot, was: &Was) -> Result<String, EditError> {
    let root = syntax.parse(text)?;
    let way = walk(text, &root, slot.keys())?;
    let table = way.table.table();
    let behind = |after: &Option<String>| after.as_ref().and_then(|key| table?.find(key)).map(|(_, member)| member);
    let whole = way.depth + 1 == slot.keys().len();
    match (&was.cut, table.map(|table| (&table.body, table.members.as_slice()))) {
        (Cut::Part { text: part, alone: true, .. }, Some((Body::Braces(inside), []))) if whole => {
            return Ok(splice(text, inside, part));
        }
        (Cut::Part { text: part, after, alone: false }, Some((Body::Braces(_), [first, ..]))) if whole => {
            let place = match (after, behind(after)) {
                (Some(_), Some(member)) => Some(member.span.end),
                (None, _) => Some(first.span.start),
                (Some(_), None) => None,
            };
            if let Some(place) = place {
                return Ok(splice(text, &(place..place), part));
            }
        }
        (Cut::Lines { line, after, .. }, found) if whole && !matches!(found, Some((Body::Braces(_), [_, ..]))) => {
            let mut text = text.to_owned();
            let mut fallback = None;
            if let (Some(owner), Some(emptied)) = (way.owner, syntax.emptied())
                && let Some((Body::Braces(_), [])) = found
            {
                if text.get(owner.region.clone()) == Some(emptied) {
                    text = splice(&text, &owner.region, "");
                }
                fallback = Some(line_number(&text, owner.span.start) + 1);
            }
            let behind = behind(after).map(|member| line_number(&text, member.span.end) + 1);
            let first = match found {
                Some((Body::Lines { start, .. }, members)) => members.first().map_or_else(
                    || Some(line_number(&text, *start)),
                    |first| Some(line_number(&text, first.span.start)),
                ),
                _ => way.owner.map(|owner| line_number(&text, owner.span.start) + 1),
            };
            let mut lines = Lines::new(&text);
            let end = lines.len();
            let place = fallback.or(behind).or(first).unwrap_or(end);
            let before = place.checked_sub(1).and_then(|before| lines.get(before)).map(str::to_owned);
            // Exactly where it was, unless something has come between.
            let exact = line.previous.is_none() == (line.at == 0) && {
                let previous = line.at.checked_sub(1).and_then(|before| lines.get(before));
                previous == line.previous.as_deref()
            };
            let line = if exact { line.clone() } else { NotedLine { at: place, previous: before, ..line.clone() } };
            lines.put_back(&[], &[line], end);
            return Ok(lines.text());
        }
        _ => {}
    }
    let value = read_alone(syntax, slot, was)?;
    insert(syntax, text, &root, &way, slot.keys(), &value)
}

/// The value that some letters say, in a text of their own.
fn read_alone(syntax: &dyn Syntax, slot: &Slot, was: &Was) -> Result<Value, EditError> {
    let key = slot.keys().last().cloned().unwrap_or_default();
    let member = format!("{}{}{}", syntax.key(&key), syntax.sign().trim_end(), was.raw);
    let alone = if syntax.braced_root() { format!("{{{member}}}") } else { member };
    let lost = || EditError::new("what was there before cannot be put back: put it back by hand");
    let value = get(syntax, &alone, &Slot::new([key])).map_err(|_| lost())?;
    value.ok_or_else(lost)
}
