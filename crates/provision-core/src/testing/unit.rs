//! systemd and Quadlet on a made-up host.

use std::collections::BTreeSet;

use super::state::State;
use crate::blob::sha256_hex;
use crate::path::AbsPath;
use crate::probe::{Generated, UnitState};
use crate::quadlet::{QuadletName, QuadletType};
use crate::step::{Flaws, Laid, Rehearsal, UnitAction};
use crate::systemd::{Managed, Manager, UnitFile, UnitName};

const OWN: &str = "/etc/systemd/system/";
const QUADLETS: &str = "/etc/containers/systemd/";
/// The same of a user, below the home.
const USER_OWN: &str = ".config/systemd/user/";
const USER_QUADLETS: &str = ".config/containers/systemd/";

/// Whether systemd must read its units anew after a change at a path.
pub(super) fn is_read_by_systemd(path: &AbsPath) -> bool {
    below(path, OWN, USER_OWN).or_else(|| below(path, QUADLETS, USER_QUADLETS)).is_some()
}

/// Whose a file in one of two directories is, and where it is below that.
fn below<'a>(path: &'a AbsPath, system: &str, user: &str) -> Option<(Manager, &'a str)> {
    if let Some(rest) = path.as_str().strip_prefix(system) {
        return Some((Manager::System, rest));
    }
    if let Some(rest) = path.as_str().strip_prefix("/root/").and_then(|rest| rest.strip_prefix(user)) {
        return Some((Manager::Own, rest));
    }
    let (name, rest) = path.as_str().strip_prefix("/home/")?.split_once('/')?;
    Some((Manager::User(name.parse().ok()?), rest.strip_prefix(user)?))
}

/// Which unit a file is about, by its text.
enum About {
    /// It makes the unit.
    Makes(String),
    /// It adds to it.
    Adds(String),
}

fn about(path: &AbsPath, content: &[u8]) -> Option<About> {
    if let Some((manager, own)) = below(path, OWN, USER_OWN) {
        let text = |unit: &str| Managed::new(&manager, unit).to_string();
        return match own.split_once('/') {
            Some((directory, _)) => directory.strip_suffix(".d").map(|unit| About::Adds(text(unit))),
            None => Some(About::Makes(text(own))),
        };
    }
    quadlet(path, content).map(|quadlet| About::Makes(quadlet.service))
}

/// A Quadlet file as podman's generator reads it.
struct Quadlet {
    manager: Manager,
    name: QuadletName,
    file: UnitFile,
    /// As its text.
    service: String,
}

fn quadlet(path: &AbsPath, content: &[u8]) -> Option<Quadlet> {
    let (manager, _) = below(path, QUADLETS, USER_QUADLETS)?;
    let name: QuadletName = path.name().parse().ok()?;
    let file: UnitFile = std::str::from_utf8(content).ok()?.parse().ok()?;
    let section = name.quadlet_type().section();
    let service = file.value(section, "ServiceName").map(|name| format!("{name}.service"));
    let service = service.unwrap_or_else(|| name.service().to_string());
    Some(Quadlet { service: Managed::new(&manager, service).to_string(), manager, name, file })
}

impl State {
    /// What systemd has yet to read, now that a file has come, changed, or is about to go.
    pub(super) fn note_unit(&mut self, path: &AbsPath, content: &[u8]) {
        let unit = match about(path, content) {
            Some(About::Makes(unit)) => unit,
            // A drop-in makes no unit.
            Some(About::Adds(unit)) if self.units.contains_key(&unit) => unit,
            Some(About::Adds(_)) | None => return,
        };
        if let Some(known) = self.units.get_mut(&unit) {
            known.stale = true;
        }
        self.unread.insert(unit);
    }

    /// The same of a file that goes.
    pub(super) fn forget_unit(&mut self, path: &AbsPath, content: &[u8]) {
        self.note_unit(path, content);
        if let Some(About::Makes(unit)) = about(path, content) {
            self.gone.insert(unit);
        }
    }

    fn quadlets(&self) -> impl Iterator<Item = Quadlet> {
        self.entries.iter().filter_map(|(path, (_, content))| quadlet(path, content))
    }

    /// A unit by its name; an instance is made of its template when somebody names it.
    pub(super) fn unit_named(&self, name: &str) -> Option<UnitState> {
        let instance = || {
            let template = name.parse::<UnitName>().ok()?.template()?;
            let template = self.units.get(template.as_str())?;
            let sub = "dead".to_owned();
            Some(UnitState { active: "inactive".to_owned(), sub, ..template.clone() })
        };
        self.units.get(name).cloned().or_else(instance)
    }

    pub(super) fn read_units(&mut self) {
        let generated: BTreeSet<String> = self.quadlets().map(|quadlet| quadlet.service).collect();
        for name in std::mem::take(&mut self.unread) {
            let is_own = |path: &AbsPath, content: &[u8]| {
                let makes = matches!(about(path, content), Some(About::Makes(made)) if made == name);
                makes && below(path, OWN, USER_OWN).is_some()
            };
            let own = self.entries.iter().find(|(path, (_, content))| is_own(path, content));
            let own = own.map(|(_, (_, content))| content);
            let file = match own {
                None if self.gone.contains(&name) && !generated.contains(&name) => {
                    self.vanish(&name);
                    continue;
                }
                None => "generated",
                Some(content) if String::from_utf8_lossy(content).contains("[Install]") => "disabled",
                Some(_) => "static",
            };
            let unit = self.units.entry(name).or_insert_with(|| UnitState {
                active: "inactive".to_owned(),
                sub: "dead".to_owned(),
                ..UnitState::default()
            });
            unit.load = "loaded".to_owned();
            if unit.file.is_empty() || (unit.file == "static" && file == "disabled") {
                unit.file = file.to_owned();
            }
        }
        self.gone.clear();
        self.units.values_mut().for_each(|unit| unit.stale = false);
        self.reload = false;
    }

    /// A unit without its file: systemd knows it for as long as it runs.
    fn vanish(&mut self, name: &str) {
        let template = name.parse::<UnitName>().ok().and_then(|name| name.template());
        if template.is_some_and(|template| self.units.contains_key(template.as_str())) {
            return;
        }
        match self.units.get_mut(name) {
            Some(unit) if unit.active == "active" => {
                unit.load = "not-found".to_owned();
                unit.file = String::new();
            }
            _ => {
                self.units.remove(name);
            }
        }
    }

    pub(super) fn act(&mut self, name: &str, action: UnitAction) -> Result<(), String> {
        if self.reload {
            self.read_units();
        }
        let found = self.unit_named(name).ok_or_else(|| format!("unit {name} not found"))?;
        let unit = self.units.entry(name.to_owned()).or_insert(found);
        match action {
            UnitAction::Enable | UnitAction::Disable if unit.file == "generated" => {
                return Err(format!("unit {name} is generated"));
            }
            // systemctl says so and leaves it at that.
            UnitAction::Enable | UnitAction::Disable if unit.file == "static" => {}
            UnitAction::Enable => unit.file = "enabled".to_owned(),
            UnitAction::Disable => unit.file = "disabled".to_owned(),
            UnitAction::Start | UnitAction::Restart => {
                unit.active = "active".to_owned();
                unit.sub = "running".to_owned();
                self.make_stores(name);
                if let Some((path, content)) = self.migrates.get(name).cloned() {
                    self.put_file(path.as_str(), &content, "0644");
                }
            }
            UnitAction::Stop => {
                unit.active = "inactive".to_owned();
                unit.sub = "dead".to_owned();
                // Nothing but its running has kept it.
                if unit.load == "not-found" {
                    self.units.remove(name);
                }
            }
            UnitAction::Reload if unit.active != "active" => return Err(format!("unit {name} is not active")),
            UnitAction::Reload => {}
        }
        Ok(())
    }

    /// What podman makes when the service of a Quadlet starts: the volume or network that it is for, and those that it
    /// names, whose services it starts before.
    fn make_stores(&mut self, service: &str) {
        let Some(Quadlet { manager, name, file, .. }) = self.quadlets().find(|quadlet| quadlet.service == service)
        else {
            return;
        };
        let section = name.quadlet_type().section();
        let called = |key: &str| {
            let called = file.value(section, key).map(str::to_owned).or_else(|| name.resource());
            called.map(|called| Managed::new(&manager, called).to_string())
        };
        match name.quadlet_type() {
            QuadletType::Volume => self.volumes.extend(called("VolumeName")),
            QuadletType::Network => self.networks.extend(called("NetworkName")),
            QuadletType::Container | QuadletType::Pod => {
                let named: Vec<QuadletName> = ["Volume", "Network"]
                    .into_iter()
                    .flat_map(|key| file.values(section, key))
                    .filter_map(|value| value.split(':').next()?.parse().ok())
                    .collect();
                let services: Vec<String> = self
                    .quadlets()
                    .filter(|quadlet| quadlet.manager == manager && named.contains(&quadlet.name))
                    .map(|found| found.service)
                    .collect();
                for service in services {
                    // One that systemd has not read yet is none that it could start.
                    let _ = self.act(&service, UnitAction::Start);
                }
            }
            QuadletType::Image | QuadletType::Build => {
                let named = if name.quadlet_type() == QuadletType::Build { "ImageTag" } else { "Image" };
                if let Some(image) = file.value(section, "ImageTag").or_else(|| file.value(section, named)) {
                    let id = sha256_hex(image.as_bytes());
                    self.add_image(&Manager::System, &id);
                    // It has just been added.
                    let _ = self.name_image(&id, &Managed::system(image));
                }
            }
            // What is in its YAML is podman's to know.
            QuadletType::Kube => {}
        }
    }

    /// What podman's generator would not make of files that are to come.
    pub(super) fn rehearse(&self, rehearsal: &Rehearsal) -> Option<Flaws> {
        let unfit = rehearsal.files.iter().filter_map(|file| Some((file, self.unfit.get(file.path.name())?)));
        let (lost, said): (Vec<String>, Vec<String>) =
            unfit.map(|(file, said)| (file.service.clone().unwrap_or_default(), said.clone())).unzip();
        (!lost.is_empty()).then_some(Flaws { lost, said })
    }

    /// What it makes of those that are there and of those that are to be: a service with the lines of the file.
    pub(super) fn generated(&self, rehearsal: &Rehearsal) -> Generated {
        let make = |path: &AbsPath, content: &[u8]| {
            let made = quadlet(path, content)?;
            Some((made.service, format!("# made of {path}\n{}", String::from_utf8_lossy(content))))
        };
        let there = || self.entries.iter().filter_map(|(path, (_, content))| make(path, content));
        let mut found = Generated { before: there().collect(), after: there().collect(), complaints: Vec::new() };
        for path in &rehearsal.gone {
            if let Some((service, _)) = self.entries.get(path).and_then(|(_, content)| make(path, content)) {
                found.after.remove(&service);
            }
        }
        for file in &rehearsal.files {
            match (self.unfit.get(file.path.name()), &file.laid) {
                (Some(said), _) => found.complaints.push(said.clone()),
                (None, Laid::File(text)) => found.after.extend(make(&file.path, text.as_bytes())),
                (None, Laid::Link(_)) => {}
            }
        }
        found
    }
}
