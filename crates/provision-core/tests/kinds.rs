//! A kind is not done before people can read of it and a real host has seen it.

use std::fs;
use std::path::Path;

use provision_core::resource::KINDS;

#[test]
fn every_kind_is_documented_and_tried_on_a_real_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let (readme, changelog) = (read("README.md"), read("CHANGELOG.md"));
    let mut plans = read("playbooks/registry/plan.toml");
    let mut folders = vec![root.join("tests/real_host/plans"), root.join("tests/real_host/cases")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { plans.push_str(&fs::read_to_string(path).unwrap()) }
        }
    }
    for kind in KINDS {
        let name = kind.name;
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name {name}");
        assert!(changelog.contains(&format!("`{name}`")), "CHANGELOG.md does not name {name}");
        assert!(plans.contains(&format!("\n[{name}.")), "no real host is given a {name}");
        assert!(root.join(format!("crates/provision-core/src/resource/{name}.rs")).is_file(), "{name} has no file");
        for field in kind.fields {
            assert!(!field.doc.is_empty() && !field.takes.is_empty(), "{name}.{} is not documented", field.name);
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
