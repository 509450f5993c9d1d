//! A certificate that somebody brings: refused when the plan is read, put in place, kept, and exchanged for a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::*;
use crate::blob::Blob;
use crate::plan::asset::Assets;
use crate::resource::Kind;
use crate::testing::{Case, NOW, case, contract};
use crate::x509::{
    self, AuthoritySpec, LeafSpec, Lifetime, Names, Pair, generate_authority, inspect, issue_authority, issue_leaf,
    issued_by, key_matches, self_signed_leaf,
};

/// Files beside a plan that are nowhere.
struct Made(BTreeMap<String, Vec<u8>>);

impl Assets for Made {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        Ok(name.into())
    }

    fn blob(&self, name: &str) -> Result<Blob, String> {
        let found = self.0.get(name).ok_or_else(|| format!("cannot read {name}: there is none"))?;
        Ok(Blob::from_bytes(found.clone()))
    }
}

/// What an authority with an intermediate has handed out.
struct Site {
    root: Pair,
    issuing: Pair,
    leaf: Pair,
}

fn authority(name: &str, path_length: u8) -> AuthoritySpec {
    AuthoritySpec { path_length, ..AuthoritySpec::new(name.parse().unwrap()) }
}

fn names(names: &[&str]) -> Names {
    Names::new(names.iter().map(|name| name.parse().unwrap())).unwrap()
}

fn leaf(name: &str, days: u32, issuer: &Pair) -> Pair {
    let lifetime = Lifetime::from_days(days).unwrap();
    issue_leaf(&LeafSpec { lifetime, ..LeafSpec::new(names(&[name])) }, &issuer.issuer(), NOW).unwrap()
}

impl Site {
    fn new() -> Self {
        let root = generate_authority(&authority("Root", 1), NOW).unwrap();
        let issuing = issue_authority(&authority("Issuing", 0), &root.issuer(), NOW).unwrap();
        let leaf = leaf("a.example", 90, &issuing);
        Self { root, issuing, leaf }
    }

    fn chain(&self) -> String {
        format!("{}{}", self.issuing.certificate_pem, self.root.certificate_pem)
    }

    fn assets(&self) -> Arc<dyn Assets> {
        files(&[
            ("a.crt", &self.leaf.certificate_pem),
            ("a.key", &self.leaf.key_pem),
            ("chain.crt", &self.chain()),
            ("ca.crt", &self.chain()),
            ("ca.key", &self.issuing.key_pem),
            ("root.crt", &self.root.certificate_pem),
            ("root.key", &self.root.key_pem),
        ])
    }
}

fn files(files: &[(&str, &str)]) -> Arc<dyn Assets> {
    Arc::new(Made(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()))
}

const OWN: &str = "directory = '/srv'\nnames = ['a.example']\nsource = 'a.crt'\nchain_source = 'chain.crt'\n\
                   key_source = 'a.key'\n";
const ALL: &str = "combined = '/srv/x.pem'\nleaf = '/srv/leaf.crt'\nauthorities = '/srv/ca.crt'\n";

fn own(site: &Site, more: &str) -> Case {
    case("certificate", &format!("{OWN}{more}")).assets(site.assets())
}

fn read(case: &Case, name: &str) -> String {
    let path: AbsPath = name.parse().unwrap();
    case.host().with(|state| String::from_utf8(state.entries[&path].1.clone()).unwrap())
}

fn has(case: &Case, name: &str) -> bool {
    let path: AbsPath = name.parse().unwrap();
    case.host().with(|state| state.entries.contains_key(&path))
}

fn mode(case: &Case, name: &str) -> String {
    let path: AbsPath = name.parse().unwrap();
    case.host().with(|state| state.entries[&path].0.mode.to_string())
}

/// The names of what differs, with both sides where they are short.
fn shown(change: &Change) -> Vec<String> {
    let chance = |text: &str| text.len() >= 32 && !text.contains(' ');
    let side = |shown: &Shown| match shown {
        Shown::Text(text) if chance(text) => "*".to_owned(),
        Shown::Text(text) if text.contains("(sha256 ") => text.split(" (sha256").next().unwrap_or_default().to_owned(),
        Shown::Bytes { .. } => "bytes".to_owned(),
        other => other.line(),
    };
    change.attributes.iter().map(|a| format!("{}: {} -> {}", a.name, side(&a.before), side(&a.after))).collect()
}

#[test]
fn it_is_put_in_place_with_all_its_files() {
    let site = Site::new();
    let case = own(&site, ALL);
    let change = case.change();
    assert_eq!(change.action, Action::Create);
    assert_eq!(
        shown(&change),
        [
            "common_name: (absent) -> a.example",
            "names: (absent) -> a.example",
            "usages: (absent) -> server-auth",
            "key_type: (absent) -> ecdsa-p256",
            "issuer: (absent) -> CN=Issuing",
            "not_after: (absent) -> 2026-08-30T12:00:00Z",
            "serial: (absent) -> *",
            "fingerprint: (absent) -> *",
            "chain: (absent) -> Issuing",
            "key: (absent) -> (secret)",
            "combined: (absent) -> (secret)",
            "leaf: (absent) -> bytes",
            "authorities: (absent) -> bytes",
            "mode: (absent) -> 0644",
            "authorities_mode: (absent) -> 0644",
            "leaf_mode: (absent) -> 0644",
            "combined_mode: (absent) -> 0600",
            "key_mode: (absent) -> 0600",
        ]
    );
    let case = case.steps(
        "put the file /srv/x.key in place; put the file /srv/x.pem in place; put the file /srv/leaf.crt in place; put the \
         file /srv/ca.crt in place; put the file /srv/x.crt in place",
    );
    let served = format!("{}{}", site.leaf.certificate_pem, site.issuing.certificate_pem);
    assert_eq!(read(&case, "/srv/x.crt"), served);
    assert_eq!(read(&case, "/srv/x.key"), *site.leaf.key_pem);
    assert_eq!(read(&case, "/srv/x.pem"), format!("{served}{}", *site.leaf.key_pem));
    assert_eq!(read(&case, "/srv/leaf.crt"), site.leaf.certificate_pem);
    assert_eq!(read(&case, "/srv/ca.crt"), site.root.certificate_pem);
    case.in_sync().holds("path /srv/x.key; path /srv/x.pem; path /srv/leaf.crt; path /srv/ca.crt; path /srv/x.crt");
}

#[test]
fn the_contract_holds_for_what_is_brought() {
    let site = Site::new();
    let own = "[certificate.own]\ndirectory = '/etc'\nnames = ['a.example']\nsource = 'a.crt'\nchain_source = 'chain.crt'\n\
               key_source = 'a.key'\ncombined = '/etc/own.pem'\nauthorities = '/etc/roots.crt'\nkey_owner = '0'\n";
    contract(&Kind { example: own, ..crate::resource::certificate::KIND }, site.assets());
    let authority = "[certificate_authority.own]\ndirectory = '/etc'\nsource = 'ca.crt'\nkey_source = 'ca.key'\n\
                     [certificate.leaf]\nnames = ['a.example']\ndirectory = '/etc'\n\
                     authority = '{{ certificate_authority.own.certificate }}'\n\
                     authority_key = '{{ certificate_authority.own.key }}'\n";
    contract(&Kind { example: authority, ..crate::resource::certificate_authority::KIND }, site.assets());
}

#[test]
fn a_new_one_takes_the_place_of_the_old() {
    let site = Site::new();
    let host = own(&site, ALL).applied().host().with(|state| state.clone());
    let newer = Site { leaf: leaf("a.example", 200, &site.issuing), ..site };
    let case = own(&newer, ALL).given(|state| *state = host);
    let change = case.change();
    assert_eq!((change.action, change.signal), (Action::Replace, Signal::Content));
    assert_eq!(
        shown(&change),
        [
            "not_after: 2026-08-30T12:00:00Z -> 2026-12-18T12:00:00Z",
            "serial: * -> *",
            "fingerprint: * -> *",
            "key: (secret) -> (secret)",
            "combined: (secret) -> (secret)",
            "leaf: bytes -> bytes"
        ]
    );
    // The root is what it was.
    let case = case.steps(
        "put the file /srv/x.key in place; put the file /srv/x.pem in place; put the file /srv/leaf.crt in place; put the \
         file /srv/x.crt in place",
    );
    assert_eq!(read(&case, "/srv/x.key"), *newer.leaf.key_pem);
    case.in_sync();
}

#[test]
fn each_file_that_drifts_is_put_right_and_no_other() {
    let site = Site::new();
    for (name, steps, attribute) in [
        ("/srv/x.key", "put the file /srv/x.key in place", "key: (secret) -> (secret)"),
        ("/srv/x.pem", "put the file /srv/x.pem in place", "combined: (secret) -> (secret)"),
        ("/srv/leaf.crt", "put the file /srv/leaf.crt in place", "leaf: bytes -> bytes"),
        ("/srv/ca.crt", "put the file /srv/ca.crt in place", "authorities: bytes -> bytes"),
    ] {
        let case = own(&site, ALL).applied().given(|state| {
            let entry = state.entries.get_mut(&name.parse::<AbsPath>().unwrap()).unwrap();
            entry.1.extend_from_slice(b"by hand\n");
        });
        let change = case.change();
        assert_eq!((change.action, change.signal), (Action::Update, Signal::Content), "{name}");
        assert_eq!(shown(&change), [attribute]);
        case.steps(steps).in_sync();
    }
    for (name, attribute) in [
        ("/srv/x.crt", "mode: 0777 -> 0644"),
        ("/srv/x.key", "key_mode: 0777 -> 0600"),
        ("/srv/x.pem", "combined_mode: 0777 -> 0600"),
        ("/srv/leaf.crt", "leaf_mode: 0777 -> 0644"),
        ("/srv/ca.crt", "authorities_mode: 0777 -> 0644"),
    ] {
        let case = own(&site, ALL).applied().given(|state| {
            state.entries.get_mut(&name.parse::<AbsPath>().unwrap()).unwrap().0.mode = "0777".parse().unwrap();
        });
        let change = case.change();
        // Whoever runs with it has nothing to do.
        assert_eq!(
            (change.action, change.signal, shown(&change)),
            (Action::Update, Signal::None, vec![attribute.to_owned()])
        );
        case.steps(&format!("set mode and owner of {name}")).in_sync();
    }
    // The chain alone.
    let case = own(&site, "").applied().given_file("/srv/x.crt", &site.leaf.certificate_pem, "0644");
    assert_eq!(shown(&case.change()), ["chain: (absent) -> Issuing"]);
    let case = case.steps("put the file /srv/x.crt in place").in_sync();
    // Text around it is no difference of the certificate, and still none of ours.
    let edited = format!("# note\n{}", read(&case, "/srv/x.crt"));
    let case = case.given_file("/srv/x.crt", &edited, "0644");
    assert_eq!(shown(&case.change()), ["certificate: bytes -> bytes"]);
    case.mended();
}

#[test]
fn owners_of_keys_may_be_others() {
    let site = Site::new();
    let fields = "owner = 'core'\nkey_group = 'haproxy'\nkey_mode = '0640'\nmode = '0444'\ncombined = '/srv/x.pem'\n";
    let case = own(&site, fields).applied();
    assert_eq!((mode(&case, "/srv/x.crt"), mode(&case, "/srv/x.key")), ("0444".to_owned(), "0640".to_owned()));
    assert_eq!(mode(&case, "/srv/x.pem"), "0640");
    case.in_sync().host().with(|state| {
        for (name, user, group) in
            [("/srv/x.crt", "core", "root"), ("/srv/x.key", "core", "haproxy"), ("/srv/x.pem", "core", "haproxy")]
        {
            let entry = &state.entries[&name.parse::<AbsPath>().unwrap()].0;
            assert_eq!((entry.user.shown(), entry.group.shown()), (user.to_owned(), group.to_owned()), "{name}");
        }
    });
}

#[test]
fn text_of_inputs_does_as_well_as_files() {
    let site = Site::new();
    let fields =
        "directory = '/srv'\nnames = ['a.example']\ncontent = '{{ input.all }}'\nkey_content = '{{ input.all }}'\n";
    let all = format!("{}{}", *site.leaf.key_pem, site.leaf.certificate_pem);
    let case = case("certificate", fields).secret_input("all", &all).applied();
    assert_eq!(read(&case, "/srv/x.crt"), site.leaf.certificate_pem);
    assert_eq!(read(&case, "/srv/x.key"), *site.leaf.key_pem);
    case.in_sync();
}

#[test]
fn an_encrypted_key_is_opened_on_this_side() {
    let site = Site::new();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("plain"), site.leaf.key_pem.as_bytes()).unwrap();
    let arguments = ["pkcs8", "-topk8", "-in", "plain", "-out", "locked", "-passout", "pass:hunter22"];
    let made = std::process::Command::new("openssl").args(arguments).current_dir(directory.path()).status().unwrap();
    assert!(made.success());
    let locked = std::fs::read_to_string(directory.path().join("locked")).unwrap();
    let assets = || files(&[("a.crt", &site.leaf.certificate_pem), ("a.key", &locked)]);
    let fields = "directory = '/srv'\nnames = ['a.example']\nsource = 'a.crt'\nkey_source = 'a.key'\n";
    let secret = format!("{fields}passphrase = '{{{{ input.word }}}}'\n");
    let opened = case("certificate", &secret).secret_input("word", "hunter22").assets(assets()).applied().in_sync();
    assert_eq!(read(&opened, "/srv/x.key"), *site.leaf.key_pem);
    case("certificate", &secret).secret_input("word", "hunter23").assets(assets()).refused(
        "7:14: certificate.x: the passphrase does not open the private key (`openssl pkey -in KEY -noout` asks for it and \
         tells whether it is right)",
    );
    // An empty one is none, so that a plan may leave it open.
    let missing = "6:14: certificate.x: the private key is encrypted, and there is no passphrase for it (add `passphrase = \
                   \"{{ input.NAME }}\"`, from an input with `secret = true`)";
    case("certificate", fields).assets(assets()).refused(missing);
    case("certificate", &secret).secret_input("word", "").assets(assets()).refused(missing);
    case("certificate", &format!("{fields}passphrase = 'hunter22'\n")).assets(assets()).refused(
        "7:14: `passphrase` of certificate.x is not secret: whoever reads the plan or its inputs sees it (write `passphrase \
         = \"{{ input.NAME }}\"` and `secret = true` in [input.NAME])",
    );
}

#[test]
fn mistakes_are_found_when_the_plan_is_read() {
    let site = Site::new();
    let other = leaf("other.example", 90, &site.issuing);
    let assets = || {
        files(&[
            ("a.crt", &site.leaf.certificate_pem),
            ("a.key", &site.leaf.key_pem),
            ("chain.crt", &site.chain()),
            ("reversed.crt", &format!("{}{}", site.root.certificate_pem, site.issuing.certificate_pem)),
            ("issuing.crt", &site.issuing.certificate_pem),
            ("other.key", &other.key_pem),
            ("large", &"x".repeat(5 << 20)),
        ])
    };
    let start = "directory = '/srv'\nnames = ['a.example']\n";
    let pair = "source = 'a.crt'\nkey_source = 'a.key'\n";
    for (fields, finding) in [
        (
            format!("{start}source = 'a.crt'\n"),
            "2:14: certificate.x lacks the key of its certificate: there is neither `key_source` nor `key_content` (add \
             `key_source = \"FILE\"`, a file beside the plan)",
        ),
        (
            format!("{start}key_source = 'a.key'\n"),
            "2:14: certificate.x lacks the certificate: there is neither `source` nor `content` (add `source = \"FILE\"`, a \
             file beside the plan)",
        ),
        (
            format!("{start}{pair}content = 'x'\n"),
            "7:11: certificate.x has both `source` and `content` (write one of them)",
        ),
        (
            format!("{start}source = 'b.crt'\nkey_source = 'a.key'\n"),
            "5:10: cannot read b.crt: there is none (a relative path starts at the plan's directory)",
        ),
        (
            format!("{start}{pair}chain_source = 'reversed.crt'\n"),
            "7:16: certificate.x: the chain is in the wrong order: a.example, Root, Issuing (each is followed by its \
             issuer's: a.example, Issuing, Root)",
        ),
        (
            format!("{start}{pair}authorities = '/srv/ca.crt'\nchain_source = 'issuing.crt'\n"),
            "7:15: the chain of certificate.x does not lead to a root, which clients could trust (add the certificate of the \
             root to the end of the chain, or take `authorities` out)",
        ),
        (
            format!("directory = '/srv'\nnames = ['a.example', 'b.example', '192.0.2.1']\n{pair}"),
            "5:10: certificate.x: the certificate is not for b.example, 192.0.2.1: it is for a.example (have it issued for \
             them too, or take them out of `names`)",
        ),
        (
            format!("{start}{pair}usages = 'client'\n"),
            "5:10: certificate.x: the certificate is for server-auth, and not for client-auth (have it issued for that, or \
             say in `usages` what it is for)",
        ),
        (
            format!("directory = '/srv'\n{pair}"),
            "2:14: certificate.x has no names (add `names = [...]`: every DNS name and address that clients connect to)",
        ),
        (
            format!("{start}{pair}lifetime = '90d'\nauthority = '/etc/ca.crt'\n"),
            "7:12: `lifetime` says nothing of a certificate that certificate.x brings along (take it out: what is given is \
             as it is)\n8:13: `authority` says nothing of a certificate that certificate.x brings along (take it out: what \
             is given is as it is)",
        ),
        (
            format!("{start}{pair}renew_before = '91d'\n"),
            "7:16: 91 days before its end the certificate of certificate.x was not there yet (it is valid for 90 days in \
             all: take fewer)",
        ),
        (
            format!("{start}source = 'large'\nkey_source = 'a.key'\n"),
            "5:10: certificate.x: found no certificate in PEM, only text without any PEM section (it takes PEM: base64 \
             between lines of `-----BEGIN ...-----` and `-----END ...-----`)",
        ),
        (
            format!("{start}{pair}combined = '/srv/x.crt'\n"),
            "7:12: /srv/x.crt cannot be both the `certificate` and the `combined` (give each a file of its own)",
        ),
        (
            format!("{start}source = 'a.crt'\nkey_content = 'x'\n"),
            "6:15: `key_content` of certificate.x is not secret: whoever reads the plan or its inputs sees it (write \
             `key_content = \"{{ input.NAME }}\"` and `secret = true` in [input.NAME])",
        ),
    ] {
        case("certificate", &fields).assets(assets()).refused(finding);
    }
    let fields = "directory = '/srv'\nsource = 'a.crt'\nkey_source = 'a.key'\n";
    case("certificate_authority", fields).assets(assets()).refused(
        "4:10: certificate_authority.x: a.example is not the certificate of an authority: its basic constraints do not say \
         that it is an authority (take the certificate of whoever is to sign; one for a server is a certificate resource)",
    );
    let fields = "directory = '/srv'\nsource = 'chain.crt'\nkey_source = 'a.key'\ncommon_name = 'CA'\n";
    case("certificate_authority", fields).assets(assets()).refused(&format!(
        "5:14: certificate_authority.x: the private key does not belong to the certificate of Issuing: the key's public half \
         is sha256:{}, the certificate's sha256:{} (take the key that the certificate was requested with; `openssl pkey -in \
         KEY -pubout -outform der | sha256sum` prints the first of the two)\n6:15: `common_name` says nothing of a \
         certificate that certificate_authority.x brings along (take it out: what is given is as it is)",
        x509::public_key_sha256(site.leaf.key_pem.as_bytes()).unwrap(),
        x509::public_key_sha256(site.issuing.key_pem.as_bytes()).unwrap()
    ));
    case("certificate_authority", "directory = '/srv'\ncommon_name = 'CA'\ninstall_key = true\n").refused(
        "5:15: `install_key` says nothing of the key that certificate_authority.x makes (take it out: a key that is made on \
         a host is kept there)",
    );
}

#[test]
fn what_is_not_valid_now_is_not_put_in_place() {
    let site = Site::new();
    own(&site, "")
        .at(NOW + Duration::days(90))
        .undecided("the certificate of a.example expired at 2026-08-30T12:00:00Z");
    own(&site, "").at(NOW - Duration::days(1)).undecided(
        "the certificate of a.example is not valid before 2026-06-01T00:00:00Z, and it is 2026-05-31T12:00:00Z here",
    );
}

#[test]
fn its_end_is_told_in_time() {
    let site = Site::new();
    let told = |more: &str, days: i64| {
        let case = own(&site, more).applied().at(NOW + Duration::days(days));
        let changes = case.changes();
        assert!(changes.is_empty());
        changes.notices().map(|(address, notice)| format!("{address}: {notice}")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(told("", 60), "");
    assert_eq!(
        told("", 61),
        "certificate.x: the certificate of a.example ends in 29 days, at 2026-08-30T12:00:00Z: bring a new one in time"
    );
    assert_eq!(told("renew_before = '10d'\n", 80), "");
    assert_eq!(
        told("renew_before = '10d'\n", 81).split(',').next(),
        Some("certificate.x: the certificate of a.example ends in 9 days")
    );
}

const OWN_AUTHORITY: &str =
    "[certificate_authority.own]\ndirectory = '/etc'\nsource = 'ca.crt'\nkey_source = 'ca.key'\n";
const SIGNED: &str = "directory = '/srv'\nnames = ['a.example']\nauthorities = '/srv/ca.crt'\n\
                      authority = '{{ certificate_authority.own.certificate }}'\n\
                      authority_key = '{{ certificate_authority.own.key }}'\n";

fn signed(site: &Site, more: &str) -> Case {
    case("certificate", SIGNED).plan(OWN_AUTHORITY).plan(more).assets(site.assets())
}

#[test]
fn an_authority_of_ones_own_signs_from_this_side() {
    let site = Site::new();
    let case = signed(&site, "").applied();
    let leaf = read(&case, "/srv/x.crt");
    assert!(issued_by(leaf.as_bytes(), site.issuing.certificate_pem.as_bytes()).unwrap());
    assert!(key_matches(leaf.as_bytes(), read(&case, "/srv/x.key").as_bytes()).unwrap());
    assert_eq!(inspect(leaf.as_bytes()).unwrap().count, 2);
    assert_eq!(read(&case, "/srv/ca.crt"), site.root.certificate_pem);
    // The whole chain is there for those who are to check; the key is nowhere.
    assert_eq!(read(&case, "/etc/own.crt"), site.chain());
    assert!(!has(&case, "/etc/own.key"));
    let secret = site.issuing.key_pem.lines().nth(1).unwrap().to_owned();
    let case = case.in_sync();
    case.host().with(|state| {
        for (path, (_, content)) in &state.entries {
            assert!(!String::from_utf8_lossy(content).contains(&secret), "{path}");
        }
        let debug = format!("{:?}", state.steps);
        assert!(!debug.contains(&secret) && !debug.contains("PRIVATE KEY"));
    });
    // It signs again when it does not change itself.
    let case = case.given(|state| drop(state.entries.remove(&"/srv/x.crt".parse::<AbsPath>().unwrap())));
    let case = case
        .steps("put the file /srv/x.key in place; put the file /srv/ca.crt in place; put the file /srv/x.crt in place");
    assert!(issued_by(read(&case, "/srv/x.crt").as_bytes(), site.issuing.certificate_pem.as_bytes()).unwrap());
    case.in_sync();
}

#[test]
fn its_key_goes_to_the_host_where_that_is_said() {
    let site = Site::new();
    let fields = "directory = '/etc'\nsource = 'ca.crt'\nkey_source = 'ca.key'\ninstall_key = true\n";
    let case = case("certificate_authority", fields).assets(site.assets());
    let case = case.steps("put the file /etc/x.key in place; put the file /etc/x.crt in place");
    assert_eq!(
        (read(&case, "/etc/x.key"), mode(&case, "/etc/x.key")),
        (site.issuing.key_pem.to_string(), "0600".to_owned())
    );
    case.in_sync().holds("path /etc/x.key; path /etc/x.crt");
}

#[test]
fn a_renewed_authority_of_ones_own_keeps_its_leaves_and_another_does_not() {
    let site = Site::new();
    let host = signed(&site, "").applied().host().with(|state| state.clone());
    let key = |case: &Case| read(case, "/srv/x.key");
    let renewed =
        x509::renew_authority(&authority("Issuing", 0), &site.issuing.issuer(), Some(&site.root.issuer()), NOW)
            .unwrap();
    let same = Site { root: site.root.clone(), issuing: renewed, leaf: site.leaf.clone() };
    let case = signed(&same, "").given(|state| *state = host.clone());
    let before = key(&case);
    let change = case.change();
    assert_eq!(
        (change.action, shown(&change)),
        (
            Action::Update,
            vec![
                "chain: Issuing -> (known after apply)".to_owned(),
                "authorities: Root -> (known after apply)".to_owned()
            ]
        )
    );
    let case = case.mended();
    assert_eq!(key(&case), before);
    let fingerprints =
        |text: &str| inspect_all(text.as_bytes()).unwrap().into_iter().map(|one| one.sha256).collect::<Vec<_>>();
    assert_eq!(fingerprints(&read(&case, "/srv/x.crt"))[1..], fingerprints(&same.issuing.certificate_pem)[..]);

    let other = Site::new();
    let case = signed(&other, "").given(|state| *state = host);
    assert_eq!(case.change().action, Action::Replace);
    let case = case.because("its authority is another one").mended();
    assert_ne!(key(&case), before);
    assert!(issued_by(read(&case, "/srv/x.crt").as_bytes(), other.issuing.certificate_pem.as_bytes()).unwrap());
}

#[test]
fn a_leaf_for_clients_alone_needs_no_names() {
    let spec = LeafSpec { usages: x509::Usages::Client, ..LeafSpec::new(names(&["a.example"])) };
    let pair = self_signed_leaf(&spec, NOW).unwrap();
    let assets = files(&[("a.crt", &pair.certificate_pem), ("a.key", &pair.key_pem)]);
    let fields = "directory = '/srv'\nusages = 'client'\nsource = 'a.crt'\nkey_source = 'a.key'\n";
    case("certificate", fields).assets(assets).mended();
}

#[test]
fn whoever_uses_it_reloads_once_and_says_why() {
    let site = Site::new();
    let plan = "[certificate.own]\ndirectory = '/etc'\nnames = ['a.example']\nsource = 'a.crt'\nchain_source = 'chain.crt'\n\
                key_source = 'a.key'\ncombined = '/etc/own.pem'\n[haproxy.front]\npath = '/etc/haproxy.cfg'\ncheck = false\n\
                [[haproxy.front.frontend]]\nname = 'https'\nbackend = 'app'\n\
                bind = [{ address = '::', port = 443, tls = '{{ certificate.own.combined }}' }]\n\
                [[haproxy.front.backend]]\nname = 'app'\nservers = [{ name = 'app', address = '127.0.0.1', port = 80 }]\n";
    let service = |site: &Site| {
        case("service", "unit = 'haproxy.service'\non_change = 'reload'\n").plan(plan).assets(site.assets())
    };
    let before = service(&site).given_unit("haproxy.service", "active", "enabled").applied().in_sync();
    let host = before.host().with(|state| state.clone());
    let newer = Site { leaf: leaf("a.example", 200, &site.issuing), ..site };
    let case = service(&newer).given(|state| *state = host).because("because certificate.own changes");
    let case = case.steps(
        "put the file /etc/own.key in place; put the file /etc/own.pem in place; put the file /etc/own.crt in place; reload \
         haproxy.service",
    );
    case.in_sync();
}
