//! Certificates that somebody brings in one piece: each must be followed by its issuer's.
//!
//! Must never say merely that something is wrong with them: who has three files from an authority needs to know which.

use super::flaw::Flaw;
use super::inspect::CertificateInfo;

/// Whether each certificate is followed by its issuer's, up to any height: the root may be there or not.
pub(super) fn check(certificates: &[CertificateInfo]) -> Result<(), Flaw> {
    twice(certificates)?;
    let followed = certificates.windows(2).all(|pair| matches!(pair, [below, above] if below.may_be_issued_by(above)));
    if !followed {
        return Err(disorder(certificates));
    }
    for (height, certificate) in certificates.iter().enumerate().skip(1) {
        let below = certificates.get(height - 1).map(name).unwrap_or_default();
        if let Some(why) = certificate.why_no_authority() {
            return Err(Flaw::NotAnAuthority { subject: name(certificate), below, why });
        }
    }
    lengths(certificates)
}

fn twice(certificates: &[CertificateInfo]) -> Result<(), Flaw> {
    for (at, certificate) in certificates.iter().enumerate() {
        if certificates.iter().take(at).any(|other| other.sha256 == certificate.sha256) {
            return Err(Flaw::Twice { subject: name(certificate) });
        }
    }
    Ok(())
}

/// How many authorities may stand below each (RFC 5280 section 4.2.1.9): all between it and the leaf count, and so does
/// the first where that is an authority itself.
fn lengths(certificates: &[CertificateInfo]) -> Result<(), Flaw> {
    for (height, certificate) in certificates.iter().enumerate().skip(1) {
        let found = certificates.iter().take(height).filter(|below| below.is_ca).count();
        if let Some(allowed) = certificate.path_length.filter(|allowed| found > *allowed as usize) {
            return Err(Flaw::PathLength { subject: name(certificate), allowed, found });
        }
    }
    Ok(())
}

/// What is the matter with certificates of which one is not followed by its issuer's.
fn disorder(certificates: &[CertificateInfo]) -> Flaw {
    let mut rest: Vec<&CertificateInfo> = certificates.iter().collect();
    let mut chain: Vec<&CertificateInfo> = rest.drain(..1.min(rest.len())).collect();
    while let Some(at) = chain.last().and_then(|top| rest.iter().position(|other| top.may_be_issued_by(other))) {
        chain.push(rest.remove(at));
    }
    let (Some(top), Some(next)) = (chain.last(), rest.first()) else {
        let [found, wanted] =
            [certificates.iter().collect(), chain].map(|list: Vec<_>| list.into_iter().map(name).collect());
        return Flaw::WrongOrder { found, wanted };
    };
    if top.may_be_issued_by(top) || next.why_no_authority().is_some() {
        return Flaw::Stranger { subject: name(next), top: name(top) };
    }
    if let Some(namesake) = rest.iter().find(|other| other.subject == top.issuer) {
        return Flaw::Namesake { subject: name(top), issuer: name(namesake) };
    }
    Flaw::Gap { below: name(top), missing: top.issuer.clone(), above: name(next) }
}

fn name(certificate: &CertificateInfo) -> String {
    certificate.called().to_owned()
}

/// The certificates that lead from the first towards its root, each followed by its issuer's, in whichever order they
/// stand and whatever else is with them: an authority's file on a host may hold all that it trusts.
#[must_use]
pub fn path(certificates: &[CertificateInfo]) -> Vec<CertificateInfo> {
    let mut rest: Vec<&CertificateInfo> = certificates.iter().collect();
    let mut path: Vec<&CertificateInfo> = rest.drain(..1.min(rest.len())).collect();
    while let Some(top) = path.last().filter(|top| !top.is_self_signed()) {
        let Some(at) = rest.iter().position(|other| top.may_be_issued_by(other)) else { break };
        path.push(rest.remove(at));
    }
    path.into_iter().cloned().collect()
}
