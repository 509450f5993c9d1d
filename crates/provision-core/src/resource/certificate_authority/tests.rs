//! What happens to an authority: almost nothing, ever.

use time::Duration;

use crate::change::{Action, Change, Shown};
use crate::probe::Sort;
use crate::testing::{Case, NOW, State, case};
use crate::x509::{self, AuthoritySpec, LeafSpec, Lifetime, Names, Pair, issued_by, key_matches};

const FIELDS: &str = "directory = '/srv'\ncommon_name = 'Registry CA'\n";
const CERTIFICATE: &str = "/srv/x.crt";
const KEY: &str = "/srv/x.key";

fn authority(more: &str) -> Case {
    case("certificate_authority", &format!("{FIELDS}{more}"))
}

fn read(state: &State, path: &str) -> Vec<u8> {
    state.entries[&path.parse().unwrap()].1.clone()
}

fn files(case: &Case) -> (Vec<u8>, Vec<u8>) {
    case.host().with(|state| (read(state, CERTIFICATE), read(state, KEY)))
}

fn mode(case: &Case, path: &str) -> String {
    case.host().with(|state| state.entries[&path.parse().unwrap()].0.mode.to_string())
}

/// The change, its attributes one a line; digests and serial numbers, which chance makes, as stars.
fn shown(change: &Change) -> Vec<String> {
    let hex = |shown: &Shown| matches!(shown, Shown::Text(text) if text.trim_start_matches("sha256:").len() >= 32 && !text.contains(' '));
    let side = |shown: &Shown| if hex(shown) { "*".to_owned() } else { shown.line() };
    let line = |a: &crate::change::Attribute| format!("{}: {} -> {}", a.name, side(&a.before), side(&a.after));
    change.attributes.iter().map(line).collect()
}

fn pair(common_name: &str) -> Pair {
    x509::generate_authority(&AuthoritySpec::new(common_name.parse().unwrap()), NOW).unwrap()
}

fn put(state: &mut State, pair: &Pair) {
    state.put_file(CERTIFICATE, pair.certificate_pem.as_bytes(), "0644");
    state.put_file(KEY, pair.key_pem.as_bytes(), "0600");
}

#[test]
fn a_new_authority_is_made_with_a_private_key() {
    let case = authority("organization = 'Example'\nowner = 'core'\n")
        .creates(
            "common_name: (absent) -> Registry CA, organization: (absent) -> Example, \
             key_type: (absent) -> ecdsa-p256, path_length: (absent) -> 0, not_after: (absent) -> 2036-05-29T12:00:00Z, \
             serial: (absent) -> (known after apply), fingerprint: (absent) -> (known after apply), \
             mode: (absent) -> 0644, owner: (absent) -> core, key_mode: (absent) -> 0600, key_owner: (absent) -> core",
        )
        .steps("put the file /srv/x.key in place; put the file /srv/x.crt in place")
        .in_sync();
    let (certificate, key) = files(&case);
    assert!(key_matches(&certificate, &key).unwrap());
    assert!(issued_by(&certificate, &certificate).unwrap());
    assert_eq!((mode(&case, CERTIFICATE), mode(&case, KEY)), ("0644".to_owned(), "0600".to_owned()));
}

#[test]
fn an_authority_stays_until_its_end_is_near() {
    let case = authority("").applied().at(NOW + Duration::days(3650 - 181)).in_sync();
    let (old, old_key) = files(&case);
    let case = case.at(NOW + Duration::days(3650 - 179));
    let change = case.change();
    assert_eq!(change.action, Action::Update);
    assert_eq!(
        shown(&change),
        [
            "not_after: 2036-05-29T12:00:00Z -> 2045-11-29T12:00:00Z",
            "serial: * -> (known after apply)",
            "fingerprint: * -> (known after apply)"
        ]
    );
    let case = case
        .because(
            "it expires in 179 days, and is renewed 180 days before its end; \
             it keeps its name and key: what it signed stays good",
        )
        .steps("put the file /srv/x.crt in place")
        .in_sync();
    let (new, new_key) = files(&case);
    assert_ne!(old, new);
    assert_eq!(old_key, new_key);
}

#[test]
fn a_renewal_reads_the_key_once_and_mends_its_mode_on_the_way() {
    let case = authority("")
        .applied()
        .at(NOW + Duration::days(3640))
        .given(|state| state.entries.get_mut(&KEY.parse().unwrap()).unwrap().0.mode = "0644".parse().unwrap());
    let before = case.host().with(|state| state.exchanges);
    let case = case.steps("set mode and owner of /srv/x.key; put the file /srv/x.crt in place");
    // Asked, read, done, verified, noted.
    assert_eq!(case.host().with(|state| state.exchanges) - before, 5);
    assert_eq!(mode(&case.in_sync(), KEY), "0600");
}

#[test]
fn what_makes_another_authority_replaces_it_and_says_so() {
    for (fields, attribute) in [
        ("common_name = 'Other CA'\n", "common_name: Registry CA -> Other CA"),
        ("common_name = 'Registry CA'\norganization = 'O'\n", "organization: (absent) -> O"),
        ("common_name = 'Registry CA'\nkey_type = 'ecdsa-p384'\n", "key_type: ecdsa-p256 -> ecdsa-p384"),
    ] {
        let old = pair("Registry CA");
        let case =
            case("certificate_authority", &format!("directory = '/srv'\n{fields}")).given(|state| put(state, &old));
        let change = case.change();
        assert_eq!((change.action, shown(&change)[0].as_str()), (Action::Replace, attribute));
        assert_eq!(
            change.reasons.last().unwrap(),
            "everybody who trusts the old one must be told to trust the new one"
        );
        let before = case.host().with(|state| state.exchanges);
        let case = case.steps("put the file /srv/x.key in place; put the file /srv/x.crt in place").in_sync();
        assert_ne!(files(&case).1, old.key_pem.as_bytes());
        // Asked, done, verified, noted, and asked by `in_sync`: the old key did not travel.
        assert_eq!(case.host().with(|state| state.exchanges) - before, 5);
    }
}

#[test]
fn a_shorter_lifetime_renews_and_a_longer_one_waits() {
    let shorter = authority("lifetime = '365d'\n").given(|state| put(state, &pair("Registry CA")));
    assert_eq!(shown(&shorter.change())[0], "not_after: 2036-05-29T12:00:00Z -> 2027-06-01T12:00:00Z");
    shorter.mended();
    authority("lifetime = '7300d'\n").given(|state| put(state, &pair("Registry CA"))).in_sync();
}

#[test]
fn drifted_mode_or_owner_is_put_back_for_that_file_only() {
    for (path, attribute, steps) in [
        (CERTIFICATE, "mode: 0666 -> 0644", "set mode and owner of /srv/x.crt"),
        (KEY, "key_mode: 0666 -> 0600", "set mode and owner of /srv/x.key"),
    ] {
        let case = authority("").applied().given(|state| {
            state.entries.get_mut(&path.parse().unwrap()).unwrap().0.mode = "0666".parse().unwrap();
        });
        let (before, exchanges) = (files(&case), case.host().with(|state| state.exchanges));
        let case = case.steps(steps);
        // Asked, done, verified, noted: the key did not travel.
        assert_eq!(case.host().with(|state| state.exchanges) - exchanges, 4);
        assert_eq!(files(&case), before);
        case.in_sync()
            .given(|state| state.entries.get_mut(&path.parse().unwrap()).unwrap().0.mode = "0666".parse().unwrap())
            .updates(attribute);
    }
    for (path, attribute, steps) in [
        (CERTIFICATE, "owner: root -> core, group: root -> 0", "set mode and owner of /srv/x.crt"),
        (KEY, "key_owner: root -> core, key_group: root -> 0", "set mode and owner of /srv/x.key"),
    ] {
        let stranger = |state: &mut State| {
            let entry = &mut state.entries.get_mut(&path.parse().unwrap()).unwrap().0;
            (entry.user.id, entry.user.name) = (0, Some("root".to_owned()));
        };
        authority("owner = 'core'\ngroup = 'root'\n")
            .applied()
            .given(stranger)
            .updates(attribute.split(", ").next().unwrap())
            .steps(steps)
            .in_sync();
    }
}

#[test]
fn half_an_authority_is_never_completed() {
    let old = pair("Registry CA");
    authority("")
        .given(|state| state.put_file(KEY, old.key_pem.as_bytes(), "0600"))
        .undecided("/srv/x.key is on the host, but its certificate /srv/x.crt is not");
    authority("")
        .given(|state| state.put_file(CERTIFICATE, old.certificate_pem.as_bytes(), "0644"))
        .undecided("/srv/x.crt is on the host, but its key /srv/x.key is not");
}

#[test]
fn what_is_not_this_authority_is_left_alone() {
    let names = Names::new(["a.example".parse().unwrap()]).unwrap();
    let leaf = x509::self_signed_leaf(&LeafSpec::new(names), NOW).unwrap();
    authority("").given(|state| put(state, &leaf)).undecided(
        "/srv/x.crt on the host is not this authority's: it is not the certificate of an authority, which may sign others",
    );
    authority("").given(|state| put(state, &pair("Registry CA"))).given_file(CERTIFICATE, "garbage", "0644").undecided(
        "/srv/x.crt on the host is not this authority's: found no certificate in PEM, only text without any PEM section",
    );
    authority("")
        .given(|state| put(state, &pair("Registry CA")))
        .given_file(KEY, pair("Registry CA").key_pem.as_str(), "0600")
        .undecided("/srv/x.key: the private key is not the one of the certificate");
    authority("")
        .given(|state| put(state, &pair("Registry CA")))
        .given_file(KEY, "garbage", "0600")
        .undecided("openssl on the host finds no private key without a passphrase in /srv/x.key");
    authority("")
        .given(|state| put(state, &pair("Registry CA")))
        .given_link(KEY, "/else")
        .undecided("/srv/x.key is a link on the host, and the plan wants a file there");
}

#[test]
fn a_key_that_nobody_could_look_at_is_no_difference() {
    authority("").applied().given(|state| state.lacks_openssl = true).in_sync();
}

#[test]
fn a_directory_that_is_missing_is_found_out_beforehand() {
    case("certificate_authority", "directory = '/nowhere'\ncommon_name = 'CA'")
        .undecided("the directory /nowhere does not exist on the host, and the plan does not make it");
}

#[test]
fn files_can_be_named_one_by_one() {
    let case = case("certificate_authority", "certificate = '/srv/root.pem'\nkey = '/etc/root.key'\ncommon_name = 'CA'")
        .plan("[file.copy]\npath = '/srv/copy'\ncontent = '{{ certificate_authority.x.certificate }} {{ certificate_authority.x.key }} {{ certificate_authority.x.directory }}'")
        .mended();
    let copied = case.host().with(|state| read(state, "/srv/copy"));
    assert_eq!(String::from_utf8_lossy(&copied), "/srv/root.pem /etc/root.key /srv");
    assert!(case.host().with(|state| state.entries[&"/etc/root.key".parse().unwrap()].0.sort == Sort::File));
}

#[test]
fn what_cannot_be_is_refused() {
    for (fields, finding) in [
        (
            "common_name = 'CA'",
            "2:24: certificate_authority.x does not say where its files are (add `directory = ...`, or both \
             `certificate = ...` and `key = ...`)",
        ),
        (
            "common_name = 'CA'\nkey = '/srv/k'",
            "2:24: certificate_authority.x does not say where its files are (add `directory = ...`, or both \
             `certificate = ...` and `key = ...`)",
        ),
        (
            "common_name = 'CA'\nkey = '/srv/k'\ncertificate = '/srv//k'",
            "4:7: /srv/k cannot be both the `certificate` and the `key` (give each a file of its own: everybody may \
             read the certificate, and nobody the key; both together are `combined`)",
        ),
        (
            "directory = '/srv'",
            "2:24: certificate_authority.x lacks `common_name` (add `common_name = ...`; `provision kinds` shows what it \
             takes)",
        ),
        (
            "directory = '/srv'\ncommon_name = ''",
            "4:15: \"\" does not fit `common_name` of certificate_authority.x (`` cannot stand in a certificate's \
             subject: 1 to 64 characters, none of them a control character)",
        ),
        (
            "directory = '/srv'\ncommon_name = 'CA'\nkey_type = 'rsa-1024'",
            "5:12: \"rsa-1024\" does not fit `key_type` of certificate_authority.x (`rsa-1024` is no key type: one of \
             ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096)",
        ),
        (
            "directory = '/srv'\ncommon_name = 'CA'\nlifetime = '36h'",
            "5:12: \"36h\" does not fit `lifetime` of certificate_authority.x (certificates are counted in whole days, \
             such as \"397d\")",
        ),
        (
            "directory = '/srv'\ncommon_name = 'CA'\nlifetime = '0d'",
            "5:12: `lifetime` of certificate_authority.x does not fit (a lifetime is 1 to 36525 days, not 0)",
        ),
        (
            "directory = '/srv'\ncommon_name = 'CA'\nlifetime = '90d'\nrenew_before = '90d'",
            "6:16: `renew_before` of certificate_authority.x does not fit (renewing 90 days before the end leaves \
             nothing of a lifetime of 90 days: take fewer days)",
        ),
        (
            "directory = '/srv'\ncommon_name = 'CA'\nkey_mode = '0644'",
            "5:1: unknown key `key_mode` in certificate_authority.x (did you mean `key_owner`?)",
        ),
    ] {
        case("certificate_authority", fields).refused(finding);
    }
}

#[test]
fn the_usual_lifetime_is_the_documented_one() {
    assert_eq!(Lifetime::AUTHORITY.days(), 3650);
}
