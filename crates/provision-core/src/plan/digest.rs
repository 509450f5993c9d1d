//! Digests of what a plan says: equal for equal plans on every machine and in every run, and another when the meaning
//! is another.
//!
//! Values go into the hash by themselves, never through a text that could be kept: they may be secret.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;
use sha2::{Digest, Sha256};

use super::Plan;
use super::asset::Assets;
use super::node::{Entry, Node, Table, Value};
use crate::blob::{Blob, hex, sha256_hex};
use crate::image_archive::ImageArchive;
use crate::resource::Kind;
use crate::secret::MASK;

/// What every resource takes besides the fields of its kind. It says where and when, not what is wanted.
pub(super) const COMMON: [&str; 5] = ["after", "hosts", "adopt", "when", "for_each"];

/// Whether secrets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// For what stays on the host.
    Counted,
    /// For what people see: who knows the rest could try secrets until the digest fits.
    LeftOut,
}

/// Collects values. Each is written with its type and length, so that no two lists of values look the same.
pub(super) struct Hasher {
    hash: Sha256,
    secrecy: Secrecy,
}

impl Hasher {
    pub(super) fn new(secrecy: Secrecy) -> Self {
        Self { hash: Sha256::new(), secrecy }
    }

    pub(super) fn finish(self) -> String {
        hex(&self.hash.finalize())
    }

    fn piece(&mut self, sort: &str, bytes: &[u8]) {
        self.hash.update(format!("{sort}{}:", bytes.len()));
        self.hash.update(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.piece("t", text.as_bytes());
    }

    pub(super) fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Text(text) if text.is_secret() && self.secrecy == Secrecy::LeftOut => {
                self.piece("s", MASK.as_bytes())
            }
            Value::Text(text) => self.text(text.expose()),
            Value::Integer(number) => self.piece("i", number.to_string().as_bytes()),
            Value::Float(number) => self.piece("f", number.to_string().as_bytes()),
            Value::Boolean(value) => self.piece("b", value.to_string().as_bytes()),
            Value::Array(items) => {
                self.piece("a", items.len().to_string().as_bytes());
                items.iter().for_each(|item| self.node(item));
            }
            Value::Table(table) => self.table(table),
            Value::Unknown => self.piece("u", b""),
        }
    }

    /// In the order in which it is written: of lines of a configuration that may be what matters.
    fn table(&mut self, table: &Table) {
        self.piece("m", table.entries.len().to_string().as_bytes());
        for (key, entry) in &table.entries {
            self.text(key);
            self.node(&entry.node);
        }
    }

    pub(super) fn all<'a>(&mut self, sort: &str, digests: impl IntoIterator<Item = &'a String>) {
        let digests: BTreeSet<&String> = digests.into_iter().collect();
        self.piece(sort, digests.len().to_string().as_bytes());
        digests.into_iter().for_each(|digest| self.text(digest));
    }
}

impl Plan {
    /// SHA-256 of the plan as it is written, comments aside; of the values of its inputs, secrets left out; and of the
    /// files that it names, as far as they do not depend on a host's facts. It tells people whether two applies were of
    /// the same plan.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) fn digest_of(&self, files: &BTreeSet<String>) -> String {
        let mut hasher = Hasher::new(Secrecy::LeftOut);
        let applied = self.modules.get(self.root);
        // The values of the plan's own inputs stand for what it says of them; a plan that is used has its defaults only.
        for (key, entry) in applied.iter().flat_map(|module| &module.root.entries).filter(|(key, _)| *key != "input") {
            hasher.text(key);
            hasher.node(&entry.node);
        }
        for (name, value) in &self.values {
            hasher.text(name);
            hasher.node(value);
        }
        let used = self.modules.iter().enumerate().filter(|(at, _)| *at != self.root);
        for (_, module) in used {
            hasher.table(&without_secrets(&module.root));
        }
        // The text of a template has taken the place of its name by now.
        for resource in self.modules.iter().flat_map(|module| module.body.resources()) {
            let templates = resource.kind.templates.iter().filter_map(|field| resource.table.entries.get(*field));
            templates.for_each(|entry| hasher.node(&entry.node));
        }
        hasher.all("files", files);
        hasher.finish()
    }
}

/// A plan's text without the defaults of secret inputs.
fn without_secrets(root: &Table) -> Table {
    let mut root = root.clone();
    if let Some(Entry { node: Node { value: Value::Table(inputs), .. }, .. }) = root.entries.get_mut("input") {
        for entry in inputs.entries.values_mut() {
            let Value::Table(input) = &mut entry.node.value else { continue };
            let secret =
                input.entries.get("secret").is_some_and(|entry| matches!(entry.node.value, Value::Boolean(true)));
            if secret {
                input.entries.shift_remove("default");
            }
        }
    }
    root
}

/// Of one resource: its kind, its fields as they are rendered, in whatever order they are written, and the files that it
/// names, by what is in them.
pub(super) fn of_resource(kind: &Kind, rendered: &Table, assets: &BTreeSet<String>) -> String {
    let mut hasher = Hasher::new(Secrecy::Counted);
    hasher.text(kind.name);
    let mut fields: Vec<_> = rendered
        .entries
        .iter()
        .filter(|(key, _)| !COMMON.contains(&key.as_str()) && !kind.assets.contains(&key.as_str()))
        .collect();
    fields.sort_by_key(|(key, _)| *key);
    for (key, entry) in fields {
        hasher.text(key);
        hasher.node(&entry.node);
    }
    hasher.all("assets", assets);
    hasher.finish()
}

/// Files beside a plan, and the digests of those that were looked at.
pub(super) struct Witness<'a> {
    assets: &'a dyn Assets,
    seen: Mutex<BTreeSet<String>>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(assets: &'a dyn Assets) -> Self {
        Self { assets, seen: Mutex::default() }
    }

    pub(super) fn seen(self) -> BTreeSet<String> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, digest: String) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }
}

impl Assets for Witness<'_> {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        self.assets.locate(name)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let bytes = self.assets.read(name)?;
        self.note(sha256_hex(&bytes));
        Ok(bytes)
    }

    fn blob(&self, name: &str) -> Result<Blob, String> {
        let blob = self.assets.blob(name)?;
        self.note(blob.sha256().to_owned());
        Ok(blob)
    }

    fn image_archive(&self, name: &str, member: Option<&str>) -> Result<(ImageArchive, Blob), String> {
        let (archive, blob) = self.assets.image_archive(name, member)?;
        // Its layers are not read. The ID is the digest of the configuration, which has the digests of all layers.
        archive.images.iter().for_each(|image| self.note(format!("image {}", image.image_id)));
        Ok((archive, blob))
    }
}
