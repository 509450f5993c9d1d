//! The order of resources: edges that are written and edges found by matching what one provides with what another
//! wants; cycles spelled out.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::{Address, check_name};
use crate::edit::Edit;
use crate::path::AbsPath;
use crate::plan::ownership::{Move, OnFailure, Ownership};
use crate::plan::problem::{Place, Problems};
use crate::quadlet::QuadletType;
use crate::resource::quadlet::kind_of;
use crate::resource::{Relation, Resource, Target, Thing};
use crate::secret::{Secrets, Text};
use crate::step::{Data, Keep};
use crate::systemd::Managed;

/// A resource with what the plan says of its place.
pub(crate) struct Vertex {
    pub(crate) address: Address,
    pub(crate) place: Option<Place>,
    pub(crate) resource: Box<dyn Resource>,
    /// Written in `after`.
    pub(crate) after: Vec<Address>,
    /// Referred to in templates.
    pub(crate) refers: Vec<Address>,
    /// SHA-256 of what the plan says of it, rendered; secrets go into it.
    pub(crate) digest: String,
    /// Digests of the files beside the plan that it is made of.
    pub(crate) assets: BTreeSet<String>,
    /// Whether what is on the host may be taken over although the plan has never been applied to it.
    pub(crate) adopt: bool,
    /// What only a host's facts decide of whether it is there, where those are made up: two of which this is not the same
    /// may never be there together.
    pub(crate) condition: Option<String>,
}

impl Vertex {
    /// Whether two are together on some host, for all that is known.
    fn meets(&self, other: &Self) -> bool {
        match (&self.condition, &other.condition) {
            (None, None) => true,
            (one, other) => one == other,
        }
    }
}

/// The resources of one host in the order in which they are applied.
pub struct Graph {
    plan: String,
    vertices: Vec<Vertex>,
    /// For each resource those it comes after, by place in `vertices`, strongest relation once.
    edges: Vec<BTreeMap<usize, Relation>>,
    outputs: Vec<(String, Text)>,
    ownership: Ownership,
    secrets: Secrets,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.vertices.iter().map(|vertex| vertex.address.to_string())).finish()
    }
}

impl Graph {
    /// Finds the edges and the order. On a finding the graph is of no use.
    pub(crate) fn build(
        plan: String,
        vertices: Vec<Vertex>,
        outputs: Vec<(String, Text)>,
        problems: &mut Problems,
    ) -> Self {
        let index = Index::new(&vertices, problems);
        let mut edges: Vec<BTreeMap<usize, Relation>> = Vec::with_capacity(vertices.len());
        for (from, vertex) in vertices.iter().enumerate() {
            let mut own = BTreeMap::new();
            let mut add = |to: usize, relation: Relation| {
                if to != from {
                    let slot = own.entry(to).or_insert(relation);
                    *slot = (*slot).max(relation);
                }
            };
            for (addresses, relation) in [(&vertex.after, Relation::After), (&vertex.refers, Relation::Uses)] {
                for to in addresses.iter().filter_map(|address| index.addresses.get(address)) {
                    add(*to, relation);
                }
            }
            for want in vertex.resource.wants() {
                let found = index.find(&want.target);
                if found.is_empty() && want.required {
                    missing(vertex, &want.target, problems);
                }
                found.into_iter().for_each(|to| add(to, want.relation));
            }
            edges.push(own);
        }
        match order(&vertices, &edges) {
            Ok(order) => {
                index.chain(&order, &mut edges);
                reorder(plan, vertices, edges, outputs, &order)
            }
            Err(cycle) => {
                let conditions: BTreeSet<&String> =
                    cycle.iter().filter_map(|at| vertices.get(*at)?.condition.as_ref()).collect();
                if conditions.len() > 1 {
                    return Self {
                        plan,
                        vertices,
                        edges,
                        outputs,
                        ownership: Ownership::default(),
                        secrets: Secrets::default(),
                    };
                }
                let place = cycle.first().and_then(|at| vertices.get(*at)).and_then(|vertex| vertex.place);
                let names: Vec<String> =
                    cycle.iter().filter_map(|at| vertices.get(*at)).map(|vertex| vertex.address.to_string()).collect();
                problems.add_help(
                    place,
                    format!("these wait for each other in a circle: {}", names.join(" -> ")),
                    "each comes after the next: take one `after` or one reference out",
                );
                Self { plan, vertices, edges, outputs, ownership: Ownership::default(), secrets: Secrets::default() }
            }
        }
    }

    /// The same, of a plan that says this of its time on the host. A move to what is not for this host is none here.
    pub(crate) fn with_secrets(mut self, secrets: &Secrets) -> Self {
        self.secrets = secrets.clone();
        self
    }

    /// What its resources hand on and nobody may see, for masking what a host says.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn with_ownership(mut self, ownership: &Ownership) -> Self {
        self.ownership = ownership.clone();
        let here: BTreeSet<&Address> = self.vertices.iter().map(|vertex| &vertex.address).collect();
        self.ownership.moved.retain(|(_, new)| here.contains(new));
        self
    }

    /// Of a plan that wants nothing.
    pub(crate) fn empty(plan: &str) -> Self {
        Self::build(plan.to_owned(), Vec::new(), Vec::new(), &mut Problems::default())
    }

    /// The plan's name.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// How many resources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// What is printed at the end of an apply.
    #[must_use]
    pub fn outputs(&self) -> &[(String, Text)] {
        &self.outputs
    }

    /// Resources that had another address before, as the plan says: old and new, sorted.
    #[must_use]
    pub fn moved(&self) -> &[Move] {
        &self.ownership.moved
    }

    /// How much of the history the host keeps.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.ownership.keep
    }

    /// What becomes of an apply that fails.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        self.ownership.on_failure
    }

    /// What becomes of data that leaves the plan.
    #[must_use]
    pub fn data(&self) -> Data {
        self.ownership.data
    }

    /// Whether the plan says that a resource takes over what is on the host.
    pub(crate) fn adopts(&self, index: usize) -> bool {
        self.vertices.get(index).is_some_and(|vertex| vertex.adopt)
    }

    /// SHA-256 of what the plan says of a resource, rendered, and of the files it is made of. Secrets go into it, so it
    /// is for the host alone.
    pub(crate) fn digest(&self, index: usize) -> Option<&str> {
        self.vertices.get(index).map(|vertex| vertex.digest.as_str())
    }

    /// The resources in their order.
    pub fn resources(&self) -> impl Iterator<Item = (&Address, &dyn Resource)> {
        self.vertices.iter().map(|vertex| (&vertex.address, vertex.resource.as_ref()))
    }

    /// What a resource comes after directly, and how.
    pub fn dependencies(&self, index: usize) -> impl Iterator<Item = (usize, Relation)> {
        self.edges.get(index).into_iter().flatten().map(|(to, relation)| (*to, *relation))
    }

    pub(crate) fn vertex(&self, index: usize) -> Option<&Vertex> {
        self.vertices.get(index)
    }

    /// Everything that a resource comes after, directly or not; only through `Uses` where that is asked.
    pub(crate) fn closure(&self, index: usize, relation: Relation) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut stack = vec![index];
        while let Some(at) = stack.pop() {
            for (to, found) in self.dependencies(at) {
                if found >= relation && seen.insert(to) {
                    stack.push(to);
                }
            }
        }
        seen
    }
}

/// Who provides what.
struct Index {
    addresses: BTreeMap<Address, usize>,
    things: BTreeMap<Thing, Vec<usize>>,
    /// Those that define a unit.
    definitions: BTreeSet<usize>,
    /// Who serves a port, as `Target::Port` spells it.
    ports: BTreeMap<String, BTreeSet<usize>>,
    /// The units that a resource shapes.
    units: BTreeMap<usize, Vec<Managed>>,
    /// Those that change a piece of a file.
    edits: Vec<(Edit, usize)>,
}

impl Index {
    fn new(vertices: &[Vertex], problems: &mut Problems) -> Self {
        let mut things: BTreeMap<Thing, Vec<usize>> = BTreeMap::new();
        // One path cannot be both a directory and a file, so both count as the same place.
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        let mut told: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut ports: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let mut units: BTreeMap<usize, Vec<Managed>> = BTreeMap::new();
        let mut edits: Vec<(Edit, usize)> = Vec::new();
        for (at, vertex) in vertices.iter().enumerate() {
            for thing in vertex.resource.provides() {
                if let Thing::Edit(edit) = &thing {
                    overlaps(edit, vertex, &edits, vertices, problems);
                    edits.push((edit.clone(), at));
                }
                let label = match &thing {
                    Thing::Directory(path) | Thing::Path(path) => Some(path.to_string()),
                    // Several resources may shape one unit: its file, its drop-ins, its configuration.
                    Thing::Unit(_) | Thing::Install(_) | Thing::Edit(_) => None,
                    Thing::Mount(_)
                    | Thing::Running(_)
                    | Thing::Quadlet(_)
                    | Thing::Image(_)
                    | Thing::Knob(_)
                    | Thing::Port { .. } => Some(thing.to_string()),
                };
                if let Some(label) = label {
                    match owners.get(&label).and_then(|other| Some((*other, vertices.get(*other)?))) {
                        Some((_, other)) if !vertex.meets(other) => {}
                        // Quadlet's name for a file that both manage.
                        Some((other, _)) if matches!(thing, Thing::Quadlet(_)) && told.contains(&(other, at)) => {}
                        Some((other, owner)) => {
                            told.insert((other, at));
                            problems.add_help(
                                vertex.place,
                                format!("{} and {} both manage {label}", owner.address, vertex.address),
                                "leave it to one of them",
                            );
                        }
                        None => {
                            owners.insert(label, at);
                        }
                    }
                }
                match &thing {
                    Thing::Port { port, .. } => {
                        ports.entry(port.clone()).or_default().insert(at);
                    }
                    Thing::Unit(name) => units.entry(at).or_default().push(name.clone()),
                    _ => {}
                }
                things.entry(thing).or_default().push(at);
            }
        }
        for (edit, at) in &edits {
            let whole = owners.get(edit.path.as_str()).and_then(|owner| vertices.get(*owner));
            if let (Some(whole), Some(vertex)) = (whole, vertices.get(*at)) {
                problems.add_help(
                    vertex.place,
                    format!(
                        "{} manages all of {}, and {} edits a piece of it",
                        whole.address, edit.path, vertex.address
                    ),
                    "leave it to one of them",
                );
            }
        }
        let addresses = vertices.iter().enumerate().map(|(at, vertex)| (vertex.address.clone(), at)).collect();
        let defines = |thing: &Thing| matches!(thing, Thing::Unit(_) | Thing::Quadlet(_));
        let definitions =
            things.iter().filter(|(thing, _)| defines(thing)).flat_map(|(_, at)| at.iter().copied()).collect();
        Self { addresses, things, definitions, ports, units, edits }
    }

    fn find(&self, target: &Target) -> Vec<usize> {
        match target {
            Target::Parent(path) => self.nearest_directory(path),
            Target::Tree(path) => {
                let mut found = BTreeSet::new();
                for (thing, at) in &self.things {
                    match thing {
                        Thing::Directory(there) | Thing::Path(there) if there == path => found.extend(at),
                        Thing::Mount(there) if there.is_within(path) => found.extend(at),
                        // What defines a unit is systemd's, not content of the tree that it happens to stand in: two
                        // containers that look at all of /etc do not wait for each other's definition.
                        Thing::Directory(there) | Thing::Path(there) if there.is_within(path) => {
                            found.extend(at.iter().filter(|at| !self.definitions.contains(at)));
                        }
                        Thing::Edit(edit) if edit.path.is_within(path) => found.extend(at),
                        _ => {}
                    }
                }
                found.extend(self.nearest_directory(path));
                found.into_iter().collect()
            }
            Target::Thing(thing) => {
                let edits =
                    self.edits.iter().filter(|(edit, _)| matches!(thing, Thing::Path(path) if *path == edit.path));
                let whole = self.things.get(thing).into_iter().flatten().copied();
                whole.chain(edits.map(|(_, at)| *at)).collect()
            }
            Target::Port(port) => {
                let servers = self.ports.get(port).into_iter().flatten().copied();
                // What binds the port is a configuration; what has it open is the unit that runs with it.
                let units: BTreeSet<&Managed> =
                    servers.clone().filter_map(|at| self.units.get(&at)).flatten().collect();
                let running =
                    units.into_iter().flat_map(|name| self.find(&Target::Thing(Thing::Running(name.clone()))));
                servers.chain(running).collect()
            }
            Target::Resource(address) => self.addresses.get(address).copied().into_iter().collect(),
        }
    }

    /// Lets those that change pieces of one file come after one another, in the order that they have anyway.
    fn chain(&self, order: &[usize], edges: &mut [BTreeMap<usize, Relation>]) {
        let mut last: BTreeMap<&AbsPath, usize> = BTreeMap::new();
        for at in order {
            for (edit, _) in self.edits.iter().filter(|(_, of)| of == at) {
                if let Some(before) = last.insert(&edit.path, *at).filter(|before| before != at)
                    && let Some(own) = edges.get_mut(*at)
                {
                    own.entry(before).or_insert(Relation::After);
                }
            }
        }
    }

    fn nearest_directory(&self, path: &AbsPath) -> Vec<usize> {
        // What is mounted on a directory hides what was put there before.
        let at = |parent: AbsPath| {
            let things = [Thing::Directory(parent.clone()), Thing::Mount(parent)];
            let found: Vec<usize> =
                things.iter().filter_map(|thing| self.things.get(thing)).flatten().copied().collect();
            (!found.is_empty()).then_some(found)
        };
        path.ancestors().find_map(at).unwrap_or_default()
    }
}

/// Two that change the same piece of a file, or one a part of the other's.
fn overlaps(edit: &Edit, vertex: &Vertex, known: &[(Edit, usize)], vertices: &[Vertex], problems: &mut Problems) {
    let other =
        known.iter().find(|(known, _)| known.overlaps(edit)).and_then(|(known, at)| Some((known, vertices.get(*at)?)));
    let Some((known, other)) = other else { return };
    let what = if known.format == edit.format {
        format!("{} and {} both edit {}", other.address, vertex.address, edit.title())
    } else {
        let (one, two) = (known.format.word(), edit.format.word());
        format!("{} takes {} for {one}, and {} for {two}", other.address, edit.path, vertex.address)
    };
    problems.add_help(vertex.place, what, "leave it to one of them");
}

fn missing(vertex: &Vertex, target: &Target, problems: &mut Problems) {
    let (what, help) = match target {
        Target::Thing(Thing::Quadlet(Managed { name, .. })) => {
            let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "container"));
            let kind = QuadletType::from_extension(extension).map_or("container", kind_of);
            let help = match check_name(stem) {
                Ok(()) => format!("add [{kind}.{stem}]"),
                Err(_) => format!("add a resource [{kind}.NAME] with file_name = \"{stem}\""),
            };
            (format!("the Quadlet unit {name}"), help)
        }
        Target::Thing(thing) => (thing.to_string(), "add a resource that provides it".to_owned()),
        Target::Resource(address) => (address.to_string(), "add it, or take the name out".to_owned()),
        Target::Parent(path) | Target::Tree(path) => (path.to_string(), "add a resource that makes it".to_owned()),
        Target::Port(port) => (format!("port {port}"), "add a resource that serves it".to_owned()),
    };
    problems.add_help(vertex.place, format!("{} wants {what}, which the plan does not have", vertex.address), help);
}

/// Kahn's algorithm. Of those that are free, the one written first goes first. What runs comes after all else, so that
/// units that name each other are all there, and read at once, before the first is started; what waits for an answer
/// from this side goes last, so that as much as possible fits into one exchange.
fn order(vertices: &[Vertex], edges: &[BTreeMap<usize, Relation>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = edges.iter().map(BTreeMap::len).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); vertices.len()];
    for (from, own) in edges.iter().enumerate() {
        for to in own.keys() {
            if let Some(list) = dependants.get_mut(*to) {
                list.push(from);
            }
        }
    }
    let stages: Vec<Stage> = vertices.iter().map(|vertex| Stage::of(vertex.resource.as_ref())).collect();
    let stage = |at: usize| stages.get(at).copied().unwrap_or(Stage::Make);
    let mut free: BTreeSet<(Stage, usize)> =
        waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(at, _)| (stage(at), at)).collect();
    let mut order = Vec::with_capacity(vertices.len());
    while let Some((_, at)) = free.pop_first() {
        order.push(at);
        for dependant in dependants.get(at).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(*dependant) {
                *count -= 1;
                if *count == 0 {
                    free.insert((stage(*dependant), *dependant));
                }
            }
        }
    }
    if order.len() == vertices.len() { Ok(order) } else { Err(cycle(edges, &order)) }
}

/// What a resource is put behind where no edge says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Make,
    Run,
    Watch,
}

impl Stage {
    fn of(resource: &dyn Resource) -> Self {
        if resource.watch().is_some() {
            return Self::Watch;
        }
        let acts = |thing: &Thing| matches!(thing, Thing::Running(_));
        let defines = |thing: &Thing| matches!(thing, Thing::Unit(_));
        let things = resource.provides();
        // The container of a pod is running with its pod, and yet only its definition.
        if things.iter().any(acts) && !things.iter().any(defines) { Self::Run } else { Self::Make }
    }
}

/// Walks from any resource that was never free along its dependencies until one comes again.
fn cycle(edges: &[BTreeMap<usize, Relation>], done: &[usize]) -> Vec<usize> {
    let done: BTreeSet<usize> = done.iter().copied().collect();
    let Some(mut at) = (0..edges.len()).find(|at| !done.contains(at)) else { return Vec::new() };
    let mut trail: Vec<usize> = Vec::new();
    while !trail.contains(&at) {
        trail.push(at);
        match edges.get(at).and_then(|own| own.keys().find(|to| !done.contains(to))) {
            Some(next) => at = *next,
            None => break,
        }
    }
    let from = trail.iter().position(|seen| *seen == at).unwrap_or(0);
    trail.into_iter().skip(from).chain(std::iter::once(at)).collect()
}

fn reorder(
    plan: String,
    vertices: Vec<Vertex>,
    edges: Vec<BTreeMap<usize, Relation>>,
    outputs: Vec<(String, Text)>,
    order: &[usize],
) -> Graph {
    let places: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let mut slots: BTreeMap<usize, (Vertex, BTreeMap<usize, Relation>)> = BTreeMap::new();
    for (old, (vertex, own)) in vertices.into_iter().zip(edges).enumerate() {
        let own = own.into_iter().filter_map(|(to, relation)| Some((*places.get(&to)?, relation))).collect();
        if let Some(new) = places.get(&old) {
            slots.insert(*new, (vertex, own));
        }
    }
    let (vertices, edges) = slots.into_values().unzip();
    Graph { plan, vertices, edges, outputs, ownership: Ownership::default(), secrets: Secrets::default() }
}
