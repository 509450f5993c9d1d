//! Pieces of files that others own, on a made-up host: others change the file between an apply and what takes it back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use provision_core::engine::{Changes, EngineError, apply, observe, observe_destroy, observe_rollback};
use provision_core::event::ignore;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::Source;
use provision_core::report::{Outcome, Report};
use provision_core::testing::{FakeHost, NOW};

const PATH: &str = "/etc/f.json";

fn plan(text: &str) -> Plan {
    let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"edits\"\n{text}") };
    let mut inputs = Inputs::default();
    if text.contains("input.password") {
        inputs.set("password", "hunter22", Origin::Argument);
    }
    Plan::parse(source, std::sync::Arc::new(NoAssets), &inputs).unwrap_or_else(|error| panic!("{error}"))
}

fn edit(name: &str, key: &str, value: &str) -> String {
    format!("[json.{name}]\npath = \"{PATH}\"\nkey = \"{key}\"\nvalue = {value}\n")
}

async fn changes(text: &str, host: &FakeHost) -> Changes {
    let plan = plan(text);
    observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

async fn applied(text: &str, host: &FakeHost) -> Report {
    let report = apply(changes(text, host).await, host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert!(changes(text, host).await.is_empty(), "the second apply changes something");
    report
}

async fn leaving(host: &FakeHost, text: &str) -> Changes {
    let plan = plan(text);
    observe_destroy(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

async fn destroyed(host: &FakeHost) -> Report {
    let report = apply(leaving(host, "").await, host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    report
}

async fn rolled_back(host: &FakeHost) {
    let plan = plan("");
    let observed = observe_rollback(&plan, plan.hosts().first().unwrap(), host).await.unwrap();
    let report = apply(observed.diff(NOW), host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
}

/// What would be done, as a person sees it.
fn said(changes: &Changes) -> Vec<String> {
    let shown = changes.changed().map(|(address, change)| {
        let parts = change.attributes.iter().map(|a| format!("{}: {} -> {}", a.name, a.before.line(), a.after.line()));
        format!("{address} {}: {}", change.action.word(), parts.collect::<Vec<_>>().join(", "))
    });
    shown.collect()
}

fn given(host: &FakeHost, content: &str) {
    host.with(|state| state.put_file(PATH, content.as_bytes(), "0644"));
}

fn content(host: &FakeHost) -> Option<String> {
    host.with(|state| {
        state.entries.get(&PATH.parse().unwrap()).map(|(_, content)| String::from_utf8_lossy(content).into_owned())
    })
}

#[tokio::test]
async fn what_was_there_comes_back_byte_for_byte() {
    let host = FakeHost::new();
    let before = "{\n  // theirs\n  \"a\": 1,\n  \"b\": {}\n}\n";
    given(&host, before);
    let text = format!("{}{}{}", edit("one", "a", "2"), edit("two", "b.c", "true"), edit("three", "d.e.f", "'x'"));
    applied(&text, &host).await;
    assert_eq!(
        content(&host).unwrap(),
        "{\n  // theirs\n  \"a\": 2,\n  \"b\": {\n    \"c\": true\n  },\n  \"d\": {\n    \"e\": {\n      \"f\": \"x\"\n    }\n  }\n}\n"
    );
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), before);
}

#[tokio::test]
async fn others_keep_what_they_have_changed_since() {
    let host = FakeHost::new();
    given(&host, "{\"a\": 1}");
    applied(&format!("{}{}", edit("one", "a", "2"), edit("two", "x.y", "3")), &host).await;
    given(&host, "{\"new\": 0, \"a\": 2, \"x\": {\"y\": 3, \"z\": 4}}");
    let changes = leaving(&host, "").await;
    assert_eq!(
        said(&changes),
        ["json.two remove: x.y in /etc/f.json: 3 -> (absent)", "json.one restore: a in /etc/f.json: 2 -> 1"]
    );
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"new\": 0, \"a\": 1, \"x\": {\"z\": 4}}");
}

#[tokio::test]
async fn a_piece_that_somebody_else_changed_is_drift_and_goes_all_the_same() {
    let host = FakeHost::new();
    given(&host, "{}");
    applied(&edit("one", "a", "1"), &host).await;
    given(&host, "{\"a\": 9, \"b\": 1}");
    assert_eq!(said(&changes(&edit("one", "a", "1"), &host).await), ["json.one update: value: 9 -> 1"]);
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"b\": 1}");
}

#[tokio::test]
async fn an_edit_that_leaves_the_plan_is_put_back_while_another_of_the_same_file_changes() {
    let host = FakeHost::new();
    given(&host, "{\"a\": 1, \"b\": 1}");
    applied(&format!("{}{}", edit("one", "a", "2"), edit("two", "b", "2")), &host).await;
    applied(&format!("{}{}", edit("two", "b", "3"), edit("three", "c", "3")), &host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1, \"b\": 3, \"c\": 3}");
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1, \"b\": 1}");
}

#[tokio::test]
async fn a_rollback_leads_to_before_the_apply_and_so_does_one_of_a_destroy() {
    let host = FakeHost::new();
    given(&host, "{\"a\": 1}");
    applied(&edit("one", "a", "2"), &host).await;
    applied(&format!("{}{}", edit("one", "a", "3"), edit("two", "b", "1")), &host).await;
    rolled_back(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 2}");
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1}");
}

#[tokio::test]
async fn a_file_that_was_made_goes_with_the_last_that_is_in_it() {
    let host = FakeHost::new();
    let make = |text: String| text.replace("value", "create = true\nvalue");
    applied(&make(format!("{}{}", edit("one", "a", "1"), edit("two", "b", "1"))), &host).await;
    assert_eq!(content(&host).unwrap(), "{\n  \"a\": 1,\n  \"b\": 1\n}\n");
    applied(&make(edit("two", "b", "1")), &host).await;
    assert_eq!(content(&host).unwrap(), "{\n  \"b\": 1\n}\n");
    destroyed(&host).await;
    assert_eq!(content(&host), None);
    // Somebody else has put something into it.
    applied(&make(edit("one", "a", "1")), &host).await;
    given(&host, "{\"a\": 1, \"theirs\": 1}");
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"theirs\": 1}");
}

#[tokio::test]
async fn a_table_that_two_have_made_goes_with_the_last_of_them() {
    let host = FakeHost::new();
    given(&host, "{\"a\": 1}");
    let (one, two) = (edit("one", "x.y", "1"), edit("two", "x.z", "2"));
    applied(&format!("{one}{two}"), &host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1, \"x\": {\"y\": 1, \"z\": 2}}");
    applied(&two, &host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1, \"x\": {\"z\": 2}}");
    destroyed(&host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": 1}");
}

#[tokio::test]
async fn a_file_that_moves_between_look_and_step_is_not_overwritten() {
    let host = FakeHost::new();
    given(&host, "{}");
    let changes = changes(&edit("one", "a", "1"), &host).await;
    given(&host, "{\"theirs\": 1}");
    let report = apply(changes, &host, &ignore).await.unwrap();
    let Some((_, Outcome::Failed { message })) = report.resources.first() else { panic!("{report:#?}") };
    assert_eq!(message, "cannot edit a in /etc/f.json: /etc/f.json has changed since it was looked at: apply again");
    assert_eq!(content(&host).unwrap(), "{\"theirs\": 1}");
    applied(&edit("one", "a", "1"), &host).await;
}

#[tokio::test]
async fn a_file_that_is_broken_or_gone_by_then_is_told() {
    let host = FakeHost::new();
    given(&host, "{}");
    applied(&edit("one", "a", "1"), &host).await;
    given(&host, "{");
    let changes = leaving(&host, "").await;
    let undecided: Vec<String> = changes.undecided().map(|(_, reason)| reason.to_string()).collect();
    assert_eq!(undecided.len(), 1);
    assert!(
        undecided.iter().all(|text| text.starts_with("a in /etc/f.json cannot be put back: /etc/f.json: 1:")),
        "{undecided:?}"
    );
    assert!(matches!(apply(changes, &host, &ignore).await, Err(EngineError::Undecided { .. })));
    host.with(|state| state.entries.remove(&PATH.parse().unwrap()));
    destroyed(&host).await;
    assert_eq!(content(&host), None);
}

#[tokio::test]
async fn a_secret_that_goes_is_shown_to_nobody() {
    let host = FakeHost::new();
    host.with(|state| state.put_file(PATH, b"{\"a\": \"before\"}", "0600"));
    let secret = "[input.password]\nsecret = true\n";
    let text = format!("{secret}{}", edit("one", "a", "'{{ input.password }}'"));
    applied(&text, &host).await;
    assert_eq!(content(&host).unwrap(), "{\"a\": \"hunter22\"}");
    // Somebody has opened the file since.
    host.with(|state| state.put_file(PATH, b"{\"a\": \"hunter22\"}", "0644"));
    let changes = leaving(&host, "").await;
    assert_eq!(said(&changes), ["json.one restore: a in /etc/f.json: (secret) -> (secret)"]);
    let ledger = host.with(|state| {
        format!(
            "{:?}",
            state
                .plans
                .get("edits")
                .and_then(|known| known.ledger.clone())
                .map(|text| String::from_utf8(text).unwrap())
        )
    });
    assert!(!ledger.contains("hunter22"), "{ledger}");
}

#[tokio::test]
async fn another_plan_that_has_the_file_or_the_piece_is_respected() {
    let host = FakeHost::new();
    given(&host, "{}");
    applied(&edit("one", "a", "1"), &host).await;
    let other = |text: &str| {
        let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"other\"\n{text}") };
        Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap()
    };
    for text in [edit("x", "a.b", "1"), format!("[file.x]\npath = \"{PATH}\"\ncontent = \"\"\n")] {
        let plan = other(&text);
        let changes = observe(&plan, plan.hosts().first().unwrap(), &host).await.unwrap().diff(NOW);
        assert!(changes.undecided().any(|(_, why)| why.to_string().contains("belongs to the plan `edits`")), "{text}");
    }
    let plan = other(&edit("x", "b", "1"));
    let changes = observe(&plan, plan.hosts().first().unwrap(), &host).await.unwrap().diff(NOW);
    assert_eq!(said(&changes), ["json.x create: value: (absent) -> 1"]);
}
