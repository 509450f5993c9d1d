use super::hindrance::no_zone;
use super::*;
use crate::probe::Answer;
use crate::testing::{Case, case};

const PORT: &str = "ports = ['8443/tcp']";

fn item(name: &str) -> Knob {
    Knob::new(&FIREWALL, name)
}

fn host(name: &str) -> Knob {
    Knob::new(&FIREWALL_HOST, name)
}

/// A case on a host of which the firewall says this.
fn on(found: &str, fields: &str) -> Case {
    let services = if fields.contains("services") { "services" } else { "" };
    let (found, host) = (found.to_owned(), host(services));
    case("firewall", fields).given(move |state| state.turn(&host, &found))
}

/// What each knob is set to.
fn turns(case: &Case) -> Vec<String> {
    let changes = case.changes();
    let (_, resource) = changes.graph().resources().find(|(address, _)| address.to_string() == "firewall.x").unwrap();
    let mut answers = Answers::default();
    for ask in resource.asks() {
        let Ask::Knob(knob) = &ask else { panic!("{ask:?}") };
        let state = case.host().with(|state| state.knob(knob));
        answers.insert(ask, Answer::Knob(state));
    }
    let steps = resource.steps(&case.change(), &answers, &Materials::new(crate::testing::NOW)).unwrap();
    let state = |step: &Step| if let Step::Turn { state, .. } = step { state.clone() } else { panic!("{step:?}") };
    steps.iter().map(state).collect()
}

#[test]
fn a_closed_port_is_opened_now_and_for_good() {
    case("firewall", PORT)
        .updates("permanent: (absent) -> 8443/tcp, running: (absent) -> 8443/tcp")
        .steps("set the firewall's port 8443/tcp")
        .mended();
}

#[test]
fn a_port_that_is_open_in_one_of_the_two_is_opened_in_the_other() {
    case("firewall", PORT)
        .given(|state| state.turn(&item("port 8443/tcp"), "firewalld public no yes"))
        .updates("permanent: (absent) -> 8443/tcp")
        .mended();
}

#[test]
fn what_is_open_of_several_is_shown_beside_what_is_to_be() {
    case("firewall", "ports = ['8443/tcp', '22/tcp']")
        .given(|state| state.turn(&item("port 22/tcp"), "firewalld public yes yes"))
        .given(|state| state.turn(&item("port 8443/tcp"), "firewalld public yes 8443-8443"))
        .updates("running: 22/tcp -> 8443/tcp, 22/tcp")
        .steps("set the firewall's port 8443/tcp")
        .mended();
}

#[test]
fn whatever_firewalld_has_is_set_in_the_zone_that_is_named() {
    let fields = "zone = 'work'\nservices = ['http']\nports = ['1-2/udp']\nmasquerade = true\n\
        forward_ports = ['80/tcp -> 8080', { port = '81/tcp', to_port = 80, to_address = '10.0.0.5' }, '82-83/udp -> fd00::5']\n\
        rich_rules = ['rule family=ipv4 service name=ssh accept']\nsources = ['192.0.2.0/24', '02:00:00:00:00:ab']";
    let all = "1-2/udp, service http, 80/tcp -> 8080, 81/tcp -> 10.0.0.5:80, 82-83/udp -> fd00::5, masquerade to 10.0.0.5, \
        masquerade to fd00::5, rule family=ipv4 service name=ssh accept, source 192.0.2.0/24, source 02:00:00:00:00:AB";
    case("firewall", fields)
        .updates(&format!("permanent: (absent) -> {all}, running: (absent) -> {all}"))
        .holds(
            "knob firewall zone=work port 1-2/udp; knob firewall zone=work service http; \
             knob firewall zone=work forward 80/tcp to 8080; knob firewall zone=work forward 81/tcp to 80 at 10.0.0.5; \
             knob firewall zone=work forward 82-83/udp at fd00::5; knob firewall zone=work masquerade 10.0.0.5; \
             knob firewall zone=work masquerade fd00::5; knob firewall zone=work rule family=ipv4 service name=ssh accept; \
             knob firewall zone=work source 192.0.2.0/24; knob firewall zone=work source 02:00:00:00:00:AB",
        )
        .mended();
}

#[test]
fn what_only_opens_cuts_nobody_off_and_all_else_may() {
    let fields = "ports = ['1/tcp']\nservices = ['http']\nforward_ports = ['22/tcp -> 80']\nrich_rules = ['rule drop']\nsources = ['192.0.2.1']";
    let turns = turns(&case("firewall", fields));
    let (opens, may) = ("new yes\nfirewalld public yes yes", "firewalld public yes yes");
    assert_eq!(turns, [opens, opens, may, may, may]);
}

#[test]
fn a_zone_that_is_not_there_is_named_with_those_that_are() {
    let found = "firewalld running\nufw absent\nnft absent\nby firewalld\nrunning public work\npermanent public";
    let given = |zone: &str| {
        let host = host(&format!("zone={zone}"));
        case("firewall", &format!("{PORT}\nzone = '{zone}'")).given(move |state| state.turn(&host, found))
    };
    given("home").undecided("firewalld has no zone home");
    given("work")
        .undecided("the zone work is in firewalld's running configuration only and will be gone after a reload");
    let only = no_zone("home", &[], &["home".to_owned()]);
    assert_eq!(only.message, "the zone home is in firewalld's permanent configuration only");
}

#[test]
fn a_service_that_nobody_knows_is_an_error() {
    let fields = "services = ['htps']";
    case("firewall", fields).undecided("firewalld knows no service htps");
    let changes = case("firewall", fields).changes();
    let help = changes.undecided().next().unwrap().1.help.clone().unwrap();
    assert!(help.starts_with("did you mean https? firewall-cmd --get-services has them all"), "{help}");
    on("firewalld absent\nufw active\nnft present\nby ufw\nservice Nginx Full", "services = ['Nginx']")
        .undecided("ufw knows no profile of an application Nginx");
}

const UFW: &str = "firewalld stopped\nufw active\nnft present\nby ufw\nservice Nginx Full";
const NFT: &str = "firewalld absent\nufw inactive\nnft present\nby nftables\nforwarding 0 1";

#[test]
fn ufw_lets_in_by_both_families_or_by_those_that_it_keeps() {
    let state = |text: &'static str| {
        let knob = item("port 8443/tcp");
        on(UFW, PORT).given(move |state| state.turn(&knob, text))
    };
    for closed in
        ["ufw - no/no no/no", "ufw - allow/no allow/no", "ufw - deny/allow deny/allow", "ufw - never/never never/never"]
    {
        let wanted = "permanent: (absent) -> 8443/tcp, running: (absent) -> 8443/tcp";
        state(closed).updates(wanted).steps("set the firewall's port 8443/tcp");
    }
    for open in ["ufw - allow/allow allow/allow", "ufw - limit/allow_log limit/allow", "ufw - allow/never allow/never"]
    {
        state(open).in_sync();
    }
    state("ufw - allow/allow allow/no").updates("running: (absent) -> 8443/tcp");
}

#[test]
fn what_a_hosts_firewall_cannot_have_is_refused_before_anything_is_done() {
    for (found, fields, why) in [
        (
            UFW,
            "ports = ['7/sctp']",
            "ufw keeps the host's firewall and cannot have 7/sctp: it has ports of tcp and udp alone",
        ),
        (
            UFW,
            "forward_ports = ['80/tcp -> 8080']",
            "ufw keeps the host's firewall and cannot have 80/tcp -> 8080: it has no forwarded ports: its manual has them \
             written into /etc/ufw/before.rules by hand",
        ),
        (
            NFT,
            "rich_rules = ['rule accept']",
            "nftables keeps the host's firewall and cannot have rule accept: it has no rich rules, which are firewalld's",
        ),
        (
            NFT,
            "services = ['http']",
            "nftables keeps the host's firewall and cannot have service http: it has no services: write their `ports`",
        ),
        (
            NFT,
            "sources = ['192.0.2.1']",
            "nftables keeps the host's firewall and cannot have source 192.0.2.1: it has no zones, and so no `sources`, which are firewalld's",
        ),
    ] {
        on(found, fields).undecided(why);
    }
    let zone = host("zone=work");
    case("firewall", &format!("{PORT}\nzone = 'work'"))
        .given(move |state| state.turn(&zone, NFT))
        .undecided("nftables keeps the host's firewall, and it has no zones: nothing is done about work");
}

#[test]
fn a_host_that_does_not_forward_is_told() {
    let state = |to: &str| {
        let fields = format!("forward_ports = ['80/tcp -> {to}']");
        on(NFT, &fields).given(|state| {
            for to in ["to 80 at 10.0.0.5", "to 80 at fd00::5", "to 8080"] {
                state.turn(&item(&format!("forward 80/tcp {to}")), "nftables - no no");
            }
        })
    };
    state("10.0.0.5:80").undecided(
        "the host forwards nothing to other hosts, and so not 80/tcp -> 10.0.0.5:80: net.ipv4.ip_forward is 0",
    );
    state("[fd00::5]:80").steps("set the firewall's forward 80/tcp to 80 at fd00::5");
    state("8080").steps("set the firewall's forward 80/tcp to 8080");
    let sysctl = "[sysctl.x]\nkey = 'net.ipv4.ip_forward'\nvalue = 1\n";
    state("10.0.0.5:80")
        .plan(sysctl)
        .updates("permanent: (absent) -> 80/tcp -> 10.0.0.5:80, running: (absent) -> 80/tcp -> 10.0.0.5:80");
}

#[test]
fn other_tables_that_drop_are_said() {
    let drops = format!("{NFT}\nchain inet filter input input drop\nrule iif \"lo\" accept\nrule tcp dport 22 accept");
    on(&drops, PORT).undecided(
        "the chain input of the table inet filter drops what it does not accept, whatever other tables accept, and it has nothing for 8443/tcp",
    );
    let changes = on(&drops, PORT).changes();
    let help = changes.undecided().next().unwrap().1.help.clone().unwrap();
    assert!(
        help.starts_with("let it in there, too: nft insert rule inet filter input tcp dport 8443 accept,"),
        "{help}"
    );
    let ignored = format!("{PORT}\nblocked = 'ignore'");
    let said = on(&drops, &ignored).given(|state| state.turn(&item("port 8443/tcp"), "nftables - yes yes"));
    let changes = said.changes();
    assert_eq!(changes.changed().count(), 0);
    let notices: Vec<String> = changes.notices().map(|(_, text)| text.to_owned()).collect();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].starts_with("the chain input of the table inet filter drops"), "{notices:?}");
}

/// A rule of somebody else's chain, and whether 8443/tcp gets past it.
#[test]
fn what_lets_a_port_in_is_told_from_a_rules_text() {
    let port = Item::Port("8443/tcp".parse().unwrap());
    let blocked = |head: &str, rule: &str| {
        let found = Found::read(&format!("{NFT}\n{head}\nrule {rule}"));
        !found.blocked(&port).is_empty()
    };
    let drops = "chain inet filter input input drop";
    for open in [
        "tcp dport 8443 accept",
        "tcp dport { 22, 8443 } counter accept",
        "tcp dport 8000-9000 accept",
        "tcp dport vmap { 22 : accept, 8443 : accept }",
        "tcp dport @open accept",
        "ip saddr 192.0.2.0/24 tcp dport 8443 ct state new accept",
        "meta l4proto { tcp, udp } th dport 8443 accept",
        "accept",
        "counter accept comment \"all\"",
    ] {
        assert!(!blocked(drops, open), "{open}");
    }
    for closed in [
        "tcp dport 22 accept",
        "udp dport 8443 accept",
        "tcp dport 8443 drop",
        "tcp sport 8443 accept",
        "tcp dport != 8443 accept",
        "tcp dport { 22, 80 } meta mark 8443 accept",
        "ct state established,related accept",
    ] {
        assert!(blocked(drops, closed), "{closed}");
    }
    // A policy of accept lets in, unless a rule without a condition does not.
    let accepts = "chain ip filter INPUT input accept";
    assert!(!blocked(accepts, "ct state invalid drop"));
    assert!(!blocked(accepts, "ip saddr @banned drop"));
    assert!(blocked(accepts, "reject with icmpx admin-prohibited"));
    assert!(blocked(accepts, "counter drop"));
    // Whoever accepts may be in a chain that is jumped to.
    let found = format!("{NFT}\n{drops}\nrule jump open\nchain inet filter open - accept\nrule tcp dport 8443 accept");
    assert!(Found::read(&found).blocked(&port).is_empty());
    let other = found.replace("chain inet filter open", "chain inet other open");
    assert_eq!(Found::read(&other).blocked(&port).len(), 1);
}

#[test]
fn what_is_forwarded_passes_the_chains_of_its_way() {
    let forward = |text: &str| Item::Forward(text.parse().unwrap());
    let blocked = |item: &Item, chains: &str| Found::read(&format!("{NFT}\n{chains}")).blocked(item).len();
    let input = "chain inet filter input input drop\nrule tcp dport 8080 accept";
    assert_eq!(blocked(&forward("80/tcp -> 8080"), input), 0);
    assert_eq!(blocked(&forward("80/tcp -> 8081"), input), 1);
    assert_eq!(blocked(&forward("80/tcp -> 10.0.0.5"), input), 0);
    let through = "chain ip filter FORWARD forward drop\nrule ct state established accept";
    assert_eq!(blocked(&forward("80/tcp -> 10.0.0.5"), through), 1);
    assert_eq!(blocked(&forward("80/tcp -> fd00::5"), through), 0);
    assert_eq!(blocked(&forward("80/tcp -> 10.0.0.5"), &format!("{through}\nrule ct status dnat accept")), 0);
}

#[test]
fn a_host_without_a_firewall_is_an_error_unless_that_is_meant() {
    const NONE: &str = "firewalld stopped\nufw inactive\nnft absent\nby none";
    let why = "the host has no firewall that is known here: firewalld is stopped, ufw is inactive, nft is absent";
    on(NONE, PORT).undecided(why);
    let changes = on(NONE, &format!("{PORT}\nabsent = 'ignore'")).changes();
    assert_eq!((changes.changed().count(), changes.undecided().count()), (0, 0));
    let notices: Vec<String> = changes.notices().map(|(_, text)| text.to_owned()).collect();
    assert_eq!(notices, [format!("{why}; nothing is done")]);
    for (backend, why) in [
        ("firewalld", "firewalld does not run on the host"),
        ("ufw", "ufw is inactive on the host"),
        ("nftables", "the host has no nft"),
    ] {
        let knob = host(&format!("by={backend}"));
        let fields = format!("{PORT}\nbackend = '{backend}'");
        case("firewall", &fields).given(move |state| state.turn(&knob, NONE)).undecided(why);
    }
}

#[test]
fn a_firewall_that_comes_with_the_plan_is_waited_for() {
    const NONE: &str = "firewalld stopped\nufw absent\nnft present\nby nftables\nforwarding 0 0";
    let unit = "[unit.firewalld]\nunit = 'firewalld.service'\nsections.Service.ExecStart = '/bin/true'\n[service.firewalld]\nunit = 'firewalld'\n";
    let coming = on(NONE, PORT).plan(unit);
    coming.updates("permanent: (known after apply) -> 8443/tcp, running: (known after apply) -> 8443/tcp");
    assert_eq!(turns(&on(NONE, PORT).plan(unit)), ["new yes\npending yes\nauto - yes yes"]);
    // What a command or a package brings nobody knows.
    for before in ["[command.x]\nrun = ['ufw', 'enable']\ncreates = '/srv/c'\n", "[package.ufw]\n"] {
        let fields =
            if before.contains("command") { format!("{PORT}\nafter = ['command.x']") } else { PORT.to_owned() };
        on(NONE, &fields)
            .plan(before)
            .updates("permanent: (known after apply) -> 8443/tcp, running: (known after apply) -> 8443/tcp")
            .because("what comes before may bring a firewall");
    }
    // One that runs is not waited for.
    case("firewall", PORT).plan(unit).updates("permanent: (absent) -> 8443/tcp, running: (absent) -> 8443/tcp");
}

#[test]
fn what_is_no_port_is_refused() {
    for wrong in ["8443", "8443/icmp", "0/tcp", "65536/tcp", "2-1/tcp", "+1/tcp", "1-/tcp", "a/tcp", "1-2-3/tcp"] {
        assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
    }
    for wrong in [
        "80/tcp",
        "80 -> 90",
        "80/tcp -> 0",
        "80/tcp -> a:90",
        "80/tcp -> fd00::5:90:x",
        "80/tcp -> [10.0.0.5]:90",
        "80/tcp -> 0.0.0.0:90",
        "80/tcp -> ff02::1",
        "80/tcp -> 80",
        "80-90/tcp -> 10.0.0.5:80",
    ] {
        assert!(wrong.parse::<Forward>().is_err(), "{wrong}");
    }
    for wrong in ["", "192.0.2.0/33", "::/129", "a", "ipset:", "ipset:a b", "00:00:00:00:00:0g", "10.0.0.0/-1"] {
        assert!(wrong.parse::<Source>().is_err(), "{wrong}");
    }
    for wrong in ["", "accept", "rule accept\nrule drop", "ruleset"] {
        assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
    }
    for wrong in ["", "-a", "a ", "a/b", "a\"b", "$(id)"] {
        assert!(wrong.parse::<Service>().is_err(), "{wrong}");
    }
}
