//! What a new version may change for good: a path, or a volume of podman's. It is copied aside while nothing runs on it.

use std::fmt;
use std::str::FromStr;

use crate::knob::Knob;
use crate::knob::extent::EXTENT;
use crate::path::AbsPath;
use crate::systemd::Manager;

/// Some data. Its text is one line: `path /var/lib/quay/quay.db`, `volume sqlite-storage`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saved {
    /// A file, with what SQLite keeps beside it, or a directory with all that is in it.
    Path(AbsPath),
    /// What is in a volume, by the name that podman or Quadlet has for it.
    Volume(String),
}

/// How a plan ends the name of a volume, as Quadlet does.
const VOLUME: &str = ".volume";

impl Saved {
    /// As a plan writes it: an absolute path, or `NAME.volume`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_plan(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_suffix(VOLUME).filter(|_| !text.starts_with('/')) else {
            let path: AbsPath = text
                .parse()
                .map_err(|error| format!("{error}; or it is a volume of podman's, such as \"data.volume\""))?;
            return Ok(Self::Path(path));
        };
        // As podman has it (define.RegexError): what else there is, a shell or a path could take for something else.
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits) {
            return Ok(Self::Volume(name.to_owned()));
        }
        Err(format!(
            "{name:?} is no name of a volume: it starts with a letter or a digit and has no more than those, `_`, `.` and `-`"
        ))
    }

    /// What tells how much of it there is. It is read, and never set.
    #[must_use]
    pub fn extent(&self, manager: &Manager) -> Knob {
        Knob::new(&EXTENT, format!("{} {self}", manager.word()))
    }

    /// What a person would call it.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Path(path) => path.to_string(),
            Self::Volume(name) => format!("the volume {name}"),
        }
    }
}

/// Bytes in a unit that people read: `40 KiB`, `1.2 GiB`.
#[must_use]
pub(crate) fn amount(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = ["KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, larger);
    }
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, _) if whole >= 100 => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    }
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "path {path}"),
            Self::Volume(name) => write!(f, "volume {name}"),
        }
    }
}

impl FromStr for Saved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} says of no data where it is");
        match text.split_once(' ') {
            Some(("path", path)) => Ok(Self::Path(path.parse().map_err(|_| wrong())?)),
            Some(("volume", name)) if !name.is_empty() && !name.contains([' ', '/']) => {
                Ok(Self::Volume(name.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["path /var/lib/a b.db", "volume sqlite-storage"] {
            assert_eq!(text.parse::<Saved>().map(|saved| saved.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "path a", "volume ", "volume a b", "volume ../x", "file /a"] {
            assert!(wrong.parse::<Saved>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_are_rounded_down() {
        for (bytes, text) in [
            (0, "0 KiB"),
            (40_960, "40 KiB"),
            (1 << 20, "1 MiB"),
            (1_300_000, "1.2 MiB"),
            (999 << 20, "999 MiB"),
            (5 << 30, "5 GiB"),
        ] {
            assert_eq!(amount(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn a_plan_names_paths_and_volumes() {
        assert_eq!(Saved::from_plan("data.volume"), Ok(Saved::Volume("data".to_owned())));
        assert_eq!(Saved::from_plan("/srv/data.volume"), Ok(Saved::Path("/srv/data.volume".parse().unwrap())));
        for wrong in ["data", ".volume", "-x.volume", "a/b.volume", "a b.volume", "srv/x", ""] {
            assert!(Saved::from_plan(wrong).is_err(), "{wrong}");
        }
    }
}
