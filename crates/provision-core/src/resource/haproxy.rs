//! `haproxy`: a whole configuration of haproxy, which haproxy itself has found good before it is live.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::attribute::Mode;
use crate::change::{Change, Shown, Signal};
use crate::path::AbsPath;
use crate::plan::fields::{Fields, Item};
use crate::plan::problem::suggest;
use crate::probe::{Answers, Ask, Guard, Undecided};
use crate::resource::directory::{ownership, ownership_wants};
use crate::resource::file::FileSpec;
use crate::resource::service::Runnable;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::step::Step;
use crate::systemd::{Managed, UnitName};
use config::{Backend, Bind, Config, Frontend, Role, Server};
use word::{Endpoint, Host, Line, Name};

mod config;
mod word;

/// The kind.
pub static KIND: Kind = Kind {
    name: "haproxy",
    summary: "The configuration of haproxy: what it listens on and where it passes that on to.",
    fields: &[
        Field {
            name: "path",
            takes: "path",
            required: false,
            doc: "Where it is; \"/etc/haproxy/haproxy.cfg\" without it.",
        },
        Field {
            name: "service",
            takes: "unit name",
            required: false,
            doc: "The unit that runs with it; \"haproxy.service\" without it. A service resource of that unit comes \
                  after this one and takes in its changes.",
        },
        Field {
            name: "check",
            takes: "boolean",
            required: false,
            doc: "Whether haproxy on the host must find it good before it replaces the old one; true without it.",
        },
        Field {
            name: "global",
            takes: "list of lines",
            required: false,
            doc: "The whole section `global`, each line as haproxy has it. Without it: logs to the journal, at most \
                  4000 connections, user, group and chroot of the package; with TLS also `ssl-load-extra-del-ext`.",
        },
        Field {
            name: "defaults",
            takes: "list of lines",
            required: false,
            doc: "The whole section `defaults`. Without it: logs, and timeouts that suit large files.",
        },
        Field {
            name: "frontend",
            takes: "list of tables",
            required: true,
            doc: "What clients connect to. Each has a `name`; `bind`, a list of \"ADDRESS:PORT\" or of tables with \
                  `address` (`*` is all of IPv4, `::` all of IPv6 and IPv4), `port`, `v6only` (of `::`: IPv6 alone), \
                  `tls` (path of a certificate whose key is in the same file, or beside it with the ending .key) and \
                  `options` (further words); `mode`, \"tcp\" or \"http\", \"tcp\" without it; `backend`, where it \
                  leads; `lines`, further directives.",
        },
        Field {
            name: "backend",
            takes: "list of tables",
            required: false,
            doc: "Where it is passed on to. Each has a `name`; `mode` as its frontends; `balance`; `lines`; and \
                  `servers`, a list of tables with `name`, `address` (an address or a host name), `port`, `check` \
                  (whether it is looked after), `backup`, `authority` (speak TLS, and trust this certificate on the \
                  host), `verify_name` (the name that its certificate must carry), `send_proxy` (\"v1\" or \"v2\") \
                  and `options` (further words).",
        },
        Field { name: "mode", takes: "mode", required: false, doc: "Permission bits; \"0644\" without it." },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
    ],
    example: r#"
# A registry that listens on IPv4 only is reached over IPv6 too.
[haproxy.front]

[[haproxy.front.frontend]]
name = "registry_v6"
bind = [{ address = "::", port = 8443, v6only = true }]
backend = "registry"

[[haproxy.front.backend]]
name = "registry"
servers = [{ name = "local", address = "127.0.0.1", port = 8443, check = true }]
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_PATH: &str = "/etc/haproxy/haproxy.cfg";
const DEFAULT_SERVICE: &str = "haproxy.service";

/// What `timeout` and shells answer for a command that is not there (POSIX.1-2017, XCU 2.8.2).
const NOT_FOUND: i32 = 127;

#[derive(Debug)]
struct Haproxy {
    file: FileSpec,
    service: UnitName,
    config: Config,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = or_usual(fields, "path", DEFAULT_PATH);
    let service: Option<Runnable> = or_usual(fields, "service", DEFAULT_SERVICE);
    let check = fields.boolean("check").unwrap_or(true);
    let mode: Option<Mode> = fields.optional("mode");
    let ownership = ownership(fields);
    let lines = |name| fields.has(name).then(|| fields.list::<Line>(name));
    let (global, defaults) = (lines("global"), lines("defaults"));
    let frontends: Vec<Option<Frontend>> = fields.tables("frontend").iter().map(frontend).collect();
    let backends: Vec<Option<Backend>> = fields.tables("backend").iter().map(backend).collect();
    if frontends.is_empty() && (!fields.has("frontend") || fields.is_list("frontend")) {
        let help = "add `[[haproxy.NAME.frontend]]` with `name`, `bind` and `backend`";
        fields.problem("frontend", format!("{} listens on nothing", fields.label()), help);
    }
    let frontends = frontends.into_iter().collect::<Option<Vec<_>>>()?;
    let backends = backends.into_iter().collect::<Option<Vec<_>>>()?;
    check_names(fields, &frontends, &backends);
    check_ways(fields, &frontends, &backends);
    check_binds(fields, &frontends);
    check_circles(fields, &frontends, &backends);
    let config = Config { address: setup.address.clone(), global, defaults, frontends, backends };
    let plain = FileSpec::new(path?, config.to_string());
    let validate = if check { ["haproxy", "-c", "-f", "%s"].map(str::to_owned).to_vec() } else { Vec::new() };
    let file = FileSpec { mode: mode.unwrap_or(plain.mode), ownership, validate, ..plain };
    let Runnable(service) = service?;
    Some(Box::new(Haproxy { file, service, config }))
}

/// A field, or its usual value; none when it is wrong.
fn or_usual<T: std::str::FromStr<Err: std::fmt::Display>>(
    fields: &Fields<'_>,
    name: &'static str,
    usual: &str,
) -> Option<T> {
    if fields.has(name) { fields.optional(name) } else { usual.parse().ok() }
}

fn port(fields: &Fields<'_>) -> Option<u16> {
    if !fields.has("port") {
        fields.problem("", format!("{} lacks `port`", fields.label()), "add `port = 8443`");
    }
    fields.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok())
}

fn frontend(fields: &Fields<'_>) -> Option<Frontend> {
    let name = fields.required("name");
    let mode = fields.optional("mode").unwrap_or_default();
    let items = fields.items::<Endpoint>("bind");
    let backend = fields.optional("backend");
    let lines: Vec<Line> = fields.list("lines");
    if !fields.has("bind") {
        fields.problem("", format!("{} lacks `bind`", fields.label()), "add `bind = [\"0.0.0.0:8443\"]`");
    }
    if !fields.has("backend") && !fields.has("lines") {
        let message = format!("{} leads nowhere", fields.label());
        fields.problem("", message, "add `backend = ...`, or `lines` that choose one");
    }
    fields.finish();
    let binds = items.iter().map(bind).collect::<Option<Vec<_>>>()?;
    Some(Frontend { name: name?, mode, binds, backend, lines })
}

fn bind(item: &Item<'_, Endpoint>) -> Option<Bind> {
    let fields = match item {
        Item::Text(Endpoint { address, port }) => {
            return Some(Bind { address: *address, port: *port, v6only: false, tls: None, options: Vec::new() });
        }
        Item::Table(fields) => fields,
    };
    let address = fields.required("address");
    let port = port(fields);
    let v6only = fields.boolean("v6only").unwrap_or(false);
    let tls = fields.optional("tls");
    let options = fields.list("options");
    fields.finish();
    let bind = Bind { address: address?, port: port?, v6only, tls, options };
    if v6only && !bind.is_all_of_v6() {
        let message = format!("`v6only` says nothing of {}", bind.address.0);
        fields.problem("v6only", message, "it belongs to `::`, which takes IPv4 clients as well without it");
    }
    Some(bind)
}

fn backend(fields: &Fields<'_>) -> Option<Backend> {
    let name = fields.required("name");
    let mode = fields.optional("mode").unwrap_or_default();
    let balance = fields.optional("balance");
    let lines = fields.list("lines");
    let servers: Vec<Option<Server>> = fields.tables("servers").iter().map(server).collect();
    fields.finish();
    let servers = servers.into_iter().collect::<Option<Vec<_>>>()?;
    let named = servers.iter().map(|server| &server.name);
    twice(fields, "servers", named, "each server of a backend has a name of its own");
    Some(Backend { name: name?, mode, balance, servers, lines })
}

fn server(fields: &Fields<'_>) -> Option<Server> {
    let name = fields.required("name");
    let address = fields.required("address");
    let port = port(fields);
    let checked = fields.boolean("check").unwrap_or(false);
    let role = if fields.boolean("backup").unwrap_or(false) { Role::Backup } else { Role::Regular };
    let authority = fields.optional("authority");
    let verify_name = fields.optional("verify_name");
    let send_proxy = fields.optional("send_proxy");
    let options = fields.list("options");
    fields.finish();
    if fields.has("verify_name") && !fields.has("authority") {
        let message = format!("{} has a name to verify and nobody to trust", fields.label());
        fields.problem("verify_name", message, "add `authority = ...`: the certificate of whoever signed the server's");
    }
    let (name, address, port) = (name?, address?, port?);
    Some(Server { name, address, port, role, checked, authority, verify_name, send_proxy, options })
}

/// A finding for each name that comes again.
fn twice<'a>(fields: &Fields<'_>, field: &str, names: impl Iterator<Item = &'a Name>, help: &str) {
    let mut count: BTreeMap<&Name, usize> = BTreeMap::new();
    names.for_each(|name| *count.entry(name).or_default() += 1);
    for (name, _) in count.into_iter().filter(|(_, count)| *count > 1) {
        let message = format!("{} has {field} `{}` more than once", fields.label(), name.as_str());
        fields.problem(field, message, help);
    }
}

fn check_names(fields: &Fields<'_>, frontends: &[Frontend], backends: &[Backend]) {
    let help = "haproxy tells frontends apart by name, and backends too";
    twice(fields, "frontend", frontends.iter().map(|frontend| &frontend.name), help);
    twice(fields, "backend", backends.iter().map(|backend| &backend.name), help);
}

/// Every frontend leads to a backend that is there and speaks the same.
fn check_ways(fields: &Fields<'_>, frontends: &[Frontend], backends: &[Backend]) {
    for (frontend, wanted) in frontends.iter().filter_map(|frontend| Some((frontend, frontend.backend.as_ref()?))) {
        let (from, to) = (frontend.name.as_str(), wanted.as_str());
        match backends.iter().find(|backend| backend.name == *wanted) {
            None => {
                let known = backends.iter().map(|backend| backend.name.as_str());
                let message = format!("frontend `{from}` leads to the backend `{to}`, which is not there");
                fields.problem("frontend", message, suggest(to, known));
            }
            Some(backend) if backend.mode != frontend.mode => {
                let (mode, other) = (frontend.mode.word(), backend.mode.word());
                let message = format!("frontend `{from}` speaks {mode} and its backend `{to}` {other}");
                fields.problem("frontend", message, "give both the same `mode`");
            }
            Some(_) => {}
        }
    }
}

/// No two binds take the same clients: haproxy would accept that, and share them out by chance.
fn check_binds(fields: &Fields<'_>, frontends: &[Frontend]) {
    let mut taken: BTreeMap<(IpAddr, u16), &str> = BTreeMap::new();
    for frontend in frontends {
        for bind in &frontend.binds {
            for address in bind.addresses() {
                if let Some(other) = taken.insert((address, bind.port), frontend.name.as_str()) {
                    let message = format!(
                        "port {} on {address} is bound twice, by frontend `{other}` and by `{}`",
                        bind.port,
                        frontend.name.as_str()
                    );
                    let help = "take one out; `::` takes IPv4 clients too unless it has `v6only = true`";
                    fields.problem("frontend", message, help);
                }
            }
        }
    }
}

/// No server is haproxy itself: every client would come back as the next, until there are no ports left.
fn check_circles(fields: &Fields<'_>, frontends: &[Frontend], backends: &[Backend]) {
    for server in backends.iter().flat_map(|backend| &backend.servers) {
        let Some(target) = loopback(&server.address) else { continue };
        let takes = |address: IpAddr| address == target || address == unspecified(target);
        let own = |bind: &Bind| bind.port == server.port && bind.addresses().into_iter().any(takes);
        if let Some(frontend) = frontends.iter().find(|frontend| frontend.binds.iter().any(own)) {
            let message = format!(
                "server `{}` leads back to the frontend `{}`, which listens on port {} of {target}",
                server.name.as_str(),
                frontend.name.as_str(),
                server.port
            );
            let help = "bind other addresses; `::` takes IPv4 clients too unless it has `v6only = true`";
            fields.problem("backend", message, help);
        }
    }
}

impl Resource for Haproxy {
    fn provides(&self) -> Vec<Thing> {
        let mut things = vec![Thing::Path(self.file.path.clone()), Thing::Unit(Managed::system(self.service.as_str()))];
        for bind in self.binds() {
            let port = format!("{}/tcp", bind.port);
            things.extend(
                bind.addresses()
                    .into_iter()
                    .map(|address| Thing::Port { address: address.to_string(), port: port.clone() }),
            );
        }
        things
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.file.wanted()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = vec![Want::after(Target::Parent(self.file.path.clone()))];
        wants.extend(ownership_wants(&self.file.ownership));
        wants.push(package::want("haproxy"));
        let certificates = self.binds().filter_map(|bind| bind.tls.as_ref());
        let authorities = self.servers().filter_map(|server| server.authority.as_ref());
        wants.extend(certificates.chain(authorities).map(|path| Want::uses(Target::Tree(path.clone()))));
        for (address, port) in self.servers().filter_map(|server| Some((loopback(&server.address)?, server.port))) {
            // Not `Target::Port`: that goes by the number alone, so a front end for the same port of the same host would
            // wait for itself.
            for address in [address, unspecified(address)] {
                let (address, port) = (address.to_string(), format!("{port}/tcp"));
                wants.push(Want::after(Target::Thing(Thing::Port { address, port })));
            }
        }
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.file.asks();
        asks.extend(self.presence().map(Ask::Guard));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let change = self.file.diff(answers, context)?;
        if let Some(guard) = self.presence().filter(|_| !change.is_none() && !context.command_pending())
            && *answers.guard(&guard)? == NOT_FOUND
        {
            return Err(Undecided::with_help(
                "haproxy is not installed on the host, so it cannot check its configuration",
                "install it first, or set `check = false`",
            ));
        }
        Ok(if change.is_none() { change } else { change.signals(Signal::Content) })
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![self.file.step(change, answers)?])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.file.path.to_string()), ("service", self.service.to_string())]
    }
}

impl Haproxy {
    fn binds(&self) -> impl Iterator<Item = &Bind> {
        self.config.frontends.iter().flat_map(|frontend| &frontend.binds)
    }

    fn servers(&self) -> impl Iterator<Item = &Server> {
        self.config.backends.iter().flat_map(|backend| &backend.servers)
    }

    /// The command that tells whether there is a haproxy to check with.
    fn presence(&self) -> Option<Guard> {
        let argv = ["haproxy", "-v"].map(str::to_owned).to_vec();
        (!self.file.validate.is_empty()).then(|| Guard { argv, directory: None, limit: Duration::from_secs(10) })
    }
}

/// The address of a server on the host itself.
fn loopback(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ip(address) => address.is_loopback().then_some(*address),
        Host::Name(name) => (name.as_str() == "localhost").then_some(IpAddr::from([127, 0, 0, 1])),
    }
}

/// The address that stands for all of the same family.
fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
