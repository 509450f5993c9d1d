//! Cases as data: `tests/real_host/cases/KIND.toml` says what a kind is tried with, and on which kinds of host.
//! `tests/real_host/README.md` describes the format, and has the table that [`table`] makes of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

/// A kind of host that cases run on: a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostKind {
    /// Debian 13 as root.
    Debian13,
    /// Debian 13 as an unprivileged user who lingers.
    Rootless,
    /// Debian 12 as root.
    Debian12,
    /// Debian 13 as root, with BusyBox in place of GNU's tools and of the shell.
    BusyBox,
}

impl HostKind {
    /// In the order of the table's columns.
    pub const ALL: [Self; 4] = [Self::Debian13, Self::Rootless, Self::Debian12, Self::BusyBox];

    /// Its name in a case, and of the host.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debian13 => "debian13",
            Self::Rootless => "rootless",
            Self::Debian12 => "debian12",
            Self::BusyBox => "busybox",
        }
    }

    /// What `tests/testbed/bed` makes it of.
    #[must_use]
    pub const fn base(self) -> &'static str {
        match self {
            Self::Rootless => "debian13",
            other => other.name(),
        }
    }

    /// Who logs in there.
    #[must_use]
    pub const fn user(self) -> &'static str {
        match self {
            Self::Rootless => "core",
            Self::Debian13 | Self::Debian12 | Self::BusyBox => "root",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Debian13 => "Debian 13, root",
            Self::Rootless => "Debian 13, rootless",
            Self::Debian12 => "Debian 12, root",
            Self::BusyBox => "BusyBox userland, root",
        }
    }
}

/// One case. Its scripts run as the user who logs in, who may use `sudo` without a password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The file's name without `.toml`: the kind, or the kind, `-` and a word for a second case of it.
    #[serde(skip)]
    pub name: String,
    plan: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    drift: Vec<Drift>,
    #[serde(default)]
    hosts: BTreeMap<HostKind, String>,
}

/// Something that is changed by hand, and what has to be said of that.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Its address; not needed where the plan has one resource of the case's kind.
    resource: Option<String>,
    #[serde(default)]
    attribute: Attributes,
    #[serde(default = "update")]
    action: String,
    run: String,
    /// What else changes because of it: address and action.
    #[serde(default)]
    also: BTreeMap<String, String>,
    /// Kinds of host that this cannot be done on; the case says why in a comment.
    #[serde(default)]
    not_on: BTreeSet<HostKind>,
}

fn update() -> String {
    "update".to_owned()
}

/// One attribute, or those that move together.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Attributes {
    One(String),
    Several(BTreeSet<String>),
}

impl Default for Attributes {
    fn default() -> Self {
        Self::Several(BTreeSet::new())
    }
}

impl Attributes {
    fn set(&self) -> BTreeSet<String> {
        match self {
            Self::One(name) => BTreeSet::from([name.clone()]),
            Self::Several(names) => names.clone(),
        }
    }
}

/// What a case comes to on a kind of host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Everything is done, and undone.
    Done,
    /// An apply fails before it changes anything, and this is in what it says.
    Refused(String),
    /// It is not tried, for this reason.
    LeftOut(String),
}

/// What cases do not know of the host that they run on.
#[derive(Debug, Clone)]
pub struct Place {
    /// Of which kind it is.
    pub kind: HostKind,
    /// Its address.
    pub address: String,
    /// Where the archives of [`Case::image`] are, on this side.
    pub archives: PathBuf,
}

impl Place {
    /// The archive of a case's image.
    #[must_use]
    pub fn archive(&self, case: &Case) -> PathBuf {
        self.archives.join(format!("{}.tar", case.name))
    }
}

/// A [`Drift`] made out for a host.
#[derive(Debug, Clone)]
pub struct Moved {
    /// What is run by hand.
    pub run: String,
    /// The resource that has drifted.
    pub resource: String,
    /// The attributes that its change names, and no others.
    pub attributes: BTreeSet<String>,
    /// Every change that is due: action by address.
    pub changes: BTreeMap<String, String>,
}

/// What is wrong with the case files themselves.
#[derive(Debug, thiserror::Error)]
#[error("{case}: {problem}")]
pub struct Malformed {
    case: String,
    problem: String,
}

impl Malformed {
    fn new(case: &str, problem: impl fmt::Display) -> Self {
        Self { case: case.to_owned(), problem: problem.to_string() }
    }
}

/// Where the cases and their table are.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("real_host")
}

impl Case {
    /// Every case there is, by name.
    ///
    /// # Errors
    /// When a file cannot be read or is not a case.
    pub fn all() -> Result<Vec<Self>, Malformed> {
        let folder = directory().join("cases");
        let fails = |problem: std::io::Error| Malformed::new("tests/real_host/cases", problem);
        let mut cases = Vec::new();
        for entry in fs::read_dir(folder).map_err(fails)? {
            let path = entry.map_err(fails)?.path();
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let text = fs::read_to_string(&path).map_err(|error| Malformed::new(&name, error))?;
            let case: Self = toml::from_str(&text).map_err(|error| Malformed::new(&name, error))?;
            cases.push(Self { name, ..case });
        }
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(cases)
    }

    /// The kind that it is a case of.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// What it comes to on such a host.
    ///
    /// # Errors
    /// When the case says neither `refused: TEXT` nor `left out: REASON`.
    pub fn expected(&self, kind: HostKind) -> Result<Expected, Malformed> {
        let Some(said) = self.hosts.get(&kind) else { return Ok(Expected::Done) };
        match said.split_once(": ") {
            Some(("refused", text)) => Ok(Expected::Refused(text.to_owned())),
            Some(("left out", reason)) => Ok(Expected::LeftOut(reason.to_owned())),
            _ => Err(Malformed::new(&self.name, "a host is `refused: TEXT` or `left out: REASON`")),
        }
    }

    /// Whether it brings an image.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.plan.contains("@archive@")
    }

    /// The name of an image that is the case's own: of the same length for each, so that it can be written over in an
    /// archive. Names that differ in nothing but what is left out here would meet in the plan of all kinds.
    #[must_use]
    pub fn image(&self) -> String {
        // FNV-1a; all it has to be is the same every time.
        let hash =
            self.name.bytes().fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        format!("localhost/{:04x}:1", hash & 0xffff)
    }

    fn filled(&self, text: &str, place: &Place) -> String {
        let is_user = place.kind.user() != "root";
        let above = if is_user { "/home/core" } else { "/srv" };
        text.replace("@root@", &format!("{above}/case-{}", self.name))
            .replace("@files@", &self.name)
            .replace("@archive@", &place.archive(self).to_string_lossy())
            .replace("@image@", &self.image())
            .replace("@address@", &place.address)
            .replace("@scope@", if is_user { "scope = \"user\"" } else { "" })
            .replace("@systemctl@", if is_user { "systemctl --user" } else { "systemctl" })
    }

    /// What is to be done before anything else.
    #[must_use]
    pub fn before(&self, place: &Place) -> Option<String> {
        self.before.as_ref().map(|script| self.filled(script, place))
    }

    /// What has to succeed when everything is taken away.
    #[must_use]
    pub fn after(&self, place: &Place) -> Option<String> {
        self.after.as_ref().map(|script| self.filled(script, place))
    }

    /// What is changed by hand, one after the other.
    ///
    /// # Errors
    /// When a drift does not say whose it is.
    pub fn drifts(&self, place: &Place) -> Result<Vec<Moved>, Malformed> {
        let mut moved = Vec::new();
        for drift in self.drift.iter().filter(|drift| !drift.not_on.contains(&place.kind)) {
            let Drift { resource, attribute, action, run, also, not_on: _ } = drift;
            let resource = match resource {
                Some(resource) => resource.clone(),
                None => self.lone()?,
            };
            let mut changes = also.clone();
            changes.insert(resource.clone(), action.clone());
            moved.push(Moved { run: self.filled(run, place), resource, attributes: attribute.set(), changes });
        }
        Ok(moved)
    }

    /// The address of the one resource of the kind.
    fn lone(&self) -> Result<String, Malformed> {
        let names = self.resources()?.into_iter().filter(|address| address.split('.').next() == Some(self.kind()));
        let [name] = &names.collect::<Vec<_>>()[..] else {
            return Err(Malformed::new(&self.name, "a drift needs `resource`: there is not exactly one of this kind"));
        };
        Ok(name.clone())
    }

    /// The addresses of what its plan has.
    ///
    /// # Errors
    /// When the plan is not TOML.
    pub fn resources(&self) -> Result<Vec<String>, Malformed> {
        let text = self.plan.replace("@scope@", "");
        let plan: toml::Table = toml::from_str(&text).map_err(|error| Malformed::new(&self.name, error))?;
        let names = |(kind, of_kind): (&String, &toml::Value)| {
            let of_kind = of_kind.as_table().map(|table| table.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            of_kind.into_iter().map(|name| format!("{kind}.{name}")).collect::<Vec<_>>()
        };
        Ok(plan.iter().flat_map(names).collect())
    }
}

/// Some cases in one plan: its text, and the files to be put beside it.
#[must_use]
pub fn plan(name: &str, cases: &[&Case], place: &Place) -> (String, BTreeMap<String, String>) {
    let mut text = format!("name = \"{}\"\n", name.replace('_', "-"));
    let mut files = BTreeMap::new();
    for case in cases {
        text.push_str(&case.filled(&case.plan, place));
        let beside = case.files.iter().map(|(file, text)| (format!("{}/{file}", case.name), case.filled(text, place)));
        files.extend(beside);
    }
    // Last, so that a plan may start with keys of its own.
    text.push_str(&format!("\n[host.h]\naddress = \"{}\"\nuser = \"{}\"\n", place.address, place.kind.user()));
    (text, files)
}

/// The table of kinds and hosts, in Markdown.
///
/// # Errors
/// When a case is malformed.
pub fn table(cases: &[Case], kinds: &[&str]) -> Result<String, Malformed> {
    let mut text = String::from("| kind |");
    for host in HostKind::ALL {
        text.push_str(&format!(" {} |", host.title()));
    }
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(HostKind::ALL.len())));
    for kind in kinds {
        text.push_str(&format!("| `{kind}` |"));
        for host in HostKind::ALL {
            let cells = cell(cases.iter().filter(|case| case.kind() == *kind), host)?;
            text.push_str(&format!(" {cells} |"));
        }
        text.push('\n');
    }
    Ok(text)
}

fn cell<'a>(cases: impl Iterator<Item = &'a Case>, host: HostKind) -> Result<String, Malformed> {
    let mut mended = Vec::new();
    let mut is_done = false;
    let mut others = Vec::new();
    for case in cases {
        match case.expected(host)? {
            Expected::Done => is_done = true,
            Expected::Refused(text) => {
                others.push(format!("refused: “{text}”"));
                continue;
            }
            Expected::LeftOut(reason) => {
                others.push(format!("left out: {reason}"));
                continue;
            }
        }
        for drift in case.drift.iter().filter(|drift| !drift.not_on.contains(&host)) {
            let what = match drift.action.as_str() {
                "create" => vec!["removed".to_owned()],
                _ => drift.attribute.set().into_iter().collect(),
            };
            mended.extend(what.into_iter().filter(|name| !mended.contains(name)).collect::<Vec<_>>());
        }
    }
    let done =
        is_done.then(|| if mended.is_empty() { "yes".to_owned() } else { format!("yes: {}", mended.join(", ")) });
    others.dedup();
    Ok(done.into_iter().chain(others).collect::<Vec<_>>().join("; ").replace('|', "\\|"))
}
