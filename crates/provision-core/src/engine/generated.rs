//! What podman's own generator makes of Quadlet files, as part of the changes where that is asked for: one more question,
//! and nothing written on the host for it.

use std::collections::BTreeSet;

use super::EngineError;
use super::changes::Changes;
use super::rehearsal::{names, together};
use crate::change::{Attribute, Shown};
use crate::connection::Connection;
use crate::probe::{Ask, Generated};
use crate::resource::{Materials, Thing};
use crate::step::{Rehearsal, Step};

impl Changes {
    /// Asks the host what its podman would make units of, and adds to each change of a Quadlet file how the units differ.
    /// Where no such file changes there is nothing to ask.
    ///
    /// # Errors
    /// When the host cannot be asked, or its generator: [`EngineError::Memory`] says why.
    pub async fn with_generated(mut self, connection: &dyn Connection) -> Result<Self, EngineError> {
        let tried = self.tried();
        let rehearsals = together(&self, tried.iter().map(|(_, rehearsal)| rehearsal));
        if rehearsals.is_empty() {
            return Ok(self);
        }
        let asks: BTreeSet<Ask> = rehearsals.iter().cloned().map(Ask::Generated).collect();
        let answers = connection.ask(&asks).await?;
        for rehearsal in &rehearsals {
            let found = answers.generated(rehearsal).map_err(EngineError::Memory)?;
            self.add(found, &tried);
        }
        Ok(self)
    }

    /// The resources whose files change, by place, with what is tried for each.
    fn tried(&self) -> Vec<(usize, Rehearsal)> {
        let materials = Materials::new(self.now);
        let mut tried = Vec::new();
        for (at, ((_, resource), item)) in self.observed.graph.resources().zip(&self.items).enumerate() {
            let Some(change) = item.as_ref().ok().filter(|change| !change.is_none()) else { continue };
            if !resource.asks().contains(&Ask::Podman) {
                continue;
            }
            // Such a one's steps follow from its change alone.
            let steps = resource.steps(change, &self.observed.answers, &materials).unwrap_or_default();
            tried.extend(steps.into_iter().filter_map(|step| match step {
                Step::Rehearse(rehearsal) => Some((at, rehearsal)),
                _ => None,
            }));
        }
        tried
    }

    fn add(&mut self, found: &Generated, tried: &[(usize, Rehearsal)]) {
        let services: BTreeSet<&String> = found.before.keys().chain(found.after.keys()).collect();
        for service in services {
            let (before, after) = (found.before.get(service), found.after.get(service));
            if before == after {
                continue;
            }
            let shown =
                |text: Option<&String>| text.map_or(Shown::Absent, |text| Shown::Content(self.secrets().mask(text)));
            let attribute = Attribute {
                name: format!("generated {service}").into(),
                before: shown(before),
                after: shown(after),
                applied: None,
            };
            if let Some(change) = self.owner(service, tried).and_then(|at| self.items.get_mut(at)?.as_mut().ok()) {
                change.attributes.push(attribute);
            }
        }
        for line in &found.complaints {
            let about =
                |(_, rehearsal): &&(usize, Rehearsal)| rehearsal.files.iter().any(|file| names(line, file.path.name()));
            let at = tried.iter().find(about).map(|(at, _)| *at);
            let reason = format!("podman's generator says: {}", self.secrets().mask(line));
            if let Some(change) = at.and_then(|at| self.items.get_mut(at)?.as_mut().ok()) {
                change.reasons.push(reason);
            }
        }
    }

    /// Whose change a service follows from: of its own file, of a drop-in that is for it, or of one that is for many.
    fn owner(&self, service: &str, tried: &[(usize, Rehearsal)]) -> Option<usize> {
        let files = || tried.iter().flat_map(|(at, rehearsal)| rehearsal.files.iter().map(move |file| (*at, file)));
        let own = files().find(|(_, file)| file.service.as_deref() == Some(service));
        let unit = |thing: &Thing| matches!(thing, Thing::Unit(unit) if unit.name == service);
        let shapes = |at: usize| {
            self.observed.graph.vertex(at).is_some_and(|vertex| vertex.resource.provides().iter().any(unit))
        };
        let narrow = || files().find(|(at, _)| shapes(*at));
        let wide = || files().find(|(_, file)| file.service.is_none());
        own.or_else(narrow).or_else(wide).map(|(at, _)| at)
    }
}
