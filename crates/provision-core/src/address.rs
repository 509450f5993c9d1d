//! The name of a resource in a plan: `kind.name`.

use std::fmt;
use std::str::FromStr;

/// `kind.name`, such as `certificate.server`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: String,
    name: String,
}

impl Address {
    /// Joins a kind and a name.
    ///
    /// # Errors
    /// When either is not a name: a letter, then letters, digits or `_`.
    pub fn new(kind: &str, name: &str) -> Result<Self, String> {
        for part in [kind, name] {
            check_name(part)?;
        }
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a name is.
pub(crate) const NAME: &str = "a letter, then letters, digits or `_`, at most 64";

/// Whether a text can name a resource, an input or a host.
///
/// No `-`: in a template `directory.my-root` would be a subtraction.
///
/// # Errors
/// What a name may contain.
pub fn check_name(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    if first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') && text.len() <= 64 {
        Ok(())
    } else {
        Err(format!("{text:?} is not a name: {NAME}"))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(kind, name)| Self::new(kind, name).ok());
        parts.ok_or_else(|| "an address is `kind.name`, such as `directory.root`".to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_kind_and_a_name() {
        assert_eq!("directory.root_1".parse::<Address>().unwrap().to_string(), "directory.root_1");
        for wrong in
            ["", "directory", "directory.", ".root", "directory.a b", "a.b.c", "directory.1", "directory.my-root"]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
        }
    }
}
