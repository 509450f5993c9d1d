//! `playbooks/registry` on a real host: brought up, used from another one over both families, applied again, rebooted,
//! and mended after each thing that can drift.

use provision_tests::{Error, Host, Testbed};

use crate::support::Plan;

pub const PASSWORD: &str = "it's a \"$(secret)\" `pass`";

pub fn plan(bed: &Testbed, host: &Host) -> Plan {
    Plan::new("playbooks/registry/plan.toml")
        .variable("address", host.ipv4)
        .variable("hostname", format!("{}.example.com", host.name))
        .variable("names", names(host).join(","))
        .variable("archive", bed.registry_archive().display())
        .secret("password", PASSWORD)
}

/// A registry's name over each family. Registries of several tests are used from one host.
fn names(registry: &Host) -> [String; 2] {
    [4, 6].map(|family| format!("{}{family}.example.com", registry.name))
}

/// Lets a host know the registry under one name for each family, and trust the plan's authority.
pub fn introduce(client: &Host, registry: &Host) -> Result<(), Error> {
    let authority = registry.read("/etc/registry/authority/site.crt")?;
    for (name, address) in names(registry).iter().zip([&registry.ipv4.to_string(), &registry.ipv6.to_string()]) {
        client.sh(&format!("grep -q {name} /etc/hosts || echo '{address} {name}' >>/etc/hosts"))?.ok()?;
        client.copy_in(&format!("/etc/containers/certs.d/{name}:8443/ca.crt"), &authority)?;
    }
    Ok(())
}

/// Logs in, pushes an image and pulls it back, over each family, TLS verified.
pub fn used_from(client: &Host, registry: &Host, bed: &Testbed) -> Result<(), Error> {
    client.copy_in("/var/tmp/tiny.tar", &std::fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
    client.copy_in("/root/password", PASSWORD.as_bytes())?;
    client.sh("podman load --quiet --input /var/tmp/tiny.tar")?.ok()?;
    for name in names(registry) {
        let registry = format!("{name}:8443");
        client.sh(&format!("podman login --username init --password-stdin {registry} </root/password"))?.ok()?;
        client
            .sh(&format!(
                "podman tag localhost/tiny:1 {registry}/site/tiny:1 && podman push --quiet {registry}/site/tiny:1 && \
                 podman rmi {registry}/site/tiny:1 && podman pull --quiet {registry}/site/tiny:1"
            ))?
            .ok()?;
        let wrong = client.sh(&format!("echo wrong | podman login --username init --password-stdin {registry}"))?;
        assert!(!wrong.success(), "a wrong password was taken");
    }
    Ok(())
}

#[test]
fn registry_is_brought_up_used_rebooted_and_mended() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("mirror")?, bed.host("beta")?);
    let plan = plan(bed, &host);

    // A dry run leaves nothing behind, on a host where podman has never run.
    host.login("root", "true")?.ok()?;
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    let dry = plan.diff(bed)?.ok();
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the dry run changed the file system");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the dry run changed a unit");
    assert!(!format!("{dry:?}").contains("$(secret)"), "the dry run shows the password");

    // The apply does what the dry run said.
    let first = plan.applied_twice(bed, &host)?;
    assert_eq!(first.changes(), dry.changes());
    assert!(first.json()["hosts"][0]["outputs"].to_string().contains("podman login"), "{}", first.stdout);
    let modes = host.sh("stat -c '%a %n' /etc/registry/authority/site.key /etc/registry/certificates/server.key /etc/registry/auth/htpasswd")?.ok()?;
    assert!(modes.lines().all(|line| line.starts_with("600 ")), "{modes}");

    // A dry run of what is there leaves nothing behind either.
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    plan.diff(bed)?.ok();
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the dry run changed the file system");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the dry run changed a unit");

    introduce(&client, &host)?;
    used_from(&client, &host, bed)?;
    host.reboot()?;
    used_from(&client, &host, bed)?;
    plan.mends(bed, &[])?;

    // Each thing that drifts is named alone and mended alone.
    host.sh("echo '# by hand' >>/etc/registry/config.yml")?.ok()?;
    plan.mends(bed, &[("file.config", "update"), ("service.registry", "restart")])?;
    host.sh("chmod 0777 /var/lib/registry")?.ok()?;
    plan.mends(bed, &[("directory.storage", "update")])?;
    host.sh("systemctl stop registry")?.ok()?;
    plan.mends(bed, &[("service.registry", "start")])?;
    host.sh("systemctl disable --now haproxy")?.ok()?;
    plan.mends(bed, &[("service.haproxy", "start")])?;
    host.sh("echo '# by hand' >>/etc/haproxy/haproxy.cfg")?.ok()?;
    plan.mends(bed, &[("haproxy.front", "update"), ("service.haproxy", "reload")])?;
    host.sh("firewall-cmd --quiet --remove-port=8443/tcp")?.ok()?;
    plan.mends(bed, &[("firewall.registry", "update")])?;
    host.sh("firewall-cmd --quiet --permanent --remove-port=8443/tcp")?.ok()?;
    plan.mends(bed, &[("firewall.registry", "update")])?;
    host.sh("podman untag localhost/registry:1")?.ok()?;
    plan.mends(bed, &[("image.registry", "create"), ("service.registry", "restart")])?;
    host.sh("systemctl stop registry; podman rmi --force localhost/registry:1")?.ok()?;
    plan.mends(bed, &[("image.registry", "create"), ("service.registry", "start")])?;
    used_from(&client, &host, bed)?;

    // Another host pulls from it by a plan of its own, once.
    let [_, name] = names(&host);
    client.sh(&format!("podman rmi --force {name}:8443/site/tiny:1"))?.ok()?;
    // A session keeps its logins for itself; these are for whoever comes as root.
    let login = "podman login --authfile /root/.config/containers/auth.json --username init --password-stdin";
    client.sh(&format!("{login} {name}:8443 </root/password"))?.ok()?;
    let pulling = Plan::new("tests/real_host/plans/pull.toml")
        .variable("address", client.ipv4)
        .variable("image", format!("{name}:8443/site/tiny:1"));
    pulling.applied_twice(bed, &client)?;

    // A new name in the certificate reaches what serves it, and the authority stays the same.
    let authority = host.read("/etc/registry/authority/site.crt")?;
    let renamed = plan.clone().variable("names", format!("{},other.example.com", names(&host).join(",")));
    renamed.mends(bed, &[("certificate.server", "replace"), ("service.registry", "restart")])?;
    assert_eq!(host.read("/etc/registry/authority/site.crt")?, authority, "the authority changed");
    used_from(&client, &host, bed)
}

#[test]
fn a_port_that_the_firewall_closes_is_closed_and_other_ports_stay() -> Result<(), Error> {
    // The IPv6 front is a process of the host, so the firewall's input rules are what lets it be reached.
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("wall")?, bed.host("beta")?);
    host.sh("firewall-cmd --quiet --permanent --add-port=9999/udp; firewall-cmd --quiet --add-port=9999/udp")?.ok()?;
    let plan = plan(bed, &host);
    plan.apply(bed)?.ok();
    let ports = |layer: &str| -> Result<String, Error> { host.sh(&format!("firewall-cmd {layer} --list-ports"))?.ok() };
    assert_eq!((ports("")?.as_str(), ports("--permanent")?.as_str()), ("8443/tcp 9999/udp", "8443/tcp 9999/udp"));
    let reach = format!("timeout 3 bash -c '</dev/tcp/{}/8443'", host.ipv6);
    assert!(client.sh(&reach)?.success(), "the open port cannot be reached");
    host.sh("firewall-cmd --quiet --remove-port=8443/tcp")?.ok()?;
    assert!(!client.sh(&reach)?.success(), "the closed port can be reached");
    plan.mends(bed, &[("firewall.registry", "update")])?;
    assert!(client.sh(&reach)?.success(), "the port was not opened again");
    Ok(())
}
