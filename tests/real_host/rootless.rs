//! What is a user's: `playbooks/registry` with one input changed, root's plan and core's podman; and the same unit of core's
//! by a plan of root's and by a plan of core's own.

use std::collections::BTreeMap;

use provision_tests::{Error, Host, Testbed};

use crate::registry;
use crate::support::{Plan, touched};

/// Runs a script in a login of core's.
fn core(host: &Host, script: &str) -> Result<String, Error> {
    host.login("core", script)?.ok()
}

#[test]
fn registry_runs_rootless_with_one_input_changed() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("rootlessmirror")?, bed.host("beta")?);
    let plan = registry::plan(bed, &host).variable("runs_as", "core");

    // A dry run leaves nothing behind, where the user has never logged in.
    host.login("root", "true")?.ok()?;
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    let dry = plan.diff(bed)?.ok();
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the dry run changed the file system");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the dry run changed a unit");
    assert_eq!(dry.changes().get("linger.registry").map(String::as_str), Some("update"));

    let first = plan.applied_twice(bed, &host)?;
    assert_eq!(first.changes(), dry.changes());
    let before = host.user_unit_states("core")?;
    assert_eq!(plan.apply(bed)?.ok().changes(), BTreeMap::new());
    assert_eq!(
        touched(&before, &host.user_unit_states("core")?),
        [""; 0],
        "the third apply touched a unit of the user"
    );

    // It is core's: the container, the file, and no container is root's.
    assert_eq!(core(&host, "podman ps --format '{{.Names}}'")?, "systemd-registry");
    assert_eq!(host.sh("podman ps --all --quiet")?.ok()?, "");
    let owners =
        "stat -c '%U %a %n' /home/core/.config/containers/systemd/registry.container /home/core/.config/containers";
    let found = host.sh(owners)?.ok()?;
    assert!(found.lines().all(|line| line.starts_with("core ")), "{found}");

    registry::introduce(&client, &host)?;
    registry::used_from(&client, &host, bed)?;
    host.reboot()?;
    registry::used_from(&client, &host, bed)?;
    plan.mends(bed, &[])?;

    core(&host, "systemctl --user stop registry")?;
    plan.mends(bed, &[("service.registry", "start")])?;
    core(&host, "echo '# by hand' >>.config/containers/systemd/registry.container")?;
    plan.mends(bed, &[("container.registry", "update"), ("service.registry", "restart")])?;
    core(&host, "systemctl --user stop registry && podman rmi --force localhost/registry:1")?;
    plan.mends(bed, &[("image.registry", "create"), ("service.registry", "start")])?;
    host.sh("chmod 0777 /var/lib/registry")?.ok()?;
    plan.mends(bed, &[("directory.storage", "update")])?;
    registry::used_from(&client, &host, bed)?;

    // The image is data, and stays when the lingering goes. It can be taken away when nothing of core's runs any more, and
    // nothing does for that.
    plan.run(bed, "destroy", &["--yes", "--json"])?.ok();
    assert_eq!(host.sh("ls -A /var/lib/systemd/linger")?.ok()?, "", "somebody lingers");
    let out = "loginctl terminate-user core 2>/dev/null; t=0; while pgrep -u core >/dev/null || [ -e /run/user/1000 ]; do t=$((t + 1)); [ $t -lt 300 ] || exit; sleep 0.1; done";
    host.sh(out)?.ok()?;
    let kept = "cat /home/core/.local/share/containers/storage/*-images/images.json | grep -c localhost/registry:1";
    assert_eq!(host.sh(kept)?.ok()?, "1");
    let since = host.sh("journalctl --quiet --no-pager --lines=1 --show-cursor | sed -n 's/^-- cursor: //p'")?.ok()?;
    plan.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    let left = "pgrep -l -u core; ls -d /run/user/1000 /var/lib/provision 2>/dev/null; ls -A /var/lib/systemd/linger";
    assert_eq!(host.sh(left)?.ok()?, "");
    let started = format!("journalctl --quiet --no-pager --after-cursor='{since}' -u user@1000.service");
    assert_eq!(host.sh(&started)?.ok()?, "", "core's manager ran");
    assert_eq!(core(&host, "podman ps --all --quiet; podman images --quiet; podman volume ls --quiet")?, "");
    assert_eq!(core(&host, "find .config/containers .config/systemd 2>/dev/null; true")?, "");
    Ok(())
}

/// A plan of a unit, a volume and its service, and a template with an instance and a drop-in for that, for whoever `scope`
/// names.
const PLAN: &str = r#"
name = "both"
[input.address]
[input.login]
[input.scope]
[host.h]
address = "{{ input.address }}"
user = "{{ input.login }}"

[unit.a]
unit = "both-a.service"
scope = "{{ input.scope }}"
sections.Service = { Type = "oneshot", RemainAfterExit = "yes", ExecStart = "/bin/true" }
sections.Install.WantedBy = "default.target"

[service.a]
unit = "both-a.service"
scope = "{{ input.scope }}"

[volume.both]
scope = "{{ input.scope }}"

[secret.both]
content = "of the user"
labels = { a = "b" }
scope = "{{ input.scope }}"

[service.both]
unit = "{{ volume.both.unit_name }}"
scope = "{{ input.scope }}"

[container.worker]
file_name = "both@"
image = "localhost/none:1"
instances = ["a"]
scope = "{{ input.scope }}"

[quadlet_dropin.worker]
quadlet = "both@a.container"
dropin = "10-word"
scope = "{{ input.scope }}"
sections.Container.Environment = "WORD=a"
"#;

fn both(bed: &Testbed, host: &Host, login: &str, scope: &str) -> Result<Plan, Error> {
    let file = bed.directory().join("both.toml");
    std::fs::write(&file, PLAN).map_err(Error::Run)?;
    let plan = Plan { file, variables: Vec::new(), secrets: Vec::new() };
    Ok(plan.variable("address", host.ipv4).variable("login", login).variable("scope", scope))
}

#[test]
fn a_user_s_units_are_the_same_by_root_and_by_the_user() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("both")?;
    let by_root = both(bed, &host, "root", "user:core")?;

    // Nothing keeps core's systemd running, so nothing may be begun.
    let refused = by_root.apply(bed)?;
    assert_ne!(refused.code, Some(0));
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("core neither lingers nor is logged in"), "{said}");
    assert_eq!(host.sh("ls -A /home/core/.config 2>/dev/null; true")?.ok()?, "", "something was done all the same");

    host.sh("loginctl enable-linger core && until [ -S /run/user/1000/bus ]; do sleep 0.1; done")?.ok()?;
    by_root.applied_twice(bed, &host)?;
    assert_eq!(core(&host, "systemctl --user is-active both-a both-volume")?, "active\nactive");
    assert_eq!(core(&host, "systemctl --user is-enabled both-a; podman volume ls --quiet")?, "enabled\nsystemd-both");
    let unit = core(&host, "systemctl --user cat both@a.service both@b.service | grep -c -e --env.WORD=a")?;
    assert_eq!(unit, "1", "the drop-in is for the instance a alone");
    let owners = "stat -c '%U %n' both@.container both@a.container both@a.container.d both@a.container.d/10-word.conf";
    let found = host.sh(&format!("cd /home/core/.config/containers/systemd && {owners}"))?.ok()?;
    assert!(found.lines().all(|line| line.starts_with("core ")), "{found}");

    assert_eq!(
        core(&host, "podman secret inspect --showsecret --format '{{.SecretData}} {{.Spec.Labels}}' both")?,
        "of the user map[a:b]"
    );
    assert_eq!(host.sh("podman secret ls --quiet")?.ok()?, "", "it is root's");

    // What root has put there is core's as much as if core had.
    let by_core = both(bed, &host, "core", "user")?;
    assert_eq!(by_core.diff(bed)?.ok().changes(), BTreeMap::new());
    by_root.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    assert_eq!(
        core(
            &host,
            "podman volume ls --quiet; podman secret ls --quiet; systemctl --user list-unit-files --no-legend 'both*'; true"
        )?,
        ""
    );

    by_core.applied_twice(bed, &host)?;
    core(&host, "podman secret rm both && printf other | podman secret create --label a=b both -")?;
    by_core.mends(bed, &[("secret.both", "update")])?;
    core(&host, "systemctl --user disable --now both-a")?;
    by_core.mends(bed, &[("service.a", "start")])?;
    by_core.run(bed, "rollback", &["--yes", "--json"])?.ok();
    assert_eq!(
        core(&host, "systemctl --user is-enabled both-a; systemctl --user is-active both-a; true")?,
        "disabled\ninactive"
    );
    by_core.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    assert_eq!(
        core(
            &host,
            "podman volume ls --quiet; podman secret ls --quiet; systemctl --user list-unit-files --no-legend 'both*'; true"
        )?,
        ""
    );
    Ok(())
}

/// A link that the user has put where root is about to write leads root nowhere.
#[test]
fn root_follows_no_link_out_of_a_home() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("linked")?;
    host.sh("loginctl enable-linger core && until [ -S /run/user/1000/bus ]; do sleep 0.1; done")?.ok()?;
    core(&host, "mkdir -p .config/systemd && ln -s /etc/systemd/system .config/systemd/user")?;
    core(&host, "mkdir -p .config/containers && ln -s /etc/containers/systemd .config/containers/systemd")?;
    let ran = both(bed, &host, "root", "user:core")?.apply(bed)?;
    assert_ne!(ran.code, Some(0));
    assert_eq!(
        host.sh("ls -d /etc/systemd/system/both-a.service /etc/containers/systemd/both* 2>/dev/null; true")?.ok()?,
        "",
        "root has followed a link"
    );
    Ok(())
}
