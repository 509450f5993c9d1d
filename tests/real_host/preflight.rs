//! What a host lacks is said before anything is begun: all of it at once, and nothing is touched.

use provision_tests::{Error, Testbed};

use crate::support::Plan;

const PLAN: &str = r#"
name = "preflight"
[input.address]
[input.served_by]
type = "list"
[host.h]
address = "{{ input.address }}"
user = "root"

[preflight.h]
cpus = 10000
disk = ["900000G at /srv/preflight"]
ports = ["22/tcp", "7777/tcp"]
served_by = "{{ input.served_by }}"
names = ["elsewhere.example.com", "nowhere.invalid"]
podman = "99.0"
warn = ["cpus"]

[file.f]
path = "/etc/preflight.conf"
content = "a\n"
"#;

#[test]
fn what_a_host_lacks_is_said_at_once_and_nothing_is_begun() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("preflight")?;
    host.sh("echo 192.0.2.99 elsewhere.example.com >>/etc/hosts
         printf '[Socket]\\nListenStream=7777\\nAccept=yes\\n' >/etc/systemd/system/theirs.socket
         printf '[Service]\\nExecStart=/bin/true\\n' >/etc/systemd/system/theirs@.service
         systemctl daemon-reload && systemctl start theirs.socket")?
        .ok()?;
    let file = bed.directory().join("preflight.toml");
    std::fs::write(&file, PLAN).map_err(Error::Run)?;
    let plan = Plan { file, variables: Vec::new(), secrets: Vec::new() }.variable("address", host.ipv4);

    let refused = plan.clone().variable("served_by", "other.service").apply(bed)?;
    assert_ne!(refused.code, Some(0));
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for line in [
        "disk /",
        "port 22/tcp",
        "is taken by sshd (ssh.service)",
        "port 7777/tcp",
        "is taken by systemd (init.scope)",
        "is 192.0.2.99",
        "is not resolved by the host",
        "must be 99.0 or later",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(!host.root()?.join("etc/preflight.conf").exists(), "something was begun");

    // What is the plan's own may listen, and what is in `warn` does not stop it.
    host.sh("systemctl stop theirs.socket; sed -i '/elsewhere/d' /etc/hosts; echo 127.0.1.1 nowhere.invalid elsewhere.example.com >>/etc/hosts")?.ok()?;
    let text = PLAN.replace("\"99.0\"", "\"5.0\"").replace("900000G", "1M");
    std::fs::write(&plan.file, text).map_err(Error::Run)?;
    let plan = plan.variable("served_by", "ssh");
    let applied = plan.applied_twice(bed, &host)?;
    assert_eq!(applied.changes().len(), 1, "{applied:#?}");
    let dry = plan.diff(bed)?;
    assert!(format!("{}{}", dry.stdout, dry.stderr).contains("and should be 10000"), "{dry:#?}");
    Ok(())
}
