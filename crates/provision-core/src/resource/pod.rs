//! `pod`: a pod for containers that share a network, by a Quadlet file. A service of its unit starts, stops and restarts
//! it with all of its containers.

use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::quadlet::{
    DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, NETWORKS, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET, SERVICE, UNIT,
    VOLUMES,
};
use crate::resource::scope::SCOPE;
use crate::resource::{Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "pod",
    summary: "A pod for containers that share a network, by a Quadlet file.",
    fields: &[
        PUBLISH,
        VOLUMES,
        NETWORKS,
        DESCRIPTION,
        PODMAN_NAME,
        FILE_NAME,
        DIRECTORY,
        SCOPE,
        OPTIONS,
        UNIT,
        SERVICE,
        INSTALL,
        QUADLET,
    ],
    example: r#"
[pod.quay]
publish = ["0.0.0.0:8443:8443"]

[container.redis]
image = "registry.redhat.io/rhel8/redis-6:1"
pod = "quay.pod"

[container.app]
image = "registry.redhat.io/quay/quay-rhel8:v3.12.0"
pod = "quay.pod"
unit = { After = "redis.service", Requires = "redis.service" }

[service.quay]
unit = "{{ pod.quay.unit_name }}"
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Pod, fields, setup);
    draft.publish();
    draft.list(VOLUMES.name, "Volume");
    draft.list(NETWORKS.name, "Network");
    draft.options();
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}
