//! What is wrong with a plan: every finding with its place and a way out.

use std::collections::{BTreeMap, BTreeSet};
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
    Positions::new(text).position(byte)
}

/// Lines and columns of many bytes of one text; those that come in order cost one reading of the text in all.
#[derive(Debug)]
pub struct Positions<'a> {
    text: &'a str,
    /// How far lines were counted: the beginning of `line`.
    start: usize,
    line: usize,
}

impl<'a> Positions<'a> {
    /// Of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, start: 0, line: 1 }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&mut self, byte: usize) -> (usize, usize) {
        if byte < self.start {
            (self.start, self.line) = (0, 1);
        }
        // What is no place in the text is its end.
        let byte = if self.text.is_char_boundary(byte) { byte } else { self.text.len() };
        let between = self.text.get(self.start..byte).unwrap_or_default();
        self.line += between.matches('\n').count();
        self.start += between.rfind('\n').map_or(0, |at| at + 1);
        let column = self.text.get(self.start..byte).unwrap_or_default().chars().count() + 1;
        (self.line, column)
    }
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
        let mut reader = (0, Positions::new(self.sources.first().map_or("", |source| &source.text)));
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            if let Some(source) = self.source_of(problem) {
                write!(f, "{}", source.name)?;
                if let Some(span) = problem.span {
                    if reader.0 != span.source {
                        reader = (span.source, Positions::new(&source.text));
                    }
                    let (line, column) = reader.1.position(span.start);
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
    pub(crate) fn add_help(&mut self, span: Option<Place>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Problem { span, message: message.into(), help: Some(help.into()) });
    }

    /// Takes a finding back that turns out to follow from another.
    pub(crate) fn withdraw(&mut self, span: Option<Place>, message: &str) {
        self.found.retain(|problem| problem.span != span || problem.message != message);
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
            // Not without a finding: it would be taken for a plan that is right.
            let help = "this is a mistake of provision's: please report it with the plan";
            self.add_help(None, "something in the plan cannot be told on this host", help);
        }
        self.found.sort();
        self.found.dedup();
        PlanError { sources: sources.to_vec(), problems: self.found }
    }

    /// Leaves out what follows from syntax errors: what they have swallowed is not missing, and what stands where they
    /// do is not wrong in another way too.
    pub(crate) fn give_way_to(&mut self, syntax: &Self, sources: &[Arc<Source>]) {
        let mut lost: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for (number, source) in sources.iter().enumerate() {
            let here = |problem: &Problem| problem.span.filter(|place| place.source == number);
            let mut broken = syntax.found.iter().filter_map(here).peekable();
            if broken.peek().is_none() {
                continue;
            }
            let layout = Layout::new(&source.text);
            let mut places = Vec::new();
            for place in broken {
                places.extend(layout.lost(place.start));
                // What begins right behind it is part of it.
                places.push(place.start..place.end + 1);
            }
            lost.insert(number, joined(places));
        }
        self.found.retain(|problem| {
            let missing = problem.message.contains(" lacks ") || problem.message.contains("is not there");
            let swallowed = missing
                && match problem.span {
                    Some(place) => lost.contains_key(&place.source),
                    None => !lost.is_empty(),
                };
            let touches = |place: Place| {
                let Some(lost) = lost.get(&place.source) else { return false };
                let next = lost.partition_point(|lost| lost.end <= place.start);
                lost.get(next).is_some_and(|lost| lost.start <= place.end)
            };
            !swallowed && !problem.span.is_some_and(touches)
        });
    }

    /// Of the syntax errors of one text, leaves in what is not the parser's way back into it: one a line, and nothing of
    /// what belongs to a header that is there twice.
    pub(crate) fn only_first(&mut self, text: &str) {
        self.found.sort();
        let layout = Layout::new(text);
        let mut lines = BTreeSet::new();
        let mut twice = 0..0;
        self.found.retain(|problem| {
            let Some(place) = problem.span else { return true };
            let is_duplicate = problem.message.contains("duplicate");
            let is_again = is_duplicate && twice.contains(&place.start);
            let line = layout.line(place.start);
            if is_duplicate && let Some(section) = layout.section(&line) {
                twice = section;
            }
            lines.insert(line.start) && !is_again
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

/// Where the headers of a text are.
struct Layout<'a> {
    text: &'a str,
    /// Lines that begin with a bracket, in order.
    headers: Vec<Range<usize>>,
}

impl<'a> Layout<'a> {
    fn new(text: &'a str) -> Self {
        let mut start = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            let place = start..start + line.len();
            start = place.end;
            (place, line)
        });
        let headers = lines.filter(|(_, line)| line.trim_start().starts_with('[')).map(|(place, _)| place);
        Self { text, headers: headers.collect() }
    }

    /// The line that a byte is in, with its end.
    fn line(&self, byte: usize) -> Range<usize> {
        let (before, after) = self.text.split_at_checked(byte).unwrap_or((self.text, ""));
        let end = after.find('\n').map_or(self.text.len(), |at| before.len() + at + 1);
        before.rfind('\n').map_or(0, |at| at + 1)..end
    }

    /// From a line that is a header up to the next.
    fn section(&self, line: &Range<usize>) -> Option<Range<usize>> {
        let at = self.headers.binary_search_by_key(&line.start, |header| header.start).ok()?;
        Some(line.start..self.headers.get(at + 1).map_or(self.text.len(), |next| next.start))
    }

    /// What is not known of a text with a syntax error at a byte: its line, the header above it, to which that line may
    /// have belonged, and after a broken header all that follows it.
    fn lost(&self, byte: usize) -> Vec<Range<usize>> {
        let line = self.line(byte);
        if let Some(section) = self.section(&line) {
            return vec![section];
        }
        let below = self.headers.partition_point(|header| header.start < line.start);
        let header = below.checked_sub(1).and_then(|at| self.headers.get(at)).cloned();
        header.into_iter().chain([line]).collect()
    }
}

/// The same places in order, none of them touching another.
fn joined(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| (place.start, place.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for place in places.into_iter().filter(|place| !place.is_empty()) {
        match joined.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => joined.push(place),
        }
    }
    joined
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
        None => {
            let some: Vec<String> = known.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
            let more = known.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("known: {}{more}", some.join(", "))
        }
    }
}

/// How many names are listed: more are not read, and every kind and every field fits.
const LISTED: usize = 60;

/// Similarity from which a word counts as a slip of another; found by trying typical slips.
const NEAR: f64 = 0.72;

/// Longest text that is looked at as a slip: longer than any address.
const LONGEST: usize = 512;

pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What nobody would write is no slip, and comparing it would take its time.
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    // Words that share little but their beginning are strangers: at least half of the longer one must be as it was meant,
    // unless one is the beginning of the other.
    let half = |name: &str| {
        name.starts_with(&lower)
            || lower.starts_with(name)
            || strsim::osa_distance(&lower, name) * 2 <= lower.chars().count().max(name.chars().count())
    };
    let mut best: Option<(f64, &str)> = None;
    for name in known {
        let known = name.to_lowercase();
        let score = strsim::jaro_winkler(&lower, &known);
        // In this order, since plans may have thousands of names: the distance takes the longest.
        if score >= NEAR && best.is_none_or(|(other, _)| score >= other) && half(&known) {
            best = Some((score, name));
        }
    }
    best.map(|(_, name)| name)
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
