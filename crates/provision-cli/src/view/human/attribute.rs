//! How one change looks: its reasons, its attributes, and the lines of files.

use anstyle::Style;
use provision_core::change::{Action, Attribute, Change, Shown};
use similar::{ChangeTag, TextDiff};

use super::super::page::{BAD, FAINT, GOOD, PLACE, PLAIN, Page};
use crate::error::count;

/// How many lines of one file are shown unless everything is asked for.
const LINES: usize = 40;

/// Unchanged lines around a difference, as diff(1) has them.
const CONTEXT: usize = 3;

/// Beyond this a difference is not worth waiting for; what is shown then is coarser and as right.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

const INDENT: &str = "      ";

/// Everything about a change but its first line.
pub fn details(page: &mut Page, change: &Change, verbose: bool) {
    for reason in &change.reasons {
        page.put(PLAIN, INDENT).line(PLAIN, reason);
    }
    for attribute in &change.attributes {
        let Attribute { name, before, after, applied: _ } = attribute;
        page.put(PLAIN, &format!("{INDENT}{name}:"));
        match (before, after) {
            (Shown::Content(before), Shown::Content(after)) => {
                third(page, attribute);
                page.end();
                limited(page, difference(before, after), verbose);
            }
            (Shown::Absent, Shown::Content(after)) => {
                third(page, attribute);
                page.end();
                limited(page, whole(after, "+", GOOD), verbose);
            }
            (Shown::Secret, Shown::Secret) => {
                page.line(PLAIN, " (secret), not the same");
            }
            (Shown::Absent, after) if change.action == Action::Create => {
                page.put(PLAIN, &format!(" {}", after.line()));
                third(page, attribute);
                page.end();
            }
            (before, Shown::Absent) if change.action == Action::Remove => {
                page.line(PLAIN, &format!(" {}", before.line()));
            }
            (before, after) => {
                page.put(BAD, &format!(" {}", before.line())).put(FAINT, " -> ").put(GOOD, &after.line());
                third(page, attribute);
                page.end();
            }
        }
    }
}

/// What the last apply had left, where both sides have moved away from it.
fn third(page: &mut Page, attribute: &Attribute) {
    let Some(applied) = attribute.once() else { return };
    let applied = match applied.strip_prefix("sha256:") {
        Some(sha256) => format!("something else, sha256 {}", sha256.get(..12).unwrap_or(sha256)),
        None => applied.to_owned(),
    };
    page.put(FAINT, &format!(" (last applied: {applied})"));
}

/// Lines of a file: style, sign, text.
type Lines = Vec<(Style, &'static str, String)>;

const UNENDED: &str = "\\ no newline at the end";

fn whole(text: &str, sign: &'static str, style: Style) -> Lines {
    let mut lines: Lines = text.split_terminator('\n').map(|line| (style, sign, line.to_owned())).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        lines.push((FAINT, "", UNENDED.to_owned()));
    }
    lines
}

fn difference(before: &str, after: &str) -> Lines {
    let mut lines = Lines::new();
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push((PLACE, "", hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let (style, sign) = match change.tag() {
                ChangeTag::Equal => (PLAIN, " "),
                ChangeTag::Delete => (BAD, "-"),
                ChangeTag::Insert => (GOOD, "+"),
            };
            let line = change.value();
            lines.push((style, sign, line.strip_suffix('\n').unwrap_or(line).to_owned()));
            if change.missing_newline() {
                lines.push((FAINT, "", UNENDED.to_owned()));
            }
        }
    }
    lines
}

fn limited(page: &mut Page, lines: Lines, verbose: bool) {
    // A limit that hides less than it says costs more than it saves.
    let limit = if verbose || lines.len() <= LINES + 3 { lines.len() } else { LINES };
    let hidden = lines.len() - limit;
    for (style, sign, text) in lines.into_iter().take(limit) {
        let space = if sign.is_empty() || text.is_empty() { "" } else { " " };
        page.put(PLAIN, INDENT).put(PLAIN, "  ").content(style, &format!("{sign}{space}{text}")).end();
    }
    if hidden > 0 {
        page.put(PLAIN, INDENT).line(FAINT, &format!("  … {} (-v shows all)", count(hidden, "more line")));
    }
}
