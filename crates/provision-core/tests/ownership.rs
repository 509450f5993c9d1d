//! Ownership, through the library's public face and on a made-up host: what leaves the plan leaves the host, nothing is lost on
//! the way, and what is not ours is left alone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use provision_core::change::Moved;
use provision_core::engine::{Adopt, Changes, EngineError, Orders, apply, observe, observe_destroy, observe_rollback};
use provision_core::event::{Event, ignore};
use provision_core::knob::Knob;
use provision_core::knob::firewall::FIREWALL;
use provision_core::ledger::Ended;
use provision_core::path::AbsPath;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use provision_core::report::Report;
use provision_core::step::Data;
use provision_core::testing::{FakeHost, NOW};

fn plan(text: &str) -> Plan {
    let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"own\"\n{text}") };
    Plan::parse(source, std::sync::Arc::new(Folder("/".into())), &Inputs::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn file(name: &str, content: &str) -> String {
    format!("[file.{name}]\npath = \"/srv/{name}\"\ncontent = \"{content}\"\n")
}

async fn changes(text: &str, host: &FakeHost) -> Changes {
    let plan = plan(text);
    observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

async fn applied(text: &str, host: &FakeHost) -> Report {
    let report = apply(changes(text, host).await, host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    report
}

async fn destroyed(host: &FakeHost, data: Data) -> Report {
    let plan = plan("");
    let observed = observe_destroy(&plan, plan.hosts().first().unwrap(), host).await.unwrap();
    let report = apply(observed.with_data(data).diff(NOW), host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    report
}

async fn rolled_back(host: &FakeHost) -> Report {
    let plan = plan("");
    let observed = observe_rollback(&plan, plan.hosts().first().unwrap(), host).await.unwrap();
    let report = apply(observed.diff(NOW), host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    report
}

/// What is said of each change: `address action moved`.
fn said(changes: &Changes) -> Vec<String> {
    let moved = |moved: Option<Moved>| moved.map_or("", Moved::word);
    changes
        .changed()
        .map(|(address, change)| format!("{address} {} {}", change.action.word(), moved(change.moved)))
        .collect()
}

/// Paths with their modes and contents, units and ports: all that a person would compare.
fn recorded(host: &FakeHost) -> String {
    host.with(|state| {
        let entries: Vec<String> =
            state.entries.iter().map(|(path, (entry, content))| format!("{path} {entry:?} {content:?}")).collect();
        let open: Vec<_> = state.knobs.iter().filter(|(_, state)| !state.ends_with(" no no")).collect();
        format!("{}\n{:#?}\n{open:#?}", entries.join("\n"), state.units)
    })
}

fn content(host: &FakeHost, path: &str) -> Option<String> {
    let path: AbsPath = path.parse().unwrap();
    host.with(|state| state.entries.get(&path).map(|(_, content)| String::from_utf8_lossy(content).into_owned()))
}

#[tokio::test]
async fn what_leaves_the_plan_leaves_the_host() {
    let host = FakeHost::new();
    applied(&format!("{}{}", file("a", "a"), file("b", "b")), &host).await;
    let changes = changes(&file("a", "a"), &host).await;
    assert_eq!(said(&changes), ["file.b remove left"]);
    let report = apply(changes, &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!((content(&host, "/srv/a").as_deref(), content(&host, "/srv/b")), (Some("a"), None));
    assert!(self::changes(&file("a", "a"), &host).await.is_empty());
}

/// What runs in it would hold it, until that has been restarted without it.
#[tokio::test]
async fn a_network_leaves_once_nothing_has_it_open_any_more() {
    let container = |more: &str| {
        format!(
            "[container.c]\nimage = \"localhost/a:1\"\n{more}\n[service.c]\nunit = \"{{{{ container.c.unit_name }}}}\"\n{}",
            file("z", more)
        )
    };
    let with = format!("[network.n]\n{}", container("networks = ['n.network']"));
    let ended = |text: &str| {
        let text = text.to_owned();
        async move |host: &FakeHost| {
            let told = std::sync::Mutex::new(Vec::new());
            let note = |event: Event| {
                if let Event::Finished { address, outcome } = event {
                    told.lock().unwrap().push(format!("{address} {}", if outcome.is_failure() { "no" } else { "yes" }));
                }
            };
            apply(changes(&text, host).await, host, &note).await.unwrap();
            told.into_inner().unwrap()
        }
    };
    let host = FakeHost::new();
    applied(&with, &host).await;
    let order = ended(&container(""))(&host).await;
    assert_eq!(order, ["container.c yes", "file.z yes", "service.c yes", "network.n yes"]);
    assert!(changes(&container(""), &host).await.is_empty());
    // Nothing runs in it.
    applied(&with, &host).await;
    let gone = ended(&file("z", ""))(&host).await;
    assert_eq!(gone, ["service.c yes", "container.c yes", "network.n yes", "file.z yes"]);
}

#[tokio::test]
async fn a_path_that_moves_under_its_address_leaves_nothing_behind() {
    let host = FakeHost::new();
    let at = |path: &str| format!("[file.a]\npath = \"{path}\"\ncontent = \"a\"\n");
    applied(&at("/srv/a"), &host).await;
    assert_eq!(said(&changes(&at("/srv/b"), &host).await), ["file.a remove left", "file.a create plan"]);
    applied(&at("/srv/b"), &host).await;
    assert_eq!((content(&host, "/srv/a"), content(&host, "/srv/b").as_deref()), (None, Some("a")));
}

#[tokio::test]
async fn a_renamed_resource_is_moved_and_not_touched() {
    let host = FakeHost::new();
    applied(&file("a", "a"), &host).await;
    let renamed = file("a", "a").replace("file.a", "file.c");
    let changes = changes(&renamed, &host).await;
    assert!(changes.is_empty(), "{:?}", said(&changes));
    let moves: Vec<String> = changes.moves().map(|(old, new)| format!("{old} {new}")).collect();
    assert_eq!(moves, ["file.a file.c"]);
    let before = host.with(|state| state.log.len());
    apply(changes, &host, &ignore).await.unwrap();
    assert_eq!(host.with(|state| state.log.len()), before, "no step was done");
    assert_eq!(self::changes(&renamed, &host).await.moves().count(), 0, "and it is known by its new name");
}

#[tokio::test]
async fn data_stays_unless_it_is_to_go() {
    let directory = "[directory.d]\npath = \"/srv/d\"\n";
    let host = FakeHost::new();
    applied(directory, &host).await;
    host.with(|state| state.put_file("/srv/d/theirs", b"precious", "0644"));
    let changes = changes("", &host).await;
    assert!(changes.is_empty());
    let kept: Vec<String> = changes.kept().map(|(address, why)| format!("{address}: {why}")).collect();
    assert_eq!(
        kept,
        [
            "directory.d: /srv/d stays: it has 1 thing in it that is not of this plan (theirs), and only --delete-data removes that"
        ]
    );
    apply(changes, &host, &ignore).await.unwrap();
    assert_eq!(content(&host, "/srv/d/theirs").as_deref(), Some("precious"));
    destroyed(&host, Data::Delete).await;
    assert_eq!(content(&host, "/srv/d"), None);
}

#[tokio::test]
async fn a_destroy_leaves_no_trace() {
    let text = "[directory.d]\npath = \"/srv/d\"\n\
         [file.f]\npath = \"/srv/d/f\"\ncontent = \"f\"\n\
         [unit.u]\nunit = \"u.service\"\nsections.Service.ExecStart = \"/bin/true\"\nsections.Install.WantedBy = \"multi-user.target\"\n\
         [service.u]\nunit = \"u\"\n\
         [firewall.f]\nports = [\"8443/tcp\", \"22/tcp\"]\n\
         [link.l]\npath = \"/srv/l\"\ntarget = \"/srv/d/f\"\n";
    let host = FakeHost::new();
    host.with(|state| {
        let ssh = Knob::new(&FIREWALL, "port 22/tcp");
        state.turn(&ssh, "firewalld public yes yes");
    });
    let before = recorded(&host);
    applied(text, &host).await;
    assert_ne!(recorded(&host), before);
    let report = destroyed(&host, Data::Keep).await;
    assert_eq!(report.kept, []);
    let units = host.with(|state| std::mem::take(&mut state.units));
    assert!(units.values().all(|unit| unit.active == "inactive" && unit.file != "enabled"), "{units:?}");
    assert_eq!(recorded(&host), before);
    // And it is forgotten.
    let plan = plan("");
    assert!(!observe_destroy(&plan, plan.hosts().first().unwrap(), &host).await.unwrap().is_known());
}

#[tokio::test]
async fn what_is_foreign_is_adopted_only_when_that_is_said_and_comes_back() {
    let host = FakeHost::new();
    host.with(|state| state.put_file("/srv/a", b"theirs", "0600"));
    let before = recorded(&host);
    let refused = changes(&file("a", "ours"), &host).await;
    assert_eq!(said(&refused), ["file.a update foreign"]);
    assert_eq!(refused.foreign().count(), 1);
    assert!(matches!(apply(refused, &host, &ignore).await, Err(EngineError::Foreign { count: 1, .. })));
    assert_eq!(recorded(&host), before);

    let orders = Orders { adopt: Adopt::All, ..Orders::default() };
    let report = apply(changes(&file("a", "ours"), &host).await.ordered(orders), &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!(content(&host, "/srv/a").as_deref(), Some("ours"));
    let report = destroyed(&host, Data::Keep).await;
    assert_eq!(report.resources.len(), 1);
    assert_eq!(recorded(&host), before);

    applied(&format!("{}adopt = true\n", file("a", "ours")), &host).await;
    assert_eq!(content(&host, "/srv/a").as_deref(), Some("ours"));
}

#[tokio::test]
async fn what_was_found_as_wanted_is_owned_without_being_touched() {
    let host = FakeHost::new();
    host.with(|state| state.put_file("/srv/a", b"a", "0644"));
    let before = recorded(&host);
    let report = applied(&file("a", "a"), &host).await;
    assert_eq!(report.apply, None, "nothing was changed");
    assert_eq!(said(&changes(&file("a", "b"), &host).await), ["file.a update plan"], "so that it is no stranger later");
    destroyed(&host, Data::Keep).await;
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn what_was_found_as_wanted_does_not_become_what_somebody_made_of_it() {
    let host = FakeHost::new();
    host.with(|state| state.put_file("/srv/a", b"1", "0644"));
    applied(&file("a", "1"), &host).await;
    let before = recorded(&host);
    host.with(|state| state.put_file("/srv/a", b"by hand", "0644"));
    applied(&file("a", "1"), &host).await;
    destroyed(&host, Data::Keep).await;
    assert_eq!(recorded(&host), before);
    // What the plan itself makes of it has an origin: what it was until then.
    applied(&file("a", "1"), &host).await;
    applied(&file("a", "2"), &host).await;
    host.with(|state| state.put_file("/srv/a", b"by hand", "0644"));
    applied(&file("a", "2"), &host).await;
    destroyed(&host, Data::Keep).await;
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn what_a_resource_comes_to_hold_later_has_an_origin_whatever_else_of_it_has_drifted() {
    let host = FakeHost::new();
    let before = recorded(&host);
    let port = |port: u16| format!("[firewall.f]\nports = [\"22/tcp\", \"{port}/tcp\"]\n");
    applied(&port(7001), &host).await;
    let ssh = Knob::new(&FIREWALL, "port 22/tcp");
    host.with(|state| state.turn(&ssh, "firewalld public no no"));
    applied(&port(7002), &host).await;
    applied(&port(7001), &host).await;
    destroyed(&host, Data::Keep).await;
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn what_the_plan_no_longer_wants_of_a_list_is_not_missing_on_the_host() {
    let host = FakeHost::new();
    let ports = |list: &str| format!("[firewall.f]\nports = [{list}]\n");
    applied(&ports("'7001/tcp', '7003/tcp'"), &host).await;
    assert_eq!(
        said(&changes(&ports("'7002/tcp', '7003/tcp'"), &host).await),
        ["firewall.f remove left", "firewall.f update plan"]
    );
    host.with(|state| state.turn(&Knob::new(&FIREWALL, "port 7003/tcp"), "firewalld public no no"));
    assert_eq!(
        said(&changes(&ports("'7002/tcp', '7003/tcp'"), &host).await),
        ["firewall.f remove left", "firewall.f update both"]
    );
}

#[tokio::test]
async fn drift_is_told_apart_from_change() {
    let host = FakeHost::new();
    let text = format!("{}{}{}{}", file("host", "1"), file("plan", "1"), file("both", "1"), file("gone", "1"));
    applied(&text, &host).await;
    host.with(|state| {
        state.put_file("/srv/host", b"edited", "0644");
        state.put_file("/srv/both", b"edited", "0644");
        state.entries.remove(&"/srv/gone".parse::<AbsPath>().unwrap());
    });
    let text = format!("{}{}{}{}", file("host", "1"), file("plan", "2"), file("both", "2"), file("gone", "1"));
    let changes = changes(&format!("{text}{}", file("new", "1")), &host).await;
    assert_eq!(
        said(&changes),
        [
            "file.host update host",
            "file.plan update plan",
            "file.both update both",
            "file.gone create host",
            "file.new create new"
        ]
    );
    let both = changes.changed().find(|(address, _)| address.name() == "both").unwrap().1.clone();
    let applied: Vec<_> = both.attributes.iter().map(|attribute| attribute.applied.clone()).collect();
    let one = provision_core::blob::Blob::from_bytes(b"1".to_vec());
    assert_eq!(applied, [Some(format!("sha256:{}", one.sha256()))]);
}

#[tokio::test]
async fn two_plans_do_not_own_the_same_thing() {
    let host = FakeHost::new();
    applied(&file("a", "a"), &host).await;
    let other = Plan::parse(
        Source { name: "plan.toml".to_owned(), text: format!("name = \"other\"\n{}", file("a", "b")) },
        std::sync::Arc::new(Folder("/".into())),
        &Inputs::default(),
    )
    .unwrap();
    let changes = observe(&other, other.hosts().first().unwrap(), &host).await.unwrap().diff(NOW);
    let reasons: Vec<String> = changes.undecided().map(|(address, reason)| format!("{address}: {reason}")).collect();
    assert_eq!(reasons, ["file.a: path /srv/a belongs to the plan `own` on this host"]);
}

#[tokio::test]
async fn an_apply_that_was_cut_is_taken_forward_or_back() {
    let first = format!("{}{}", file("a", "1"), file("gone", "1"));
    let second = format!("{}{}{}", file("a", "2"), file("b", "2"), file("c", "2"));
    for at in 0..5 {
        let host = FakeHost::new();
        applied(&first, &host).await;
        let before = recorded(&host);
        host.with(|state| state.cut_at = Some(state.log.len() + at));
        let report = apply(changes(&second, &host).await, &host, &ignore).await;
        assert!(!report.is_ok_and(|report| report.succeeded()) || at == 4, "cut at {at}");
        host.with(|state| state.cut_at = None);
        host.reconnect();
        if at < 4 {
            let last = changes(&second, &host).await.memory().last.clone();
            assert_eq!(last.map(|last| last.result), Some(Ended::Cut), "cut at {at}");
        }
        rolled_back(&host).await;
        assert_eq!(recorded(&host), before, "cut at {at}, and taken back");
        applied(&second, &host).await;
        assert!(changes(&second, &host).await.is_empty());
        assert_eq!(content(&host, "/srv/gone"), None);
    }
}

#[tokio::test]
async fn a_rollback_can_be_repeated_up_to_the_beginning() {
    let host = FakeHost::new();
    let before = recorded(&host);
    applied(&file("a", "1"), &host).await;
    let between = recorded(&host);
    applied(&format!("{}{}", file("a", "2"), file("b", "1")), &host).await;
    rolled_back(&host).await;
    assert_eq!(recorded(&host), between);
    assert!(changes(&file("a", "1"), &host).await.is_empty());
    rolled_back(&host).await;
    assert_eq!(recorded(&host), before);
    let plan = plan("");
    let nothing = observe_rollback(&plan, plan.hosts().first().unwrap(), &host).await;
    assert!(matches!(nothing, Err(EngineError::NothingToRollBack { .. })));
}

#[tokio::test]
async fn a_failed_apply_is_taken_back_where_the_plan_says_so() {
    let host = FakeHost::new();
    applied(&file("a", "1"), &host).await;
    let before = recorded(&host);
    host.with(|state| state.fail_at = Some(state.log.len() + 1));
    let text = format!("on_failure = \"rollback\"\n{}{}", file("a", "2"), file("b", "2"));
    let report = apply(changes(&text, &host).await, &host, &ignore).await.unwrap();
    assert!(!report.succeeded());
    let back = report.rolled_back.unwrap();
    assert!(back.succeeded(), "{back:#?}");
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn what_somebody_else_applied_meanwhile_stops_an_apply_before_its_first_step() {
    let host = FakeHost::new();
    let seen = changes(&file("a", "1"), &host).await;
    applied(&file("b", "1"), &host).await;
    let before = recorded(&host);
    assert!(matches!(apply(seen, &host, &ignore).await, Err(EngineError::Moved { .. })));
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn a_service_that_ran_before_runs_again_with_what_is_put_back() {
    let host = FakeHost::new();
    host.with(|state| {
        state.put_file("/etc/haproxy/haproxy.cfg", b"theirs", "0644");
        let unit = provision_core::probe::UnitState {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            sub: "running".to_owned(),
            file: "enabled".to_owned(),
            stale: false,
        };
        state.units.insert("haproxy.service".to_owned(), unit);
    });
    let text = "[file.c]\npath = \"/etc/haproxy/haproxy.cfg\"\ncontent = \"ours\"\nadopt = true\n\
                [service.h]\nunit = \"haproxy\"\nrestart_on = [\"file.c\"]\n";
    applied(text, &host).await;
    let from = host.with(|state| state.log.len());
    destroyed(&host, Data::Keep).await;
    let log = host.with(|state| state.log.get(from..).unwrap_or_default().join("; "));
    assert_eq!(
        log,
        "put back what was at /etc/haproxy/haproxy.cfg; restart haproxy.service; take haproxy.service back to how it was"
    );
    assert_eq!(content(&host, "/etc/haproxy/haproxy.cfg").as_deref(), Some("theirs"));
}

/// What a change of something that leaves shows: `name: before -> after`.
fn shown(changes: &Changes) -> Vec<String> {
    let leaving = changes.leaving().filter_map(|(_, change)| change.ok());
    let attributes = leaving.flat_map(|change| &change.attributes);
    attributes.map(|a| format!("{}: {} -> {}", a.name, a.before.line(), a.after.line())).collect()
}

#[tokio::test]
async fn what_runs_with_a_secret_that_comes_back_runs_anew() {
    let host = FakeHost::new();
    let plan_of = |word: &str| {
        format!(
            "[secret.s]\ncontent = \"{word}\"\n[container.c]\nimage = \"quay.io/a/b:1\"\noptions.Secret = \"s\"\n\
             [service.c]\nunit = \"c.service\"\n"
        )
    };
    applied(&plan_of("hunter21"), &host).await;
    applied(&plan_of("hunter22"), &host).await;
    let back = plan("");
    let back = observe_rollback(&back, back.hosts().first().unwrap(), &host).await.unwrap().diff(NOW);
    assert_eq!(shown(&back), ["podman's secret s: (secret) -> (secret)"]);
    let before = host.with(|state| state.log.len());
    rolled_back(&host).await;
    let log = host.with(|state| state.log[before..].join("; "));
    assert_eq!(log, "take podman's secret s back to how it was; restart c.service; take c.service back to how it was");
    assert!(changes(&plan_of("hunter21"), &host).await.is_empty());
}

#[tokio::test]
async fn what_a_request_made_goes_by_another_and_no_rollback_makes_it_again() {
    let host = FakeHost::new();
    let http = "[http.h]\nurl = \"http://a.example/users\"\nunless.url = \"http://a.example/users/a\"\n";
    let deletable = format!("{http}delete.url = \"http://a.example/users/a\"\n");
    applied(&format!("{}{deletable}", file("f", "x")), &host).await;
    let leaves = changes(&file("f", "x"), &host).await;
    assert_eq!(shown(&leaves), ["what was requested for own/http=h: DELETE http://a.example/users/a -> (absent)"]);
    applied(&file("f", "x"), &host).await;
    let back = plan("");
    let back = observe_rollback(&back, back.hosts().first().unwrap(), &host).await.unwrap().diff(NOW);
    let kept: Vec<&str> = back.kept().map(|(_, why)| why).collect();
    assert_eq!(
        kept,
        ["what was requested for own/http=h stays: it was taken back by a request, and only an apply makes it again"]
    );
    rolled_back(&host).await;
    // Without one, what was done stays, and that is said.
    let host = FakeHost::new();
    applied(http, &host).await;
    let leaves = changes("", &host).await;
    let kept: Vec<&str> = leaves.kept().map(|(_, why)| why).collect();
    assert_eq!(kept, ["what was requested stays: no request that takes it back is kept"]);
}

#[tokio::test]
async fn a_secret_that_was_made_up_is_shown_also_when_the_rest_fails_for_it_stays() {
    let plan = format!(
        "on_failure = \"rollback\"\n[random.r]\npath = \"/srv/r\"\nshow = true\n{}after = [\"random.r\"]\n",
        file("a", "a")
    );
    let host = FakeHost::new();
    // The secret is made first, then the file fails.
    host.with(|state| state.fail_at = Some(1));
    let report = apply(changes(&plan, &host).await, &host, &ignore).await.unwrap();
    assert!(!report.succeeded() && report.rolled_back.is_some(), "{report:#?}");
    let revealed: Vec<&str> = report.revealed.iter().map(|(_, secret)| secret.expose()).collect();
    assert_eq!(revealed, [content(&host, "/srv/r").unwrap().as_str()]);
    assert_eq!(content(&host, "/srv/a"), None);
}

/// Whoever trusts it was told by hand: a later authority of the same plan is the same one.
#[tokio::test]
async fn an_authority_that_stays_is_data() {
    let host = FakeHost::new();
    let text = |more: &str| {
        format!(
            "[directory.a]\npath = \"/srv/a\"\n[certificate_authority.site]\ndirectory = \"/srv/a\"\n\
             common_name = \"Site\"\n{more}after = [\"directory.a\"]\n"
        )
    };
    let with = text("stays = true\n");
    applied(&with, &host).await;
    let made = content(&host, "/srv/a/site.crt").unwrap();
    // With the plan, with a plan that has no authority any more, and with one that has left twice.
    applied("[directory.a]\npath = \"/srv/a\"\n", &host).await;
    assert_eq!(content(&host, "/srv/a/site.crt").as_deref(), Some(&*made));
    for _ in 0..2 {
        destroyed(&host, Data::Keep).await;
        assert_eq!(content(&host, "/srv/a/site.crt").as_deref(), Some(&*made));
    }
    assert!(content(&host, "/srv/a/site.key").is_some());
    applied(&with, &host).await;
    assert_eq!(content(&host, "/srv/a/site.crt").as_deref(), Some(&*made));
    destroyed(&host, Data::Delete).await;
    assert_eq!((content(&host, "/srv/a/site.crt"), content(&host, "/srv/a/site.key")), (None, None));

    // Without it, it goes like everything else.
    applied(&text(""), &host).await;
    destroyed(&host, Data::Keep).await;
    assert_eq!(content(&host, "/srv/a/site.crt"), None);
}

#[tokio::test]
async fn what_an_earlier_plan_left_of_a_user_s_goes_while_the_user_lingers() {
    let host = FakeHost::new();
    let text = |name: &str| {
        format!(
            "[linger.core]\nuser = \"core\"\n[image.{name}]\nname = \"quay.io/site/{name}:1\"\npull = true\nscope = \"user:core\"\n"
        )
    };
    applied(&text("old"), &host).await;
    applied(&text("new"), &host).await;
    let before = host.with(|state| state.steps.len());
    destroyed(&host, Data::Delete).await;
    let steps: Vec<String> =
        host.with(|state| state.steps.iter().skip(before).map(|(address, _)| address.to_string()).collect());
    let at = |address: &str| steps.iter().position(|step| step == address).unwrap();
    assert!(at("image.old") < at("linger.core") && at("image.new") < at("linger.core"), "{steps:?}");
}

/// An image archive of its own, told from others by a word.
fn archived(directory: &std::path::Path, word: &str) -> String {
    let config = format!(r#"{{"os":"linux","author":"{word}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#);
    let path = directory.join(format!("{word}.tar"));
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let manifest = r#"[{"Config":"config.json","RepoTags":["x:1"],"Layers":[]}]"#;
    for (name, text) in [("config.json", config.as_str()), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap();
    format!("[image.a]\nname = \"localhost/app:1\"\narchive = \"{}\"\n", path.display())
}

/// Every image that applies have brought goes when data may: those of earlier versions, and those of an apply that was taken
/// back. What somebody else has given a name stays.
#[tokio::test]
async fn images_that_have_lost_their_name_are_the_plan_s_until_data_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two, three] = ["one", "two", "three"].map(|word| archived(directory.path(), word));
    let images = |host: &FakeHost| {
        let mut names: Vec<String> =
            host.with(|state| state.images.iter().map(|image| image.names.join(" ")).collect());
        names.sort();
        names
    };
    let host = FakeHost::new();
    applied(&one, &host).await;
    // Taken back, it is there for the next try.
    applied(&two, &host).await;
    rolled_back(&host).await;
    assert_eq!(images(&host), ["", "localhost/app:1"]);
    let again = changes(&two, &host).await;
    let reasons: Vec<String> = again.changed().flat_map(|(_, change)| change.reasons.clone()).collect();
    assert_eq!(reasons, ["the host has this image under another name: only the name is given"]);
    applied(&two, &host).await;
    applied(&three, &host).await;
    assert_eq!(images(&host), ["", "", "localhost/app:1"]);
    // Somebody's own use for the second one.
    host.with(|state| {
        let nameless = state.images.iter_mut().filter(|image| image.names.is_empty());
        nameless.last().unwrap().names.push("localhost/own:1".to_owned());
    });

    let report = destroyed(&host, Data::Keep).await;
    let kept: Vec<&str> = report.kept.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|why| why.starts_with("image ") && why.contains("only --delete-data")), "{kept:?}");
    assert!(kept.iter().any(|why| why.starts_with("image localhost/app:1 ")), "{kept:?}");
    assert_eq!(images(&host), ["", "localhost/app:1", "localhost/own:1"]);
    destroyed(&host, Data::Delete).await;
    assert_eq!(images(&host), ["localhost/own:1"]);
    assert!(host.with(|state| state.plans.is_empty()), "something is still remembered");

    // A first try that was taken back is no less the plan's.
    applied(&one, &host).await;
    rolled_back(&host).await;
    assert_eq!(images(&host), ["localhost/app:1", "localhost/own:1"]);
    destroyed(&host, Data::Delete).await;
    assert_eq!(images(&host), ["localhost/own:1"]);
}
