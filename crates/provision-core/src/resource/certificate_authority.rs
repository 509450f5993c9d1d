//! `certificate_authority`: an authority of one's own, its certificate and its key.
//!
//! Whoever trusts it was told so by hand, so it is made once and then kept: nothing that is found on the host in its
//! place is overwritten, and it is made anew only when the plan asks for another name or type of key. One that somebody
//! brings along is put in place as it is, and its key stays on this side unless the plan says otherwise.

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::resource::certificate::brought::Brought;
use crate::resource::certificate::files::{DIRECTORY, Files, KeyKeeping, KeyMode, OWNERSHIP};
use crate::resource::certificate::given::{ASSETS, FIELDS, is_given, read_given, refuse_wishes};
use crate::resource::certificate::signer::Authority;
use crate::resource::certificate::term::lifetime;
use crate::resource::{Field, Kind, Resource, Setup};
use crate::x509::{AuthoritySpec, Lifetime, Role, SubjectText};
use made::Made;

mod made;

/// The kind.
pub static KIND: Kind = Kind {
    name: "certificate_authority",
    summary: "A certificate authority, which signs others, and its key: made once and kept, or one's own.",
    fields: &[
        Field {
            name: "common_name",
            takes: "text",
            required: true,
            doc: "What those who trust it see it called. Not with one's own, which has its name.",
        },
        Field {
            name: "organization",
            takes: "text",
            required: false,
            doc: "Who runs it. Another name makes another authority, and so does another `common_name`.",
        },
        Field {
            name: "authority",
            takes: "path",
            required: false,
            doc: "Certificate of the authority above it on the host, such as `{{ certificate_authority.root.certificate }}`, \
                  which needs a `path_length` of its own. It signs itself without it.",
        },
        Field {
            name: "authority_key",
            takes: "path",
            required: false,
            doc: "Key of the authority above it, such as `{{ certificate_authority.root.key }}`. It must be there when \
                  there is something to sign, and is read for nothing else.",
        },
        Field {
            name: "path_length",
            takes: "integer",
            required: false,
            doc: "How many authorities may follow below it; 0 without it: it signs servers and clients alone.",
        },
        FIELDS[0],
        FIELDS[1],
        FIELDS[2],
        FIELDS[3],
        FIELDS[4],
        FIELDS[5],
        FIELDS[6],
        Field {
            name: "install_key",
            takes: "boolean",
            required: false,
            doc: "Of one's own: whether its key goes to the host as well; false without it: it stays here and signs at \
                  each apply that has something to sign.",
        },
        DIRECTORY,
        Field {
            name: "certificate",
            takes: "path",
            required: false,
            doc: "Another place for the certificate, which is followed by those above it, up to the root.",
        },
        Field { name: "key", takes: "path", required: false, doc: "Another place for the key, which is always 0600." },
        Field {
            name: "key_type",
            takes: r#""ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096""#,
            required: false,
            doc: "\"ecdsa-p256\" without it. Another type makes another authority.",
        },
        Field {
            name: "lifetime",
            takes: "days",
            required: false,
            doc: "How long a new certificate is valid, at most until the end of the authority above it; \"3650d\" without it.",
        },
        Field {
            name: "renew_before",
            takes: "days",
            required: false,
            doc: "How long before its end it is renewed, with the key it has; half a year without it, or a third of a \
                  shorter lifetime. Of one's own: how long before its end `diff` and `apply` say so; \"30d\" without it.",
        },
        OWNERSHIP[0],
        OWNERSHIP[1],
        OWNERSHIP[2],
        OWNERSHIP[3],
        OWNERSHIP[4],
        Field {
            name: "stays",
            takes: "boolean",
            required: false,
            doc: "Whether it stays on its host when it leaves the plan, as data does unless that is deleted, so that whoever \
                  trusts it trusts what is made there next; false without it.",
        },
    ],
    example: r#"
[directory.certificates]
path = "/etc/registry"

[certificate_authority.root]
directory = "{{ directory.certificates.path }}"
common_name = "Registry CA"
path_length = 1

# Signs in its place, so that the root's key need not stay on the host.
[certificate_authority.issuing]
directory = "{{ directory.certificates.path }}"
common_name = "Registry issuing CA"
authority = "{{ certificate_authority.root.certificate }}"
authority_key = "{{ certificate_authority.root.key }}"
"#,
    templates: &[],
    assets: ASSETS,
    read,
};

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    if is_given(fields) {
        return read_own(fields, setup);
    }
    let files = Files::read(fields, setup, KeyMode::OWNER, KeyKeeping::Host);
    let common_name: Option<SubjectText> = fields.required("common_name");
    let organization = fields.optional("organization");
    let authority = Authority::read(fields);
    let path_length = fields.integer("path_length", 0..=LONGEST_PATH);
    let key_type = fields.optional("key_type").unwrap_or_default();
    let stays = fields.boolean("stays").unwrap_or(false);
    if fields.boolean("install_key").is_some() {
        let message = format!("`install_key` says nothing of the key that {} makes", fields.label());
        fields.problem("install_key", message, "take it out: a key that is made on a host is kept there");
    }
    let (lifetime, renew_before) = lifetime(fields, Lifetime::AUTHORITY, Lifetime::authority_window)?;
    let path_length = path_length.and_then(|length| u8::try_from(length).ok()).unwrap_or_default();
    let spec = AuthoritySpec { organization, key_type, lifetime, path_length, ..AuthoritySpec::new(common_name?) };
    let (files, authority) = (files?, authority?);
    if let Some(authority) = &authority {
        let own: Vec<&AbsPath> = files.all().into_iter().map(|(_, path)| path).collect();
        authority.check_apart(fields, own.into_iter())?;
    }
    Some(Box::new(Made { files, spec, renew_before, authority, stays }))
}

/// Nobody has more authorities above one another than this; a larger number is a slip.
const LONGEST_PATH: i64 = 16;

/// An authority that whoever wrote the plan brings along.
fn read_own(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let wishes =
        ["common_name", "organization", "authority", "authority_key", "path_length", "key_type", "lifetime", "stays"];
    refuse_wishes(fields, &wishes);
    let install = fields.boolean("install_key").unwrap_or(false);
    let keeping = if install { KeyKeeping::Host } else { KeyKeeping::Here };
    let files = Files::read(fields, setup, KeyMode::OWNER, keeping);
    let given = read_given(fields, setup, Role::Authority);
    Some(Box::new(Brought::new(fields, files, given, Role::Authority)?))
}

#[cfg(test)]
mod tests;
