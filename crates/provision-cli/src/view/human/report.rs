//! What an apply came to.

use provision_core::change::Action;
use provision_core::engine::Verb;
use provision_core::report::{Downtime, Outcome, Report};

use super::super::page::{BAD, FAINT, GOOD, PLAIN, Page, STRONG};
use super::changes::{ACTIONS, symbol};
use crate::error::count;

/// What was done, in the past tense.
pub const fn done(action: Action) -> &'static str {
    match action {
        Action::Keep => "kept",
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Run => "ran",
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
        Action::Reload => "reloaded",
        Action::Remove => "removed",
        Action::Restore => "restored",
    }
}

/// One resource that has come to its end; nothing to say of one that stayed as it was.
pub fn finished(page: &mut Page, host: Option<&str>, address: &str, outcome: &Outcome, verbose: bool) {
    let (sign, style, word) = match outcome {
        Outcome::Changed { action, .. } => {
            let (sign, style) = symbol(*action);
            (sign, style, done(*action))
        }
        Outcome::Answered { .. } => ("*", GOOD, "answered"),
        Outcome::NotNeeded => ("=", FAINT, "not needed"),
        Outcome::Failed { .. } => ("!", BAD, "failed"),
        Outcome::NotConverged { .. } => ("!", BAD, "still differs"),
        Outcome::Skipped { .. } => ("!", BAD, "skipped"),
        _ => return,
    };
    page.put(style, &format!("{sign:>3} "));
    if let Some(host) = host {
        page.put(FAINT, &format!("{host}: "));
    }
    page.put(style, word).put(PLAIN, " ").put(STRONG, address);
    match outcome {
        Outcome::Answered { answer } => {
            page.put(FAINT, &format!("  {answer}"));
        }
        Outcome::Skipped { because: Some(failed) } => {
            page.put(PLAIN, &format!(", since {failed} failed"));
        }
        Outcome::Skipped { because: None } => {
            page.put(PLAIN, ", since the apply ended early");
        }
        _ => {}
    }
    page.end();
    if let Outcome::Changed { output, .. } = outcome
        && verbose
    {
        output.trim_end().lines().for_each(|line| said(page, line));
    }
}

/// A line of what something on a host has printed.
pub fn said(page: &mut Page, line: &str) {
    page.put(FAINT, "      | ").content(PLAIN, line).end();
}

/// One line: `applied: 3 created, 1 updated; 12 unchanged`; and one more where all of it was taken back.
pub fn summary(page: &mut Page, report: &Report, verb: Verb, several: bool) {
    let count_of = |wanted: &dyn Fn(&Outcome) -> bool| report.count(wanted);
    let changed = |action: Action| {
        count_of(&|outcome| matches!(outcome, Outcome::Changed { action: found, .. } if *found == action))
    };
    let mut parts: Vec<String> = Vec::new();
    let mut add = |number: usize, word: &str| {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    };
    for action in ACTIONS {
        add(changed(action), done(action));
    }
    add(count_of(&|outcome| matches!(outcome, Outcome::NotNeeded)), "not needed");
    let answered = count_of(&|outcome| matches!(outcome, Outcome::Answered { .. }));
    add(count_of(&|outcome| matches!(outcome, Outcome::Failed { .. })), "failed");
    add(count_of(&|outcome| matches!(outcome, Outcome::NotConverged { .. })), "still different");
    add(count_of(&|outcome| matches!(outcome, Outcome::Skipped { .. })), "skipped");
    let unchanged = count_of(&|outcome| matches!(outcome, Outcome::Unchanged));
    let host = if several { format!(" on host {}", report.host) } else { String::new() };
    if report.succeeded() && parts.is_empty() && verb != Verb::Apply {
        page.put(GOOD, "nothing to take back").put(PLAIN, &host);
    } else if report.succeeded() && parts.is_empty() {
        let (are, them) = if unchanged == 1 { ("is", "it") } else { ("are", "them") };
        page.put(GOOD, "nothing to change");
        page.put(PLAIN, &format!("{host}: {} {are} as the plan wants {them}", count(unchanged, "resource")));
    } else {
        let touched = report.count(|outcome| matches!(outcome, Outcome::Changed { .. })) > 0;
        let word = match verb {
            Verb::Apply => "applied",
            Verb::Destroy => "destroyed",
            Verb::Rollback(_) => "rolled back",
        };
        let (style, word) = match (report.succeeded(), touched) {
            _ if report.reverted => (BAD, format!("not {word}, but taken back by the host")),
            (true, _) => (GOOD, word.to_owned()),
            (false, true) => (BAD, format!("{word} in part")),
            (false, false) => (BAD, format!("not {word}")),
        };
        page.put(style, &word).put(PLAIN, &format!("{host}: {}", parts.join(", ")));
        if unchanged > 0 {
            page.put(PLAIN, &format!("{}{unchanged} unchanged", if parts.is_empty() { "" } else { "; " }));
        }
    }
    if answered > 0 {
        page.put(PLAIN, &format!("; {} answered", count(answered, "check")));
    }
    if !report.kept.is_empty() {
        page.put(PLAIN, &format!("; {} kept", report.kept.len()));
    }
    page.end();
    let back = report.rolled_back.as_deref().map(|back| back.down.as_slice()).unwrap_or_default();
    for down in report.down.iter().filter(|down| !back.iter().any(|back| back.unit == down.unit)) {
        downtime(page, down, &host);
    }
    if let Some(back) = &report.rolled_back {
        summary(page, back, Verb::Rollback(report.apply.unwrap_or_default()), several);
    }
    serving(page, report, &host);
}

/// Whether what was there before serves again.
fn serving(page: &mut Page, report: &Report, host: &str) {
    let failed = report.serving.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }));
    for (check, outcome) in &report.serving {
        match outcome {
            Outcome::Answered { .. } => {
                if !failed {
                    page.put(GOOD, "what was there before serves again").put(PLAIN, &format!("{host}: "));
                }
                page.put(STRONG, &check.to_string()).put(PLAIN, " had its answer").end();
            }
            Outcome::Failed { .. } => {
                page.put(BAD, "what was there before does not serve").put(PLAIN, host);
                page.put(PLAIN, ": ").put(STRONG, &check.to_string()).put(PLAIN, " has no answer").end();
            }
            Outcome::Skipped { because: None } => {
                page.put(STRONG, &check.to_string()).put(PLAIN, host);
                page.put(PLAIN, " was not asked again: the last apply had another, and only its digest is known").end();
            }
            _ => {}
        }
    }
}

/// How long a service did not serve.
fn downtime(page: &mut Page, down: &Downtime, host: &str) {
    let Downtime { address, lasted, until, .. } = down;
    page.put(STRONG, &address.to_string()).put(PLAIN, host);
    match lasted {
        Some(lasted) => page.put(PLAIN, &format!(" was down for {:.1} s", lasted.as_secs_f64())),
        None => page.put(BAD, " was stopped"),
    };
    page.put(FAINT, &format!(", {until}")).end();
}

/// Secrets that were made up in this apply, for the one time that they are shown.
pub fn revealed(page: &mut Page, report: &Report, several: bool) {
    for (address, secret) in &report.revealed {
        if several {
            page.put(FAINT, &format!("{}: ", report.host));
        }
        page.put(STRONG, &address.to_string());
        page.put(PLAIN, &format!(": made up, and kept on the host in {}; shown this once: ", secret.kept()));
        page.content(STRONG, secret.expose()).end();
    }
}

/// What the plan wants to be said at the end.
pub fn outputs(page: &mut Page, report: &Report, several: bool) {
    if report.outputs.is_empty() {
        return;
    }
    page.gap();
    let title = if several { format!("Outputs of host {}", report.host) } else { "Outputs".to_owned() };
    page.line(STRONG, &title);
    let width = report.outputs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in &report.outputs {
        let mut lines = text.trim_end().lines();
        page.put(FAINT, &format!("  {name:width$}  ")).content(PLAIN, lines.next().unwrap_or_default()).end();
        for line in lines {
            page.put(PLAIN, &" ".repeat(width + 4)).content(PLAIN, line).end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rollback_it_is_told_whether_what_was_there_serves_again() {
        let report = |serving: Vec<(&str, Outcome)>| Report {
            host: "h".to_owned(),
            apply: Some(2),
            resources: Vec::new(),
            kept: Vec::new(),
            reverted: false,
            rolled_back: None,
            serving: serving.into_iter().filter_map(|(check, outcome)| Some((check.parse().ok()?, outcome))).collect(),
            down: Vec::new(),
            failures: vec!["lost".to_owned()],
            outputs: Vec::new(),
            revealed: Vec::new(),
        };
        let said = |serving| {
            let mut page = Page::new(None);
            summary(&mut page, &report(serving), Verb::Apply, false);
            let text = anstream::adapter::strip_str(page.as_str()).to_string();
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let answered = || Outcome::Answered { answer: "status 200".to_owned() };
        let failed = Outcome::Failed { message: "refused".to_owned() };
        assert_eq!(said(vec![]), [""; 0]);
        assert_eq!(
            said(vec![("check.a", answered()), ("check.b", Outcome::Skipped { because: None })]),
            [
                "what was there before serves again: check.a had its answer",
                "check.b was not asked again: the last apply had another, and only its digest is known",
            ]
        );
        let because = "check.b".parse().ok();
        assert_eq!(
            said(vec![("check.a", answered()), ("check.b", failed), ("check.c", Outcome::Skipped { because })]),
            ["check.a had its answer", "what was there before does not serve: check.b has no answer",]
        );
    }
}
