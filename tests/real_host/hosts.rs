//! Reaching hosts: as root, through sudo, not at all, and with the wrong key.

use std::fs;

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran};

/// A plan with one file, for a host reached in some way.
fn plan(bed: &Testbed, name: &str, host: &str) -> Result<Plan, Error> {
    let file = bed.directory().join(format!("{name}.toml"));
    let text = format!(
        "name = \"hosts\"\n[host.h]\n{host}\n[file.f]\npath = \"/etc/{name}.conf\"\ncontent = \"x\\n\"\nowner = \"root\"\n"
    );
    fs::write(&file, text).map_err(Error::Run)?;
    Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
}

fn refused(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} is not in\n{}", ran.stderr);
    }
}

#[test]
fn sudo_without_a_password_does_as_well_as_root() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("alpha")?;
    let how = format!("address = \"{}\"\nuser = \"core\"\nbecome = true", host.ipv6);
    plan(bed, "viasudo", &how)?.applied_twice(bed, &host)?;
    assert_eq!(host.sh("stat -c '%U %a' /etc/viasudo.conf /etc/viasudo.conf")?.ok()?.lines().next(), Some("root 644"));
    Ok(())
}

#[test]
fn without_rights_the_error_names_the_file_and_nothing_is_done() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("alpha")?;
    let ran = plan(bed, "norights", &format!("address = \"{}\"\nuser = \"core\"", host.ipv4))?.run(
        bed,
        "apply",
        &["--yes"],
    )?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("file.f") && said.contains("Permission denied"), "{said}");
    assert!(!host.sh("test -e /etc/norights.conf")?.success());
    Ok(())
}

#[test]
fn sudo_that_wants_a_password_is_told() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.host("beta")?;
    host.sh("useradd --create-home nosudo && mkdir -m 700 /home/nosudo/.ssh && cp /home/core/.ssh/authorized_keys /home/nosudo/.ssh && chown -R nosudo: /home/nosudo/.ssh")?.ok()?;
    let how = format!("address = \"{}\"\nuser = \"nosudo\"\nbecome = true", host.ipv4);
    let ran = plan(bed, "nosudo", &how)?.run(bed, "apply", &["--yes"])?;
    refused(&ran, 4, &["sudo", "NOPASSWD"]);
    Ok(())
}

#[test]
fn a_host_that_is_down_is_told_from_one_that_refuses() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let reached = |address: &str, port: u16| {
        let how = format!("address = \"{address}\"\nport = {port}\nuser = \"root\"\nconnect_timeout = \"3s\"");
        plan(bed, "down", &how)
    };
    // The bridge itself, where nothing listens and no firewall answers in its place.
    refused(&reached("192.0.2.254", 2222)?.run(bed, "diff", &[])?, 4, &["Connection refused"]);
    // An address of the bridge's network that no host has: what a host that is off looks like.
    let ran = reached("192.0.2.199", 22)?.run(bed, "diff", &[])?;
    assert_eq!(ran.code, Some(4), "{ran:#?}");
    assert!(ran.stderr.contains("did not answer") || ran.stderr.contains("No route to host"), "{}", ran.stderr);
    Ok(())
}

fn with_known_hosts(bed: &Testbed, host: &Host, known: &str) -> Result<Ran, Error> {
    let file = bed.directory().join(format!("known-{}", known.len()));
    fs::write(&file, known).map_err(Error::Run)?;
    let plan = plan(bed, "trust", &format!("address = \"{}\"\nuser = \"root\"", host.ipv4))?;
    let mut command = bed.provision()?;
    let command =
        command.arg("diff").arg(&plan.file).arg("--known-hosts").arg(&file).arg("--identity").arg(bed.ssh_key());
    let output = command.output().map_err(Error::Run)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[test]
fn an_unknown_key_is_refused_with_its_fingerprint_and_a_changed_one_always() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, other) = (bed.host("alpha")?, bed.host("beta")?);
    let fingerprint = host.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2")?.ok()?;
    let ran = with_known_hosts(bed, &host, "")?;
    refused(&ran, 4, &[&fingerprint, "ssh-keygen -lf"]);
    // The line that the message offers is the one that makes it work.
    let line =
        ran.stderr.lines().find(|line| line.contains("ssh-ed25519 AAAA")).unwrap_or_else(|| panic!("{}", ran.stderr));
    let key = line.trim().trim_matches('\'');
    let start = key.find(&host.ipv4.to_string()).unwrap_or_else(|| panic!("{key}"));
    let accepted: String =
        key[start..].split_whitespace().take(3).map(|word| word.trim_matches('\'')).collect::<Vec<_>>().join(" ");
    with_known_hosts(bed, &host, &format!("{accepted}\n"))?.ok();
    let theirs = other.sh("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")?.ok()?;
    refused(&with_known_hosts(bed, &host, &format!("{} {theirs}\n", host.ipv4))?, 4, &[&fingerprint]);
    Ok(())
}
