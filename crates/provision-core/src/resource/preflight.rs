//! `preflight`: what a host must have before anything is begun. Looks and never changes anything.

use std::collections::BTreeMap;
use std::time::Duration;

use self::measured::{Disk, Listeners, Name};
use crate::attribute::{Mode, Size, Span, UserName};
use crate::change::Change;
use crate::knob::Knob;
use crate::knob::measure::MEASURE;
use crate::knob::user::USER;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::PodmanVersion;
use crate::resource::service::Runnable;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, scope};
use crate::step::Step;
use crate::x509::DnsName;

mod measured;

/// The kind.
pub static KIND: Kind = Kind {
    name: "preflight",
    summary: "What a host must have before anything is begun; all that it lacks is said at once, and nothing is changed.",
    fields: &[
        Field { name: "memory", takes: "size", required: false, doc: "Memory that the host must have: \"8G\"." },
        Field { name: "cpus", takes: "integer", required: false, doc: "Processors that it must have." },
        Field {
            name: "disk",
            takes: "list of SIZE at PATH",
            required: false,
            doc: "Space for what is stored: \"100G at /var/lib/registry\". What is there already counts as had, and paths \
                  on one file system are added up.",
        },
        Field {
            name: "ports",
            takes: "list of ports",
            required: false,
            doc: "Ports that nobody else may listen on, at any address: \"8443/tcp\", \"53/udp\".",
        },
        Field {
            name: "served_by",
            takes: "list of units",
            required: false,
            doc: "Services that may listen on them, since they are the plan's own.",
        },
        Field {
            name: "names",
            takes: "list of names",
            required: false,
            doc: "Names that must lead to this host when it resolves them.",
        },
        Field {
            name: "names_here",
            takes: "list of names",
            required: false,
            doc: "Names that must lead to this host when they are resolved where provision runs. Where the host's own addresses are not those under which it is known here, name this field in `warn`.",
        },
        Field {
            name: "umask",
            takes: "mode",
            required: false,
            doc: "What may at most be taken from the rights of new files for those who log in: \"0022\". For what others than provision write; it sets every mode itself.",
        },
        Field {
            name: "linger",
            takes: "user",
            required: false,
            doc: "A user whose units could run without a login: the user is there, or comes with the plan, and loginctl answers.",
        },
        Field {
            name: "runs_as",
            takes: "user",
            required: false,
            doc: "The user that is to listen on `ports`, where that is not root: the kernel keeps the low ones for root.",
        },
        Field {
            name: "podman",
            takes: "version",
            required: false,
            doc: "Oldest version of podman that will do: \"5.0\".",
        },
        Field {
            name: "cgroup",
            takes: "integer",
            required: false,
            doc: "Version of control groups, 2: what rootless podman limits containers with.",
        },
        Field {
            name: "clock",
            takes: "span",
            required: false,
            doc: "How far its clock may be from this side's: \"5m\".",
        },
        Field {
            name: "warn",
            takes: "list of text",
            required: false,
            doc: "Which of these fields are only said when they are not met: `[\"memory\", \"cpus\"]`.",
        },
        Field {
            name: "notes",
            takes: "list of text",
            required: false,
            doc: "Lines that people are to see at each look, such as what a plan has chosen and why. An empty one is left out.",
        },
    ],
    example: r#"
[preflight.host]
ports = ["8443/tcp"]
served_by = ["registry.service"]
"#,
    templates: &[],
    assets: &[],
    read,
};

/// What can be asked for, by field.
const NEEDS: [&str; 11] =
    ["memory", "cpus", "disk", "ports", "names", "names_here", "umask", "linger", "podman", "cgroup", "clock"];

#[derive(Debug)]
struct Preflight {
    memory: Option<Size>,
    cpus: Option<u64>,
    disk: Vec<Space>,
    ports: Vec<Port>,
    served_by: Vec<Runnable>,
    names: Vec<DnsName>,
    names_here: Vec<DnsName>,
    umask: Option<Mode>,
    linger: Option<UserName>,
    runs_as: Option<UserName>,
    podman: Option<PodmanVersion>,
    cgroup: Option<u64>,
    clock: Option<Span>,
    warn: Vec<String>,
    notes: Vec<String>,
}

/// Space for what is stored at a path, as `100G at /srv`.
#[derive(Debug)]
struct Space(AbsPath, Size);

impl std::str::FromStr for Space {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, path) = text.split_once(" at ").ok_or("it is a size and a path: \"100G at /var/lib/registry\"")?;
        Ok(Self(path.trim().parse().map_err(|reason| format!("{reason}"))?, size.trim().parse()?))
    }
}

/// One port of one protocol, as `8443/tcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Port(String);

impl Port {
    fn number(&self) -> u16 {
        // It was read.
        self.0.split('/').next().and_then(|port| port.parse().ok()).unwrap_or(u16::MAX)
    }
}

impl std::str::FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sound = match text.split_once('/') {
            Some((port, "tcp" | "udp")) => !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok(),
            _ => false,
        };
        if sound { Ok(Self(text.to_owned())) } else { Err("a port is \"8443/tcp\" or \"53/udp\"".to_owned()) }
    }
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let memory = fields.optional("memory");
    let cpus = fields.integer("cpus", 1..=100_000).and_then(|cpus| u64::try_from(cpus).ok());
    let disk: Vec<Space> = fields.list("disk");
    let ports: Vec<Port> = fields.list("ports");
    let served_by: Vec<Runnable> = fields.list("served_by");
    let names: Vec<DnsName> = fields.list("names");
    let names_here: Vec<DnsName> = fields.list("names_here");
    let umask: Option<Mode> = fields.optional("umask");
    let linger: Option<UserName> = fields.optional("linger");
    let runs_as: Option<UserName> = fields.optional("runs_as");
    let podman: Option<PodmanVersion> = fields.optional("podman");
    let cgroup = fields.integer("cgroup", 1..=2).and_then(|version| u64::try_from(version).ok());
    let clock = fields.optional("clock");
    let warn: Vec<String> = fields.list("warn");
    let mut notes: Vec<String> = fields.list("notes");
    notes.retain(|note| !note.trim().is_empty());
    for name in &warn {
        if !NEEDS.contains(&name.as_str()) || !fields.has(name) {
            let help = format!("name fields that this resource has, of {}", NEEDS.join(", "));
            fields.item_problem("warn", name, format!("{} asks for no `{name}`", fields.label()), help);
        }
    }
    for by in ["served_by", "runs_as"] {
        if fields.has(by) && !fields.has("ports") {
            fields.problem(by, "there is no port that somebody could listen on", "add `ports`, or take it out");
        }
    }
    if !NEEDS.into_iter().chain(["notes"]).any(|field| fields.has(field)) {
        let help = format!("add what the host must have: {}", NEEDS.join(", "));
        fields.problem("", format!("{} asks for nothing", fields.label()), help);
    }
    Some(Box::new(Preflight {
        memory,
        cpus,
        disk,
        ports,
        served_by,
        names,
        names_here,
        umask,
        linger,
        runs_as,
        podman,
        cgroup,
        clock,
        warn,
        notes,
    }))
}

fn measure(what: impl Into<String>) -> Knob {
    Knob::new(&MEASURE, what)
}

/// Something that is not as it must be.
struct Lack {
    /// The field that asks for it.
    field: &'static str,
    /// What it is, as a heading: `memory`, `port 8443/tcp`.
    what: String,
    /// How it is.
    is: String,
    /// How it must be.
    must: String,
}

impl Preflight {
    /// What is only said, below the table.
    fn noted(&self) -> String {
        self.notes.iter().map(|note| format!("\n({note})")).collect()
    }

    fn disk_knob(&self, path: &AbsPath) -> Knob {
        let all: u64 = self.disk.iter().map(|Space(_, size)| kibibytes(*size)).sum();
        measure(format!("disk {all} {path}"))
    }

    /// Those ports that the kernel keeps from whoever is to listen on them, and the first that it does not.
    fn low_ports(&self, answers: &Answers, context: &Context<'_>) -> Result<Vec<(&str, u16)>, Undecided> {
        if self.runs_as.is_none() {
            return Ok(Vec::new());
        }
        let Some(first) = scope::first_port_for_users(answers, context)? else { return Ok(Vec::new()) };
        let low = self.ports.iter().filter(|port| port.number() < first);
        Ok(low.map(|Port(port)| (port.as_str(), first)).collect())
    }

    fn lacks(&self, answers: &Answers, context: &Context<'_>) -> Result<Vec<Lack>, Undecided> {
        let number = |what: &str| -> Result<u64, Undecided> { measured::number(what, answers.knob(&measure(what))?) };
        let mut lacks = Vec::new();
        let mut lack = |field, what: String, is: String, must: String| lacks.push(Lack { field, what, is, must });
        if let Some(wanted) = self.memory {
            let has = number("memory")?;
            // The kernel keeps some of what was put in for itself.
            if has < kibibytes(wanted) - kibibytes(wanted) / 16 {
                lack("memory", "memory".to_owned(), measured::about(has), wanted.to_string());
            }
        }
        for (field, wanted) in [("cpus", self.cpus), ("cgroup", self.cgroup)] {
            let Some(wanted) = wanted else { continue };
            let has = number(field)?;
            if has < wanted {
                lack(field, field.to_owned(), has.to_string(), wanted.to_string());
            }
        }
        if let Some(wanted) = self.podman {
            let said = answers.knob(&measure("podman"))?;
            let found = said.parse::<PodmanVersion>();
            if found.as_ref().map_or(true, |found| *found < wanted) {
                let is = found.map_or_else(|_| "not there".to_owned(), PodmanVersion::release);
                lack("podman", "podman".to_owned(), is, format!("{} or later", wanted.release()));
            }
        }
        let mut systems: BTreeMap<String, Disk> = BTreeMap::new();
        for Space(path, size) in &self.disk {
            let found = Disk::read(answers.knob(&self.disk_knob(path))?)?;
            let system = systems.entry(found.mount.clone()).or_insert(Disk { used: 0, wanted: 0, ..found.clone() });
            system.used += found.used;
            system.wanted += kibibytes(*size);
        }
        for Disk { mount, free, used, wanted } in
            systems.into_values().filter(|disk| disk.free + disk.used < disk.wanted)
        {
            let had = if used > 0 { format!(" beside {} in use by it", measured::about(used)) } else { String::new() };
            lack(
                "disk",
                format!("disk {mount}"),
                format!("{} free{had}", measured::about(free)),
                measured::about(wanted),
            );
        }
        for Port(port) in &self.ports {
            let who = Listeners::read(answers.knob(&measure(format!("port {port}")))?).but(&self.served_by);
            if !who.is_empty() {
                let own: Vec<String> = self.served_by.iter().map(|unit| unit.0.to_string()).collect();
                let must =
                    if own.is_empty() { "free".to_owned() } else { format!("free, or served by {}", own.join(", ")) };
                lack("ports", format!("port {port}"), format!("taken by {}", who.join(", ")), must);
            }
        }
        for (port, first) in self.low_ports(answers, context)? {
            let who = self.runs_as.as_ref().map_or("", UserName::as_str);
            lack(
                "ports",
                format!("port {port}"),
                "kept for root by the kernel".to_owned(),
                format!("{first} or above for {who}"),
            );
        }
        for name in &self.names_here {
            let own = Name::read(answers.knob(&measure("addresses"))?);
            if let Some(is) = own.led_to_by(answers.here(name)?) {
                lack("names_here", name.to_string(), is, format!("an address of the host ({}) from here", own.own()));
            }
        }
        for name in &self.names {
            let found = Name::read(answers.knob(&measure(format!("name {name}")))?);
            if let Some(is) = found.elsewhere() {
                lack("names", name.to_string(), is, format!("an address of this host ({})", found.own()));
            }
        }
        if let Some(most) = self.umask {
            let text = answers.knob(&measure("umask"))?;
            let has = u32::from_str_radix(text.trim(), 8)
                .map_err(|_| Undecided::new(format!("the host's umask is no number: {text:?}")))?;
            if has & !most.bits() != 0 {
                lack("umask", "umask".to_owned(), Mode::new(has).to_string(), format!("{most} or less strict"));
            }
        }
        if let Some(user) = &self.linger {
            let is = match answers.knob(&linger(user))?.as_str() {
                "yes" => None,
                "no user" if context.pending(&Thing::Knob(Knob::new(&USER, user.as_str()))).is_some() => None,
                "no user" => Some(format!("not: the host has no user {user}")),
                "no loginctl" if context.command_pending() => None,
                "no loginctl" => Some("not: the host has no loginctl(1)".to_owned()),
                said => Some(format!("not: loginctl says {said}")),
            };
            if let Some(is) = is {
                lack("linger", format!("lingering of {user}"), is, "possible".to_owned());
            }
        }
        if let Some(span) = self.clock {
            let has = Duration::from_secs(number("clock")?);
            let now = Duration::from_secs(u64::try_from(context.clock.unix_timestamp()).unwrap_or_default());
            let apart = has.abs_diff(now);
            if apart > span.duration() {
                let side = if has > now { "ahead of" } else { "behind" };
                lack(
                    "clock",
                    "clock".to_owned(),
                    format!("{} s {side} this side", apart.as_secs()),
                    format!("within {span}"),
                );
            }
        }
        Ok(lacks)
    }
}

/// What tells whether a user could linger.
fn linger(user: &UserName) -> Knob {
    measure(format!("linger {user}"))
}

fn kibibytes(size: Size) -> u64 {
    size.bytes().div_ceil(1024)
}

/// A line for each, in columns.
fn table(lacks: &[&Lack]) -> String {
    let wide = |column: fn(&Lack) -> &str| lacks.iter().map(|lack| column(lack).chars().count()).max().unwrap_or(0);
    let (what, must) = (wide(|lack| &lack.what), wide(|lack| &lack.must));
    let line = |lack: &&Lack| format!("\n{:what$}  must be {:must$}  is {}", lack.what, lack.must, lack.is);
    lacks.iter().map(line).collect()
}

impl Resource for Preflight {
    fn provides(&self) -> Vec<Thing> {
        Vec::new()
    }

    fn wants(&self) -> Vec<Want> {
        let user =
            self.linger.iter().map(|user| Want::after(Target::Thing(Thing::Knob(Knob::new(&USER, user.as_str())))));
        user.chain(self.runs_as.iter().map(|_| scope::first_port_want())).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let plain = [
            ("memory", self.memory.is_some()),
            ("cpus", self.cpus.is_some()),
            ("podman", self.podman.is_some()),
            ("cgroup", self.cgroup.is_some()),
            ("clock", self.clock.is_some()),
            ("umask", self.umask.is_some()),
            ("addresses", !self.names_here.is_empty()),
        ];
        let plain = plain.into_iter().filter(|(_, wanted)| *wanted).map(|(what, _)| measure(what));
        let disk = self.disk.iter().map(|Space(path, _)| self.disk_knob(path));
        let ports = self.ports.iter().map(|Port(port)| measure(format!("port {port}")));
        let names = self.names.iter().map(|name| measure(format!("name {name}")));
        let linger = self.linger.iter().map(linger);
        let here = self.names_here.iter().cloned().map(Ask::Here);
        let first = self.runs_as.iter().map(|_| scope::first_port_ask());
        plain.chain(disk).chain(ports).chain(names).chain(linger).map(Ask::Knob).chain(here).chain(first).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let lacks = self.lacks(answers, context)?;
        let lacks: Vec<&Lack> = lacks.iter().filter(|lack| !self.warn.iter().any(|name| name == lack.field)).collect();
        if lacks.is_empty() {
            return Ok(Change::none());
        }
        Err(Undecided::with_help(
            format!("the host is not as the plan needs it{}{}", table(&lacks), self.noted()),
            "mend that first, or ask for less; a field that is named in `warn` is said and stops nothing",
        ))
    }

    fn notice(&self, answers: &Answers, context: &Context<'_>) -> Option<String> {
        let lacks = self.lacks(answers, context).ok()?;
        let lacks = lacks.iter().filter(|lack| self.warn.iter().any(|name| name == lack.field));
        let lacks = lacks.map(|Lack { what, is, must, .. }| format!("{what} is {is}, and should be {must}"));
        let lines: Vec<String> = lacks.chain(self.notes.iter().cloned()).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, case};
    use crate::transport::Resolved;

    fn on(fields: &str, measures: &[(&str, &str)]) -> Case {
        case("preflight", fields).given(|host| {
            for (what, text) in measures {
                host.turn(&measure(*what), text);
            }
        })
    }

    #[test]
    fn a_host_that_has_it_all_is_left_alone() {
        let disk = "disk 104857600 /srv/a";
        on(
            "memory = '8G'\ncpus = 4\ncgroup = 2\npodman = '5.0'\ndisk = ['100G at /srv/a']\n\
             names = ['r.example']\nports = ['8443/tcp']",
            &[
                ("memory", "8130000"),
                ("cpus", "4"),
                ("cgroup", "2"),
                ("podman", "podman version 5.4.2"),
                (disk, "104857600 0 /srv"),
                (
                    "name r.example",
                    "to 192.0.2.11\nto fd00:db8::11\nown 192.0.2.11\nown6 fd000db8000000000000000000000011",
                ),
            ],
        )
        .in_sync();
    }

    #[test]
    fn all_that_is_lacking_is_said_at_once() {
        on(
            "memory = '8G'\ncpus = 4\npodman = '5.0'\nports = ['8443/tcp', '80/tcp']\nserved_by = ['registry']\nnames = ['r.example', 'q.example']",
            &[
                ("memory", "4000000"),
                ("cpus", "2"),
                ("podman", "podman version 4.3.1"),
                ("port 8443/tcp", "/system.slice/registry.service\tconmon"),
                ("port 80/tcp", "/system.slice/nginx.service\tnginx\nunknown"),
                ("name r.example", "to 192.0.2.99\nown 127.0.0.1\nown 192.0.2.11"),
                ("name q.example", "own 192.0.2.11"),
            ],
        )
        .undecided(
            "the host is not as the plan needs it\n\
             memory       must be 8G                                    is 3.8G\n\
             cpus         must be 4                                     is 2\n\
             podman       must be 5.0 or later                          is 4.3.1\n\
             port 80/tcp  must be free, or served by registry.service   is taken by nginx (nginx.service), a process that is unknown to who asks\n\
             r.example    must be an address of this host (192.0.2.11)  is 192.0.2.99\n\
             q.example    must be an address of this host (192.0.2.11)  is not resolved by the host",
        );
    }

    #[test]
    fn paths_on_one_file_system_are_added_up_and_what_is_stored_counts() {
        let fields = "disk = ['1G at /srv/a', '2G at /srv/b', '1G at /var/c']";
        let disks = |a: &str, c: &str| {
            let name = |path: &str| format!("disk 4194304 {path}");
            let (a_name, b_name, c_name) = (name("/srv/a"), name("/srv/b"), name("/var/c"));
            on(fields, &[(&a_name, a), (&b_name, "2097152 0 /srv"), (&c_name, c)])
        };
        disks("2097152 1048576 /srv", "1048576 0 /").in_sync();
        disks("2097152 1024 /srv", "1048575 0 /").undecided(
            "the host is not as the plan needs it\n\
             disk /     must be 1G  is 1023.9M free\n\
             disk /srv  must be 3G  is 2G free beside 1M in use by it",
        );
    }

    #[test]
    fn what_is_only_a_warning_stops_nothing() {
        let host = on("memory = '8G'\ncpus = 1\nwarn = ['memory']", &[("memory", "4000000"), ("cpus", "1")]).in_sync();
        let changes = host.changes();
        let notices: Vec<&str> = changes.notices().map(|(_, notice)| notice).collect();
        assert_eq!(notices, ["memory is 3.8G, and should be 8G"]);
    }

    #[test]
    fn a_name_is_looked_up_on_this_side_too() {
        let own = ("addresses", "own 127.0.0.1\nown 192.0.2.11\nown6 20010db8000000000000000000000010");
        let here = |addresses: &[&str], itself: bool| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            on("names_here = ['r.example']", &[own])
                .given(|host| _ = host.names_here.insert("r.example".to_owned(), Resolved { addresses, itself }))
        };
        here(&["192.0.2.11", "2001:db8::10"], false).in_sync();
        here(&["127.0.1.1"], true).in_sync();
        let wrong = |is: &str| {
            let own = "192.0.2.11, 2001:db8::10";
            format!(
                "the host is not as the plan needs it\nr.example  must be an address of the host ({own}) from here  is {is}"
            )
        };
        here(&["192.0.2.11", "192.0.2.99"], false).undecided(&wrong("192.0.2.99"));
        // That is this side.
        here(&["127.0.0.1"], false).undecided(&wrong("127.0.0.1"));
        here(&[], false).undecided(&wrong("not resolved here"));
    }

    #[test]
    fn who_logs_in_may_linger_listen_and_leave_what_others_can_read() {
        let fields = "umask = '0027'\nlinger = 'core'\nports = ['443/tcp', '1024/tcp']\nruns_as = 'core'\nnotes = ['both by pasta', ' ']";
        let host = |umask: &str, linger: &str, first: &str| {
            let measures =
                [("umask", umask), ("linger core", linger), ("port 443/tcp", "free"), ("port 1024/tcp", "free")];
            let first = first.to_owned();
            on(fields, &measures).given(move |host| {
                host.turn(&Knob::new(&crate::knob::sysctl::SYSCTL, "net/ipv4/ip_unprivileged_port_start"), &first);
            })
        };
        let good = host("0022", "yes", "443").in_sync();
        let changes = good.changes();
        assert_eq!(changes.notices().map(|(_, notice)| notice).collect::<Vec<_>>(), ["both by pasta"]);
        host("0077", "no user", "1024").undecided(
            "the host is not as the plan needs it\n\
             port 443/tcp       must be 1024 or above for core  is kept for root by the kernel\n\
             umask              must be 0027 or less strict     is 0077\n\
             lingering of core  must be possible                is not: the host has no user core\n\
             (both by pasta)",
        );
        host("0000", "no user", "80")
            .plan("[user.core]\nname = 'core'\n")
            .given(|state| {
                state.turn(&Knob::new(&USER, "core"), crate::knob::ABSENT);
            })
            .in_sync();
        on("linger = 'core'", &[("linger core", "Failed to connect to bus")]).undecided(
            "the host is not as the plan needs it\nlingering of core  must be possible  is not: loginctl says Failed to connect to bus",
        );
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_by_how_much() {
        let now = crate::testing::NOW.unix_timestamp();
        on("clock = '5m'", &[("clock", &(now - 299).to_string())]).in_sync();
        on("clock = '5m'", &[("clock", &(now - 301).to_string())])
            .undecided("the host is not as the plan needs it\nclock  must be within 5m  is 301 s behind this side");
    }
}
