//! Every format by the same rules: what is set is there, all else stays, and what is put back is as it was.

use proptest::prelude::*;

use super::line::Place;
use super::*;

fn keys(text: &str) -> Slot {
    text.parse().unwrap()
}

fn edit(format: Format, slot: &Slot) -> Edit {
    Edit { path: "/etc/x".parse().unwrap(), format, slot: slot.clone() }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn table(pairs: &[(&str, Value)]) -> Value {
    Value::Table(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// Sets, and expects this; setting again changes nothing, and putting back gives the same bytes.
fn check(format: Format, slot: &Slot, set: impl Fn(&str) -> Result<String, EditError>, before: &str, after: &str) {
    let edit = edit(format, slot);
    let note = edit.note(before).unwrap();
    let note = Note::read(note.text().as_bytes()).unwrap();
    let once = set(before).unwrap_or_else(|error| panic!("{error}: {before:?}"));
    assert_eq!(once, after, "set {slot} in {before:?}");
    assert_eq!(set(&once).as_deref(), Ok(after), "set {slot} twice");
    let back = edit.put_back(&once, &note).unwrap_or_else(|error| panic!("{error}: {once:?}"));
    assert_eq!(back, before, "{slot} put back into {once:?}: {note:?}");
    assert_eq!(edit.put_back(&back, &note).as_deref(), Ok(before), "put back twice");
    // The other way round, as a destroy that is rolled back does.
    let undone = edit.note(&once).unwrap();
    assert_eq!(edit.put_back(&back, &undone).as_deref(), Ok(after), "set again from its note {undone:?}");
}

fn check_value(format: Format, slot: &str, value: Option<Value>, before: &str, after: &str) {
    let slot = keys(slot);
    check(format, &slot, |text| tree::set(format.syntax().unwrap(), text, &slot, value.as_ref()), before, after);
}

fn check_ini(slot: &[&str], values: &[&str], before: &str, after: &str) {
    let slot = Slot::new(slot.iter().copied());
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    check(Format::Ini, &slot, |text| ini::set(text, &slot, &values, false), before, after);
}

#[test]
fn slots_and_edits_are_read_as_they_are_written() {
    for slot in ["a", "a.b-c._d", "a.\"b.c\"", "\"\".key", "\"=a\\u0020b\\\"c\\n\""] {
        let text = format!("json {slot} /etc/a b");
        assert_eq!(text.parse::<Edit>().map(|edit| edit.to_string()), Ok(text));
    }
    for wrong in ["", ".", "a.", "a..b", "a b", "\"a", "\"a\"b", "a\"b\""] {
        assert!(wrong.parse::<Slot>().is_err(), "{wrong:?}");
    }
    for wrong in ["json a", "xml a /b", "json a b", "json a"] {
        assert!(wrong.parse::<Edit>().is_err(), "{wrong}");
    }
}

#[test]
fn pieces_overlap_where_one_is_part_of_the_other() {
    let of = |text: &str| text.parse::<Edit>().unwrap();
    assert!(of("json a.b /x").overlaps(&of("json a /x")));
    assert!(of("json a /x").overlaps(&of("yaml b /x")), "one file is not two formats");
    assert!(!of("json a.b /x").overlaps(&of("json a.c /x")));
    assert!(!of("json a /x").overlaps(&of("json a /y")));
    assert!(!of("ini a.b /x").overlaps(&of("line \"=a\" /x")));
}

#[test]
fn lines_are_put_in_replaced_and_taken_out() {
    let exact = |wanted: bool, place: Place, before: &str, after: &str| {
        let slot = line::exactly("b c");
        check(Format::Line, &slot, |text| line::set(text, &slot, wanted.then_some("b c"), &place), before, after);
    };
    let re = |text: &str| regex::Regex::new(text).unwrap();
    exact(true, Place::End, "", "b c\n");
    exact(true, Place::End, "a\n", "a\nb c\n");
    exact(true, Place::End, "a", "a\nb c");
    exact(true, Place::End, "a\r\n", "a\r\nb c\r\n");
    exact(true, Place::End, "b c\na\nb c\n", "b c\na\nb c\n");
    exact(true, Place::Before(re("^x")), "a\nx\nx\n", "a\nb c\nx\nx\n");
    exact(true, Place::After(re("^x")), "a\nx\nx\nz", "a\nx\nx\nb c\nz");
    exact(false, Place::End, "b c\na\nb c\na\nb c", "a\na");
    exact(false, Place::End, "b c", "");
    exact(false, Place::End, "b c\n", "");
    let like = |wanted: Option<&str>, before: &str, after: &str| {
        let slot = line::like("^#?Port ");
        check(Format::Line, &slot, |text| line::set(text, &slot, wanted, &Place::End), before, after);
    };
    like(Some("Port 2"), "#Port 1\nx\n", "Port 2\nx\n");
    like(Some("Port 2"), "x\n", "x\nPort 2\n");
    like(Some("Port 2"), "\u{e9}\nPort  9", "\u{e9}\nPort 2");
    like(None, "Port 1\nx\n#Port 2\n", "x\n");
}

#[test]
fn a_line_that_nobody_can_place_is_refused() {
    let slot = line::like("^a");
    let error = |text: &str, place: &Place| line::set(text, &slot, Some("a"), place).unwrap_err().to_string();
    assert_eq!(error("a\nab\n", &Place::End), "the pattern finds 2 lines (1, 2) and may find one");
    let after = Place::After(regex::Regex::new("^x").unwrap());
    assert_eq!(
        error("b\n", &after),
        "no line is like the insert_after pattern \"^x\", so there is no place for a new one"
    );
}

#[test]
fn keys_of_sections_are_set() {
    let unit = "[Unit]\nA=1\n\n[Service]\nExecStart=/a \\\n  b\nEnvironment=X=1\nEnvironment=Y=2\n";
    check_ini(&["Unit", "A"], &["2"], unit, &unit.replace("A=1", "A=2"));
    check_ini(&["Unit", "B"], &["2"], unit, &unit.replace("A=1\n", "A=1\nB=2\n"));
    check_ini(&["Service", "ExecStart"], &["/c"], unit, &unit.replace("/a \\\n  b", "/c"));
    check_ini(&["Service", "ExecStart"], &[], unit, &unit.replace("ExecStart=/a \\\n  b\n", ""));
    check_ini(&["Service", "Environment"], &["Z"], unit, &unit.replace("X=1\nEnvironment=Y=2", "Z"));
    check_ini(
        &["Service", "Environment"],
        &["1", "2", "3"],
        unit,
        &unit.replace("X=1\nEnvironment=Y=2", "1\nEnvironment=2\nEnvironment=3"),
    );
    check_ini(&["Install", "WantedBy"], &["a"], unit, &format!("{unit}\n[Install]\nWantedBy=a\n"));
    check_ini(&["Install", "WantedBy"], &["a"], "", "[Install]\nWantedBy = a\n");
    check_ini(&["Install", "WantedBy"], &["a"], "[x]\na=1\n\n", "[x]\na=1\n\n[Install]\nWantedBy=a\n");
    check_ini(&["core", "bare"], &["false"], "[core]\n\tx = y\n", "[core]\n\tx = y\n\tbare = false\n");
    check_ini(&["remote \"a]b\"", "url"], &["u"], "[remote \"a]b\"]\n\turl = v", "[remote \"a]b\"]\n\turl = u");
    check_ini(&["", "a"], &["2"], "; c\n\nb = 1\n[s]\na = 9\n", "; c\n\nb = 1\na = 2\n[s]\na = 9\n");
    check_ini(&["", "a"], &["2"], "# c\n[s]\na=9\n", "# c\na=2\n[s]\na=9\n");
    check_ini(&["s", "a"], &["2"], "[s]\r\na = 1\r\n", "[s]\r\na = 2\r\n");
    check_ini(&["s", "b"], &["2"], "[s]\n# only a comment\n\n[t]\n", "[s]\n# only a comment\nb = 2\n\n[t]\n");
    check_ini(&["s", "flag"], &["1"], "[s]\nflag\n", "[s]\nflag = 1\n");
}

#[test]
fn a_section_that_somebody_else_uses_meanwhile_stays() {
    let slot = Slot::new(["s", "a"]);
    let note = edit(Format::Ini, &slot).note("[x]\nb=1\n").unwrap();
    let back = |text: &str| edit(Format::Ini, &slot).put_back(text, &note).unwrap();
    assert_eq!(back("[x]\nb=2\nc=3\n\n[s]\na=1\n"), "[x]\nb=2\nc=3\n");
    assert_eq!(back("[x]\nb=1\n\n[s]\na=1\nother=1\n"), "[x]\nb=1\n\n[s]\nother=1\n");
    assert_eq!(back("[s]\n# mine\na=1\n"), "[s]\n# mine\n");
}

#[test]
fn what_cannot_be_told_in_a_section_is_refused() {
    let slot = Slot::new(["s", "a"]);
    let set = |text: &str| ini::set(text, &slot, &["x".to_owned()], true).unwrap_err().to_string();
    assert_eq!(set("[s]\na=1\na=2\n"), "the key comes 2 times: write a list to say all of its values");
    assert!(set("[s]\na =\n  1\n  2\n").starts_with("line 3: "));
}

#[test]
fn hosts_get_their_names() {
    let set = |slot: [&str; 2], names: &[&str], before: &str, after: &str| {
        let slot = Slot::new(slot);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        check(Format::Hosts, &slot, |text| hosts::set(text, &slot, &names), before, after);
    };
    let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n# x\n192.0.2.1 a.example a # note\n";
    set(["192.0.2.2", "b"], &["b", "c"], hosts, &format!("{hosts}192.0.2.2\tb c\n"));
    set(["192.0.2.1", "a.example"], &["a.example", "d"], hosts, &hosts.replace("1 a.example a #", "1\ta.example d #"));
    set(["192.0.2.1", "a.example"], &["a.example", "a"], hosts, hosts);
    set(["192.0.2.1", "a.example"], &[], hosts, &hosts.replace("192.0.2.1 a.example a # note\n", ""));
    set(
        ["0:0::1", "localhost"],
        &["localhost", "x"],
        hosts,
        &hosts.replace("::1\tlocalhost ip6-localhost", "0:0::1\tlocalhost x"),
    );
    set(["192.0.2.2", "b"], &["b"], "", "192.0.2.2 b\n");
    let taken = hosts::set(hosts, &Slot::new(["192.0.2.9", "b"]), &["b".to_owned(), "A".to_owned()]);
    assert_eq!(taken.unwrap_err().to_string(), "line 4: a is given to 192.0.2.1 there already");
    assert!(hosts::set(hosts, &Slot::new(["2001:db8::1", "a"]), &["a".to_owned()]).is_ok(), "the other family");
}

#[test]
fn values_of_json_are_set() {
    let set = |slot: &str, value: Option<Value>, before: &str, after: &str| {
        check_value(Format::Json, slot, value, before, after)
    };
    let int = |number| Some(Value::Integer(number));
    set("a", int(2), "{\"a\": 1}", "{\"a\": 2}");
    set("b", int(2), "{\"a\":1}", "{\"a\":1, \"b\":2}");
    set("c", int(3), "{\"a\":1,\"b\":2}\n", "{\"a\":1,\"b\":2,\"c\":3}\n");
    set("a", int(1), "{}\n", "{\n  \"a\": 1\n}\n");
    set("a", int(1), "", "{\n  \"a\": 1\n}\n");
    set("a", int(1), "{ }", "{\n  \"a\": 1\n}");
    let pretty = "{\n    \"x\": {\n        \"y\": [1, 2] // why\n    },\n    \"z\": null\n}\n";
    set("x.y", Some(Value::List(vec![Value::Integer(1), Value::Integer(2)])), pretty, pretty);
    set(
        "x.w",
        Some(text("\u{e9}\"\n")),
        pretty,
        &pretty.replace("[1, 2] //", "[1, 2],\n        \"w\": \"\u{e9}\\\"\\n\" //"),
    );
    set(
        "q.r.s",
        Some(Value::Boolean(true)),
        pretty,
        &pretty.replace("null\n", "null,\n    \"q\": {\n        \"r\": {\n            \"s\": true\n        }\n    }\n"),
    );
    set("z", Some(Value::List(vec![text("a")])), pretty, &pretty.replace("null", "[\n        \"a\"\n    ]"));
    set("x", None, pretty, "{\n    \"z\": null\n}\n");
    set("z", None, pretty, &pretty.replace(",\n    \"z\": null", ""));
    set("x.y", None, "{\"x\": { \"y\": 1 } }", "{\"x\": {} }");
    set("a", Some(Value::Float(0.5)), "{\r\n \"b\": 1\r\n}\r\n", "{\r\n \"b\": 1,\r\n \"a\": 0.5\r\n}\r\n");
    set("b", int(1), "{\"a\": 1,}", "{\"a\": 1, \"b\": 1,}");
    set(
        "auths.\"r.example\".auth",
        Some(text("x")),
        "{\"auths\": {}}",
        "{\"auths\": {\n  \"r.example\": {\n    \"auth\": \"x\"\n  }\n}}",
    );
}

#[test]
fn values_of_toml_are_set() {
    let set = |slot: &str, value: Option<Value>, before: &str, after: &str| {
        check_value(Format::Toml, slot, value, before, after)
    };
    let int = |number| Some(Value::Integer(number));
    let file = "# head\n\na = 1 # one\n\n[t]\nb = 'x'\nd.e = 1\n\n[t.u]\nc = { k = 1, l = [ 1, 2 ] }\n\n[[v]]\nw = 1\n";
    set("a", int(2), file, &file.replace("a = 1", "a = 2"));
    set("z", int(2), file, &file.replace("# one\n", "# one\nz = 2\n"));
    set("t.b", Some(text("x")), file, file);
    set("t.b", Some(text("y")), file, &file.replace("'x'", "\"y\""));
    set(
        "t.n",
        int(1),
        file,
        &file.replace("d.e = 1\n", "d.e = 1\nn = 1\n").replace("b = 'x'\nd.e = 1\nn = 1", "b = 'x'\nn = 1\nd.e = 1"),
    );
    set("t.d.e", int(2), file, &file.replace("d.e = 1", "d.e = 2"));
    set("t.d.f", int(2), file, &file.replace("d.e = 1", "d.e = 1\nd.f = 2"));
    set("t.u.c.k", int(2), file, &file.replace("k = 1", "k = 2"));
    set("t.u.c.m", int(2), file, &file.replace("[ 1, 2 ] }", "[ 1, 2 ], m = 2 }"));
    set("t.u.c.k", None, file, &file.replace("k = 1, ", ""));
    set("t.u.c", None, file, &file.replace("c = { k = 1, l = [ 1, 2 ] }\n", ""));
    set("t.b", None, file, &file.replace("b = 'x'\n", ""));
    set("a", None, file, &file.replace("a = 1 # one\n", ""));
    set("n.\"o.p\".q", int(1), file, &format!("{file}\n[n.\"o.p\"]\nq = 1\n"));
    set("t.m.q", int(1), file, &format!("{file}\n[t.m]\nq = 1\n"));
    set("a", int(1), "", "a = 1\n");
    set("b", int(1), "a = 1", "a = 1\nb = 1");
    set("a", int(1), "# head\n\n# of t\n[t]\n", "# head\n\na = 1\n# of t\n[t]\n");
    set(
        "t.a",
        Some(table(&[("x", text("1")), ("y", Value::List(vec![]))])),
        "[t]\r\n",
        "[t]\r\na = { x = \"1\", y = [] }\r\n",
    );
    set("t.a", int(1), "t = {}\n", "t = { a = 1 }\n");
    let error = |slot: &str, value: Option<Value>| {
        tree::set(&toml::Toml, file, &keys(slot), value.as_ref()).unwrap_err().to_string()
    };
    assert_eq!(error("v.w", int(1)), "12:1: a list of tables here leads to the value: it cannot be edited");
    assert_eq!(error("t.u", None), "9:1: this is a table with a header of its own: name a key in it instead");
    assert_eq!(error("a.b", int(1)), "3:5: a is a number, not a table");
}

#[test]
fn values_of_yaml_are_set() {
    let set = |slot: &str, value: Option<Value>, before: &str, after: &str| {
        check_value(Format::Yaml, slot, value, before, after)
    };
    let int = |number| Some(Value::Integer(number));
    let file = "---\n# head\na: 1 # one\nb:\n    c: 'q'\n    d: |\n        text\n        more\n\ne: {x: 1, y: [2]}\nf: # none\n# last\ng:\n- 1\n- k: v\n";
    set("a", int(2), file, &file.replace("a: 1", "a: 2"));
    set("a", int(1), file, file);
    set("b.c", Some(text("q")), file, file);
    set("b.c", Some(text("yes")), file, &file.replace("'q'", "\"yes\""));
    set("b.d", Some(text("x")), file, &file.replace("|\n        text\n        more", "x"));
    set(
        "b.list",
        Some(Value::List(vec![int(1).unwrap(), text("a b")])),
        file,
        &file.replace("more\n", "more\n    list:\n        - 1\n        - a b\n"),
    );
    set("b.c", None, file, &file.replace("    c: 'q'\n", ""));
    set("e.x", int(3), file, &file.replace("x: 1", "x: 3"));
    set("e.z", int(3), file, &file.replace("[2]}", "[2], z: 3}"));
    set("e.x", None, file, &file.replace("x: 1, ", ""));
    set("f.h", int(1), file, &file.replace("none\n", "none\n    h: 1\n"));
    set("f.h.i", Some(Value::Boolean(true)), file, &file.replace("none\n", "none\n    h:\n        i: true\n"));
    set("g", None, file, &file.replace("g:\n- 1\n- k: v\n", ""));
    set("g", Some(Value::List(vec![])), file, &file.replace("g:\n- 1\n- k: v\n", "g: []\n"));
    set("m.\"o.p\"", Some(text("#")), file, &format!("{file}m:\n    \"o.p\": \"#\"\n").replace("\"o.p\":", "o.p:"));
    set("a", int(1), "", "a: 1\n");
    set("a", int(1), "# only a comment\n", "# only a comment\na: 1\n");
    set("b", int(1), "a: 1", "a: 1\nb: 1");
    set("p.a", None, "p:\n  a: 1\n", "p: {}\n");
    set("p.a", None, "p: # c\n  a: 1\nq: 2\n", "p: {} # c\nq: 2\n");
    set("p.a", int(1), "p: {}\n", "p: {a: 1}\n");
    set("p.a", int(1), "p: { }\r\n", "p: {a: 1}\r\n");
    set(
        "p",
        Some(table(&[("x", table(&[("yy", text("z"))])), ("w", Value::Table(indexmap::IndexMap::new()))])),
        "p: 1\n",
        "p:\n  x:\n    yy: z\n  w: {}\n",
    );
}

#[test]
fn what_of_yaml_cannot_be_edited_safely_is_refused_by_name() {
    let error = |file: &str, slot: &str| {
        tree::set(&yaml::Yaml, file, &keys(slot), Some(&Value::Integer(5))).unwrap_err().to_string()
    };
    assert_eq!(error("a: &x 1\nb: *x\n", "a"), "1:1: the value has an anchor: it cannot be edited");
    assert_eq!(error("a: &x 1\nb: *x\n", "b"), "2:1: the value has an alias: it cannot be edited");
    assert_eq!(error("a: !t {c: 1}\n", "a.c"), "1:4: a tag here leads to the value: it cannot be edited");
    assert_eq!(error("a: 1\n---\nb: 1\n", "a"), "2:1: there are several documents in it: such a file cannot be edited");
    assert_eq!(error("a: 1\na: 2\n", "a"), "2:1: a key comes twice in one mapping");
    assert!(error("a: [1\n", "a").contains("no YAML"), "{}", error("a: [1\n", "a"));
    assert_eq!(error("- a\n", "a"), "1:1:  is a list, not a table".replace(":  is", ": the whole is"));
    // Elsewhere they may stand.
    assert_eq!(
        tree::set(&yaml::Yaml, "a: &x 1\nb: *x\nc: 1\n", &keys("c"), Some(&Value::Integer(2))).unwrap(),
        "a: &x 1\nb: *x\nc: 2\n"
    );
}

#[test]
fn a_syntax_error_has_its_place() {
    let error = |format: Format, text: &str| edit(format, &keys("a")).note(text).unwrap_err();
    assert_eq!(error(Format::Json, "{\"a\": 1,\n  \"b\"; 2}").line, 2);
    assert_eq!(error(Format::Json, "{\"a\": 1, \"a\": 2}").to_string(), "1:10: a key comes twice in one object");
    assert_eq!(error(Format::Toml, "a = 1\nb = \n").line, 2);
    assert_eq!(error(Format::Yaml, "a: 1\n b: 2\n").line, 2);
}

#[test]
fn others_may_change_a_file_between() {
    let (json, slot) = (edit(Format::Json, &keys("x.mine")), keys("x.mine"));
    let note = json.note("{\"a\": 1}").unwrap();
    let set = tree::set(&json::Json, "{\"a\": 1}", &slot, Some(&Value::Integer(1))).unwrap();
    assert_eq!(set, "{\"a\": 1, \"x\": {\"mine\": 1}}");
    assert_eq!(json.put_back("{\"a\": 2, \"x\": {\"mine\": 1}, \"b\": 3}", &note).unwrap(), "{\"a\": 2, \"b\": 3}");
    assert_eq!(
        json.put_back("{\"a\": 1, \"x\": {\"mine\": 1, \"theirs\": 2}}", &note).unwrap(),
        "{\"a\": 1, \"x\": {\"theirs\": 2}}"
    );
    assert_eq!(json.put_back("{\"b\": 1}", &note).unwrap(), "{\"b\": 1}");
    let old = json.note("{\"x\": {\"mine\": \"old\", \"z\": 1}}").unwrap();
    assert_eq!(json.put_back("{\"x\": {\"mine\": 1}}", &old).unwrap(), "{\"x\": {\"mine\": \"old\"}}");
    assert_eq!(json.put_back("{\"x\": {\"z\": 2}}", &old).unwrap(), "{\"x\": {\"mine\": \"old\", \"z\": 2}}");
    let gone = json.put_back("{\"y\": 1}", &old).unwrap();
    assert_eq!(gone, "{\"y\": 1, \"x\": {\"mine\": \"old\"}}");
    let (yaml, note) = (edit(Format::Yaml, &keys("x.mine")), Note::default());
    assert_eq!(yaml.put_back("a: 1\nx:\n  mine: 1 # added\n\nb: 2\n", &note).unwrap(), "a: 1\n\nb: 2\n");
    let line = edit(Format::Line, &line::exactly("mine"));
    assert_eq!(line.put_back("theirs\nmine\nmore\n", &Note::default()).unwrap(), "theirs\nmore\n");
}

/// Texts of structured formats with some keys in some shapes.
fn shape() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        (-99_i64..99).prop_map(Value::Integer),
        "[ -~\u{e9}\n]{0,6}".prop_map(Value::Text),
    ];
    let inner = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[a-d]|\"a b\"", inner, 0..4)
                .prop_map(|table| Value::Table(table.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-d]", inner, 0..5).prop_map(|table| Value::Table(table.into_iter().collect()))
}

fn slot() -> impl Strategy<Value = Slot> {
    prop::collection::vec("[a-e]", 1..4).prop_map(Slot::new)
}

/// A text that says this in a format, written anew.
fn written(format: Format, value: &Value) -> String {
    let syntax = format.syntax().unwrap();
    let Value::Table(table) = value else { return String::new() };
    match format {
        Format::Json => format!("{}\n", syntax.value(value, tree::Shape::Braces, "", "  ")),
        _ => table
            .iter()
            .map(|(key, value)| {
                format!(
                    "{}{}{} # c\n",
                    syntax.key(key),
                    syntax.sign(),
                    syntax.value(value, tree::Shape::Lines, "", "  ")
                )
            })
            .map(|line| if line.contains("\n ") { line.replace(" # c\n", "\n") } else { line })
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_is_set_is_there_alone_and_comes_back(
        format in prop_oneof![Just(Format::Json), Just(Format::Toml), Just(Format::Yaml)],
        before in shape(), slot in slot(), value in prop::option::of(shape()),
    ) {
        let syntax = format.syntax().unwrap();
        let text = written(format, &before);
        prop_assert_eq!(syntax.parse(&text).map(|node| node.value()), Ok(if text.is_empty() && format == Format::Yaml { Value::Null } else { before.clone() }), "{}", text);
        let edit = edit(format, &slot);
        let value = value.map(|value| if let Value::Table(table) = &value { table.get("a").cloned().unwrap_or(value) } else { value });
        if let Ok(new) = tree::set(syntax, &text, &slot, value.as_ref()) {
            let note = edit.note(&text).unwrap();
            prop_assert_eq!(tree::get(syntax, &new, &slot).unwrap(), value.clone(), "{}", new);
            prop_assert_eq!(tree::set(syntax, &new, &slot, value.as_ref()).unwrap(), new.clone());
            prop_assert_eq!(edit.put_back(&new, &note).unwrap(), text, "{:?} {}", note, new);
        } else {
            // Only where a key on the way is something else than a table.
            let through = (1..slot.keys().len()).any(|end| {
                let way = Slot::new(slot.keys()[..end].iter().cloned());
                matches!(tree::get(syntax, &text, &way), Err(_) | Ok(Some(Value::Boolean(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) | Value::Null)))
            });
            prop_assert!(through, "{} {} {:?} {:?}", slot, text, value.clone().map(|value| value.to_string()), tree::set(syntax, &text, &slot, value.as_ref()));
        }
    }

    #[test]
    fn lines_come_back_in_any_text(text in "([ab#=\\[\\]s \\\\]{0,4}\n){0,6}[ab]{0,2}", wanted in prop::option::of("[ab]{1,2}")) {
        let slot = line::exactly(wanted.as_deref().unwrap_or("a"));
        let edit = edit(Format::Line, &slot);
        let new = line::set(&text, &slot, wanted.as_deref(), &Place::End).unwrap();
        prop_assert_eq!(edit.put_back(&new, &edit.note(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn keys_of_sections_come_back_in_any_text(
        text in "((\\[s\\]|\\[t\\]|a=[12]|b = x|c|# k||a=1\\\\|  d=2)\n){0,8}",
        section in prop_oneof![Just(""), Just("s"), Just("u")],
        values in prop::collection::vec("[1-3]", 0..3),
    ) {
        let slot = Slot::new([section, "a"]);
        let edit = edit(Format::Ini, &slot);
        if let Ok(new) = ini::set(&text, &slot, &values, false) {
            prop_assert_eq!(ini::get(&new, &slot).unwrap(), values.clone(), "{}", new);
            prop_assert_eq!(ini::set(&new, &slot, &values, false).unwrap(), new.clone());
            let note = edit.note(&text).unwrap();
            prop_assert_eq!(edit.put_back(&new, &note).unwrap(), text, "{:?} {}", note, new);
        }
    }
}
