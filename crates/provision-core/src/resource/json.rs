//! `json`: a value in a JSON file that others own.

use crate::edit::Format;
use crate::plan::fields::Fields;
use crate::resource::edit::{CREATE, GROUP, KEY, MODE, OWNER, PATH, STATE, VALUE, read_value};
use crate::resource::{Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "json",
    summary: "A value in a JSON file that others own; the rest of the file stays as it is, comments too.",
    fields: &[PATH, KEY, VALUE, STATE, CREATE, MODE, OWNER, GROUP],
    example: r#"
[json.log_driver]
path = "/etc/docker/daemon.json"
key = "log-opts.max-size"
value = "10m"
create = true
after = ["directory.docker"]

[directory.docker]
path = "/etc/docker"
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    read_value(fields, Format::Json)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn a_value_is_set_and_mended_and_the_rest_is_left_alone() {
        let found = case("json", "path = '/etc/f'\nkey = 'a.b'\nvalue = [1, { c = true }]")
            .given_file("/etc/f", "{\"a\": {\"x\": 1}, \"z\": 2}", "0644")
            .creates("value: (absent) -> [1, {\"c\": true}]")
            .steps("edit a.b in /etc/f")
            .in_sync();
        let content = found.host().with(|state| state.entries[&"/etc/f".parse().unwrap()].1.clone());
        assert_eq!(String::from_utf8(content).unwrap(), "{\"a\": {\"x\": 1, \"b\": [1, {\"c\": true}]}, \"z\": 2}");
        found.given_file("/etc/f", "{\"a\": {\"b\": 2}}", "0644").updates("value: 2 -> [1, {\"c\": true}]").mended();
    }

    #[test]
    fn several_edits_of_one_file_are_made_one_upon_the_other() {
        let found = case("json", "path = '/etc/f'\nkey = 'a'\nvalue = 1\ncreate = true\nafter = ['json.second']")
            .plan("[json.second]\npath = '/etc/f'\nkey = ['b.c', 'd']\nvalue = 'x'\ncreate = true\n[json.third]\npath = '/etc/f'\nkey = 'b'\nvalue = 2\ncreate = true\n")
            .creates("value: (absent) -> 1");
        found.mended();
    }

    #[test]
    fn a_value_of_a_template_has_the_type_that_it_is_of() {
        let key = |value: &str| format!("path = '/etc/f'\nkey = 'a'\nvalue = {value}\ncreate = true");
        case("json", &key("'{{ 1 + 1 }}'")).creates("value: (absent) -> 2, mode: (absent) -> 0644").mended();
        case("json", &key("['{{ true }}', 'a {{ 1 }}']"))
            .creates("value: (absent) -> [true, \"a 1\"], mode: (absent) -> 0644")
            .mended();
    }

    #[test]
    fn a_secret_within_a_value_hides_it() {
        case("json", "path = '/etc/f'\nkey = 'a'\nvalue = { b = '{{ input.password }}' }\ncreate = true")
            .secret_input("password", "hunter22")
            .creates("value: (absent) -> (secret), mode: (absent) -> 0600")
            .mended();
    }

    #[test]
    fn a_syntax_error_on_the_host_is_told_with_its_place() {
        case("json", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .given_file("/etc/f", "{\n  \"a\": }", "0644")
            .undecided("/etc/f cannot be edited: 2:8: no JSON: Unexpected close brace");
    }

    #[test]
    fn whole_and_piece_and_piece_of_a_piece_are_not_managed_at_once() {
        case("json", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .plan("[file.f]\npath = '/etc/f'\ncontent = ''\n")
            .refused("2:7: file.f manages all of /etc/f, and json.x edits a piece of it (leave it to one of them)");
        case("json", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .plan("[json.y]\npath = '/etc/f'\nkey = 'a.b'\nvalue = 1\n")
            .refused("6:7: json.x and json.y both edit a.b in /etc/f (leave it to one of them)");
        case("json", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .plan("[yaml.y]\npath = '/etc/f'\nkey = 'b'\nvalue = 1\n")
            .refused("6:7: json.x takes /etc/f for json, and yaml.y for yaml (leave it to one of them)");
    }

    #[test]
    fn several_secrets_go_into_a_file_that_the_first_of_them_makes() {
        let key =
            |key: &str| format!("path = '/etc/f'\nkey = '{key}'\nvalue = '{{{{ input.password }}}}'\ncreate = true\n");
        let second = format!("[json.second]\n{}\n[input.password]\ndefault = 'hunter22'\nsecret = true\n", key("b"));
        case("json", &key("a")).plan(&second).creates("value: (absent) -> (secret), mode: (absent) -> 0600").mended();
    }
}
