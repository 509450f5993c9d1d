//! A certificate that somebody brings, with its chain and its key: read, put together, and found good or refused.
//!
//! Must never say anything of the key but the digest of its public half, and never look at the time by itself.

use std::fmt;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::error::Error;
use super::flaw::{Flaw, GivenError, Part};
use super::inspect::{CertificateInfo, inspect_all};
use super::key::{self, Protection};
use super::san::San;
use super::spec::{Names, Usages};
use super::{chain, pem};
use crate::blob::sha256_hex;

/// What somebody brings, as files hold it.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// PEM: the certificate, and maybe its chain.
    pub certificate: &'a [u8],
    /// PEM: what follows it, where that is in a file of its own.
    pub chain: Option<&'a [u8]>,
    /// PEM: its key, in PKCS#8, SEC1 or PKCS#1.
    pub key: &'a [u8],
    /// What the key is encrypted with.
    pub passphrase: Option<&'a str>,
}

impl fmt::Debug for Parts<'_> {
    // Holds a private key and a passphrase.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What a server or a client shows.
    Leaf,
    /// What signs others.
    Authority,
}

/// A certificate whose key fits, followed by those that lead towards the root.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Never empty.
    certificates: Vec<CertificateInfo>,
    key_pem: Zeroizing<String>,
}

impl fmt::Debug for Given {
    // Holds a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl Given {
    /// Reads it and finds it good, but for the time.
    ///
    /// # Errors
    /// When a part cannot be read, the key is another's, the chain is no chain, or it is not what it is to be.
    pub fn read(parts: &Parts<'_>, role: Role) -> Result<Self, GivenError> {
        let Parts { certificate, chain, key, passphrase } = parts;
        let above = if chain.is_some() { Part::Chain } else { Part::Certificate };
        let at = |part: Part| move |flaw: Flaw| GivenError { part, flaw };
        let unreadable = |part: Part| move |error: Error| GivenError { part, flaw: Flaw::Unreadable(error) };
        let mut certificates = inspect_all(certificate).map_err(unreadable(Part::Certificate))?;
        if let Some(chain) = chain {
            certificates.extend(inspect_all(chain).map_err(unreadable(Part::Chain))?);
        }
        // Before the key is read, which cannot be if it is too short.
        for (height, certificate) in certificates.iter().enumerate() {
            let part = if height == 0 { Part::Certificate } else { above };
            check_strength(certificate).map_err(at(part))?;
        }
        let (key_pem, key_sha256) = read_key(key, *passphrase)?;
        check_first(&certificates, &key_sha256, role)?;
        chain::check(&certificates).map_err(at(above))?;
        Ok(Self { certificates, key_pem })
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateInfo> {
        self.certificates.first()
    }

    /// It and what follows.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.certificates
    }

    /// Its key in PKCS#8, without a passphrase.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Whether clients that look for these names accept it (RFC 9525: subject alternative names alone count).
    ///
    /// # Errors
    /// When one is missing.
    pub fn check_names(&self, names: &Names) -> Result<(), GivenError> {
        let Some(certificate) = self.certificate() else { return Ok(()) };
        let missing: Vec<San> = names.as_set().iter().filter(|name| !certificate.covers(name)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let named = certificate.names.iter().map(ToString::to_string);
        let has: Vec<String> = named.chain(certificate.other_names.iter().cloned()).collect();
        let common_name = certificate.common_name.clone().filter(|common| {
            has.is_empty() && missing.iter().any(|name| name.to_string().eq_ignore_ascii_case(common))
        });
        Err(GivenError { part: Part::Certificate, flaw: Flaw::NotCovered { missing, has, common_name } })
    }

    /// Whether it is for what it is to be used for. One that does not say is for anything (RFC 5280 section 4.2.1.12).
    ///
    /// # Errors
    /// When it is for something else.
    pub fn check_usages(&self, usages: Usages) -> Result<(), GivenError> {
        let Some(certificate) = self.certificate() else { return Ok(()) };
        let has = &certificate.usages;
        let missing: Vec<String> = usages.names().difference(has).cloned().collect();
        if missing.is_empty() || has.is_empty() || has.contains("any") {
            return Ok(());
        }
        let flaw = Flaw::OtherUsages { has: has.iter().cloned().collect(), missing };
        Err(GivenError { part: Part::Certificate, flaw })
    }

    /// Whether it and all that follows it is valid at a time.
    ///
    /// # Errors
    /// When one is not valid any more, or not yet.
    pub fn check_time(&self, now: OffsetDateTime) -> Result<(), Flaw> {
        for certificate in &self.certificates {
            let (subject, not_before, not_after) =
                (certificate.called().to_owned(), certificate.not_before, certificate.not_after);
            if not_after <= now {
                return Err(Flaw::Expired { subject, not_after });
            }
            if not_before > now {
                return Err(Flaw::NotYetValid { subject, not_before, now });
            }
        }
        Ok(())
    }
}

/// The key in PKCS#8, and the digest of its public half.
fn read_key(text: &[u8], passphrase: Option<&str>) -> Result<(Zeroizing<String>, String), GivenError> {
    let refuse = |part: Part, flaw: Flaw| GivenError { part, flaw };
    let count = pem::count_private_keys(text);
    if count > 1 {
        return Err(refuse(Part::Key, Flaw::SeveralKeys(count)));
    }
    let (key, protection) = key::read_under(text, passphrase).map_err(|error| match error {
        Error::EncryptedKey => refuse(Part::Key, Flaw::PassphraseMissing),
        Error::WrongPassphrase => refuse(Part::Passphrase, Flaw::PassphraseWrong),
        other => refuse(Part::Key, Flaw::Unreadable(other)),
    })?;
    if protection == Protection::None && passphrase.is_some() {
        return Err(refuse(Part::Passphrase, Flaw::PassphraseUnused));
    }
    let pem = key::canonical(key.serialized_der())
        .and_then(|der| pem::write_private_key(&der))
        .map_err(|source| refuse(Part::Key, Flaw::Unreadable(Error::Key(source))))?;
    Ok((pem, sha256_hex(&rcgen::PublicKeyData::subject_public_key_info(&*key))))
}

/// Whether the first is the one that the key belongs to, and what it is to be.
fn check_first(certificates: &[CertificateInfo], key_sha256: &str, role: Role) -> Result<(), GivenError> {
    let Some(first) = certificates.first() else { return Ok(()) };
    let (subject, part) = (first.called().to_owned(), Part::Certificate);
    if first.public_key_sha256 != key_sha256 {
        let flaw = match certificates.iter().find(|other| other.public_key_sha256 == key_sha256) {
            Some(leaf) => Flaw::LeafNotFirst { first: subject, leaf: leaf.called().to_owned() },
            None => {
                Flaw::KeyMismatch { subject, key: key_sha256.to_owned(), certificate: first.public_key_sha256.clone() }
            }
        };
        let part = if matches!(flaw, Flaw::KeyMismatch { .. }) { Part::Key } else { part };
        return Err(GivenError { part, flaw });
    }
    let flaw = match (role, first.why_no_authority()) {
        (Role::Leaf, _) if first.is_ca => Flaw::AuthorityAsLeaf { subject, self_signed: first.may_be_issued_by(first) },
        (Role::Authority, Some(why)) => Flaw::LeafAsAuthority { subject, why },
        (Role::Leaf | Role::Authority, _) => return Ok(()),
    };
    Err(GivenError { part, flaw })
}

fn check_strength(certificate: &CertificateInfo) -> Result<(), Flaw> {
    let subject = certificate.called().to_owned();
    if certificate.key.is_weak() {
        return Err(Flaw::WeakKey { subject, key: certificate.key.to_string() });
    }
    // Nobody checks the signature of a root: whoever trusts it was given it.
    match certificate.weak_signature().filter(|_| !certificate.may_be_issued_by(certificate)) {
        Some(algorithm) => Err(Flaw::WeakSignature { subject, algorithm }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
