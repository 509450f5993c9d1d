//! What podman's units have in common: a Quadlet file, podman-systemd.unit(5), made of a plan's fields. Not a kind: the
//! kinds `container`, `pod`, `volume` and `network` read their own fields into a [`Draft`] and leave the rest to it.
//!
//! It knows no podman: whether the host's can make units of such a file, and knows a key, is not looked at here.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::change::{Action, Change, Shown};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::{Fields, Setting};
use crate::plan::problem::suggest;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::{
    PublishedPort, PublishedPortError, QUADLET_SECTION, QuadletName, QuadletType, UNSUPPORTED_SERVICE_KEYS, key,
    nearest, quadlet_key, references,
};
use crate::resource::definition::{Definition, Home, Reader, used_paths};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Materials, Resource, Setup, Thing, Want};
use crate::step::Step;
use crate::systemd::{Managed, Manager, UnitFile, UnitName, literal};

mod field;
mod want;

pub(crate) use field::{
    DESCRIPTION, DIRECTORY, FILE_NAME, INSTALL, NETWORKS, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET, SERVICE, UNIT,
    VOLUMES,
};
use want::want;

/// Where an administrator's Quadlet files stand.
const DEFAULT_DIRECTORY: &str = "/etc/containers/systemd";
/// Where podman's generator looks for the system's own units; podman-systemd.unit(5).
const READ: [&str; 3] = [DEFAULT_DIRECTORY, "/run/containers/systemd", "/usr/share/containers/systemd"];
/// Below the first: for the managers of users.
const USERS: &str = "/etc/containers/systemd/users";

/// Waited for by what runs. podman does so itself only since 5.3, and a port cannot be bound on an address that is not
/// there yet.
const NETWORK_ONLINE: &str = "network-online.target";
/// Reached at every boot, by whatever name the host's own goal has.
const AT_BOOT: &str = "default.target";
/// Seconds between two tries. With systemd's own 100 ms a container that waits for something late has used up its five
/// starts within ten seconds, and stays down for good.
const RESTART_SECONDS: &str = "5";

/// A Quadlet file and what follows from what is in it.
#[derive(Debug)]
pub(crate) struct Quadlet {
    manager: Manager,
    name: QuadletName,
    /// The service that podman makes of it.
    service: UnitName,
    /// The service of the pod whose start starts it.
    pod: Option<UnitName>,
    podman_name: Option<String>,
    ports: Vec<Thing>,
    definition: Definition,
    wants: Vec<Want>,
}

impl Resource for Quadlet {
    fn provides(&self) -> Vec<Thing> {
        let Self { manager, name, service, pod, podman_name: _, ports, definition, wants: _ } = self;
        let own = |name: &UnitName| Managed::new(manager, name.as_str());
        let file = Managed::new(manager, name.to_string());
        let mut things = vec![Thing::Path(definition.file.path.clone()), Thing::Quadlet(file)];
        if definition.reader.manager().is_some() {
            things.push(Thing::Unit(own(service)));
            if let Some(pod) = pod {
                // Podman lets the pod's unit start it and stops it with it: so it shapes that unit, restarts with it,
                // and no service of its own may start it.
                things.push(Thing::Unit(own(pod)));
                things.push(Thing::Running(own(service)));
            }
        }
        things.extend(ports.iter().cloned());
        things
    }

    /// What runs by it is held by the service that runs it.
    fn objects(&self) -> Vec<Object> {
        self.store().into_iter().chain([Object::Path(self.definition.file.path.clone())]).collect()
    }

    fn wants(&self) -> Vec<Want> {
        self.definition.wants(&self.wants)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.definition.file.wanted()
    }

    fn asks(&self) -> Vec<Ask> {
        self.definition.asks()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let mut change = self.definition.diff(answers, context)?;
        if change.action == Action::Update
            && let QuadletType::Volume | QuadletType::Network = self.name.quadlet_type()
        {
            change.reasons.push("podman makes what is missing and leaves what is there as it is".to_owned());
        }
        Ok(change)
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let steps = self.definition.steps(change, answers)?;
        let brings = |step: &Step| matches!(step, Step::PutFile { .. });
        // Before the file: from then on anything may start the unit that makes it.
        let claim = self.store().filter(|_| steps.iter().any(brings)).map(Step::Claim);
        Ok(claim.into_iter().chain(steps).collect())
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("path", self.definition.file.path.to_string()),
            ("file", self.name.to_string()),
            ("unit_name", self.service.to_string()),
        ];
        attributes.extend(self.podman_name.clone().map(|name| ("podman_name", name)));
        attributes
    }
}

impl Quadlet {
    /// The volume or network that podman makes of it. One of a template has a name that systemd alone knows.
    fn store(&self) -> Option<Object> {
        let Self { manager, name, service, podman_name, definition, .. } = self;
        let (name, podman_name) = (name.quadlet_type(), podman_name.clone()?);
        let unit = Managed::new(manager, service.as_str());
        match name {
            // Nobody makes anything of one that stands elsewhere.
            _ if definition.reader == Reader::Nobody => None,
            QuadletType::Volume => Some(Object::Volume { name: podman_name, unit }),
            QuadletType::Network => Some(Object::Network { name: podman_name, unit }),
            QuadletType::Container | QuadletType::Pod | QuadletType::Image | QuadletType::Build | QuadletType::Kube => {
                None
            }
        }
    }
}

/// A Quadlet file on its way. Sections come in the order in which a person would look for them.
pub(crate) struct Draft<'a, 'f> {
    fields: &'a Fields<'f>,
    stem: String,
    quadlet_type: QuadletType,
    file: UnitFile,
    quadlet: Vec<Setting>,
    /// The plan's field that has set a key.
    given: BTreeMap<&'static str, &'static str>,
    sound: bool,
}

impl<'a, 'f> Draft<'a, 'f> {
    /// Starts with `[Unit]`.
    pub(crate) fn new(quadlet_type: QuadletType, fields: &'a Fields<'f>, setup: &Setup<'_>) -> Self {
        let (stem, quadlet) = (setup.address.stem(), fields.settings(QUADLET.name));
        let (file, given) = (UnitFile::new(), BTreeMap::new());
        let mut draft = Self { fields, stem, quadlet_type, file, quadlet, given, sound: true };
        let settings = fields.settings(UNIT.name);
        if let Some(text) = fields.optional::<String>(DESCRIPTION.name) {
            draft.push("Unit", "Description", &literal(&text), |fields, message| {
                fields.problem(DESCRIPTION.name, message, "write it on one line");
            });
            if let Some(twice) = settings.iter().find(|setting| setting.key == "Description") {
                draft.twice(twice, DESCRIPTION.name, UNIT.name);
            }
        }
        let off = |setting: &Setting| {
            setting.key == "DefaultDependencies"
                && matches!(setting.values.last().map(String::as_str), Some("false" | "no" | "off" | "0"))
        };
        if draft.runs() && !draft.quadlet.iter().any(off) {
            for key in ["Wants", "After"] {
                draft.push("Unit", key, NETWORK_ONLINE, |_, _| {});
            }
        }
        draft.settings("Unit", &settings);
        draft.sound &= draft.file.push_section(quadlet_type.section()).is_ok();
        if let Some(PodmanName(name)) = fields.optional(PODMAN_NAME.name) {
            draft.set(PODMAN_NAME.name, podman_name_key(quadlet_type), &name);
        }
        draft
    }

    /// Sets a key of the own section, once more where it repeats, to what a field of the plan says.
    pub(crate) fn set(&mut self, field: &'static str, key: &'static str, value: &str) {
        self.given.insert(key, field);
        self.push(self.quadlet_type.section(), key, value, |fields, message| {
            fields.problem(field, message, "see podman-systemd.unit(5)");
        });
    }

    /// Sets a key that repeats to the texts of a list.
    pub(crate) fn list(&mut self, field: &'static str, key: &'static str) {
        for value in self.fields.list::<String>(field) {
            self.set(field, key, &value);
        }
    }

    /// Reads `publish`.
    pub(crate) fn publish(&mut self) {
        for port in self.fields.list::<PublishedPort>(PUBLISH.name) {
            self.set(PUBLISH.name, "PublishPort", &port.to_string());
            if let Some((message, help)) = without_address(&port) {
                self.fields.problem(PUBLISH.name, message, help);
            }
        }
    }

    /// Whether the own section has a key by now.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Adds a finding about a field.
    pub(crate) fn problem(&mut self, field: &str, message: impl Into<String>, help: impl Into<String>) {
        self.fields.problem(field, message, help);
        self.sound = false;
    }

    /// Reads `options`; what the kind's own fields say is there already.
    pub(crate) fn options(&mut self) {
        let quadlet_type = self.quadlet_type;
        for setting in self.fields.settings(OPTIONS.name) {
            let name = setting.key.as_str();
            let Some(key) = key(quadlet_type, name) else {
                let help = nearest(quadlet_type, name).map_or_else(
                    || format!("podman-systemd.unit(5) lists the keys of [{}]", quadlet_type.section()),
                    |near| format!("did you mean `{near}`?"),
                );
                self.setting_problem(&setting, format!("[{}] has no key `{name}`", quadlet_type.section()), help);
                continue;
            };
            if let Some(field) = self.given.get(key.name).copied() {
                self.twice(&setting, field, OPTIONS.name);
            }
            if setting.values.len() > 1 && key.repeatable_since.is_none() {
                let message = format!("`{name}` takes one value: podman would pass over all but the last");
                self.setting_problem(&setting, message, "write it without a list");
            }
            if quadlet_type == QuadletType::Pod && key.name == "ServiceName" {
                let message = "the containers of a pod know its unit by its file's name";
                self.setting_problem(&setting, message, "use `file_name` instead");
            }
            if key.name == "PublishPort" {
                self.check_ports(&setting);
            }
            self.push_all(quadlet_type.section(), &setting);
        }
    }

    /// Ends with `[Quadlet]`, `[Service]` and `[Install]`, and draws from the whole file what follows from it.
    pub(crate) fn finish(mut self) -> Option<Quadlet> {
        self.quadlet_section();
        self.service_section();
        let pod = self.pod();
        self.install_section(pod.as_ref());
        let stem = self.fields.optional::<String>(FILE_NAME.name).unwrap_or_else(|| self.stem.clone());
        let directory = self.fields.optional::<AbsPath>(DIRECTORY.name);
        if self.fields.has(DIRECTORY.name) && directory.is_none() {
            return None;
        }
        let name = self.name(&stem)?;
        if let Some(named) = self.value("ServiceName").filter(|named| named.ends_with(".service")) {
            let message = format!("`ServiceName` {named} would make {named}.service");
            self.problem(OPTIONS.name, message, "`ServiceName` is written without .service");
            return None;
        }
        let service = match self.value("ServiceName").map(QuadletName::service_named) {
            None => name.service().clone(),
            Some(Ok(service)) => service,
            Some(Err(error)) => {
                self.problem(OPTIONS.name, error.to_string(), "`ServiceName` is written without .service");
                return None;
            }
        };
        if !self.sound {
            return None;
        }
        let default: AbsPath = DEFAULT_DIRECTORY.parse().ok()?;
        let directory = directory.unwrap_or_else(|| default.clone());
        let path = directory.join(&name.to_string()).ok()?;
        let for_users = USERS.parse().is_ok_and(|users| directory.is_within(&users));
        let definition = Definition {
            file: FileSpec::new(path, self.file.to_string()),
            reader: if for_users { Reader::Nobody } else { Reader::of(&directory, &READ) },
            home: if directory == default { Home::Made } else { Home::Expected },
        };
        let podman_name = self.value(podman_name_key(self.quadlet_type)).map(str::to_owned).or_else(|| name.resource());
        let manager = Manager::System;
        let (ports, wants) = (self.ports(), self.wants(&directory, &manager));
        Some(Quadlet { manager, name, service, pod, podman_name, ports, definition, wants })
    }

    /// Containers and pods run; volumes and networks are only made, by what uses them.
    fn runs(&self) -> bool {
        matches!(self.quadlet_type, QuadletType::Container | QuadletType::Pod)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.file.value(self.quadlet_type.section(), key)
    }

    fn push(&mut self, section: &str, key: &str, value: &str, report: impl FnOnce(&Fields<'_>, String)) {
        if let Err(error) = self.file.push(section, key, value) {
            report(self.fields, error.to_string());
            self.sound = false;
        }
    }

    fn push_all(&mut self, section: &str, setting: &Setting) {
        for value in &setting.values {
            self.push(section, &setting.key, value, |fields, message| {
                fields.setting_problem(setting, message, "see systemd.syntax(7)");
            });
        }
    }

    fn settings(&mut self, section: &str, settings: &[Setting]) {
        for setting in settings {
            self.push_all(section, setting);
        }
    }

    fn setting_problem(&mut self, setting: &Setting, message: impl Into<String>, help: impl Into<String>) {
        self.fields.setting_problem(setting, message, help);
        self.sound = false;
    }

    fn twice(&mut self, setting: &Setting, field: &str, table: &str) {
        let message = format!("`{}` is given twice: by `{field}` and in `{table}`", setting.key);
        self.setting_problem(setting, message, "leave it to one of them");
    }

    fn check_ports(&mut self, setting: &Setting) {
        for value in &setting.values {
            match value.parse::<PublishedPort>() {
                Ok(port) => {
                    if let Some((message, help)) = without_address(&port) {
                        self.setting_problem(setting, message, help);
                    }
                }
                // Only systemd knows.
                Err(PublishedPortError::Specifier { .. }) => {}
                Err(error) => self.setting_problem(setting, error.to_string(), "see podman-run(1), --publish"),
            }
        }
    }

    fn quadlet_section(&mut self) {
        for setting in std::mem::take(&mut self.quadlet) {
            if quadlet_key(&setting.key).is_none() {
                let message = format!("[{QUADLET_SECTION}] has no key `{}`", setting.key);
                self.setting_problem(&setting, message, suggest(&setting.key, ["DefaultDependencies"]));
            }
            self.push_all(QUADLET_SECTION, &setting);
        }
    }

    fn service_section(&mut self) {
        let settings = self.fields.settings(SERVICE.name);
        for setting in settings.iter().filter(|setting| UNSUPPORTED_SERVICE_KEYS.contains(&setting.key.as_str())) {
            let message = format!("`{}` of [Service] is podman's, not the container's", setting.key);
            self.setting_problem(setting, message, "use `user`, or the keys User, Group and UserNS in `options`");
        }
        let decided = |setting: &Setting| {
            setting.key == "Restart" || (setting.key == "Type" && setting.values.iter().any(|value| value == "oneshot"))
        };
        if self.quadlet_type == QuadletType::Container && !settings.iter().any(decided) {
            self.push("Service", "Restart", "always", |_, _| {});
            if !settings.iter().any(|setting| setting.key == "RestartSec") {
                self.push("Service", "RestartSec", RESTART_SECONDS, |_, _| {});
            }
        }
        self.settings("Service", &settings);
    }

    fn install_section(&mut self, pod: Option<&UnitName>) {
        let settings = self.fields.settings(INSTALL.name);
        let decided = |setting: &Setting| matches!(setting.key.as_str(), "WantedBy" | "RequiredBy" | "UpheldBy");
        if self.runs() && pod.is_none() && !settings.iter().any(decided) {
            self.push("Install", "WantedBy", AT_BOOT, |_, _| {});
        }
        self.settings("Install", &settings);
    }

    /// The unit of the pod that starts this container.
    fn pod(&self) -> Option<UnitName> {
        let pod: QuadletName = self.value("Pod")?.parse().ok()?;
        let apart = matches!(self.value("StartWithPod"), Some("false" | "no" | "off" | "0"));
        (!apart).then(|| pod.service().clone())
    }

    fn name(&mut self, stem: &str) -> Option<QuadletName> {
        match format!("{stem}.{}", self.quadlet_type.extension()).parse() {
            Ok(name) => Some(name),
            Err(error) => {
                let why = Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                self.problem(FILE_NAME.name, why, "a file's name is the name of its unit");
                None
            }
        }
    }

    fn ports(&self) -> Vec<Thing> {
        let mut things = Vec::new();
        for value in self.file.values(self.quadlet_type.section(), "PublishPort") {
            if let Ok(PublishedPort { address: Some(address), host: Some(host), protocol, .. }) = value.parse() {
                things.extend((host.first()..=host.last()).map(|port| Thing::Port {
                    address: address.to_string(),
                    port: format!("{port}/{}", protocol.as_str()),
                }));
            }
        }
        things
    }

    fn wants(&self, directory: &AbsPath, manager: &Manager) -> Vec<Want> {
        let mut wants = used_paths(self.file.section("Service"));
        for entry in self.file.section(self.quadlet_type.section()).into_iter().flat_map(|section| section.entries()) {
            for reference in references(self.quadlet_type, entry.key(), entry.value()) {
                wants.extend(want(reference, directory, manager));
            }
        }
        wants
    }
}

/// A port must say where it is bound: podman before 6 binds 0.0.0.0 alone, later ones both families, and what listens
/// on the other family beside it would then be in its way.
fn without_address(port: &PublishedPort) -> Option<(String, String)> {
    if port.address.is_some() {
        return None;
    }
    let at = |address: IpAddr| PublishedPort { address: Some(address), ..port.clone() };
    let (four, six) = (at(Ipv4Addr::UNSPECIFIED.into()), at(Ipv6Addr::UNSPECIFIED.into()));
    let message = format!("{port} does not say which address it is published on");
    Some((message, format!("write \"{four}\" for IPv4, \"{six}\" for IPv6, or both")))
}

fn podman_name_key(quadlet_type: QuadletType) -> &'static str {
    match quadlet_type {
        QuadletType::Pod => "PodName",
        QuadletType::Volume => "VolumeName",
        QuadletType::Network => "NetworkName",
        QuadletType::Container | QuadletType::Image | QuadletType::Build | QuadletType::Kube => "ContainerName",
    }
}

/// A name that podman takes: `define.NameRegex` of its sources.
struct PodmanName(String);

impl FromStr for PodmanName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(rest) {
            Ok(Self(text.to_owned()))
        } else {
            Err("podman's names are a letter or digit, then letters, digits and _ . -".to_owned())
        }
    }
}
