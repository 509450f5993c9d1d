//! An upgrade is an apply with another image. One that does not become healthy goes back by itself, data included; so does
//! one that was cut, when that is asked for. What stands in for Quay here refuses a database that a later version has
//! taken over, so that an old version which serves has its own.

#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at its first surprise, and nothing else runs in its thread"
)]

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use provision_tests::{Build, Error, Host, Image, Payload, QuayImages, Testbed};
use serde_json::Value;

use crate::support::{Plan, Ran};

/// One installation on a host, root's or a user's.
struct Site<'a> {
    bed: &'a Testbed,
    host: &'a Host,
    images: QuayImages,
    user: &'static str,
    data: &'static str,
    port: u16,
}

impl Site<'_> {
    fn sh(&self, script: &str) -> Result<String, Error> {
        if self.user == "root" { self.host.sh(script)?.ok() } else { self.host.login(self.user, script)?.ok() }
    }

    fn image(&self, build: Build) -> Image {
        self.images.quay(Payload::Three, build)
    }

    fn plan(&self, build: Build) -> Plan {
        let image = self.image(build);
        let scope = if self.user == "root" { "system".to_owned() } else { format!("user:{}", self.user) };
        let within = if build == Build::Unhealthy { "4s" } else { "2m" };
        Plan::new("tests/real_host/plans/upgrade.toml")
            .variable("address", self.host.ipv4)
            .variable("image", image.name)
            .variable("archive", image.archive.display())
            .variable("scope", scope)
            .variable("data", self.data)
            .variable("port", self.port)
            .variable("within", within)
    }

    /// A database with a first user, and the first version that serves it.
    fn install(&self) -> Result<(), Error> {
        let Image { name, archive, .. } = self.image(Build::First);
        self.host.copy_in("/var/tmp/image.tar", &std::fs::read(archive).map_err(Error::Run)?)?;
        self.sh(&format!(
            "mkdir -p {0} && podman load --quiet --input /var/tmp/image.tar && \
             podman run --rm --volume {0}:/data:Z {name} init --data-dir /data",
            self.data
        ))?;
        let first = self.plan(Build::First).apply(self.bed)?.ok();
        assert_eq!(first.json()["hosts"][0]["down"], serde_json::json!([]), "{}", first.stdout);
        self.serves("1")
    }

    /// The version that answers now.
    fn serves(&self, version: &str) -> Result<(), Error> {
        let ask = format!(
            "for i in $(seq 300); do said=$(curl --silent --insecure --output /dev/null \
             --write-out '%{{http_code}} %header{{x-quay-version}}' https://127.0.0.1:{}/healthz); \
             case $said in '200 '*) break ;; esac; sleep 0.1; done; echo $said",
            self.port
        );
        assert_eq!(self.host.sh(&ask)?.ok()?, format!("200 {version}"));
        Ok(())
    }

    /// An upgrade that does not come to a good end, and what is said of it.
    fn goes_back(&self, build: Build) -> Result<(), Error> {
        let before = self.host.read(&format!("{}/quay.db", self.data))?;
        let ran = self.plan(build).apply(self.bed)?;
        assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
        let host = &ran.json()["hosts"][0];
        assert_eq!(host["rolled_back"]["failures"], serde_json::json!([]), "{host:#}");
        let said = host["results"].to_string();
        assert!(said.contains("the last lines of the log of") || said.contains("cannot restart"), "{said}");
        assert!(down(&host["rolled_back"], "service.quay").is_some_and(|seconds| seconds > 0.0), "{host:#}");
        // Its check says that the old version serves, where that is still the same: one with another `within` is another.
        let (outcome, until) = if build == Build::Exits { ("answered", "check.quay") } else { ("skipped", "up") };
        let serving = &host["serving"][0];
        assert_eq!((&serving["resource"], &serving["outcome"]), (&"check.quay".into(), &outcome.into()), "{host:#}");
        assert_eq!(host["rolled_back"]["down"][0]["until"], until, "{host:#}");
        self.serves("1")?;
        assert_eq!(self.host.read(&format!("{}/quay.db", self.data))?, before, "the database is another");
        Ok(())
    }
}

/// For how many seconds a service did not serve.
fn down(report: &Value, service: &str) -> Option<f64> {
    report["down"].as_array()?.iter().find(|down| down["resource"] == service)?["seconds"].as_f64()
}

#[test]
fn an_upgrade_that_fails_goes_back_by_itself_data_included() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("upgrade")?;
    let site = Site { bed, host: &host, images: bed.quay_images()?, user: "root", data: "/srv/quay", port: 9443 };
    site.install()?;
    site.goes_back(Build::Unhealthy)?;
    site.goes_back(Build::Exits)?;

    // A good one is told with what it copies, and how long nobody was served.
    let dry = site.plan(Build::Second).run(bed, "diff", &[])?.ok();
    assert!(
        dry.stdout.contains("stopped first to copy aside what a rollback puts back: /srv/quay/quay.db ("),
        "{}",
        dry.stdout
    );
    let ran = site.plan(Build::Second).run(bed, "apply", &["--yes"])?.ok();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("service.quay was down for ") && said.contains(" s, until check.quay had its answer"),
        "{said}"
    );
    site.serves("2")?;
    assert_eq!(site.plan(Build::Second).apply(bed)?.ok().changes().len(), 0, "changed by the second apply");
    // Its own way back, when somebody wants it: the first version would not serve on what the second has left.
    let back = site.plan(Build::Second).run(bed, "rollback", &["--yes"])?.ok();
    assert!(back.stdout.contains("what has been written to it since then is lost"), "{}", back.stdout);
    site.serves("1")?;

    cut(&site)?;

    let core = Site { bed, host: &host, images: bed.quay_images()?, user: "core", data: "/home/core/quay", port: 9444 };
    core.install()?;
    core.goes_back(Build::Unhealthy)?;
    // Nobody else's was touched.
    site.serves("1")
}

/// The command is killed while nothing serves.
fn cut(site: &Site<'_>) -> Result<(), Error> {
    let plan = site.plan(Build::Unhealthy);
    let mut command = plan.command(site.bed, "apply", &["--yes"])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::Run)?;
    let began = Instant::now();
    while site.host.sh("systemctl is-active --quiet quay")?.success() {
        assert!(began.elapsed() < Duration::from_secs(120), "it was never stopped");
        sleep(Duration::from_millis(20));
    }
    child.kill().map_err(Error::Run)?;
    child.wait().map_err(Error::Run)?;
    let Ran { code, stdout, stderr } = plan.run(site.bed, "rollback", &["--yes"])?;
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    site.serves("1")
}
