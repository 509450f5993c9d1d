//! A sealed plan: changes as they were shown, kept in a file, and whether a later look at the hosts still comes to the same.
//!
//! There is no secret in it in any form, and no digest of one. Therefore a secret that is given anew when the file is applied
//! cannot be compared with the one that was given when it was made; and of a file with a secret in it only what stands at its
//! path counts, not what is in it.
//!
//! It never reads or writes the file itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::address::Address;
use crate::change::Change;
use crate::engine::Changes;
use crate::object::Object;
use crate::plan::Plan;
use crate::step::Data;

mod state;
mod value;

use value::Value;

/// The word that tells a sealed plan from any other file.
const WORD: &str = "provision-seal";

/// The version of the file. A later one is refused.
pub const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// [`WORD`], first in the file.
    format: String,
    /// [`VERSION`].
    version: u32,
    /// The plan's name.
    name: String,
    /// The plan's file.
    plan: String,
    /// [`Plan::digest`].
    digest: String,
    /// [`Plan::values`].
    inputs: BTreeMap<String, serde_json::Value>,
    /// Whether data that leaves the plan goes.
    delete_data: bool,
    /// The hosts, in the plan's order.
    hosts: Vec<Host>,
}

/// What is to be done to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    host: String,
    /// [`crate::ledger::Memory::stamp`].
    stamp: String,
    /// When it was looked at, RFC 3339: dates of certificates follow from it.
    now: String,
    changes: Vec<Item>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    resource: String,
    action: String,
    attributes: Vec<Attribute>,
    /// Whether it has left the plan.
    leaves: bool,
    /// What it holds.
    objects: Vec<String>,
    /// SHA-256 over how it stood on the host.
    observed: String,
}

/// One attribute of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    name: String,
    before: Value,
    after: Value,
}

/// Why a file cannot be taken as a sealed plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A later version of this program wrote it.
    #[error("the sealed plan has format {0}, and this version of provision reads format {VERSION}")]
    Later(u32),
    /// It is none, or not whole.
    #[error("the sealed plan cannot be read: {0}")]
    Broken(String),
}

/// Something that is not as it was when the plan was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The resource, where it is one.
    pub resource: Option<Address>,
    /// What is the matter, in words that follow the resource's address.
    pub message: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(address) => write!(f, "{address} {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Seal {
    /// Seals the changes of some hosts. `path` is where the plan is found again.
    #[must_use]
    pub fn new(path: &str, plan: &Plan, hosts: &[&Changes]) -> Self {
        Self {
            format: WORD.to_owned(),
            version: VERSION,
            name: plan.name().to_owned(),
            plan: path.to_owned(),
            digest: plan.digest().to_owned(),
            inputs: plan.values().map(|(name, value)| (name.to_owned(), value)).collect(),
            delete_data: hosts.iter().any(|changes| changes.data() == Data::Delete),
            hosts: hosts.iter().map(|changes| Host::of(changes)).collect(),
        }
    }

    /// Whether a file is meant to be a sealed plan, by its beginning.
    #[must_use]
    pub fn is_meant(text: &[u8]) -> bool {
        let start = text.get(..text.len().min(BEGINNING)).unwrap_or_default();
        let start = String::from_utf8_lossy(start);
        start.trim_start().starts_with('{') && start.contains(WORD)
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        // Structs, strings and numbers always have a JSON text.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// When it is none, not whole, or of a later version.
    pub fn read(text: &[u8]) -> Result<Self, SealError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let broken = |error: serde_json::Error| SealError::Broken(error.to_string());
        let Version { version } = serde_json::from_slice(text).map_err(broken)?;
        if version > VERSION {
            return Err(SealError::Later(version));
        }
        let seal: Self = serde_json::from_slice(text).map_err(broken)?;
        if seal.hosts.iter().any(|host| host.time().is_none()) {
            return Err(SealError::Broken("a time in it is none".to_owned()));
        }
        Ok(seal)
    }

    /// The plan's file.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// The values of the plan's inputs, secrets left out.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &serde_json::Value)> {
        self.inputs.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// What becomes of data that leaves.
    #[must_use]
    pub fn data(&self) -> Data {
        if self.delete_data { Data::Delete } else { Data::Keep }
    }

    /// The hosts that it is for.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.host.as_str())
    }

    /// The time for which the changes of a host were made up, and for which they must be again.
    #[must_use]
    pub fn now(&self, host: &str) -> Option<OffsetDateTime> {
        self.hosts.iter().find(|known| known.host == host)?.time()
    }

    /// Names of inputs that have other values now, sorted.
    #[must_use]
    pub fn other_inputs(&self, plan: &Plan) -> Vec<String> {
        let now: BTreeMap<&str, serde_json::Value> = plan.values().collect();
        let sealed = self.inputs.iter().filter(|(name, value)| now.get(name.as_str()).is_some_and(|now| now != *value));
        sealed.map(|(name, _)| name.clone()).collect()
    }

    /// Whether the plan is the one that was sealed.
    ///
    /// # Errors
    /// When it or a file that it names is another.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Difference> {
        if plan.name() == self.name && plan.digest() == self.digest {
            return Ok(());
        }
        let message = format!("the plan {}, or a file that it names, has changed since it was sealed", self.plan);
        Err(Difference { resource: None, message })
    }

    /// Whether the changes of a host are those that were sealed, and nothing that they touch has moved.
    ///
    /// # Errors
    /// Everything that is not as it was.
    pub fn check(&self, changes: &Changes) -> Result<(), Vec<Difference>> {
        let host = &changes.host().name;
        let Some(sealed) = self.hosts.iter().find(|known| known.host == *host) else {
            return Err(vec![Difference {
                resource: None,
                message: format!("the sealed plan is not for host {host}"),
            }]);
        };
        let found = sealed.differences(&Host::of(changes));
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// How far into a file the word is looked for.
const BEGINNING: usize = 64;

impl Host {
    fn of(changes: &Changes) -> Self {
        let mut items = Vec::new();
        for ((address, item), records) in changes.leaving().zip(changes.given_back()) {
            let Some(change) = item.ok().filter(|change| !change.is_none()) else { continue };
            let objects: Vec<&Object> = records.iter().map(|record| &record.object).collect();
            items.push(Item::of(address, change, changes, true, &objects, state::of_leaving(&records, changes)));
        }
        for (address, resource, item) in changes.wanted() {
            let Some(change) = item.ok().filter(|change| !change.is_none()) else { continue };
            let objects = resource.objects();
            let objects: Vec<&Object> = objects.iter().collect();
            items.push(Item::of(address, change, changes, false, &objects, state::of_resource(resource, changes)));
        }
        Self {
            host: changes.host().name.clone(),
            stamp: changes.memory().stamp(),
            // The year of a clock that this type can hold always has four digits.
            now: changes.now().format(&Rfc3339).unwrap_or_default(),
            changes: items,
        }
    }

    fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.now, &Rfc3339).ok()
    }

    fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.stamp != now.stamp {
            let message = format!(
                "the plan has been applied to this host since: it was at `{}`, and is at `{}`",
                self.stamp, now.stamp
            );
            found.push(Difference { resource: None, message });
        }
        let same = |one: &Item, other: &Item| one.resource == other.resource && one.leaves == other.leaves;
        for sealed in &self.changes {
            let current = now.changes.iter().find(|item| same(item, sealed));
            if let Some(message) = sealed.difference(current) {
                found.push(Difference { resource: sealed.resource.parse().ok(), message });
            }
        }
        for item in now.changes.iter().filter(|item| !self.changes.iter().any(|sealed| same(sealed, item))) {
            let message = format!("{}differs now as well", item.named());
            found.push(Difference { resource: item.resource.parse().ok(), message });
        }
        // What is done first may matter, although the same is done.
        if found.is_empty() && self.changes != now.changes {
            let message = "the changes come in another order now".to_owned();
            found.push(Difference { resource: None, message });
        }
        found
    }
}

impl Item {
    fn of(
        address: &Address,
        change: &Change,
        changes: &Changes,
        leaves: bool,
        objects: &[&Object],
        observed: String,
    ) -> Self {
        let attribute = |attribute: &crate::change::Attribute| Attribute {
            name: attribute.name.clone().into_owned(),
            before: Value::of(&attribute.before, changes.secrets()),
            after: Value::of(&attribute.after, changes.secrets()),
        };
        Self {
            resource: address.to_string(),
            action: change.action.word().to_owned(),
            attributes: change.attributes.iter().map(attribute).collect(),
            leaves,
            objects: objects.iter().map(ToString::to_string).collect(),
            observed,
        }
    }

    /// What has become of it, in words that follow its address.
    fn difference(&self, now: Option<&Self>) -> Option<String> {
        let named = self.named();
        let Some(now) = now else {
            let secret = self.attributes.iter().any(|attribute| attribute.after == Value::Secret);
            let or = if secret { ", or another secret was given" } else { "" };
            return Some(format!("{named}needs no change any more: the host has moved{or}"));
        };
        if self.observed != now.observed {
            return Some(format!("{named}is not as it was on the host"));
        }
        (self != now).then(|| format!("{named}would be changed in another way now ({})", now.action))
    }

    /// What it is on the host, to follow its address.
    fn named(&self) -> String {
        match self.objects.as_slice() {
            [] => String::new(),
            objects => format!("({}) ", objects.join(", ")),
        }
    }
}
