//! Whoever signs: an authority on the host, in the plan or not, as far as it is known before an apply.

use time::OffsetDateTime;

use super::files::{content, whole};
use super::shown::{chain, end_of};
use crate::change::{Action, Change, Shown, Signal};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Entry, PathState, Sort, Undecided};
use crate::resource::{Context, Materials, Target, Thing, Want};
use crate::x509::{self, CertificateInfo, IssuerPem, inspect_all};

/// The files of whoever signs.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) certificate: AbsPath,
    pub(crate) key: AbsPath,
}

/// Whoever signs, as far as it is known beforehand.
pub(crate) enum Signer {
    /// The certificate itself.
    Itself,
    /// An authority that stays, or is renewed under its name and key.
    Known(Box<Known>),
    /// An authority that this apply makes; its end, where that is known.
    Coming(Option<OffsetDateTime>),
}

/// An authority that is there.
pub(crate) struct Known {
    /// Its certificate; where it is renewed, with the end that it will have.
    pub(crate) certificate: CertificateInfo,
    /// It, followed by those that lead towards its root.
    pub(crate) path: Vec<CertificateInfo>,
    /// Whether its own certificate is renewed by this apply.
    renewed: bool,
    /// Whether any of the certificates in its file is.
    pub(crate) moves: bool,
}

impl Signer {
    /// The end of the one who signs, where it has one.
    pub(crate) fn end(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Itself => None,
            Self::Known(known) => Some(known.certificate.not_after),
            Self::Coming(end) => *end,
        }
    }

    /// When a certificate ends that would end then by itself; none where only the apply can tell.
    pub(crate) fn limit(&self, full: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Coming(None) => None,
            _ => Some(self.end().map_or(full, |end| end.min(full))),
        }
    }
}

impl Authority {
    /// Reads `authority` and `authority_key`; none inside when it is to be self-signed.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Option<Self>> {
        let certificate = fields.optional("authority");
        let key = fields.optional("authority_key");
        let missing = match (fields.has("authority"), fields.has("authority_key")) {
            (false, false) => return Some(None),
            (true, true) => return Some(Some(Self { certificate: certificate?, key: key? })),
            (true, false) => "authority_key",
            (false, true) => "authority",
        };
        let attribute = if missing == "authority" { "certificate" } else { "key" };
        fields.problem(
            "",
            format!("{} has only half of its authority: it lacks `{missing}`", fields.label()),
            format!("add `{missing} = \"{{{{ certificate_authority.NAME.{attribute} }}}}\"`, or the path on the host"),
        );
        None
    }

    /// A finding when one of its files is among those of the certificate that it is to sign.
    pub(crate) fn check_apart<'a>(
        &self,
        fields: &Fields<'_>,
        mut files: impl Iterator<Item = &'a AbsPath>,
    ) -> Option<()> {
        if !files.any(|path| *path == self.certificate || *path == self.key) {
            return Some(());
        }
        fields.problem(
            "authority",
            format!("{} would overwrite its own authority", fields.label()),
            "give the two files other paths than the authority's",
        );
        None
    }

    pub(crate) fn wants(&self) -> Vec<Want> {
        vec![
            Want::uses(Target::Thing(Thing::Path(self.certificate.clone()))),
            Want::after(Target::Thing(Thing::Path(self.key.clone()))),
        ]
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        vec![Ask::Path(self.certificate.clone()), whole(&self.certificate), Ask::Path(self.key.clone())]
    }

    /// What to read from the host for a signature.
    pub(crate) fn reads(&self) -> Vec<AbsPath> {
        vec![self.certificate.clone(), self.key.clone()]
    }

    pub(crate) fn issuer<'a>(&self, materials: &'a Materials) -> Result<IssuerPem<'a>, Undecided> {
        let (certificate_pem, key_pem) = (materials.file(&self.certificate)?, materials.file(&self.key)?);
        Ok(IssuerPem { certificate_pem, key_pem })
    }

    /// It, followed by those that lead towards its root, once its file is as it will be.
    pub(crate) fn path(&self, materials: &Materials) -> Result<Vec<CertificateInfo>, Undecided> {
        let all = inspect_all(materials.file(&self.certificate)?).map_err(|error| self.no_authority(&error))?;
        Ok(x509::path(&all))
    }

    /// What is known of it.
    pub(crate) fn signer(&self, answers: &Answers, context: &Context<'_>) -> Result<Signer, Undecided> {
        let path = &self.certificate;
        let upstream = self.upstream(context);
        let (renewed, moves) = match upstream.map(|change| (change, end_of(change))) {
            None => (None, false),
            // What a command does to a file is known once it has run: until then what is there counts.
            Some((change, _)) if change.action == Action::Run => (None, false),
            // Whatever else brings a file may change it wholly.
            Some((change, _)) if has(change, "content") || has(change, "target") => return Ok(Signer::Coming(None)),
            // An authority says when its new certificate ends, unless that is when the old one does.
            Some((change, end)) if change.action == Action::Update => {
                (end, end.is_some() || has(change, "fingerprint") || has(change, "chain"))
            }
            Some((_, end)) => return Ok(Signer::Coming(end)),
        };
        let pem = content(path, answers)?;
        if answers.path(path)?.entry().is_none_or(|entry| entry.sort != Sort::File) {
            return Err(if upstream.is_some() { too_early(path) } else { absent(path, answers.path(path)?) });
        }
        let all = inspect_all(pem).map_err(|error| self.no_authority(&error))?;
        let path = x509::path(&all);
        let Some(mut certificate) = path.first().cloned() else {
            return Err(Undecided::new(format!("{} has no certificate", self.certificate)));
        };
        certificate.not_after = renewed.unwrap_or(certificate.not_after);
        Ok(Signer::Known(Box::new(Known { certificate, path, renewed: renewed.is_some(), moves })))
    }

    /// What this apply does to its certificate.
    pub(crate) fn upstream<'a>(&self, context: &'a Context<'_>) -> Option<&'a Change> {
        let thing = Thing::Path(self.certificate.clone());
        context.upstream(&thing).filter(|change| change.signal > Signal::None)
    }

    /// Makes sure that it can sign, as far as that is known: finding it out on the way would be late. With a path length
    /// what it signs is an authority.
    pub(crate) fn check(
        &self,
        signer: &Signer,
        path_length: Option<u8>,
        answers: &Answers,
        context: &Context<'_>,
    ) -> Result<(), Undecided> {
        self.check_length(signer, path_length, context)?;
        let Signer::Known(known) = signer else { return Ok(()) };
        let Self { certificate, key } = self;
        if !known.renewed {
            x509::check_may_issue(&known.certificate, context.now).map_err(|error| {
                let help = "a certificate_authority that the plan manages is renewed in time";
                Undecided::with_help(format!("{certificate}: {}", chain(&error)), help)
            })?;
        }
        // Either it comes before, or it stays on this side and is brought along.
        let coming = context.provided(&Thing::Path(key.clone()));
        match answers.path(key)? {
            PathState::Present(Entry { sort: Sort::File | Sort::Link(_), .. }) => Ok(()),
            PathState::Present(entry) => Err(Undecided::new(format!("{key} is a {}, not a key", entry.sort.name()))),
            PathState::Absent if coming => Ok(()),
            PathState::Absent => Err(Undecided::with_help(
                format!("the authority's key {key} is not on the host, and there is something to sign"),
                "put it there for this apply",
            )),
        }
    }

    /// Whether it allows an authority below it.
    fn check_length(&self, signer: &Signer, path_length: Option<u8>, context: &Context<'_>) -> Result<(), Undecided> {
        let Some(path_length) = path_length else { return Ok(()) };
        // What changes says what it is going to be.
        let upstream = self.upstream(context).into_iter().flat_map(|change| &change.attributes);
        let coming =
            upstream.filter(|attribute| attribute.name == "path_length").find_map(|length| match &length.after {
                Shown::Text(text) => text.parse().ok(),
                _ => None,
            });
        let (subject, allowed) = match signer {
            Signer::Known(known) => (known.certificate.called(), coming.or(known.certificate.path_length)),
            Signer::Itself | Signer::Coming(_) => (self.certificate.as_str(), coming),
        };
        x509::allows(subject, allowed, path_length).map_err(|error| {
            let help = format!(
                "set `path_length = {}` or more in the certificate_authority above",
                u32::from(path_length) + 1
            );
            Undecided::with_help(chain(&error), help)
        })
    }

    fn no_authority(&self, error: &x509::Error) -> Undecided {
        Undecided::new(format!("{} is not the certificate of an authority: {}", self.certificate, chain(error)))
    }
}

fn has(change: &Change, name: &str) -> bool {
    change.attributes.iter().any(|attribute| attribute.name == name)
}

/// The answer to an authority that a command makes.
fn too_early(path: &AbsPath) -> Undecided {
    Undecided::with_help(
        format!("the authority's certificate {path} is only made by a command of this apply"),
        "let a plan of its own make the authority, and apply that first",
    )
}

/// The answer to an authority whose certificate cannot be had.
fn absent(path: &AbsPath, state: &PathState) -> Undecided {
    match state.entry().map(|entry| &entry.sort) {
        Some(Sort::Link(target)) => Undecided::with_help(
            format!("the authority's certificate {path} is a link on the host"),
            format!("name the file that it leads to: {target}"),
        ),
        Some(other) => Undecided::new(format!("{path} is a {}, not a certificate", other.name())),
        None => Undecided::with_help(
            format!("the authority's certificate {path} is not on the host, and the plan does not make it"),
            "add a certificate_authority resource, or put the authority's files there",
        ),
    }
}
