//! What a command has said: however much that is, its end is kept.

use std::collections::VecDeque;

/// How many lines are kept.
const KEPT: usize = 100;

/// How many bytes are kept, beyond the last line.
const ROOM: usize = 64 * 1024;

/// How many lines stand below a failure: they were told already, while they came.
const LAST: usize = 20;

/// The end of what a command has said.
#[derive(Debug, Default)]
pub(super) struct Said {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many lines came before those.
    before: u64,
}

impl Said {
    /// Takes the next line.
    pub(super) fn add(&mut self, line: &str) {
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line.to_owned());
        while self.lines.len() > KEPT || (self.bytes > ROOM && self.lines.len() > 1) {
            let gone = self.lines.pop_front().unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(gone.len());
            self.before = self.before.saturating_add(1);
        }
    }

    /// All that is kept.
    pub(super) fn end(&self) -> String {
        self.text(KEPT)
    }

    /// What stands below a failure.
    pub(super) fn last(&self) -> String {
        self.text(LAST)
    }

    fn text(&self, most: usize) -> String {
        let passed = self.lines.len().saturating_sub(most);
        let before = self.before.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        let first = match before {
            0 => None,
            1 => Some("(1 line before)".to_owned()),
            before => Some(format!("({before} lines before)")),
        };
        let lines = self.lines.iter().skip(passed).map(String::as_str);
        first.as_deref().into_iter().chain(lines).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_is_kept_however_long_it_is() {
        let mut said = Said::default();
        assert_eq!((said.end(), said.last()), (String::new(), String::new()));
        for number in 1..=21 {
            said.add(&number.to_string());
        }
        assert!(said.end().starts_with("1\n2\n"));
        assert!(said.last().starts_with("(1 line before)\n2\n") && said.last().ends_with("\n21"));
        for number in 22..=100_000 {
            said.add(&number.to_string());
        }
        assert!(said.end().starts_with("(99900 lines before)\n99901\n") && said.end().ends_with("\n100000"));
        assert!(said.last().starts_with("(99980 lines before)\n99981\n"));
        for _ in 0..KEPT {
            said.add(&"x".repeat(8 * 1024));
        }
        assert!(said.end().len() < ROOM + 8 * 1024 + 100);
    }
}
