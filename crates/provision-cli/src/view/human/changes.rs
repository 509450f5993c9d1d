//! What an apply would change.

use anstyle::Style;
use provision_core::change::{Action, Attribute, Change, Shown};
use provision_core::engine::Changes;
use provision_core::resource::{Resource, Thing};
use similar::{ChangeTag, TextDiff};

use super::super::page::{BAD, CHANGE, FAINT, GOOD, PLACE, PLAIN, Page, STRONG};
use crate::error::count;
use crate::view::View;

/// How many lines of one file are shown unless everything is asked for.
const LINES: usize = 40;

/// Unchanged lines around a difference, as diff(1) has them.
const CONTEXT: usize = 3;

/// Beyond this a difference is not worth waiting for; what is shown then is coarser and as right.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

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
        let mut shown = false;
        for ((address, resource), (_, item)) in changes.graph().resources().zip(changes.iter()) {
            match item {
                Ok(change) if change.is_none() && !view.is_verbose() => continue,
                Ok(change) => {
                    heading(&mut page, change.action, &address.to_string(), resource);
                    details(&mut page, change, view.is_verbose());
                }
                Err(_) => {
                    page.put(BAD, "  ? undecided ").put(STRONG, &address.to_string()).end();
                }
            }
            shown = true;
        }
        if shown {
            page.gap();
        }
        summary(&mut page, changes, all.len() > 1);
    }
    page
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

fn heading(page: &mut Page, action: Action, address: &str, resource: &dyn Resource) {
    let (symbol, style) = symbol(action);
    page.put(style, &format!("{symbol:>3} {} ", action.word())).put(STRONG, address);
    if let Some(thing) = resource.provides().first() {
        page.put(FAINT, &format!("  {}", short(thing)));
    }
    page.end();
}

/// What the resource is about, where its kind says the rest.
fn short(thing: &Thing) -> String {
    match thing {
        Thing::Directory(path) | Thing::Path(path) => path.to_string(),
        Thing::Unit(name) | Thing::Install(name) | Thing::Running(name) | Thing::Quadlet(name) | Thing::Image(name) => {
            name.clone()
        }
        Thing::Port { .. } => thing.to_string(),
    }
}

const INDENT: &str = "      ";

fn details(page: &mut Page, change: &Change, verbose: bool) {
    for reason in &change.reasons {
        page.put(PLAIN, INDENT).line(PLAIN, reason);
    }
    for attribute in &change.attributes {
        let Attribute { name, before, after, applied: _ } = attribute;
        page.put(PLAIN, &format!("{INDENT}{name}:"));
        match (before, after) {
            (Shown::Content(before), Shown::Content(after)) => {
                page.end();
                limited(page, difference(before, after), verbose);
            }
            (Shown::Absent, Shown::Content(after)) => {
                page.end();
                limited(page, whole(after, "+", GOOD), verbose);
            }
            (Shown::Secret, Shown::Secret) => {
                page.line(PLAIN, " (secret), not the same");
            }
            (Shown::Absent, after) if change.action == Action::Create => {
                page.line(PLAIN, &format!(" {}", after.line()));
            }
            (before, after) => {
                page.put(BAD, &format!(" {}", before.line())).put(FAINT, " -> ").line(GOOD, &after.line());
            }
        }
    }
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
    let undecided = changes.undecided().count();
    let mut parts: Vec<String> = ACTIONS
        .into_iter()
        .map(|action| (action, changes.changed().filter(|(_, change)| change.action == action).count()))
        .filter(|(_, number)| *number > 0)
        .map(|(action, number)| format!("{number} to {}", action.word()))
        .collect();
    if undecided > 0 {
        parts.push(format!("{undecided} undecided"));
    }
    if parts.is_empty() {
        page.line(PLAIN, &in_sync(changes));
        return;
    }
    page.put(STRONG, "Plan: ").put(PLAIN, &parts.join(", "));
    if !several {
        page.put(PLAIN, &format!(" on host {host}"));
    }
    page.end();
}

/// What is said of a host that is as wanted.
fn in_sync(changes: &Changes) -> String {
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
            .given_file("/etc/x.conf", "a\nc\n", "0600")
            .given_file("/srv/o", "o", "0644")
            .changes();
        let expected = "  \
  ~ update file.conf  /etc/x.conf
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
