//! An installation of the old installer (mirror-registry 2.x) that `playbooks/mirror-registry` takes over: as its units, its
//! directories and its certificates are, with images that stand in for Quay's.

use provision_tests::{Build, Error, Host, Payload, Testbed};

use crate::mirror_registry::{Registry, plan};

const ROOT: &str = "/etc/quay-install";
const PASSWORD: &str = "password-of-before";

/// What the old installer does as root: directories, an authority and a certificate of it, configuration, podman's secret,
/// three units that are enabled, the first user.
fn install(bed: &Testbed, host: &Host) -> Result<(), Error> {
    let images = bed.quay_images()?;
    let (quay, redis, pause) = (images.quay(Payload::Two, Build::First), images.redis(), images.pause());
    for image in [&quay, &redis, &pause] {
        let archive = std::fs::read(&image.archive).map_err(Error::Run)?;
        host.exec_with(&["podman", "load", "--quiet"], &archive)?.ok()?;
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
        "--env WORKER_COUNT=1 --env WORKER_COUNT_UNSUPPORTED_MINIMUM=1 --volume {ROOT}/quay-config:/quay-registry/conf/stack:Z \
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
        host.copy_in(&format!("/etc/systemd/system/quay-{file}.service"), text.as_bytes())?;
    }
    host.copy_in(
        &format!("{ROOT}/quay-config/config.yaml"),
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
    host.sh(&format!(
        "set -e; mkdir -p {ROOT}/quay-rootCA; cd {ROOT}/quay-rootCA
         openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 1825 -keyout rootCA.key -out rootCA.pem \
           -subj '/C=US/ST=VA/L=New York/O=Quay/OU=Division/CN={name}' -addext basicConstraints=critical,CA:TRUE,pathlen:1
         openssl req -new -newkey rsa:2048 -nodes -keyout ../quay-config/ssl.key -out /tmp/ssl.csr -subj /CN=quay-enterprise
         printf 'basicConstraints=CA:FALSE\\nkeyUsage=nonRepudiation,digitalSignature,keyEncipherment\\nsubjectAltName=DNS:{name}\\n' >/tmp/v3
         openssl x509 -req -in /tmp/ssl.csr -CA rootCA.pem -CAkey rootCA.key -CAcreateserial -days 356 -sha256 -extfile /tmp/v3 \
           -out ../quay-config/ssl.cert
         chmod 0644 ../quay-config/* *; chmod 0755 .. . ../quay-config
         printf 'redis of before' | podman secret create redis_pass -
         systemctl daemon-reload; systemctl enable --now quay-pod quay-redis quay-app"
    ))?
    .ok()?;
    let user = format!(r#"{{"username":"init","password":"{PASSWORD}","email":"init@quay.io","access_token":true}}"#);
    host.sh(&format!(
        "for i in $(seq 100); do curl --silent --fail --max-time 5 {way}/health/instance && break; sleep 0.2; done; \
         curl --silent --show-error --fail-with-body --json '{user}' {way}/api/v1/user/initialize",
        way = way(host)
    ))?
    .ok()?;
    Ok(())
}

/// How curl reaches it on its own host.
fn way(host: &Host) -> String {
    let address = host.ipv4;
    format!("--cacert {ROOT}/quay-rootCA/rootCA.pem --connect-to ::{address}: https://{}.example.com:8443", host.name)
}

/// Digests of what must not change, and the serial number that is served.
fn identity(host: &Host) -> Result<String, Error> {
    host.sh(&format!(
        "sha256sum {ROOT}/quay-rootCA/* {ROOT}/quay-config/ssl.*; openssl s_client -connect {}:8443 </dev/null 2>/dev/null | \
         openssl x509 -noout -serial",
        host.ipv4
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

#[test]
fn an_old_installation_is_taken_over_with_all_that_it_has() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("oldtwo")?, bed.host("beta")?);
    install(bed, &host)?;
    let name = format!("{}.example.com", host.name);
    let authority = host.read(&format!("{ROOT}/quay-rootCA/rootCA.pem"))?;
    client.copy_in(&format!("/etc/containers/certs.d/{name}:8443/ca.crt"), &authority)?;
    client.copy_in("/var/tmp/tiny.tar", &std::fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
    client_does(
        &client,
        &host,
        &format!(
            "echo {PASSWORD} | podman login --username init --password-stdin {name}:8443; podman load --quiet --input /var/tmp/tiny.tar; \
             podman tag localhost/tiny:1 $IMAGE; podman push --quiet $IMAGE; podman rmi $IMAGE"
        ),
    )?;
    let before = identity(&host)?;

    let plain = plan(bed, &host, Payload::Two)?
        .variable("payload", 2)
        .variable("archive", bed.quay_images()?.image_archive().display())
        .variable("root", ROOT)
        .secret("password", PASSWORD);
    // Not by mistake.
    let refused = plain.apply(bed)?;
    assert_ne!(refused.code, Some(0));
    assert_eq!(identity(&host)?, before);

    let plan = plain.variable("adopt", "true");
    let changes = plan.diff(bed)?.ok().changes();
    for kept in ["taken/certificate.server", "two/image", "two/secret"] {
        let changed =
            changes.iter().filter(|(address, action)| address.starts_with(kept) && action.as_str() != "update");
        assert_eq!(changed.count(), 0, "{changes:?}");
    }
    plan.applied_twice(bed, &host)?;
    assert_eq!(identity(&host)?, before, "a certificate or key has changed");
    let config = String::from_utf8(host.read(&format!("{ROOT}/quay-config/config.yaml"))?).unwrap_or_default();
    for secret in ["SECRET_KEY: \"s1234567-89ab\"", "DATABASE_SECRET_KEY: \"d1234567-89ab\"", "redis of before"] {
        assert!(config.contains(secret), "{secret} is not in config.yaml");
    }
    assert_eq!(host.sh("ls /etc/systemd/system/quay* /etc/systemd/system/*.wants/quay* 2>/dev/null; true")?.ok()?, "");
    pulls(&client, &host)?;
    Registry { host: &host, port: 8443, user: "init", password: PASSWORD, authority: &authority }
        .is_used(bed, &client)?;

    // It gives it back as it was, to whoever wants the old one.
    plan.run(bed, "destroy", &["--yes", "--json"])?.ok();
    host.sh(&format!(
        "for i in $(seq 100); do curl --silent --fail --max-time 5 {}/health/instance && break; sleep 0.2; done",
        way(&host)
    ))?
    .ok()?;
    assert_eq!(identity(&host)?, before, "a certificate or key has changed");
    assert_eq!(
        host.sh("systemctl is-enabled quay-app.service; podman secret ls --format '{{.Name}}'")?.ok()?,
        "enabled\nredis_pass"
    );
    pulls(&client, &host)?;
    Ok(())
}
