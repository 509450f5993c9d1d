//! An installation of the old installer (mirror-registry 2.x) that `playbooks/mirror-registry` takes over: as its units, its
//! directories and its certificates are, with images that stand in for Quay's.

use provision_tests::{Build, Error, Host, Payload, Testbed};

use crate::mirror_registry::{Registry, plan};
use crate::support::Plan;

/// Where it has been put, and by whose podman it runs.
#[derive(Clone, Copy)]
struct Old {
    root: &'static str,
    user: &'static str,
}

const SYSTEM: Old = Old { root: "/etc/quay-install", user: "root" };
const ROOTLESS: Old = Old { root: "/srv/core/quay-install", user: "core" };

impl Old {
    fn units(self) -> &'static str {
        if self.user == "root" { "/etc/systemd/system" } else { "/srv/core/.config/systemd/user" }
    }

    fn systemctl(self) -> &'static str {
        if self.user == "root" { "systemctl" } else { "systemctl --user" }
    }

    /// As whoever installed it.
    fn sh(self, host: &Host, script: &str) -> Result<String, Error> {
        if self.user == "root" { host.sh(script)?.ok() } else { host.login(self.user, script)?.ok() }
    }
}

const PASSWORD: &str = "password-of-before";

/// What the old installer does: directories, an authority and a certificate of it, configuration, podman's secret,
/// three units that are enabled, the first user.
fn install(bed: &Testbed, host: &Host, old: Old) -> Result<(), Error> {
    let root = old.root;
    let images = bed.quay_images()?;
    let (quay, redis, pause) = (images.quay(Payload::Two, Build::First), images.redis(), images.pause());
    for image in [&quay, &redis, &pause] {
        host.copy_in("/var/tmp/image.tar", &std::fs::read(&image.archive).map_err(Error::Run)?)?;
        old.sh(host, "podman load --quiet --input /var/tmp/image.tar")?;
    }
    let name = format!("{}.example.com", host.name);
    let unit = |after: &str, more: &str, start: &str, kind: &str| {
        format!(
            "[Unit]\nWants=network.target\nAfter=network-online.target {after}\n{more}\n\n[Service]\nType={sort}\nRemainAfterExit=yes\n\
             TimeoutStartSec=5m\nEnvironment=PODMAN_SYSTEMD_UNIT=%n\nExecStartPre=-/bin/rm -f %t/%n-pid %t/%n-id\n\
             ExecStart=/usr/bin/podman {start}\nExecStop=-/usr/bin/podman {kind}stop --ignore --{id} %t/%n-id -t 10\n\
             ExecStopPost=-/usr/bin/podman {kind}rm --ignore -f --{id} %t/%n-id\n\n\
             [Install]\nWantedBy=multi-user.target default.target\n",
            id = if kind.is_empty() { "cidfile" } else { "pod-id-file" },
            // The pod is there before anything is started in it: the old installer starts one after the other.
            sort = if kind.is_empty() { "simple" } else { "oneshot" },
        )
    };
    let run = |name: &str, rest: &str| {
        format!(
            "run --name {name} --pod=quay-pod --conmon-pidfile %t/%n-pid --cidfile %t/%n-id --cgroups=no-conmon --replace {rest}"
        )
    };
    let requires = "Requires=quay-pod.service";
    let app = format!(
        "--env WORKER_COUNT=1 --env WORKER_COUNT_UNSUPPORTED_MINIMUM=1 --volume {root}/quay-config:/quay-registry/conf/stack:Z \
         --volume sqlite-storage:/sqlite:Z,U --volume quay-storage:/datastorage:Z,U {}",
        quay.name
    );
    for (file, text) in [
        (
            "pod",
            unit(
                "",
                "",
                &format!(
                    "pod create --name quay-pod --infra-image {} --publish 8443:8443 --pod-id-file %t/%n-id --replace",
                    pause.name
                ),
                "pod ",
            ),
        ),
        (
            "redis",
            unit(
                "quay-pod.service",
                requires,
                &run("quay-redis", &format!("--secret redis_pass,type=env,target=REDIS_PASSWORD {}", redis.name)),
                "",
            ),
        ),
        (
            "app",
            unit(
                "quay-pod.service quay-redis.service",
                &format!("{requires} quay-redis.service"),
                &run("quay-app", &app),
                "",
            ),
        ),
    ] {
        host.copy_in(&format!("{}/quay-{file}.service", old.units()), text.as_bytes())?;
    }
    host.copy_in(
        &format!("{root}/quay-config/config.yaml"),
        format!(
            "AUTHENTICATION_TYPE: Database\nBUILDLOGS_REDIS:\n    host: localhost\n    password: redis of before\n    port: 6379\n\
             CREATE_NAMESPACE_ON_PUSH: true\nDATABASE_SECRET_KEY: d1234567-89ab\nDB_URI: sqlite:////sqlite/quay_sqlite.db\n\
             DISTRIBUTED_STORAGE_CONFIG:\n    default:\n        - LocalStorage\n        - storage_path: /datastorage\n\
             DISTRIBUTED_STORAGE_DEFAULT_LOCATIONS: []\nDISTRIBUTED_STORAGE_PREFERENCE:\n    - default\n\
             FEATURE_USER_INITIALIZE: true\nPREFERRED_URL_SCHEME: https\nSECRET_KEY: \"s1234567-89ab\"\n\
             SERVER_HOSTNAME: {name}:8443\nSETUP_COMPLETE: true\nSUPER_USERS:\n    - init\n\
             USER_EVENTS_REDIS:\n    host: localhost\n    password: redis of before\n    port: 6379\n"
        )
        .as_bytes(),
    )?;
    // Of a user, it lingers last of all.
    let linger = "chown -R core:core /srv/core; loginctl enable-linger core; until [ -S /run/user/1000/bus ]; do sleep 0.1; done";
    host.sh(if old.user == "root" { "true" } else { linger })?.ok()?;
    old.sh(host, &format!(
        "set -e; mkdir -p {root}/quay-rootCA; cd {root}/quay-rootCA
         openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 1825 -keyout rootCA.key -out rootCA.pem \
           -subj '/C=US/ST=VA/L=New York/O=Quay/OU=Division/CN={name}' -addext basicConstraints=critical,CA:TRUE,pathlen:1
         openssl req -new -newkey rsa:2048 -nodes -keyout ../quay-config/ssl.key -out /tmp/ssl.csr -subj /CN=quay-enterprise
         printf 'basicConstraints=CA:FALSE\\nkeyUsage=nonRepudiation,digitalSignature,keyEncipherment\\nsubjectAltName=DNS:{name}\\n' >/tmp/v3
         openssl x509 -req -in /tmp/ssl.csr -CA rootCA.pem -CAkey rootCA.key -CAcreateserial -days 356 -sha256 -extfile /tmp/v3 \
           -out ../quay-config/ssl.cert
         chmod 0644 ../quay-config/* *; chmod 0755 .. . ../quay-config
         printf 'redis of before' | podman secret create redis_pass -
         {systemctl} daemon-reload; {systemctl} enable --now quay-pod quay-redis quay-app",
        systemctl = old.systemctl()
    ))?;
    let user = format!(r#"{{"username":"init","password":"{PASSWORD}","email":"init@quay.io","access_token":true}}"#);
    host.sh(&format!(
        "for i in $(seq 100); do curl --silent --fail --max-time 5 {way}/health/instance && break; sleep 0.2; done; \
         curl --silent --show-error --fail-with-body --json '{user}' {way}/api/v1/user/initialize",
        way = way(host, old)
    ))?
    .ok()?;
    Ok(())
}

/// How curl reaches it on its own host.
fn way(host: &Host, Old { root, user }: Old) -> String {
    let address = if user == "root" { host.ipv4.to_string() } else { "127.0.0.1".to_owned() };
    format!("--cacert {root}/quay-rootCA/rootCA.pem --connect-to ::{address}: https://{}.example.com:8443", host.name)
}

/// Digests of what must not change, and the serial number that is served.
fn identity(host: &Host, Old { root, .. }: Old) -> Result<String, Error> {
    host.sh(&format!(
        "sha256sum {root}/quay-rootCA/* {root}/quay-config/ssl.*; openssl s_client -connect 127.0.0.1:8443 </dev/null 2>/dev/null | \
         openssl x509 -noout -serial"
    ))?
    .ok()
}

/// Pulls what was pushed before it was taken over.
fn pulls(client: &Host, host: &Host) -> Result<(), Error> {
    client_does(client, host, "podman pull --quiet $IMAGE && podman rmi $IMAGE")
}

fn client_does(client: &Host, host: &Host, script: &str) -> Result<(), Error> {
    let name = format!("{}.example.com", host.name);
    let hosts = format!("/run/{}.hosts", host.name);
    client.copy_in(&hosts, format!("127.0.0.1 localhost\n{} {name}\n", host.ipv4).as_bytes())?;
    let script = format!("set -e; IMAGE={name}:8443/init/before:1; mount --bind {hosts} /etc/hosts; {script}");
    client.exec(&["unshare", "--mount", "sh", "-c", &script])?.ok()?;
    Ok(())
}

/// An old installation with an image in it, and the plan that would take it over but for `adopt`. Gives its authority, too.
fn installed(bed: &Testbed, host: &Host, client: &Host, old: Old) -> Result<(Plan, Vec<u8>), Error> {
    install(bed, host, old)?;
    let name = format!("{}.example.com", host.name);
    let authority = host.read(&format!("{}/quay-rootCA/rootCA.pem", old.root))?;
    client.copy_in(&format!("/etc/containers/certs.d/{name}:8443/ca.crt"), &authority)?;
    client.copy_in("/var/tmp/tiny.tar", &std::fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
    client_does(
        client,
        host,
        &format!(
            "echo {PASSWORD} | podman login --username init --password-stdin {name}:8443; podman load --quiet --input /var/tmp/tiny.tar; \
             podman tag localhost/tiny:1 $IMAGE; podman push --quiet $IMAGE; podman rmi $IMAGE"
        ),
    )?;
    let plan = plan(bed, host, Payload::Two)?
        .variable("payload", 2)
        .variable("runs_as", old.user)
        .variable("root", old.root)
        .secret("password", PASSWORD);
    Ok((plan, authority))
}

/// Takes it over, with all that it has.
fn taken_over(bed: &Testbed, host: &Host, old: Old, plan: &Plan) -> Result<(), Error> {
    let before = identity(host, old)?;
    let changes = plan.diff(bed)?.ok().changes();
    for kept in ["taken/certificate.server", "two/image", "two/secret"] {
        let changed =
            changes.iter().filter(|(address, action)| address.starts_with(kept) && action.as_str() != "update");
        assert_eq!(changed.count(), 0, "{changes:?}");
    }
    plan.applied_twice(bed, host)?;
    assert_eq!(identity(host, old)?, before, "a certificate or key has changed");
    let config = String::from_utf8(host.read(&format!("{}/quay-config/config.yaml", old.root))?).unwrap_or_default();
    for secret in ["SECRET_KEY: \"s1234567-89ab\"", "DATABASE_SECRET_KEY: \"d1234567-89ab\"", "redis of before"] {
        assert!(config.contains(secret), "{secret} is not in config.yaml");
    }
    let left = format!("ls {units}/quay* {units}/*.wants/quay* 2>/dev/null; true", units = old.units());
    assert_eq!(host.sh(&left)?.ok()?, "");
    Ok(())
}

/// A destroy gives it back as it was, to whoever wants the old one.
fn given_back(bed: &Testbed, host: &Host, old: Old, plan: &Plan) -> Result<(), Error> {
    let before = identity(host, old)?;
    plan.run(bed, "destroy", &["--yes", "--json"])?.ok();
    host.sh(&format!(
        "for i in $(seq 100); do curl --silent --fail --max-time 5 {}/health/instance && break; sleep 0.2; done",
        way(host, old)
    ))?
    .ok()?;
    assert_eq!(identity(host, old)?, before, "a certificate or key has changed");
    let enabled = format!("{} is-enabled quay-app.service; podman secret ls --format '{{{{.Name}}}}'", old.systemctl());
    assert_eq!(old.sh(host, &enabled)?, "enabled\nredis_pass");
    Ok(())
}

#[test]
fn an_old_installation_is_taken_over_with_all_that_it_has() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("oldtwo")?, bed.host("beta")?);
    let (plain, authority) = installed(bed, &host, &client, SYSTEM)?;
    let plain = plain.variable("archive", bed.quay_images()?.image_archive().display());
    // Its port is open, and firewalld was reloaded since it runs: netavark then leaves the rules of its pod behind.
    host.sh("firewall-cmd --quiet --permanent --add-port=8443/tcp && firewall-cmd --quiet --reload")?.ok()?;
    let before = identity(&host, SYSTEM)?;
    // Not by mistake, and not by 3.x: it says what has the port.
    let refused = plain.apply(bed)?;
    assert_ne!(refused.code, Some(0));
    let three = plan(bed, &host, Payload::Three)?.apply(bed)?;
    assert!(three.stderr.contains("port 8443/tcp") && !matches!(three.code, Some(0 | 2)), "{three:#?}");
    assert!(three.stderr.contains("nothing was changed"), "{three:#?}");
    assert_eq!(identity(&host, SYSTEM)?, before);

    let plan = plain.variable("adopt", "true");
    taken_over(bed, &host, SYSTEM, &plan)?;
    pulls(&client, &host)?;
    Registry { host: &host, port: 8443, user: "init", password: PASSWORD, authority: &authority }
        .is_used(bed, &client)?;
    given_back(bed, &host, SYSTEM, &plan)?;
    pulls(&client, &host)?;
    Ok(())
}

/// Its images come from another registry from then on, by the names that they have.
fn mirrored(bed: &Testbed, host: &Host) -> Result<(), Error> {
    let images = bed.quay_images()?;
    host.copy_in("/var/tmp/image.tar", &std::fs::read(bed.registry_archive()).map_err(Error::Run)?)?;
    host.copy_in(
        "/etc/containers/registries.conf.d/mirror.conf",
        b"[[registry]]\nlocation = \"registry.redhat.io\"\n[[registry.mirror]]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n",
    )?;
    host.copy_in(
        "/var/tmp/registry.yml",
        b"version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: '127.0.0.1:5000'}\n",
    )?;
    host.sh("podman load --quiet --input /var/tmp/image.tar; podman run --detach --name mirror --network host \
         --volume /var/tmp/registry.yml:/registry.yml:ro localhost/registry:1 serve /registry.yml")?
        .ok()?;
    for build in [Build::Second, Build::Unhealthy] {
        let image = images.quay(Payload::Two, build);
        host.copy_in("/var/tmp/image.tar", &std::fs::read(&image.archive).map_err(Error::Run)?)?;
        let there = image.name.replace("registry.redhat.io", "127.0.0.1:5000");
        host.sh(&format!(
            "podman load --quiet --input /var/tmp/image.tar; podman push --quiet --tls-verify=false {} {there}",
            image.name
        ))?
        .ok()?;
    }
    Ok(())
}

/// Of a user whose home is elsewhere, with volumes, whose next version is pulled; one that takes the database over and is never well goes back.
#[test]
fn an_old_installation_of_a_user_is_taken_over_and_upgraded() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("oldusertwo")?, bed.host("beta")?);
    host.sh("usermod --home /srv/core --move-home core")?.ok()?;
    // Whoever had it rootless has opened the port.
    host.sh("firewall-cmd --quiet --permanent --add-port=8443/tcp; firewall-cmd --quiet --add-port=8443/tcp")?.ok()?;
    let (plain, _) = installed(bed, &host, &client, ROOTLESS)?;
    let plan = plain.variable("archive", "").variable("adopt", "true");
    taken_over(bed, &host, ROOTLESS, &plan)?;
    pulls(&client, &host)?;

    mirrored(bed, &host)?;
    let version = |build| -> Result<Plan, Error> {
        Ok(plan.clone().variable("image", bed.quay_images()?.quay(Payload::Two, build).name))
    };
    let second = version(Build::Second)?;
    second.apply(bed)?.ok();
    let database =
        "podman unshare sha256sum .local/share/containers/storage/volumes/sqlite-storage/_data/quay_sqlite.db";
    let written = ROOTLESS.sh(&host, database)?;
    let ran = version(Build::Unhealthy)?.variable("within", "15s").apply(bed)?;
    let back = &ran.json()["hosts"][0]["rolled_back"]["failures"];
    assert_eq!((ran.code, back), (Some(1), &serde_json::json!([])), "{}", ran.stderr);
    assert_eq!(ROOTLESS.sh(&host, database)?, written, "the volume is not what it was");
    second.mends(bed, &[])?;
    pulls(&client, &host)?;
    Ok(())
}
