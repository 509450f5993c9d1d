//! The addresses under which others reach a host: what is read of it there, and which of it that comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::shell::Section;

/// What is asked, as shell text. Each table is a section `table NAME`, in the letters of whoever tells it:
/// - `ip`: one line an address, as ip(8) of iproute2 and of BusyBox has it; where there is none, `local`: the addresses of
///   the kernel's own table, a line each, as it does not say whose interface they are.
/// - `route`: those lines of `/proc/net/route` that lead anywhere directly or everywhere (proc(5)).
/// - `if_inet6`: addresses with interface and flags; `ipv6_route`: the routes that lead everywhere.
/// - `network`: a network of podman's, as netavark is told of it, one section each.
pub(super) const PROGRAM: &str = r#"
say table ip
if ! ip -o -4 addr show up 2>/dev/null; then
  say table local
  awk '$1 == "|--" { address = $2 } $1 == "/32" && $3 == "LOCAL" { print address }' /proc/net/fib_trie 2>/dev/null
fi
say table route; awk '$2 == "00000000" || $3 == "00000000"' /proc/net/route 2>/dev/null
say table if_inet6; cat /proc/net/if_inet6 2>/dev/null
say table ipv6_route; grep '^00000000000000000000000000000000 00 ' /proc/net/ipv6_route 2>/dev/null
for f in /etc/containers/networks/*.json; do
  if [ -f "$f" ]; then say table network; cat -- "$f" 2>/dev/null; fi
done
"#;

/// Flags of an address of IPv6 (`linux/if_addr.h`): for a while only, in use by somebody else, not to be used any more.
const TEMPORARY: u32 = 0x01;
const FAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
/// A route that refuses (`linux/route.h`).
const REJECT: u32 = 0x0200;

/// An address of one family, as it was told.
#[derive(Debug)]
struct Found<A> {
    address: A,
    interface: String,
    /// Added beside another of the same network.
    secondary: bool,
}

/// The tables, each with what it says.
#[derive(Debug, Default)]
pub(super) struct Tables {
    text: BTreeMap<String, String>,
    networks: Vec<String>,
}

impl Tables {
    /// Takes in a section of the reply, if it is one of a table.
    pub(super) fn take(&mut self, section: &Section<'_>) {
        let Some(name) = section.head.strip_prefix("table ") else { return };
        let text = String::from_utf8_lossy(section.body).into_owned();
        if name == "network" {
            self.networks.push(text);
        } else {
            self.text.insert(name.to_owned(), text);
        }
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = Vec<&str>> {
        self.text.get(name).map(String::as_str).unwrap_or_default().lines().map(|l| l.split_whitespace().collect())
    }

    /// The host's addresses of IPv4, with a blank between them.
    pub(super) fn ipv4(&self) -> String {
        let told = if self.text.contains_key("local") { self.ipv4_by_kernel() } else { self.ipv4_by_ip() };
        let routes = self.lines("route").filter_map(|line| match *line.as_slice() {
            [interface, "00000000", _, flags, _, _, metric, "00000000", ..] if hex(flags)? & REJECT == 0 => {
                Some((interface.to_owned(), metric.parse().ok()?))
            }
            _ => None,
        });
        self.in_order(told, routes, |address| {
            !(address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified())
        })
    }

    /// `2: eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global secondary eth0\       valid_lft forever`; of a link to
    /// one other host `inet 192.0.2.11 peer 192.0.2.12/32`.
    fn ipv4_by_ip(&self) -> Vec<Found<Ipv4Addr>> {
        let read = |line: Vec<&str>| {
            let [_, interface, "inet", address, ref rest @ ..] = *line.as_slice() else { return None };
            let address = address.split('/').next()?.parse().ok()?;
            let mut rest = rest.iter().skip_while(|word| **word != "scope").skip(1);
            let global = rest.next() == Some(&"global");
            let flags: Vec<&str> = rest.copied().collect();
            let interface = interface.trim_end_matches(':').split('@').next()?.to_owned();
            let secondary = flags.contains(&"secondary");
            (global && !flags.contains(&"deprecated")).then_some(Found { address, interface, secondary })
        };
        self.lines("ip").filter_map(read).collect()
    }

    /// An address is of the interface whose network is the narrowest that it is in.
    fn ipv4_by_kernel(&self) -> Vec<Found<Ipv4Addr>> {
        // The kernel prints what is in network order as a number of its own: a mask tells which way round that is.
        let masks = || self.lines("route").filter_map(|line| hex(line.get(7)?));
        let swapped = masks().any(|mask| mask.leading_ones() < mask.count_ones());
        let number = |text: &str| hex(text).map(|number| if swapped { number.swap_bytes() } else { number });
        let networks: Vec<(&str, u32, u32)> = self
            .lines("route")
            .filter_map(|line| match *line.as_slice() {
                [interface, to, "00000000", _, _, _, _, mask, ..] => Some((interface, number(to)?, number(mask)?)),
                _ => None,
            })
            .collect();
        let found = |address: Ipv4Addr| {
            let within = networks.iter().filter(|(_, to, mask)| u32::from(address) & mask == *to && *mask != 0);
            let interface = within.max_by_key(|(_, _, mask)| *mask).map_or("", |(interface, ..)| interface);
            Found { address, interface: interface.to_owned(), secondary: false }
        };
        let addresses = self.lines("local").filter_map(|line| line.first()?.parse().ok());
        addresses.collect::<BTreeSet<Ipv4Addr>>().into_iter().map(found).collect()
    }

    /// The host's addresses of IPv6, with a blank between them.
    pub(super) fn ipv6(&self) -> String {
        let told = self.lines("if_inet6").filter_map(|line| match *line.as_slice() {
            [address, _, _, scope, flags, interface] => {
                let lasts = hex(flags)? & (TEMPORARY | FAILED | DEPRECATED) == 0;
                let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
                // Of unique local addresses (RFC 4193) and others that every site may have, the others are known everywhere.
                let secondary = address.is_unique_local();
                (hex(scope)? == 0 && lasts).then_some(Found { address, interface: interface.to_owned(), secondary })
            }
            _ => None,
        });
        let routes = self.lines("ipv6_route").filter_map(|line| match *line.as_slice() {
            [_, _, _, _, _, metric, _, _, flags, interface] if hex(flags)? & REJECT == 0 => {
                Some((interface.to_owned(), hex(metric)?))
            }
            _ => None,
        });
        self.in_order(told.collect(), routes, |address| {
            !(address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified())
        })
    }

    /// What a client could be sent to, first that of the interface by which the host reaches everything.
    fn in_order<A: Ord + Copy + Display>(
        &self,
        found: Vec<Found<A>>,
        routes: impl Iterator<Item = (String, u32)>,
        global: impl Fn(&A) -> bool,
    ) -> String {
        let mut metrics: BTreeMap<String, u32> = BTreeMap::new();
        for (interface, metric) in routes {
            let least = metrics.entry(interface).or_insert(metric);
            *least = metric.min(*least);
        }
        let inner = self.bridges();
        let others_reach = |found: &&Found<A>| {
            let name = found.interface.as_str();
            let hidden = name == "lo" || is_inner(name) || inner.contains(name);
            global(&found.address) && (metrics.contains_key(name) || !hidden)
        };
        let place = |found: &Found<A>| {
            let metric = metrics.get(&found.interface).copied();
            ((metric.is_none(), metric), found.secondary, found.address)
        };
        let mut found: Vec<_> = found.iter().filter(others_reach).map(place).collect();
        found.sort();
        found.dedup_by_key(|(.., address)| *address);
        found.iter().map(|(.., address)| address.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The bridges that podman makes for networks with a name of their own.
    fn bridges(&self) -> BTreeSet<String> {
        let bridge = |text: &String| {
            let network: serde_json::Value = serde_json::from_str(text).ok()?;
            let of = |at: &str| network.pointer(at).and_then(serde_json::Value::as_str);
            // One that is not managed is the host's own.
            let made = of("/driver") == Some("bridge") && of("/options/mode") != Some("unmanaged");
            of("/network_interface").filter(|_| made).map(str::to_owned)
        };
        self.networks.iter().filter_map(bridge).collect()
    }
}

/// Whether an interface has the name of a bridge of podman's or docker's, which lead to containers of this host alone.
fn is_inner(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = ["podman", "cni-podman", "docker"].iter().any(|word| name.strip_prefix(word).is_some_and(digits));
    let docker = |id: &str| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    numbered || name == "docker_gwbridge" || name.strip_prefix("br-").is_some_and(docker)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests;
