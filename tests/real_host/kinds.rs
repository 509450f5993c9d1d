//! The kinds that the registry does not use, each made on a real host, in sync the second time, and mended.

use provision_tests::{Error, Testbed};

use crate::support::Plan;

#[test]
fn every_other_kind_is_made_kept_and_mended() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("kinds")?;
    let plan = Plan::new("tests/real_host/plans/kinds.toml")
        .variable("address", host.ipv6)
        .variable("archive", bed.tiny_archive().display());
    let first = plan.applied_twice(bed, &host)?;
    assert_eq!(first.changes().get("command.database").map(String::as_str), Some("run"));

    assert_eq!(host.sh("readlink /srv/kinds/current")?.ok()?, "releases/1");
    assert_eq!(host.sh("cat /srv/kinds/database")?.ok()?, "made with a $(secret)");
    assert_eq!(
        host.sh("podman volume exists systemd-kindsdata && podman network exists systemd-kindsnet && echo there")?
            .ok()?,
        "there"
    );
    assert_eq!(host.sh("podman exec kinds /bin/busybox cat /data/mark")?.ok()?, "from the container");
    assert_eq!(
        host.sh("systemctl is-active tick.timer kinds.service kindspod-pod.service")?.ok()?,
        "active\nactive\nactive"
    );
    assert_eq!(host.sh("systemctl show --property=MemoryMax --value kindspod-pod.service")?.ok()?, "268435456");

    host.sh("ln -sfn elsewhere /srv/kinds/current")?.ok()?;
    plan.mends(bed, &[("link.current", "update")])?;
    host.sh("rm /srv/kinds/database")?.ok()?;
    plan.mends(bed, &[("command.database", "run")])?;
    host.sh("systemctl disable --now --quiet tick.timer")?.ok()?;
    plan.mends(bed, &[("service.tick", "start")])?;
    host.sh("sed -i s/256M/128M/ /etc/systemd/system/kindspod-pod.service.d/memory.conf && systemctl daemon-reload")?
        .ok()?;
    plan.mends(bed, &[("unit.memory", "update"), ("service.kindspod", "restart")])?;
    host.sh("echo '# by hand' >>/etc/containers/systemd/kinds.container")?.ok()?;
    plan.mends(bed, &[("container.kinds", "update"), ("service.kindspod", "restart")])?;
    host.reboot()?;
    plan.mends(bed, &[])?;
    Ok(())
}

#[test]
fn a_restart_that_failed_is_still_owed_to_the_next_run() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("owed")?;
    let plan = Plan::new("tests/real_host/plans/owed.toml").variable("address", host.ipv4);
    plan.applied_twice(bed, &host)?;
    let changed = plan.clone().variable("word", "second");
    host.sh("touch /srv/broken")?.ok()?;
    let failed = changed.apply(bed)?;
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    host.sh("rm /srv/broken; systemctl reset-failed owed; systemctl start owed")?.ok()?;
    // The file is as wanted and the service runs, but what it should have been told is owed.
    changed.mends(bed, &[("service.owed", "restart")])?;
    // systemd lets nobody start a unit often: whoever came before has used that up.
    let word = host.sh("for i in 1 2 3 4 5 6 7; do systemctl restart owed || break; done; systemctl is-failed owed")?;
    assert_eq!(word.ok()?, "failed");
    changed.mends(bed, &[("service.owed", "start")])?;
    Ok(())
}
