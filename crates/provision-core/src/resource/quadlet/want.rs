//! From what a Quadlet file refers to, to what its resource wants.

use crate::image_reference::ImageReference;
use crate::path::AbsPath;
use crate::quadlet::Reference;
use crate::resource::secret::secret;
use crate::resource::{Target, Thing, Want};
use crate::systemd::{Managed, Manager};

/// What a reference asks of the plan. Volumes, networks and containers that are named and not made by a file are the
/// host's own, and so is a secret that no resource of the plan makes.
pub(crate) fn want(reference: Reference, directory: &AbsPath, manager: &Manager) -> Option<Want> {
    let tree = |path: AbsPath| (path != AbsPath::root()).then(|| Want::uses(Target::Tree(path)));
    match reference {
        Reference::Unit(name) => Some(match name.stem().split_once('@') {
            // An instance is made of its template, by a link or by hand.
            Some((prefix, instance)) if !instance.is_empty() => {
                let template = format!("{prefix}@.{}", name.quadlet_type().extension());
                Want::uses(Target::Thing(Thing::Quadlet(Managed::new(manager, template))))
            }
            _ => Want::uses(Target::Thing(Thing::Quadlet(Managed::new(manager, name.to_string())))).required(),
        }),
        Reference::HostPath(path) => tree(path.parse().ok()?),
        Reference::UnitRelativePath(path) => tree(below(directory, &path)?),
        Reference::Image(name) => {
            let name: ImageReference = name.parse().ok()?;
            let name = Managed::new(manager, name.stored_name().to_string());
            Some(Want::uses(Target::Thing(Thing::Image(name))))
        }
        Reference::Secret(name) => Some(Want::uses(Target::Thing(secret(manager, &name)))),
        Reference::Volume(_) | Reference::Network(_) | Reference::Container(_) => None,
    }
}

/// A path that starts at a directory.
fn below(directory: &AbsPath, path: &str) -> Option<AbsPath> {
    path.split('/').try_fold(directory.clone(), |at, part| match part {
        "" | "." => Some(at),
        ".." => Some(at.parent().unwrap_or(at)),
        part => at.join(part).ok(),
    })
}
