//! The 2.x line: a pod with Redis and Quay, as the old installer makes it.

use provision_tests::{Build, Error, Host, Payload, QuayImages, Testbed};

use super::{failure, get, load, prepare_client, wait_for};

/// What a shell, YAML and Redis each read in their own way.
const REDIS_PASSWORD: &str = r#"it's "$(secret)" \ `pass`"#;

/// For a host name with its port.
fn config(hostname: &str) -> String {
    let password = REDIS_PASSWORD.replace('\'', "''");
    format!(
        "AUTHENTICATION_TYPE: Database
BUILDLOGS_REDIS: {{host: localhost, port: 6379, password: '{password}'}}
USER_EVENTS_REDIS: {{host: localhost, port: 6379, password: '{password}'}}
DB_URI: sqlite:////sqlite/quay_sqlite.db
DATABASE_SECRET_KEY: one
SECRET_KEY: two
DISTRIBUTED_STORAGE_CONFIG:
  default: [LocalStorage, {{storage_path: /datastorage}}]
DISTRIBUTED_STORAGE_PREFERENCE: [default]
SERVER_HOSTNAME: {hostname}
PREFERRED_URL_SCHEME: https
FEATURE_USER_INITIALIZE: true
CREATE_NAMESPACE_ON_PUSH: true
SETUP_COMPLETE: true
SUPER_USERS: [init]
"
    )
}

/// One installation below /srv/quay, by root's podman.
struct Site<'a> {
    host: &'a Host,
    images: &'a QuayImages,
}

impl Site<'_> {
    fn sh(&self, script: &str) -> Result<String, Error> {
        self.host.sh(script)?.ok()
    }

    /// Directories, certificate, and a Redis in a pod.
    fn prepare(&self) -> Result<(), Error> {
        let (redis, pause) = (self.images.redis(), self.images.pause());
        load(self.host, &[redis.clone(), pause.clone(), self.images.quay(Payload::Two, Build::First)])?;
        self.host
            .sh(&format!(
                "mkdir -p /srv/quay/config /srv/quay/sqlite /srv/quay/storage && cd /srv/quay/config && \
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=quay \
             -addext subjectAltName=DNS:{}.example.com -keyout ssl.key -out ssl.cert && \
             chmod 0644 ssl.key && chmod 0777 ../storage",
                self.host.name
            ))?
            .ok()?;
        self.configure(&config(&self.name()))?;
        self.host.copy_in("/var/tmp/redis", REDIS_PASSWORD.as_bytes())?;
        self.sh(&format!(
            "podman secret create redis_pass /var/tmp/redis && \
             podman pod create --name quay-pod --infra-image {} --publish 0.0.0.0:9443:8443 && \
             podman run --detach --pod quay-pod --name quay-redis --secret redis_pass,type=env,target=REDIS_PASSWORD {}",
            pause.name, redis.name
        ))?;
        Ok(())
    }

    fn name(&self) -> String {
        format!("{}.example.com:9443", self.host.name)
    }

    fn configure(&self, config: &str) -> Result<(), Error> {
        self.host.copy_in("/srv/quay/config/config.yaml", config.as_bytes())
    }

    /// What stands between `podman run` and the image's name.
    fn options() -> &'static str {
        "--env WORKER_COUNT=1 --volume /srv/quay/config:/quay-registry/conf/stack:Z \
         --volume /srv/quay/sqlite:/sqlite:Z,U --volume /srv/quay/storage:/datastorage:Z"
    }

    fn start(&self, build: Build) -> Result<(), Error> {
        let image = self.images.quay(Payload::Two, build).name;
        self.sh("podman rm --force --ignore --volumes --time 5 quay-app")?;
        self.sh(&format!("podman run --detach --pod quay-pod --name quay-app {} {image}", Self::options()))?;
        Ok(())
    }

    /// How curl is told to reach it.
    fn way(&self) -> String {
        format!("--connect-to ::127.0.0.1: --cacert /srv/quay/config/ssl.cert https://{}", self.name())
    }

    fn health(&self) -> String {
        format!("{}/health/instance", self.way())
    }

    /// What it says when it ends by itself.
    fn refusal(&self, build: Build) -> Result<String, Error> {
        let image = self.images.quay(Payload::Two, build).name;
        self.sh("podman rm --force --ignore --volumes --time 5 quay-app")?;
        failure(self.host, &format!("--pod quay-pod {} {image}", Self::options()))
    }

    fn initialize(&self, name: &str, password: &str) -> Result<(u16, String), Error> {
        let user =
            format!(r#"{{"username":"{name}","password":"{password}","email":"a@example.com","access_token":true}}"#);
        get(self.host, &format!("--json '{user}' {}/api/v1/user/initialize", self.way()))
    }
}

#[test]
fn quay_2_serves_refuses_and_is_upgraded() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (images, host) = (bed.quay_images()?, bed.fresh_host("quaytwo")?);
    let site = Site { host: &host, images: &images };
    site.prepare()?;
    let others = [Build::Second, Build::Unhealthy, Build::Exits].map(|build| images.quay(Payload::Two, build));
    load(&host, &others)?;
    let good = config(&site.name());

    // What is wrong is named, and it ends.
    for (old, new, expected) in [
        ("SECRET_KEY: two\n", "", "config.yaml: SECRET_KEY: it is required, and not there"),
        ("port: 6379, password: 'it''s", "port: 6379, password: 'its", "WRONGPASS"),
        ("/datastorage}", "/nowhere}", "the storage /nowhere cannot be written"),
    ] {
        assert!(good.contains(old), "{old}");
        site.configure(&good.replacen(old, new, 1))?;
        let said = site.refusal(Build::First)?;
        assert!(said.contains(expected), "{new}: {said}");
    }
    site.configure(&good)?;
    for (change, expected) in [
        ("mv ssl.key ssl.key.away", "there is ssl.cert, and no ssl.key"),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ssl.key && chmod 0644 ssl.key",
            "KeyMismatch",
        ),
        ("chmod 0600 config.yaml", "cannot read /quay-registry/conf/stack/config.yaml: Permission denied"),
    ] {
        host.sh(&format!("cd /srv/quay/config && {change}"))?.ok()?;
        let said = site.refusal(Build::First)?;
        assert!(said.contains(expected), "{change}: {said}");
    }
    host.sh("cd /srv/quay/config && mv ssl.key.away ssl.key && chmod 0644 config.yaml")?.ok()?;

    // The first user: each refusal has its message.
    site.configure(&good.replacen("INITIALIZE: true", "INITIALIZE: false", 1))?;
    site.start(Build::First)?;
    wait_for(&host, 200, &site.health())?;
    let (status, said) = site.initialize("init", "password")?;
    assert_eq!((status, said.contains("FEATURE_USER_INITIALIZE is False")), (400, true), "{said}");
    site.configure(&good)?;
    site.start(Build::First)?;
    assert_eq!(
        wait_for(&host, 200, &site.health())?,
        r#"{"data":{"services":{"auth":true,"database":true,"disk_space":true,"redis":true,"registry_gunicorn":true,"service_key":true,"storage":true,"web_gunicorn":true}},"status_code":200}"#
    );
    for (name, password, status, expected) in [
        ("init", "short", 400, "password must be at least 8 characters"),
        ("init", "with blank", 400, "contain no whitespace"),
        ("Init", "password", 400, "Invalid namespace Init"),
        ("init", "password", 200, r#""access_token":""#),
        ("init", "password", 400, "Cannot initialize user in a non-empty database"),
    ] {
        let answer = site.initialize(name, password)?;
        assert_eq!((answer.0, answer.1.contains(expected)), (status, true), "{answer:?}");
    }
    let about = get(&host, &format!("{}/stand-in", site.way()))?.1;
    assert!(about.contains(r#""worker_count":"1""#) && about.contains(r#""version":"v3.12.1""#), "{about}");
    assert_eq!(host.sh("podman exec quay-app sh -c 'id -u'")?.ok()?, "1001");

    // podman uses it.
    prepare_client(&host, bed, &site.name(), "/srv/quay/config/ssl.cert")?;
    let image = format!("{}/init/tiny:1", site.name());
    host.sh(&format!(
        "echo password | podman login --username init --password-stdin {} && podman tag localhost/tiny:1 {image} && \
         podman push --quiet {image}",
        site.name()
    ))?
    .ok()?;
    let pulls = || host.sh(&format!("podman rmi {image} && podman pull --quiet {image}"))?.ok().map(drop);
    pulls()?;

    // Without Redis it is not well, with it again it is.
    host.sh("podman stop --time 5 quay-redis")?.ok()?;
    assert!(wait_for(&host, 503, &site.health())?.contains(r#""redis":false"#));
    host.sh("podman start quay-redis")?.ok()?;
    wait_for(&host, 200, &site.health())?;

    // A newer version takes over the database, also one that is never well; an older one refuses it then.
    site.start(Build::Second)?;
    wait_for(&host, 200, &site.health())?;
    pulls()?;
    host.sh("cp -a /srv/quay/sqlite/quay_sqlite.db /var/tmp/before")?.ok()?;
    site.start(Build::Unhealthy)?;
    assert!(wait_for(&host, 503, &site.health())?.contains(r#""registry_gunicorn":false"#));
    let said = site.refusal(Build::Second)?;
    assert!(said.contains("v3.12.3 has migrated it, and this is v3.12.2"), "{said}");
    host.sh("cp -a /var/tmp/before /srv/quay/sqlite/quay_sqlite.db")?.ok()?;
    let said = site.refusal(Build::Exits)?;
    assert!(said.contains("does not start"), "{said}");
    site.configure(&good.replacen("SECRET_KEY: one", "SECRET_KEY: other", 1))?;
    let said = site.refusal(Build::Second)?;
    assert!(said.contains("encrypted with another DATABASE_SECRET_KEY"), "{said}");

    // A name that clients are not sent to is of no use to them, as with Quay: an upload goes to SERVER_HOSTNAME.
    site.configure(&good.replacen(":9443\n", ":9444\n", 1))?;
    site.start(Build::Second)?;
    wait_for(&host, 200, &site.health())?;
    host.sh(&format!("tar c -C /etc hostname | podman import --quiet - {image}2"))?.ok()?;
    assert!(!host.sh(&format!("podman push --quiet --retry 0 {image}2"))?.success(), "an upload found its way");

    // The families, as seen on the host's own network.
    host.sh("podman pod rm --force --time 5 quay-pod")?.ok()?;
    let name = images.redis().name;
    let redis = format!("--network host --secret redis_pass,type=env,target=REDIS_PASSWORD {name}");
    host.sh(&format!("podman run --detach --name redis {redis}"))?.ok()?;
    for (family, expected) in [("IPv4", "0.0.0.0:8443"), ("IPv6", "[::]:8443"), ("dual-stack", "*:8443")] {
        site.configure(&format!("{good}FEATURE_LISTEN_IP_VERSION: {family}\n"))?;
        let quay = format!("{} {}", Site::options(), images.quay(Payload::Two, Build::Second).name);
        host.sh(&format!("podman run --replace --detach --name app --network host {quay}"))?.ok()?;
        let listens = "for i in $(seq 100); do ss -Hltn sport = 8443 | grep . && break; sleep 0.1; done";
        let said = host.sh(listens)?.ok()?;
        assert_eq!(said.split_whitespace().nth(3), Some(expected), "{said}");
        host.sh("podman rm --force --volumes --time 5 app")?.ok()?;
    }
    Ok(())
}
