//! What podman's units have in common: a Quadlet file, podman-systemd.unit(5), made of a plan's fields. Not a kind: the
//! kinds `container`, `pod`, `volume`, `network`, `image_unit`, `build` and `kube` read their own fields into a [`Draft`]
//! and leave the rest to it. What the host's podman must know to make units of it is looked at by [`podman`]; whether its
//! own generator makes them is tried before the file is put in place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::change::{Action, Change, Shown};
use crate::fetch::Outside;
use crate::object::Object;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::{Need, PublishedPort, QuadletName, QuadletType};
use crate::resource::definition::{Definition, changes_content};
use crate::resource::{Context, Materials, Resource, Thing, Want, package, scope};
use crate::step::{Laid, Rehearsal, Rehearsed, Step};
use crate::systemd::{Managed, Manager, UnitName};

mod draft;
mod field;
mod instance;
mod place;
pub(crate) mod podman;
mod want;

pub(crate) use draft::{Brings, Draft};
pub(crate) use field::{
    DESCRIPTION, DIRECTORY, FILE_NAME, INSTALL, INSTANCES, NETWORKS, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET, SERVICE,
    UNIT, VOLUMES,
};
use instance::Instances;
pub(crate) use place::{Place, reader};
pub(crate) use want::want;

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
            steps.extend(self.instances.steps(&self.definition.writer));
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
    // Not two mappings: on a network with IPv6 netavark then leaves rules behind at each stop.
    let both = port.host.map(|_| format!("; `publish = [\"*:{port}\"]` is for both")).unwrap_or_default();
    Some((message, format!("write \"{four}\" for IPv4, \"{six}\" for IPv6{both}")))
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
