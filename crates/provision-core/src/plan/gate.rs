//! When and for which elements something is there: `when` and `for_each` on one host.

use std::rc::Rc;

use super::element::{FORMS, is_list, spread};
use super::expand::{Absence, InputValue};
use super::module::{Condition, Gate, References};
use super::node::Node;
use super::problem::{Place, Problems};
use super::template::Reference;
use super::world::{Mode, Sight, World};
use crate::address::Key;

/// What something is there with.
pub(super) struct There {
    pub(super) each: Option<Rc<Node>>,
    pub(super) key: Option<Key>,
    pub(super) absent: Option<Rc<Absence>>,
    /// See [`super::expand::Cell`].
    pub(super) condition: Option<String>,
    /// See [`super::expand::Scope`].
    pub(super) named: bool,
}

impl<'a> World<'a> {
    /// Whether everything that is referred to is known before anything is made.
    pub(super) fn early(&self, references: &References, scope: usize) -> Early {
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
    pub(super) fn there(
        &mut self,
        gate: &'a Gate,
        label: &str,
        scope: usize,
        place: Option<Place>,
    ) -> Option<Vec<There>> {
        let around = self.scopes.get(scope)?;
        let (outer_each, outer_absent, named) = (around.each.clone(), around.absent.clone(), around.named);
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
            } else if !self.is_for_host(gate, named) {
                Some(Rc::new(Absence::Hosts))
            } else if let Some(when) = &gate.when {
                match self.holds(when, label, Sight { scope, each: each.as_deref() }, key.as_ref())? {
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
            all.push(There { each, key, absent, condition, named: named || !gate.hosts.is_empty() });
        }
        let here = all.iter().filter(|there| there.absent.is_none()).count();
        *self.counts.entry((label.to_owned(), place)).or_default() += here;
        Some(all)
    }

    /// Whether something is for this host; `named` is whether what it is in names hosts.
    fn is_for_host(&self, gate: &Gate, named: bool) -> bool {
        if gate.hosts.is_empty() {
            return named || !self.host.named_only;
        }
        gate.hosts.iter().any(|name| self.host.is_called(name))
    }

    /// Whether a `when` holds; none where that cannot be told, which is a finding.
    fn holds(&mut self, when: &Condition, label: &str, sight: Sight<'_>, key: Option<&Key>) -> Option<Holds> {
        match self.early(&when.references, sight.scope) {
            Early::Known { facts: true } if self.mode == Mode::EveryHost => return Some(Holds::OnSomeHosts),
            Early::Known { .. } => {}
            Early::Lost => return None,
            Early::Late => {
                self.refuse_late("when", label, &when.references, sight.scope);
                return None;
            }
        }
        let references: Vec<&Reference> = when.references.iter().map(|(reference, _)| reference).collect();
        let context = self.context(&references, sight);
        let whose = key.map_or_else(|| label.to_owned(), |key| format!("{label}[{key}]"));
        let secret = references.iter().any(|reference| self.is_tainted(reference, sight));
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
                let reported = self.explain(&when.references, sight, &mut problems);
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
        if !is_list(node) {
            self.add(node.place, format!("`for_each` of {label} is {}", node.type_name()), format!("it takes {FORMS}"));
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
        let rendered = self.render(node, &gate.for_each_references, Sight { scope, each: outer });
        if absent {
            // What it is in is not there, and this may be why.
            self.forget(before);
            self.lost = lost;
        }
        let node = rendered?;
        spread(&node, label, outer, &mut |place, message, help| self.add(place, message, help))
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

/// Whether something is known before anything is made.
pub(super) enum Early {
    /// And whether facts of the host decide it.
    Known {
        facts: bool,
    },
    Late,
    /// There is a finding about it.
    Lost,
}

enum Holds {
    Yes,
    No,
    OnSomeHosts,
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
