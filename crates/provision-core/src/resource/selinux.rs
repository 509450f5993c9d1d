//! What the kinds of SELinux's share: what is said of a host that cannot do it. Not a kind.

use crate::knob::selinux::{NOWHERE, TOOLLESS};
use crate::probe::Undecided;
use crate::resource::{Context, Want, package};

/// The packages that bring the tools, as Fedora and Red Hat call them.
const PACKAGES: [&str; 3] = ["policycoreutils", "policycoreutils-python-utils", "libselinux-utils"];

/// What a host must have before anything of SELinux can be set.
pub(crate) fn wants() -> Vec<Want> {
    PACKAGES.into_iter().map(package::want).collect()
}

/// Whether anything can be said of a state: not where the tools are yet to come with a package.
///
/// # Errors
/// When the host has no SELinux, or lacks a tool that nothing brings.
pub(crate) fn is_known(state: &str, context: &Context<'_>) -> Result<bool, Undecided> {
    if state == NOWHERE {
        return Err(Undecided::with_help(
            "there is no SELinux on the host, or it is disabled",
            "leave the resource out there, with when = \"fact.selinux != 'disabled'\"; or enable SELinux: \
             SELINUX=permissive in /etc/selinux/config, touch /.autorelabel, and reboot",
        ));
    }
    let Some(tool) = state.strip_prefix(TOOLLESS) else { return Ok(true) };
    if context.command_pending() {
        return Ok(false);
    }
    let tool = tool.trim();
    let package = match tool {
        "getsebool" => "libselinux-utils",
        "semanage" => "policycoreutils-python-utils",
        _ => "policycoreutils",
    };
    Err(Undecided::with_help(
        format!("the host has SELinux, but no {tool}"),
        format!("install the package {package} there, or let the plan have it"),
    ))
}
