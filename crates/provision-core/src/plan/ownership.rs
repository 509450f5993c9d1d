//! What a plan says of its own time on a host: what becomes of an apply that fails, how much of its history is kept,
//! and which resources have another address than before.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::fields::Fields;
use super::node::{Entry, Table, Value};
use super::problem::{Place, Problems, suggest};
use super::section;
use crate::address::Address;
use crate::attribute::Size;
use crate::step::{Data, Keep};

/// What becomes of an apply that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// What was done stays: the next apply goes on from there.
    #[default]
    Keep,
    /// All of it is taken back.
    Rollback,
}

impl OnFailure {
    /// The word in a plan.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Rollback => "rollback",
        }
    }
}

impl FromStr for OnFailure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Keep, Self::Rollback]
            .into_iter()
            .find(|choice| choice.word() == text)
            .ok_or_else(|| "it is \"keep\" or \"rollback\"".to_owned())
    }
}

/// A renamed resource: its old address and its new one.
pub type Move = (Address, Address);

/// All of it, with defaults in place.
#[derive(Debug, Clone)]
pub(crate) struct Ownership {
    pub(crate) on_failure: OnFailure,
    pub(crate) keep: Keep,
    /// Sorted by the old address.
    pub(crate) moved: Vec<Move>,
    /// What becomes of data that leaves the plan.
    pub(crate) data: Data,
}

/// Words at the top of a plan that are read here.
pub(super) const WORDS: [&str; 4] = ["on_failure", "history", "moved", "delete_data"];

/// A few weeks of changes, and copies of configuration many times over; what is large is a slip or an image, and those
/// are not copied.
const DEFAULT_KEEP: Keep = Keep { applies: 10, bytes: 256 << 20 };

impl Default for Ownership {
    fn default() -> Self {
        Self { on_failure: OnFailure::default(), keep: DEFAULT_KEEP, moved: Vec::new(), data: Data::Keep }
    }
}

/// Those of them that only the plan which is applied can say.
pub(super) const OF_THE_WHOLE: [&str; 3] = ["on_failure", "history", "delete_data"];

impl Ownership {
    /// Reads it from the top of the plan that is applied; moves apart, since what there is must be known for those.
    pub(super) fn read(root: &Table, problems: &RefCell<Problems>) -> Self {
        let top = Fields::new("the plan", root, None, problems);
        Self {
            on_failure: top.optional("on_failure").unwrap_or_default(),
            keep: read_keep(root, problems),
            moved: Vec::new(),
            data: if top.boolean("delete_data").unwrap_or(false) { Data::Delete } else { Data::Keep },
        }
    }
}

fn read_keep(root: &Table, problems: &RefCell<Problems>) -> Keep {
    let Some((table, place)) = section(root, "history", problems) else { return DEFAULT_KEEP };
    let fields = Fields::new("history", table, place, problems);
    // The newest apply is what `rollback` takes back, so one is the least.
    let applies = fields.integer("applies", 1..=1000).and_then(|applies| u32::try_from(applies).ok());
    let size: Option<Size> = fields.optional("size");
    fields.finish();
    Keep { applies: applies.unwrap_or(DEFAULT_KEEP.applies), bytes: size.map_or(DEFAULT_KEEP.bytes, Size::bytes) }
}

/// Reads the moves of a plan's file. `addresses` are those of its resources, as they are named in it.
pub(super) fn read_moved(root: &Table, addresses: &BTreeSet<Address>, problems: &RefCell<Problems>) -> Vec<Move> {
    let Some((table, _)) = section(root, "moved", problems) else { return Vec::new() };
    let mut by_new: BTreeMap<Address, Address> = BTreeMap::new();
    for (old, entry) in &table.entries {
        let (old, new) = match read_move(old, entry, addresses) {
            Ok(found) => found,
            Err(finding) => {
                problems.borrow_mut().add_help(finding.place, finding.message, finding.help);
                continue;
            }
        };
        match by_new.get(&new) {
            Some(other) => problems.borrow_mut().add_help(
                entry.node.place,
                format!("{other} and {old} both move to {new}"),
                "leave the one in that is on the host, and take the other out",
            ),
            None => {
                by_new.insert(new, old);
            }
        }
    }
    let mut moved: Vec<Move> = by_new.into_iter().map(|(new, old)| (old, new)).collect();
    moved.sort();
    moved
}

struct Finding {
    place: Option<Place>,
    message: String,
    help: String,
}

fn read_move(old: &str, entry: &Entry, addresses: &BTreeSet<Address>) -> Result<Move, Finding> {
    let finding = |place: Option<Place>, message: String, help: String| Finding { place, message, help };
    let written = "it is written \"file.old\" = \"file.new\", both in quotes";
    let Value::Text(new) = &entry.node.value else {
        // Without quotes the dot makes a table of it, and that begins where its key does.
        let place = if matches!(entry.node.value, Value::Table(_)) { entry.key } else { entry.node.place };
        let message = format!("moved.{old} is {}", entry.node.type_name());
        return Err(finding(place, message, written.to_owned()));
    };
    let new = new.shown();
    let address = |text: &str, place: Option<Place>| {
        text.parse::<Address>().map_err(|reason| {
            finding(place, format!("{text:?} under [moved] is not the address of a resource"), reason)
        })
    };
    let (old, new) = (address(old, entry.key)?, address(new, entry.node.place)?);
    if addresses.contains(&old) {
        let message = format!("{old} has moved to {new}, and yet the plan has {old}");
        return Err(finding(entry.key, message, "take this line out, or rename the resource".to_owned()));
    }
    if old.kind() != new.kind() {
        let message = format!("{old} cannot become {new}: they are of different kinds");
        let help = "take this line out: what is of another kind is removed and made anew";
        return Err(finding(entry.node.place, message, help.to_owned()));
    }
    if !addresses.contains(&new) {
        let message = format!("{old} moves to {new}, which is not there");
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let help = suggest(&new.to_string(), names.iter().map(String::as_str));
        return Err(finding(entry.node.place, message, help));
    }
    Ok((old, new))
}

#[cfg(test)]
mod tests;
