//! Owns podman's version, as far as it decides what Quadlet understands.

use std::fmt;
use std::str::FromStr;

/// A version of podman. What follows the numbers (`-dev`, `-rhel`, `+ds1`) is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodmanVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

/// Why text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no podman version such as 5.4.2")]
pub struct PodmanVersionError {
    text: String,
}

impl PodmanVersion {
    /// Makes a version of its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// As people name a release: `5.5`, and `5.5.1` where the last number tells.
    #[must_use]
    pub fn release(self) -> String {
        let Self { major, minor, patch } = self;
        if patch == 0 { format!("{major}.{minor}") } else { self.to_string() }
    }
}

/// Reads what `podman version --format '{{.Client.Version}}'` or `podman --version` prints.
impl FromStr for PodmanVersion {
    type Err = PodmanVersionError;

    fn from_str(text: &str) -> Result<Self, PodmanVersionError> {
        let numbers = text.trim().trim_start_matches("podman version ").trim_start_matches('v');
        let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(numbers.len());
        let mut numbers = numbers.get(..end).unwrap_or_default().split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next().unwrap_or(Ok(0))) {
            (Some(Ok(major)), Some(Ok(minor)), Ok(patch)) => Ok(Self { major, minor, patch }),
            _ => Err(PodmanVersionError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for PodmanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_podman_prints_them() {
        for (text, version) in [
            ("5.4.2", PodmanVersion::new(5, 4, 2)),
            ("podman version 4.3.1\n", PodmanVersion::new(4, 3, 1)),
            ("4.3.1+ds1-8+deb12u1", PodmanVersion::new(4, 3, 1)),
            ("v6.0.0-dev", PodmanVersion::new(6, 0, 0)),
            ("4.9.4-rhel", PodmanVersion::new(4, 9, 4)),
            ("5.10", PodmanVersion::new(5, 10, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        for text in ["", "5", "five.4", "5.x", "99999.1"] {
            assert!(text.parse::<PodmanVersion>().is_err(), "{text}");
        }
        assert!(PodmanVersion::new(5, 10, 0) > PodmanVersion::new(5, 8, 2));
        assert_eq!(PodmanVersion::new(5, 4, 2).to_string(), "5.4.2");
        assert_eq!([PodmanVersion::new(5, 5, 0).release(), PodmanVersion::new(4, 9, 4).release()], ["5.5", "4.9.4"]);
    }
}
