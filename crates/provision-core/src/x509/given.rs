//! A certificate that somebody brings, with its chain and its key: read, put together, and found good or refused.
//!
//! Must never say anything of the key but the digest of its public half, and never look at the time by itself.

use std::fmt;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::error::{Error, timestamp};
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

/// Which of the [`Parts`] is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`Parts::certificate`].
    Certificate,
    /// [`Parts::chain`].
    Chain,
    /// [`Parts::key`].
    Key,
    /// [`Parts::passphrase`].
    Passphrase,
}

/// Why what somebody brings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{flaw}")]
pub struct GivenError {
    /// Where.
    pub part: Part,
    /// Why.
    pub flaw: Flaw,
}

/// What can be wrong with it. [`Flaw::help`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no such thing in the text.
    #[error(transparent)]
    Unreadable(Error),
    /// An encrypted key alone.
    #[error("the private key is encrypted, and there is no passphrase for it")]
    PassphraseMissing,
    /// A passphrase for another key.
    #[error("the passphrase does not open the private key")]
    PassphraseWrong,
    /// A passphrase for nothing.
    #[error("there is a passphrase, and the private key is not encrypted")]
    PassphraseUnused,
    /// Which one is meant?
    #[error("there are {0} private keys, and a certificate has one")]
    SeveralKeys(usize),
    /// The key of another certificate.
    #[error(
        "the private key does not belong to the certificate of {subject}: the key's public half is sha256:{key}, the \
         certificate's sha256:{certificate}"
    )]
    KeyMismatch {
        /// Whose certificate it is.
        subject: String,
        /// SHA-256 of the key's public half.
        key: String,
        /// SHA-256 of the certificate's.
        certificate: String,
    },
    /// The chain is upside down.
    #[error("the certificate of {first} comes first, and the private key belongs to that of {leaf}")]
    LeafNotFirst {
        /// Subject of the first.
        first: String,
        /// Subject of the one with that key.
        leaf: String,
    },
    /// Clients refuse it in the place of a server's.
    #[error("{subject} is the certificate of an authority, not of a server or client")]
    AuthorityAsLeaf {
        /// Whose.
        subject: String,
        /// Whether it vouches for itself.
        self_signed: bool,
    },
    /// It cannot sign.
    #[error("{subject} is not the certificate of an authority: {why}")]
    LeafAsAuthority {
        /// Whose.
        subject: String,
        /// What it lacks.
        why: &'static str,
    },
    /// RSA of less than 2048 bits.
    #[error("the key of {subject} is {key}, which is too short: clients refuse it")]
    WeakKey {
        /// Whose.
        subject: String,
        /// Its type.
        key: String,
    },
    /// MD5 or SHA-1.
    #[error("the certificate of {subject} is signed with {algorithm}, which clients refuse")]
    WeakSignature {
        /// Whose.
        subject: String,
        /// How.
        algorithm: &'static str,
    },
    /// The same certificate again.
    #[error("the certificate of {subject} is there twice")]
    Twice {
        /// Whose.
        subject: String,
    },
    /// All are there, in another order.
    #[error("the chain is in the wrong order: {}", .found.join(", "))]
    WrongOrder {
        /// Subjects as they stand.
        found: Vec<String>,
        /// Subjects as they should.
        wanted: Vec<String>,
    },
    /// The issuer's name, and not its key.
    #[error("{subject} is not signed by the {issuer} that is in the chain, but by another one of that name")]
    Namesake {
        /// Whose signature it is about.
        subject: String,
        /// The name of the two.
        issuer: String,
    },
    /// One is missing in between.
    #[error(
        "the chain has a gap: {below} is issued by {missing}, whose certificate is missing, and next comes {above}"
    )]
    Gap {
        /// The last below the gap.
        below: String,
        /// Its issuer.
        missing: String,
        /// The first above.
        above: String,
    },
    /// It has nothing to do with the others.
    #[error("{subject} does not belong to the chain, which ends with {top}")]
    Stranger {
        /// Whose.
        subject: String,
        /// The last that does.
        top: String,
    },
    /// It signed and may not.
    #[error("{subject} has signed the certificate of {below} and may not: {why}")]
    NotAnAuthority {
        /// Whose.
        subject: String,
        /// What it signed.
        below: String,
        /// What it lacks.
        why: &'static str,
    },
    /// More authorities than one above allows.
    #[error("{subject} allows {allowed} authorities below it, and the chain has {found}")]
    PathLength {
        /// Whose.
        subject: String,
        /// By its path length.
        allowed: u32,
        /// Those that there are.
        found: usize,
    },
    /// Names that it is not for.
    #[error("the certificate is not for {}: it is for {}", listed(.missing), or_nothing(.has))]
    NotCovered {
        /// Those that it lacks.
        missing: Vec<San>,
        /// Those that it has.
        has: Vec<String>,
        /// Its common name, where one of those that it lacks is there and nowhere else.
        common_name: Option<String>,
    },
    /// For something else.
    #[error("the certificate is for {}, and not for {}", .has.join(", "), .missing.join(", "))]
    OtherUsages {
        /// What it is for.
        has: Vec<String>,
        /// What it is not for.
        missing: Vec<String>,
    },
    /// Its time is over.
    #[error("the certificate of {subject} expired at {}", timestamp(*.not_after))]
    Expired {
        /// Whose.
        subject: String,
        /// Its end.
        not_after: OffsetDateTime,
    },
    /// Its time has not come.
    #[error("the certificate of {subject} is not valid before {}, and it is {} here", timestamp(*.not_before), timestamp(*.now))]
    NotYetValid {
        /// Whose.
        subject: String,
        /// Its start.
        not_before: OffsetDateTime,
        /// What the caller said the time is.
        now: OffsetDateTime,
    },
}

impl Flaw {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable(Error::Key(_) | Error::LegacyEncryption | Error::UnknownEncryption) => {
                "the command asks for the passphrase where there is one".to_owned()
            }
            Self::Unreadable(_) => {
                "it takes PEM: base64 between lines of `-----BEGIN ...-----` and `-----END ...-----`".to_owned()
            }
            Self::PassphraseMissing => {
                "add `passphrase = \"{{ input.NAME }}\"`, from an input with `secret = true`".to_owned()
            }
            Self::PassphraseWrong => {
                "`openssl pkey -in KEY -noout` asks for it and tells whether it is right".to_owned()
            }
            Self::PassphraseUnused => "take `passphrase` out, or leave it empty".to_owned(),
            Self::SeveralKeys(_) => "leave the one that belongs to the certificate".to_owned(),
            Self::KeyMismatch { .. } => {
                "take the key that the certificate was requested with; `openssl pkey -in KEY -pubout \
                                         -outform der | sha256sum` prints the first of the two"
                    .to_owned()
            }
            Self::LeafNotFirst { leaf, .. } => {
                format!("put the certificate of {leaf} first, then its issuer's, and so on towards the root")
            }
            Self::AuthorityAsLeaf { self_signed: true, .. } => {
                "`openssl req -x509` makes authorities unless it is told `-addext basicConstraints=critical,CA:FALSE`"
                    .to_owned()
            }
            Self::AuthorityAsLeaf { .. } => {
                "take the certificate that it has issued; an authority is a certificate_authority resource".to_owned()
            }
            Self::LeafAsAuthority { .. } => {
                "take the certificate of whoever is to sign; one for a server is a certificate resource".to_owned()
            }
            Self::WeakKey { .. } => "have it issued for a key of rsa-2048 or longer, or ecdsa-p256".to_owned(),
            Self::WeakSignature { .. } => "have it issued anew, signed with SHA-256 or better".to_owned(),
            Self::Twice { .. } => {
                "take one out: the certificate itself is no part of the chain that follows it".to_owned()
            }
            Self::WrongOrder { wanted, .. } => format!("each is followed by its issuer's: {}", wanted.join(", ")),
            Self::Namesake { issuer, .. } => {
                format!("take the certificate of {issuer} that came along with it, or have it issued anew")
            }
            Self::Gap { missing, above, .. } => {
                format!(
                    "put the certificate of {missing} there, or take out {above} if it does not belong to the chain"
                )
            }
            Self::Stranger { .. } => "take it out".to_owned(),
            Self::NotAnAuthority { .. } | Self::PathLength { .. } => {
                "no client accepts that: have the certificates issued anew".to_owned()
            }
            Self::NotCovered { common_name: Some(name), .. } => format!(
                "clients do not look at its common name `{name}` (RFC 9525): have it issued with it as a subject \
                 alternative name"
            ),
            Self::NotCovered { missing, has, .. } => not_covered(missing, has),
            Self::OtherUsages { .. } => "have it issued for that, or say in `usages` what it is for".to_owned(),
            Self::Expired { .. } => "bring a certificate that is valid".to_owned(),
            Self::NotYetValid { .. } => "wait, or look whether the clock of this machine is right".to_owned(),
        }
    }
}

fn not_covered(missing: &[San], has: &[String]) -> String {
    let as_name =
        |address: &&San| matches!(address, San::Ip(_)) && has.iter().any(|name| *name == format!("DNSName({address})"));
    if let Some(address) = missing.iter().find(as_name) {
        return format!("{address} is in it as a DNS name, and clients look for addresses among the addresses");
    }
    let help = "have it issued for them too, or take them out of `names`";
    if has.iter().any(|name| name.starts_with("*.")) {
        return format!("{help}; `*.` stands for exactly one label");
    }
    help.to_owned()
}

fn listed(names: &[San]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn or_nothing(names: &[String]) -> String {
    if names.is_empty() { "no name or address at all".to_owned() } else { names.join(", ") }
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
