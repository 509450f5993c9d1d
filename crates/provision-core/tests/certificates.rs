//! Authority, leaf and haproxy's configuration through a real shell, on this machine: what is made holds before
//! OpenSSL, a second apply has nothing to do, and what somebody spoils is found and mended.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use provision_core::connection::ShellConnection;
use provision_core::engine::{Changes, apply, observe};
use provision_core::event::ignore;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use provision_core::shell::Become;
use provision_core::transport::local::Local;
use time::OffsetDateTime;

/// The plan of the test, whose paths have what shells and haproxy take amiss.
fn plan(root: &Path) -> Plan {
    let text = format!(
        r#"
name = "certificates"

[directory.tls]
path = "{root}/it's #1 $(x)"

[certificate_authority.root]
directory = "{{{{ directory.tls.path }}}}"
common_name = "Test CA"

[certificate.server]
directory = "{{{{ directory.tls.path }}}}"
authority = "{{{{ certificate_authority.root.certificate }}}}"
authority_key = "{{{{ certificate_authority.root.key }}}}"
names = ["localhost", "127.0.0.1", "::1"]
key_mode = "0640"

[haproxy.front]
path = "{{{{ directory.tls.path }}}}/haproxy.cfg"
check = false

[[haproxy.front.frontend]]
name = "front"
bind = [{{ address = "::", port = 8443, tls = "{{{{ certificate.server.certificate }}}}" }}]
backend = "back"

[[haproxy.front.backend]]
name = "back"
servers = [{{ name = "one", address = "127.0.0.1", port = 9443, authority = "{{{{ certificate_authority.root.certificate }}}}" }}]
"#,
        root = root.display()
    );
    Plan::parse(Source { name: "plan.toml".to_owned(), text }, Arc::new(NoAssets), &Inputs::default()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "OpenSSL looks at the clock too")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

async fn changes(plan: &Plan, host: &ShellConnection<Local>) -> Changes {
    observe(plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(now())
}

/// Applies, and gives the addresses of what was changed; nothing is left to do afterwards.
async fn applied(plan: &Plan, host: &ShellConnection<Local>) -> Vec<String> {
    let changes = changes(plan, host).await;
    let changed = changes.changed().map(|(address, _)| address.to_string()).collect();
    let report = apply(changes, host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    let left = self::changes(plan, host).await;
    assert!(left.is_empty(), "{left:?}");
    changed
}

fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// This machine, whose memory of plans is in the test's own directory.
fn here(root: &Path) -> ShellConnection<Local> {
    let state = format!("{}/state", root.to_str().unwrap()).parse().unwrap();
    ShellConnection::new(Local, Become::No, Duration::from_secs(30)).with_state(Some(state))
}

#[tokio::test]
async fn a_plan_of_certificates_holds_on_a_real_machine() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("it's #1 $(x)");
    let plan = plan(root.path());
    let host = here(root.path());

    let all = ["directory.tls", "certificate_authority.root", "certificate.server", "haproxy.front"];
    assert_eq!(applied(&plan, &host).await, all);
    let verify = ["verify", "-CAfile", "root.crt", "-verify_ip", "::1", "server.crt"];
    assert_eq!(openssl(&directory, &verify), "server.crt: OK\n");
    let modes = ["root.crt", "root.key", "server.crt", "server.key", "haproxy.cfg"]
        .map(|name| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o7777);
    assert_eq!(modes, [0o644, 0o600, 0o644, 0o640, 0o644]);
    assert_eq!(applied(&plan, &host).await, Vec::<String>::new());

    // A key exchanged by hand: only its public half comes to this side.
    let authority = fs::read(directory.join("root.crt")).unwrap();
    openssl(&directory, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "server.key"]);
    let before = changes(&plan, &host).await;
    let found: Vec<_> =
        before.changed().map(|(address, change)| (address.to_string(), change.reasons.clone())).collect();
    let reason = "the private key is not the one of the certificate";
    assert_eq!(found, [("certificate.server".to_owned(), vec![reason.to_owned()])]);
    assert_eq!(applied(&plan, &host).await, ["certificate.server"]);
    assert_eq!(openssl(&directory, &verify), "server.crt: OK\n");
    assert_eq!(fs::read(directory.join("root.crt")).unwrap(), authority);

    // Half an authority: nothing is done at all.
    fs::remove_file(directory.join("root.crt")).unwrap();
    let changes = changes(&plan, &host).await;
    let undecided: Vec<String> = changes.undecided().map(|(address, _)| address.to_string()).collect();
    assert_eq!(undecided, ["certificate_authority.root", "certificate.server"]);
    assert!(apply(changes, &host, &ignore).await.is_err());
    assert!(!directory.join("root.crt").exists());
}

#[tokio::test]
#[ignore = "needs haproxy; tests/run runs it"]
async fn haproxy_takes_what_was_written_beside_its_certificates() {
    let root = tempfile::tempdir().unwrap();
    let host = here(root.path());
    applied(&plan(root.path()), &host).await;
    let file = root.path().join("it's #1 $(x)/haproxy.cfg");
    let output = Command::new("haproxy").arg("-c").arg("-f").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
