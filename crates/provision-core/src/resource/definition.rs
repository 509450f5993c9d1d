//! A file from which systemd learns of units, alone or through a generator such as Quadlet. Not a kind: what the kinds
//! that come down to such a file share. It never says what is in the file.

use crate::change::{Change, Signal};
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, PathState, Sort, Undecided};
use crate::resource::directory::{in_the_way, with_parent};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Target, Thing, Want};
use crate::step::Step;
use crate::systemd::{Manager, Section, split_words};

/// The file, who reads it and where its directory comes from.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) file: FileSpec,
    pub(crate) reader: Reader,
    pub(crate) home: Home,
}

/// Who reads a definition where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A manager of systemd's, at its next reload.
    Manager(Manager),
    /// Nobody yet: it stands in some other directory.
    Nobody,
}

impl Reader {
    /// systemd reads what stands in one of these directories, or below.
    pub(crate) fn of(directory: &AbsPath, read: &[&str]) -> Self {
        let within = |known: &&str| known.parse().is_ok_and(|known| directory.is_within(&known));
        if read.iter().any(within) { Self::Manager(Manager::System) } else { Self::Nobody }
    }

    /// Whose unit it makes, where anybody reads it.
    pub(crate) fn manager(&self) -> Option<&Manager> {
        if let Self::Manager(manager) = self { Some(manager) } else { None }
    }
}

/// Where the directory of a definition comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    /// It is there, or another resource makes it.
    Expected,
    /// These are made with the file when they are not there, the outermost first: nobody would think of them as something
    /// of their own.
    Made(Vec<AbsPath>),
}

impl Definition {
    /// Its directory before it, and what its content wants.
    pub(crate) fn wants(&self, content: &[Want]) -> Vec<Want> {
        let mut wants = vec![Want::after(Target::Parent(self.file.path.clone()))];
        wants.extend(content.iter().cloned());
        wants
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut asks = self.file.asks();
        asks.extend(self.made().iter().flat_map(with_parent));
        asks
    }

    /// The difference. What runs by the definition starts anew with another content, and takes no notice of a mode.
    pub(crate) fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { file, reader, home: _ } = self;
        let made = self.made();
        for (at, directory) in made.iter().enumerate() {
            match answers.path(directory)? {
                // Another one is made with it.
                PathState::Absent if at > 0 => {}
                PathState::Absent => context.require_parent(directory, answers)?,
                PathState::Present(entry) => match &entry.sort {
                    Sort::Directory | Sort::Link(_) => {}
                    other => return Err(in_the_way(directory, other, "directory")),
                },
            }
        }
        let change = if made.is_empty() { file.diff(answers, context)? } else { file.difference(answers)? };
        let signal = match (changes_content(&change), reader) {
            (false, _) => Signal::None,
            (true, Reader::Manager(_)) => Signal::Unit,
            (true, Reader::Nobody) => Signal::Content,
        };
        Ok(change.signals(signal))
    }

    pub(crate) fn steps(&self, change: &Change, answers: &Answers) -> Result<Vec<Step>, Undecided> {
        let mut steps = Vec::new();
        for path in self.made() {
            if answers.path(path)?.entry().is_none() {
                steps.push(Step::EnsureDirectory { path: path.clone() });
            }
        }
        steps.push(self.file.step(change, answers)?);
        if let Some(manager) = self.reader.manager().filter(|_| changes_content(change)) {
            steps.push(Step::ReloadUnits(manager.clone()));
        }
        Ok(steps)
    }

    /// What is in the file.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.file.content.bytes().unwrap_or_default()).into_owned()
    }

    fn made(&self) -> &[AbsPath] {
        if let Home::Made(directories) = &self.home { directories } else { &[] }
    }
}

/// Whether a change is one of the file's content.
pub(crate) fn changes_content(change: &Change) -> bool {
    change.attributes.iter().any(|attribute| attribute.name == "content")
}

/// What the commands and environment files in a unit's settings use on the host: the very paths that they name, since
/// what else stands below one is not for this unit to know. A path with a specifier or a variable is left out.
pub(crate) fn used_paths<'a>(sections: impl IntoIterator<Item = &'a Section>) -> Vec<Want> {
    let mut wants = Vec::new();
    let mut uses = |text: &str| {
        if let Ok(path) = text.parse::<AbsPath>() {
            wants.push(Want::uses(Target::Thing(Thing::Path(path.clone()))));
            wants.push(Want::uses(Target::Thing(Thing::Directory(path))));
        }
    };
    for entry in sections.into_iter().flat_map(Section::entries) {
        let (key, value) = (entry.key(), entry.value());
        if value.contains('$') || value.replace("%%", "").contains('%') {
            continue;
        }
        if key == "EnvironmentFile" {
            uses(value.trim_start_matches('-'));
        } else if key.starts_with("Exec") {
            // The prefixes of systemd.service(5), "Command lines".
            let command = value.trim_start_matches(['@', '-', ':', '+', '!', '|']);
            for word in split_words(command).unwrap_or_default() {
                uses(word.split_once('=').map_or(word.as_str(), |(_, value)| value));
            }
        }
    }
    wants
}
