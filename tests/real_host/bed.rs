//! That the hosts of the bed are what the other cases take them for.

use std::fs;
use std::time::{Duration, Instant};

use provision_tests::{Error, Testbed};

#[test]
fn host_is_reached_over_both_protocols_and_by_name() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    for name in ["alpha", "beta"] {
        let host = bed.host(name)?;
        for address in [host.ipv4.to_string(), host.ipv6.to_string(), format!("{name}.example.com")] {
            let output = host.ssh("root").arg(&address).arg("hostname").output().map_err(Error::Run)?;
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{name}\n"), "{address}: {output:?}");
        }
    }
    Ok(())
}

#[test]
fn hosts_reach_each_other() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (alpha, beta) = (bed.host("alpha")?, bed.host("beta")?);
    for address in [beta.ipv4.to_string(), beta.ipv6.to_string()] {
        alpha.exec(&["bash", "-c", &format!("read -r line </dev/tcp/{address}/22 && [[ $line == SSH-* ]]")])?.ok()?;
    }
    Ok(())
}

#[test]
fn services_of_the_recipe_run() -> Result<(), Error> {
    let host = Testbed::shared()?.host("alpha")?;
    assert_eq!(host.sh("systemctl is-active firewalld haproxy ssh")?.ok()?, "active\nactive\nactive");
    assert_eq!(host.sh("systemctl --failed --no-legend --plain")?.ok()?, "");
    assert_eq!(host.sh("firewall-cmd --state")?.ok()?, "running");
    let version = host.sh("haproxy -v")?.ok()?;
    assert!(version.starts_with("HAProxy version 3."), "{version}");
    Ok(())
}

#[test]
fn other_user_has_sudo_and_a_session() -> Result<(), Error> {
    let host = Testbed::shared()?.host("alpha")?;
    assert_eq!(
        host.login("core", "id -un; id -u; sudo id -u; echo $XDG_RUNTIME_DIR")?.ok()?,
        "core\n1000\n0\n/run/user/1000"
    );
    host.login("core", "systemctl --user show-environment")?.ok()?;
    Ok(())
}

#[test]
fn registry_archive_is_loaded_and_runs() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("beta")?;
    host.copy_in("/root/images/registry.tar", &fs::read(bed.registry_archive()).map_err(Error::Run)?)?;
    assert_eq!(
        host.sh("podman info --format '{{.Host.OCIRuntime.Name}} {{.Store.GraphDriverName}}'")?.ok()?,
        "crun overlay"
    );
    assert_eq!(
        host.sh("podman load --quiet --input /root/images/registry.tar")?.ok()?,
        "Loaded image: localhost/registry:1"
    );
    let version =
        host.sh("podman run --rm --entrypoint /usr/bin/docker-registry localhost/registry:1 --version")?.ok()?;
    assert!(version.starts_with("/usr/bin/docker-registry "), "{version}");
    Ok(())
}

#[test]
fn rootless_container_is_served() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("beta")?;
    host.copy_in("/var/tmp/tiny.tar", &fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
    host.login("core", "podman load --quiet --input /var/tmp/tiny.tar")?.ok()?;
    host.login("core", "podman run --rm localhost/tiny:1 echo hello")?.ok().map(|said| assert_eq!(said, "hello"))
}

#[test]
fn login_and_looking_leave_no_trace() -> Result<(), Error> {
    let host = Testbed::shared()?.fresh_host("quiet")?;
    // Before the first login: that is the one which makes things.
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    host.login("root", "true")?.ok()?;
    host.login("core", "sudo true")?.ok()?;
    assert_eq!(files.differences(&host.snapshot()?), [""; 0]);
    assert_eq!(units.differences(&host.unit_states()?), [""; 0]);
    Ok(())
}

#[test]
fn recording_tells_what_happened() -> Result<(), Error> {
    let host = Testbed::shared()?.fresh_host("busy")?;
    host.copy_in("/etc/drift", b"one")?;
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    host.copy_in("/etc/drift", b"two")?;
    host.sh("touch /tmp/a; rm /tmp/a; chmod 600 /etc/hostname; systemctl restart haproxy")?.ok()?;
    let after = host.snapshot()?;
    let changed: Vec<_> =
        files.differences(&after).iter().filter_map(|line| line.split(": ").next().map(str::to_owned)).collect();
    for expected in ["changed /etc/drift", "changed /tmp", "changed /etc/hostname"] {
        assert!(changed.iter().any(|line| line == expected), "{expected} is not in {changed:?}");
    }
    let restarted = units.differences(&host.unit_states()?);
    assert!(restarted.iter().any(|line| line.starts_with("changed haproxy.service: ")), "{restarted:?}");
    Ok(())
}

#[test]
fn files_survive_a_reboot_and_a_power_cut() -> Result<(), Error> {
    let host = Testbed::shared()?.fresh_host("phoenix")?;
    host.copy_in("/srv/kept", &[0, 159, 146, 150])?;
    host.copy_in("/run/lost", b"")?;
    host.reboot()?;
    assert_eq!(host.read("/srv/kept")?, [0, 159, 146, 150]);
    assert!(host.read("/run/lost").is_err());
    host.copy_in("/run/lost", b"")?;
    host.power_cut()?;
    assert_eq!(host.read("/srv/kept")?, [0, 159, 146, 150]);
    assert!(host.read("/run/lost").is_err());
    host.login("root", "true")?.ok()?;
    Ok(())
}

#[test]
fn delayed_way_takes_longer() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("alpha")?;
    let proxy = bed.delayed(&host, Duration::from_millis(25))?;
    let start = Instant::now();
    let status = host
        .ssh("root")
        .args(["-p", &proxy.address.port().to_string(), &proxy.address.ip().to_string(), "true"])
        .status()
        .map_err(Error::Run)?;
    assert!(status.success());
    // A login is some seven exchanges of 50 ms.
    assert!(start.elapsed() > Duration::from_millis(250), "{:?}", start.elapsed());
    Ok(())
}
