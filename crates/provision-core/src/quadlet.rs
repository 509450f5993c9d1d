//! Owns what is known of Quadlet files, podman-systemd.unit(5): their types and names, their keys, what a value refers
//! to and what it publishes.
//!
//! It never says what a key's value should be: podman checks that on the host, with its own unit generator, before a file
//! is put in place.
//! Facts were read from `pkg/systemd/quadlet/quadlet.go` of podman 4.4.0 (the first with Quadlet) to 5.8.2 and the
//! 6.0 development tree.

mod generator;
mod keys;
mod name;
mod need;
mod published_port;
mod reference;
mod version;

pub use generator::{complaints, generated_units};
pub use keys::{Key, Shape, UNSUPPORTED_SERVICE_KEYS, key, keys, nearest, quadlet_key};
pub use name::{QuadletName, QuadletNameError};
pub use need::{Need, QUADLET_SINCE, needs, needs_of_drop_in};
pub use published_port::{PortRange, Protocol, PublishedPort, PublishedPortError};
pub use reference::{Reference, references};
pub use version::{PodmanVersion, PodmanVersionError};

/// The section that every type may have beside its own: settings of Quadlet itself. See [`quadlet_key`].
pub const QUADLET_SECTION: &str = "Quadlet";

/// The sections that Quadlet hands through to the service it makes.
pub const SYSTEMD_SECTIONS: [&str; 3] = ["Unit", "Service", "Install"];

/// What a Quadlet file describes. podman 5.7 has an eighth, `.artifact`, which is not modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuadletType {
    /// `.container`: one container run as a service.
    Container,
    /// `.pod`: a pod for containers to join.
    Pod,
    /// `.volume`: a named volume.
    Volume,
    /// `.network`: a network.
    Network,
    /// `.image`: an image to be pulled.
    Image,
    /// `.build`: an image to be built.
    Build,
    /// `.kube`: pods described in Kubernetes YAML.
    Kube,
}

impl QuadletType {
    /// Every type.
    pub const ALL: [Self; 7] =
        [Self::Container, Self::Pod, Self::Volume, Self::Network, Self::Image, Self::Build, Self::Kube];

    /// The type with this extension, which is given without its dot.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.extension() == extension)
    }

    /// The file's extension without its dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Image => "image",
            Self::Build => "build",
            Self::Kube => "kube",
        }
    }

    /// The name of its own section.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::Pod => "Pod",
            Self::Volume => "Volume",
            Self::Network => "Network",
            Self::Image => "Image",
            Self::Build => "Build",
            Self::Kube => "Kube",
        }
    }

    /// Every section such a file may have, its own first.
    #[must_use]
    pub fn sections(self) -> [&'static str; 5] {
        let [unit, service, install] = SYSTEMD_SECTIONS;
        [self.section(), QUADLET_SECTION, unit, service, install]
    }

    /// What the service's name has behind the file's: `registry.pod` makes `registry-pod.service`.
    #[must_use]
    pub fn service_suffix(self) -> &'static str {
        match self {
            Self::Container | Self::Kube => "",
            Self::Pod => "-pod",
            Self::Volume => "-volume",
            Self::Network => "-network",
            Self::Image => "-image",
            Self::Build => "-build",
        }
    }

    /// The first podman that reads such files.
    #[must_use]
    pub fn since(self) -> PodmanVersion {
        match self {
            Self::Container | Self::Volume | Self::Network | Self::Kube => PodmanVersion::new(4, 4, 0),
            Self::Image => PodmanVersion::new(4, 8, 0),
            Self::Pod => PodmanVersion::new(5, 0, 0),
            Self::Build => PodmanVersion::new(5, 2, 0),
        }
    }
}
