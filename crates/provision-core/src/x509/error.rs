//! Why a certificate could not be made or read. Never holds key material.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::key::KeyType;

/// What another crate said, kept as the source without promising whose type it is.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a certificate or a key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system gave no randomness.
    #[error("cannot draw random numbers from the operating system")]
    Random(#[source] getrandom::Error),
    /// A key could not be made.
    #[error("cannot generate a key of type {key_type}")]
    GenerateKey {
        /// The type asked for.
        key_type: KeyType,
        /// What the library said.
        source: Cause,
    },
    /// A certificate could not be signed.
    #[error("cannot sign the certificate of {subject}")]
    Sign {
        /// Whose certificate it was to be.
        subject: String,
        /// What the library said.
        source: Cause,
    },
    /// There is no such section in the file.
    #[error("found no {wanted} in PEM, only {found}")]
    Missing {
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// What is there instead, with a way out where one is known.
        found: String,
    },
    /// The PEM is cut off or garbled.
    #[error("cannot read the {wanted}: {why}")]
    Pem {
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// What is wrong with the text.
        why: &'static str,
    },
    /// The section holds no X.509 certificate.
    #[error("cannot read the certificate: the PEM section is whole, but what is in it is not an X.509 certificate")]
    Certificate(#[source] Cause),
    /// The key is protected by a passphrase.
    #[error("the private key is encrypted; decrypt it first with `openssl pkey -in KEY -out PLAIN_KEY`")]
    EncryptedKey,
    /// The key is protected in a way that is not worth the name.
    #[error(
        "the private key is encrypted in OpenSSL's traditional way (`Proc-Type: 4,ENCRYPTED`), which is not read \
         here; `openssl pkcs8 -topk8 -in KEY -out NEW_KEY` rewrites it under a passphrase"
    )]
    LegacyEncryption,
    /// The key is protected by a scheme that is not known here.
    #[error(
        "the private key is encrypted in a way that is not read here, or damaged: PBES2 with PBKDF2 or scrypt \
         is; `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW_KEY` rewrites it so"
    )]
    UnknownEncryption,
    /// The passphrase does not open the key.
    #[error("the passphrase is not the one of the private key")]
    WrongPassphrase,
    /// The key is of a kind that cannot be used, or damaged.
    #[error(
        "cannot use the private key: neither ECDSA on P-256 or P-384, nor Ed25519, nor RSA of 2048 to 4096 bits, \
         with its public key included; `openssl pkey -in KEY -out NEW_KEY` rewrites one that lacks it"
    )]
    Key(#[source] Cause),
    /// The certificate that should sign is not one of an authority.
    #[error("{subject} cannot issue certificates: {why}")]
    NotAnAuthority {
        /// Subject of the certificate that should sign.
        subject: String,
        /// What it lacks.
        why: &'static str,
    },
    /// The key that should sign belongs to another certificate.
    #[error("the private key does not belong to the certificate of {subject}")]
    IssuerKeyMismatch {
        /// Subject of the certificate that should sign.
        subject: String,
    },
    /// No authority may follow below the one that should sign.
    #[error("{subject} cannot issue the certificate of an authority: {why}")]
    PathLength {
        /// Subject of the certificate that should sign.
        subject: String,
        /// What it allows, and what is asked for.
        why: String,
    },
    /// The issuer's time is over.
    #[error("{subject} cannot issue certificates: it expired at {}", timestamp(*.not_after))]
    IssuerExpired {
        /// Subject of the certificate that should sign.
        subject: String,
        /// Its end.
        not_after: OffsetDateTime,
    },
    /// The issuer's time has not come.
    #[error(
        "{subject} cannot issue certificates before {}, and it is {} here; is the clock of this machine right?",
        timestamp(*.not_before),
        timestamp(*.now)
    )]
    IssuerNotYetValid {
        /// Subject of the certificate that should sign.
        subject: String,
        /// Its start.
        not_before: OffsetDateTime,
        /// What the caller said the time is.
        now: OffsetDateTime,
    },
    /// Renewing keeps the name and the key, and what is asked for has others.
    #[error("cannot renew {subject} under its key: {why}")]
    NotARenewal {
        /// Subject of the present certificate.
        subject: String,
        /// What differs.
        why: String,
    },
    /// The end would lie beyond what a certificate can say (RFC 5280 section 4.1.2.5: year 9999).
    #[error("the lifetime reaches beyond the year 9999")]
    TooLong,
    /// A signature was made with an algorithm that cannot be checked here.
    #[error("cannot check who signed {subject}")]
    Signature {
        /// Subject of the signed certificate.
        subject: String,
        /// What the library said.
        source: Cause,
    },
}

/// A time as messages and changes show it, such as `2026-10-01T12:00:00Z`: UTC and whole seconds, as in certificates.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(time);
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}
