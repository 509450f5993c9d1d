//! What is asked of a certificate. Every value here can be issued; what cannot is refused when it is parsed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use time::Duration;

use super::CLOCK_SKEW;
use super::key::KeyType;
use super::san::San;

/// `ub-common-name` and `ub-organization-name` (RFC 5280 appendix A.1): OpenSSL refuses to make a longer one.
const SUBJECT_TEXT_LIMIT: usize = 64;

/// Longest lifetime, a hundred years: more is a slip of the keyboard, and it keeps any end below the year 9999.
const LIFETIME_LIMIT_DAYS: u32 = 36_525;

/// What the subject and issuer of a self-signed leaf say when no common name fits: an issuer must not be empty
/// (RFC 5280 section 4.1.2.4).
pub(super) const SELF_SIGNED_NAME: &str = "self-signed";

/// Why a wish cannot be put into a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Empty, too long or unprintable.
    #[error("`{0}` cannot stand in a certificate's subject: 1 to 64 characters, none of them a control character")]
    SubjectText(String),
    /// Zero, or more than a hundred years.
    #[error("a lifetime is 1 to 36525 days, not {0}")]
    Lifetime(u32),
    /// A certificate for nothing.
    #[error("a certificate needs at least one name or address")]
    NoNames,
    /// Would renew on every run.
    #[error("renewing {before} days before the end leaves nothing of a lifetime of {lifetime}: take fewer days")]
    RenewalWindow {
        /// Days asked for.
        before: u32,
        /// The lifetime they belong to.
        lifetime: Lifetime,
    },
}

/// A common name or an organization: 1 to 64 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectText(String);

impl SubjectText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubjectText {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let fits = (1..=SUBJECT_TEXT_LIMIT).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SpecError::SubjectText(text.to_owned()))
        }
    }
}

impl fmt::Display for SubjectText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a new certificate is valid, counted from when it is made, in whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime {
    days: u32,
}

impl Lifetime {
    /// 397 days. Apple's systems refuse a server certificate of more than 825 days even from an authority that the user
    /// added, and the 398 of the CA/Browser Forum were the last limit that a yearly visit could meet (it shrinks to 47
    /// by 2029, but binds public authorities only). Nothing renews between two runs of a plan on a disconnected
    /// site, so shorter would mean outages and longer would mean refusals.
    pub const LEAF: Self = Self { days: 397 };

    /// Ten years. Whoever trusts the authority was told so by hand: a new one is the most expensive change there is.
    pub const AUTHORITY: Self = Self { days: 3650 };

    /// Takes 1 to 36525 days.
    ///
    /// # Errors
    /// When it is none or more than a hundred years.
    pub fn from_days(days: u32) -> Result<Self, SpecError> {
        if (1..=LIFETIME_LIMIT_DAYS).contains(&days) { Ok(Self { days }) } else { Err(SpecError::Lifetime(days)) }
    }

    /// Whole days.
    #[must_use]
    pub fn days(self) -> u32 {
        self.days
    }

    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::days(i64::from(self.days))
    }

    /// When to renew a leaf unless told otherwise: in the last third, as ACME clients and cert-manager do.
    ///
    /// Not the usual 30 days: renewal happens when somebody runs the plan, and a third of 397 days lets a site that
    /// does so once a quarter never meet an expired certificate.
    #[must_use]
    pub fn leaf_window(self) -> Duration {
        self.duration() / 3
    }

    /// When to renew an authority unless told otherwise: in the last half year, or third if that is less.
    ///
    /// Renewal keeps name and key, so those who trust the old certificate accept new leaves until its end: this is
    /// the time there is to hand out the new one.
    #[must_use]
    pub fn authority_window(self) -> Duration {
        Duration::days(180).min(self.duration() / 3)
    }

    /// The window that somebody asked for.
    ///
    /// # Errors
    /// When it is as long as the lifetime, so that every run would renew.
    pub fn window_of_days(self, before: u32) -> Result<Duration, SpecError> {
        if before < self.days {
            Ok(Duration::days(i64::from(before)))
        } else {
            Err(SpecError::RenewalWindow { before, lifetime: self })
        }
    }

    /// The widest window in which a certificate just made does not lie itself.
    pub(super) fn widest_window(self) -> Duration {
        self.duration() - CLOCK_SKEW
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.days, if self.days == 1 { "day" } else { "days" })
    }
}

/// The names of a leaf: at least one, sorted, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(BTreeSet<San>);

impl Names {
    /// Takes one name or more.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(names: impl IntoIterator<Item = San>) -> Result<Self, SpecError> {
        let names: BTreeSet<San> = names.into_iter().collect();
        if names.is_empty() { Err(SpecError::NoNames) } else { Ok(Self(names)) }
    }

    /// The names, sorted.
    #[must_use]
    pub fn as_set(&self) -> &BTreeSet<San> {
        &self.0
    }
}

/// What a leaf is for (RFC 5280 section 4.2.1.12). There is no "for nothing": without the extension it is for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usages {
    /// A server shows it to its clients.
    #[default]
    Server,
    /// A client shows it to a server.
    Client,
    /// Both, as members of a cluster need.
    ServerAndClient,
}

impl Usages {
    /// As [`super::CertificateInfo::usages`] names them.
    #[must_use]
    pub fn names(self) -> BTreeSet<String> {
        let names: &[&str] = match self {
            Self::Server => &["server-auth"],
            Self::Client => &["client-auth"],
            Self::ServerAndClient => &["client-auth", "server-auth"],
        };
        names.iter().map(ToString::to_string).collect()
    }
}

/// An authority: a self-signed certificate that signs others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySpec {
    /// What it is called, in the list of authorities that a client trusts.
    pub common_name: SubjectText,
    /// Who runs it.
    pub organization: Option<SubjectText>,
    /// Type of its key.
    pub key_type: KeyType,
    /// How long it is valid.
    pub lifetime: Lifetime,
    /// How many authorities may follow below it (RFC 5280 section 4.2.1.9). 0: it signs leaves only.
    pub path_length: u8,
}

impl AuthoritySpec {
    /// An authority with every default but its name.
    #[must_use]
    pub fn new(common_name: SubjectText) -> Self {
        Self {
            common_name,
            organization: None,
            key_type: KeyType::default(),
            lifetime: Lifetime::AUTHORITY,
            path_length: 0,
        }
    }
}

/// A leaf: the certificate that a server or a client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafSpec {
    /// Common name of the subject; see [`LeafSpec::subject_common_name`]. Clients ignore it (RFC 9525 section 2).
    pub common_name: Option<SubjectText>,
    /// What clients may call it.
    pub names: Names,
    /// Type of its key.
    pub key_type: KeyType,
    /// How long it is valid, unless its issuer ends before.
    pub lifetime: Lifetime,
    /// What it is for.
    pub usages: Usages,
}

impl LeafSpec {
    /// A server's certificate with every default but its names.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self {
            common_name: None,
            names,
            key_type: KeyType::default(),
            lifetime: Lifetime::LEAF,
            usages: Usages::default(),
        }
    }

    /// The common name asked for, or the first name that is not a wildcard, or the first; absent when that is longer
    /// than the 64 characters that a common name may have.
    #[must_use]
    pub fn subject_common_name(&self) -> Option<SubjectText> {
        if let Some(name) = &self.common_name {
            return Some(name.clone());
        }
        let names = self.names.as_set();
        let wildcard = |name: &&San| matches!(name, San::Dns(name) if name.is_wildcard());
        let first = names.iter().find(|name| !wildcard(name)).or_else(|| names.first())?;
        first.to_string().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn common_name_defaults_to_the_first_name_that_fits() -> TestResult {
        let long = format!("{}.example.com", "a".repeat(60));
        for (names, wanted) in [
            (vec!["b.example", "a.example"], Some("a.example")),
            (vec!["*.example.com", "z.example"], Some("z.example")),
            (vec!["*.example.com"], Some("*.example.com")),
            (vec!["192.0.2.1", "2001:db8::1"], Some("192.0.2.1")),
            (vec!["2001:db8::1"], Some("2001:db8::1")),
            (vec![&*long, "b.example"], None),
        ] {
            let names = names.into_iter().map(str::parse).collect::<Result<Vec<San>, _>>()?;
            let mut spec = LeafSpec::new(Names::new(names)?);
            assert_eq!(spec.subject_common_name().as_ref().map(SubjectText::as_str), wanted);
            spec.common_name = Some("Registry".parse()?);
            assert_eq!(spec.subject_common_name(), spec.common_name);
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_issued_is_refused() {
        assert_eq!(Names::new([]), Err(SpecError::NoNames));
        for text in ["", &"a".repeat(65), "a\nb", "\u{0}"] {
            assert!(text.parse::<SubjectText>().is_err(), "{text:?}");
        }
        // Characters count, not bytes.
        assert!("ü".repeat(64).parse::<SubjectText>().is_ok());
        for days in [0, 36_526, u32::MAX] {
            assert_eq!(Lifetime::from_days(days), Err(SpecError::Lifetime(days)));
        }
    }

    #[test]
    fn windows_leave_something_of_the_lifetime() -> TestResult {
        for (days, leaf, authority) in [(397, 132, 132), (3650, 1216, 180), (90, 30, 30), (3, 1, 1)] {
            let lifetime = Lifetime::from_days(days)?;
            assert_eq!(lifetime.leaf_window().whole_days(), leaf);
            assert_eq!(lifetime.authority_window().whole_days(), authority);
        }
        assert_eq!(Lifetime::LEAF.window_of_days(30), Ok(Duration::days(30)));
        let refused = Lifetime::LEAF.window_of_days(397).map_err(|error| error.to_string());
        let message = "renewing 397 days before the end leaves nothing of a lifetime of 397 days: take fewer days";
        assert_eq!(refused, Err(message.to_owned()));
        Ok(())
    }
}
