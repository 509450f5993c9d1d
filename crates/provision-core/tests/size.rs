//! Plans of any size and shape: none takes minutes, a deep one ends, and none breaks what reads it.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fmt::Write;
use std::sync::Arc;

use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;

fn parse(text: String) -> Result<Plan, Vec<String>> {
    let source = Source { name: "p".to_owned(), text };
    Plan::parse(source, Arc::new(NoAssets), &Inputs::default())
        .map_err(|error| error.to_string().lines().map(str::to_owned).collect())
}

/// As many resources as nobody has.
const MANY: usize = 10_000;

/// Fewer, where the time grows with more than their number: each mistake is compared with every name there is.
const FEWER: usize = 1_000;

fn many(count: usize, body: impl Fn(usize) -> String) -> String {
    let mut text = "name = \"p\"\n".to_owned();
    for number in 0..count {
        writeln!(text, "{}", body(number)).unwrap();
    }
    text
}

/// Reads a plan on a stack like that of a thread.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap()
}

#[test]
fn ten_thousand_resources() {
    let plan = parse(many(MANY, |n| {
        format!("[file.f{n}]\npath = \"/srv/data/directory/f{n}\"\ncontent = \"{n}\"\nmode = \"0640\"\n")
    }));
    assert!(plan.is_ok());
}

#[test]
fn ten_thousand_resources_that_refer_to_one() {
    let plan = parse(many(MANY, |n| match n {
        0 => "[directory.d]\npath = \"/d\"".to_owned(),
        n => format!("[file.f{n}]\npath = \"{{{{ directory.d.path }}}}/f{n}\"\ncontent = \"\""),
    }));
    assert!(plan.is_ok());
}

#[test]
fn ten_thousand_resources_that_refer_to_the_one_before() {
    for forwards in [true, false] {
        let plan = on_a_thread(move || {
            parse(many(MANY, |n| match n {
                n if n == (if forwards { 0 } else { MANY - 1 }) => {
                    format!("[file.f{n}]\npath = \"/f{n}\"\ncontent = \"\"")
                }
                n => {
                    let other = if forwards { n - 1 } else { n + 1 };
                    format!("[file.f{n}]\npath = \"/f{n}\"\ncontent = \"{{{{ file.f{other}.path }}}}\"")
                }
            }))
            .is_ok()
        });
        assert!(plan);
    }
}

#[test]
fn ten_thousand_checks_and_containers() {
    let plan = parse(many(MANY, |n| match n % 3 {
        0 => format!("[container.c{n}]\nimage = \"localhost/a:1\"\npublish = [\"0.0.0.0:{}:80\"]", n + 1),
        1 => format!("[service.s{n}]\nunit = \"c{}\"", n - 1),
        _ => format!("[check.k{n}]\nurl = \"tcp://127.0.0.1:{}\"", n - 1),
    }));
    assert!(plan.is_ok(), "{:?}", plan.err().map(|e| e[0].clone()));
}

#[test]
fn a_thousand_mistakes() {
    for (what, body) in [
        ("mode", "path = \"/f{n}\"\ncontent = \"\"\nmode = \"9\""),
        ("unknown key", "path = \"/f{n}\"\ncontent = \"\"\nownr = \"9\""),
        ("required", "pth = \"/f{n}\"\ncontent = \"\""),
        ("after", "path = \"/f{n}\"\ncontent = \"\"\nafter = [\"file.g{n}\"]"),
        ("reference", "path = \"/f{n}\"\ncontent = \"{{ file.g{n}.path }}\""),
        ("same path", "path = \"/f\"\ncontent = \"\""),
        ("syntax", "path = /f{n}\ncontent = \"\""),
        ("syntax and other", "path = /f{n}\ncontent = 5\nmode = 5"),
        ("template", "path = \"/f{n}\"\ncontent = \"{{ x\""),
    ] {
        let found =
            parse(many(FEWER, |n| format!("[file.f{n}]\n{}", body.replace("{n}", &n.to_string())))).unwrap_err();
        assert!(found.len() >= FEWER - 1, "{what}: {}", found.len());
    }
}

#[test]
fn one_large_value() {
    let file = |content: &str| format!("name = \"p\"\n[file.f]\npath = \"/f\"\ncontent = \"{content}\"\n");
    assert!(parse(file(&"x".repeat(10 << 20))).is_ok());
    assert!(parse(file(&"{{ 1 }}".repeat(1 << 17))).is_ok());
    let key = "x".repeat(1 << 20);
    assert_eq!(parse(format!("{}{key} = 1", file(""))).unwrap_err().len(), 1);
}

#[test]
fn what_is_nested_without_end_is_refused() {
    let expression = |expression: String| format!("[file.f]\npath = \"/f\"\ncontent = \"{{{{ {expression} }}}}\"");
    let block = |block: String| format!("[file.f]\npath = \"/f\"\ncontent = \"{block}\"");
    let deep = 100_000;
    for (what, text) in [
        ("arrays", format!("[file.f]\ncontent = {}{}", "[".repeat(deep), "]".repeat(deep))),
        ("tables", format!("[file.f]\ncontent = {}1{}", "{a=".repeat(deep), "}".repeat(deep))),
        ("header", format!("[file.f{}]\n", ".a".repeat(deep))),
        ("key", format!("[file.f]\na{} = 1", ".a".repeat(deep))),
        ("parentheses", expression(format!("{}1{}", "(".repeat(deep), ")".repeat(deep)))),
        ("lists", expression(format!("{}1{}", "[".repeat(deep), "]".repeat(deep)))),
        ("not", expression(format!("{}1", "not ".repeat(deep)))),
        ("minus", expression(format!("{}1", "-".repeat(deep)))),
        ("plus", expression(format!("1{}", "+1".repeat(deep)))),
        ("and", expression(format!("1{}", " and 1".repeat(deep)))),
        ("power", expression(format!("1{}", "**1".repeat(deep)))),
        ("comparison", expression(format!("1{}", "<1".repeat(deep)))),
        ("join", expression(format!("1{}", "~1".repeat(deep)))),
        ("filters", expression(format!("'a'{}", "|upper".repeat(deep)))),
        ("tests", expression(format!("1{}", " is odd".repeat(deep)))),
        ("attributes", expression(format!("input{}", ".a".repeat(deep)))),
        ("index", expression(format!("input{}", "[0]".repeat(deep)))),
        ("calls", expression(format!("input{}", "()".repeat(deep)))),
        ("ternary", expression(format!("1{}", " if 1 else 1".repeat(deep)))),
        ("if", block(format!("{}{}", "{% if true %}".repeat(deep), "{% endif %}".repeat(deep)))),
        ("elif", block(format!("{{% if true %}}{}{{% endif %}}", "{%- elif true %}".repeat(deep)))),
        ("for", block(format!("{}{}", "{% for a in [] %}".repeat(deep), "{% endfor %}".repeat(deep)))),
        ("filter", block(format!("{}{}", "{% filter upper %}".repeat(deep), "{% endfilter %}".repeat(deep)))),
        ("set", block(format!("{}{}", "{% set a %}".repeat(deep), "{% endset %}".repeat(deep)))),
        ("macro", block(format!("{}{}", "{% macro a() %}".repeat(deep), "{% endmacro %}".repeat(deep)))),
    ] {
        let found = on_a_thread(move || parse(format!("name = \"p\"\n{text}")).map(|_| ()));
        let found = found.expect_err(what);
        let ways = ["recursion", "more than 1000 parts"];
        assert!(ways.iter().any(|way| found[0].contains(way)), "{what}: {:.200}", found[0]);
    }
}

#[test]
fn what_is_only_long_is_taken() {
    let list = format!("{{{{ [{}] | length }}}}", "'a.b-c', ".repeat(100_000));
    let many = "{{ 1 }} {% if true %}{{ 'a' | upper }}{% endif %} ".repeat(10_000);
    let raw = format!("{{% raw %}}{{{{ don't {} }}}}{{% endraw %}}", "+ 1 ".repeat(10_000));
    let comment = format!("{{# don't {} #}}{{{{ 1 }}}}", "{{ - ".repeat(900));
    for text in [list, many, raw, comment] {
        let found = parse(format!("name = \"p\"\n[file.f]\npath = \"/f\"\ncontent = \"{text}\""));
        assert!(found.is_ok(), "{:.200}: {:.300?}", text, found.err());
    }
}
