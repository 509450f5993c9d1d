//! Firewalls, seen from another host: what is let in and forwarded, over both families, and what is said where somebody
//! else's rules stand in the way.

use std::fs;

use provision_tests::{Error, Host, Testbed};

use crate::support::{Plan, Ran};

/// A plan for a host.
fn plan(bed: &Testbed, host: &Host, name: &str, text: &str) -> Result<Plan, Error> {
    let folder = bed.directory().join("firewall");
    fs::create_dir_all(&folder).map_err(Error::Run)?;
    let file = folder.join(format!("{name}.toml"));
    let head = format!(
        "name = \"firewall\"\n[host.h]\naddress = \"{}\"\nuser = \"root\"\nconnect_timeout = \"3s\"\nconfirm_timeout = \"8s\"\n",
        host.ipv4
    );
    fs::write(&file, format!("{head}{text}")).map_err(Error::Run)?;
    Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
}

/// Serves a word over HTTP on a port, over both families.
fn serve(host: &Host, port: u16, word: &str) -> Result<(), Error> {
    host.sh(&format!(
        "mkdir -p /srv/{port} && echo {word} >/srv/{port}/index.html && \
         systemd-run --quiet --unit=serve-{port} python3 -m http.server --bind :: --directory /srv/{port} {port} && \
         i=0; while ! curl -s -o /dev/null http://localhost:{port}/; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done"
    ))?
    .ok()?;
    Ok(())
}

/// What a client gets of a port of a host, over IPv4 and IPv6; `-` where it gets nothing.
fn got(client: &Host, host: &Host, port: u16) -> Result<[String; 2], Error> {
    let get = |address: String| -> Result<String, Error> {
        let output = client.sh(&format!("curl -s -g --max-time 3 http://{address}:{port}/ || echo -"))?;
        Ok(output.stdout.trim().to_owned())
    };
    Ok([get(host.ipv4.to_string())?, get(format!("[{}]", host.ipv6))?])
}

fn failed(ran: &Ran, text: &str) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.code != Some(0) && said.contains(text), "{ran:#?}");
}

/// What a person with nftables has: all that is not named is dropped.
const THEIRS: &str = r#"#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif lo accept
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
	}
}
"#;

#[test]
fn nftables_lets_in_and_forwards_and_says_who_drops_all_the_same() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client, target) = (bed.fresh_host("fwtable")?, bed.fresh_host("fwclient")?, bed.fresh_host("fwtarget")?);
    host.sh("systemctl --quiet disable --now firewalld")?.ok()?;
    target.sh("systemctl --quiet stop firewalld")?.ok()?;
    host.copy_in("/etc/nftables.conf", THEIRS.as_bytes())?;
    host.sh("systemctl --quiet enable --now nftables")?.ok()?;
    let ruleset = host.sh("nft -s list ruleset")?.ok()?;
    serve(&host, 8443, "here")?;
    serve(&target, 80, "there")?;
    let ports = "[firewall.f]\nports = [\"8443/tcp\"]\n";

    // It is said, and nothing pretends to have opened the port.
    let strict = plan(bed, &host, "strict", ports)?;
    let why = "the chain input of the table inet filter drops what it does not accept";
    failed(&strict.run(bed, "diff", &[])?, why);
    failed(&strict.run(bed, "apply", &["--yes"])?, why);
    assert_eq!(host.sh("nft -s list ruleset")?.ok()?, ruleset);
    let ignoring = plan(bed, &host, "ignoring", &format!("{ports}blocked = \"ignore\"\n"))?;
    let ran = ignoring.run(bed, "apply", &["--yes"])?.ok();
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains(why), "{ran:#?}");
    assert_eq!(got(&client, &host, 8443)?, ["-", "-"], "nothing of ours overrides a drop");

    // Once it is let in there, too, it is open; what empties nftables does not last.
    host.sh("sed -i 's/dport 22/dport { 22, 8443 }/' /etc/nftables.conf && systemctl reload nftables")?.ok()?;
    strict.applied_twice(bed, &host)?;
    assert_eq!(got(&client, &host, 8443)?, ["here", "here"]);
    for verb in ["reload nftables", "restart nftables", "stop nftables; systemctl start nftables"] {
        host.sh(&format!("systemctl {verb}"))?.ok()?;
        let shown = host
            .sh("i=0; until nft list table inet provision; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done")?;
        assert!(shown.ok()?.contains("tcp dport 8443 accept"), "after {verb}");
    }

    let forwards = format!(
        "{ports}forward_ports = [\"8080/tcp -> 8443\", \"8081/tcp -> {}:80\", \"8081/tcp -> [{}]:80\"]\nmasquerade = true\n",
        target.ipv4, target.ipv6
    );
    let asleep = plan(bed, &host, "asleep", &forwards)?;
    failed(&asleep.run(bed, "apply", &["--yes"])?, "net.ipv4.ip_forward is 0");
    let sysctls = "[sysctl.four]\nkey = \"net.ipv4.ip_forward\"\nvalue = 1\n[sysctl.six]\nkey = \"net.ipv6.conf.all.forwarding\"\nvalue = 1\n";
    let forwarding = plan(bed, &host, "forwarding", &format!("{forwards}{sysctls}"))?;
    forwarding.applied_twice(bed, &host)?;
    assert_eq!(got(&client, &host, 8080)?, ["here", "here"]);
    // The way back leads through this host, or there would be no answer.
    assert_eq!(got(&client, &host, 8081)?, ["there", "there"]);

    host.reboot()?;
    serve(&host, 8443, "again")?;
    assert_eq!(got(&client, &host, 8080)?, ["again", "again"]);
    assert_eq!(got(&client, &host, 8081)?, ["there", "there"]);
    assert_eq!(forwarding.diff(bed)?.ok().changes().len(), 0);

    forwarding.run(bed, "destroy", &["--yes"])?.ok();
    assert_eq!(host.sh("nft -s list ruleset")?.ok()?, ruleset.replace("dport 22", "dport { 22, 8443 }"));
    let left = host.sh("find /etc/provision /etc/systemd/system -name '*provision*' 2>/dev/null; ls -d /etc/systemd/system/nftables.service.wants 2>/dev/null; true")?;
    assert_eq!(left.ok()?, "");
    Ok(())
}

#[test]
fn ufw_lets_in_over_both_families_and_closes_again() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("fwufw")?, bed.fresh_host("fwufwc")?);
    host.sh("systemctl --quiet disable --now firewalld && ufw allow 22/tcp && ufw --force enable")?.ok()?;
    serve(&host, 8443, "here")?;
    let status = host.sh("ufw status")?.ok()?;
    assert_eq!(got(&client, &host, 8443)?, ["-", "-"]);
    let refused = plan(bed, &host, "rich", "[firewall.f]\nrich_rules = [\"rule service name=http accept\"]\n")?;
    failed(
        &refused.run(bed, "apply", &["--yes"])?,
        "ufw keeps the host's firewall and cannot have rule service name=http accept",
    );
    let plan = plan(bed, &host, "ufw", "[firewall.f]\nports = [\"8443/tcp\"]\n")?;
    plan.applied_twice(bed, &host)?;
    assert_eq!(got(&client, &host, 8443)?, ["here", "here"]);
    host.reboot()?;
    serve(&host, 8443, "again")?;
    assert_eq!(got(&client, &host, 8443)?, ["again", "again"]);
    assert_eq!(plan.diff(bed)?.ok().changes().len(), 0);
    plan.run(bed, "destroy", &["--yes"])?.ok();
    assert_eq!(got(&client, &host, 8443)?, ["-", "-"]);
    assert_eq!(host.sh("ufw status")?.ok()?, status);
    Ok(())
}

#[test]
fn a_firewalld_that_the_plan_starts_lets_in_and_forwards_at_once() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let (host, client) = (bed.fresh_host("fwlater")?, bed.fresh_host("fwlaterc")?);
    host.sh("systemctl --quiet disable --now firewalld")?.ok()?;
    serve(&host, 8443, "here")?;
    let text = "[service.firewalld]\nunit = \"firewalld\"\n[firewall.f]\nports = [\"8443/tcp\"]\nforward_ports = [\"8080/tcp -> 8443\"]\n";
    let plan = plan(bed, &host, "later", text)?;
    let ran = plan.run(bed, "diff", &[])?.ok();
    assert!(ran.stdout.contains("firewalld starts before"), "{ran:#?}");
    plan.applied_twice(bed, &host)?;
    assert_eq!(got(&client, &host, 8443)?, ["here", "here"]);
    assert_eq!(got(&client, &host, 8080)?, ["here", "here"], "firewalld's own forward is of IPv4 alone");
    // Somebody stops it: what is noted is taken back in its files.
    host.sh("systemctl stop firewalld")?.ok()?;
    plan.run(bed, "destroy", &["--yes"])?.ok();
    host.sh("systemctl start firewalld")?.ok()?;
    let zone = host
        .sh("firewall-cmd --list-ports; firewall-cmd --list-forward-ports; firewall-cmd --list-rich-rules")?
        .ok()?;
    assert_eq!(zone.trim(), "");
    Ok(())
}

#[test]
fn a_host_without_any_firewall_is_told() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("fwnone")?;
    host.sh(
        "systemctl --quiet disable --now firewalld && cd /usr/sbin && rm -f firewalld nft ufw /usr/bin/firewall-cmd",
    )?
    .ok()?;
    let ports = "[firewall.f]\nports = [\"8443/tcp\"]\n";
    let why = "the host has no firewall that is known here: firewalld is absent, ufw is absent, nft is absent";
    failed(&plan(bed, &host, "none", ports)?.run(bed, "apply", &["--yes"])?, why);
    let ran = plan(bed, &host, "anyway", &format!("{ports}absent = \"ignore\"\n"))?.run(bed, "apply", &["--yes"])?.ok();
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains(why), "{ran:#?}");
    Ok(())
}

#[test]
fn a_rule_that_would_lock_us_out_is_taken_back_by_the_host() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let host = bed.fresh_host("fwlocked")?;
    let zone = "firewall-cmd --list-all; firewall-cmd --permanent --list-all";
    let before = host.sh(zone)?.ok()?;
    let rule = "[firewall.f]\nports = [\"8443/tcp\"]\nrich_rules = [\"rule priority=-100 service name=ssh drop\"]\n";
    let ran = plan(bed, &host, "locked", rule)?.run(bed, "apply", &["--yes"])?;
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert_eq!(host.sh(zone)?.ok()?, before);
    Ok(())
}
