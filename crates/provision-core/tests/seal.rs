//! Sealed plans, through the library's public face and on a made-up host: what was shown is what is done, or it is said what has
//! moved; and no secret is in the file.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use provision_core::blob::sha256_hex;
use provision_core::engine::{Changes, apply, observe};
use provision_core::event::ignore;
use provision_core::knob::Knob;
use provision_core::knob::measure::MEASURE;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::Source;
use provision_core::probe::ImageState;
use provision_core::seal::{Seal, SealError};
use provision_core::testing::{FakeHost, NOW};

const TEXT: &str = "name = \"sealed\"\n\
    [input.password]\nsecret = true\n\
    [input.port]\ntype = \"port\"\ndefault = 80\n\
    [directory.d]\npath = \"/srv/d\"\nadopt = true\n\
    [file.port]\npath = \"/srv/d/port\"\ncontent = \"{{ input.port }}\\n\"\nadopt = true\n\
    [file.password]\npath = \"/srv/d/password\"\ncontent = \"{{ input.password }}\\n\"\nadopt = true\n";

const SECRET: &str = "hunter22";

fn plan(text: &str, port: &str) -> Plan {
    let mut inputs = Inputs::default();
    inputs.set("password", SECRET, Origin::Argument);
    inputs.set("port", port, Origin::Argument);
    let source = Source { name: "plan.toml".to_owned(), text: text.to_owned() };
    Plan::parse(source, Arc::new(NoAssets), &inputs).unwrap_or_else(|error| panic!("{error}"))
}

async fn changes(host: &FakeHost) -> Changes {
    let plan = plan(TEXT, "80");
    observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

/// A host that has something of everything, and the changes of it sealed, written and read again.
async fn sealed() -> (FakeHost, Seal) {
    let host = FakeHost::new();
    host.with(|state| {
        state.put_directory("/srv/d", "0700");
        state.put_file("/srv/d/port", b"81\n", "0644");
        state.put_file("/srv/d/password", b"other-secret\n", "0600");
    });
    let seal = Seal::new("/plans/plan.toml", &plan(TEXT, "80"), &[&changes(&host).await]);
    let read = Seal::read(seal.text().as_bytes()).unwrap();
    assert_eq!(read, seal);
    (host, read)
}

async fn moved(seal: &Seal, host: &FakeHost) -> Vec<String> {
    let differences = seal.check(&changes(host).await).err().unwrap_or_default();
    differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_seal_fits_while_nothing_moves_that_it_touches() {
    let (host, seal) = sealed().await;
    assert_eq!(moved(&seal, &host).await, Vec::<String>::new());
    host.with(|state| {
        state.put_file("/srv/other", b"x", "0644");
        state.put_file("/srv/d/other", b"x", "0644");
        state.images.push(ImageState { id: "abc".to_owned(), ..ImageState::default() });
    });
    assert_eq!(moved(&seal, &host).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_has_moved_is_named_with_its_object() {
    let (host, seal) = sealed().await;
    host.with(|state| state.put_file("/srv/d/port", b"82\n", "0644"));
    assert_eq!(moved(&seal, &host).await, ["file.port (path /srv/d/port) is not as it was on the host"]);
    host.with(|state| state.put_file("/srv/d/port", b"80\n", "0644"));
    let gone = "file.port (path /srv/d/port) needs no change any more: the host has moved";
    assert_eq!(moved(&seal, &host).await, [gone]);
}

#[tokio::test]
async fn another_apply_in_between_is_told() {
    let (host, seal) = sealed().await;
    assert!(apply(changes(&host).await, &host, &ignore).await.unwrap().succeeded());
    let first = moved(&seal, &host).await.first().cloned().unwrap();
    assert_eq!(first, "the plan has been applied to this host since: it was at `0`, and is at `1 done`");
}

#[tokio::test]
async fn another_plan_and_another_input_are_told() {
    let (_, seal) = sealed().await;
    assert_eq!(seal.check_plan(&plan(TEXT, "80")), Ok(()));
    let other = plan(&format!("{TEXT}mode = \"0640\"\n"), "80");
    let message = "the plan /plans/plan.toml, or a file that it names, has changed since it was sealed";
    assert_eq!(seal.check_plan(&other).unwrap_err().to_string(), message);
    assert_eq!(seal.other_inputs(&plan(TEXT, "81")), ["port"]);
    assert_eq!(seal.other_inputs(&plan(TEXT, "80")), Vec::<String>::new());
}

#[tokio::test]
async fn no_secret_is_in_it_nor_a_digest_of_one() {
    let (host, seal) = sealed().await;
    let text = seal.text();
    for secret in [SECRET.to_owned(), "other-secret".to_owned()] {
        let line = format!("{secret}\n");
        for trace in [secret.clone(), sha256_hex(secret.as_bytes()), sha256_hex(line.as_bytes())] {
            assert!(!text.contains(&trace), "{trace} in {text}");
        }
    }
    // Therefore another secret of the same length on the host does not count.
    host.with(|state| state.put_file("/srv/d/password", b"OTHER-secret\n", "0600"));
    assert_eq!(moved(&seal, &host).await, Vec::<String>::new());
    host.with(|state| state.put_file("/srv/d/password", b"OTHER-secret\n", "0644"));
    assert_eq!(moved(&seal, &host).await, ["file.password (path /srv/d/password) is not as it was on the host"]);
}

#[tokio::test]
async fn a_certificate_has_the_dates_that_were_shown_however_late_it_is_made() {
    let host = FakeHost::new();
    let text = "name = \"sealed\"\n[directory.d]\npath = \"/srv/d\"\n\
        [certificate_authority.a]\ndirectory = \"/srv/d\"\ncommon_name = \"A\"\nlifetime = \"30d\"\n\
        [preflight.p]\nclock = \"10m\"\n";
    let clock = |time: time::OffsetDateTime| {
        let text = time.unix_timestamp().to_string();
        host.with(|state| state.turn(&Knob::new(&MEASURE, "clock"), &text));
    };
    clock(NOW);
    let plan =
        Plan::parse(Source { name: String::new(), text: text.to_owned() }, Arc::new(NoAssets), &Inputs::default());
    let plan = plan.unwrap();
    let at = plan.hosts().first().unwrap();
    let seal = Seal::new("plan.toml", &plan, &[&observe(&plan, at, &host).await.unwrap().diff(NOW)]);
    let later = NOW + time::Duration::days(20);
    let sealed = seal.now(&at.name).unwrap();
    // The host's clock is compared with what time it is, then and at the end.
    clock(later);
    let changes = observe(&plan, at, &host).await.unwrap().diff_as_of(sealed, later);
    assert_eq!(seal.check(&changes), Ok(()));
    assert!(apply(changes, &host, &ignore).await.unwrap().succeeded());
    let certificate = host.with(|state| state.entries.get(&"/srv/d/a.crt".parse().unwrap()).cloned()).unwrap().1;
    let facts = provision_core::x509::inspect(&certificate).unwrap();
    assert!(facts.not_before <= NOW && facts.not_after <= NOW + time::Duration::days(31), "{facts:?}");
    // And the host's history says when it was really done.
    let memory = observe(&plan, at, &host).await.unwrap().memory().clone();
    assert_eq!(memory.last.unwrap().head.unwrap().when, "2026-06-21T12:00:00Z");
}

#[test]
fn what_is_no_seal_is_told_from_one_that_is_broken_or_later() {
    assert!(!Seal::is_meant(b"name = \"x\""));
    assert!(!Seal::is_meant(b"{\"format\": \"other\"}"));
    assert!(Seal::is_meant(b"{\"format\": \"provision-seal\""));
    assert_eq!(Seal::read(b"{\"format\": \"provision-seal\", \"version\": 2}"), Err(SealError::Later(2)));
    assert!(matches!(Seal::read(b"{\"format\": \"provision-seal\", \"version\": 1}"), Err(SealError::Broken(_))));
}
