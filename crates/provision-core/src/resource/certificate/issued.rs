//! A certificate that is made: by an authority, of the same plan or already on the host, or by itself.
//!
//! It is issued anew, with a new key, when it is not what is asked for, when its end is near, and when its authority is
//! another one. The rest of its files follow from it: they are put right without a new one.

use std::collections::BTreeMap;

use time::Duration;
use zeroize::Zeroizing;

use super::files::{Files, Piece, Standing, content, whole};
use super::shown::{
    Wish, chain, is_issued, pem, roots, served, show_differences, show_issue, show_wish, subjects, unmade,
};
use super::signer::{Authority, Signer};
use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::resource::{Context, Materials, Resource, Thing, Want};
use crate::step::Step;
use crate::x509::{
    self, CertificateInfo, Difference, Expiry, Found, KeyAlgorithm, LeafSpec, inspect, inspect_all, leaf_differences,
};

/// A certificate that is made.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) files: Files,
    pub(super) spec: LeafSpec,
    pub(super) renew_before: Duration,
    pub(super) authority: Option<Authority>,
    pub(super) existing: Existing,
}

/// What becomes of a certificate that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is to be what a new one would be.
    AsAsked,
    /// It stays while it does what it is for.
    KeptIfGood,
}

impl Resource for Issued {
    fn provides(&self) -> Vec<Thing> {
        self.files.provides()
    }

    fn objects(&self) -> Vec<Object> {
        self.files.objects()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let common_name = self.spec.subject_common_name();
        let wish = wish(&self.spec, common_name.as_ref()).wanted();
        wish.into_iter().chain([("is_ca", "false".into())]).chain(self.files.wanted()).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let authority = self.authority.iter().flat_map(Authority::wants);
        self.files.wants().into_iter().chain(authority).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.files.asks();
        asks.extend(self.files.asks_pair());
        asks.extend(self.authority.iter().flat_map(Authority::asks));
        for piece in [Piece::Leaf, Piece::Authorities] {
            asks.extend(self.files.extra(piece).map(whole));
        }
        if let Some(combined) = self.files.extra(Piece::Combined) {
            asks.push(Ask::File { path: combined.clone(), content: Wanted::Never });
            asks.push(Ask::Joined(self.files.parts_of_combined()));
        }
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { files, spec: _, renew_before: _, authority, existing: _ } = self;
        let standing = files.standing(answers)?;
        let signer = match authority {
            Some(authority) => authority.signer(answers, context)?,
            None => Signer::Itself,
        };
        let verdict = self.verdict(&standing, &signer, context)?;
        if let (Action::Keep, Some(certificate)) = (verdict.action, &verdict.before) {
            let mut change = Change::new(Action::Update);
            self.compare_rest(&mut change, certificate, &standing, &signer, answers)?;
            let signal = if change.attributes.is_empty() { Signal::None } else { Signal::Content };
            files.compare(&mut change, answers)?;
            if change.attributes.is_empty() {
                return Ok(Change::none());
            }
            files.require_parents(answers, context)?;
            return Ok(change.signals(signal));
        }
        if let Some(authority) = authority {
            authority.check(&signer, None, answers, context)?;
        }
        files.require_parents(answers, context)?;
        self.issue(verdict, &signer, answers, context)
    }

    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { files, spec, renew_before: _, authority, existing: _ } = self;
        let stale = stale(files, change);
        if stale.is_empty() {
            return files.write(&BTreeMap::new(), change, answers);
        }
        let key_is_needed = stale.iter().any(|piece| piece.has_key());
        let (certificate, key) = if is_issued(change) {
            let now = materials.now()?;
            let pair = match authority {
                None => x509::self_signed_leaf(spec, now),
                Some(authority) => x509::issue_leaf(spec, &authority.issuer(materials)?, now),
            };
            let pair = pair.map_err(|error| unmade(&error))?;
            (pair.certificate_pem.into_bytes(), Zeroizing::new(pair.key_pem.as_bytes().to_vec()))
        } else {
            let key = if key_is_needed { materials.file(&files.key)?.to_vec() } else { Vec::new() };
            (materials.file(&files.certificate)?.to_vec(), Zeroizing::new(key))
        };
        let leaf = inspect(&certificate).map_err(|error| unmade(&error))?;
        let mut path = vec![leaf];
        if let Some(authority) = authority {
            path.extend(authority.path(materials)?);
        }
        let mut contents = BTreeMap::new();
        for piece in stale {
            contents.insert(piece, self.content(piece, &path, &key)?);
        }
        files.write(&contents, change, answers)
    }

    fn reads(&self, change: &Change) -> Vec<AbsPath> {
        let Self { files, spec: _, renew_before: _, authority, existing: _ } = self;
        let stale = stale(files, change);
        if stale.is_empty() {
            return Vec::new();
        }
        if is_issued(change) {
            return authority.iter().flat_map(Authority::reads).collect();
        }
        // What is put right needs no signature, so the authority's key stays where it is.
        let mut reads = vec![files.certificate.clone()];
        reads.extend(authority.iter().map(|authority| authority.certificate.clone()));
        if stale.iter().any(|piece| piece.has_key()) {
            reads.push(files.key.clone());
        }
        reads
    }

    fn notice(&self, answers: &Answers, context: &Context<'_>) -> Option<String> {
        let authority = self.authority.as_ref()?;
        // Whoever is of this plan renews itself or speaks for itself.
        if context.provided(&Thing::Path(authority.certificate.clone())) {
            return None;
        }
        let Ok(Signer::Known(known)) = authority.signer(answers, context) else { return None };
        let left = known.certificate.not_after - context.now;
        (left > Duration::ZERO && left < self.renew_before).then(|| {
            format!(
                "its authority {} ends in {} days, at {}, and so does what it signs: renew it in time",
                known.certificate.called(),
                left.whole_days(),
                x509::timestamp(known.certificate.not_after)
            )
        })
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        self.files.attributes()
    }
}

/// What is to be done about the certificate, and why.
struct Verdict {
    action: Action,
    /// What is there, where it could be read.
    before: Option<CertificateInfo>,
    differences: Vec<Difference>,
    /// Why, besides the differences.
    reason: Option<String>,
}

impl Issued {
    /// Whether a certificate does what it is for although this of it is not what a new one would have.
    fn does(&self, attribute: &str, certificate: &CertificateInfo) -> bool {
        match attribute {
            "common_name" | "lifetime" => true,
            "names" => self.spec.names.as_set().is_subset(&certificate.names),
            // Without any it is for everything.
            "usages" => certificate.usages.is_empty() || self.spec.usages.names().is_subset(&certificate.usages),
            "key_type" => matches!(certificate.key, KeyAlgorithm::Known(_)),
            _ => false,
        }
    }

    fn verdict(&self, standing: &Standing<'_>, signer: &Signer, context: &Context<'_>) -> Result<Verdict, Undecided> {
        let verdict =
            |action, reason: Option<String>| Verdict { action, before: None, differences: Vec::new(), reason };
        match (standing.certificate, standing.key) {
            (None, None) => return Ok(verdict(Action::Create, None)),
            (None, Some(_)) => {
                let reason = "there is a private key without its certificate, as an apply leaves it that was cut short";
                return Ok(verdict(Action::Replace, Some(reason.to_owned())));
            }
            (Some(_), _) => {}
        }
        let key_sha256 = self.files.key_sha256(standing)?;
        let certificate = match inspect(standing.pem) {
            Ok(certificate) => certificate,
            Err(error) => {
                let reason = format!("what is there cannot be used: {}", chain(&error));
                return Ok(verdict(Action::Replace, Some(reason)));
            }
        };
        let found = Found { certificate: &certificate, key_sha256 };
        let expiry = Expiry { now: context.now, renew_before: self.renew_before };
        let (mut differences, mut reason) = match signer {
            Signer::Itself => (leaf_differences(&self.spec, found, None, expiry), None),
            Signer::Known(known) => (leaf_differences(&self.spec, found, Some(&known.certificate), expiry), None),
            // Who signs is not there yet; what is about the certificate alone can be told.
            Signer::Coming(_) => {
                let mut differences = leaf_differences(&self.spec, found, Some(&certificate), expiry);
                differences.retain(|difference| ABOUT_ITSELF.contains(&difference.attribute));
                (differences, Some("its authority is another one".to_owned()))
            }
        };
        if self.existing == Existing::KeptIfGood {
            differences.retain(|difference| !self.does(difference.attribute, &certificate));
        }
        if standing.key.is_none() {
            reason.get_or_insert_with(|| "its private key is gone".to_owned());
        }
        differences.sort();
        // Whatever differs, the key is new as well: nobody relies on the one that a leaf had.
        let same = differences.is_empty() && reason.is_none();
        let action = if same { Action::Keep } else { Action::Replace };
        Ok(Verdict { action, before: Some(certificate), differences, reason })
    }

    /// Compares what follows from a certificate that stays: its chain, and the files that have it in another form.
    fn compare_rest(
        &self,
        change: &mut Change,
        certificate: &CertificateInfo,
        standing: &Standing<'_>,
        signer: &Signer,
        answers: &Answers,
    ) -> Result<(), Undecided> {
        let (above, moves) = match signer {
            Signer::Known(known) => (known.path.as_slice(), known.moves),
            Signer::Itself | Signer::Coming(_) => (&[][..], false),
        };
        let mut path = vec![certificate.clone()];
        path.extend(above.iter().cloned());
        let found = inspect_all(standing.pem).unwrap_or_default();
        compare_chain(
            change,
            "chain",
            found.get(1..).unwrap_or_default(),
            served(&path).get(1..).unwrap_or_default(),
            moves,
        );
        if moves && !change.attributes.is_empty() {
            change.reasons.push("a certificate of the authorities above it is new".to_owned());
        }
        let (alone, roots) = (std::slice::from_ref(certificate), roots(&path));
        for (piece, wanted, moves) in [(Piece::Leaf, alone, false), (Piece::Authorities, roots.as_slice(), moves)] {
            let Some(file) = self.files.extra(piece) else { continue };
            if piece == Piece::Authorities {
                self.require_root(wanted)?;
            }
            let found = inspect_all(content(file, answers)?).unwrap_or_default();
            compare_chain(change, piece.name(), &found, wanted, moves);
        }
        if let Some(combined) = self.files.extra(Piece::Combined) {
            let joined = answers.joined(&self.files.parts_of_combined())?;
            let found = match answers.file(combined, &Wanted::Never)? {
                FileState::Present { sha256, .. } => Some(sha256),
                FileState::Absent => None,
            };
            let chain_changes = change.attributes.iter().any(|attribute| attribute.name == "chain");
            if chain_changes || found.is_none() || found != joined.as_ref() {
                change.differs(Piece::Combined.name(), found.map(|_| Shown::Secret), Shown::Secret);
            }
        }
        Ok(())
    }

    fn require_root(&self, roots: &[CertificateInfo]) -> Result<(), Undecided> {
        let (Some(authority), true) = (&self.authority, roots.is_empty()) else { return Ok(()) };
        Err(Undecided::with_help(
            format!("{} does not lead to a root, which clients could trust", authority.certificate),
            "add the certificates above it to that file, up to the root, or take `authorities` out",
        ))
    }

    fn issue(
        &self,
        verdict: Verdict,
        signer: &Signer,
        answers: &Answers,
        context: &Context<'_>,
    ) -> Result<Change, Undecided> {
        let common_name = self.spec.subject_common_name();
        if let (Signer::Known(known), Some(_)) = (signer, self.files.extra(Piece::Authorities)) {
            self.require_root(&roots(&known.path))?;
        }
        let Verdict { action, before, differences, reason } = verdict;
        let mut change = Change::new(action);
        change.reasons.extend(reason);
        if before.is_some() {
            show_differences(&mut change, &differences);
        } else {
            show_wish(&mut change, wish(&self.spec, common_name.as_ref()));
        }
        if matches!(signer, Signer::Itself) && action != Action::Create {
            change.reasons.push("everybody who trusts the old one must be told to trust the new one".to_owned());
        }
        let full = context.now.saturating_add(self.spec.lifetime.duration());
        show_issue(&mut change, before.as_ref(), signer.limit(full));
        self.files.compare(&mut change, answers)?;
        Ok(change.signals(Signal::Content))
    }

    /// What goes into a file. The first of the path is the certificate itself.
    fn content(&self, piece: Piece, path: &[CertificateInfo], key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Undecided> {
        let text = match piece {
            Piece::Key => return Ok(Zeroizing::new(key.to_vec())),
            Piece::Combined => {
                let mut text = Zeroizing::new(pem(&served(path))?.into_bytes());
                // Room for all of it at once: growing would leave a copy of the key behind.
                text.reserve_exact(key.len());
                text.extend_from_slice(key);
                return Ok(text);
            }
            Piece::Leaf => pem(path.get(..1).unwrap_or_default())?,
            Piece::Authorities => {
                let roots = roots(path);
                self.require_root(&roots)?;
                pem(&roots)?
            }
            Piece::Certificate => pem(&served(path))?,
        };
        Ok(Zeroizing::new(text.into_bytes()))
    }
}

/// The files whose content a change is about.
fn stale(files: &Files, change: &Change) -> Vec<Piece> {
    let says = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
    let all = files.all().into_iter().map(|(piece, _)| piece);
    if is_issued(change) {
        return all.collect();
    }
    all.filter(|piece| match piece {
        Piece::Certificate => says("chain"),
        Piece::Key => false,
        other => says(other.name()),
    })
    .collect()
}

/// Compares the certificates of a file; those that are to come are not known while one above is renewed.
fn compare_chain(
    change: &mut Change,
    name: &'static str,
    found: &[CertificateInfo],
    wanted: &[CertificateInfo],
    moves: bool,
) {
    let digests = |chain: &[CertificateInfo]| chain.iter().map(|one| one.sha256.clone()).collect::<Vec<_>>();
    if moves && !wanted.is_empty() {
        change.differs(name, subjects(found), Shown::Unknown);
    } else if digests(found) != digests(wanted) {
        change.differs(name, subjects(found), subjects(wanted));
    }
}

/// What a plan asks of a leaf, under this common name.
fn wish<'a>(spec: &LeafSpec, common_name: Option<&'a x509::SubjectText>) -> Wish<'a> {
    let LeafSpec { common_name: _, names, key_type, lifetime: _, usages } = spec;
    Wish {
        common_name: common_name.map(x509::SubjectText::as_str),
        organization: None,
        names: Some(listed(names.as_set())),
        usages: Some(listed(&usages.names())),
        key_type: key_type.to_string(),
        path_length: None,
    }
}

/// Differences that hold whoever signs.
const ABOUT_ITSELF: [&str; 6] = ["common_name", "is_ca", "key", "key_type", "names", "usages"];

fn listed<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
