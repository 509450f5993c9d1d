//! `volume`: a volume of podman's, by a Quadlet file. It is made when the first container that uses it starts, and
//! neither changed nor removed afterwards.

use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::quadlet::{
    DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, INSTANCES, OPTIONS, PODMAN_NAME, QUADLET, SERVICE, UNIT,
};
use crate::resource::{Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "volume",
    summary: "A volume of podman's, by a Quadlet file.",
    fields: &[DESCRIPTION, PODMAN_NAME, FILE_NAME, INSTANCES, DIRECTORY, OPTIONS, UNIT, SERVICE, INSTALL, QUADLET],
    example: r#"
[volume.data]

[volume.scratch]
podman_name = "scratch"
options = { Driver = "local", Label = ["app=registry", "keep=no"] }
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Volume, fields, setup);
    draft.options();
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}
