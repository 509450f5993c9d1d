//! Instances of a template: links `worker@a.container` to `worker@.container`, of which podman makes a service each.

use crate::change::{Action, Change, Shown};
use crate::object::Object;
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, PathState, Sort, Undecided};
use crate::quadlet::QuadletName;
use crate::resource::Thing;
use crate::resource::directory::in_the_way;
use crate::step::{Laid, Rehearsed, Step};
use crate::systemd::{Managed, Manager};

/// The attribute of a change.
pub(crate) const INSTANCES: &str = "instances";

/// The instances of a template that start at boot, or may differ by drop-ins.
#[derive(Debug, Default)]
pub(crate) struct Instances(Vec<Instance>);

#[derive(Debug)]
struct Instance {
    /// What is behind the `@`.
    word: String,
    name: QuadletName,
    path: AbsPath,
    /// The file's name, which the link says.
    template: String,
}

impl Instances {
    /// Adds one of a template in a directory.
    ///
    /// # Errors
    /// When it has no valid name.
    pub(crate) fn add(&mut self, word: &str, template: &QuadletName, directory: &AbsPath) -> Result<(), String> {
        let name = format!("{}{word}.{}", template.stem(), template.quadlet_type().extension());
        let parsed: QuadletName = name.parse().map_err(|error| format!("{error}"))?;
        if word.is_empty() || word.contains('@') {
            return Err(format!("{word:?} is no instance of a template"));
        }
        let path = directory.join(&name).map_err(|error| error.to_string())?;
        self.0.push(Instance { word: word.to_owned(), name: parsed, path, template: template.to_string() });
        Ok(())
    }

    pub(crate) fn things(&self, manager: &Manager, read: bool) -> Vec<Thing> {
        let of = |instance: &Instance| {
            let own = |name: String| Managed::new(manager, name);
            let mut things = vec![Thing::Path(instance.path.clone()), Thing::Quadlet(own(instance.name.to_string()))];
            things.extend(read.then(|| Thing::Unit(own(instance.name.service().to_string()))));
            things
        };
        self.0.iter().flat_map(of).collect()
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = Object> {
        self.0.iter().map(|instance| Object::Path(instance.path.clone()))
    }

    pub(crate) fn asks(&self) -> impl Iterator<Item = Ask> {
        self.0.iter().map(|instance| Ask::Path(instance.path.clone()))
    }

    pub(crate) fn wanted(&self) -> Option<(&'static str, Shown)> {
        (!self.0.is_empty()).then(|| (INSTANCES, words(self.0.iter()).into()))
    }

    /// Adds to a change of the template which links are missing. They concern no service that runs: one that is already
    /// there is made of the template in either way.
    pub(crate) fn compare(&self, change: &mut Change, answers: &Answers) -> Result<(), Undecided> {
        let mut there = Vec::new();
        for instance in &self.0 {
            match answers.path(&instance.path)? {
                PathState::Absent => {}
                PathState::Present(entry) => match &entry.sort {
                    Sort::Link(target) if *target == instance.template => there.push(instance),
                    Sort::Link(_) => {}
                    other => return Err(in_the_way(&instance.path, other, "link")),
                },
            }
        }
        if there.len() < self.0.len() {
            if change.is_none() {
                change.action = Action::Update;
            }
            let before = if there.is_empty() { Shown::Absent } else { words(there.into_iter()).into() };
            change.compare(INSTANCES, before, words(self.0.iter()));
        }
        Ok(())
    }

    pub(crate) fn steps(&self, writer: &Manager) -> impl Iterator<Item = Step> {
        self.0.iter().map(move |instance| {
            let (path, target) = (instance.path.clone(), instance.template.clone());
            match writer {
                Manager::System => Step::PutLink { path, target },
                user => Step::PutUserLink { manager: user.clone(), path, target },
            }
        })
    }

    pub(crate) fn rehearsed(&self) -> impl Iterator<Item = Rehearsed> {
        self.0.iter().map(|instance| Rehearsed {
            path: instance.path.clone(),
            laid: Laid::Link(instance.template.clone()),
            service: Some(instance.name.service().to_string()),
        })
    }
}

fn words<'a>(instances: impl Iterator<Item = &'a Instance>) -> String {
    instances.map(|instance| instance.word.as_str()).collect::<Vec<_>>().join(", ")
}
