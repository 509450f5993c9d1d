//! A bundle carried over, and what is large in it on its way: cut in the middle, gone on with, counted on the wire.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use provision_tests::case::HostKind;
use provision_tests::{Error, Host, Testbed};

use crate::support::Plan;

const LENGTH: usize = 50 << 20;

/// Bytes that do not compress, the same each time.
fn content() -> Vec<u8> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    (0..LENGTH / 8).flat_map(next).collect()
}

/// A directory of this test's own on this side.
fn place(bed: &Testbed, name: &str) -> Result<PathBuf, Error> {
    let place = bed.directory().join(name);
    fs::create_dir_all(&place).map_err(Error::Run)?;
    Ok(place)
}

/// Packs a plan, and takes away what it was packed from.
fn packed(bed: &Testbed, place: &Path, host: &Host, user: &str) -> Result<Plan, Error> {
    let source = place.join("site");
    fs::create_dir_all(&source).map_err(Error::Run)?;
    fs::write(source.join("large.bin"), content()).map_err(Error::Run)?;
    let home = if user == "root" { "/srv" } else { "/home/core" };
    let text = format!(
        "name = \"transfer\"\n[input.address]\n[host.h]\naddress = \"{{{{ input.address }}}}\"\nuser = \"{user}\"\n\
         [directory.d]\npath = \"{home}/transfer\"\n\
         [file.large]\npath = \"{home}/transfer/large.bin\"\nsource = \"large.bin\"\n\
         [file.note]\npath = \"{home}/transfer/note\"\ncontent = \"after\"\nafter = [\"file.large\"]\n"
    );
    fs::write(source.join("plan.toml"), text).map_err(Error::Run)?;
    let plan = Plan::new("").variable("address", host.ipv4);
    let bundle = place.join("transfer.bundle");
    let arguments = ["--output", &bundle.display().to_string()];
    Plan { file: source.clone(), ..plan }.run(bed, "bundle", &arguments)?.ok();
    fs::remove_dir_all(source).map_err(Error::Run)?;
    Ok(Plan { file: bundle, variables: Vec::new(), secrets: Vec::new() })
}

/// How many bytes have come to the host.
fn received(host: &Host) -> Result<u64, Error> {
    // Where nspawn's /sys is another's.
    let text = host.sh(r"sed -n 's/^ *host0: *\([0-9]*\) .*/\1/p' /proc/net/dev")?.ok()?;
    text.parse().map_err(|_| Error::Bed(format!("host0 has received {text:?}")))
}

/// How much of what is large is on the host.
fn arrived(root: &Path, state: &str) -> u64 {
    let entries = fs::read_dir(root.join(state).join("arriving")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

#[expect(clippy::disallowed_methods, reason = "it waits for another process, in a thread of its own")]
fn cut_and_gone_on_with(kind: HostKind, name: &str) -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host_as(name, kind)?;
    let user = kind.user();
    let state = if user == "root" { "var/lib/provision/transfer" } else { "home/core/.local/state/provision/transfer" };
    let place = place(bed, name)?;
    let plan = packed(bed, &place, &host, user)?;
    host.login(user, "true")?.ok()?;
    // BusyBox's find lists too little for a snapshot.
    let look = || if kind == HostKind::BusyBox { Ok(None) } else { host.snapshot().map(Some) };
    let before = look()?;
    let left = || -> Result<Vec<String>, Error> {
        let (Some(before), Some(after)) = (&before, look()?) else { return Ok(Vec::new()) };
        // Times of directories in which something came and went are another, and a user's ~/.local stays.
        let counts = |line: &String| !line.starts_with("changed") && !line.contains("/home/core/.local");
        Ok(before.differences(&after).into_iter().filter(counts).collect())
    };

    // The command is killed once a good part is there.
    let root = host.root()?;
    let mut command = plan.command(bed, "apply", &["--yes"])?;
    let mut child = command.stdout(std::process::Stdio::null()).spawn().map_err(Error::Run)?;
    let start = Instant::now();
    while arrived(&root, state) < 15 << 20 {
        assert!(child.try_wait().map_err(Error::Run)?.is_none(), "the apply has ended before it could be cut");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing arrives");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().map_err(Error::Run)?;
    child.wait().map_err(Error::Run)?;
    // What was under way is written yet.
    thread::sleep(Duration::from_secs(1));
    let there = arrived(&root, state);
    let whole = LENGTH as u64;
    assert!(there >= 15 << 20 && there < whole, "{there} bytes are there");

    // The second apply sends the rest, and what speaks about it.
    let first = received(&host)?;
    plan.apply(bed)?.ok();
    let sent = received(&host)? - first;
    let rest = whole - there;
    assert!(sent > rest && sent < rest + rest / 8 + (1 << 20), "{sent} bytes came for {rest} that were missing");
    let file = if user == "root" { "/srv/transfer/large.bin" } else { "/home/core/transfer/large.bin" };
    assert!(host.read(file)? == content(), "what arrived is not what was sent");
    assert_eq!(arrived(&root, state), 0);
    assert!(!root.join(state).join("arriving").exists());
    assert!(plan.diff(bed)?.ok().changes().is_empty());

    // Cut once more and then taken back: nothing of it stays.
    plan.run(bed, "destroy", &["--yes"])?.ok();
    assert_eq!(left()?, [""; 0], "left after the destroy");
    assert!(!root.join(state).exists(), "left after the destroy");
    let mut command = plan.command(bed, "apply", &["--yes"])?;
    let mut child = command.stdout(std::process::Stdio::null()).spawn().map_err(Error::Run)?;
    while arrived(&root, state) < 10 << 20 && child.try_wait().map_err(Error::Run)?.is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().map_err(Error::Run)?;
    child.wait().map_err(Error::Run)?;
    thread::sleep(Duration::from_secs(1));
    assert!(arrived(&root, state) > 0);
    plan.run(bed, "destroy", &["--yes"])?.ok();
    assert_eq!(left()?, [""; 0], "left after the destroy of what was cut");
    assert!(!root.join(state).exists(), "left after the destroy of what was cut");
    Ok(())
}

#[test]
fn a_transfer_that_was_cut_goes_on_where_it_ended() -> Result<(), Error> {
    cut_and_gone_on_with(HostKind::Debian13, "transfer")
}

#[test]
fn the_same_for_who_is_not_root() -> Result<(), Error> {
    cut_and_gone_on_with(HostKind::Rootless, "carried")
}

#[test]
fn the_same_with_busybox() -> Result<(), Error> {
    cut_and_gone_on_with(HostKind::BusyBox, "boxed")
}

/// An image that builds upon one that the host has costs what it adds.
fn layers_that_are_there_are_not_sent(kind: HostKind, name: &str) -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host_as(name, kind)?;
    let (user, place) = (kind.user(), place(bed, name)?);
    // Made on a host as anybody makes one: what podman packs anew has other digests than in the archive of the first.
    let maker = bed.fresh_host(&format!("{name}m"))?;
    maker.copy_in("/var/tmp/one.tar", &fs::read(bed.registry_archive()).map_err(Error::Run)?)?;
    maker
        .sh("set -e; cd /var/tmp; podman load -q -i one.tar; head -c 3000000 /dev/urandom >added
            c=$(podman create localhost/registry:1 x); podman cp added $c:/added; podman commit -q $c localhost/two:1
            podman save -q --format oci-archive -o two-oci.tar localhost/two:1
            podman save -q --format docker-archive -o two-docker.tar localhost/two:1")?
        .ok()?;
    fs::copy(bed.registry_archive(), place.join("one.tar")).map_err(Error::Run)?;
    let sum = maker.sh("sha256sum </var/tmp/added")?.ok()?;
    let plan = |archive: &str| -> Result<Plan, Error> {
        let image =
            |name: &str, file: &str| format!("[image.{name}]\nname = \"localhost/{name}:1\"\narchive = \"{file}\"\n");
        let address = host.ipv4;
        let hosts = format!("name = \"layers\"\n[host.h]\naddress = \"{address}\"\nuser = \"{user}\"\n");
        let two = if archive.is_empty() { String::new() } else { image("two", archive) };
        let file = place.join("plan.toml");
        fs::write(&file, hosts + &image("one", "one.tar") + &two).map_err(Error::Run)?;
        Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
    };
    plan("")?.apply(bed)?.ok();
    for format in ["oci", "docker"] {
        let archive = format!("two-{format}.tar");
        let whole = maker.read(&format!("/var/tmp/{archive}"))?;
        fs::write(place.join(&archive), &whole).map_err(Error::Run)?;
        let before = received(&host)?;
        plan(&archive)?.apply(bed)?.ok();
        let sent = received(&host)? - before;
        assert!(whole.len() > 30_000_000 && sent > 3_000_000, "{format}: {sent} of {}", whole.len());
        assert!(sent < 4_000_000, "{format}: {sent} bytes came of {}", whole.len());
        assert_eq!(plan(&archive)?.diff(bed)?.ok().changes().len(), 0, "{format}");
        let seen =
            "podman run --pull=never --rm --network none --entrypoint sha256sum localhost/two:1 /added | cut -c1-64";
        let seen = host.login(user, seen)?.ok()?;
        assert!(sum.starts_with(&seen) && seen.len() == 64, "{format}: {seen}");
        plan("")?.run(bed, "apply", &["--yes", "--delete-data"])?.ok();
        host.login(user, "podman rmi --force --ignore localhost/two:1")?.ok()?;
    }
    Ok(())
}

#[test]
fn of_an_image_only_the_layers_that_are_missing_are_sent() -> Result<(), Error> {
    layers_that_are_there_are_not_sent(HostKind::Debian13, "layers")
}

#[test]
fn of_an_image_for_who_is_not_root_as_well() -> Result<(), Error> {
    layers_that_are_there_are_not_sent(HostKind::Rootless, "rootlayers")
}
