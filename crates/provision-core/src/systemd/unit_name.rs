//! Owns the name of a unit, as systemd.unit(5) spells it: `prefix.type`, `prefix@.type` or `prefix@instance.type`.

use std::fmt;
use std::str::FromStr;

/// Longest name in bytes: `UNIT_NAME_MAX` of systemd's `basic/unit-def.h`, which counts the closing NUL.
const LONGEST: usize = 255;
/// Files that are often taken for units, and why they are none is worth a word; podman-systemd.unit(5).
const QUADLET_SUFFIXES: [&str; 8] = ["artifact", "build", "container", "image", "kube", "network", "pod", "volume"];

/// What a unit is of, from its suffix; systemd.unit(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitType {
    /// `.service`
    Service,
    /// `.socket`
    Socket,
    /// `.device`
    Device,
    /// `.mount`
    Mount,
    /// `.automount`
    Automount,
    /// `.swap`
    Swap,
    /// `.target`
    Target,
    /// `.path`
    Path,
    /// `.timer`
    Timer,
    /// `.slice`
    Slice,
    /// `.scope`
    Scope,
}

impl UnitType {
    /// Every type, in the order of systemd.unit(5).
    pub const ALL: [Self; 11] = [
        Self::Service,
        Self::Socket,
        Self::Device,
        Self::Mount,
        Self::Automount,
        Self::Swap,
        Self::Target,
        Self::Path,
        Self::Timer,
        Self::Slice,
        Self::Scope,
    ];

    /// The suffix without its dot.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Socket => "socket",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Automount => "automount",
            Self::Swap => "swap",
            Self::Target => "target",
            Self::Path => "path",
            Self::Timer => "timer",
            Self::Slice => "slice",
            Self::Scope => "scope",
        }
    }
}

/// A valid unit name, such as `registry.service`, `getty@.service` or `getty@tty1.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    text: String,
    unit_type: UnitType,
}

/// Why a string is no unit name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// Nothing there.
    #[error("a unit name is empty")]
    Empty,
    /// More bytes than systemd takes.
    #[error("unit name is {length} bytes long; systemd takes {LONGEST}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// No suffix at all.
    #[error("unit name {name:?} has no type; a service is {name}.service")]
    NoType {
        /// The name as given.
        name: String,
    },
    /// A suffix that is none of systemd's.
    #[error("unit name {name:?} ends in .{suffix}, which systemd does not know; {hint}")]
    UnknownType {
        /// The name as given.
        name: String,
        /// What follows its last dot.
        suffix: String,
        /// What to write instead.
        hint: String,
    },
    /// A character systemd does not take.
    #[error("unit name {name:?} contains {character:?}; {hint}")]
    Character {
        /// The name as given.
        name: String,
        /// The first character that is wrong.
        character: char,
        /// What to do about it.
        hint: &'static str,
    },
    /// Nothing before the `@` or the dot.
    #[error("unit name {name:?} has nothing before its {before:?}")]
    NoPrefix {
        /// The name as given.
        name: String,
        /// `@` or `.`.
        before: char,
    },
    /// An instance was asked of a unit that is no template.
    #[error("unit {name:?} is not a template: a template's name ends in @.{suffix}", suffix = .unit_type.suffix())]
    NotATemplate {
        /// The name as given.
        name: String,
        /// Its type.
        unit_type: UnitType,
    },
}

impl UnitName {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its type, from the suffix.
    #[must_use]
    pub fn unit_type(&self) -> UnitType {
        self.unit_type
    }

    /// What stands before the first `@`, or before the type: what `%p` becomes.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.stem().split('@').next().unwrap_or_default()
    }

    /// What stands between the first `@` and the type; absent for a template and for a plain unit.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance).filter(|instance| !instance.is_empty())
    }

    /// Says whether this is a template, `prefix@.type`, which cannot be started as it is.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.stem().split_once('@').is_some_and(|(_, instance)| instance.is_empty())
    }

    /// The template an instance is made from; absent for a plain unit and for a template.
    #[must_use]
    pub fn template(&self) -> Option<Self> {
        self.instance()?;
        let text = format!("{}@.{}", self.prefix(), self.unit_type.suffix());
        Some(Self { text, unit_type: self.unit_type })
    }

    /// The unit that this template makes for an instance.
    ///
    /// # Errors
    /// When this is no template, or the instance has a character that a name cannot have.
    pub fn with_instance(&self, instance: &str) -> Result<Self, UnitNameError> {
        if !self.is_template() {
            return Err(UnitNameError::NotATemplate { name: self.text.clone(), unit_type: self.unit_type });
        }
        format!("{}@{instance}.{}", self.prefix(), self.unit_type.suffix()).parse()
    }

    fn stem(&self) -> &str {
        self.text.rsplit_once('.').map_or("", |(stem, _)| stem)
    }
}

impl FromStr for UnitName {
    type Err = UnitNameError;

    // The rules are those of `unit_name_is_valid` in systemd's `basic/unit-name.c`.
    fn from_str(name: &str) -> Result<Self, UnitNameError> {
        if name.is_empty() {
            return Err(UnitNameError::Empty);
        }
        if name.len() > LONGEST {
            return Err(UnitNameError::TooLong { length: name.len() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "@:-_.\\".contains(c);
        if let Some(character) = name.chars().find(|c| !allowed(*c)) {
            let hint = match character {
                '/' => "a name is not a path; `systemd-escape --path` makes one of a path",
                _ => "only letters, digits and @ : - _ . \\ are allowed, and `systemd-escape` escapes the rest",
            };
            return Err(UnitNameError::Character { name: name.to_owned(), character, hint });
        }
        let Some((stem, suffix)) = name.rsplit_once('.') else {
            return Err(UnitNameError::NoType { name: name.to_owned() });
        };
        if stem.is_empty() || stem.starts_with('@') {
            let before = if stem.is_empty() { '.' } else { '@' };
            return Err(UnitNameError::NoPrefix { name: name.to_owned(), before });
        }
        let Some(unit_type) = UnitType::ALL.into_iter().find(|known| known.suffix() == suffix) else {
            let (name, suffix) = (name.to_owned(), suffix.to_owned());
            return Err(UnitNameError::UnknownType { hint: suffix_hint(&name, stem, &suffix), name, suffix });
        };
        Ok(Self { text: name.to_owned(), unit_type })
    }
}

fn suffix_hint(name: &str, stem: &str, suffix: &str) -> String {
    if QUADLET_SUFFIXES.contains(&suffix) {
        return "that is a Quadlet file, and the unit is the service made of it".to_owned();
    }
    let nearest = UnitType::ALL.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known.suffix(), suffix));
    match nearest {
        Some(known) if strsim::damerau_levenshtein(known.suffix(), suffix) <= 2 => {
            format!("did you mean {stem}.{}?", known.suffix())
        }
        _ => format!("a service is {name}.service"),
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, unit_type, prefix, instance, template) in [
            ("registry.service", UnitType::Service, "registry", None, false),
            ("a.b-c_d:e.timer", UnitType::Timer, "a.b-c_d:e", None, false),
            ("getty@.service", UnitType::Service, "getty", None, true),
            ("getty@tty1.service", UnitType::Service, "getty", Some("tty1"), false),
            ("mail@a@b.c.socket", UnitType::Socket, "mail", Some("a@b.c"), false),
            (r"dev-disk-by\x2did.device", UnitType::Device, r"dev-disk-by\x2did", None, false),
            ("-.mount", UnitType::Mount, "-", None, false),
        ] {
            let unit: UnitName = name.parse().unwrap();
            assert_eq!(unit.to_string(), name);
            assert_eq!(
                (unit.unit_type(), unit.prefix(), unit.instance(), unit.is_template()),
                (unit_type, prefix, instance, template),
                "{name}"
            );
        }
    }

    #[test]
    fn wrong_names_say_what_to_do() {
        for (name, message) in [
            ("", "a unit name is empty"),
            ("registry", r#"unit name "registry" has no type; a service is registry.service"#),
            (
                "registry.servce",
                r#"unit name "registry.servce" ends in .servce, which systemd does not know; did you mean registry.service?"#,
            ),
            (
                "db.container",
                r#"unit name "db.container" ends in .container, which systemd does not know; that is a Quadlet file, and the unit is the service made of it"#,
            ),
            (
                "db.pod",
                r#"unit name "db.pod" ends in .pod, which systemd does not know; that is a Quadlet file, and the unit is the service made of it"#,
            ),
            (
                "a.b.example",
                r#"unit name "a.b.example" ends in .example, which systemd does not know; a service is a.b.example.service"#,
            ),
            (
                "var/lib.mount",
                r#"unit name "var/lib.mount" contains '/'; a name is not a path; `systemd-escape --path` makes one of a path"#,
            ),
            (
                "a b.service",
                r#"unit name "a b.service" contains ' '; only letters, digits and @ : - _ . \ are allowed, and `systemd-escape` escapes the rest"#,
            ),
            ("@x.service", r#"unit name "@x.service" has nothing before its '@'"#),
            (".service", r#"unit name ".service" has nothing before its '.'"#),
        ] {
            assert_eq!(name.parse::<UnitName>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn length_ends_at_255_bytes() {
        let longest = format!("{}.service", "a".repeat(LONGEST - ".service".len()));
        assert!(longest.parse::<UnitName>().is_ok());
        assert_eq!(format!("a{longest}").parse::<UnitName>(), Err(UnitNameError::TooLong { length: 256 }));
    }

    #[test]
    fn template_and_instance_lead_to_each_other() {
        let template: UnitName = "getty@.service".parse().unwrap();
        let instance = template.with_instance("tty1").unwrap();
        assert_eq!(instance.as_str(), "getty@tty1.service");
        assert_eq!(instance.template(), Some(template.clone()));
        assert_eq!(template.template(), None);
        assert!(matches!(instance.with_instance("tty2"), Err(UnitNameError::NotATemplate { .. })));
        assert!(matches!(template.with_instance("a/b"), Err(UnitNameError::Character { .. })));
    }
}
