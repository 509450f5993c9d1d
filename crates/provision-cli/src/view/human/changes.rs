//! What would be done to hosts, and what is to be known of it beforehand.

use anstyle::Style;
use provision_core::change::{Action, Change, Moved};
use provision_core::engine::{Changes, Verb};
use provision_core::ledger::{Applied, Ended};
use provision_core::resource::{Resource, Thing};

use super::super::page::{ADOPT, BAD, CHANGE, FAINT, GOOD, PLAIN, Page, STRONG};
use super::attribute::details;
use crate::command::order::Waiting;
use crate::error::count;
use crate::view::View;

/// Everything that is about to change on some hosts.
pub fn changes(all: &[&Changes], view: &View) -> Page {
    let mut page = view.blank();
    for (at, changes) in all.iter().enumerate() {
        if at > 0 {
            page.gap();
        }
        if all.len() > 1 {
            page.line(STRONG, &format!("Host {}", changes.host().name)).gap();
        }
        let mut items = view.blank();
        title(&mut items, changes);
        leaving(&mut items, changes, view.is_verbose());
        moves(&mut items, changes);
        for (address, resource, item) in changes.wanted() {
            match item {
                Ok(change) if change.is_none() && !view.is_verbose() => continue,
                Ok(change) => {
                    heading(&mut items, change, &address.to_string(), Some(resource));
                    details(&mut items, change, view.is_verbose());
                }
                Err(_) => undecided(&mut items, &address.to_string()),
            }
        }
        if !items.as_str().is_empty() {
            page.page(&items).gap();
        }
        summary(&mut page, changes, all.len() > 1);
    }
    page
}

/// What is to be known of hosts on which nothing changes: what has another name now, and what is left where it is.
pub fn asides(all: &[&Changes], view: &View) -> Page {
    let mut page = view.blank();
    for changes in all {
        for (address, why) in changes.kept() {
            kept(&mut page, &address.to_string(), why);
        }
        moves(&mut page, changes);
    }
    if !page.as_str().is_empty() {
        page.gap();
    }
    page
}

/// The hosts that cannot be looked at yet.
pub fn waiting(all: &[Waiting<'_>], view: &View) -> Page {
    let mut page = view.blank();
    for waiting in all {
        let text = format!(
            "host {} waits: it takes {}, which changes first; what changes on {0} is shown after that",
            waiting.host.name,
            waiting.what()
        );
        page.labelled(CHANGE, "note", &text);
    }
    page
}

/// What people should know in time although there is nothing to do.
pub fn notices(all: &[&Changes], view: &View) -> Page {
    let mut page = view.blank();
    for changes in all {
        let host = if all.len() > 1 { format!(" on host {}", changes.host().name) } else { String::new() };
        for (address, notice) in changes.notices() {
            page.labelled(CHANGE, "note", &format!("{address}{host}: {notice}"));
        }
    }
    page
}

/// What a person who only looks is to know besides: what needs a word before it can be applied, an apply that was cut, and
/// who is at it.
pub fn notes(all: &[&Changes], view: &View) -> Page {
    let mut page = view.blank();
    for changes in all {
        let foreign: Vec<String> = changes.foreign().map(|(address, _)| address.to_string()).collect();
        let host = if all.len() > 1 { format!(" on host {}", changes.host().name) } else { String::new() };
        if !foreign.is_empty() {
            let (are, them) = if foreign.len() == 1 { ("is", "it") } else { ("are", "them") };
            page.labelled(
                CHANGE,
                "note",
                &format!(
                    "{} {are} on the host already and not the plan's{host}: to take {them} over, apply with --adopt or write \
                     `adopt = true` there",
                    foreign.join(", ")
                ),
            );
        }
        let memory = changes.memory();
        match (&memory.lock, &memory.last) {
            (Some(lock), _) if lock.alive => {
                let host = &changes.host().name;
                page.labelled(CHANGE, "note", &format!("host {host} is being changed by {}", lock.holder));
            }
            (_, Some(last)) if last.result == Ended::Cut && changes.verb() == Verb::Apply => {
                page.labelled(
                    CHANGE,
                    "note",
                    &format!("{} was cut{host}; the next one goes on from there", whose(last)),
                );
            }
            _ => {}
        }
    }
    page
}

/// That an apply goes on where another one was cut.
pub fn resumes(all: &[&Changes], view: &View) -> Page {
    let mut page = view.blank();
    for changes in all.iter().filter(|changes| changes.verb() == Verb::Apply) {
        let memory = changes.memory();
        let is_alive = memory.lock.as_ref().is_some_and(|lock| lock.alive);
        if let Some(last) = memory.last.as_ref().filter(|last| last.result == Ended::Cut && !is_alive) {
            let host = if all.len() > 1 { format!(" on host {}", changes.host().name) } else { String::new() };
            page.labelled(CHANGE, "note", &format!("{} was cut{host}; this one goes on from there", whose(last)));
        }
    }
    page
}

/// That somebody else was faster.
pub fn faster(changes: &Changes, view: &View) -> Page {
    let mut page = view.blank();
    let last = changes.memory().last.as_ref();
    let head = last.and_then(|last| last.head.as_ref());
    let who = head.map_or("somebody", |head| head.who.as_str());
    let host = &changes.host().name;
    if changes.is_empty() {
        let did = match head.map(|head| head.verb.as_str()) {
            Some("destroy") => "destroyed",
            _ => "applied",
        };
        page.line(PLAIN, &format!("nothing left to change on host {host}: {who} {did} the same meanwhile"));
    } else {
        page.labelled(CHANGE, "note", &format!("{who} has changed host {host} meanwhile; this is what is left"));
    }
    page
}

/// `the apply of alice@laptop at 2026-11-23T10:00:00Z`.
fn whose(applied: &Applied) -> String {
    match &applied.head {
        Some(head) => format!("the {} of {} at {}", head.verb, head.who, head.when),
        None => format!("apply {}", applied.number),
    }
}

/// Of a rollback, which apply it takes back.
fn title(page: &mut Page, changes: &Changes) {
    let Verb::Rollback(number) = changes.verb() else { return };
    let last = changes.memory().last.as_ref().filter(|last| last.number == number);
    let cut = if last.is_some_and(|last| last.result == Ended::Cut) { ", which was cut" } else { "" };
    let whose = last.filter(|last| last.head.is_some()).map(|last| format!(", {}", whose(last))).unwrap_or_default();
    page.line(PLAIN, &format!("Takes back apply {number}{whose}{cut}:")).gap();
}

fn leaving(page: &mut Page, changes: &Changes, verbose: bool) {
    for (address, item) in changes.leaving() {
        match item {
            Ok(change) if change.is_none() => {
                for why in &change.reasons {
                    kept(page, &address.to_string(), why);
                }
                if change.reasons.is_empty() && verbose {
                    page.put(FAINT, "  = gone ").put(STRONG, &address.to_string()).end();
                }
            }
            Ok(change) => {
                heading(page, change, &address.to_string(), None);
                details(page, change, verbose);
            }
            Err(_) => undecided(page, &address.to_string()),
        }
    }
}

fn kept(page: &mut Page, address: &str, why: &str) {
    page.put(FAINT, "  = keep ").put(STRONG, address).put(PLAIN, ": ").line(PLAIN, why);
}

fn moves(page: &mut Page, changes: &Changes) {
    for (old, new) in changes.moves() {
        page.put(FAINT, "  = moved ").put(STRONG, &old.to_string()).put(FAINT, " -> ").line(STRONG, &new.to_string());
    }
}

fn undecided(page: &mut Page, address: &str) {
    page.put(BAD, "  ? undecided ").put(STRONG, address).end();
}

/// The symbol that stands for an action, and its colour.
pub fn symbol(action: Action) -> (&'static str, Style) {
    match action {
        Action::Keep => ("=", FAINT),
        Action::Create => ("+", GOOD),
        Action::Update => ("~", CHANGE),
        Action::Replace => ("-/+", BAD),
        Action::Run => (">", CHANGE),
        Action::Start | Action::Stop | Action::Restart | Action::Reload => ("*", CHANGE),
        Action::Remove => ("-", BAD),
        Action::Restore => ("<", CHANGE),
    }
}

fn heading(page: &mut Page, change: &Change, address: &str, resource: Option<&dyn Resource>) {
    let (symbol, style) = symbol(change.action);
    let (symbol, style, word) = match change.moved {
        Some(Moved::Foreign) => ("@", ADOPT, "adopt"),
        _ => (symbol, style, change.action.word()),
    };
    page.put(style, &format!("{symbol:>3} {word} ")).put(STRONG, address);
    if let Some(thing) = resource.and_then(|resource| resource.provides().into_iter().next()) {
        page.put(FAINT, &format!("  {}", short(&thing)));
    }
    if let Some(note) = change.moved.and_then(side) {
        page.put(FAINT, &format!("  ({note})"));
    }
    page.end();
}

/// Which side has moved, where that is not plain.
pub const fn side(moved: Moved) -> Option<&'static str> {
    match moved {
        Moved::Plan => Some("plan"),
        Moved::Host => Some("drift"),
        Moved::Both => Some("both have moved"),
        Moved::Unfinished => Some("unfinished"),
        Moved::New | Moved::Follows | Moved::Foreign | Moved::Left => None,
    }
}

/// What the resource is about, where its kind says the rest.
fn short(thing: &Thing) -> String {
    match thing {
        Thing::Directory(path) | Thing::Path(path) | Thing::Mount(path) => path.to_string(),
        Thing::Unit(name) | Thing::Install(name) | Thing::Running(name) | Thing::Quadlet(name) => name.to_string(),
        Thing::Image(name) => name.spelled(),
        Thing::Knob(knob) => knob.name().to_owned(),
        Thing::Edit(edit) => edit.path.to_string(),
        Thing::Port { .. } => thing.to_string(),
    }
}

/// The order in which actions are counted.
pub const ACTIONS: [Action; 10] = [
    Action::Remove,
    Action::Restore,
    Action::Create,
    Action::Update,
    Action::Replace,
    Action::Run,
    Action::Start,
    Action::Stop,
    Action::Restart,
    Action::Reload,
];

fn summary(page: &mut Page, changes: &Changes, several: bool) {
    let host = &changes.host().name;
    let is_foreign = |change: &Change| change.moved == Some(Moved::Foreign);
    let number =
        |action: Action| changes.changed().filter(|(_, change)| change.action == action && !is_foreign(change)).count();
    let mut parts: Vec<String> = ACTIONS
        .into_iter()
        .map(|action| (action, number(action)))
        .filter(|(_, number)| *number > 0)
        .map(|(action, number)| format!("{number} to {}", action.word()))
        .collect();
    let mut add = |number: usize, words: &str| {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    };
    add(changes.changed().filter(|(_, change)| is_foreign(change)).count(), "to adopt");
    add(changes.undecided().count(), "undecided");
    let is_still = parts.is_empty();
    let mut aside: Vec<String> = Vec::new();
    for (number, word) in [(changes.kept().count(), "kept"), (changes.moves().count(), "moved")] {
        if number > 0 {
            aside.push(format!("{number} {word}"));
        }
    }
    if is_still {
        let aside = if aside.is_empty() { String::new() } else { format!("; {}", aside.join(", ")) };
        page.line(PLAIN, &format!("{}{aside}", in_sync(changes)));
        return;
    }
    parts.append(&mut aside);
    let title = match changes.verb() {
        Verb::Apply => "Plan",
        Verb::Destroy => "Destroy",
        Verb::Rollback(_) => "Rollback",
    };
    page.put(STRONG, &format!("{title}: ")).put(PLAIN, &parts.join(", "));
    if !several {
        page.put(PLAIN, &format!(" on host {host}"));
    }
    page.end();
}

/// What is said of a host that is as wanted.
fn in_sync(changes: &Changes) -> String {
    if changes.verb() != Verb::Apply {
        return "nothing to take back".to_owned();
    }
    let resources = changes.graph().len() - changes.watched();
    let are = |number: usize| if number == 1 { "is" } else { "are" };
    let wants = format!("{} {} as the plan wants {}", count(resources, "resource"), are(resources), them(resources));
    let watched = changes.watched();
    let mut text = format!("nothing to change: {wants}");
    if watched > 0 {
        text.push_str(&format!("; {} {} made at each apply", count(watched, "check"), are(watched)));
    }
    text
}

fn them(number: usize) -> &'static str {
    if number == 1 { "it" } else { "them" }
}

#[cfg(test)]
mod tests {
    use provision_core::testing::case;

    use super::*;
    use crate::args;

    fn shown(changes: &Changes, verbose: bool) -> String {
        let output = args::Output { json: false, verbose, color: args::Colour::Never };
        let page = super::changes(&[changes], &View::new(&output, "diff"));
        anstream::adapter::strip_str(page.as_str()).to_string()
    }

    #[test]
    fn a_restart_is_named_beforehand_with_its_cause() {
        let changes = case("service", "unit = 'x.service'\nrestart_on = ['file.conf']")
            .plan("[file.conf]\npath = '/etc/x.conf'\ncontent = \"a\\nb\\n\"\n[file.other]\npath = '/srv/o'\ncontent = 'o'\n")
            .given_unit("x.service", "active", "enabled")
            .applied()
            .given_file("/etc/x.conf", "a\nc\n", "0600")
            .changes();
        let expected = "  \
  ~ update file.conf  /etc/x.conf  (drift)
      content:
        @@ -1,2 +1,2 @@
          a
        - c
        + b
      mode: 0600 -> 0644
  * restart service.x  x.service
      because file.conf changes

Plan: 1 to update, 1 to restart on host local
";
        assert_eq!(shown(&changes, false), expected);
        assert!(shown(&changes, true).contains("  = keep file.other  /srv/o\n"));
    }
}
