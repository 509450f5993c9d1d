//! That the images which stand in for Quay's do what is documented of Quay's, so that what is tried with them counts.
//! Plain podman runs them; no plan is involved.

mod three;
mod two;

use provision_tests::{Error, Host, Image, Testbed};

/// Puts images into root's storage.
fn load(host: &Host, images: &[Image]) -> Result<(), Error> {
    for Image { name, archive, .. } in images {
        let path = "/var/tmp/image.tar";
        host.copy_in(path, &std::fs::read(archive).map_err(Error::Run)?)?;
        let said = host.sh(&format!("podman load --quiet --input {path}"))?.ok()?;
        assert_eq!(said, format!("Loaded image: {name}"));
    }
    Ok(())
}

/// The status and the body of a request; curl's own failure is status 0.
fn get(host: &Host, options: &str) -> Result<(u16, String), Error> {
    ask(host, options, "*")
}

/// Asks until the status is like this, for a minute at most, and says how it was last.
fn ask(host: &Host, options: &str, status: &str) -> Result<(u16, String), Error> {
    let said = host.sh(&format!(
        "for i in $(seq 600); do said=$(curl --silent --max-time 10 --write-out '\n%{{http_code}}' {options}); \
         case $said in *{status}) break ;; esac; sleep 0.1; done; printf %s \"$said\""
    ))?;
    let (body, status) = said.stdout.rsplit_once('\n').unwrap_or_default();
    Ok((status.parse().unwrap_or_default(), body.to_owned()))
}

/// Waits for an answer with this status, which a container gives a moment after it was started.
fn wait_for(host: &Host, status: u16, options: &str) -> Result<String, Error> {
    let last = ask(host, options, &status.to_string())?;
    if last.0 != status {
        let logs = "podman ps --all; podman ps --all --quiet | xargs --no-run-if-empty --max-args=1 podman logs";
        let said = host.sh(&format!("({logs}) 2>&1"))?.stdout;
        assert_eq!(last.0, status, "{options}: {}\n{said}", last.1);
    }
    Ok(last.1)
}

/// What a container says that has to end by itself, with something else than 0.
fn failure(host: &Host, run: &str) -> Result<String, Error> {
    let ran = host.sh(&format!("timeout 15 podman run --rm {run}"))?;
    assert!(!matches!(ran.code, Some(0 | 124)), "{ran}");
    Ok(ran.stderr)
}

/// Lets podman on this host trust a registry, and gives it an image to push.
fn prepare_client(host: &Host, bed: &Testbed, registry: &str, authority: &str) -> Result<(), Error> {
    host.copy_in("/var/tmp/tiny.tar", &std::fs::read(bed.tiny_archive()).map_err(Error::Run)?)?;
    host.sh(&format!(
        "podman load --quiet --input /var/tmp/tiny.tar; install -D {authority} /etc/containers/certs.d/{registry}/ca.crt"
    ))?
    .ok()?;
    Ok(())
}
