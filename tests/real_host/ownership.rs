//! What leaves the plan leaves the host, what was there before comes back, and nothing is left behind.

pub(crate) mod trace;

use std::collections::BTreeMap;

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran, touched};

fn plan(bed: &Testbed, host: &Host, version: u32) -> Plan {
    Plan::new(&format!("tests/real_host/plans/ownership/{version}.toml"))
        .variable("address", host.ipv4)
        .variable("archive", bed.tiny_archive().display())
}

/// Runs a verb with `--json` and expects success.
fn done(plan: &Plan, bed: &Testbed, verb: &str, more: &[&str]) -> Result<Ran, Error> {
    let yes: &[&str] = if verb == "diff" { &["--json"] } else { &["--yes", "--json"] };
    Ok(plan.run(bed, verb, &[yes, more].concat())?.ok())
}

/// Those of these paths that exist.
fn there(host: &Host, paths: &[&str]) -> Result<Vec<String>, Error> {
    let script = r#"for path; do if [ -e "$path" ] || [ -L "$path" ]; then echo "$path"; fi; done"#;
    let command: Vec<&str> = ["sh", "-c", script, "sh"].into_iter().chain(paths.iter().copied()).collect();
    Ok(host.exec(&command)?.ok()?.lines().map(str::to_owned).collect())
}

#[test]
fn what_leaves_the_plan_leaves_the_host_and_what_is_renamed_is_left_alone() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("owned")?;
    host.sh("firewall-cmd --quiet --permanent --add-port=7102/tcp && firewall-cmd --quiet --add-port=7102/tcp")?
        .ok()?;
    let (first, second) = (plan(bed, &host, 1), plan(bed, &host, 2));
    first.applied_twice(bed, &host)?;
    host.copy_in("/srv/owned/data/foreign", b"somebody's\n")?;
    assert_eq!(host.sh("podman exec box /bin/busybox cat /data/mark")?.ok()?, "kept");

    let removed: BTreeMap<String, String> = [
        "container.box",
        "directory.empty",
        "file.leaves",
        "firewall.leaves",
        "link.leaves",
        "service.box",
        "service.leaves",
        "unit.leaves",
        "volume.owneddata",
    ]
    .into_iter()
    .map(|resource| (resource.to_owned(), "remove".to_owned()))
    .collect();
    assert_eq!(second.diff(bed)?.ok().changes(), removed);

    let units = host.unit_states()?;
    let ran = done(&second, bed, "apply", &[])?;
    let gone = [
        "/srv/owned/empty",
        "/srv/owned/link",
        "/etc/systemd/system/owned-leaves.service",
        "/etc/systemd/system/multi-user.target.wants/owned-leaves.service",
        "/etc/containers/systemd/box.container",
        "/etc/containers/systemd/owneddata.volume",
        "/run/systemd/generator/box.service",
    ];
    assert_eq!(there(&host, &gone)?, [""; 0], "still there");
    assert_eq!(
        host.sh("systemctl show -P ActiveState,LoadState owned-leaves box")?.ok()?.replace('\n', " "),
        "not-found inactive  not-found inactive"
    );
    assert_eq!(host.sh("podman ps --all --quiet")?.ok()?, "");
    for layer in ["", "--permanent"] {
        assert_eq!(host.sh(&format!("firewall-cmd {layer} --list-ports"))?.ok()?, "7102/tcp", "{layer}");
    }
    // Data stays, and is named.
    assert_eq!(
        host.sh("cat /srv/owned/data/foreign; podman volume ls --quiet")?.ok()?,
        "somebody's\nsystemd-owneddata"
    );
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for kept in ["/srv/owned/data", "systemd-owneddata", "localhost/tiny:1"] {
        assert!(said.contains(kept), "{kept} is not named in\n{said}");
    }
    // What has another address is the same thing: no restart.
    let states = host.unit_states()?;
    let acted: Vec<String> = touched(&units, &states).into_iter().filter(|line| line.contains("stays")).collect();
    assert_eq!(acted, [""; 0], "what was only renamed");
    assert_eq!(second.diff(bed)?.ok().changes(), BTreeMap::new());

    // What was kept goes when that is asked for; what was there before stays all the same.
    done(&second, bed, "destroy", &["--delete-data"])?;
    assert_eq!(there(&host, &["/srv/owned", "/var/lib/provision"])?, [""; 0]);
    assert_eq!(host.sh("podman volume ls --quiet; podman images --quiet")?.ok()?, "");
    assert_eq!(
        host.sh("firewall-cmd --list-ports; firewall-cmd --permanent --list-ports")?.ok()?,
        "7102/tcp\n7102/tcp"
    );
    Ok(())
}

#[test]
fn data_is_kept_by_a_destroy_that_is_not_told_otherwise() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("keeper")?;
    let first = plan(bed, &host, 1);
    done(&first, bed, "apply", &[])?;
    host.copy_in("/srv/owned/data/foreign", b"somebody's\n")?;
    let ran = done(&first, bed, "destroy", &["--keep-data"])?;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for kept in ["/srv/owned/data", "systemd-owneddata"] {
        assert!(said.contains(kept), "{kept} is not named in\n{said}");
    }
    assert_eq!(
        host.sh("find /srv/owned | sort; podman volume ls --quiet; podman ps -aq")?.ok()?,
        "/srv/owned\n/srv/owned/data\n/srv/owned/data/foreign\nsystemd-owneddata"
    );
    // Later, after all.
    done(&first, bed, "destroy", &["--delete-data"])?;
    assert_eq!(there(&host, &["/srv/owned", "/var/lib/provision"])?, [""; 0]);
    assert_eq!(host.sh("podman volume ls --quiet; podman images --quiet")?.ok()?, "");
    versions(bed, &host)
}

/// An image whose name passes to another, and a command that fails when it is told to.
const VERSIONS: &str = r#"
name = "versions"
on_failure = "rollback"
[input.address]
[input.archive]
type = "path"
[input.works]
[host.h]
address = "{{ input.address }}"
user = "root"

[image.app]
name = "localhost/app:1"
archive = "{{ input.archive }}"

[command.works]
run = ["{{ input.works }}"]
unless = ["{{ input.works }}"]
after = ["image.app"]
"#;

/// Every image that applies have brought is there for a rollback or another try, and goes when data may.
fn versions(bed: &Testbed, host: &Host) -> Result<(), Error> {
    let file = bed.directory().join("versions.toml");
    std::fs::write(&file, VERSIONS).map_err(Error::Run)?;
    let version = |archive: &std::path::Path, works: &str| {
        let plan = Plan { file: file.clone(), variables: Vec::new(), secrets: Vec::new() };
        plan.variable("address", host.ipv4).variable("archive", archive.display()).variable("works", works)
    };
    let (one, two) = (&bed.tiny_archive(), &bed.registry_archive());
    let images = || host.sh("podman images --all --format '{{.Repository}}' | sort")?.ok();
    done(&version(one, "/bin/true"), bed, "apply", &[])?;
    let failed = version(two, "/bin/false").apply(bed)?;
    assert_eq!(failed.code, Some(1), "{}\n{}", failed.stdout, failed.stderr);
    assert_eq!(images()?, "<none>\nlocalhost/app");
    let again = version(two, "/bin/true");
    let dry = again.run(bed, "diff", &[])?.ok();
    assert!(dry.stdout.contains("only the name is given"), "{}", dry.stdout);
    done(&again, bed, "apply", &[])?;
    // A container of somebody else's keeps what it was made of.
    host.sh("podman create --name theirs $(podman images --all --quiet --filter dangling=true) /bin/true")?.ok()?;
    done(&again, bed, "destroy", &[])?;
    assert_eq!(images()?, "<none>\nlocalhost/app");
    let ran = done(&again, bed, "destroy", &["--delete-data"])?;
    assert_eq!(images()?, "<none>");
    assert!(ran.stdout.contains("stays: something still uses it"), "{}", ran.stdout);
    host.sh("podman rm theirs")?.ok()?;
    done(&again, bed, "destroy", &["--delete-data"])?;
    assert_eq!(images()?, "");
    assert_eq!(there(host, &["/var/lib/provision"])?, [""; 0]);
    Ok(())
}

/// What stands there before a plan comes that wants it otherwise.
const FOREIGN: &str = r"
echo theirs >/etc/foreign.conf; chmod 0640 /etc/foreign.conf; chown core:core /etc/foreign.conf
ln -s theirs /etc/foreign.link
echo same >/etc/foreign.same
printf '[Service]\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/foreign.service
systemctl daemon-reload; systemctl start foreign
";

const LOOK: &str = "cd /etc && stat -c '%n %A %U:%G %N' foreign.* systemd/system/foreign.service && cat foreign.conf \
                    systemd/system/foreign.service && systemctl show -P ActiveState,UnitFileState foreign && pgrep -a sleep | cut -d' ' -f2-";

#[test]
fn foreign_things_are_not_overwritten_unless_they_are_adopted_and_come_back() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("foreign")?;
    host.sh(FOREIGN)?.ok()?;
    let plan = Plan::new("tests/real_host/plans/ownership/foreign.toml").variable("address", host.ipv6);
    let look = host.sh(LOOK)?.ok()?;
    host.login("root", "true")?.ok()?;
    let (files, units) = (host.snapshot()?, host.unit_states()?);

    // Both sides are shown.
    let dry = plan.run(bed, "diff", &[])?.ok();
    assert!(
        dry.stdout.contains("adopt") && dry.stdout.contains("theirs") && dry.stdout.contains("ours"),
        "{}",
        dry.stdout
    );

    let refused = plan.run(bed, "apply", &["--yes"])?;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for part in ["file.conf", "link.link", "unit.unit", "--adopt"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the refused apply did something");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the refused apply did something");

    done(&plan, bed, "apply", &["--adopt"])?;
    assert_eq!(
        host.sh("cat /etc/foreign.conf; readlink /etc/foreign.link; pgrep -a sleep")?
            .ok()?
            .lines()
            .take(2)
            .collect::<Vec<_>>(),
        ["ours", "ours"]
    );
    assert_eq!(plan.diff(bed)?.ok().changes(), BTreeMap::new());

    done(&plan, bed, "destroy", &[])?;
    assert_eq!(host.sh(LOOK)?.ok()?, look);
    assert_eq!(there(&host, &["/var/lib/provision"])?, [""; 0]);
    Ok(())
}
