//! What a plan's text becomes, and what is said of texts that are no plan. A case is a text and its findings.

use std::sync::Arc;

use super::asset::NoAssets;
use super::input::{Inputs, Origin};
use super::problem::Source;
use super::*;

fn parse_with(text: &str, inputs: &Inputs) -> Result<Plan, String> {
    let source = Source { name: "p".to_owned(), text: text.to_owned() };
    Plan::parse(source, Arc::new(NoAssets), inputs).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Plan, String> {
    parse_with(text, &Inputs::new("/work".into()))
}

/// Checks the findings of a text, one line each.
fn refused(text: &str, findings: &[&str]) {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(found) => assert_eq!(found.lines().collect::<Vec<_>>(), findings, "findings of\n{text}"),
    }
}

/// The order in which the resources of a plan are applied.
fn order(text: &str) -> String {
    let plan = parse(text).unwrap_or_else(|findings| panic!("{findings}\n{text}"));
    let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
    graph.resources().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_finding_comes_in_one_run_with_its_place_and_a_way_out() {
    refused(
        "nam = \"x\"\n[directroy.a]\npath = \"/a\"\n[directory.b]\npath = \"relative\"\nmode = \"0999\"\nonwer = \"core\"\n[file.c]\ncontent = 5\n",
        &[
            "p:1:1: the plan lacks `name` (write `name = \"registry\"` above all headers: small letters, digits and `-`, at most 48)",
            "p:1:1: unknown kind `nam` (did you mean `name`?)",
            "p:2:2: unknown kind `directroy` (did you mean `directory`?)",
            "p:5:8: \"relative\" does not fit `path` of directory.b (a path on a host starts with `/`)",
            "p:6:8: \"0999\" does not fit `mode` of directory.b (a mode is three or four octal digits in quotes, such as \"0644\")",
            "p:7:1: unknown key `onwer` in directory.b (did you mean `owner`?)",
            "p:8:7: file.c lacks `path` (add `path = ...`; `provision kinds` shows what it takes)",
            "p:9:11: `content` of file.c is an integer (it takes text: put it in quotes)",
        ],
    );
}

#[test]
fn references_that_lead_nowhere_are_found_before_anything_is_rendered() {
    refused(
        "name = \"x\"\n[input.port]\ndefault = 1\n[directory.root]\npath = \"/a\"\n[file.f]\npath = \"{{ directory.roof.path }}/f\"\ncontent = \"{{ input.prot }} {{ directory.root.pth }} {{ fact.os }} {{ host.adress }} {{ inptu }}\"\n",
        &[
            "p:7:12: `directory.roof.path` refers to something that is not there (did you mean `root`?)",
            "p:8:15: `input.prot` refers to something that is not there (did you mean `port`?)",
            "p:8:32: `directory.root.pth` refers to something that is not there (did you mean `path`?)",
            "p:8:57: `fact.os` refers to something that is not there (did you mean `os_id`?)",
            "p:8:71: `host.adress` refers to something that is not there (did you mean `address`?)",
            "p:8:89: `inptu` refers to something that is not there (did you mean `input`?)",
        ],
    );
}

#[test]
fn circles_are_spelled_out() {
    refused(
        "name = \"x\"\n[file.a]\npath = \"/a\"\ncontent = \"{{ file.b.path }}\"\n[file.b]\npath = \"/b\"\ncontent = \"{{ file.a.path }}\"\n",
        &[
            "p:2:7: these refer to each other in a circle: file.a -> file.b -> file.a (take one of the references out, for instance by an input that both use)",
        ],
    );
    refused(
        "name = \"x\"\n[file.a]\npath = \"/a\"\ncontent = \"\"\nafter = [\"file.b\"]\n[file.b]\npath = \"/b\"\ncontent = \"\"\nafter = [\"file.a\"]\n",
        &[
            "p:2:7: these wait for each other in a circle: file.a -> file.b -> file.a (each comes after the next: take one `after` or one reference out)",
        ],
    );
}

#[test]
fn two_resources_cannot_manage_one_path() {
    refused(
        "name = \"x\"\n[file.a]\npath = \"/a\"\ncontent = \"\"\n[directory.b]\npath = \"//a/\"\n",
        &["p:5:12: file.a and directory.b both manage /a (leave it to one of them)"],
    );
}

#[test]
fn edges_come_from_paths_references_and_after() {
    let text = "name = \"x\"\n[file.inner]\npath = \"/d/e/f\"\ncontent = \"\"\n[link.l]\npath = \"/l\"\ntarget = \"/d/e\"\n[directory.e]\npath = \"/d/e\"\n[directory.d]\npath = \"/d\"\n[file.first]\npath = \"/z\"\ncontent = \"{{ file.last.path }}\"\n[file.last]\npath = \"/y\"\ncontent = \"\"\nafter = [\"link.l\"]\n";
    assert_eq!(order(text), "directory.d directory.e file.inner link.l file.last file.first");
}

#[test]
fn inputs_are_typed_and_the_strongest_origin_wins() {
    let text = "name = \"x\"\n[input.port]\ntype = \"port\"\n[input.names]\ntype = \"list\"\n[input.folder]\ntype = \"path\"\ndefault = \"sub/../d\"\n[input.flag]\ndefault = true\n[file.f]\npath = \"{{ input.folder }}/f\"\ncontent = \"{{ input.port + 1 }} {{ input.names | join('-') }} {{ input.flag }}\"\n";
    let mut inputs = Inputs::new("/work".into());
    inputs.set("port", "80", Origin::Environment);
    inputs.set("port", "8443", Origin::Argument);
    inputs.set("names", "a, b", Origin::Argument);
    inputs.set("unheard_of", "x", Origin::Environment);
    let plan = parse_with(text, &inputs).unwrap();
    let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
    let (_, file) = graph.resources().next().unwrap();
    let seen = format!("{file:?}");
    assert!(seen.contains("\"/work/d/f\""), "{seen}");
    assert!(seen.contains(&format!("length: {}", "8444 a-b true".len())), "{seen}");
    for (name, value, finding) in [
        ("port", "http", "p:2:8: the value for input.port from --var port does not fit (it takes an integer)"),
        ("port", "70000", "p:2:8: the value for input.port from --var port does not fit (a port goes from 1 to 65535)"),
        ("flag", "yes", "p:9:8: the value for input.flag from --var flag does not fit (it takes true or false)"),
        (
            "prot",
            "1",
            "p: --var prot gives a value for input.prot, which the plan does not have (did you mean `port`?)",
        ),
    ] {
        let mut inputs = inputs.clone();
        inputs.set(name, value, Origin::Argument);
        assert_eq!(parse_with(text, &inputs).unwrap_err(), finding);
    }
}

#[test]
fn an_input_without_a_value_says_how_to_give_one() {
    refused(
        "name = \"x\"\n[input.password]\nsecret = true\n",
        &[
            "p:2:8: input.password has no value (give it with --var password=VALUE, in a --var-file, or as PROVISION_VAR_password)",
        ],
    );
}

#[test]
fn a_secret_goes_only_where_nobody_can_read_it() {
    let text = "name = \"x\"\n[input.p]\nsecret = true\n[file.f]\npath = \"/{{ input.p }}\"\ncontent = \"{{ input.p }}\"\nmode = \"{% for x in input %}{{ x }}{% endfor %}\"\n";
    let mut inputs = Inputs::default();
    inputs.set("p", "hunter22", Origin::Argument);
    let error = parse_with(text, &inputs).unwrap_err();
    let help = "others could read it there (secrets may stand in the content of a file and in the standard input of a command)";
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            format!("p:5:8: a secret cannot go into `path` of file.f: {help}"),
            format!("p:7:8: a secret cannot go into `mode` of file.f: {help}"),
        ]
    );
    assert!(!error.contains("hunter22"));
}

#[test]
fn hosts_are_read_and_resources_choose_among_them() {
    let text = "name = \"x\"\n[host.a]\naddress = \"a.example\"\nuser = \"core\"\nbecome = true\n[host.b]\naddress = \"[2001:db8::1]\"\nport = 2222\n[file.both]\npath = \"/both\"\ncontent = \"{{ host.address }} {{ host.port }}\"\n[file.one]\npath = \"/one\"\ncontent = \"\"\nhosts = [\"b\"]\n";
    let plan = parse(text).unwrap();
    let resources = |index: usize| plan.resolve(&plan.hosts()[index], &Facts::example()).unwrap().len();
    assert_eq!((resources(0), resources(1)), (1, 2));
    let host::Reach::Ssh(address) = &plan.hosts()[1].reach else { panic!("not over SSH") };
    assert_eq!((address.address.as_str(), address.port), ("2001:db8::1", 2222));
    refused(
        "name = \"x\"\n[host.a]\naddress = \"core@a\"\n[host.b]\naddress = \"local\"\nuser = \"core\"\n[file.f]\npath = \"/f\"\ncontent = \"\"\nhosts = [\"c\"]\n",
        &[
            "p:3:11: \"core@a\" is not an address (a name or an address without user and port, which have keys of their own; or \"local\")",
            "p:6:8: `user` has no meaning for address = \"local\" (leave it out)",
            "p:10:9: the plan has no host `c` (known: `a`, `b`)",
        ],
    );
}

#[test]
fn what_is_not_for_a_host_cannot_be_referred_to_there() {
    refused(
        "name = \"x\"\n[host.a]\naddress = \"a\"\n[host.b]\naddress = \"b\"\n[directory.d]\npath = \"/d\"\nhosts = [\"a\"]\n[file.f]\npath = \"{{ directory.d.path }}/f\"\ncontent = \"\"\n",
        &["p:10:12: `directory.d.path` is not for this host (give both resources the same `hosts`)"],
    );
}

#[test]
fn facts_are_asked_for_only_when_they_are_used() {
    let plain = "name = \"x\"\n[file.f]\npath = \"/f\"\ncontent = \"\"\n";
    assert!(!parse(plain).unwrap().needs_facts());
    assert!(parse(&plain.replace("\"\"", "\"{{ fact.os_id }}\"")).unwrap().needs_facts());
    assert!(parse(&format!("{plain}[outputs]\no = \"{{{{ fact.arch }}}}\"\n")).unwrap().needs_facts());
}

#[test]
fn syntax_errors_are_findings_like_any_other() {
    let error = parse("name = \"x\"\n[file.f\npath = \"/f\"\n").unwrap_err();
    assert!(error.starts_with("p:2:8: not valid TOML: "), "{error}");
}

#[test]
fn one_mistake_is_one_finding_though_the_syntax_is_broken() {
    refused(
        "name = \"x\"\n[directory.d]\npath = \"/d\"\nmode = 0750\nownr = \"a\"\n[directory.e]\npath = \"/e\"\nmode = 750\n",
        &[
            "p:4:8: not valid TOML: unexpected leading zero, expected nothing (a number that starts with 0 goes in quotes: \"0750\")",
            "p:5:1: unknown key `ownr` in directory.d (did you mean `owner`?)",
            "p:8:8: `mode` of directory.e is an integer (it takes text: put it in quotes)",
        ],
    );
}

#[test]
fn text_that_is_no_template_stays_to_the_letter() {
    let text = "name = \"x\"\n[file.f]\npath = \"/f\"\ncontent = \"{ a } $b %c \\\\ \\n\"\n";
    let plan = parse(text).unwrap();
    let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
    let (_, file) = graph.resources().next().unwrap();
    let digest = crate::blob::sha256_hex(b"{ a } $b %c \\ \n");
    assert!(file.asks().iter().any(|ask| format!("{ask:?}").contains(&digest)));
}
