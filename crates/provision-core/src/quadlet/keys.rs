//! Owns the table of keys: which section knows which key, since when, and how podman reads its value.
//!
//! Taken from the lists of supported keys in `pkg/systemd/quadlet/quadlet.go` at every release from 4.4.0 to 5.8.2 and
//! of the 6.0 development tree. No key was ever taken back. A key that is no longer documented is marked deprecated.

use Shape::{Arguments, Assignments, Boolean, Command, Lines, Number, Text, Words};

use super::{PodmanVersion, QuadletType};

/// One key of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name; keys differ by case.
    pub name: &'static str,
    /// The first podman that knows it. An older one refuses the whole file.
    pub since: PodmanVersion,
    /// How podman reads the value.
    pub shape: Shape,
    /// The first podman that takes every value of a repeated key; for others the last one counts, silently.
    pub repeatable_since: Option<PodmanVersion>,
    /// Podman reads it, but no longer documents it.
    pub deprecated: bool,
}

/// How podman reads a key's value, which decides what has to be quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The value as it is, a pair of double quotes around it dropped. The last one counts.
    Text,
    /// `1`, `yes`, `true` or `on`; anything else is false. The last one counts.
    Boolean,
    /// A number. The last one counts.
    Number,
    /// The value as it is, quotes included; may be repeated.
    Lines,
    /// Split at blanks, quotes resolved, backslashes kept: [`crate::systemd::split_verbatim`]; may be repeated.
    Words,
    /// Split at blanks, quotes and escapes resolved: [`crate::systemd::split_words`]; may be repeated.
    Arguments,
    /// Like [`Shape::Arguments`], each being `NAME=VALUE`, a name counting once; may be repeated.
    Assignments,
    /// A command line, split like [`Shape::Arguments`]. The last one counts.
    Command,
}

impl Shape {
    const fn repeatable(self) -> bool {
        matches!(self, Lines | Words | Arguments | Assignments)
    }
}

/// Settings in `[Service]` that podman 5.6 and later warn of: the container would not run as that user.
pub const UNSUPPORTED_SERVICE_KEYS: [&str; 3] = ["User", "Group", "DynamicUser"];

/// A key of a type's own section, spelled exactly.
#[must_use]
pub fn key(quadlet_type: QuadletType, name: &str) -> Option<&'static Key> {
    keys(quadlet_type).iter().find(|key| key.name == name)
}

/// A key of the section `[Quadlet]`, spelled exactly.
#[must_use]
pub fn quadlet_key(name: &str) -> Option<&'static Key> {
    QUADLET.iter().find(|key| key.name == name)
}

/// Every key of a type's own section, sorted without regard to case.
#[must_use]
pub fn keys(quadlet_type: QuadletType) -> &'static [Key] {
    match quadlet_type {
        QuadletType::Container => CONTAINER,
        QuadletType::Pod => POD,
        QuadletType::Volume => VOLUME,
        QuadletType::Network => NETWORK,
        QuadletType::Image => IMAGE,
        QuadletType::Build => BUILD,
        QuadletType::Kube => KUBE,
    }
}

/// The key that was probably meant by a name that is none; absent when nothing is near.
#[must_use]
pub fn nearest(quadlet_type: QuadletType, name: &str) -> Option<&'static str> {
    // A third of the letters wrong is still a slip of the pen, more is another word.
    let limit = (name.chars().count() / 3).max(1);
    let lower = name.to_lowercase();
    let distance = |key: &&'static Key| strsim::damerau_levenshtein(&key.name.to_lowercase(), &lower);
    let candidates = keys(quadlet_type).iter().filter(|key| !key.deprecated);
    candidates.min_by_key(distance).filter(|key| distance(key) <= limit).map(|key| key.name)
}

const fn known(name: &'static str, major: u16, minor: u16, shape: Shape) -> Key {
    let since = PodmanVersion::new(major, minor, 0);
    let repeatable_since = if shape.repeatable() { Some(since) } else { None };
    Key { name, since, shape, repeatable_since, deprecated: false }
}

impl Key {
    const fn repeatable_since(mut self, major: u16, minor: u16) -> Self {
        self.repeatable_since = Some(PodmanVersion::new(major, minor, 0));
        self
    }

    const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

const QUADLET: &[Key] = &[known("DefaultDependencies", 5, 3, Boolean)];

const CONTAINER: &[Key] = &[
    known("AddCapability", 4, 4, Words),
    known("AddDevice", 4, 4, Words),
    known("AddHost", 5, 3, Lines),
    known("Annotation", 4, 4, Assignments),
    known("AppArmor", 5, 8, Text),
    known("AutoUpdate", 4, 6, Text),
    known("CgroupsMode", 5, 3, Text),
    known("ContainerName", 4, 4, Text),
    known("ContainersConfModule", 4, 8, Lines),
    known("DNS", 4, 7, Lines),
    known("DNSOption", 4, 7, Lines),
    known("DNSSearch", 4, 7, Lines),
    known("DropCapability", 4, 4, Words),
    known("Entrypoint", 5, 0, Text),
    known("Environment", 4, 4, Assignments),
    known("EnvironmentFile", 4, 4, Arguments),
    known("EnvironmentHost", 4, 4, Boolean),
    known("Exec", 4, 4, Command),
    known("ExposeHostPort", 4, 4, Lines),
    known("GIDMap", 4, 8, Words),
    known("GlobalArgs", 4, 8, Arguments),
    known("Group", 4, 4, Text),
    known("GroupAdd", 5, 1, Lines),
    known("HealthCmd", 4, 5, Text),
    known("HealthInterval", 4, 5, Text),
    known("HealthLogDestination", 5, 3, Text),
    known("HealthMaxLogCount", 5, 3, Text),
    known("HealthMaxLogSize", 5, 3, Text),
    known("HealthOnFailure", 4, 5, Text),
    known("HealthRetries", 4, 5, Text),
    known("HealthStartPeriod", 4, 5, Text),
    known("HealthStartupCmd", 4, 5, Text),
    known("HealthStartupInterval", 4, 5, Text),
    known("HealthStartupRetries", 4, 5, Text),
    known("HealthStartupSuccess", 4, 5, Text),
    known("HealthStartupTimeout", 4, 5, Text),
    known("HealthTimeout", 4, 5, Text),
    known("HostName", 4, 6, Text),
    known("HttpProxy", 5, 7, Boolean),
    known("Image", 4, 4, Text),
    known("IP", 4, 5, Text),
    known("IP6", 4, 5, Text),
    known("Label", 4, 4, Assignments),
    known("LogDriver", 4, 5, Text),
    known("LogOpt", 5, 2, Words),
    known("Mask", 4, 6, Arguments),
    known("Memory", 5, 5, Text),
    known("Mount", 4, 5, Arguments),
    known("Network", 4, 4, Lines),
    known("NetworkAlias", 5, 2, Lines),
    known("NoNewPrivileges", 4, 4, Boolean),
    known("Notify", 4, 4, Text),
    known("PidsLimit", 4, 7, Text),
    known("Pod", 5, 0, Text),
    known("PodmanArgs", 4, 4, Arguments),
    known("PublishPort", 4, 4, Lines),
    known("Pull", 4, 6, Text),
    known("ReadOnly", 4, 4, Boolean),
    known("ReadOnlyTmpfs", 4, 8, Boolean),
    known("ReloadCmd", 5, 5, Command),
    known("ReloadSignal", 5, 5, Text),
    known("RemapGid", 4, 4, Words).deprecated(),
    known("RemapUid", 4, 4, Words).deprecated(),
    known("RemapUidSize", 4, 4, Number).deprecated(),
    known("RemapUsers", 4, 4, Text).deprecated(),
    known("Retry", 5, 5, Text),
    known("RetryDelay", 5, 5, Text),
    known("Rootfs", 4, 5, Text),
    known("RunInit", 4, 4, Boolean),
    known("SeccompProfile", 4, 4, Text),
    known("Secret", 4, 5, Arguments),
    known("SecurityLabelDisable", 4, 5, Boolean),
    known("SecurityLabelFileType", 4, 5, Text),
    known("SecurityLabelLevel", 4, 5, Text),
    known("SecurityLabelNested", 4, 6, Boolean),
    known("SecurityLabelType", 4, 5, Text),
    known("ServiceName", 5, 3, Text),
    known("ShmSize", 4, 7, Text),
    known("StartWithPod", 5, 3, Boolean),
    known("StopSignal", 5, 2, Text),
    known("StopTimeout", 5, 0, Text),
    known("SubGIDMap", 4, 8, Text),
    known("SubUIDMap", 4, 8, Text),
    known("Sysctl", 4, 6, Words),
    known("Timezone", 4, 4, Text),
    known("Tmpfs", 4, 5, Lines),
    known("UIDMap", 4, 8, Words),
    known("Ulimit", 4, 7, Lines).repeatable_since(5, 0),
    known("Unmask", 4, 6, Arguments),
    known("User", 4, 4, Text),
    known("UserNS", 4, 5, Text),
    known("VolatileTmp", 4, 4, Boolean).deprecated(),
    known("Volume", 4, 4, Lines),
    known("WorkingDir", 4, 6, Text),
];

const POD: &[Key] = &[
    known("AddHost", 5, 3, Lines),
    known("ContainersConfModule", 5, 0, Lines),
    known("DNS", 5, 3, Lines),
    known("DNSOption", 5, 3, Lines),
    known("DNSSearch", 5, 3, Lines),
    known("ExitPolicy", 5, 6, Text),
    known("GIDMap", 5, 3, Words),
    known("GlobalArgs", 5, 0, Arguments),
    known("HostName", 5, 5, Lines),
    known("IP", 5, 3, Text),
    known("IP6", 5, 3, Text),
    known("Label", 5, 6, Assignments),
    known("Network", 5, 0, Lines),
    known("NetworkAlias", 5, 2, Lines),
    known("PodmanArgs", 5, 0, Arguments),
    known("PodName", 5, 0, Text),
    known("PublishPort", 5, 0, Lines),
    known("RemapGid", 5, 3, Words).deprecated(),
    known("RemapUid", 5, 3, Words).deprecated(),
    known("RemapUidSize", 5, 3, Number).deprecated(),
    known("RemapUsers", 5, 3, Text).deprecated(),
    known("ServiceName", 5, 3, Text),
    known("ShmSize", 5, 4, Text),
    known("StopTimeout", 5, 7, Text),
    known("SubGIDMap", 5, 3, Text),
    known("SubUIDMap", 5, 3, Text),
    known("UIDMap", 5, 3, Words),
    known("UserNS", 5, 3, Text),
    known("Volume", 5, 0, Lines),
];

const VOLUME: &[Key] = &[
    known("ContainersConfModule", 4, 8, Lines),
    known("Copy", 4, 4, Boolean),
    known("Device", 4, 4, Text),
    known("Driver", 4, 8, Text),
    known("GID", 6, 0, Text),
    known("GlobalArgs", 4, 8, Arguments),
    known("Group", 4, 4, Number),
    known("Image", 4, 8, Text),
    known("Label", 4, 4, Assignments),
    known("Options", 4, 4, Text),
    known("PodmanArgs", 4, 6, Arguments),
    known("ServiceName", 5, 3, Text),
    known("Type", 4, 4, Text),
    known("UID", 6, 0, Text),
    known("User", 4, 4, Number),
    known("VolumeName", 4, 7, Text),
];

const NETWORK: &[Key] = &[
    known("ContainersConfModule", 4, 8, Lines),
    known("DisableDNS", 4, 4, Boolean),
    known("DNS", 4, 7, Lines),
    known("Driver", 4, 4, Text),
    known("Gateway", 4, 4, Lines),
    known("GlobalArgs", 4, 8, Arguments),
    known("InterfaceName", 5, 6, Text),
    known("Internal", 4, 4, Boolean),
    known("IPAMDriver", 4, 4, Text),
    known("IPRange", 4, 4, Lines),
    known("IPv6", 4, 4, Boolean),
    known("Label", 4, 4, Assignments),
    known("NetworkDeleteOnStop", 5, 5, Boolean),
    known("NetworkName", 4, 7, Text),
    known("Options", 4, 4, Assignments),
    known("PodmanArgs", 4, 6, Arguments),
    known("ServiceName", 5, 3, Text),
    known("Subnet", 4, 4, Lines),
];

const IMAGE: &[Key] = &[
    known("AllTags", 4, 8, Boolean),
    known("Arch", 4, 8, Text),
    known("AuthFile", 4, 8, Text),
    known("CertDir", 4, 8, Text),
    known("ContainersConfModule", 4, 8, Lines),
    known("Creds", 4, 8, Text),
    known("DecryptionKey", 4, 8, Text),
    known("GlobalArgs", 4, 8, Arguments),
    known("Image", 4, 8, Text),
    known("ImageTag", 4, 8, Text),
    known("OS", 4, 8, Text),
    known("PodmanArgs", 4, 8, Arguments),
    known("Policy", 5, 6, Text),
    known("Retry", 5, 5, Text),
    known("RetryDelay", 5, 5, Text),
    known("ServiceName", 5, 3, Text),
    known("TLSVerify", 4, 8, Boolean),
    known("Variant", 4, 8, Text),
];

const BUILD: &[Key] = &[
    known("Annotation", 5, 2, Assignments),
    known("Arch", 5, 2, Text),
    known("AuthFile", 5, 2, Text),
    known("BuildArg", 5, 7, Assignments),
    known("ContainersConfModule", 5, 2, Lines),
    known("DNS", 5, 2, Lines),
    known("DNSOption", 5, 2, Lines),
    known("DNSSearch", 5, 2, Lines),
    known("Environment", 5, 2, Assignments),
    known("File", 5, 2, Text),
    known("ForceRM", 5, 2, Boolean),
    known("GlobalArgs", 5, 2, Arguments),
    known("GroupAdd", 5, 2, Lines),
    known("IgnoreFile", 5, 7, Text),
    known("ImageTag", 5, 2, Lines).repeatable_since(5, 3),
    known("Label", 5, 2, Assignments),
    known("Network", 5, 2, Lines),
    known("PodmanArgs", 5, 2, Arguments),
    known("Pull", 5, 2, Text),
    known("Retry", 5, 5, Text),
    known("RetryDelay", 5, 5, Text),
    known("Secret", 5, 2, Arguments),
    known("ServiceName", 5, 3, Text),
    known("SetWorkingDirectory", 5, 2, Text),
    known("Target", 5, 2, Text),
    known("TLSVerify", 5, 2, Boolean),
    known("Variant", 5, 2, Text),
    known("Volume", 5, 2, Lines),
];

const KUBE: &[Key] = &[
    known("AutoUpdate", 4, 7, Words),
    known("ConfigMap", 4, 4, Words),
    known("ContainersConfModule", 4, 8, Lines),
    known("ExitCodePropagation", 4, 6, Text),
    known("GlobalArgs", 4, 8, Arguments),
    known("KubeDownForce", 4, 8, Boolean),
    known("LogDriver", 4, 5, Text),
    known("LogOpt", 5, 2, Words),
    known("Network", 4, 4, Lines),
    known("PodmanArgs", 4, 6, Arguments),
    known("PublishPort", 4, 4, Lines),
    known("RemapGid", 4, 4, Words).deprecated(),
    known("RemapUid", 4, 4, Words).deprecated(),
    known("RemapUidSize", 4, 4, Number).deprecated(),
    known("RemapUsers", 4, 4, Text).deprecated(),
    known("ServiceName", 5, 3, Text),
    known("SetWorkingDirectory", 4, 7, Text),
    known("UserNS", 4, 5, Text),
    known("Yaml", 4, 4, Words).repeatable_since(5, 7),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sorted_and_names_each_key_once() {
        for quadlet_type in QuadletType::ALL {
            let names: Vec<String> = keys(quadlet_type).iter().map(|key| key.name.to_lowercase()).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{quadlet_type:?}");
            for key in keys(quadlet_type) {
                assert!(key.since >= quadlet_type.since(), "{}", key.name);
                assert!(key.repeatable_since.is_none_or(|since| since >= key.since), "{}", key.name);
            }
        }
    }

    #[test]
    fn tables_have_as_many_keys_as_podman() {
        let counts = QuadletType::ALL.map(|quadlet_type| keys(quadlet_type).len());
        assert_eq!(counts, [94, 29, 16, 18, 18, 28, 19]);
    }

    #[test]
    fn keys_know_their_version_and_repetition() {
        let version = |major, minor| PodmanVersion::new(major, minor, 0);
        for (quadlet_type, name, since, repeatable_since) in [
            (QuadletType::Container, "Image", version(4, 4), None),
            (QuadletType::Container, "Volume", version(4, 4), Some(version(4, 4))),
            (QuadletType::Container, "AddHost", version(5, 3), Some(version(5, 3))),
            (QuadletType::Container, "Ulimit", version(4, 7), Some(version(5, 0))),
            (QuadletType::Kube, "Yaml", version(4, 4), Some(version(5, 7))),
            (QuadletType::Volume, "UID", version(6, 0), None),
        ] {
            let key = key(quadlet_type, name).unwrap();
            assert_eq!((key.since, key.repeatable_since), (since, repeatable_since), "{name}");
        }
        assert_eq!(key(QuadletType::Container, "image"), None);
        assert_eq!(key(QuadletType::Network, "Image"), None);
        assert_eq!(quadlet_key("DefaultDependencies").map(|key| key.shape), Some(Boolean));
    }

    #[test]
    fn nearest_key_is_found_or_nothing_is() {
        for (name, expected) in [
            ("image", Some("Image")),
            ("Volumes", Some("Volume")),
            ("PublishPorts", Some("PublishPort")),
            ("Enviroment", Some("Environment")),
            ("Hostname", Some("HostName")),
            ("VolatileTm", None),
            ("RestartPolicy", None),
            ("", None),
        ] {
            assert_eq!(nearest(QuadletType::Container, name), expected, "{name}");
        }
    }
}
