//! Names and contents that nobody foresaw arrive byte for byte at the right place, or are refused by name.

#![expect(clippy::panic, reason = "a test stops at its first surprise")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use provision_tests::case::HostKind;
use provision_tests::{Error, Host, Testbed};

use crate::support::Plan;

/// As names of files, as targets, arguments, environment values and contents.
const NAMES: [&str; 34] = [
    "two words",
    "  blanks around  ",
    "-rf",
    "--help",
    "$(touch pwned)",
    "`touch pwned`",
    "$HOME",
    "${PATH}",
    "'single'",
    "\"double\"",
    "it's \"both\"",
    "'",
    "back\\slash",
    "trailing\\",
    "\\n\\x41\\u0041",
    "*",
    "?[a-z]*",
    "~root",
    "#comment",
    ";touch pwned;",
    "a|b&c<d>e",
    "!history",
    "%s%n%%h",
    "{a,b}",
    "key=value",
    "größe ☃ 日本語",
    "e\u{301}",
    "\u{202e}backwards",
    "\u{feff}mark",
    "\u{a0}",
    ".hidden",
    "...",
    "@0 done 0",
    "[section]",
];

/// Contents that no name can have.
const CONTENTS: [&str; 7] = [
    "",
    "no line end",
    "\r\n\r\n",
    "\n\n\n",
    "line\n@00000000000000000000000000000000 end\n",
    "\0\u{1}\u{1b}[31m",
    "EOF\n'\n\"\n`\n#whole\n",
];

/// How much of this machine's memory the command may have while it sends a file of 50 MB: kilobytes.
const MEMORY: u64 = 120_000;

/// A string in TOML. Templates are not what is tried here.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn header(host: &Host) -> String {
    format!("name = \"hostile\"\n[host.h]\naddress = \"{}\"\nuser = \"root\"\n", host.ipv4)
}

fn plan(folder: &Path, text: &str) -> Result<Plan, Error> {
    fs::create_dir_all(folder).map_err(Error::Run)?;
    let file = folder.join("plan.toml");
    fs::write(&file, text).map_err(Error::Run)?;
    Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
}

/// Every path that the plan makes, with its content.
fn files() -> Vec<(String, Vec<u8>)> {
    let long = "n".repeat(240);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (at, name) in NAMES.into_iter().chain([long.as_str()]).enumerate() {
        let content = CONTENTS.get(at).copied().unwrap_or(name);
        files.push((format!("/srv/hostile/{name}/{name}"), content.as_bytes().to_vec()));
    }
    files
}

fn text(host: &Host, image: &Path) -> String {
    let mut text = header(host);
    text.push_str("[directory.root]\npath = \"/srv/hostile\"\n[directory.links]\npath = \"/srv/hostile/links\"\n");
    for (at, (path, content)) in files().iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let content = String::from_utf8_lossy(content);
        let _infallible = write!(
            text,
            "[directory.d{at}]\npath = {}\n[file.f{at}]\npath = {}\ncontent = {}\n[link.l{at}]\npath = {}\ntarget = {}\n",
            quoted(folder),
            quoted(path),
            quoted(&content),
            quoted(&format!("/srv/hostile/links/{name}")),
            quoted(name),
        );
    }
    let arguments: Vec<String> = NAMES.iter().map(|name| quoted(name)).collect();
    let arguments = arguments.join(", ");
    let environment: Vec<String> =
        NAMES.iter().enumerate().map(|(at, name)| format!("E{at:02} = {}", quoted(name))).collect();
    let _infallible = write!(
        text,
        r#"
[file.bytes]
path = "/srv/hostile/bytes"
source = "bytes"
[file.large]
path = "/srv/hostile/large"
source = "large"
[command.arguments]
run = ["sh", "-c", "for word; do printf '%s\\n' \"$word\"; done >arguments; cat >>arguments", "sh", {arguments}]
input = "input without an end"
directory = "/srv/hostile"
creates = "/srv/hostile/arguments"
[unit.hostile]
unit = 'hostile\x2dunit.service'
content = "[Service]\nExecStart=/bin/sleep infinity\n"
[service.hostile]
unit = 'hostile\x2dunit.service'
[directory.said]
path = "/srv/hostile/said"
[image.tiny]
name = "localhost/tiny:1"
archive = {}
[container.hostile]
image = "localhost/tiny:1"
volumes = ["/srv/hostile/said:/said"]
exec = ["sh", "-c", "for word; do printf '%s\\n' \"$word\"; done >/said/arguments; env | grep ^E | sort >/said/environment; exec sleep infinity", "sh", {arguments}]
environment = {{ {} }}
[service.container]
unit = "hostile.service"
"#,
        quoted(&image.to_string_lossy()),
        environment.join(", "),
    );
    text
}

/// Runs an apply, and gives the most memory that it had at once, in kilobytes.
fn apply(plan: &Plan, bed: &Testbed) -> Result<u64, Error> {
    let mut command = plan.command(bed, "apply", &["--yes", "--json"])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(Error::Run)?;
    let mut most = 0;
    let status = loop {
        // Of `ip netns exec` first, which becomes the command.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(peak.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        match child.try_wait().map_err(Error::Run)? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let said = child.stderr.take().map(std::io::read_to_string).transpose().map_err(Error::Run)?;
    assert!(status.success(), "{}", said.unwrap_or_default());
    Ok(most)
}

fn arrives(kind: HostKind) -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host_as(&format!("hostile-{}", kind.name()), kind)?;
    let folder = bed.directory().join("hostile").join(kind.name());
    let plan = plan(&folder, &text(&host, &bed.tiny_archive()))?;
    let bytes: Vec<u8> = (0..=255_u8).rev().cycle().take(70_000).collect();
    let large: Vec<u8> =
        (0..50_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    fs::write(folder.join("bytes"), &bytes).map_err(Error::Run)?;
    fs::write(folder.join("large"), &large).map_err(Error::Run)?;

    let memory = apply(&plan, bed)?;
    assert!(memory > 1_000 && memory < MEMORY, "{memory} kB");
    plan.applied_twice(bed, &host)?;
    for (path, content) in files().into_iter().chain([
        ("/srv/hostile/bytes".to_owned(), bytes),
        ("/srv/hostile/large".to_owned(), large),
        ("/srv/hostile/arguments".to_owned(), format!("{}\ninput without an end", NAMES.join("\n")).into_bytes()),
        ("/srv/hostile/said/arguments".to_owned(), format!("{}\n", NAMES.join("\n")).into_bytes()),
    ]) {
        let found = host.read(&path)?;
        assert!(found == content, "{path}: {:?}", String::from_utf8_lossy(found.get(..200).unwrap_or(&found)));
    }
    let environment: Vec<String> = NAMES.iter().enumerate().map(|(at, name)| format!("E{at:02}={name}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&host.read("/srv/hostile/said/environment")?), environment.concat());
    for name in NAMES {
        assert_eq!(host.exec(&["readlink", "--", &format!("/srv/hostile/links/{name}")])?.ok()?, name);
    }
    assert_eq!(host.exec(&["systemctl", "is-active", r"hostile\x2dunit.service"])?.ok()?, "active");

    plan.run(bed, "destroy", &["--yes", "--delete-data"])?.ok();
    assert!(host.sh("! test -e /srv/hostile && test -z \"$(find / -xdev -name pwned)\"")?.success());
    Ok(())
}

#[test]
fn everything_arrives_byte_for_byte() -> Result<(), Error> {
    arrives(HostKind::Debian13)
}

#[test]
fn everything_arrives_byte_for_byte_where_the_tools_are_busybox() -> Result<(), Error> {
    arrives(HostKind::BusyBox)
}

#[test]
fn what_stands_behind_a_link_is_left_alone_and_a_link_on_the_way_is_followed() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("links")?;
    let folder = bed.directory().join("links");
    host.sh("mkdir /srv/real /srv/other && echo theirs >/srv/real/theirs && ln -s real /srv/way && ln -s theirs /srv/real/link &&
        ln -s nowhere /srv/real/dangling && ln -s /srv/other /srv/real/folder && touch /srv/other/kept")?
        .ok()?;
    let before = host.sh("cd /srv && find . -exec stat -c '%n %f %Y %N' {} + | sort; cat real/theirs")?.ok()?;
    for (resource, said) in [
        (
            "[file.f]\npath = \"/srv/real/link\"\ncontent = \"ours\"\nadopt = true\n",
            "/srv/real/link is a link on the host",
        ),
        (
            "[file.f]\npath = \"/srv/real/dangling\"\ncontent = \"ours\"\nadopt = true\n",
            "/srv/real/dangling is a link on the host",
        ),
        (
            "[directory.d]\npath = \"/srv/real/folder\"\nmode = \"0700\"\nadopt = true\n",
            "/srv/real/folder is a link on the host",
        ),
        (
            "[link.l]\npath = \"/srv/real/theirs\"\ntarget = \"x\"\nadopt = true\n",
            "/srv/real/theirs is a file on the host",
        ),
    ] {
        let ran = plan(&folder, &format!("{}{resource}", header(&host)))?.run(bed, "apply", &["--yes"])?;
        assert!(ran.code == Some(1) && format!("{}{}", ran.stdout, ran.stderr).contains(said), "{ran:#?}");
    }
    assert_eq!(host.sh("cd /srv && find . -exec stat -c '%n %f %Y %N' {} + | sort; cat real/theirs")?.ok()?, before);

    let resources = "[file.f]\npath = \"/srv/way/ours\"\ncontent = \"ours\"\n\
        [link.l]\npath = \"/srv/real/folder\"\ntarget = \"elsewhere\"\nadopt = true\n";
    let plan = plan(&folder, &format!("{}{resources}", header(&host)))?;
    plan.applied_twice(bed, &host)?;
    assert_eq!(
        host.sh("cat /srv/real/ours; echo; readlink /srv/way /srv/real/folder; ls /srv/other")?.ok()?,
        "ours\nreal\nelsewhere\nkept"
    );
    plan.run(bed, "destroy", &["--yes"])?.ok();
    let after = host.sh("cd /srv && find . -exec stat -c '%n %f %N' {} + | sort; cat real/theirs")?.ok()?;
    assert_eq!(
        host.sh("readlink /srv/real/folder; ls /srv/real /srv/other")?.ok()?.lines().next(),
        Some("/srv/other"),
        "{after}"
    );
    assert!(!host.sh("test -e /srv/real/ours")?.success());
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_by_name_and_no_host_is_asked() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let folder = bed.directory().join("refused");
    let long = format!("/srv/{}", "n".repeat(241));
    let of_path = |path: &str| format!("[file.f]\npath = {}\ncontent = \"\"\n", quoted(path));
    for (resource, said) in [
        (of_path("/srv/line\nend"), "control characters"),
        (of_path("/srv/tab\t"), "control characters"),
        (of_path("/srv/nul\0"), "control characters"),
        (of_path("srv/relative"), "starts with `/`"),
        (of_path("/srv/../etc/passwd"), "`..`"),
        (of_path(&long), "at most 240"),
        ("[file.f]\npath = \"/srv/f\"\ncontent = \"\"\nowner = \"-R root\"\n".to_owned(), "-R root"),
        ("[file.f]\npath = \"/srv/f\"\ncontent = \"\"\ngroup = \"a:b\"\n".to_owned(), "a:b"),
        ("[link.l]\npath = \"/srv/l\"\ntarget = \"a\\nb\"\n".to_owned(), "control characters"),
        ("[unit.u]\nunit = \"$(id).service\"\ncontent = \"\"\n".to_owned(), "$(id).service"),
        ("[unit.u]\nunit = \"../u.service\"\ncontent = \"\"\n".to_owned(), "../u.service"),
        ("[service.s]\nunit = \"two words.service\"\n".to_owned(), "two words.service"),
        ("[command.c]\nrun = [\"a\\u0000b\"]\n".to_owned(), "NUL"),
    ] {
        // Nothing is there that could answer.
        let header = "name = \"refused\"\n[host.h]\naddress = \"192.0.2.250\"\nuser = \"root\"\n";
        let ran = plan(&folder, &format!("{header}{resource}"))?.run(bed, "apply", &["--yes"])?;
        assert!(ran.code == Some(3) && ran.stderr.contains(said), "{said:?}: {ran:#?}");
    }
    Ok(())
}
