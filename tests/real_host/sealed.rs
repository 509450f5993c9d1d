//! A sealed plan over SSH: done as it was shown, or refused by name before the first step. And an apply that takes itself back.

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran};

fn plan(host: &Host, word: &str, last: &str) -> Plan {
    Plan::new("tests/real_host/plans/sealed.toml")
        .variable("address", host.ipv4)
        .variable("word", word)
        .variable("last", last)
}

/// Seals what would be done now, and gives what applies the seal.
fn sealed(bed: &Testbed, host: &Host, word: &str) -> Result<Plan, Error> {
    let file = bed.directory().join(format!("sealed-{word}"));
    plan(host, word, "true").run(bed, "diff", &["--out", &file.display().to_string()])?.ok();
    Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
}

fn apply(plan: &Plan, bed: &Testbed) -> Result<Ran, Error> {
    plan.run(bed, "apply", &["--yes"])
}

/// What is configured, and what the service has read of it.
fn words(host: &Host) -> Result<String, Error> {
    // A service that has just been started may not have read it yet.
    host.sh("sleep 1; cat /srv/sealed/conf /run/sealed")?.ok()
}

#[test]
fn a_seal_is_kept_or_refused_and_a_failure_takes_itself_back() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("sealed")?;
    apply(&sealed(bed, &host, "one")?, bed)?.ok();
    assert_eq!(words(&host)?, "one\none");

    // The host moves between the seal and the apply.
    let seal = sealed(bed, &host, "two")?;
    host.copy_in("/srv/sealed/conf", b"edited\n")?;
    let before = (host.snapshot()?, host.unit_states()?);
    let refused = apply(&seal, bed)?;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("file.conf"), "{refused:#?}");
    assert_eq!(before.0.differences(&host.snapshot()?), [""; 0], "something was done");
    assert_eq!(before.1.differences(&host.unit_states()?), [""; 0], "something was done");

    // Sealed once more, it is done; and once done, it is not done again.
    let seal = sealed(bed, &host, "two")?;
    apply(&seal, bed)?.ok();
    assert_eq!(words(&host)?, "two\ntwo");
    assert_eq!(apply(&seal, bed)?.code, Some(1));

    // The last command fails after the service has restarted with the new file.
    let failed = plan(&host, "three", "false").apply(bed)?;
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert_eq!(words(&host)?, "two\ntwo");
    assert_eq!(plan(&host, "two", "true").diff(bed)?.ok().changes().len(), 0, "it is as before");
    let status = plan(&host, "two", "true").run(bed, "status", &[])?.ok();
    assert!(status.stdout.contains(": rolled back") || status.stdout.contains(": rolled-back"), "{}", status.stdout);
    Ok(())
}
