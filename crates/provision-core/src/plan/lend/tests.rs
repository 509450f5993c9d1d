//! What a plan sees of its other hosts: where it is found, which resources it is, and what is said of what is wrong.

use std::sync::Arc;

use super::super::asset::NoAssets;
use super::super::input::Inputs;
use super::super::problem::Source;
use super::*;
use crate::plan::Plan;

fn parse(text: &str) -> Result<Plan, String> {
    let source = Source { name: "p".to_owned(), text: format!("name = \"x\"\n{text}") };
    Plan::parse(source, Arc::new(NoAssets), &Inputs::default()).map_err(|error| error.to_string())
}

fn plan(text: &str) -> Plan {
    parse(text).unwrap_or_else(|findings| panic!("{findings}\n{text}"))
}

fn refused(text: &str, findings: &[&str]) {
    let Err(found) = parse(text) else { panic!("accepted:\n{text}") };
    assert_eq!(found.lines().collect::<Vec<_>>(), findings, "findings of\n{text}");
}

const HOSTS: &str = "[host.main]\naddress = 'local'\n[host.client]\naddress = 'local'\nnamed_only = true\n";

/// What the client takes of which host.
fn borrowed(plan: &Plan, host: usize) -> Vec<String> {
    let host = &plan.hosts()[host];
    let one = |(name, addresses): (&String, &BTreeSet<Address>)| {
        let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
        format!("{name}: {}", addresses.join(" "))
    };
    plan.borrows(host).iter().map(one).collect()
}

#[test]
fn a_host_takes_values_of_what_others_have() {
    let text = format!(
        "{HOSTS}[random.a]\npath = '/a'\n[directory.d]\nfor_each = ['x', 'y']\npath = '/{{{{ each.key }}}}'\n\
         [file.c]\nhosts = ['client']\npath = '/c'\n\
         content = '{{{{ on.main.random.a.value }}}} {{{{ on.main.directory.d[\"x\"].path }}}}'\n"
    );
    let plan = plan(&text);
    assert_eq!(borrowed(&plan, 1), ["main: directory.d[x] random.a"]);
    let graph = plan.resolve(&plan.hosts()[1], &Facts::example()).unwrap();
    assert_eq!(format!("{graph:?}"), "[\"file.c\"]");
    // The lender takes nothing, and is told what to show.
    assert!(plan.borrows(&plan.hosts()[0]).is_empty());
    assert!(plan.lends("main", &"random.a".parse().unwrap()));
    assert!(!plan.lends("main", &"directory.d[y]".parse().unwrap()));
}

#[test]
fn what_stands_in_a_block_or_a_plan_of_its_own_is_seen_by_its_own_hosts() {
    let text = format!(
        "{HOSTS}[random.a]\npath = '/a'\n[block.b]\nhosts = ['client']\n[block.b.file.c]\npath = '/c'\n\
         content = '{{{{ on.main.random.a.value }}}}'\n"
    );
    assert_eq!(borrowed(&plan(&text), 1), ["main: random.a"]);
}

#[test]
fn hosts_are_elements_of_a_list() {
    let text = "[input.sites]\ntype = 'table'\ndefault = { b = '192.0.2.2', a = '192.0.2.1' }\n[host.main]\naddress = 'local'\n\
         [host.sites]\nfor_each = '{{ input.sites }}'\naddress = '{{ each.value }}'\nuser = 'u-{{ each.key }}'\nnamed_only = true\n\
         [file.f]\npath = '/f'\ncontent = '{{ on.sites[\"a\"].random.r.value }}'\n\
         [random.r]\npath = '/r'\nhosts = ['sites']\n[file.one]\nhosts = ['sites[b]']\npath = '/one'\ncontent = ''\n";
    let plan = plan(text);
    let names: Vec<(&str, Option<&str>)> =
        plan.hosts().iter().map(|host| (host.name.as_str(), host.group.as_deref())).collect();
    assert_eq!(names, [("main", None), ("sites[a]", Some("sites")), ("sites[b]", Some("sites"))]);
    let resources = |at: usize| format!("{:?}", plan.resolve(&plan.hosts()[at], &Facts::example()).unwrap());
    assert_eq!(
        [resources(0), resources(1), resources(2)],
        [r#"["file.f"]"#, r#"["random.r"]"#, r#"["file.one", "random.r"]"#]
    );
    assert_eq!(borrowed(&plan, 0), ["sites[a]: random.r"]);
    // Without an element there is no such host, and what is for them is for none.
    let none = self::plan(
        "[host.main]\naddress = 'local'\n[host.sites]\nfor_each = []\naddress = '{{ each.value }}'\n[file.f]\nhosts = ['sites']\npath = '/f'\ncontent = ''\n",
    );
    assert_eq!(none.hosts().len(), 1);
    assert_eq!(none.resolve(&none.hosts()[0], &Facts::example()).unwrap().len(), 0);
}

#[test]
fn a_host_that_has_only_what_names_it_has_no_outputs_of_others() {
    let text = format!(
        "{HOSTS}[directory.d]\npath = '/d'\n[file.c]\nhosts = ['client']\npath = '/c'\ncontent = ''\n\
         [outputs]\nof_main = '{{{{ directory.d.path }}}}'\nof_all = 'x'\n"
    );
    let plan = plan(&text);
    let outputs = |at: usize| -> Vec<String> {
        let graph = plan.resolve(&plan.hosts()[at], &Facts::example()).unwrap();
        graph.outputs().iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!((outputs(0), outputs(1)), (vec!["of_main".to_owned(), "of_all".to_owned()], vec!["of_all".to_owned()]));
}

#[test]
fn what_is_not_there_is_found_before_any_host_is_asked() {
    let client = |content: &str| {
        format!("{HOSTS}[random.a]\npath = '/a'\n[file.c]\nhosts = ['client']\npath = '/c'\ncontent = '{content}'\n")
    };
    for (content, finding) in [
        (
            "{{ on.man.random.a.value }}",
            "p:12:15: `on.man.random.a.value` refers to something that is not there (did you mean `main`?)",
        ),
        (
            "{{ on.main.random.b.value }}",
            "p:12:15: `on.main.random.b.value` refers to something that is not there (known: `a`)",
        ),
        (
            "{{ on.main.random.a.valu }}",
            "p:12:15: `on.main.random.a.valu` refers to something that is not there (did you mean `value`?)",
        ),
        (
            "{{ on.main.fact.ipv4 }}",
            "p:12:15: `on.main.fact.ipv4` asks for `fact` of another host (of another host a plan sees resources by their \
             kinds, and the outputs of plans that it uses)",
        ),
        (
            "{{ on.main }}",
            "p:12:15: `on.main` does not say what it means of which host (it is written on.HOST.KIND.NAME.FIELD: \
             on.registry.random.x.value)",
        ),
        (
            "{{ on.main.file.c.path }}",
            "p:12:15: `on.main.file.c.path` is not for that host (name a host that its `hosts` has)",
        ),
    ] {
        refused(&client(content), &[finding]);
    }
    let circle = format!(
        "{HOSTS}[random.a]\npath = '/a'\ntaken_from = {{ path = '{{{{ on.client.random.b.path }}}}' }}\n\
         [random.b]\nhosts = ['client']\npath = '{{{{ on.main.random.a.path }}}}'\n"
    );
    refused(
        &circle,
        &[
            "p:9:27: these hosts wait for each other in a circle: client -> main -> client (take one of the references out: a \
           value that both need can be an input)",
        ],
    );
}

#[test]
fn a_host_of_a_list_is_read_like_any_other() {
    let of = |each: &str, address: &str| format!("[host.sites]\nfor_each = {each}\naddress = '{address}'\n");
    refused(
        &of("'x'", "{{ each.value }}"),
        &[
            "p:3:12: `for_each` of host.sites is text (it takes a list of text or numbers, a table, or one of both from an input: \"{{ input.sites }}\")",
        ],
    );
    refused(
        &of("['a', 'a']", "{{ each.value }}"),
        &["p:3:18: `for_each` of host.sites has \"a\" twice (each element is there once, so take one out)"],
    );
    refused(
        &of("['a']", "{{ each.vale }}"),
        &["p:4:11: `each.vale` refers to something that is not there (did you mean `value`?)"],
    );
    refused(
        "[host.a]\naddress = '{{ each.value }}'\n",
        &["p:3:11: a host cannot refer to each.value (only inputs are known before a host is reached)"],
    );
}
