//! `playbooks/mirror-registry` without a host: what it makes of its inputs, and what is refused before a host is asked.
//! Whether Quay takes it is seen on real hosts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use base64::Engine as _;
use camino::Utf8PathBuf;
use provision_core::facts::Facts;
use provision_core::graph::Graph;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::{PlanError, Source};

const PLAYBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/mirror-registry");

/// An image that is pinned.
const DIGEST: &str = "quay.io/quay/quay-mirror@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The playbook with these inputs; files among them start at a directory.
fn plan_in(directory: &str, inputs: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let mut values = Inputs::new(Utf8PathBuf::from(directory));
    let always = [("address", "192.0.2.10"), ("hostname", "registry.example.com")];
    always.iter().chain(inputs).for_each(|(name, value)| values.set(name, value, Origin::Argument));
    let text = std::fs::read_to_string(format!("{PLAYBOOK}/plan.toml")).unwrap();
    Plan::parse(Source { name: "plan.toml".to_owned(), text }, Arc::new(Folder(PLAYBOOK.into())), &values)
}

fn plan(inputs: &[(&str, &str)]) -> Plan {
    plan_in("/nowhere", inputs).unwrap_or_else(|error| panic!("{inputs:?}: {error}"))
}

/// What there is of it on a host like this.
fn graph(inputs: &[(&str, &str)], facts: &[(&str, &str)]) -> Result<Graph, PlanError> {
    let mut known = Facts::example();
    facts.iter().for_each(|(name, value)| known.set(name, value));
    let plan = plan(inputs);
    plan.resolve(plan.hosts().first().unwrap(), &known)
}

fn output(graph: &Graph, name: &str) -> String {
    let found = graph.outputs().iter().find(|(known, _)| known == name);
    found.map(|(_, text)| text.shown().to_owned()).unwrap_or_default()
}

/// All that a plan says, for a resource that is a file.
fn has(graph: &Graph, address: &str) -> bool {
    graph.resources().any(|(known, _)| known.to_string() == address)
}

#[test]
fn both_payloads_are_valid_with_every_input() {
    for inputs in [
        &[][..],
        &[("payload", "2")],
        &[("runs_as", "core"), ("login", "core"), ("database", "data"), ("storage", "/srv/images"), ("selinux", "")],
        &[("payload", "2"), ("runs_as", "core"), ("dual_stack", "haproxy"), ("storage", "/srv/images")],
        &[("ipv4", ""), ("port", "443"), ("root", "/srv/a root"), ("pull_secret", "/root/auth.json"), ("memory", "1G")],
        &[("ipv6", ""), ("names", "a.example.com,192.0.2.1"), ("superusers", "b"), ("settings", "{ A = 1 }")],
        &[("password", "correct-horse"), ("user", "ad.min"), ("image", DIGEST)],
    ] {
        plan(inputs);
    }
}

/// By the host's podman and addresses, and by whom it runs as.
#[test]
fn how_both_families_are_served_follows_the_host() {
    const OLD: (&str, &str) = ("podman_version", "4.9.4");
    const FOUR: &str = "IPv4 alone, since the host has no address of IPv6 or none is asked for";
    const FRONT: &str = "IPv4 by podman 5.4.2, IPv6 by haproxy in front of it";
    const ROOT: &str = "both families by a network of its own with IPv6, which root has";
    for (inputs, facts, expected) in [
        (&[][..], &[][..], ROOT),
        (&[], &[OLD], ROOT),
        (&[("runs_as", "core")], &[], "both families by pasta, which podman 5.4.2 has for a user"),
        (&[("runs_as", "core")], &[OLD], "IPv4 by podman 4.9.4, IPv6 by haproxy in front of it"),
        (&[("dual_stack", "haproxy")], &[], FRONT),
        (&[("dual_stack", "haproxy"), ("ipv4", "192.0.2.1"), ("ipv6", "2001:db8::1"), ("payload", "2")], &[], FRONT),
        (&[("dual_stack", "haproxy"), ("ipv6", "::"), ("runs_as", "core")], &[("ipv6", "")], FRONT),
        (&[("dual_stack", "haproxy")], &[("ipv6", "")], FOUR),
        (&[("dual_stack", "haproxy"), ("ipv6", "")], &[], FOUR),
        (&[], &[("ipv6", "")], FOUR),
        (&[("ipv6", "")], &[], FOUR),
        (&[("ipv6", "::")], &[("ipv6", "")], ROOT),
        (&[], &[("ipv4", "")], ROOT),
    ] {
        let graph = graph(inputs, facts).unwrap_or_else(|error| panic!("{inputs:?} {facts:?}: {error}"));
        assert_eq!(output(&graph, "serving"), expected, "{inputs:?} {facts:?}");
        assert_eq!(has(&graph, "reach/network.registry"), expected == ROOT);
        assert_eq!(has(&graph, "front/haproxy.front"), expected.contains("haproxy"));
        assert_eq!(has(&graph, "check.ipv6"), expected != FOUR);
        assert_eq!(has(&graph, "check.ipv4"), !facts.contains(&("ipv4", "")));
    }
}

#[test]
fn what_cannot_be_is_refused_when_the_plan_is_read() {
    for (name, value, part) in [
        ("payload", "4", "2 or 3"),
        ("hostname", "registry.example.com:8443", "without a port"),
        ("port", "0", "1 to 65535"),
        ("storage", "srv/x", "an absolute path, or the name of a volume"),
        ("database", "../x", "an absolute path, or the name of a volume"),
        ("selinux", "U", "Z, z or nothing"),
        ("user", "Init", "a-z and 0-9"),
        ("user", "a", "2 to 255"),
        ("ipv4", "::", "nothing for none, or auto"),
        ("dual_stack", "slirp", "network (root)"),
        ("dual_stack", "pasta", "pasta for a user's"),
        ("adopt", "true", "only Quay 2.x (payload = 2) takes over"),
    ] {
        let Err(error) = plan_in("/nowhere", &[(name, value)]) else { panic!("{name} = {value} is taken") };
        assert!(error.to_string().contains(part), "{name} = {value}: {error}");
    }
    let error = plan_in("/nowhere", &[("storage", "/srv/q"), ("database", "/srv/q")]).unwrap_err().to_string();
    assert!(error.contains("another one than the database's"), "{error}");
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A certificate of one's own and its key are both given or neither; and they belong together.
#[test]
fn a_certificate_that_is_none_is_refused_when_the_plan_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let make = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["registry.example.com".to_owned()]).unwrap();
        write(&format!("{name}.crt"), &pem("CERTIFICATE", made.cert.der()));
        write(&format!("{name}.key"), &pem("PRIVATE KEY", &made.signing_key.serialize_der()));
    };
    make("one");
    make("two");
    write("junk.crt", "junk\n");
    let given = |inputs: &[(&str, &str)]| plan_in(directory.path().to_str().unwrap(), inputs);
    given(&[("certificate", "one.crt"), ("key", "one.key")]).unwrap_or_else(|error| panic!("{error}"));
    for (inputs, part) in [
        (&[("certificate", "one.crt")][..], "lacks the key of its certificate"),
        (&[("key", "one.key")], "lacks the certificate"),
        (&[("authority", "one.crt")], "lacks the certificate"),
        (&[("certificate", "one.crt"), ("key", "two.key")], "does not belong to the certificate"),
        (&[("certificate", "junk.crt"), ("key", "one.key")], "no certificate in PEM"),
        (&[("certificate", "one.crt"), ("key", "none.key")], "none.key"),
        (&[("certificate", "one.crt"), ("key", "one.key"), ("names", "b.example.com")], "b.example.com"),
        (&[("certificate", "one.crt"), ("key", "one.key"), ("certificate_names", "c.example.com")], "c.example.com"),
    ] {
        let Err(error) = given(inputs) else { panic!("{inputs:?} is taken") };
        let error = error.to_string();
        assert!(error.contains(part) && !error.contains("PRIVATE"), "{inputs:?}: {error}");
    }
}
