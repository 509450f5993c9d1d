//! What a host's firewall lets in and forwards: firewalld over its bus, nftables in a table of our own, or ufw.
//!
//! An item is named without saying who keeps it; its text says that. No Python is started for firewalld, and for ufw only
//! to change something.

use super::KnobSort;

mod firewalld;
mod host;
mod item;
mod look;
mod nftables;
#[cfg(test)]
mod tests;
mod ufw;

use firewalld::firewalld;
use host::host;
use item::item;
use look::common;
use nftables::nftables;
use ufw::ufw;

/// One item: `port 8443/tcp`, `service https`, `rule family="ipv4" ...`, `forward 80/tcp to 8080 at 10.0.0.5`,
/// `masquerade 10.0.0.5` or `source 192.0.2.0/24`; before it `by=ufw` and `zone=work`, where they are not the host's own.
///
/// Its text is `firewalld ZONE PERMANENT RUNNING`, `nftables - PERMANENT RUNNING`, `ufw - PERMANENT RUNNING`, or `none`
/// where there is none of them. PERMANENT is what the next boot has, RUNNING what is in force: `yes`, `no`, or what of it
/// there is: of ports the open ones, `5004-5005,5007`; of a forward on the host itself the family that has it; with ufw what
/// the rule of each family says, `allow/no`, `never` for a family that ufw leaves alone.
///
/// What is set may have `auto` for whichever there is then, and a zone of `-`.
pub static FIREWALL: KnobSort = KnobSort {
    word: "firewall",
    noun: "the firewall's",
    functions: concat!(common!(), firewalld!(), nftables!(), ufw!(), item!()),
    show,
    settled,
    thing: false,
    // Opening a port does not; what is set says so by `NEW`.
    may_cut_off: true,
    stays: None,
    unset: "firewalld public no no",
};

/// What there is on the host and what it knows, named by `by=`, `zone=` and `services`, as far as given, parted by blanks. It is
/// never set. Lines `firewalld running|stopped|absent`, `ufw active|inactive|absent`, `nft present|absent` and `by` with
/// the one that counts, and of that one: `zone NAME`; for a zone that firewalld lacks `running NAME..` and
/// `permanent NAME..` with those that it has; `service NAME` for each that it knows; for nftables `forwarding 0 1`, of IPv4
/// and IPv6, and `chain FAMILY TABLE NAME HOOK POLICY`, each followed by its `rule TEXT`, for what else filters.
pub static FIREWALL_HOST: KnobSort = KnobSort {
    word: "firewall_host",
    noun: "the host's firewall",
    functions: concat!(common!(), firewalld!(), nftables!(), ufw!(), host!()),
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: "firewalld running\nufw absent\nnft absent\nby firewalld\nzone public\nservice http\nservice https",
};

fn show(state: &str) -> String {
    let mut words = state.split(' ');
    let [by, zone, permanent, running] = [(); 4].map(|()| words.next().unwrap_or_default());
    let at = if zone == "-" || zone.is_empty() { String::new() } else { format!(" ({zone})") };
    match (permanent, running) {
        ("", _) => by.to_owned(),
        ("yes" | "allow/allow", running) if permanent == running => format!("{by}{at}"),
        (permanent, running) if permanent == running => format!("{by}{at}: {permanent}"),
        (permanent, running) => format!("{by}{at}: {permanent}, running {running}"),
    }
}

/// A made-up host has firewalld alone, and the zone `public`.
fn settled(state: &str) -> String {
    let mut words: Vec<&str> = state.lines().last().unwrap_or_default().split(' ').collect();
    if let Some(by) = words.first_mut().filter(|by| **by == "auto") {
        *by = "firewalld";
    }
    if words.first() == Some(&"firewalld")
        && let Some(zone) = words.get_mut(1).filter(|zone| **zone == "-")
    {
        *zone = "public";
    }
    if words.first() == Some(&"ufw") {
        words.iter_mut().filter(|word| **word == "yes").for_each(|word| *word = "allow/allow");
    }
    words.join(" ")
}

/// Whether an item is in neither of the two.
pub(crate) fn is_closed(state: &str) -> bool {
    state.split(' ').skip(2).all(|layer| layer.split('/').all(|word| matches!(word, "no" | "never")))
}

/// Whether an item is as it was before, as far as the one that kept it then still does: nothing of an earlier zone or
/// firewall is in what another one says.
pub(crate) fn is_back(now: &str, before: &str) -> bool {
    let keeper = |state: &str| state.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    now == before || keeper(now) != keeper(before)
}
