//! What plans say of their time on a host, and what is said of plans that say it wrongly.

use std::sync::Arc;

use super::super::asset::{Assets, Folder, NoAssets};
use super::super::build::PlanBuilder;
use super::super::input::{Inputs, Origin};
use super::super::problem::Source;
use super::super::{Plan, PlanError};
use super::*;
use crate::facts::Facts;
use crate::graph::Graph;

fn parse_with(text: &str, assets: Arc<dyn Assets>, inputs: &Inputs) -> Result<Plan, PlanError> {
    Plan::parse(Source { name: "p".to_owned(), text: text.to_owned() }, assets, inputs)
}

fn parse(text: &str) -> Plan {
    parse_with(text, Arc::new(NoAssets), &Inputs::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn graph(plan: &Plan) -> Graph {
    plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap()
}

/// Checks the findings of a text, one line each.
fn refused(text: &str, findings: &[&str]) {
    match parse_with(text, Arc::new(NoAssets), &Inputs::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error.to_string().lines().collect::<Vec<_>>(), findings, "findings of\n{text}"),
    }
}

const FILE: &str = "[file.new]\npath = '/srv/f'\ncontent = ''\n";

#[test]
fn without_a_word_what_was_done_stays_and_ten_applies_are_kept() {
    let graph = graph(&parse(&format!("name = 'p'\n{FILE}")));
    assert_eq!((graph.on_failure(), graph.keep(), graph.moved()), (OnFailure::Keep, DEFAULT_KEEP, &[][..]));
    assert!(!graph.adopts(0));
}

#[test]
fn a_plan_and_a_builder_say_the_same() {
    let text = format!(
        "name = 'p'\non_failure = 'rollback'\nhistory = {{ applies = 3, size = '2K' }}\n{FILE}adopt = true\n[moved]\n'file.old' = 'file.new'\n"
    );
    let fields = toml::toml! { path = "/srv/f" content = "" adopt = true };
    let keep = Keep { applies: 3, bytes: 2048 };
    let built = PlanBuilder::new("p")
        .on_failure(OnFailure::Rollback)
        .history(keep)
        .resource("file", "new", fields)
        .moved("file.old", "file.new")
        .build()
        .unwrap();
    for plan in [parse(&text), built] {
        let graph = graph(&plan);
        assert_eq!((graph.on_failure(), graph.keep()), (OnFailure::Rollback, keep));
        assert_eq!(graph.moved(), [("file.old".parse().unwrap(), "file.new".parse().unwrap())]);
        assert!(graph.adopts(0));
    }
}

#[test]
fn a_move_is_for_the_hosts_of_the_resource() {
    let text = "name = 'p'\n[host.a]\naddress = 'local'\n[host.b]\naddress = 'local'\n[file.new]\npath = '/srv/f'\ncontent = ''\nhosts = ['b']\n[moved]\n'file.old' = 'file.new'\n";
    let plan = parse(text);
    let moved = |host: usize| plan.resolve(&plan.hosts()[host], &Facts::example()).unwrap().moved().len();
    assert_eq!((moved(0), moved(1)), (0, 1));
}

#[test]
fn what_is_wrong_is_found_with_its_place_and_a_way_out() {
    refused(
        &format!(
            "name = 'p'\non_failure = 'undo'\nhistory = {{ applies = 0, size = '1T', days = 3 }}\n{FILE}adopt = 'yes'\n"
        ),
        &[
            "p:2:14: \"undo\" does not fit `on_failure` of the plan (it is \"keep\" or \"rollback\")",
            "p:3:23: 0 is out of range for `applies` of history (it goes from 1 to 1000)",
            "p:3:33: \"1T\" does not fit `size` of history (a size is a whole number of bytes, or one with K, M or G: \"256M\")",
            "p:3:39: unknown key `days` in history (known: `applies`, `size`)",
            "p:7:9: `adopt` of file.new is text (it takes true or false)",
        ],
    );
    refused(
        &format!("name = 'p'\non_failure = true\nhistory = 3\nmoved = 'x'\nhistroy = 3\n{FILE}"),
        &[
            "p:2:14: `on_failure` of the plan is a boolean (it takes text: put it in quotes)",
            "p:3:11: `history` is an integer (it is a table: [history])",
            "p:4:9: `moved` is text (it is a table: [moved])",
            "p:5:1: unknown kind `histroy` (did you mean `history`?)",
        ],
    );
    refused(
        &format!("name = 'p'\nhistory = {{ size = 1000 }}\n{FILE}"),
        &["p:2:20: `size` of history is an integer (it takes text: put it in quotes)"],
    );
}

#[test]
fn a_move_that_cannot_be_meant_is_refused() {
    for (line, finding) in [
        (
            "file.old = 'file.new'",
            "p:6:1: moved.file is a table (it is written \"file.old\" = \"file.new\", both in quotes)",
        ),
        (
            "'file.old' = 3",
            "p:6:14: moved.file.old is an integer (it is written \"file.old\" = \"file.new\", both in quotes)",
        ),
        (
            "'old' = 'file.new'",
            "p:6:1: \"old\" under [moved] is not the address of a resource (an address is `kind.name`, such as `directory.root`)",
        ),
        (
            "'file.old' = 'new'",
            "p:6:14: \"new\" under [moved] is not the address of a resource (an address is `kind.name`, such as `directory.root`)",
        ),
        (
            "'file.new' = 'file.new'",
            "p:6:1: file.new has moved to file.new, and yet the plan has file.new (take this line out, or rename the resource)",
        ),
        (
            "'file.old' = 'file.nwe'",
            "p:6:14: file.old moves to file.nwe, which is not there (did you mean `file.new`?)",
        ),
        (
            "'link.old' = 'file.new'",
            "p:6:14: link.old cannot become file.new: they are of different kinds (take this line out: what is of another kind is removed and made anew)",
        ),
        (
            "'file.old' = 'file.new'\n'file.older' = 'file.new'",
            "p:7:16: file.old and file.older both move to file.new (leave the one in that is on the host, and take the other out)",
        ),
    ] {
        refused(&format!("name = 'p'\n{FILE}[moved]\n{line}\n"), &[finding]);
    }
}

/// The digests of a plan and of its first resource.
fn digests(text: &str, assets: &Arc<dyn Assets>, inputs: &Inputs) -> (String, String) {
    let plan = parse_with(text, Arc::clone(assets), inputs).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let graph = graph(&plan);
    (plan.digest().to_owned(), graph.digest(0).unwrap().to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    Same,
    Other,
}

#[test]
fn a_digest_is_another_exactly_when_the_meaning_is() {
    use Digest::{Other, Same};
    let base = "name = 'p'\n[file.f]\npath = '/srv/f'\ncontent = 'a'\n";
    let plain: Arc<dyn Assets> = Arc::new(NoAssets);
    let of = |text: &str| digests(text, &plain, &Inputs::default());
    let before = of(base);
    assert_eq!(before.1.len(), 64);
    for (text, plan, resource) in [
        (base, Same, Same),
        ("# why\nname = \"p\"\n[file.f]\npath = \"/srv/f\"   # where\ncontent = \"a\"\n", Same, Same),
        ("name = 'p'\n[file.f]\ncontent = 'a'\npath = '/srv/f'\n", Other, Same),
        ("name = 'p'\n[file.f]\npath = '/srv/f'\ncontent = 'a'\nadopt = true\nafter = []\n", Other, Same),
        ("name = 'p'\non_failure = 'rollback'\n[file.f]\npath = '/srv/f'\ncontent = 'a'\n", Other, Same),
        ("name = 'p'\n[input.c]\ndefault = 'a'\n[file.f]\npath = '/srv/f'\ncontent = '{{ input.c }}'\n", Other, Same),
        ("name = 'p'\n[file.f]\npath = '/srv/f'\ncontent = 'b'\n", Other, Other),
        ("name = 'p'\n[file.f]\npath = '/srv/f'\ncontent = 'a'\nmode = '0600'\n", Other, Other),
    ] {
        let after = of(text);
        let verdict = |same: bool| if same { Same } else { Other };
        let found = (verdict(after.0 == before.0), verdict(after.1 == before.1));
        assert_eq!(found, (plan, resource), "{text}");
    }
    // The lines of a file are in the order in which they are written.
    let unit =
        |lines: &str| of(&format!("name = 'p'\n[unit.u]\nunit = 'u.service'\n[unit.u.sections.Service]\n{lines}")).1;
    assert_ne!(unit("ExecStart = '/a'\nUser = 'b'\n"), unit("User = 'b'\nExecStart = '/a'\n"));
}

#[test]
fn a_secret_goes_into_the_digest_that_stays_on_the_host_and_into_no_other() {
    let text = "name = 'p'\n[input.s]\nsecret = true\n[file.f]\npath = '/srv/f'\ncontent = '{{ input.s }}'\n";
    let with = |secret: &str| {
        let mut inputs = Inputs::default();
        inputs.set("s", secret, Origin::Argument);
        digests(text, &(Arc::new(NoAssets) as Arc<dyn Assets>), &inputs)
    };
    let (one, other) = (with("hunter22"), with("hunter23"));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1, other.1);
    assert_eq!(one, with("hunter22"));
}

#[test]
fn what_is_in_a_file_counts_and_not_where_it_is() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let write = |at: usize, name: &str, text: &str| std::fs::write(directories[at].path().join(name), text).unwrap();
    let digests = |at: usize, source: &str| {
        let folder = camino::Utf8PathBuf::from_path_buf(directories[at].path().to_path_buf()).unwrap();
        let mut inputs = Inputs::default();
        let source = if source.is_empty() { folder.join("a").into_string() } else { source.to_owned() };
        inputs.set("source", &source, Origin::Argument);
        let text = "name = 'p'\n[input.source]\n[file.f]\npath = '/srv/f'\nsource = '{{ input.source }}'\n[file.t]\npath = '/srv/t'\ntemplate = 't'\n";
        digests(text, &(Arc::new(Folder(folder)) as Arc<dyn Assets>), &inputs)
    };
    for at in [0, 1] {
        write(at, "a", "content");
        write(at, "t", "{{ plan.name }}");
    }
    let before = digests(0, "a");
    assert_eq!(digests(1, "a"), before);
    // By whatever name it is found.
    assert_eq!((digests(0, "").1, digests(1, "").1), (before.1.clone(), before.1.clone()));
    write(0, "t", "{{ plan.name }}!");
    let template = digests(0, "a");
    assert_ne!(template.0, before.0);
    assert_eq!(template.1, before.1);
    write(1, "a", "another");
    let source = digests(1, "a");
    assert!(source.0 != before.0 && source.1 != before.1);
}
