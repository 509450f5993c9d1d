//! `playbooks/mirror-registry` on real hosts, with images that stand in for Quay's: brought up, used from another host over
//! both families, applied again, rebooted, upgraded, taken away. Here what is Quay 3.x's; 2.x is in `two`.

#![expect(clippy::indexing_slicing, reason = "a test stops at its first surprise")]

mod own;
mod two;

use std::process::Stdio;

use provision_tests::{Build, Error, Host, Payload, Testbed};

use crate::ownership::trace::Trace;
use crate::support::{Plan, Ran};
use own::Own;

/// A registry as a client has it.
pub struct Registry<'a> {
    pub host: &'a Host,
    pub port: u16,
    pub user: &'a str,
    pub password: &'a str,
    pub authority: &'a [u8],
}

impl Registry<'_> {
    /// Logs in, pushes an image and pulls it back, TLS verified: as a client that knows its IPv4 address alone, and as one
    /// that knows the other alone.
    pub fn is_used(&self, bed: &Testbed, client: &Host) -> Result<(), Error> {
        let Self { host, port, user, password, authority } = self;
        let name = format!("{}.example.com", host.name);
        let registry = format!("{name}:{port}");
        client.copy_in("/var/tmp/tiny.tar", &std::fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
        client.copy_in(&format!("/etc/containers/certs.d/{registry}/ca.crt"), authority)?;
        let secret = format!("/root/{}.password", host.name);
        client.copy_in(&secret, password.as_bytes())?;
        client.sh("podman load --quiet --input /var/tmp/tiny.tar")?.ok()?;
        for (family, address) in [(4, host.ipv4.to_string()), (6, host.ipv6.to_string())] {
            let image = format!("{registry}/{user}/tiny:{family}");
            let login = format!("podman login --username {user} --password-stdin {registry}");
            let hosts = format!("/run/{}.hosts", host.name);
            client.copy_in(&hosts, format!("127.0.0.1 localhost\n{address} {name}\n").as_bytes())?;
            let script = format!(
                "set -e; mount --bind {hosts} /etc/hosts; {login} <{secret}; podman tag localhost/tiny:1 {image}; \
                 podman push --quiet {image}; podman rmi {image}; podman pull --quiet {image}; podman rmi {image}; \
                 ! echo wrong | {login}"
            );
            client.exec(&["unshare", "--mount", "sh", "-c", &script])?.ok()?;
        }
        Ok(())
    }
}

/// The playbook for a host.
pub fn plan(bed: &Testbed, host: &Host, payload: Payload) -> Result<Plan, Error> {
    let image = bed.quay_images()?.quay(payload, Build::First);
    Ok(Plan::new("playbooks/mirror-registry/plan.toml")
        .variable("address", host.ipv4)
        .variable("hostname", format!("{}.example.com", host.name))
        .variable("image", image.name)
        .variable("archive", image.archive.display())
        .variable("space", "1G"))
}

const PASSWORD: &str = "it's a \"$(secret)\" `pass`";

/// Expects a plan to be refused for these reasons.
fn refused(ran: &Ran, parts: &[&str]) {
    assert!(!matches!(ran.code, Some(0 | 2)), "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

/// Whether another host gets through to a port over each family.
fn reaches(client: &Host, host: &Host, port: u16) -> Result<[bool; 2], Error> {
    let over = |address: String| -> Result<bool, Error> {
        Ok(client.sh(&format!("timeout 3 bash -c '</dev/tcp/{address}/{port}'"))?.success())
    };
    Ok([over(host.ipv4.to_string())?, over(host.ipv6.to_string())?])
}

/// Whether a line of a comparison is about what a plan has made, not what a boot or podman makes for itself.
fn is_left(line: &str) -> bool {
    let path = line.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(':');
    let known = [
        "/etc/containers/networks",
        "/etc/ssl/certs/",
        "/var/lib/containers",
        "/etc/firewalld/zones",
        "/var/lib/systemd",
    ];
    line.starts_with("new ")
        && ["/etc/", "/var/lib/", "/srv/", "/usr/", "/root/mirror"].iter().any(|place| path.starts_with(place))
        && !known.iter().any(|known| path.starts_with(known))
}

/// Everything by default, in a login whose umask is 077 and that has no terminal, on a host where podman has never run.
#[test]
fn mirror_registry_is_brought_up_used_rebooted_and_taken_away() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("mirror3")?, bed.host("beta")?);
    host.sh("echo 'umask 077' >/root/.bashrc; sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs")?.ok()?;
    assert_eq!(host.login("root", "umask")?.ok()?, "0077");
    host.copy_in("/root/auth.json", br#"{"auths": {"other.example.com": {"auth": "eDp5"}}}"#)?;
    host.sh("chmod 600 /root/auth.json")?.ok()?;
    let plan = plan(bed, &host, Payload::Three)?
        .variable("pull_secret", "/root/auth.json")
        .variable("clients", format!("{{ beta = \"{}\" }}", client.ipv4));
    let name = format!("{}.example.com", host.name);
    client.sh(&format!("echo '{} {name}' >>/etc/hosts", host.ipv4))?.ok()?;
    let before = Trace::of(&host)?;

    // What is refused, and what that leaves: a host without podman, a port that somebody has, a certificate that was good
    // once.
    host.sh("mv /usr/bin/podman /root/podman")?.ok()?;
    refused(&plan.apply(bed)?, &["podman", "must be 4.4 or later", "is not there"]);
    host.sh("mv /root/podman /usr/bin/podman")?.ok()?;
    host.sh("printf '[Socket]\\nListenStream=8443\\nAccept=yes\\n' >/run/systemd/system/theirs.socket
         printf '[Service]\\nExecStart=/bin/true\\n' >/run/systemd/system/theirs@.service
         systemctl daemon-reload && systemctl start theirs.socket")?
        .ok()?;
    let own = Own::new(bed, &host)?;
    refused(&plan.apply(bed)?, &["port 8443/tcp", "is taken by systemd"]);
    host.sh("systemctl stop theirs.socket; rm /run/systemd/system/theirs*; systemctl daemon-reload")?.ok()?;
    refused(&own.given(&plan, "expired").apply(bed)?, &["the certificate of quay expired at 2024-02-01"]);
    assert_eq!(before.left(&Trace::of(&host)?), [""; 0], "something was begun");

    let (files, units) = (host.snapshot()?, host.unit_states()?);
    let dry = plan.diff(bed)?.ok();
    assert_eq!(
        dry.json()["hosts"][1]["waits_for"],
        serde_json::json!([{ "host": "registry", "resources": ["trust_anchor.registry"] }])
    );
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the dry run changed the file system");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the dry run changed a unit");

    let first = plan.applied_twice(bed, &host)?;
    assert_eq!(first.changes(), dry.changes());
    let password = String::from_utf8(host.read("/etc/mirror-registry/secrets/password")?).unwrap_or_default();
    assert_eq!(password.len(), 32);
    assert!(!format!("{dry:?}").contains(&password), "the password is shown");
    assert_eq!(first.stdout.matches(&password).count(), 1, "the password is not shown once: {}", first.stdout);
    assert!(first.stdout.contains("by a network of its own with IPv6"), "{}", first.stdout);
    let authority = host.read("/etc/mirror-registry/ca.crt")?;
    let modes = "cd /etc/mirror-registry && stat -c '%a %U %n' quay-config/ssl.key quay-config/config.yaml \
                 authority/ca.key secrets/* /root/auth.json";
    let modes = host.sh(modes)?.ok()?;
    assert!(modes.lines().all(|line| line.starts_with("600 root ")), "{modes}");
    let pull_secret = host.read("/root/auth.json")?;
    let pull_secret: serde_json::Value =
        serde_json::from_slice(&pull_secret).map_err(|error| Error::Bed(error.to_string()))?;
    let login = host.sh(&format!("printf %s 'init:{password}' | base64 -w0"))?.ok()?;
    let key = format!("{}.example.com:8443", host.name);
    assert_eq!(
        pull_secret,
        serde_json::json!({ "auths": { "other.example.com": { "auth": "eDp5" }, key: { "auth": login } } })
    );

    // The client trusts it: the system, and podman.
    let taken = first.json()["hosts"][1]["results"].clone();
    assert_eq!(taken[0]["resource"], "trust_anchor.clients", "{taken:#}");
    client.sh(&format!("curl --silent --fail https://{name}:8443/healthz"))?.ok()?;
    let anchor = format!("/etc/containers/certs.d/{name}:8443/ca.crt");
    assert_eq!(client.read(&anchor)?, authority);

    let registry = Registry { host: &host, port: 8443, user: "init", password: &password, authority: &authority };
    registry.is_used(bed, &client)?;
    host.reboot()?;
    registry.is_used(bed, &client)?;
    plan.mends(bed, &[])?;

    // A newer version has all that the one before had. One that never becomes healthy goes back by itself, data included.
    let upgrade = |build| -> Result<Plan, Error> {
        let image = bed.quay_images()?.quay(Payload::Three, build);
        Ok(plan.clone().variable("image", image.name).variable("archive", image.archive.display()))
    };
    let broken = upgrade(Build::Unhealthy)?.variable("within", "4s");
    let plan = upgrade(Build::Second)?;
    let ran = plan.apply(bed)?.ok();
    assert!(ran.json()["hosts"][0]["down"][0]["seconds"].is_number(), "{}", ran.stdout);
    registry.is_used(bed, &client)?;
    let ran = broken.apply(bed)?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(ran.json()["hosts"][0]["rolled_back"]["failures"], serde_json::json!([]), "{}", ran.stdout);
    let version = "curl --silent --insecure --output /dev/null --write-out '%header{x-quay-version}' --retry 9 \
                   --retry-all-errors https://127.0.0.1:8443/healthz";
    assert_eq!(host.sh(version)?.ok()?, "2");
    registry.is_used(bed, &client)?;
    plan.mends(bed, &[])?;

    // haproxy in front, which takes IPv6 once podman has left it; and the other way round below.
    let fronted = plan.clone().variable("dual_stack", "haproxy");
    fronted.mends(
        bed,
        &[
            ("reach/file.clear", "remove"),
            ("reach/network.registry", "remove"),
            ("three/container.registry", "update"),
            ("three/service.registry", "restart"),
            ("front/haproxy.front", "update"),
            ("front/service.haproxy", "reload"),
        ],
    )?;
    registry.is_used(bed, &client)?;

    // Another port, and the one before is closed; a certificate of one's own, and what was made once stays.
    let moved = own.given(&plan.clone().variable("port", 9443), "good");
    moved.apply(bed)?.ok();
    assert_eq!(reaches(&client, &host, 8443)?, [false; 2], "the port of before is open");
    assert_eq!(own.served(&client, &host, 9443)?, own.serial, "another certificate is served");
    assert_eq!(host.read("/etc/mirror-registry/secrets/password")?, password.as_bytes(), "the password changed");
    moved.mends(bed, &[])?;

    // What was pushed and what it needs stays with a destroy, and is used again.
    plan.run(bed, "destroy", &["--yes", "--json"])?.ok();
    assert_eq!(reaches(&client, &host, 9443)?, [false; 2]);
    let left = "ls /var/lib/quay /etc/mirror-registry/secrets; systemctl list-units --all 'mirror-registry*' --plain --no-legend";
    let left = host.sh(left)?.ok()?;
    assert!(left.contains("quay.db") && left.contains("password") && !left.contains(".service"), "{left}");
    plan.apply(bed)?.ok();
    assert_eq!(host.read("/etc/mirror-registry/secrets/password")?, password.as_bytes(), "the password changed");
    assert_eq!(host.read("/etc/mirror-registry/ca.crt")?, authority, "the authority changed");
    registry.is_used(bed, &client)?;

    plan.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    let left = client.sh(&format!("ls '{anchor}' /usr/local/share/ca-certificates/mirror-registry.crt"))?;
    assert!(!left.success(), "a client still trusts the registry: {left:?}");
    let left = host.snapshot()?;
    let left: Vec<String> = files.differences(&left).into_iter().filter(|line| is_left(line)).collect();
    assert_eq!(left, [""; 0], "not everything is gone");
    // Images of other versions stay, as they do when one is upgraded.
    let things = "(podman ps --all --quiet; podman images --quiet quay.io/quay/quay-mirror:2; podman volume ls --quiet; \
                  podman network ls --quiet --filter name=mirror; firewall-cmd --list-ports; \
                  firewall-cmd --permanent --list-ports; nft list ruleset | grep 8443; cat /root/auth.json) | grep .";
    assert_eq!(host.sh(things)?.ok()?, r#"{"auths": {"other.example.com": {"auth": "eDp5"}}}"#);
    Ok(())
}

/// A user's podman, with everything else than by default; an apply that is cut; another user who has services, too.
#[test]
fn mirror_registry_runs_rootless_with_everything_of_ones_own() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("usermirror3")?, bed.host("beta")?);
    host.sh("useradd --create-home other && loginctl enable-linger other && \
             until [ -S /run/user/$(id -u other)/bus ]; do sleep 0.1; done; \
             systemctl --user --machine=other@ --quiet is-system-running --wait; \
             systemd-run --quiet --user --machine=other@ --unit=theirs sleep infinity")?
        .ok()?;
    let theirs = "systemctl --user --machine=other@ show --property=ActiveState,InvocationID theirs";
    let theirs_before = host.sh(theirs)?.ok()?;
    assert!(theirs_before.contains("ActiveState=active"), "{theirs_before}");
    let own = Own::new(bed, &host)?;
    let plan = plan(bed, &host, Payload::Three)?
        .variable("runs_as", "core")
        .variable("port", 8445)
        .variable("root", "/srv/quay install")
        .variable("database", "quay-data")
        .variable("storage", "/srv/images")
        .variable("user", "site.admin")
        .variable("superusers", "second")
        .variable("settings", "{ FEATURE_ANONYMOUS_ACCESS = false }")
        .secret("password", PASSWORD);
    let plan = own.given(&plan, "good");

    // The command is killed when it has begun; the next one goes on.
    let mut command = plan.command(bed, "apply", &["--yes"])?;
    let mut cut = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::Run)?;
    host.sh("timeout 120 sh -c 'until [ -e /srv/images ]; do sleep 0.05; done'")?.ok()?;
    cut.kill().map_err(Error::Run)?;
    cut.wait().map_err(Error::Run)?;
    plan.applied_twice(bed, &host)?;

    let ps = "podman ps --format '{{.Names}}'; podman volume ls --quiet";
    assert_eq!(host.login("core", ps)?.ok()?, "systemd-mirror-registry\nquay-data");
    assert_eq!(host.sh("podman ps --all --quiet")?.ok()?, "");
    assert_eq!(reaches(&client, &host, 8445)?, [true; 2]);
    assert_eq!(reaches(&client, &host, 8443)?, [false; 2], "the default port is open");
    assert_eq!(own.served(&client, &host, 8445)?, own.serial, "another certificate is served");
    let config = String::from_utf8(host.read("/srv/quay install/quay-config/config.yaml")?).unwrap_or_default();
    for line in ["SUPER_USERS: [\"site.admin\", \"second\"]", "\"FEATURE_ANONYMOUS_ACCESS\": false"] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    let authority = own.authority()?;
    let registry = Registry { host: &host, port: 8445, user: "site.admin", password: PASSWORD, authority: &authority };
    registry.is_used(bed, &client)?;
    assert_ne!(host.sh("find /srv/images -type f | head -n 1")?.ok()?, "", "images are somewhere else");
    host.reboot()?;
    registry.is_used(bed, &client)?;
    plan.mends(bed, &[])?;
    // podman has both families, and then IPv4 alone.
    let fronted = plan.clone().variable("dual_stack", "haproxy");
    let listens = "ss -HltnO sport = 8445 | awk '{ print $4 }' | sort | tr '\\n' ' '";
    assert_eq!(host.sh(listens)?.ok()?, "*:8445 ");
    fronted.apply(bed)?.ok();
    assert_eq!(host.sh(listens)?.ok()?, "0.0.0.0:8445 [::]:8445 ");
    registry.is_used(bed, &client)?;
    let theirs_before = host.sh(theirs)?.ok()?;

    plan.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    assert_eq!(host.sh(theirs)?.ok()?, theirs_before, "the services of another user were touched");
    assert_eq!(host.sh("ls -A /var/lib/systemd/linger; ls -A /srv")?.ok()?, "other");
    assert_eq!(
        host.login("core", "podman ps --all --quiet; podman images --quiet; podman volume ls --quiet")?.ok()?,
        ""
    );
    Ok(())
}
