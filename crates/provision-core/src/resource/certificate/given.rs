//! A certificate that somebody brings: read from beside the plan or from inputs, found good when the plan is read, and
//! put in place.
//!
//! Must never show a key or a passphrase; a key that is sent is one that the host is to keep.

use std::collections::BTreeMap;

use time::Duration;
use zeroize::Zeroizing;

use super::files::{Files, Piece, content, whole};
use super::shown::{identity, show_identity, subjects};
use super::term::window;
use crate::blob::sha256_hex;
use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::resource::{Context, Field, Materials, Resource, Setup, Thing, Want};
use crate::step::Step;
use crate::x509::{CertificateInfo, Given, GivenError, Part, Parts, Role, inspect, inspect_all, timestamp};

/// Fields that name files beside the plan.
pub(crate) const ASSETS: &[&str] = &["source", "chain_source", "key_source"];

/// Fields of a certificate that somebody brings.
pub(crate) const FIELDS: [Field; 7] = [
    Field {
        name: "source",
        takes: "file",
        required: false,
        doc: "A certificate of one's own: a file beside the plan in PEM, alone or followed by its chain. It and its key \
              are checked when the plan is read, and put in place as they are.",
    },
    Field { name: "content", takes: "text", required: false, doc: "The same as text, such as of an input." },
    Field {
        name: "chain_source",
        takes: "file",
        required: false,
        doc: "With a certificate of one's own: its chain where that is a file by itself, each followed by its issuer's.",
    },
    Field { name: "chain_content", takes: "text", required: false, doc: "The same as text." },
    Field {
        name: "key_source",
        takes: "file",
        required: false,
        doc: "With a certificate of one's own: its key in PEM: PKCS#8, also under a passphrase, `EC PRIVATE KEY` or `RSA \
              PRIVATE KEY`; ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.",
    },
    Field { name: "key_content", takes: "secret", required: false, doc: "The same as text of a secret input." },
    Field {
        name: "passphrase",
        takes: "secret",
        required: false,
        doc: "What that key is encrypted with, of a secret input; an empty one counts as none. On the host it is not \
              encrypted.",
    },
];

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

/// Whether a certificate is brought rather than made.
pub(crate) fn is_given(fields: &Fields<'_>) -> bool {
    FIELDS.iter().any(|field| fields.has(field.name))
}

/// Findings for fields that would say something of a certificate that is to be made.
pub(crate) fn refuse_wishes(fields: &Fields<'_>, names: &[&'static str]) {
    for name in names.iter().filter(|name| fields.raw(name).is_some()) {
        fields.problem(
            name,
            format!("`{name}` says nothing of a certificate that {} brings along", fields.label()),
            "take it out: what is given is as it is",
        );
    }
}

/// Reads the fields of [`FIELDS`]. None when there is a finding.
pub(crate) fn read_given(fields: &Fields<'_>, setup: &Setup<'_>, role: Role) -> Option<Given> {
    let certificate = one_of(fields, setup, "source", "content");
    let chain = one_of(fields, setup, "chain_source", "chain_content");
    let key = one_of(fields, setup, "key_source", "key_content");
    let passphrase = secret(fields, "passphrase");
    let lacks = |name: &str, other: &str, what: &str| {
        fields.problem(
            "",
            format!("{} lacks {what}: there is neither `{name}` nor `{other}`", fields.label()),
            format!("add `{name} = \"FILE\"`, a file beside the plan"),
        );
    };
    if !fields.has("source") && !fields.has("content") {
        lacks("source", "content", "the certificate");
    }
    if !fields.has("key_source") && !fields.has("key_content") {
        lacks("key_source", "key_content", "the key of its certificate");
    }
    let (certificate, chain, key) = (certificate?, chain?, key?);
    let passphrase = passphrase?.filter(|text| !text.is_empty());
    let parts = Parts {
        certificate: certificate.as_ref()?,
        chain: chain.as_ref().map(|text| text.as_slice()),
        key: key.as_ref()?,
        passphrase: passphrase.as_ref().map(|text| text.as_str()),
    };
    match Given::read(&parts, role) {
        Ok(given) => Some(given),
        Err(error) => {
            refuse(fields, &error);
            None
        }
    }
}

/// A finding at the field that has what is wrong.
pub(crate) fn refuse(fields: &Fields<'_>, error: &GivenError) {
    let names = match error.part {
        Part::Certificate => ["source", "content"],
        Part::Chain => ["chain_source", "chain_content"],
        Part::Key => ["key_source", "key_content"],
        Part::Passphrase => ["passphrase", "passphrase"],
    };
    let name = names.into_iter().find(|name| fields.has(name)).unwrap_or_default();
    fields.problem(name, format!("{}: {}", fields.label(), error.flaw), error.flaw.help());
}

type Bytes = Zeroizing<Vec<u8>>;

/// The bytes of a file beside the plan or of a text; none inside without either.
fn one_of(fields: &Fields<'_>, setup: &Setup<'_>, file: &'static str, text: &'static str) -> Option<Option<Bytes>> {
    let source: Option<String> = fields.optional(file);
    let content = if text == "key_content" { secret(fields, text) } else { plain(fields, text) };
    match (fields.has(file), fields.has(text)) {
        (false, false) => Some(None),
        (true, true) => {
            fields.problem(text, format!("{} has both `{file}` and `{text}`", fields.label()), "write one of them");
            None
        }
        (false, true) => Some(Some(Zeroizing::new(content??.as_bytes().to_vec()))),
        (true, false) => match setup.assets.blob(&source?) {
            Ok(blob) => match blob.bytes() {
                Some(bytes) => Some(Some(Zeroizing::new(bytes.to_vec()))),
                None => {
                    let message = format!("`{file}` of {} is far too large for PEM", fields.label());
                    fields.problem(file, message, "name the file with the certificate or key alone");
                    None
                }
            },
            Err(reason) => {
                fields.problem(file, reason, "a relative path starts at the plan's directory");
                None
            }
        },
    }
}

fn plain(fields: &Fields<'_>, name: &'static str) -> Option<Option<Zeroizing<String>>> {
    let text = fields.text(name);
    if !fields.has(name) {
        return Some(None);
    }
    Some(Some(Zeroizing::new(text?.expose().to_owned())))
}

/// Text of a secret input. In the plan itself everybody who reads the plan could read it.
fn secret(fields: &Fields<'_>, name: &'static str) -> Option<Option<Zeroizing<String>>> {
    let text = fields.text(name);
    if !fields.has(name) {
        return Some(None);
    }
    let text = text?;
    if !text.is_secret() && !text.expose().is_empty() {
        fields.problem(
            name,
            format!("`{name}` of {} is not secret: whoever reads the plan or its inputs sees it", fields.label()),
            format!("write `{name} = \"{{{{ input.NAME }}}}\"` and `secret = true` in [input.NAME]"),
        );
        return None;
    }
    Some(Some(Zeroizing::new(text.expose().to_owned())))
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

/// The certificate and its chain as a server shows them: without the root, which whoever trusts it has (RFC 8446
/// section 4.4.2).
pub(crate) fn served(path: &[CertificateInfo]) -> Vec<CertificateInfo> {
    let above = path.iter().skip(1).filter(|certificate| !certificate.is_self_signed());
    path.first().into_iter().chain(above).cloned().collect()
}

/// A text by its length and digest: nobody reads base64.
fn bytes(text: &[u8]) -> Shown {
    Shown::Bytes { length: text.len() as u64, sha256: sha256_hex(text) }
}

/// The root of a path, if it leads there.
pub(crate) fn roots(path: &[CertificateInfo]) -> Vec<CertificateInfo> {
    path.iter().filter(|certificate| certificate.is_self_signed()).cloned().collect()
}

/// Certificates one after another.
pub(crate) fn pem(certificates: &[CertificateInfo]) -> Result<String, Undecided> {
    certificates
        .iter()
        .map(CertificateInfo::pem)
        .collect::<Result<_, _>>()
        .map_err(|error| super::shown::unmade(&error))
}

#[cfg(test)]
mod tests;
