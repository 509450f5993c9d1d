//! A file on its way: as it was looked at, and as each edit of one apply leaves it to the next.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::{Edit, EditError, Note};
use crate::attribute::Mode;
use crate::blob::{Blob, sha256_hex};
use crate::path::AbsPath;
use crate::probe::{Answers, CONTENT_LIMIT, FileState, PathState, Sort, Undecided, Wanted};
use crate::step::{After, Rewrite};

/// The files of which pieces are changed, by path.
pub type Drafts = BTreeMap<AbsPath, Draft>;

/// One file. What is in it may be secret.
#[derive(Clone)]
pub struct Draft {
    text: Zeroizing<String>,
    /// As it was looked at.
    first: Zeroizing<String>,
    /// Of what was there, and of what each edit makes of it.
    digests: Vec<String>,
    /// Its permission bits; none where there is no file.
    mode: Option<Mode>,
    /// Whether what is put into it is secret.
    hidden: bool,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("digests", &self.digests.len()).finish_non_exhaustive()
    }
}

impl Draft {
    /// As the host has it; an empty text where there is no file.
    ///
    /// # Errors
    /// When it is no regular file, too long, or no text.
    pub fn look(path: &AbsPath, answers: &Answers) -> Result<Self, Undecided> {
        let none = || Self {
            text: Zeroizing::default(),
            first: Zeroizing::default(),
            digests: vec![Rewrite::NO_FILE.to_owned()],
            mode: None,
            hidden: false,
        };
        let entry = match answers.path(path)? {
            PathState::Absent => return Ok(none()),
            PathState::Present(entry) => entry,
        };
        match &entry.sort {
            Sort::File => {}
            Sort::Link(target) => {
                return Err(Undecided::with_help(
                    format!("{path} is a link to {target} on the host, and a link is not edited"),
                    "name the file that it leads to, if that is what is meant",
                ));
            }
            other => {
                return Err(Undecided::with_help(
                    format!("{path} is a {} on the host, not a file", other.name()),
                    "choose another path",
                ));
            }
        }
        if entry.size > CONTENT_LIMIT as u64 {
            return Err(Undecided::with_help(
                format!("{path} has {} bytes, and only files of up to {CONTENT_LIMIT} bytes are edited", entry.size),
                "edit it with a command of its own (kind `command`)",
            ));
        }
        let FileState::Present { sha256, content: Some(content) } = answers.file(path, &Wanted::Always)? else {
            return Err(Undecided::new(format!("the host did not send the content of {path}")));
        };
        // It may have grown between the two looks.
        if sha256_hex(content) != *sha256 {
            return Err(Undecided::new(format!("{path} changed while it was looked at: try again")));
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return Err(Undecided::with_help(
                format!("{path} is no text in UTF-8, and cannot be edited"),
                "manage the whole of it (kind `file`), or edit it with a command of its own (kind `command`)",
            ));
        };
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            first: Zeroizing::new(text.to_owned()),
            digests: vec![sha256.clone()],
            mode: Some(entry.mode),
            hidden: false,
        })
    }

    /// The one that edits upstream leave, or as the host has it.
    ///
    /// # Errors
    /// As for [`Draft::look`].
    pub fn of(path: &AbsPath, answers: &Answers, drafts: &Drafts) -> Result<Self, Undecided> {
        drafts.get(path).map_or_else(|| Self::look(path, answers), |draft| Ok(draft.clone()))
    }

    /// What is in it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a file by now.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.digests.last().is_some_and(|last| last != Rewrite::NO_FILE)
    }

    /// Whether there is a file on the host, before any edit.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.digests.first().is_some_and(|first| first != Rewrite::NO_FILE)
    }

    /// The same, for a piece that gets something secret.
    #[must_use]
    pub fn hiding(self, hidden: bool) -> Self {
        Self { hidden, ..self }
    }

    /// The same, where an edit makes the file with these permission bits.
    #[must_use]
    pub fn made(self, mode: Mode) -> Self {
        Self { mode: self.mode.or(Some(mode)), ..self }
    }

    /// Whether everybody may read it: what is in any other may be a secret. A file that is not there hides nothing.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.mode.is_none_or(Mode::is_public)
    }

    /// Gives the file this content, or takes it away, for the sake of a piece.
    ///
    /// # Errors
    /// When the file as it is cannot be read as the piece's format.
    pub fn rewrite(&mut self, edit: &Edit, content: Option<String>) -> Result<Rewrite, EditError> {
        let mut note = edit.note(&self.text)?;
        // A table that another piece of the same plan has made goes with whichever of the two is the last in it.
        if !note.was_there()
            && let Ok(first) = edit.note(&self.first)
            && first.depth <= note.depth
        {
            (note.depth, note.hole) = (first.depth, first.hole.or(note.hole));
        }
        let note = Note { no_file: !self.was_there(), hidden: self.hidden, ..note };
        let note = Blob::from_bytes(note.text().into_bytes());
        let before = self.digests.clone();
        let after = match content {
            Some(text) if self.exists() && text == *self.text => After::Same,
            Some(text) => {
                let blob = Blob::from_bytes(text.as_bytes().to_vec());
                self.text = Zeroizing::new(text);
                self.digests.push(blob.sha256().to_owned());
                After::Content(blob)
            }
            None if !self.exists() => After::Same,
            None => {
                self.text = Zeroizing::default();
                self.digests.push(Rewrite::NO_FILE.to_owned());
                After::Gone
            }
        };
        Ok(Rewrite { before, after, note })
    }
}
