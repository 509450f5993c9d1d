//! Subject alternative names: what a client may call the host (RFC 5280 section 4.2.1.6, RFC 9525).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// RFC 1035 section 2.3.4 allows 255 octets on the wire, which leaves 253 characters of text.
const DNS_NAME_LIMIT: usize = 253;
/// RFC 1035 section 2.3.4.
const LABEL_LIMIT: usize = 63;

/// One name of a certificate. Ordered: DNS names by their text, IPv4 addresses, IPv6 addresses.
///
/// Written and parsed as a person writes it: `registry.example.com`, `*.apps.example.com`, `192.0.2.1`, `2001:db8::1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// A host name, or every name one label below a domain.
    Dns(DnsName),
    /// An address, which clients compare with addresses only, never with text in a DNS name.
    Ip(IpAddr),
}

/// A host name in RFC 1123 syntax and lower case, or one with `*` as its whole leftmost label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// The name in lower case, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for every name one label below a domain.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    fn covers(&self, name: &Self) -> bool {
        let domain = self.0.strip_prefix("*.");
        domain.is_some() && !name.is_wildcard() && name.0.split_once('.').map(|(_, rest)| rest) == domain
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl San {
    /// Whether a certificate with this name is for another: the same, or what stands one label below the domain of a `*`.
    #[must_use]
    pub fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Dns(own), Self::Dns(name)) => own == name || own.covers(name),
            _ => self == name,
        }
    }
}

impl From<IpAddr> for San {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

/// Why a text is no name for a certificate, with a way out where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SanError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Brackets belong to URLs, where a port may follow.
    #[error("`{name}` has brackets, which belong in URLs only: write `{inner}`")]
    Brackets {
        /// As written.
        name: String,
        /// Without the brackets.
        inner: String,
    },
    /// A link-local address with its interface.
    #[error("`{0}` names a network interface, which a certificate cannot: leave out what follows `%`")]
    Zone(String),
    /// The address to listen on, not one to connect to.
    #[error("`{0}` means every address when listening, and no client connects to it: name the addresses")]
    Unspecified(IpAddr),
    /// A network with its prefix length, or a path.
    #[error("`{0}` has a `/`: a certificate names single hosts and addresses, not networks or URLs")]
    Slash(String),
    /// A port, or an IPv6 address gone wrong.
    #[error("`{0}` has a `:` but is no IPv6 address: a name has no port and no scheme")]
    Colon(String),
    /// Digits and dots only, but not four numbers below 256.
    #[error("`{0}` ends in a number but is no IPv4 address: that is four numbers from 0 to 255 without leading zeros")]
    Ipv4(String),
    /// An absolute name, which RFC 5280 does not allow here.
    #[error("`{name}` ends in a dot: write `{without}`")]
    TrailingDot {
        /// As written.
        name: String,
        /// Without the dot.
        without: String,
    },
    /// Not ASCII.
    #[error("`{0}` has a character outside ASCII: write an international name in punycode, its labels as `xn--...`")]
    Idn(String),
    /// A star elsewhere than as the whole leftmost label.
    #[error("`{0}` has a `*` that is not the whole leftmost label, as in `*.example.com`")]
    Wildcard(String),
    /// A star over a whole top-level domain.
    #[error("`{0}` covers a whole top-level domain, which clients do not accept: name at least two labels after `*.`")]
    WideWildcard(String),
    /// A label that is empty, too long, or starts or ends with a hyphen.
    #[error("`{name}` has the label `{label}`: a label has 1 to 63 characters and no hyphen at its ends")]
    Label {
        /// The whole name.
        name: String,
        /// The label.
        label: String,
    },
    /// Something that is not a letter, a digit or a hyphen.
    #[error("`{name}` has the character `{character}`: a host name has letters, digits, hyphens and dots only")]
    Character {
        /// The whole name.
        name: String,
        /// The first offender.
        character: char,
    },
    /// Over 253 characters.
    #[error("the name has {length} characters; a DNS name has at most 253")]
    TooLong {
        /// How many there are.
        length: usize,
    },
}

impl FromStr for San {
    type Err = SanError;

    fn from_str(text: &str) -> Result<Self, SanError> {
        if text.is_empty() {
            return Err(SanError::Empty);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return if address.is_unspecified() { Err(SanError::Unspecified(address)) } else { Ok(Self::Ip(address)) };
        }
        let name = text.to_owned();
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            return Err(SanError::Brackets { name, inner: inner.to_owned() });
        }
        if text.contains(':') && text.contains('%') {
            return Err(SanError::Zone(name));
        }
        if text.contains('/') {
            return Err(SanError::Slash(name));
        }
        if text.contains(':') {
            return Err(SanError::Colon(name));
        }
        text.parse().map(Self::Dns)
    }
}

impl FromStr for DnsName {
    type Err = SanError;

    fn from_str(text: &str) -> Result<Self, SanError> {
        if text.is_empty() {
            return Err(SanError::Empty);
        }
        let name = text.to_ascii_lowercase();
        if !name.is_ascii() {
            return Err(SanError::Idn(name));
        }
        if let Some(without) = name.strip_suffix('.').filter(|rest| !rest.is_empty()) {
            return Err(SanError::TrailingDot { without: without.to_owned(), name });
        }
        if name.len() > DNS_NAME_LIMIT {
            return Err(SanError::TooLong { length: name.len() });
        }
        let base = name.strip_prefix("*.").unwrap_or(&name);
        if base.contains('*') {
            return Err(SanError::Wildcard(name));
        }
        for label in base.split('.') {
            check_label(label, &name)?;
        }
        // A last label of digits only would make it an IPv4 address to everybody else (RFC 1123 section 2.1).
        if base.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(SanError::Ipv4(name));
        }
        // OpenSSL and Go match nothing with such a name.
        if base.len() < name.len() && !base.contains('.') {
            return Err(SanError::WideWildcard(name));
        }
        Ok(Self(name))
    }
}

/// Checks one label (RFC 1123 section 2.1, RFC 5890 section 2.3.1). An underscore is refused too: it is fine in DNS,
/// but RFC 5280 section 4.2.1.6 asks for host names, and some clients reject the whole certificate for it.
fn check_label(label: &str, name: &str) -> Result<(), SanError> {
    if let Some(character) = label.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '-') {
        return Err(SanError::Character { name: name.to_owned(), character });
    }
    if label.is_empty() || label.len() > LABEL_LIMIT || label.starts_with('-') || label.ends_with('-') {
        return Err(SanError::Label { name: name.to_owned(), label: label.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_parsed_and_written_in_one_way() -> Result<(), SanError> {
        for (text, shown) in [
            ("registry.example.com", "registry.example.com"),
            ("Registry.EXAMPLE.com", "registry.example.com"),
            ("localhost", "localhost"),
            ("3com.example", "3com.example"),
            ("a-b.c--d.example", "a-b.c--d.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("*.apps.example.com", "*.apps.example.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::1", "::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ] {
            let name: San = text.parse()?;
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.to_string().parse::<San>()?, name, "{shown} is read back");
        }
        Ok(())
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_way_out() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(124));
        for (text, message) in [
            ("", "the name is empty"),
            ("[2001:db8::1]", "`[2001:db8::1]` has brackets, which belong in URLs only: write `2001:db8::1`"),
            ("[2001:db8::1]:8443", "`[2001:db8::1]:8443` has brackets, which belong in URLs only: write `2001:db8::1`"),
            (
                "fe80::1%eth0",
                "`fe80::1%eth0` names a network interface, which a certificate cannot: leave out what follows `%`",
            ),
            (
                "0.0.0.0",
                "`0.0.0.0` means every address when listening, and no client connects to it: name the addresses",
            ),
            ("::", "`::` means every address when listening, and no client connects to it: name the addresses"),
            (
                "192.0.2.0/24",
                "`192.0.2.0/24` has a `/`: a certificate names single hosts and addresses, not networks or URLs",
            ),
            (
                "https://a.example",
                "`https://a.example` has a `/`: a certificate names single hosts and addresses, not networks or URLs",
            ),
            ("a.example:8443", "`a.example:8443` has a `:` but is no IPv6 address: a name has no port and no scheme"),
            ("2001:db8:::1", "`2001:db8:::1` has a `:` but is no IPv6 address: a name has no port and no scheme"),
            (
                "256.0.2.1",
                "`256.0.2.1` ends in a number but is no IPv4 address: that is four numbers from 0 to 255 \
                 without leading zeros",
            ),
            (
                "10.0.0.01",
                "`10.0.0.01` ends in a number but is no IPv4 address: that is four numbers from 0 to 255 \
                 without leading zeros",
            ),
            (
                "10.1",
                "`10.1` ends in a number but is no IPv4 address: that is four numbers from 0 to 255 without \
                 leading zeros",
            ),
            ("a.example.", "`a.example.` ends in a dot: write `a.example`"),
            (".", "`.` has the label ``: a label has 1 to 63 characters and no hyphen at its ends"),
            (
                "bücher.example",
                "`bücher.example` has a character outside ASCII: write an international name in punycode, its \
                 labels as `xn--...`",
            ),
            ("*", "`*` has a `*` that is not the whole leftmost label, as in `*.example.com`"),
            ("a.*.example", "`a.*.example` has a `*` that is not the whole leftmost label, as in `*.example.com`"),
            (
                "a*.example.com",
                "`a*.example.com` has a `*` that is not the whole leftmost label, as in `*.example.com`",
            ),
            (
                "*.*.example.com",
                "`*.*.example.com` has a `*` that is not the whole leftmost label, as in `*.example.com`",
            ),
            (
                "*.lan",
                "`*.lan` covers a whole top-level domain, which clients do not accept: name at least two \
                 labels after `*.`",
            ),
            ("a..example", "`a..example` has the label ``: a label has 1 to 63 characters and no hyphen at its ends"),
            ("-a.example", "`-a.example` has the label `-a`: a label has 1 to 63 characters and no hyphen at its ends"),
            ("a-.example", "`a-.example` has the label `a-`: a label has 1 to 63 characters and no hyphen at its ends"),
            (
                "a_b.example",
                "`a_b.example` has the character `_`: a host name has letters, digits, hyphens and dots only",
            ),
            (
                "a b.example",
                "`a b.example` has the character ` `: a host name has letters, digits, hyphens and dots only",
            ),
            (
                " a.example",
                "` a.example` has the character ` `: a host name has letters, digits, hyphens and dots only",
            ),
            (&long_name, "the name has 255 characters; a DNS name has at most 253"),
        ] {
            let refused = text.parse::<San>().map_err(|error| error.to_string());
            assert_eq!(refused, Err(message.to_owned()), "{text}");
        }
        assert!(matches!(long_label.parse::<San>(), Err(SanError::Label { .. })));
    }

    #[test]
    fn names_are_sorted_by_kind_and_text() -> Result<(), SanError> {
        let names = ["::1", "b.example", "192.0.2.10", "192.0.2.9", "a.example", "*.b.example", "A.example"];
        let names: BTreeSet<San> = names.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["*.b.example", "a.example", "b.example", "192.0.2.9", "192.0.2.10", "::1"]);
        Ok(())
    }
}
