//! What is written for a plan, what is refused, and that haproxy itself takes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::Action;
use crate::connection::Connection;
use crate::facts::Facts;
use crate::path::AbsPath;
use crate::plan::Plan;
use crate::plan::asset::NoAssets;
use crate::plan::input::Inputs;
use crate::plan::problem::Source;
use crate::probe::UnitState;
use crate::resource::Context;
use crate::testing::{Case, FakeHost, NOW, State, case};
use crate::x509::{self, AuthoritySpec, LeafSpec, Names};

const PATH: &str = "/etc/haproxy/haproxy.cfg";

/// What the mirror registry's own installer has: IPv6 in front of a registry on IPv4.
const IPV6: &str = r#"
[[haproxy.x.frontend]]
name = "registry_v6"
bind = [{ address = "::", port = 8443, v6only = true }]
backend = "registry"

[[haproxy.x.backend]]
name = "registry"
servers = [{ name = "local", address = "127.0.0.1", port = 8443, check = true }]
"#;

const EVERYTHING: &str = r#"
global = ["maxconn 100"]
defaults = ["timeout connect 1s", "timeout client 1m", "timeout server 1m"]

[[haproxy.x.frontend]]
name = "plain"
mode = "http"
bind = ["*:8080", "[::1]:8080", "2001:db8::1:8080"]
lines = ["http-request redirect scheme https"]

[[haproxy.x.frontend]]
name = "secure"
mode = "http"
bind = [{ address = "0.0.0.0", port = 443, tls = "/srv/it's.crt", options = ["alpn h2,http/1.1"] }]
backend = "web"

[[haproxy.x.backend]]
name = "web"
mode = "http"
balance = "leastconn"
lines = ["option httpchk GET /healthz", "http-request set-header X-Forwarded-Proto 'https # always'"]

[[haproxy.x.backend.servers]]
name = "one"
address = "fd00::1"
port = 8443
check = true
authority = "/srv/root.crt"
verify_name = "registry.example.com"
send_proxy = "v2"
options = ["weight 10"]

[[haproxy.x.backend.servers]]
name = "two"
address = "192.0.2.2"
port = 8443
backup = true
"#;

fn haproxy(fields: &str) -> Case {
    case("haproxy", fields)
}

fn written(case: &Case) -> String {
    let path: AbsPath = PATH.parse().unwrap();
    String::from_utf8(case.host().with(|state| state.entries[&path].1.clone())).unwrap()
}

#[test]
fn the_front_of_the_mirror_registry_is_written() {
    let case = haproxy(IPV6)
        .creates("content: (absent) -> (25 lines), mode: (absent) -> 0644")
        .steps("put the file /etc/haproxy/haproxy.cfg in place")
        .in_sync();
    assert_eq!(
        written(&case),
        "\
# Managed by provision as haproxy.x: what is changed here by hand is put back.

global
    log stdout format short daemon
    maxconn 4000
    chroot /var/lib/haproxy
    user haproxy
    group haproxy

defaults
    log global
    option dontlognull
    timeout connect 10s
    timeout client 5m
    timeout server 5m

frontend registry_v6
    mode tcp
    option tcplog
    bind :::8443 v6only
    default_backend registry

backend registry
    mode tcp
    server local 127.0.0.1:8443 check
"
    );
}

#[test]
fn everything_is_written_as_haproxy_reads_it() {
    let case = haproxy(EVERYTHING).mended();
    assert_eq!(
        written(&case),
        "\
# Managed by provision as haproxy.x: what is changed here by hand is put back.

global
    maxconn 100

defaults
    timeout connect 1s
    timeout client 1m
    timeout server 1m

frontend plain
    mode http
    bind 0.0.0.0:8080
    bind [::1]:8080
    bind [2001:db8::1]:8080
    http-request redirect scheme https

frontend secure
    mode http
    bind 0.0.0.0:443 ssl crt '/srv/it'\\''s.crt' alpn h2,http/1.1
    default_backend web

backend web
    mode http
    balance leastconn
    option httpchk GET /healthz
    http-request set-header X-Forwarded-Proto 'https # always'
    server one [fd00::1]:8443 check ssl verify required ca-file /srv/root.crt sni str(registry.example.com) \
         verifyhost registry.example.com check-sni registry.example.com send-proxy-v2 weight 10
    server two 192.0.2.2:8443 backup
"
        .replace("         verifyhost", "verifyhost")
    );
}

#[test]
fn ipv6_without_v6only_takes_ipv4_too_whatever_the_host_says() {
    let case = haproxy("[[haproxy.x.frontend]]\nname = 'f'\nbind = [':::80']\nlines = ['option dontlognull']").mended();
    assert!(written(&case).contains("\n    bind :::80 v4v6\n"));
}

#[test]
fn keys_beside_certificates_are_found() {
    let fields = "[[haproxy.x.frontend]]\nname = 'f'\nlines = ['option dontlognull']\n\
                  bind = [{ address = '*', port = 443, tls = '/srv/a.crt' }]";
    assert!(written(&haproxy(fields).mended()).contains("\n    ssl-load-extra-del-ext\n"));
}

#[test]
fn what_is_edited_by_hand_is_put_back() {
    haproxy(IPV6)
        .given_file(PATH, "global\n", "0600")
        .updates("content: (1 lines) -> (25 lines), mode: 0600 -> 0644")
        .mended()
        .given(|state| state.put_file(PATH, b"", "0644"))
        .updates("content: (0 lines) -> (25 lines)")
        .mended();
    let case = haproxy(&format!("mode = '0640'\nowner = 'root'\ngroup = 'haproxy'\n{IPV6}"));
    case.applied()
        .given(|state| state.entries.get_mut(&PATH.parse().unwrap()).unwrap().0.group.name = None)
        .updates("group: 1000 -> haproxy")
        .steps("set mode and owner of /etc/haproxy/haproxy.cfg")
        .in_sync();
}

#[test]
fn haproxy_checks_it_unless_told_not_to() {
    let broken = |state: &mut State| {
        state.statuses.insert(["haproxy", "-c", "-f", "%s"].map(str::to_owned).to_vec(), 1);
    };
    let case = haproxy(IPV6).given_file(PATH, "old\n", "0644").given(broken);
    let case = case.fails_with("cannot put the file /etc/haproxy/haproxy.cfg in place: refused by its validation");
    assert_eq!(written(&case), "old\n");
    haproxy(&format!("check = false\n{IPV6}")).given(broken).mended();
}

#[test]
fn a_host_without_haproxy_is_found_out_beforehand() {
    let absent = |state: &mut State| {
        state.statuses.insert(["haproxy", "-v"].map(str::to_owned).to_vec(), 127);
    };
    haproxy(IPV6).given(absent).undecided("haproxy is not installed on the host, so it cannot check its configuration");
    haproxy(IPV6).applied().given(absent).in_sync();
    haproxy(&format!("check = false\n{IPV6}")).given(absent).mended();
    // A command that comes before it may bring it.
    let source = Source { name: "plan.toml".to_owned(), text: format!("name = 'c'\n[haproxy.x]\n{IPV6}") };
    let plan = Plan::parse(source, Arc::new(NoAssets), &Inputs::default()).unwrap();
    let graph = plan.resolve(&plan.hosts()[0], &Facts::example()).unwrap();
    let (_, resource) = graph.resources().next().unwrap();
    let host = FakeHost::new();
    host.with(absent);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(host.ask(&resource.asks().into_iter().collect())).unwrap();
    let (upstream, causes) = (BTreeMap::new(), Vec::new());
    let context = Context {
        now: NOW,
        clock: NOW,
        upstream: &upstream,
        provided: &[],
        command: true,
        causes,
        owed: &[],
        unfinished: false,
        drafts: &Default::default(),
    };
    assert_eq!(resource.diff(&answers, &context).unwrap().action, Action::Create);
}

#[test]
fn it_comes_after_its_certificates_and_what_it_leads_to() {
    let plan = "check = false\npath = '/srv/front/haproxy.cfg'\n[[haproxy.x.frontend]]\nname = 'f'\nbackend = 'b'\n\
                bind = [{ address = '::', port = 8443, v6only = true, tls = '/srv/tls/web.crt' }]\n\
                [[haproxy.x.backend]]\nname = 'b'\n\
                servers = [{ name = 's', address = '127.0.0.1', port = 8443, authority = '/srv/tls/root.crt' }]\n\
                [certificate.web]\ndirectory = '/srv/tls'\nnames = ['a.example']\n\
                authority = '/srv/tls/root.crt'\nauthority_key = '/srv/tls/root.key'\n\
                [certificate_authority.root]\ndirectory = '/srv/tls'\ncommon_name = 'CA'\n\
                [directory.tls]\npath = '/srv/tls'\n[directory.front]\npath = '/srv/front'\n";
    haproxy(plan)
        .steps(
            "make the directory /srv/tls; put the file /srv/tls/root.key in place; \
             put the file /srv/tls/root.crt in place; put the file /srv/tls/web.key in place; \
             put the file /srv/tls/web.crt in place; make the directory /srv/front; \
             put the file /srv/front/haproxy.cfg in place",
        )
        .in_sync();
}

#[test]
fn its_service_takes_the_new_configuration_and_the_new_certificate_in() {
    let plan = |name: &str| {
        format!(
            "check = false\nservice = 'front'\n[[haproxy.x.frontend]]\nname = '{name}'\nlines = ['option dontlognull']\n\
             bind = [{{ address = '*', port = 443, tls = '/srv/web.crt' }}]\n\
             [certificate.web]\ndirectory = '/srv'\nnames = ['a.example']\n\
             [service.front]\nunit = 'front.service'\non_change = 'reload'\n"
        )
    };
    let running = |state: &mut State| {
        let words = |text: &str| text.to_owned();
        let (load, active, sub, file) = (words("loaded"), words("active"), words("running"), words("enabled"));
        state.units.insert("front.service".to_owned(), UnitState { load, active, sub, file, stale: false });
    };
    let host = haproxy(&plan("old")).given(running).applied().host().with(|state| state.clone());
    haproxy(&plan("new"))
        .given(|state| *state = host.clone())
        .steps("put the file /etc/haproxy/haproxy.cfg in place; reload front.service")
        .in_sync();
    haproxy(&plan("old"))
        .given(|state| *state = host)
        .at(NOW + time::Duration::days(390))
        .steps("put the file /srv/web.key in place; put the file /srv/web.crt in place; reload front.service")
        .in_sync();
}

#[test]
fn a_port_that_another_resource_has_is_refused() {
    let other = "\n[haproxy.y]\npath = '/srv/y.cfg'\n[[haproxy.y.frontend]]\nname = 'f'\nlines = ['option dontlognull']\n\
                 bind = ['0.0.0.0:8443']\n";
    let dual = "[[haproxy.x.frontend]]\nname = 'f'\nlines = ['option dontlognull']\nbind = [':::8443']\n";
    case("haproxy", &format!("{dual}{other}"))
        .refused("8:10: haproxy.x and haproxy.y both manage port 8443/tcp on 0.0.0.0 (leave it to one of them)");
    haproxy(&format!("{IPV6}{other}")).mended();
}

#[test]
fn what_haproxy_would_take_amiss_is_refused() {
    let frontend = |rest: &str| format!("[[haproxy.x.frontend]]\nname = 'f'\n{rest}\n");
    let full = |rest: &str| format!("[[haproxy.x.frontend]]\nname = 'f'\nbind = ['*:80']\n{rest}\n");
    for (fields, finding) in [
        (
            String::new(),
            "2:10: haproxy.x listens on nothing (add `[[haproxy.NAME.frontend]]` with `name`, `bind` and `backend`)",
        ),
        (
            frontend("lines = ['option dontlognull']"),
            "3:1: haproxy.x.frontend[0] lacks `bind` (add `bind = [\"0.0.0.0:8443\"]`)",
        ),
        (full(""), "3:1: haproxy.x.frontend[0] leads nowhere (add `backend = ...`, or `lines` that choose one)"),
        (
            full(
                "backend = 'registy'\n[[haproxy.x.backend]]\nname = 'registry'\n[[haproxy.x.backend]]\nname = 'other'",
            ),
            "3:1: frontend `f` leads to the backend `registy`, which is not there (did you mean `registry`?)",
        ),
        (
            full("backend = 'b'"),
            "3:1: frontend `f` leads to the backend `b`, which is not there (there is none to choose from)",
        ),
        (
            full("mode = 'http'\nbackend = 'b'\n[[haproxy.x.backend]]\nname = 'b'"),
            "3:1: frontend `f` speaks http and its backend `b` tcp (give both the same `mode`)",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = ['*:80', '0.0.0.0:80']"),
            "3:1: port 80 on 0.0.0.0 is bound twice, by frontend `f` and by `f` (take one out; `::` takes IPv4 clients \
             too unless it has `v6only = true`)",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = ['*:80', ':::80']"),
            "3:1: port 80 on 0.0.0.0 is bound twice, by frontend `f` and by `f` (take one out; `::` takes IPv4 clients \
             too unless it has `v6only = true`)",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = [{ address = '*', port = 80, v6only = true }]"),
            "6:46: `v6only` says nothing of 0.0.0.0 (it belongs to `::`, which takes IPv4 clients as well without it)",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = ['a.example:80']"),
            "6:9: \"a.example:80\" does not fit `bind` of haproxy.x.frontend[0] (it is an address and a port: \
             \"0.0.0.0:8443\", \":::8443\", \"[2001:db8::1]:8443\")",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = [{ address = '*', port = 0 }]"),
            "6:33: 0 is out of range for `port` of haproxy.x.frontend[0].bind[0] (it goes from 1 to 65535)",
        ),
        (
            frontend("lines = ['option dontlognull']\nbind = [{ address = '*', port = 80, ssl = true }]"),
            "6:37: unknown key `ssl` in haproxy.x.frontend[0].bind[0] (known: `address`, `options`, `port`, `tls`, \
             `v6only`)",
        ),
        (
            full("lines = [\"option tcplog\\nbackend evil\"]"),
            "6:10: \"option tcplog\\nbackend evil\" does not fit `lines` of haproxy.x.frontend[0] (a line has no control \
             characters, such as '\\n': write one line an item)",
        ),
        (
            full("lines = ['option tcplog # x']"),
            "6:10: \"option tcplog # x\" does not fit `lines` of haproxy.x.frontend[0] (what follows `#` would be a \
             comment: write `\\#` or quote it)",
        ),
        (
            "global = ['listen evil']\n".to_owned() + &full("lines = ['option tcplog']"),
            "3:11: \"listen evil\" does not fit `global` of haproxy.x (`listen` would begin a section of its own, and \
             what follows would be in that)",
        ),
        (
            full("backend = 'b'\n[[haproxy.x.backend]]\nname = 'b c'"),
            "8:8: \"b c\" does not fit `name` of haproxy.x.backend[0] (haproxy's names have letters, digits, `-`, `_`, \
             `.` and `:` only)",
        ),
        (
            full("backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\nbalance = 'fair'"),
            "9:11: \"fair\" does not fit `balance` of haproxy.x.backend[0] (it is one of roundrobin, static-rr, \
             leastconn, first, source, random; others go into `lines`)",
        ),
        (
            full(
                "backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\nservers = [\n{ name = 's', address = '192.0.2.1', \
                  port = 1 },\n{ name = 's', address = '192.0.2.2', port = 1 }]",
            ),
            "9:11: haproxy.x.backend[0] has servers `s` more than once (each server of a backend has a name of its own)",
        ),
        (
            full("backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\n[[haproxy.x.backend]]\nname = 'b'"),
            "7:1: haproxy.x has backend `b` more than once (haproxy tells frontends apart by name, and backends too)",
        ),
        (
            full(
                "backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\nservers = [{ name = 's', address = '127.0.0.1:80', \
                  port = 1 }]",
            ),
            "9:36: \"127.0.0.1:80\" does not fit `address` of haproxy.x.backend[0].servers[0] (it is an IPv4 or IPv6 \
             address or a host name, without a port)",
        ),
        (
            full(
                "backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\nservers = [{ name = 's', address = '192.0.2.1', \
                  port = 1, verify_name = 'a.example' }]",
            ),
            "9:73: haproxy.x.backend[0].servers[0] has a name to verify and nobody to trust (add `authority = ...`: the \
             certificate of whoever signed the server's)",
        ),
        (
            full(
                "backend = 'b'\n[[haproxy.x.backend]]\nname = 'b'\nservers = [{ name = 's', address = 'localhost', \
                  port = 80 }]",
            ),
            "7:1: server `s` leads back to the frontend `f`, which listens on port 80 of 127.0.0.1 (bind other \
             addresses; `::` takes IPv4 clients too unless it has `v6only = true`)",
        ),
    ] {
        haproxy(&fields).refused(finding);
    }
}

#[test]
#[ignore = "needs haproxy; tests/run runs it"]
fn haproxy_itself_takes_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_str().unwrap();
    let authority = x509::generate_authority(&AuthoritySpec::new("CA".parse().unwrap()), NOW).unwrap();
    let names = Names::new(["registry.example.com".parse().unwrap()]).unwrap();
    let leaf = x509::issue_leaf(&LeafSpec::new(names), &authority.issuer(), NOW).unwrap();
    std::fs::write(directory.path().join("root.crt"), &authority.certificate_pem).unwrap();
    std::fs::write(directory.path().join("it's.crt"), &leaf.certificate_pem).unwrap();
    std::fs::write(directory.path().join("it's.key"), leaf.key_pem.as_bytes()).unwrap();
    // The usual `global` finds the key beside the certificate.
    let usual = EVERYTHING.replace("global = [\"maxconn 100\"]\n", "");
    for text in [IPV6.to_owned(), usual] {
        let config = written(&haproxy(&text).mended()).replace("/srv/", &format!("{root}/"));
        let file = directory.path().join(".haproxy.cfg.provision-new");
        std::fs::write(&file, &config).unwrap();
        let output = std::process::Command::new("haproxy").arg("-c").arg("-f").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{config}");
        assert!(!said.contains("WARNING"), "{said}\n{config}");
    }
}
