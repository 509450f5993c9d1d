//! The fields that the kinds of podman's units share, for the reference.

use crate::resource::Field;

pub(crate) const DESCRIPTION: Field =
    Field { name: "description", takes: "text", required: false, doc: "What systemctl and the journal call it." };
pub(crate) const PODMAN_NAME: Field = Field {
    name: "podman_name",
    takes: "name",
    required: false,
    doc: "What podman calls it; \"systemd-\" and the file's name without it.",
};
pub(crate) const FILE_NAME: Field = Field {
    name: "file_name",
    takes: "text",
    required: false,
    doc: "The file's name without its type, which also names the unit; the resource's own name without it.",
};
pub(crate) const INSTANCES: Field = Field {
    name: "instances",
    takes: "list of text",
    required: false,
    doc: "Of a template (`file_name` ends in \"@\"): instances that are there by a link each, so that they start at boot and may have drop-ins of their own. Others run all the same when a service names them.",
};
pub(crate) const DIRECTORY: Field = Field {
    name: "directory",
    takes: "path",
    required: false,
    doc: "Where the file stands; without it \"/etc/containers/systemd\", or of a user \"~/.config/containers/systemd\". Outside of podman's own directories no unit is made of it.",
};
pub(crate) const OPTIONS: Field = Field {
    name: "options",
    takes: "table",
    required: false,
    doc: "Every other key of its own section, spelled as podman-systemd.unit(5) has it; a key that repeats has a list. Values are taken as they are.",
};
pub(crate) const UNIT: Field =
    Field { name: "unit", takes: "table", required: false, doc: "Keys of [Unit], as they are." };
pub(crate) const SERVICE: Field =
    Field { name: "service", takes: "table", required: false, doc: "Keys of [Service], as they are." };
pub(crate) const INSTALL: Field = Field {
    name: "install",
    takes: "table",
    required: false,
    doc: "Keys of [Install], as they are. What runs has WantedBy = default.target without it; an empty list turns that off.",
};
pub(crate) const QUADLET: Field = Field {
    name: "quadlet",
    takes: "table",
    required: false,
    doc: "Keys of [Quadlet], as they are. With DefaultDependencies = false nothing waits for the network.",
};
pub(crate) const PUBLISH: Field = Field {
    name: "publish",
    takes: "list of ADDRESS:HOSTPORT:PORT[/PROTOCOL]",
    required: false,
    doc: "Ports of the host that lead in, each with the address it is bound to: \"0.0.0.0:8443:8443\" for IPv4, \"[::]:8443:8443\" for IPv6, \"*:8443:8443\" for both. Two mappings of one port are not for both: on a network with IPv6 each stop leaves rules of the firewall behind, and clients land nowhere after a few.",
};
pub(crate) const VOLUMES: Field = Field {
    name: "volumes",
    takes: "list of SOURCE:TARGET[:OPTIONS]",
    required: false,
    doc: "Paths of the host, volumes of the plan (\"data.volume:/data\") and podman's own by name, and where they are seen inside. What the plan puts at or below such a path is used: it restarts when that changes.",
};
pub(crate) const NETWORKS: Field = Field {
    name: "networks",
    takes: "list of text",
    required: false,
    doc: "Networks of the plan (\"front.network\"), podman's own by name, or a mode such as \"host\".",
};
