//! What an apply, a destroy or a rollback would do, made by diff alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::drift;
use super::observe::{Observed, Verb};
use super::ownership::held_elsewhere;
use super::removal::Removal;
use crate::address::Address;
use crate::change::{Action, Cause, Change, Moved, Signal};
use crate::edit::draft::Drafts;
use crate::fetch::{Fetch, NoFetch};
use crate::graph::Graph;
use crate::ledger::{Ended, LedgerFound, Memory};
use crate::object::{Object, Record};
use crate::plan::host::Host;
use crate::plan::ownership::OnFailure;
use crate::probe::{Answers, Undecided};
use crate::resource::{Context, Relation, Resource, Thing};
use crate::secret::Secrets;
use crate::step::{Data, Revert, Step};

/// What would be done to one host: what is shown is what is done.
#[derive(Debug)]
pub struct Changes {
    pub(super) observed: Observed,
    pub(super) removals: Vec<Removal>,
    pub(super) now: OffsetDateTime,
    /// What a clock says, and when that was: a plan may be looked at for long before it is applied.
    clock: OffsetDateTime,
    since: Instant,
    pub(super) items: Vec<Result<Change, Undecided>>,
    /// The files of which pieces are put back before anything else is done.
    pub(super) drafts: Drafts,
    /// What people should know in time, by the place of the resource.
    notices: Vec<Option<String>>,
    pub(super) orders: Orders,
}

/// How changes are to be made.
#[derive(Clone)]
pub struct Orders {
    /// By whom, for the host's history and for whoever finds it locked: `user@machine`.
    pub who: String,
    /// How long to wait for somebody else who is at it.
    pub lock_wait: Duration,
    /// Whether what is there already and differs may be taken over.
    pub adopt: Adopt,
    /// What to do when something fails; what the plan says without it.
    pub on_failure: Option<OnFailure>,
    /// Who downloads what goes through this side.
    pub fetch: Arc<dyn Fetch>,
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, lock_wait, adopt, on_failure, fetch: _ } = self;
        f.debug_struct("Orders")
            .field("who", who)
            .field("lock_wait", lock_wait)
            .field("adopt", adopt)
            .field("on_failure", on_failure)
            .finish_non_exhaustive()
    }
}

/// Whether what is on the host already, differs and does not belong to the plan may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adopt {
    /// Only where the resource says `adopt = true`.
    #[default]
    Named,
    /// Anything.
    All,
}

/// Long enough for an apply that only has to finish, short enough for a person to see that something is wrong.
const LOCK_WAIT: Duration = Duration::from_secs(60);

impl Default for Orders {
    fn default() -> Self {
        Self {
            who: "provision".to_owned(),
            lock_wait: LOCK_WAIT,
            adopt: Adopt::Named,
            on_failure: None,
            fetch: Arc::new(NoFetch),
        }
    }
}

impl Changes {
    /// `now` is the time for which changes are made up, `clock` the one that it is.
    pub(super) fn new(observed: Observed, now: OffsetDateTime, clock: OffsetDateTime) -> Self {
        let unfinished = unfinished(&observed);
        let (mut removals, drafts) = observed.takeback().removals(&observed.leaving, &observed.answers);
        let (mut items, notices) = diff(&observed.graph, &observed.answers, (now, clock), &unfinished, drafts.clone());
        let entries = observed.graph.resources().zip(&observed.ledger.resources);
        for (((address, resource), wanted), item) in entries.zip(&mut items) {
            if let Some((plan, object)) = held_elsewhere(&wanted.objects, &observed.memory) {
                *item = Err(Undecided::with_help(
                    format!("{object} belongs to the plan `{plan}` on this host"),
                    format!("leave it to one of the two plans; `provision status` of `{plan}` shows what it owns"),
                ));
            } else if let Ok(change) = item {
                let entry = observed.ownership.entry(address);
                drift::tell(change, resource, entry, &wanted.digest);
                if unfinished.contains(address) {
                    drift::doubt(change);
                }
            }
        }
        for change in removals.iter_mut().filter_map(|removal| removal.change.as_mut().ok()) {
            if !change.is_none() {
                change.moved = Some(Moved::Left);
            }
        }
        Self {
            observed,
            removals,
            now,
            clock,
            since: Instant::now(),
            items,
            drafts,
            notices,
            orders: Orders::default(),
        }
    }

    /// Says how they are to be made.
    #[must_use]
    pub fn ordered(mut self, orders: Orders) -> Self {
        self.orders = orders;
        self
    }

    /// The time, moved on by what has passed since it was told.
    pub(super) fn time(&self) -> OffsetDateTime {
        super::watch::moved_on(self.clock, self.since)
    }

    /// What is to become of the plan.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.observed.verb
    }

    /// The host they are for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.observed.host
    }

    /// Everything in the order in which it is done: what leaves, then every resource of the plan; each with its change or why
    /// it could not be decided.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, Result<&Change, &Undecided>)> {
        self.leaving().chain(self.wanted().map(|(address, _, item)| (address, item)))
    }

    /// The resources of the plan, in their order: the second part of [`Changes::iter`].
    pub fn wanted(&self) -> impl Iterator<Item = (&Address, &dyn Resource, Result<&Change, &Undecided>)> {
        let resources = self.observed.graph.resources().zip(&self.items);
        resources.map(|((address, resource), item)| (address, resource, item.as_ref()))
    }

    /// What leaves the plan or is taken back, in the order in which that is done (but for networks, which wait for what is in them
    /// to be restarted): the first part of [`Changes::iter`].
    pub fn leaving(&self) -> impl Iterator<Item = (&Address, Result<&Change, &Undecided>)> {
        self.removals.iter().map(|removal| (&removal.address, removal.change.as_ref()))
    }

    /// Whether something that leaves the plan does so after everything else: a network, which cannot go before what is in it is
    /// restarted without it.
    pub(super) fn leaves_last(&self, at: usize) -> bool {
        let network = |step: &Step| matches!(step, Step::Revert(Revert { object: Object::Network { .. }, .. }));
        let restarts =
            |item: &Result<Change, Undecided>| item.as_ref().is_ok_and(|item| item.action == Action::Restart);
        self.observed.verb == Verb::Apply
            && self.removals.get(at).is_some_and(|removal| removal.steps.iter().any(network))
            && self.items.iter().any(restarts)
    }

    /// The changes that there are.
    pub fn changed(&self) -> impl Iterator<Item = (&Address, &Change)> {
        self.iter()
            .filter_map(|(address, item)| item.ok().map(|change| (address, change)))
            .filter(|(_, c)| !c.is_none())
    }

    /// What leaves the plan and stays on the host all the same, each with why.
    pub fn kept(&self) -> impl Iterator<Item = (&Address, &str)> {
        let changes =
            self.removals.iter().filter_map(|removal| Some((&removal.address, removal.change.as_ref().ok()?)));
        changes
            .filter(|(_, change)| change.is_none())
            .flat_map(|(address, change)| change.reasons.iter().map(move |reason| (address, reason.as_str())))
    }

    /// What people should know in time although there is nothing to do, such as the end of a certificate that they brought.
    pub fn notices(&self) -> impl Iterator<Item = (&Address, &str)> {
        let notices = self.observed.graph.resources().zip(&self.notices);
        notices.filter_map(|((address, _), notice)| Some((address, notice.as_deref()?)))
    }

    /// Resources that have another address since the last apply: the old and the new one.
    pub fn moves(&self) -> impl Iterator<Item = (&Address, &Address)> {
        self.observed.ownership.moves.iter().map(|(old, new)| (old, new))
    }

    /// What could not be decided.
    pub fn undecided(&self) -> impl Iterator<Item = (&Address, &Undecided)> {
        self.iter().filter_map(|(address, item)| item.err().map(|reason| (address, reason)))
    }

    /// What is on the host already, differs, does not belong to the plan, and is not said to be adopted. Each with what is
    /// the matter and what to do.
    pub fn foreign(&self) -> impl Iterator<Item = (&Address, Undecided)> {
        let adopted = |at: usize| self.orders.adopt == Adopt::All || self.observed.graph.adopts(at);
        self.observed.graph.resources().zip(&self.items).enumerate().filter_map(move |(at, ((address, _), item))| {
            let is_foreign = item.as_ref().is_ok_and(|change| change.moved == Some(Moved::Foreign));
            (is_foreign && !adopted(at)).then(|| (address, drift::foreign()))
        })
    }

    /// Whether the host is as wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().all(|(_, item)| item.is_ok_and(Change::is_none))
    }

    /// How many resources are watched at each apply, changed or not.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.observed.graph.resources().filter(|(_, resource)| resource.watch().is_some()).count()
    }

    /// The resources and their order.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.observed.graph
    }

    /// What the host remembers of the plan.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.observed.memory
    }

    /// What the host answered.
    pub(crate) fn answers(&self) -> &Answers {
        &self.observed.answers
    }

    /// The time for which they were made up.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// What becomes of data that leaves.
    #[must_use]
    pub fn data(&self) -> Data {
        self.observed.data
    }

    /// What must not be seen.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.observed.secrets
    }

    /// Of each that leaves, in their order, what the host has noted of the objects that it gives back.
    pub(crate) fn given_back(&self) -> impl Iterator<Item = Vec<&Record>> {
        self.removals.iter().map(|removal| {
            let steps = removal.steps.iter().chain(&removal.after);
            let objects =
                steps.filter_map(|step| if let Step::Revert(revert) = step { Some(&revert.object) } else { None });
            objects.filter_map(|object| self.observed.records.iter().find(|record| record.object == *object)).collect()
        })
    }

    /// Whether the host's memory is to be brought up to date although nothing else changes: its ledger says something else, an
    /// apply was cut and has left its lock or no result, or all that there was has been taken back.
    pub(super) fn is_to_be_noted(&self) -> bool {
        let Memory { ledger, last, lock, touched, .. } = &self.observed.memory;
        match self.observed.verb {
            Verb::Apply => {
                let cut = last.as_ref().is_some_and(|last| last.result == Ended::Cut);
                self.observed.ownership.stale || cut || lock.is_some()
            }
            Verb::Destroy => *ledger != LedgerFound::Absent || last.is_some() || lock.is_some() || *touched,
            Verb::Rollback(_) => false,
        }
    }
}

/// The resources that the plan owns on a host where its last apply did not come to a good end.
fn unfinished(observed: &Observed) -> BTreeSet<Address> {
    let last = observed.memory.last.as_ref().map(|last| last.result);
    if !matches!(last, Some(Ended::Cut | Ended::Failed)) {
        return BTreeSet::new();
    }
    let owned = |address: &&Address| observed.ownership.entry(address).is_some();
    observed.graph.resources().map(|(address, _)| address).filter(owned).cloned().collect()
}

/// Compares what is with what is wanted. `unfinished` are the resources that an earlier apply may have left in part, `drafts` the
/// files of which pieces are put back first. The times are that for which changes are made up, and that when the host was asked.
pub(super) fn diff(
    graph: &Graph,
    answers: &Answers,
    (now, clock): (OffsetDateTime, OffsetDateTime),
    unfinished: &BTreeSet<Address>,
    mut drafts: Drafts,
) -> (Vec<Result<Change, Undecided>>, Vec<Option<String>>) {
    let empty = Vec::new();
    let owed = answers.owed(graph.plan()).unwrap_or(&empty);
    let provided: Vec<Vec<Thing>> = graph.resources().map(|(_, resource)| resource.provides()).collect();
    let mut items: Vec<Result<Change, Undecided>> = Vec::with_capacity(graph.len());
    let mut notices = Vec::with_capacity(graph.len());
    for (at, (address, resource)) in graph.resources().enumerate() {
        let item = {
            let mut upstream: BTreeMap<Thing, &Change> = BTreeMap::new();
            let mut offered: Vec<&Thing> = Vec::new();
            let mut command = false;
            for index in graph.closure(at, Relation::After) {
                let things = provided.get(index).map(Vec::as_slice).unwrap_or_default();
                offered.extend(things);
                if let Some(Ok(change)) = items.get(index)
                    && !change.is_none()
                {
                    upstream.extend(things.iter().map(|thing| (thing.clone(), change)));
                    command |= change.action == Action::Run || things.iter().any(Thing::brings_more);
                }
            }
            let causes = causes(graph, at, &items);
            let unfinished = unfinished.contains(address);
            let (upstream, provided) = (&upstream, &offered);
            let context =
                Context { now, clock, upstream, provided, command, causes, owed, unfinished, drafts: &drafts };
            notices.push(resource.notice(answers, &context));
            resource.diff(answers, &context)
        };
        if item.as_ref().is_ok_and(|change| !change.is_none()) {
            drafts.extend(resource.leaves(answers, &drafts));
        }
        items.push(item);
    }
    (items, notices)
}

/// The changes that reach a resource through what it uses, by address.
fn causes(graph: &Graph, at: usize, items: &[Result<Change, Undecided>]) -> Vec<Cause> {
    let mut causes: BTreeMap<&Address, Cause> = BTreeMap::new();
    for (used, _) in graph.dependencies(at).filter(|(_, relation)| *relation == Relation::Uses) {
        let Some(through) = graph.vertex(used) else { continue };
        for index in graph.closure(used, Relation::Uses).into_iter().chain([used]) {
            let Some((vertex, Ok(change))) = graph.vertex(index).zip(items.get(index)) else { continue };
            if change.signal == Signal::None {
                continue;
            }
            let (address, signal) = (vertex.address.clone(), change.signal);
            let cause = causes.entry(&vertex.address).or_insert(Cause { address, signal, through: Vec::new() });
            cause.through.push(through.address.clone());
        }
    }
    causes
        .into_values()
        .map(|mut cause| {
            cause.through.sort();
            cause
        })
        .collect()
}
