//! What a plan is made of, as it is written: resources, blocks of them, and other plans that it uses; each with when and
//! for what it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::asset::Assets;
use super::input::Declaration;
use super::node::{Node, Table};
use super::problem::Place;
use super::template::Reference;
use crate::resource::Kind;

/// A plan's file: the one that is applied, or one that it uses.
pub(super) struct Module {
    /// What it is, for findings.
    pub(super) file: String,
    pub(super) assets: Arc<dyn Assets>,
    pub(super) inputs: IndexMap<String, Declaration>,
    /// Inputs that something besides its hosts refers to.
    pub(super) needed: BTreeSet<String>,
    pub(super) body: Body,
    pub(super) outputs: Vec<Output>,
    pub(super) root: Table,
}

/// What stands in a plan or a block.
#[derive(Default)]
pub(super) struct Body {
    pub(super) resources: Vec<Declared>,
    pub(super) parts: Vec<Part>,
}

/// A resource as it is written.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub(super) kind: &'static Kind,
    pub(super) name: String,
    /// `directory.root`.
    pub(super) label: String,
    pub(super) table: Table,
    pub(super) place: Option<Place>,
    pub(super) references: References,
    pub(super) gate: Gate,
}

/// A block of resources, or another plan that is used.
pub(super) struct Part {
    pub(super) name: String,
    /// `block.tenant`, `use.registry`.
    pub(super) label: String,
    pub(super) place: Option<Place>,
    pub(super) gate: Gate,
    /// What all of it comes after.
    pub(super) after: Vec<(String, Option<Place>)>,
    pub(super) what: What,
}

pub(super) enum What {
    Block(Body),
    Use {
        /// Its number; none where it could not be read, which is a finding.
        module: Option<usize>,
        inputs: BTreeMap<String, Given>,
    },
}

/// A value for an input of a plan that is used.
pub(super) struct Given {
    pub(super) node: Node,
    pub(super) references: References,
}

/// What is seen of a plan from outside.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) node: Node,
    pub(super) references: References,
}

/// What a value refers to, with the place of each text.
pub(super) type References = Vec<(Reference, Option<Place>)>;

/// When and for what something is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    pub(super) when: Option<Condition>,
    pub(super) for_each: Option<Node>,
    pub(super) for_each_references: References,
    /// Hosts that it is for, and groups of them; all without any.
    pub(super) hosts: Vec<String>,
}

/// A `when`.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) place: Option<Place>,
    pub(super) references: References,
}

/// The words of a gate.
pub(super) const GATE: [&str; 3] = ["when", "for_each", "hosts"];
/// The table of blocks. Not `group`: that is a kind of account.
pub(super) const BLOCK: &str = "block";
/// The table of plans that are used.
pub(super) const USE: &str = "use";

impl Module {
    /// The names of the inputs that anything but a host refers to.
    pub(super) fn refers_to(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut look = |references: &References| {
            for (reference, _) in references.iter().filter(|(reference, _)| reference.is("input")) {
                match reference.part(1) {
                    Some(name) => _ = found.insert(name.to_owned()),
                    None => found.extend(self.inputs.keys().cloned()),
                }
            }
        };
        self.outputs.iter().for_each(|output| look(&output.references));
        self.body.look(&mut look);
        found
    }
}

impl Body {
    /// Shows every list of references in it.
    pub(super) fn look(&self, look: &mut dyn FnMut(&References)) {
        for resource in &self.resources {
            look(&resource.references);
            resource.gate.look(look);
        }
        for part in &self.parts {
            part.gate.look(look);
            match &part.what {
                What::Block(body) => body.look(look),
                What::Use { inputs, .. } => inputs.values().for_each(|given| look(&given.references)),
            }
        }
    }

    /// All resources in it, those of blocks too.
    pub(super) fn resources(&self) -> Vec<&Declared> {
        let within = self.parts.iter().flat_map(|part| match &part.what {
            What::Block(body) => body.resources(),
            What::Use { .. } => Vec::new(),
        });
        self.resources.iter().chain(within).collect()
    }
}

impl Gate {
    fn look(&self, look: &mut dyn FnMut(&References)) {
        look(&self.for_each_references);
        if let Some(when) = &self.when {
            look(&when.references);
        }
    }
}

#[cfg(test)]
mod tests;
