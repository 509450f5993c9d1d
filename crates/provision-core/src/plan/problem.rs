//! What is wrong with a plan: every finding with its place and a way out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The text of a plan and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Such as the path of the file.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Bytes of a source that are wrong; absent for a plan that was built in Rust or a finding about an input from outside.
    pub span: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// A byte range of a source that can be ordered and copied, unlike [`Range`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the sources, in the order in which they were read: 0 is the plan itself, the others are modules.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One after the last byte.
    pub end: usize,
}

impl Place {
    /// A range of a source.
    #[must_use]
    pub const fn new(source: usize, range: Range<usize>) -> Self {
        Self { source, start: range.start, end: range.end }
    }
}

/// Line and column of a byte, both from 1; columns count characters.
#[must_use]
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// All findings of a plan, sorted by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The texts they are about: the plan, then the modules that it uses.
    pub sources: Vec<Arc<Source>>,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl PlanError {
    /// The text that a finding is about: the plan's where it has no place of its own.
    #[must_use]
    pub fn source_of(&self, problem: &Problem) -> Option<&Source> {
        self.sources.get(problem.span.map_or(0, |place| place.source)).map(Arc::as_ref)
    }

    /// The names of the files that have findings, in their order.
    #[must_use]
    pub fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> =
            self.problems.iter().filter_map(|problem| Some(self.source_of(problem)?.name.as_str())).collect();
        files.dedup();
        files
    }
}

impl fmt::Display for PlanError {
    /// One line a finding: `file:line:column: message (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            if let Some(source) = self.source_of(problem) {
                write!(f, "{}", source.name)?;
                if let Some(span) = problem.span {
                    let (line, column) = position(&source.text, span.start);
                    write!(f, ":{line}:{column}")?;
                }
            }
            write!(f, ": {}", problem.message)?;
            if let Some(help) = &problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}

/// Collects findings while a plan is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    /// Something is unknown because of a finding that was made elsewhere.
    lost: bool,
}

impl Problems {
    pub(crate) fn add(&mut self, span: Option<Place>, message: impl Into<String>) {
        self.found.push(Problem { span, message: message.into(), help: None });
    }

    pub(crate) fn add_help(&mut self, span: Option<Place>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Problem { span, message: message.into(), help: Some(help.into()) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Remembers that something is unknown whose finding may have been made elsewhere.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether nothing was found and nothing is unknown.
    pub(crate) fn is_whole(&self) -> bool {
        self.found.is_empty() && !self.lost
    }

    /// Gives the collected findings, by place, each once.
    pub(crate) fn into_error(mut self, sources: &[Arc<Source>]) -> PlanError {
        if self.found.is_empty() {
            self.add(None, "something in the plan cannot be told on this host");
        }
        self.found.sort();
        self.found.dedup();
        PlanError { sources: sources.to_vec(), problems: self.found }
    }

    /// Leaves out what follows from syntax errors: what they have swallowed is not missing, and what stands where they
    /// do is not wrong in another way too.
    pub(crate) fn give_way_to(&mut self, syntax: &Self) {
        if syntax.is_empty() {
            return;
        }
        let broken: Vec<Place> = syntax.found.iter().filter_map(|problem| problem.span).collect();
        let sources: Vec<usize> = broken.iter().map(|place| place.source).collect();
        let overlaps = |place: Place| {
            let within = |error: &Place| error.start <= place.end && place.start <= error.end;
            broken.iter().any(|error| error.source == place.source && within(error))
        };
        self.found.retain(|problem| {
            let missing = problem.message.contains(" lacks ") || problem.message.contains("is not there");
            let swallowed = missing && problem.span.is_none_or(|place| sources.contains(&place.source));
            !swallowed && !problem.span.is_some_and(overlaps)
        });
    }

    /// The findings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.lost |= other.lost;
        self.found.extend(other.found);
    }
}

/// Names the known word that was probably meant, or lists them all when none is near.
///
/// ```
/// use provision_core::plan::problem::suggest;
///
/// assert_eq!(suggest("pth", ["path", "mode"]), "did you mean `path`?");
/// assert_eq!(suggest("zzz", ["path", "mode"]), "known: `mode`, `path`");
/// ```
#[must_use]
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none to choose from".to_owned(),
        None => format!("known: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// Similarity from which a word counts as a slip of another; found by trying typical slips.
const NEAR: f64 = 0.72;

pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_by_character() {
        let text = "ab\nä = 1\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 3), (2, 1));
        assert_eq!(position(text, 5), (2, 2));
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(suggest("pth", ["path", "mode"]), "did you mean `path`?");
        assert_eq!(suggest("ownr", ["owner", "group"]), "did you mean `owner`?");
        assert_eq!(suggest("zzz", ["owner", "group"]), "known: `group`, `owner`");
    }
}
