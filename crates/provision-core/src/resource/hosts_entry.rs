//! `hosts_entry`: an address and its names in hosts(5).

use std::net::IpAddr;

use crate::edit::{Edit, Format, Slot};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::resource::edit::{Piece, STATE, Wish, is_wanted};
use crate::resource::{Field, Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "hosts_entry",
    summary: "An address and its names in /etc/hosts; the rest of the file stays as it is.",
    fields: &[
        Field { name: "address", takes: "IP address", required: true, doc: "IPv4 or IPv6." },
        Field {
            name: "names",
            takes: "list of text",
            required: true,
            doc: "Its names, the canonical one first. The line of this address that begins with this name gets exactly these, and keeps its comment; where there is none, a line is added. Another line that gives one of them to another address of the same family is an error.",
        },
        Field { name: "path", takes: "path", required: false, doc: "The file; without it `/etc/hosts`." },
        STATE,
    ],
    example: r#"
[hosts_entry.registry]
address = "192.0.2.11"
names = ["registry.example.com", "registry"]
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let address: Option<IpAddr> = fields.required("address");
    fields.must_have("names");
    let names: Vec<String> = fields.list("names");
    let path: Option<AbsPath> = if fields.has("path") { fields.optional("path") } else { "/etc/hosts".parse().ok() };
    let wanted = is_wanted(fields);
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        let help = "letters, digits, `-`, `.` and `_`, at most 253 of them";
        fields.problem("names", format!("{name:?} is not the name of a host"), help);
        return None;
    }
    let Some(first) = names.first() else {
        if fields.has("names") {
            fields.problem("names", "an address has at least one name", "write the canonical one first");
        }
        return None;
    };
    let slot = Slot::new([address?.to_string(), first.clone()]);
    let edit = Edit { path: path?, format: Format::Hosts, slot };
    let wish = if wanted? { Wish::Names(names) } else { Wish::Absent };
    Some(Box::new(Piece { edit, wish, attribute: "names", secret: false, make: None }))
}

fn is_name(name: &str) -> bool {
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-');
    name.len() <= 253 && name.bytes().all(fit) && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const ENTRY: &str = "address = '192.0.2.1'\nnames = ['a.example', 'a']";

    #[test]
    fn an_address_gets_its_names() {
        case("hosts_entry", ENTRY)
            .creates("names: (absent) -> a.example a")
            .steps("edit a.example at 192.0.2.1 in /etc/hosts")
            .in_sync()
            .mended();
    }

    #[test]
    fn names_that_were_changed_by_hand_are_mended() {
        case("hosts_entry", ENTRY)
            .given_file("/etc/hosts", "192.0.2.1\ta.example # x\n", "0644")
            .updates("names: a.example -> a.example a")
            .mended();
    }

    #[test]
    fn a_name_with_another_address_is_a_conflict() {
        case("hosts_entry", ENTRY)
            .given_file("/etc/hosts", "::1 a\n192.0.2.7 b a\n", "0644")
            .undecided("/etc/hosts cannot be edited: line 2: a is given to 192.0.2.7 there already");
    }

    #[test]
    fn a_line_is_taken_out() {
        case("hosts_entry", &format!("{ENTRY}\nstate = 'absent'"))
            .given_file("/etc/hosts", "192.0.2.1 a.example\n", "0644")
            .updates("names: a.example -> (absent)")
            .mended();
    }

    #[test]
    fn what_is_no_name_is_refused() {
        case("hosts_entry", "address = '192.0.2.1'\nnames = ['a b']")
            .refused("4:9: \"a b\" is not the name of a host (letters, digits, `-`, `.` and `_`, at most 253 of them)");
        case("hosts_entry", "address = '192.0.2.1'\nnames = []")
            .refused("4:9: an address has at least one name (write the canonical one first)");
    }
}
