//! What a template can see from where it stands, on one host: inputs, facts, `each`, and what has been rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use minijinja::Value as Rendered;

use super::Plan;
use super::expand::{Absence, Cell, Family, InputValue, Instance, Member, Scope, Sort};
use super::host::{Host, Reach};
use super::lend::{ON, View};
use super::module::{References, USE};
use super::names::place_of;
use super::node::{Node, Value};
use super::problem::{Place, Problem, Problems, suggest};
use super::template::{Reference, map};
use crate::facts::{Facts, Homes, KeptSecrets};
use crate::resource::kind;

/// For which host a plan is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// For this one.
    ThisHost,
    /// For any: facts are made up, and what a `when` over facts decides is there.
    EveryHost,
}

/// A plan on one host.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) host: &'a Host,
    pub(super) mode: Mode,
    pub(super) homes: Homes<'a>,
    pub(super) kept: KeptSecrets<'a>,
    pub(super) base: Vec<(String, Rendered)>,
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) instances: Vec<Instance<'a>>,
    pub(super) cells: Vec<Cell<'a>>,
    /// What cells have come to; none where that is not known, or not yet.
    pub(super) values: Vec<Option<Node>>,
    /// Findings, each with the resources that have it.
    pub(super) found: Vec<(Problem, Option<Whose>)>,
    /// How many of them there are of what is written once.
    pub(super) counts: BTreeMap<(String, Option<Place>), usize>,
    /// Something is not known because of a finding.
    pub(super) lost: bool,
    pub(super) overflown: bool,
    /// By whom it is seen.
    pub(super) view: View,
    /// The hosts that this one takes values of, by name.
    pub(super) others: BTreeMap<&'a str, World<'a>>,
    no_inputs: BTreeMap<&'a str, InputValue>,
}

/// Of which resource a finding is: what is written, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    pub(super) label: String,
    pub(super) place: Option<Place>,
    pub(super) address: String,
}

/// From where something is seen.
#[derive(Clone, Copy)]
pub(super) struct Sight<'w> {
    /// The scope that it stands in.
    pub(super) scope: usize,
    pub(super) each: Option<&'w Node>,
}

/// What a reference leads to.
pub(super) enum Target<'w> {
    /// A value, and what of the path is left.
    Value(&'w Node, usize),
    /// One cell, and what of the path is left.
    Cell(usize, usize),
    /// Several at once.
    Many { cells: Vec<usize>, nodes: Vec<&'w Node> },
    /// One element of which there is none; the word before it, and those that there are.
    NoKey {
        family: &'w Family,
        /// Where in the path the word is.
        at: usize,
    },
    /// It is not there on this host.
    Absent(Rc<Absence>),
    /// There is a finding about it.
    Lost,
    /// No value of the plan: a fact, the host.
    Plain,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, host: &'a Host, facts: &'a Facts, mode: Mode) -> Self {
        Self {
            plan,
            host,
            mode,
            homes: Homes::new(facts),
            kept: KeptSecrets::new(facts),
            base: base(plan, host, facts),
            scopes: Vec::new(),
            instances: Vec::new(),
            cells: Vec::new(),
            values: Vec::new(),
            found: Vec::new(),
            counts: BTreeMap::new(),
            lost: false,
            overflown: false,
            view: View::Own,
            others: BTreeMap::new(),
            no_inputs: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, place: Option<Place>, message: String, help: impl Into<String>) {
        self.found.push((Problem { span: place, message, help: Some(help.into()) }, None));
    }

    /// Takes in findings of one of what is written.
    pub(super) fn take(&mut self, problems: Problems, whose: Option<&Whose>) {
        self.lost |= !problems.is_whole();
        self.found.extend(problems.iter().map(|problem| (problem.clone(), whose.cloned())));
    }

    /// Drops what was found since.
    pub(super) fn forget(&mut self, since: usize) {
        self.found.truncate(since);
    }

    /// All findings. One that only some elements have names them.
    pub(super) fn problems(&self) -> Problems {
        type Written<'x> = Option<(&'x str, Option<Place>)>;
        let mut grouped: BTreeMap<(&Problem, Written<'_>), BTreeSet<&str>> = BTreeMap::new();
        for (problem, whose) in &self.found {
            let of = whose.as_ref().map(|whose| (whose.label.as_str(), whose.place));
            let addresses = grouped.entry((problem, of)).or_default();
            addresses.extend(whose.as_ref().map(|whose| whose.address.as_str()));
        }
        let mut problems = Problems::default();
        for ((problem, of), addresses) in grouped {
            let all = of.and_then(|(label, place)| self.counts.get(&(label.to_owned(), place)));
            let some = all.is_some_and(|all| addresses.len() < *all);
            let which = if some { format!(", in {}", some_of(&addresses)) } else { String::new() };
            let message = format!("{}{which}", problem.message);
            problems.add_help(problem.span, message, problem.help.clone().unwrap_or_default());
        }
        if self.lost {
            problems.lose();
        }
        problems
    }

    pub(super) fn inputs_of(&self, scope: usize) -> &BTreeMap<&'a str, InputValue> {
        let instance = self.scopes.get(scope).and_then(|scope| self.instances.get(scope.instance));
        instance.map_or(&self.no_inputs, |instance| &instance.inputs)
    }

    fn around(&self, scope: usize) -> impl Iterator<Item = &Scope<'a>> {
        std::iter::successors(self.scopes.get(scope), |scope| self.scopes.get(scope.outer?))
    }

    pub(super) fn family(&self, scope: usize, kind: &str, name: &str) -> Option<&Family> {
        self.around(scope).find_map(|scope| match kind {
            USE => scope.uses.get(name),
            _ => scope.resources.get(kind)?.get(name),
        })
    }

    /// All of a kind that can be seen, the inner before the outer.
    pub(super) fn families(&self, scope: usize, kind: &str) -> BTreeMap<&'a str, &Family> {
        let mut found = BTreeMap::new();
        for scope in self.around(scope) {
            if kind == USE {
                scope.uses.iter().for_each(|(name, family)| _ = found.entry(*name).or_insert(family));
            } else {
                let of_kind = scope.resources.get(kind).into_iter().flatten();
                of_kind.for_each(|(name, family)| _ = found.entry(*name).or_insert(family));
            }
        }
        found
    }

    /// The cells of a member: of a resource its own, of a plan that is used its outputs.
    fn cells_of(&self, kind: &str, member: &Member) -> Vec<usize> {
        if member.absent.is_some() {
            return Vec::new();
        }
        match kind {
            USE => {
                self.instances.get(member.at).map(|found| found.outputs.values().copied().collect()).unwrap_or_default()
            }
            _ => vec![member.at],
        }
    }

    /// The path of a reference on this host.
    pub(super) fn path(&self, reference: &Reference, sight: Sight<'_>) -> Vec<String> {
        reference.path(|by| {
            let (root, rest) = by.split_first()?;
            let (node, rest) = match (root.as_str(), rest.split_first()) {
                ("each", _) => (sight.each?, rest),
                ("host", Some((name, []))) if name == "name" => return Some(self.host.name.clone()),
                ("input", Some((name, rest))) => match self.inputs_of(sight.scope).get(name.as_str())? {
                    InputValue::Known { node, .. } => (node.as_ref(), rest),
                    InputValue::Cell(_) | InputValue::Lost => return None,
                },
                _ => return None,
            };
            let (node, depth) = node.at(rest);
            match &node.value {
                _ if depth < rest.len() => None,
                Value::Text(text) if !text.is_secret() => Some(text.expose().to_owned()),
                Value::Integer(number) => Some(number.to_string()),
                _ => None,
            }
        })
    }

    pub(super) fn target<'w>(&'w self, path: &[String], sight: Sight<'w>) -> Target<'w> {
        let (root, name) = (path.first().map(String::as_str).unwrap_or_default(), path.get(1));
        match (root, name) {
            ("each", _) => sight.each.map_or(Target::Lost, |each| Target::Value(each, 1)),
            ("input", Some(name)) => match self.inputs_of(sight.scope).get(name.as_str()) {
                Some(InputValue::Known { node, .. }) => Target::Value(node, 2),
                Some(InputValue::Cell(at)) => Target::Cell(*at, 2),
                Some(InputValue::Lost) | None => Target::Lost,
            },
            ("input", None) => {
                let (mut cells, mut nodes) = (Vec::new(), Vec::new());
                for value in self.inputs_of(sight.scope).values() {
                    match value {
                        InputValue::Known { node, .. } => nodes.push(node.as_ref()),
                        InputValue::Cell(at) => cells.push(*at),
                        InputValue::Lost => {}
                    }
                }
                Target::Many { cells, nodes }
            }
            ("host" | "fact" | "plan", _) => Target::Plain,
            (ON, _) => self.on(path, sight),
            (kind_name, name) if kind_name == USE || kind(kind_name).is_some() => {
                self.made(kind_name, name, path, sight.scope)
            }
            _ => Target::Lost,
        }
    }

    fn made<'w>(&'w self, kind: &str, name: Option<&String>, path: &[String], scope: usize) -> Target<'w> {
        let many = |members: Vec<&Member>| Target::Many {
            cells: members.into_iter().flat_map(|member| self.cells_of(kind, member)).collect(),
            nodes: Vec::new(),
        };
        let Some(name) = name else {
            let families = self.families(scope, kind);
            return many(families.values().flat_map(|family| family.members.values()).collect());
        };
        let Some(family) = self.family(scope, kind, name) else { return Target::Lost };
        let (key, left) = match (family.keyed, path.get(2)) {
            (false, _) => ("", 2),
            (true, Some(key)) => (key.as_str(), 3),
            (true, None) if family.lost => return Target::Lost,
            (true, None) => return many(family.members.values().collect()),
        };
        let Some(member) = family.members.get(key) else {
            return if family.lost { Target::Lost } else { Target::NoKey { family, at: 2 } };
        };
        if let Some(absent) = &member.absent {
            return Target::Absent(Rc::clone(absent));
        }
        if kind != USE {
            return Target::Cell(member.at, left);
        }
        match path.get(left) {
            None => many(vec![member]),
            Some(output) => {
                let instance = self.instances.get(member.at);
                let cell = instance.and_then(|instance| instance.outputs.get(output.as_str()));
                cell.map_or(Target::Lost, |cell| Target::Cell(*cell, left + 1))
            }
        }
    }

    /// The cells that a reference leads to.
    pub(super) fn cells_behind(&self, reference: &Reference, sight: Sight<'_>) -> Vec<usize> {
        match self.target(&self.path(reference, sight), sight) {
            Target::Cell(at, _) => vec![at],
            Target::Many { cells, .. } => cells,
            _ => Vec::new(),
        }
    }

    pub(super) fn value(&self, at: usize) -> Option<&Node> {
        self.values.get(at)?.as_ref()
    }

    /// Whether a secret stands behind a reference. Told from what it refers to, so that no filter or loop can launder one.
    pub(super) fn is_tainted(&self, reference: &Reference, sight: Sight<'_>) -> bool {
        let path = self.path(reference, sight);
        let behind = |node: &Node, left: usize| node.at(path.get(left..).unwrap_or_default()).0.is_secret();
        match self.target(&path, sight) {
            Target::Value(node, left) => behind(node, left),
            Target::Cell(at, left) => self.value(at).is_some_and(|node| behind(node, left)),
            Target::Many { cells, nodes } => {
                let known = cells.into_iter().filter_map(|at| self.value(at));
                known.chain(nodes).any(Node::is_secret)
            }
            Target::NoKey { .. } | Target::Absent(_) | Target::Lost | Target::Plain => false,
        }
    }

    /// A finding for each part of a reference that is not there.
    pub(super) fn check(&self, references: &References, sight: Sight<'_>, problems: &mut Problems) {
        for (reference, place) in references {
            let path = self.path(reference, sight);
            let text = reference.text();
            let place = place.map(|place| place_of(&self.plan.sources, reference, place));
            if reference.is(ON) {
                self.check_host(&path, &text, place, problems);
            }
            let missing = |node: &Node, left: usize, problems: &mut Problems| {
                let rest = path.get(left..).unwrap_or_default();
                let (found, depth) = node.at(rest);
                if let (Value::Table(table), Some(name)) = (&found.value, rest.get(depth)) {
                    let message = format!("`{text}` refers to something that is not there");
                    problems.add_help(place, message, suggest(name, table.entries.keys().map(String::as_str)));
                }
            };
            match self.target(&path, sight) {
                Target::Value(node, left) => missing(node, left, problems),
                Target::Cell(at, left) => {
                    if let Some(node) = self.value(at) {
                        missing(node, left, problems);
                    }
                }
                Target::NoKey { family, at } => {
                    let which = path.get(at).map(String::as_str).unwrap_or_default();
                    let of = path.get(..at).unwrap_or_default().join(".");
                    let message = format!("`{text}` is not there: the `for_each` of {of} has no `{which}`");
                    let known = suggest(which, family.members.keys().map(String::as_str));
                    problems.add_help(place, message, format!("{known}; one element is {of}[\"key\"]"));
                }
                _ => {}
            }
        }
    }

    /// Says why what could not be rendered could not; whether there was anything to say, now or before.
    pub(super) fn explain(&self, references: &References, sight: Sight<'_>, problems: &mut Problems) -> bool {
        let mut reported = false;
        self.check(references, sight, problems);
        for (reference, place) in references {
            let path = self.path(reference, sight);
            let rest = |left: usize| path.get(left..).unwrap_or_default();
            reported |= match self.target(&path, sight) {
                Target::Value(node, left) => is_missing(node, rest(left)),
                Target::Cell(at, left) => self.value(at).is_none_or(|node| is_missing(node, rest(left))),
                Target::NoKey { .. } | Target::Lost => true,
                Target::Absent(absence) => {
                    let place = place.map(|place| place_of(&self.plan.sources, reference, place));
                    let (message, help) = absence.told(reference);
                    problems.add_help(place, message, help);
                    true
                }
                Target::Plain => match (path.first().map(String::as_str), path.get(1)) {
                    (Some(root), Some(name)) => {
                        let of_root = self.base.iter().find(|(known, _)| known == root);
                        of_root.is_some_and(|(_, value)| value.get_attr(name).is_ok_and(|value| value.is_undefined()))
                    }
                    _ => false,
                },
                Target::Many { .. } => false,
            };
        }
        reported
    }
}

impl Absence {
    /// What is the matter with a reference to it, and what to do.
    fn told(&self, reference: &Reference) -> (String, String) {
        let (elsewhere, text) = (reference.is(ON), reference.text());
        let which = if elsewhere { "that" } else { "this" };
        match self {
            Self::Hosts if elsewhere => {
                (format!("`{text}` is not for that host"), "name a host that its `hosts` has".to_owned())
            }
            Self::Hosts => {
                (format!("`{text}` is not for this host"), "give both resources the same `hosts`".to_owned())
            }
            Self::When { label, text: condition } => (
                format!("`{text}` is not there on {which} host: `when` of {label} is false ({condition})"),
                "give both the same `when`, or ask whether it `is defined`".to_owned(),
            ),
        }
    }
}

/// Whether a path leads nowhere below a node, or to what is not known.
fn is_missing(node: &Node, path: &[String]) -> bool {
    let (found, depth) = node.at(path);
    matches!(found.value, Value::Unknown) || depth < path.len() && matches!(found.value, Value::Table(_))
}

/// A few of them by name.
fn some_of(addresses: &BTreeSet<&str>) -> String {
    const FEW: usize = 3;
    let mut names: Vec<String> = addresses.iter().take(FEW).map(|address| (*address).to_owned()).collect();
    if addresses.len() > FEW {
        names.push(format!("{} more", addresses.len() - FEW));
    }
    names.join(", ")
}

fn base(plan: &Plan, host: &Host, facts: &Facts) -> Vec<(String, Rendered)> {
    let (address, port, user) = match &host.reach {
        Reach::Local => ("local".to_owned(), 0, String::new()),
        Reach::Ssh(ssh) => (ssh.address.clone(), ssh.port, ssh.user.clone().unwrap_or_default()),
    };
    let host = map([
        ("address".to_owned(), Rendered::from(address)),
        ("name".to_owned(), Rendered::from(host.name.as_str())),
        ("port".to_owned(), Rendered::from(port)),
        ("user".to_owned(), Rendered::from(user)),
    ]);
    let facts = map(facts.iter().map(|(name, value)| (name.to_owned(), Rendered::from(value))));
    let plan = map([("name".to_owned(), Rendered::from(plan.name.as_str()))]);
    vec![("host".to_owned(), host), ("fact".to_owned(), facts), ("plan".to_owned(), plan)]
}

impl<'a> World<'a> {
    /// The address under which people know a cell.
    pub(super) fn name_of(&self, at: usize) -> String {
        let Some(cell) = self.cells.get(at) else { return String::new() };
        let within = self.scopes.get(cell.scope).map(|scope| scope.within.as_slice()).unwrap_or_default();
        let within: String = within.iter().map(|segment| format!("{segment}/")).collect();
        match &cell.what {
            Sort::Resource(_, address) => address.to_string(),
            Sort::Input { part, name, .. } => format!("{within}{}.inputs.{name}", part.label),
            Sort::Output(output) => format!("{within}outputs.{}", output.name),
        }
    }
}
