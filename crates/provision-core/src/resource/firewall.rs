//! `firewall`: what the host's firewall lets in and forwards, now and after a reload. What else is open stays open.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::change::{Action, Change, Shown, Signal};
use crate::knob::firewall::{FIREWALL, FIREWALL_HOST};
use crate::knob::sysctl::SYSCTL;
use crate::knob::{Knob, NEW, PENDING};
use crate::object::Object;
use crate::plan::fields::{Fields, Item as Entry};
use crate::plan::node::Value;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::step::Step;
use crate::systemd::Managed;

mod hindrance;
mod host;
mod item;
#[cfg(test)]
mod tests;

use hindrance::denied;
use host::Found;
use item::{Forward, Item, PortRange, Rule, Service, Source};

/// The kind.
pub static KIND: Kind = Kind {
    name: "firewall",
    summary: "What the firewall lets in and forwards, now and after a reload: firewalld, nftables or ufw; what else is open stays open.",
    fields: &[
        Field {
            name: "ports",
            takes: "list of ports",
            required: false,
            doc: "Each a port or a range with its protocol (tcp, udp, sctp, dccp): \"8443/tcp\", \"5000-5010/udp\". Over IPv4 and IPv6.",
        },
        Field {
            name: "services",
            takes: "list of text",
            required: false,
            doc: "Services by firewalld's names, \"https\", or profiles of applications by ufw's, \"Nginx Full\".",
        },
        Field {
            name: "forward_ports",
            takes: "list of text or tables",
            required: false,
            doc: "Ports that are led elsewhere: \"80/tcp -> 8080\" on the host itself, over both families; \"80/tcp -> 10.0.0.5:8080\", \"80/tcp -> [fd00::5]:8080\", \"80/tcp -> 10.0.0.5\" to another host. As a table: `port` (\"80/tcp\"), `to_port`, `to_address`. firewalld and nftables.",
        },
        Field {
            name: "masquerade",
            takes: "boolean",
            required: false,
            doc: "Whether what `forward_ports` lead to other hosts comes to them from this host's address, so that their answers come back this way; without it they see the client's, and must have their way back through this host.",
        },
        Field {
            name: "rich_rules",
            takes: "list of text",
            required: false,
            doc: "Rules as firewalld.richlanguage(5) has them: \"rule family=\\\"ipv4\\\" source address=\\\"192.0.2.0/24\\\" service name=\\\"ssh\\\" accept\". firewalld alone.",
        },
        Field {
            name: "sources",
            takes: "list of text",
            required: false,
            doc: "Networks and addresses whose packets the zone is for. firewalld alone.",
        },
        Field {
            name: "zone",
            takes: "text",
            required: false,
            doc: "A zone of firewalld; the default zone without it.",
        },
        Field {
            name: "backend",
            takes: "\"firewalld\" | \"nftables\" | \"ufw\"",
            required: false,
            doc: "Who keeps the firewall. Without it firewalld where it runs or the plan starts it, ufw where it is active, nftables elsewhere.",
        },
        Field {
            name: "absent",
            takes: "\"error\" | \"ignore\"",
            required: false,
            doc: "What comes of a host that has none of them: \"error\", also without it, or \"ignore\", which is said at each look.",
        },
        Field {
            name: "blocked",
            takes: "\"error\" | \"ignore\"",
            required: false,
            doc: "What comes of it when other rules in nftables drop what is to be let in, which no rule of ours can change: \"error\", also without it, or \"ignore\", which is said at each look.",
        },
    ],
    example: r#"
[firewall.registry]
ports = ["8443/tcp"]

[firewall.web]
services = ["http", "https"]
forward_ports = ["8080/tcp -> 80"]
"#,
    templates: &[],
    assets: &[],
    read,
};

/// Longest name of a zone: what fits into a name of a chain with firewalld's own prefixes (firewalld.zone(5)).
const LONGEST_ZONE: usize = 17;

#[derive(Debug)]
struct Firewall {
    backend: Option<Keeper>,
    zone: Option<String>,
    items: Vec<(Item, Knob)>,
    absent: Otherwise,
    blocked: Otherwise,
    host: Knob,
}

/// Who keeps a host's firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Firewalld,
    Nftables,
    Ufw,
}

impl Keeper {
    const ALL: [Self; 3] = [Self::Firewalld, Self::Ufw, Self::Nftables];

    fn word(self) -> &'static str {
        match self {
            Self::Firewalld => "firewalld",
            Self::Nftables => "nftables",
            Self::Ufw => "ufw",
        }
    }

    /// The unit that brings its rules into force.
    fn unit(self) -> Managed {
        Managed::system(format!("{}.service", self.word()))
    }

    /// Whether a layer of an item says that it is as wanted.
    fn has(self, layer: &str) -> bool {
        match self {
            Self::Firewalld | Self::Nftables => layer == "yes",
            // Of each family; slowly is let in as well, and what ufw leaves alone is not its business.
            Self::Ufw => {
                let open = |word: &str| word.starts_with("allow") || word.starts_with("limit");
                layer.split('/').all(|word| open(word) || word == "never") && layer.split('/').any(open)
            }
        }
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Keeper {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|keeper| keeper.word() == text);
        found.ok_or_else(|| "it is \"firewalld\", \"nftables\" or \"ufw\"".to_owned())
    }
}

/// What comes of something that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Error,
    Ignore,
}

impl FromStr for Otherwise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "ignore" => Ok(Self::Ignore),
            _ => Err("it is \"error\" or \"ignore\"".to_owned()),
        }
    }
}

/// Who keeps the firewall when the turn of a resource comes.
enum At {
    Now(Keeper),
    /// With this very apply; where nobody knows yet who.
    Then(Option<Keeper>),
    Nobody,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let zone: Option<String> = fields.optional("zone");
    let backend: Option<Keeper> = fields.optional("backend");
    let absent = fields.optional("absent").unwrap_or(Otherwise::Error);
    let blocked = fields.optional("blocked").unwrap_or(Otherwise::Error);
    let ports = fields.list::<PortRange>("ports").into_iter().map(Item::Port);
    let services = fields.list::<Service>("services").into_iter().map(|Service(name)| Item::Service(name));
    let rules = fields.list::<Rule>("rich_rules").into_iter().map(|Rule(text)| Item::Rule(text));
    let sources = fields.list::<Source>("sources").into_iter().map(|Source(text)| Item::Source(text));
    let forwards: Vec<Forward> = fields.items("forward_ports").into_iter().filter_map(forward).collect();
    let masquerade = fields.boolean("masquerade") == Some(true);
    let hosts: Vec<IpAddr> = forwards.iter().filter_map(|forward| forward.to_address).collect();
    let all_read = fields.raw("forward_ports").is_none_or(|node| match &node.value {
        Value::Array(entries) => entries.len() == forwards.len(),
        _ => false,
    });
    if masquerade && hosts.is_empty() && all_read {
        let help = "give `forward_ports` an address to lead to, or leave it out; all that leaves a zone of firewalld: a rich rule \"rule family=\\\"ipv4\\\" masquerade\"";
        fields.problem("masquerade", "nothing is forwarded to another host", help);
    }
    let masqueraded = hosts.into_iter().filter(|_| masquerade).map(Item::Masquerade);
    let all = ports.chain(services).chain(forwards.into_iter().map(Item::Forward)).chain(masqueraded);
    let mut items: Vec<Item> = Vec::new();
    for item in all.chain(rules).chain(sources) {
        // Nobody is kept from writing one twice.
        if !items.contains(&item) {
            items.push(item);
        }
    }
    let some = ["ports", "services", "forward_ports", "rich_rules", "sources"];
    if !some.iter().any(|name| fields.has(name)) {
        let help = "add `ports = [\"8443/tcp\"]`, or one of the others";
        fields.problem(
            "",
            format!("{} has none of `ports`, `services`, `forward_ports`, `rich_rules` and `sources`", fields.label()),
            help,
        );
        return None;
    }
    let named = |zone: &String| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/');
        !zone.is_empty() && zone.len() <= LONGEST_ZONE && zone.bytes().all(letter)
    };
    if zone.as_ref().is_some_and(|zone| !named(zone)) {
        let help = format!("letters, digits, `_`, `-` and `/`, at most {LONGEST_ZONE}; without it the default zone");
        fields.problem("zone", "this is no name of a zone", help);
        return None;
    }
    if let Some(keeper) = backend {
        if keeper != Keeper::Firewalld && zone.is_some() {
            fields.problem("zone", format!("{keeper} has no zones, which are firewalld's"), "leave it out");
        }
        if let Some((item, beyond)) = items.iter().find_map(|item| Some((item, item.beyond(keeper)?))) {
            let help = "leave it out, or choose another `backend`";
            fields.problem("backend", format!("{keeper} cannot have {item}: it has {beyond}"), help);
        }
    }
    let head: Vec<String> = [backend.map(|by| format!("by={by}")), zone.as_ref().map(|zone| format!("zone={zone}"))]
        .into_iter()
        .flatten()
        .collect();
    let knob = |item: Item| {
        let name = [head.as_slice(), &[item.name()]].concat().join(" ");
        (item, Knob::new(&FIREWALL, name))
    };
    let mut host = head.clone();
    if items.iter().any(|item| matches!(item, Item::Service(_))) {
        host.push("services".to_owned());
    }
    let host = Knob::new(&FIREWALL_HOST, host.join(" "));
    let items = items.into_iter().map(knob).collect();
    Some(Box::new(Firewall { backend, zone, items, absent, blocked, host }))
}

fn forward(entry: Entry<'_, Forward>) -> Option<Forward> {
    match entry {
        Entry::Text(forward) => Some(forward),
        Entry::Table(table) => {
            let from: Option<PortRange> = table.required("port");
            let to_port = table.integer("to_port", 1..=65535).and_then(|port| u16::try_from(port).ok());
            let to_address: Option<IpAddr> = table.optional("to_address");
            table.finish();
            // A misspelt one has a finding of its own.
            if to_port.is_none()
                && to_address.is_none()
                && ["to_port", "to_address"].iter().any(|name| table.is_meant(name))
            {
                return None;
            }
            let made = Forward::new(from?, to_port, to_address);
            made.map_err(|why| table.problem("", why, "write `to_port`, `to_address` or both")).ok()
        }
    }
}

impl Resource for Firewall {
    fn provides(&self) -> Vec<Thing> {
        Vec::new()
    }

    fn objects(&self) -> Vec<Object> {
        self.items.iter().map(|(_, knob)| Object::Knob(knob.clone())).collect()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let all = listed(self.items.iter().map(|(item, _)| item));
        LAYERS.into_iter().map(|layer| (layer, all.clone())).filter(|(_, all)| *all != Shown::Absent).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        for keeper in Keeper::ALL.into_iter().filter(|keeper| self.backend.is_none_or(|backend| backend == *keeper)) {
            wants.push(Want::after(Target::Thing(Thing::Running(keeper.unit()))));
            wants.push(package::want(keeper.word()));
        }
        wants.extend(FORWARDING.map(|(_, name)| Want::after(Target::Thing(forwarding(name)))));
        wants
    }

    fn still_wanted(&self, _attribute: &str, applied: &str) -> Option<String> {
        let applied = format!("{BETWEEN}{applied}{BETWEEN}");
        let still = |item: &&Item| applied.contains(&format!("{BETWEEN}{item}{BETWEEN}"));
        match listed(self.items.iter().map(|(item, _)| item).filter(still)) {
            Shown::Text(text) => Some(text),
            _ => None,
        }
    }

    fn asks(&self) -> Vec<Ask> {
        let items = self.items.iter().map(|(_, knob)| Ask::Knob(knob.clone()));
        std::iter::once(Ask::Knob(self.host.clone())).chain(items).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { backend: _, zone: _, items, absent, blocked, host: _ } = self;
        let found = self.found(answers)?;
        match self.at(&found, context) {
            At::Now(keeper) => {
                self.fits(keeper, &found)?;
                if keeper == Keeper::Nftables {
                    self.forwards(&found, context)?;
                    if *blocked == Otherwise::Error
                        && let Some(why) = self.blocked(&found).into_iter().next()
                    {
                        return Err(why);
                    }
                }
                let mut change = Change::new(Action::Update);
                let states = self.states(keeper, answers)?;
                for (at, layer) in LAYERS.into_iter().enumerate() {
                    // One attribute a layer, so that what it was when it was last applied can be told.
                    let has = items.iter().zip(&states).filter(|(_, has)| has.get(at) == Some(&true));
                    let has = listed(has.map(|((item, _), _)| item));
                    change.compare(layer, has, listed(items.iter().map(|(item, _)| item)));
                }
                Ok(if change.attributes.is_empty() { Change::none() } else { change.signals(Signal::None) })
            }
            // It comes with this very apply, and nobody knows yet what it has open.
            At::Then(keeper) => {
                let mut change = Change::new(Action::Update);
                if let Some(keeper) = keeper {
                    self.could(keeper)?;
                }
                for layer in LAYERS {
                    change.differs(layer, Shown::Unknown, listed(items.iter().map(|(item, _)| item)));
                }
                change.reasons.push(match keeper {
                    Some(keeper) => format!("{keeper} starts before"),
                    None => "what comes before may bring a firewall".to_owned(),
                });
                Ok(change)
            }
            At::Nobody if *absent == Otherwise::Ignore => Ok(Change::none()),
            At::Nobody => Err(self.nobody(&found)),
        }
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let turn = |(item, knob): &(Item, Knob), head: &str, by: &str, zone: &str| {
            let new = if item.only_opens() { NEW } else { "" };
            Step::Turn { knob: knob.clone(), state: format!("{new}{head}{by} {zone} yes yes"), input: None }
        };
        if change.attributes.iter().any(|attribute| attribute.before == Shown::Unknown) {
            let by = self.backend.map_or("auto", Keeper::word);
            let zone = self.zone.as_deref().unwrap_or("-");
            return Ok(self.items.iter().map(|item| turn(item, PENDING, by, zone)).collect());
        }
        let found = self.found(answers)?;
        let Some(keeper) = found.keeper else { return Ok(Vec::new()) };
        let states = self.states(keeper, answers)?;
        let missing = self.items.iter().zip(states).filter(|(_, has)| has.contains(&false));
        let zone = found.zone.as_deref().unwrap_or("-");
        Ok(missing.map(|(item, _)| turn(item, "", keeper.word(), zone)).collect())
    }

    fn notice(&self, answers: &Answers, context: &Context<'_>) -> Option<String> {
        let found = self.found(answers).ok()?;
        match self.at(&found, context) {
            At::Nobody if self.absent == Otherwise::Ignore => {
                Some(format!("{}; nothing is done", self.nobody(&found).message))
            }
            At::Now(Keeper::Nftables) if self.blocked == Otherwise::Ignore => {
                let all: Vec<String> = self.blocked(&found).into_iter().map(|why| why.message).collect();
                (!all.is_empty()).then(|| all.join("; "))
            }
            _ => None,
        }
    }
}

/// What the next boot has, and what is in force; in the order of the words in a knob's text.
const LAYERS: [&str; 2] = ["permanent", "running"];

/// What lets a kernel forward, of each family.
const FORWARDING: [(&str, &str); 2] =
    [("net.ipv4.ip_forward", "net/ipv4/ip_forward"), ("net.ipv6.conf.all.forwarding", "net/ipv6/conf/all/forwarding")];

fn forwarding(name: &str) -> Thing {
    Thing::Knob(Knob::new(&SYSCTL, name))
}

/// What parts items that a change shows.
const BETWEEN: &str = ", ";

/// Items as a change shows them.
fn listed<'a>(items: impl IntoIterator<Item = &'a Item>) -> Shown {
    let items: Vec<String> = items.into_iter().map(ToString::to_string).collect();
    if items.is_empty() { Shown::Absent } else { Shown::Text(items.join(BETWEEN)) }
}

impl Firewall {
    fn found(&self, answers: &Answers) -> Result<Found, Undecided> {
        let text = answers.knob(&self.host).map_err(denied)?;
        Ok(Found::read(text))
    }

    fn at(&self, found: &Found, context: &Context<'_>) -> At {
        let starts = |keeper: Keeper| {
            let action = context.pending(&Thing::Running(keeper.unit()));
            self.backend.is_none_or(|backend| backend == keeper)
                && action.is_some_and(|action| action != Action::Remove)
        };
        match found.keeper {
            // Whatever starts it anew, it is there, and has what it has.
            Some(Keeper::Firewalld) => At::Now(Keeper::Firewalld),
            Some(keeper) if self.backend.is_some() => At::Now(keeper),
            _ if starts(Keeper::Firewalld) => At::Then(Some(Keeper::Firewalld)),
            Some(Keeper::Ufw) => At::Now(Keeper::Ufw),
            // Of nft others may make use without keeping a firewall, and a package may start one.
            _ if starts(Keeper::Ufw) || context.command_pending() => At::Then(self.backend),
            Some(keeper) => At::Now(keeper),
            None => At::Nobody,
        }
    }

    /// What each item is in each layer.
    fn states(&self, keeper: Keeper, answers: &Answers) -> Result<Vec<[bool; 2]>, Undecided> {
        let state = |(_, knob): &(Item, Knob)| {
            let text = answers.knob(knob).map_err(denied)?;
            let mut layers = text.split(' ').skip(2).map(|layer| keeper.has(layer));
            Ok([layers.next().unwrap_or_default(), layers.next().unwrap_or_default()])
        };
        self.items.iter().map(state).collect()
    }
}
