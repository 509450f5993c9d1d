//! Packages that are beside the plan, for a host that reaches no repository.

use std::fs;

use provision_tests::{Error, Testbed};

use crate::support::Plan;

/// Two packages, one of which needs the other, in `/root/debs`.
const BUILD: &str = r#"
set -e
make() {
  rm -rf /root/x; mkdir -p /root/x/DEBIAN /root/x/usr/share/$1 /root/debs; echo $2 >/root/x/usr/share/$1/version
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Case <case@example.com>\nDescription: a case\n%s' $1 $2 "$3" >/root/x/DEBIAN/control
  chmod -R go=rX /root/x; dpkg-deb -b /root/x /root/debs/$1_$2_all.deb >/dev/null
}
make offline-lib 1.0 ''
make offline-tool 1.0-1 'Depends: offline-lib
'
make offline-tool 1.0-2 'Depends: offline-lib
'
rm -rf /root/x
"#;

#[test]
fn packages_beside_the_plan_are_installed_replaced_and_taken_away() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("packages")?;
    host.sh(BUILD)?.ok()?;
    let folder = bed.directory().join("packages");
    fs::create_dir_all(&folder).map_err(Error::Run)?;
    let names = ["offline-lib_1.0_all.deb", "offline-tool_1.0-1_all.deb", "offline-tool_1.0-2_all.deb"];
    for name in names {
        let from = host.root()?.join("root/debs").join(name);
        fs::copy(from, folder.join(name)).map_err(Error::Run)?;
    }
    host.sh("rm -r /root/debs")?.ok()?;
    let before = host.snapshot()?;
    let plan = |tool: &str| -> Result<Plan, Error> {
        let file = folder.join("plan.toml");
        let text = format!(
            "name = \"packages\"\n[host.h]\naddress = \"{}\"\nuser = \"root\"\n[package.offline]\nfiles = [\"{}\", \"{tool}\"]\n",
            host.ipv4, names[0]
        );
        fs::write(&file, text).map_err(Error::Run)?;
        Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
    };
    let dry = plan(names[1])?.diff(bed)?.ok();
    assert_eq!(dry.changes().get("package.offline").map(String::as_str), Some("create"));
    assert_eq!(before.differences(&host.snapshot()?), [""; 0], "the dry run wrote something");
    plan(names[1])?.applied_twice(bed, &host)?;
    assert_eq!(host.sh("dpkg-query -W -f '${Version}' offline-tool")?.ok()?, "1.0-1");
    plan(names[2])?.mends(bed, &[("package.offline", "update")])?;
    assert_eq!(host.sh("cat /usr/share/offline-tool/version")?.ok()?, "1.0-2");
    // Somebody else's package needs one of them.
    host.sh("mkdir -p /root/y/DEBIAN && printf 'Package: theirs\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@example.com>\\nDescription: x\\nDepends: offline-lib\\n' >/root/y/DEBIAN/control && dpkg-deb -b /root/y /root/y.deb && dpkg -i /root/y.deb && rm -r /root/y /root/y.deb")?.ok()?;
    let gone = plan(names[2])?.run(bed, "destroy", &["--yes", "--delete-data"])?;
    assert_eq!(gone.code, Some(0), "{gone:#?}");
    assert_eq!(
        host.sh("ls /usr/share | grep -e offline -e theirs; dpkg-query -W -f '${Package} ' 'offline-*' theirs")?
            .stdout
            .trim(),
        "offline-lib\noffline-lib theirs"
    );
    Ok(())
}
