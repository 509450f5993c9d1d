//! Whether a host's podman can make units of a file: its version against what the file needs.

use crate::probe::{Answers, PodmanState, Undecided};
use crate::quadlet::{Need, PodmanVersion, QUADLET_SINCE};
use crate::resource::Context;

/// Says what of a file the host's podman does not know, before anything is touched. Where a command or a package comes
/// before that may bring another podman nobody can know: then its generator is tried at the file's turn.
pub(crate) fn check(needs: &[Need], answers: &Answers, context: &Context<'_>) -> Result<(), Undecided> {
    match lack(needs, *answers.podman()?) {
        Some(lack) if !context.command_pending() => Err(lack),
        _ => Ok(()),
    }
}

fn lack(needs: &[Need], found: PodmanState) -> Option<Undecided> {
    let first = || needs.first().map_or_else(String::new, |need| format!(": {need}"));
    let newest = needs.iter().map(|need| need.since).max().unwrap_or(QUADLET_SINCE);
    let (message, help) = match found {
        PodmanState::Present(version) => {
            let unknown: Vec<&Need> = needs.iter().filter(|need| need.since > version).collect();
            if unknown.is_empty() {
                return None;
            }
            let unknown: Vec<String> = unknown.into_iter().map(ToString::to_string).collect();
            let message = format!("{}; the host has {version}", unknown.join(", "));
            (message, format!("install podman {} or newer there, or do without it", newest.release()))
        }
        PodmanState::WithoutQuadlet(version) => {
            let help = format!("install podman {} or newer there", newest.release());
            match version {
                Some(version) if version < QUADLET_SINCE => {
                    (format!("podman {version} on this host is from before Quadlet{}", first()), help)
                }
                Some(version) => {
                    (format!("podman {version} on this host lacks its unit generator"), GENERATOR.to_owned())
                }
                None => (
                    format!(
                        "podman on this host has no unit generator, so that it is probably from before Quadlet{}",
                        first()
                    ),
                    help,
                ),
            }
        }
        PodmanState::Absent => (
            format!("there is no podman on this host{}", first()),
            format!(
                "install podman {} or newer there; or let the plan have the package, or what else brings it in `after`",
                newest.release()
            ),
        ),
    };
    Some(Undecided::with_help(message, help))
}

const GENERATOR: &str = "install the whole package: it brings podman-system-generator and podman-user-generator";

/// The podman that a made-up host has unless a test says otherwise: the newest that is documented.
pub(crate) const NEWEST: PodmanVersion = PodmanVersion::new(5, 8, 2);

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Vec<Need> {
        let need =
            |what: &str, major, minor| Need { what: what.to_owned(), since: PodmanVersion::new(major, minor, 0) };
        vec![need("a .container", 4, 4), need("the key `Memory` of [Container]", 5, 5), need("a template", 5, 0)]
    }

    #[test]
    fn what_is_lacking_is_said_with_the_version_found_and_the_one_needed() {
        let present = |major, minor, patch| PodmanState::Present(PodmanVersion::new(major, minor, patch));
        let before = |version| PodmanState::WithoutQuadlet(version);
        for (found, message, help) in [
            (
                present(5, 4, 2),
                "the key `Memory` of [Container] needs podman 5.5; the host has 5.4.2",
                "install podman 5.5 or newer there, or do without it",
            ),
            (
                present(4, 9, 4),
                "the key `Memory` of [Container] needs podman 5.5, a template needs podman 5.0; the host has 4.9.4",
                "install podman 5.5 or newer there, or do without it",
            ),
            (
                before(Some(PodmanVersion::new(4, 3, 1))),
                "podman 4.3.1 on this host is from before Quadlet: a .container needs podman 4.4",
                "install podman 5.5 or newer there",
            ),
            (
                before(Some(PodmanVersion::new(5, 4, 2))),
                "podman 5.4.2 on this host lacks its unit generator",
                GENERATOR,
            ),
            (
                before(None),
                "podman on this host has no unit generator, so that it is probably from before Quadlet: a .container needs podman 4.4",
                "install podman 5.5 or newer there",
            ),
            (
                PodmanState::Absent,
                "there is no podman on this host: a .container needs podman 4.4",
                "install podman 5.5 or newer there; or let the plan have the package, or what else brings it in `after`",
            ),
        ] {
            let lack = lack(&needs(), found).unwrap();
            assert_eq!((lack.message.as_str(), lack.help.as_deref()), (message, Some(help)));
        }
        assert_eq!(lack(&needs(), present(5, 5, 0)), None);
    }
}
