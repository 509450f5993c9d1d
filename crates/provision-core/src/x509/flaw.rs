//! What can be wrong with a certificate that somebody brings, and what to do about it.
//!
//! Must never say more of a key than the digest of its public half.

use time::OffsetDateTime;

use super::error::{Error, timestamp};
use super::san::San;

/// Which of the [`Parts`](super::Parts) is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`Parts::certificate`](super::Parts).
    Certificate,
    /// [`Parts::chain`](super::Parts).
    Chain,
    /// [`Parts::key`](super::Parts).
    Key,
    /// [`Parts::passphrase`](super::Parts).
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
