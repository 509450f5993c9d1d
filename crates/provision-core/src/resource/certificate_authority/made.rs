//! An authority that is made on its host once and then kept: a root, or one that another authority vouches for.

use std::collections::BTreeMap;

use time::Duration;
use zeroize::Zeroizing;

use crate::change::{Action, Change, Shown, Signal};
use crate::ledger::STAYS;
use crate::object::Object;
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::certificate::files::{Files, Piece, Standing};
use crate::resource::certificate::shown::{
    Wish, chain, is_issued, pem, show_differences, show_issue, show_wish, subjects, unmade,
};
use crate::resource::certificate::signer::{Authority, Signer};
use crate::resource::{Context, Materials, Resource, Thing, Want};
use crate::step::Step;
use crate::x509::{
    self, AuthoritySpec, CertificateInfo, Consequence, Difference, Expiry, Found, IssuerPem, SubjectText,
    authority_differences, inspect, inspect_all,
};

/// An authority that is made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) files: Files,
    pub(super) spec: AuthoritySpec,
    pub(super) renew_before: Duration,
    pub(super) authority: Option<Authority>,
    /// Whether it is data when it leaves.
    pub(super) stays: bool,
}

impl Resource for Made {
    fn provides(&self) -> Vec<Thing> {
        self.files.provides()
    }

    fn objects(&self) -> Vec<Object> {
        self.files.objects()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let stays = self.stays.then(|| (STAYS, "true".into()));
        self.wish()
            .wanted()
            .into_iter()
            .chain([("is_ca", "true".into())])
            .chain(self.files.wanted())
            .chain(stays)
            .collect()
    }

    fn wants(&self) -> Vec<Want> {
        self.files.wants().into_iter().chain(self.authority.iter().flat_map(Authority::wants)).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let authority = self.authority.iter().flat_map(Authority::asks);
        self.files.asks().into_iter().chain(self.files.asks_pair()).chain(authority).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { files, spec: _, renew_before: _, authority, stays: _ } = self;
        let standing = files.standing(answers)?;
        let signer = match authority {
            Some(authority) => authority.signer(answers, context)?,
            None => Signer::Itself,
        };
        let change = match (standing.certificate, standing.key) {
            (None, None) => self.creation(&signer, answers, context)?,
            (Some(_), Some(_)) => self.difference(&standing, &signer, answers, context)?,
            (Some(_), None) => return Err(self.lone(&files.certificate, "its key", &files.key)),
            // Nobody has seen that key's certificate yet; and a copy of the key is kept on the host.
            (None, Some(_)) if context.unfinished => {
                let mut change = self.creation(&signer, answers, context)?;
                change.reasons.push(
                    "there is a key without its certificate, as an apply leaves it that was cut short".to_owned(),
                );
                change
            }
            (None, Some(_)) => return Err(self.lone(&files.key, "its certificate", &files.certificate)),
        };
        if is_issued(&change) {
            if let Some(authority) = authority {
                authority.check(&signer, Some(self.spec.path_length), answers, context)?;
            }
            files.require_parents(answers, context)?;
        }
        Ok(change)
    }

    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { files, spec, renew_before: _, authority, stays: _ } = self;
        let mut contents = BTreeMap::new();
        if change.signal == Signal::None {
            return files.write(&contents, change, answers);
        }
        let certificate = if is_issued(change) {
            let now = materials.now()?;
            let issuer = authority.as_ref().map(|authority| authority.issuer(materials)).transpose()?;
            let pair = if change.action == Action::Update {
                let (certificate_pem, key_pem) = (materials.file(&files.certificate)?, materials.file(&files.key)?);
                x509::renew_authority(spec, &IssuerPem { certificate_pem, key_pem }, issuer.as_ref(), now)
            } else {
                match &issuer {
                    Some(issuer) => x509::issue_authority(spec, issuer, now),
                    None => x509::generate_authority(spec, now),
                }
            };
            let pair = pair.map_err(|error| unmade(&error))?;
            if change.action != Action::Update {
                contents.insert(Piece::Key, Zeroizing::new(pair.key_pem.as_bytes().to_vec()));
            }
            pair.certificate_pem.into_bytes()
        } else {
            materials.file(&files.certificate)?.to_vec()
        };
        let mut path = vec![inspect(&certificate).map_err(|error| unmade(&error))?];
        if let Some(authority) = authority {
            path.extend(authority.path(materials)?);
        }
        contents.insert(Piece::Certificate, Zeroizing::new(pem(&path)?.into_bytes()));
        files.write(&contents, change, answers)
    }

    fn reads(&self, change: &Change) -> Vec<AbsPath> {
        let Self { files, spec: _, renew_before: _, authority, stays: _ } = self;
        let own = [files.certificate.clone(), files.key.clone()];
        let above = authority.iter().flat_map(Authority::reads);
        match (change.signal, is_issued(change), change.action) {
            (Signal::None, ..) => Vec::new(),
            (_, true, Action::Update) => own.into_iter().chain(above).collect(),
            (_, true, _) => above.collect(),
            // The chain alone needs no signature, so no key travels.
            (_, false, _) => own.into_iter().take(1).chain(above.take(1)).collect(),
        }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        self.files.attributes()
    }
}

impl Made {
    fn wish(&self) -> Wish<'_> {
        let AuthoritySpec { common_name, organization, key_type, lifetime: _, path_length } = &self.spec;
        Wish {
            common_name: Some(common_name.as_str()),
            organization: organization.as_ref().map(SubjectText::as_str),
            names: None,
            usages: None,
            key_type: key_type.to_string(),
            path_length: Some(path_length.to_string()),
        }
    }

    fn creation(&self, signer: &Signer, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let mut change = Change::new(Action::Create);
        show_wish(&mut change, self.wish());
        show_issue(&mut change, None, signer.limit(context.now.saturating_add(self.spec.lifetime.duration())));
        self.files.compare(&mut change, answers)?;
        Ok(change.signals(Signal::Content))
    }

    fn difference(
        &self,
        standing: &Standing<'_>,
        signer: &Signer,
        answers: &Answers,
        context: &Context<'_>,
    ) -> Result<Change, Undecided> {
        let Self { files, spec, renew_before, authority: _, stays: _ } = self;
        let all = inspect_all(standing.pem).map_err(|error| self.unusable(&chain(&error)))?;
        let Some((certificate, above)) = all.split_first() else { return Err(self.unusable("it is empty")) };
        let found = Found { certificate, key_sha256: files.key_sha256(standing)? };
        let expiry = Expiry { now: context.now, renew_before: *renew_before };
        let (differences, new_signer) = match signer {
            Signer::Itself => (authority_differences(spec, found, None, expiry), false),
            Signer::Known(known) => (authority_differences(spec, found, Some(&known.certificate), expiry), false),
            // Who signs is not there yet; what is about the certificate alone can be told.
            Signer::Coming(_) => {
                let mut differences = authority_differences(spec, found, Some(certificate), expiry);
                differences.retain(|difference| ABOUT_ITSELF.contains(&difference.attribute));
                (differences, true)
            }
        };
        self.check_own(&differences, context)?;
        let worst = differences.iter().map(|difference| difference.consequence).max();
        let Some(consequence) = worst.or(new_signer.then_some(Consequence::Renew)) else {
            return self.settled(above, signer, answers);
        };
        let (action, sequel) = match consequence {
            Consequence::Renew => (Action::Update, "it keeps its name and key: what it signed stays good"),
            // Those who trust the root above it need not be told; what it signed is signed anew in the same apply.
            Consequence::Replace if self.authority.is_some() => {
                (Action::Replace, "what it signed is to be signed anew")
            }
            Consequence::Replace => {
                (Action::Replace, "everybody who trusts the old one must be told to trust the new one")
            }
        };
        let mut change = Change::new(action);
        show_differences(&mut change, &differences);
        if new_signer {
            change.reasons.push("its authority is another one".to_owned());
        }
        change.reasons.push(sequel.to_owned());
        let full = context.now.saturating_add(spec.lifetime.duration());
        show_issue(&mut change, Some(certificate), signer.limit(full));
        files.compare(&mut change, answers)?;
        Ok(change.signals(Signal::Content))
    }

    /// What is to be done about one that stays: the certificates above it belong into its file, too.
    fn settled(&self, above: &[CertificateInfo], signer: &Signer, answers: &Answers) -> Result<Change, Undecided> {
        let mut change = Change::new(Action::Update);
        let (wanted, moves) = match signer {
            Signer::Known(known) => (known.path.as_slice(), known.moves),
            Signer::Itself | Signer::Coming(_) => (&[][..], false),
        };
        let digests = |chain: &[CertificateInfo]| chain.iter().map(|one| one.sha256.clone()).collect::<Vec<_>>();
        if moves {
            change.differs("chain", subjects(above), Shown::Unknown);
            change.reasons.push("a certificate of the authorities above it is new".to_owned());
        } else if self.authority.is_some() && digests(above) != digests(wanted) {
            change.differs("chain", subjects(above), subjects(wanted));
        }
        let signal = if change.attributes.is_empty() { Signal::None } else { Signal::Content };
        self.files.compare(&mut change, answers)?;
        Ok(if change.attributes.is_empty() { Change::none() } else { change.signals(signal) })
    }

    /// Refuses what nobody can have meant: that an authority from elsewhere goes, or one whose key is another.
    fn check_own(&self, differences: &[Difference], context: &Context<'_>) -> Result<(), Undecided> {
        let with = |name: &str| differences.iter().find(|difference| difference.attribute == name);
        // Whoever vouches for it may be another one than before, unless it should vouch for itself.
        let issuer = with("issuer").filter(|_| self.authority.is_none());
        if let Some(foreign) = with("is_ca").or(issuer) {
            return Err(self.unusable(&foreign.reason));
        }
        // A change that the plan asks for takes a new key anyway.
        let asked = differences
            .iter()
            .any(|difference| difference.consequence == Consequence::Replace && difference.attribute != "key");
        // An apply that was cut between the two files has brought a new key already: the pair is made once more.
        match with("key").filter(|_| !asked && !context.unfinished) {
            Some(stranger) => Err(Undecided::with_help(
                format!("{}: {}", self.files.key, stranger.reason),
                format!(
                    "put the key of {} back from a copy, or remove both files to make a new authority, which everybody \
                     must then be told to trust",
                    self.files.certificate
                ),
            )),
            None => Ok(()),
        }
    }

    fn unusable(&self, reason: &str) -> Undecided {
        let Files { certificate, key, .. } = &self.files;
        Undecided::with_help(
            format!("{certificate} on the host is not this authority's: {reason}"),
            format!("choose another path, or remove {certificate} and {key} if nobody relies on them"),
        )
    }

    /// One file without the other may be half of somebody's authority, so neither is made anew beside it.
    fn lone(&self, there: &AbsPath, what: &str, missing: &AbsPath) -> Undecided {
        Undecided::with_help(
            format!("{there} is on the host, but {what} {missing} is not"),
            format!(
                "put {missing} back from a copy; or remove {there} to make a new authority, which everybody must then \
                 be told to trust"
            ),
        )
    }
}

/// Differences that hold whoever signs.
const ABOUT_ITSELF: [&str; 6] = ["common_name", "is_ca", "key", "key_type", "organization", "path_length"];

#[cfg(test)]
mod tests;
