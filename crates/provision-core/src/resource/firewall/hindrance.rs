//! What is in a firewall's way: what the host's cannot have, lacks, or others drop all the same. Each is said with what to do.

use super::host::{Chain, Found};
use super::item::{Forward, Item};
use super::{FORWARDING, Firewall, Keeper, forwarding};
use crate::plan::problem::nearest;
use crate::probe::Undecided;
use crate::resource::Context;

impl Firewall {
    /// Whether that firewall can have all of it at all.
    pub(super) fn could(&self, keeper: Keeper) -> Result<(), Undecided> {
        if let Some(zone) = self.zone.as_ref().filter(|_| keeper != Keeper::Firewalld) {
            return Err(Undecided::with_help(
                format!("{keeper} keeps the host's firewall, and it has no zones: nothing is done about {zone}"),
                "leave `zone` out for this host, or have firewalld run on it",
            ));
        }
        let beyond = self.items.iter().find_map(|(item, _)| Some((item, item.beyond(keeper)?)));
        beyond.map_or(Ok(()), |(item, beyond)| {
            Err(Undecided::with_help(
                format!("{keeper} keeps the host's firewall and cannot have {item}: it has {beyond}"),
                "leave it out for this host, or have firewalld run on it",
            ))
        })
    }

    /// Whether the host's firewall has what all of it stands on.
    pub(super) fn fits(&self, keeper: Keeper, found: &Found) -> Result<(), Undecided> {
        self.could(keeper)?;
        if keeper == Keeper::Firewalld && found.zone.is_none() {
            return Err(no_zone(self.zone.as_deref().unwrap_or_default(), &found.running, &found.permanent));
        }
        for (item, _) in &self.items {
            let Item::Service(name) = item else { continue };
            if found.services.contains(name) {
                continue;
            }
            let near = nearest(name, found.services.iter().map(String::as_str));
            let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            let (what, list) = match keeper {
                Keeper::Ufw => (
                    "no profile of an application",
                    "ufw app list has them all; they are files in /etc/ufw/applications.d",
                ),
                _ => (
                    "no service",
                    "firewall-cmd --get-services has them all; a new one is a file in /etc/firewalld/services, and firewalld reads it at a reload",
                ),
            };
            let help = format!("{near}{list}; or write its `ports`");
            return Err(Undecided::with_help(format!("{keeper} knows {what} {name}"), help));
        }
        Ok(())
    }

    /// Whether the kernel forwards what is to be forwarded: firewalld sees to that itself.
    pub(super) fn forwards(&self, found: &Found, context: &Context<'_>) -> Result<(), Undecided> {
        for (item, _) in &self.items {
            let Item::Forward(Forward { to_address: Some(address), .. }) = item else { continue };
            let at = usize::from(address.is_ipv6());
            let (Some(on), Some((key, name))) = (found.forwards.get(at), FORWARDING.get(at)) else { continue };
            if *on || context.pending(&forwarding(name)).is_some() || context.command_pending() {
                continue;
            }
            return Err(Undecided::with_help(
                format!("the host forwards nothing to other hosts, and so not {item}: {key} is 0"),
                format!("add [sysctl.forwarding] with key = \"{key}\" and value = 1 to the plan"),
            ));
        }
        Ok(())
    }

    pub(super) fn blocked(&self, found: &Found) -> Vec<Undecided> {
        let reason = |(chain, rule): (&Chain, String), item: &Item| {
            Undecided::with_help(
                format!(
                    "{} drops what it does not accept, whatever other tables accept, and it has nothing for {item}",
                    chain.title()
                ),
                format!(
                    "let it in there, too: nft insert rule {} {rule}, and the same in the file that makes that table (mostly \
                     /etc/nftables.conf); or write `blocked = \"ignore\"` where a rule lets it in that is not seen from here",
                    chain.path()
                ),
            )
        };
        let of = |item| found.blocked(item).into_iter().map(move |blocked| reason(blocked, item));
        self.items.iter().flat_map(|(item, _)| of(item)).collect()
    }

    pub(super) fn nobody(&self, found: &Found) -> Undecided {
        match self.backend {
            Some(Keeper::Firewalld) => Undecided::with_help(
                "firewalld does not run on the host",
                "start it (systemctl enable --now firewalld), or leave `backend` out where another firewall is used",
            ),
            Some(Keeper::Ufw) => Undecided::with_help(
                format!("ufw is {} on the host", found.ufw),
                "allow what you come in by, then activate it (ufw allow OpenSSH; ufw enable); or leave `backend` out where another firewall is used",
            ),
            Some(Keeper::Nftables) => Undecided::with_help(
                "the host has no nft",
                "add [package.nftables] to the plan, or leave `backend` out where another firewall is used",
            ),
            None => Undecided::with_help(
                format!(
                    "the host has no firewall that is known here: firewalld is {}, ufw is {}, nft is {}",
                    found.firewalld, found.ufw, found.nft
                ),
                "start or install one of them; write `absent = \"ignore\"` where nothing filters or something else does; or leave this resource out",
            ),
        }
    }
}

/// Whoever is not root is told nothing.
pub(super) fn denied(reason: Undecided) -> Undecided {
    if reason.message.contains("INVALID_") || reason.message.contains("bound to") {
        return Undecided::with_help(
            reason.message,
            "firewall-cmd --help and firewalld.richlanguage(5) have what it takes",
        );
    }
    Undecided::with_help(reason.message, "firewalls answer root alone: connect as root, or write `become = true`")
}

pub(super) fn no_zone(zone: &str, running: &[String], permanent: &[String]) -> Undecided {
    let has = |zones: &[String]| zones.iter().any(|known| known == zone);
    match (has(running), has(permanent)) {
        (false, true) => Undecided::with_help(
            format!("the zone {zone} is in firewalld's permanent configuration only"),
            "let firewalld read it: firewall-cmd --reload",
        ),
        (true, false) => Undecided::with_help(
            format!("the zone {zone} is in firewalld's running configuration only and will be gone after a reload"),
            format!("make it permanent: firewall-cmd --permanent --new-zone={zone}"),
        ),
        _ => Undecided::with_help(
            format!("firewalld has no zone {zone}"),
            format!(
                "it has {}; without `zone` the default one is used; a new one: firewall-cmd --permanent --new-zone={zone}, then firewall-cmd --reload",
                running.join(", ")
            ),
        ),
    }
}
