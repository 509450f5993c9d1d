use std::collections::BTreeSet;
use std::fs;

use super::super::{Facts, program, read};
use crate::shell::trial::{run, shells, tool};

const LINKS: &str = "\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
1: lo    inet 10.255.255.254/32 scope global lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.0.20/24 brd 10.0.0.255 scope global dynamic noprefixroute eth0\\       valid_lft 3000sec preferred_lft 3000sec
2: eth0    inet 10.0.0.5/24 scope global secondary eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.0.7/24 scope global secondary deprecated eth0\\       valid_lft forever preferred_lft 0sec
2: eth0    inet 169.254.7.7/16 scope link eth0\\       valid_lft forever preferred_lft forever
3: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\\       valid_lft forever preferred_lft forever
4: br-0a1b2c3d4e5f    inet 172.18.0.1/16 scope global br-0a1b2c3d4e5f\\       valid_lft forever preferred_lft forever
5: podman0    inet 10.88.0.1/16 brd 10.88.255.255 scope global podman0\\       valid_lft forever preferred_lft forever
6: front    inet 10.89.9.1/24 scope global front\\       valid_lft forever preferred_lft forever
7: br0    inet 10.1.0.1/24 scope global br0\\       valid_lft forever preferred_lft forever
8: tun0    inet 192.0.2.9 peer 198.51.100.1/32 scope global tun0\\       valid_lft forever preferred_lft forever
9: eth1.7    inet 192.0.2.66/24 scope global eth1.7\\       valid_lft forever preferred_lft forever
";
const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1.7\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t400\t00000000\t0\t0\t0
*\t00000000\t00000000\t0200\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
podman0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br0\t0000010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1.7\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t0000FEA9\t010000A0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
";
/// The same kernel table, as it is where the highest byte comes first.
const ROUTES_OTHER_WAY: &str = "\
eth1.7 00000000 C0000201 0003 0 0 100 00000000 0 0 0
eth0 0A000000 00000000 0001 0 0 0 FFFFFF00 0 0 0
eth1.7 C0000200 00000000 0001 0 0 0 FFFFFF00 0 0 0
podman0 0A580000 00000000 0001 0 0 0 FFFF0000 0 0 0
";
const LOCAL: &str = "\
Main:
  +-- 10.0.0.0/24 2 0 2
     |-- 10.0.0.0
        /24 link UNICAST
     |-- 10.0.0.5
        /32 host LOCAL
     |-- 10.0.0.20
        /32 host LOCAL
     |-- 10.88.0.1
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.66
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
Local:
     |-- 10.0.0.5
        /32 host LOCAL
";
const LINKS6: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000b417fdfffe85baa5 02 40 20 80     eth0
fd000000000000000000000000000002 02 40 00 80     eth0
20010db8000000000000000000000012 02 40 00 00     eth0
20010db8000000000000000000000011 02 40 00 00     eth0
20010db8000000000000000000000013 02 40 00 01     eth0
20010db8000000000000000000000014 02 40 00 20     eth0
20010db8000000000000000000000015 02 40 00 48     eth0
20010db8000000010000000000000001 09 40 00 80   eth1.7
fd008888000000000000000000000001 05 40 00 80  podman0
";
const ROUTES6: &str = "\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000003 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
20010db8000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001   eth1.7
";
const NETWORK: &str = r#"{"name": "a", "driver": "bridge", "network_interface": "front"}"#;
const OTHERS: [&str; 3] = [
    r#"{"name": "b", "driver": "bridge", "network_interface": "br0", "options": {"mode": "unmanaged"}}"#,
    r#"{"name": "c", "driver": "macvlan", "network_interface": "eth1.7"}"#,
    "torn",
];

/// A host whose tables are files.
struct Host(tempfile::TempDir);

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.0.path().join("networks")).unwrap();
        for (name, text) in files {
            fs::write(host.0.path().join(name), text).unwrap();
        }
        host
    }

    /// What each shell finds out.
    fn found(&self, more: &str) -> Vec<[String; 2]> {
        let root = self.0.path().to_str().unwrap();
        let program = program(&BTreeSet::new(), "n")
            .replace("/proc/net", root)
            .replace("/etc/containers/networks", &format!("{root}/networks"))
            .replacen("say begin", &format!("PATH={root}/bin:$PATH; {more}\nsay begin"), 1);
        shells().into_iter().map(|shell| families(&read(&run(shell, &["-c", &program], b""), "n").unwrap())).collect()
    }
}

fn families(facts: &Facts) -> [String; 2] {
    ["ipv4", "ipv6"].map(|name| facts.iter().find(|(known, _)| *known == name).unwrap().1.to_owned())
}

#[test]
fn addresses_that_a_client_could_be_sent_to_are_told_with_the_way_out_first() {
    let host = Host::new(&[
        ("route", ROUTES),
        ("if_inet6", LINKS6),
        ("ipv6_route", ROUTES6),
        ("links", LINKS),
        ("networks/a b.json", NETWORK),
        ("networks/c.json", OTHERS[0]),
        ("networks/d.json", OTHERS[1]),
        ("networks/e.json", OTHERS[2]),
    ]);
    fs::create_dir(host.0.path().join("bin")).unwrap();
    // BusyBox takes the same words.
    let text = format!("test \"$*\" = '-o -4 addr show up' && cat {}/links", host.0.path().display());
    tool(&host.0.path().join("bin"), "ip", &text);
    for found in host.found("") {
        assert_eq!(found[0], "192.0.2.66 10.0.0.20 10.0.0.5 10.1.0.1 192.0.2.9");
        assert_eq!(found[1], "2001:db8::11 2001:db8::12 fd00::2 2001:db8:0:1::1");
    }
}

#[test]
fn a_host_without_ip_is_asked_for_the_kernels_tables() {
    let without = "ip() { return 127; }";
    for routes in [ROUTES, ROUTES_OTHER_WAY] {
        for found in Host::new(&[("route", routes), ("fib_trie", LOCAL)]).found(without) {
            // Which address of two was there first, the kernel's table does not say.
            assert_eq!(found, ["192.0.2.66 10.0.0.5 10.0.0.20", ""]);
        }
    }
    for found in Host::new(&[]).found(without) {
        assert_eq!(found, ["", ""]);
    }
}

#[test]
fn ip_and_the_kernels_tables_tell_the_same_of_this_machine() {
    let program = program(&BTreeSet::new(), "n");
    let tell = |shell: &[&str], way: &str| {
        let program = program.replacen("say begin", &format!("{way}\nsay begin"), 1);
        families(&read(&run(shell, &["-c", &program], b""), "n").unwrap())
    };
    for shell in shells() {
        let known = tell(shell, "");
        assert_eq!(tell(shell, "ip() { busybox ip \"$@\"; }"), known, "{shell:?}");
        // Here it may have more, such as what ip would tell to be deprecated.
        let [four, six] = tell(shell, "ip() { return 127; }");
        assert!(known[0].split(' ').all(|address| four.contains(address)), "{four}, {known:?}, {shell:?}");
        assert_eq!(six, known[1], "{shell:?}");
    }
}
