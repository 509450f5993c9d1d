//! Paths on a host. Always POSIX, whatever this side runs.

use std::fmt;
use std::str::FromStr;

/// An absolute, normal path on a host: no `.`, `..`, doubled or trailing slash, no control character.
///
/// Control characters are refused because every tool that lists paths by line would lie about them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(String);

/// What a name becomes longer by while a file is staged beside its place: `.NAME.provision-new`.
const STAGED: usize = ".".len() + ".provision-new".len();
/// Longest path that Linux takes (`PATH_MAX`, limits.h), without its closing NUL.
const LONGEST: usize = 4095 - STAGED;
/// Longest name of a directory entry that Linux takes (`NAME_MAX`, limits.h).
const LONGEST_NAME: usize = 255 - STAGED;

/// Why a text is not an [`AbsPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Relative, or empty.
    #[error("a path on a host starts with `/`")]
    NotAbsolute,
    /// Contains `.` or `..`.
    #[error("a path must not contain `{0}` as a part: write the path that is meant")]
    NotNormal(String),
    /// Contains a control character.
    #[error("a path must not contain control characters (found {0:?})")]
    Control(char),
    /// Longer than Linux takes, or than there is room for beside it.
    #[error("a path is at most {} bytes long, and each part at most {}", LONGEST, LONGEST_NAME)]
    TooLong,
}

impl AbsPath {
    /// The root directory.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory that contains it; the root has none.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            Some(0) if self.0.len() > 1 => Some(Self::root()),
            Some(0) | None => None,
            Some(at) => self.0.get(..at).map(|parent| Self(parent.to_owned())),
        }
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// When the result is not a path, as for [`AbsPath::from_str`].
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        format!("{}/{name}", self.0.trim_end_matches('/')).parse()
    }

    /// Whether it is `directory` or below it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.0 == "/"
            || self.0 == directory.0
            || self.0.strip_prefix(&directory.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Its directories from the nearest to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(self.parent(), Self::parent)
    }
}

impl FromStr for AbsPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(PathError::Control(control));
        }
        let mut path = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !part.is_empty()) {
            if matches!(part, "." | "..") {
                return Err(PathError::NotNormal(part.to_owned()));
            }
            if part.len() > LONGEST_NAME {
                return Err(PathError::TooLong);
            }
            path.push('/');
            path.push_str(part);
        }
        if path.len() > LONGEST {
            return Err(PathError::TooLong);
        }
        Ok(if path.is_empty() { Self::root() } else { Self(path) })
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_normal_paths_are_paths() {
        let cases: &[(&str, Result<&str, PathError>)] = &[
            ("/", Ok("/")),
            ("/a", Ok("/a")),
            ("//a///b/", Ok("/a/b")),
            ("/a b/$(x)", Ok("/a b/$(x)")),
            ("a", Err(PathError::NotAbsolute)),
            ("", Err(PathError::NotAbsolute)),
            ("~/a", Err(PathError::NotAbsolute)),
            ("/a/../b", Err(PathError::NotNormal("..".into()))),
            ("/a/./b", Err(PathError::NotNormal(".".into()))),
            ("/a\nb", Err(PathError::Control('\n'))),
        ];
        for (text, expected) in cases {
            let found = text.parse::<AbsPath>().map(|path| path.as_str().to_owned());
            assert_eq!(found, expected.clone().map(str::to_owned), "{text:?}");
        }
        assert_eq!(format!("/{}", "x".repeat(256)).parse::<AbsPath>(), Err(PathError::TooLong));
    }

    #[test]
    fn within_goes_by_parts_not_by_letters() {
        let path = |text: &str| text.parse::<AbsPath>().unwrap();
        assert!(path("/etc/quay/conf").is_within(&path("/etc/quay")));
        assert!(path("/etc/quay").is_within(&path("/etc/quay")));
        assert!(path("/etc").is_within(&path("/")));
        assert!(!path("/etc/quay2").is_within(&path("/etc/quay")));
        assert_eq!(path("/a/b/c").ancestors().map(|p| p.to_string()).collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
    }
}
