//! Whether what a plan refers to is there, as far as can be said before anything is rendered: what is written, and not
//! yet for which hosts and elements.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::host::Host;
use super::lend::{ON, split};
use super::module::{self, BLOCK, Body, Declared, Gate, Module, References, USE, What};
use super::problem::{Place, Problems, Source, suggest};
use super::resolve::HOST_ATTRIBUTES;
use super::template::{Part, Reference};
use crate::facts;
use crate::resource::{KINDS, kind};

/// What can be seen from a place in a plan.
struct View<'a> {
    module: &'a Module,
    body: &'a Body,
    /// The view from around the block.
    outer: Option<&'a View<'a>>,
    /// Whether there is an `each`.
    each: bool,
}

/// Checks every reference in the modules of a plan.
pub(super) struct Names<'a> {
    pub(super) modules: &'a [Module],
    pub(super) hosts: &'a [Host],
    pub(super) sources: &'a [Arc<Source>],
    pub(super) problems: &'a RefCell<Problems>,
}

impl Names<'_> {
    pub(super) fn check(&self) {
        for module in self.modules {
            let view = View { module, body: &module.body, outer: None, each: false };
            self.check_body(&view);
            for output in &module.outputs {
                self.check_all(&output.references, &view, view.each);
            }
        }
    }

    fn check_body(&self, view: &View<'_>) {
        for Declared { references, gate, .. } in &view.body.resources {
            self.check_gate(gate, view);
            self.check_all(references, view, view.each || gate.for_each.is_some());
        }
        for part in &view.body.parts {
            self.check_gate(&part.gate, view);
            let each = view.each || part.gate.for_each.is_some();
            match &part.what {
                What::Block(body) => {
                    self.check_body(&View { module: view.module, body, outer: Some(view), each });
                }
                What::Use { inputs, .. } => {
                    inputs.values().for_each(|given| self.check_all(&given.references, view, each));
                }
            }
        }
    }

    fn check_gate(&self, gate: &Gate, view: &View<'_>) {
        self.check_all(&gate.for_each_references, view, view.each);
        if let Some(when) = &gate.when {
            // What a gate may not look at at all has been reported where it was read.
            let early: References =
                when.references.iter().filter(|(reference, _)| !is_made(reference)).cloned().collect();
            self.check_all(&early, view, view.each || gate.for_each.is_some());
        }
    }

    fn check_all(&self, references: &References, view: &View<'_>, each: bool) {
        for (reference, place) in references {
            self.check_one(reference, reference, *place, view, each);
        }
    }

    /// `written` is all of what the reference stands in.
    fn check_one(&self, reference: &Reference, written: &Reference, place: Option<Place>, view: &View<'_>, each: bool) {
        let text = written.text();
        let place = place.map(|place| place_of(self.sources, written, place));
        let missing = |help: String| {
            let message = format!("`{text}` refers to something that is not there");
            self.problems.borrow_mut().add_help(place, message, help);
        };
        match (reference.part(0).unwrap_or_default(), reference.part(1)) {
            ("input", Some(name)) if !view.module.inputs.contains_key(name) => {
                missing(suggest(name, view.module.inputs.keys().map(String::as_str)));
            }
            ("host", Some(name)) if !HOST_ATTRIBUTES.contains(&name) => {
                missing(suggest(name, HOST_ATTRIBUTES.iter().copied()));
            }
            ("fact", Some(name)) if !facts::NAMES.iter().any(|(fact, _)| *fact == name) => {
                missing(suggest(name, facts::NAMES.iter().map(|(fact, _)| *fact)));
            }
            ("plan", Some(name)) if name != "name" => missing(suggest(name, ["name"])),
            ("each", _) if !each => {
                let help = "give the resource, or the block that it is in, a `for_each`";
                self.problems.borrow_mut().add_help(place, format!("`{text}` is nothing without a `for_each`"), help);
            }
            ("each", Some(name)) if !EACH.contains(&name) => missing(suggest(name, EACH)),
            ("input" | "host" | "fact" | "plan" | "each", _) => {}
            (ON, _) => self.check_on(reference, place, view, &missing),
            (USE, None) => {}
            (USE, Some(name)) => match view.part(name, USE) {
                None => missing(suggest(name, view.parts(USE).iter().map(|part| part.name.as_str()))),
                Some(part) => self.check_output(part, reference, &missing),
            },
            (BLOCK, _) => {
                let help = "what is in a block is seen there only: take what you need out of it";
                self.problems.borrow_mut().add_help(place, format!("`{text}` is in a block"), help);
            }
            (kind_name, name) => {
                if kind(kind_name).is_none() {
                    let roots = ["input", "host", "fact", "plan", "each", USE, ON];
                    missing(suggest(kind_name, KINDS.iter().map(|kind| kind.name).chain(roots)));
                } else if let Some(name) = name {
                    let names = view.names(kind_name);
                    if !names.contains(&name) {
                        missing(suggest(name, names));
                    }
                }
            }
        }
    }

    /// What is on another host is what the same plan has there, outside of its blocks.
    fn check_on(&self, reference: &Reference, place: Option<Place>, view: &View<'_>, missing: &dyn Fn(String)) {
        let text = reference.text();
        let unfinished = |help: &str| {
            let message = format!("`{text}` does not say what it means of which host");
            self.problems.borrow_mut().add_help(place, message, help);
        };
        let names = || self.hosts.iter().map(|host| host.group.as_deref().unwrap_or(&host.name));
        if let Some(name) = reference.part(1)
            && !names().any(|known| known == name)
        {
            return missing(suggest(name, names().collect::<BTreeSet<_>>()));
        }
        let of_group =
            reference.part(1).is_some_and(|name| self.hosts.iter().any(|h| h.group.as_deref() == Some(name)));
        let rest = Reference(reference.0.iter().skip(split(of_group)).cloned().collect());
        let is_kind = |root: &str| root == USE || kind(root).is_some();
        let keyless =
            of_group && reference.part(2).is_none_or(is_kind) && !matches!(reference.0.get(2), Some(Part::By(_)));
        match rest.part(0) {
            _ if keyless => unfinished("one of several hosts is named by its key: on.clients[\"a\"].random.x.value"),
            Some(root) if is_kind(root) => {
                let whole = View { module: view.module, body: &view.module.body, outer: None, each: false };
                self.check_one(&rest, reference, place, &whole, false);
            }
            Some(root) => {
                let help =
                    "of another host a plan sees resources by their kinds, and the outputs of plans that it uses";
                let message = format!("`{text}` asks for `{root}` of another host");
                self.problems.borrow_mut().add_help(place, message, help);
            }
            None => unfinished("it is written on.HOST.KIND.NAME.FIELD: on.registry.random.x.value"),
        }
    }

    fn check_output(&self, part: &module::Part, reference: &Reference, missing: &dyn Fn(String)) {
        let What::Use { module: Some(module), .. } = &part.what else { return };
        let Some(module) = self.modules.get(*module) else { return };
        let at = if part.gate.for_each.is_some() { 3 } else { 2 };
        if let Some(name) = reference.part(at)
            && !module.outputs.iter().any(|output| output.name == name)
        {
            missing(suggest(name, module.outputs.iter().map(|output| output.name.as_str())));
        }
    }
}

/// What `each` has.
pub(super) const EACH: [&str; 3] = ["key", "value", "outer"];

fn is_made(reference: &Reference) -> bool {
    reference.part(0).is_some_and(|root| kind(root).is_some() || [USE, BLOCK, ON].contains(&root))
}

impl<'a> View<'a> {
    fn around(&'a self) -> impl Iterator<Item = &'a View<'a>> {
        std::iter::successors(Some(self), |view| view.outer)
    }

    fn names(&'a self, kind: &'a str) -> Vec<&'a str> {
        let of_kind = move |view: &'a View<'a>| view.body.resources.iter().filter(move |r| r.kind.name == kind);
        self.around().flat_map(of_kind).map(|resource| resource.name.as_str()).collect()
    }

    fn parts(&'a self, word: &'a str) -> Vec<&'a module::Part> {
        let parts = self.around().flat_map(|view| &view.body.parts);
        parts.filter(|part| matches!(part.what, What::Use { .. }) == (word == USE)).collect()
    }

    fn part(&'a self, name: &str, word: &'a str) -> Option<&'a module::Part> {
        self.parts(word).into_iter().find(|part| part.name == name)
    }
}

/// Where a reference stands in a text; the whole text when it is spelled in another way there.
pub(super) fn place_of(sources: &[Arc<Source>], reference: &Reference, place: Place) -> Place {
    let source = sources.get(place.source).map(|source| source.text.as_str()).unwrap_or_default();
    let text = source.get(place.start..place.end).unwrap_or_default();
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let alone = |at: usize, length: usize| {
        let (before, after) = (text.get(..at), text.get(at + length..));
        !before.is_some_and(|before| before.ends_with(of_a_name))
            && !after.is_some_and(|after| after.starts_with(of_a_name))
    };
    let root = reference.part(0).unwrap_or_default();
    for (at, _) in text.match_indices(root) {
        let length = text.get(at..).and_then(|text| spelled(reference, text));
        if let Some(length) = length.filter(|length| alone(at, *length)) {
            return Place { source: place.source, start: place.start + at, end: place.start + at + length };
        }
    }
    place
}

/// How long a reference is in a text that begins with it.
fn spelled(reference: &Reference, text: &str) -> Option<usize> {
    let mut rest = text;
    for (index, part) in reference.0.iter().enumerate() {
        let spellings = match part {
            Part::Name(name) if index == 0 => vec![name.clone()],
            // In a TOML text in quotes those of a key may be escaped.
            Part::Name(name) => {
                let keys = ["'", "\"", "\\\""].map(|quote| format!("[{quote}{name}{quote}]"));
                std::iter::once(format!(".{name}")).chain(keys).collect()
            }
            Part::By(path) => vec![format!("[{}]", path.join("."))],
        };
        rest = spellings.iter().find_map(|spelling| rest.strip_prefix(spelling.as_str()))?;
    }
    Some(text.len() - rest.len())
}
