//! What may stand in a configuration of haproxy, as types that cannot hold anything else.
//!
//! One line is one directive: nothing in a plan can begin another line or section, or hide the rest of a line as a
//! comment. Syntax: sections 2.1, 2.2 and 4 of haproxy's configuration manual.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::x509::DnsName;

/// The name of a frontend, a backend or a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        if !text.is_empty() && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err("haproxy's names have letters, digits, `-`, `_`, `.` and `:` only".to_owned())
        }
    }
}

/// Words that are taken over as they are: a part of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase(String);

impl Phrase {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn first(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl FromStr for Phrase {
    type Err = String;

    /// Cuts words as haproxy does (section 2.2), to know what a comment is and what only looks like one.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err("a line is not empty".to_owned());
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(format!("a line has no control characters, such as {control:?}: write one line an item"));
        }
        let mut quote = None;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, quote) {
                // Within single quotes a backslash is itself.
                ('\\', None | Some('"')) if characters.next().is_none() => {
                    return Err("a line does not end in the middle of an escape".to_owned());
                }
                ('\'' | '"', None) => quote = Some(character),
                (_, Some(open)) if character == open => quote = None,
                ('#', None) => {
                    return Err("what follows `#` would be a comment: write `\\#` or quote it".to_owned());
                }
                _ => {}
            }
        }
        match quote {
            None => Ok(Self(text.to_owned())),
            Some(open) => Err(format!("a {open} is opened and never closed")),
        }
    }
}

/// One directive of a section, taken over as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(Phrase);

impl Line {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Words that begin a section, up to haproxy 3.3. None of them is a directive as well.
const SECTIONS: &[&str] = &[
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "healthcheck",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "namespace_list",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let phrase: Phrase = text.parse()?;
        let word = phrase.first();
        // haproxy takes quotes and escapes out of keywords too.
        if !word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) || word.starts_with('.')
        {
            return Err(format!("`{word}` is no directive: one starts with a plain word"));
        }
        if SECTIONS.contains(&word) {
            return Err(format!("`{word}` would begin a section of its own, and what follows would be in that"));
        }
        Ok(Self(phrase))
    }
}

/// A word for haproxy that stands for exactly the given text: a path may have blanks, quotes and `#` in it.
pub(super) fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b':' | b'@' | b'%' | b'+');
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    // Within single quotes everything is itself; there is no way to write a single quote there.
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What is spoken: `mode`, section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Protocol {
    /// Bytes are passed on.
    #[default]
    Tcp,
    /// Requests are understood.
    Http,
}

impl Protocol {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "http" => Ok(Self::Http),
            _ => Err("it is \"tcp\" or \"http\"".to_owned()),
        }
    }
}

/// How a server is chosen: `balance` without arguments. The others go into `lines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Balance(&'static str);

const ALGORITHMS: [&str; 6] = ["roundrobin", "static-rr", "leastconn", "first", "source", "random"];

impl Balance {
    pub(super) const fn word(self) -> &'static str {
        self.0
    }
}

impl FromStr for Balance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = ALGORITHMS.into_iter().find(|algorithm| *algorithm == text);
        known.map(Self).ok_or_else(|| format!("it is one of {}; others go into `lines`", ALGORITHMS.join(", ")))
    }
}

/// How a server is told who the client is: the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyProtocol {
    V1,
    V2,
}

impl ProxyProtocol {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::V1 => "send-proxy",
            Self::V2 => "send-proxy-v2",
        }
    }
}

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err("it is \"v1\" or \"v2\", the version of the PROXY protocol".to_owned()),
        }
    }
}

/// An address to listen on. `*` is haproxy's name for all of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listen(pub(super) IpAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self(Ipv4Addr::UNSPECIFIED.into())),
            _ => ip(text).map(Self).ok_or_else(|| {
                "it is an IPv4 or IPv6 address, `*` for all of IPv4, or `::` for all of IPv6".to_owned()
            }),
        }
    }
}

/// An address with or without the brackets of a URL.
fn ip(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok(),
    }
}

/// `ADDRESS:PORT` to listen on, as haproxy writes it: `*:443`, `192.0.2.1:443`, `:::443`, `[2001:db8::1]:443`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: Listen,
    pub(super) port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is an address and a port: \"0.0.0.0:8443\", \":::8443\", \"[2001:db8::1]:8443\"".to_owned();
        // The last colon is the port's, in IPv6 addresses without brackets too.
        let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or_else(wrong)?;
        Ok(Self { address: address.parse().map_err(|_: String| wrong())?, port })
    }
}

/// The address of a server: better an address, since haproxy does not start when a name cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    Name(DnsName),
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = ip(text) {
            return Ok(Self::Ip(address));
        }
        match text.parse::<DnsName>() {
            Ok(name) if !name.is_wildcard() => Ok(Self::Name(name)),
            _ => Err("it is an IPv4 or IPv6 address or a host name, without a port".to_owned()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_within_their_section_and_to_their_end() {
        for (text, refused) in [
            ("option tcplog", None),
            ("  http-request deny if { path /a\\#b }  ", None),
            ("http-request set-header X 'a # b'", None),
            ("http-request set-header X \"a # \\\" b\"", None),
            ("server-state-file-name 'a\\'", None),
            ("", Some("a line is not empty")),
            ("a\nb", Some("a line has no control characters, such as '\\n': write one line an item")),
            ("a\rb", Some("a line has no control characters, such as '\\r': write one line an item")),
            ("a\tb", Some("a line has no control characters, such as '\\t': write one line an item")),
            ("timeout client 5m # long", Some("what follows `#` would be a comment: write `\\#` or quote it")),
            ("# nothing", Some("what follows `#` would be a comment: write `\\#` or quote it")),
            ("a 'b", Some("a ' is opened and never closed")),
            ("a \"b\\\"", Some("a \" is opened and never closed")),
            ("a b\\", Some("a line does not end in the middle of an escape")),
            ("backend other", Some("`backend` would begin a section of its own, and what follows would be in that")),
            ("'backend' other", Some("`'backend'` is no directive: one starts with a plain word")),
            ("back\\end other", Some("`back\\end` is no directive: one starts with a plain word")),
            (".if true", Some("`.if` is no directive: one starts with a plain word")),
        ] {
            let found = text.parse::<Line>();
            assert_eq!(found.as_ref().err().map(String::as_str), refused, "{text:?}");
            if let Ok(line) = found {
                assert_eq!(line.as_str(), text.trim());
            }
        }
        // A server has resolvers, and that is no section there.
        assert!("resolvers mydns inter 2s".parse::<Phrase>().is_ok());
    }

    #[test]
    fn endpoints_are_read_as_haproxy_writes_them() {
        for (text, address, port) in [
            ("*:443", "0.0.0.0", 443),
            ("0.0.0.0:8443", "0.0.0.0", 8443),
            (":::8443", "::", 8443),
            ("[::]:8443", "::", 8443),
            ("[2001:db8::1]:8443", "2001:db8::1", 8443),
            ("2001:db8::1:8443", "2001:db8::1", 8443),
        ] {
            let found: Endpoint = text.parse().unwrap();
            assert_eq!((found.address.0.to_string().as_str(), found.port), (address, port), "{text}");
        }
        for wrong in ["", "8443", ":8443", "::", "*", "*:0", "*:65536", "*:+1", "a.example:443", "[::]", "[1.2.3.4]:1"]
        {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_and_hosts_are_plain() {
        assert!("registry_v6.a:b-c".parse::<Name>().is_ok());
        for wrong in ["", "a b", "a#b", "a\n", "ä", "a'b"] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
        for (text, shown) in
            [("::1", "[::1]"), ("[fd00::1]", "[fd00::1]"), ("127.0.0.1", "127.0.0.1"), ("A.example", "a.example")]
        {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
        for wrong in ["", "a b", "127.0.0.1:80", "*.a.example", "/run/socket", "a#b"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong:?}");
        }
    }
}
