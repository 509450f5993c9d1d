//! A certificate that somebody brings: put in place, kept as it is, and exchanged for a new one.
//!
//! Must never show a key; a key that is sent is one that the host is to keep.

use std::collections::BTreeMap;

use time::Duration;
use zeroize::Zeroizing;

use super::files::{Files, Piece, content, whole};
use super::shown::{identity, pem, roots, served, show_identity, subjects};
use super::term::window;
use crate::blob::sha256_hex;
use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::resource::{Context, Materials, Resource, Thing, Want};
use crate::step::Step;
use crate::x509::{Given, Role, inspect, inspect_all, timestamp};

type Bytes = Zeroizing<Vec<u8>>;

/// How long before the end people are told, unless they say otherwise: time to order a new one and have it signed.
const NOTICE: Duration = Duration::days(30);

/// A certificate that somebody brings.
#[derive(Debug)]
pub(crate) struct Brought {
    files: Files,
    given: Given,
    role: Role,
    /// How long before its end people are told.
    window: Duration,
}

impl Brought {
    /// Reads the rest of what it takes to put a given certificate in place.
    pub(crate) fn new(fields: &Fields<'_>, files: Option<Files>, given: Option<Given>, role: Role) -> Option<Self> {
        let (asked, files, given) = (window(fields), files?, given?);
        let asked = asked?;
        let certificate = given.certificate()?;
        let lifetime = certificate.not_after - certificate.not_before;
        if let Some(asked) = asked.filter(|asked| *asked >= lifetime) {
            fields.problem(
                "renew_before",
                format!(
                    "{} days before its end the certificate of {} was not there yet",
                    asked.whole_days(),
                    fields.label()
                ),
                format!("it is valid for {} days in all: take fewer", lifetime.whole_days()),
            );
            return None;
        }
        if files.extra(Piece::Authorities).is_some() && roots(given.certificates()).is_empty() {
            fields.problem(
                "authorities",
                format!("the chain of {} does not lead to a root, which clients could trust", fields.label()),
                "add the certificate of the root to the end of the chain, or take `authorities` out",
            );
            return None;
        }
        Some(Self { files, given, role, window: asked.unwrap_or(NOTICE.min(lifetime / 3)) })
    }

    /// What goes into each of the files.
    fn contents(&self) -> Result<BTreeMap<Piece, Bytes>, Undecided> {
        let all = self.given.certificates();
        let served = match self.role {
            Role::Leaf => served(all),
            // Whoever signs needs to know all that is above it.
            Role::Authority => all.to_vec(),
        };
        let root = roots(all);
        let mut contents = BTreeMap::new();
        for (piece, _) in self.files.all() {
            let text = match piece {
                Piece::Key => Zeroizing::new(self.given.key_pem().to_owned()),
                Piece::Combined => Zeroizing::new(format!("{}{}", pem(&served)?, self.given.key_pem())),
                Piece::Leaf => Zeroizing::new(pem(all.get(..1).unwrap_or_default())?),
                Piece::Authorities => Zeroizing::new(pem(&root)?),
                Piece::Certificate => Zeroizing::new(pem(&served)?),
            };
            contents.insert(piece, Zeroizing::new(text.as_bytes().to_vec()));
        }
        Ok(contents)
    }

    /// Shows how what is in the files differs.
    fn compare_contents(&self, change: &mut Change, answers: &Answers) -> Result<(), Undecided> {
        let contents = self.contents()?;
        let found = inspect_all(content(&self.files.certificate, answers)?).unwrap_or_default();
        if let Some(certificate) = self.given.certificate() {
            show_identity(change, found.first(), certificate);
        }
        let served = inspect_all(contents.get(&Piece::Certificate).map_or(&[], |text| text.as_slice()));
        let above = served.as_ref().map_or(&[][..], |served| served.get(1..).unwrap_or_default());
        change.compare("chain", subjects(found.get(1..).unwrap_or_default()), subjects(above));
        for (piece, path) in self.files.all() {
            let Some(wanted) = contents.get(&piece) else { continue };
            let entry = Files::entry(path, answers)?;
            let look = if piece.has_key() { Wanted::Never } else { Wanted::Always };
            let same = match answers.file(path, &look)? {
                FileState::Present { sha256, .. } => *sha256 == sha256_hex(wanted),
                FileState::Absent => false,
            };
            // What is in the certificate's file has been shown, unless it is said in other words.
            let said = piece == Piece::Certificate && !change.attributes.is_empty();
            if same || said {
                continue;
            }
            if piece.has_key() {
                change.differs(piece.name(), entry.map(|_| Shown::Secret), Shown::Secret);
            } else {
                let before = entry.map(|_| content(path, answers)).transpose()?;
                change.differs(piece.name(), before.map(bytes), bytes(wanted));
            }
        }
        Ok(())
    }

    /// What is done about a difference in the contents.
    fn action(&self, answers: &Answers) -> Result<Action, Undecided> {
        let mut there = false;
        for (_, path) in self.files.all() {
            there |= Files::entry(path, answers)?.is_some();
        }
        if !there {
            return Ok(Action::Create);
        }
        let (Ok(found), Some(given)) = (inspect(content(&self.files.certificate, answers)?), self.given.certificate())
        else {
            return Ok(Action::Replace);
        };
        let same = match self.role {
            Role::Leaf => found.sha256 == given.sha256,
            // What it has signed stays good as long as its name and key do.
            Role::Authority => found.subject == given.subject && found.public_key_sha256 == given.public_key_sha256,
        };
        Ok(if same { Action::Update } else { Action::Replace })
    }
}

impl Resource for Brought {
    fn provides(&self) -> Vec<Thing> {
        self.files.provides()
    }

    fn objects(&self) -> Vec<Object> {
        self.files.objects()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let Some(certificate) = self.given.certificate() else { return Vec::new() };
        let mut wanted = identity(certificate);
        let above = match self.role {
            Role::Leaf => served(self.given.certificates()),
            Role::Authority => self.given.certificates().to_vec(),
        };
        wanted.extend(subjects(above.get(1..).unwrap_or_default()).map(|text| ("chain", text.into())));
        for (piece, _) in self.files.all().into_iter().rev() {
            if piece.has_key() {
                wanted.push((piece.name(), Shown::Secret));
            } else if let Some(text) = self.contents().ok().and_then(|mut contents| contents.remove(&piece)) {
                wanted.push((piece.name(), bytes(&text)));
            }
        }
        wanted.extend(self.files.wanted());
        wanted
    }

    fn wants(&self) -> Vec<Want> {
        self.files.wants()
    }

    fn asks(&self) -> Vec<Ask> {
        let look = |(piece, path): (Piece, &AbsPath)| {
            let never = Ask::File { path: path.clone(), content: Wanted::Never };
            if piece.has_key() { never } else { whole(path) }
        };
        self.files.asks().into_iter().chain(self.files.all().into_iter().map(look)).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { files, given, role: _, window: _ } = self;
        given.check_time(context.now).map_err(|flaw| Undecided::with_help(flaw.to_string(), flaw.help()))?;
        let action = self.action(answers)?;
        let mut change = Change::new(action);
        self.compare_contents(&mut change, answers)?;
        let same = change.attributes.is_empty();
        files.compare(&mut change, answers)?;
        if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        files.require_parents(answers, context)?;
        if same {
            change.action = Action::Update;
            return Ok(change);
        }
        Ok(change.signals(Signal::Content))
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let mut contents = self.contents()?;
        let mut stale = Vec::new();
        for (piece, path) in self.files.all() {
            let look = if piece.has_key() { Wanted::Never } else { Wanted::Always };
            let wanted = contents.get(&piece).map(|text| sha256_hex(text));
            if !matches!(answers.file(path, &look)?, FileState::Present { sha256, .. } if Some(sha256) == wanted.as_ref())
            {
                stale.push(piece);
            }
        }
        contents.retain(|piece, _| stale.contains(piece));
        self.files.write(&contents, change, answers)
    }

    fn brings(&self) -> Vec<(AbsPath, Bytes)> {
        if self.role == Role::Leaf {
            return Vec::new();
        }
        let Ok(certificate) = pem(self.given.certificates()) else { return Vec::new() };
        let key = Zeroizing::new(self.given.key_pem().as_bytes().to_vec());
        vec![(self.files.certificate.clone(), Zeroizing::new(certificate.into_bytes())), (self.files.key.clone(), key)]
    }

    fn notice(&self, _answers: &Answers, context: &Context<'_>) -> Option<String> {
        let first = self.given.certificates().iter().min_by_key(|certificate| certificate.not_after)?;
        let left = first.not_after - context.now;
        if left >= self.window || left <= Duration::ZERO {
            return None;
        }
        let what = if self.role == Role::Leaf { "the certificate" } else { "the authority's certificate" };
        Some(format!(
            "{what} of {} ends in {} days, at {}: bring a new one in time",
            first.called(),
            left.whole_days(),
            timestamp(first.not_after)
        ))
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        self.files.attributes()
    }
}

/// A text by its length and digest: nobody reads base64.
fn bytes(text: &[u8]) -> Shown {
    Shown::Bytes { length: text.len() as u64, sha256: sha256_hex(text) }
}

#[cfg(test)]
mod tests;
