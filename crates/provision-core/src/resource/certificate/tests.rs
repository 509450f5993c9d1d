//! What happens to a leaf: issued with its authority in one apply, kept, and issued anew for a reason.

use std::collections::BTreeMap;

use time::Duration;
use zeroize::Zeroizing;

use crate::change::{Action, Change, Shown, Signal};
use crate::connection::Connection;
use crate::facts::Facts;
use crate::path::AbsPath;
use crate::plan::Plan;
use crate::plan::asset::NoAssets;
use crate::plan::input::Inputs;
use crate::plan::problem::Source;
use crate::probe::Answers;
use crate::resource::{Context, Materials, Thing};
use crate::step::Step;
use crate::testing::{Case, FakeHost, NOW, State, case};
use crate::x509::{self, AuthoritySpec, LeafSpec, Lifetime, Names, Pair, Usages, inspect, issued_by, key_matches};

const NAMES: &str = "names = ['a.example', '192.0.2.1', '2001:db8::1']\n";
const SELF_SIGNED: &str = "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\n";
const ROOT: &str = "[certificate_authority.root]\ndirectory = '/etc'\ncommon_name = 'Root CA'\n";
const SIGNED: &str = "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\n\
                      authority = '{{ certificate_authority.root.certificate }}'\n\
                      authority_key = '{{ certificate_authority.root.key }}'\n";
/// An authority that the plan does not manage.
const FOREIGN: &str = "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\n\
                       authority = '/opt/ca.pem'\nauthority_key = '/opt/ca.key'\n";

const CERTIFICATE: &str = "/srv/x.crt";
const KEY: &str = "/srv/x.key";

fn lone(more: &str) -> Case {
    case("certificate", &format!("{SELF_SIGNED}{more}"))
}

/// A leaf of an authority of the same plan.
fn signed(more: &str) -> Case {
    case("certificate", &format!("{SIGNED}{more}")).plan(ROOT)
}

fn path(text: &str) -> AbsPath {
    text.parse().unwrap()
}

fn read(case: &Case, name: &str) -> Vec<u8> {
    case.host().with(|state| state.entries[&path(name)].1.clone())
}

/// Expects the first of its reasons.
fn first_reason(case: Case, reason: &str) -> Case {
    assert_eq!(case.change().reasons.first().map(String::as_str), Some(reason));
    case
}

fn set_mode(state: &mut State, name: &str, mode: &str) {
    state.entries.get_mut(&path(name)).unwrap().0.mode = mode.parse().unwrap();
}

fn exchanges(case: &Case) -> usize {
    case.host().with(|state| state.exchanges)
}

/// The change, its attributes one a line; digests and serial numbers, which chance makes, as stars.
fn shown(change: &Change) -> Vec<String> {
    let chance = |text: &str| text.trim_start_matches("sha256:").len() >= 32 && !text.contains(' ');
    let side = |shown: &Shown| match shown {
        Shown::Text(text) if chance(text) => "*".to_owned(),
        other => other.line(),
    };
    let line = |a: &crate::change::Attribute| format!("{}: {} -> {}", a.name, side(&a.before), side(&a.after));
    change.attributes.iter().map(line).collect()
}

/// Expects the leaf to be there, signed by the authority in `root`, with its own key beside it.
fn assert_signed(case: &Case, root: &str) {
    let (certificate, key, root) = (read(case, CERTIFICATE), read(case, KEY), read(case, root));
    assert!(key_matches(&certificate, &key).unwrap());
    assert!(issued_by(&certificate, &root).unwrap());
}

fn authority(common_name: &str, days: u32) -> Pair {
    let lifetime = Lifetime::from_days(days).unwrap();
    x509::generate_authority(&AuthoritySpec { lifetime, ..AuthoritySpec::new(common_name.parse().unwrap()) }, NOW)
        .unwrap()
}

fn put_foreign(state: &mut State, pair: &Pair) {
    state.put_file("/opt/ca.pem", pair.certificate_pem.as_bytes(), "0644");
    state.put_file("/opt/ca.key", pair.key_pem.as_bytes(), "0600");
}

#[test]
fn authority_and_leaf_are_made_in_one_apply() {
    let case = signed("").creates(
        "common_name: (absent) -> a.example, names: (absent) -> a.example, 192.0.2.1, 2001:db8::1, \
         usages: (absent) -> server-auth, key_type: (absent) -> ecdsa-p256, \
         not_after: (absent) -> 2027-07-03T12:00:00Z, serial: (absent) -> (known after apply), \
         fingerprint: (absent) -> (known after apply), mode: (absent) -> 0644, key_mode: (absent) -> 0600",
    );
    let before = exchanges(&case);
    let case = case.steps(
        "put the file /etc/root.key in place; put the file /etc/root.crt in place; put the file /srv/x.key in place; \
         put the file /srv/x.crt in place",
    );
    // Asked, done, verified, noted: nothing had to be read back.
    assert_eq!(exchanges(&case) - before, 4);
    let case = case.in_sync();
    assert_signed(&case, "/etc/root.crt");
    let leaf = inspect(&read(&case, CERTIFICATE)).unwrap();
    assert_eq!(leaf.not_after, NOW + Duration::days(397));
}

#[test]
fn a_leaf_of_an_authority_on_the_host_costs_one_exchange_more() {
    let case = signed("").applied().given(|state| {
        state.entries.remove(&path(CERTIFICATE));
        state.entries.remove(&path(KEY));
    });
    let (before, root) = (exchanges(&case), read(&case, "/etc/root.key"));
    let case = case.steps("put the file /srv/x.key in place; put the file /srv/x.crt in place");
    // Asked, read, done, verified, noted.
    assert_eq!(exchanges(&case) - before, 5);
    assert_signed(&case, "/etc/root.crt");
    assert_eq!(read(&case, "/etc/root.key"), root);
    case.in_sync();
}

#[test]
fn a_new_authority_signs_its_leaves_anew() {
    let case = signed("").given(|state| {
        let old = authority("Old CA", 3650);
        state.put_file("/etc/root.crt", old.certificate_pem.as_bytes(), "0644");
        state.put_file("/etc/root.key", old.key_pem.as_bytes(), "0600");
        let names = ["a.example", "192.0.2.1", "2001:db8::1"].map(|name| name.parse().unwrap());
        let leaf = x509::issue_leaf(&LeafSpec::new(Names::new(names).unwrap()), &old.issuer(), NOW).unwrap();
        state.put_file(CERTIFICATE, leaf.certificate_pem.as_bytes(), "0644");
        state.put_file(KEY, leaf.key_pem.as_bytes(), "0600");
    });
    let change = case.change();
    assert_eq!(change.action, Action::Replace);
    assert_eq!(
        shown(&change),
        [
            "not_after: 2027-07-03T12:00:00Z -> 2027-07-03T12:00:00Z",
            "serial: * -> (known after apply)",
            "fingerprint: * -> (known after apply)"
        ]
    );
    let before = exchanges(&case);
    let case = case.because("its authority is another one");
    let case = case.steps(
        "put the file /etc/root.key in place; put the file /etc/root.crt in place; put the file /srv/x.key in place; \
         put the file /srv/x.crt in place",
    );
    // Asked for `because`, asked, done, verified, noted: the old authority's key did not travel.
    assert_eq!(exchanges(&case) - before, 5);
    let case = case.in_sync();
    assert_signed(&case, "/etc/root.crt");
}

#[test]
fn a_renewed_authority_leaves_its_leaves_alone() {
    let case = signed("").applied();
    let later = NOW + Duration::days(3650 - 100);
    // A fresh leaf, cut short by its authority's end.
    let case = case.given(|state| {
        let read = |name: &str| state.entries[&path(name)].1.clone();
        let (certificate_pem, key_pem) = (read("/etc/root.crt"), read("/etc/root.key"));
        let names = ["a.example", "192.0.2.1", "2001:db8::1"].map(|name| name.parse().unwrap());
        let issuer = x509::IssuerPem { certificate_pem: &certificate_pem, key_pem: &key_pem };
        let spec = LeafSpec { lifetime: Lifetime::from_days(90).unwrap(), ..LeafSpec::new(Names::new(names).unwrap()) };
        let leaf = x509::issue_leaf(&spec, &issuer, later).unwrap();
        state.put_file(CERTIFICATE, leaf.certificate_pem.as_bytes(), "0644");
        state.put_file(KEY, leaf.key_pem.as_bytes(), "0600");
    });
    let leaf = read(&case, CERTIFICATE);
    let more = "lifetime = '90d'\n";
    let host = case.host().with(|state| state.clone());
    let renewed = signed(more).given(|state| *state = host).at(later).in_sync();
    let renewed = renewed.steps("put the file /etc/root.crt in place");
    assert_eq!(read(&renewed, CERTIFICATE), leaf);
    assert_signed(&renewed, "/etc/root.crt");
    renewed.in_sync();
}

#[test]
fn a_leaf_that_its_authoritys_end_cut_short_is_issued_with_the_renewal() {
    let case = signed("").applied();
    // With 200 days left the authority is not yet due, and a new leaf would end no later.
    let case = case.at(NOW + Duration::days(3650 - 200)).mended();
    assert_eq!(inspect(&read(&case, CERTIFICATE)).unwrap().not_after, NOW + Duration::days(3650));
    let case = case.at(NOW + Duration::days(3650 - 181)).in_sync();
    let case = case.at(NOW + Duration::days(3650 - 100));
    assert_eq!(shown(&case.change())[0], "not_after: 2036-05-29T12:00:00Z -> 2037-03-22T12:00:00Z");
    case.because("it expires in 100 days, and is renewed 132 days before its end").mended();
}

#[test]
fn an_authority_that_ends_sooner_takes_its_leaves_along() {
    let host = signed("").applied().host().with(|state| state.clone());
    let shorter = "[certificate_authority.root]\ndirectory = '/etc'\ncommon_name = 'Root CA'\nlifetime = '200d'\n";
    let case = case("certificate", SIGNED).plan(shorter).given(|state| *state = host);
    assert_eq!(shown(&case.change())[0], "not_after: 2027-07-03T12:00:00Z -> 2026-12-18T12:00:00Z");
    case.because("it outlives its issuer, which ends at 2026-12-18T12:00:00Z").mended();
}

#[test]
fn an_authoritys_drifted_mode_does_not_reach_its_leaves() {
    let case = signed("").applied().given(|state| set_mode(state, "/etc/root.crt", "0600")).in_sync();
    case.steps("set mode and owner of /etc/root.crt").in_sync();
}

#[test]
fn an_authority_that_is_brought_along_signs_in_the_same_apply() {
    let (old, new) = (authority("Site CA", 3650), authority("Site CA", 3000));
    let upload = format!(
        "[file.ca]\npath = '/opt/ca.pem'\ncontent = '''{}'''\n[file.key]\npath = '/opt/ca.key'\nmode = '0600'\n\
         content = '''{}'''\n",
        new.certificate_pem, *new.key_pem
    );
    let case = case("certificate", FOREIGN).plan(&upload);
    let case = case.creates(
        "common_name: (absent) -> a.example, names: (absent) -> a.example, 192.0.2.1, 2001:db8::1, \
         usages: (absent) -> server-auth, key_type: (absent) -> ecdsa-p256, \
         not_after: (absent) -> (known after apply), serial: (absent) -> (known after apply), \
         fingerprint: (absent) -> (known after apply), mode: (absent) -> 0644, key_mode: (absent) -> 0600",
    );
    let case = case.mended().given(|state| put_foreign(state, &old));
    let change = case.change();
    assert_eq!(
        (change.action, shown(&change)[0].as_str()),
        (Action::Replace, "not_after: 2027-07-03T12:00:00Z -> (known after apply)")
    );
    assert_signed(&case.mended(), "/opt/ca.pem");
}

#[test]
fn an_authority_that_the_plan_does_not_manage_must_be_there_and_able() {
    let ours = authority("Site CA", 3650);
    let foreign = || case("certificate", FOREIGN);
    foreign().undecided("the authority's certificate /opt/ca.pem is not on the host, and the plan does not make it");
    foreign()
        .given(|state| put_foreign(state, &ours))
        .given(|state| drop(state.entries.remove(&path("/opt/ca.key"))))
        .undecided("the authority's key /opt/ca.key is not on the host, and there is something to sign");
    foreign()
        .given_link("/opt/ca.pem", "/x")
        .undecided("the authority's certificate /opt/ca.pem is a link on the host");
    foreign()
        .given_file("/opt/ca.pem", "x", "0644")
        .undecided("/opt/ca.pem is not the certificate of an authority: found no certificate in PEM, only text without any PEM section");
    foreign()
        .given(|state| put_foreign(state, &ours))
        .at(NOW + Duration::days(3651))
        .undecided("/opt/ca.pem: Site CA cannot issue certificates: it expired at 2036-05-29T12:00:00Z");
    // An authority whose key is kept elsewhere between two applies.
    let case = foreign().given(|state| put_foreign(state, &ours)).applied();
    case.given(|state| drop(state.entries.remove(&path("/opt/ca.key")))).in_sync();
}

#[test]
fn an_authority_that_a_command_is_going_to_make_cannot_sign_yet() {
    let made = Change::new(Action::Run).signals(Signal::Content);
    let diff = |host: &FakeHost| {
        let source = Source { name: "plan.toml".to_owned(), text: format!("name = 'c'\n[certificate.x]\n{FOREIGN}") };
        let plan = Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap();
        let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
        let (_, resource) = graph.resources().next().unwrap();
        let answers: Answers = wait(host.ask(&resource.asks().into_iter().collect())).unwrap();
        let upstream = BTreeMap::from([(Thing::Path(path("/opt/ca.pem")), &made)]);
        let (causes, owed) = (Vec::new(), &[]);
        resource.diff(
            &answers,
            &Context {
                now: NOW,
                clock: NOW,
                upstream: &upstream,
                provided: &[],
                command: true,
                causes,
                owed,
                unfinished: false,
                drafts: &Default::default(),
            },
        )
    };
    let host = FakeHost::new();
    let refused = diff(&host).unwrap_err();
    assert_eq!(refused.message, "the authority's certificate /opt/ca.pem is only made by a command of this apply");
    // One that is there signs, whatever the command is for.
    host.with(|state| put_foreign(state, &authority("Site CA", 3650)));
    assert_eq!(diff(&host).unwrap().action, Action::Create);
}

#[test]
fn a_leaf_of_a_stranger_is_issued_anew() {
    let (ours, other) = (authority("Site CA", 3650), authority("Site CA", 3650));
    let case = case("certificate", FOREIGN).given(|state| put_foreign(state, &other)).applied();
    let case = case.given(|state| put_foreign(state, &ours));
    assert_eq!(shown(&case.change())[0], "issuer: CN=Site CA -> CN=Site CA");
    let case = case.because("it is signed by another authority that is called CN=Site CA too");
    assert_signed(&case.mended(), "/opt/ca.pem");
}

#[test]
fn what_another_tool_has_issued_is_kept_while_it_does() {
    let ours = authority("Site CA", 3650);
    let issue = |names: &[&str], usages: Usages, days: u32| {
        let names = Names::new(names.iter().map(|name| name.parse().unwrap())).unwrap();
        let lifetime = Lifetime::from_days(days).unwrap();
        let spec = LeafSpec {
            common_name: Some("quay-enterprise".parse().unwrap()),
            names,
            key_type: "ecdsa-p384".parse().unwrap(),
            lifetime,
            usages,
        };
        let issuer =
            x509::IssuerPem { certificate_pem: ours.certificate_pem.as_bytes(), key_pem: ours.key_pem.as_bytes() };
        x509::issue_leaf(&spec, &issuer, NOW).unwrap()
    };
    let names = |case: &Case| inspect(&read(case, CERTIFICATE)).unwrap().names.len();
    let theirs = |pair: Pair| {
        let fields = FOREIGN.replace(NAMES.trim(), "names = ['a.example']");
        case("certificate", &format!("{fields}keep_existing = true\n")).given(|state| {
            put_foreign(state, &ours);
            state.put_file(CERTIFICATE, pair.certificate_pem.as_bytes(), "0644");
            state.put_file(KEY, pair.key_pem.as_bytes(), "0600");
        })
    };
    let both = ["a.example", "b.example"];
    theirs(issue(&both, Usages::ServerAndClient, 800)).in_sync();
    for (pair, reason) in [
        (issue(&both, Usages::Client, 800), "it is for client-auth, server-auth is asked for"),
        (
            issue(&["b.example"], Usages::Server, 800),
            "it lacks a.example, and has b.example, which nobody asks for any more",
        ),
    ] {
        first_reason(theirs(pair), reason);
    }
    let case = theirs(issue(&both, Usages::Server, 397)).in_sync().at(NOW + Duration::days(300));
    // Once it is issued anew it is as asked.
    let case = first_reason(case, "it expires in 97 days, and is renewed 132 days before its end").mended();
    assert_eq!(names(&case), 1);
}

#[test]
fn without_an_authority_it_signs_itself() {
    let case = lone("").steps("put the file /srv/x.key in place; put the file /srv/x.crt in place").in_sync();
    assert_signed(&case, CERTIFICATE);
    let case = case.at(NOW + Duration::days(300));
    case.because(
        "it expires in 97 days, and is renewed 132 days before its end; everybody who trusts the old one must be told \
         to trust the new one",
    )
    .mended();
}

#[test]
fn every_difference_is_seen_and_mended() {
    for (fields, action, attribute) in [
        (
            "directory = '/srv'\nnames = ['a.example', '2001:db8::2']\n",
            Action::Replace,
            "names: a.example, 192.0.2.1, 2001:db8::1 -> a.example, 2001:db8::2",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\ncommon_name = 'Registry'\n",
            Action::Replace,
            "common_name: a.example -> Registry",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nusages = 'both'\n",
            Action::Replace,
            "usages: server-auth -> client-auth, server-auth",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nusages = 'client'\n",
            Action::Replace,
            "usages: server-auth -> client-auth",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nkey_type = 'ecdsa-p384'\n",
            Action::Replace,
            "key_type: ecdsa-p256 -> ecdsa-p384",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nlifetime = '90d'\n",
            Action::Replace,
            "not_after: 2027-07-03T12:00:00Z -> 2026-08-30T12:00:00Z",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nkey_mode = '0640'\n",
            Action::Update,
            "key_mode: 0600 -> 0640",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\nowner = 'core'\n",
            Action::Update,
            "owner: root -> core",
        ),
        (
            "directory = '/srv'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\ngroup = 'core'\n",
            Action::Update,
            "group: root -> core",
        ),
        (
            "certificate = '/srv/x.crt'\nkey = '/srv/x.key'\nnames = ['a.example', '192.0.2.1', '2001:db8::1']\n\
             renew_before = '396d'\n",
            Action::Keep,
            "",
        ),
    ] {
        let host = lone("").applied().host().with(|state| state.clone());
        let case = case("certificate", fields).given(|state| *state = host);
        let change = case.change();
        let first = shown(&change).into_iter().next().unwrap_or_default();
        assert_eq!((change.action, first.as_str()), (action, attribute), "{fields}");
        case.mended();
    }
}

#[test]
fn drifted_mode_and_owner_are_put_back_without_a_new_key() {
    for (name, mode, attribute, steps) in [
        (CERTIFICATE, "0600", "mode: 0600 -> 0644", "set mode and owner of /srv/x.crt"),
        (KEY, "0644", "key_mode: 0644 -> 0440", "set mode and owner of /srv/x.key"),
    ] {
        let case = lone("key_mode = '0440'\n").applied().given(|state| set_mode(state, name, mode)).updates(attribute);
        let key = read(&case, KEY);
        let case = case.steps(steps).in_sync();
        assert_eq!(read(&case, KEY), key);
    }
}

#[test]
fn a_key_exchanged_by_hand_is_found_out_where_openssl_is() {
    let stranger = authority("X", 10);
    let exchange = |state: &mut State| state.put_file(KEY, stranger.key_pem.as_bytes(), "0600");
    let case = lone("").applied().given(exchange);
    assert_eq!(shown(&case.change())[0], "public_key: * -> (known after apply)");
    let case = first_reason(case, "the private key is not the one of the certificate").mended();
    assert_signed(&case, CERTIFICATE);
    lone("").applied().given(exchange).given(|state| state.lacks_openssl = true).in_sync();
}

#[test]
fn what_cannot_be_used_is_made_anew() {
    let garbage = "what is there cannot be used: found no certificate in PEM, only text without any PEM section";
    let case = lone("").applied().given_file(CERTIFICATE, "garbage", "0644");
    assert_eq!(case.change().action, Action::Replace);
    first_reason(case, garbage).mended();
    let case = lone("").applied().given(|state| drop(state.entries.remove(&path(KEY))));
    assert_eq!(case.change().action, Action::Replace);
    first_reason(case, "its private key is gone").mended();
    let case = lone("").applied().given(|state| drop(state.entries.remove(&path(CERTIFICATE))));
    assert_eq!(case.change().action, Action::Replace);
    first_reason(case, "there is a private key without its certificate, as an apply leaves it that was cut short")
        .mended();
}

#[test]
fn a_key_that_openssl_cannot_read_is_not_overwritten() {
    lone("")
        .applied()
        .given_file(KEY, "-----BEGIN ENCRYPTED PRIVATE KEY-----", "0600")
        .undecided("openssl on the host finds no private key without a passphrase in /srv/x.key");
}

#[test]
fn an_apply_cut_between_the_two_files_is_taken_forward() {
    // Due for another name; the connection goes after the key and before the certificate, with and without openssl.
    for lacks_openssl in [false, true] {
        let host = lone("").applied().host().with(|state| state.clone());
        let case = case("certificate", "directory = '/srv'\nnames = ['b.example']\n").given(|state| {
            *state = host;
            state.lacks_openssl = lacks_openssl;
            state.fail_at = Some(state.log.len() + 1);
        });
        let case = case.fails_with("cannot put the file /srv/x.crt in place: told to fail");
        let (certificate, key) = (read(&case, CERTIFICATE), read(&case, KEY));
        assert!(!key_matches(&certificate, &key).unwrap());
        let case = case.mended();
        assert_signed(&case, CERTIFICATE);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (fields, finding) in [
        (
            "directory = '/srv'",
            "2:14: certificate.x has no names (add `names = [...]`: every DNS name and address that clients connect to)",
        ),
        (
            "directory = '/srv'\nnames = []",
            "4:9: certificate.x has no names (add `names = [...]`: every DNS name and address that clients connect to)",
        ),
        (
            "directory = '/srv'\nnames = ['a.example:8443']",
            "4:10: \"a.example:8443\" does not fit `names` of certificate.x (`a.example:8443` has a `:` but is no IPv6 \
             address: a name has no port and no scheme)",
        ),
        (
            "directory = '/srv'\nnames = ['a']\nauthority = '/etc/ca.pem'",
            "2:14: certificate.x has only half of its authority: it lacks `authority_key` (add `authority_key = \
             \"{{ certificate_authority.NAME.key }}\"`, or the path on the host)",
        ),
        (
            "directory = '/srv'\nnames = ['a']\nauthority_key = '/etc/ca.key'",
            "2:14: certificate.x has only half of its authority: it lacks `authority` (add `authority = \
             \"{{ certificate_authority.NAME.certificate }}\"`, or the path on the host)",
        ),
        (
            "directory = '/srv'\nnames = ['a']\nkey_mode = '0644'",
            "5:12: \"0644\" does not fit `key_mode` of certificate.x (a private key is for its owner and at most its \
             group to read: \"0600\", \"0640\", \"0400\" or \"0440\")",
        ),
        (
            "directory = '/srv'\nnames = ['a']\nusages = 'any'",
            "5:10: \"any\" does not fit `usages` of certificate.x (it is \"server\", \"client\" or \"both\")",
        ),
        (
            "directory = '/srv'\nnames = ['a']\nauthority = '/srv/x.crt'\nauthority_key = '/etc/ca.key'",
            "5:13: certificate.x would overwrite its own authority (give the two files other paths than the \
             authority's)",
        ),
        (
            "directory = '/srv'",
            "2:14: certificate.x has no names (add `names = [...]`: every DNS name and address that clients connect to)",
        ),
    ] {
        case("certificate", fields).refused(finding);
    }
    case("certificate", NAMES).refused(
        "2:14: certificate.x does not say where its files are (add `directory = ...`, or both `certificate = ...` and \
         `key = ...`)",
    );
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn no_key_can_be_seen_in_changes_steps_or_materials() {
    let text = format!("name = 'keys'\n{ROOT}[certificate.x]\n{SIGNED}[certificate.lone]\n{SELF_SIGNED}");
    let source = Source { name: "plan.toml".to_owned(), text };
    let plan = Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap();
    let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
    let host = FakeHost::new();
    let (mut materials, mut keys, mut seen) = (Materials::new(NOW), Vec::new(), String::new());
    for (_, resource) in graph.resources() {
        let answers: Answers = wait(host.ask(&resource.asks().into_iter().collect())).unwrap();
        let made = Change::new(Action::Create).signals(Signal::Content);
        let upstream = BTreeMap::from([(Thing::Path(path("/etc/root.crt")), &made)]);
        let context = Context {
            now: NOW,
            clock: NOW,
            upstream: &upstream,
            provided: &[],
            command: false,
            causes: Vec::new(),
            owed: &[],
            unfinished: false,
            drafts: &Default::default(),
        };
        let change = resource.diff(&answers, &context).unwrap_or_else(|_| panic!("{resource:?}"));
        let steps = resource.steps(&change, &answers, &materials).unwrap();
        for step in &steps {
            let Step::PutFile { path, content, .. } = step else { panic!("{step:?}") };
            let bytes = content.bytes().unwrap();
            if path.as_str().ends_with(".key") {
                keys.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            materials.insert(path.clone(), Zeroizing::new(bytes.to_vec()));
        }
        seen.push_str(&format!("{resource:?}{change:?}{steps:?}{materials:?}"));
    }
    assert_eq!(keys.len(), 3);
    // The second line of PEM is the first of the key itself.
    for line in keys.iter().flat_map(|key| key.lines().skip(1).take(1)) {
        assert!(!seen.contains(line) && !seen.contains("PRIVATE KEY"), "{seen}");
    }
}
