//! Asks a host: what the resources want to know, what it remembers of the plan, and what is to be known of what leaves.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::EngineError;
use super::changes::Changes;
use super::lent::Lent;
use super::ownership::{Ownership, ledger_of};
use super::removal::Takeback;
use crate::address::Address;
use crate::connection::Connection;
use crate::facts::Facts;
use crate::graph::Graph;
use crate::knob::linger::LINGER;
use crate::ledger::{Ended, Ledger, LedgerFound, Memory, Scope};
use crate::object::{Object, Record};
use crate::plan::Plan;
use crate::plan::host::Host;
use crate::probe::{Answers, Ask};
use crate::resource::certificate_authority;
use crate::secret::{Secrets, Text};
use crate::step::Data;

/// What is to become of the plan on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The host becomes as the plan wants it.
    Apply,
    /// Everything that the plan has brought about is taken back.
    Destroy,
    /// One apply is taken back.
    Rollback(u32),
}

/// A host with its resources and what it answered.
#[derive(Debug)]
pub struct Observed {
    pub(super) verb: Verb,
    pub(super) host: Host,
    /// What the host has said of itself, and what is kept there.
    pub(super) facts: Facts,
    pub(super) graph: Graph,
    pub(super) answers: Answers,
    pub(super) secrets: Secrets,
    /// The plan's digest, for the history.
    pub(super) plan: String,
    pub(super) memory: Memory,
    /// The ledger as it will be.
    pub(super) ledger: Ledger,
    pub(super) ownership: Ownership,
    pub(super) records: Vec<Record>,
    /// What is taken back, in the order in which it was applied.
    pub(super) leaving: Vec<(Address, Vec<Object>)>,
    /// What of that is data because its plan said so.
    pub(super) stays: BTreeSet<Object>,
    pub(super) data: Data,
}

/// Whose memory of which plan is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The plan's name.
    pub(super) plan: &'a str,
    /// The plan's digest.
    pub(super) digest: &'a str,
    /// What must not be seen.
    pub(super) secrets: &'a Secrets,
    /// The host.
    pub(super) host: &'a Host,
}

impl<'a> Subject<'a> {
    fn new(plan: &'a Plan, host: &'a Host) -> Self {
        Self { plan: plan.name(), digest: plan.digest(), secrets: plan.secrets(), host }
    }
}

/// Asks a host everything that the plan's resources want to know: one exchange; one before it where the plan uses facts, one
/// where it keeps secrets there, and two after it where something has left the plan.
///
/// # Errors
/// When the host cannot be asked, its ledger cannot be read, or the plan is wrong once its facts are known; and when it takes
/// values of other hosts, which [`observe_with`] is for.
pub async fn observe(plan: &Plan, host: &Host, connection: &dyn Connection) -> Result<Observed, EngineError> {
    observe_with(plan, host, &Lent::default(), connection).await
}

/// The same of a host that takes values of others ([`Plan::borrows`]), which were asked before.
///
/// # Errors
/// As for [`observe`]; [`EngineError::Waits`] where one of the others was not asked, or what is taken is still to be applied
/// there: then the host was not asked anything.
pub async fn observe_with(
    plan: &Plan,
    host: &Host,
    lent: &Lent,
    connection: &dyn Connection,
) -> Result<Observed, EngineError> {
    let mut facts = Facts::default();
    // Before the host is asked anything.
    lent.hand_on(plan, host, &mut facts)?;
    if plan.needs_facts() {
        facts.extend(connection.facts(plan.homes()).await?);
    }
    let kept = plan.kept_secrets(host, &facts);
    let mut found = connection.read(&kept).await?;
    for path in kept {
        let content = found.remove(&path).map(|content| Text::secret(String::from_utf8_lossy(&content)));
        facts.keep(path, content);
    }
    let graph = plan.resolve(host, &facts)?;
    let mut observed = Observed::ask(Subject::new(plan, host), graph, Verb::Apply, None, connection).await?;
    let orphans = observed.ownership.orphans.iter();
    observed.leaving = orphans.map(|(entry, lost)| (entry.address.clone(), lost.clone())).collect();
    observed.stays = observed.ownership.staying();
    observed.facts = facts;
    if observed.leaving.iter().any(|(_, objects)| !objects.is_empty()) {
        observed.ask_records(Scope::Origin, connection).await?;
        let records = std::mem::take(&mut observed.records);
        observed.bring_along(&records);
        let gone: BTreeSet<&Object> = observed.leaving.iter().flat_map(|(_, objects)| objects).collect();
        observed.records = records.into_iter().filter(|record| gone.contains(&record.object)).collect();
        observed.ask_standing(connection).await?;
    }
    Ok(observed)
}

/// Asks a host what there is to take back of a plan: everything that it owns.
///
/// # Errors
/// As for [`observe`].
pub async fn observe_destroy(plan: &Plan, host: &Host, connection: &dyn Connection) -> Result<Observed, EngineError> {
    let graph = Graph::empty(plan.name());
    let records = Ask::Records { plan: plan.name().to_owned(), scope: Scope::Origin };
    let subject = Subject::new(plan, host);
    let mut observed = Observed::ask(subject, graph, Verb::Destroy, Some(records), connection).await?;
    observed.records = observed.answers.records(plan.name(), Scope::Origin).map_err(EngineError::Memory)?.clone();
    let mut leaving: Vec<(Address, Vec<Object>)> = Vec::new();
    let entries = observed.ownership.orphans.iter().map(|(entry, _)| entry);
    let named: BTreeSet<&Object> = entries.clone().flat_map(|entry| &entry.objects).collect();
    // What resources have made for themselves beside what they hold, and data that an earlier apply has left: first made, so
    // last to go.
    let mut beside: BTreeMap<&Address, Vec<Object>> = BTreeMap::new();
    for record in observed.records.iter().filter(|record| !named.contains(&record.object)) {
        beside.entry(&record.address).or_default().push(record.object.clone());
    }
    let mut stays = observed.ownership.staying();
    // An authority beside those that the plan has: it stayed before.
    let authorities = beside.iter().filter(|(address, _)| address.kind() == certificate_authority::KIND.name);
    stays.extend(authorities.flat_map(|(_, objects)| objects.iter().cloned()));
    for objects in beside.values_mut() {
        // A directory before what is in it.
        objects.sort();
    }
    for entry in entries {
        let mut objects = beside.remove(&entry.address).unwrap_or_default();
        objects.extend(entry.objects.iter().cloned());
        leaving.push((entry.address.clone(), objects));
    }
    let beside = beside.into_iter().map(|(address, objects)| (address.clone(), objects));
    // Of what is a user's podman is asked, and it answers for as long as the user lingers.
    let (of_users, others): (Vec<_>, Vec<_>) =
        beside.partition(|(_, objects)| objects.iter().any(Object::is_of_a_user));
    let lingers = |(_, objects): &(Address, Vec<Object>)| {
        objects.iter().any(|object| matches!(object, Object::Knob(knob) if knob.sort().word == LINGER.word))
    };
    let at = leaving.iter().rposition(lingers).map_or(0, |at| at + 1);
    leaving.splice(at..at, of_users);
    leaving.splice(0..0, others);
    observed.leaving = leaving;
    observed.stays = stays;
    observed.ask_standing(connection).await?;
    Ok(observed)
}

/// Asks a host what there is to take back of the newest apply that has not been taken back yet, complete or cut.
///
/// # Errors
/// As for [`observe`]; and when there is no such apply.
pub async fn observe_rollback(plan: &Plan, host: &Host, connection: &dyn Connection) -> Result<Observed, EngineError> {
    taken_back(Subject::new(plan, host), connection).await
}

pub(super) async fn taken_back(subject: Subject<'_>, connection: &dyn Connection) -> Result<Observed, EngineError> {
    let history = Ask::History(subject.plan.to_owned());
    let graph = Graph::empty(subject.plan);
    let mut observed = Observed::ask(subject, graph, Verb::Apply, Some(history), connection).await?;
    let history = observed.answers.history(subject.plan).map_err(EngineError::Memory)?;
    let Some(last) = history.iter().rev().find(|apply| apply.result != Ended::RolledBack) else {
        let (host, plan) = (subject.host.name.clone(), subject.plan.to_owned());
        return Err(EngineError::NothingToRollBack { host, plan });
    };
    observed.verb = Verb::Rollback(last.number);
    observed.ask_records(Scope::Apply(last.number), connection).await?;
    let mut leaving: Vec<(Address, Vec<Object>)> = Vec::new();
    for record in &observed.records {
        match leaving.iter_mut().find(|(address, _)| *address == record.address) {
            Some((_, objects)) => objects.push(record.object.clone()),
            None => leaving.push((record.address.clone(), vec![record.object.clone()])),
        }
    }
    observed.leaving = leaving;
    observed.ask_standing(connection).await?;
    Ok(observed)
}

/// What is asked for the resources themselves.
pub(super) fn asks(graph: &Graph) -> BTreeSet<Ask> {
    let mut asks: BTreeSet<Ask> = graph.resources().flat_map(|(_, resource)| resource.asks()).collect();
    if asks.iter().any(|ask| matches!(ask, Ask::Unit(_))) {
        asks.insert(Ask::Owed(graph.plan().to_owned()));
    }
    asks
}

impl Observed {
    async fn ask(
        subject: Subject<'_>,
        graph: Graph,
        verb: Verb,
        more: Option<Ask>,
        connection: &dyn Connection,
    ) -> Result<Self, EngineError> {
        let Subject { plan, digest: plan_digest, secrets, host } = subject;
        let graph_data = graph.data();
        let mut secrets = secrets.clone();
        secrets.extend(graph.secrets());
        let ledger = ledger_of(&graph);
        let digest = ledger.sha256();
        let mut asks = asks(&graph);
        asks.insert(Ask::Memory { plan: plan.to_owned(), ledger: digest.clone() });
        asks.extend(more);
        let answers = connection.ask(&asks).await?;
        let memory = answers.memory(plan, &digest).cloned().map_err(EngineError::Memory)?;
        let ownership = Ownership::new(&graph, &ledger, &memory).map_err(EngineError::Memory)?;
        Ok(Self {
            verb,
            host: host.clone(),
            facts: Facts::default(),
            graph,
            answers,
            secrets,
            plan: plan_digest.to_owned(),
            data: graph_data,
            memory,
            ledger,
            ownership,
            records: Vec::new(),
            leaving: Vec::new(),
            stays: BTreeSet::new(),
        })
    }

    /// What came along with something that leaves goes with it: the packages that another one needed. First made, so last to
    /// go.
    fn bring_along(&mut self, records: &[Record]) {
        let held: BTreeSet<&Object> = self.ledger.resources.iter().flat_map(|entry| &entry.objects).collect();
        for (address, objects) in &mut self.leaving {
            let leaves = self.ledger.entry(address).is_none();
            let beside = records.iter().filter(|record| {
                let Record { address: of, object, .. } = record;
                let along = matches!(object, Object::Knob(_)) && of == address;
                leaves && along && !held.contains(object) && !objects.contains(object)
            });
            let mut all: Vec<Object> = beside.map(|record| record.object.clone()).collect();
            all.append(objects);
            *objects = all;
        }
    }

    async fn ask_records(&mut self, scope: Scope, connection: &dyn Connection) -> Result<(), EngineError> {
        let plan = self.graph.plan().to_owned();
        let answers = connection.ask(&BTreeSet::from([Ask::Records { plan: plan.clone(), scope }])).await?;
        self.records = answers.records(&plan, scope).cloned().map_err(EngineError::Memory)?;
        Ok(())
    }

    /// How what leaves stands now.
    async fn ask_standing(&mut self, connection: &dyn Connection) -> Result<(), EngineError> {
        let asks = self.takeback().asks();
        let answers = connection.ask(&asks).await?;
        self.answers.extend(answers);
        Ok(())
    }

    /// When the apply began that is taken back.
    fn begun(&self) -> Option<String> {
        let Verb::Rollback(number) = self.verb else { return None };
        let history = self.answers.history(self.graph.plan()).ok()?;
        Some(history.iter().find(|apply| apply.number == number)?.head.as_ref()?.when.clone())
    }

    /// Whether the apply that is taken back went on from one that was cut.
    pub(super) fn follows_a_cut(&self) -> bool {
        let Verb::Rollback(number) = self.verb else { return false };
        let Ok(history) = self.answers.history(self.graph.plan()) else { return false };
        let before = history.iter().rev().find(|apply| apply.number < number && apply.result != Ended::RolledBack);
        before.is_some_and(|before| before.result == Ended::Cut)
    }

    pub(super) fn takeback(&self) -> Takeback<'_> {
        Takeback {
            plan: self.graph.plan(),
            memory: &self.memory,
            when: self.begun(),
            scope: self.verb.scope(),
            data: self.data,
            records: &self.records,
            held: self.ledger.resources.iter().flat_map(|entry| &entry.objects).collect(),
            stays: &self.stays,
        }
    }

    /// What becomes of data that leaves; without this it stays, unless the plan says otherwise.
    #[must_use]
    pub fn with_data(mut self, data: Data) -> Self {
        self.data = data;
        self
    }

    /// Whether the host has ever had this plan.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.memory.ledger != LedgerFound::Absent || self.memory.touched || self.memory.last.is_some()
    }

    /// What the host remembers of the plan.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Compares what is with what is wanted.
    #[must_use]
    pub fn diff(self, now: OffsetDateTime) -> Changes {
        Changes::new(self, now, now)
    }

    /// The same as it was sealed: made with the dates that were shown then, `sealed`, and applied now.
    #[must_use]
    pub fn diff_as_of(self, sealed: OffsetDateTime, now: OffsetDateTime) -> Changes {
        Changes::new(self, sealed, now)
    }
}

impl Verb {
    pub(super) const fn scope(self) -> Scope {
        match self {
            Self::Apply | Self::Destroy => Scope::Origin,
            Self::Rollback(number) => Scope::Apply(number),
        }
    }

    /// The word for people and programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Rollback(_) => "rollback",
        }
    }
}
