//! The files of a certificate: which there are, who may read them, and in which order they are written.
//!
//! Must never take a private key from its host to look at it: that it fits is told from its public half.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::attribute::Mode;
use crate::blob::Blob;
use crate::change::{Change, Shown};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Entry, FileState, PathState, PublicKeyState, Sort, Undecided, Wanted};
use crate::resource::directory::{
    compare_ownership_as, in_the_way, ownership, ownership_wants, wanted_ownership, with_parent,
};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Setup, Target, Thing, Want};
use crate::step::{Ownership, Step};

/// Everybody may read a certificate: it is sent to whoever connects.
const CERTIFICATE_MODE: Mode = Mode::new(0o644);

/// Fields that say where the two files are which every certificate has.
pub(crate) const DIRECTORY: Field = Field {
    name: "directory",
    takes: "path",
    required: false,
    doc: "Where its files are, NAME.crt and NAME.key after the resource. Not needed with both of the next two.",
};

/// Fields of all files of a certificate.
pub(crate) const OWNERSHIP: [Field; 5] = [
    Field {
        name: "mode",
        takes: "mode",
        required: false,
        doc: "Permission bits of every file without a key; \"0644\" without it.",
    },
    Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
    Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
    Field {
        name: "key_owner",
        takes: "user",
        required: false,
        doc: "Owner of every file with a key; `owner` without it.",
    },
    Field {
        name: "key_group",
        takes: "group",
        required: false,
        doc: "Group of every file with a key; `group` without it.",
    },
];

/// One of the files, in the order in which they are written.
///
/// The certificate goes last: what is judged at the next run is the certificate, so whatever cuts the apply before it
/// leaves the old one, and with it the reason to make everything anew, even where nobody can look at the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// The private key.
    Key,
    /// What is in the certificate's file, followed by the key.
    Combined,
    /// The certificate alone.
    Leaf,
    /// The root that clients trust.
    Authorities,
    /// The certificate and its chain without the root.
    Certificate,
}

impl Piece {
    /// What it is called in a plan and in a change.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Combined => "combined",
            Self::Leaf => "leaf",
            Self::Authorities => "authorities",
            Self::Certificate => "certificate",
        }
    }

    /// Under which names its mode, owner and group are compared.
    const fn attributes(self) -> [&'static str; 3] {
        match self {
            Self::Key => ["key_mode", "key_owner", "key_group"],
            Self::Combined => ["combined_mode", "combined_owner", "combined_group"],
            Self::Leaf => ["leaf_mode", "leaf_owner", "leaf_group"],
            Self::Authorities => ["authorities_mode", "authorities_owner", "authorities_group"],
            Self::Certificate => ["mode", "owner", "group"],
        }
    }

    /// Whether a private key is in it.
    pub(crate) const fn has_key(self) -> bool {
        matches!(self, Self::Key | Self::Combined)
    }
}

/// Where the files are and who may read them.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) directory: AbsPath,
    pub(crate) certificate: AbsPath,
    pub(crate) key: AbsPath,
    /// Files that only some services want.
    extras: BTreeMap<Piece, AbsPath>,
    /// Whether the key goes to the host at all.
    keeping: KeyKeeping,
    mode: Mode,
    ownership: Ownership,
    key_mode: KeyMode,
    key_ownership: Ownership,
}

/// Where a private key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKeeping {
    /// In its file on the host.
    Host,
    /// On this side; its path on the host is a name for it and nothing more.
    Here,
}

/// Permission bits of a private key. A wider one cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyMode(Mode);

impl KeyMode {
    /// For its owner alone.
    pub(crate) const OWNER: Self = Self(Mode::new(0o600));

    const ALL: [u32; 4] = [0o600, 0o640, 0o400, 0o440];
}

impl FromStr for KeyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode: Mode = text.parse()?;
        if Self::ALL.contains(&mode.bits()) {
            Ok(Self(mode))
        } else {
            Err("a private key is for its owner and at most its group to read: \"0600\", \"0640\", \"0400\" or \
                 \"0440\""
                .to_owned())
        }
    }
}

/// What the host has of the two files that every certificate has.
pub(crate) struct Standing<'a> {
    pub(crate) certificate: Option<&'a Entry>,
    pub(crate) key: Option<&'a Entry>,
    /// What is in the certificate's file; empty without one.
    pub(crate) pem: &'a [u8],
    pub(crate) public_key: &'a PublicKeyState,
}

impl Files {
    /// Reads `directory`, `certificate`, `key`, `mode`, `owner`, `group`, `key_owner` and `key_group`.
    pub(crate) fn read(fields: &Fields<'_>, setup: &Setup<'_>, key_mode: KeyMode, keeping: KeyKeeping) -> Option<Self> {
        let directory: Option<AbsPath> = fields.optional("directory");
        let certificate: Option<AbsPath> = fields.optional("certificate");
        let key: Option<AbsPath> = fields.optional("key");
        let mode = fields.optional("mode").unwrap_or(CERTIFICATE_MODE);
        let ownership = ownership(fields);
        let key_ownership = Ownership {
            user: fields.optional("key_owner").or_else(|| ownership.user.clone()),
            group: fields.optional("key_group").or_else(|| ownership.group.clone()),
        };
        let named = fields.has("certificate") && (fields.has("key") || keeping == KeyKeeping::Here);
        if !named && !fields.has("directory") {
            fields.problem(
                "",
                format!("{} does not say where its files are", fields.label()),
                "add `directory = ...`, or both `certificate = ...` and `key = ...`",
            );
            return None;
        }
        let name = setup.address.stem();
        let beside = directory.clone().or_else(|| certificate.as_ref()?.parent());
        let inside = |suffix: &str| beside.as_ref()?.join(&format!("{name}.{suffix}")).ok();
        let certificate = certificate.or_else(|| inside("crt"))?;
        let key = key.or_else(|| inside("key"))?;
        let directory = directory.or_else(|| certificate.parent())?;
        let files = Self {
            directory,
            certificate,
            key,
            extras: BTreeMap::new(),
            keeping,
            mode,
            ownership,
            key_mode,
            key_ownership,
        };
        files.check_distinct(fields)
    }

    /// Reads `leaf`, `combined` and `authorities` as well.
    pub(crate) fn read_all(fields: &Fields<'_>, setup: &Setup<'_>, key_mode: KeyMode) -> Option<Self> {
        let mut extras = BTreeMap::new();
        let mut wrong = false;
        for piece in [Piece::Leaf, Piece::Combined, Piece::Authorities] {
            match fields.optional(piece.name()) {
                Some(path) => drop(extras.insert(piece, path)),
                None => wrong |= fields.has(piece.name()),
            }
        }
        let files = Self { extras, ..Self::read(fields, setup, key_mode, KeyKeeping::Host)? };
        if wrong { None } else { files.check_distinct(fields) }
    }

    /// A finding when two of the files are one.
    fn check_distinct(self, fields: &Fields<'_>) -> Option<Self> {
        let mut seen: BTreeMap<&AbsPath, Piece> = BTreeMap::new();
        for (piece, path) in [(Piece::Certificate, &self.certificate), (Piece::Key, &self.key)]
            .into_iter()
            .chain(self.extras.iter().map(|(piece, path)| (*piece, path)))
        {
            let Some(other) = seen.insert(path, piece) else { continue };
            let help = match (other, piece) {
                (Piece::Certificate, Piece::Key) => {
                    "give each a file of its own: everybody may read the certificate, and nobody the key; both together \
                     are `combined`"
                }
                _ => "give each a file of its own",
            };
            let message = format!("{path} cannot be both the `{}` and the `{}`", other.name(), piece.name());
            fields.problem(piece.name(), message, help);
            return None;
        }
        Some(self)
    }

    /// The files that there are, in the order in which they are written.
    pub(crate) fn all(&self) -> Vec<(Piece, &AbsPath)> {
        let mut all: Vec<(Piece, &AbsPath)> = self.extras.iter().map(|(piece, path)| (*piece, path)).collect();
        all.push((Piece::Certificate, &self.certificate));
        if self.keeping == KeyKeeping::Host {
            all.push((Piece::Key, &self.key));
        }
        all.sort_by_key(|(piece, _)| *piece);
        all
    }

    /// Where one of the optional files is.
    pub(crate) fn extra(&self, piece: Piece) -> Option<&AbsPath> {
        self.extras.get(&piece)
    }

    /// The paths of the two files whose contents one after another are [`Piece::Combined`].
    pub(crate) fn parts_of_combined(&self) -> Vec<AbsPath> {
        vec![self.certificate.clone(), self.key.clone()]
    }

    fn mode(&self, piece: Piece) -> Mode {
        let KeyMode(key_mode) = self.key_mode;
        if piece.has_key() { key_mode } else { self.mode }
    }

    fn ownership(&self, piece: Piece) -> &Ownership {
        if piece.has_key() { &self.key_ownership } else { &self.ownership }
    }

    pub(crate) fn provides(&self) -> Vec<Thing> {
        let mut things: Vec<Thing> = vec![Thing::Path(self.certificate.clone()), Thing::Path(self.key.clone())];
        things.extend(self.extras.values().map(|path| Thing::Path(path.clone())));
        things
    }

    pub(crate) fn objects(&self) -> Vec<Object> {
        self.all().into_iter().map(|(_, path)| Object::Path(path.clone())).collect()
    }

    /// What [`Files::compare`] shows as wanted.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = Vec::new();
        for (piece, _) in self.all().into_iter().rev() {
            let [mode, owner, group] = piece.attributes();
            wanted.push((mode, self.mode(piece).to_string().into()));
            wanted.extend(wanted_ownership([owner, group], self.ownership(piece)));
        }
        wanted
    }

    pub(crate) fn wants(&self) -> Vec<Want> {
        let parents = self.all().into_iter().map(|(_, path)| Want::after(Target::Parent(path.clone())));
        let owners = [&self.ownership, &self.key_ownership].into_iter().flat_map(ownership_wants);
        parents.chain(owners).collect()
    }

    /// Asks what stands in the places of all files.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.all().into_iter().flat_map(|(_, path)| with_parent(path)).collect()
    }

    /// Asks what [`Files::standing`] tells.
    pub(crate) fn asks_pair(&self) -> [Ask; 2] {
        [whole(&self.certificate), Ask::PublicKey(self.key.clone())]
    }

    pub(crate) fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes =
            [("certificate", &self.certificate), ("key", &self.key), ("directory", &self.directory)].to_vec();
        attributes.extend(self.extras.iter().map(|(piece, path)| (piece.name(), path)));
        attributes.into_iter().map(|(name, path)| (name, path.to_string())).collect()
    }

    /// What stands in the place of one of the files.
    pub(crate) fn entry<'a>(path: &AbsPath, answers: &'a Answers) -> Result<Option<&'a Entry>, Undecided> {
        match answers.path(path)? {
            PathState::Present(entry) if entry.sort == Sort::File => Ok(Some(entry)),
            PathState::Present(entry) => Err(in_the_way(path, &entry.sort, "file")),
            PathState::Absent => Ok(None),
        }
    }

    /// What is there now.
    pub(crate) fn standing<'a>(&self, answers: &'a Answers) -> Result<Standing<'a>, Undecided> {
        for path in self.extras.values() {
            Self::entry(path, answers)?;
        }
        let (certificate, key) = (Self::entry(&self.certificate, answers)?, Self::entry(&self.key, answers)?);
        let pem = content(&self.certificate, answers)?;
        Ok(Standing { certificate, key, pem, public_key: answers.public_key(&self.key)? })
    }

    /// The SHA-256 of the key's public half; none where nobody could look.
    pub(crate) fn key_sha256<'a>(&self, standing: &Standing<'a>) -> Result<Option<&'a str>, Undecided> {
        match standing.public_key {
            PublicKeyState::Present(sha256) => Ok(Some(sha256)),
            PublicKeyState::Unseen | PublicKeyState::Absent => Ok(None),
            // It may be good and have a passphrase, or openssl may be broken: that is no reason to overwrite it.
            PublicKeyState::Unreadable => Err(Undecided::with_help(
                format!("openssl on the host finds no private key without a passphrase in {}", self.key),
                format!("`openssl pkey -noout -in {}` there says why; a file that is no key can be removed", self.key),
            )),
        }
    }

    /// Makes sure that all files can be written.
    pub(crate) fn require_parents(&self, answers: &Answers, context: &Context<'_>) -> Result<(), Undecided> {
        self.all().into_iter().try_for_each(|(_, path)| context.require_parent(path, answers))
    }

    /// Compares mode and owner of all files.
    pub(crate) fn compare(&self, change: &mut Change, answers: &Answers) -> Result<(), Undecided> {
        for (piece, path) in self.all().into_iter().rev() {
            let entry = Self::entry(path, answers)?;
            let [mode, owner, group] = piece.attributes();
            change.compare(mode, entry.map(|entry| entry.mode.to_string()), self.mode(piece).to_string());
            compare_ownership_as(change, [owner, group], entry, self.ownership(piece));
        }
        Ok(())
    }

    /// One of the files with its content.
    pub(crate) fn spec(&self, piece: Piece, path: &AbsPath, content: &[u8]) -> FileSpec {
        let (mode, ownership) = (self.mode(piece), self.ownership(piece).clone());
        let content = Blob::from_bytes(content.to_vec());
        FileSpec { path: path.clone(), content, secret: piece.has_key(), mode, ownership, validate: Vec::new() }
    }

    /// The steps that put contents in place, and set mode and owner of what has drifted and stays otherwise.
    pub(crate) fn write(
        &self,
        contents: &BTreeMap<Piece, zeroize::Zeroizing<Vec<u8>>>,
        change: &Change,
        answers: &Answers,
    ) -> Result<Vec<Step>, Undecided> {
        let drifted = |piece: Piece| {
            change.attributes.iter().any(|attribute| piece.attributes().contains(&attribute.name.as_ref()))
        };
        let mut steps = Vec::new();
        for (piece, path) in self.all() {
            match contents.get(&piece) {
                Some(content) => steps.push(self.spec(piece, path, content).put(answers)?),
                None if drifted(piece) => steps.push(Step::SetAttributes {
                    path: path.clone(),
                    mode: Some(self.mode(piece)),
                    ownership: self.ownership(piece).clone(),
                }),
                None => {}
            }
        }
        Ok(steps)
    }
}

/// Asks for a certificate: it is public, and its names and dates are what is compared.
pub(crate) fn whole(path: &AbsPath) -> Ask {
    Ask::File { path: path.clone(), content: Wanted::Always }
}

/// What [`whole`] brought; nothing where there is no file.
pub(crate) fn content<'a>(path: &AbsPath, answers: &'a Answers) -> Result<&'a [u8], Undecided> {
    match answers.file(path, &Wanted::Always)? {
        FileState::Present { content: Some(content), .. } => Ok(content.as_slice()),
        _ => Ok(&[]),
    }
}
