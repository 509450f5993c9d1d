//! What hosts have lent to others: their facts, and what of theirs is not yet as wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::EngineError;
use super::changes::Changes;
use crate::address::Address;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::plan::host::Host;

/// What hosts that were asked lend to others.
#[derive(Debug, Clone, Default)]
pub struct Lent {
    hosts: BTreeMap<String, Lender>,
}

#[derive(Debug, Clone)]
struct Lender {
    facts: Facts,
    /// What is still to change there, or cannot be decided.
    unsettled: BTreeSet<Address>,
}

impl Lent {
    /// Adds a host that was asked what an apply would change there.
    pub fn add(&mut self, changes: &Changes) {
        let unsettled = changes.wanted().filter(|(_, _, item)| !item.is_ok_and(|change| change.is_none()));
        let unsettled = unsettled.map(|(address, ..)| address.clone()).collect();
        let facts = changes.observed.facts.clone();
        self.hosts.insert(changes.host().name.clone(), Lender { facts, unsettled });
    }

    /// What a host has to wait for: resources on others that it takes values of and that are still to be applied there; all of
    /// them where such a host was not asked.
    #[must_use]
    pub fn waits(&self, plan: &Plan, host: &Host) -> BTreeMap<String, BTreeSet<Address>> {
        let open = |(name, taken): (&String, &BTreeSet<Address>)| {
            let open: BTreeSet<Address> = match self.hosts.get(name) {
                Some(lender) => taken.intersection(&lender.unsettled).cloned().collect(),
                None => taken.clone(),
            };
            (!open.is_empty()).then(|| (name.clone(), open))
        };
        plan.borrows(host).iter().filter_map(open).collect()
    }

    /// Hands a host what it takes of others.
    pub(super) fn hand_on(&self, plan: &Plan, host: &Host, facts: &mut Facts) -> Result<(), EngineError> {
        let waits = self.waits(plan, host);
        if !waits.is_empty() {
            return Err(EngineError::Waits { host: host.name.clone(), on: waits });
        }
        for name in plan.borrows(host).keys() {
            if let Some(lender) = self.hosts.get(name) {
                facts.lend(name, lender.facts.clone());
            }
        }
        Ok(())
    }
}
