//! How a certificate that is there differs from what is asked: nothing on a second run, unless its end is near.
//!
//! Must never fail and never look at anything but its arguments.

use time::{Duration, OffsetDateTime};

use super::CLOCK_SKEW;
use super::error::timestamp;
use super::inspect::CertificateInfo;
use super::key::{KeyAlgorithm, KeyType};
use super::spec::{AuthoritySpec, LeafSpec, Lifetime, SELF_SIGNED_NAME, SubjectText};

/// One way in which a certificate is not what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// What differs: `common_name`, `is_ca`, `issuer`, `key`, `key_type`, `lifetime`, `names`, `not_after`,
    /// `not_before`, `organization`, `path_length` or `usages`.
    pub attribute: &'static str,
    /// As it is.
    pub before: String,
    /// As it is asked for, or will be.
    pub after: String,
    /// The same as a sentence, in lower case and without a full stop.
    pub reason: String,
    /// What has to be done about it.
    pub consequence: Consequence,
}

/// What closes a difference. The dearest of several counts: take the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// A new certificate over the same name and key. For an authority that is [`super::renew_authority`], which
    /// leaves good what it issued; a leaf may as well get a new key.
    Renew,
    /// A new certificate under a new key. For an authority: whoever trusts it must be told anew.
    Replace,
}

/// What is there.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The certificate.
    pub certificate: &'a CertificateInfo,
    /// [`super::public_key_sha256`] of the private key beside it; absent when nobody looked, which is no difference.
    pub key_sha256: Option<&'a str>,
}

/// What decides whether it is time to renew.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// The time.
    pub now: OffsetDateTime,
    /// How long before its end a certificate is renewed: [`Lifetime::leaf_window`], [`Lifetime::authority_window`] or
    /// [`Lifetime::window_of_days`]. Cut to the lifetime less [`CLOCK_SKEW`], or each run would renew.
    pub renew_before: Duration,
}

/// How a leaf differs from what is asked, sorted by attribute. `issuer` is the authority that should have signed it;
/// without one it should have signed itself.
///
/// A longer lifetime asked for takes effect with the next renewal. A shorter one does so at once, where more is left
/// than would be given now. Renewal is due only if the new certificate would end later: one that its issuer's end has
/// cut short is left alone until the issuer is renewed.
#[must_use]
pub fn leaf_differences(
    spec: &LeafSpec,
    found: Found<'_>,
    issuer: Option<&CertificateInfo>,
    expiry: Expiry,
) -> Vec<Difference> {
    let LeafSpec { common_name: _, names: _, key_type, lifetime, usages } = spec;
    let certificate = found.certificate;
    let mut differences = Vec::new();

    if certificate.is_ca {
        differences.push(Difference {
            attribute: "is_ca",
            before: "true".to_owned(),
            after: "false".to_owned(),
            reason: "it is the certificate of an authority, not of a server or client".to_owned(),
            consequence: Consequence::Replace,
        });
    }
    let mut common_name = spec.subject_common_name().map(|name| name.as_str().to_owned());
    if issuer.is_none() {
        common_name = common_name.or_else(|| Some(SELF_SIGNED_NAME.to_owned()));
    }
    differences.extend(text("common_name", "common name", certificate.common_name.as_deref(), common_name.as_deref()));
    differences.extend(names(spec, certificate));
    let asked = usages.names();
    if certificate.usages != asked {
        let (before, after) = (listed(&certificate.usages), listed(&asked));
        differences.push(Difference {
            attribute: "usages",
            reason: format!("it is for {}, {after} is asked for", if before.is_empty() { "anything" } else { &before }),
            before,
            after,
            consequence: Consequence::Renew,
        });
    }
    differences.extend(key(*key_type, found));
    differences.extend(signer(certificate, issuer));
    differences.extend(validity(certificate, *lifetime, issuer.map(|issuer| issuer.not_after), expiry));
    differences.sort();
    differences
}

/// How an authority differs from what is asked, sorted by attribute. `issuer` is the authority that should have signed it;
/// without one it should have signed itself. Lifetime and renewal are judged as for a leaf.
#[must_use]
pub fn authority_differences(
    spec: &AuthoritySpec,
    found: Found<'_>,
    issuer: Option<&CertificateInfo>,
    expiry: Expiry,
) -> Vec<Difference> {
    let AuthoritySpec { common_name, organization, key_type, lifetime, path_length } = spec;
    let certificate = found.certificate;
    let mut differences = Vec::new();

    let may_sign = certificate.key_usages.is_empty() || certificate.key_usages.contains("keyCertSign");
    if !certificate.is_ca || !may_sign {
        differences.push(Difference {
            attribute: "is_ca",
            before: "false".to_owned(),
            after: "true".to_owned(),
            reason: "it is not the certificate of an authority, which may sign others".to_owned(),
            consequence: Consequence::Replace,
        });
    } else if certificate.path_length != Some(u32::from(*path_length)) {
        let before = certificate.path_length.map_or_else(|| "unlimited".to_owned(), |length| length.to_string());
        differences.push(Difference {
            attribute: "path_length",
            reason: format!("the path length is {before}, {path_length} is asked for"),
            before,
            after: path_length.to_string(),
            consequence: Consequence::Renew,
        });
    }
    let asked = Some(common_name.as_str());
    let renamed = text("common_name", "common name", certificate.common_name.as_deref(), asked);
    let asked = organization.as_ref().map(SubjectText::as_str);
    let moved = text("organization", "organization", certificate.organization.as_deref(), asked);
    // Leaves name their issuer by its whole subject: another one orphans them whatever the key.
    let replaced = |difference| Difference { consequence: Consequence::Replace, ..difference };
    differences.extend(renamed.into_iter().chain(moved).map(replaced));
    differences.extend(key(*key_type, found));
    // Who is trusted because of somebody else stays who it is when somebody else vouches for it.
    let signed = signer(certificate, issuer);
    differences.extend(if issuer.is_none() { signed.map(replaced) } else { signed });
    differences.extend(validity(certificate, *lifetime, issuer.map(|issuer| issuer.not_after), expiry));
    differences.sort();
    differences
}

fn text(attribute: &'static str, title: &str, before: Option<&str>, after: Option<&str>) -> Option<Difference> {
    let reason = match (before, after) {
        (before, after) if before == after => return None,
        (Some(before), Some(after)) => format!("the {title} is `{before}`, `{after}` is asked for"),
        (None, Some(after)) => format!("there is no {title}, `{after}` is asked for"),
        (Some(before), None) => format!("the {title} is `{before}`, none is asked for"),
        (None, None) => return None,
    };
    let (before, after) = (before.unwrap_or_default().to_owned(), after.unwrap_or_default().to_owned());
    Some(Difference { attribute, before, after, reason, consequence: Consequence::Renew })
}

fn names(spec: &LeafSpec, certificate: &CertificateInfo) -> Option<Difference> {
    let asked = spec.names.as_set();
    let missing = listed(asked.difference(&certificate.names));
    let surplus = certificate.names.difference(asked).map(ToString::to_string);
    let surplus = listed(surplus.chain(certificate.other_names.iter().cloned()));
    let reason = match (missing.is_empty(), surplus.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("it lacks {missing}"),
        (true, false) => format!("it has {surplus}, which nobody asks for any more"),
        (false, false) => format!("it lacks {missing}, and has {surplus}, which nobody asks for any more"),
    };
    let before = certificate.names.iter().map(ToString::to_string).chain(certificate.other_names.iter().cloned());
    Some(Difference {
        attribute: "names",
        before: listed(before),
        after: listed(asked),
        reason,
        consequence: Consequence::Renew,
    })
}

fn key(asked: KeyType, found: Found<'_>) -> impl Iterator<Item = Difference> {
    let certificate = found.certificate;
    let (other_type, other_key) = (certificate.key != KeyAlgorithm::Known(asked), found.key_sha256);
    let key_type = other_type.then(|| Difference {
        attribute: "key_type",
        before: certificate.key.to_string(),
        after: asked.to_string(),
        reason: format!("the key is {}, {asked} is asked for", certificate.key),
        consequence: Consequence::Replace,
    });
    let stranger = other_key.filter(|key| *key != certificate.public_key_sha256).map(|key| Difference {
        attribute: "key",
        before: format!("sha256:{key}"),
        after: format!("sha256:{}", certificate.public_key_sha256),
        reason: "the private key is not the one of the certificate".to_owned(),
        consequence: Consequence::Replace,
    });
    key_type.into_iter().chain(stranger)
}

fn signer(certificate: &CertificateInfo, issuer: Option<&CertificateInfo>) -> Option<Difference> {
    let signer = issuer.unwrap_or(certificate);
    // A signature that cannot be checked was not made by an authority of ours, whose algorithms all can be.
    if matches!(certificate.is_issued_by(signer), Ok(true)) {
        return None;
    }
    let before = certificate.issuer.clone();
    let (after, reason) = match issuer {
        None => ("itself".to_owned(), format!("it is signed by {before}, not by itself")),
        Some(issuer) if issuer.subject == before => {
            (before.clone(), format!("it is signed by another authority that is called {before} too"))
        }
        Some(issuer) => (issuer.subject.clone(), format!("it is signed by {before}, not by {}", issuer.subject)),
    };
    Some(Difference { attribute: "issuer", before, after, reason, consequence: Consequence::Renew })
}

/// What time says about a certificate, at most one thing. `limit` is the end of the issuer.
fn validity(
    certificate: &CertificateInfo,
    lifetime: Lifetime,
    limit: Option<OffsetDateTime>,
    expiry: Expiry,
) -> Option<Difference> {
    let Expiry { now, renew_before } = expiry;
    let CertificateInfo { not_before, not_after, .. } = *certificate;
    let window = renew_before.min(lifetime.widest_window());
    // Saturates instead of failing: whoever issues says that it is too long.
    let full = now.saturating_add(lifetime.duration());
    let next = limit.map_or(full, |limit| limit.min(full));
    let left = not_after - now;

    let (attribute, before, after, reason) = if left <= Duration::ZERO {
        ("not_after", not_after, next, format!("it expired {} ago, at {}", days(-left), timestamp(not_after)))
    } else if not_before > now {
        let reason = format!("it is not valid before {}, is the clock of this machine right?", timestamp(not_before));
        ("not_before", not_before, now.saturating_sub(CLOCK_SKEW), reason)
    } else if left < window && next > not_after {
        let reason = format!("it expires in {}, and is renewed {} before its end", days(left), days(window));
        ("not_after", not_after, next, reason)
    } else if left > lifetime.duration() + CLOCK_SKEW {
        // The skew allows for the clock of another machine that made it.
        ("lifetime", not_after, next, format!("it is valid for {} more, {lifetime} are asked for", days(left)))
    } else if let Some(limit) = limit.filter(|limit| not_after > *limit) {
        ("not_after", not_after, next, format!("it outlives its issuer, which ends at {}", timestamp(limit)))
    } else {
        return None;
    };
    let (before, after) = (timestamp(before), timestamp(after));
    Some(Difference { attribute, before, after, reason, consequence: Consequence::Renew })
}

fn listed(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn days(duration: Duration) -> String {
    match duration.whole_days() {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests;
