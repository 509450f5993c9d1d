//! The made-up host itself: it remembers, takes back, and is cut, as a host does.

use std::time::Duration;

use super::*;
use crate::attribute::{Account, Mode};
use crate::blob::Blob;
use crate::connection::Connection;
use crate::knob::Knob;
use crate::knob::firewall::FIREWALL;
use crate::ledger::{Ended, Head, Ledger, LedgerFound, LockFound, Memory, Scope};
use crate::object::{Object, Record};
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, ImageState, Store, UnitState};
use crate::step::{
    Batch, BatchReply, Data, Heard, Journal, Keep, Outcome, Ownership, Purpose, Refusal, Revert, Step, Task, UnitAction,
};
use crate::systemd::{Managed, Manager};

const PLAN: &str = "p";

fn path(text: &str) -> AbsPath {
    text.parse().unwrap()
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn task(name: &str, steps: Vec<Step>) -> Task {
    Task::new(format!("file.{name}").parse().unwrap(), steps)
}

fn batch(purpose: Purpose, tasks: Vec<Task>) -> Batch {
    let journal = Journal {
        purpose,
        who: "me@here".to_owned(),
        since: "2026-06-01T12:00:00Z".to_owned(),
        wait: Duration::from_secs(1),
        lease: Duration::from_secs(60),
        arm: None,
    };
    Batch { tasks, plan: PLAN.to_owned(), step_limit: Duration::from_secs(60), journal }
}

fn head() -> Blob {
    let [verb, when, who, plan] = ["apply", "2026-06-01T12:00:00Z", "me@here", "d"].map(str::to_owned);
    Blob::from_bytes(serde_json::to_vec(&Head { verb, when, who, plan, changes: 1 }).unwrap())
}

const KEEP: Keep = Keep { applies: 10, bytes: 1 << 20 };

fn begin(stamp: &str) -> Purpose {
    let ledger = Blob::from_bytes(Ledger::empty(PLAN).text().into_bytes());
    Purpose::Begin {
        stamp: stamp.to_owned(),
        head: head(),
        ledger,
        keep: KEEP,
        awaited: Vec::new(),
        rehearsals: Vec::new(),
    }
}

fn end(result: Ended) -> Purpose {
    Purpose::End { stamp: None, result, ledger: None, vanish: false }
}

fn run(host: &FakeHost, purpose: Purpose, tasks: Vec<Task>) -> BatchReply {
    wait(host.run(batch(purpose, tasks), &mut |_| {})).unwrap()
}

fn ask(host: &FakeHost, ask: Ask) -> Answers {
    wait(host.ask(&[ask].into())).unwrap()
}

fn memory(host: &FakeHost) -> Memory {
    let ledger = Ledger::empty(PLAN).sha256();
    ask(host, Ask::Memory { plan: PLAN.to_owned(), ledger: ledger.clone() }).memory(PLAN, &ledger).unwrap().clone()
}

fn records(host: &FakeHost, scope: Scope) -> Vec<Record> {
    ask(host, Ask::Records { plan: PLAN.to_owned(), scope }).records(PLAN, scope).unwrap().clone()
}

/// Reverts of every record of a scope, the last that was made first.
fn reverts(host: &FakeHost, scope: Scope, data: Data) -> Vec<Task> {
    let revert = |object: Object| Step::Revert(Revert { object, scope, data, rewrite: None });
    records(host, scope).into_iter().rev().map(|record| task("x", vec![revert(record.object)])).collect()
}

/// What there is on a host besides what is remembered, one thing a line.
fn seen(host: &FakeHost) -> String {
    host.with(|state| {
        let State { entries, units, images, volumes, networks, knobs, owed, .. } = state;
        let mut lines: Vec<String> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        lines.extend(units.iter().map(|unit| format!("{unit:?}")));
        lines.extend(images.iter().map(|image| format!("{image:?}")));
        let open: Vec<_> = knobs.iter().filter(|(_, state)| !state.ends_with(" no no")).collect();
        lines.push(format!("{volumes:?} {networks:?} {open:?} {owed:?}"));
        lines.join("\n")
    })
}

fn put(at: &str, content: &str) -> Step {
    Step::PutFile {
        path: path(at),
        content: Blob::from_bytes(content.as_bytes().to_vec()),
        mode: Mode::new(0o600),
        ownership: Ownership { user: Some(Account::Id(5)), group: None },
        validate: Vec::new(),
    }
}

fn unit(name: &str, action: UnitAction) -> Step {
    Step::Unit { unit: name.parse().unwrap(), action }
}

fn make(at: &str) -> Step {
    Step::MakeDirectory { path: path(at), mode: Mode::new(0o700), ownership: Ownership::default() }
}

/// Steps of every sort, on a host that has something of every sort.
fn everything() -> (FakeHost, Vec<Step>) {
    let host = FakeHost::new();
    host.with(|state| {
        state.put_file("/srv/file", b"old", "0640");
        state.put_directory("/srv/directory", "0711");
        state.put_link("/srv/link", "/old");
        state.put_file("/etc/systemd/system/old.service", b"[Service]\n", "0644");
        for (name, active, file) in [
            ("old.service", "inactive", "static"),
            ("sleeping.service", "inactive", "disabled"),
            ("running.service", "active", "enabled"),
        ] {
            let sub = if active == "active" { "running" } else { "dead" };
            let [load, active, sub, file] = ["loaded", active, sub, file].map(str::to_owned);
            state.units.insert(name.to_owned(), UnitState { load, active, sub, file, stale: false });
        }
        for (id, name) in [("1", "localhost/a:1"), ("2", "localhost/c:1")] {
            let names = vec![name.to_owned()];
            state.images.push(ImageState { id: id.to_owned(), names, ..ImageState::default() });
        }
        state.turn(&Knob::new(&FIREWALL, "port 22/tcp"), "firewalld public no yes");
        state.networks.insert("systemd-there".to_owned());
    });
    let port = |port: &str| {
        let knob = Knob::new(&FIREWALL, format!("port {port}/tcp"));
        Step::Turn { knob, state: "new yes\nfirewalld public yes yes".to_owned(), input: None }
    };
    let claim = |text: &str| Step::Claim(text.parse().unwrap());
    let steps = vec![
        put("/srv/file", "new"),
        put("/srv/another", "new"),
        make("/srv/made"),
        put("/srv/made/below", "x"),
        Step::SetAttributes {
            path: path("/srv/directory"),
            mode: Some(Mode::new(0o700)),
            ownership: Ownership::default(),
        },
        Step::PutLink { path: path("/srv/link"), target: "/new".to_owned() },
        put("/etc/systemd/system/new.service", "[Service]\n[Install]\n"),
        put("/etc/systemd/system/old.service", "[Service]\n#\n"),
        claim("volume systemd-data data-volume.service"),
        put("/etc/containers/systemd/data.volume", "[Volume]\n"),
        claim("network net net-network.service"),
        put("/etc/containers/systemd/net.network", "[Network]\nNetworkName=net\n"),
        put("/etc/containers/systemd/app.container", "[Container]\nVolume=data.volume:/data:Z\nNetwork=net.network\n"),
        Step::ReloadUnits(Manager::System),
        unit("new.service", UnitAction::Enable),
        unit("new.service", UnitAction::Start),
        unit("sleeping.service", UnitAction::Start),
        unit("sleeping.service", UnitAction::Enable),
        unit("running.service", UnitAction::Restart),
        unit("app.service", UnitAction::Start),
        Step::TagImage { id: "2".to_owned(), name: Managed::system("localhost/b:1") },
        Step::PullImage { reference: Managed::system("localhost/a:1"), platform: None },
        port("8443"),
        port("22"),
    ];
    (host, steps)
}

/// Takes out images that nothing names any more: one that was pulled over another's name is left so, to nobody's harm.
fn tidy(host: &FakeHost) {
    host.with(|state| state.images.retain(|image| !image.names.is_empty()));
}

#[test]
fn what_was_done_can_be_rolled_back_whole() {
    let (host, steps) = everything();
    let before = seen(&host);
    assert_eq!(run(&host, begin("0"), vec![task("a", steps)]).apply, Some(1));
    assert_ne!(seen(&host), before);
    assert!(host.with(|state| state.volumes.contains("systemd-data") && state.networks.contains("net")));
    let tasks = reverts(&host, Scope::Apply(1), Data::Delete);
    let reply = run(&host, Purpose::Rollback { stamp: "1 cut".to_owned(), number: 1, stays: Vec::new() }, tasks);
    assert!(reply.outcomes.iter().all(|outcome| *outcome == Outcome::Done { output: String::new() }), "{reply:?}");
    tidy(&host);
    assert_eq!(seen(&host), before);
    let memory = memory(&host);
    assert_eq!((memory.stamp().as_str(), memory.touched, memory.ledger), ("1 rolled-back", false, LedgerFound::Absent));
    assert_eq!(memory.lock, None);
}

#[test]
fn what_was_done_can_be_taken_back_to_the_origin_after_later_applies() {
    let (host, steps) = everything();
    let before = seen(&host);
    run(&host, begin("0"), vec![task("a", steps)]);
    run(&host, end(Ended::Done), Vec::new());
    run(&host, begin("1 done"), vec![task("a", vec![put("/srv/file", "newer")])]);
    run(&host, end(Ended::Done), Vec::new());
    let taken = reverts(&host, Scope::Origin, Data::Delete);
    // What is in a directory goes before it, whatever the order of the records.
    let mut tasks = taken;
    tasks.sort_by_key(|task| task.steps.iter().map(|step| std::cmp::Reverse(step.describe().len())).next());
    let stop_first = |task: &Task| matches!(&task.steps[..], [Step::Revert(Revert { object: Object::Unit(_), .. })]);
    tasks.sort_by_key(|task| !stop_first(task));
    let reply = run(&host, begin("2 done"), tasks);
    assert!(reply.outcomes.iter().all(|outcome| *outcome == Outcome::Done { output: String::new() }), "{reply:?}");
    assert!(!memory(&host).touched);
    let vanish = Purpose::End { stamp: None, result: Ended::Done, ledger: None, vanish: true };
    run(&host, vanish, Vec::new());
    tidy(&host);
    assert_eq!(seen(&host), before);
    assert!(host.with(|state| state.plans.is_empty()));
}

#[test]
fn data_stays_unless_it_is_to_go_and_keeps_its_record() {
    let host = FakeHost::new();
    let steps = vec![
        make("/srv/made"),
        Step::Claim("volume v v-volume.service".parse().unwrap()),
        Step::PullImage { reference: Managed::system("localhost/a:1"), platform: None },
    ];
    run(&host, begin("0"), vec![task("a", steps)]);
    run(&host, end(Ended::Done), Vec::new());
    host.with(|state| {
        state.put_file("/srv/made/by_somebody", b"x", "0644");
        state.volumes.insert("v".to_owned());
    });
    let reply = run(&host, begin("1 done"), reverts(&host, Scope::Origin, Data::Keep));
    let mut said: Vec<String> = reply.outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
    said.sort();
    assert_eq!(
        said,
        [
            r#"Done { output: "kept image localhost/a:1: an image is data, which is kept" }"#,
            r#"Done { output: "kept path /srv/made: it is a directory that is not empty" }"#,
            r#"Done { output: "kept volume v v-volume.service: a volume is data, which is kept" }"#,
        ]
    );
    assert_eq!(records(&host, Scope::Origin).len(), 3);
    run(&host, end(Ended::Done), Vec::new());
    run(&host, begin("2 done"), reverts(&host, Scope::Origin, Data::Delete));
    assert_eq!(records(&host, Scope::Origin), []);
    assert!(host.with(|state| state.volumes.is_empty() && state.images.is_empty()));
    assert!(host.with(|state| !state.entries.contains_key(&path("/srv/made/by_somebody"))));
}

#[test]
fn a_rollback_brings_back_what_the_apply_took_back() {
    let host = FakeHost::new();
    host.with(|state| state.put_file("/srv/f", b"theirs", "0644"));
    run(&host, begin("0"), vec![task("a", vec![put("/srv/f", "ours")])]);
    run(&host, end(Ended::Done), Vec::new());
    let origin = records(&host, Scope::Origin);
    run(&host, begin("1 done"), reverts(&host, Scope::Origin, Data::Keep));
    assert_eq!(host.with(|state| state.entries[&path("/srv/f")].1.clone()), b"theirs");
    assert_eq!(records(&host, Scope::Origin), []);
    let tasks = reverts(&host, Scope::Apply(2), Data::Keep);
    run(&host, Purpose::Rollback { stamp: "2 cut".to_owned(), number: 2, stays: Vec::new() }, tasks);
    assert_eq!(host.with(|state| state.entries[&path("/srv/f")].1.clone()), b"ours");
    assert_eq!(records(&host, Scope::Origin), origin);
    assert_eq!(memory(&host).ledger, LedgerFound::Same);
}

#[test]
fn records_are_of_the_time_before_and_the_origin_is_of_the_first_time() {
    let host = FakeHost::new();
    host.with(|state| state.put_file("/srv/f", b"1", "0644"));
    let was = |scope| records(&host, scope).iter().map(ToString::to_string).collect::<Vec<_>>();
    run(&host, begin("0"), vec![task("a", vec![put("/srv/f", "22")])]);
    run(&host, end(Ended::Done), Vec::new());
    let mut late = task("b", vec![put("/srv/late", "x")]);
    late.late = true;
    run(&host, begin("1 done"), vec![task("a", vec![put("/srv/f", "333"), put("/srv/f", "4444")]), late]);
    run(&host, Purpose::Continue, vec![task("c", vec![unit("haproxy.service", UnitAction::Start)])]);
    let sha256 = |text: &str| crate::blob::sha256_hex(text.as_bytes());
    assert_eq!(
        was(Scope::Apply(2)),
        [
            format!("2 file.a file:0600:5:0:2:{} path /srv/f", sha256("22")),
            "2 file.b absent path /srv/late".to_owned(),
            "2 file.c unit:unknown:unknown unit haproxy.service".to_owned(),
        ]
    );
    let origin = was(Scope::Origin);
    assert!(origin.contains(&format!("1 file.a file:0644:0:0:1:{} path /srv/f", sha256("1"))), "{origin:?}");
    assert_eq!(origin.len(), 3);
    // The copy can be read by its path, like any file.
    let copy = memory(&host).copy(Scope::Apply(2), &"path /srv/f".parse().unwrap()).unwrap();
    let found = wait(host.read(&[copy.clone()].into())).unwrap();
    assert_eq!(found.get(&copy).map(|content| content.as_slice()), Some(&b"22"[..]));
}

#[test]
fn the_history_is_pruned_and_its_numbers_are_not_used_again() {
    let host = FakeHost::new();
    let ledger = Blob::from_bytes(b"{}".to_vec());
    let numbers = |host: &FakeHost| {
        let answers = ask(host, Ask::History(PLAN.to_owned()));
        answers.history(PLAN).unwrap().iter().map(|applied| applied.number).collect::<Vec<_>>()
    };
    for (keep, content, left) in [
        (KEEP, "aaaa", vec![1]),
        (KEEP, "bbbb", vec![1, 2]),
        (Keep { applies: 2, ..KEEP }, "cccc", vec![2, 3]),
        (Keep { bytes: 4, ..KEEP }, "dddd", vec![4]),
        (Keep { bytes: 0, ..KEEP }, "eeee", vec![5]),
    ] {
        let stamp = memory(&host).stamp();
        let purpose = Purpose::Begin {
            stamp,
            head: head(),
            ledger: ledger.clone(),
            keep,
            awaited: Vec::new(),
            rehearsals: Vec::new(),
        };
        run(&host, purpose, vec![task("a", vec![put("/srv/f", content)])]);
        run(&host, end(Ended::Done), Vec::new());
        assert_eq!(numbers(&host), left, "{content}");
    }
}

#[test]
fn nothing_is_done_for_a_stranger() {
    let host = FakeHost::new();
    let tasks = || vec![task("a", vec![put("/srv/f", "x")])];
    let refused = run(&host, begin("1 done"), tasks());
    assert_eq!(refused.refused, Some(Refusal::Moved("0".to_owned())));
    assert_eq!(refused.outcomes, [Outcome::Skipped { because: None }]);
    assert!(host.with(|state| state.plans.is_empty() && state.log.is_empty()));

    let holder = "alice@laptop since 2026-06-01T11:00:00Z".to_owned();
    host.with(|state| state.held = Some(holder.clone()));
    assert_eq!(memory(&host).lock, Some(LockFound { holder: holder.clone(), alive: true }));
    let mut heard = Vec::new();
    let reply = wait(host.run(batch(begin("0"), tasks()), &mut |said| heard.push(said))).unwrap();
    assert_eq!((reply.refused, heard), (Some(Refusal::Locked(holder.clone())), vec![Heard::Waiting(holder)]));
    host.with(|state| state.held = None);
    assert_eq!(run(&host, begin("0"), tasks()).refused, None);
}

#[test]
fn a_cut_connection_is_lost_until_another_is_made() {
    // Two steps: before the first, between them, and before the end of the apply.
    for (cut_at, done) in [(0, 0), (1, 1), (2, 2)] {
        let host = FakeHost::new();
        host.with(|state| state.cut_at = Some(cut_at));
        let mut first = task("a", vec![put("/srv/a", "x"), put("/srv/b", "x")]);
        first.owes = vec!["x.service".to_owned()];
        let reply = run(&host, begin("0"), vec![first, task("b", Vec::new())]);
        assert_eq!((reply.ended, reply.lost.is_some()), (done == 2, done < 2));
        assert_eq!(reply.outcomes[0] == Outcome::Skipped { because: None }, done < 2);
        assert!(done < 2 || wait(host.run(batch(end(Ended::Done), Vec::new()), &mut |_| {})).is_err());
        assert!(wait(host.facts(&std::collections::BTreeSet::new())).is_err());
        host.reconnect();
        assert_eq!(host.with(|state| (state.log.len(), state.owed.len())), (done, 1));
        let memory = memory(&host);
        let holder = "me@here since 2026-06-01T12:00:00Z".to_owned();
        assert_eq!(memory.lock, Some(LockFound { holder: holder.clone(), alive: false }));
        assert_eq!((memory.stamp().as_str(), memory.ledger), ("1 cut", LedgerFound::Same));
        let mut heard = Vec::new();
        let tasks = vec![task("a", vec![put("/srv/a", "x")])];
        let reply = wait(host.run(batch(begin("1 cut"), tasks), &mut |said| heard.push(said))).unwrap();
        assert_eq!((reply.apply, heard.first()), (Some(2), Some(&Heard::TookOver(holder))));
    }
}

#[test]
fn a_host_tells_what_is_in_a_directory_and_what_podman_has() {
    let host = FakeHost::new();
    host.with(|state| {
        state.put_file("/srv/b", b"", "0644");
        state.put_file("/srv/a", b"", "0644");
        state.put_file("/srv/a/below", b"", "0644");
        state.volumes.insert("v".to_owned());
    });
    let names = |at: &str| ask(&host, Ask::Listing(path(at))).listing(&path(at)).unwrap().clone();
    assert_eq!(names("/srv"), ["a", "b"]);
    assert_eq!(names("/nowhere"), Vec::<String>::new());
    let has = |sort, name: &str| {
        let name = Managed::system(name);
        *ask(&host, Ask::Stored { sort, name: name.clone() }).stored(sort, &name).unwrap()
    };
    assert!(has(Store::Volume, "v"));
    assert!(!has(Store::Network, "v"));
}

#[test]
fn a_ledger_of_another_plan_says_what_that_one_holds() {
    let host = FakeHost::new();
    let object: Object = "path /srv/f".parse().unwrap();
    let entry = crate::ledger::Entry {
        address: "file.f".parse().unwrap(),
        digest: String::new(),
        objects: vec![object.clone()],
        wanted: std::collections::BTreeMap::new(),
    };
    let ledger = Ledger { resources: vec![entry], ..Ledger::empty("other") };
    host.with(|state| {
        let known = Remembered { ledger: Some(ledger.text().into_bytes()), ..Remembered::default() };
        state.plans.insert("other".to_owned(), known);
    });
    assert_eq!(memory(&host).others, [("other".to_owned(), [object].into())].into());
    assert_eq!(memory(&host).ledger, LedgerFound::Absent);
}
