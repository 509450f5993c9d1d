//! A whole host, recorded before a plan came and after it went.

use std::process::Stdio;

use provision_tests::cutting::{Side, Then, Wrappers};
use provision_tests::{Entry, Error, Host, Snapshot, Testbed, UnitStates};

use super::done;
use crate::support::Plan;

/// What may be otherwise after a plan has come and gone, each with its reason. A path stands for all below it.
const LEFT: &[(&str, &str)] = &[
    ("/var/lib/containers", "podman's store, which it makes when it first runs; that it is empty is looked at"),
    ("/run/containers", "podman's, made when it first runs"),
    ("/run/libpod", "podman's, made when it first runs"),
    ("/run/crun", "crun's, made when it first runs"),
    ("/run/netns", "the kernel's names of network namespaces; that there is none is looked at"),
    ("/run/lock/netavark.lock", "netavark's"),
    ("/root/.config", "podman's, made when it first runs"),
    ("/root/.local", "podman's, made when it first runs"),
    ("/root/.cache", "podman's, made when it first runs"),
    ("/home/core/.config", "podman's, made when it first runs; that nothing of the plan's is in it is looked at"),
    ("/home/core/.local", "podman's, made when it first runs"),
    ("/home/core/.cache", "podman's, made when it first runs"),
    ("/dev/shm/libpod_rootless_lock_", "podman's, for each user, until the next boot"),
    ("/var/cache/containers", "podman's, made when it first runs"),
    ("/var/log/firewalld", "a log"),
    ("/run/haproxy", "haproxy's own, made each time it is started"),
    ("/etc/firewalld/zones", "firewalld writes a zone down when it is first changed; its ports are looked at"),
];

/// Of units, by how their names begin.
const LEFT_UNITS: &[(&str, &str)] = &[
    ("var-lib-containers-", "where podman mounts its store"),
    ("run-netns", "where names of network namespaces are mounted, once there was one"),
    ("netavark-dhcp-proxy.", "podman's; it ends by itself when nobody has used it for a while"),
    ("sys-", "network devices come and go as the kernel likes"),
];

fn plan(bed: &Testbed, host: &Host) -> Plan {
    Plan::new("playbooks/registry/plan.toml")
        .variable("address", host.ipv4)
        .variable("hostname", format!("{}.example.com", host.name))
        .variable("archive", bed.registry_archive().display())
        .secret("password", "a password")
}

pub(crate) struct Trace {
    files: Snapshot,
    units: UnitStates,
    things: String,
}

/// What a recording of files and units does not have.
const THINGS: &str = "podman ps --all --quiet; podman images --quiet; podman volume ls --quiet; podman pod ls --quiet; \
    podman network ls --format '{{.Name}}'; firewall-cmd --list-all; firewall-cmd --permanent --list-all; \
    ip -o link | cut -d: -f2 | sort; ls /run/netns 2>/dev/null; true";

impl Trace {
    pub(crate) fn of(host: &Host) -> Result<Self, Error> {
        // Before podman is asked, which makes its store by that.
        let (files, units) = (host.snapshot()?, host.unit_states()?);
        Ok(Self { files, units, things: host.sh(THINGS)?.ok()? })
    }

    /// What became different and is not excused.
    pub(crate) fn left(&self, later: &Self) -> Vec<String> {
        let excused = |name: &str, list: &[(&str, &str)]| list.iter().any(|(known, _)| name.starts_with(known));
        let mut found: Vec<String> = names(&self.files.differences(&later.files))
            .into_iter()
            .filter(|(path, _)| !excused(path, LEFT) && !only_touched(&self.files, &later.files, path))
            .map(|(_, line)| line)
            .collect();
        // A unit that ran before and runs now may have been started anew in between.
        let state = |units: &UnitStates, name: &str| {
            units.get(name).map(|state| (state.active.clone(), state.sub.clone(), state.file.clone()))
        };
        found.extend(
            names(&self.units.differences(&later.units))
                .into_iter()
                .filter(|(name, _)| !excused(name, LEFT_UNITS) && state(&self.units, name) != state(&later.units, name))
                .map(|(_, line)| line),
        );
        if self.things != later.things {
            found.push(format!("{}\n-- was\n{}", later.things, self.things));
        }
        found
    }
}

/// The path or unit in each line of a comparison, and the line.
fn names(differences: &[String]) -> Vec<(String, String)> {
    let name = |line: &String| line.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(':').to_owned();
    differences.iter().map(|line| (name(line), line.clone())).collect()
}

/// A directory whose time alone is another: something was in it for a while, which is true. And a file that came back is
/// as it was, its own time included.
fn only_touched(before: &Snapshot, after: &Snapshot, path: &str) -> bool {
    let timeless = |snapshot: &Snapshot| {
        let directory = snapshot.get(path).filter(|entry| entry.kind == "d");
        directory.map(|entry| Entry { modified: String::new(), ..entry.clone() })
    };
    timeless(before).is_some() && timeless(before) == timeless(after)
}

#[test]
fn a_destroyed_registry_leaves_no_trace_and_neither_does_one_that_was_cut() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("traceless")?;
    let plan = plan(bed, &host);
    Wrappers::prepare(&host)?;
    host.login("root", "true")?.ok()?;
    let before = Trace::of(&host)?;

    let wrappers = Wrappers::install(&host)?;
    wrappers.arm(0, Side::Before, Then::Pass)?;
    done(&plan, bed, "apply", &[])?;
    wrappers.disarm()?;
    let calls = wrappers.calls()?;
    host.sh("systemctl is-active --quiet registry haproxy")?.ok()?;
    done(&plan, bed, "destroy", &["--delete-data"])?;
    uninstall(&host)?;
    assert_eq!(before.left(&Trace::of(&host)?), [""; 0]);

    // Half way: at the call by which the image is loaded, and some calls later, when its service starts.
    let position = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap_or(0) + 1;
    for at in [position("podman load"), position("systemctl start")] {
        let wrappers = Wrappers::install(&host)?;
        wrappers.arm(u32::try_from(at).unwrap_or(0), Side::After, Then::Hold)?;
        let mut command = plan.command(bed, "apply", &["--yes"])?;
        let mut apply = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::Run)?;
        let Some(reached) = wrappers.wait(&mut apply)? else { panic!("the apply ended before call {at}") };
        apply.kill().map_err(Error::Run)?;
        apply.wait().map_err(Error::Run)?;
        wrappers.disarm()?;
        wrappers.release(&reached)?;
        done(&plan, bed, "destroy", &["--delete-data"])?;
        uninstall(&host)?;
        assert_eq!(before.left(&Trace::of(&host)?), [""; 0], "after a cut at {}", reached.call);
    }
    Ok(())
}

#[test]
fn a_destroyed_registry_of_a_user_leaves_no_trace() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("rootlesstrace")?;
    let plan = plan(bed, &host).variable("runs_as", "core");
    host.login("root", "true")?.ok()?;
    let before = Trace::of(&host)?;

    done(&plan, bed, "apply", &[])?;
    host.sh("pgrep -u core -f 'serve /etc/registry/config.yml'")?.ok()?;
    done(&plan, bed, "destroy", &["--delete-data"])?;
    // It does not linger any more: its systemd ends when nobody is logged in, and takes its time.
    host.sh("timeout 60 sh -c 'while pgrep -u core >/dev/null; do sleep 0.2; done'")?.ok()?;
    assert_eq!(before.left(&Trace::of(&host)?), [""; 0]);
    let own = "ls -A /home/core/.config/containers/systemd /home/core/.config/systemd/user 2>/dev/null; \
               podman ps --all --quiet; podman images --quiet; podman volume ls --quiet";
    assert_eq!(host.login("core", own)?.ok()?, "");
    Ok(())
}

/// The wrappers are the test's own trace.
fn uninstall(host: &Host) -> Result<(), Error> {
    host.sh("rm -r /run/cuts")?.ok().map(drop)
}
