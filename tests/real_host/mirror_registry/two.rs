//! Quay 2.x of `playbooks/mirror-registry`: the pod with Redis and Quay.

use std::collections::BTreeMap;

use provision_tests::{Build, Error, Host, Payload, Testbed};

use super::{Registry, plan};
use crate::support::{Plan, Ran};

const UNITS: [&str; 3] = ["quay-pod", "quay-redis", "quay-app"];
const IMAGES: &str = "podman images --format '{{.Repository}}:{{.Tag}}'";
const CONFIG: &str = "/etc/mirror-registry/quay-config/config.yaml";

/// With the images as the old installer brought them.
fn together(bed: &Testbed, host: &Host) -> Result<Plan, Error> {
    let archive = bed.quay_images()?.image_archive();
    Ok(plan(bed, host, Payload::Two)?
        .variable("payload", 2)
        .variable("archive", archive.display())
        .variable("within", "60s"))
}

/// The same with another version of Quay, and an archive for each image.
fn version(bed: &Testbed, plan: &Plan, build: Build) -> Result<Plan, Error> {
    let images = bed.quay_images()?;
    let quay = images.quay(Payload::Two, build);
    Ok(plan
        .clone()
        .variable("image", quay.name)
        .variable("archive", quay.archive.display())
        .variable("redis_archive", images.redis().archive.display())
        .variable("pause_archive", images.pause().archive.display()))
}

/// Which start of each unit it is that runs.
fn starts(host: &Host) -> Result<BTreeMap<&'static str, String>, Error> {
    let start = |unit| {
        let said = host.sh(&format!("systemctl show --property=InvocationID --value {unit}"))?.ok()?;
        Ok((unit, said))
    };
    UNITS.into_iter().map(start).collect()
}

/// The units that started anew.
fn restarted(before: &BTreeMap<&'static str, String>, after: &BTreeMap<&'static str, String>) -> Vec<&'static str> {
    UNITS.into_iter().filter(|unit| before[unit] != after[unit]).collect()
}

/// What is there once, and must stay as it is.
fn kept(host: &Host) -> Result<String, Error> {
    host.sh("cd /etc/mirror-registry && cat ca.crt secrets/password secrets/secret_key secrets/database_secret_key secrets/redis_password | sha256sum")?.ok()
}

/// Logs in, pushes and pulls over each family.
fn is_used(bed: &Testbed, client: &Host, host: &Host) -> Result<(), Error> {
    let (password, authority) = (password(host)?, host.read("/etc/mirror-registry/ca.crt")?);
    Registry { host, port: 8443, user: "init", password: &password, authority: &authority }.is_used(bed, client)
}

/// Pulls what was pushed before, as whoever has logged in, over each family.
fn pulls(client: &Host, registry: &Host) -> Result<(), Error> {
    let name = format!("{}.example.com", registry.name);
    for (family, address) in [(4, registry.ipv4.to_string()), (6, registry.ipv6.to_string())] {
        let (hosts, image) = (format!("/run/{}.hosts", registry.name), format!("{name}:8443/init/tiny:{family}"));
        client.copy_in(&hosts, format!("127.0.0.1 localhost\n{address} {name}\n").as_bytes())?;
        let script =
            format!("set -e; mount --bind {hosts} /etc/hosts; podman pull --quiet {image}; podman rmi {image}");
        client.exec(&["unshare", "--mount", "sh", "-c", &script])?.ok()?;
    }
    Ok(())
}

fn password(host: &Host) -> Result<String, Error> {
    Ok(String::from_utf8(host.read("/etc/mirror-registry/secrets/password")?).unwrap_or_default())
}

/// Expects a version that does not work to give way by itself to the one before, which is there.
fn goes_back(bed: &Testbed, host: &Host, plan: &Plan, build: Build) -> Result<(), Error> {
    let (made, before) = (kept(host)?, answering(host)?);
    let broken = version(bed, plan, build)?.variable("within", "15s");
    let ran = broken.apply(bed)?;
    let back = &ran.json()["hosts"][0]["rolled_back"]["failures"];
    assert_eq!((ran.code, back), (Some(1), &serde_json::json!([])), "{}", ran.stderr);
    assert_eq!(answering(host)?, before, "{}", ran.stderr);
    assert_eq!(kept(host)?, made, "what was made up once has changed");
    plan.mends(bed, &[])
}

/// Which Quay answers.
fn answering(host: &Host) -> Result<String, Error> {
    host.sh(&format!(
        "curl --silent --retry 30 --retry-delay 1 --retry-all-errors --cacert /etc/mirror-registry/ca.crt --connect-to ::127.0.0.1: \
         https://{}.example.com:8443/stand-in",
        host.name
    ))?
    .ok()
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn quay_2_is_brought_up_used_rebooted_mended_and_upgraded() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("mirror2")?, bed.host("beta")?);
    let plan = together(bed, &host)?;
    let dry = plan.diff(bed)?.ok();
    let first = plan.applied_twice(bed, &host)?;
    assert_eq!(first.changes(), dry.changes());
    let password = password(&host)?;
    let redis = String::from_utf8(host.read("/etc/mirror-registry/secrets/redis_password")?).unwrap_or_default();
    // The first user's password is, once, to whoever made it up.
    assert!(!format!("{dry:?}").contains(&password) && !format!("{first:?}").contains(&redis), "a secret is shown");
    let journal = host.sh("journalctl --output=cat --no-pager")?.ok()?;
    assert!(!journal.contains(&password) && !journal.contains(&redis), "a secret is in the journal");
    let containers =
        host.sh("podman ps --format '{{.Names}} {{.Image}}' | sort; podman secret ls --format '{{.Name}}'")?.ok()?;
    assert_eq!(
        containers,
        "quay-app registry.redhat.io/quay/quay-rhel8:v3.12.1\n\
         quay-pod-infra registry.access.redhat.com/ubi8/pause:8.10-5\n\
         quay-redis registry.redhat.io/rhel8/redis-6:1-190\n\
         redis_pass"
    );
    let modes =
        "cd /etc/mirror-registry && stat -c '%a %U:%G %n' quay-config/ssl.key quay-config/config.yaml secrets/*";
    assert_eq!(
        host.sh(modes)?.ok()?,
        "640 root:root quay-config/ssl.key\n640 root:root quay-config/config.yaml\n\
         600 root:root secrets/database_secret_key\n600 root:root secrets/password\n\
         600 root:root secrets/redis_password\n600 root:root secrets/secret_key"
    );
    assert!(answering(&host)?.contains(r#""worker_count":"1""#));

    let made = kept(&host)?;
    is_used(bed, &client, &host)?;
    host.reboot()?;
    plan.mends(bed, &[])?;
    pulls(&client, &host)?;

    // What was changed by hand is mended, and restarts what uses it and nothing else.
    let user = ("two/http.first_user", "run");
    let app = ("two/service.app", "restart");
    let before = starts(&host)?;
    host.sh("echo '# by hand' >>/etc/mirror-registry/quay-config/config.yaml")?.ok()?;
    plan.mends(bed, &[("two/file.config", "update"), app, user])?;
    let after = starts(&host)?;
    assert_eq!(restarted(&before, &after), ["quay-app"]);
    host.sh("printf wrong | podman secret create --replace redis_pass -")?.ok()?;
    plan.mends(bed, &[("two/secret.redis", "update"), ("two/service.redis", "restart"), app, user])?;
    assert_eq!(restarted(&after, &starts(&host)?), ["quay-redis", "quay-app"]);
    host.sh("systemctl stop quay-pod")?.ok()?;
    plan.mends(
        bed,
        &[("two/service.pod", "start"), ("two/service.redis", "start"), ("two/service.app", "start"), user],
    )?;
    host.sh("podman rm --force --volumes --time 1 quay-app")?.ok()?;
    plan.apply(bed)?.ok();

    // Settings of one's own.
    let settings = r#"{"FEATURE_USER_INITIALIZE": false, "SEARCH_RESULTS_PER_PAGE": 7, "CONTACT_INFO": ["it's \"$(x)\" # {{ y }}"]}"#;
    let settings = plan.clone().variable("settings", settings);
    settings.mends(bed, &[("two/file.config", "update"), app, user])?;
    let config = String::from_utf8(host.read(CONFIG)?).unwrap_or_default();
    for line in ["FEATURE_USER_INITIALIZE\": false", "SEARCH_RESULTS_PER_PAGE\": 7", "CONTACT_INFO\": [\"it"] {
        assert!(config.contains(line), "{line} is not in {config}");
    }

    // A newer version, with an archive for each image.
    let before = starts(&host)?;
    let second = version(bed, &plan, Build::Second)?;
    second.apply(bed)?.ok();
    second.mends(bed, &[])?;
    assert!(answering(&host)?.contains(r#""version":"v3.12.2""#));
    assert_eq!(restarted(&before, &starts(&host)?), ["quay-app"]);
    pulls(&client, &host)?;
    assert_eq!(kept(&host)?, made, "what was made up once has changed");

    // One that takes the database over and is never well: the one before serves again, on its own data.
    goes_back(bed, &host, &second, Build::Unhealthy)?;
    pulls(&client, &host)?;

    // What was pushed, and what it needs, stays with a destroy; then it is used again.
    second.run(bed, "destroy", &["--yes", "--json"])?.ok();
    let runs = "podman ps --all --quiet; podman pod ls --quiet; podman secret ls --quiet; find /etc/containers/systemd -type f";
    assert_eq!(host.sh(runs)?.ok()?, "");
    assert_eq!(host.sh("podman volume ls --format '{{.Name}}' | sort")?.ok()?, "quay-storage\nsqlite-storage");
    second.apply(bed)?.ok();
    is_used(bed, &client, &host)?;

    second.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    let left = "podman ps --all --quiet; podman volume ls --quiet; podman secret ls --quiet; \
                ls -d /etc/mirror-registry /etc/containers/certs.d/* 2>/dev/null; systemctl list-units --all --plain --no-legend 'quay*'";
    assert_eq!(host.sh(&format!("{left}; true"))?.ok()?, "");
    // Those of a failed apply, too.
    assert_eq!(host.sh(IMAGES)?.ok()?, "");
    Ok(())
}

/// Directories of one's own, and an installation that is cut short by what Quay refuses.
#[test]
fn quay_2_runs_rootless() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("usermirror2")?, bed.host("beta")?);
    host.sh("echo 'umask 077' >/root/.bashrc")?.ok()?;
    let plan = together(bed, &host)?
        .variable("runs_as", "core")
        .variable("storage", "/srv/images")
        .variable("database", "/srv/database");

    // The feature is off: an error that says so, and not that there is a user.
    let off = plan.clone().variable("settings", r#"{"FEATURE_USER_INITIALIZE": false}"#);
    let off = off.run(bed, "apply", &["--yes", "--json", "--on-failure", "keep"])?;
    assert_eq!(off.code, Some(1), "{}", off.stderr);
    assert!(said(&off).contains("FEATURE_USER_INITIALIZE is False"), "{}", off.stderr);
    assert!(!off.stderr.contains(&password(&host)?), "the password is shown");

    plan.applied_twice(bed, &host)?;
    is_used(bed, &client, &host)?;
    assert_eq!(host.sh("podman ps --all --quiet")?.ok()?, "");
    let owners = "stat -c '%a %U:%G %n' /srv/* /etc/mirror-registry/quay-config/*";
    assert_eq!(
        host.sh(owners)?.ok()?,
        "770 core:core /srv/database\n770 core:core /srv/images\n640 core:core /etc/mirror-registry/quay-config/config.yaml\n\
         644 root:root /etc/mirror-registry/quay-config/ssl.cert\n640 core:core /etc/mirror-registry/quay-config/ssl.key"
    );
    assert_ne!(host.sh("find /srv/images -type f | head -n 1")?.ok()?, "", "images are somewhere else");

    host.reboot()?;
    pulls(&client, &host)?;
    plan.mends(bed, &[])?;
    goes_back(bed, &host, &plan, Build::Exits)?;
    pulls(&client, &host)?;
    plan.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok();
    assert_eq!(host.sh("ls -A /srv /var/lib/systemd/linger")?.ok()?, "/srv:\n\n/var/lib/systemd/linger:");
    assert_eq!(host.login("core", "podman ps --all --quiet; podman volume ls --quiet")?.ok()?, "");
    assert_eq!(host.login("core", IMAGES)?.ok()?, "");
    Ok(())
}
