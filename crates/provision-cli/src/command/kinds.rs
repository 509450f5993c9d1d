//! `provision kinds`: the reference.

use provision_core::plan::problem::suggest;
use provision_core::resource::{KINDS, kind, quadlet_type};

use super::Outcome;
use crate::args;
use crate::error::Error;
use crate::view::{View, human, json};

/// Lists all kinds, or shows one.
pub fn run(arguments: &args::Kinds, view: &View) -> Result<Outcome, Vec<Error>> {
    let Some(name) = &arguments.kind else {
        view.show(&human::kinds::list(KINDS, view.blank()));
        return Ok(Outcome::success(view.body(|| json::kinds(KINDS))));
    };
    let Some(kind) = kind(name) else {
        let help = suggest(name, KINDS.iter().map(|kind| kind.name));
        return Err(vec![Error::usage(format!("there is no kind `{name}`"), help)]);
    };
    if arguments.keys {
        let Some(quadlet_type) = quadlet_type(kind) else {
            let help = "`--keys` goes with a kind that is a file of Quadlet's: container, pod, volume, network, image_unit, build, kube";
            return Err(vec![Error::usage(format!("`{name}` has no keys of podman's"), help)]);
        };
        view.show(&human::kinds::keys(quadlet_type, view.blank()));
        return Ok(Outcome::success(view.body(|| json::quadlet_keys(quadlet_type))));
    }
    view.show(&human::kinds::one(kind, view.blank()));
    Ok(Outcome::success(view.body(|| json::kinds(&[kind]))))
}
