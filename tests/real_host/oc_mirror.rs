//! `playbooks/mirror-registry/client` and `playbooks/oc-mirror` with a real registry, from one host. What stands in is oc-mirror
//! itself: a script that writes down how it is called.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use provision_tests::{Error, Host, Testbed};

use crate::registry;
use crate::support::Plan;

/// It ends once there is `/var/tmp/go`, and fails where there is `/var/tmp/fail`.
const STAND_IN: &str = r#"#!/bin/sh
{ printf '%s\n' "$@"; umask; pwd; echo "$XDG_RUNTIME_DIR"; } >>/var/tmp/calls
echo "it mirrors"
n=0; until [ -e /var/tmp/go ]; do n=$((n + 1)); [ "$n" -lt 3000 ] || exit 9; sleep 0.1; done
printf '\033[2Jit has %s\n' "$(tr -d ' \n' <"$XDG_RUNTIME_DIR/containers/auth.json")"
[ ! -e /var/tmp/fail ] || { echo "no space left"; exit 3; }
"#;

/// Puts a file beside the run, for a plan to take.
fn asset(bed: &Testbed, name: &str, content: &[u8]) -> Result<String, Error> {
    let path = bed.directory().join(name);
    std::fs::write(&path, content).map_err(Error::Run)?;
    Ok(path.display().to_string())
}

fn calls(host: &Host) -> Result<Vec<String>, Error> {
    Ok(host.sh("cat /var/tmp/calls 2>/dev/null; rm -f /var/tmp/calls")?.ok()?.lines().map(str::to_owned).collect())
}

#[test]
fn a_host_becomes_a_client_and_mirrors_what_is_new_alone() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("ocmirror")?;
    registry::plan(bed, &host).apply(bed)?.ok();
    let name = "ocmirror4.example.com:8443";
    host.sh(&format!("echo '{} ocmirror4.example.com' >>/etc/hosts", host.ipv4))?.ok()?;

    // --- a client: the authority, the login beside another one, and the registry's word
    let theirs = r#"{"auths": {"other.example.com": {"auth": "eDp5"}}}"#;
    let logins = "/run/user/0/containers/auth.json";
    let authority = asset(bed, "site.crt", &host.read("/etc/registry/authority/site.crt")?)?;
    let client = Plan::new("playbooks/mirror-registry/client/plan.toml")
        .variable("address", host.ipv4)
        .variable("registry", name)
        .variable("authority", &authority);
    let refused = client.clone().secret("password", "wrong-password").apply(bed)?;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(
        refused.stderr.contains("exit status 1\n       ocmirror4.example.com:8443: it does not take the login"),
        "{refused:#?}"
    );
    // The directory stays although nobody is logged in any more, and what is there is theirs.
    assert_eq!(host.sh("ls /var/lib/systemd/linger")?.ok()?, "root");
    host.copy_in(logins, theirs.as_bytes())?;
    host.sh(&format!("chmod 0600 {logins}"))?.ok()?;
    let without = client.clone().variable("check", "false");
    let client = client.secret("password", registry::PASSWORD);
    client.applied_twice(bed, &host)?;
    assert_eq!(host.sh(&format!("stat -c %a {logins}"))?.ok()?, "600");
    let merged = String::from_utf8_lossy(&host.read(logins)?).into_owned();
    assert!(merged.contains("\"other.example.com\": {\"auth\": \"eDp5\"}") && merged.contains(name), "{merged}");
    host.sh(&format!("XDG_RUNTIME_DIR=/run/user/0 podman login --get-login {name} | grep -qx init"))?.ok()?;
    host.sh(&format!("curl --silent --fail --output /dev/null https://{name}/v2/ -u init:x; [ $? = 22 ]"))?.ok()?;
    without.apply(bed)?.ok();
    assert_eq!(String::from_utf8_lossy(&host.read(logins)?), theirs);

    client.run(bed, "destroy", &["--yes", "--json"])?.ok();
    assert_eq!(host.sh("ls /var/lib/systemd/linger; ls /usr/local/share/ca-certificates")?.ok()?, "");

    // --- oc-mirror: its lines are seen while it runs
    let binary = asset(bed, "oc-mirror", STAND_IN.as_bytes())?;
    let plan = Plan::new("playbooks/oc-mirror/plan.toml")
        .variable("address", host.ipv4)
        .variable("registry", name)
        .variable("authority", &authority)
        .variable("space", "1M")
        .variable("binary", &binary)
        .variable("channels", r#"{"stable-4.17": {"minVersion": "4.17.3", "maxVersion": "4.17.9"}}"#)
        .secret("password", registry::PASSWORD)
        .secret("auths", r#"{"quay.io": {"auth": "c2VjcmV0LW9mLXF1YXk=", "email": "a@example.com"}}"#);
    let mut apply = plan.command(bed, "apply", &["--yes"])?;
    let mut apply = apply.stdout(Stdio::piped()).spawn().map_err(Error::Run)?;
    let mut lines = BufReader::new(apply.stdout.take().ok_or(Error::Bed("no output".to_owned()))?).lines();
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        seen.push(line.map_err(Error::Run)?);
        if seen.last().is_some_and(|line| line == "      | it mirrors") {
            break;
        }
    }
    assert_eq!(
        seen.iter().rev().take(2).collect::<Vec<_>>(),
        ["      | it mirrors", "  . command.mirror says"],
        "{seen:#?}"
    );
    // Only now can it come to its end.
    host.sh("touch /var/tmp/go")?.ok()?;
    let rest = lines.collect::<Result<Vec<_>, _>>().map_err(Error::Run)?;
    assert!(apply.wait().map_err(Error::Run)?.success(), "{rest:#?}");
    let [said, ran, ..] = &rest[..] else { return Err(Error::Bed(format!("{rest:?}"))) };
    assert!(said.starts_with("      | \\u{1b}[2Jit has {\"auths\":"), "{said}");
    assert_eq!(said.matches("\"auth\":\"(secret)\"").count(), 2, "{said}");
    assert_eq!(ran, "  > ran command.mirror");
    let way = ["--workspace", "file:///var/lib/oc-mirror/workspace", "docker://ocmirror4.example.com:8443"];
    let call = |way: &[&str]| -> Vec<String> {
        let first =
            ["--v2", "--cache-dir", "/var/lib/oc-mirror/cache", "--config", "/var/lib/oc-mirror/imageset-config.yaml"];
        let last = ["0022", "/var/lib/oc-mirror", "/run/user/0"];
        [&first[..], way, &last[..]].concat().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(calls(&host)?, call(&way));

    // --- again only when something changes: the image set, the target, the program; and when it has failed
    plan.mends(bed, &[])?;
    assert_eq!(calls(&host)?, [""; 0]);
    let plan = plan.variable("graph", "true");
    host.sh("touch /var/tmp/fail")?.ok()?;
    let failed = plan.apply(bed)?;
    assert!(failed.stderr.contains("/var/lib/oc-mirror/run failed: exit status 3\n"), "{failed:#?}");
    assert!(failed.stderr.contains("no space left"), "{failed:#?}");
    // What it prints is not mixed into the one object.
    assert!(failed.stderr.contains("      | it mirrors\n") && failed.json()["hosts"].is_array(), "{failed:#?}");
    host.sh("rm /var/tmp/fail")?.ok()?;
    plan.mends(bed, &[("command.mirror", "run")])?;
    assert_eq!(calls(&host)?.len(), 2 * call(&way).len());
    let plan = plan.variable("prefix", "ocp4");
    plan.mends(bed, &[("file.run", "update"), ("command.mirror", "run")])?;
    assert!(calls(&host)?.contains(&"docker://ocmirror4.example.com:8443/ocp4".to_owned()));
    asset(bed, "oc-mirror", format!("{STAND_IN}# another\n").as_bytes())?;
    plan.mends(bed, &[("file.binary", "update"), ("command.mirror", "run")])?;
    // A registry that does not take the login any more is told before anything runs.
    let revoked = plan.clone().secret("password", "another-password").variable("graph", "false").apply(bed)?;
    assert!(revoked.stderr.contains("it does not take the login"), "{revoked:#?}");
    calls(&host)?;
    assert_eq!(plan.apply(bed)?.code, Some(0));
    Ok(())
}
