//! An authority below another one: made with it, served with what it signs, and renewed apart.

use time::Duration;

use crate::change::{Action, Shown, Signal};
use crate::path::AbsPath;
use crate::testing::{Case, NOW, case};
use crate::x509::{inspect, inspect_all, issued_by, key_matches};

const ROOT: &str = "[certificate_authority.root]\ndirectory = '/etc'\ncommon_name = 'Root'\npath_length = 1\n";
const ISSUING: &str = "[certificate_authority.issuing]\ndirectory = '/etc'\ncommon_name = 'Issuing'\n\
                       authority = '{{ certificate_authority.root.certificate }}'\n\
                       authority_key = '{{ certificate_authority.root.key }}'\n";
const LEAF: &str = "directory = '/srv'\nnames = ['a.example']\ncombined = '/srv/x.pem'\nleaf = '/srv/leaf.crt'\n\
                    authorities = '/srv/ca.crt'\nauthority = '{{ certificate_authority.issuing.certificate }}'\n\
                    authority_key = '{{ certificate_authority.issuing.key }}'\n";

/// A leaf, the authority that signs it, and the root above that.
fn leaf() -> Case {
    case("certificate", LEAF).plan(ISSUING).plan(ROOT)
}

/// The same about the authority in the middle.
fn middle(more: &str) -> Case {
    let fields = ISSUING.split_once('\n').map_or("", |(_, fields)| fields);
    case("certificate_authority", &format!("{fields}{more}")).plan(ROOT)
}

fn read(case: &Case, name: &str) -> Vec<u8> {
    case.host().with(|state| state.entries[&name.parse::<AbsPath>().unwrap()].1.clone())
}

fn remove(case: Case, name: &str) -> Case {
    case.given(|state| drop(state.entries.remove(&name.parse::<AbsPath>().unwrap())))
}

fn called(case: &Case, name: &str) -> Vec<String> {
    inspect_all(&read(case, name)).unwrap().into_iter().filter_map(|one| one.common_name).collect()
}

fn attributes(case: &Case) -> Vec<String> {
    case.change().attributes.iter().map(|attribute| attribute.name.to_string()).collect()
}

#[test]
fn root_authority_and_leaf_are_made_in_one_apply() {
    let case = leaf().mended();
    assert_eq!(called(&case, "/etc/root.crt"), ["Root"]);
    assert_eq!(called(&case, "/etc/issuing.crt"), ["Issuing", "Root"]);
    assert_eq!(called(&case, "/srv/x.crt"), ["a.example", "Issuing"]);
    assert_eq!(called(&case, "/srv/leaf.crt"), ["a.example"]);
    assert_eq!(called(&case, "/srv/ca.crt"), ["Root"]);
    let (certificate, key) = (read(&case, "/srv/x.crt"), read(&case, "/srv/x.key"));
    assert_eq!(read(&case, "/srv/x.pem"), [certificate.as_slice(), &key].concat());
    assert!(key_matches(&certificate, &key).unwrap());
    assert!(issued_by(&certificate, &read(&case, "/etc/issuing.crt")).unwrap());
    assert!(issued_by(&read(&case, "/etc/issuing.crt"), &read(&case, "/etc/root.crt")).unwrap());
    case.in_sync();
}

#[test]
fn an_authority_of_another_plan_signs_with_its_chain() {
    let made = middle("").applied();
    let fields = LEAF
        .replace("{{ certificate_authority.issuing", "/etc/x")
        .replace(".certificate }}", ".crt")
        .replace(".key }}", ".key");
    let case = case("certificate", &fields).given(|state| {
        state.put_file("/etc/x.crt", &read(&made, "/etc/x.crt"), "0644");
        state.put_file("/etc/x.key", &read(&made, "/etc/x.key"), "0600");
    });
    let case = case.mended();
    assert_eq!(called(&case, "/srv/x.crt"), ["a.example", "Issuing"]);
    // Its key may be elsewhere between two applies.
    let case = remove(case, "/etc/x.key").in_sync();
    let notices = |case: &Case| case.changes().notices().map(|(_, notice)| notice.to_owned()).collect::<Vec<_>>();
    assert_eq!(notices(&case), Vec::<String>::new());
    let case = case.at(NOW + Duration::days(3600));
    let told =
        "its authority Issuing ends in 50 days, at 2036-05-29T12:00:00Z, and so does what it signs: renew it in time";
    assert_eq!(notices(&case), [told]);
}

#[test]
fn a_renewed_authority_is_served_under_the_key_that_there_is() {
    let host = leaf().applied().host().with(|state| state.clone());
    let issuing = ISSUING.replace("common_name", "lifetime = '1000d'\ncommon_name");
    let case = case("certificate", LEAF).plan(&issuing).plan(ROOT).given(|state| *state = host);
    let (key, old) = (read(&case, "/srv/x.key"), read(&case, "/etc/issuing.key"));
    let change = case.change();
    assert_eq!((change.action, change.signal), (Action::Update, Signal::Content));
    assert_eq!(attributes(&case), ["chain", "authorities", "combined"]);
    assert!(change.attributes.iter().all(|attribute| matches!(attribute.after, Shown::Unknown | Shown::Secret)));
    let case = case.because("a certificate of the authorities above it is new").steps(
        "put the file /etc/issuing.crt in place; put the file /srv/x.pem in place; put the file /srv/ca.crt in place; put the \
         file /srv/x.crt in place",
    );
    assert_eq!((read(&case, "/srv/x.key"), read(&case, "/etc/issuing.key")), (key, old));
    let served = inspect_all(&read(&case, "/srv/x.crt")).unwrap();
    assert_eq!(served[1].sha256, inspect(&read(&case, "/etc/issuing.crt")).unwrap().sha256);
    assert_eq!(read(&case, "/srv/x.pem"), [read(&case, "/srv/x.crt"), read(&case, "/srv/x.key")].concat());
    case.in_sync();
}

#[test]
fn a_renewed_root_stands_above_what_stays() {
    let later = NOW + Duration::days(3650 - 100);
    let host = middle("").applied().host().with(|state| state.clone());
    let case = middle("renew_before = '10d'\n").given(|state| *state = host).at(later);
    let (before, key) = (read(&case, "/etc/x.crt"), read(&case, "/etc/x.key"));
    assert_eq!((case.change().action, attributes(&case)), (Action::Update, vec!["chain".to_owned()]));
    let case = case.steps("put the file /etc/root.crt in place; put the file /etc/x.crt in place");
    let after = inspect_all(&read(&case, "/etc/x.crt")).unwrap();
    assert_eq!((after[0].sha256.clone(), read(&case, "/etc/x.key")), (inspect(&before).unwrap().sha256, key));
    assert_eq!(after[1].sha256, inspect(&read(&case, "/etc/root.crt")).unwrap().sha256);
    case.in_sync();
}

#[test]
fn it_is_renewed_under_its_key_when_another_root_stands_above_it() {
    let host = middle("").applied().host().with(|state| state.clone());
    let fields = ISSUING.split_once('\n').map_or("", |(_, fields)| fields);
    let root = ROOT.replace("'Root'", "'Other root'");
    let case = case("certificate_authority", fields).plan(&root).given(|state| *state = host);
    let key = read(&case, "/etc/x.key");
    assert_eq!(
        (case.change().action, attributes(&case)[..].to_vec()),
        (Action::Update, ["not_after", "serial", "fingerprint"].map(str::to_owned).to_vec())
    );
    let case =
        case.because("its authority is another one; it keeps its name and key: what it signed stays good").mended();
    assert_eq!(read(&case, "/etc/x.key"), key);
    assert_eq!(called(&case, "/etc/x.crt"), ["Issuing", "Other root"]);
}

#[test]
fn it_ends_with_its_root_and_is_renewed_with_it() {
    let root = ROOT.replace("common_name", "lifetime = '400d'\ncommon_name");
    let fields = ISSUING.split_once('\n').map_or("", |(_, fields)| fields);
    let case = case("certificate_authority", fields).plan(&root).applied();
    let end = |case: &Case| inspect(&read(case, "/etc/x.crt")).unwrap().not_after;
    assert_eq!(end(&case), NOW + Duration::days(400));
    let case = case.at(NOW + Duration::days(300));
    let case = case
        .because(
            "it expires in 100 days, and is renewed 180 days before its end; it keeps its name and key: what it signed stays \
             good",
        )
        .mended();
    assert_eq!(end(&case), NOW + Duration::days(700));
}

#[test]
fn drift_of_its_chain_and_modes_is_mended() {
    let case = middle("").applied();
    let own = inspect(&read(&case, "/etc/x.crt")).unwrap().pem().unwrap();
    let case = case.given_file("/etc/x.crt", &own, "0644");
    assert_eq!(attributes(&case), ["chain"]);
    let case = case.steps("put the file /etc/x.crt in place").in_sync();
    assert_eq!(called(&case, "/etc/x.crt"), ["Issuing", "Root"]);
    let case = case.given(|state| {
        state.entries.get_mut(&"/etc/x.key".parse::<AbsPath>().unwrap()).unwrap().0.mode = "0644".parse().unwrap();
    });
    case.updates("key_mode: 0644 -> 0600").steps("set mode and owner of /etc/x.key").in_sync();
}

#[test]
fn a_root_must_allow_an_authority_below_it() {
    let narrow = "[certificate_authority.root]\ndirectory = '/etc'\ncommon_name = 'Root'\n";
    let fields = ISSUING.split_once('\n').map_or("", |(_, fields)| fields);
    let coming = "/etc/root.crt cannot issue the certificate of an authority: its path length is 0, so that it signs leaves \
                  only";
    case("certificate_authority", fields).plan(narrow).undecided(coming);
    let there = case("certificate_authority", "directory = '/etc'\ncommon_name = 'Root'\n").applied();
    let host = there.host().with(|state| state.clone());
    let root = narrow.replace("'/etc'", "'/etc'\ncertificate = '/etc/x.crt'\nkey = '/etc/x.key'");
    let case = case(
        "certificate_authority",
        &format!("certificate = '/srv/y.crt'\nkey = '/srv/y.key'\n{}", fields.replace("directory = '/etc'", "")),
    )
    .plan(&root)
    .given(|state| *state = host);
    case.undecided(
        "Root cannot issue the certificate of an authority: its path length is 0, so that it signs leaves only",
    );
    middle("path_length = 1\n").undecided(
        "/etc/root.crt cannot issue the certificate of an authority: its path length is 1, and 1 below it is more than one \
         less",
    );
}

#[test]
fn an_authority_without_its_root_cannot_be_handed_out() {
    let host = leaf().applied().host().with(|state| state.clone());
    let fields = LEAF
        .replace("{{ certificate_authority.issuing", "/etc/issuing")
        .replace(".certificate }}", ".crt")
        .replace(".key }}", ".key");
    let case = case("certificate", &fields).given(|state| *state = host);
    let own = inspect(&read(&case, "/etc/issuing.crt")).unwrap().pem().unwrap();
    case.given_file("/etc/issuing.crt", &own, "0644")
        .undecided("/etc/issuing.crt does not lead to a root, which clients could trust");
}

#[test]
fn files_that_follow_from_a_certificate_are_put_right_without_a_new_one() {
    for (name, attribute, steps) in [
        ("/srv/x.pem", "combined", "put the file /srv/x.pem in place"),
        ("/srv/leaf.crt", "leaf", "put the file /srv/leaf.crt in place"),
        ("/srv/ca.crt", "authorities", "put the file /srv/ca.crt in place"),
        ("/srv/x.crt", "chain, combined", "put the file /srv/x.pem in place; put the file /srv/x.crt in place"),
    ] {
        let case = leaf().applied();
        let (certificate, key) = (read(&case, "/srv/x.crt"), read(&case, "/srv/x.key"));
        let leaf_alone = inspect(&certificate).unwrap().pem().unwrap();
        let case = match name {
            "/srv/x.crt" => case.given_file(name, &leaf_alone, "0644"),
            "/srv/x.pem" => case.given_file(name, "by hand", "0600"),
            _ => case.given_file(name, "by hand", "0644"),
        };
        assert_eq!(attributes(&case).join(", "), attribute, "{name}");
        let case = case.steps(steps).in_sync();
        assert_eq!((read(&case, "/srv/x.crt"), read(&case, "/srv/x.key")), (certificate, key), "{name}");
    }
    let case = remove(leaf().applied(), "/srv/x.pem");
    case.updates("combined: (absent) -> (secret), combined_mode: (absent) -> 0600").mended();
}
