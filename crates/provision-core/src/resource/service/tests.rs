use std::collections::BTreeMap;
use std::str::FromStr;

use super::{OnChange, Service, State as Running};
use crate::change::Action;
use crate::probe::{Answer, Answers, Ask, UnitState};
use crate::resource::{Context, Materials, Resource};
use crate::step::Step;
use crate::systemd::{Managed, Manager, UnitName};
use crate::testing::{Case, NOW, State, case};

/// A file that a drop-in's command names, and the drop-in.
const USED: &str = "
[file.conf]
path = '/srv/conf'
content = 'new'
[unit.limits]
unit = 'x.service'
dropin = 'limits'
content = \"[Service]\\nExecStartPre=/bin/test -e /srv/conf\\n\"
";

fn service(fields: &str) -> Case {
    case("service", &format!("unit = 'x'\n{fields}"))
}

fn unit_is(state: &'static str, file: &'static str) -> Case {
    service("").given_unit("x.service", state, file)
}

/// A running unit that uses a file which is about to change.
fn with_changed_file(fields: &str) -> Case {
    service(fields)
        .plan(USED)
        .given_directory("/etc/systemd/system/x.service.d", "0755")
        .given_file(
            "/etc/systemd/system/x.service.d/limits.conf",
            "[Service]\nExecStartPre=/bin/test -e /srv/conf\n",
            "0644",
        )
        .given_file("/srv/conf", "old", "0644")
        .given_unit("x.service", "active", "enabled")
}

fn stale(state: &mut State) {
    state.units.values_mut().for_each(|unit| unit.stale = true);
}

const SNAPSHOT: &str = "snapshot = ['/srv/x.db', 'data.volume']";

fn reasons(case: Case) -> Vec<String> {
    let changes = case.changes();
    let (_, change) = changes.changed().find(|(address, _)| address.kind() == "service").unwrap();
    assert_eq!(change.saves, change.reasons.iter().any(|reason| reason.contains("copy aside")), "{change:?}");
    change.reasons.clone()
}

#[test]
fn what_a_new_version_may_change_is_copied_before_it_starts() {
    let copies =
        "stopped first to copy aside what a rollback puts back: /srv/x.db (0 KiB), the volume data (not there)";
    let there = |fields| with_changed_file(fields).given_file("/srv/x.db", "data", "0600");
    assert_eq!(reasons(there(SNAPSHOT)), ["because file.conf changes", copies]);
    there(SNAPSHOT).steps("put the file /srv/conf in place; stop x.service and copy its data aside; restart x.service");
    // One that is down is started upon something else than it ran with.
    assert_eq!(reasons(there(SNAPSHOT).given_unit("x.service", "failed", "enabled")), [copies]);
    // There is nothing yet, or nothing else starts.
    with_changed_file(SNAPSHOT).steps("put the file /srv/conf in place; restart x.service");
    assert_eq!(
        reasons(service(SNAPSHOT).given_file("/srv/x.db", "data", "0600").given_unit(
            "x.service",
            "inactive",
            "enabled"
        )),
        [""; 0]
    );
    there(&format!("{SNAPSHOT}\non_change = 'reload'")).steps("put the file /srv/conf in place; reload x.service");
}

#[test]
fn what_cannot_be_copied_is_refused() {
    service("snapshot = ['data']").refused(
        "4:13: \"data\" does not fit `snapshot` of service.x \
         (a path on a host starts with `/`; or it is a volume of podman's, such as \"data.volume\")",
    );
    service("state = 'stopped'\nsnapshot = ['/srv/d']")
        .refused("5:12: a service that is to be stopped is never restarted (take it out)");
    service("snapshot = ['/srv/d/x', '/srv/d']").refused(
        "4:12: /srv/d/x is copied with something else of `snapshot` already (name it once, or only what it is in)",
    );
}

#[test]
fn a_unit_that_does_not_run_is_started() {
    for (state, attributes, steps) in [
        ("inactive", "state: inactive -> running", "start x.service"),
        ("failed", "state: failed -> running", "start x.service"),
        ("activating/auto-restart", "state: activating (auto-restart) -> running", "start x.service"),
        ("activating/start", "state: activating (start) -> running", "start x.service"),
        ("deactivating/stop-sigterm", "state: deactivating (stop-sigterm) -> running", "start x.service"),
    ] {
        unit_is(state, "enabled").expects(Action::Start, attributes).because("").steps(steps).in_sync();
    }
}

#[test]
fn a_running_unit_is_left_alone() {
    for state in ["active", "reloading"] {
        unit_is(state, "enabled").in_sync();
    }
}

#[test]
fn a_unit_is_enabled_where_it_can_be() {
    for file in ["disabled", "enabled-runtime", "linked"] {
        unit_is("active", file).updates("enabled: false -> true").steps("enable x.service").in_sync();
    }
    for file in ["enabled", "static", "generated", "indirect", "alias", "transient", ""] {
        unit_is("active", file).in_sync();
    }
    unit_is("inactive", "disabled")
        .expects(Action::Start, "enabled: false -> true, state: inactive -> running")
        .steps("enable x.service; start x.service");
}

#[test]
fn a_unit_of_the_distribution_is_stopped_for_good() {
    service("state = 'stopped'")
        .given_unit("x.service", "active", "enabled")
        .expects(Action::Stop, "enabled: true -> false, state: active -> stopped")
        .steps("stop x.service; disable x.service")
        .in_sync();
    for (state, file) in [("inactive", "disabled"), ("failed", "disabled"), ("inactive", "static")] {
        service("state = 'stopped'").given_unit("x.service", state, file).in_sync();
    }
    service("state = 'stopped'").in_sync();
}

#[test]
fn boot_and_now_are_apart() {
    service("enabled = false")
        .given_unit("x.service", "inactive", "enabled")
        .steps("disable x.service; start x.service")
        .in_sync();
    service("state = 'stopped'\nenabled = true")
        .given_unit("x.service", "active", "disabled")
        .steps("stop x.service; enable x.service")
        .in_sync();
}

#[test]
fn a_masked_unit_is_not_unmasked_without_being_asked() {
    let masked = |fields| {
        service(fields)
            .given_unit("x.service", "inactive", "masked")
            .given(|state| state.units.values_mut().for_each(|unit| unit.load = "masked".to_owned()))
    };
    masked("").undecided("x.service is masked on the host, so that it cannot be started");
    masked("state = 'stopped'").in_sync();
}

#[test]
fn a_unit_that_nothing_brings_is_found_out_beforehand() {
    service("").undecided("there is no unit x.service on the host");
    unit_is("inactive", "bad")
        .given(|state| state.units.values_mut().for_each(|unit| unit.load = "bad-setting".to_owned()))
        .undecided("systemd cannot load x.service: bad-setting");
}

#[test]
fn a_unit_of_the_plan_is_enabled_and_started_once_systemd_has_read_it() {
    let unit =
        |install: &str| format!("[unit.x]\nunit = 'x.service'\nsections.Service.ExecStart = '/bin/x'\n{install}");
    service("")
        .plan(&unit("sections.Install.WantedBy = 'multi-user.target'"))
        .expects(Action::Start, "enabled: false -> true, state: inactive -> running")
        .steps("put the file /etc/systemd/system/x.service in place; let systemd read its units; enable x.service; start x.service")
        .in_sync();
    service("").plan(&unit("")).expects(Action::Start, "state: inactive -> running").mended();
}

#[test]
fn an_instance_uses_its_template() {
    case("service", "unit = 'x@a'")
        .plan("[unit.x]\nunit = 'x@.service'\nsections.Service.ExecStart = '/bin/x'\n")
        .expects(Action::Start, "state: inactive -> running");
}

#[test]
fn a_timer_comes_after_what_it_starts() {
    let changes = case("service", "unit = 'x.timer'")
        .plan("[unit.a]\nunit = 'x.timer'\nsections.Timer.OnBootSec = 60\n[unit.b]\nunit = 'x.service'\nsections.Service.ExecStart = '/bin/x'\n")
        .changes();
    let order: Vec<String> = changes.iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(order, ["unit.b", "unit.a", "service.x"]);
}

#[test]
fn a_unit_that_an_apply_has_left_unread_is_read_first() {
    // Cut between the rename and the reload: the file is there, and systemd does not know the unit.
    service("")
        .plan("[unit.x]\nunit = 'x.service'\nsections.Service.ExecStart = '/bin/x'\n")
        .given_file("/etc/systemd/system/x.service", "[Service]\nExecStart=/bin/x\n", "0644")
        .given(|state| _ = state.unread.insert("x.service".to_owned()))
        .expects(Action::Start, "definition: not read -> read, state: inactive -> running")
        .steps("let systemd read its units; start x.service")
        .in_sync();
}

#[test]
fn a_definition_that_systemd_has_not_read_since_is_taken_in() {
    unit_is("active", "enabled")
        .given(stale)
        .expects(Action::Restart, "definition: older than the file -> read")
        .because("its definition is newer than what systemd has read")
        .steps("let systemd read its units; restart x.service")
        .in_sync();
    unit_is("inactive", "enabled").given(stale).steps("let systemd read its units; start x.service").in_sync();
    service("on_change = 'none'")
        .given_unit("x.service", "active", "enabled")
        .given(stale)
        .updates("definition: older than the file -> read")
        .steps("let systemd read its units")
        .in_sync();
    service("state = 'stopped'").given_unit("x.service", "inactive", "disabled").given(stale).in_sync();
}

#[test]
fn a_changed_file_is_answered_as_the_service_says() {
    for (fields, action, step) in [
        ("", Action::Restart, "restart x.service"),
        ("on_change = 'reload'", Action::Reload, "reload x.service"),
        ("on_change = 'reload'\nrestart_on = ['file.conf']", Action::Restart, "restart x.service"),
        ("reload_on = ['file.conf']", Action::Reload, "reload x.service"),
        ("on_change = 'none'\nreload_on = ['unit.limits']", Action::Reload, "reload x.service"),
    ] {
        with_changed_file(fields)
            .expects(action, "")
            .because("because file.conf changes")
            .steps(&format!("put the file /srv/conf in place; {step}"))
            .in_sync();
    }
    with_changed_file("on_change = 'none'").in_sync().steps("put the file /srv/conf in place");
}

#[test]
fn a_changed_definition_asks_for_a_restart() {
    let changed = |fields| {
        with_changed_file(fields).given_file("/etc/systemd/system/x.service.d/limits.conf", "", "0644").given_file(
            "/srv/conf",
            "new",
            "0644",
        )
    };
    changed("on_change = 'reload'")
        .expects(Action::Restart, "")
        .because("because unit.limits changes")
        .steps("put the file /etc/systemd/system/x.service.d/limits.conf in place; let systemd read its units; restart x.service")
        .in_sync();
    changed("on_change = 'none'").in_sync();
}

#[test]
fn several_causes_are_answered_by_one_restart() {
    with_changed_file("")
        .given_file("/etc/systemd/system/x.service.d/limits.conf", "", "0644")
        .expects(Action::Restart, "")
        .because("because file.conf changes; because unit.limits changes")
        .steps("put the file /srv/conf in place; put the file /etc/systemd/system/x.service.d/limits.conf in place; let systemd read its units; restart x.service")
        .in_sync();
}

#[test]
fn a_change_does_not_start_what_is_to_be_stopped() {
    with_changed_file("state = 'stopped'").given_unit("x.service", "inactive", "disabled").in_sync();
}

#[test]
fn what_does_not_run_is_started_and_not_restarted() {
    with_changed_file("")
        .given_unit("x.service", "inactive", "enabled")
        .expects(Action::Start, "state: inactive -> running")
        .because("");
    // A start would join the one that is going on, with the old file.
    with_changed_file("").given_unit("x.service", "activating/start", "enabled").expects(Action::Restart, "");
}

#[test]
fn a_restart_that_an_earlier_apply_owes_is_done() {
    let owed = |case: Case| case.given(|state| _ = state.owed.insert("x.service".to_owned()));
    owed(unit_is("active", "enabled"))
        .expects(Action::Restart, "")
        .because("a restart is owed since an earlier apply")
        .steps("restart x.service")
        .in_sync();
    owed(unit_is("failed", "enabled")).expects(Action::Start, "state: failed -> running").mended();
    owed(service("on_change = 'none'").given_unit("x.service", "active", "enabled")).in_sync();
}

#[test]
fn what_a_command_brings_is_started() {
    let unit = UnitName::from_str("x.service").unwrap();
    let (restart_on, reload_on) = (Vec::new(), Vec::new());
    let service = Service {
        snapshot: Vec::new(),
        manager: Manager::System,
        unit,
        state: Running::Running,
        enabled: true,
        on_change: OnChange::Restart,
        restart_on,
        reload_on,
    };
    let mut answers = Answers::default();
    let absent = UnitState { load: "not-found".to_owned(), active: "inactive".to_owned(), ..UnitState::default() };
    answers.insert(Ask::Unit(Managed::system("x.service")), Answer::Unit(absent));
    let upstream = BTreeMap::new();
    let context = Context {
        now: NOW,
        clock: NOW,
        upstream: &upstream,
        provided: &[],
        command: true,
        causes: Vec::new(),
        owed: &[],
        unfinished: false,
        drafts: &Default::default(),
    };
    let change = service.diff(&answers, &context).unwrap();
    let steps = service.steps(&change, &answers, &Materials::default()).unwrap();
    assert_eq!(steps.iter().map(Step::describe).collect::<Vec<_>>(), ["enable x.service", "start x.service"]);
}

#[test]
fn a_service_restarts_along_with_another() {
    service("restart_on = ['service.y']")
        .plan("[service.y]\nunit = 'y'\n")
        .given_unit("x.service", "active", "enabled")
        .given_unit("y.service", "active", "enabled")
        .given(|state| _ = state.owed.insert("y.service".to_owned()))
        .because("because service.y changes")
        .steps("restart y.service; restart x.service")
        .in_sync();
}

#[test]
fn wrong_fields_are_found() {
    for (fields, finding) in [
        (
            "unit = 'x@'",
            "3:8: \"x@\" does not fit `unit` of service.x (x@.service is a template: name an instance of it, such as x@a.service)",
        ),
        (
            "unit = 'x.container'",
            "3:8: \"x.container\" does not fit `unit` of service.x (unit name \"x.container\" ends in .container, which systemd does not know; that is a Quadlet file, and the unit is the service made of it)",
        ),
        (
            "unit = 'x'\nstate = 'started'",
            "4:9: \"started\" does not fit `state` of service.x (a state is \"running\" or \"stopped\")",
        ),
        (
            "unit = 'x'\nrestart_on = ['file.a']",
            "4:15: `restart_on` of service.x: the plan has no file.a (known: `service.x`)",
        ),
    ] {
        case("service", fields).refused(finding);
    }
}

#[test]
fn two_services_of_one_unit_are_refused() {
    service("")
        .plan("[service.y]\nunit = 'x.service'\n")
        .refused("5:10: service.x and service.y both manage the running unit x.service (leave it to one of them)");
}
