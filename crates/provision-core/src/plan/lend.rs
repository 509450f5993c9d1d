//! What one host lends to others: values of the resources that a plan has there, `on.registry.random.password.value`.
//!
//! Such a value is known once the resource is as wanted on its host; until then the other hosts wait.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Host;
use super::module::USE;
use super::problem::{Place, Problems, suggest};
use super::template::{Part, Reference};
use super::world::{Mode, Sight, Target, World};
use crate::address::{Address, Segment};
use crate::facts::Facts;
use crate::resource::kind;

/// What begins such a reference.
pub(super) const ON: &str = "on";

/// How many parts of a reference name the host.
pub(super) const fn split(of_group: bool) -> usize {
    if of_group { 3 } else { 2 }
}

/// By host: the resources there whose values others take.
pub(crate) type Borrowed = BTreeMap<String, BTreeSet<Address>>;

/// How a plan is seen on a host: as its own, or by another host that takes values of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// By the host itself.
    Own,
    /// By another host, which has been told what there is.
    Lent,
    /// By another one, while nothing is known of any host.
    Example,
}

/// Hosts that take values of each other.
struct Circle<'a> {
    place: Option<Place>,
    names: Vec<&'a str>,
}

impl<'a> World<'a> {
    /// The host that a path begins with, and how many parts of the path name it.
    fn lender(&self, path: &[String]) -> Option<(&'a Host, usize)> {
        let (name, key) = (path.get(1)?, path.get(2));
        let hosts = self.plan.hosts.iter();
        let of_group = || hosts.clone().any(|host| host.group.as_ref() == Some(name));
        if let Some(host) = hosts.clone().find(|host| host.name == *name) {
            return Some((host, split(false)));
        }
        let element = format!("{name}[{}]", key.filter(|_| of_group())?);
        let host = hosts.clone().find(|host| host.name == element)?;
        Some((host, split(true)))
    }

    /// Which hosts the cells that are there take values of, each with the reference and its place.
    fn lenders(&self) -> Vec<(&'a Host, &Reference, Option<Place>)> {
        let here = self.cells.iter().filter(|cell| cell.absent.is_none());
        let those = here.flat_map(|cell| {
            let sight = Sight { scope: cell.scope, each: cell.each.as_deref() };
            let of_others = cell.references().iter().filter(|(reference, _)| reference.is(ON));
            of_others.filter_map(move |(reference, place)| {
                let (host, _) = self.lender(&self.path(reference, sight))?;
                (host.name != self.host.name).then_some((host, reference, *place))
            })
        });
        those.collect()
    }

    /// Looks at the hosts that this one takes values of.
    pub(super) fn borrow(&mut self, facts: &'a Facts) {
        for Circle { place, names } in self.borrow_after(facts, &[]) {
            // Each host of a circle comes upon it: one of them tells.
            if names.first() == Some(&self.host.name.as_str()) && names.iter().min() == names.first() {
                let message = format!("these hosts wait for each other in a circle: {}", names.join(" -> "));
                self.add(place, message, "take one of the references out: a value that both need can be an input");
            }
        }
    }

    /// `trail` are the hosts that take values of this one, and of one another.
    fn borrow_after(&mut self, facts: &'a Facts, trail: &[&'a str]) -> Vec<Circle<'a>> {
        let mut circles = Vec::new();
        let mut hosts: BTreeMap<&'a str, (&'a Host, String, Option<Place>)> = BTreeMap::new();
        for (host, reference, place) in self.lenders() {
            let place = place.map(|place| super::names::place_of(&self.plan.sources, reference, place));
            hosts.entry(&host.name).or_insert_with(|| (host, reference.text(), place));
        }
        let trail: Vec<&'a str> = trail.iter().copied().chain([self.host.name.as_str()]).collect();
        for (name, (host, text, place)) in hosts {
            if let Some(from) = trail.iter().position(|seen| *seen == name) {
                let names = trail.iter().skip(from).copied().chain([name]).collect();
                circles.push(Circle { place, names });
                self.lost = true;
                continue;
            }
            let (view, facts) = match (self.mode, facts.lent(name)) {
                (Mode::EveryHost, _) => (View::Example, facts),
                (Mode::ThisHost, Some(lent)) => (View::Lent, lent),
                (Mode::ThisHost, None) if facts.is_example() => (View::Example, facts),
                (Mode::ThisHost, None) => {
                    self.add(
                        place,
                        format!("`{text}` is not known: host {name} was not asked"),
                        "ask that host first, and hand on what it lends",
                    );
                    self.lost = true;
                    continue;
                }
            };
            let mut other = World::new(self.plan, host, facts, self.mode);
            other.view = view;
            other.expand();
            circles.extend(other.borrow_after(facts, &trail));
            other.values = vec![None; other.cells.len()];
            let mut of_references = Problems::default();
            let order = other.order(&mut of_references);
            if of_references.is_empty() {
                // Not all of it: a plan of a thousand resources is not read again for each of a hundred hosts.
                let needed = other.all_behind(self.taken_from(&other));
                for at in order.into_iter().filter(|at| needed.contains(at)) {
                    // Whatever is wrong with it is told where it is looked at as a host of its own.
                    let _vertex = other.read(at);
                }
            }
            self.others.insert(name, other);
        }
        circles
    }

    /// The scope in which this plan, or the use of one, stands on another host.
    fn beside(&self, sight: Sight<'_>, other: &World<'_>) -> Option<usize> {
        let instance_of =
            |world: &World<'_>, scope: usize| Some(world.instances.get(world.scopes.get(scope)?.instance)?.scope);
        let within: &[Segment] = &self.scopes.get(instance_of(self, sight.scope)?)?.within;
        other
            .instances
            .iter()
            .map(|instance| instance.scope)
            .find(|scope| other.scopes.get(*scope).is_some_and(|scope| scope.within == within))
    }

    /// What a path leads to on the host that it begins with.
    pub(super) fn on<'w>(&'w self, path: &[String], sight: Sight<'w>) -> Target<'w> {
        let Some((host, named)) = self.lender(path) else { return Target::Lost };
        let rest = path.get(named..).unwrap_or_default();
        let own = host.name == self.host.name;
        let other = if own { Some(self) } else { self.others.get(host.name.as_str()) };
        let Some((other, scope)) = other.and_then(|other| Some((other, self.beside(sight, other)?))) else {
            return Target::Lost;
        };
        match other.target(rest, Sight { scope, each: None }) {
            Target::Cell(at, left) if own => Target::Cell(at, left + named),
            Target::Cell(at, left) => other.value(at).map_or(Target::Lost, |node| Target::Value(node, left + named)),
            Target::Value(node, left) => Target::Value(node, left + named),
            Target::Many { cells, nodes } if own => Target::Many { cells, nodes },
            Target::Many { cells, mut nodes } => {
                nodes.extend(cells.into_iter().filter_map(|at| other.value(at)));
                Target::Many { cells: Vec::new(), nodes }
            }
            Target::NoKey { family, at } => Target::NoKey { family, at: at + named },
            Target::Absent(absence) => Target::Absent(absence),
            Target::Lost => Target::Lost,
            Target::Plain => Target::Lost,
        }
    }

    /// What templates see under `on`, of what some paths lead to.
    pub(super) fn rendered_others(&self, paths: &[Vec<String>], sight: Sight<'_>) -> minijinja::Value {
        use super::template::map;
        let mut by_host: BTreeMap<&str, (&Host, Vec<Reference>)> = BTreeMap::new();
        for path in paths {
            let Some((host, named)) = self.lender(path) else { continue };
            let rest: Vec<Part> = path.iter().skip(named).cloned().map(Part::Name).collect();
            if rest.is_empty() {
                // All of a host is no value, and a finding.
                continue;
            }
            by_host.entry(&host.name).or_insert_with(|| (host, Vec::new())).1.push(Reference(rest));
        }
        let mut groups: BTreeMap<String, BTreeMap<String, minijinja::Value>> = BTreeMap::new();
        let mut all: BTreeMap<String, minijinja::Value> = BTreeMap::new();
        for (name, (host, references)) in by_host {
            let other = if *name == self.host.name { Some(self) } else { self.others.get(name) };
            let Some((other, scope)) = other.and_then(|other| Some((other, self.beside(sight, other)?))) else {
                continue;
            };
            let references: Vec<&Reference> = references.iter().collect();
            let value = other.context(&references, Sight { scope, each: None });
            match (&host.group, host.key()) {
                (Some(group), Some(key)) => _ = groups.entry(group.clone()).or_default().insert(key.to_owned(), value),
                _ => _ = all.insert(name.to_owned(), value),
            }
        }
        map(all.into_iter().chain(groups.into_iter().map(|(group, hosts)| (group, map(hosts)))))
    }

    /// The cells of another host that this one takes values of.
    fn taken_from(&self, other: &World<'_>) -> Vec<usize> {
        let mut taken = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.absent.is_none()) {
            let sight = Sight { scope: cell.scope, each: cell.each.as_deref() };
            for (reference, _) in cell.references().iter().filter(|(reference, _)| reference.is(ON)) {
                let path = self.path(reference, sight);
                let Some((_, named)) = self.lender(&path).filter(|(host, _)| host.name == other.host.name) else {
                    continue;
                };
                let Some(scope) = self.beside(sight, other) else { continue };
                let rest = path.iter().skip(named).cloned().map(Part::Name).collect();
                taken.extend(other.cells_behind(&Reference(rest), Sight { scope, each: None }));
            }
        }
        taken
    }

    /// What this host takes of others.
    pub(super) fn borrowed(&self) -> Borrowed {
        let of = |(name, other): (&&str, &World<'_>)| {
            let addresses: BTreeSet<Address> = other.resources_at(self.taken_from(other)).into_iter().collect();
            ((*name).to_owned(), addresses)
        };
        self.others.iter().map(of).collect()
    }

    /// That a reference names a host that there is not, by a key or by what is known only now.
    pub(super) fn check_host(&self, path: &[String], text: &str, place: Option<Place>, problems: &mut Problems) {
        if self.lender(path).is_some() {
            return;
        }
        let message = format!("`{text}` refers to something that is not there");
        let group = path.get(1).map(String::as_str);
        let of_group: Vec<&str> =
            self.plan.hosts.iter().filter(|host| host.group.as_deref() == group).filter_map(Host::key).collect();
        let is_kind = |word: &String| word == USE || kind(word).is_some();
        if !of_group.is_empty() && path.get(2).is_none_or(is_kind) {
            // Without a key: told where it is written.
            return;
        }
        let names = self.plan.hosts.iter().map(|host| host.name.as_str());
        let help = match path.get(2) {
            Some(key) if !of_group.is_empty() => suggest(key, of_group),
            _ => suggest(group.unwrap_or_default(), names),
        };
        problems.add_help(place, message, help);
    }
}

#[cfg(test)]
mod tests;
