//! What a check asks, as an address: `https://name:port/path`, `http://...`, `tls://name:port`, `tcp://name:port`.
//!
//! RFC 3986, and of it only what a check can mean: no user (its password would stand in the plan), no fragment (it never
//! reaches a server), IPv6 addresses in brackets and without a zone.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What is spoken once connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Tls,
    Http,
    Https,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Http, Self::Https];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(crate) const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// The port meant by an address without one (RFC 9110, 4.2).
    const fn port(self) -> Option<u16> {
        match self {
            Self::Tcp | Self::Tls => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

/// A name or address with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match authority(text)? {
            (host, Some(port)) => Ok(Self { host, port }),
            (_, None) => Err("it is `host:port`, such as \"127.0.0.1:8443\" or \"[::1]:8443\"".to_owned()),
        }
    }
}

/// The address of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    pub(crate) endpoint: Endpoint,
    /// Path and query; `/` where none is written, nothing for `tcp` and `tls`.
    pub(crate) target: String,
}

impl Url {
    /// Host and port as the `Host` header has them: without a port that the scheme means anyway.
    pub(crate) fn authority(&self) -> String {
        if Some(self.endpoint.port) == self.scheme.port() {
            bracketed(&self.endpoint.host)
        } else {
            self.endpoint.to_string()
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.target)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "it is https://name:port/path, http://..., tls://name:port or tcp://name:port".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.name() == scheme).ok_or_else(form)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority_text, target) = rest.split_at(end);
        if authority_text.contains('@') {
            return Err("a user does not belong in an address: its password would stand in the plan".to_owned());
        }
        if target.contains('#') {
            return Err("a fragment (`#...`) never reaches a server: leave it out".to_owned());
        }
        if let Some(wrong) = target.chars().find(|c| !is_target(*c)) {
            return Err(format!("{wrong:?} has no place in a path: write it as %XX"));
        }
        if !scheme.is_http() && !target.is_empty() {
            return Err(format!("a {} address ends with its port", scheme.name()));
        }
        let (host, port) = authority(authority_text)?;
        let port = port.or_else(|| scheme.port()).ok_or_else(|| format!("a {} address needs a port", scheme.name()))?;
        let target = match target {
            "" if scheme.is_http() => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        };
        Ok(Self { scheme, endpoint: Endpoint { host, port }, target })
    }
}

/// The characters of a path and a query (RFC 3986, 3.3 and 3.4).
fn is_target(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/?-._~%!$&'()*+,;=:@".contains(c)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn authority(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the bracket of an IPv6 address is not closed")?;
            let host: Ipv6Addr =
                host.parse().map_err(|_| format!("[{host}] is no IPv6 address; a zone cannot be meant either"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err("after the bracket of an IPv6 address comes `:port`".to_owned()),
            };
            (host.to_string(), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            if port.is_some_and(|port| port.contains(':')) {
                return Err("an IPv6 address stands in brackets: [2001:db8::1]:8443".to_owned());
            }
            (name(host)?, port)
        }
    };
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(format!("{port:?} is no port: 1 to 65535")),
    });
    Ok((host, port.transpose()?))
}

/// A host name (RFC 1123, 2.1) in lower case, or an IPv4 address.
fn name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if numeric && text.parse::<Ipv4Addr>().is_err() {
        return Err(format!("{text:?} is no IPv4 address"));
    }
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(format!("{text:?} is neither a host name nor an address"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_the_same() {
        for (text, host, port, authority) in [
            ("https://registry.example:8443/healthz?full=1", "registry.example", 8443, "registry.example:8443"),
            ("https://registry.example/", "registry.example", 443, "registry.example"),
            ("http://127.0.0.1:8080/a%20b", "127.0.0.1", 8080, "127.0.0.1:8080"),
            ("https://[2001:db8::1]:8443/", "2001:db8::1", 8443, "[2001:db8::1]:8443"),
            ("https://[::1]/", "::1", 443, "[::1]"),
            ("tls://registry.example:8443", "registry.example", 8443, "registry.example:8443"),
            ("tcp://[::1]:22", "::1", 22, "[::1]:22"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.endpoint.host.as_str(), url.endpoint.port), (host, port), "{text}");
            assert_eq!((url.authority().as_str(), url.to_string().as_str()), (authority, text));
        }
        assert_eq!("https://A.example".parse::<Url>().unwrap().to_string(), "https://a.example/");
        assert_eq!("https://a.example?q=1".parse::<Url>().unwrap().target, "/?q=1");
    }

    #[test]
    fn what_a_check_cannot_mean_is_refused() {
        for text in [
            "",
            "registry.example:8443",
            "ftp://registry.example/",
            "https://",
            "https://:8443/",
            "https://user:password@registry.example/",
            "https://registry.example/#top",
            "https://registry.example:0/",
            "https://registry.example:65536/",
            "https://registry.example:+1/",
            "https://registry.example:/",
            "https://2001:db8::1/",
            "https://[2001:db8::1",
            "https://[fe80::1%25eth0]/",
            "https://[::1]8443/",
            "https://1.2.3/",
            "https://256.0.0.1/",
            "https://regi stry.example/",
            "https://registry_.example/",
            "https://registry.example./",
            "https://registry.example/a b",
            "https://registry.example/ä",
            "https://registry.example/\"",
            "https://registry.example/\r\nX: y",
            "tcp://registry.example",
            "tls://registry.example:8443/",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text:?}");
        }
        for text in ["127.0.0.1", "8443", ":8443", "::1:8443", "[::1]", "https://a:1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
