//! A case of a kind as data: fields, what the host has, the change that is expected, and that applying it mends it.

#![expect(clippy::panic, reason = "a failed expectation of a test is a panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::datetime;

use super::FakeHost;
use crate::change::{Action, Attribute, Change, Shown};
use crate::engine::{Adopt, Changes, EngineError, Observed, Orders, apply, observe};
use crate::event::ignore;
use crate::object::Object;
use crate::plan::Plan;
use crate::plan::asset::{Assets, NoAssets};
use crate::plan::input::{Inputs, Origin};
use crate::plan::problem::Source;
use crate::probe::UnitState;
use crate::report::{Outcome, Report};
use crate::resource::{Kind, Resource};
use crate::step::Step;

/// The time at which every case happens.
pub const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

/// One case. See the tests of any kind.
pub struct Case {
    address: String,
    text: String,
    inputs: Inputs,
    assets: Arc<dyn Assets>,
    host: FakeHost,
    now: OffsetDateTime,
}

/// Starts a case with one resource named `x`, whose fields are given as TOML lines.
#[must_use]
pub fn case(kind: &str, fields: &str) -> Case {
    Case {
        address: format!("{kind}.x"),
        text: format!("name = \"case\"\n[{kind}.x]\n{fields}\n"),
        inputs: Inputs::default(),
        assets: Arc::new(NoAssets),
        host: FakeHost::new(),
        now: NOW,
    }
}

impl Case {
    /// Adds more of the plan: other resources, inputs.
    #[must_use]
    pub fn plan(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds an input that must not be seen.
    #[must_use]
    pub fn secret_input(mut self, name: &str, value: &str) -> Self {
        self.text.push_str(&format!("[input.{name}]\nsecret = true\n"));
        self.inputs.set(name, value, Origin::Argument);
        self
    }

    /// Says where the plan's files are.
    #[must_use]
    pub fn assets(mut self, assets: Arc<dyn Assets>) -> Self {
        self.assets = assets;
        self
    }

    /// Lets it happen at another time.
    #[must_use]
    pub fn at(mut self, now: OffsetDateTime) -> Self {
        self.now = now;
        self
    }

    /// Puts a directory on the host.
    #[must_use]
    pub fn given_directory(self, path: &str, mode: &str) -> Self {
        self.given(|state| state.put_directory(path, mode))
    }

    /// Puts a file on the host.
    #[must_use]
    pub fn given_file(self, path: &str, content: &str, mode: &str) -> Self {
        self.given(|state| state.put_file(path, content.as_bytes(), mode))
    }

    /// Puts a link on the host.
    #[must_use]
    pub fn given_link(self, path: &str, target: &str) -> Self {
        self.given(|state| state.put_link(path, target))
    }

    /// Puts a unit on the host that is loaded, in this state (`active`, `failed`, `activating/auto-restart`...) and
    /// with this state of its file (`enabled`, `static`, `generated`...).
    #[must_use]
    pub fn given_unit(self, name: &str, active: &str, file: &str) -> Self {
        let (active, sub) = active.split_once('/').unwrap_or((active, ""));
        let [load, active, sub, file] = ["loaded", active, sub, file].map(str::to_owned);
        let unit = UnitState { load, active, sub, file, stale: false };
        self.given(|state| _ = state.units.insert(name.to_owned(), unit))
    }

    /// Changes the host in any other way.
    #[must_use]
    pub fn given(self, change: impl FnOnce(&mut super::State)) -> Self {
        self.host.with(change);
        self
    }

    /// Applies the plan first, so that what follows is about a host that was as wanted.
    #[must_use]
    pub fn applied(self) -> Self {
        self.apply_once();
        self
    }

    /// Expects the plan to be refused with these findings, one line each: `line:column: message (help)`.
    pub fn refused(self, expected: &str) {
        let error = match self.parse() {
            Ok(_) => panic!("the plan was not refused:\n{}", self.text),
            Err(error) => error.to_string().replace("plan.toml:", ""),
        };
        assert_eq!(error, expected, "findings of\n{}", self.text);
    }

    /// Expects the resource to be made, with these attributes: `name: before -> after, ...`.
    pub fn creates(self, attributes: &str) -> Self {
        self.expects(Action::Create, attributes)
    }

    /// Expects the resource to be updated.
    pub fn updates(self, attributes: &str) -> Self {
        self.expects(Action::Update, attributes)
    }

    /// Expects any action with these attributes.
    pub fn expects(self, action: Action, attributes: &str) -> Self {
        let change = self.change();
        assert_eq!((change.action, summary(&change).as_str()), (action, attributes), "{change:?}");
        self
    }

    /// Expects these reasons, joined by `; `.
    pub fn because(self, reasons: &str) -> Self {
        assert_eq!(self.change().reasons.join("; "), reasons);
        self
    }

    /// Expects nothing to do for the resource.
    pub fn in_sync(self) -> Self {
        let change = self.change();
        assert!(change.is_none(), "{change:?}");
        self
    }

    /// Expects that it cannot be decided, with this message.
    pub fn undecided(self, message: &str) {
        let changes = self.changes();
        let found: Vec<String> = changes.undecided().map(|(_, reason)| reason.to_string()).collect();
        assert_eq!(found.join("\n"), message, "{:?}", changes.changed().collect::<Vec<_>>());
    }

    /// Expects the apply to do these steps, joined by `; `.
    pub fn steps(self, expected: &str) -> Self {
        let before = self.host.with(|state| state.log.len());
        self.apply_once();
        let done = self.host.with(|state| state.log.get(before..).unwrap_or_default().join("; "));
        assert_eq!(done, expected);
        self
    }

    /// Expects the resource to hold these objects, joined by `; `.
    pub fn holds(self, expected: &str) -> Self {
        let objects = self.resource(|resource| resource.objects());
        let held = objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert_eq!(held, expected);
        self
    }

    /// Expects the resource to want these attributes: `name: value, ...`.
    pub fn wants(self, expected: &str) -> Self {
        let wanted = self.resource(|resource| resource.wanted());
        let parts: Vec<String> = wanted.iter().map(|(name, value)| format!("{name}: {}", value.line())).collect();
        assert_eq!(parts.join(", "), expected);
        self
    }

    fn resource<R>(&self, look: impl FnOnce(&dyn Resource) -> R) -> R {
        let changes = self.changes();
        let found = changes.graph().resources().find(|(address, _)| address.to_string() == self.address);
        match found {
            Some((_, resource)) => look(resource),
            None => panic!("the plan has no {}", self.address),
        }
    }

    /// Applies, and expects the resource to fail with this message.
    #[must_use]
    pub fn fails_with(self, message: &str) -> Self {
        let report = self.report();
        let outcome = report.resources.iter().find(|(address, _)| address.to_string() == self.address);
        match outcome {
            Some((_, Outcome::Failed { message: found } | Outcome::NotConverged { message: found })) => {
                assert_eq!(found, message);
            }
            other => panic!("{} did not fail: {other:?}", self.address),
        }
        self
    }

    /// Applies, and expects that nothing is left to do.
    pub fn mended(self) -> Self {
        self.apply_once();
        let changes = self.changes();
        let left: Vec<_> = changes.changed().collect();
        assert!(changes.is_empty(), "left after the apply: {left:?} {:?}", changes.undecided().collect::<Vec<_>>());
        self
    }

    /// The host, for looking at.
    #[must_use]
    pub fn host(&self) -> &FakeHost {
        &self.host
    }

    /// The change of the resource named `x`.
    #[must_use]
    pub fn change(&self) -> Change {
        let changes = self.changes();
        let found = changes.iter().find(|(address, _)| address.to_string() == self.address);
        match found {
            Some((_, Ok(change))) => change.clone(),
            Some((_, Err(reason))) => panic!("undecided: {reason}"),
            None => panic!("the plan has no {}", self.address),
        }
    }

    /// Everything that an apply would do.
    #[must_use]
    pub fn changes(&self) -> Changes {
        match self.observe() {
            Ok(observed) => observed.diff(self.now),
            Err(error) => panic!("cannot observe: {error}"),
        }
    }

    /// What the plan is refused for once the host has been asked.
    #[must_use]
    pub fn refused_of_host(&self) -> String {
        match self.observe() {
            Ok(_) => panic!("the plan was not refused:\n{}", self.text),
            Err(error) => error.to_string(),
        }
    }

    /// Applies, and gives what it came to.
    #[must_use]
    pub fn report(&self) -> Report {
        match wait(apply(self.adopting(), &self.host, &ignore)) {
            Ok(report) => report,
            Err(error) => panic!("cannot apply: {error}"),
        }
    }

    fn observe(&self) -> Result<Observed, EngineError> {
        let plan = match self.parse() {
            Ok(plan) => plan,
            Err(error) => panic!("the plan is wrong:\n{error}\n{}", self.text),
        };
        let host = plan.hosts().first().cloned().unwrap_or_else(|| panic!("the plan has no host"));
        wait(observe(&plan, &host, &self.host))
    }

    /// What the host has in a case is not this plan's, and is there to be changed.
    fn adopting(&self) -> Changes {
        self.changes().ordered(Orders { adopt: Adopt::All, ..Orders::default() })
    }

    fn apply_once(&self) {
        let report = self.report();
        assert!(report.succeeded(), "{report:#?}");
    }

    fn parse(&self) -> Result<Plan, crate::plan::problem::PlanError> {
        let source = Source { name: "plan.toml".to_owned(), text: self.text.clone() };
        Plan::parse(source, Arc::clone(&self.assets), &self.inputs)
    }
}

/// The contract that every kind keeps, tried on its own example: the example parses, an unknown key is refused, a dry
/// run does no step, what was applied is in sync; what a change shows is what the resource says that it wants, what its
/// steps touch is what it holds, and it may take over what is there.
///
/// # Panics
/// When the kind breaks it.
pub fn contract(kind: &Kind, assets: Arc<dyn Assets>) {
    let whole = |text: &str| Case {
        address: String::new(),
        text: format!("name = \"contract\"\n{text}"),
        inputs: Inputs::default(),
        assets: Arc::clone(&assets),
        host: FakeHost::new(),
        now: NOW,
    };
    let example = whole(kind.example);
    let first = example.changes();
    assert_eq!(first.undecided().count(), 0, "{}: {:?}", kind.name, first.undecided().collect::<Vec<_>>());
    assert_eq!(example.host().with(|state| state.log.len()), 0, "{}: the dry run did something", kind.name);
    holds_what_it_touches(kind, &example, &first);
    example.mended();
    wants_what_it_shows(kind, &first);

    let header = format!("[{}.", kind.name);
    let at = kind.example.find(&header).and_then(|at| kind.example.get(at..)?.find('\n').map(|end| at + end));
    let Some(at) = at else { panic!("{}: the example has no {header}x]", kind.name) };
    let (before, after) = kind.example.split_at(at);
    may_adopt(kind, &whole(kind.example).changes(), &whole(&format!("{before}\nadopt = true{after}")).changes());
    let spoilt = whole(&format!("{before}\nno_such_key = 1{after}"));
    match spoilt.parse() {
        Ok(_) => panic!("{}: an unknown key is accepted", kind.name),
        Err(error) => assert!(error.to_string().contains("unknown key `no_such_key`"), "{error}"),
    }
}

/// Attributes whose value depends on when a change is made: nobody can want them beforehand.
const OF_THE_MOMENT: [&str; 1] = ["not_after"];

fn wants_what_it_shows(kind: &Kind, changes: &Changes) {
    for (at, (address, change)) in changes.iter().enumerate() {
        let (Ok(change), Some(vertex)) = (change, changes.graph().vertex(at)) else { continue };
        let wanted = vertex.resource.wanted();
        let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| *name).collect();
        // The ledger has one value under each name.
        assert_eq!(names.len(), wanted.len(), "{}: {address} wants something twice: {wanted:?}", kind.name);
        for (name, shown) in &wanted {
            let known = !matches!(shown, Shown::Absent | Shown::Unknown);
            assert!(known, "{}: {address} wants {name} to be {shown:?}", kind.name);
        }
        let shown = change.attributes.iter().filter(|attribute| {
            matches!(change.action, Action::Create | Action::Update | Action::Start)
                && !matches!(attribute.after, Shown::Absent | Shown::Unknown)
                && !OF_THE_MOMENT.contains(&attribute.name.as_ref())
        });
        for Attribute { name, after, .. } in shown {
            let says = wanted.iter().any(|(known, value)| known == name && value == after);
            assert!(says, "{}: {address} shows {name} = {after:?}, and does not say that it wants it", kind.name);
        }
    }
}

fn holds_what_it_touches(kind: &Kind, example: &Case, changes: &Changes) {
    example.apply_once();
    let steps = example.host().with(|state| state.steps.clone());
    for (address, resource) in changes.graph().resources() {
        let held = resource.objects();
        let unique: BTreeSet<&Object> = held.iter().collect();
        assert_eq!(unique.len(), held.len(), "{}: {address} holds something twice: {held:?}", kind.name);
        let own = steps.iter().filter(|(of, step)| {
            of == address && !matches!(step, Step::EnsureDirectory { .. } | Step::EnsureUserDirectory { .. })
        });
        let mut touched: Vec<Object> = Vec::new();
        for object in own.flat_map(|(_, step)| step.objects()) {
            if !touched.contains(&object) {
                touched.push(object);
            }
        }
        // What is not touched when it is made is not noted either, and would never be taken back.
        let made = changes.changed().any(|(changed, _)| changed == address);
        assert_eq!(touched, if made { held } else { Vec::new() }, "{}: {address}", kind.name);
    }
}

fn may_adopt(kind: &Kind, plain: &Changes, adopting: &Changes) {
    // Others may be given what is made up anew on each host.
    let digests = |changes: &Changes| -> Vec<Option<String>> {
        let resources = changes.graph().resources().enumerate();
        let own = resources.filter(|(_, (address, _))| address.kind() == kind.name);
        own.map(|(at, _)| changes.graph().digest(at).map(str::to_owned)).collect()
    };
    assert_eq!(digests(plain), digests(adopting), "{}: `adopt` is nothing that is wanted of a host", kind.name);
    let adopts = (0..adopting.graph().len()).filter(|at| adopting.graph().adopts(*at)).count();
    assert_eq!(adopts, 1, "{}: `adopt` is not taken", kind.name);
}

fn summary(change: &Change) -> String {
    let parts = change.attributes.iter().map(|a| format!("{}: {} -> {}", a.name, a.before.line(), a.after.line()));
    parts.collect::<Vec<_>>().join(", ")
}

fn wait<F: Future>(future: F) -> F::Output {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("no runtime: {error}"),
    }
}
