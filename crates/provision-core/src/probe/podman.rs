//! Which podman a host has, found out without a trace.
//!
//! `podman --version` is no way to ask: without root it makes directories where it has none yet. Its generator tells the
//! same since 4.5 and touches nothing; it is part of the same package. A host without one is told to have too old a
//! podman by whatever is read-only there: podman itself as root, the package manager's database otherwise.

use super::PodmanState;

pub(super) const PODMAN: &str = r#"
podman_found() {
  say podman
  if generator_found system || generator_found user; then
    if r=$(limited 20 "$generator" --version </dev/null 2>&1); then :
    # 4.4 has no such option.
    else case $r in *'not defined'*) r=4.4.0 ;; esac; fi
    printf 'generator %s' "$r"
  elif command -v podman >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then r=$(limited 20 podman --version </dev/null 2>&1)
    else r=$(dpkg-query -W -f '${Version}' podman </dev/null 2>/dev/null || rpm -q --qf '%{VERSION}' podman </dev/null 2>/dev/null) || r=; fi
    printf 'none %s' "$r"
  else printf absent
  fi
}
"#;

/// Reads what `podman_found` printed.
pub(super) fn read(text: &str) -> Result<PodmanState, String> {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    // A package may have an epoch in front: `2:4.3.1`.
    let version = || rest.rsplit(':').next().unwrap_or(rest).parse();
    match word {
        "absent" => Ok(PodmanState::Absent),
        "none" => Ok(PodmanState::WithoutQuadlet(version().ok())),
        "generator" => version()
            .map(PodmanState::Present)
            .map_err(|_| format!("podman's generator answered {rest:?} for its version")),
        _ => Err(format!("the host answered {text:?} for podman's version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quadlet::PodmanVersion;

    #[test]
    fn what_a_host_says_of_podman_is_read() {
        let four = PodmanVersion::new(4, 3, 1);
        for (text, state) in [
            ("absent", PodmanState::Absent),
            ("generator 5.4.2\n", PodmanState::Present(PodmanVersion::new(5, 4, 2))),
            ("generator 6.0.0-dev", PodmanState::Present(PodmanVersion::new(6, 0, 0))),
            ("none podman version 4.3.1", PodmanState::WithoutQuadlet(Some(four))),
            ("none 2:4.3.1+ds1-8+deb12u1", PodmanState::WithoutQuadlet(Some(four))),
            ("none ", PodmanState::WithoutQuadlet(None)),
        ] {
            assert_eq!(read(text), Ok(state), "{text}");
        }
        for text in ["", "generator Segmentation fault", "x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
