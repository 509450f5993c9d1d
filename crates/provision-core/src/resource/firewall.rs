//! `firewall`: ports that firewalld lets in, now and after a reload. What else is open stays open.

use std::fmt;
use std::str::FromStr;

use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided, ZonePorts, ZoneState};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::step::{Layer, Step};
use crate::systemd::Managed;

/// The kind.
pub static KIND: Kind = Kind {
    name: "firewall",
    summary: "Ports that firewalld lets in, now and after a reload; what else is open stays open.",
    fields: &[
        Field {
            name: "ports",
            takes: "list of ports",
            required: true,
            doc: "Each a port or a range with its protocol (tcp, udp, sctp, dccp): \"8443/tcp\", \"5000-5010/udp\".",
        },
        Field {
            name: "zone",
            takes: "text",
            required: false,
            doc: "A zone of firewalld; the default zone without it.",
        },
    ],
    example: r#"
[firewall.registry]
ports = ["8443/tcp"]
"#,
    templates: &[],
    assets: &[],
    read,
};

/// The service that a firewall waits for, should the plan run it.
const SERVICE: &str = "firewalld.service";
/// Longest name of a zone: what fits into a name of a chain with firewalld's own prefixes (firewalld.zone(5)).
const LONGEST_ZONE: usize = 17;

#[derive(Debug)]
struct Firewall {
    zone: Option<String>,
    ports: Vec<PortRange>,
}

/// Ports of one protocol, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortRange {
    first: u16,
    last: u16,
    protocol: String,
}

impl PortRange {
    fn ports(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) }
    }

    /// Whether every port of it is in one of the ranges: firewalld joins neighbours, whoever opened them.
    fn is_within(&self, open: &[Self]) -> bool {
        let mut own: Vec<&Self> = open.iter().filter(|range| range.protocol == self.protocol).collect();
        own.sort_by_key(|range| range.first);
        let mut next = u32::from(self.first);
        for range in own {
            if u32::from(range.first) <= next {
                next = next.max(u32::from(range.last) + 1);
            }
        }
        next > u32::from(self.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports(), self.protocol)
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a port is \"8443/tcp\" or a range \"5000-5010/udp\"; tcp, udp, sctp or dccp".to_owned();
        let (ports, protocol) = text.split_once('/').ok_or_else(wrong)?;
        if !matches!(protocol, "tcp" | "udp" | "sctp" | "dccp") {
            return Err(wrong());
        }
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(wrong()),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{first}-{last} runs backwards: write {last}-{first}"));
        }
        Ok(Self { first, last, protocol: protocol.to_owned() })
    }
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let zone: Option<String> = fields.optional("zone");
    let mut ports: Vec<PortRange> = Vec::new();
    for port in fields.list("ports") {
        // Nobody is kept from writing one twice.
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    if !fields.has("ports") {
        fields.problem("", format!("{} lacks `ports`", fields.label()), "add `ports = [\"8443/tcp\"]`");
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
    Some(Box::new(Firewall { zone, ports }))
}

impl Resource for Firewall {
    fn provides(&self) -> Vec<Thing> {
        Vec::new()
    }

    fn objects(&self) -> Vec<Object> {
        let Self { zone, ports } = self;
        let object =
            |(layer, port): (Layer, &PortRange)| Object::Port { layer, zone: zone.clone(), port: port.to_string() };
        every(ports).into_iter().map(object).collect()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let all = listed(&self.ports);
        LAYERS.into_iter().map(|layer| (layer.word(), all.clone())).filter(|(_, all)| *all != Shown::Absent).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let running = Target::Thing(Thing::Running(Managed::system(SERVICE)));
        vec![Want::after(running), package::want("firewalld")]
    }

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Zone(self.zone.clone())]
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { zone, ports } = self;
        let asked = answers.zone(zone).map_err(|reason| {
            Undecided::with_help(
                reason.message,
                "firewalld answers root alone: connect as root, or write `become = true`",
            )
        })?;
        match asked {
            ZoneState::Present(found) => {
                let mut change = Change::new(Action::Update);
                let closed = closed(ports, found);
                for layer in LAYERS {
                    // One attribute a layer, so that what it was when it was last applied can be told.
                    let open = ports.iter().filter(|port| !closed.contains(&(layer, *port)));
                    change.compare(layer.word(), listed(open), listed(ports));
                }
                Ok(if change.attributes.is_empty() { Change::none() } else { change.signals(Signal::None) })
            }
            // It comes with this very apply, and nobody knows yet what it has open.
            ZoneState::Stopped if starts(context) => {
                let mut change = Change::new(Action::Update);
                for layer in LAYERS {
                    change.differs(layer.word(), Shown::Unknown, listed(ports));
                }
                change.reasons.push("firewalld starts before".to_owned());
                Ok(change)
            }
            ZoneState::Stopped => Err(Undecided::with_help(
                "firewalld does not run on the host",
                "start it (systemctl enable --now firewalld), or leave this resource out where another firewall is used",
            )),
            ZoneState::Unknown { running, permanent } => {
                Err(no_zone(zone.as_deref().unwrap_or_default(), running, permanent))
            }
        }
    }

    fn steps(&self, _change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { zone, ports } = self;
        let wanted = match answers.zone(zone)? {
            ZoneState::Present(found) => closed(ports, found),
            _ => every(ports),
        };
        let step = |(layer, port): (Layer, &PortRange)| Step::OpenPort {
            zone: zone.clone(),
            port: port.ports(),
            protocol: port.protocol.clone(),
            layer,
        };
        Ok(wanted.into_iter().map(step).collect())
    }
}

/// Ports as a change shows them.
fn listed<'a>(ports: impl IntoIterator<Item = &'a PortRange>) -> Shown {
    let ports: Vec<String> = ports.into_iter().map(ToString::to_string).collect();
    if ports.is_empty() { Shown::Absent } else { Shown::Text(ports.join(", ")) }
}

/// Whether firewalld is started by something upstream.
fn starts(context: &Context<'_>) -> bool {
    context.pending(&Thing::Running(Managed::system(SERVICE))).is_some() || context.command_pending()
}

/// The permanent configuration first: when the running one fails, a reload mends it, never the other way round.
const LAYERS: [Layer; 2] = [Layer::Permanent, Layer::Running];

fn every(ports: &[PortRange]) -> Vec<(Layer, &PortRange)> {
    ports.iter().flat_map(|port| LAYERS.map(|layer| (layer, port))).collect()
}

fn closed<'a>(ports: &'a [PortRange], found: &ZonePorts) -> Vec<(Layer, &'a PortRange)> {
    // What is not understood is not open for anybody here.
    let parse = |open: &[String]| -> Vec<PortRange> { open.iter().filter_map(|port| port.parse().ok()).collect() };
    let (running, permanent) = (parse(&found.running), parse(&found.permanent));
    let mut closed = every(ports);
    closed.retain(|(layer, port)| match layer {
        Layer::Permanent => !port.is_within(&permanent),
        Layer::Running => !port.is_within(&running),
    });
    closed
}

fn no_zone(zone: &str, running: &[String], permanent: &[String]) -> Undecided {
    let has = |zones: &[String]| zones.iter().any(|known| known == zone);
    match (has(running), has(permanent)) {
        (false, true) => Undecided::with_help(
            format!("the zone {zone} is in firewalld's permanent configuration only"),
            "let firewalld read it: firewall-cmd --reload",
        ),
        (true, false) => Undecided::with_help(
            format!("the zone {zone} is in firewalld's running configuration only and will be gone after a reload"),
            format!("make it permanent: firewall-cmd --permanent --new-zone={zone}"),
        ),
        _ => Undecided::with_help(
            format!("firewalld has no zone {zone}"),
            format!("it has {}; without `zone` the default one is used", running.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const PORT: &str = "ports = ['8443/tcp']";

    fn zone(name: &str, running: &[&str], permanent: &[&str]) -> (String, ZonePorts) {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let ports = ZonePorts { name: name.to_owned(), running: texts(running), permanent: texts(permanent) };
        (name.to_owned(), ports)
    }

    #[test]
    fn a_closed_port_is_opened_now_and_for_good() {
        case("firewall", PORT)
            .updates("permanent: (absent) -> 8443/tcp, running: (absent) -> 8443/tcp")
            .steps("open 8443/tcp in the permanent firewall; open 8443/tcp in the running firewall")
            .mended();
    }

    #[test]
    fn a_port_that_is_open_in_one_of_the_two_is_opened_in_the_other() {
        case("firewall", PORT)
            .given(|host| host.zones = Some([zone("public", &["8443/tcp", "22/tcp"], &["22/tcp"])].into()))
            .updates("permanent: (absent) -> 8443/tcp")
            .mended();
    }

    #[test]
    fn what_is_open_of_several_is_shown_beside_what_is_to_be() {
        case("firewall", "ports = ['8443/tcp', '22/tcp']")
            .given(|host| host.zones = Some([zone("public", &["22/tcp", "9/udp"], &["22/tcp", "8443/tcp"])].into()))
            .updates("running: 22/tcp -> 8443/tcp, 22/tcp")
            .steps("open 8443/tcp in the running firewall")
            .mended();
    }

    #[test]
    fn a_port_within_an_open_range_is_open() {
        let ports = ["5000-5004/tcp", "5005/tcp", "5006-5010/udp"];
        let open = |fields: &str| {
            case("firewall", fields).given(|host| host.zones = Some([zone("public", &ports, &ports)].into()))
        };
        open("ports = ['5001/tcp', '5000-5005/tcp', '5006/udp']").in_sync();
        open("ports = ['5004-5006/tcp', '5000/udp']").steps(
            "open 5004-5006/tcp in the permanent firewall; open 5004-5006/tcp in the running firewall; \
             open 5000/udp in the permanent firewall; open 5000/udp in the running firewall",
        );
    }

    #[test]
    fn a_zone_that_is_not_there_is_named_with_those_that_are() {
        let zones = [zone("public", &[], &[]), zone("work", &["8443/tcp"], &["8443/tcp"])];
        let given = |fields: &str| case("firewall", fields).given(|host| host.zones = Some(zones.clone().into()));
        given("ports = ['8443/tcp']\nzone = 'work'").in_sync();
        let changes = given("ports = ['8443/tcp']\nzone = 'home'").changes();
        let (_, reason) = changes.undecided().next().unwrap();
        assert_eq!(reason.message, "firewalld has no zone home");
        assert_eq!(reason.help.as_deref(), Some("it has public, work; without `zone` the default one is used"));
        let message = |running: &[&str], permanent: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            no_zone("home", &texts(running), &texts(permanent)).message
        };
        assert_eq!(message(&[], &["home"]), "the zone home is in firewalld's permanent configuration only");
        assert_eq!(
            message(&["home"], &[]),
            "the zone home is in firewalld's running configuration only and will be gone after a reload"
        );
    }

    #[test]
    fn a_firewall_that_does_not_run_is_an_error() {
        case("firewall", PORT).given(|host| host.zones = None).undecided("firewalld does not run on the host");
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for wrong in ["8443", "8443/icmp", "0/tcp", "65536/tcp", "2-1/tcp", "+1/tcp", "1-/tcp", "a/tcp", "1-2-3/tcp"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
        case("firewall", "zone = 'my zone'").refused("2:11: firewall.x lacks `ports` (add `ports = [\"8443/tcp\"]`)");
        case("firewall", "ports = []\nzone = 'my zone'").refused(
            "4:8: this is no name of a zone (letters, digits, `_`, `-` and `/`, at most 17; without it the default zone)",
        );
    }
}
