//! `package`: packages of the host's package manager that are there, or are not. What comes along with them, and goes
//! again, is the package manager's to say.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::blob::Blob;
use crate::change::{Action, Change, Shown};
use crate::fetch::Outside;
use crate::knob::package::{PACKAGE, PACKAGE_PLAN};
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

mod outlook;
#[cfg(test)]
mod tests;

use outlook::Outlook;

/// The kind.
pub static KIND: Kind = Kind {
    name: "package",
    summary: "Packages of apt or dnf, installed in one run, or absent.",
    fields: &[
        Field {
            name: "names",
            takes: "list of names",
            required: false,
            doc: "The packages; without it one of the resource's name, `haproxy` of `[package.haproxy]`. With apt a name may have an architecture: \"libc6:i386\".",
        },
        Field {
            name: "files",
            takes: "list of files",
            required: false,
            doc: "Packages beside the plan, instead of `names`, for a host without a repository: .deb or .rpm, named as dpkg-deb and rpmbuild name them, since that tells their names and versions. What they need and the host lacks comes from its repositories, or is among them.",
        },
        Field {
            name: "version",
            takes: "text",
            required: false,
            doc: "The whole version of the one package, as the package manager has it: \"3.0.11-1\". A later one is replaced by it. Without it any version will do, and an installed one is never upgraded.",
        },
        Field {
            name: "held",
            takes: "boolean",
            required: false,
            doc: "Whether upgrades leave it alone: apt-mark hold, or dnf's versionlock plugin. Left as it is without it.",
        },
        Field {
            name: "state",
            takes: "\"present\" | \"absent\"",
            required: false,
            doc: "\"present\" without it. What others need is not made absent: they have to be named, too.",
        },
        Field {
            name: "recommends",
            takes: "boolean",
            required: false,
            doc: "Whether what it only recommends comes along; without it, as the host is configured.",
        },
        Field {
            name: "sources",
            takes: "\"plan\" | \"host\"",
            required: false,
            doc: "\"plan\", also without it: what the plan has below /etc/apt, /etc/yum.repos.d and /etc/dnf comes first, and the lists are fetched again when it changes. \"host\": the repositories as they are, for packages that such files need themselves.",
        },
        Field {
            name: "manager",
            takes: "\"apt\" | \"dnf\"",
            required: false,
            doc: "\"dnf\" for a host that has both and is to use that; the host's own without it.",
        },
    ],
    example: r#"
[package.haproxy]
held = true

[package.tools]
names = ["curl", "jq"]
recommends = false

[package.telnetd]
state = "absent"
"#,
    templates: &[],
    assets: &["files"],
    read,
};

/// What comes with a package comes after it, where the plan has it.
pub(crate) fn want(name: &str) -> Want {
    Want::after(Target::Thing(Thing::Knob(Knob::new(&PACKAGE, name))))
}

/// The word of the sort of knob that it is made of.
pub(crate) const WORD: &str = "package";

#[derive(Debug)]
struct Package {
    /// The resource's own, for the notes of what comes along.
    address: String,
    packages: Vec<One>,
    state: State,
    held: Option<bool>,
    recommends: Option<bool>,
    sources: Sources,
    /// What installing or removing all of them would come to.
    outlook: Knob,
}

/// One package of the resource.
#[derive(Debug)]
struct One {
    /// As its package manager has it.
    name: String,
    knob: Knob,
    version: Option<String>,
    file: Option<(String, Blob)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Absent,
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "present" => Ok(Self::Present),
            "absent" => Ok(Self::Absent),
            _ => Err("a state is \"present\" or \"absent\"".to_owned()),
        }
    }
}

/// Whose repositories count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    Plan,
    Host,
}

impl FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plan" => Ok(Self::Plan),
            "host" => Ok(Self::Host),
            _ => Err("it is \"plan\" or \"host\"".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Usual,
    Dnf,
}

impl FromStr for Manager {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "apt" => Ok(Self::Usual),
            "dnf" => Ok(Self::Dnf),
            _ => Err("it is \"apt\" or \"dnf\"".to_owned()),
        }
    }
}

/// A name that apt and dnf take, and that no tool takes for an option, a pattern or a path.
struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, architecture) = text.split_once(':').unwrap_or((text, "all"));
        let fits = |text: &str, more: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if fits(name, "+._-") && fits(architecture, "-") {
            return Ok(Self(text.to_owned()));
        }
        Err("a package has a name such as \"haproxy\" or \"libc6:i386\": a version has a field of its own".to_owned())
    }
}

/// A whole version: what may stand behind a name in apt's and dnf's command lines.
struct Version(String);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "+.~:^_-".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err("a version is the whole of it, such as \"1:3.0.11-1\", without patterns".to_owned())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let named: Vec<Name> = fields.list("names");
    let files: Vec<String> = fields.list("files");
    let version = fields.optional::<Version>("version").map(|Version(version)| version);
    let held = fields.boolean("held");
    let state = fields.optional("state").unwrap_or(State::Present);
    let recommends = fields.boolean("recommends");
    let sources = fields.optional("sources").unwrap_or(Sources::Plan);
    let manager = fields.optional("manager").unwrap_or(Manager::Usual);
    let knob = |name: &str| match manager {
        Manager::Usual => Knob::new(&PACKAGE, name),
        Manager::Dnf => Knob::new(&PACKAGE, format!("dnf/{name}")),
    };
    let mut sort = None;
    let packages: Vec<One> = if fields.has("files") {
        let mut found = Vec::new();
        for file in &files {
            let Some((name, version, suffix)) = of_file(file) else {
                let help = "it is named NAME_VERSION_ARCHITECTURE.deb or NAME-VERSION-RELEASE.ARCHITECTURE.rpm";
                fields.problem("files", format!("{file:?} does not say which package it is"), help);
                return None;
            };
            if *sort.get_or_insert(suffix) != suffix {
                fields.problem("files", "some are .deb and some are .rpm", "a host has the one or the other");
            }
            match setup.assets.blob(file) {
                Ok(blob) => {
                    let base = file.rsplit('/').next().unwrap_or_default().to_owned();
                    found.push(One { knob: knob(&name), name, version: Some(version), file: Some((base, blob)) });
                }
                Err(reason) => {
                    fields.problem("files", reason, "a relative path starts at the plan's directory");
                    return None;
                }
            }
        }
        found
    } else {
        let own = || setup.address.name().parse::<Name>().ok().into_iter().collect();
        let named: Vec<Name> = if fields.has("names") { named } else { own() };
        named
            .into_iter()
            .map(|Name(name)| One { knob: knob(&name), name, version: version.clone(), file: None })
            .collect()
    };
    for (one, other) in [("files", "names"), ("files", "version")] {
        if fields.has(one) && fields.has(other) {
            fields.problem(other, format!("`{one}` and `{other}` exclude each other"), "leave one of them out");
        }
    }
    if state == State::Absent {
        for other in ["files", "version", "held", "recommends"].into_iter().filter(|other| fields.has(other)) {
            fields.problem(other, format!("what is absent has no `{other}`"), "leave it out");
        }
    }
    if packages.is_empty() {
        if named_nothing(fields) {
            fields.problem("names", format!("{} names no package", fields.label()), "write at least one");
        }
        return None;
    }
    if packages.len() > 1 && fields.has("version") {
        fields.problem(
            "version",
            "several packages cannot all have one version",
            "give this one a resource of its own",
        );
    }
    let unique: BTreeSet<&str> = packages.iter().map(|one| one.name.as_str()).collect();
    if unique.len() < packages.len() {
        fields.problem(if sort.is_some() { "files" } else { "names" }, "a package is named twice", "take one out");
        return None;
    }
    let verb = match (state, sort, recommends) {
        (State::Absent, ..) => "remove".to_owned(),
        (_, Some(sort), _) => format!("files {sort}"),
        (_, None, None) => "install".to_owned(),
        (_, None, Some(true)) => "install-full".to_owned(),
        (_, None, Some(false)) => "install-lean".to_owned(),
    };
    let words = packages.iter().map(One::word).collect::<Vec<_>>().join(" ");
    let by = if manager == Manager::Dnf { " by:dnf" } else { "" };
    let outlook = Knob::new(&PACKAGE_PLAN, format!("{verb} {words}{by}"));
    let address = setup.address.to_string();
    Some(Box::new(Package { address, packages, state, held, recommends, sources, outlook }))
}

/// Whether nothing else is wrong with the names.
fn named_nothing(fields: &Fields<'_>) -> bool {
    matches!(fields.raw("names").or(fields.raw("files")).map(|node| &node.value), Some(crate::plan::node::Value::Array(items)) if items.is_empty())
}

/// Name, version and suffix of a package by the name of its file: that of dpkg-name(1), in which `%3a` stands for the colon
/// behind an epoch, or rpm's.
fn of_file(path: &str) -> Option<(String, String, &'static str)> {
    let base = path.rsplit('/').next()?;
    let (name, version, suffix) = if let Some(stem) = base.strip_suffix(".deb") {
        let (stem, _architecture) = stem.rsplit_once('_')?;
        let (name, version) = stem.split_once('_')?;
        (name, version.replace("%3a", ":"), "deb")
    } else {
        let (stem, _architecture) = base.strip_suffix(".rpm")?.rsplit_once('.')?;
        let (stem, release) = stem.rsplit_once('-')?;
        let (name, version) = stem.rsplit_once('-')?;
        (name, format!("{version}-{release}"), "rpm")
    };
    let (Name(name), Version(version)) = (name.parse().ok()?, version.parse().ok()?);
    Some((name, version, suffix))
}

impl One {
    /// As apt-get has it, and dnf after a change of one character.
    fn word(&self) -> String {
        match &self.version {
            Some(version) => format!("{}={version}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether it is there, whole and in the version that is wanted. A file's name may not have the epoch.
    fn is_met(&self, now: &str) -> bool {
        let found = line(now, "version");
        let whole = now != ABSENT && line(now, "broken").is_none();
        let fits = |version: &String| {
            let without = found.and_then(|found| found.split_once(':')).map(|(_, rest)| rest);
            found == Some(version.as_str()) || (self.file.is_some() && without == Some(version.as_str()))
        };
        whole && self.version.as_ref().is_none_or(fits)
    }
}

fn line<'a>(state: &'a str, key: &str) -> Option<&'a str> {
    state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

impl Resource for Package {
    fn provides(&self) -> Vec<Thing> {
        self.packages.iter().map(|one| Thing::Knob(one.knob.clone())).collect()
    }

    fn wants(&self) -> Vec<Want> {
        if self.sources == Sources::Host {
            return Vec::new();
        }
        outlook::sources().map(|path| Want::after(Target::Tree(path))).collect()
    }

    fn outside(&self) -> Vec<Outside> {
        let wanted = self.packages.iter().filter(|one| self.state == State::Present && one.file.is_none());
        let names: Vec<&str> = wanted.map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            return Vec::new();
        }
        vec![Outside::Host(format!("installs {} from the host's repositories", names.join(", ")))]
    }

    fn asks(&self) -> Vec<Ask> {
        let packages = self.packages.iter().map(|one| one.knob.clone());
        packages.chain([self.outlook.clone()]).map(Ask::Knob).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { address: _, packages, state, held, recommends: _, sources: _, outlook: _ } = self;
        let mut found: Vec<(&One, &String)> = Vec::new();
        for one in packages {
            found.push((one, answers.knob(&one.knob)?));
        }
        let there = found.iter().filter(|(_, now)| *now != ABSENT);
        let names = list(there.map(|(one, _)| *one));
        if *state == State::Absent {
            if names.is_none() {
                return Ok(Change::none());
            }
            let mut change = Change::new(Action::Remove);
            change.compare("installed", names, Shown::Absent);
            let outlook = self.outlook(answers, context)?;
            if !outlook.removes.is_empty() {
                return Err(Undecided::with_help(
                    format!("something else needs what is to be absent: {}", outlook.removes.join(", ")),
                    "name that, too, or leave this where it is",
                ));
            }
            change.reasons = outlook.reasons;
            return Ok(change);
        }
        let is_new = found.iter().all(|(_, now)| *now == ABSENT);
        let mut change = Change::new(if is_new { Action::Create } else { Action::Update });
        change.compare("installed", names, list(packages));
        if let [(One { version: Some(version), .. }, now)] = found.as_slice()
            && !packages.iter().all(|one| one.is_met(now))
        {
            change.differs("version", line(now, "version"), version.as_str());
        } else if found.iter().any(|(one, now)| one.file.is_some() && *now != ABSENT && !one.is_met(now)) {
            let versions =
                found.iter().filter_map(|(one, now)| Some(format!("{} {}", one.name, line(now, "version")?)));
            change.differs("version", versions.collect::<Vec<_>>().join(", "), versions_of(packages));
        }
        for (one, now) in &found {
            if let Some(why) = line(now, "broken") {
                change.reasons.push(format!("{} is there by halves: {why}", one.name));
            }
        }
        if let Some(held) = held {
            let now = |now: &str| line(now, "held").map(|word| word == "yes");
            if let Some((one, _)) = found.iter().find(|(_, now)| *held && line(now, "held") == Some("never")) {
                return Err(Undecided::with_help(
                    format!("dnf cannot hold {} on this host: it has no versionlock", one.name),
                    "install python3-dnf-plugin-versionlock before, or leave `held` out",
                ));
            }
            if found.iter().any(|(_, state)| now(state) != Some(*held)) {
                let before = found.iter().find_map(|(_, state)| now(state).filter(|now| now != held));
                change.compare("held", before.map(|now| now.to_string()), held.to_string());
            }
        }
        // Otherwise it would go with whatever it once came with.
        if found.iter().any(|(_, now)| line(now, "marked") == Some("auto")) {
            change.compare("marked", "auto", "manual");
        }
        if found.iter().any(|(one, now)| !one.is_met(now)) {
            change.reasons.extend(self.outlook(answers, context)?.reasons);
        } else if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        Ok(change)
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let turn = |one: &One, state: String, input| Step::Turn { knob: one.knob.clone(), state, input };
        let mut steps = Vec::new();
        if self.state == State::Absent {
            for one in &self.packages {
                if answers.knob(&one.knob)? != ABSENT {
                    steps.push(turn(one, ABSENT.to_owned(), None));
                }
            }
            return Ok(steps);
        }
        let outlook = Outlook::read(&self.packages, answers.knob(&self.outlook).map_or("", String::as_str));
        let mut missing = Vec::new();
        for one in &self.packages {
            if !one.is_met(answers.knob(&one.knob)?) {
                missing.push(one);
            }
        }
        let with = missing.iter().map(|one| outlook.word(one)).collect::<Vec<_>>().join(" ");
        let changes = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
        for one in &self.packages {
            let comes = missing.iter().any(|other| other.name == one.name);
            if !comes && !changes("held") && !changes("marked") {
                continue;
            }
            let mut lines = vec![format!("version {}", one.version.as_deref().unwrap_or_default())];
            lines.extend(self.held.map(|held| format!("held {}", if held { "yes" } else { "no" })));
            lines.push("marked manual".to_owned());
            if comes {
                lines.push(format!("for {}", self.address));
                lines.extend(self.recommends.map(|yes| format!("recommends {}", if yes { "yes" } else { "no" })));
                if !outlook.removes.is_empty() {
                    lines.push("removes yes".to_owned());
                }
                if change.reasons.iter().any(|reason| reason.starts_with(outlook::REFRESHED)) {
                    lines.push("refresh yes".to_owned());
                }
                if let Some((file, _)) = &one.file {
                    lines.push(format!("file {file}"));
                    if missing.last().is_some_and(|last| last.name != one.name) {
                        lines.push("later yes".to_owned());
                    }
                } else {
                    lines.push(format!("with {with}"));
                }
            }
            let blob = one.file.as_ref().filter(|_| comes).map(|(_, blob)| blob.clone());
            steps.push(turn(one, lines.join("\n"), blob));
        }
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        if self.state == State::Absent {
            return Vec::new();
        }
        let mut wanted: Vec<(&'static str, Shown)> = vec![("marked", "manual".into())];
        wanted.extend(list(&self.packages).map(|names| ("installed", names.into())));
        match self.packages.as_slice() {
            [One { version: Some(version), .. }] => wanted.push(("version", version.as_str().into())),
            several if several.iter().any(|one| one.file.is_some()) => {
                wanted.push(("version", versions_of(several).into()));
            }
            _ => {}
        }
        wanted.extend(self.held.map(|held| ("held", held.to_string().into())));
        wanted
    }

    fn objects(&self) -> Vec<Object> {
        self.packages.iter().map(|one| Object::Knob(one.knob.clone())).collect()
    }
}

impl Package {
    fn outlook(&self, answers: &Answers, context: &Context<'_>) -> Result<Outlook, Undecided> {
        // What goes needs no repository.
        let comes = self.state == State::Present && self.sources == Sources::Plan;
        let refreshes = comes && outlook::changes_sources(context);
        outlook::look(&self.packages, answers.knob(&self.outlook), refreshes, context.command_pending())
    }
}

fn list<'a>(packages: impl IntoIterator<Item = &'a One>) -> Option<String> {
    let names: Vec<&str> = packages.into_iter().map(|one| one.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn versions_of(packages: &[One]) -> String {
    let versions = packages.iter().filter_map(|one| Some(format!("{} {}", one.name, one.version.as_ref()?)));
    versions.collect::<Vec<_>>().join(", ")
}
