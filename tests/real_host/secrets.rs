//! Secrets of podman's and requests with secrets in them: what uses one restarts when its value changes and not otherwise,
//! and no text of them is anywhere but in podman's own store.

use std::collections::BTreeMap;

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran};

const PLAN: &str = r#"
name = "secrets"
[input.address]
[input.archive]
type = "path"
[input.word]
secret = true
[input.password]
secret = true
[host.h]
address = "{{ input.address }}"
user = "root"

[image.tiny]
name = "localhost/tiny:1"
archive = "{{ input.archive }}"

[secret.word]
name = "word"
content = "{{ input.word }}"
adopt = true

[secret.kept]
generate = { length = 40 }

[container.user]
image = "{{ image.tiny.name }}"
exec = ["sh", "-c", "exec sleep infinity"]
options = { ContainerName = "user", Secret = ["word,type=env,target=WORD", "word", "{{ secret.kept.name }}"] }

[service.user]
unit = "{{ container.user.unit_name }}"

[http.admin]
url = "http://[::1]:8097/users"
json = { name = "admin", password = "{{ input.password }}" }
headers = { X-Word = "{{ input.word }}" }
unless = { url = "http://127.0.0.1:8097/users/admin" }
delete = { url = "http://127.0.0.1:8097/users/admin" }
within = "2s"
"#;

/// It says back what it was sent, unless that is good.
const SERVER: &str = r#"
defaults
 mode http
 option http-buffer-request
 timeout client 5s
 timeout connect 5s
 timeout server 5s
frontend users
 bind 127.0.0.1:8097
 bind [::1]:8097
 acl good req.body -m sub good
 acl delete method DELETE
 http-request set-var(proc.made) str(yes) if METH_POST good
 http-request return status 201 if METH_POST good
 http-request return status 400 content-type text/plain lf-string "not good: %[req.body]" if METH_POST
 http-request unset-var(proc.made) if delete
 http-request return status 204 if delete
 http-request return status 200 if { path /users/admin } { var(proc.made) -m found }
 http-request return status 404
"#;

const FIRST: &str = "first $(word) 'of' \"the\" `test`";
const SECOND: &str = "second $(word) 'of' \"the\" `test`";
const BAD: &str = "a \"bad\" $(password)";
const GOOD: &str = "a \"good\" $(password)";
/// What every one of them has, and nothing else on a host.
const TELLING: [&str; 2] = ["$(word)", "$(password)"];

fn plan(bed: &Testbed, host: &Host, word: &str, password: &str) -> Result<Plan, Error> {
    let file = bed.directory().join("secrets.toml");
    std::fs::write(&file, PLAN).map_err(Error::Run)?;
    let plan = Plan { file, variables: Vec::new(), secrets: Vec::new() };
    let plan = plan.variable("address", host.ipv4).variable("archive", bed.tiny_archive().display());
    Ok(plan.secret("word", word).secret("password", password))
}

fn tells_nothing(ran: &Ran) {
    for text in TELLING {
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(text), "{text} is in {}{}", ran.stdout, ran.stderr);
    }
}

/// Looks through the whole host but for what podman keeps, and through what was called with which arguments.
fn is_nowhere_else(host: &Host) -> Result<(), Error> {
    for text in TELLING {
        let found = host.sh(&format!(
            "grep -rlF --binary-files=text --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev '{text}' / 2>/dev/null | \
             grep -v -e ^/var/lib/containers/storage/ -e ^/run/containers/ -e ^/run/crun/; \
             journalctl --no-pager --output=cat | grep -F '{text}'; true"
        ))?;
        assert_eq!(found.ok()?, "", "{text} is there");
    }
    let called = host.sh("sort -u /run/called")?.ok()?;
    assert!(called.contains("podman secret create") && called.contains("curl -q"), "{called}");
    Ok(())
}

fn words(host: &Host) -> Result<String, Error> {
    host.sh("podman exec user /bin/busybox sh -c 'echo \"$WORD\"; cat /run/secrets/word'")?.ok()
}

#[test]
fn a_secret_restarts_its_users_and_is_seen_nowhere() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("secrets")?;
    host.copy_in("/etc/users.cfg", SERVER.as_bytes())?;
    host.sh("printf theirs | podman secret create --label whose=theirs word -
         systemd-run --quiet --unit=users haproxy -f /etc/users.cfg
         until curl -s http://127.0.0.1:8097/; do sleep 0.1; done")?
        .ok()?;

    let bad = plan(bed, &host, FIRST, BAD)?;
    let (files, units) = (host.snapshot()?, host.unit_states()?);
    let dry = bad.diff(bed)?.ok();
    tells_nothing(&dry);
    assert_eq!(dry.changes().get("http.admin").map(String::as_str), Some("run"));
    assert_eq!(dry.changes().get("secret.word").map(String::as_str), Some("update"));
    assert_eq!(files.differences(&host.snapshot()?), [""; 0], "the dry run changed the file system");
    assert_eq!(units.differences(&host.unit_states()?), [""; 0], "the dry run changed a unit");

    // From now on, whatever is called with whatever in its arguments and its environment is written down.
    host.sh("for tool in podman curl; do
           printf '#!/bin/sh\\n{ printf \"%%s \" %s \"$@\"; env; } >>/run/called\\nexec /usr/bin/%s \"$@\"\\n' $tool $tool >/usr/local/bin/$tool
         done
         chmod 0755 /usr/local/bin/*")?
        .ok()?;
    // What the server says is told, but for the password that it says back.
    let failed = bad.apply(bed)?;
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    tells_nothing(&failed);
    assert!(failed.stdout.contains("status 400 instead of 200 201 202 204: not good: "), "{}", failed.stdout);
    assert!(failed.stdout.contains("(secret)"), "{}", failed.stdout);
    is_nowhere_else(&host)?;
    assert_eq!(words(&host)?, format!("{FIRST}\n{FIRST}"));

    let first = plan(bed, &host, FIRST, GOOD)?;
    tells_nothing(&first.applied_twice(bed, &host)?);
    is_nowhere_else(&host)?;
    let kept = host.sh("podman exec user /bin/busybox cat /run/secrets/kept")?.ok()?;
    assert_eq!(kept.len(), 40, "{kept}");

    // Another value reaches the container, and the one that was made up is the same.
    let second = plan(bed, &host, SECOND, GOOD)?;
    let changes: BTreeMap<String, String> =
        [("secret.word", "update"), ("service.user", "restart")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let dry = second.diff(bed)?.ok();
    tells_nothing(&dry);
    assert_eq!(dry.changes(), changes);
    tells_nothing(&second.applied_twice(bed, &host)?);
    assert_eq!(words(&host)?, format!("{SECOND}\n{SECOND}"));
    assert_eq!(host.sh("podman exec user /bin/busybox cat /run/secrets/kept")?.ok()?, kept);
    is_nowhere_else(&host)?;

    // Taken back, the container has what it had before.
    let back = second.run(bed, "rollback", &["--yes", "--json"])?.ok();
    tells_nothing(&back);
    assert_eq!(words(&host)?, format!("{FIRST}\n{FIRST}"));
    first.mends(bed, &[])?;

    // What was there comes back, and what was made goes: the user of the server, too.
    tells_nothing(&first.run(bed, "destroy", &["--yes", "--json", "--delete-data"])?.ok());
    is_nowhere_else(&host)?;
    let shown = "podman secret inspect --showsecret --format '{{.SecretData}} {{.Spec.Labels}}' word; podman secret ls --quiet | wc -l";
    assert_eq!(host.sh(shown)?.ok()?, "theirs map[whose:theirs]\n1");
    let there = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8097/users/admin; ls /var/lib/provision 2>/dev/null; true";
    assert_eq!(host.sh(there)?.ok()?, "404");
    Ok(())
}
