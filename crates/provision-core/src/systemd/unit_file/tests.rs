use proptest::prelude::*;

use super::*;

fn built(settings: &[(&str, &str, &str)]) -> UnitFile {
    let mut file = UnitFile::new();
    for (section, key, value) in settings {
        file.push(section, key, value).unwrap();
    }
    file
}

#[test]
fn text_is_rendered_in_order() {
    let file = built(&[
        ("Unit", "Description", " 100%% of %n "),
        ("Service", "ExecStart", r#"/bin/sh -c "echo $$HOME""#),
        ("Unit", "After", "a.service"),
        ("Service", "ExecStart", ""),
    ]);
    let text = "[Unit]\nDescription=100%% of %n\nAfter=a.service\n\n[Service]\nExecStart=/bin/sh -c \"echo $$HOME\"\nExecStart=\n";
    assert_eq!(file.to_string(), text);
    assert_eq!(text.parse(), Ok(file));
}

#[test]
fn text_is_read_as_systemd_reads_it() {
    let text = "\u{feff}# head\r\n[A]\r\nOne = value 1\r\n  Two=a \\\n# comment \\\n ; comment\n   b\\\n\nEmpty=\n[B]\nThree=x=[y]\n[A]\nOne=again";
    let file: UnitFile = text.parse().unwrap();
    let expected = [
        ("A", "One", "value 1"),
        ("A", "Two", "a     b"),
        ("A", "Empty", ""),
        ("B", "Three", "x=[y]"),
        ("A", "One", "again"),
    ];
    assert_eq!(file, built(&expected));
}

#[test]
fn example_of_the_manual_page_is_read() {
    let text = "[Section A]\nKeyOne=value 1\n\n# a comment\n[Section C]\nKeyThree=value 3\\\n# this line is ignored\n; this line is ignored too\n       value 3 continued\n";
    let file: UnitFile = text.parse().unwrap();
    assert_eq!(file.value("Section C", "KeyThree"), Some("value 3        value 3 continued"));
}

#[test]
fn empty_assignment_takes_back_what_was_said() {
    let file = built(&[
        ("S", "K", "a"),
        ("S", "K", "b"),
        ("S", "K", ""),
        ("S", "K", "c"),
        ("S", "Last", "x"),
        ("S", "Last", ""),
    ]);
    assert_eq!(file.values("S", "K"), ["c"]);
    assert_eq!(file.value("S", "K"), Some("c"));
    assert_eq!((file.values("S", "Last"), file.value("S", "Last")), (vec![], Some("")));
    assert_eq!((file.values("T", "K"), file.value("S", "Absent")), (vec![], None));
}

#[test]
fn settings_that_would_be_read_otherwise_are_refused() {
    for (section, key, value, message) in [
        ("S]", "K", "v", r#"section name "S]" is empty or contains brackets or control characters"#),
        ("S", "K=", "v", r#"key "K=" is empty, contains blanks or "=", or starts like a comment or a section"#),
        ("S", "#K", "v", r##"key "#K" is empty, contains blanks or "=", or starts like a comment or a section"##),
        ("S", "K", "a\nb", r"value of K contains '\n'; a setting is one line, and an argument in it is quoted"),
        ("S", "K", "a\\\\", "value of K ends in a backslash, which would join the next line to it; quote it"),
    ] {
        assert_eq!(UnitFile::new().push(section, key, value).unwrap_err().to_string(), message);
    }
    let long = "x".repeat(LONGEST_LINE);
    assert_eq!(
        UnitFile::new().push("S", "K", &long),
        Err(SettingError::TooLong { key: "K".to_owned(), length: LONGEST_LINE + 2 })
    );
}

#[test]
fn wrong_text_is_refused_with_its_line() {
    let backslash = SettingError::TrailingBackslash { key: "K".to_owned() };
    for (text, error) in [
        ("K=v", ParseError::OutsideOfSection { line: 1, key: "K".to_owned() }),
        ("[S]\n\nword", ParseError::NotASetting { line: 3, text: "word".to_owned() }),
        ("[S", ParseError::NotASetting { line: 1, text: "[S".to_owned() }),
        ("[S]\nA=b\\\nc\nK=x\\\\", ParseError::Setting { line: 4, source: backslash.clone() }),
        ("[S]\nK=x\\ ", ParseError::Setting { line: 2, source: backslash }),
    ] {
        assert_eq!(text.parse::<UnitFile>(), Err(error), "{text}");
    }
}

fn settings() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let names = ("[A-Z][a-z ]{0,3}", "[A-Za-z][A-Za-z0-9-]{0,4}", r#"[ a-z%$="'\[\]#;ä\u{a0}\u{2028}\\\t]{0,12}"#);
    prop::collection::vec(names, 0..12)
}

proptest! {
    #[test]
    fn rendered_text_is_read_back(settings in settings()) {
        let mut file = UnitFile::new();
        for (section, key, value) in &settings {
            let _refused = file.push(section, key, value);
        }
        prop_assert_eq!(file.to_string().parse(), Ok(file));
    }

    #[test]
    fn text_that_was_read_renders_to_the_same_settings(
        text in r#"(\[[AB]\]|[KL] ?=[ a#\\]{0,4}|[ #;][a\\]{0,3}|\\|)(\r?\n(\[[AB]\]|[KL] ?=[ a#\\]{0,4}|[ #;][a\\]{0,3}|\\|)){0,12}"#,
    ) {
        if let Ok(file) = text.parse::<UnitFile>() {
            prop_assert_eq!(file.to_string().parse(), Ok(file));
        }
    }
}
