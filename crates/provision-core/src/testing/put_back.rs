//! How a made-up host takes objects back to what its records say.

use super::memory::Noted;
use super::state::{State, owner};
use super::unit::is_read_by_systemd;
use crate::attribute::{Account, Mode};
use crate::knob::ABSENT;
use crate::ledger::Scope;
use crate::object::{Object, Was};
use crate::path::AbsPath;
use crate::probe::{Entry, Owner, Sort, UnitState};
use crate::saved::Saved;
use crate::step::{Data, Ownership, Revert, UnitAction};
use crate::systemd::Managed;

/// What became of an object.
enum Taken {
    Back,
    /// It stays, and why.
    Kept(&'static str),
}

impl State {
    /// Gives what is printed. An object without a record was never touched.
    pub(super) fn revert(&mut self, plan: &str, apply: Option<u32>, revert: &Revert) -> Result<String, String> {
        let Revert { object, scope, data, rewrite } = revert;
        let key = object.key();
        let Some(noted) = self.noted(plan, *scope, &key).cloned() else { return Ok(String::new()) };
        if let (Object::Edit(edit), Some(rewrite)) = (object, rewrite) {
            self.rewrite(&edit.path, rewrite, (Mode::new(0o644), &Ownership::default()))?;
        }
        match self.put_back(object, &noted, *data)? {
            Taken::Kept(why) => Ok(format!("kept {object}: {why}")),
            Taken::Back => {
                if let (Scope::Origin, Some(number)) = (scope, apply) {
                    self.drop_origin(plan, number, &key);
                }
                Ok(String::new())
            }
        }
    }

    fn put_back(&mut self, object: &Object, noted: &Noted, data: Data) -> Result<Taken, String> {
        let was = &noted.record.was;
        match object {
            Object::Path(path) => return self.put_back_path(path, noted, data),
            Object::Unit(unit) => self.put_down(&unit.to_string(), was)?,
            Object::Image(id) if object.image_id().is_some() => return Ok(self.put_back_image_itself(id, was, data)),
            Object::Image(name) => return self.put_back_image(name, was, data),
            Object::Volume { name, unit } => {
                if *was != Was::Absent {
                    return Ok(Taken::Back);
                }
                let name = unit.beside(name).to_string();
                if data == Data::Keep && self.volumes.contains(&name) {
                    return Ok(Taken::Kept("a volume is data, which is kept"));
                }
                // Its unit is up for as long as it has made it.
                self.stop(&unit.to_string())?;
                self.volumes.remove(&name);
            }
            // It came with the whole file.
            Object::Edit(_) => {}
            Object::Snapshot { unit, of } => {
                self.halt(&unit.to_string())?;
                if let Saved::Path(path) = of {
                    self.entries.retain(|found, _| !found.is_within(path));
                    self.entries.extend(noted.data.iter().cloned());
                }
            }
            Object::Knob(knob) => match (was, &noted.copy) {
                (Was::Absent, _) => self.turn(knob, ABSENT),
                (_, Some((_, state))) => self.turn(knob, &String::from_utf8_lossy(state)),
                (_, None) => return Err(format!("nothing is known of how {} was", knob.title())),
            },
            Object::Network { name, unit } => {
                if *was == Was::Absent {
                    self.stop(&unit.to_string())?;
                    self.networks.remove(&unit.beside(name).to_string());
                }
            }
        }
        Ok(Taken::Back)
    }

    fn put_back_path(&mut self, path: &AbsPath, noted: &Noted, data: Data) -> Result<Taken, String> {
        let is_directory = |entry: &Entry| entry.sort == Sort::Directory;
        let is_now = self.entries.get(path).is_some_and(|(entry, _)| is_directory(entry));
        match &noted.record.was {
            Was::Absent => return Ok(self.clear(path, data)),
            Was::Directory { mode, user, group } => {
                self.require_directory(path)?;
                if !is_now {
                    self.clear(path, data);
                }
                self.put_directory_back(path, *mode, (*user, *group), noted.copy.as_ref());
            }
            Was::File { .. } | Was::Link => {
                self.require_directory(path)?;
                if is_now && matches!(self.clear(path, data), Taken::Kept(_)) {
                    return Err(format!(
                        "{path} is now a directory that is not empty: what was there before cannot be put back"
                    ));
                }
                let (entry, content) = noted.copy.clone().ok_or_else(|| format!("there is no copy of {path}"))?;
                self.note_unit(path, &content);
                self.reload |= is_read_by_systemd(path);
                self.entries.insert(path.clone(), (entry, content));
            }
            Was::Other | Was::Present | Was::Unit { .. } | Was::Image(_) | Was::Knob | Was::Edit | Was::Copy(_) => {
                return Err(format!("{path} was neither a file nor a directory nor a link: it cannot be put back"));
            }
        }
        Ok(Taken::Back)
    }

    /// Removes whatever stands at a path, but for a directory that is not empty, unless all in it is to go.
    fn clear(&mut self, path: &AbsPath, data: Data) -> Taken {
        let below: Vec<AbsPath> = self.entries.keys().filter(|found| found.is_within(path)).cloned().collect();
        if data == Data::Keep && below.len() > 1 {
            return Taken::Kept("it is a directory that is not empty");
        }
        below.iter().for_each(|path| self.remove(path));
        Taken::Back
    }

    fn put_directory_back(
        &mut self,
        path: &AbsPath,
        mode: Mode,
        (user, group): (u32, u32),
        copy: Option<&(Entry, Vec<u8>)>,
    ) {
        // The record has numbers alone; what the host calls them is as it was.
        let named = |id: u32, known: Option<&Owner>| match known {
            Some(known) if known.id == id => known.clone(),
            _ => owner(Some(&Account::Id(id))),
        };
        let known = copy.map(|(entry, _)| entry);
        let (user, group) = (named(user, known.map(|e| &e.user)), named(group, known.map(|e| &e.group)));
        self.set(path, Sort::Directory, Vec::new(), mode, &Ownership::default());
        if let Some((entry, _)) = self.entries.get_mut(path) {
            (entry.user, entry.group) = (user, group);
        }
    }

    fn remove(&mut self, path: &AbsPath) {
        if let Some((_, content)) = self.entries.remove(path) {
            self.forget_unit(path, &content);
            self.reload |= is_read_by_systemd(path);
        }
    }

    /// The half of it that takes down; what ran before is started by a step of its own.
    fn put_down(&mut self, name: &str, was: &Was) -> Result<(), String> {
        let Was::Unit { active, file } = was else { return Err(format!("{was} is not what a unit can be")) };
        if !is_up(active) {
            self.stop(name)?;
            if active != "failed" && self.units.get(name).is_some_and(|unit| unit.active == "failed") {
                self.act(name, UnitAction::Stop)?;
            }
        }
        if file != "enabled" && self.units.get(name).is_some_and(|unit| unit.file == "enabled") {
            self.act(name, UnitAction::Disable)?;
        }
        Ok(())
    }

    /// Stops a unit, and remembers since when.
    pub(super) fn halt(&mut self, name: &str) -> Result<(), String> {
        if self.units.get(name).is_some_and(UnitState::is_up) {
            self.halted.insert(name.to_owned(), self.uptime);
        }
        self.stop(name)
    }

    fn stop(&mut self, name: &str) -> Result<(), String> {
        if self.units.get(name).is_some_and(UnitState::is_up) {
            self.act(name, UnitAction::Stop)?;
        }
        Ok(())
    }

    fn put_back_image_itself(&mut self, id: &Managed, was: &Was, data: Data) -> Taken {
        let images = self.images_of(&id.manager);
        let Some(at) = images.iter().position(|image| image.id == id.name).filter(|_| *was == Was::Absent) else {
            return Taken::Back;
        };
        if data == Data::Keep {
            return Taken::Kept("an image is data, which is kept");
        }
        if images.get(at).is_some_and(|image| image.names.is_empty()) {
            images.remove(at);
        }
        Taken::Back
    }

    fn put_back_image(&mut self, name: &Managed, was: &Was, data: Data) -> Result<Taken, String> {
        if let Was::Image(id) = was {
            self.name_image(id, name).map_err(|reason| format!("{} named the image {id}: {reason}", name.spelled()))?;
            return Ok(Taken::Back);
        }
        let images = self.images_of(&name.manager);
        if images.iter().all(|image| !image.names.contains(&name.name)) {
            return Ok(Taken::Back);
        }
        if data == Data::Keep {
            return Ok(Taken::Kept("an image is data, which is kept"));
        }
        // podman removes an image with its last name.
        images.retain_mut(|image| {
            let names = image.names.len();
            image.names.retain(|known| *known != name.name);
            image.names.len() == names || !image.names.is_empty()
        });
        Ok(Taken::Back)
    }
}

/// Whether a unit of this `ActiveState` ran, or was about to: it is started again by a step of its own.
fn is_up(active: &str) -> bool {
    matches!(active, "active" | "activating" | "reloading" | "refreshing")
}
