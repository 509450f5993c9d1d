//! The two files of a certificate: where they are, who may read them, and in which order they are written.
//!
//! Must never take a private key from its host to look at it: that it fits is told from its public half.

use std::fmt;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};

use crate::attribute::{Mode, Span};
use crate::blob::Blob;
use crate::change::{Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Entry, FileState, PathState, PublicKeyState, Sort, Undecided, Wanted};
use crate::resource::directory::{
    compare_ownership, compare_ownership_as, in_the_way, ownership, wanted_ownership, with_parent,
};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Setup, Target, Thing, Want};
use crate::step::{Ownership, Step};
use crate::x509::{self, CertificateInfo, Difference, Lifetime, Pair, timestamp};

/// Everybody may read a certificate: it is sent to whoever connects.
const CERTIFICATE_MODE: Mode = Mode::new(0o644);

/// Days in a [`Span`].
const DAY: u64 = 86_400;

/// Where the two files are and who may read them.
#[derive(Debug)]
pub(crate) struct PairFiles {
    pub(crate) directory: AbsPath,
    pub(crate) certificate: AbsPath,
    pub(crate) key: AbsPath,
    pub(crate) key_mode: KeyMode,
    pub(crate) ownership: Ownership,
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

/// What the host has of the two files.
pub(crate) struct Standing<'a> {
    pub(crate) certificate: Option<&'a Entry>,
    pub(crate) key: Option<&'a Entry>,
    /// What is in the certificate's file; empty without one.
    pub(crate) pem: &'a [u8],
    pub(crate) public_key: &'a PublicKeyState,
}

impl PairFiles {
    /// Reads `directory`, `certificate`, `key`, `owner` and `group`.
    pub(crate) fn read(fields: &Fields<'_>, setup: &Setup<'_>, key_mode: KeyMode) -> Option<Self> {
        let directory: Option<AbsPath> = fields.optional("directory");
        let certificate: Option<AbsPath> = fields.optional("certificate");
        let key: Option<AbsPath> = fields.optional("key");
        let ownership = ownership(fields);
        let named = fields.has("certificate") && fields.has("key");
        if !named && !fields.has("directory") {
            fields.problem(
                "",
                format!("{} does not say where its files are", fields.label()),
                "add `directory = ...`, or both `certificate = ...` and `key = ...`",
            );
            return None;
        }
        let name = setup.address.stem();
        let inside = |suffix: &str| directory.as_ref()?.join(&format!("{name}.{suffix}")).ok();
        let certificate = certificate.or_else(|| inside("crt"))?;
        let key = key.or_else(|| inside("key"))?;
        if certificate == key {
            fields.problem(
                "key",
                format!("{certificate} cannot hold the certificate and its key"),
                "give each a file of its own: everybody may read the certificate, and nobody the key",
            );
            return None;
        }
        let directory = directory.or_else(|| certificate.parent())?;
        Some(Self { directory, certificate, key, key_mode, ownership })
    }

    pub(crate) fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.certificate.clone()), Thing::Path(self.key.clone())]
    }

    /// The key is the first to be written.
    pub(crate) fn objects(&self) -> Vec<Object> {
        vec![Object::Path(self.key.clone()), Object::Path(self.certificate.clone())]
    }

    /// What [`PairFiles::compare`] shows as wanted.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let Self { directory: _, certificate: _, key: _, key_mode: KeyMode(key_mode), ownership } = self;
        let mut wanted = vec![("mode", CERTIFICATE_MODE.to_string().into()), ("key_mode", key_mode.to_string().into())];
        wanted.extend(wanted_ownership(["owner", "group"], ownership));
        wanted.extend(wanted_ownership(["key_owner", "key_group"], ownership));
        wanted
    }

    pub(crate) fn wants(&self) -> Vec<Want> {
        [&self.certificate, &self.key].map(|path| Want::after(Target::Parent(path.clone()))).to_vec()
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut asks = with_parent(&self.certificate);
        asks.extend(with_parent(&self.key));
        asks.push(whole(&self.certificate));
        asks.push(Ask::PublicKey(self.key.clone()));
        asks
    }

    pub(crate) fn attributes(&self) -> Vec<(&'static str, String)> {
        let Self { directory, certificate, key, key_mode: _, ownership: _ } = self;
        [("certificate", certificate), ("key", key), ("directory", directory)]
            .map(|(name, path)| (name, path.to_string()))
            .to_vec()
    }

    /// What is there now.
    pub(crate) fn standing<'a>(&self, answers: &'a Answers) -> Result<Standing<'a>, Undecided> {
        let entry = |path: &AbsPath| match answers.path(path)? {
            PathState::Present(entry) if entry.sort == Sort::File => Ok(Some(entry)),
            PathState::Present(entry) => Err(in_the_way(path, &entry.sort, "file")),
            PathState::Absent => Ok(None),
        };
        let (certificate, key) = (entry(&self.certificate)?, entry(&self.key)?);
        let pem = match answers.file(&self.certificate, &Wanted::Always)? {
            FileState::Present { content: Some(content), .. } => content.as_slice(),
            _ => &[],
        };
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

    /// Makes sure that both files can be written.
    pub(crate) fn require_parents(&self, answers: &Answers, context: &Context<'_>) -> Result<(), Undecided> {
        context.require_parent(&self.certificate, answers)?;
        context.require_parent(&self.key, answers)
    }

    /// Compares mode and owner of both files.
    pub(crate) fn compare(&self, change: &mut Change, standing: &Standing<'_>) {
        let Self { directory: _, certificate: _, key: _, key_mode: KeyMode(key_mode), ownership } = self;
        let mode = |entry: Option<&Entry>| entry.map(|entry| entry.mode.to_string());
        change.compare("mode", mode(standing.certificate), CERTIFICATE_MODE.to_string());
        compare_ownership(change, standing.certificate, ownership);
        change.compare("key_mode", mode(standing.key), key_mode.to_string());
        compare_ownership_as(change, ["key_owner", "key_group"], standing.key, ownership);
    }

    /// The steps that put a new pair in place.
    ///
    /// The key goes first: what is judged at the next run is the certificate, so whatever cuts the apply between the two
    /// leaves the old certificate, and with it the reason to make a new pair, even where nobody can look at the key.
    pub(crate) fn put(&self, pair: &Pair, answers: &Answers) -> Result<Vec<Step>, Undecided> {
        let KeyMode(mode) = self.key_mode;
        let key = FileSpec { secret: true, mode, ..self.file(&self.key, pair.key_pem.as_bytes()) };
        Ok(vec![key.put(answers)?, self.put_certificate(pair, answers)?])
    }

    /// The step that puts a new certificate in place under the key that is there.
    pub(crate) fn put_certificate(&self, pair: &Pair, answers: &Answers) -> Result<Step, Undecided> {
        self.file(&self.certificate, pair.certificate_pem.as_bytes()).put(answers)
    }

    fn file(&self, path: &AbsPath, content: &[u8]) -> FileSpec {
        let content = Blob::from_bytes(content.to_vec());
        let (mode, ownership) = (CERTIFICATE_MODE, self.ownership.clone());
        FileSpec { path: path.clone(), content, secret: false, mode, ownership, validate: Vec::new() }
    }

    /// The steps that set mode and owner of what has drifted, and of nothing else.
    pub(crate) fn settle(&self, change: &Change) -> Vec<Step> {
        let KeyMode(key_mode) = self.key_mode;
        let certificate = (&self.certificate, CERTIFICATE_MODE, ["mode", "owner", "group"]);
        let key = (&self.key, key_mode, KEY_ATTRIBUTES);
        [certificate, key]
            .into_iter()
            .filter(|(_, _, names)| change.attributes.iter().any(|attribute| names.contains(&attribute.name.as_ref())))
            .map(|(path, mode, _)| Step::SetAttributes {
                path: path.clone(),
                mode: Some(mode),
                ownership: self.ownership.clone(),
            })
            .collect()
    }

    /// The same for the key alone.
    pub(crate) fn settle_key(&self, change: &Change) -> Vec<Step> {
        let attributes = change.attributes.iter().filter(|attribute| KEY_ATTRIBUTES.contains(&attribute.name.as_ref()));
        let change = Change { attributes: attributes.cloned().collect(), ..change.clone() };
        self.settle(&change)
    }
}

const KEY_ATTRIBUTES: [&str; 3] = ["key_mode", "key_owner", "key_group"];

/// Asks for a certificate: it is public, and its names and dates are what is compared.
pub(crate) fn whole(path: &AbsPath) -> Ask {
    Ask::File { path: path.clone(), content: Wanted::Always }
}

/// Whether a change of this module's making brings a new certificate, and not only mode and owner.
pub(crate) fn is_issued(change: &Change) -> bool {
    change.signal > Signal::None
}

/// What is asked of a certificate, as its change shows it.
pub(crate) struct Wish<'a> {
    pub(crate) common_name: Option<&'a str>,
    pub(crate) organization: Option<&'a str>,
    pub(crate) names: Option<String>,
    pub(crate) usages: Option<String>,
    pub(crate) key_type: String,
}

impl Wish<'_> {
    /// What is asked for, under its names.
    pub(crate) fn wanted(self) -> Vec<(&'static str, Shown)> {
        let Self { common_name, organization, names, usages, key_type } = self;
        let all = [
            ("common_name", common_name.into()),
            ("organization", organization.into()),
            ("names", names.into()),
            ("usages", usages.into()),
            ("key_type", key_type.into()),
        ];
        all.into_iter().filter(|(_, shown)| *shown != Shown::Absent).collect()
    }
}

/// Shows a certificate that is to be made where there is none that could be read.
pub(crate) fn show_wish(change: &mut Change, wish: Wish<'_>) {
    wish.wanted().into_iter().for_each(|(name, shown)| change.compare(name, Shown::Absent, shown));
}

/// Shows how a certificate that is there differs, and why it is made anew.
pub(crate) fn show_differences(change: &mut Change, differences: &[Difference]) {
    for Difference { attribute, before, after, reason, consequence: _ } in differences {
        change.reasons.push(reason.clone());
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        match *attribute {
            // The end is shown in any case.
            "not_after" | "not_before" | "lifetime" => {}
            // Both sides are digests of public keys, and the one to come is not made yet.
            "key" => change.differs("public_key", text(before), Shown::Unknown),
            name => change.differs(name, text(before), text(after)),
        }
    }
}

/// Shows what every new certificate has of its own. Without an end it is for the authority to say.
pub(crate) fn show_issue(change: &mut Change, before: Option<&CertificateInfo>, end: Option<OffsetDateTime>) {
    let after = end.map_or(Shown::Unknown, |end| Shown::Text(timestamp(end)));
    change.differs(NOT_AFTER, before.map(|certificate| timestamp(certificate.not_after)), after);
    change.differs("serial", before.map(|certificate| certificate.serial.clone()), Shown::Unknown);
    change.differs("fingerprint", before.map(|certificate| certificate.sha256.clone()), Shown::Unknown);
}

const NOT_AFTER: &str = "not_after";

/// The end of the certificate that a change brings, as [`show_issue`] has put it there.
pub(crate) fn end_of(change: &Change) -> Option<OffsetDateTime> {
    let attribute = change.attributes.iter().find(|attribute| attribute.name == NOT_AFTER)?;
    let Shown::Text(text) = &attribute.after else { return None };
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

/// A whole number of days, written as a [`Span`].
struct Days(u32);

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<Span>()?.duration().as_secs();
        let days = u32::try_from(seconds / DAY).ok().filter(|_| seconds % DAY == 0);
        days.map(Self).ok_or_else(|| "certificates are counted in whole days, such as \"397d\"".to_owned())
    }
}

/// Reads `lifetime` and `renew_before`; `window` is when to renew unless told otherwise.
pub(crate) fn lifetime(
    fields: &Fields<'_>,
    usual: Lifetime,
    window: fn(Lifetime) -> Duration,
) -> Option<(Lifetime, Duration)> {
    let asked: Option<Days> = fields.optional("lifetime");
    let before: Option<Days> = fields.optional("renew_before");
    let refuse = |name: &str, error: &dyn fmt::Display| {
        fields.problem(name, format!("`{name}` of {} does not fit", fields.label()), error.to_string());
    };
    let lifetime = match asked.map(|Days(days)| Lifetime::from_days(days)) {
        None => usual,
        Some(Ok(lifetime)) => lifetime,
        Some(Err(error)) => {
            refuse("lifetime", &error);
            return None;
        }
    };
    match before.map(|Days(days)| lifetime.window_of_days(days)) {
        None => Some((lifetime, window(lifetime))),
        Some(Ok(window)) => Some((lifetime, window)),
        Some(Err(error)) => {
            refuse("renew_before", &error);
            None
        }
    }
}

/// What made a certificate impossible, with what lies behind it.
pub(crate) fn unmade(error: &x509::Error) -> Undecided {
    Undecided::new(chain(error))
}

/// An error with all that lies behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
