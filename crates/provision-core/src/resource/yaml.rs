//! `yaml`: a value in a YAML file that others own.

use crate::edit::Format;
use crate::plan::fields::Fields;
use crate::resource::edit::{CREATE, GROUP, KEY, MODE, OWNER, PATH, STATE, VALUE, read_value};
use crate::resource::{Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "yaml",
    summary: "A value in a YAML file that others own; the rest of the file stays as it is, comments too. What cannot be edited safely, such as a value with an anchor, is refused by name.",
    fields: &[PATH, KEY, VALUE, STATE, CREATE, MODE, OWNER, GROUP],
    example: r#"
[yaml.registry_level]
path = "/etc/registry.yml"
key = "log.level"
value = "info"
create = true
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    read_value(fields, Format::Yaml)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn a_value_is_set_below_its_keys() {
        case("yaml", "path = '/etc/f'\nkey = 'log.hooks'\nvalue = ['a', 2]")
            .given_file("/etc/f", "# c\nlog:\n  level: info # why\n", "0644")
            .creates("value: (absent) -> [\"a\", 2]")
            .mended();
    }

    #[test]
    fn what_cannot_be_edited_is_refused_by_name() {
        case("yaml", "path = '/etc/f'\nkey = 'a'\nvalue = 1")
            .given_file("/etc/f", "a: &x 2\nb: *x\n", "0644")
            .undecided("/etc/f cannot be edited: 1:1: the value has an anchor: it cannot be edited");
    }
}
