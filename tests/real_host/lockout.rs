//! A change after which nobody gets in: the host takes it back by itself, over both families, and the command says so.

use std::time::{Duration, Instant};

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran};

/// What the plan gives a host to wait for a fresh connection.
const CONFIRM: Duration = Duration::from_secs(8);

/// What it may take beyond that on a busy machine: the apply itself, taking it back, the reload.
const SLACK: Duration = Duration::from_secs(40);

/// A zone in which not even ssh is open.
const CLOSED_ZONE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<zone target="DROP"><short>Public</short></zone>
"#;

const ZONE: &str = "/etc/firewalld/zones/public.xml";
const DROPIN: &str = "/etc/ssh/sshd_config.d/lockout.conf";

fn plan(address: impl ToString, path: &str, content: &str, unit: &str) -> Plan {
    Plan::new("tests/real_host/plans/lockout.toml")
        .variable("address", address)
        .variable("path", path)
        .variable("content", content)
        .variable("unit", unit)
        .variable("confirm", format!("{}s", CONFIRM.as_secs()))
}

/// Logs in over each family.
fn reached(host: &Host) -> Result<Vec<String>, Error> {
    let mut lost = Vec::new();
    for address in [host.ipv4.to_string(), host.ipv6.to_string()] {
        let output =
            host.ssh("root").args(["-o", "ConnectTimeout=3", &address, "true"]).output().map_err(Error::Run)?;
        if !output.status.success() {
            lost.push(format!("{address}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(lost)
}

/// Applies a plan that locks us out, and expects the host to be as it was, for the login and otherwise.
fn taken_back(bed: &Testbed, host: &Host, plan: &Plan) -> Result<Ran, Error> {
    // What the first login of all makes is not the plan's.
    host.login("root", "true")?.ok()?;
    let before = host.snapshot()?;
    let start = Instant::now();
    let ran = plan.run(bed, "apply", &["--yes"])?;
    let took = start.elapsed();
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert!(took < CONFIRM + SLACK, "{took:?}");
    assert_eq!(reached(host)?, [""; 0], "the host is not reached, {:?} after the start", start.elapsed());
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains('h') && said.contains("back"), "{said}");
    // All of the apply is taken back, not only what locked us out. Directories tell by their times that it was there.
    assert!(!host.sh("test -e /etc/lockout.before")?.success(), "the rest of the apply is still there");
    let after = host.snapshot()?;
    let paths = ["/etc/lockout.before", ZONE, DROPIN];
    for path in paths {
        let content = |snapshot: &provision_tests::Snapshot| {
            snapshot.get(path).map(|entry| (entry.mode.clone(), entry.uid.clone(), entry.digest.clone()))
        };
        assert_eq!(content(&before), content(&after), "{path}");
    }
    let left = host.sh("ls -d /var/lib/provision/*/lock; systemctl list-units --no-legend --plain 'provision*'")?;
    assert_eq!(left.stdout, "", "{left}");
    Ok(ran)
}

#[test]
fn a_firewall_that_would_lock_us_out_is_opened_again_by_the_host() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("lockwall")?;
    // Another port than the plan's, so that there is a zone file to put back.
    host.sh("firewall-cmd --quiet --permanent --add-port=9999/udp && firewall-cmd --quiet --reload")?.ok()?;
    let services = host.sh("firewall-cmd --list-services")?.ok()?;
    let closed = plan(host.ipv4, ZONE, CLOSED_ZONE, "firewalld.service");
    taken_back(bed, &host, &closed)?;
    assert_eq!(host.sh("firewall-cmd --list-services")?.ok()?, services);
    assert_eq!(host.sh("firewall-cmd --list-ports")?.ok()?, "9999/udp");
    // And it can be used as if nothing had been.
    let harmless = plan(host.ipv4, "/etc/firewalld/helpful.conf", "x\n", "firewalld.service");
    harmless.applied_twice(bed, &host)?;
    Ok(())
}

#[test]
fn an_sshd_that_listens_elsewhere_comes_back() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("lockport")?;
    taken_back(bed, &host, &plan(host.ipv6, DROPIN, "Port 2222\n", "ssh.service"))?;
    Ok(())
}

#[test]
fn a_family_that_worked_before_must_work_afterwards() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("lockfamily")?;
    // The name has both.
    let name = format!("{}.example.com", host.name);
    let ran = taken_back(bed, &host, &plan(&name, DROPIN, "AddressFamily inet\n", "ssh.service"))?;
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("IPv6"), "{ran:#?}");
    Ok(())
}

#[test]
fn a_change_that_could_have_locked_us_out_stays_when_it_did_not() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("lockfine")?;
    let name = format!("{}.example.com", host.name);
    let start = Instant::now();
    plan(&name, DROPIN, "PrintMotd no\n", "ssh.service").applied_twice(bed, &host)?;
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    wait(CONFIRM + Duration::from_secs(3));
    assert_eq!(host.sh(&format!("cat {DROPIN} /etc/lockout.before"))?.ok()?, "PrintMotd no\nours");
    assert_eq!(reached(&host)?, [""; 0]);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "that nothing happens is seen by waiting for it")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
