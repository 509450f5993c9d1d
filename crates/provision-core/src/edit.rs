//! Pieces of files that others own: a line, a key of a section, a value below some keys.
//!
//! A piece is found, set and put back in the text of its file, which stays as it is elsewhere, byte for byte: no file is
//! ever read into values and written anew. What was noted of a piece before it was touched suffices to put it back, also
//! into a file that others have changed since. Nothing here knows hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::AbsPath;

pub mod draft;
pub mod hosts;
pub mod ini;
mod json;
pub mod line;
mod lines;
#[cfg(test)]
mod tests;
mod toml;
pub mod tree;
mod value;
mod yaml;

pub use lines::NotedLine;
pub use value::Value;

/// One piece of one file. Its text is the format, the slot and the path, parted by one blank each:
/// `json auths."registry.example.com" /etc/containers/auth.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The file.
    pub path: AbsPath,
    /// How it is read.
    pub format: Format,
    /// Which piece of it.
    pub slot: Slot,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// hosts(5): the slot is an address and its first name.
    Hosts,
    /// Sections of `key = value`: the slot is a section, empty for what is before the first, and a key.
    Ini,
    /// JSON, where comments may stand: the slot is the keys that lead to a value.
    Json,
    /// Lines: the slot is `=` and a line, or `~` and a pattern.
    Line,
    /// TOML: the slot is the keys that lead to a value.
    Toml,
    /// YAML: the slot is the keys that lead to a value.
    Yaml,
}

/// Which piece of a file, as its format has it. Its text is one word without a blank: the keys parted by dots, each as it is
/// where it has only letters, digits, `_` and `-`, otherwise as a JSON string whose blanks are written `\u0020`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(Vec<String>);

/// What a piece was, as text that is kept on the host: enough to put it back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Whether there was no file at all: it goes again with the last that is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_file: bool,
    /// Whether what the plan puts there is secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The lines that the piece was, for formats of lines; none where it was not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<NotedLine>,
    /// The value, for formats of keys; none where it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<tree::Was>,
    /// How many of the slot's keys led to something that was there.
    #[serde(default)]
    pub depth: usize,
    /// What was where the first piece of a table or section goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hole: Option<Hole>,
}

/// What is where the first piece of a table or section goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hole {
    /// Braces with this in them.
    Braces(String),
    /// A value that is none, written like this.
    Empty(String),
    /// Nothing, and an empty line parts the new header from what is before it.
    Parted,
}

/// Why a text cannot be edited. It says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*.line, *.column))]
pub struct EditError {
    /// Counted from 1; 0 where it is about the whole.
    pub line: usize,
    /// Counted from 1; 0 where it is about a whole line.
    pub column: usize,
    /// What is the matter.
    pub message: String,
}

fn place(line: usize, column: usize) -> String {
    match (line, column) {
        (0, _) => String::new(),
        (line, 0) => format!("line {line}: "),
        (line, column) => format!("{line}:{column}: "),
    }
}

impl EditError {
    fn new(message: impl Into<String>) -> Self {
        Self { line: 0, column: 0, message: message.into() }
    }

    fn at_line(line: usize, message: impl Into<String>) -> Self {
        Self { line, column: 0, message: message.into() }
    }

    /// At a place in a text, in bytes.
    fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, message: message.into() }
    }
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Hosts, Self::Ini, Self::Json, Self::Line, Self::Toml, Self::Yaml];

    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Ini => "ini",
            Self::Json => "json",
            Self::Line => "line",
            Self::Toml => "toml",
            Self::Yaml => "yaml",
        }
    }

    fn syntax(self) -> Option<&'static dyn tree::Syntax> {
        match self {
            Self::Json => Some(&json::Json),
            Self::Toml => Some(&toml::Toml),
            Self::Yaml => Some(&yaml::Yaml),
            Self::Hosts | Self::Ini | Self::Line => None,
        }
    }
}

impl Edit {
    /// What it is called: `auths.quay in /etc/x.json`.
    #[must_use]
    pub fn title(&self) -> String {
        match (self.format, self.slot.keys()) {
            (Format::Line, [line]) => match line.strip_prefix('~') {
                Some(pattern) => format!("the line like {pattern:?} in {}", self.path),
                None => format!("the line {:?} in {}", line.get(1..).unwrap_or_default(), self.path),
            },
            (Format::Hosts, [address, name]) => format!("{name} at {address} in {}", self.path),
            (Format::Ini, [section, key]) if section.is_empty() => format!("{key} in {}", self.path),
            (Format::Ini, [section, key]) => format!("{key} of [{section}] in {}", self.path),
            _ => format!("{} in {}", self.slot, self.path),
        }
    }

    /// Whether one of two pieces is the other, or a part of it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.path != other.path {
            return false;
        }
        if self.format != other.format {
            return self.format.syntax().is_some() || other.format.syntax().is_some();
        }
        let (one, two) = (self.slot.keys(), other.slot.keys());
        one == two || (self.format.syntax().is_some() && (one.starts_with(two) || two.starts_with(one)))
    }

    /// What is to be known of the piece before it is touched.
    ///
    /// # Errors
    /// When the text cannot be read as its format.
    pub fn note(&self, text: &str) -> Result<Note, EditError> {
        match self.format {
            Format::Hosts => Ok(hosts::note(text, &self.slot)),
            Format::Ini => ini::note(text, &self.slot),
            Format::Line => line::note(text, &self.slot),
            Format::Json | Format::Toml | Format::Yaml => tree::note(self.syntax()?, text, &self.slot),
        }
    }

    /// The text with the piece as it was noted, and all else as it is now. The same where there is nothing to put back.
    ///
    /// # Errors
    /// When the text cannot be read as its format, or what was noted does not fit into it any more.
    pub fn put_back(&self, text: &str, note: &Note) -> Result<String, EditError> {
        match self.format {
            Format::Hosts => Ok(hosts::put_back(text, &self.slot, note)),
            Format::Ini => ini::put_back(text, &self.slot, note),
            Format::Line => line::put_back(text, &self.slot, note),
            Format::Json | Format::Toml | Format::Yaml => tree::put_back(self.syntax()?, text, &self.slot, note),
        }
    }

    /// The piece as people read it: the lines or the value; nothing where it is not there.
    ///
    /// # Errors
    /// When the text cannot be read as its format.
    pub fn shown(&self, text: &str) -> Result<Option<String>, EditError> {
        match self.format {
            Format::Hosts | Format::Ini | Format::Line => {
                let lines = self.note(text)?.lines;
                let texts: Vec<&str> = lines.iter().map(|line| line.text.trim()).collect();
                Ok((!texts.is_empty()).then(|| texts.join("\n")))
            }
            Format::Json | Format::Toml | Format::Yaml => {
                Ok(tree::get(self.syntax()?, text, &self.slot)?.map(|value| value.to_string()))
            }
        }
    }

    /// Whether nothing is in a text that anybody would miss: a file that was made for an edit goes with its last piece.
    #[must_use]
    pub fn is_hollow(&self, text: &str) -> bool {
        let rest = text.trim();
        rest.is_empty() || (self.format == Format::Json && rest.split_whitespace().collect::<String>() == "{}")
    }

    pub(crate) fn syntax(&self) -> Result<&'static dyn tree::Syntax, EditError> {
        self.format.syntax().ok_or_else(|| EditError::new("this format has no keys"))
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.format.word(), self.slot, self.path)
    }
}

impl FromStr for Edit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a piece of a file");
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().ok_or_else(wrong);
        let (word, slot, path) = (next()?, next()?, next()?);
        let format = Format::ALL.into_iter().find(|format| format.word() == word).ok_or_else(wrong)?;
        Ok(Self { path: path.parse().map_err(|_| wrong())?, format, slot: slot.parse()? })
    }
}

impl Slot {
    /// Of these keys, of which there must be one.
    #[must_use]
    pub fn new<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }
}

/// Whether a key is written as it is.
pub(crate) fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            if is_bare(key) {
                f.write_str(key)?;
            } else {
                // A string always has a JSON text; what would end a line or a word is escaped.
                let text = serde_json::to_string(key).unwrap_or_default();
                for c in text.chars() {
                    if c == ' ' || c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
                        write!(f, "\\u{:04x}", u32::from(c))?;
                    } else {
                        write!(f, "{c}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Slot {
    type Err = String;

    /// Reads keys as they are written, and as a plan may write them: `auths."registry.example.com"`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no list of keys: write `a.b`, with quotes around what has more than letters, digits, `_` and `-`"
            )
        };
        let mut keys = Vec::new();
        let mut rest = text;
        loop {
            if rest.starts_with('"') {
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let key = stream.next().and_then(Result::ok).ok_or_else(wrong)?;
                rest = rest.get(stream.byte_offset()..).unwrap_or_default();
                keys.push(key);
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                let key = rest.get(..end).unwrap_or_default();
                if !is_bare(key) {
                    return Err(wrong());
                }
                keys.push(key.to_owned());
                rest = rest.get(end..).unwrap_or_default();
            }
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None if rest.is_empty() => return Ok(Self(keys)),
                None => return Err(wrong()),
            }
        }
    }
}

impl Note {
    /// As it is kept: one line.
    #[must_use]
    pub fn text(&self) -> String {
        // Texts, numbers and lists always have a JSON text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// Whether the piece was there.
    #[must_use]
    pub fn was_there(&self) -> bool {
        !self.lines.is_empty() || self.value.is_some()
    }
}
