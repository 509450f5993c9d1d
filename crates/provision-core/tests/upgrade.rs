//! An upgrade that goes back by itself, data included, through the library's public face and on a made-up host.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use std::time::Duration;

use provision_core::engine::{Changes, Verb, apply, observe, observe_rollback};
use provision_core::event::ignore;
use provision_core::ledger::Ended;
use provision_core::path::AbsPath;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use provision_core::report::{Outcome, Report, Until};
use provision_core::testing::{FakeHost, NOW};

const DATABASE: &str = "/srv/x.db";

/// A service of a version, asked for its health from this side or from the host.
fn text(version: u32, from: &str) -> String {
    format!(
        "name = 'up'\non_failure = 'rollback'\n\
         [unit.x]\nunit = 'x.service'\nsections.Service.ExecStart = '/usr/bin/x {version}'\n\
         [service.x]\nunit = 'x'\nsnapshot = ['{DATABASE}']\n\
         [check.x]\nurl = 'http://127.0.0.1:8080/'\nwithin = '1s'\nafter = ['service.x']\nfrom = '{from}'\n"
    )
}

fn plan(text: &str) -> Plan {
    let source = Source { name: "plan.toml".to_owned(), text: text.to_owned() };
    Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap_or_else(|error| panic!("{error}"))
}

async fn changes(text: &str, host: &FakeHost) -> Changes {
    let plan = plan(text);
    observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

async fn tried(text: &str, host: &FakeHost) -> Report {
    apply(changes(text, host).await, host, &ignore).await.unwrap()
}

async fn rollback(host: &FakeHost) -> Changes {
    let plan = plan(&text(1, "here"));
    observe_rollback(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

/// A host where the first version has run for a while.
async fn installed(from: &str) -> FakeHost {
    installed_as(&text(1, from)).await
}

async fn installed_as(first: &str) -> FakeHost {
    let host = FakeHost::new();
    let report = tried(first, &host).await;
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!(report.down, [], "what was not up was not down");
    host.with(|state| {
        state.put_file(DATABASE, b"of 1", "0600");
        // What a later version makes of it, which the first cannot read.
        state.migrates.insert("x.service".to_owned(), (DATABASE.parse().unwrap(), b"of 2".to_vec()));
        state.log.clear();
    });
    host
}

fn database(host: &FakeHost) -> String {
    let path: AbsPath = DATABASE.parse().unwrap();
    host.with(|state| {
        state.entries.get(&path).map_or_else(String::new, |(_, content)| String::from_utf8_lossy(content).into_owned())
    })
}

fn serves(host: &FakeHost) -> String {
    let path: AbsPath = "/etc/systemd/system/x.service".parse().unwrap();
    host.with(|state| {
        assert_eq!(state.units.get("x.service").map(|unit| unit.active.as_str()), Some("active"));
        String::from_utf8_lossy(&state.entries.get(&path).unwrap().1).into_owned()
    })
}

/// The first version starts without touching anything.
fn settles(host: &FakeHost) {
    host.with(|state| state.migrates.clear());
}

#[tokio::test]
async fn a_restart_copies_the_data_first_and_says_so() {
    let host = installed("here").await;
    let found = changes(&text(2, "here"), &host).await;
    let reasons: Vec<String> = found.changed().flat_map(|(_, change)| change.reasons.clone()).collect();
    assert_eq!(
        reasons,
        ["because unit.x changes", "stopped first to copy aside what a rollback puts back: /srv/x.db (0 KiB)"]
    );
    assert!(host.with(|state| state.log.is_empty()), "a dry run did something");
    let report = apply(found, &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    let log = host.with(|state| state.log.clone());
    assert_eq!(log[1..], ["let systemd read its units", "stop x.service and copy its data aside", "restart x.service"]);
    assert_eq!(database(&host), "of 2");
    // A second apply has nothing to do, and copies nothing.
    assert!(changes(&text(2, "here"), &host).await.is_empty());
    // Nor does one that only starts it.
    host.with(|state| state.units.get_mut("x.service").unwrap().active = "inactive".to_owned());
    assert!(changes(&text(2, "here"), &host).await.changed().all(|(_, change)| !change.saves));
}

#[tokio::test]
async fn how_long_it_did_not_serve_is_reported_with_who_tells() {
    for (from, expected) in [("here", "until check.x had its answer here"), ("host", "until check.x had its answer")] {
        let host = installed("here").await;
        let report = tried(&text(2, from), &host).await;
        let [down] = report.down.as_slice() else { panic!("{report:#?}") };
        assert_eq!((down.address.to_string(), down.until.to_string()), ("service.x".to_owned(), expected.to_owned()));
        // Its own steps take a second each on that host; so does the question from there.
        let seconds = if from == "host" { 2 } else { 1 };
        let lasted = down.lasted.unwrap();
        assert!((Duration::from_secs(seconds)..Duration::from_secs(seconds + 5)).contains(&lasted), "{lasted:?}");
    }
}

#[tokio::test]
async fn what_never_becomes_healthy_goes_back_with_its_data_and_its_log_is_told() {
    for from in ["here", "host"] {
        let host = installed(from).await;
        host.with(|state| {
            state.listening.clear();
            state.logs.insert("x.service".to_owned(), "cannot open its database".to_owned());
            // The made-up host answers every question of its own.
            if from == "host" {
                state.fail_at = Some(4);
            }
        });
        let report = tried(&text(2, from), &host).await;
        let failed = report.resources.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Failed { message } => Some(message.clone()),
            _ => None,
        });
        if from == "here" {
            assert!(failed.unwrap().ends_with("\ncannot open its database"), "{report:#?}");
        }
        let back = report.rolled_back.as_ref().unwrap_or_else(|| panic!("{report:#?}"));
        assert!(back.succeeded(), "{back:#?}");
        assert!(serves(&host).contains("x 1"), "{from}");
        // The old version started on it again.
        let before = host.with(|state| {
            state.plans["up"].applies[&2].noted.iter().flat_map(|noted| noted.data.clone()).collect::<Vec<_>>()
        });
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].1.1, b"of 1");
        // It was down all the while; and whether it serves again its check tells.
        let ([down], [again]) = (report.down.as_slice(), back.down.as_slice()) else { panic!("{report:#?}") };
        assert_eq!((&down.until, down.lasted), (&Until::Never, None), "{from}");
        let [(check, said)] = report.serving.as_slice() else { panic!("{report:#?}") };
        assert_eq!(check.to_string(), "check.x");
        if from == "host" {
            assert_eq!(again.until.to_string(), "until check.x had its answer");
            assert!(again.lasted.unwrap() >= Duration::from_secs(5), "{again:?}");
            assert!(matches!(said, Outcome::Answered { .. }), "{said:?}");
        } else {
            assert_eq!((&again.until, again.lasted), (&Until::Never, None));
            let Outcome::Failed { message } = said else { panic!("{said:?}") };
            assert!(message.ends_with("\ncannot open its database"), "{message}");
        }
    }
}

/// A check is asked as it was when the old version was applied, or not at all.
#[tokio::test]
async fn after_a_rollback_only_checks_that_the_last_apply_had_are_asked() {
    let refused = |host: &FakeHost| host.with(|state| state.fail_at = Some(3));
    // The very one, from here.
    let host = installed_as(&text(1, "here")).await;
    refused(&host);
    let report = tried(&text(2, "here"), &host).await;
    let [(_, Outcome::Answered { .. })] = report.serving.as_slice() else { panic!("{report:#?}") };
    let down = &report.rolled_back.as_ref().unwrap().down[0];
    assert_eq!((down.until.to_string().as_str(), down.lasted.is_some()), ("until check.x had its answer here", true));
    // Another, which nobody can know to fit the old version.
    let host = installed_as(&text(1, "host")).await;
    refused(&host);
    let report = tried(&text(2, "here"), &host).await;
    let [(check, Outcome::Skipped { because: None })] = report.serving.as_slice() else { panic!("{report:#?}") };
    assert_eq!(check.to_string(), "check.x");
    assert_eq!(report.rolled_back.as_ref().unwrap().down[0].until, Until::Up);
    // One that is new with this version.
    let (first, _) = text(1, "here").split_once("[check.x]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let host = installed_as(&first).await;
    refused(&host);
    let report = tried(&text(2, "here"), &host).await;
    assert!(report.rolled_back.is_some() && report.serving.is_empty(), "{report:#?}");
}

#[tokio::test]
async fn what_was_never_there_is_not_asked_for_after_a_rollback() {
    let host = FakeHost::new();
    host.with(|state| state.listening.clear());
    let report = tried(&text(1, "here"), &host).await;
    assert!(report.rolled_back.as_ref().is_some_and(|back| back.succeeded()), "{report:#?}");
    assert!(report.serving.is_empty(), "{report:#?}");
}

#[tokio::test]
async fn a_rollback_of_a_good_upgrade_says_what_is_lost_and_puts_the_data_back() {
    let host = installed("here").await;
    assert!(tried(&text(2, "here"), &host).await.succeeded());
    host.with(|state| state.put_file(DATABASE, b"of 2, and more", "0600"));
    settles(&host);
    let back = rollback(&host).await;
    assert_eq!(back.verb(), Verb::Rollback(2));
    let said: Vec<String> = back
        .changed()
        .filter(|(address, _)| address.to_string() == "service.x")
        .flat_map(|(_, change)| {
            let attributes =
                change.attributes.iter().map(|a| format!("{}: {} -> {}", a.name, a.before.line(), a.after.line()));
            attributes.chain(change.reasons.clone()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        said,
        [
            "/srv/x.db: as it is now -> as it was at 2026-06-01T12:00:00Z, 0 KiB",
            "stops x.service and puts /srv/x.db back: what has been written to it since then is lost",
            "restart x.service afterwards, which was up or enabled before",
        ]
    );
    let report = apply(back, &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!(database(&host), "of 1");
    assert!(serves(&host).contains("x 1"));
    assert_eq!(report.down.len(), 1);
}

#[tokio::test]
async fn one_that_goes_on_from_a_cut_and_fails_goes_back_to_before_the_cut() {
    let host = installed("here").await;
    // Before it is restarted.
    host.with(|state| state.cut_at = Some(3));
    drop(apply(changes(&text(2, "here"), &host).await, &host, &ignore).await);
    host.reconnect();
    assert_eq!(database(&host), "of 1");
    host.with(|state| state.listening.clear());
    let report = tried(&text(2, "here"), &host).await;
    let back = report.rolled_back.unwrap();
    assert!(back.succeeded() && back.rolled_back.is_some_and(|further| further.succeeded()));
    assert!(serves(&host).contains("x 1"));
}

#[tokio::test]
async fn an_upgrade_that_is_cut_anywhere_is_taken_forward_or_back_with_its_data() {
    let steps = {
        let host = installed("here").await;
        assert!(tried(&text(2, "here"), &host).await.succeeded());
        host.with(|state| state.log.len())
    };
    for cut in 0..=steps {
        for forward in [true, false] {
            let host = installed("here").await;
            host.with(|state| state.cut_at = Some(cut));
            let keeps = text(2, "here").replace("'rollback'", "'keep'");
            let found = changes(&keeps, &host).await;
            drop(apply(found, &host, &ignore).await);
            host.reconnect();
            if forward {
                let report = tried(&keeps, &host).await;
                assert!(report.succeeded(), "{cut}: {report:#?}");
                assert!(serves(&host).contains("x 2"), "{cut}");
                assert_eq!(database(&host), "of 2", "{cut}");
            }
            settles(&host);
            // One by one, to where it began.
            while host.with(|state| {
                state.plans["up"]
                    .applies
                    .iter()
                    .any(|(number, past)| *number > 1 && past.result != Some(Ended::RolledBack))
            }) {
                let report = apply(rollback(&host).await, &host, &ignore).await.unwrap();
                assert!(report.succeeded(), "{cut}: {report:#?}");
            }
            assert!(serves(&host).contains("x 1"), "{cut} {forward}");
            assert_eq!(database(&host), "of 1", "{cut} {forward}");
        }
    }
}
