//! Certificates as values: what is asked of one, making it, reading it back, and how the two differ.
//!
//! Must never read the clock (whoever needs the time is given `now`), a file or a host, and never print: the only thing
//! that comes from outside is randomness. Key material never reaches a [`Difference`], an [`Error`] or a `Debug` text.
//!
//! Certificates are those of RFC 5280, names are matched as RFC 9525 says, PEM is that of RFC 7468.
//!
//! ```
//! use provision_core::x509::{self, AuthoritySpec, Expiry, Found, LeafSpec, Names};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = time::macros::datetime!(2026-10-01 12:00 UTC);
//! let authority = x509::generate_authority(&AuthoritySpec::new("Registry CA".parse()?), now)?;
//! let spec = LeafSpec::new(Names::new(["registry.example.com".parse()?, "2001:db8::1".parse()?])?);
//! let leaf = x509::issue_leaf(&spec, &authority.issuer(), now)?;
//!
//! let certificate = x509::inspect(leaf.certificate_pem.as_bytes())?;
//! let issuer = x509::inspect(authority.certificate_pem.as_bytes())?;
//! let expiry = Expiry { now, renew_before: spec.lifetime.leaf_window() };
//! let found = Found { certificate: &certificate, key_sha256: None };
//! assert!(x509::leaf_differences(&spec, found, Some(&issuer), expiry).is_empty());
//! # Ok(())
//! # }
//! ```

use std::fmt;

use time::Duration;
use zeroize::Zeroizing;

mod chain;
mod difference;
mod error;
mod flaw;
mod given;
mod inspect;
// LibreSSL, which other systems call `openssl`, prints and accepts other things.
#[cfg(all(test, target_os = "linux"))]
mod interoperability;
mod issue;
mod key;
mod pem;
mod san;
mod spec;

pub use chain::path;
pub use difference::{Consequence, Difference, Expiry, Found, authority_differences, leaf_differences};
pub use error::Error;
pub(crate) use error::timestamp;
pub use flaw::{Flaw, GivenError, Part};
pub use given::{Given, Parts, Role};
pub use inspect::{CertificateInfo, inspect, inspect_all, issued_by, key_matches};
pub(crate) use issue::allows;
pub use issue::{
    check_may_issue, check_may_issue_authority, generate_authority, issue_authority, issue_leaf, renew_authority,
    self_signed_leaf,
};
pub use key::{KeyAlgorithm, KeyType, UnknownKeyType, public_key_sha256};
pub use san::{DnsName, San, SanError};
pub use spec::{AuthoritySpec, LeafSpec, Lifetime, Names, SpecError, SubjectText, Usages};

/// How far before `now` a new certificate's validity starts.
///
/// Half a day: a machine just installed, with no time server yet and its hardware clock kept in local time, runs up to
/// eleven hours behind UTC in any inhabited zone, and would refuse a fresh certificate as not yet valid. Public
/// authorities take an hour, since their clients have the time; here it costs nothing to cover the first boot too.
/// The end of the validity is counted from `now`, so that 397 days asked for make less than 398 in all.
pub const CLOCK_SKEW: Duration = Duration::hours(12);

/// A certificate and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate alone, one PEM section with line feeds on every platform.
    pub certificate_pem: String,
    /// The private key in PKCS#8 (RFC 5208), one PEM section; wiped when it goes.
    pub key_pem: Zeroizing<String>,
}

impl Pair {
    /// The pair as the issuer of others.
    #[must_use]
    pub fn issuer(&self) -> IssuerPem<'_> {
        IssuerPem { certificate_pem: self.certificate_pem.as_bytes(), key_pem: self.key_pem.as_bytes() }
    }
}

impl fmt::Debug for Pair {
    // `Zeroizing` prints what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// What signs a leaf: an authority's certificate and its key, as their files hold them.
#[derive(Clone, Copy)]
pub struct IssuerPem<'a> {
    /// PEM whose first certificate is the authority's.
    pub certificate_pem: &'a [u8],
    /// PEM with the key of that certificate: PKCS#8, SEC1 or PKCS#1, not encrypted.
    pub key_pem: &'a [u8],
}

impl fmt::Debug for IssuerPem<'_> {
    // Holds a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerPem").finish_non_exhaustive()
    }
}
