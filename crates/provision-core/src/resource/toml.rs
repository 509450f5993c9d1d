//! `toml`: a value in a TOML file that others own.

use crate::edit::Format;
use crate::plan::fields::Fields;
use crate::resource::edit::{CREATE, GROUP, KEY, MODE, OWNER, PATH, STATE, VALUE, read_value};
use crate::resource::{Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "toml",
    summary: "A value in a TOML file that others own; the rest of the file stays as it is, comments too.",
    fields: &[PATH, KEY, VALUE, STATE, CREATE, MODE, OWNER, GROUP],
    example: r#"
[toml.network]
path = "/etc/containers/containers.conf"
key = "network.default_rootless_network_cmd"
value = "pasta"
create = true
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    read_value(fields, Format::Toml)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn a_value_is_set_in_its_table() {
        let found = case("toml", "path = '/etc/f'\nkey = 'engine.\"a b\"'\nvalue = { c = 1.5 }")
            .given_file("/etc/f", "# c\n[engine]\nx = 1 # y\n", "0644")
            .creates("value: (absent) -> {\"c\": 1.5}")
            .steps("edit engine.\"a\\u0020b\" in /etc/f")
            .in_sync();
        let content = found.host().with(|state| state.entries[&"/etc/f".parse().unwrap()].1.clone());
        assert_eq!(String::from_utf8(content).unwrap(), "# c\n[engine]\nx = 1 # y\n\"a b\" = { c = 1.5 }\n");
        found.mended();
    }

    #[test]
    fn a_value_of_another_type_is_another() {
        case("toml", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .given_file("/etc/f", "a = '1'\n", "0644")
            .updates("value: \"1\" -> 1")
            .mended();
    }
}
