//! The name of a resource in a plan: `kind.name`, with the element it is for and the modules and blocks it is in:
//! `tenant[a]/registry/directory.data[b]`.

use std::fmt;
use std::str::FromStr;

/// Where a resource stands in a plan, such as `certificate.server`.
///
/// It has no character that a shell, a path of one part or a pattern would take for more than itself but `/`, `[` and
/// `]`; what names a file after it takes [`Address::stem`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(
    // Boxed: an address is a part of many errors, and those are to be small.
    Box<Parts>,
);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    within: Vec<Segment>,
    kind: String,
    name: String,
    key: Option<Key>,
}

/// A block or a module that a resource is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    name: String,
    key: Option<Key>,
}

/// One element of a `for_each`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// Long enough for the name of a host with its domain.
const LONGEST_KEY: usize = 64;

impl Key {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && text.len() <= LONGEST_KEY {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("a key is a letter or digit, then letters, digits, `_`, `.` or `-`, at most {LONGEST_KEY}"))
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Segment {
    /// Of a block or module, and of one element where it has several.
    ///
    /// # Errors
    /// When the name is none.
    pub fn new(name: &str, key: Option<Key>) -> Result<Self, String> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name of the block or module.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The element.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        keyed(self.key.as_ref(), f)
    }
}

fn keyed(key: Option<&Key>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    key.map_or(Ok(()), |key| write!(f, "[{key}]"))
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
        let (kind, name) = (kind.to_owned(), name.to_owned());
        Ok(Self(Box::new(Parts { within: Vec::new(), kind, name, key: None })))
    }

    /// The same for one element of a `for_each`.
    #[must_use]
    pub fn of_key(mut self, key: Option<Key>) -> Self {
        self.0.key = key;
        self
    }

    /// The same in a module or block, outermost first.
    #[must_use]
    pub fn inside(mut self, within: &[Segment]) -> Self {
        self.0.within.splice(0..0, within.iter().cloned());
        self
    }

    /// The same as seen from in there; none for what is not in there.
    #[must_use]
    pub fn outside(&self, within: &[Segment]) -> Option<Self> {
        let rest = self.0.within.strip_prefix(within)?;
        Some(Self(Box::new(Parts { within: rest.to_vec(), ..(*self.0).clone() })))
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The name, which others of its kind may share: see [`Address::stem`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The element of its `for_each`.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// The modules and blocks that it is in, outermost first.
    #[must_use]
    pub fn within(&self) -> &[Segment] {
        &self.0.within
    }

    /// What files and units are called that are named after the resource: its name with the key and with what it is in,
    /// joined by `-`, which names do not have: `tenant-a-registry-data-b`. It is made of letters, digits, `_`, `.` and `-`.
    #[must_use]
    pub fn stem(&self) -> String {
        let within = self.0.within.iter().map(|segment| (&segment.name, segment.key.as_ref()));
        let parts = within.chain(std::iter::once((&self.0.name, self.0.key.as_ref())));
        let parts: Vec<&str> =
            parts.flat_map(|(name, key)| std::iter::once(name.as_str()).chain(key.map(Key::as_str))).collect();
        parts.join("-")
    }

    /// A name for one file on a host that is about the resource: it has the whole address in it, nothing that leads to another
    /// directory, and nothing that a shell would take for a pattern.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = format!("{}=", self.0.kind);
        let within = self.0.within.iter().map(|segment| (&segment.name, segment.key.as_ref()));
        for (at, (name, key)) in within.chain(std::iter::once((&self.0.name, self.0.key.as_ref()))).enumerate() {
            if at > 0 {
                label.push('+');
            }
            label.push_str(name);
            if let Some(key) = key {
                label.push(',');
                label.push_str(key.as_str());
            }
        }
        label
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

/// Takes `[key]` off the end.
fn split_key(text: &str) -> Result<(&str, Option<Key>), String> {
    match text.split_once('[') {
        None => Ok((text, None)),
        Some((name, rest)) => {
            let key = rest.strip_suffix(']').ok_or_else(|| format!("{text:?} lacks its `]`"))?;
            Ok((name, Some(key.parse().map_err(|reason| format!("{key:?} is not a key: {reason}"))?)))
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Err("an address is `kind.name`, such as `directory.root`, and no path".to_owned());
        }
        let mut within = Vec::new();
        let mut rest = text;
        while let Some((segment, after)) = rest.split_once('/') {
            let (name, key) = split_key(segment)?;
            within.push(Segment::new(name, key)?);
            rest = after;
        }
        let (rest, key) = split_key(rest)?;
        let (kind, name) =
            rest.split_once('.').ok_or_else(|| "an address is `kind.name`, such as `directory.root`".to_owned())?;
        Ok(Self::new(kind, name)?.of_key(key).inside(&within))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { within, kind, name, key } = &*self.0;
        for segment in within {
            write!(f, "{segment}/")?;
        }
        write!(f, "{kind}.{name}")?;
        keyed(key.as_ref(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_kind_and_a_name() {
        assert_eq!("directory.root_1".parse::<Address>().unwrap().to_string(), "directory.root_1");
        for wrong in [
            "",
            "directory",
            "directory.",
            ".root",
            "directory.a b",
            "a.b.c",
            "directory.1",
            "directory.my-root",
            "/directory.a",
            "a//directory.b",
            "a/",
            "directory.a[",
            "directory.a[]",
            "directory.a[b",
            "directory.a[b]c",
            "directory.a[-b]",
            "directory.a[b/c]",
            "directory.a[b][c]",
            "directory.a[../b]",
            "a-b/directory.c",
            "directory.a[b c]",
            "directory.a[$(id)]",
            "directory.a[*]",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_it_is_in_and_for_which_element_come_back_as_they_were_printed() {
        for (text, stem, label) in [
            ("directory.data", "data", "directory=data"),
            ("directory.data[a]", "data-a", "directory=data,a"),
            ("tenant[a]/directory.root", "tenant-a-root", "directory=tenant,a+root"),
            (
                "tenant[x.example]/registry/command.init[8080]",
                "tenant-x.example-registry-init-8080",
                "command=tenant,x.example+registry+init,8080",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.stem().as_str(), address.label().as_str()),
                (text, stem, label)
            );
        }
    }

    #[test]
    fn two_addresses_never_share_a_label() {
        let addresses = [
            "a[b]/command.c",
            "a/command.b[c]",
            "a/b/command.c",
            "command.a[b-c]",
            "a[b.c]/command.d",
            "a[b]/command.c[d]",
        ];
        let labels: std::collections::BTreeSet<String> =
            addresses.iter().map(|text| text.parse::<Address>().unwrap().label()).collect();
        assert_eq!(labels.len(), addresses.len());
    }
}
