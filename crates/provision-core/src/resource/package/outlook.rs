//! What installing or removing packages would come to, as the host's package manager foresees it: for people, and for the
//! steps, which do just that.

use super::One;
use crate::path::AbsPath;
use crate::probe::Undecided;
use crate::resource::{Context, Thing};

/// How a change begins to say that the lists are fetched first; its steps go by it.
pub(super) const REFRESHED: &str = "the package lists are fetched first";

/// Where package managers are told of repositories.
const SOURCES: [&str; 4] = ["/etc/apt", "/etc/yum.repos.d", "/etc/dnf", "/etc/pki/rpm-gpg"];

pub(super) fn sources() -> impl Iterator<Item = AbsPath> {
    SOURCES.iter().filter_map(|path| path.parse().ok())
}

/// Whether the plan is about to change the repositories.
pub(super) fn changes_sources(context: &Context<'_>) -> bool {
    let within = |path: &AbsPath| sources().any(|source| path.is_within(&source));
    context.upstream.keys().any(|thing| matches!(thing, Thing::Path(path) | Thing::Directory(path) if within(path)))
}

/// What would come of it.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// For people.
    pub(super) reasons: Vec<String>,
    /// Packages that go and were not asked to.
    pub(super) removes: Vec<String>,
    /// Name and version of each of the resource's own that comes.
    versions: Vec<(String, String)>,
}

impl Outlook {
    /// Reads the text of a plan's knob.
    pub(super) fn read(packages: &[One], text: &str) -> Self {
        let mut outlook = Self::default();
        let is_own = |name: &str| packages.iter().any(|one| one.name == name);
        let (mut own, mut along, mut other, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["install", name, version] if is_own(name) => {
                    outlook.versions.push(((*name).to_owned(), (*version).to_owned()));
                    own.push(format!("{name} {version}"));
                }
                ["change", name, old, version] if is_own(name) => {
                    outlook.versions.push(((*name).to_owned(), (*version).to_owned()));
                    own.push(format!("{name} {version} in place of {old}"));
                }
                ["install", name, version] => along.push(format!("{name} {version}")),
                ["change", name, old, version] => other.push(format!("{name} from {old} to {version}")),
                ["remove", name, version] if !is_own(name) => gone.push(format!("{name} {version}")),
                _ => {}
            }
        }
        outlook.removes.clone_from(&gone);
        let said = [("installs", own), ("brings along", along), ("moves", other), ("removes", gone)];
        for (verb, what) in said {
            if !what.is_empty() {
                outlook.reasons.push(format!("{verb} {}", what.join(", ")));
            }
        }
        outlook
    }

    /// What to call a package that is to come: in the very version that was foreseen.
    pub(super) fn word(&self, one: &One) -> String {
        match self.versions.iter().find(|(name, _)| *name == one.name) {
            Some((name, version)) => format!("{name}={version}"),
            None => one.word(),
        }
    }
}

/// Reads what the host foresees; `refreshes` where its repositories change before, `command` where something runs before
/// that may change anything.
pub(super) fn look(
    packages: &[One],
    answer: Result<&String, Undecided>,
    refreshes: bool,
    command: bool,
) -> Result<Outlook, Undecided> {
    let said = |reason: &str| Ok(Outlook { reasons: vec![reason.to_owned()], ..Outlook::default() });
    if refreshes {
        return said(
            "the package lists are fetched first, since the plan changes the repositories: which version comes, and what with it, is known only then",
        );
    }
    let text = match answer {
        Ok(text) => text.as_str(),
        Err(_) if command => return said("which version comes, and what with it, is known only then"),
        Err(undecided) => return Err(undecided),
    };
    match text.split_once(' ') {
        None if text == "unknown" => said(
            "which version comes, and what with it, only the package manager can tell, and not without writing on the host",
        ),
        None if text == "unfetched" => said(
            "the package lists are fetched first, which the host has never done: which version comes, and what with it, is known only then",
        ),
        Some(("unlocated", _)) if command => said("which version comes, and what with it, is known only then"),
        Some(("unlocated", why)) => Err(Undecided::with_help(
            format!("the package manager knows no such package: {why}"),
            "check the name and the version; `apt-get update` on the host brings its lists up to date",
        )),
        _ => Ok(Outlook::read(packages, text)),
    }
}
