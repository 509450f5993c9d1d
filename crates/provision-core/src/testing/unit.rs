//! systemd and Quadlet on a made-up host.

use std::collections::BTreeSet;

use super::state::State;
use crate::path::AbsPath;
use crate::probe::UnitState;
use crate::quadlet::{QuadletName, QuadletType};
use crate::step::UnitAction;
use crate::systemd::{Managed, Manager, UnitFile};

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
        let unit = self.units.get_mut(name).ok_or_else(|| format!("unit {name} not found"))?;
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
            }
            UnitAction::Stop | UnitAction::ResetFailed => {
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
            QuadletType::Image | QuadletType::Build | QuadletType::Kube => {}
        }
    }
}
