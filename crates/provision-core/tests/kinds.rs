//! A kind is not done before people can read of it and a real host has seen it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use provision_core::resource::KINDS;
use provision_tests::case::{Case, HostKind, directory, table};

#[test]
fn every_kind_is_documented_and_tried_on_a_real_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let (readme, changelog) = (read("README.md"), read("CHANGELOG.md"));
    let cases = Case::all().unwrap();
    for kind in KINDS {
        let name = kind.name;
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name {name}");
        assert!(changelog.contains(&format!("`{name}`")), "CHANGELOG.md does not name {name}");
        assert!(cases.iter().any(|case| case.kind() == name), "tests/real_host/cases/{name}.toml is missing");
        assert!(root.join(format!("crates/provision-core/src/resource/{name}.rs")).is_file(), "{name} has no file");
        for field in kind.fields {
            assert!(!field.doc.is_empty() && !field.takes.is_empty(), "{name}.{} is not documented", field.name);
        }
    }
}

#[test]
fn the_table_of_kinds_and_hosts_is_made_of_the_cases() {
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->"];
    let path = directory().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let table = table(&Case::all().unwrap(), &kinds).unwrap();
    let (start, rest) = text.split_once(MARKS[0]).unwrap();
    let (_, end) = rest.split_once(MARKS[1]).unwrap();
    let fresh = format!("{start}{}{table}{}{end}", MARKS[0], MARKS[1]);
    #[expect(clippy::disallowed_methods, reason = "how a person has it written anew")]
    if std::env::var("SNAPSHOTS").is_ok_and(|word| word == "overwrite") {
        fs::write(&path, &fresh).unwrap();
        return;
    }
    assert!(text == fresh, "the table is stale: SNAPSHOTS=overwrite cargo test -p provision-core --test kinds");
}

#[test]
fn cases_can_stand_in_one_plan() {
    let mut whose: BTreeMap<String, String> = BTreeMap::new();
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for case in Case::all().unwrap() {
        assert!(names.contains(&case.kind()), "{} is no case of a kind", case.name);
        for host in HostKind::ALL {
            case.expected(host).unwrap();
        }
        let keys = case.resources().unwrap().into_iter().chain(case.has_image().then(|| case.image()));
        for key in keys {
            let name = case.name.clone();
            if let Some(other) = whose.insert(key.clone(), name) {
                panic!("{key} is in the cases {other} and {}: give it another name", case.name);
            }
        }
    }
}

#[test]
fn every_field_of_the_reference_is_read() {
    use provision_core::plan::Plan;
    use provision_core::plan::asset::NoAssets;
    use provision_core::plan::input::Inputs;
    use provision_core::plan::problem::Source;
    for kind in KINDS {
        for field in kind.fields.iter().filter(|field| !field.name.contains(['.', '['])) {
            let text = format!("name = \"x\"\n[{}.x]\n{} = \"x\"\n", kind.name, field.name);
            let source = Source { name: "p".to_owned(), text };
            let found = Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default());
            let said = found.map_or_else(|error| error.to_string(), |_| String::new());
            let unknown = format!("unknown key `{}`", field.name);
            assert!(!said.contains(&unknown), "{} documents `{}`, which it does not read", kind.name, field.name);
        }
    }
}
