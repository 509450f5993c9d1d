//! Quadlet on real hosts: what podman's own generator refuses is refused with nothing touched, and what it makes is shown
//! without a trace.

#![expect(clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use provision_tests::case::HostKind;
use provision_tests::{Error, Testbed};

use crate::support::Plan;

const FILE: &str = "tests/real_host/plans/quadlet.toml";

#[test]
fn what_the_generator_refuses_is_refused_with_nothing_touched() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    for kind in [HostKind::Debian13, HostKind::BusyBox] {
        let host = bed.fresh_host_as(&format!("quadlet{}", kind.name()), kind)?;
        let plan = Plan::new(FILE).variable("address", host.ipv6).variable("archive", bed.tiny_archive().display());
        // A Quadlet file of somebody else's, and one that was wrong before anybody came.
        host.sh("mkdir -p /etc/containers/systemd && cd /etc/containers/systemd && printf '[Container]\\nImage=localhost/x:1\\n' >foreign.container && printf '[Container]\\nNoSuch=1\\n' >wrong.container")?.ok()?;
        // What records a file system needs tools that BusyBox has not.
        let recorded = kind == HostKind::Debian13;
        let before = recorded.then(|| host.snapshot()).transpose()?;
        let units = host.unit_states()?;

        let wrong = plan.clone().variable("kill_mode", "process").run(bed, "apply", &["--yes"])?;
        assert_eq!(wrong.code, Some(1), "{wrong:#?}");
        assert!(
            wrong.stderr.contains("container.app on host h: podman's own unit generator would not make quadlet.service: converting \"quadlet.container\": invalid KillMode 'process'"),
            "{wrong:#?}"
        );
        let spoilt = plan.clone().variable("spoil", "invalid").run(bed, "apply", &["--yes"])?;
        assert_eq!(spoilt.code, Some(1), "{spoilt:#?}");
        assert!(spoilt.stderr.contains("would not make foreign.service any more"), "{spoilt:#?}");

        // What it would make is shown, and nothing is written for it.
        let shown = plan.run(bed, "diff", &["--generated"])?.ok();
        assert!(shown.stdout.contains("generated quadlet.service"), "{shown:#?}");
        assert!(shown.stdout.contains("ExecStart=/usr/bin/podman run"), "{shown:#?}");
        if let Some(before) = before {
            assert_eq!(before.differences(&host.snapshot()?), [""; 0], "something was done");
        }
        assert_eq!(units.differences(&host.unit_states()?), [""; 0], "something was done");
        assert_eq!(host.sh("ls -d /run/provision-rehearsal* /mnt/stage 2>/dev/null | wc -l")?.ok()?, "0");

        plan.applied_twice(bed, &host)?;
        let changed = plan.clone().variable("word", "second");
        let shown = changed.run(bed, "diff", &["--generated", "--json"])?.ok();
        let attributes = shown.json()["hosts"][0]["changes"].to_string();
        assert!(attributes.contains("generated quadlet.service") && attributes.contains("WORD=second"), "{attributes}");
        changed.mends(bed, &[("container.app", "update"), ("service.app", "restart")])?;
    }
    Ok(())
}
