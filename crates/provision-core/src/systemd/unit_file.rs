//! Owns the text of a unit file: ordered sections of ordered `Key=Value` settings; systemd.syntax(7).
//!
//! Comments are not kept. A file that was parsed is for reading; a user's own text goes to the host as it is.

use std::fmt;
use std::str::FromStr;

/// Longest line in bytes: `LONG_LINE_MAX` of systemd's `basic/fileio.h`.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// What systemd strips around keys and values.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A unit file as sections of settings. A section that appears twice is one section, as systemd and Quadlet read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    sections: Vec<Section>,
}

/// One section: its name and its settings in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    name: String,
    entries: Vec<Entry>,
}

/// One setting. Keys may repeat; an empty value takes back what the same key said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    key: String,
    value: String,
}

/// Why a setting cannot stand in a unit file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A section's name is empty or has brackets or control characters.
    #[error("section name {section:?} is empty or contains brackets or control characters")]
    Section {
        /// The name as given.
        section: String,
    },
    /// A key is empty or could be read as something else.
    #[error("key {key:?} is empty, contains blanks or \"=\", or starts like a comment or a section")]
    Key {
        /// The key as given.
        key: String,
    },
    /// A line break or another control character.
    #[error("value of {key} contains {character:?}; a setting is one line, and an argument in it is quoted")]
    Control {
        /// The key.
        key: String,
        /// The first such character.
        character: char,
    },
    /// A backslash at the end, which would swallow the next line.
    #[error("value of {key} ends in a backslash, which would join the next line to it; quote it")]
    TrailingBackslash {
        /// The key.
        key: String,
    },
    /// Longer than systemd reads.
    #[error("setting {key} is {length} bytes long; systemd reads lines of less than {LONGEST_LINE}")]
    TooLong {
        /// The key.
        key: String,
        /// Length of the line in bytes.
        length: usize,
    },
}

/// Why text is no unit file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A setting or section that cannot be.
    #[error("line {line}")]
    Setting {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: SettingError,
    },
    /// A setting before the first section.
    #[error("line {line}: {key} stands outside of a section")]
    OutsideOfSection {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A line that is nothing.
    #[error("line {line}: {text:?} is neither a section, a setting nor a comment")]
    NotASetting {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

impl Entry {
    /// Makes a setting. Blanks around the value are dropped, since systemd drops them as well.
    /// Percent signs stay: specifiers are the user's.
    ///
    /// # Errors
    /// When the key or the value would be read as something else than what was meant.
    pub fn new(key: &str, value: &str) -> Result<Self, SettingError> {
        let wrong = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        if key.is_empty() || key.starts_with(['[', '#', ';', '\u{feff}']) || key.contains(wrong) {
            return Err(SettingError::Key { key: key.to_owned() });
        }
        let (key, value) = (key.to_owned(), value.trim_matches(BLANKS));
        if let Some(character) = value.chars().find(|c| c.is_ascii_control() && *c != '\t') {
            return Err(SettingError::Control { key, character });
        }
        if value.ends_with('\\') {
            return Err(SettingError::TrailingBackslash { key });
        }
        let length = key.len() + 1 + value.len();
        if length >= LONGEST_LINE {
            return Err(SettingError::TooLong { key, length });
        }
        Ok(Self { key, value: value.to_owned() })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, as it stands in the file: quotes and escapes are not resolved.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl Section {
    /// The name without its brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every setting, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl UnitFile {
    /// A file without any section.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting at the end of a section, and the section at the end of the file if it is not there yet.
    ///
    /// # Errors
    /// See [`Entry::new`]; also when the section's name cannot be one.
    pub fn push(&mut self, section: &str, key: &str, value: &str) -> Result<(), SettingError> {
        let entry = Entry::new(key, value)?;
        self.open(section)?.entries.push(entry);
        Ok(())
    }

    /// Adds a section at the end of the file if it is not there yet, with nothing in it.
    ///
    /// # Errors
    /// When the section's name cannot be one.
    pub fn push_section(&mut self, name: &str) -> Result<(), SettingError> {
        self.open(name).map(|_| ())
    }

    /// The sections in order.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// One section.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The values of a key that may be repeated: those after the last empty one.
    #[must_use]
    pub fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for entry in self.entries(section, key) {
            match entry.value.as_str() {
                "" => values.clear(),
                value => values.push(value),
            }
        }
        values
    }

    /// The value of a key that is not a list: the last one, which may be empty.
    #[must_use]
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.entries(section, key).last().map(Entry::value)
    }

    fn entries<'a, 'k>(&'a self, section: &str, key: &'k str) -> impl Iterator<Item = &'a Entry> + use<'a, 'k> {
        let entries = self.section(section).map_or(&[][..], Section::entries);
        entries.iter().filter(move |entry| entry.key == key)
    }

    fn open(&mut self, name: &str) -> Result<&mut Section, SettingError> {
        if name.is_empty() || name.contains(|c: char| matches!(c, '[' | ']') || c.is_control()) {
            return Err(SettingError::Section { section: name.to_owned() });
        }
        let index = self.sections.iter().position(|section| section.name == name).unwrap_or(self.sections.len());
        if index == self.sections.len() {
            self.sections.push(Section { name: name.to_owned(), entries: Vec::new() });
        }
        self.sections.get_mut(index).ok_or_else(|| SettingError::Section { section: name.to_owned() })
    }
}

/// Text in systemd's syntax: one setting a line, an empty line between sections, a line break at the end.
impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, section) in self.sections.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "[{}]", section.name)?;
            for Entry { key, value } in &section.entries {
                writeln!(f, "{key}={value}")?;
            }
        }
        Ok(())
    }
}

/// Reads text as `config_parse` of systemd's `shared/conf-parser.c` does: a backslash at the end of a line becomes a
/// space and the next line that is no comment is joined to it. Podman's reader joins without that space and drops the
/// blanks the next line starts with, which is the same for whatever is split at blanks before the backslash.
/// Where the two disagree on what a line is (`\\` at its end, a blank behind the backslash), it is an error here.
impl FromStr for UnitFile {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut file = Self::new();
        let mut current = None;
        let mut pending: Option<(usize, String)> = None;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim_start_matches(BLANKS).starts_with(['#', ';']) {
                continue;
            }
            let (start, mut joined) = pending.take().unwrap_or((index + 1, String::new()));
            joined.push_str(line);
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            if backslashes % 2 == 1 {
                joined.pop();
                joined.push(' ');
                pending = Some((start, joined));
            } else {
                file.read_line(start, &joined, &mut current)?;
            }
        }
        if let Some((start, joined)) = pending {
            file.read_line(start, &joined, &mut current)?;
        }
        Ok(file)
    }
}

impl UnitFile {
    fn read_line(&mut self, line: usize, text: &str, current: &mut Option<String>) -> Result<(), ParseError> {
        let at = |source| ParseError::Setting { line, source };
        let text = text.trim_matches(BLANKS);
        if text.is_empty() {
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            self.open(name).map_err(at)?;
            *current = Some(name.to_owned());
            return Ok(());
        }
        let Some((key, value)) = text.split_once('=') else {
            return Err(ParseError::NotASetting { line, text: text.to_owned() });
        };
        let key = key.trim_end_matches(BLANKS);
        let Some(section) = current else {
            return Err(ParseError::OutsideOfSection { line, key: key.to_owned() });
        };
        self.push(section, key, value).map_err(at)
    }
}

#[cfg(test)]
mod tests;
