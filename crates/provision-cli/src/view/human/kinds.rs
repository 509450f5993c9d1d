//! The reference of kinds, made of what the kinds say of themselves.

use provision_core::quadlet::{QuadletType, keys as keys_of};
use provision_core::resource::{Field, Kind};

use super::super::page::{FAINT, PLACE, PLAIN, Page, STRONG};

/// What every resource takes besides the fields of its kind.
pub const COMMON: [Field; 5] = [
    Field {
        name: "after",
        takes: "list of addresses",
        required: false,
        doc: "Resources that come before, where nothing else tells: [\"directory.root\"]. One of a `for_each` is \
              \"directory.data[a]\", all of it \"directory.data\", a block \"block.tenant\", a plan that is used \"use.registry\".",
    },
    Field {
        name: "when",
        takes: "expression",
        required: false,
        doc: "Whether it is in the plan at all: \"fact.os_id == 'debian' and input.replicas > 1\". It looks at `input`, `fact`, \
              `host`, `plan` and `each`. Where it is false, what was there before leaves.",
    },
    Field {
        name: "for_each",
        takes: "list | table",
        required: false,
        doc: "One resource for each element, under the address directory.data[a]: text or numbers, names with values, or one of \
              both from an input: \"{{ input.sites }}\". Templates see `each.key` and `each.value`.",
    },
    Field {
        name: "hosts",
        takes: "list of text",
        required: false,
        doc: "Hosts of the plan that it is for; all of them without it.",
    },
    Field {
        name: "adopt",
        takes: "true or false",
        required: false,
        doc: "Takes over what is on the host already although this plan has not put it there; without it that is refused, \
              unless --adopt says the same for all.",
    },
];

/// All kinds, one a line.
pub fn list(kinds: &[&Kind], mut page: Page) -> Page {
    let width = kinds.iter().map(|kind| kind.name.len()).max().unwrap_or_default();
    for kind in kinds {
        page.put(STRONG, &format!("{:width$}", kind.name)).put(PLAIN, "  ").prose(kind.summary, width + 2);
    }
    page.gap().line(FAINT, "`provision kinds KIND` shows what one takes, with an example.");
    page
}

/// All about one kind.
pub fn one(kind: &Kind, mut page: Page) -> Page {
    page.put(STRONG, kind.name).put(PLAIN, " - ").prose(kind.summary, 0).gap();
    for field in kind.fields {
        describe(field, &mut page);
    }
    page.gap().line(PLAIN, "Like every resource it also takes").gap();
    for field in &COMMON {
        describe(field, &mut page);
    }
    page.gap().line(PLAIN, "Example").gap();
    for line in kind.example.trim().lines() {
        page.put(PLAIN, if line.is_empty() { "" } else { "    " }).content(PLAIN, line).end();
    }
    page
}

/// Every key of a type of Quadlet files, with the podman that brought it.
pub fn keys(quadlet_type: QuadletType, mut page: Page) -> Page {
    let known = keys_of(quadlet_type);
    page.put(STRONG, &format!("[{}]", quadlet_type.section()));
    page.put(PLAIN, &format!(" of .{}, since podman {}", quadlet_type.extension(), quadlet_type.since().release()))
        .end();
    page.gap();
    let width = known.iter().map(|key| key.name.len()).max().unwrap_or_default();
    for key in known {
        page.put(PLAIN, "  ").put(STRONG, &format!("{:width$}", key.name));
        let repeats = match key.repeatable_since {
            Some(since) if since > key.since => format!(", repeats since {}", since.release()),
            Some(_) => ", repeats".to_owned(),
            None => String::new(),
        };
        page.put(PLAIN, &format!("  {}{repeats}", key.since.release()));
        if key.deprecated {
            page.put(FAINT, ", no longer documented");
        }
        page.end();
    }
    page.gap();
    page.line(FAINT, "They go into `options` as podman-systemd.unit(5) spells them; what the kind's own fields say is in the file already.");
    page
}

fn describe(field: &Field, page: &mut Page) {
    let Field { name, takes, required, doc } = field;
    page.put(PLAIN, "  ").put(STRONG, name).put(PLAIN, ": ").put(PLACE, takes);
    if *required {
        page.put(PLAIN, ", required");
    }
    page.end().put(PLAIN, "      ").prose(doc, 6);
}
