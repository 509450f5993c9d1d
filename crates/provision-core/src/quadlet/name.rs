//! Owns the name of a Quadlet file and the names that follow from it.

use std::fmt;
use std::str::FromStr;

use super::QuadletType;
use crate::systemd::{UnitName, UnitNameError};

/// The name of a Quadlet file, such as `registry.container` or `data@.volume`; without a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuadletName {
    stem: String,
    quadlet_type: QuadletType,
    service: UnitName,
}

/// Why a string is no name of a Quadlet file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuadletNameError {
    /// Another extension, or none.
    #[error("{name:?} is no Quadlet file: those end in .container, .pod, .volume, .network, .image, .build or .kube")]
    Extension {
        /// The name as given.
        name: String,
    },
    /// The service made of it could not be named.
    #[error("Quadlet file {name:?} makes no valid service")]
    Service {
        /// The name as given.
        name: String,
        /// What is wrong with the service's name.
        source: UnitNameError,
    },
}

impl QuadletName {
    /// The name without its extension.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The type, from the extension.
    #[must_use]
    pub fn quadlet_type(&self) -> QuadletType {
        self.quadlet_type
    }

    /// The service Quadlet makes of it, unless the file says otherwise with `ServiceName=`.
    #[must_use]
    pub fn service(&self) -> &UnitName {
        &self.service
    }

    /// The service Quadlet makes of it when the file has `ServiceName=`, whose value is without `.service`
    /// (podman 5.3 and later). Quadlet adds neither its own suffix nor an `@` to it.
    ///
    /// # Errors
    /// When that is no valid name.
    pub fn service_named(service_name: &str) -> Result<UnitName, UnitNameError> {
        format!("{service_name}.service").parse()
    }

    /// What podman calls the container, pod, volume or network, unless `ContainerName=`, `PodName=`, `VolumeName=` or
    /// `NetworkName=` says otherwise. Absent for what has no such default, and for templates and their instances,
    /// whose names are known to systemd alone.
    #[must_use]
    pub fn resource(&self) -> Option<String> {
        match self.quadlet_type {
            _ if self.stem.contains('@') => None,
            QuadletType::Container | QuadletType::Pod | QuadletType::Volume | QuadletType::Network => {
                Some(format!("systemd-{}", self.stem))
            }
            QuadletType::Image | QuadletType::Build | QuadletType::Kube => None,
        }
    }

    /// The directories in which drop-ins for it are looked for, from the one that is for it alone to the one that is for
    /// all of its type: `GetUnitDropinPaths` of podman's `unitfile.go`. They stand beside the file, or in any other
    /// directory of Quadlet's.
    #[must_use]
    pub fn drop_in_directories(&self) -> Vec<String> {
        let extension = self.quadlet_type.extension();
        let (prefix, instance) = self.stem.split_once('@').map_or((self.stem.as_str(), None), |(p, i)| (p, Some(i)));
        let mut directories = vec![format!("{self}.d")];
        if instance.is_some_and(|instance| !instance.is_empty()) {
            directories.push(format!("{prefix}@.{extension}.d"));
        }
        for (at, _) in prefix.rmatch_indices('-') {
            let start = prefix.get(..=at).unwrap_or_default();
            if instance.is_some() {
                directories.push(format!("{start}@.{extension}.d"));
            }
            directories.push(format!("{start}.{extension}.d"));
        }
        directories.push(format!("{extension}.d"));
        directories
    }
}

impl FromStr for QuadletName {
    type Err = QuadletNameError;

    fn from_str(name: &str) -> Result<Self, QuadletNameError> {
        let known = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
        let Some((stem, quadlet_type)) =
            known.and_then(|(stem, extension)| Some((stem, QuadletType::from_extension(extension)?)))
        else {
            return Err(QuadletNameError::Extension { name: name.to_owned() });
        };
        let suffix = quadlet_type.service_suffix();
        // `data@.volume` makes `data-volume@.service`, yet `data@a.volume` makes `data@a-volume.service`.
        let service = match stem.strip_suffix('@') {
            Some(prefix) => format!("{prefix}{suffix}@"),
            None => format!("{stem}{suffix}"),
        };
        match Self::service_named(&service) {
            Ok(service) => Ok(Self { stem: stem.to_owned(), quadlet_type, service }),
            Err(source) => Err(QuadletNameError::Service { name: name.to_owned(), source }),
        }
    }
}

impl fmt::Display for QuadletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stem, self.quadlet_type.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_services_and_resources() {
        for (name, service, resource) in [
            ("registry.container", "registry.service", Some("systemd-registry")),
            ("registry.pod", "registry-pod.service", Some("systemd-registry")),
            ("data.volume", "data-volume.service", Some("systemd-data")),
            ("front.network", "front-network.service", Some("systemd-front")),
            ("app.image", "app-image.service", None),
            ("app.build", "app-build.service", None),
            ("stack.kube", "stack.service", None),
            ("a.b.container", "a.b.service", Some("systemd-a.b")),
            ("data@.volume", "data-volume@.service", None),
            ("data@a.volume", "data@a-volume.service", None),
            ("web@.container", "web@.service", None),
        ] {
            let quadlet: QuadletName = name.parse().unwrap();
            assert_eq!(quadlet.to_string(), name);
            assert_eq!((quadlet.service().as_str(), quadlet.resource().as_deref()), (service, resource), "{name}");
        }
    }

    #[test]
    fn drop_ins_are_looked_for_from_the_narrow_to_the_wide() {
        for (name, directories) in [
            ("app.container", &["app.container.d", "container.d"][..]),
            ("a-b-c.pod", &["a-b-c.pod.d", "a-b-.pod.d", "a-.pod.d", "pod.d"]),
            ("w-x@.volume", &["w-x@.volume.d", "w-@.volume.d", "w-.volume.d", "volume.d"]),
            ("w@a-b.volume", &["w@a-b.volume.d", "w@.volume.d", "volume.d"]),
        ] {
            assert_eq!(name.parse::<QuadletName>().unwrap().drop_in_directories(), directories, "{name}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for name in ["registry.service", "registry", ".container", "app.artifact", ""] {
            assert_eq!(name.parse::<QuadletName>(), Err(QuadletNameError::Extension { name: name.to_owned() }));
        }
        let error = "my app.container".parse::<QuadletName>().unwrap_err();
        assert_eq!(error.to_string(), r#"Quadlet file "my app.container" makes no valid service"#);
        assert!(QuadletName::service_named("front").is_ok());
    }
}
