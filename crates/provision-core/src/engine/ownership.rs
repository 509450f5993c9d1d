//! What a plan will own on a host, compared with what the host says that it owns: what has left the plan, what has only
//! got another address, and what belongs to somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::graph::Graph;
use crate::ledger::{Entry, FORMAT, Ledger, LedgerFound, Memory, STAYS};
use crate::object::Object;
use crate::probe::Undecided;

/// The ledger of a host on which all of the graph is applied.
pub(crate) fn ledger_of(graph: &Graph) -> Ledger {
    let resources = graph
        .resources()
        .enumerate()
        .map(|(at, (address, resource))| Entry {
            address: address.clone(),
            digest: graph.digest(at).unwrap_or_default().to_owned(),
            objects: resource.objects(),
            wanted: resource.wanted().into_iter().map(|(name, value)| (name.to_owned(), value.noted())).collect(),
        })
        .collect();
    Ledger { format: FORMAT, plan: graph.plan().to_owned(), resources }
}

/// What a host owns under a plan's name, set against the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ownership {
    /// What the host has noted of each resource that it knows, under the address that the plan has for it.
    pub(crate) entries: BTreeMap<Address, Entry>,
    /// Old and new address of what has been moved.
    pub(crate) moves: Vec<(Address, Address)>,
    /// Entries of which some objects, or all, are no longer in the plan; in the order of the ledger, with those objects.
    pub(crate) orphans: Vec<(Entry, Vec<Object>)>,
    /// Whether the host's ledger says anything else than it will.
    pub(crate) stale: bool,
}

impl Ownership {
    /// Reads what the host says.
    ///
    /// # Errors
    /// When its ledger cannot be read: nothing may be done then, since nobody knows what is whose.
    pub(crate) fn new(graph: &Graph, wanted: &Ledger, memory: &Memory) -> Result<Self, Undecided> {
        let found = match &memory.ledger {
            LedgerFound::Absent => Ledger::empty(graph.plan()),
            LedgerFound::Same => wanted.clone(),
            LedgerFound::Other(text) => Ledger::read(text).map_err(|error| {
                let help = format!(
                    "{}/ledger on the host says what this plan owns there; use a version of provision that reads it, or \
                     put the file back",
                    memory.directory
                );
                Undecided::with_help(error.to_string(), help)
            })?,
        };
        let holders = wanted.holders();
        let known: BTreeSet<&Address> = found.resources.iter().map(|entry| &entry.address).collect();
        let mut own = Self { stale: memory.ledger != LedgerFound::Same, ..Self::default() };
        for entry in &found.resources {
            let successor = successor(entry, graph, wanted, &holders, &known);
            let lost: Vec<Object> =
                entry.objects.iter().filter(|object| !holders.contains_key(object)).cloned().collect();
            if successor.is_none() || !lost.is_empty() {
                own.orphans.push((entry.clone(), lost));
            }
            if let Some(address) = successor {
                if *address != entry.address {
                    own.moves.push((entry.address.clone(), address.clone()));
                }
                own.entries.insert(address.clone(), entry.clone());
            }
        }
        Ok(own)
    }

    /// What the host has noted of a resource.
    pub(crate) fn entry(&self, address: &Address) -> Option<&Entry> {
        self.entries.get(address)
    }

    /// The ledger while an apply is under way: what leaves stays in it until it has left.
    pub(crate) fn during(&self, wanted: &Ledger) -> Ledger {
        self.with_orphans(wanted, |_| true)
    }

    /// What of the orphans is data because the plan said so.
    pub(crate) fn staying(&self) -> BTreeSet<Object> {
        let staying = self.orphans.iter().filter(|(entry, _)| entry.wanted.contains_key(STAYS));
        staying.flat_map(|(_, lost)| lost.iter().cloned()).collect()
    }

    /// The ledger with those orphans that have not left.
    pub(crate) fn with_orphans(&self, wanted: &Ledger, stays: impl Fn(&Address) -> bool) -> Ledger {
        let mut ledger = wanted.clone();
        for (entry, lost) in self.orphans.iter().filter(|(entry, _)| stays(&entry.address)) {
            match ledger.resources.iter_mut().find(|known| known.address == entry.address) {
                Some(known) => known.objects.extend(lost.iter().cloned()),
                None => ledger.resources.push(Entry { objects: lost.clone(), ..entry.clone() }),
            }
        }
        ledger
    }
}

/// The resource of the plan that an entry is about: the one of its address, the one that the plan says it has become, or the
/// one that holds all that it held.
fn successor<'a>(
    entry: &Entry,
    graph: &'a Graph,
    wanted: &'a Ledger,
    holders: &BTreeMap<&Object, &'a Address>,
    known: &BTreeSet<&Address>,
) -> Option<&'a Address> {
    if let Some(same) = wanted.entry(&entry.address) {
        return Some(&same.address);
    }
    if let Some((_, new)) = graph.moved().iter().find(|(old, _)| *old == entry.address) {
        return wanted.entry(new).map(|entry| &entry.address);
    }
    let mut holding = entry.objects.iter().map(|object| holders.get(object).copied());
    let first = holding.next()??;
    let fits = holding.all(|holder| holder == Some(first)) && !known.contains(first);
    (fits && first.kind() == entry.address.kind()).then_some(first)
}

/// The plan that holds one of these objects already, and which.
pub(crate) fn held_elsewhere<'a>(objects: &'a [Object], memory: &'a Memory) -> Option<(&'a str, &'a Object)> {
    objects.iter().find_map(|object| {
        // Only where it may be about a file's pieces is more than the same object looked for.
        let whole = !matches!(object, Object::Edit(_) | Object::Path(_));
        let conflicts = |held: &BTreeSet<Object>| {
            held.contains(object)
                || (!whole
                    && held.iter().any(|held| {
                        matches!((held, object), (Object::Edit(_), _) | (_, Object::Edit(_))) && held.conflicts(object)
                    }))
        };
        let (plan, _) = memory.others.iter().find(|(_, held)| conflicts(held))?;
        Some((plan.as_str(), object))
    })
}
