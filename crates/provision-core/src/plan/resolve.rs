//! Renders a plan for one host: templates become values, tables become resources, references become edges.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::digest::{Witness, of_resource};
use super::expand::Sort;
use super::fields::Fields;
use super::host::Host;
use super::lend::Borrowed;
use super::module::{Declared, GATE};
use super::node::{Entry, Node, Table, Value};
use super::problem::Problems;
use super::render::Asked;
use super::world::{Mode, Sight, Whose, World};
use crate::address::{Address, Segment};
use crate::facts::{Facts, Lends};
use crate::graph::{Graph, Vertex};
use crate::path::AbsPath;
use crate::resource::Setup;
use crate::secret::{Secrets, Text};
use crate::systemd::Manager;

/// What `host.*` offers to templates.
pub(super) const HOST_ATTRIBUTES: &[&str] = &["address", "name", "port", "user"];

/// A plan on one host.
pub(super) struct Resolved {
    /// The resources that are there; of a plan for any host none where that would be too much to say.
    pub(super) graph: Option<Graph>,
    /// Every resource, whether it is there or not, by the use of a plan that it is in: what that is in, and its addresses
    /// there.
    pub(super) addresses: BTreeMap<(usize, Vec<Segment>), BTreeSet<Address>>,
    /// Resources that are there.
    pub(super) here: BTreeSet<Address>,
    /// Digests of files.
    pub(super) assets: BTreeSet<String>,
    /// Secrets that inputs have come to.
    pub(super) secrets: Secrets,
    /// Whose home directories paths depend on.
    pub(super) homes: BTreeSet<Manager>,
    /// Files of secrets that were made up once, whose content its resources hand on.
    pub(super) kept: BTreeSet<AbsPath>,
    /// What it takes of other hosts.
    pub(super) borrowed: Borrowed,
}

impl Plan {
    pub(super) fn resolve_for(&self, host: &Host, facts: &Facts, mode: Mode) -> (Resolved, Problems) {
        let mut world = World::new(self, host, facts, mode);
        world.expand();
        world.borrow(facts);
        let mut resolved = Resolved {
            graph: None,
            addresses: world.addresses(),
            here: BTreeSet::new(),
            assets: BTreeSet::new(),
            secrets: Secrets::default(),
            homes: BTreeSet::new(),
            kept: BTreeSet::new(),
            borrowed: world.borrowed(),
        };
        let mut circles = Problems::default();
        let order = world.order(&mut circles);
        if !circles.is_empty() {
            let mut problems = world.problems();
            problems.extend(circles);
            return (resolved, problems);
        }
        world.values = vec![None; world.cells.len()];
        let mut vertices: BTreeMap<usize, Vertex> = BTreeMap::new();
        for at in order.iter().copied() {
            vertices.extend(world.read(at).map(|vertex| (at, vertex)));
        }
        let outputs = world.outputs();
        world.collect_secrets(&mut resolved.secrets);
        for value in world.others.values().flat_map(|other| other.values.iter().flatten()) {
            super::remember(value, &mut resolved.secrets);
        }
        resolved.homes = world.homes.asked();
        resolved.kept = world.kept.asked();
        // In the order of reading: of those that are free the graph takes the first.
        let vertices: Vec<Vertex> = order.iter().filter_map(|at| vertices.remove(at)).collect();
        resolved.here = vertices.iter().map(|vertex| vertex.address.clone()).collect();
        resolved.assets = vertices.iter().flat_map(|vertex| vertex.assets.iter().cloned()).collect();
        let mut problems = world.problems();
        if !problems.is_whole() {
            // Without all of its resources a graph would be said to lack what it only lost.
            return (resolved, problems);
        }
        for (_, value) in vertices.iter().flat_map(|vertex| vertex.resource.secrets()) {
            resolved.secrets.add(value.expose());
        }
        for value in vertices.iter().flat_map(|vertex| vertex.resource.hidden()) {
            resolved.secrets.add(value.expose());
        }
        let graph = Graph::build(self.name.clone(), vertices, outputs, &mut problems);
        resolved.graph = Some(graph.with_ownership(&self.ownership).with_secrets(&resolved.secrets));
        (resolved, problems)
    }
}

impl<'a> World<'a> {
    /// Every resource by what it is in: a use of a plan, and its address there.
    fn addresses(&self) -> BTreeMap<(usize, Vec<Segment>), BTreeSet<Address>> {
        let mut found: BTreeMap<(usize, Vec<Segment>), BTreeSet<Address>> = BTreeMap::new();
        let mut modules: BTreeMap<&[Segment], usize> = BTreeMap::new();
        for instance in &self.instances {
            let Some(scope) = self.scopes.get(instance.scope) else { continue };
            modules.insert(&scope.within, instance.module);
            found.entry((instance.module, scope.within.clone())).or_default();
        }
        for (_, address) in self.resources() {
            for depth in 0..=address.within().len() {
                let within = address.within().get(..depth).unwrap_or_default();
                let Some(module) = modules.get(within) else { continue };
                if let Some(addresses) = found.get_mut(&(*module, within.to_vec())) {
                    addresses.extend(address.outside(within));
                }
            }
        }
        found
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (usize, &Address)> {
        self.cells.iter().enumerate().filter_map(|(at, cell)| match &cell.what {
            Sort::Resource(_, address) => Some((at, address)),
            Sort::Input { .. } | Sort::Output(_) => None,
        })
    }

    pub(super) fn is_here(&self, at: usize) -> bool {
        self.cells.get(at).is_some_and(|cell| cell.absent.is_none())
    }

    /// What a cell refers to.
    fn behind(&self, at: usize) -> BTreeSet<usize> {
        let Some(cell) = self.cells.get(at) else { return BTreeSet::new() };
        let sight = Sight { scope: cell.scope, each: cell.each.as_deref() };
        let references = cell.references().iter();
        references.flat_map(|(reference, _)| self.cells_behind(reference, sight)).collect()
    }

    /// The cells that are there, each after those that it refers to.
    pub(super) fn order(&self, circles: &mut Problems) -> Vec<usize> {
        let mut search = Search {
            behind: (0..self.cells.len()).map(|_| None).collect(),
            state: vec![Visit::Fresh; self.cells.len()],
            order: Vec::new(),
        };
        for at in (0..self.cells.len()).filter(|at| self.is_here(*at)) {
            self.visit(at, &mut search, circles);
        }
        search.order
    }

    /// Depth first, without calling itself: a chain of references may be as long as the plan.
    fn visit(&self, from: usize, search: &mut Search, circles: &mut Problems) {
        let mut trail: Vec<usize> = Vec::new();
        let mut next = Some(from);
        loop {
            if let Some(at) = next.take() {
                match search.state.get(at) {
                    Some(Visit::Fresh) => {
                        search.set(at, Visit::Open);
                        trail.push(at);
                        if let Some(slot) = search.behind.get_mut(at) {
                            *slot = Some(self.behind(at).into_iter().rev().collect());
                        }
                    }
                    Some(Visit::Open) => self.circle(at, &trail, circles),
                    Some(Visit::Done) | None => {}
                }
            }
            let Some(at) = trail.last().copied() else { return };
            next = search.behind.get_mut(at).and_then(Option::as_mut).and_then(Vec::pop);
            if next.is_none() {
                trail.pop();
                search.set(at, Visit::Done);
                search.order.push(at);
            }
        }
    }

    fn circle(&self, at: usize, trail: &[usize], circles: &mut Problems) {
        let from = trail.iter().position(|seen| *seen == at).unwrap_or(0);
        let names = trail.iter().skip(from).chain(std::iter::once(&at));
        let names: Vec<String> = names.map(|at| self.name_of(*at)).collect();
        let place = self.cells.get(at).and_then(|cell| match &cell.what {
            Sort::Resource(declared, _) => declared.place,
            Sort::Input { given, .. } => given.node.place,
            Sort::Output(output) => output.node.place,
        });
        circles.add_help(
            place,
            format!("these refer to each other in a circle: {}", names.join(" -> ")),
            "take one of the references out, for instance by an input that both use",
        );
    }

    /// Renders a cell; a vertex where it is a resource.
    pub(super) fn read(&mut self, at: usize) -> Option<Vertex> {
        let cell = self.cells.get(at)?;
        let each = cell.each.clone();
        let sight = Sight { scope: cell.scope, each: each.as_deref() };
        let (value, vertex) = match &cell.what {
            Sort::Resource(declared, address) => {
                let (declared, address, condition) = (*declared, address.clone(), cell.condition.clone());
                self.read_resource(at, declared, address, condition)?
            }
            Sort::Input { part, name, given, module } => {
                let (part, name, given) = (*part, *name, *given);
                let plan = self.plan;
                let declaration = plan.modules.get(*module)?.inputs.get(name)?;
                (self.input_value(&Asked { part, name, given, declaration }, sight)?, None)
            }
            Sort::Output(output) => {
                let output = *output;
                (self.render(&output.node, &output.references, sight)?, None)
            }
        };
        if let Some(slot) = self.values.get_mut(at) {
            *slot = Some(value);
        }
        vertex.map(|vertex| *vertex)
    }

    fn read_resource(
        &mut self,
        at: usize,
        declared: &'a Declared,
        address: Address,
        condition: Option<String>,
    ) -> Option<(Node, Option<Box<Vertex>>)> {
        let problems = RefCell::new(Problems::default());
        let found = self.read_fields(at, declared, &address, condition, &problems);
        let Declared { label, place, .. } = declared;
        let whose = Whose { label: label.clone(), place: *place, address: address.to_string() };
        self.take(problems.into_inner(), Some(&whose));
        found.map(|(attributes, vertex)| (Node::new(Value::Table(attributes), None), Some(Box::new(vertex))))
    }

    fn read_fields(
        &self,
        at: usize,
        declared: &'a Declared,
        address: &Address,
        condition: Option<String>,
        problems: &RefCell<Problems>,
    ) -> Option<(Table, Vertex)> {
        let cell = self.cells.get(at)?;
        let (scope, sight) = (cell.scope, Sight { scope: cell.scope, each: cell.each.as_deref() });
        let Declared { kind, label, table, place, references, .. } = declared;
        self.check(references, sight, &mut problems.borrow_mut());
        let node = Node::new(Value::Table(table.clone()), *place);
        let Value::Table(mut rendered) = self.render_node(&node, references, sight, problems).value else {
            return None;
        };
        let addressed = kind.fields.iter().filter(|field| field.takes == "list of addresses");
        for name in addressed.map(|field| field.name).chain(["after"]) {
            if let Some(entry) = rendered.entries.get_mut(name) {
                self.address_all(&mut entry.node, name, label, scope, problems);
            }
        }
        let fields = Fields::new(label, &rendered, *place, problems);
        let mut after: Vec<Address> = fields.list("after");
        if after.contains(address) {
            fields.item_problem("after", address, format!("{label} is to come after itself"), "take it out");
        }
        let adopt = fields.boolean("adopt").unwrap_or(false);
        for word in GATE {
            // Read before anything was rendered; named here for who misspells them.
            let _read_before = fields.raw(word);
        }
        for (from, part) in self.scopes.get(scope).map(|scope| scope.after.as_slice()).unwrap_or_default() {
            after.extend(self.after_part(*from, part, problems));
        }
        let assets = self.scopes.get(scope).and_then(|scope| self.instances.get(scope.instance));
        let assets = assets.and_then(|instance| self.plan.modules.get(instance.module))?.assets.as_ref();
        let witness = Witness::new(assets);
        let lends = Lends::new(self.view, self.plan.lends(&self.host.name, address), &self.kept);
        let setup =
            Setup { address, plan: &self.plan.name, assets: &witness, homes: &self.homes, kept: &self.kept, lends };
        let resource = (kind.read)(&fields, &setup);
        fields.finish();
        let resource = resource?;
        let assets = witness.seen();
        let digest = of_resource(kind, &rendered, &assets);
        let mut attributes = rendered.clone();
        let open = resource.attributes().into_iter().map(|(name, value)| (name, Text::plain(value)));
        for (name, value) in open.chain(resource.secrets()) {
            let node = Node { value: Value::Text(value), place: None, rendered: true };
            attributes.entries.insert(name.to_owned(), Entry { key: None, node });
        }
        let refers = self.refers(at);
        let address = address.clone();
        let vertex = Vertex { address, place: *place, resource, after, refers, digest, assets, adopt, condition };
        Some((attributes, vertex))
    }

    /// The resources that a resource refers to, through inputs and outputs of plans too.
    fn refers(&self, at: usize) -> Vec<Address> {
        self.resources_from(self.behind(at).into_iter().collect(), BTreeSet::from([at]))
    }

    /// Some cells with all that they refer to.
    pub(super) fn all_behind(&self, mut open: Vec<usize>) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(self.behind(at));
            }
        }
        seen
    }

    /// The resources that some cells are, or refer to through inputs and outputs of plans.
    pub(super) fn resources_at(&self, cells: Vec<usize>) -> Vec<Address> {
        self.resources_from(cells, BTreeSet::new())
    }

    fn resources_from(&self, mut open: Vec<usize>, mut seen: BTreeSet<usize>) -> Vec<Address> {
        let mut found = Vec::new();
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            match self.cells.get(at).map(|cell| &cell.what) {
                Some(Sort::Resource(_, address)) => found.push(address.clone()),
                Some(Sort::Input { .. } | Sort::Output(_)) => open.extend(self.behind(at)),
                None => {}
            }
        }
        found
    }

    /// The outputs of the plan that is applied.
    fn outputs(&mut self) -> Vec<(String, Text)> {
        let Some(instance) = self.instances.first() else { return Vec::new() };
        let cells: Vec<(String, usize)> = instance.outputs.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        let mut outputs = Vec::new();
        for (name, at) in cells {
            let Some(node) = self.values.get(at).and_then(Option::as_ref) else { continue };
            match &node.value {
                Value::Text(text) => outputs.push((name, text.clone())),
                Value::Integer(number) => outputs.push((name, Text::plain(number.to_string()))),
                Value::Boolean(value) => outputs.push((name, Text::plain(value.to_string()))),
                Value::Float(number) => outputs.push((name, Text::plain(number.to_string()))),
                Value::Unknown => {}
                Value::Array(_) | Value::Table(_) => {
                    let (place, sort) = (node.place, node.type_name());
                    let help = "an output that people see is text: join it";
                    self.add(place, format!("outputs.{name} comes to {sort}"), help);
                }
            }
        }
        outputs
    }

    /// What inputs of plans have come to and nobody may see.
    fn collect_secrets(&self, secrets: &mut Secrets) {
        use super::expand::InputValue;
        for value in self.instances.iter().flat_map(|instance| instance.inputs.values()) {
            match value {
                InputValue::Known { node, .. } => super::remember(node, secrets),
                InputValue::Cell(at) => {
                    if let Some(node) = self.values.get(*at).and_then(Option::as_ref) {
                        super::remember(node, secrets);
                    }
                }
                InputValue::Lost => {}
            }
        }
    }
}

struct Search {
    /// What is still to be visited behind each that is open.
    behind: Vec<Option<Vec<usize>>>,
    state: Vec<Visit>,
    order: Vec<usize>,
}

impl Search {
    fn set(&mut self, at: usize, visit: Visit) {
        if let Some(slot) = self.state.get_mut(at) {
            *slot = visit;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Visit {
    Fresh,
    Open,
    Done,
}
