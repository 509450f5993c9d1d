//! What a firewall may have, as a plan writes it: ports, services, rules, forwarded ports, sources.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Keeper;

/// One thing that a firewall has or has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Port(PortRange),
    Service(String),
    Rule(String),
    Forward(Forward),
    /// What is forwarded to this address has this host's own as its source.
    Masquerade(IpAddr),
    Source(String),
}

impl Item {
    /// As its knob is named.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Port(port) => format!("port {port}"),
            Self::Service(name) => format!("service {name}"),
            Self::Rule(text) => text.clone(),
            Self::Forward(Forward { from, to_port, to_address }) => {
                let to = to_port.map(|port| format!(" to {port}")).unwrap_or_default();
                let at = to_address.map(|address| format!(" at {address}")).unwrap_or_default();
                format!("forward {from}{to}{at}")
            }
            Self::Masquerade(address) => format!("masquerade {address}"),
            Self::Source(source) => format!("source {source}"),
        }
    }

    /// What keeps it from being in a firewall of that sort, for the end of a sentence.
    pub(super) fn beyond(&self, keeper: Keeper) -> Option<&'static str> {
        match (keeper, self) {
            (Keeper::Firewalld, _)
            | (Keeper::Nftables, Self::Port(_) | Self::Forward(_) | Self::Masquerade(_))
            | (Keeper::Ufw, Self::Service(_)) => None,
            (Keeper::Ufw, Self::Port(port)) if matches!(port.protocol.as_str(), "tcp" | "udp") => None,
            (Keeper::Ufw, Self::Port(_)) => Some("ports of tcp and udp alone"),
            (Keeper::Nftables, Self::Service(_)) => Some("no services: write their `ports`"),
            (_, Self::Rule(_)) => Some("no rich rules, which are firewalld's"),
            (_, Self::Source(_)) => Some("no zones, and so no `sources`, which are firewalld's"),
            (Keeper::Ufw, Self::Forward(_) | Self::Masquerade(_)) => {
                Some("no forwarded ports: its manual has them written into /etc/ufw/before.rules by hand")
            }
        }
    }

    /// Whether its coming can only let more in: nobody is cut off by that.
    pub(super) fn only_opens(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Service(_))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{port}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Rule(text) => f.write_str(text),
            Self::Forward(forward) => write!(f, "{forward}"),
            Self::Masquerade(address) => write!(f, "masquerade to {address}"),
            Self::Source(source) => write!(f, "source {source}"),
        }
    }
}

/// Ports of one protocol, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortRange {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) protocol: String,
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, protocol } = self;
        if first == last { write!(f, "{first}/{protocol}") } else { write!(f, "{first}-{last}/{protocol}") }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a port is \"8443/tcp\" or a range \"5000-5010/udp\"; tcp, udp, sctp or dccp".to_owned();
        let (ports, protocol) = text.split_once('/').ok_or_else(wrong)?;
        if !matches!(protocol, "tcp" | "udp" | "sctp" | "dccp") {
            return Err(wrong());
        }
        let port = |text: &str| port(text).ok_or_else(wrong);
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{first}-{last} runs backwards: write {last}-{first}"));
        }
        Ok(Self { first, last, protocol: protocol.to_owned() })
    }
}

fn port(text: &str) -> Option<u16> {
    let port = text.parse().ok()?;
    (port > 0 && text.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}

/// Ports that are led elsewhere: to another port of the host, or to another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) from: PortRange,
    pub(super) to_port: Option<u16>,
    pub(super) to_address: Option<IpAddr>,
}

impl Forward {
    /// One that leads somewhere.
    pub(super) fn new(from: PortRange, to_port: Option<u16>, to_address: Option<IpAddr>) -> Result<Self, &'static str> {
        match (to_port, to_address) {
            (None, None) => Err("it leads nowhere: it needs a port, an address or both to lead to"),
            (Some(port), None) if from.first <= port && port <= from.last => Err("it leads to itself"),
            (_, Some(address)) if address.is_unspecified() || address.is_multicast() => {
                Err("this is no address of one host")
            }
            // firewalld and nft would each take another port for each.
            (Some(_), _) if from.first != from.last && to_address.is_some() => {
                Err("several ports cannot lead to one of another host: leave the port out, and each leads to its own")
            }
            _ => Ok(Self { from, to_port, to_address }),
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to_port, to_address } = self;
        match (to_address, to_port) {
            (Some(IpAddr::V6(address)), Some(port)) => write!(f, "{from} -> [{address}]:{port}"),
            (Some(address), Some(port)) => write!(f, "{from} -> {address}:{port}"),
            (Some(address), None) => write!(f, "{from} -> {address}"),
            (None, Some(port)) => write!(f, "{from} -> {port}"),
            (None, None) => write!(f, "{from}"),
        }
    }
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a forwarded port is \"80/tcp -> 8080\", \"80/tcp -> 10.0.0.5:8080\", \"80/tcp -> [fd00::5]:8080\" or \"80/tcp -> 10.0.0.5\"".to_owned()
        };
        let (from, to) = text.split_once("->").ok_or_else(wrong)?;
        let (from, to) = (from.trim().parse()?, to.trim());
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong());
        let (to_address, to_port) = if let Some(port) = port(to) {
            (None, Some(port))
        } else if let Ok(address) = to.parse::<IpAddr>() {
            (Some(address), None)
        } else {
            let (host, text) = to.rsplit_once(':').ok_or_else(wrong)?;
            let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(six) => address(six).and_then(|host| if host.is_ipv6() { Ok(host) } else { Err(wrong()) })?,
                None => address(host).and_then(|host| if host.is_ipv4() { Ok(host) } else { Err(wrong()) })?,
            };
            (Some(host), Some(port(text).ok_or_else(wrong)?))
        };
        Self::new(from, to_port, to_address).map_err(str::to_owned)
    }
}

/// A rule as firewalld.richlanguage(5) has it; what is in it is firewalld's to say.
pub(super) struct Rule(pub(super) String);

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with("rule ") || text.chars().any(char::is_control) {
            let help = "a rich rule is one line and starts so: \"rule family=\\\"ipv4\\\" source address=... accept\" (firewalld.richlanguage(5))";
            return Err(help.to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a service of firewalld, or of a profile of ufw.
pub(super) struct Service(pub(super) String);

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || " _.+-".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !text.ends_with(' ') && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err("a service has a name such as \"https\"; `firewall-cmd --get-services` on the host has them all".to_owned())
    }
}

/// Where what comes in comes from: an address, a network, the address of a network card, or a set.
pub(super) struct Source(pub(super) String);

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a source is \"192.0.2.0/24\", \"fd00::/8\", one address, that of a network card, or \"ipset:NAME\""
                .to_owned()
        };
        let name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if let Some(set) = text.strip_prefix("ipset:") {
            return if !set.is_empty() && set.chars().all(name) { Ok(Self(text.to_owned())) } else { Err(wrong()) };
        }
        let card = |text: &str| {
            let parts: Vec<&str> = text.split(':').collect();
            parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if card(text) {
            return Ok(Self(text.to_ascii_uppercase()));
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        match length {
            None => Ok(Self(address.to_string())),
            Some(length) => match length.parse::<u8>() {
                Ok(length) if length <= longest => Ok(Self(format!("{address}/{length}"))),
                _ => Err(wrong()),
            },
        }
    }
}
