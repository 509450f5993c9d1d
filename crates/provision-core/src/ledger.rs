//! What a plan owns on a host, and what the host remembers of its applies.
//!
//! Everything is on the host, below `/var/lib/provision/PLAN` (or the user's state directory), in files that people can
//! read:
//!
//! ```text
//! ledger            JSON: every resource of the last apply, what it holds and what was wanted of it
//! origin/KEY        a record (see object.rs): what an object was before this plan first touched it
//! origin/KEY.was    a copy of the file or link that was there
//!                   or what a knob or a piece of a file was
//! history/N/        an apply, N = 1, 2, 3...: head (JSON: when, by whom), order (the keys in the order in which they
//!                   were noted), KEY and KEY.was as above, KEY.whole.was (the file that has such a piece), but of the time before this apply, ledger (as it was
//!                   before), KEY.was of data (a directory, or a tar of a user's), saved (the sizes of the former),
//!                   KEY.stays (it is data, and was not taken back with that apply), dropped/ (records that left origin/), result (one word, absent until it has ended)
//! owed/             restarts and runs that are still owed; in one, the units that were stopped along and start with it
//! lock              who is at it
//! ```
//!
//! This module reads and writes the texts; it does not know how they come here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::blob::sha256_hex;
use crate::object::{Object, Record};
use crate::path::AbsPath;

/// The version of the ledger's format. A host with a later one is left alone.
pub const FORMAT: u32 = 1;

/// The file named `ledger`. Its text depends on the plan and its inputs alone, so that a host where nothing has moved
/// need not send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`FORMAT`].
    pub format: u32,
    /// The plan's name.
    pub plan: String,
    /// In the order in which they are applied.
    pub resources: Vec<Entry>,
}

/// What is wanted of a resource that stays as data does, other than by its sort.
pub(crate) const STAYS: &str = "stays";

/// A resource that the plan owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its address.
    #[serde(with = "text")]
    pub address: Address,
    /// SHA-256 of what the plan says of it, rendered. It tells whether the plan has moved.
    pub digest: String,
    /// What it holds: nobody else may.
    #[serde(with = "texts")]
    pub objects: Vec<Object>,
    /// What was wanted of it when it was last applied, attribute by attribute; of long or secret values a digest.
    pub wanted: BTreeMap<String, String>,
}

mod text {
    //! As its text.
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

mod texts {
    //! Each as its text.
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}

/// Why a ledger cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A later version of this program wrote it.
    #[error("the ledger has format {0}, and this version of provision reads format {FORMAT}")]
    Later(u32),
    /// It is no ledger.
    #[error("the ledger cannot be read: {0}")]
    Broken(String),
}

impl Ledger {
    /// A plan that owns nothing.
    #[must_use]
    pub fn empty(plan: &str) -> Self {
        Self { format: FORMAT, plan: plan.to_owned(), resources: Vec::new() }
    }

    /// As it is written: one line for each value, so that people can read it and `grep` can search it.
    #[must_use]
    pub fn text(&self) -> String {
        // A struct of strings and numbers always has a JSON text.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The SHA-256 of [`Ledger::text`] in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(self.text().as_bytes())
    }

    /// Reads what a host has.
    ///
    /// # Errors
    /// When it is none, or of a later format.
    pub fn read(text: &[u8]) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let broken = |error: serde_json::Error| LedgerError::Broken(error.to_string());
        let Version { format } = serde_json::from_slice(text).map_err(broken)?;
        if format > FORMAT {
            return Err(LedgerError::Later(format));
        }
        serde_json::from_slice(text).map_err(broken)
    }

    /// The entry of an address.
    #[must_use]
    pub fn entry(&self, address: &Address) -> Option<&Entry> {
        self.resources.iter().find(|entry| entry.address == *address)
    }

    /// Every object that it has, with its resource.
    #[must_use]
    pub fn holders(&self) -> BTreeMap<&Object, &Address> {
        self.resources.iter().flat_map(|entry| entry.objects.iter().map(|object| (object, &entry.address))).collect()
    }
}

/// What a host remembers of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// The directory, as [`crate::probe::Ask::Memory`] found it.
    pub directory: String,
    /// The ledger.
    pub ledger: LedgerFound,
    /// The newest apply.
    pub last: Option<Applied>,
    /// Who is at it now, or was when the host or the connection went away.
    pub lock: Option<LockFound>,
    /// What other plans hold on the host: objects by plan.
    pub others: BTreeMap<String, BTreeSet<Object>>,
    /// Whether there are records of what was there before: something to take back.
    pub touched: bool,
    /// What an apply that was cut has begun to send: how many bytes of it are there, by its digest.
    pub arriving: BTreeMap<String, u64>,
}

impl Memory {
    /// What the host must still have for an apply to do what was shown: it changes with every apply, rollback and
    /// destroy. `0` where nothing was ever applied, otherwise the newest apply's number and how it ended: `7 done`,
    /// `7 cut`.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.last.as_ref().map_or_else(|| "0".to_owned(), |last| format!("{} {}", last.number, last.result.word()))
    }

    /// Where a copy of what stood at a path is kept.
    #[must_use]
    pub fn copy(&self, from: Scope, object: &Object) -> Option<AbsPath> {
        format!("{}/{}/{}.was", self.directory, from.directory(), object.key()).parse().ok()
    }
}

/// How a host's ledger compares with the one that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LedgerFound {
    /// There is none.
    #[default]
    Absent,
    /// It has the digest that was named.
    Same,
    /// Another one, whole.
    Other(Vec<u8>),
}

/// One apply in a host's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// 1, 2, 3...
    pub number: u32,
    /// How it ended.
    pub result: Ended,
    /// Its head, where that can be read.
    pub head: Option<Head>,
}

/// How an apply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Everything was done and verified.
    Done,
    /// Something failed; the rest was done.
    Failed,
    /// It did not come to its end, or is still going on.
    Cut,
    /// It was taken back.
    RolledBack,
}

impl Ended {
    /// The word in the file `result`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::RolledBack => "rolled-back",
        }
    }

    /// Reads the word; what is none is a cut.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "failed" => Self::Failed,
            "rolled-back" => Self::RolledBack,
            _ => Self::Cut,
        }
    }
}

/// What is known of an apply from its beginning: the file `head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `apply` or `destroy`.
    pub verb: String,
    /// When it began, by the clock of whoever applied, RFC 3339 in UTC.
    pub when: String,
    /// By whom: `user@machine`.
    pub who: String,
    /// SHA-256 of the plan's text, of the values given to its inputs, secrets left out, and of the files that it names.
    pub plan: String,
    /// How many resources it was to change.
    pub changes: usize,
}

/// A lock that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFound {
    /// By whom it is held and since when, as a sentence's end: `alice@laptop since 2026-11-23T10:00:00Z`.
    pub holder: String,
    /// Whether its holder is still there.
    pub alive: bool,
}

/// Which records are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Of the time before the plan was first applied.
    Origin,
    /// Of the time before one apply.
    Apply(u32),
}

impl Scope {
    /// Its directory, below the plan's.
    #[must_use]
    pub fn directory(self) -> String {
        match self {
            Self::Origin => "origin".to_owned(),
            Self::Apply(number) => format!("history/{number}"),
        }
    }
}

/// The records of a scope. Of an apply in the order in which they were made; of the origin in the order of keys.
pub type Records = Vec<Record>;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let entry = Entry {
            address: "file.motd".parse().unwrap(),
            digest: "d".to_owned(),
            objects: vec!["path /etc/a \"b\"".parse().unwrap()],
            wanted: BTreeMap::from([("mode".to_owned(), "0644".to_owned())]),
        };
        Ledger { resources: vec![entry], ..Ledger::empty("p") }
    }

    #[test]
    fn a_ledger_is_read_as_it_is_written() {
        assert_eq!(Ledger::read(ledger().text().as_bytes()), Ok(ledger()));
        assert!(ledger().text().contains("\n        \"path /etc/a \\\"b\\\"\"\n"), "one object a line");
    }

    #[test]
    fn a_later_format_is_refused_before_anything_else_is_read() {
        assert_eq!(Ledger::read(b"{\"format\": 2, \"new\": true}"), Err(LedgerError::Later(2)));
        assert!(matches!(Ledger::read(b"{"), Err(LedgerError::Broken(_))));
    }
}
