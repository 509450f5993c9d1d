//! Changes that may cut the host off: firewall, sshd, the network, who may log in.
//!
//! Before such a change the host is told to take the whole apply back by itself after a while. It is told to stay as it is only
//! over a fresh connection, made after the change, on each address family that worked before it. Where none comes about,
//! nothing is done but to wait until the host has helped itself.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::connection::{Again, Connection};
use crate::knob::{Knob, NEW};
use crate::object::Object;
use crate::path::AbsPath;
use crate::step::{Batch, Revert, Step, UnitAction};
use crate::systemd::{Managed, Manager};

/// Units whose start, stop, restart or reload decides who gets in.
const UNITS: &[&str] = &[
    "ssh",
    "sshd",
    "firewalld",
    "nftables",
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "ufw",
    "NetworkManager",
    "systemd-networkd",
    "systemd-resolved",
    "networking",
    "network",
    "netplan",
    "wpa_supplicant",
    "sssd",
    "nscd",
];

/// What counts for the next login as soon as it is written.
const PATHS: &[&str] = &[
    "/etc/ssh",
    "/etc/pam.d",
    "/etc/security",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts.allow",
    "/etc/hosts.deny",
];

/// Programs that change the firewall, the network or who may log in.
const PROGRAMS: &[&str] = &[
    "nft",
    "iptables",
    "ip6tables",
    "iptables-restore",
    "ip6tables-restore",
    "firewall-cmd",
    "firewall-offline-cmd",
    "ufw",
    "ip",
    "ifup",
    "ifdown",
    "ifreload",
    "nmcli",
    "netplan",
    "networkctl",
    "sysctl",
    "usermod",
    "chsh",
    "passwd",
    "chage",
];

/// Whether a step may cut the host off. Opening a port does not.
pub(super) fn may_cut_off(step: &Step) -> bool {
    match step {
        Step::MakeDirectory { path, .. }
        | Step::SetAttributes { path, .. }
        | Step::PutFile { path, .. }
        | Step::PutUserFile { path, .. }
        | Step::Fetch { path, .. }
        | Step::PutLink { path, .. }
        | Step::PutUserLink { path, .. }
        | Step::Remove { path, .. } => decides(path),
        Step::Unit { unit, action } => *action != UnitAction::Enable && is_gate(unit),
        Step::Save { unit, .. } => is_gate(unit),
        Step::Revert(Revert { object, .. }) => match object {
            Object::Path(path) => decides(path),
            Object::Unit(name) | Object::Snapshot { unit: name, .. } => is_gate(name),
            Object::Edit(edit) => decides(&edit.path),
            Object::Knob(knob) => may_lock_out(knob),
            Object::Image(_) | Object::Volume { .. } | Object::Network { .. } => false,
        },
        Step::Run(run) => run.argv.first().is_some_and(|program| {
            let name = program.rsplit('/').next().unwrap_or_default();
            PROGRAMS.contains(&name)
        }),
        Step::Rewrite { edit, .. } => decides(&edit.path),
        Step::Turn { knob, state, .. } => may_lock_out(knob) && !state.starts_with(NEW),
        Step::EnsureDirectory { .. }
        | Step::EnsureUserDirectory { .. }
        | Step::ReloadUnits(_)
        | Step::LoadImage { .. }
        | Step::TagImage { .. }
        | Step::PullImage { .. }
        | Step::Rehearse(_)
        | Step::Claim(_)
        | Step::Request(_)
        | Step::Await(_)
        | Step::Overhear(_) => false,
    }
}

/// Parts of the names of SELinux booleans by which policies decide who gets in, and whether keys in a home can be read.
const BOOLEANS: &[&str] =
    &["ssh", "login", "secure_mode", "home_dirs", "nis_enabled", "kerberos_enabled", "polyinstantiation"];

fn may_lock_out(knob: &Knob) -> bool {
    let (sort, name) = (knob.sort(), knob.name());
    // What is below a pattern or a path, or has it below.
    let homes = |name: &str| ["/root", "/home"].iter().any(|home| name.starts_with(home)) || name.starts_with("/**");
    let decides = |name: &str| name.parse().is_ok_and(|path: AbsPath| decides(&path));
    let labels =
        |name: &str| homes(name) || decides(name.trim_end_matches("/**")) || matches!(name, "/etc" | "/etc/**");
    match sort.word {
        "selinux_boolean" => BOOLEANS.iter().any(|part| name.contains(part)),
        "selinux_labels" => labels(name),
        _ => sort.may_cut_off,
    }
}

/// Whoever gets in does so by the system's own units.
fn is_gate(unit: &Managed) -> bool {
    let stem = unit.name.split(['.', '@']).next().unwrap_or_default();
    unit.manager == Manager::System && UNITS.contains(&stem)
}

fn decides(path: &AbsPath) -> bool {
    let within = |known: &&str| known.parse().is_ok_and(|known: AbsPath| path.is_within(&known));
    PATHS.iter().any(within) || matches!(path.name(), "authorized_keys" | "authorized_keys2") || path.name() == ".ssh"
}

/// Whether a batch is one to be careful with.
pub(super) fn is_dangerous(batch: &Batch) -> bool {
    batch.tasks.iter().flat_map(|task| &task.steps).any(may_cut_off)
}

/// What is known before such a batch.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// The address families over which the host can be reached. Empty for one that cannot be lost.
    pub(super) families: BTreeSet<&'static str>,
    /// How long to wait before the first look.
    pub(super) settling: Duration,
}

impl Guarded {
    /// Looks over which families the host can be reached now.
    pub(super) async fn new(batch: &Batch, confirm: Duration, connection: &dyn Connection) -> Self {
        let again = connection.anew().await.into_iter();
        let families = again.filter(|again| again.connection.is_ok()).map(|again| again.family).collect();
        Self { families, settling: settling(batch, confirm) }
    }

    /// Whether there is nothing to guard.
    pub(super) fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}

/// How a host that may have been cut off is found afterwards.
pub(super) enum Found {
    /// Over every family that worked before: fresh connections.
    There(Vec<Again>),
    /// Not over these, and why.
    Lost(Vec<String>),
}

/// Looks for the host over the families that worked before.
pub(super) async fn look(connection: &dyn Connection, before: &BTreeSet<&'static str>) -> Found {
    let again = connection.anew().await;
    let mut lost: Vec<String> = Vec::new();
    for family in before {
        match again.iter().find(|again| again.family == *family) {
            Some(Again { connection: Ok(_), .. }) => {}
            Some(Again { connection: Err(error), .. }) => lost.push(format!("over {family}: {error}")),
            None => lost.push(format!("over {family}: it has no address any more")),
        }
    }
    if lost.is_empty() { Found::There(again) } else { Found::Lost(lost) }
}

/// How long after the host should have helped itself it is still looked for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before the first look. A service that reloads upon a signal, such as firewalld, has not done so yet when
/// systemctl(1) comes back, and of a command nobody knows; what is written, or told to firewalld itself, holds at once.
fn settling(batch: &Batch, confirm: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    let later = |step: &Step| match step {
        Step::Unit { .. } | Step::Save { .. } | Step::Run(_) => true,
        Step::Revert(revert) => matches!(revert.object, Object::Unit(_) | Object::Snapshot { .. }),
        _ => false,
    };
    if batch.tasks.iter().flat_map(|task| &task.steps).any(later) { (confirm / 4).min(LONGEST) } else { Duration::ZERO }
}

/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_who_gets_in_is_dangerous() {
        let path = |text: &str| text.parse::<AbsPath>().unwrap();
        for yes in ["/etc/ssh/sshd_config.d/a.conf", "/etc/sudoers.d/core", "/home/core/.ssh/authorized_keys"] {
            assert!(decides(&path(yes)), "{yes}");
        }
        for no in ["/etc/sshx", "/etc/haproxy/haproxy.cfg"] {
            assert!(!decides(&path(no)), "{no}");
        }
        for yes in ["sshd.service", "ssh.socket", "firewalld.service", "NetworkManager.service", "network@a.service"] {
            assert!(is_gate(&Managed::system(yes)), "{yes}");
        }
        for no in ["haproxy.service", "core/sshd.service"] {
            assert!(!is_gate(&no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn what_selinux_decides_of_logins_is_dangerous() {
        let turn = |text: &str| {
            let knob: Knob = text.parse().unwrap();
            may_cut_off(&Step::Turn { knob, state: "x".to_owned(), input: None })
        };
        for yes in [
            "selinux_boolean ssh_sysadm_login",
            "selinux_boolean use_nfs_home_dirs",
            "selinux_labels /etc/ssh/**",
            "selinux_labels /etc/**",
            "selinux_labels /home/core/.ssh",
        ] {
            assert!(turn(yes), "{yes}");
        }
        for no in
            ["selinux_boolean httpd_can_network_connect", "selinux_labels /srv/www/**", "selinux_context /home(/.*)?"]
        {
            assert!(!turn(no), "{no}");
        }
    }
}
