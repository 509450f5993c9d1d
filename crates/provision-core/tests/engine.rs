//! The invariants of ARCHITECTURE.md, through the library's public face: on a made-up host and on this machine.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use provision_core::change::Action;
use provision_core::connection::{Connection, ShellConnection};
use provision_core::engine::{Changes, EngineError, apply, observe};
use provision_core::event::{Event, ignore};
use provision_core::path::AbsPath;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::build::PlanBuilder;
use provision_core::report::{Outcome, Report};
use provision_core::shell::Become;
use provision_core::testing::{FakeHost, NOW};
use provision_core::transport::local::Local;
use provision_core::transport::{Exit, Request, Sink, Stream, Transport, TransportError};

/// This machine, with every exchange counted, and how long one was to be waited for at most.
#[derive(Default)]
struct Counted {
    inner: Local,
    exchanges: AtomicUsize,
    seconds: AtomicU64,
}

#[async_trait]
impl Transport for &Counted {
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        self.seconds.fetch_max(request.silence.as_secs(), Ordering::SeqCst);
        self.inner.exchange(request, sink).await
    }

    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        self.inner.connect_tcp(host, port, limit).await
    }

    fn label(&self) -> &str {
        "counted"
    }
}

/// This machine, whose memory of plans is in a directory of the test's own.
fn here(root: &Path) -> ShellConnection<Local> {
    ShellConnection::new(Local, Become::No, Duration::from_secs(30)).with_state(Some(state(root)))
}

fn state(root: &Path) -> AbsPath {
    format!("{}/state", root.to_str().unwrap()).parse().unwrap()
}

/// `count` files in one directory.
fn files(root: &Path, count: usize) -> Plan {
    let root = root.to_str().unwrap();
    let mut plan =
        PlanBuilder::new("files").resource("directory", "root", toml::toml! { path = (format!("{root}/d")) });
    for index in 0..count {
        let fields = toml::toml! {
            path = (format!("{{{{ directory.root.path }}}}/f{index}"))
            content = (format!("content {index}\n"))
        };
        plan = plan.resource("file", &format!("f{index}"), fields);
    }
    plan.build().unwrap()
}

async fn changes(plan: &Plan, connection: &dyn Connection) -> Changes {
    observe(plan, &plan.hosts()[0], connection).await.unwrap().diff(NOW)
}

async fn applied(plan: &Plan, connection: &dyn Connection) -> Report {
    let report = apply(changes(plan, connection).await, connection, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    report
}

/// Every path below a directory with its type, mode, size and content.
fn recorded(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut stack = vec![root.to_path_buf()];
    while let Some(path) = stack.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.push(format!(
            "{path:?} {:o} {} {} {:?} {content:?}",
            meta.mode(),
            meta.uid(),
            meta.ino(),
            meta.mtime_nsec()
        ));
        if meta.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn exchanges_do_not_grow_with_the_number_of_resources() {
    let mut counts = Vec::new();
    for count in [10, 1_000] {
        let root = tempfile::tempdir().unwrap();
        let plan = files(root.path(), count);
        let counted = Counted::default();
        let connection =
            ShellConnection::new(&counted, Become::No, Duration::from_secs(60)).with_state(Some(state(root.path())));
        applied(&plan, &connection).await;
        let first = counted.exchanges.swap(0, Ordering::SeqCst);
        let report = applied(&plan, &connection).await;
        assert_eq!(report.count(|outcome| *outcome == Outcome::Unchanged), count + 1);
        counts.push((first, counted.exchanges.load(Ordering::SeqCst)));
    }
    // Observe, steps, verify, note how it ended; and a repeat only observes.
    assert_eq!(counts, [(4, 1), (4, 1)]);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let plan = files(root.path(), 20);
    let before = recorded(root.path());
    assert_eq!(changes(&plan, &here(root.path())).await.changed().count(), 21);
    assert_eq!(recorded(root.path()), before, "before there was anything");
    applied(&plan, &here(root.path())).await;
    fs::write(root.path().join("d/f3"), "edited").unwrap();
    let before = recorded(root.path());
    assert_eq!(changes(&plan, &here(root.path())).await.changed().count(), 1);
    assert_eq!(recorded(root.path()), before, "with something to mend");
}

#[tokio::test]
async fn the_second_apply_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let plan = files(root.path(), 20);
    applied(&plan, &here(root.path())).await;
    let before = recorded(root.path());
    let report = applied(&plan, &here(root.path())).await;
    assert!(report.resources.iter().all(|(_, outcome)| *outcome == Outcome::Unchanged), "{report:#?}");
    assert_eq!(recorded(root.path()), before);
}

#[tokio::test]
async fn an_apply_does_what_the_dry_run_said_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let plan = files(root.path(), 5);
    applied(&plan, &here(root.path())).await;
    fs::write(root.path().join("d/f1"), "edited").unwrap();
    fs::remove_file(root.path().join("d/f2")).unwrap();
    let changes = changes(&plan, &here(root.path())).await;
    let said: Vec<(String, Action)> =
        changes.changed().map(|(address, change)| (address.to_string(), change.action)).collect();
    assert_eq!(said, [("file.f1".to_owned(), Action::Update), ("file.f2".to_owned(), Action::Create)]);
    let report = apply(changes, &here(root.path()), &ignore).await.unwrap();
    let done: Vec<(String, Action)> = report
        .resources
        .iter()
        .filter_map(|(address, outcome)| match outcome {
            Outcome::Changed { action, .. } => Some((address.to_string(), *action)),
            _ => None,
        })
        .collect();
    assert_eq!(done, said);
}

#[tokio::test]
async fn what_fails_stops_its_dependants_and_nothing_else() {
    let plan = PlanBuilder::new("failing")
        .resource("directory", "a", toml::toml! { path = "/srv/a" })
        .resource("file", "inside", toml::toml! { path = "/srv/a/f" content = "x" })
        .resource("file", "beside", toml::toml! { path = "/srv/f" content = "x" })
        .resource("file", "later", toml::toml! { path = "/srv/g" content = "x" after = ["file.inside"] })
        .build()
        .unwrap();
    let host = FakeHost::new();
    host.with(|state| state.fail_at = Some(0));
    let changes = observe(&plan, &plan.hosts()[0], &host).await.unwrap().diff(NOW);
    let report = apply(changes, &host, &ignore).await.unwrap();
    let outcome = |name: &str| {
        report
            .resources
            .iter()
            .find(|(address, _)| address.to_string() == name)
            .map(|(_, outcome)| outcome.clone())
            .unwrap()
    };
    let because = || Outcome::Skipped { because: Some("directory.a".parse().unwrap()) };
    assert_eq!(
        outcome("directory.a"),
        Outcome::Failed { message: "cannot make the directory /srv/a: told to fail".into() }
    );
    assert_eq!(outcome("file.inside"), because());
    assert_eq!(outcome("file.later"), because());
    assert_eq!(outcome("file.beside"), Outcome::Changed { action: Action::Create, output: String::new() });
    assert!(!report.succeeded());
    // The next apply takes it from there.
    host.with(|state| state.fail_at = None);
    let report = applied(&plan, &host).await;
    assert_eq!(report.count(|outcome| matches!(outcome, Outcome::Changed { .. })), 3);
}

#[tokio::test]
async fn a_secret_reaches_no_change_no_event_and_no_report() {
    const SECRET: &str = "s3cr3t-of-the-plan";
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("f");
    let plan = PlanBuilder::new("secret")
        .secret("password", SECRET)
        .resource(
            "file",
            "f",
            toml::toml! { path = (path.to_str().unwrap()) content = "p={{ input.password | upper | lower }}" validate = ["sh", "-c", "cat $0; exit 1", "%s"] },
        )
        .output("login", "use {{ input.password }}")
        .build()
        .unwrap();
    let changes = changes(&plan, &here(root.path())).await;
    let mut seen = format!("{plan:?} {changes:?}");
    let events = Mutex::new(Vec::new());
    let report = apply(changes, &here(root.path()), &|event: Event| events.lock().unwrap().push(event)).await.unwrap();
    assert!(!report.succeeded(), "the validation prints the file and fails");
    seen.push_str(&format!("{report:?} {:?}", events.lock().unwrap()));
    assert!(!seen.contains(SECRET), "{seen}");
    assert!(seen.contains("p=(secret)"), "what the tool echoed is masked: {seen}");
}

#[tokio::test]
async fn what_a_command_prints_is_told_at_once_without_secrets_and_its_silence_is_no_end() {
    const SECRET: &str = "s3cr3t-of-the-plan";
    let root = tempfile::tempdir().unwrap();
    // The secret in two pieces, and a line that is cut, which has none of it at its end.
    let text = "IFS= read -r s; printf %s \"${s%-*}\"; echo \"-${s##*-}\"; \
        x=$(printf '%08180d' 0); echo \"$x$s and more\"; i=0; while [ $i -lt 200 ]; do echo $i; i=$((i + 1)); done; exit 3";
    let plan = PlanBuilder::new("said")
        .secret("password", SECRET)
        .resource(
            "command",
            "it",
            toml::toml! { run = (vec!["sh", "-c", text]) input = "{{ input.password }}\n" unless = ["false"] timeout = "12h" },
        )
        .build()
        .unwrap();
    let transport = Counted::default();
    let usual = Duration::from_secs(30);
    let connection = ShellConnection::new(&transport, Become::No, usual).with_state(Some(state(root.path())));
    let events = Mutex::new(Vec::new());
    let changes = changes(&plan, &connection).await;
    let report = apply(changes, &connection, &|event: Event| events.lock().unwrap().push(event)).await.unwrap();
    assert!(transport.seconds.load(Ordering::SeqCst) >= 30 + 12 * 3600, "a silent command would be cut");
    let events = events.into_inner().unwrap();
    let lines: Vec<&str> = events
        .iter()
        .filter_map(|event| if let Event::Said { line, .. } = event { Some(line.as_str()) } else { None })
        .collect();
    assert_eq!((lines.len(), lines[0], lines[2], lines[201]), (202, "(secret)", "0", "199"));
    assert!(lines[1].starts_with("000") && lines[1].ends_with("00..."), "{}", lines[1]);
    let seen = format!("{report:?} {events:?}");
    assert!(!seen.contains("s3cr"), "{seen}");
    let [(_, Outcome::Failed { message })] = &report.resources[..] else { panic!("{report:?}") };
    assert!(message.starts_with("sh failed: exit status 3\n(182 lines before)\n180\n"), "{message}");
    assert!(message.ends_with("\n199"), "{message}");
}

#[tokio::test]
async fn an_apply_that_was_dropped_is_taken_forward_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let plan = files(root.path(), 40);
    for wait in [0, 1, 3, 10, 30, 60, 100] {
        let connection = here(root.path());
        let changes = changes(&plan, &connection).await;
        let work = apply(changes, &connection, &ignore);
        drop(tokio::time::timeout(Duration::from_millis(wait), work).await);
        for entry in fs::read_dir(root.path().join("d")).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(index) = name.strip_prefix('f') {
                assert_eq!(fs::read_to_string(&path).unwrap(), format!("content {index}\n"), "{name} is not whole");
            }
        }
    }
    // What was dropped may have come to its notes after this look: then whoever applies looks again.
    let report = loop {
        let connection = here(root.path());
        match apply(changes(&plan, &connection).await, &connection, &ignore).await {
            Err(EngineError::Moved { .. }) => {}
            done => break done.unwrap(),
        }
    };
    assert!(report.succeeded(), "{report:#?}");
    assert!(changes(&plan, &here(root.path())).await.is_empty());
}

#[tokio::test]
async fn of_what_is_large_only_the_rest_is_sent_and_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let large = vec![7_u8; 9 << 20];
    fs::write(directory.path().join("large"), &large).unwrap();
    let source = directory.path().join("large").to_str().unwrap().to_owned();
    let file = |path: &str| toml::toml! { path = (path) source = (source.as_str()) };
    let folder = Folder(directory.path().to_str().unwrap().into());
    let plan = PlanBuilder::new("large").assets(std::sync::Arc::new(folder));
    let plan =
        plan.resource("file", "one", file("/etc/one")).resource("file", "two", file("/etc/two")).build().unwrap();
    let host = FakeHost::new();
    let digest = provision_core::blob::sha256_hex(&large);
    host.with(|state| {
        let remembered = state.plans.entry("large".to_owned()).or_default();
        remembered.arriving.insert(digest, 5_000_000);
        remembered.arriving.insert("0".repeat(64), 1);
    });
    applied(&plan, &host).await;
    let sent: Vec<u64> =
        host.with(|state| state.steps.iter().filter_map(|(_, step)| step.blob()).map(|b| b.sent()).collect());
    assert_eq!(sent, [large.len() as u64 - 5_000_000, large.len() as u64]);
}
