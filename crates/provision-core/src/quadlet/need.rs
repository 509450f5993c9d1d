//! Owns what of a Quadlet file needs which podman.

use std::collections::BTreeMap;
use std::fmt;

use super::{PodmanVersion, QUADLET_SECTION, QuadletName, QuadletType, key, quadlet_key};
use crate::systemd::{Section, UnitFile};

/// The first podman with Quadlet.
pub const QUADLET_SINCE: PodmanVersion = PodmanVersion::new(4, 4, 0);
/// The first podman that reads templates (`worker@.container`) and their instances.
const TEMPLATES_SINCE: PodmanVersion = PodmanVersion::new(5, 0, 0);
/// The first podman that reads drop-ins of a file: `registry.container.d/10-x.conf`.
const DROP_INS_SINCE: PodmanVersion = PodmanVersion::new(5, 0, 0);
/// The first podman that reads drop-ins of all files of a type, or of all whose names start alike.
const WIDE_DROP_INS_SINCE: PodmanVersion = PodmanVersion::new(5, 2, 0);

/// Something in a file that not every podman with Quadlet knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What it is: ``the key `Memory` of [Container]``.
    pub what: String,
    /// The first podman that knows it.
    pub since: PodmanVersion,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs podman {}", self.what, self.since.release())
    }
}

/// What a file of this name needs, with its content. The file's type comes first, then what needs more than that does.
#[must_use]
pub fn needs(name: &QuadletName, file: &UnitFile) -> Vec<Need> {
    let of_type = of_type(name.quadlet_type());
    let mut needs = vec![of_type.clone()];
    if name.stem().contains('@') {
        needs.push(Need { what: "a template".to_owned(), since: TEMPLATES_SINCE });
    }
    needs.extend(needs_of_keys(name.quadlet_type(), file));
    beyond(needs, &of_type)
}

/// What a drop-in needs, with its content, for files of a type; `wide` says that it is for more than one file.
#[must_use]
pub fn needs_of_drop_in(quadlet_type: QuadletType, wide: bool, file: &UnitFile) -> Vec<Need> {
    let of_type = of_type(quadlet_type);
    let own = if wide {
        Need { what: "a drop-in for more than one file".to_owned(), since: WIDE_DROP_INS_SINCE }
    } else {
        Need { what: "a drop-in".to_owned(), since: DROP_INS_SINCE }
    };
    let keys = needs_of_keys(quadlet_type, file);
    beyond([of_type.clone(), own].into_iter().chain(keys).collect(), &of_type)
}

fn of_type(quadlet_type: QuadletType) -> Need {
    Need { what: format!("a .{}", quadlet_type.extension()), since: quadlet_type.since() }
}

/// Without those that come with the type.
fn beyond(needs: Vec<Need>, of_type: &Need) -> Vec<Need> {
    needs
        .into_iter()
        .enumerate()
        .filter(|(at, need)| *at == 0 || need.since > of_type.since)
        .map(|(_, need)| need)
        .collect()
}

fn needs_of_keys(quadlet_type: QuadletType, file: &UnitFile) -> Vec<Need> {
    let section = quadlet_type.section();
    let mut needs = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in file.section(section).into_iter().flat_map(Section::entries) {
        let Some(key) = key(quadlet_type, entry.key()) else { continue };
        let count = seen.entry(key.name).or_default();
        *count += 1;
        match (*count, key.repeatable_since) {
            (1, _) => needs.push(Need { what: format!("the key `{}` of [{section}]", key.name), since: key.since }),
            // An older one passes over all but the last, silently.
            (2, Some(since)) if since > key.since => {
                needs.push(Need { what: format!("more than one `{}` in [{section}]", key.name), since });
            }
            _ => {}
        }
    }
    for entry in file.section(QUADLET_SECTION).into_iter().flat_map(Section::entries) {
        if let Some(key) = quadlet_key(entry.key()) {
            needs.push(Need { what: format!("the key `{}` of [{QUADLET_SECTION}]", key.name), since: key.since });
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(needs: &[Need]) -> Vec<String> {
        needs.iter().map(ToString::to_string).collect()
    }

    fn file(text: &str) -> UnitFile {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_as_old_as_its_type_needs_no_more_than_that() {
        let name = "a.container".parse().unwrap();
        let old = file("[Container]\nImage=x\nVolume=a:/a\nVolume=b:/b\n[Service]\nRestart=always\n");
        assert_eq!(shown(&needs(&name, &old)), ["a .container needs podman 4.4"]);
        let pod = file("[Pod]\nPublishPort=1\n");
        assert_eq!(shown(&needs(&"a.pod".parse().unwrap(), &pod)), ["a .pod needs podman 5.0"]);
    }

    #[test]
    fn keys_repetition_templates_and_drop_ins_need_theirs() {
        let new =
            file("[Container]\nImage=x\nMemory=1g\nUlimit=a\nUlimit=b\nUlimit=c\n[Quadlet]\nDefaultDependencies=no\n");
        assert_eq!(
            shown(&needs(&"a@.container".parse().unwrap(), &new)),
            [
                "a .container needs podman 4.4",
                "a template needs podman 5.0",
                "the key `Memory` of [Container] needs podman 5.5",
                "the key `Ulimit` of [Container] needs podman 4.7",
                "more than one `Ulimit` in [Container] needs podman 5.0",
                "the key `DefaultDependencies` of [Quadlet] needs podman 5.3",
            ]
        );
        let one = file("[Build]\nBuildArg=A=b\n");
        assert_eq!(
            shown(&needs_of_drop_in(QuadletType::Build, false, &one)),
            ["a .build needs podman 5.2", "the key `BuildArg` of [Build] needs podman 5.7"]
        );
        let empty = file("[Volume]\n");
        assert_eq!(
            shown(&needs_of_drop_in(QuadletType::Volume, true, &empty)),
            ["a .volume needs podman 4.4", "a drop-in for more than one file needs podman 5.2"]
        );
        assert_eq!(
            shown(&needs_of_drop_in(QuadletType::Volume, false, &empty)),
            ["a .volume needs podman 4.4", "a drop-in needs podman 5.0"]
        );
    }
}
