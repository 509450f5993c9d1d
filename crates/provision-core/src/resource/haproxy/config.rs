//! A whole configuration of haproxy as a value, and as the text that haproxy reads: the same value, the same text.

use std::fmt;
use std::net::IpAddr;

use super::word::{Balance, Host, Line, Listen, Name, Phrase, Protocol, ProxyProtocol, quote};
use crate::address::Address;
use crate::path::AbsPath;
use crate::x509::DnsName;

/// Everything that is written.
#[derive(Debug)]
pub(super) struct Config {
    /// Whose file it is.
    pub(super) address: Address,
    /// The plan's own; otherwise [`GLOBAL`].
    pub(super) global: Option<Vec<Line>>,
    /// The plan's own; otherwise [`DEFAULTS`].
    pub(super) defaults: Option<Vec<Line>>,
    pub(super) frontends: Vec<Frontend>,
    pub(super) backends: Vec<Backend>,
}

/// What clients connect to.
#[derive(Debug)]
pub(super) struct Frontend {
    pub(super) name: Name,
    pub(super) mode: Protocol,
    pub(super) binds: Vec<Bind>,
    pub(super) backend: Option<Name>,
    pub(super) lines: Vec<Line>,
}

/// An address and port of a frontend.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) address: Listen,
    pub(super) port: u16,
    /// Of `::`: not IPv4 as well.
    pub(super) v6only: bool,
    /// TLS with this certificate.
    pub(super) tls: Option<AbsPath>,
    pub(super) options: Vec<Phrase>,
}

/// Where requests go.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) name: Name,
    pub(super) mode: Protocol,
    pub(super) balance: Option<Balance>,
    pub(super) servers: Vec<Server>,
    pub(super) lines: Vec<Line>,
}

/// A server of a backend.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: Name,
    pub(super) address: Host,
    pub(super) port: u16,
    pub(super) role: Role,
    pub(super) checked: bool,
    /// TLS, and the authority that must have signed the server's certificate.
    pub(super) authority: Option<AbsPath>,
    /// The name that its certificate must carry.
    pub(super) verify_name: Option<DnsName>,
    pub(super) send_proxy: Option<ProxyProtocol>,
    pub(super) options: Vec<Phrase>,
}

/// When a server is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Regular,
    /// Only when no other one is there.
    Backup,
}

/// Without a wish of the plan. `short` is the format that systemd's journal understands, user and directory are those
/// that every distribution's package makes, and without `maxconn` the limit hangs on the limits of whoever starts it.
const GLOBAL: [&str; 5] =
    ["log stdout format short daemon", "maxconn 4000", "chroot /var/lib/haproxy", "user haproxy", "group haproxy"];

/// Lets `crt x.crt` find its key in `x.key`, where a certificate resource puts it, and not in `x.crt.key`.
const SPLIT_KEYS: &str = "ssl-load-extra-del-ext";

/// Without a wish of the plan. haproxy warns when one of the timeouts is missing. Five minutes, since a registry is
/// silent for as long as it digests a layer of some gigabytes that it was sent.
const DEFAULTS: [&str; 5] =
    ["log global", "option dontlognull", "timeout connect 10s", "timeout client 5m", "timeout server 5m"];

impl Bind {
    /// Whether it takes IPv4 clients besides IPv6 ones.
    pub(super) fn is_dual(&self) -> bool {
        self.is_all_of_v6() && !self.v6only
    }

    pub(super) fn is_all_of_v6(&self) -> bool {
        matches!(self.address.0, IpAddr::V6(address) if address.is_unspecified())
    }

    /// The addresses that it occupies.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let v4 = self.is_dual().then_some(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        std::iter::once(self.address.0).chain(v4).collect()
    }
}

impl Config {
    /// Whether connections are logged: haproxy warns of a format for logs that go nowhere.
    fn logs(&self) -> bool {
        let own = |lines: &Vec<Line>| lines.iter().any(|line| line.as_str().starts_with("log "));
        self.defaults.is_none() && self.global.as_ref().is_none_or(own)
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, global, defaults, frontends, backends } = self;
        writeln!(f, "# Managed by provision as {address}: what is changed here by hand is put back.")?;
        section(f, "global", global.as_deref(), &GLOBAL)?;
        if global.is_none() && frontends.iter().flat_map(|frontend| &frontend.binds).any(|bind| bind.tls.is_some()) {
            line(f, SPLIT_KEYS)?;
        }
        section(f, "defaults", defaults.as_deref(), &DEFAULTS)?;
        for frontend in frontends {
            writeln!(f, "\nfrontend {}", frontend.name.as_str())?;
            line(f, &format!("mode {}", frontend.mode.word()))?;
            if self.logs() {
                line(f, &format!("option {}log", frontend.mode.word()))?;
            }
            frontend.fmt(f)?;
        }
        backends.iter().try_for_each(|backend| backend.fmt(f))
    }
}

fn section(f: &mut fmt::Formatter<'_>, head: &str, own: Option<&[Line]>, usual: &[&str]) -> fmt::Result {
    writeln!(f, "\n{head}")?;
    match own {
        Some(lines) => lines.iter().try_for_each(|own| line(f, own.as_str())),
        None => usual.iter().try_for_each(|usual| line(f, usual)),
    }
}

fn line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    writeln!(f, "    {text}")
}

impl fmt::Display for Frontend {
    /// What follows its name and mode.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, mode: _, binds, backend, lines } = self;
        binds.iter().try_for_each(|bind| line(f, &bind.to_string()))?;
        lines.iter().try_for_each(|own| line(f, own.as_str()))?;
        backend.iter().try_for_each(|backend| line(f, &format!("default_backend {}", backend.as_str())))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address: Listen(address), port, v6only, tls, options } = self;
        match address {
            IpAddr::V6(v6) if v6.is_unspecified() => {
                // Spelled out: without it the host's net.ipv6.bindv6only decides.
                write!(f, "bind :::{port} {}", if *v6only { "v6only" } else { "v4v6" })?;
            }
            IpAddr::V6(v6) => write!(f, "bind [{v6}]:{port}")?,
            IpAddr::V4(v4) => write!(f, "bind {v4}:{port}")?,
        }
        if let Some(path) = tls {
            write!(f, " ssl crt {}", quote(path.as_str()))?;
        }
        options.iter().try_for_each(|option| write!(f, " {}", option.as_str()))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mode, balance, servers, lines } = self;
        writeln!(f, "\nbackend {}", name.as_str())?;
        line(f, &format!("mode {}", mode.word()))?;
        balance.iter().try_for_each(|balance| line(f, &format!("balance {}", balance.word())))?;
        lines.iter().try_for_each(|own| line(f, own.as_str()))?;
        servers.iter().try_for_each(|server| line(f, &server.to_string()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, port, role, checked, authority, verify_name, send_proxy, options } = self;
        write!(f, "server {} {address}:{port}", name.as_str())?;
        if *checked {
            write!(f, " check")?;
        }
        if *role == Role::Backup {
            write!(f, " backup")?;
        }
        if let Some(path) = authority {
            write!(f, " ssl verify required ca-file {}", quote(path.as_str()))?;
        }
        if let Some(name) = verify_name {
            write!(f, " sni str({name}) verifyhost {name}")?;
            // A check has no client whose name could be passed on.
            if *checked {
                write!(f, " check-sni {name}")?;
            }
        }
        if let Some(version) = send_proxy {
            write!(f, " {}", version.word())?;
        }
        options.iter().try_for_each(|option| write!(f, " {}", option.as_str()))
    }
}
