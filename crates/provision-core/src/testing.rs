//! A made-up host and the contract suite: for testing kinds, here and elsewhere, without a host.
//!
//! The fake interprets questions and steps as data, counts exchanges, and can be told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::attribute::{Account, Mode};
use crate::blob::{Blob, BlobSource, sha256_hex};
use crate::connection::{Connection, ConnectionError};
use crate::facts::Facts;
use crate::path::AbsPath;
use crate::probe::{
    Answer, Answers, Ask, CONTENT_LIMIT, Entry, FileState, Guard, ImageState, Owner, PathState, Sort, UnitState,
    Wanted, ZoneState,
};
use crate::step::reply::{BatchReply, Heard};
use crate::step::{Batch, Layer, Need, Outcome, Ownership, Run, Step, UnitAction};
use crate::transport::{Stream, TransportError};

mod case;

pub use case::{Case, case, contract};

/// A host that exists in memory only.
#[derive(Debug, Default)]
pub struct FakeHost {
    state: Mutex<State>,
}

/// What a fake host has.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Directory entries by path; a file has its content.
    pub entries: BTreeMap<AbsPath, (Entry, Vec<u8>)>,
    /// systemd's units by name.
    pub units: BTreeMap<String, UnitState>,
    /// Units that have a file which systemd has not read: they appear with the next reload.
    pub unread: BTreeSet<String>,
    /// podman's images.
    pub images: Vec<ImageState>,
    /// Firewall zones by name; the one named `public` is the default. None: firewalld does not run.
    pub zones: Option<BTreeMap<String, ZoneState>>,
    /// Exit status of commands by argument list; others succeed.
    pub statuses: BTreeMap<Vec<String>, i32>,
    /// Files that a command makes, by argument list.
    pub makes: BTreeMap<Vec<String>, AbsPath>,
    /// Units that are owed a restart.
    pub owed: BTreeSet<String>,
    /// Every step that was done, in order, as [`Step::describe`] has it.
    pub log: Vec<String>,
    /// The step that fails, counted from 0 over the whole life of the host.
    pub fail_at: Option<usize>,
    /// How many exchanges there have been.
    pub exchanges: usize,
}

impl FakeHost {
    /// A host with an ordinary tree of directories and a running firewall.
    #[must_use]
    pub fn new() -> Self {
        let host = Self::default();
        for path in [
            "/",
            "/etc",
            "/etc/containers",
            "/etc/containers/systemd",
            "/etc/haproxy",
            "/etc/systemd",
            "/etc/systemd/system",
            "/srv",
            "/var",
            "/var/lib",
            "/opt",
            "/etc/sudoers.d",
        ] {
            host.with(|state| state.put_directory(path, "0755"));
        }
        host.with(|state| {
            let public = ZoneState { name: "public".to_owned(), ..ZoneState::default() };
            state.zones = Some(BTreeMap::from([("public".to_owned(), public)]));
        });
        host
    }

    /// Looks at the state, or changes it as somebody else would.
    pub fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        // A panic of another test thread leaves plain data behind, which is as good as before.
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn owner(account: Option<&Account>) -> Owner {
    match account {
        None => Owner { id: 0, name: Some("root".to_owned()) },
        Some(Account::Id(0)) => Owner { id: 0, name: Some("root".to_owned()) },
        Some(Account::Id(id)) => Owner { id: *id, name: None },
        Some(Account::Name(name)) if name == "root" => Owner { id: 0, name: Some(name.clone()) },
        Some(Account::Name(name)) => Owner { id: 1000, name: Some(name.clone()) },
    }
}

impl State {
    /// Puts a directory there. Texts that are no path or mode are ignored.
    pub fn put_directory(&mut self, path: &str, mode: &str) {
        self.put(path, mode, Sort::Directory, Vec::new());
    }

    /// Puts a file there.
    pub fn put_file(&mut self, path: &str, content: &[u8], mode: &str) {
        self.put(path, mode, Sort::File, content.to_vec());
    }

    /// Puts a symbolic link there.
    pub fn put_link(&mut self, path: &str, target: &str) {
        self.put(path, "0777", Sort::Link(target.to_owned()), Vec::new());
    }

    fn put(&mut self, path: &str, mode: &str, sort: Sort, content: Vec<u8>) {
        if let (Ok(path), Ok(mode)) = (path.parse(), mode.parse()) {
            let entry = Entry { sort, mode, user: owner(None), group: owner(None), size: content.len() as u64 };
            self.entries.insert(path, (entry, content));
        }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Path(path) => Answer::Path(
                self.entries.get(path).map_or(PathState::Absent, |(entry, _)| PathState::Present(entry.clone())),
            ),
            Ask::File { path, content: wanted } => Answer::File(match self.entries.get(path) {
                Some((entry, content)) if entry.sort == Sort::File => {
                    let sha256 = sha256_hex(content);
                    let shown = match wanted {
                        Wanted::Never => false,
                        Wanted::Unless(digest) => *digest != sha256,
                        Wanted::Always => true,
                    };
                    let content = shown.then(|| content.iter().take(CONTENT_LIMIT).copied().collect());
                    FileState::Present { sha256, content }
                }
                _ => FileState::Absent,
            }),
            Ask::Unit(name) => Answer::Unit(self.units.get(name).cloned().unwrap_or_else(|| UnitState {
                load: "not-found".to_owned(),
                active: "inactive".to_owned(),
                sub: "dead".to_owned(),
                ..UnitState::default()
            })),
            Ask::Images => Answer::Images(self.images.clone()),
            Ask::Zone(name) => match &self.zones {
                None => Answer::Unknown("firewalld cannot be asked: it does not run".to_owned()),
                Some(zones) => zones
                    .get(name.as_deref().unwrap_or("public"))
                    .map_or_else(|| Answer::Unknown("no such zone".to_owned()), |zone| Answer::Zone(zone.clone())),
            },
            Ask::Guard(guard) => Answer::Guard(self.status(&guard.argv)),
            Ask::Owed(_) => Answer::Owed(self.owed.iter().cloned().collect()),
        }
    }

    fn status(&self, argv: &[String]) -> i32 {
        self.statuses.get(argv).copied().unwrap_or(0)
    }

    fn do_step(&mut self, step: &Step) -> Result<bool, String> {
        if self.fail_at == Some(self.log.len()) {
            self.log.push(format!("failed: {}", step.describe()));
            return Err("told to fail".to_owned());
        }
        self.log.push(step.describe());
        match step {
            Step::MakeDirectory { path, mode, ownership } => {
                self.require_directory(path)?;
                if self.entries.contains_key(path) {
                    return Err(format!("{path} is there already"));
                }
                self.set(path, Sort::Directory, Vec::new(), *mode, ownership);
            }
            Step::SetAttributes { path, mode, ownership } => {
                let (entry, _) = self.entries.get_mut(path).ok_or_else(|| format!("{path} is not there"))?;
                if let Some(mode) = mode {
                    entry.mode = *mode;
                }
                if ownership.user.is_some() {
                    entry.user = owner(ownership.user.as_ref());
                }
                if ownership.group.is_some() {
                    entry.group = owner(ownership.group.as_ref());
                }
            }
            Step::PutFile { path, content, mode, ownership, validate } => {
                self.require_directory(path)?;
                if self.status(validate) != 0 {
                    return Err("refused by its validation".to_owned());
                }
                self.set(path, Sort::File, bytes(content)?, *mode, ownership);
                self.note_unit(path);
            }
            Step::PutLink { path, target } => {
                self.require_directory(path)?;
                self.set(path, Sort::Link(target.clone()), Vec::new(), Mode::new(0o777), &Ownership::default());
            }
            Step::ReloadUnits => self.read_units(),
            Step::Unit { name, action } => self.act(name, *action)?,
            Step::LoadImage { id, name, .. } => self.add_image(id.clone(), name),
            Step::PullImage { reference } => self.add_image(sha256_hex(reference.as_bytes()), reference),
            Step::OpenPort { zone, port, protocol, layer } => {
                let zones = self.zones.as_mut().ok_or("firewalld does not run")?;
                let zone = zones.get_mut(zone.as_deref().unwrap_or("public")).ok_or("no such zone")?;
                let list = match layer {
                    Layer::Running => &mut zone.running,
                    Layer::Permanent => &mut zone.permanent,
                };
                list.push(format!("{port}/{protocol}"));
                list.sort();
            }
            Step::Run(run) => return self.run(run),
            Step::Await(_) => {}
        }
        Ok(true)
    }

    fn require_directory(&self, path: &AbsPath) -> Result<(), String> {
        match path.parent().and_then(|parent| self.entries.get(&parent)) {
            Some((entry, _)) if entry.sort == Sort::Directory => Ok(()),
            _ => Err(format!("the directory of {path} is not there")),
        }
    }

    fn set(&mut self, path: &AbsPath, sort: Sort, content: Vec<u8>, mode: Mode, ownership: &Ownership) {
        let (user, group) = (owner(ownership.user.as_ref()), owner(ownership.group.as_ref()));
        let entry = Entry { sort, mode, user, group, size: content.len() as u64 };
        self.entries.insert(path.clone(), (entry, content));
    }

    /// A file in one of systemd's directories is a unit that has yet to be read.
    fn note_unit(&mut self, path: &AbsPath) {
        if path.as_str().starts_with("/etc/systemd/system/") && !path.as_str().contains(".d/") {
            self.unread.insert(path.name().to_owned());
        }
        if let Some((stem, extension)) = path.name().rsplit_once('.')
            && path.as_str().starts_with("/etc/containers/systemd/")
        {
            self.unread.insert(match extension {
                "container" | "kube" => format!("{stem}.service"),
                other => format!("{stem}-{other}.service"),
            });
        }
    }

    fn read_units(&mut self) {
        for name in std::mem::take(&mut self.unread) {
            let generated = self.entries.keys().all(|path| path.as_str() != format!("/etc/systemd/system/{name}"));
            let unit = self.units.entry(name).or_insert_with(|| UnitState {
                active: "inactive".to_owned(),
                sub: "dead".to_owned(),
                file: if generated { "generated" } else { "disabled" }.to_owned(),
                ..UnitState::default()
            });
            unit.load = "loaded".to_owned();
            unit.stale = false;
        }
    }

    fn act(&mut self, name: &str, action: UnitAction) -> Result<(), String> {
        let unit = self.units.get_mut(name).ok_or_else(|| format!("unit {name} not found"))?;
        match action {
            UnitAction::Enable => unit.file = "enabled".to_owned(),
            UnitAction::Disable => unit.file = "disabled".to_owned(),
            UnitAction::Start | UnitAction::Restart => {
                unit.active = "active".to_owned();
                unit.sub = "running".to_owned();
            }
            UnitAction::Stop => {
                unit.active = "inactive".to_owned();
                unit.sub = "dead".to_owned();
            }
            UnitAction::Reload => {}
        }
        Ok(())
    }

    fn add_image(&mut self, id: String, name: &str) {
        let digest = format!("sha256:{}", sha256_hex(name.as_bytes()));
        self.images.retain(|image| image.name.as_deref() != Some(name));
        self.images.push(ImageState { id, digest, name: Some(name.to_owned()) });
        self.images.sort();
    }

    fn run(&mut self, run: &Run) -> Result<bool, String> {
        let succeeds = |guard: &Guard| self.status(&guard.argv) == 0;
        let needed = run.guards.iter().all(|need| match need {
            Need::Absent(path) => !self.entries.contains_key(path),
            Need::Fails(guard) => !succeeds(guard),
            Need::Succeeds(guard) => succeeds(guard),
        });
        if !needed {
            return Ok(false);
        }
        if self.status(&run.argv) != 0 {
            return Err(format!("exit status {}", self.status(&run.argv)));
        }
        if let Some(path) = self.makes.get(&run.argv).cloned() {
            self.put_file(path.as_str(), b"", "0644");
        }
        // What a guard found missing is there once the command has run.
        for need in &run.guards {
            if let Need::Fails(guard) = need {
                self.statuses.insert(guard.argv.clone(), 0);
            }
        }
        Ok(true)
    }
}

fn bytes(blob: &Blob) -> Result<Vec<u8>, String> {
    match blob.source() {
        BlobSource::Memory(bytes) => Ok(bytes.to_vec()),
        BlobSource::File(path) => std::fs::read(path).map_err(|error| error.to_string()),
    }
}

#[async_trait]
impl Connection for FakeHost {
    fn label(&self) -> &str {
        "fake"
    }

    async fn facts(&self) -> Result<Facts, ConnectionError> {
        self.with(|state| state.exchanges += 1);
        Ok(Facts::example())
    }

    async fn ask(&self, asks: &BTreeSet<Ask>) -> Result<Answers, ConnectionError> {
        Ok(self.with(|state| {
            state.exchanges += 1;
            let mut answers = Answers::default();
            for ask in asks {
                answers.insert(ask.clone(), state.answer(ask));
            }
            answers
        }))
    }

    async fn read(&self, paths: &BTreeSet<AbsPath>) -> Result<BTreeMap<AbsPath, Zeroizing<Vec<u8>>>, ConnectionError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(self.with(|state| {
            state.exchanges += 1;
            let found = |path: &AbsPath| Some((path.clone(), Zeroizing::new(state.entries.get(path)?.1.clone())));
            paths.iter().filter_map(found).collect()
        }))
    }

    async fn run(&self, batch: Batch, tell: &mut (dyn FnMut(Heard) + Send)) -> Result<BatchReply, ConnectionError> {
        let outcomes = self.with(|state| {
            state.exchanges += 1;
            let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.tasks.len());
            for (index, task) in batch.tasks.iter().enumerate() {
                let bad =
                    |at: &&usize| matches!(outcomes.get(**at), Some(Outcome::Failed { .. } | Outcome::Skipped { .. }));
                if let Some(because) = task.after.iter().find(bad) {
                    let outcome = Outcome::Skipped { because: Some(*because) };
                    tell(Heard::Ended(index, outcome.clone()));
                    outcomes.push(outcome);
                    continue;
                }
                tell(Heard::Begun(index));
                state.owed.extend(task.owes.iter().cloned());
                if task.steps.iter().any(|step| matches!(step, Step::Unit { .. })) {
                    state.read_units();
                }
                let mut outcome = Outcome::Done { output: String::new() };
                for (at, step) in task.steps.iter().enumerate() {
                    match state.do_step(step) {
                        Ok(true) => {}
                        Ok(false) => outcome = Outcome::NotNeeded,
                        Err(output) => {
                            outcome = Outcome::Failed { step: at, status: 1, output };
                            break;
                        }
                    }
                }
                if !matches!(outcome, Outcome::Failed { .. }) {
                    for unit in &task.pays {
                        state.owed.remove(unit);
                    }
                }
                tell(Heard::Ended(index, outcome.clone()));
                outcomes.push(outcome);
            }
            outcomes
        });
        Ok(BatchReply { outcomes, reload_failed: None, ended: true, lost: None })
    }

    async fn connect_tcp(&self, host: &str, port: u16, _limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let reason = "a made-up host listens nowhere".to_owned();
        Err(TransportError::Tunnel { host: "fake".to_owned(), target: format!("{host}:{port}"), reason })
    }
}
