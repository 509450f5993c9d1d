//! The 3.x line.

use provision_tests::{Build, Error, Payload, Testbed};

use super::{failure, get, load, prepare_client, wait_for};

const DATA: &str = "/srv/quay";

#[test]
fn quay_3_is_initialised_serves_and_is_upgraded() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let images = bed.quay_images()?;
    let host = bed.fresh_host("quaythree")?;
    let [first, second, unhealthy, exits] =
        [Build::First, Build::Second, Build::Unhealthy, Build::Exits].map(|build| images.quay(Payload::Three, build));
    load(&host, &[first.clone(), second.clone(), unhealthy.clone(), exits.clone()])?;
    let run = |image: &str, command: &str| format!("--interactive --volume {DATA}:/data:Z {image} {command}");
    let name = format!("{}.example.com:9443", host.name);
    host.sh(&format!("mkdir {DATA}"))?.ok()?;

    // What is refused, and what that leaves.
    for (command, input, expected) in [
        ("serve --data-dir /data", "", "not initialized"),
        ("init --data-dir /data --init-user Init", "", "Namespace must match expression"),
        ("init --data-dir /data --init-user a", "", "between 2 and 255 characters"),
        ("init --data-dir /data --init-user a..b", "", "Namespace must match expression"),
        ("init --data-dir /data --init-password-stdin", "", "must not be empty"),
        ("init --data-dir /data --init-password-stdin", &"x".repeat(73), "must not exceed 72 bytes"),
        ("serve --data-dir /data --init-user admin", "", "flag provided but not defined: -init-user"),
        ("install", "", "there is no command `install`"),
    ] {
        let said = failure(&host, &format!("{} <<'END'\n{input}\nEND", run(&first.name, command)))?;
        assert!(said.contains(expected), "{command}: {said}");
    }
    assert_eq!(host.sh(&format!("ls {DATA}/auth 2>/dev/null; true"))?.ok()?, "");

    // The first user, once.
    let init = |image: &str, more: &str| run(image, &format!("init --data-dir /data {more}"));
    host.sh(&format!("podman run --rm {}", init(&first.name, "")))?.ok()?;
    let password = host.read(&format!("{DATA}/auth/admin-password"))?;
    let database = host.read(&format!("{DATA}/quay.db"))?;
    assert_eq!(
        host.sh(&format!("cd {DATA} && stat -c '%a %n' auth auth/admin-password storage"))?.ok()?,
        "700 auth\n600 auth/admin-password\n750 storage"
    );
    host.sh(&format!("podman run --rm {}", init(&first.name, "")))?.ok()?;
    let said = failure(&host, &format!("{} <<'END'\nanother\nEND", init(&first.name, "--init-password-stdin")))?;
    assert!(said.contains("there are users already"), "{said}");
    assert_eq!(host.read(&format!("{DATA}/auth/admin-password"))?, password);
    assert_eq!(host.read(&format!("{DATA}/quay.db"))?, database);

    // It serves with a certificate of its own, on both families within the container.
    let serve = |image: &str| -> Result<(), Error> {
        let options = format!("serve --data-dir /data --hostname {name} --addr :9443");
        host.sh("podman rm --force --ignore --time 5 quay")?.ok()?;
        host.sh(&format!("podman run --detach --name quay --network host {}", run(image, &options)))?.ok().map(drop)
    };
    serve(&first.name)?;
    let healthz = format!("--cacert {DATA}/ssl.cert https://{name}/healthz");
    for family in ["--ipv4", "--ipv6"] {
        assert_eq!(wait_for(&host, 200, &format!("{family} {healthz}"))?, r#"{"status":"ok"}"#);
    }
    assert_eq!(get(&host, &format!("--request POST {healthz}"))?.0, 405);
    assert_eq!(host.sh(&format!("cd {DATA} && stat -c '%a %n' ssl.cert ssl.key"))?.ok()?, "600 ssl.cert\n600 ssl.key");
    host.sh(&format!("openssl x509 -in {DATA}/ssl.cert -noout -checkend $((3649 * 86400))"))?.ok()?;

    // podman uses it, with an image of a size that does not pass by accident.
    prepare_client(&host, bed, &name, &format!("{DATA}/ssl.cert"))?;
    let login = format!("podman login --username admin --password-stdin {name}");
    assert!(!host.sh(&format!("echo wrong | {login}"))?.success(), "a wrong password was taken");
    host.sh(&format!("{login} <{DATA}/auth/admin-password"))?.ok()?;
    host.sh(&format!(
        "head -c 50M /dev/urandom >/var/tmp/large && tar c -C /var/tmp large | podman import --quiet - {name}/site/large:1 && \
         podman push --quiet {name}/site/large:1 && podman rmi {name}/site/large:1 && rm /var/tmp/large"
    ))?
    .ok()?;
    let pulls = || -> Result<(), Error> {
        let pull = format!("podman pull --quiet {name}/site/large:1 && podman rmi {name}/site/large:1");
        host.sh(&pull)?.ok().map(drop)
    };
    pulls()?;
    assert_eq!(get(&host, &format!("--insecure https://{name}/v2/_catalog"))?.0, 401);

    // A newer version takes over what is there; one that never becomes healthy does that, too.
    let version =
        format!("--insecure --output /dev/null --write-out '%header{{x-quay-version}}' https://{name}/healthz");
    serve(&second.name)?;
    wait_for(&host, 200, &healthz)?;
    assert!(host.sh(&format!("curl --silent {version}"))?.ok()?.starts_with("2"));
    pulls()?;
    host.sh(&format!("podman stop --time 5 quay && cp -a {DATA}/quay.db {DATA}/quay.db.before"))?.ok()?;
    serve(&unhealthy.name)?;
    assert_eq!(wait_for(&host, 503, &healthz)?, r#"{"status":"unhealthy"}"#);
    host.sh("podman stop --time 5 quay")?.ok()?;
    let said = failure(&host, &run(&second.name, "serve --data-dir /data"))?;
    assert!(said.contains("3 has migrated it, and this is 2"), "{said}");
    host.sh(&format!("mv {DATA}/quay.db.before {DATA}/quay.db"))?.ok()?;
    let said = failure(&host, &run(&exits.name, "serve --data-dir /data"))?;
    assert!(said.contains("4 is an image that does not start"), "{said}");
    serve(&second.name)?;
    wait_for(&host, 200, &healthz)?;
    pulls()?;

    // A file in place of the data directory.
    let config = format!(
        "SERVER_HOSTNAME: {name}\nDB_URI: sqlite:////data/quay.db\n\
         DISTRIBUTED_STORAGE_CONFIG: {{default: [LocalStorage, {{storage_path: /data/storage}}]}}\n"
    );
    host.copy_in(&format!("{DATA}/config.yaml"), config.as_bytes())?;
    host.sh("podman rm --force --time 5 quay")?.ok()?;
    let options = run(&second.name, "serve --config /data/config.yaml --addr 127.0.0.1:9443");
    host.sh(&format!("podman run --detach --name quay --network host {options}"))?.ok()?;
    wait_for(&host, 200, "--insecure https://127.0.0.1:9443/healthz")?;
    assert_eq!(get(&host, &format!("--insecure https://{}:9443/healthz", host.ipv4))?.0, 0);
    host.sh(&format!("cp {DATA}/ssl.key /root/ssl.key && rm {DATA}/ssl.key && podman rm --force --time 5 quay"))?
        .ok()?;
    let said = failure(&host, &run(&second.name, "serve --data-dir /data"))?;
    assert!(said.contains("one of ssl.cert and ssl.key is missing"), "{said}");
    Ok(())
}
