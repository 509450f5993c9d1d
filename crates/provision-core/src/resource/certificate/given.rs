//! The fields of a certificate that somebody brings: read from beside the plan or from inputs, and found good when the
//! plan is read.
//!
//! Must never show a key or a passphrase.

use zeroize::Zeroizing;

use crate::plan::fields::Fields;
use crate::plan::node::{Node, Value};
use crate::resource::{Field, Setup};
use crate::x509::{Given, GivenError, Part, Parts, Role};

/// Fields that name files beside the plan.
pub(crate) const ASSETS: &[&str] = &["source", "chain_source", "key_source"];

/// Fields of a certificate that somebody brings.
pub(crate) const FIELDS: [Field; 7] = [
    Field {
        name: "source",
        takes: "file",
        required: false,
        doc: "A certificate of one's own: a file beside the plan in PEM, alone or followed by its chain. It and its key \
              are checked when the plan is read, and put in place as they are. An empty name, as of an input, is none.",
    },
    Field { name: "content", takes: "text", required: false, doc: "The same as text, such as of an input." },
    Field {
        name: "chain_source",
        takes: "file",
        required: false,
        doc: "With a certificate of one's own: its chain where that is a file by itself, each followed by its issuer's.",
    },
    Field { name: "chain_content", takes: "text", required: false, doc: "The same as text." },
    Field {
        name: "key_source",
        takes: "file",
        required: false,
        doc: "With a certificate of one's own: its key in PEM: PKCS#8, also under a passphrase, `EC PRIVATE KEY` or `RSA \
              PRIVATE KEY`; ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.",
    },
    Field { name: "key_content", takes: "secret", required: false, doc: "The same as text of a secret input." },
    Field {
        name: "passphrase",
        takes: "secret",
        required: false,
        doc: "What that key is encrypted with, of a secret input; an empty one counts as none. On the host it is not \
              encrypted.",
    },
];

/// Whether a certificate is brought rather than made.
pub(crate) fn is_given(fields: &Fields<'_>) -> bool {
    FIELDS.iter().any(|field| fields.has(field.name))
}

/// Findings for fields that would say something of a certificate that is to be made.
pub(crate) fn refuse_wishes(fields: &Fields<'_>, names: &[&'static str]) {
    for name in names.iter().filter(|name| fields.raw(name).is_some()) {
        fields.problem(
            name,
            format!("`{name}` says nothing of a certificate that {} brings along", fields.label()),
            "take it out: what is given is as it is",
        );
    }
}

/// Reads the fields of [`FIELDS`]. None when there is a finding.
pub(crate) fn read_given(fields: &Fields<'_>, setup: &Setup<'_>, role: Role) -> Option<Given> {
    let certificate = one_of(fields, setup, "source", "content");
    let chain = one_of(fields, setup, "chain_source", "chain_content");
    let key = one_of(fields, setup, "key_source", "key_content");
    let passphrase = secret(fields, "passphrase");
    let lacks = |name: &str, other: &str, what: &str| {
        fields.problem(
            "",
            format!("{} lacks {what}: there is neither `{name}` nor `{other}`", fields.label()),
            format!("add `{name} = \"FILE\"`, a file beside the plan"),
        );
    };
    if !is_there(fields, "source") && !fields.has("content") {
        lacks("source", "content", "the certificate");
    }
    if !is_there(fields, "key_source") && !fields.has("key_content") {
        lacks("key_source", "key_content", "the key of its certificate");
    }
    let (certificate, chain, key) = (certificate?, chain?, key?);
    let passphrase = passphrase?.filter(|text| !text.is_empty());
    let parts = Parts {
        certificate: certificate.as_ref()?,
        chain: chain.as_ref().map(|text| text.as_slice()),
        key: key.as_ref()?,
        passphrase: passphrase.as_ref().map(|text| text.as_str()),
    };
    match Given::read(&parts, role) {
        Ok(given) => Some(given),
        Err(error) => {
            refuse(fields, &error);
            None
        }
    }
}

/// A finding at the field that has what is wrong.
pub(crate) fn refuse(fields: &Fields<'_>, error: &GivenError) {
    let names = match error.part {
        Part::Certificate => ["source", "content"],
        Part::Chain => ["chain_source", "chain_content"],
        Part::Key => ["key_source", "key_content"],
        Part::Passphrase => ["passphrase", "passphrase"],
    };
    let name = names.into_iter().find(|name| is_there(fields, name)).unwrap_or_default();
    fields.problem(name, format!("{}: {}", fields.label(), error.flaw), error.flaw.help());
}

type Bytes = Zeroizing<Vec<u8>>;

/// Whether a file is named. An empty name comes from an input that may be left out.
fn is_there(fields: &Fields<'_>, file: &'static str) -> bool {
    let empty = |node: &Node| matches!(&node.value, Value::Text(text) if text.expose().is_empty());
    fields.raw(file).is_some_and(|node| !empty(node))
}

/// The bytes of a file beside the plan or of a text; none inside without either.
fn one_of(fields: &Fields<'_>, setup: &Setup<'_>, file: &'static str, text: &'static str) -> Option<Option<Bytes>> {
    let source: Option<String> = fields.optional(file);
    let content = if text == "key_content" { secret(fields, text) } else { plain(fields, text) };
    match (is_there(fields, file), fields.has(text)) {
        (false, false) => Some(None),
        (true, true) => {
            fields.problem(text, format!("{} has both `{file}` and `{text}`", fields.label()), "write one of them");
            None
        }
        (false, true) => Some(Some(Zeroizing::new(content??.as_bytes().to_vec()))),
        (true, false) => match setup.assets.blob(&source?) {
            Ok(blob) => match blob.bytes() {
                Some(bytes) => Some(Some(Zeroizing::new(bytes.to_vec()))),
                None => {
                    let message = format!("`{file}` of {} is far too large for PEM", fields.label());
                    fields.problem(file, message, "name the file with the certificate or key alone");
                    None
                }
            },
            Err(reason) => {
                fields.problem(file, reason, "a relative path starts at the plan's directory");
                None
            }
        },
    }
}

fn plain(fields: &Fields<'_>, name: &'static str) -> Option<Option<Zeroizing<String>>> {
    let text = fields.text(name);
    if !fields.has(name) {
        return Some(None);
    }
    Some(Some(Zeroizing::new(text?.expose().to_owned())))
}

/// Text of a secret input. In the plan itself everybody who reads the plan could read it.
fn secret(fields: &Fields<'_>, name: &'static str) -> Option<Option<Zeroizing<String>>> {
    let text = fields.text(name);
    if !fields.has(name) {
        return Some(None);
    }
    let text = text?;
    if !text.is_secret() && !text.expose().is_empty() {
        fields.problem(
            name,
            format!("`{name}` of {} is not secret: whoever reads the plan or its inputs sees it", fields.label()),
            format!("write `{name} = \"{{{{ input.NAME }}}}\"` and `secret = true` in [input.NAME]"),
        );
        return None;
    }
    Some(Some(Zeroizing::new(text.expose().to_owned())))
}
