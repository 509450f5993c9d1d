//! Owns whose a unit is: systemd's system manager runs those of the system, and a manager of its own those of each user.
//! podman follows the same line: root's images, volumes and networks are not those of a user.

use std::fmt;
use std::str::FromStr;

use crate::attribute::UserName;

/// One of systemd's managers, systemd(1), and with it whose podman.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// The system's: what has no user of its own.
    System,
    /// That of the user as whom the steps run.
    Own,
    /// That of a user, which root may act for.
    User(UserName),
}

impl Manager {
    /// The word for the host's shell and for texts on the host: `-` for the system's, `~` for the own one, otherwise the user's
    /// name, which neither can be.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::System => "-",
            Self::Own => "~",
            Self::User(name) => name.as_str(),
        }
    }

    /// Reads [`Manager::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "-" => Some(Self::System),
            "~" => Some(Self::Own),
            name => name.parse().ok().map(Self::User),
        }
    }
}

/// As a plan writes it: `system`, `user`, `user:core`.
impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Own => f.write_str("user"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

impl FromStr for Manager {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("user:")) {
            ("system", _) => Ok(Self::System),
            ("user", _) => Ok(Self::Own),
            (_, Some(name)) => name.parse().map(Self::User),
            _ => Err("a scope is \"system\", \"user\" or, for steps that run as root, \"user:NAME\"".to_owned()),
        }
    }
}

/// Something by its name and whose it is: a unit, a Quadlet file, an image, a volume, a network.
///
/// Its text is the name alone for the system's, so that what was written before there were others reads the same;
/// otherwise [`Manager::word`] before it: `core/registry.service`, `~/registry.service`. No unit has a `/` in its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Managed {
    /// Whose it is.
    pub manager: Manager,
    /// Its name, such as `registry.service`.
    pub name: String,
}

impl Managed {
    /// One of a manager.
    #[must_use]
    pub fn new(manager: &Manager, name: impl Into<String>) -> Self {
        Self { manager: manager.clone(), name: name.into() }
    }

    /// One of the system's.
    #[must_use]
    pub fn system(name: impl Into<String>) -> Self {
        Self { manager: Manager::System, name: name.into() }
    }

    /// The same manager's, by another name.
    #[must_use]
    pub fn beside(&self, name: impl Into<String>) -> Self {
        Self::new(&self.manager, name)
    }

    /// For people, where the name may have a `/` itself: `quay.io/a/b:1 of core`.
    #[must_use]
    pub fn spelled(&self) -> String {
        match &self.manager {
            Manager::System => self.name.clone(),
            Manager::Own => format!("{} of the login user", self.name),
            Manager::User(user) => format!("{} of {user}", self.name),
        }
    }
}

impl fmt::Display for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.manager != Manager::System {
            write!(f, "{}/", self.manager.word())?;
        }
        f.write_str(&self.name)
    }
}

impl FromStr for Managed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (manager, name) = match text.split_once('/') {
            Some((word, name)) => (Manager::from_word(word).filter(|manager| *manager != Manager::System), name),
            None => (Some(Manager::System), text),
        };
        match manager {
            Some(manager) if !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_whitespace()) => {
                Ok(Self::new(&manager, name))
            }
            _ => Err(format!("{text:?} names nothing of a manager")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["system", "user", "user:core", "user:a.b-c_1"] {
            assert_eq!(text.parse::<Manager>().map(|manager| manager.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "root", "user:", "user:-x", "user:a b", "user:1000", "user:~", "user:a/b", "User"] {
            assert!(wrong.parse::<Manager>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_system_s_own_has_the_text_it_always_had() {
        for text in ["a@b.service", "core/registry.service", "~/registry.service"] {
            assert_eq!(text.parse::<Managed>().map(|managed| managed.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("a.service".parse(), Ok(Managed::system("a.service")));
        for wrong in ["", "core/", "/a.service", "-/a.service", "a/b/c.service", "core/a b.service"] {
            assert!(wrong.parse::<Managed>().is_err(), "{wrong:?}");
        }
    }
}
