//! What there is on a host that filters, as [`crate::knob::firewall::FIREWALL_HOST`] tells it.

use super::Keeper;
use super::item::{Item, PortRange};

/// What a host says of its firewalls.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How firewalld, ufw and nft are.
    pub(super) firewalld: String,
    pub(super) ufw: String,
    pub(super) nft: String,
    /// The one that counts.
    pub(super) keeper: Option<Keeper>,
    /// The zone of firewalld, where there is one of that name.
    pub(super) zone: Option<String>,
    /// The zones in force and after the next reload, where that one is in not both.
    pub(super) running: Vec<String>,
    pub(super) permanent: Vec<String>,
    /// The services that it knows.
    pub(super) services: Vec<String>,
    /// Whether the kernel forwards IPv4 and IPv6.
    pub(super) forwards: [bool; 2],
    /// What else filters, in nftables.
    pub(super) chains: Vec<Chain>,
}

/// A chain that somebody else has in nftables.
#[derive(Debug)]
pub(super) struct Chain {
    family: String,
    table: String,
    name: String,
    hook: String,
    drops: bool,
    rules: Vec<String>,
}

impl Found {
    pub(super) fn read(text: &str) -> Self {
        let mut found = Self::default();
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<String>>();
        for line in text.lines() {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "firewalld" => rest.clone_into(&mut found.firewalld),
                "ufw" => rest.clone_into(&mut found.ufw),
                "nft" => rest.clone_into(&mut found.nft),
                "by" => found.keeper = rest.parse().ok(),
                "zone" => found.zone = Some(rest.to_owned()),
                "running" => found.running = words(rest),
                "permanent" => found.permanent = words(rest),
                "service" => found.services.push(rest.to_owned()),
                "forwarding" => {
                    let mut on = rest.split(' ').map(|word| word != "0");
                    found.forwards = [on.next().unwrap_or_default(), on.next().unwrap_or_default()];
                }
                "chain" => {
                    if let [family, table, name, hook, policy] = words(rest).as_slice() {
                        let [family, table, name, hook] = [family, table, name, hook].map(Clone::clone);
                        let drops = policy == "drop";
                        found.chains.push(Chain { family, table, name, hook, drops, rules: Vec::new() });
                    }
                }
                "rule" => {
                    if let Some(chain) = found.chains.last_mut() {
                        chain.rules.push(rest.to_owned());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The chains of others that drop or refuse an item, each with the rule that would let it in. An accept in a table of our
    /// own does not count for them: each base chain of a hook decides for itself, nft(8).
    pub(super) fn blocked<'a>(&'a self, item: &Item) -> Vec<(&'a Chain, String)> {
        let of = |hook: &str, four: bool, six: bool| -> Vec<&'a Chain> {
            let meant = |family: &str| match family {
                "ip" => four,
                "ip6" => six,
                _ => true,
            };
            self.chains.iter().filter(|chain| chain.hook == hook && meant(&chain.family)).collect()
        };
        let (chains, ports, rule) = match item {
            Item::Port(port) => (of("input", true, true), Some(port.clone()), format!("{} accept", dport(port))),
            Item::Forward(forward) => {
                let accept = "ct status dnat accept".to_owned();
                match (forward.to_address, forward.to_port) {
                    (Some(address), _) => (of("forward", address.is_ipv4(), address.is_ipv6()), None, accept),
                    // It comes in at the port that it is led to.
                    (None, Some(port)) => {
                        let to = PortRange { first: port, last: port, protocol: forward.from.protocol.clone() };
                        let rule = format!("{} accept", dport(&to));
                        (of("input", true, true), Some(to), rule)
                    }
                    (None, None) => return Vec::new(),
                }
            }
            _ => return Vec::new(),
        };
        let stopped = |chain: &&'a Chain| chain.stops() && !self.lets_in(chain, ports.as_ref());
        chains.into_iter().filter(stopped).map(|chain| (chain, rule.clone())).collect()
    }

    /// Whether a rule of the chain's table accepts that. What cannot be told from the text, such as a set, is taken for a yes.
    fn lets_in(&self, chain: &Chain, ports: Option<&PortRange>) -> bool {
        let table = self.chains.iter().filter(|other| other.family == chain.family && other.table == chain.table);
        table.flat_map(|other| &other.rules).any(|rule| accepts(rule, ports))
    }
}

impl Chain {
    /// `the chain input of the table inet filter`.
    pub(super) fn title(&self) -> String {
        format!("the chain {} of the table {} {}", self.name, self.family, self.table)
    }

    /// `inet filter input`, as nft takes it.
    pub(super) fn path(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }

    /// Whether what nobody has accepted ends here: by its policy, or by a rule for everything.
    fn stops(&self) -> bool {
        self.drops || self.rules.iter().any(|rule| is_for_all(rule, &["drop", "reject"]))
    }
}

fn dport(port: &PortRange) -> String {
    let PortRange { first, last, protocol } = port;
    if first == last { format!("{protocol} dport {first}") } else { format!("{protocol} dport {first}-{last}") }
}

/// Whether a rule has no condition and ends so.
fn is_for_all(rule: &str, verdicts: &[&str]) -> bool {
    // How often and what is told of it makes no difference.
    let rest = rule.split(" comment ").next().unwrap_or_default();
    let rest = rest.strip_prefix("counter ").unwrap_or(rest);
    verdicts
        .iter()
        .any(|verdict| rest.strip_prefix(verdict).is_some_and(|more| more.is_empty() || more.starts_with(' ')))
}

fn accepts(rule: &str, ports: Option<&PortRange>) -> bool {
    if is_for_all(rule, &["accept"]) {
        return true;
    }
    if !rule.contains("accept") {
        return false;
    }
    let Some(PortRange { first, last, protocol }) = ports else { return rule.contains("ct status") };
    let wanted = [format!("{protocol} dport "), "th dport ".to_owned()];
    let Some(behind) = wanted.iter().find_map(|wanted| rule.split_once(wanted.as_str()).map(|(_, behind)| behind))
    else {
        return false;
    };
    if behind.starts_with('@') || behind.starts_with("vmap @") {
        return true;
    }
    let behind = behind.split('}').next().unwrap_or_default();
    let ranges = behind.split(|c: char| !c.is_ascii_digit() && c != '-').filter(|word| !word.is_empty());
    let has = |word: &str| {
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        matches!((low.parse::<u16>(), high.parse::<u16>()), (Ok(low), Ok(high)) if low <= *first && *last <= high)
    };
    let is_not = behind.starts_with("!=");
    // Of a list all that is listed, of one port that alone: what comes behind is another condition.
    if behind.starts_with('{') || behind.starts_with("vmap") {
        ranges.into_iter().any(has)
    } else {
        ranges.into_iter().next().is_some_and(has) && !is_not
    }
}
