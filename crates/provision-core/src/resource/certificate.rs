//! `certificate`: the certificate that a server or a client shows, and its key.
//!
//! Signed by an authority, of the same plan or already on the host, or by itself; or brought along by whoever wrote the
//! plan. Which it is decides who compares it: `issued` or `brought`.

use std::str::FromStr;

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::Value;
use crate::resource::{Field, Kind, Resource, Setup};
use crate::x509::{LeafSpec, Lifetime, Names, Role, San, Usages};
use brought::Brought;
use files::{DIRECTORY, Files, KeyMode, OWNERSHIP};
use given::{ASSETS, FIELDS, is_given, read_given, refuse, refuse_wishes};
use issued::{Existing, Issued};
use signer::Authority;
use term::lifetime;

pub(crate) mod brought;
pub(crate) mod files;
pub(crate) mod given;
mod issued;
pub(crate) mod shown;
pub(crate) mod signer;
pub(crate) mod term;

/// The kind.
pub static KIND: Kind = Kind {
    name: "certificate",
    summary: "A certificate for a server or a client, and its key: from an authority, self-signed, or one's own.",
    fields: &[
        Field {
            name: "names",
            takes: "list of names",
            required: true,
            doc: "What clients call it: DNS names, also `*.example.com`, and IPv4 and IPv6 addresses. A certificate of \
                  one's own must be for all of them; one for clients alone needs none.",
        },
        Field {
            name: "authority",
            takes: "path",
            required: false,
            doc: "Certificate of the authority on the host, such as `{{ certificate_authority.root.certificate }}`. \
                  Self-signed without it.",
        },
        Field {
            name: "authority_key",
            takes: "path",
            required: false,
            doc: "Key of the authority on the host, such as `{{ certificate_authority.root.key }}`. It must be there \
                  when there is something to sign, and is read for nothing else.",
        },
        FIELDS[0],
        FIELDS[1],
        FIELDS[2],
        FIELDS[3],
        FIELDS[4],
        FIELDS[5],
        FIELDS[6],
        DIRECTORY,
        Field {
            name: "certificate",
            takes: "path",
            required: false,
            doc: "Another place for what a server shows: the certificate, followed by those of the authorities between it \
                  and the root.",
        },
        Field { name: "key", takes: "path", required: false, doc: "Another place for the key, which is in PKCS#8." },
        Field {
            name: "combined",
            takes: "path",
            required: false,
            doc: "Also a file with all that is in `certificate`, followed by the key, as `bind ... ssl crt` of haproxy takes \
                  it. It has the permission bits and the owner of the key.",
        },
        Field { name: "leaf", takes: "path", required: false, doc: "Also a file with the certificate alone." },
        Field {
            name: "authorities",
            takes: "path",
            required: false,
            doc: "Also a file with the root that clients are to trust; of a self-signed certificate that is itself.",
        },
        Field {
            name: "common_name",
            takes: "text",
            required: false,
            doc: "Common name of the subject; the first name without it. Clients look at `names` alone.",
        },
        Field {
            name: "usages",
            takes: r#""server" | "client" | "both""#,
            required: false,
            doc: "What it is for; \"server\" without it.",
        },
        Field {
            name: "key_type",
            takes: r#""ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096""#,
            required: false,
            doc: "\"ecdsa-p256\" without it.",
        },
        Field {
            name: "lifetime",
            takes: "days",
            required: false,
            doc: "How long a new certificate is valid, at most until its authority's end; \"397d\" without it.",
        },
        Field {
            name: "renew_before",
            takes: "days",
            required: false,
            doc: "How long before its end it is issued anew, with a new key; a third of the lifetime without it. Of a \
                  certificate of one's own: how long before its end `diff` and `apply` say so; \"30d\" without it.",
        },
        Field {
            name: "keep_existing",
            takes: "boolean",
            required: false,
            doc: "Whether one that is there already stays until its end is near, such as one that another tool has made: if \
                  `authority` has signed it, its key is there and it has all `names`, nothing else of it counts. False \
                  without it.",
        },
        OWNERSHIP[0],
        OWNERSHIP[1],
        OWNERSHIP[2],
        OWNERSHIP[3],
        OWNERSHIP[4],
        Field {
            name: "key_mode",
            takes: r#""0600" | "0640" | "0400" | "0440""#,
            required: false,
            doc: "Permission bits of every file with a key; \"0600\" without it. With \"0640\" the group's services can \
                  read it.",
        },
    ],
    example: r#"
[directory.certificates]
path = "/etc/registry"

[certificate_authority.root]
directory = "{{ directory.certificates.path }}"
common_name = "Registry CA"

[certificate.server]
directory = "{{ directory.certificates.path }}"
authority = "{{ certificate_authority.root.certificate }}"
authority_key = "{{ certificate_authority.root.key }}"
names = ["registry.example.com", "192.0.2.10", "2001:db8::10"]
combined = "{{ directory.certificates.path }}/server.pem"
key_group = "0"
key_mode = "0640"
"#,
    templates: &[],
    assets: ASSETS,
    read,
};

/// The wish for [`Usages`] as plans write it.
struct Purpose(Usages);

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "server" => Ok(Self(Usages::Server)),
            "client" => Ok(Self(Usages::Client)),
            "both" => Ok(Self(Usages::ServerAndClient)),
            _ => Err("it is \"server\", \"client\" or \"both\"".to_owned()),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let key_mode = fields.optional("key_mode").unwrap_or(KeyMode::OWNER);
    let files = Files::read_all(fields, setup, key_mode);
    let Purpose(usages) = fields.optional("usages").unwrap_or(Purpose(Usages::default()));
    if is_given(fields) {
        return read_own(fields, setup, files, usages);
    }
    let names = names(fields);
    let authority = Authority::read(fields);
    let common_name = fields.optional("common_name");
    let key_type = fields.optional("key_type").unwrap_or_default();
    let (lifetime, renew_before) = lifetime(fields, Lifetime::LEAF, Lifetime::leaf_window)?;
    let existing =
        if fields.boolean("keep_existing").unwrap_or(false) { Existing::KeptIfGood } else { Existing::AsAsked };
    let spec = LeafSpec { common_name, names: names?, key_type, lifetime, usages };
    let (files, authority) = (files?, authority?);
    if let Some(authority) = &authority {
        let own: Vec<&AbsPath> = files.all().into_iter().map(|(_, path)| path).collect();
        authority.check_apart(fields, own.into_iter())?;
    }
    Some(Box::new(Issued { files, spec, renew_before, authority, existing }))
}

/// A certificate that whoever wrote the plan brings along.
fn read_own(fields: &Fields<'_>, setup: &Setup<'_>, files: Option<Files>, usages: Usages) -> Option<Box<dyn Resource>> {
    refuse_wishes(fields, &["authority", "authority_key", "common_name", "key_type", "lifetime", "keep_existing"]);
    let given = read_given(fields, setup, Role::Leaf);
    // What is for clients alone may be known by its subject.
    let nameless = usages == Usages::Client && !fields.has("names");
    let names = if nameless { None } else { names(fields) };
    if let Some(given) = &given {
        let covered = names.as_ref().map_or(Ok(()), |names| given.check_names(names));
        for problem in [covered, given.check_usages(usages)].into_iter().filter_map(Result::err) {
            refuse(fields, &problem);
        }
    }
    let brought = Brought::new(fields, files, given, Role::Leaf)?;
    if nameless || names.is_some() { Some(Box::new(brought)) } else { None }
}

fn names(fields: &Fields<'_>) -> Option<Names> {
    let names: Vec<San> = fields.list("names");
    let empty = fields.raw("names").is_none_or(|node| matches!(&node.value, Value::Array(items) if items.is_empty()));
    // A wrong name has a finding of its own.
    if empty {
        fields.problem(
            "names",
            format!("{} has no names", fields.label()),
            "add `names = [...]`: every DNS name and address that clients connect to",
        );
    }
    Names::new(names).ok()
}

#[cfg(test)]
mod tests;
