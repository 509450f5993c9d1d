//! A text as lines that are replaced, taken out and put in, each with the end that it has.

use serde::{Deserialize, Serialize};

/// The lines of a text. One may stand for several that belong together.
pub(crate) struct Lines {
    lines: Vec<Line>,
    /// How a new line ends: as the first does.
    end: &'static str,
}

struct Line {
    text: String,
    /// Nothing at the end of a text that does not end with a line's end.
    end: &'static str,
}

/// A line as it was, with what tells its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotedLine {
    /// Without its end; several that belong together are parted by newlines.
    pub text: String,
    /// Its number, from 0.
    pub at: usize,
    /// The line before it; none at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Whether it was the last, and had no end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let lines: Vec<Line> = text
            .split_inclusive('\n')
            .map(|line| {
                let (text, end) = match (line.strip_suffix("\r\n"), line.strip_suffix('\n')) {
                    (Some(text), _) => (text, "\r\n"),
                    (None, Some(text)) => (text, "\n"),
                    (None, None) => (line, ""),
                };
                Line { text: text.to_owned(), end }
            })
            .collect();
        let end = if lines.first().is_some_and(|line| line.end == "\r\n") { "\r\n" } else { "\n" };
        Self { lines, end }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.text.as_str(), line.end]).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        self.lines.get(at).map(|line| line.text.as_str())
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &str)> + ExactSizeIterator {
        self.lines.iter().enumerate().map(|(at, line)| (at, line.text.as_str()))
    }

    /// Makes one of each line and those after it that belong to it.
    pub(crate) fn join(&mut self, goes_on: impl Fn(&str) -> bool) {
        let mut joined: Vec<Line> = Vec::with_capacity(self.lines.len());
        for line in std::mem::take(&mut self.lines) {
            match joined.last_mut() {
                Some(last) if goes_on(&last.text) && !last.end.is_empty() => {
                    last.text.push_str(last.end);
                    last.text.push_str(&line.text);
                    last.end = line.end;
                }
                _ => joined.push(line),
            }
        }
        self.lines = joined;
    }

    pub(crate) fn replace(&mut self, at: usize, text: &str) {
        let text = self.ended(text);
        if let Some(line) = self.lines.get_mut(at) {
            line.text = text;
        }
    }

    pub(crate) fn remove(&mut self, at: usize) {
        if at >= self.lines.len() {
            return;
        }
        let gone = self.lines.remove(at);
        // A text that does not end with a line's end stays such a one; an empty line would be none without it.
        if gone.end.is_empty()
            && let Some(last) = self.lines.last_mut()
            && !last.text.is_empty()
        {
            last.end = "";
        }
    }

    pub(crate) fn insert(&mut self, at: usize, text: &str) {
        let text = self.ended(text);
        let at = at.min(self.lines.len());
        let mut end = self.end;
        if at == self.lines.len()
            && let Some(last) = self.lines.last_mut()
            && last.end.is_empty()
        {
            (last.end, end) = (self.end, "");
        }
        self.lines.insert(at, Line { text, end });
    }

    /// Several lines in one text end as lines do here.
    fn ended(&self, text: &str) -> String {
        if self.end == "\n" { text.to_owned() } else { text.replace("\r\n", "\n").replace('\n', self.end) }
    }

    /// What is to be known of some lines to put them back.
    pub(crate) fn note(&self, places: &[usize]) -> Vec<NotedLine> {
        let noted = |at: usize| {
            let line = self.lines.get(at)?;
            let previous = at.checked_sub(1).and_then(|before| self.get(before)).map(str::to_owned);
            Some(NotedLine { text: line.text.clone(), at, previous, open: line.end.is_empty() })
        };
        places.iter().filter_map(|at| noted(*at)).collect()
    }

    /// Makes the lines at some places these: one for one, the rest taken out, or put in behind `next`.
    pub(crate) fn set(&mut self, places: &[usize], texts: &[String], next: usize) {
        for (at, text) in places.iter().zip(texts) {
            self.replace(*at, text);
        }
        for (at, text) in (next..).zip(texts.iter().skip(places.len())) {
            self.insert(at, text);
        }
        for at in places.iter().skip(texts.len()).rev() {
            self.remove(*at);
        }
    }

    /// Makes the lines at some places what was noted; what was elsewhere comes back to where it was, or behind the line that
    /// was before it, or else to `fallback`.
    pub(crate) fn put_back(&mut self, places: &[usize], was: &[NotedLine], fallback: usize) {
        for (at, line) in places.iter().zip(was) {
            self.replace(*at, &line.text);
        }
        for at in places.iter().skip(was.len()).rev() {
            self.remove(*at);
        }
        for line in was.iter().skip(places.len()) {
            let at = self.home(line, fallback);
            self.insert(at, &line.text);
            if line.open
                && at + 1 == self.lines.len()
                && let Some(last) = self.lines.last_mut()
            {
                last.end = "";
            }
        }
    }

    /// Where a line goes that comes back.
    pub(crate) fn home(&self, line: &NotedLine, fallback: usize) -> usize {
        let Some(previous) = &line.previous else { return 0 };
        let follows = |at: usize| at.checked_sub(1).and_then(|before| self.get(before)) == Some(previous);
        if follows(line.at) {
            return line.at;
        }
        let near = (1..=self.lines.len()).filter(|at| follows(*at)).min_by_key(|at| at.abs_diff(line.at));
        near.unwrap_or(fallback)
    }
}
