//! Readers of hostile text as functions of bytes, for the fuzz targets in `tests/fuzz`: what a plan says, what a host
//! replies, what lies in files that others may have written.
//!
//! Each is a property that holds for all bytes whatever: nothing panics, and what is read and written again is read as
//! the same. Built only for tests and with the feature `fuzz`, no part of what the library promises.

#![expect(clippy::panic, clippy::expect_used, reason = "a panic is how a target tells what it has found")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;

use crate::blob::{Blob, sha256_hex};
use crate::bundle;
use crate::change::Change;
use crate::connection::ShellConnection;
use crate::engine::{Changes, observe, observe_destroy, observe_rollback};
use crate::facts;
use crate::image_archive::{ArchivedImage, ImageArchive, Layers};
use crate::ledger::{Head, Ledger, Scope};
use crate::object::{Object, Record};
use crate::plan::Plan;
use crate::plan::asset::NoAssets;
use crate::plan::input::Inputs;
use crate::plan::problem::{Source, position};
use crate::probe::{self, Ask};
use crate::resource::KINDS;
use crate::seal::Seal;
use crate::shell::Become;
use crate::step::reply::Progress;
use crate::step::{self, Batch, Journal, Purpose, Step, Task};
use crate::systemd::Manager;
use crate::testing::NOW;
use crate::transport::{Exit, Request, Sink, Stream, Transport, TransportError};
use crate::x509;

#[cfg(test)]
mod tests;

/// A property of bytes.
pub type Property = fn(&[u8]);

/// Every target with its name: that of its file in `tests/fuzz/targets`, of its seeds and of what it has found.
pub const TARGETS: &[(&str, Property)] = &[
    ("bundle", bundle),
    ("certificate", certificate),
    ("facts", facts),
    ("image_archive", image_archive),
    ("images", images),
    ("known_hosts", known_hosts),
    ("ledger", ledger),
    ("plan", plan),
    ("reply", reply),
    ("seal", seal),
    ("step", step),
];

/// The marker of a reply here: with a short one, the fuzzer finds out by itself what a section is.
const NONCE: &str = "n";

/// The text of a plan. Every finding has a place in the text, says something, and is said once.
pub fn plan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let source = Source { name: "p".to_owned(), text: text.clone() };
    let error = match Plan::parse(source, Arc::new(NoAssets), &Inputs::default()) {
        Ok(_) => return,
        Err(error) => error,
    };
    assert!(!error.problems.is_empty());
    for problem in &error.problems {
        assert!(!problem.message.is_empty(), "a finding says nothing");
        if let Some(place) = problem.span {
            let piece = text.get(place.start..place.end);
            assert!(piece.is_some(), "{problem:?} is not a place in the text");
            assert!(position(&text, place.start) <= position(&text, place.end));
        }
    }
    assert!(!error.to_string().is_empty());
}

/// What a host says of itself.
pub fn facts(bytes: &[u8]) {
    if let Some(facts) = facts::read(bytes, NONCE) {
        assert_eq!(facts.iter().count(), facts::NAMES.len());
        assert!(facts.iter().all(|(_, value)| !value.contains('\n')));
    }
}

/// What a host replies to every question of a kind, as far as what is then shown and sealed. The first line names the
/// kind and what is to become of the plan.
pub fn reply(bytes: &[u8]) {
    static PLANS: LazyLock<BTreeMap<&str, Plan>> =
        LazyLock::new(|| KINDS.iter().map(|kind| (kind.name, example(kind.example))).collect());
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (head, reply) = bytes.split_at(end);
    let Some((kind, verb)) = str::from_utf8(head).ok().and_then(|head| head.split_once(' ')) else { return };
    let Some(plan) = PLANS.get(kind) else { return };
    let Some(host) = plan.hosts().first() else { return };
    let host_that_replies = Replies(reply.to_vec());
    let connection = ShellConnection::new(host_that_replies, Become::No, Duration::from_secs(1));
    let observed = at_once(async {
        match verb {
            "destroy" => observe_destroy(plan, host, &connection).await,
            "rollback" => observe_rollback(plan, host, &connection).await,
            _ => observe(plan, host, &connection).await,
        }
    });
    if let Ok(observed) = observed {
        shown(plan, &observed.diff(NOW));
    }
}

/// Goes through all that a view goes through.
fn shown(plan: &Plan, changes: &Changes) {
    let text = |change: &Change| format!("{change:?}");
    for (_, change) in changes.iter().chain(changes.leaving()) {
        assert!(!change.map_or_else(ToString::to_string, text).is_empty());
    }
    let _counted = (changes.undecided().count(), changes.foreign().count(), changes.kept().count());
    let seal = Seal::new("p", plan, &[changes]);
    assert_eq!(Seal::read(seal.text().as_bytes()).as_ref(), Ok(&seal), "a seal that is not read as it was written");
    assert_eq!(seal.check(changes), Ok(()), "the same look comes to something else");
}

fn example(text: &str) -> Plan {
    let source = Source { name: "example".to_owned(), text: format!("name = \"p\"\n{text}") };
    Plan::parse(source, Arc::new(NoAssets), &Inputs::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A bundle. What is taken is recognised, and no member would be unpacked elsewhere.
pub fn bundle(bytes: &[u8]) {
    // No fuzzer finds a digest: a bundle is made around a manifest, with members that are what it says. `LENGTH` and `DIGEST`
    // are those of the member.
    let made = bytes.starts_with(b"{").then(|| {
        let (length, digest) = (MEMBER.len().to_string(), sha256_hex(MEMBER));
        let text = String::from_utf8_lossy(bytes).replace("LENGTH", &length).replace("DIGEST", &digest);
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in [(bundle::MANIFEST, text.as_bytes()), ("plan/plan.toml", MEMBER)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content).expect("it is in memory");
        }
        tar.into_inner().expect("it is in memory")
    });
    let bytes = made.as_deref().unwrap_or(bytes);
    if let Ok(members) = bundle::members(bytes) {
        assert!(bundle::is_meant(bytes) && !members.is_empty());
        assert!(members.iter().all(|name| !name.starts_with('/') && !name.split('/').any(|part| part == "..")));
    }
}

const MEMBER: &[u8] = b"name = \"site\"\n";

/// Podman's own lists of its images and layers, as a host sends them.
pub fn images(bytes: &[u8]) {
    let digests = BTreeSet::from([format!("sha256:{}", "5".repeat(64))]);
    let ask = Ask::Layers { manager: Manager::System, digests: digests.clone() };
    let reply = [b"\n@n begin\n\n@n layers 0\n", bytes, b"\n@n end\n"].concat();
    let answers = probe::reply::read(&[&ask], &reply, NONCE).expect("it begins and ends");
    if let Ok(layers) = answers.layers(&Manager::System, &digests) {
        assert!(layers.unpacked.keys().chain(&layers.packed).all(|digest| digests.contains(digest)));
    }
    let reply = [b"\n@n begin\n\n@n images -\n\n@n image-store /s/images.json\n", bytes, b"\n@n end\n"].concat();
    let answers = probe::reply::read(&[&Ask::Images(Manager::System)], &reply, NONCE).expect("it begins and ends");
    if let Ok(images) = answers.images(&Manager::System) {
        assert!(images.is_sorted());
    }
}

/// What a host says while it works through a batch, in pieces of any size: told on the way is what the whole says.
pub fn step(bytes: &[u8]) {
    static BATCH: LazyLock<Batch> = LazyLock::new(batch);
    let Some((size, reply)) = bytes.split_first() else { return };
    let mut told = Vec::new();
    let mut tell = |heard| told.push(heard);
    let mut progress = Progress::new(NONCE, &mut tell);
    for piece in reply.chunks(usize::from(*size).max(1)) {
        progress.accept(piece);
    }
    progress.finish();
    let kept = std::mem::take(&mut progress.reply);
    let output = format!("@{NONCE} output ");
    let speaks = reply.windows(output.len()).any(|window| window == output.as_bytes());
    assert!(speaks || kept == reply);
    if let Ok(read) = step::reply::read(&BATCH, &kept, NONCE) {
        assert_eq!(read.outcomes.len(), BATCH.tasks.len());
        assert!(!read.ended || read.outcomes.len() == BATCH.tasks.len());
        assert_ne!(read.apply, Some(0));
    }
    let mut whole = Vec::new();
    let mut tell = |heard| whole.push(heard);
    let mut progress = Progress::new(NONCE, &mut tell);
    progress.accept(reply);
    progress.finish();
    assert_eq!(told, whole, "pieces of {size} tell something else");
}

/// Three tasks, as of a batch that goes on with an apply.
fn batch() -> Batch {
    let task = |name: &str| {
        let steps = vec![Step::ReloadUnits(Manager::System)];
        let address = format!("service.{name}").parse().unwrap_or_else(|error| panic!("{error}"));
        Task::new(address, steps)
    };
    let second = Duration::from_secs(1);
    let [who, since] = ["me@here", "2026-06-01T12:00:00Z"].map(str::to_owned);
    let journal = Journal { purpose: Purpose::Continue, who, since, wait: second, lease: second, arm: None };
    Batch { tasks: ["a", "b", "c"].map(task).into(), plan: "p".to_owned(), step_limit: second, journal }
}

/// What a host remembers of a plan: the ledger, a record, the head of an apply.
pub fn ledger(bytes: &[u8]) {
    if let Ok(ledger) = Ledger::read(bytes) {
        assert_eq!(Ledger::read(ledger.text().as_bytes()), Ok(ledger));
    }
    if let Ok(head) = serde_json::from_slice::<Head>(bytes) {
        let text = serde_json::to_string(&head).expect("strings and numbers have a JSON text");
        assert_eq!(serde_json::from_str::<Head>(&text).expect("what was written"), head);
    }
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Ok(record) = line.parse::<Record>() {
            assert_eq!(record.to_string().parse(), Ok(record));
        }
        if let Ok(object) = line.parse::<Object>() {
            assert_eq!(object.to_string().parse(), Ok(object));
        }
    }
    let plan = "p".to_owned();
    let asks = [
        Ask::Memory { plan: plan.clone(), ledger: "d".to_owned() },
        Ask::Records { plan: plan.clone(), scope: Scope::Origin },
        Ask::History(plan),
    ];
    let reply = [b"\n@n begin\n\n@n memory d p\n", bytes, b"\n@n end\n"].concat();
    let answers = probe::reply::read(&asks.each_ref(), &reply, NONCE).expect("it begins and ends");
    assert!(asks.iter().all(|ask| answers.has(ask)));
}

/// A certificate or a private key that was found on a host, or that a plan brings.
pub fn certificate(bytes: &[u8]) {
    if let Ok(info) = x509::inspect(bytes) {
        let _verdict = (info.is_issued_by(&info), x509::check_may_issue(&info, NOW));
        let expiry = x509::Expiry { now: NOW, renew_before: time::Duration::days(1) };
        let name = "server.example".parse().unwrap_or_else(|error| panic!("{error}"));
        let names = x509::Names::new([name]).unwrap_or_else(|error| panic!("{error}"));
        let found = x509::Found { certificate: &info, key_sha256: Some("0") };
        let differences = x509::leaf_differences(&x509::LeafSpec::new(names), found, Some(&info), expiry);
        assert!(differences.iter().all(|difference| !difference.reason.is_empty()));
        let name = "CA".parse().unwrap_or_else(|error| panic!("{error}"));
        let differences = x509::authority_differences(&x509::AuthoritySpec::new(name), found, Some(&info), expiry);
        assert!(differences.iter().all(|difference| !difference.reason.is_empty()));
    }
    let _read = x509::public_key_sha256(bytes);
}

/// An image archive beside a plan. Read whole and by passing over its layers, it says the same.
pub fn image_archive(bytes: &[u8]) {
    // No fuzzer finds a digest: an archive is made around bytes that look like its documents.
    let made = bytes.starts_with(b"{").then(|| layout(bytes));
    let bytes = made.as_deref().unwrap_or(bytes);
    let whole = ImageArchive::read(bytes);
    let index = ImageArchive::index(Cursor::new(bytes));
    if let Ok(whole) = whole {
        let _named = (whole.images.iter().map(ArchivedImage::loaded_names).count(), whole.select(None, None).is_ok());
        let index = index.unwrap_or_else(|error| panic!("read whole, and yet {error}"));
        for image in &index.images {
            let Some(layered) = index.layered(image) else { continue };
            let there = Layers {
                unpacked: layered.digests().into_iter().map(|digest| (digest, 1)).collect(),
                ..Layers::default()
            };
            let _rest = layered.without(&there, &Blob::unhashed("x".into(), bytes.len() as u64));
        }
        assert_eq!(index, ImageArchive { sha256: None, ..whole });
    }
}

/// A tar of an OCI layout: its index, its manifest and its configuration, parted by lines `---`. `MANIFEST` and `CONFIG`
/// are their digests.
fn layout(documents: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(documents).into_owned();
    let mut parts = text.splitn(3, "\n---\n");
    let mut next = || parts.next().unwrap_or_default();
    let (index, manifest, config) = (next(), next(), next());
    let config_digest = sha256_hex(config.as_bytes());
    let manifest = manifest.replace("CONFIG", &config_digest);
    let manifest_digest = sha256_hex(manifest.as_bytes());
    let index = index.replace("MANIFEST", &manifest_digest).replace("CONFIG", &config_digest);
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [
        ("oci-layout".to_owned(), r#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json".to_owned(), index.as_str()),
        (format!("blobs/sha256/{manifest_digest}"), manifest.as_str()),
        (format!("blobs/sha256/{config_digest}"), config),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).expect("memory takes it");
    }
    tar.into_inner().expect("memory takes it")
}

/// A known_hosts file. The first byte chooses how the host was called.
pub fn known_hosts(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let (host, port) = match choice % 4 {
        0 => ("host.example", 22),
        1 => ("Host.example", 2222),
        2 => ("192.0.2.1", 22),
        _ => ("2001:0db8::1", 2222),
    };
    let _verdict = crate::transport::ssh::judge(&String::from_utf8_lossy(text), host, port);
}

/// A sealed plan.
pub fn seal(bytes: &[u8]) {
    let _meant = Seal::is_meant(bytes);
    if let Ok(seal) = Seal::read(bytes) {
        assert_eq!(Seal::read(seal.text().as_bytes()).as_ref(), Ok(&seal));
        for host in seal.hosts() {
            assert!(seal.now(host).is_some());
        }
    }
}

/// A host that replies the same whatever it is asked, with the marker of the question in place of [`NONCE`].
struct Replies(Vec<u8>);

#[async_trait]
impl Transport for Replies {
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        let program = request.input.first().and_then(|blob| blob.bytes()).unwrap_or_default();
        let program = String::from_utf8_lossy(program);
        let word = |start: &str| program.lines().find_map(|line| line.strip_prefix(start)?.split(' ').next());
        let nonce = word("n=").expect("every program has its marker");
        let mut rest = self.0.as_slice();
        while let Some(at) = rest.windows(4).position(|four| four == b"\n@n ") {
            let (before, after) = rest.split_at(at);
            sink.accept(&[before, b"\n@", nonce.as_bytes(), b" "].concat());
            rest = after.get(4..).unwrap_or_default();
            // Which ledger it is asked about follows from the plan, so that bytes alone cannot know it.
            if let (Some(after), Some(ledger)) = (rest.strip_prefix(b"memory LEDGER"), word("memory ")) {
                sink.accept(&[b"memory ", ledger.as_bytes()].concat());
                rest = after;
            }
        }
        sink.accept(rest);
        Ok(Exit { status: Some(0), stderr: Vec::new() })
    }

    async fn connect_tcp(&self, host: &str, port: u16, _limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let target = format!("{host}:{port}");
        Err(TransportError::Tunnel { host: "h".to_owned(), target, reason: "it only replies".to_owned() })
    }

    fn label(&self) -> &str {
        "h"
    }
}

/// The result of what never waits.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits, although the host replies at once"),
    }
}
