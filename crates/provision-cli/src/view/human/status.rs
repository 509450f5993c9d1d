//! How a plan stands on its hosts.

use anstyle::Style;
use provision_core::change::Moved;
use provision_core::engine::{Owned, Standing, Status};
use provision_core::ledger::{Applied, Ended, LedgerFound};
use provision_core::object::{Object, Was};

use super::super::page::{ADOPT, BAD, CHANGE, FAINT, GOOD, PLAIN, Page, STRONG};
use crate::error::count;
use crate::view::View;

/// What an apply is that has come to no end.
const CUT: &str = "cut";

/// How many applies are shown unless everything is asked for.
const APPLIES: usize = 5;

/// Several hosts.
pub fn status(all: &[Status], view: &View) -> Page {
    let mut page = view.blank();
    for (at, status) in all.iter().enumerate() {
        if at > 0 {
            page.gap();
        }
        of_host(&mut page, status, view.is_verbose());
    }
    page
}

fn of_host(page: &mut Page, status: &Status, verbose: bool) {
    let memory = status.changes.memory();
    page.line(STRONG, &format!("Host {}", status.changes.host().name)).gap();
    if memory.ledger == LedgerFound::Absent && !memory.touched && memory.last.is_none() {
        let plan = status.changes.graph().plan();
        page.line(PLAIN, &format!("It knows nothing of the plan {plan}: {}", unapplied(status.unapplied.len())));
        return;
    }
    if let Some(last) = &memory.last {
        page.put(PLAIN, "Last: ");
        let going = memory.lock.as_ref().is_some_and(|lock| lock.alive);
        applied(page, last, &status.plan, if going { "still going on" } else { CUT });
    }
    if let Some(lock) = &memory.lock {
        let gone = if lock.alive { "" } else { ", who is gone; the next apply takes over" };
        page.put(CHANGE, "Locked").line(PLAIN, &format!(" by {}{gone}", lock.holder));
    }
    let words = status.owned.iter().map(|owned| word(&owned.standing)).collect::<Vec<_>>();
    let number = |wanted: &str| words.iter().filter(|word| **word == wanted).count();
    let mut parts = vec![format!("{} owned", count(status.owned.len(), "resource"))];
    for wanted in [DRIFTED, CHANGED, BOTH, FOLLOWS, UNFINISHED, ORPHANED, UNDECIDED] {
        if number(wanted) > 0 {
            parts.push(format!("{} {wanted}", number(wanted)));
        }
    }
    if !status.unapplied.is_empty() {
        parts.push(format!("{} not yet applied", status.unapplied.len()));
    }
    page.line(PLAIN, &parts.join(", "));
    if !status.owned.is_empty() || !status.unapplied.is_empty() {
        page.gap();
    }
    for owned in &status.owned {
        resource(page, owned);
    }
    for (address, moved) in &status.unapplied {
        let (sign, style, note) = match moved {
            Some(Moved::Foreign) => ("@", ADOPT, "  not yet applied; something else is there already"),
            _ => ("+", GOOD, "  not yet applied"),
        };
        page.put(style, &format!("{sign:>3} ")).put(STRONG, &address.to_string()).line(FAINT, note);
    }
    if !status.kept.is_empty() {
        page.gap().line(PLAIN, "Kept of what has left the plan");
        for record in &status.kept {
            page.put(PLAIN, "  = ").put(STRONG, &record.address.to_string());
            page.line(FAINT, &format!("  {}", name(&record.object)));
        }
    }
    if !status.owed.is_empty() {
        page.gap().line(PLAIN, "Owed since an earlier apply, and done by the next one");
        for name in &status.owed {
            // A command goes under its address with an equals sign, which no unit can have.
            page.put(CHANGE, "  * ").line(PLAIN, &name.replacen('=', ".", 1));
        }
    }
    history(page, status, verbose);
}

fn history(page: &mut Page, status: &Status, verbose: bool) {
    let last = status.changes.memory().last.as_ref().map(|last| last.number);
    let earlier: Vec<&Applied> = status.history.iter().rev().filter(|one| Some(one.number) != last).collect();
    if earlier.is_empty() {
        return;
    }
    page.gap().line(PLAIN, "Before that");
    let limit = if verbose { earlier.len() } else { APPLIES };
    for one in earlier.iter().take(limit) {
        page.put(PLAIN, "  ");
        applied(page, one, &status.plan, CUT);
    }
    if earlier.len() > limit {
        page.line(FAINT, &format!("  … {} more (-v shows all)", earlier.len() - limit));
    }
}

/// `7, apply by alice@laptop at 2026-11-23T10:00:00Z, 3 changes, plan 0123456789ab (this one): done`.
fn applied(page: &mut Page, applied: &Applied, plan: &str, open: &str) {
    let mut text = applied.number.to_string();
    if let Some(head) = &applied.head {
        let short = head.plan.get(..12).unwrap_or(&head.plan);
        let this = if head.plan == plan { "this one" } else { "another" };
        let changes = count(head.changes, "change");
        text = format!("{text}, {} by {} at {}, {changes}, plan {short} ({this})", head.verb, head.who, head.when);
    }
    let (style, word) = match applied.result {
        Ended::Done => (GOOD, "done"),
        Ended::Failed => (BAD, "failed"),
        Ended::Cut => (CHANGE, open),
        Ended::RolledBack => (CHANGE, "rolled back"),
    };
    page.put(PLAIN, &format!("{text}: ")).line(style, word);
}

fn resource(page: &mut Page, owned: &Owned) {
    let Owned { address, standing, objects } = owned;
    let (sign, style) = sign(standing);
    page.put(style, &format!("{sign:>3} ")).put(STRONG, &address.to_string());
    if *standing != Standing::Same {
        page.put(style, &format!("  {}", word(standing)));
    }
    if let Standing::Undecided(reason) = standing {
        page.put(PLAIN, &format!(": {reason}"));
    }
    page.end();
    for (object, was) in objects {
        page.put(PLAIN, &format!("      {}", name(object)));
        let was = was.as_ref().map_or_else(|| "never touched".to_owned(), |was| format!("before: {}", before(was)));
        page.put(FAINT, &format!("  {was}"));
        page.end();
    }
}

const DRIFTED: &str = "drifted";
const CHANGED: &str = "changed in the plan";
const BOTH: &str = "changed in the plan, and drifted";
const FOLLOWS: &str = "to follow";
const UNFINISHED: &str = "unfinished";
const ORPHANED: &str = "orphaned";
const UNDECIDED: &str = "undecided";

const fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Same => "",
        Standing::Moved(Moved::Host) => DRIFTED,
        Standing::Moved(Moved::Both) => BOTH,
        Standing::Moved(Moved::Follows) => FOLLOWS,
        Standing::Moved(Moved::Unfinished) => UNFINISHED,
        Standing::Moved(_) => CHANGED,
        Standing::Orphaned => ORPHANED,
        Standing::Undecided(_) => UNDECIDED,
    }
}

const fn sign(standing: &Standing) -> (&'static str, Style) {
    match standing {
        Standing::Same => ("=", GOOD),
        Standing::Moved(Moved::Follows) => ("*", CHANGE),
        Standing::Moved(_) => ("~", CHANGE),
        Standing::Orphaned => ("-", BAD),
        Standing::Undecided(_) => ("?", BAD),
    }
}

fn unapplied(number: usize) -> String {
    let are = if number == 1 { "is" } else { "are" };
    format!("{} {are} not yet applied", count(number, "resource"))
}

fn name(object: &Object) -> String {
    match object {
        Object::Path(path) => path.to_string(),
        Object::Volume { name, unit } => format!("volume {}", unit.beside(name).spelled()),
        Object::Network { name, unit } => format!("network {}", unit.beside(name).spelled()),
        Object::Edit(edit) => edit.title(),
        Object::Knob(knob) => knob.to_string(),
        other => other.to_string(),
    }
}

/// What was there, in words.
fn before(was: &Was) -> String {
    match was {
        Was::Absent => "absent".to_owned(),
        Was::Edit => "noted".to_owned(),
        Was::Present | Was::Knob | Was::Copy(_) => "present".to_owned(),
        Was::Directory { mode, user, group } => format!("directory {mode} {user}:{group}"),
        Was::File { mode, user, group, size, .. } => format!("file {mode} {user}:{group}, {}", count_bytes(*size)),
        Was::Link => "link".to_owned(),
        Was::Other => "something else".to_owned(),
        Was::Unit { active, file } => format!("{active}, {file}"),
        Was::Image(id) => format!("image {}", id.get(..12).unwrap_or(id)),
    }
}

fn count_bytes(number: u64) -> String {
    if number == 1 { "1 byte".to_owned() } else { format!("{number} bytes") }
}
