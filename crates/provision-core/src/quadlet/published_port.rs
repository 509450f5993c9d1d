//! Owns the value of `PublishPort=` (and podman's `--publish`): which ports of the host lead to which of a container.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `[[ip:][hostPort]:]containerPort[/protocol]`, podman-run(1), read as `CreatePortBindings` in podman's
/// `pkg/specgenutil/util.go` does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishedPort {
    /// The host's address; without one, all of them: podman-run(1) says "all IPs", podman-systemd.unit(5)
    /// "all IPv4 addresses", and which it is depends on the network.
    pub address: Option<IpAddr>,
    /// The host's ports; without them podman picks a free one at each start.
    pub host: Option<PortRange>,
    /// The container's ports, as many as the host's.
    pub container: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

/// One port or several in a row, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// What is carried on a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// What podman publishes unless told otherwise.
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// SCTP, for rootful containers only.
    Sctp,
}

/// Why a value publishes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishedPortError {
    /// It has a specifier, which only systemd can expand; so it may be right, but not here.
    #[error("{value:?} has a specifier, which only systemd on the host can expand")]
    Specifier {
        /// The value as given.
        value: String,
    },
    /// Too many or too few parts.
    #[error("{value:?} is not of the form [[ip:][host port]:]container port[/protocol]; {hint}")]
    Form {
        /// The value as given.
        value: String,
        /// What is amiss.
        hint: &'static str,
    },
    /// An address that is none.
    #[error("{address:?} in {value:?} is no IP address")]
    Address {
        /// The value as given.
        value: String,
        /// The part of it.
        address: String,
    },
    /// A port or range that is none.
    #[error("{port:?} in {value:?} is no port from 1 to 65535, nor a rising range such as 8080-8089")]
    Port {
        /// The value as given.
        value: String,
        /// The part of it.
        port: String,
    },
    /// A protocol that podman does not know.
    #[error("{protocol:?} in {value:?} is none of tcp, udp and sctp; for two of them, publish twice")]
    Protocol {
        /// The value as given.
        value: String,
        /// The part of it.
        protocol: String,
    },
    /// Ranges that do not fit each other.
    #[error("{value:?} publishes {container} of the container's ports on {host} of the host's")]
    Lengths {
        /// The value as given.
        value: String,
        /// How many ports of the host.
        host: u32,
        /// How many ports of the container.
        container: u32,
    },
}

impl PortRange {
    /// Makes a range; absent when a port is 0 or the last comes before the first.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// The first port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port, which is the first one for a single port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Says whether a port is among them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn read(text: &str) -> Option<Self> {
        // `u16::from_str` takes a plus sign, podman does not mean it to.
        let port = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        match text.split_once('-') {
            None => Self::new(port(text)?, port(text)?),
            Some((first, last)) => Self::new(port(first)?, port(last)?).filter(|range| range.count() > 1),
        }
    }
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl FromStr for PublishedPort {
    type Err = PublishedPortError;

    fn from_str(text: &str) -> Result<Self, PublishedPortError> {
        use PublishedPortError as Error;
        let value = || text.to_owned();
        let form = |hint| Error::Form { value: value(), hint };
        let ports =
            |port: &str| PortRange::read(port).ok_or_else(|| Error::Port { value: value(), port: port.to_owned() });
        if text.contains('%') {
            return Err(Error::Specifier { value: value() });
        }
        let (rest, protocol) = match text.split_once('/') {
            None => (text, Protocol::default()),
            Some((rest, name)) => {
                let known = Protocol::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name));
                (rest, known.ok_or_else(|| Error::Protocol { value: value(), protocol: name.to_owned() })?)
            }
        };
        let (bracketed, rest) = match rest.strip_prefix('[') {
            None => (None, rest),
            Some(bracketed) => {
                let parts = bracketed.split_once("]:");
                let (address, rest) =
                    parts.ok_or_else(|| form("a bracket is followed by an IPv6 address and \"]:\""))?;
                (Some(address), rest)
            }
        };
        let parts: Vec<&str> = rest.split(':').collect();
        let (address, host, container) = match (bracketed, parts.as_slice()) {
            (None, [container]) => (None, None, *container),
            (address, [host, container]) => (address, Some(*host), *container),
            (None, [address, host, container]) => (Some(*address), Some(*host), *container),
            (Some(_), [_]) => return Err(form("an address wants a port of the host behind it, which may be empty")),
            (None, _) => return Err(form("an IPv6 address stands in brackets")),
            (Some(_), _) => return Err(form("behind the address stand two ports at most")),
        };
        let address = match address {
            None => None,
            Some(address) => match address.parse() {
                Ok(parsed) => Some(parsed),
                Err(_) => return Err(Error::Address { value: value(), address: address.to_owned() }),
            },
        };
        let container = ports(container)?;
        let host = host.filter(|host| !host.is_empty()).map(ports).transpose()?;
        if let Some(host) = host.filter(|host| host.count() != container.count()) {
            return Err(Error::Lengths { value: value(), host: host.count(), container: container.count() });
        }
        Ok(Self { address, host, container, protocol })
    }
}

/// The shortest value that means the same.
impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None if self.address.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}", self.container)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            protocol => write!(f, "/{}", protocol.as_str()),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count() {
            1 => write!(f, "{}", self.first),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        for (text, address, host, container, protocol) in [
            ("80", None, None, range(80, 80), Protocol::Tcp),
            ("8080:80", None, Some(range(8080, 8080)), range(80, 80), Protocol::Tcp),
            (":80", None, None, range(80, 80), Protocol::Tcp),
            ("8080-8089:80-89/udp", None, Some(range(8080, 8089)), range(80, 89), Protocol::Udp),
            ("0.0.0.0:8443:8443", Some("0.0.0.0"), Some(range(8443, 8443)), range(8443, 8443), Protocol::Tcp),
            ("127.0.0.1::80", Some("127.0.0.1"), None, range(80, 80), Protocol::Tcp),
            ("[::]:53:53/UDP", Some("::"), Some(range(53, 53)), range(53, 53), Protocol::Udp),
            ("[2001:db8::1]::80/sctp", Some("2001:db8::1"), None, range(80, 80), Protocol::Sctp),
            ("65535:1", None, Some(range(65535, 65535)), range(1, 1), Protocol::Tcp),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(text.parse(), Ok(PublishedPort { address, host, container, protocol }), "{text}");
        }
    }

    #[test]
    fn wrong_values_say_what_is_wrong() {
        let form = "is not of the form [[ip:][host port]:]container port[/protocol];";
        for (text, message) in [
            ("", r#""" in "" is no port from 1 to 65535, nor a rising range such as 8080-8089"#.to_owned()),
            ("0:80", r#""0" in "0:80" is no port from 1 to 65535, nor a rising range such as 8080-8089"#.to_owned()),
            ("+80", r#""+80" in "+80" is no port from 1 to 65535, nor a rising range such as 8080-8089"#.to_owned()),
            (
                "80-80",
                r#""80-80" in "80-80" is no port from 1 to 65535, nor a rising range such as 8080-8089"#.to_owned(),
            ),
            (
                "80/icmp",
                r#""icmp" in "80/icmp" is none of tcp, udp and sctp; for two of them, publish twice"#.to_owned(),
            ),
            (
                "80/tcp/udp",
                r#""tcp/udp" in "80/tcp/udp" is none of tcp, udp and sctp; for two of them, publish twice"#.to_owned(),
            ),
            ("1-3:1-2", r#""1-3:1-2" publishes 2 of the container's ports on 3 of the host's"#.to_owned()),
            ("localhost:80:80", r#""localhost" in "localhost:80:80" is no IP address"#.to_owned()),
            (":1:80", r#""" in ":1:80" is no IP address"#.to_owned()),
            ("::1:80:80", format!(r#""::1:80:80" {form} an IPv6 address stands in brackets"#)),
            ("[::1]80", format!(r#""[::1]80" {form} a bracket is followed by an IPv6 address and "]:""#)),
            (
                "[::1]:80",
                format!(r#""[::1]:80" {form} an address wants a port of the host behind it, which may be empty"#),
            ),
            ("80%i:80", r#""80%i:80" has a specifier, which only systemd on the host can expand"#.to_owned()),
        ] {
            assert_eq!(text.parse::<PublishedPort>().unwrap_err().to_string(), message);
        }
    }

    fn published() -> impl Strategy<Value = PublishedPort> {
        let address = prop::option::of(any::<IpAddr>());
        let protocol = prop::sample::select(Protocol::ALL.to_vec());
        (address, prop::option::of(1..60000_u16), 1..60000_u16, 0..5000_u16, protocol).prop_map(
            |(address, host, container, more, protocol)| PublishedPort {
                address,
                host: host.and_then(|host| PortRange::new(host, host + more)),
                container: PortRange::new(container, container + more).unwrap(),
                protocol,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(port in published()) {
            prop_assert_eq!(port.to_string().parse(), Ok(port));
        }
    }
}
