//! Renders a plan for one host: templates become values, tables become resources, references become edges.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::digest::{Witness, of_resource};
use super::expand::{Family, Sort};
use super::fields::Fields;
use super::host::Host;
use super::module::{BLOCK, Declared, GATE, Part, USE};
use super::node::{Entry, Node, Table, Value};
use super::problem::{Problems, suggest};
use super::world::{Mode, Whose, World};
use crate::address::{Address, Segment};
use crate::facts::Facts;
use crate::graph::{Graph, Vertex};
use crate::resource::Setup;
use crate::secret::{Secrets, Text};

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
}

impl Plan {
    pub(super) fn resolve_for(&self, host: &Host, facts: &Facts, mode: Mode) -> (Resolved, Problems) {
        let mut world = World::new(self, host, facts, mode);
        world.expand();
        let mut resolved = Resolved {
            graph: None,
            addresses: world.addresses(),
            here: BTreeSet::new(),
            assets: BTreeSet::new(),
            secrets: Secrets::default(),
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
        // In the order of reading: of those that are free the graph takes the first.
        let vertices: Vec<Vertex> = order.iter().filter_map(|at| vertices.remove(at)).collect();
        resolved.here = vertices.iter().map(|vertex| vertex.address.clone()).collect();
        resolved.assets = vertices.iter().flat_map(|vertex| vertex.assets.iter().cloned()).collect();
        let mut problems = world.problems();
        if !problems.is_whole() {
            // Without all of its resources a graph would be said to lack what it only lost.
            return (resolved, problems);
        }
        let graph = Graph::build(self.name.clone(), vertices, outputs, &mut problems);
        resolved.graph = Some(graph.with_ownership(&self.ownership));
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

    fn resources(&self) -> impl Iterator<Item = (usize, &Address)> {
        self.cells.iter().enumerate().filter_map(|(at, cell)| match &cell.what {
            Sort::Resource(_, address) => Some((at, address)),
            Sort::Input { .. } | Sort::Output(_) => None,
        })
    }

    fn is_here(&self, at: usize) -> bool {
        self.cells.get(at).is_some_and(|cell| cell.absent.is_none())
    }

    /// What a cell refers to.
    fn behind(&self, at: usize) -> BTreeSet<usize> {
        let Some(cell) = self.cells.get(at) else { return BTreeSet::new() };
        let references = cell.references().iter();
        references.flat_map(|(reference, _)| self.cells_behind(reference, cell.scope, cell.each.as_deref())).collect()
    }

    /// The cells that are there, each after those that it refers to.
    fn order(&self, circles: &mut Problems) -> Vec<usize> {
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
    fn read(&mut self, at: usize) -> Option<Vertex> {
        let cell = self.cells.get(at)?;
        let (scope, each) = (cell.scope, cell.each.clone());
        let (value, vertex) = match &cell.what {
            Sort::Resource(declared, address) => {
                let (declared, address, condition) = (*declared, address.clone(), cell.condition.clone());
                self.read_resource(at, declared, address, condition)?
            }
            Sort::Input { part, name, given, module } => {
                let (part, name, given) = (*part, *name, *given);
                let plan = self.plan;
                let declaration = plan.modules.get(*module)?.inputs.get(name)?;
                let each = each.as_deref();
                (self.input_value(part, name, given, declaration, scope, each, false)?, None)
            }
            Sort::Output(output) => {
                let output = *output;
                (self.render(&output.node, &output.references, scope, each.as_deref())?, None)
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
        let (scope, each) = (cell.scope, cell.each.as_deref());
        let Declared { kind, label, table, place, references, .. } = declared;
        self.check(references, scope, each, &mut problems.borrow_mut());
        let node = Node::new(Value::Table(table.clone()), *place);
        let Value::Table(mut rendered) = self.render_node(&node, references, scope, each, problems).value else {
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
        let setup = Setup { address, plan: &self.plan.name, assets: &witness };
        let resource = (kind.read)(&fields, &setup);
        fields.finish();
        let resource = resource?;
        let assets = witness.seen();
        let digest = of_resource(kind, &rendered, &assets);
        let mut attributes = rendered.clone();
        for (name, value) in resource.attributes() {
            let node = Node { value: Value::Text(Text::plain(value)), place: None, rendered: true };
            attributes.entries.insert(name.to_owned(), Entry { key: None, node });
        }
        let refers = self.refers(at);
        let address = address.clone();
        let vertex = Vertex { address, place: *place, resource, after, refers, digest, assets, adopt, condition };
        Some((attributes, vertex))
    }

    /// The resources that a resource refers to, through inputs and outputs of plans too.
    fn refers(&self, at: usize) -> Vec<Address> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([at]);
        let mut open: Vec<usize> = self.behind(at).into_iter().collect();
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

    /// Puts whole addresses in place of those that are written, each for as many resources as it means.
    fn address_all(&self, node: &mut Node, field: &str, label: &str, scope: usize, problems: &RefCell<Problems>) {
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

    fn after_part(&self, from: usize, part: &Part, problems: &RefCell<Problems>) -> Vec<Address> {
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
