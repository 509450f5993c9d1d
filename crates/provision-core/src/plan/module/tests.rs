//! `when`, `for_each`, blocks and plans that are used: what they come to, and what is said of those that are wrong. A case is
//! a text, files beside it, and the addresses or the findings.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::super::asset::{Assets, Folder, NoAssets};
use super::super::build::PlanBuilder;
use super::super::input::{Inputs, Origin};
use super::super::problem::Source;
use super::super::{Plan, PlanError};
use crate::facts::Facts;
use crate::graph::Graph;
use crate::resource::Relation;

/// Plans in a directory of their own; the one that is applied is `plan.toml`.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self(directory)
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.0.path().to_path_buf()).unwrap()
    }

    fn parse(&self) -> Result<Plan, PlanError> {
        let path = self.root().join("plan.toml");
        let source = Source { name: path.to_string(), text: std::fs::read_to_string(&path).unwrap() };
        Plan::parse(source, Arc::new(Folder(self.root())), &Inputs::new(self.root()))
    }

    /// Checks the findings, one line each, with the directory left out.
    fn refused(&self, findings: &[&str]) {
        let error = self.parse().expect_err("accepted").to_string().replace(&format!("{}/", self.root()), "");
        assert_eq!(error.lines().collect::<Vec<_>>(), findings);
    }
}

fn parse_with(text: &str, inputs: &Inputs) -> Result<Plan, String> {
    let source = Source { name: "p".to_owned(), text: format!("name = \"x\"\n{text}") };
    Plan::parse(source, Arc::new(NoAssets) as Arc<dyn Assets>, inputs).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Plan {
    parse_with(text, &Inputs::default()).unwrap_or_else(|findings| panic!("{findings}\n{text}"))
}

fn refused(text: &str, findings: &[&str]) {
    match parse_with(text, &Inputs::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(found) => assert_eq!(found.lines().collect::<Vec<_>>(), findings, "findings of\n{text}"),
    }
}

fn graph(plan: &Plan) -> Graph {
    plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap()
}

/// Each resource with what it uses and, after `;`, with what it only comes after.
fn edges(graph: &Graph) -> Vec<String> {
    let names: Vec<String> = graph.resources().map(|(address, _)| address.to_string()).collect();
    let of = |index: usize, wanted: Relation| {
        let targets = graph.dependencies(index).filter(|(_, relation)| *relation == wanted);
        targets.map(|(to, _)| names[to].as_str()).collect::<Vec<_>>().join(" ")
    };
    let line = |(index, name): (usize, &String)| {
        let (uses, after) = (of(index, Relation::Uses), of(index, Relation::After));
        format!("{name}: {uses}; {after}")
            .trim_end_matches("; ")
            .trim_end_matches(": ")
            .trim_end_matches(':')
            .to_owned()
    };
    names.iter().enumerate().map(line).collect()
}

fn addresses(text: &str) -> String {
    let plan = parse(text);
    graph(&plan).resources().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(" ")
}

const A: &str = "[file.a]\npath = '/a'\ncontent = ''\n";

#[test]
fn what_a_when_says_no_to_is_not_in_the_plan() {
    let with = |when: &str| {
        addresses(&format!("[input.n]\ndefault = 2\n{A}when = {when}\n[link.b]\npath = '/b'\ntarget = '/'\n"))
    };
    for (when, expected) in [
        ("'input.n > 1'", "file.a link.b"),
        ("'input.n > 2'", "link.b"),
        ("'input.n == 2 and host.name == \"local\"'", "file.a link.b"),
        ("'plan.name in [\"y\"]'", "link.b"),
        ("true", "file.a link.b"),
        ("false", "link.b"),
        ("'fact.os_id == \"debian\"'", "file.a link.b"),
        ("'not fact.podman_version'", "link.b"),
        ("'fact.ipv6 != \"\" and (fact.ipv6 | split | first) == \"2001:db8::10\"'", "file.a link.b"),
    ] {
        assert_eq!(with(when), expected, "{when}");
    }
}

#[test]
fn a_when_over_facts_needs_them_and_is_read_both_ways() {
    let plan = parse(
        "[file.d]\nwhen = 'fact.os_id == \"debian\"'\npath = '/a'\ncontent = ''\n[file.f]\nwhen = 'fact.os_id == \"fedora\"'\npath = '/a'\ncontent = ''\n",
    );
    assert!(plan.needs_facts());
    assert_eq!(plan.addresses().len(), 2);
    for (os, there) in [("debian", "[\"file.d\"]"), ("fedora", "[\"file.f\"]"), ("arch", "[]")] {
        let mut facts = Facts::example();
        facts.set("os_id", os);
        let graph = plan.resolve(&plan.hosts()[0], &facts).unwrap();
        assert_eq!(format!("{graph:?}"), there);
    }
    refused(
        "[file.f]\nwhen = 'fact.os_id == \"fedora\"'\npath = 'a'\nonwer = 'x'\ncontent = '{{ file.g.path }}'\n",
        &[
            "p:4:8: \"a\" does not fit `path` of file.f (a path on a host starts with `/`)",
            "p:5:1: unknown key `onwer` in file.f (did you mean `owner`?)",
            "p:6:15: `file.g.path` refers to something that is not there (known: `f`)",
        ],
    );
}

#[test]
fn two_that_are_there_together_cannot_manage_one_path() {
    let text = |one: &str, other: &str| {
        format!("[file.a]\n{one}path = '/a'\ncontent = ''\n[file.b]\n{other}path = '/a'\ncontent = ''\n")
    };
    let debian = "when = 'fact.os_id == \"debian\"'\n";
    let finding = "file.a and file.b both manage /a (leave it to one of them)";
    let found = parse_with(&text(debian, debian), &Inputs::default()).unwrap_err();
    assert_eq!(found, format!("p:6:7: {finding}"));
    let found = parse(&text("", debian)).resolve(&parse("").hosts()[0], &Facts::example()).unwrap_err().to_string();
    assert_eq!(found, format!("p:5:7: {finding}"));
}

#[test]
fn what_is_left_out_can_be_asked_for_and_not_used() {
    let text = |content: &str| {
        format!(
            "[input.on]\ndefault = false\n{A}when = 'input.on'\n[file.b]\npath = '/b'\nafter = ['file.a']\ncontent = '{content}'\n"
        )
    };
    refused(
        &text("{{ file.a.path }}"),
        &[
            "p:11:15: `file.a.path` is not there on this host: `when` of file.a is false (input.on) (give both the same `when`, or ask whether it `is defined`)",
        ],
    );
    assert_eq!(addresses(&text("{% if file.a is defined %}{{ file.a.path }}{% endif %}")), "file.b");
    // Facts decide: it is told when they are known.
    let plan = parse(&text("{{ file.a.path }}").replace("'input.on'", "'fact.os_id == \"fedora\"'"));
    let error = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap_err().to_string();
    assert!(error.contains("`when` of file.a is false (fact.os_id == \"fedora\")"), "{error}");
}

#[test]
fn a_when_that_is_none_says_what_it_came_to() {
    refused(
        "[input.name]\ndefault = 'yes'\n[input.secret]\nsecret = true\ndefault = 'hunter22'\n[file.a]\nwhen = 'input.name'\npath = '/a'\ncontent = ''\n[file.b]\nwhen = 'input.secret'\npath = '/b'\ncontent = ''\n[file.c]\nwhen = '{{ input.name }}'\npath = '/c'\ncontent = ''\n[file.d]\nwhen = 1\npath = '/d'\ncontent = ''\n[file.e]\nwhen = 'input.name =='\npath = '/e'\ncontent = ''\n[file.f]\nwhen = 'file.a.path == \"/a\" or input.nmae'\npath = '/f'\ncontent = ''\n[file.g]\nwhen = 'each.key == \"a\"'\npath = '/g'\ncontent = ''\n",
        &[
            "p:8:8: `when` of file.a comes to the text \"yes\", not to true or false (compare it with something: input.replicas > 1)",
            "p:12:8: `when` of file.b comes to a secret, not to true or false (compare it with something: input.replicas > 1)",
            "p:16:8: `when` of file.c is a template (it takes the expression alone, without {{ and }})",
            "p:20:8: `when` of file.d is an integer (it takes an expression in quotes, such as \"fact.os_id == 'debian'\")",
            "p:24:8: `when` of file.e: it is not a valid expression: unexpected end of input, expected expression (such as \"input.replicas > 1 and fact.os_id == 'debian'\")",
            "p:28:9: `when` of file.f cannot look at file.a.path (what there is must be known beforehand: it looks at `input`, `fact`, `host`, `plan`, `each`)",
            "p:28:32: `input.nmae` refers to something that is not there (did you mean `name`?)",
            "p:32:9: `each.key` is nothing without a `for_each` (give the resource, or the block that it is in, a `for_each`)",
        ],
    );
}

#[test]
fn one_resource_for_each_element() {
    let text = "[input.sites]\ndefault = { b = { port = 2 }, a = { port = 1 } }\n[input.ports]\ndefault = [80, 443]\n\
        [directory.data]\nfor_each = ['x.example', 'y']\npath = '/{{ each.value }}'\n\
        [file.site]\nfor_each = '{{ input.sites }}'\npath = '{{ directory.data.y.path }}/{{ each.key }}{{ each.value.port + 1 }}'\ncontent = ''\n\
        [link.port]\nfor_each = '{{ input.ports }}'\nwhen = 'each.value > 80'\npath = '/l{{ each.key }}'\ntarget = \"{{ directory.data['x.example'].path }}\"\n\
        [file.own]\nfor_each = { y = 1 }\npath = '{{ directory.data[each.key].path }}/own'\ncontent = ''\nafter = ['link.port[443]']\n\
        [file.all]\npath = '/all'\ncontent = '{% for key, site in file.site | items %}{{ key }}={{ site.path }} {% endfor %}'\nafter = ['directory.data']\n";
    let plan = parse(text);
    assert_eq!(
        edges(&graph(&plan)),
        [
            "directory.data[x.example]",
            "directory.data[y]",
            "file.site[a]: directory.data[y]",
            "file.site[b]: directory.data[y]",
            "file.all: file.site[a] file.site[b]; directory.data[x.example] directory.data[y]",
            "link.port[443]: directory.data[x.example]",
            "file.own[y]: directory.data[y]; link.port[443]",
        ]
    );
    let seen =
        format!("{:?}", graph(&plan).resources().map(|(_, resource)| format!("{resource:?}")).collect::<Vec<_>>());
    assert!(seen.contains("/y/a2") && seen.contains("/y/b3"), "{seen}");
}

#[test]
fn elements_that_cannot_be_are_found() {
    refused(
        "[input.text]\ndefault = 'a'\n[input.token]\nsecret = true\ntype = 'list'\ndefault = ['hunter22']\n[directory.root]\npath = '/r'\n\
         [file.a]\nfor_each = ['x', 'y', 'x', '', 'a/b', '-c', true]\npath = '/a{{ each.key }}'\ncontent = ''\n\
         [file.b]\nfor_each = 'x'\npath = '/b'\ncontent = ''\n\
         [file.c]\nfor_each = '{{ input.text }}'\npath = '/c'\ncontent = ''\n\
         [file.d]\nfor_each = '{{ input.token }}'\npath = '/d'\ncontent = ''\n\
         [file.e]\nfor_each = '{{ directory }}'\npath = '/e'\ncontent = ''\n\
         [file.f]\nfor_each = ['{{ fact.os_id }}']\npath = '/f'\ncontent = ''\n",
        &[
            "p:11:23: `for_each` of file.a has \"x\" twice (each element is there once, so take one out)",
            "p:11:28: \"\" cannot be a key of `for_each` of file.a (a key is a letter or digit, then letters, digits, `_`, `.` or `-`, at most 64; a table gives a value another name: name = \"\")",
            "p:11:32: \"a/b\" cannot be a key of `for_each` of file.a (a key is a letter or digit, then letters, digits, `_`, `.` or `-`, at most 64; a table gives a value another name: name = \"a/b\")",
            "p:11:39: \"-c\" cannot be a key of `for_each` of file.a (a key is a letter or digit, then letters, digits, `_`, `.` or `-`, at most 64; a table gives a value another name: name = \"-c\")",
            "p:11:45: `for_each` of file.a has a boolean in its list (a list is of text or numbers; of other values make a table: name = value)",
            "p:15:12: `for_each` of file.b is text (it takes a list of text or numbers, a table, or one of both from an input: \"{{ input.sites }}\")",
            "p:19:12: `for_each` of file.c comes to text (it takes a list of text or numbers, a table, or one of both from an input: \"{{ input.sites }}\")",
            "p:23:12: `for_each` of file.d goes over a secret: its elements would be seen in addresses (go over something else, and look the secret up by `each.key`)",
            "p:27:16: `for_each` of file.e cannot look at directory (what there is must be known beforehand: it looks at `input`, `host`, `plan`, `each`)",
            "p:31:17: `for_each` of file.f cannot look at fact.os_id (what there is must be known beforehand: it looks at `input`, `host`, `plan`, `each`)",
        ],
    );
}

#[test]
fn a_mistake_is_one_finding_and_names_the_elements_that_have_it() {
    let text = |all: &str| {
        format!(
            "[directory.data]\nfor_each = {{ a = {{ p = '/a' }}, b = {{ }}, c = {all} }}\npath = '{{{{ each.value.p }}}}'\nonwer = 'x'\n"
        )
    };
    refused(
        &text("{ p = 'c' }"),
        &[
            "p:4:8: \"c\" does not fit `path` of directory.data, in directory.data[c] (a path on a host starts with `/`)",
            "p:4:12: `each.value.p` refers to something that is not there, in directory.data[b] (there is none to choose from)",
            "p:5:1: unknown key `onwer` in directory.data (did you mean `owner`?)",
        ],
    );
}

#[test]
fn an_element_that_is_not_there_cannot_be_referred_to() {
    refused(
        "[directory.data]\nfor_each = ['abc']\npath = '/{{ each.key }}'\n[file.f]\npath = '{{ directory.data.abd.path }}/f'\ncontent = \"{{ directory.data['abc'].pth }}\"\nafter = ['directory.data[x]', 'directory.dta', 'file.f[a]']\n[file.g]\npath = '{{ directory.data.path }}'\ncontent = ''\n",
        &[
            "p:6:12: `directory.data.abd.path` is not there: the `for_each` of directory.data has no `abd` (did you mean `abc`?; one element is directory.data[\"key\"])",
            "p:7:15: `directory.data.abc.pth` refers to something that is not there (did you mean `path`?)",
            "p:8:10: `after` of file.f: the `for_each` of directory.data has no `x` (known: `abc`)",
            "p:8:31: `after` of file.f: the plan has no directory.dta (did you mean `directory.data`?)",
            "p:8:48: `after` of file.f: file.f has no `for_each`, so there is no file.f[a] (write \"file.f\")",
            "p:10:12: `directory.data.path` is not there: the `for_each` of directory.data has no `path` (known: `abc`; one element is directory.data[\"key\"])",
        ],
    );
}

#[test]
fn members_of_a_block_know_each_other_by_their_plain_names() {
    let text = "[input.tenants]\ndefault = { a = { sites = ['x'] }, b = { sites = ['y', 'z'], off = true } }\n\
        [directory.root]\npath = '/r'\n\
        [directory.top]\npath = '/t'\n\
        [block.tenant]\nfor_each = '{{ input.tenants }}'\nafter = ['directory.top']\n\
        [block.tenant.directory.root]\npath = '/srv/{{ each.key }}'\n\
        [block.tenant.file.site]\nfor_each = '{{ each.value.sites }}'\nwhen = 'each.outer.value.off is undefined or each.key != \"z\"'\npath = '{{ directory.root.path }}/{{ each.outer.key }}-{{ each.key }}'\ncontent = '{{ directory.top.path }}'\n\
        [file.last]\npath = '/last'\ncontent = '{{ directory.root.path }}'\nafter = ['block.tenant[a]', 'tenant/file.site[y]']\n";
    assert_eq!(
        edges(&graph(&parse(text))),
        [
            "directory.root",
            "directory.top",
            "tenant[a]/directory.root: ; directory.top",
            "tenant[a]/file.site[x]: directory.top tenant[a]/directory.root",
            "tenant[b]/directory.root: ; directory.top",
            "tenant[b]/file.site[y]: directory.top tenant[b]/directory.root",
            "file.last: directory.root; tenant[a]/directory.root tenant[a]/file.site[x] tenant[b]/file.site[y]",
        ]
    );
    refused(
        "[block.b]\nwhen = false\n[block.b.directory.d]\npath = '/d'\n[block.b.directroy.e]\n[block.c]\nfor_eahc = []\n[file.f]\npath = '{{ block.b.directory.d.path }}'\ncontent = '{{ directory.d.path }}'\n",
        &[
            "p:6:10: unknown kind `directroy` (did you mean `directory`?)",
            "p:8:1: unknown kind `for_eahc` (did you mean `for_each`?)",
            "p:10:12: `block.b.directory.d.path` is in a block (what is in a block is seen there only: take what you need out of it)",
            "p:11:15: `directory.d.path` refers to something that is not there (there is none to choose from)",
        ],
    );
}

const MODULE: &str = "name = 'site'\n[input.root]\ndescription = 'Where it goes'\n[input.address]\n[input.port]\ntype = 'port'\ndefault = 80\n[input.token]\nsecret = true\ndefault = 'hunter22'\n\
    [host.h]\naddress = '{{ input.address }}'\n\
    [directory.root]\npath = '{{ input.root }}'\n\
    [file.conf]\npath = '{{ directory.root.path }}/conf'\ntemplate = 'conf.tpl'\n\
    [outputs]\nurl = 'http://{{ host.name }}:{{ input.port }}'\nconf = '{{ file.conf.path }}'\ntoken = '{{ input.token }}'\n";

#[test]
fn a_plan_is_used_twice() {
    let files = Files::new(&[
        ("site/plan.toml", MODULE),
        ("site/conf.tpl", "{{ input.port }} {{ input.token }} {{ plan.name }}\n"),
        (
            "plan.toml",
            "name = 'two'\n[directory.srv]\npath = '/srv'\n\
             [use.one]\nplan = 'site'\ninputs = { root = '{{ directory.srv.path }}/one' }\n\
             [use.more]\nplan = 'site/plan.toml'\nfor_each = { a = 1, b = 2 }\nafter = ['use.one']\ninputs = { root = '/srv/{{ each.key }}', port = '{{ each.value }}', token = 'tok{{ each.key }}en' }\n\
             [file.f]\npath = '/f'\ncontent = \"{{ use.one.conf }} {{ use.more.b.url }} {{ use.more['a'].conf }}\"\n\
             [outputs]\nurl = '{{ use.more.a.url }}'\ntoken = '{{ use.more.b.token }}'\n",
        ),
    ]);
    let plan = files.parse().unwrap();
    let graph = graph(&plan);
    assert_eq!(
        edges(&graph),
        [
            "directory.srv",
            "one/directory.root: directory.srv",
            "one/file.conf: one/directory.root",
            "more[a]/directory.root: ; directory.srv one/directory.root one/file.conf",
            "more[a]/file.conf: more[a]/directory.root; one/directory.root one/file.conf",
            "file.f: one/file.conf more[a]/file.conf",
            "more[b]/directory.root: ; directory.srv one/directory.root one/file.conf",
            "more[b]/file.conf: more[b]/directory.root; one/directory.root one/file.conf",
        ]
    );
    let outputs: Vec<String> = graph.outputs().iter().map(|(name, text)| format!("{name} {}", text.shown())).collect();
    assert_eq!(outputs, ["url http://local:1", "token (secret)"]);
    assert_eq!(plan.secrets().mask("tokaen tokben hunter22"), "(secret) (secret) (secret)");
    let content = |at: usize| format!("{:?}", graph.resources().nth(at).unwrap().1);
    assert!(content(2).contains(&format!("length: {}", "80 hunter22 two\n".len())), "{}", content(2));
    assert!(!content(2).contains("hunter22") && !content(4).contains("token"));
}

#[test]
fn a_plan_has_another_digest_when_one_that_it_uses_has_changed() {
    let main = "name = 'two'\n[use.one]\nplan = 'site'\ninputs = { root = '/srv' }\n";
    let digest = |module: &str, template: &str| {
        let files = Files::new(&[("site/plan.toml", module), ("site/conf.tpl", template), ("plan.toml", main)]);
        files.parse().unwrap().digest().to_owned()
    };
    let first = digest(MODULE, "a");
    assert_eq!(first, digest(&format!("# comment\n{MODULE}"), "a"));
    assert_ne!(first, digest(MODULE, "b"));
    assert_ne!(first, digest(&MODULE.replace("/conf'", "/config'"), "a"));
    assert_ne!(first, digest(&MODULE.replace("= 80", "= 81"), "a"));
    // Who knows the rest could try secrets until it fits.
    assert_eq!(first, digest(&MODULE.replace("hunter22", "hunter23"), "a"));
}

#[test]
fn what_a_plan_is_given_fits_what_it_takes() {
    let files = Files::new(&[
        ("site/plan.toml", MODULE),
        ("site/conf.tpl", ""),
        (
            "plan.toml",
            "name = 'two'\n[input.n]\ndefault = 'x'\n\
             [use.one]\nplan = 'site'\ninputs = { rot = '/a', port = 70000 }\n\
             [use.two]\nplan = 'site'\ninputs = { root = '/b', port = '{{ input.n }}' }\nwehn = true\n\
             [use.three]\nplan = 'none'\n\
             [use.four]\ninputs = []\n\
             [file.f]\npath = '/f'\ncontent = '{{ use.two.ulr }} {{ use.tow.url }} {{ use.three.url }} {{ directory.root.path }}'\nafter = ['two/file.conf']\n",
        ),
    ]);
    files.refused(&[
        "plan.toml:4:6: use.one lacks the input `root`: Where it goes (add it to inputs = { root = ... })",
        "plan.toml:6:12: site/plan.toml has no input `rot` (did you mean `root`?)",
        "plan.toml:6:31: the value for input.port from use.one does not fit (a port goes from 1 to 65535)",
        "plan.toml:9:32: the value for input.port from use.two does not fit (it takes an integer)",
        "plan.toml:10:1: unknown key `wehn` in use.two (did you mean `when`?)",
        "plan.toml:12:8: cannot read none: No such file or directory (os error 2) (a plan is a file, or a directory with a plan.toml in it; a relative path starts at the directory of the plan that uses it)",
        "plan.toml:13:6: use.four lacks `plan` (add `plan = ...`)",
        "plan.toml:14:10: `inputs` of use.four is a list (it takes a table: inputs = { name = \"value\" })",
        "plan.toml:17:15: `use.two.ulr` refers to something that is not there (known: `conf`, `token`, `url`)",
        "plan.toml:17:33: `use.tow.url` refers to something that is not there (known: `four`, `one`, `three`, `two`)",
        "plan.toml:17:71: `directory.root.path` refers to something that is not there (there is none to choose from)",
        "plan.toml:18:10: `after` of file.f: two/file.conf is in a plan of its own (name all of it: \"use.two\")",
    ]);
}

#[test]
fn findings_name_the_file_that_has_them_and_come_once() {
    let files = Files::new(&[
        (
            "m/plan.toml",
            "name = 'm'\non_failure = 'rollback'\n[input.v]\n[directory.d]\npath = '{{ input.v }}'\nmdoe = '0755'\nhosts = ['x']\n[file.f]\npath = '/f'\ntemplate = 'none.tpl'\n",
        ),
        (
            "plan.toml",
            "name = 'two'\n[use.one]\nplan = 'm'\ninputs = { v = '/a' }\n[use.two]\nplan = 'm'\ninputs = { v = 'b' }\n",
        ),
    ]);
    files.refused(&[
        "m/plan.toml:2:1: `on_failure` is of the plan that is applied, and this one is used by another (take it out here, and say it there)",
        "m/plan.toml:5:8: \"b\" does not fit `path` of directory.d, in two/directory.d (a path on a host starts with `/`)",
        "m/plan.toml:6:1: unknown key `mdoe` in directory.d (did you mean `mode`?)",
        "m/plan.toml:7:9: directory.d names hosts, and is in a plan that another one uses (say at the [use] for which hosts it is)",
        "m/plan.toml:10:12: cannot read m/none.tpl: No such file or directory (os error 2) (a relative path in `template` starts at the plan's directory)",
    ]);
    let broken = Files::new(&[
        ("m/plan.toml", "name = 'm'\n[file.f\n"),
        ("plan.toml", "name = 'two'\n[use.one]\nplan = 'm'\n[file.g]\ncontent = ''\n"),
    ]);
    broken.refused(&[
        "plan.toml:4:7: file.g lacks `path` (add `path = ...`; `provision kinds` shows what it takes)",
        "m/plan.toml:2:8: not valid TOML: unclosed table, expected `]` (a header is one line and ends with `]`; a name with a blank in it is none)",
    ]);
}

#[test]
fn plans_that_use_each_other_are_spelled_out() {
    let files = Files::new(&[
        ("plan.toml", "name = 'a'\n[use.b]\nplan = 'b'\n"),
        ("b/plan.toml", "name = 'b'\n[use.c]\nplan = '../c.toml'\n"),
        ("c.toml", "name = 'c'\n[use.a]\nplan = '.'\n"),
    ]);
    files.refused(&[
        "b/../c.toml:3:8: these plans use each other in a circle: plan.toml -> b/plan.toml -> b/../c.toml -> b/.././plan.toml (take one [use] out; what both need can be a plan of its own)",
    ]);
    let values = Files::new(&[
        (
            "plan.toml",
            "name = 'a'\n[use.b]\nplan = 'b'\ninputs = { v = '{{ file.f.path }}' }\n[file.f]\npath = '/f{{ use.b.o }}'\ncontent = ''\n",
        ),
        (
            "b/plan.toml",
            "name = 'b'\n[input.v]\n[file.g]\npath = '{{ input.v }}.g'\ncontent = ''\n[outputs]\no = '{{ file.g.path }}'\n",
        ),
    ]);
    values.refused(&[
        "plan.toml:5:7: these refer to each other in a circle: file.f -> b/outputs.o -> b/file.g -> use.b.inputs.v -> file.f (take one of the references out, for instance by an input that both use)",
    ]);
}

#[test]
fn what_is_there_cannot_depend_on_what_is_made() {
    let files = Files::new(&[
        (
            "m/plan.toml",
            "name = 'm'\n[input.v]\n[input.w]\ndefault = 'w'\n[file.f]\nwhen = 'input.v == \"/a\"'\npath = '/f'\ncontent = '{{ input.v }}'\n[file.g]\nfor_each = '{{ [input.w] }}'\npath = '/g'\ncontent = ''\n",
        ),
        (
            "plan.toml",
            "name = 'two'\n[file.a]\npath = '/a'\ncontent = ''\n[use.m]\nplan = 'm'\ninputs = { v = '{{ file.a.path }}', w = '{{ fact.os_id }}' }\n",
        ),
    ]);
    files.refused(&[
        "m/plan.toml:6:8: `when` of file.f cannot look at input.v, which comes from what the plan makes (what there is must be known beforehand: give the input a value of its own)",
        "m/plan.toml:10:12: `for_each` of file.g cannot look at input.w, which depends on the host's facts (what there is must be known beforehand: give the input a value of its own)",
    ]);
}

#[test]
fn a_plan_that_is_left_out_takes_all_of_it_along() {
    let files = |when: &str, content: &str| {
        Files::new(&[
            ("site/plan.toml", MODULE),
            ("site/conf.tpl", ""),
            (
                "plan.toml",
                &format!(
                    "name = 'two'\n[host.a]\naddress = 'local'\n[host.b]\naddress = 'local'\n[use.one]\nplan = 'site'\n{when}\ninputs = {{ root = '/srv' }}\n[file.f]\npath = '/f'\ncontent = '{content}'\nafter = ['use.one']\n"
                ),
            ),
        ])
    };
    let plan = files("when = false", "").parse().unwrap();
    assert_eq!(format!("{:?}", graph(&plan)), "[\"file.f\"]");
    let plan = files("hosts = ['b']", "").parse().unwrap();
    assert_eq!(format!("{:?}", graph(&plan)), "[\"file.f\"]");
    assert_eq!(plan.resolve(&plan.hosts()[1], &Facts::example()).unwrap().len(), 3);
    files("when = 'host.name == \"b\"'", "{{ use.one.url }}").refused(&[
        "plan.toml:12:15: `use.one.url` is not there on this host: `when` of use.one is false (host.name == \"b\") (give both the same `when`, or ask whether it `is defined`)",
    ]);
}

#[test]
fn moves_name_what_is_in_blocks_and_plans_and_one_of_several() {
    let files = |moved: &str| {
        Files::new(&[
            ("site/plan.toml", &format!("{MODULE}[moved]\n'file.config' = 'file.conf'\n")),
            ("site/conf.tpl", ""),
            (
                "plan.toml",
                &format!(
                    "name = 'two'\n[use.one]\nplan = 'site'\nfor_each = ['a']\ninputs = {{ root = '/srv' }}\n[block.b.file.f]\npath = '/f'\ncontent = ''\nwhen = false\n[moved]\n{moved}\n"
                ),
            ),
        ])
    };
    let plan = files("'directory.srv' = 'one[a]/directory.root'\n'file.f' = 'b/file.f'").parse().unwrap();
    let moved: Vec<String> = graph(&plan).moved().iter().map(|(old, new)| format!("{old} {new}")).collect();
    // What is left out has nowhere to go.
    assert_eq!(moved, ["directory.srv one[a]/directory.root", "one[a]/file.config one[a]/file.conf"]);
    files("'directory.srv' = 'one[b]/directory.root'\n'b/file.f' = 'file.g'").refused(&[
        "plan.toml:11:19: directory.srv moves to one[b]/directory.root, which is not there (did you mean `one[a]/directory.root`?)",
        "plan.toml:12:1: b/file.f has moved to file.g, and yet the plan has b/file.f (take this line out, or rename the resource)",
    ]);
}

#[test]
fn tables_and_numbers_are_inputs() {
    let text = "[input.sites]\ntype = 'table'\n[input.ports]\ntype = 'integers'\n[input.secrets]\nsecret = true\ntype = 'table'\ndefault = { a = { word = 'hunter22' } }\n\
        [file.f]\nfor_each = '{{ input.sites }}'\npath = '/{{ each.key }}{{ each.value.port + input.ports[0] }}'\ncontent = '{{ input.secrets[each.key].word }}'\n";
    let with = |sites: &str, ports: &str| {
        let mut inputs = Inputs::default();
        inputs.set("sites", sites, Origin::Argument);
        inputs.set("ports", ports, Origin::Argument);
        parse_with(text, &inputs)
    };
    for sites in ["{\"a\": {\"port\": 1}}", "{ a = { port = 1 } }"] {
        let plan = with(sites, "5, 6").unwrap();
        let graph = graph(&plan);
        let seen = format!("{:?}", graph.resources().next().unwrap().1);
        assert!(seen.contains("/a6") && !seen.contains("hunter22"), "{seen}");
        let values: Vec<String> = plan.values().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(values, ["sites={\"a\":{\"port\":1}}", "ports=[5,6]"]);
        assert_eq!(plan.secrets().mask("hunter22"), "(secret)");
    }
    for (sites, ports, finding) in [
        (
            "a=1",
            "1",
            "p:2:8: the value for input.sites from --var sites does not fit (it takes an object in JSON, such as {\"a\": 1}, or an inline table in TOML, such as { a = 1 })",
        ),
        (
            "{ a = { port = 1.5 } }",
            "1",
            "p:2:8: the value for input.sites from --var sites does not fit (a table has no fractions: put the number in quotes)",
        ),
        (
            "{\"a\": null}",
            "1",
            "p:2:8: the value for input.sites from --var sites does not fit (null has no meaning in a plan)",
        ),
        (
            "{}",
            "1,x",
            "p:4:8: the value for input.ports from --var ports does not fit (it takes whole numbers, separated by commas)",
        ),
    ] {
        assert_eq!(with(sites, ports).unwrap_err(), finding);
    }
    let mut inputs = Inputs::default();
    inputs.set_json_file("v.json", "{\"sites\": {\"b\": {\"port\": 2}}, \"ports\": [1]}").unwrap();
    assert_eq!(
        format!("{:?}", graph(&parse_with(&text.replace("a = { word", "b = { word"), &inputs).unwrap())),
        "[\"file.f[b]\"]"
    );
    assert!(inputs.set_json_file("v.json", "[]").is_err());
}

#[test]
fn a_secret_stays_one_through_elements_and_plans() {
    refused(
        "[input.p]\nsecret = true\ndefault = 'hunter22'\n[file.f]\nfor_each = { a = { word = '{{ input.p }}', mode = '0600' } }\npath = '/{{ each.value.word }}'\ncontent = '{{ each.value.word }}'\nmode = '{{ each.value.mode }}'\n",
        &[
            "p:7:8: a secret cannot go into `path` of file.f: others could read it there (secrets may stand in the content of a file and in the standard input of a command)",
        ],
    );
    let files = Files::new(&[
        (
            "m/plan.toml",
            "name = 'm'\n[input.v]\n[file.f]\npath = '/{{ input.v }}'\ncontent = '{{ input.v }}'\n[outputs]\no = '{{ input.v }}'\n",
        ),
        (
            "plan.toml",
            "name = 'two'\n[input.p]\nsecret = true\ndefault = 'hunter22'\n[use.m]\nplan = 'm'\ninputs = { v = '{{ input.p }}' }\n[link.l]\npath = '/{{ use.m.o }}'\ntarget = '/'\n",
        ),
    ]);
    let help = "others could read it there (secrets may stand in the content of a file and in the standard input of a command)";
    files.refused(&[
        &format!("plan.toml:9:8: a secret cannot go into `path` of link.l: {help}"),
        &format!("m/plan.toml:4:8: a secret cannot go into `path` of file.f: {help}"),
    ]);
}

#[test]
fn a_host_that_cannot_be_told_is_not_this_machine() {
    refused(
        "[input.address]\ndefault = 'a'\n[host.h]\naddress = '{{ input.adress }}'\nuser = '{{ fact.user }}'\n",
        &[
            "p:5:11: `input.adress` refers to something that is not there (did you mean `address`?)",
            "p:6:8: a host cannot refer to fact.user (only inputs are known before a host is reached)",
        ],
    );
}

#[test]
fn more_than_any_host_could_hold_is_refused() {
    let list: Vec<String> = (0..200).map(|n| format!("'{n}'")).collect();
    let list = list.join(", ");
    let found = parse_with(
        &format!("[block.a]\nfor_each = [{list}]\n[block.a.block.b]\nfor_each = [{list}]\n[block.a.block.b.file.f]\npath = '/{{{{ each.outer.key }}}}/{{{{ each.key }}}}'\ncontent = ''\n"),
        &Inputs::default(),
    )
    .unwrap_err();
    assert!(found.ends_with("the plan comes to more than 20000 resources and uses of plans (make the lists of its `for_each` shorter, or plans of its parts)"), "{found}");
}

#[test]
fn a_builder_makes_blocks_and_uses_plans() {
    let files = Files::new(&[("site/plan.toml", MODULE), ("site/conf.tpl", "")]);
    let plan = PlanBuilder::new("built")
        .assets(Arc::new(Folder(files.root())))
        .uses("one", toml::toml! { plan = "site" inputs = { root = "/srv" } })
        .block("b", toml::toml! { for_each = ["x"] file = { f = { path = "/{{ each.key }}", content = "" } } })
        .build()
        .unwrap();
    assert_eq!(format!("{:?}", graph(&plan)), "[\"one/directory.root\", \"one/file.conf\", \"b[x]/file.f\"]");
    let error = PlanBuilder::new("built").uses("one", toml::toml! { plan = "site" }).build().unwrap_err().to_string();
    assert!(error.starts_with("the plan: cannot read site: this plan has no directory of its own"), "{error}");
}
