//! What an apply would do, as a value: only diff makes it, and only apply consumes it.

use std::borrow::Cow;

use crate::address::Address;
use crate::secret::MASK;

/// How one resource differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is done about it.
    pub action: Action,
    /// What of it differs, in a fixed order.
    pub attributes: Vec<Attribute>,
    /// Why, where the attributes do not say it themselves: plain sentences without a full stop.
    pub reasons: Vec<String>,
    /// What users of the resource have to do about it.
    pub signal: Signal,
    /// Which side has moved since the last apply; set by the engine, which alone knows what was applied.
    pub moved: Option<Moved>,
    /// Whether data are copied aside before, as the reasons say; they have no attribute, since they change all the time.
    pub saves: bool,
}

/// Which side has moved, for a change that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// The resource is new in the plan.
    New,
    /// The plan.
    Plan,
    /// The host: this is drift.
    Host,
    /// Both.
    Both,
    /// Neither: it follows from the change of something else, or is owed since an earlier apply.
    Follows,
    /// Nobody knows: the last apply did not come to a good end, and may not have come to this.
    Unfinished,
    /// It is there already, differs, and does not belong to this plan.
    Foreign,
    /// It has left the plan, or is taken back.
    Left,
}

impl Moved {
    /// One word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Plan => "plan",
            Self::Host => "host",
            Self::Both => "both",
            Self::Follows => "follows",
            Self::Unfinished => "unfinished",
            Self::Foreign => "foreign",
            Self::Left => "left",
        }
    }
}

impl Change {
    /// Nothing to do.
    #[must_use]
    pub fn none() -> Self {
        Self {
            action: Action::Keep,
            attributes: Vec::new(),
            reasons: Vec::new(),
            signal: Signal::None,
            moved: None,
            saves: false,
        }
    }

    /// A change of the given sort, to be filled in.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, ..Self::none() }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.action == Action::Keep
    }

    /// Adds an attribute when its two sides differ.
    pub fn compare(&mut self, name: &'static str, before: impl Into<Shown>, after: impl Into<Shown>) {
        let (before, after) = (before.into(), after.into());
        if before != after {
            self.attributes.push(Attribute { name: name.into(), before, after, applied: None });
        }
    }

    /// Adds an attribute whose sides may look the same, such as two secrets.
    pub fn differs(&mut self, name: &'static str, before: impl Into<Shown>, after: impl Into<Shown>) {
        self.attributes.push(Attribute {
            name: name.into(),
            before: before.into(),
            after: after.into(),
            applied: None,
        });
    }

    /// Sets what its users have to do; where there is nothing to do, there is nothing for them either.
    #[must_use]
    pub fn signals(mut self, signal: Signal) -> Self {
        if !self.is_none() {
            self.signal = signal;
        }
        self
    }
}

/// What is done about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing: it is as wanted.
    Keep,
    /// It is made.
    Create,
    /// It stays and is changed.
    Update,
    /// It is made anew, and what it was goes.
    Replace,
    /// A command is run.
    Run,
    /// A unit is started.
    Start,
    /// A unit is stopped.
    Stop,
    /// A unit is restarted.
    Restart,
    /// A unit reads its configuration anew.
    Reload,
    /// What the plan had made goes.
    Remove,
    /// What was there before the plan comes back.
    Restore,
}

impl Action {
    /// One word for people and for JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Run => "run",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Remove => "remove",
            Self::Restore => "restore",
        }
    }
}

/// One attribute before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name in the plan's words; for what is taken back, the object's own.
    pub name: Cow<'static, str>,
    /// As it is on the host.
    pub before: Shown,
    /// As it will be.
    pub after: Shown,
    /// As the last apply left it, in the words of the ledger; set by the engine where that is known.
    pub applied: Option<String>,
}

impl Attribute {
    /// As the last apply left it, where neither side is so any more: both have moved since.
    #[must_use]
    pub fn once(&self) -> Option<&str> {
        let applied = self.applied.as_deref()?;
        (applied != self.before.noted() && applied != self.after.noted()).then_some(applied)
    }
}

/// A value as a change shows it. It cannot hold a secret: secrets become [`Shown::Secret`] where the change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// There is none.
    Absent,
    /// Short text.
    Text(String),
    /// The content of a file, shown as lines.
    Content(String),
    /// Bytes that are no text, or too many: length and SHA-256.
    Bytes {
        /// In bytes.
        length: u64,
        /// Lower-case hex.
        sha256: String,
    },
    /// Not for any eyes.
    Secret,
    /// Cannot be known before it is done.
    Unknown,
}

impl Shown {
    /// On one line, for people.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Absent => "(absent)".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Content(text) => format!("({} lines)", text.lines().count()),
            Self::Bytes { length, sha256 } => {
                format!("({length} bytes, sha256 {})", sha256.get(..12).unwrap_or(sha256))
            }
            Self::Secret => MASK.to_owned(),
            Self::Unknown => "(known after apply)".to_owned(),
        }
    }
}

impl Shown {
    /// As the ledger has it: short text as it is, content by its digest, a secret not at all.
    #[must_use]
    pub fn noted(&self) -> String {
        match self {
            Self::Content(text) => format!("sha256:{}", crate::blob::sha256_hex(text.as_bytes())),
            Self::Bytes { sha256, .. } => format!("sha256:{sha256}"),
            other => other.line(),
        }
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Shown {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// What the users of a changed resource have to do. Ordered: the strongest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Signal {
    /// Nothing.
    #[default]
    None,
    /// Take the new content in, by whatever way the service says: restart or reload.
    Content,
    /// Start anew: what it is made of has changed.
    Unit,
}

/// A change upstream that a service must answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The resource that changes.
    pub address: Address,
    /// What it asks for.
    pub signal: Signal,
    /// What the service uses directly and through which the change reaches it, sorted.
    pub through: Vec<Address>,
}
