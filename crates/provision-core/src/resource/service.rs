//! `service`: a unit that runs or does not, now and after a boot. Where its definition comes from is no business of it.
//!
//! # What counts as running
//! `active` and `reloading` do, whatever runs or waits behind them (a socket listens, a timer waits, a oneshot with
//! `RemainAfterExit=yes` has exited). `activating` does not: the unit may be on its way up, or be the victim of a
//! restart loop, and a start that is waited for tells the two apart (systemctl(1) joins the start that is going on).
//! `deactivating`, `failed` and `inactive` do not either. A oneshot without `RemainAfterExit=yes` is never found
//! running: it wants a timer instead.
//!
//! # What counts as enabled
//! `enabled` alone does, and `disabled`, `enabled-runtime` (gone after a boot) and `linked` do not. For every other
//! state (`static`, `generated` as of Quadlet, `indirect`, `alias`, `transient`, none) only the source of the unit
//! decides what starts it, so that `enabled` of the plan is taken to be met.

use std::str::FromStr;

use crate::address::Address;
use crate::change::{Action, Cause, Change, Shown, Signal};
use crate::knob::ABSENT;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided, UnitState};
use crate::resource::scope::{self, SCOPE};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::saved::{Saved, amount};
use crate::step::{Step, UnitAction};
use crate::systemd::{Managed, Manager, UnitName, UnitNameError, UnitType};

/// The kind.
pub static KIND: Kind = Kind {
    name: "service",
    summary: "A unit that runs or does not, now and after a boot; it restarts when what it uses changes.",
    fields: &[
        Field {
            name: "unit",
            takes: "unit name",
            required: true,
            doc: "The unit: \"haproxy\", \"backup.timer\"; `.service` is added to a name without a type.",
        },
        Field {
            name: "state",
            takes: "\"running\" | \"stopped\"",
            required: false,
            doc: "What it is to be now; \"running\" without it.",
        },
        Field {
            name: "enabled",
            takes: "boolean",
            required: false,
            doc: "Whether it starts at boot; without it, whether it is to be running. A unit that Quadlet makes, or one without [Install], has no say in it: see `install` of its container.",
        },
        Field {
            name: "on_change",
            takes: "\"restart\" | \"reload\" | \"none\"",
            required: false,
            doc: "What a changed file that it uses asks for; \"restart\" without it. A changed definition always asks for a restart, except with \"none\".",
        },
        Field {
            name: "restart_on",
            takes: "list of addresses",
            required: false,
            doc: "Resources that it uses though nothing else says so; it restarts when one changes.",
        },
        SCOPE,
        Field {
            name: "snapshot",
            takes: "list of paths and volumes",
            required: false,
            doc: "What a new version may change for good: files (a SQLite database with its -wal, -shm and -journal), directories, and podman's volumes as \"NAME.volume\" (also the one that Quadlet calls systemd-NAME). A restart because something changes stops the unit, copies them aside into the plan's state on the host, and starts it; a rollback of that apply puts them back before the old version starts. Of a pod it belongs to the pod's service.",
        },
        Field { name: "reload_on", takes: "list of addresses", required: false, doc: "The same, and it reloads." },
    ],
    example: r#"
[file.banner]
path = "/srv/banner"
content = "Welcome.\n"

[unit.banner]
unit = "banner.service"
sections.Service.ExecStart = "/usr/local/bin/banner --serve"
sections.Install.WantedBy = "multi-user.target"

[service.banner]
unit = "banner"
reload_on = ["file.banner"]

[service.haproxy]
unit = "haproxy"
state = "stopped"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Service {
    manager: Manager,
    unit: UnitName,
    state: State,
    enabled: bool,
    on_change: OnChange,
    restart_on: Vec<Address>,
    reload_on: Vec<Address>,
    snapshot: Vec<Saved>,
}

/// An item of `snapshot`, as a plan has it.
struct Item(Saved);

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Saved::from_plan(text).map(Self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "running" => Ok(Self::Running),
            "stopped" => Ok(Self::Stopped),
            _ => Err("a state is \"running\" or \"stopped\"".to_owned()),
        }
    }
}

/// Ordered: the strongest of several answers wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OnChange {
    None,
    Reload,
    Restart,
}

impl FromStr for OnChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "restart" => Ok(Self::Restart),
            "reload" => Ok(Self::Reload),
            "none" => Ok(Self::None),
            _ => Err("it is \"restart\", \"reload\" or \"none\"".to_owned()),
        }
    }
}

/// A unit that can run, `.service` added where there is no type.
#[derive(Debug)]
pub(crate) struct Runnable(pub(crate) UnitName);

impl FromStr for Runnable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text.parse::<UnitName>() {
            Err(UnitNameError::NoType { .. }) => format!("{text}.service").parse(),
            other => other,
        };
        let name = name.map_err(|error| error.to_string())?;
        if name.is_template() {
            return Err(format!("{name} is a template: name an instance of it, such as {}@a.service", name.prefix()));
        }
        Ok(Self(name))
    }
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let manager = scope::manager(fields);
    let unit: Option<Runnable> = fields.required("unit");
    let state = fields.optional("state").unwrap_or(State::Running);
    let enabled = fields.boolean("enabled").unwrap_or(state == State::Running);
    let on_change = fields.optional("on_change").unwrap_or(OnChange::Restart);
    let restart_on = fields.list("restart_on");
    let reload_on = fields.list("reload_on");
    let snapshot = snapshot(fields, state);
    let Runnable(unit) = unit?;
    let manager = manager?;
    Some(Box::new(Service { manager, unit, state, enabled, on_change, restart_on, reload_on, snapshot }))
}

/// What is copied aside, each once. What is in something else of it is copied with that.
fn snapshot(fields: &Fields<'_>, state: State) -> Vec<Saved> {
    let named: Vec<Saved> = fields.list("snapshot").into_iter().map(|Item(saved)| saved).collect();
    if state == State::Stopped && !named.is_empty() {
        fields.problem("snapshot", "a service that is to be stopped is never restarted", "take it out");
    }
    for (at, one) in named.iter().enumerate() {
        let within = |other: &Saved| match (one, other) {
            (Saved::Path(one), Saved::Path(other)) => one.is_within(other),
            _ => one == other,
        };
        if named.iter().enumerate().any(|(place, other)| place != at && within(other)) {
            let message = format!("{} is copied with something else of `snapshot` already", one.title());
            fields.problem("snapshot", message, "name it once, or only what it is in");
            break;
        }
    }
    named
}

impl Resource for Service {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Running(self.named())]
    }

    fn wants(&self) -> Vec<Want> {
        let Self { manager, unit, state: _, enabled: _, on_change: _, restart_on, reload_on, snapshot: _ } = self;
        let mut wants: Vec<Want> =
            self.definitions().map(Thing::Unit).map(|thing| Want::uses(Target::Thing(thing))).collect();
        if let UnitType::Timer | UnitType::Socket | UnitType::Path = unit.unit_type()
            && let Some((stem, _)) = unit.as_str().rsplit_once('.')
        {
            // It cannot start without what it is to start; that one's change is nothing to it.
            let started = Managed::new(manager, format!("{stem}.service"));
            wants.push(Want::after(Target::Thing(Thing::Unit(started))));
        }
        wants.extend(scope::wants(manager));
        // Most packages have the name of the service that they bring.
        wants.push(package::want(unit.prefix()));
        let named = restart_on.iter().chain(reload_on);
        wants.extend(named.map(|address| Want::uses(Target::Resource(address.clone())).required()));
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = scope::asks(&self.manager);
        asks.push(Ask::Unit(self.named()));
        asks.extend(self.snapshot.iter().map(|saved| Ask::Knob(saved.extent(&self.manager))));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let found = answers.unit(&self.named())?;
        let reading = self.reading(found, context)?;
        let (action, reasons) = self.action(found, context, &reading);
        let mut change = Change::new(action);
        if reading == Reading::Now {
            let before = if found.load == "loaded" { "older than the file" } else { "not read" };
            change.compare(DEFINITION, before, READ);
        }
        if let Some(before) = self.enabling(found, context, &reading) {
            change.compare(ENABLED, before, self.enabled.to_string());
        }
        match action {
            Action::Start => change.compare(STATE, state(found), RUNNING),
            Action::Stop => change.compare(STATE, state(found), STOPPED),
            _ => {}
        }
        change.reasons = reasons;
        if self.saves(action, answers, context)? {
            change.saves = true;
            change.reasons.push(self.copies(answers)?);
        }
        if change.action == Action::Keep {
            if change.attributes.is_empty() {
                return Ok(Change::none());
            }
            change.action = Action::Update;
        }
        scope::require(&self.manager, answers, context)?;
        // What names this service in `restart_on` does so because it must go along.
        let signal = if change.action == Action::Restart { Signal::Content } else { Signal::None };
        Ok(change.signals(signal))
    }

    fn steps(&self, change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let changes = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
        let act = |action: UnitAction| Step::Unit { unit: self.named(), action };
        let mut steps = Vec::new();
        if changes(DEFINITION) {
            steps.push(Step::ReloadUnits(self.manager.clone()));
        }
        let boot = changes(ENABLED).then(|| act(if self.enabled { UnitAction::Enable } else { UnitAction::Disable }));
        let now = match change.action {
            Action::Start => Some(UnitAction::Start),
            Action::Stop => Some(UnitAction::Stop),
            Action::Restart => Some(UnitAction::Restart),
            Action::Reload => Some(UnitAction::Reload),
            _ => None,
        };
        if now == Some(UnitAction::Stop) {
            steps.push(act(UnitAction::Stop));
            steps.extend(boot);
            return Ok(steps);
        }
        steps.extend(boot);
        if change.saves {
            steps.push(Step::Save { unit: self.named(), data: self.snapshot.clone() });
        }
        steps.extend(now.map(act));
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let state = match self.state {
            State::Running => RUNNING,
            State::Stopped => STOPPED,
        };
        vec![(DEFINITION, READ.into()), (ENABLED, self.enabled.to_string().into()), (STATE, state.into())]
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("unit", self.unit.to_string())]
    }
}

/// Attributes of a change, by which its steps are made.
const DEFINITION: &str = "definition";
const ENABLED: &str = "enabled";
const STATE: &str = "state";

/// Their values, as a plan or systemd has them.
const READ: &str = "read";
const RUNNING: &str = "running";
const STOPPED: &str = "stopped";

/// How systemd comes to know the unit as its files have it.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    /// It does.
    Done,
    /// A resource upstream changes the definition and lets systemd read it.
    Upstream,
    /// It is read with the service's own steps: somebody forgot to, or an apply was cut just before.
    Now,
}

impl Service {
    fn named(&self) -> Managed {
        Managed::new(&self.manager, self.unit.as_str())
    }

    /// What defines the unit: itself, and the template that it is an instance of.
    fn definitions(&self) -> impl Iterator<Item = Managed> {
        let template = self.unit.template().map(|template| Managed::new(&self.manager, template.as_str()));
        std::iter::once(self.named()).chain(template)
    }

    /// Whether and when systemd gets to know the unit.
    fn reading(&self, found: &UnitState, context: &Context<'_>) -> Result<Reading, Undecided> {
        let Self { unit, state, enabled, .. } = self;
        let definitions: Vec<Thing> = self.definitions().map(Thing::Unit).collect();
        // Another mode alone is no news to systemd.
        let content = |action| action == Action::Create || context.causes.iter().any(|c| c.signal == Signal::Unit);
        let pending = definitions.iter().any(|thing| context.pending(thing).is_some_and(content));
        let off = *state == State::Stopped && !enabled;
        match found.load.as_str() {
            "masked" if off => Ok(Reading::Done),
            "masked" => Err(Undecided::with_help(
                format!("{unit} is masked on the host, so that it cannot be started"),
                format!("find out why, and then run systemctl unmask {unit}; or leave it \"stopped\""),
            )),
            _ if pending => Ok(Reading::Upstream),
            "loaded" if found.stale && (!off || found.is_up()) => Ok(Reading::Now),
            "loaded" | "stub" | "merged" => Ok(Reading::Done),
            "not-found" | "asleep" if off => Ok(Reading::Done),
            // It reads its units when it starts.
            "asleep" => Ok(Reading::Upstream),
            // What a command brings is read by whatever it runs, such as a package manager.
            _ if context.command_pending() => Ok(Reading::Upstream),
            "not-found" if definitions.iter().any(|thing| context.provided(thing)) => Ok(Reading::Now),
            "not-found" => Err(Undecided::with_help(
                format!("there is no unit {unit} on the host"),
                "check its name; or add the resource that defines it: a unit or a container; or the package that brings it, named in `after`",
            )),
            other => Err(Undecided::with_help(
                format!("systemd cannot load {unit}: {other}"),
                format!("systemctl status {unit} says what is wrong with its file"),
            )),
        }
    }

    /// What is done about the state, and why where the state itself does not say.
    fn action(&self, found: &UnitState, context: &Context<'_>, reading: &Reading) -> (Action, Vec<String>) {
        let up = found.is_up();
        if self.state == State::Stopped {
            let action = if up { Action::Stop } else { Action::Keep };
            return (action, Vec::new());
        }
        let mut reasons = Vec::new();
        let mut answer = OnChange::None;
        for cause in &context.causes {
            let asked = self.answer(cause);
            if asked > OnChange::None {
                reasons.push(format!("because {} changes", cause.address));
            }
            answer = answer.max(asked);
        }
        let answers_nothing =
            self.on_change == OnChange::None && self.restart_on.is_empty() && self.reload_on.is_empty();
        if !answers_nothing {
            if context.owed.contains(&self.named().to_string()) {
                reasons.push("a restart is owed since an earlier apply".to_owned());
                answer = OnChange::Restart;
            }
            if *reading == Reading::Now {
                reasons.push("its definition is newer than what systemd has read".to_owned());
                answer = OnChange::Restart;
            }
        }
        match (found.active.as_str(), answer) {
            ("active" | "reloading" | "refreshing", OnChange::None) => (Action::Keep, Vec::new()),
            ("active" | "reloading" | "refreshing", OnChange::Reload) => (Action::Reload, reasons),
            // A start would join one that is going on with what was there before.
            ("active" | "reloading" | "refreshing", OnChange::Restart) => (Action::Restart, reasons),
            ("activating", OnChange::Reload | OnChange::Restart) => (Action::Restart, reasons),
            _ => (Action::Start, Vec::new()),
        }
    }

    /// Whether its data are copied aside before it is started. Where nothing of it changes, or none are there yet, they are not.
    fn saves(&self, action: Action, answers: &Answers, context: &Context<'_>) -> Result<bool, Undecided> {
        let changes = match action {
            Action::Restart => true,
            // One that an apply was to restart, or that has failed, runs on its data as well.
            Action::Start => !context.causes.is_empty() || context.owed.contains(&self.named().to_string()),
            _ => false,
        };
        let mut there = false;
        for saved in &self.snapshot {
            there |= *answers.knob(&saved.extent(&self.manager))? != ABSENT;
        }
        Ok(changes && there)
    }

    /// The same in words.
    fn copies(&self, answers: &Answers) -> Result<String, Undecided> {
        let mut parts = Vec::with_capacity(self.snapshot.len());
        for saved in &self.snapshot {
            let extent = answers.knob(&saved.extent(&self.manager))?;
            let size = match extent.parse() {
                Ok(bytes) => amount(bytes),
                Err(_) if extent == ABSENT => "not there".to_owned(),
                Err(_) => "of unknown size".to_owned(),
            };
            parts.push(format!("{} ({size})", saved.title()));
        }
        Ok(format!("stopped first to copy aside what a rollback puts back: {}", parts.join(", ")))
    }

    /// What a cause asks of this service: what is named in `restart_on` or `reload_on` as it is named there, all else
    /// as `on_change` has it, but that only a restart takes in another definition.
    fn answer(&self, cause: &Cause) -> OnChange {
        let Self { on_change, restart_on, reload_on, .. } = self;
        let named = |address: &Address| match () {
            () if restart_on.contains(address) => Some(OnChange::Restart),
            () if reload_on.contains(address) => Some(OnChange::Reload),
            () => None,
        };
        let unnamed = match (cause.signal, on_change) {
            (Signal::Unit, OnChange::Reload) => OnChange::Restart,
            (_, on_change) => *on_change,
        };
        let through = || cause.through.iter().map(|address| named(address).unwrap_or(unnamed)).max();
        named(&cause.address).or_else(through).unwrap_or(OnChange::None)
    }

    /// Whether it is enabled now, where that changes.
    fn enabling(&self, found: &UnitState, context: &Context<'_>, reading: &Reading) -> Option<String> {
        let now = match found.file.as_str() {
            "enabled" => true,
            "disabled" | "enabled-runtime" | "linked" | "linked-runtime" => false,
            // Once it is read, it may be another matter.
            _ => {
                let install = self.definitions().any(|unit| context.provided(&Thing::Install(unit)));
                let brought = found.load == "not-found" && context.command_pending();
                if *reading == Reading::Done || !(install || brought) {
                    return None;
                }
                false
            }
        };
        (now != self.enabled).then(|| now.to_string())
    }
}

/// The state in words: what systemd calls it, with the detail where that says more.
fn state(found: &UnitState) -> String {
    match found.active.as_str() {
        "activating" | "deactivating" => format!("{} ({})", found.active, found.sub),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
