//! Where the first value of a secret comes from that a host has already, in a file of somebody else's.

use std::fmt;

use crate::blob::sha256_hex;
use crate::edit::{Format, Slot, Value, ini, tree};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::secret::Text;

/// A piece of a file, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: AbsPath,
    /// Without it all of the file, but for a newline at its end.
    piece: Option<(Format, Slot)>,
}

/// What was found there when the host was asked.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the file as it was read; none where there was none.
    pub(super) sha256: Option<String>,
    pub(super) value: Option<Text>,
}

/// A format in which a file can be read here.
struct Readable(Format);

impl std::str::FromStr for Readable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Format::Yaml, Format::Json, Format::Toml, Format::Ini];
        known.into_iter().find(|format| format.word() == text).map(Self).ok_or("one of yaml, json, toml, ini")
    }
}

impl Source {
    /// Reads the field `taken_from`; nothing where it is wrong, which is a finding.
    pub(super) fn read(fields: &Fields<'_>) -> Option<Self> {
        let path = fields.required("path");
        let key: Option<String> = fields.optional("key");
        let format: Option<Readable> = fields.optional("format");
        let section: Option<String> = fields.optional("section");
        let piece = match (key, format) {
            (Some(key), Some(Readable(Format::Ini))) => {
                Some(Some((Format::Ini, Slot::new([section.unwrap_or_default(), key]))))
            }
            (Some(_), Some(_)) if section.is_some() => {
                fields.problem("section", "only a file of format ini has sections", "write the keys with dots: `a.b`");
                None
            }
            (Some(key), Some(Readable(format))) => match key.parse() {
                Ok(slot) => Some(Some((format, slot))),
                Err(reason) => {
                    fields.problem("key", format!("{key:?} leads to nothing"), reason);
                    None
                }
            },
            (Some(_), None) if !fields.has("format") => {
                fields.problem(
                    "key",
                    "of a file whose format is not known no key can be found",
                    "add `format`: yaml, json, toml or ini",
                );
                None
            }
            (None, _) if fields.has("key") => None,
            (None, _) if fields.has("format") || fields.has("section") => {
                let at = if fields.has("format") { "format" } else { "section" };
                fields.problem(at, "without a key all of the file is taken, as it is", "add `key`, or leave this out");
                None
            }
            (None, _) => Some(None),
            (Some(_), None) => None,
        };
        fields.finish();
        Some(Self { path: path?, piece: piece? })
    }

    /// What the host has there, by what is in the file, none where there is no such file. Nothing where it cannot be used,
    /// which is a finding.
    pub(super) fn find(&self, content: Option<&Text>, fields: &Fields<'_>) -> Option<Found> {
        let Some(content) = content else { return Some(Found { sha256: None, value: None }) };
        let text = content.expose();
        match self.value(text) {
            Ok(value) => Some(Found { sha256: Some(sha256_hex(text.as_bytes())), value: Some(Text::secret(value)) }),
            Err(reason) => {
                let help = "correct `taken_from`; without it a new one is made up";
                fields.problem("taken_from", format!("no secret can be taken from {self} on the host: {reason}"), help);
                None
            }
        }
    }

    fn value(&self, text: &str) -> Result<String, String> {
        if text.contains('\u{fffd}') {
            return Err("it is not text".to_owned());
        }
        let value = match &self.piece {
            None => text.strip_suffix('\n').unwrap_or(text).to_owned(),
            Some((Format::Ini, slot)) => {
                let mut values = ini::get(text, slot).map_err(|error| error.to_string())?;
                match (values.pop(), values.is_empty()) {
                    (Some(value), true) => value,
                    (Some(_), false) => return Err("the key comes several times".to_owned()),
                    (None, _) => return Err("there is no such key".to_owned()),
                }
            }
            Some((format, slot)) => {
                let found = tree::value(*format, text, slot).map_err(|error| error.to_string())?;
                match found {
                    Some(Value::Text(value)) => value,
                    Some(other) => return Err(format!("it is {}, not text", other.name())),
                    None => return Err("there is no such key".to_owned()),
                }
            }
        };
        if value.is_empty() || value.contains('\0') {
            return Err("what is there could not be used as a secret".to_owned());
        }
        Ok(value)
    }

    pub(super) fn asks(&self) -> [Ask; 2] {
        [Ask::Path(self.path.clone()), Ask::File { path: self.path.clone(), content: Wanted::Never }]
    }

    /// Makes sure that the file is as it was when the value was taken, and absent where none was: what nobody could read is
    /// not absent.
    pub(super) fn same(&self, found: &Found, answers: &Answers) -> Result<(), Undecided> {
        let there = answers.path(&self.path)?.entry().is_some();
        let same = match (answers.file(&self.path, &Wanted::Never)?, &found.sha256) {
            (FileState::Present { sha256, .. }, Some(known)) => sha256 == known,
            (FileState::Absent, None) => !there,
            _ => false,
        };
        if same {
            return Ok(());
        }
        let path = &self.path;
        Err(Undecided::with_help(
            format!("{path} is no file that can be read by who asks, or has changed while the host was asked"),
            "try again; connect as who may read it, or with `become = true`; or correct `taken_from`",
        ))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.piece {
            None => write!(f, "{}", self.path),
            Some((Format::Ini, slot)) => match slot.keys() {
                [section, key] if !section.is_empty() => write!(f, "{key} of [{section}] in {}", self.path),
                keys => write!(f, "{} in {}", keys.last().map_or("", String::as_str), self.path),
            },
            Some((_, slot)) => write!(f, "{slot} in {}", self.path),
        }
    }
}
