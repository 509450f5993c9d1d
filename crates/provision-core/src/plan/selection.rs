//! Which resources an address means where it is written: in `after`, `restart_on` and the like.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::expand::{Family, Sort};
use super::module::{BLOCK, Part, USE};
use super::node::{Node, Value};
use super::problem::{Problems, suggest};
use super::world::World;
use crate::address::{Address, Segment};
use crate::secret::Text;

impl World<'_> {
    /// Puts whole addresses in place of those that are written, each for as many resources as it means.
    pub(super) fn address_all(
        &self,
        node: &mut Node,
        field: &str,
        label: &str,
        scope: usize,
        problems: &RefCell<Problems>,
    ) {
        let Value::Array(items) = &node.value else { return };
        let mut whole: Vec<Node> = Vec::new();
        for item in items {
            let written = match &item.value {
                Value::Text(text) if !text.is_secret() => text.expose().parse::<Address>().ok(),
                _ => None,
            };
            // What is no address at all is for the kind to report.
            let Some(written) = written else {
                whole.push(item.clone());
                continue;
            };
            match self.meant(&written, scope) {
                Ok(found) => whole.extend(found.into_iter().map(|address| Node {
                    value: Value::Text(Text::plain(address.to_string())),
                    place: item.place,
                    rendered: true,
                })),
                Err(reason) => {
                    let message = format!("`{field}` of {label}: {}", reason.message);
                    problems.borrow_mut().add_help(item.place.or(node.place), message, reason.help);
                }
            }
        }
        node.value = Value::Array(whole);
    }

    pub(super) fn after_part(&self, from: usize, part: &Part, problems: &RefCell<Problems>) -> Vec<Address> {
        let mut after = Vec::new();
        for (text, place) in &part.after {
            let found =
                text.parse().map_err(|reason| Unmeant { message: format!("{text:?} is not an address"), help: reason });
            match found.and_then(|written| self.meant(&written, from)) {
                Ok(found) => after.extend(found),
                Err(reason) => {
                    let message = format!("`after` of {}: {}", part.label, reason.message);
                    problems.borrow_mut().add_help(*place, message, reason.help);
                }
            }
        }
        after
    }

    /// The resources that an address means where it is written: one, all elements of a `for_each`, all of a block, all of a
    /// plan. What is not on this host is left out: nothing waits for it.
    fn meant(&self, written: &Address, scope: usize) -> Result<Vec<Address>, Unmeant> {
        let mut views = vec![scope];
        while let Some(outer) = views.last().and_then(|at| self.scopes.get(*at)).and_then(|scope| scope.outer) {
            views.push(outer);
        }
        for view in views {
            if let Some(found) = self.meant_from(written.within(), written, view)? {
                return Ok(found);
            }
        }
        let names: BTreeSet<String> = self.nameable(scope);
        let help = suggest(&written.to_string(), names.iter().map(String::as_str));
        Err(Unmeant { message: format!("the plan has no {written}"), help })
    }

    fn meant_from(&self, within: &[Segment], written: &Address, scope: usize) -> Result<Option<Vec<Address>>, Unmeant> {
        let Some(here) = self.scopes.get(scope) else { return Ok(None) };
        let Some((first, rest)) = within.split_first() else {
            let (kind, name) = (written.kind(), written.name());
            let key = written.key().map(|key| key.as_str());
            let family = match kind {
                BLOCK => here.blocks.get(name),
                USE => here.uses.get(name),
                _ => here.resources.get(kind).and_then(|of_kind| of_kind.get(name)),
            };
            let Some(family) = family else { return Ok(None) };
            let members = chosen(family, key, &format!("{kind}.{name}"))?;
            let of_members = members.into_iter().flat_map(|at| match kind {
                BLOCK => self.all_in(at),
                USE => self.instances.get(at).map(|instance| self.all_in(instance.scope)).unwrap_or_default(),
                _ => self.cells.get(at).map(|cell| &cell.what).and_then(address_of).cloned().into_iter().collect(),
            });
            return Ok(Some(of_members.collect()));
        };
        let (name, key) = (first.name(), first.key().map(|key| key.as_str()));
        if here.uses.contains_key(name) {
            let help = format!("name all of it: \"{USE}.{first}\"");
            return Err(Unmeant { message: format!("{written} is in a plan of its own"), help });
        }
        let Some(family) = here.blocks.get(name) else { return Ok(None) };
        let (mut all, mut refused) = (None, None);
        for at in chosen(family, key, &format!("{BLOCK}.{name}"))? {
            match self.meant_from(rest, written, at) {
                Ok(Some(found)) => all.get_or_insert_with(Vec::new).extend(found),
                Ok(None) => {}
                // One of the elements of a block may have what another has not.
                Err(reason) => refused = Some(reason),
            }
        }
        match (all, refused) {
            (None, Some(reason)) => Err(reason),
            (all, _) => Ok(all),
        }
    }

    /// Every resource below a scope that is there.
    fn all_in(&self, scope: usize) -> Vec<Address> {
        let Some(scope) = self.scopes.get(scope) else { return Vec::new() };
        let all = self.resources().filter(|(at, _)| self.is_here(*at));
        all.map(|(_, address)| address).filter(|address| address.outside(&scope.within).is_some()).cloned().collect()
    }

    /// What can be written for an address in a scope.
    fn nameable(&self, scope: usize) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut view = self.scopes.get(scope);
        while let Some(here) = view {
            for (kind, of_kind) in &here.resources {
                names.extend(of_kind.keys().map(|name| format!("{kind}.{name}")));
            }
            names.extend(here.blocks.keys().map(|name| format!("{BLOCK}.{name}")));
            names.extend(here.uses.keys().map(|name| format!("{USE}.{name}")));
            view = here.outer.and_then(|outer| self.scopes.get(outer));
        }
        names
    }
}

/// Why an address means nothing.
struct Unmeant {
    message: String,
    help: String,
}

fn address_of<'x>(sort: &'x Sort<'_>) -> Option<&'x Address> {
    match sort {
        Sort::Resource(_, address) => Some(address),
        Sort::Input { .. } | Sort::Output(_) => None,
    }
}

/// The members of a family that are there: one, or all.
fn chosen(family: &Family, key: Option<&str>, label: &str) -> Result<Vec<usize>, Unmeant> {
    match key {
        Some(key) if !family.keyed => Err(Unmeant {
            message: format!("{label} has no `for_each`, so there is no {label}[{key}]"),
            help: format!("write \"{label}\""),
        }),
        Some(key) if !family.lost && !family.members.contains_key(key) => Err(Unmeant {
            message: format!("the `for_each` of {label} has no `{key}`"),
            help: suggest(key, family.members.keys().map(String::as_str)),
        }),
        _ => {
            let wanted = |found: &&String| key.is_none_or(|key| key == found.as_str());
            let members = family.members.iter().filter(|(found, _)| wanted(found)).map(|(_, member)| member);
            Ok(members.filter(|member| member.absent.is_none()).map(|member| member.at).collect())
        }
    }
}
