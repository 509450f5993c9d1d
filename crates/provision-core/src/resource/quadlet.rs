//! What podman's units have in common: a Quadlet file, podman-systemd.unit(5), made of a plan's fields. Not a kind: the
//! kinds `container`, `pod`, `volume`, `network`, `image_unit`, `build` and `kube` read their own fields into a [`Draft`]
//! and leave the rest to it. What the host's podman must know to make units of it is looked at by [`podman`]; whether its
//! own generator makes them is tried before the file is put in place.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::change::{Action, Change, Shown};
use crate::fetch::Outside;
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::{Fields, Setting};
use crate::plan::problem::suggest;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::{
    Need, PublishedPort, PublishedPortError, QUADLET_SECTION, QuadletName, QuadletType, UNSUPPORTED_SERVICE_KEYS, key,
    nearest, needs, quadlet_key, references,
};
use crate::resource::definition::{Definition, Home, Reader, changes_content, used_paths};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Materials, Resource, Setup, Target, Thing, Want, package, scope};
use crate::step::{Laid, Rehearsal, Rehearsed, Step};
use crate::systemd::{Managed, Manager, UnitFile, UnitName, literal};

mod field;
mod instance;
pub(crate) mod podman;
mod want;

pub(crate) use field::{
    DESCRIPTION, DIRECTORY, FILE_NAME, INSTALL, INSTANCES, NETWORKS, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET, SERVICE,
    UNIT, VOLUMES,
};
use instance::Instances;
pub(crate) use want::want;

/// Where an administrator's Quadlet files stand.
pub(crate) const DEFAULT_DIRECTORY: &str = "/etc/containers/systemd";
/// Where podman's generator looks for the system's own units; podman-systemd.unit(5).
const READ: [&str; 3] = [DEFAULT_DIRECTORY, "/run/containers/systemd", "/usr/share/containers/systemd"];
/// Below the first: for the managers of users.
const USERS: &str = "/etc/containers/systemd/users";

/// Where a user's own Quadlet files stand, below the home, and the other places where users' managers look; the same page.
const USER_DIRECTORY: &str = ".config/containers/systemd";
const USER_READ: [&str; 4] =
    [USERS, "/run/user", "/run/containers/systemd/users", "/usr/share/containers/systemd/users"];

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
    /// What its podman must know.
    needs: Vec<Need>,
    /// What podman brings about when its unit starts, and leaves there when that stops.
    brings: Vec<Object>,
    instances: Instances,
}

impl Resource for Quadlet {
    fn provides(&self) -> Vec<Thing> {
        let Self {
            manager,
            name,
            service,
            pod,
            podman_name: _,
            ports,
            definition,
            wants: _,
            needs: _,
            brings,
            instances,
        } = self;
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
        things.extend(instances.things(manager, definition.reader.manager().is_some()));
        things.extend(brings.iter().filter_map(|object| match object {
            Object::Image(name) => Some(Thing::Image(name.clone())),
            _ => None,
        }));
        things
    }

    /// What runs by it is held by the service that runs it.
    fn objects(&self) -> Vec<Object> {
        let file = Object::Path(self.definition.file.path.clone());
        self.brings.iter().cloned().chain([file]).chain(self.instances.objects()).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = self.definition.wants(&self.wants);
        // What the plan makes of it podman must tell of before, as whose it is.
        wants.extend(scope::wants(&self.manager));
        wants.extend(scope::port_wants(&self.manager, &self.bound()));
        wants.push(package::want("podman"));
        wants
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.definition.file.wanted().into_iter().chain(self.instances.wanted()).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.definition.asks();
        asks.extend(self.instances.asks());
        asks.extend(self.definition.reader.manager().map(|_| Ask::Podman));
        if !self.brings.is_empty() {
            asks.extend(scope::asks(&self.manager));
        }
        asks.extend(scope::port_asks(&self.manager, &self.bound()));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        if self.definition.reader.manager().is_some() {
            podman::check(&self.needs, answers, context)?;
        }
        let mut change = self.definition.diff(answers, context)?;
        if !change.is_none() && !self.brings.is_empty() {
            scope::require(&self.manager, answers, context)?;
        }
        scope::require_ports(&self.manager, &self.bound(), answers, context)?;
        if change.action == Action::Update {
            let lasting = match self.name.quadlet_type() {
                QuadletType::Volume | QuadletType::Network => {
                    Some("podman makes what is missing and leaves what is there as it is")
                }
                QuadletType::Image => Some("podman pulls anew once the unit starts anew"),
                QuadletType::Container | QuadletType::Pod | QuadletType::Build | QuadletType::Kube => None,
            };
            change.reasons.extend(lasting.map(str::to_owned));
        }
        self.instances.compare(&mut change, answers)?;
        Ok(change)
    }

    fn outside(&self) -> Vec<Outside> {
        let built = matches!(self.name.quadlet_type(), QuadletType::Build);
        built
            .then(|| Outside::Host("builds on the host, from images that podman may pull".to_owned()))
            .into_iter()
            .collect()
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let of = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
        let (content, instances) = (changes_content(change), of(instance::INSTANCES));
        let mut steps = Vec::new();
        let manager = self.definition.reader.manager();
        if manager.is_some() && (content || instances) {
            steps.push(Step::Rehearse(self.rehearsal()));
        }
        if content {
            // Before the file: from then on anything may start the unit that makes it.
            steps.extend(self.brings.iter().cloned().map(Step::Claim));
        }
        if content || of("mode") {
            steps.extend(self.definition.steps(change, answers)?);
        }
        if instances {
            // They are read together.
            let _ = steps.pop_if(|step| matches!(step, Step::ReloadUnits(_)));
            steps.extend(self.instances.steps());
            steps.extend(manager.cloned().map(Step::ReloadUnits));
        }
        Ok(steps)
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
    /// The host's ports that it binds.
    fn bound(&self) -> Vec<u16> {
        let number = |thing: &Thing| match thing {
            Thing::Port { port, .. } => port.split('/').next()?.parse().ok(),
            _ => None,
        };
        self.ports.iter().filter_map(number).collect()
    }

    /// The file as it will be, for podman's generator.
    fn rehearsal(&self) -> Rehearsal {
        let file = Rehearsed {
            path: self.definition.file.path.clone(),
            laid: Laid::File(self.definition.text()),
            service: Some(self.service.to_string()),
        };
        let files = std::iter::once(file).chain(self.instances.rehearsed()).collect();
        Rehearsal { manager: self.manager.clone(), files, gone: Vec::new() }
    }
}

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
    manager: Manager,
    /// For what is a user's: the directories from the home down to the one of the file.
    below_home: Vec<AbsPath>,
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

impl<'a, 'f> Draft<'a, 'f> {
    /// Starts with `[Unit]`.
    pub(crate) fn new(quadlet_type: QuadletType, fields: &'a Fields<'f>, setup: &Setup<'_>) -> Self {
        let (stem, quadlet) = (setup.address.stem(), fields.settings(QUADLET.name));
        let (file, given, brings) = (UnitFile::new(), BTreeMap::new(), Vec::new());
        let manager = scope::manager(fields);
        let is_below_home = !matches!(manager, None | Some(Manager::System)) && !fields.has(DIRECTORY.name);
        let below_home = match &manager {
            Some(user) if is_below_home => {
                scope::below_home(&[".config", "containers", "systemd"], user, fields, setup)
            }
            _ => Some(Vec::new()),
        };
        let mut sound = manager.is_some() && below_home.is_some();
        if let Some(Manager::User(_)) = &manager
            && fields.has(INSTANCES.name)
        {
            // Their links would be root's, in a directory where a user can turn a link against root.
            let help = "let the steps run as the user, with scope = \"user\"; or write a resource for each instance";
            fields.problem(INSTANCES.name, "root does not link instances for a user", help);
            sound = false;
        }
        let (manager, below_home) = (manager.unwrap_or(Manager::System), below_home.unwrap_or_default());
        let instances = match quadlet_type {
            // Neither has a template.
            QuadletType::Pod | QuadletType::Build => Vec::new(),
            _ => fields.list(INSTANCES.name),
        };
        let uses = Vec::new();
        let mut draft = Self {
            fields,
            manager,
            below_home,
            stem,
            quadlet_type,
            file,
            quadlet,
            given,
            brings,
            uses,
            instances,
            sound,
        };
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
        if draft.runs() && draft.manager == Manager::System && !draft.quadlet.iter().any(off) {
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
        for port in self.fields.list::<PublishedPort>(PUBLISH.name) {
            self.set(PUBLISH.name, "PublishPort", &port.to_string());
            if let Some((message, help)) = without_address(&port) {
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
        let manager = self.manager.clone();
        let default: AbsPath = match self.below_home.last() {
            Some(directory) => directory.clone(),
            None => DEFAULT_DIRECTORY.parse().ok()?,
        };
        let directory = directory.unwrap_or_else(|| default.clone());
        let path = directory.join(&name.to_string()).ok()?;
        let reader = match &manager {
            Manager::System => reader(&directory),
            user => Reader::of_user(user, &directory, USER_DIRECTORY, &USER_READ),
        };
        let writer = if self.below_home.is_empty() { Manager::System } else { manager.clone() };
        let home = match (&writer, directory == default) {
            (Manager::System, true) if manager == Manager::System => Home::Made(vec![default]),
            (Manager::System, _) => Home::Expected,
            _ => Home::Made(std::mem::take(&mut self.below_home)),
        };
        let mut file = FileSpec::new(path, self.file.to_string());
        file.ownership = scope::ownership(&writer);
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

/// Who reads what stands in a directory.
pub(crate) fn reader(directory: &AbsPath) -> Reader {
    let for_users = USERS.parse().is_ok_and(|users| directory.is_within(&users));
    if for_users { Reader::Nobody } else { Reader::of(directory, &READ) }
}

/// The kind that makes files of a type.
#[must_use]
pub(crate) fn kind_of(quadlet_type: QuadletType) -> &'static str {
    match quadlet_type {
        QuadletType::Container => "container",
        QuadletType::Pod => "pod",
        QuadletType::Volume => "volume",
        QuadletType::Network => "network",
        QuadletType::Image => "image_unit",
        QuadletType::Build => "build",
        QuadletType::Kube => "kube",
    }
}

/// A port must say where it is bound: podman before 6 binds 0.0.0.0 alone, later ones both families, and what listens
/// on the other family beside it would then be in its way.
pub(crate) fn without_address(port: &PublishedPort) -> Option<(String, String)> {
    if port.address.is_some() {
        return None;
    }
    let at = |address: IpAddr| PublishedPort { address: Some(address), ..port.clone() };
    let (four, six) = (at(Ipv4Addr::UNSPECIFIED.into()), at(Ipv6Addr::UNSPECIFIED.into()));
    let message = format!("{port} does not say which address it is published on");
    Some((message, format!("write \"{four}\" for IPv4, \"{six}\" for IPv6, or both")))
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

/// A name that podman takes: `define.NameRegex` of its sources.
pub(crate) struct PodmanName(pub(crate) String);

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
