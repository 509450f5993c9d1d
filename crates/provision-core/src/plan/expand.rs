//! What there is of a plan on one host: `for_each` made into elements, `when` into there or not. Nothing is rendered yet
//! but what that takes.

use std::collections::BTreeMap;
use std::rc::Rc;

use indexmap::IndexMap;

use super::gate::{Early, There};
use super::module::{Body, Declared, Given, Module, Output, Part, References, What};
use super::node::Node;
use super::render::Asked;
use super::world::{Sight, Target, World};
use crate::address::{Address, Segment};

/// One block or plan as it is there once.
pub(super) struct Scope<'a> {
    /// The scope around a block. A plan that is used sees nothing of what is around it.
    pub(super) outer: Option<usize>,
    /// The use of a plan that it is in.
    pub(super) instance: usize,
    pub(super) within: Vec<Segment>,
    pub(super) each: Option<Rc<Node>>,
    /// What all of it comes after: addresses as they are written, and where they are looked up.
    pub(super) after: Vec<(usize, &'a Part)>,
    pub(super) absent: Option<Rc<Absence>>,
    pub(super) condition: Option<String>,
    /// Whether a `hosts` of it, or of what it is in, names the hosts that it is for.
    pub(super) named: bool,
    /// By kind and name.
    pub(super) resources: BTreeMap<&'a str, BTreeMap<&'a str, Family>>,
    pub(super) uses: BTreeMap<&'a str, Family>,
    pub(super) blocks: BTreeMap<&'a str, Family>,
}

/// A plan as it is used once, or the plan itself.
pub(super) struct Instance<'a> {
    pub(super) module: usize,
    pub(super) inputs: BTreeMap<&'a str, InputValue>,
    /// By name, as cells.
    pub(super) outputs: IndexMap<&'a str, usize>,
    pub(super) scope: usize,
}

/// The value of an input.
#[derive(Clone)]
pub(super) enum InputValue {
    Known {
        node: Rc<Node>,
        /// Whether it depends on facts of the host.
        facts: bool,
    },
    /// It depends on what is made.
    Cell(usize),
    /// There is a finding about it.
    Lost,
}

/// What stands under one name: one, or one for each element.
#[derive(Default)]
pub(super) struct Family {
    pub(super) keyed: bool,
    /// There is a finding about which there are.
    pub(super) lost: bool,
    /// By key; under an empty one where there are no elements.
    pub(super) members: IndexMap<String, Member>,
}

/// One of a family.
#[derive(Clone)]
pub(super) struct Member {
    /// Its place among the cells, instances or scopes.
    pub(super) at: usize,
    pub(super) absent: Option<Rc<Absence>>,
}

/// Why something is not there on this host.
#[derive(Debug)]
pub(super) enum Absence {
    /// It is for others.
    Hosts,
    /// Its `when` is false, or that of what it is in.
    When { label: String, text: String },
}

/// Something that is rendered.
pub(super) struct Cell<'a> {
    pub(super) what: Sort<'a>,
    pub(super) scope: usize,
    pub(super) each: Option<Rc<Node>>,
    pub(super) absent: Option<Rc<Absence>>,
    /// The `when` that only facts decide, where those are made up.
    pub(super) condition: Option<String>,
}

pub(super) enum Sort<'a> {
    Resource(&'a Declared, Address),
    Input { part: &'a Part, name: &'a str, given: &'a Given, module: usize },
    Output(&'a Output),
}

impl Cell<'_> {
    pub(super) fn references(&self) -> &References {
        match &self.what {
            Sort::Resource(declared, _) => &declared.references,
            Sort::Input { given, .. } => &given.references,
            Sort::Output(output) => &output.references,
        }
    }
}

/// More than any host could be asked about; a few nested `for_each` come to billions.
const MOST: usize = 20_000;

impl<'a> World<'a> {
    /// Fills it with what there is of a plan.
    pub(super) fn expand(&mut self) {
        let root = self.plan.root;
        let known = self
            .plan
            .values
            .iter()
            .map(|(name, node)| (name.as_str(), InputValue::Known { node: Rc::new(node.clone()), facts: false }));
        let mut inputs: BTreeMap<&'a str, InputValue> = known.collect();
        if let Some(module) = self.plan.modules.get(root) {
            for name in module.inputs.keys() {
                inputs.entry(name).or_insert(InputValue::Lost);
            }
        }
        let there = There { each: None, key: None, absent: None, condition: None, named: false };
        self.expand_module(root, inputs, Vec::new(), Vec::new(), there);
    }

    fn expand_module(
        &mut self,
        module: usize,
        inputs: BTreeMap<&'a str, InputValue>,
        within: Vec<Segment>,
        after: Vec<(usize, &'a Part)>,
        there: There,
    ) -> usize {
        let (instance, scope) = (self.instances.len(), self.scopes.len());
        self.instances.push(Instance { module, inputs, outputs: IndexMap::new(), scope });
        let There { absent, condition, named, .. } = there;
        self.scopes.push(Scope {
            outer: None,
            instance,
            within,
            each: None,
            after,
            absent: absent.clone(),
            condition: condition.clone(),
            named,
            resources: BTreeMap::new(),
            uses: BTreeMap::new(),
            blocks: BTreeMap::new(),
        });
        let plan = self.plan;
        let Some(module) = plan.modules.get(module) else { return instance };
        self.expand_body(&module.body, scope);
        for output in &module.outputs {
            let cell = Cell {
                what: Sort::Output(output),
                scope,
                each: None,
                absent: absent.clone().or_else(|| self.of_others(output, scope)),
                condition: condition.clone(),
            };
            self.cells.push(cell);
            let at = self.cells.len() - 1;
            if let Some(instance) = self.instances.get_mut(instance) {
                instance.outputs.insert(&output.name, at);
            }
        }
        instance
    }

    /// Of what is for other hosts one that has only what names it has no outputs.
    fn of_others(&self, output: &Output, scope: usize) -> Option<Rc<Absence>> {
        let sight = Sight { scope, each: None };
        let mut targets =
            output.references.iter().map(|(reference, _)| self.target(&self.path(reference, sight), sight));
        let elsewhere = |target| matches!(target, Target::Absent(absence) if matches!(*absence, Absence::Hosts));
        (self.host.named_only && targets.any(elsewhere)).then(|| Rc::new(Absence::Hosts))
    }

    fn expand_body(&mut self, body: &'a Body, scope: usize) {
        for declared in &body.resources {
            let family = self.expand_resource(declared, scope);
            if let Some(scope) = self.scopes.get_mut(scope) {
                scope.resources.entry(declared.kind.name).or_default().insert(&declared.name, family);
            }
        }
        for part in &body.parts {
            let family = self.expand_part(part, scope);
            if let Some(scope) = self.scopes.get_mut(scope) {
                match part.what {
                    What::Block(_) => scope.blocks.insert(&part.name, family),
                    What::Use { .. } => scope.uses.insert(&part.name, family),
                };
            }
        }
    }

    fn expand_resource(&mut self, declared: &'a Declared, scope: usize) -> Family {
        let gate = &declared.gate;
        let Some(all) = self.there(gate, &declared.label, scope, declared.place) else {
            return Family { keyed: gate.for_each.is_some(), lost: true, members: IndexMap::new() };
        };
        let mut family = Family { keyed: gate.for_each.is_some(), ..Family::default() };
        for There { each, key, absent, condition, .. } in all {
            let Ok(address) = Address::new(declared.kind.name, &declared.name) else { continue };
            let within = self.scopes.get(scope).map(|scope| scope.within.clone()).unwrap_or_default();
            let address = address.of_key(key.clone()).inside(&within);
            let what = Sort::Resource(declared, address);
            self.cells.push(Cell { what, scope, each, absent: absent.clone(), condition });
            let member = Member { at: self.cells.len() - 1, absent };
            family.members.insert(key.map(|key| key.as_str().to_owned()).unwrap_or_default(), member);
        }
        family
    }

    fn expand_part(&mut self, part: &'a Part, scope: usize) -> Family {
        let keyed = part.gate.for_each.is_some();
        let lost = || Family { keyed, lost: true, members: IndexMap::new() };
        if matches!(part.what, What::Use { module: None, .. }) {
            return lost();
        }
        let Some(all) = self.there(&part.gate, &part.label, scope, part.place) else { return lost() };
        let mut family = Family { keyed, ..Family::default() };
        for there in all {
            if self.cells.len() > MOST || self.scopes.len() > MOST {
                if !std::mem::replace(&mut self.overflown, true) {
                    let message = format!("the plan comes to more than {MOST} resources and uses of plans");
                    let help = "make the lists of its `for_each` shorter, or plans of its parts";
                    self.add(part.place, message, help);
                }
                return lost();
            }
            let (key, absent) = (there.key.clone(), there.absent.clone());
            let Ok(segment) = Segment::new(&part.name, key.clone()) else { continue };
            let (mut within, mut after) = match self.scopes.get(scope) {
                Some(scope) => (scope.within.clone(), scope.after.clone()),
                None => continue,
            };
            within.push(segment);
            if !part.after.is_empty() {
                after.push((scope, part));
            }
            let at = match &part.what {
                What::Block(body) => self.expand_block(body, scope, within, after, there),
                What::Use { module, inputs } => {
                    let Some(number) = *module else { continue };
                    let plan = self.plan;
                    let Some(module) = plan.modules.get(number) else { continue };
                    let inputs = self.given(part, inputs, module, number, scope, &there);
                    self.expand_module(number, inputs, within, after, there)
                }
            };
            let key = key.map(|key| key.as_str().to_owned()).unwrap_or_default();
            family.members.insert(key, Member { at, absent });
        }
        family
    }

    fn expand_block(
        &mut self,
        body: &'a Body,
        outer: usize,
        within: Vec<Segment>,
        after: Vec<(usize, &'a Part)>,
        there: There,
    ) -> usize {
        let at = self.scopes.len();
        let instance = self.scopes.get(outer).map_or(0, |scope| scope.instance);
        let There { each, absent, condition, named, .. } = there;
        self.scopes.push(Scope {
            outer: Some(outer),
            instance,
            within,
            each,
            after,
            absent,
            condition,
            named,
            resources: BTreeMap::new(),
            uses: BTreeMap::new(),
            blocks: BTreeMap::new(),
        });
        self.expand_body(body, at);
        at
    }

    /// The inputs of a plan that is used.
    fn given(
        &mut self,
        part: &'a Part,
        given: &'a BTreeMap<String, Given>,
        module: &'a Module,
        number: usize,
        scope: usize,
        there: &There,
    ) -> BTreeMap<&'a str, InputValue> {
        let mut inputs = BTreeMap::new();
        for (name, declaration) in &module.inputs {
            let value = match given.get(name) {
                None => match self.plan.defaults.get(&(number, name.clone())) {
                    Some(node) => InputValue::Known { node: Rc::new(node.clone()), facts: false },
                    None => InputValue::Lost,
                },
                Some(given) => match self.early(&given.references, scope) {
                    Early::Lost => InputValue::Lost,
                    Early::Late => {
                        self.cells.push(Cell {
                            what: Sort::Input { part, name, given, module: number },
                            scope,
                            each: there.each.clone(),
                            absent: there.absent.clone(),
                            condition: there.condition.clone(),
                        });
                        InputValue::Cell(self.cells.len() - 1)
                    }
                    Early::Known { facts } => {
                        let sight = Sight { scope, each: there.each.as_deref() };
                        let asked = Asked { part, name, given, declaration };
                        let (before, lost) = (self.found.len(), self.lost);
                        let node = self.input_value(&asked, sight);
                        if there.absent.is_some() {
                            // Nobody asks what a plan would be given that is not there.
                            self.forget(before);
                            self.lost = lost;
                        }
                        node.map_or(InputValue::Lost, |node| InputValue::Known { node: Rc::new(node), facts })
                    }
                },
            };
            inputs.insert(name.as_str(), value);
        }
        inputs
    }
}
