//! What there is of a plan on one host: `for_each` made into elements, `when` into there or not. Nothing is rendered yet
//! but what that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use indexmap::IndexMap;

use super::module::{Body, Condition, Declared, Gate, Given, Module, Output, Part, References, What};
use super::node::{Entry, Node, Table, Value};
use super::problem::{Place, Problems};
use super::template::{Reference, is_template};
use super::world::{Mode, World};
use crate::address::{Address, Key, Segment};
use crate::secret::Text;

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

/// What something is there with.
struct There {
    each: Option<Rc<Node>>,
    key: Option<Key>,
    absent: Option<Rc<Absence>>,
    condition: Option<String>,
}

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
        let there = There { each: None, key: None, absent: None, condition: None };
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
        let There { absent, condition, .. } = there;
        self.scopes.push(Scope {
            outer: None,
            instance,
            within,
            each: None,
            after,
            absent: absent.clone(),
            condition: condition.clone(),
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
                absent: absent.clone(),
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
        for There { each, key, absent, condition } in all {
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
        let There { each, absent, condition, .. } = there;
        self.scopes.push(Scope {
            outer: Some(outer),
            instance,
            within,
            each,
            after,
            absent,
            condition,
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
                        let each = there.each.as_deref();
                        let silent = there.absent.is_some();
                        let node = self.input_value(part, name, given, declaration, scope, each, silent);
                        node.map_or(InputValue::Lost, |node| InputValue::Known { node: Rc::new(node), facts })
                    }
                },
            };
            inputs.insert(name.as_str(), value);
        }
        inputs
    }

    /// Whether everything that is referred to is known before anything is made.
    fn early(&self, references: &References, scope: usize) -> Early {
        let mut facts = false;
        let inputs = self.inputs_of(scope);
        for (reference, _) in references {
            match reference.part(0).unwrap_or_default() {
                "fact" => facts = true,
                "host" | "plan" | "each" => {}
                "input" => {
                    let named = reference.part(1);
                    let those = inputs.iter().filter(|(name, _)| named.is_none_or(|named| named == **name));
                    for (_, value) in those {
                        match value {
                            InputValue::Known { facts: of_facts, .. } => facts |= of_facts,
                            InputValue::Cell(_) => return Early::Late,
                            InputValue::Lost => return Early::Lost,
                        }
                    }
                }
                _ => return Early::Late,
            }
        }
        Early::Known { facts }
    }

    /// For which elements something is there, and whether it is; none where that cannot be told.
    fn there(&mut self, gate: &'a Gate, label: &str, scope: usize, place: Option<Place>) -> Option<Vec<There>> {
        let around = self.scopes.get(scope)?;
        let (outer_each, outer_absent) = (around.each.clone(), around.absent.clone());
        let outer_condition = around.condition.clone();
        let elements = match &gate.for_each {
            None => vec![(None, outer_each)],
            Some(node) => self
                .elements(gate, node, label, scope, outer_each.as_ref(), outer_absent.is_some())?
                .into_iter()
                .map(|(key, each)| (Some(key), Some(Rc::new(each))))
                .collect(),
        };
        let mut all = Vec::new();
        for (key, each) in elements {
            let mut condition = outer_condition.clone();
            let absent = if let Some(absent) = &outer_absent {
                Some(Rc::clone(absent))
            } else if !gate.hosts.is_empty() && !gate.hosts.contains(&self.host.name) {
                Some(Rc::new(Absence::Hosts))
            } else if let Some(when) = &gate.when {
                match self.holds(when, label, scope, each.as_deref(), key.as_ref())? {
                    Holds::Yes => None,
                    Holds::No => Some(Rc::new(Absence::When { label: label.to_owned(), text: when.text.clone() })),
                    Holds::OnSomeHosts => {
                        let own =
                            format!("{label} {} {}", key.as_ref().map(Key::as_str).unwrap_or_default(), when.text);
                        // Two that say the same come and go together, whoever says it.
                        let own = if each.is_some() { own } else { when.text.clone() };
                        condition = Some(condition.map_or_else(|| own.clone(), |outer| format!("{outer}\n{own}")));
                        None
                    }
                }
            } else {
                None
            };
            all.push(There { each, key, absent, condition });
        }
        let here = all.iter().filter(|there| there.absent.is_none()).count();
        *self.counts.entry((label.to_owned(), place)).or_default() += here;
        Some(all)
    }

    /// Whether a `when` holds; none where that cannot be told, which is a finding.
    fn holds(
        &mut self,
        when: &Condition,
        label: &str,
        scope: usize,
        each: Option<&Node>,
        key: Option<&Key>,
    ) -> Option<Holds> {
        match self.early(&when.references, scope) {
            Early::Known { facts: true } if self.mode == Mode::EveryHost => return Some(Holds::OnSomeHosts),
            Early::Known { .. } => {}
            Early::Lost => return None,
            Early::Late => {
                self.refuse_late("when", label, &when.references, scope);
                return None;
            }
        }
        let references: Vec<&Reference> = when.references.iter().map(|(reference, _)| reference).collect();
        let context = self.context(&references, scope, each);
        let whose = key.map_or_else(|| label.to_owned(), |key| format!("{label}[{key}]"));
        let secret = references.iter().any(|reference| self.is_tainted(reference, scope, each));
        let found = self.plan.templates.evaluate(&when.text, &context);
        let help = "compare it with something: input.replicas > 1";
        match found {
            Ok(value) if value.kind() == minijinja::value::ValueKind::Bool => {
                Some(if value.is_true() { Holds::Yes } else { Holds::No })
            }
            Ok(value) => {
                let shown = if secret { "a secret".to_owned() } else { shown(&value) };
                self.add(when.place, format!("`when` of {whose} comes to {shown}, not to true or false"), help);
                None
            }
            Err(failure) => {
                let mut problems = Problems::default();
                let reported = self.explain(&when.references, scope, each, &mut problems);
                if !reported {
                    let reason = self.plan.secrets.mask(&failure.message);
                    problems.add_help(when.place, format!("cannot tell `when` of {whose}: {reason}"), failure.help);
                }
                self.take(problems, None);
                None
            }
        }
    }

    /// The elements of a `for_each`, each with what `each` is for it; none where that cannot be told, which is a finding.
    fn elements(
        &mut self,
        gate: &'a Gate,
        node: &'a Node,
        label: &str,
        scope: usize,
        outer: Option<&Rc<Node>>,
        absent: bool,
    ) -> Option<Vec<(Key, Node)>> {
        let forms = "a list of text or numbers, a table, or one of both from an input: \"{{ input.sites }}\"";
        let whole = matches!(&node.value, Value::Text(text) if is_template(text.expose()));
        if !whole && !matches!(node.value, Value::Array(_) | Value::Table(_)) {
            self.add(node.place, format!("`for_each` of {label} is {}", node.type_name()), format!("it takes {forms}"));
            return None;
        }
        match self.early(&gate.for_each_references, scope) {
            Early::Known { facts: false } => {}
            Early::Lost => return None,
            Early::Known { facts: true } | Early::Late => {
                self.refuse_late("for_each", label, &gate.for_each_references, scope);
                return None;
            }
        }
        let (outer, before, lost) = (outer.map(Rc::as_ref), self.found.len(), self.lost);
        let rendered = self.render(node, &gate.for_each_references, scope, outer);
        if absent {
            // What it is in is not there, and this may be why.
            self.forget(before);
            self.lost = lost;
        }
        let node = rendered?;
        let mut all: Vec<(Key, Node)> = Vec::new();
        let mut sound = true;
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut elements: Vec<(String, Option<Place>, Node)> = Vec::new();
        let mut way_out = None;
        if node.is_secret() && matches!(node.value, Value::Array(_)) {
            let message = format!("`for_each` of {label} goes over a secret: its elements would be seen in addresses");
            self.add(node.place, message, "go over something else, and look the secret up by `each.key`");
            return None;
        }
        match &node.value {
            Value::Array(items) => {
                way_out = Some(|text: &str| format!("; a table gives a value another name: name = {text:?}"));
                for item in items {
                    let text = match &item.value {
                        Value::Text(text) => text.expose().to_owned(),
                        Value::Integer(number) => number.to_string(),
                        _ => {
                            let message = format!("`for_each` of {label} has {} in its list", item.type_name());
                            self.add(
                                item.place.or(node.place),
                                message,
                                "a list is of text or numbers; of other values \
                                make a table: name = value",
                            );
                            sound = false;
                            continue;
                        }
                    };
                    elements.push((text, item.place, item.clone()));
                }
            }
            Value::Table(table) => {
                let entry = |(key, entry): (&String, &Entry)| (key.clone(), entry.key, entry.node.clone());
                elements.extend(table.entries.iter().map(entry));
            }
            _ => {
                let message = format!("`for_each` of {label} comes to {}", node.type_name());
                self.add(node.place, message, format!("it takes {forms}"));
                return None;
            }
        }
        for (text, place, value) in elements {
            let place = place.or(node.place);
            if !seen.insert(text.clone()) {
                let message = format!("`for_each` of {label} has {text:?} twice");
                self.add(place, message, "each element is one resource, so take one out");
                sound = false;
                continue;
            }
            match text.parse::<Key>() {
                Ok(key) => {
                    let each = each_of(&key, value, outer);
                    all.push((key, each));
                }
                Err(reason) => {
                    let message = format!("{text:?} cannot be a key of `for_each` of {label}");
                    let way_out = way_out.map(|way_out| way_out(&text)).unwrap_or_default();
                    self.add(place, message, format!("{reason}{way_out}"));
                    sound = false;
                }
            }
        }
        sound.then_some(all)
    }

    /// Says of an input that a gate looks at why it cannot.
    fn refuse_late(&mut self, word: &str, label: &str, references: &References, scope: usize) {
        let inputs = self.inputs_of(scope).clone();
        for (reference, place) in references {
            let Some(name) = reference.part(1).filter(|_| reference.is("input")) else { continue };
            let why = match inputs.get(name) {
                Some(InputValue::Cell(_)) => "comes from what the plan makes",
                Some(InputValue::Known { facts: true, .. }) if word == "for_each" => "depends on the host's facts",
                _ => continue,
            };
            let message = format!("`{word}` of {label} cannot look at {}, which {why}", reference.text());
            self.add(*place, message, "what there is must be known beforehand: give the input a value of its own");
        }
    }
}

enum Early {
    Known { facts: bool },
    Late,
    Lost,
}

enum Holds {
    Yes,
    No,
    OnSomeHosts,
}

fn each_of(key: &Key, value: Node, outer: Option<&Node>) -> Node {
    let key = Node { value: Value::Text(Text::plain(key.as_str())), place: None, rendered: true };
    let mut each = Table::default();
    let outer = outer.map(|outer| ("outer", outer.clone()));
    for (name, node) in [("key", key), ("value", value)].into_iter().chain(outer) {
        each.entries.insert(name.to_owned(), Entry { key: None, node });
    }
    Node::new(Value::Table(each), None)
}

/// What a value is, for a finding.
fn shown(value: &minijinja::Value) -> String {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::String => format!("the text {:?}", value.to_string()),
        ValueKind::Number => format!("the number {value}"),
        ValueKind::None => "nothing".to_owned(),
        ValueKind::Seq | ValueKind::Iterable => "a list".to_owned(),
        ValueKind::Map => "a table".to_owned(),
        other => format!("a {other}"),
    }
}
