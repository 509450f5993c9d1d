//! Under every shell, with the tools made up as they were seen to speak on Debian 12 and 13.

use std::fs;
use std::path::Path;

use super::*;
use crate::shell::LIMITED;
use crate::shell::trial::{run, shells, tool};

/// A firewalld with the zones `public` and `work`; `home` is permanent alone. What it has is a line each in `permanent` and `running`.
const BUSCTL: &str = r#"
case "$*" in *NameHasOwner*)
  if [ -e "$HOME/no-bus" ]; then echo 'Failed to connect to bus: No such file or directory' >&2; exit 1; fi
  if [ -e "$HOME/stopped" ]; then echo 'b false'; else echo 'b true'; fi; exit ;;
esac
echo "$*" | sed 's/--auto-start=no call org.fedoraproject.FirewallD1 .org.fedoraproject.FirewallD1//' >>"$HOME/calls"
shift 3; path=$1; face=${2##*FirewallD1}; method=$3; shift 3; [ $# = 0 ] || shift
case $face:$method in
  :getDefaultZone) echo "s \"$(cat "$HOME/default")\""; exit ;;
  .config:getZoneByName)
    case $1 in public) echo 'o "/org/fedoraproject/FirewallD1/config/zone/8"' ;; home) echo 'o "/org/fedoraproject/FirewallD1/config/zone/9"' ;;
    denied) echo 'Call failed: Not Authorized' >&2; exit 1 ;; *) echo "Call failed: INVALID_ZONE: $1" >&2; exit 1 ;; esac; exit ;;
  .config:getZoneNames) echo 'as 2 "public" "home"'; exit ;;
  .zone:getZones) echo 'as 2 "public" "work"'; exit ;;
  .config:getServiceNames) echo 'as 2 "http" "https"'; exit ;;
  .config.zone:*) file=$HOME/permanent ;;
  .zone:*) file=$HOME/running; zone=$1; shift; if [ "$zone" = home ]; then echo 'Call failed: INVALID_ZONE: home' >&2; exit 1; fi ;;
esac
case $method in
  addSource) ;;
  add*) case $face in .zone) for last; do :; done; [ "$last" = 0 ] || exit 9; set -- "$@" ''; all=$*; all=${all% 0 } ;; esac ;;
esac
noun=${method#add}; noun=${noun#remove}; noun=${noun#query}
all=${all:-$*}
case $noun:$all in RichRule:*bogus*) echo "Call failed: INVALID_RULE: bogus" >&2; exit 1 ;; esac
touch "$file"
case $method in
  getPorts) printf 'aas 0'; sed -n 's/^Port \([^ ]*\) \(.*\)/ 2 "\1" "\2"/p' "$file" | tr -d '\n' ;;
  query*) if grep -qxF "$noun $all" "$file"; then echo 'b true'; else echo 'b false'; fi ;;
  add*) if grep -qxF "$noun $all" "$file"; then echo "Call failed: ALREADY_ENABLED: $all" >&2; exit 1; fi; echo "$noun $all" >>"$file" ;;
  remove*) if ! grep -qxF "$noun $all" "$file"; then echo "Call failed: NOT_ENABLED: $all" >&2; exit 1; fi; grep -vxF "$noun $all" "$file" >"$file.new"; mv "$file.new" "$file" ;;
  *) echo "asked for $method" >&2; exit 1 ;;
esac
"#;

const NFT: &str = r#"
case "$*" in
  '-s list table inet provision') cat "$HOME/live" 2>/dev/null || { echo 'Error: No such file or directory' >&2; exit 1; } ;;
  '-s -t list ruleset') cat "$HOME/ruleset" ;;
  '-c -f '*) ! grep refused "$3" ;;
  '-f '*) sed '1,/{$/{/{$/!d;}' "$2" >"$HOME/live"; echo loaded >>"$HOME/calls" ;;
  'delete table inet provision') rm "$HOME/live" 2>/dev/null || { echo 'Error: No such file or directory' >&2; exit 1; } ;;
  *) echo "nft $*" >&2; exit 1 ;;
esac
"#;

const SYSTEMCTL: &str = r#"
echo "systemctl $*" | sed 's/ --no-ask-password//; s/ --quiet//' >>"$HOME/calls"
link=$HOME/etc/systemd/system/multi-user.target.wants/provision-firewall.service
case "$*" in
  *enable\ *) mkdir -p "${link%/*}"; ln -s x "$link" ;;
  *disable*) rm -f "$link" ;;
  *is-active*) [ -e "$HOME/active" ] ;;
  *start*) : >"$HOME/active"; nft -f "$HOME/etc/provision/firewall.nft" ;;
  *stop*) rm -f "$HOME/active" ;;
esac
"#;

fn home(tools: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for directory in ["bin", "etc/ufw/applications.d", "etc/default", "etc/systemd/system"] {
        fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    // All that the functions call, so that nothing of this machine's own firewall is found.
    for name in ["sh", "cat", "sed", "grep", "tr", "rm", "mv", "mkdir", "rmdir", "sync", "touch", "ln", "timeout"] {
        let found = ["/usr/bin", "/bin"].iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), home.path().join("bin").join(name)).unwrap();
    }
    fs::write(home.path().join("default"), "public").unwrap();
    for (name, text) in tools {
        tool(&home.path().join("bin"), name, text);
    }
    home
}

fn call(shell: &[&str], home: &Path, calls: &str) -> String {
    let at = home.to_str().unwrap();
    let functions =
        format!("{}{}", FIREWALL.functions, FIREWALL_HOST.functions).replace("/etc/", &format!("{at}/etc/"));
    let program = format!(
        "set -u; umask 077; PATH={at}/bin; HOME={at}; export PATH HOME; got=; kept=\n{LIMITED}\n{functions}\n{calls}"
    );
    String::from_utf8(run(shell, &["-c", &program], b"")).unwrap()
}

/// How some items are.
fn get(shell: &[&str], home: &Path, names: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = names.iter().map(|name| crate::shell::quote(name)).collect();
    let each = |name: &String| format!("get_firewall {name} || printf '1 '; echo \"$got\";");
    let gets: String = quoted.iter().map(each).collect();
    let said = call(shell, home, &format!("prepare_firewall {}\n{gets}", quoted.join(" ")));
    said.lines().map(str::to_owned).collect()
}

fn set(shell: &[&str], home: &Path, name: &str, state: &str) -> String {
    let words = crate::shell::words([name, state]);
    call(shell, home, &format!("prepare_firewall x; set_firewall {words} 9 keep ''; echo $?"))
}

fn found(shell: &[&str], home: &Path, name: &str) -> String {
    call(
        shell,
        home,
        &format!("prepare_firewall_host x; get_firewall_host '{name}' || printf '1 '; printf '%s' \"$got\""),
    )
}

fn text(home: &Path, name: &str) -> String {
    fs::read_to_string(home.join(name)).unwrap_or_default()
}

fn calls(home: &Path) -> Vec<String> {
    let all = text(home, "calls");
    fs::write(home.join("calls"), "").unwrap();
    all.lines().map(str::to_owned).collect()
}

#[test]
fn firewalld_is_asked_for_each_item_in_both_its_configurations() {
    for shell in shells() {
        let home = home(&[("busctl", BUSCTL), ("firewall-cmd", "echo python >&2; exit 1")]);
        let permanent = "Port 22 tcp\nPort 5000-5004 udp\nPort 5005 udp\nPort 5007-5010 udp\nPort 80 tcp\nService http\n\
            RichRule rule family=\"ipv6\" forward-port port=\"80\" protocol=\"tcp\" to-port=\"8080\"\nForwardPort 81 tcp 80 10.0.0.5\n";
        let running = "Port 22 tcp\nForwardPort 80 tcp 8080 \nRichRule rule family=\"ipv6\" destination address=\"fd00::5\" masquerade\nSource 10.0.0.0/8\n";
        fs::write(home.path().join("permanent"), permanent).unwrap();
        fs::write(home.path().join("running"), running).unwrap();
        for (name, state) in [
            ("port 22/tcp", "firewalld public yes yes"),
            ("port 22/udp", "firewalld public no no"),
            ("port 5000-5005/udp", "firewalld public yes no"),
            ("port 5005-5008/udp", "firewalld public 5005-5005,5007-5008 no"),
            ("zone=public port 4990-5020/udp", "firewalld public 5000-5005,5007-5010 no"),
            ("by=firewalld service http", "firewalld public yes no"),
            ("by=firewalld zone=public service https", "firewalld public no no"),
            ("forward 80/tcp to 8080", "firewalld public ipv6 ipv4"),
            ("forward 81/tcp to 80 at 10.0.0.5", "firewalld public yes no"),
            ("forward 82/tcp at 10.0.0.5", "firewalld public no no"),
            ("masquerade fd00::5", "firewalld public no yes"),
            ("source 10.0.0.0/8", "firewalld public no yes"),
            ("rule bogus", "1 firewalld says: INVALID_RULE: bogus"),
            ("zone=work port 22/tcp", "1 firewalld has no zone work"),
            ("zone=home port 22/tcp", "1 firewalld has no zone home"),
            ("zone=denied port 22/tcp", "1 firewalld cannot be asked: Call failed: Not Authorized"),
        ] {
            assert_eq!(get(shell, home.path(), &[name]), [state], "{name} {shell:?}");
        }
        calls(home.path());
        let names: Vec<String> = (1..50).map(|port| format!("port {port}/tcp")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(get(shell, home.path(), &names).len(), 49);
        assert_eq!(calls(home.path()).len(), 4, "ports are read once: {shell:?}");
    }
}

#[test]
fn what_firewalld_is_told_is_what_it_says_afterwards_and_back() {
    for shell in shells() {
        let home = home(&[("busctl", BUSCTL), ("firewall-cmd", "echo python >&2; exit 1")]);
        for name in [
            "port 22/tcp",
            "port 5000-5010/udp",
            "service http",
            "rule family=\"ipv4\" source address=\"192.0.2.0/24\" accept",
            "forward 80/tcp to 8080",
            "forward 80/tcp to 8080 at fd00::5",
            "masquerade 10.0.0.5",
            "source 10.0.0.0/8",
        ] {
            let wish = "new yes\npending yes\nauto - yes yes";
            assert_eq!(set(shell, home.path(), name, wish), "0\n", "{name} {shell:?}");
            assert_eq!(get(shell, home.path(), &[name]), ["firewalld public yes yes"], "{name} {shell:?}");
            // What is there already is no mistake, nor what is gone.
            assert_eq!(set(shell, home.path(), name, "firewalld public yes yes"), "0\n", "{name} {shell:?}");
            // The default zone may be another one by then.
            fs::write(home.path().join("default"), "work").unwrap();
            for _ in 0..2 {
                assert_eq!(set(shell, home.path(), name, "firewalld public no no"), "0\n", "{name} {shell:?}");
            }
            assert_eq!(text(home.path(), "permanent") + &text(home.path(), "running"), "", "{name} {shell:?}");
            fs::write(home.path().join("default"), "public").unwrap();
        }
        let refused = "firewalld says: INVALID_RULE: bogus\n1\n";
        assert_eq!(set(shell, home.path(), "rule bogus", "firewalld public yes yes"), refused, "{shell:?}");
    }
}

#[test]
fn of_ports_that_were_open_in_part_that_part_stays() {
    for shell in shells() {
        let home = home(&[("busctl", BUSCTL)]);
        let theirs = "Port 5004-5005 tcp\nPort 5009 tcp\nPort 5004 udp\n";
        for layer in ["permanent", "running"] {
            fs::write(home.path().join(layer), theirs).unwrap();
        }
        let name = "port 5004-5010/tcp";
        let was = get(shell, home.path(), &[name]).remove(0);
        assert_eq!(was, "firewalld public 5004-5005,5009-5009 5004-5005,5009-5009", "{shell:?}");
        set(shell, home.path(), name, "firewalld public yes yes");
        // As firewalld does, which joins what overlaps.
        for layer in ["permanent", "running"] {
            fs::write(home.path().join(layer), "Port 5004-5010 tcp\nPort 5004 udp\n").unwrap();
        }
        calls(home.path());
        set(shell, home.path(), name, &was);
        let told: Vec<String> = calls(home.path()).into_iter().filter(|call| call.contains("remove")).collect();
        let removed: Vec<&str> = told.iter().map(|call| call.split("removePort ").nth(1).unwrap()).collect();
        assert_eq!(
            removed,
            ["ss 5006-5008 tcp", "ss 5010 tcp", "sss public 5006-5008 tcp", "sss public 5010 tcp"],
            "{shell:?}"
        );
    }
}

#[test]
fn a_firewalld_that_has_stopped_is_told_in_its_files() {
    for shell in shells() {
        let home = home(&[("busctl", BUSCTL), ("firewall-offline-cmd", "echo \"$*\" >>\"$HOME/calls\"")]);
        fs::write(home.path().join("stopped"), "").unwrap();
        for (name, told) in [
            ("port 22/tcp", "--zone=public --remove-port=22/tcp"),
            ("service http", "--zone=public --remove-service-from-zone=http"),
            (
                "forward 80/tcp to 8080",
                "--zone=public --remove-forward-port=port=80:proto=tcp:toport=8080\n--zone=public --remove-rich-rule=rule \
                 family=\"ipv6\" forward-port port=\"80\" protocol=\"tcp\" to-port=\"8080\"",
            ),
            ("source 10.0.0.0/8", "--zone=public --remove-source=10.0.0.0/8"),
        ] {
            assert_eq!(set(shell, home.path(), name, "firewalld public no no"), "0\n", "{name} {shell:?}");
            assert_eq!(calls(home.path()).join("\n"), told, "{shell:?}");
        }
        fs::remove_file(home.path().join("bin/firewall-offline-cmd")).unwrap();
        assert_eq!(set(shell, home.path(), "port 22/tcp", "firewalld public no no"), "0\n", "it has left: {shell:?}");
        let said = "firewalld does not run\n1\n";
        assert_eq!(set(shell, home.path(), "port 22/tcp", "firewalld public yes no"), said, "{shell:?}");
    }
}

#[test]
fn who_keeps_the_firewall_is_found_out() {
    for shell in shells() {
        let home = home(&[("busctl", BUSCTL), ("firewall-cmd", ":"), ("ufw", ":"), ("nft", NFT)]);
        let at = |name: &str| home.path().join(name);
        fs::write(at("etc/ufw/ufw.conf"), "# ENABLED=no\nENABLED=yes\n").unwrap();
        fs::write(at("etc/ufw/applications.d/web"), "[Nginx Full]\nports=80,443/tcp\n[WWW]\n").unwrap();
        fs::write(at("ruleset"), RULESET).unwrap();
        let head = "firewalld running\nufw active\nnft present\n";
        assert_eq!(found(shell, home.path(), ""), format!("{head}by firewalld\nzone public"), "{shell:?}");
        assert_eq!(
            found(shell, home.path(), "zone=public services"),
            format!("{head}by firewalld\nzone public\nservice http\nservice https"),
            "{shell:?}"
        );
        assert_eq!(
            found(shell, home.path(), "zone=work"),
            format!("{head}by firewalld\nrunning  public  work\npermanent  public  home"),
            "{shell:?}"
        );
        assert_eq!(
            found(shell, home.path(), "zone=denied"),
            "1 firewalld cannot be asked: Call failed: Not Authorized"
        );
        assert_eq!(found(shell, home.path(), "by=ufw"), format!("{head}by ufw"), "{shell:?}");
        fs::write(at("stopped"), "").unwrap();
        let head = head.replace("running", "stopped");
        assert_eq!(
            found(shell, home.path(), "services"),
            format!("{head}by ufw\nservice Nginx Full\nservice WWW"),
            "{shell:?}"
        );
        assert_eq!(found(shell, home.path(), "by=firewalld"), format!("{head}by none"), "{shell:?}");
        fs::write(at("etc/ufw/ufw.conf"), "ENABLED=no\n").unwrap();
        let said = found(shell, home.path(), "");
        let (first, rest) = said.split_once("\nforwarding ").unwrap();
        assert_eq!(first, format!("{}by nftables", head.replace("active", "inactive")), "{shell:?}");
        assert_eq!(rest.split_once('\n').unwrap().1, CHAINS, "{shell:?}");
        fs::remove_file(at("bin/nft")).unwrap();
        let none = "firewalld stopped\nufw inactive\nnft absent\nby none";
        assert_eq!(found(shell, home.path(), ""), none, "{shell:?}");
        assert_eq!(get(shell, home.path(), &["port 22/tcp"]), ["none"], "{shell:?}");
        let said = "the host has neither firewalld that runs nor ufw that is active nor nft\n1\n";
        assert_eq!(set(shell, home.path(), "port 22/tcp", "auto - yes yes"), said, "{shell:?}");
        fs::write(at("no-bus"), "").unwrap();
        let said = "1 firewalld cannot be asked: Failed to connect to bus: No such file or directory";
        assert_eq!(get(shell, home.path(), &["port 22/tcp"]), [said], "{shell:?}");
        // Where there is none, nobody minds that there is no bus.
        fs::remove_file(at("bin/firewall-cmd")).unwrap();
        assert_eq!(found(shell, home.path(), ""), none.replace("stopped", "absent"), "{shell:?}");
    }
}

const RULESET: &str = "table inet provision {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 8443 accept
	}
}
table inet filter {
	set open {
		type inet_service
		elements = { 22, 80 }
	}

	chain services {
		ct state new
		tcp dport 8443 accept
		tcp dport 9 drop
	}

	chain input {
		type filter hook input priority filter; policy drop;
		iif \"lo\" accept
		jump services
	}

	chain output {
		type filter hook output priority filter; policy accept;
		tcp dport 8444 accept
	}
}
# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 1 accept
	}
}
table bridge b {
	chain x {
		type filter hook input priority 0; policy drop;
		accept
	}
	chain y {
		accept me
	}
}
";
const CHAINS: &str = "chain inet filter services - accept
rule tcp dport 8443 accept
chain inet filter input input drop
rule iif \"lo\" accept
rule jump services";

#[test]
fn a_table_of_our_own_comes_with_the_first_rule_and_goes_with_the_last() {
    for shell in shells() {
        let home = home(&[("nft", NFT), ("systemctl", SYSTEMCTL)]);
        let at = home.path();
        let names = [
            "port 8443/tcp",
            "port 5000-5010/udp",
            "forward 80/tcp to 8080",
            "forward 81/tcp to 80 at fd00::5",
            "forward 82/tcp at 10.0.0.5",
            "masquerade fd00::5",
        ];
        let before = get(shell, at, &names);
        assert_eq!(before, ["nftables - no no"; 6], "{shell:?}");
        for name in names {
            assert_eq!(set(shell, at, name, "nftables - yes yes"), "0\n", "{name} {shell:?}");
        }
        assert_eq!(get(shell, at, &names), ["nftables - yes yes"; 6], "{shell:?}");
        assert_eq!(text(at, "etc/provision/firewall.nft"), TABLE, "{shell:?}");
        let first = ["systemctl daemon-reload", "systemctl enable provision-firewall.service"];
        let told = calls(at);
        assert_eq!(told[..2], first, "{shell:?}");
        assert_eq!(told.iter().filter(|call| *call == "systemctl daemon-reload").count(), 1, "{shell:?}");
        // Whoever empties nftables, or takes the file or the unit away.
        fs::remove_file(at.join("live")).unwrap();
        assert_eq!(get(shell, at, &names[..1]), ["nftables - yes no"], "{shell:?}");
        assert_eq!(set(shell, at, names[0], "nftables - yes yes"), "0\n", "{shell:?}");
        fs::write(at.join("etc/systemd/system/provision-firewall.service"), "").unwrap();
        assert_eq!(get(shell, at, &names[..1]), ["nftables - no yes"], "{shell:?}");
        assert_eq!(set(shell, at, names[0], "nftables - yes yes"), "0\n", "{shell:?}");
        assert_eq!(get(shell, at, &names), ["nftables - yes yes"; 6], "{shell:?}");
        for name in names {
            assert_eq!(set(shell, at, name, "nftables - no no"), "0\n", "{name} {shell:?}");
        }
        let left = ["live", "active", "etc/provision", "etc/systemd/system/provision-firewall.service"];
        assert_eq!(left.iter().filter(|name| at.join(name).exists()).count(), 0, "{shell:?}");
        assert_eq!(set(shell, at, names[0], "nftables - no no"), "0\n", "{shell:?}");
        assert_eq!(set(shell, at, "service http", "nftables - yes yes"), "nftables has no such thing as service\n1\n");
        let said = set(shell, at, "port refused/tcp", "nftables - yes yes");
        assert!(said.starts_with("nft refuses the rule tcp dport refused accept: "), "{said} {shell:?}");
        assert!(!at.join("etc/provision").exists(), "{shell:?}");
    }
}

const TABLE: &str = "# Made by provision: the rules of its plans. It goes with the last of them.
table inet provision
delete table inet provision
table inet provision {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 8443 accept
		udp dport 5000-5010 accept
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 80 redirect to :8080
		tcp dport 81 dnat ip6 to [fd00::5]:80
		tcp dport 82 dnat ip to 10.0.0.5
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip6 daddr fd00::5 ct status dnat masquerade
	}
}
";

/// A ufw with the rules that are given, in force and noted.
fn ufw(four: &str, six: &str) -> tempfile::TempDir {
    let home = home(&[
        ("ufw", "echo \"ufw $*\" >>\"$HOME/calls\"; case $* in *refused*) echo 'ERROR: Bad port'; exit 1 ;; esac"),
        ("iptables", "cat \"$HOME/four\""),
        ("ip6tables", "cat \"$HOME/six\""),
    ]);
    let at = |name: &str| home.path().join(name);
    fs::write(at("etc/ufw/ufw.conf"), "ENABLED=yes\n").unwrap();
    fs::write(at("etc/default/ufw"), "IPV6=yes\n").unwrap();
    let tuples = |rules: &str| {
        let rules: Vec<String> = rules.lines().map(|rule| format!("### tuple ### {rule}\n-A x\n")).collect();
        format!("*filter\n### RULES ###\n{}### END RULES ###\n", rules.join("\n"))
    };
    fs::write(at("etc/ufw/user.rules"), tuples(four)).unwrap();
    fs::write(at("etc/ufw/user6.rules"), tuples(six)).unwrap();
    for (name, chain, rules) in [("four", "ufw-user-input", four), ("six", "ufw6-user-input", six)] {
        let rule = |rule: &str| {
            let words: Vec<&str> = rule.split(' ').collect();
            let target = if words[0].starts_with("allow") { "ACCEPT" } else { "DROP" };
            let comment = match words.get(6) {
                Some(app) if *app != "in" => format!("-m comment --comment \"\\'dapp_{app}\\'\" "),
                _ => String::new(),
            };
            let ports = if words[2].contains([':', ',']) { "-m multiport --dports" } else { "-m tcp --dport" };
            format!("-A {chain} -p {} {ports} {} {comment}-j {target}\n", words[1], words[2])
        };
        fs::write(at(name), rules.lines().map(rule).collect::<String>()).unwrap();
    }
    home
}

const FOUR: &str = "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n\
    allow udp 5000:5010 0.0.0.0/0 any 0.0.0.0/0 in\n\
    deny tcp 8443 0.0.0.0/0 any 0.0.0.0/0 in\n\
    allow_log tcp 56 0.0.0.0/0 any 0.0.0.0/0 in comment=61\n\
    allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 Nginx%20Full - in";
const SIX: &str = "allow tcp 22 ::/0 any ::/0 in\nallow tcp 80,443 ::/0 any ::/0 Nginx%20Full - in";

#[test]
fn ufws_rules_are_read_without_it() {
    for shell in shells() {
        let home = ufw(FOUR, SIX);
        for (name, state) in [
            ("port 22/tcp", "ufw - allow/allow allow/allow"),
            ("port 22/udp", "ufw - no/no no/no"),
            ("port 5000-5010/udp", "ufw - allow/no allow/no"),
            ("port 8443/tcp", "ufw - deny/no deny/no"),
            ("port 56/tcp", "ufw - allow_log/no allow/no"),
            ("service Nginx Full", "ufw - allow/allow allow/allow"),
            ("service Nginx", "ufw - no/no no/no"),
            ("rule accept", "1 ufw has no such thing as rule"),
        ] {
            assert_eq!(get(shell, home.path(), &[name]), [state], "{name} {shell:?}");
        }
        fs::write(home.path().join("etc/default/ufw"), "IPV6=no\n").unwrap();
        assert_eq!(get(shell, home.path(), &["port 22/tcp"]), ["ufw - allow/never allow/never"], "{shell:?}");
        fs::write(home.path().join("four"), "").unwrap();
        assert_eq!(get(shell, home.path(), &["port 22/tcp"]), ["ufw - allow/never no/never"], "{shell:?}");
        fs::remove_file(home.path().join("etc/ufw/user.rules")).unwrap();
        let said = get(shell, home.path(), &["port 22/tcp"]).remove(0);
        assert!(said.starts_with("1 the rules of ufw cannot be read: "), "{said} {shell:?}");
        assert_eq!(calls(home.path()), [""; 0], "{shell:?}");
    }
}

#[test]
fn ufw_is_told_once_what_is_the_same_for_both_families() {
    for shell in shells() {
        let home = ufw(FOUR, SIX);
        let told = |name: &str, state: &str| {
            assert_eq!(set(shell, home.path(), name, state), "0\n", "{name} {shell:?}");
            calls(home.path())
        };
        assert_eq!(told("port 8444/tcp", "new yes\nufw - yes yes"), ["ufw allow 8444/tcp"], "{shell:?}");
        assert_eq!(told("port 22/tcp", "ufw - yes yes"), [""; 0], "{shell:?}");
        assert_eq!(told("port 22/tcp", "ufw - no/no no/no"), ["ufw delete allow 22/tcp"], "{shell:?}");
        assert_eq!(
            told("port 5000-5010/udp", "ufw - yes yes"),
            ["ufw allow proto udp to ::/0 port 5000:5010"],
            "{shell:?}"
        );
        assert_eq!(
            told("port 8443/tcp", "ufw - yes yes"),
            ["ufw allow proto tcp to 0.0.0.0/0 port 8443", "ufw allow proto tcp to ::/0 port 8443"],
            "{shell:?}"
        );
        assert_eq!(
            told("port 22/tcp", "ufw - limit/deny limit/deny"),
            ["ufw limit proto tcp to 0.0.0.0/0 port 22", "ufw deny proto tcp to ::/0 port 22"],
            "{shell:?}"
        );
        assert_eq!(told("port 56/tcp", "ufw - no/no no/no"), ["ufw delete allow log proto tcp to 0.0.0.0/0 port 56"]);
        assert_eq!(told("service Nginx Full", "ufw - no/no no/no"), ["ufw delete allow Nginx Full"], "{shell:?}");
        assert_eq!(
            told("service Nginx Full", "ufw - allow/no allow/no"),
            ["ufw delete allow to ::/0 app Nginx Full"],
            "{shell:?}"
        );
        // What is noted and not in force is brought into force.
        fs::write(home.path().join("six"), "").unwrap();
        assert_eq!(told("port 22/tcp", "ufw - yes yes"), ["ufw reload"], "{shell:?}");
        let said = set(shell, home.path(), "port refused/tcp", "ufw - yes yes");
        assert_eq!(said, "ufw allow refused/tcp: ERROR: Bad port\n1\n", "{shell:?}");
        fs::write(home.path().join("etc/default/ufw"), "IPV6=no\n").unwrap();
        calls(home.path());
        assert_eq!(told("port 22/tcp", "ufw - no/no no/no"), ["ufw delete allow 22/tcp"], "{shell:?}");
        fs::remove_file(home.path().join("bin/ufw")).unwrap();
        assert_eq!(told("port 22/tcp", "ufw - no/no no/no"), [""; 0], "it has left: {shell:?}");
    }
}

#[test]
fn states_are_shown_and_told_from_those_of_others() {
    assert_eq!(show("firewalld public yes no"), "firewalld (public): yes, running no");
    assert_eq!(show("ufw - allow/no allow/no"), "ufw: allow/no");
    assert_eq!(show("firewalld public yes yes"), "firewalld (public)");
    assert_eq!(show("ufw - allow/allow allow/allow"), "ufw");
    assert_eq!(show("none"), "none");
    for (state, closed) in [
        ("firewalld public no no", true),
        ("ufw - no/never no/never", true),
        ("none", true),
        ("firewalld public no yes", false),
        ("firewalld public 1-2 no", false),
        ("ufw - no/deny no/no", false),
    ] {
        assert_eq!(is_closed(state), closed, "{state}");
    }
    assert_eq!(settled("new yes\npending yes\nauto - yes yes"), "firewalld public yes yes");
    assert_eq!(settled("ufw - yes yes"), "ufw - allow/allow allow/allow");
    assert!(is_back("firewalld public no no", "firewalld public no no"));
    assert!(!is_back("firewalld public yes no", "firewalld public no no"));
    assert!(is_back("firewalld work yes no", "firewalld public no no"));
    assert!(is_back("nftables - no no", "firewalld public no no"));
}
