//! `ini`: a key in a section of a file that others own.

use crate::edit::{Edit, Format, Slot};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::{Node, Value};
use crate::resource::edit::{CREATE, Count, GROUP, MODE, OWNER, PATH, Piece, STATE, Wish, is_wanted, make};
use crate::resource::{Field, Kind, Resource, Setup};
use crate::secret::Text;

/// The kind.
pub static KIND: Kind = Kind {
    name: "ini",
    summary: "A key in a file of sections that others own, such as systemd's, git's or php's; the rest of the file stays as it is.",
    fields: &[
        PATH,
        Field {
            name: "section",
            takes: "text",
            required: false,
            doc: "The section, as it stands between `[` and `]`; without it what is before the first one. One that is missing is made at the end, and goes again when nothing else is in it.",
        },
        Field { name: "key", takes: "text", required: true, doc: "The key." },
        Field {
            name: "value",
            takes: "text, integer, boolean or list of those",
            required: false,
            doc: "What follows the `=` to the end of the line. A list is for a key that comes several times: once for each. Left out where `state = \"absent\"`.",
        },
        STATE,
        CREATE,
        MODE,
        OWNER,
        GROUP,
    ],
    example: r#"
[ini.journal_size]
path = "/etc/systemd/journald.conf"
section = "Journal"
key = "SystemMaxUse"
value = "200M"
create = true
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let section: String = fields.optional("section").unwrap_or_default();
    let key: Option<String> = fields.required("key");
    let node = fields.raw("value");
    let wanted = is_wanted(fields);
    let secret = node.is_some_and(Node::is_secret);
    let make = make(fields, secret);
    let one_line = |text: &str| !text.chars().any(char::is_control) && text.trim() == text;
    if !one_line(&section) || section.contains(']') && !section.contains('"') {
        fields.problem("section", "no section can have this name", "write it as it stands between `[` and `]`");
        return None;
    }
    let key = key?;
    if !one_line(&key) || key.is_empty() || key.contains('=') || key.starts_with(['[', '#', ';']) {
        fields.problem("key", "no key can have this name", "write it as it stands before the `=`");
        return None;
    }
    let wish = match (wanted?, node) {
        (true, Some(node)) => values(fields, node)?,
        (false, None) => Wish::Absent,
        (true, None) => {
            fields.must_have("value");
            return None;
        }
        (false, Some(_)) => {
            fields.problem("value", "what is to be absent has no value", "leave `value` out");
            return None;
        }
    };
    let edit = Edit { path: path?, format: Format::Ini, slot: Slot::new([section, key]) };
    Some(Box::new(Piece { edit, wish, attribute: "value", secret, make }))
}

fn values(fields: &Fields<'_>, node: &Node) -> Option<Wish> {
    let (items, count) = match &node.value {
        Value::Array(items) => (items.iter().collect(), Count::Many),
        _ => (vec![node], Count::One),
    };
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let text = match &item.value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => Text::plain(number.to_string()),
            Value::Boolean(value) => Text::plain(value.to_string()),
            Value::Unknown => return None,
            Value::Float(_) | Value::Array(_) | Value::Table(_) => {
                let message = format!("a value here is {}", item.type_name());
                fields.problem("value", message, "it takes text, an integer, a boolean, or a list of those");
                return None;
            }
        };
        let value = text.expose();
        if value.trim() != value || value.chars().any(|c| c.is_control() && c != '\t') || value.ends_with('\\') {
            let help = "it is on one line, without blanks at its ends and without a `\\` at the end";
            fields.problem("value", "a value here would not be read as it is written", help);
            return None;
        }
        values.push(text);
    }
    if values.is_empty() {
        fields.problem("value", "the list has no value", "write `state = \"absent\"` to take the key out");
        return None;
    }
    Some(Wish::Values(values, count))
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const KEY: &str = "path = '/etc/f'\nsection = 'S'\nkey = 'k'";

    #[test]
    fn a_key_is_set_in_its_section() {
        let found = case("ini", &format!("{KEY}\nvalue = 2"))
            .given_file("/etc/f", "[S]\nk=1\n[T]\nk=3\n", "0644")
            .updates("value: 1 -> 2")
            .steps("edit k of [S] in /etc/f");
        let content = found.host().with(|state| state.entries[&"/etc/f".parse().unwrap()].1.clone());
        assert_eq!(String::from_utf8(content).unwrap(), "[S]\nk=2\n[T]\nk=3\n");
        found.in_sync().mended();
    }

    #[test]
    fn a_key_that_comes_several_times_has_a_list() {
        case("ini", &format!("{KEY}\nvalue = ['a', 'b']"))
            .given_file("/etc/f", "[S]\nk=1\n", "0644")
            .updates("value: 1 -> a\nb")
            .mended();
        case("ini", &format!("{KEY}\nvalue = 'a'"))
            .given_file("/etc/f", "[S]\nk=1\nk=2\n", "0644")
            .undecided("/etc/f cannot be edited: the key comes 2 times: write a list to say all of its values");
    }

    #[test]
    fn a_key_is_taken_out() {
        case("ini", &format!("{KEY}\nstate = 'absent'"))
            .given_file("/etc/f", "[S]\nk=1\n", "0644")
            .updates("value: 1 -> (absent)")
            .mended();
    }

    #[test]
    fn what_no_key_can_be_is_refused() {
        case("ini", "path = '/f'\nkey = 'a=b'\nvalue = 1")
            .refused("4:7: no key can have this name (write it as it stands before the `=`)");
        case("ini", "path = '/f'\nkey = 'a'\nvalue = \"x\\ny\"").refused(
            "5:9: a value here would not be read as it is written (it is on one line, without blanks at its ends and without a \
             `\\` at the end)",
        );
        case("ini", "path = '/f'\nkey = 'a'")
            .refused("2:6: ini.x lacks `value` (add `value = ...`; `provision kinds` shows what it takes)");
    }
}
