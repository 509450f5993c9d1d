//! A Quadlet file on its way from a plan's fields.

use std::collections::BTreeMap;
use std::error::Error;

use super::field::{DESCRIPTION, FILE_NAME, INSTALL, INSTANCES, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET, SERVICE, UNIT};
use super::instance::Instances;
use super::{Place, PodmanName, Quadlet, kind_of, want, without_address};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::{Fields, Setting};
use crate::plan::problem::suggest;
use crate::quadlet::{
    PublishedPort, PublishedPortError, QUADLET_SECTION, QuadletName, QuadletType, UNSUPPORTED_SERVICE_KEYS, key,
    nearest, needs, quadlet_key, references,
};
use crate::resource::definition::{Definition, Reader, used_paths};
use crate::resource::file::FileSpec;
use crate::resource::{Setup, Target, Thing, Want};
use crate::systemd::{Managed, Manager, UnitFile, UnitName, literal};

/// Waited for by what runs. podman does so itself only since 5.3, and a port cannot be bound on an address that is not
/// there yet.
const NETWORK_ONLINE: &str = "network-online.target";
/// Reached at every boot, by whatever name the host's own goal has.
const AT_BOOT: &str = "default.target";
/// Seconds between two tries. With systemd's own 100 ms a container that waits for something late has used up its five
/// starts within ten seconds, and stays down for good.
const RESTART_SECONDS: &str = "5";

/// What podman leaves of a unit that it has run.
#[derive(Debug)]
pub(crate) enum Brings {
    /// A name in its image store, of a unit that is no more once that is there.
    Image(String),
    /// A volume.
    Volume(String),
    /// A network.
    Network(String),
}

/// A Quadlet file on its way. Sections come in the order in which a person would look for them.
pub(crate) struct Draft<'a, 'f> {
    fields: &'a Fields<'f>,
    /// Where it will stand; nothing when the plan's word for that is wrong.
    place: Option<Place>,
    stem: String,
    quadlet_type: QuadletType,
    file: UnitFile,
    quadlet: Vec<Setting>,
    /// The plan's field that has set a key.
    given: BTreeMap<&'static str, &'static str>,
    brings: Vec<Brings>,
    uses: Vec<Want>,
    instances: Vec<String>,
    sound: bool,
}

/// A port as `publish` has it.
struct Published {
    port: PublishedPort,
    /// `*` in place of an address: both families by one mapping, which podman has without an address. On a network with IPv6
    /// two mappings, one of each family's addresses, are not taken back by netavark (1.14): it makes the IPv6 rule for
    /// either of them, stumbles over the second when the container stops, and what is left leads the next one's clients
    /// nowhere.
    everywhere: bool,
}

impl std::str::FromStr for Published {
    type Err = PublishedPortError;

    fn from_str(text: &str) -> Result<Self, PublishedPortError> {
        let Some(rest) = text.strip_prefix("*:").filter(|rest| rest.matches(':').count() == 1) else {
            return Ok(Self { port: text.parse()?, everywhere: false });
        };
        Ok(Self { port: rest.parse()?, everywhere: true })
    }
}

impl<'a, 'f> Draft<'a, 'f> {
    /// Starts with `[Unit]`.
    pub(crate) fn new(quadlet_type: QuadletType, fields: &'a Fields<'f>, setup: &Setup<'_>) -> Self {
        let (stem, quadlet) = (setup.address.stem(), fields.settings(QUADLET.name));
        let (file, given, brings) = (UnitFile::new(), BTreeMap::new(), Vec::new());
        let place = Place::read(fields, setup);
        let sound = place.is_some();
        let instances = match quadlet_type {
            // Neither has a template.
            QuadletType::Pod | QuadletType::Build => Vec::new(),
            _ => fields.list(INSTANCES.name),
        };
        let uses = Vec::new();
        let mut draft =
            Self { fields, place, stem, quadlet_type, file, quadlet, given, brings, uses, instances, sound };
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
        // A user's manager has no such unit; since 5.3 podman waits there by a unit of its own.
        let of_system = draft.place.as_ref().is_none_or(|place| place.manager == Manager::System);
        if draft.runs() && of_system && !draft.quadlet.iter().any(off) {
            for key in ["Wants", "After"] {
                draft.push("Unit", key, NETWORK_ONLINE, |_, _| {});
            }
        }
        draft.settings("Unit", &settings);
        draft.sound &= draft.file.push_section(quadlet_type.section()).is_ok();
        if let Some(key) = podman_name_key(quadlet_type)
            && let Some(PodmanName(name)) = fields.optional(PODMAN_NAME.name)
        {
            draft.set(PODMAN_NAME.name, key, &name);
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
        for Published { port, everywhere } in self.fields.list(PUBLISH.name) {
            self.set(PUBLISH.name, "PublishPort", &port.to_string());
            if let Some((message, help)) = without_address(&port).filter(|_| !everywhere) {
                self.fields.problem(PUBLISH.name, message, help);
            }
        }
    }

    /// Says what podman leaves besides what follows from the type.
    pub(crate) fn brings(&mut self, brings: Brings) {
        self.brings.push(brings);
    }

    /// Adds what is used and no key says.
    pub(crate) fn uses(&mut self, want: Want) {
        self.uses.push(want);
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
                    || format!("`provision kinds {} --keys` lists those that podman has", kind_of(quadlet_type)),
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
        let place = self.place.take()?;
        let mut file = FileSpec::new(place.directory.join(&name.to_string()).ok()?, self.file.to_string());
        file.ownership = place.ownership();
        let (reader, home) = (place.reader(), place.home(None));
        let Place { manager, directory, writer, made: _ } = place;
        let definition = Definition { file, reader, home, writer };
        let podman_name = podman_name_key(self.quadlet_type)
            .and_then(|key| self.value(key))
            .map(str::to_owned)
            .or_else(|| name.resource());
        let instances = self.instances(&name, &directory)?;
        let brings = match definition.reader {
            Reader::Manager(_) => self.objects(&manager, &service, podman_name.as_deref()),
            // Nobody makes anything of one that stands elsewhere.
            Reader::Nobody => Vec::new(),
        };
        let (ports, mut wants, needs) = (self.ports(), self.wants(&directory, &manager), needs(&name, &self.file));
        wants.append(&mut self.uses);
        wants.extend(
            name.drop_in_directories()
                .into_iter()
                .map(|name| Want::uses(Target::Thing(Thing::Quadlet(Managed::new(&manager, name))))),
        );
        Some(Quadlet { manager, name, service, pod, podman_name, ports, definition, wants, needs, brings, instances })
    }

    /// Containers, pods and what Kubernetes YAML describes run; the rest is only made, by what uses it.
    fn runs(&self) -> bool {
        matches!(self.quadlet_type, QuadletType::Container | QuadletType::Pod | QuadletType::Kube)
    }

    fn instances(&mut self, template: &QuadletName, directory: &AbsPath) -> Option<Instances> {
        let mut instances = Instances::default();
        let words = std::mem::take(&mut self.instances);
        if !words.is_empty() && !template.stem().ends_with('@') {
            let message = format!("{template} is no template, and has no instances");
            self.problem(INSTANCES.name, message, "a template's `file_name` ends in `@`, such as \"worker@\"");
        }
        for word in words {
            if let Err(why) = instances.add(&word, template, directory) {
                self.problem(INSTANCES.name, why, "an instance is named by letters, digits and : - _ .");
            }
        }
        self.sound.then_some(instances)
    }

    /// What podman leaves. What comes of a template has a name that systemd alone knows.
    fn objects(&self, manager: &Manager, service: &UnitName, podman_name: Option<&str>) -> Vec<Object> {
        let unit = || Managed::new(manager, service.as_str());
        let volume = |name: String| Object::Volume { name, unit: unit() };
        let network = |name: String| Object::Network { name, unit: unit() };
        let mut objects: Vec<Object> = match (self.quadlet_type, podman_name) {
            (QuadletType::Volume, Some(name)) => vec![volume(name.to_owned())],
            (QuadletType::Network, Some(name)) => vec![network(name.to_owned())],
            _ => Vec::new(),
        };
        for brings in &self.brings {
            match brings {
                Brings::Image(name) => objects.push(Object::Image(Managed::new(manager, name.as_str()))),
                Brings::Volume(name) => objects.push(volume(name.clone())),
                Brings::Network(name) => objects.push(network(name.clone())),
            }
        }
        if let QuadletType::Image | QuadletType::Build = self.quadlet_type
            && !service.is_template()
        {
            // Nobody else holds it: those that use the image start it.
            objects.push(Object::Unit(unit()));
        }
        objects
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

fn podman_name_key(quadlet_type: QuadletType) -> Option<&'static str> {
    match quadlet_type {
        QuadletType::Container => Some("ContainerName"),
        QuadletType::Pod => Some("PodName"),
        QuadletType::Volume => Some("VolumeName"),
        QuadletType::Network => Some("NetworkName"),
        QuadletType::Image | QuadletType::Build | QuadletType::Kube => None,
    }
}
