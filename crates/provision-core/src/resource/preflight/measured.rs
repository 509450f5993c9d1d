//! What the measures of a host say (`knob/measure.rs` has their texts).

use std::net::{IpAddr, Ipv6Addr};

use crate::knob::measure::{FREE, UNKNOWN};
use crate::probe::Undecided;
use crate::resource::service::Runnable;
use crate::transport::Resolved;

pub(super) fn number(what: &str, text: &str) -> Result<u64, Undecided> {
    text.trim().parse().map_err(|_| Undecided::new(format!("the host's {what} is no number: {text:?}")))
}

/// Kibibytes as people read them.
pub(super) fn about(kibibytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    let (mut tenths, mut unit) = (u128::from(kibibytes) * 10, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    let (whole, rest) = (tenths / 10, tenths % 10);
    if rest == 0 || unit == "K" { format!("{whole}{unit}") } else { format!("{whole}.{rest}{unit}") }
}

/// A file system, in kibibytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) mount: String,
    pub(super) free: u64,
    /// By what is to be stored there.
    pub(super) used: u64,
    pub(super) wanted: u64,
}

impl Disk {
    pub(super) fn read(text: &str) -> Result<Self, Undecided> {
        let mut words = text.trim_end().splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        Ok(Self { free: number("disk", word())?, used: number("disk", word())?, mount: word().to_owned(), wanted: 0 })
    }
}

/// Who listens on a port: a control group and a name each.
pub(super) struct Listeners(Vec<(String, String)>);

impl Listeners {
    pub(super) fn read(text: &str) -> Self {
        let listener = |line: &str| {
            let (group, name) = line.split_once('\t').unwrap_or(("", ""));
            (group.to_owned(), name.to_owned())
        };
        Self(text.lines().filter(|line| *line != FREE).map(listener).collect())
    }

    /// Those that belong to none of some services, as people know them.
    pub(super) fn but(&self, units: &[Runnable]) -> Vec<String> {
        let units: Vec<String> = units.iter().map(|unit| unit.0.to_string()).collect();
        let foreign =
            self.0.iter().filter(|(group, _)| !group.split('/').any(|part| units.iter().any(|unit| unit == part)));
        let shown = |(group, name): &(String, String)| match group.rsplit('/').find(|part| !part.is_empty()) {
            _ if name.is_empty() => format!("a process that is {UNKNOWN} to who asks"),
            Some(unit) => format!("{name} ({unit})"),
            None => name.clone(),
        };
        foreign.map(shown).collect()
    }
}

/// What a name leads to, and what the host's own addresses are.
pub(super) struct Name {
    to: Vec<IpAddr>,
    own: Vec<IpAddr>,
}

impl Name {
    pub(super) fn read(text: &str) -> Self {
        let mut found = Self { to: Vec::new(), own: Vec::new() };
        for line in text.lines() {
            match line.split_once(' ') {
                // A scope such as %eth0 is no part of the address.
                Some(("to", address)) => {
                    let address = address.split('%').next().unwrap_or_default();
                    found.to.extend(address.parse::<IpAddr>());
                }
                Some(("own", address)) => found.own.extend(address.parse::<IpAddr>()),
                Some(("own6", digits)) => {
                    found
                        .own
                        .extend(u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from(bits))));
                }
                _ => {}
            }
        }
        found
    }

    /// Where it leads instead; none when it leads here and nowhere else.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let other = self.to.iter().filter(|address| !address.is_loopback() && !self.own.contains(address));
        let other: Vec<String> = other.map(ToString::to_string).collect();
        if self.to.is_empty() {
            Some("not resolved by the host".to_owned())
        } else if other.is_empty() {
            None
        } else {
            Some(other.join(", "))
        }
    }

    /// Where a name leads on this side instead of to the host; none when it leads there and nowhere else.
    pub(super) fn led_to_by(&self, here: &Resolved) -> Option<String> {
        let leads = |address: &&IpAddr| if address.is_loopback() { here.itself } else { self.own.contains(address) };
        let other: Vec<String> =
            here.addresses.iter().filter(|address| !leads(address)).map(ToString::to_string).collect();
        if here.addresses.is_empty() {
            Some("not resolved here".to_owned())
        } else {
            (!other.is_empty()).then(|| other.join(", "))
        }
    }

    /// The host's addresses that others can reach.
    pub(super) fn own(&self) -> String {
        let local = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let own = self.own.iter().filter(|address| !address.is_loopback() && !local(address));
        let own: Vec<String> = own.map(ToString::to_string).collect();
        if own.is_empty() { "which has none".to_owned() } else { own.join(", ") }
    }
}
