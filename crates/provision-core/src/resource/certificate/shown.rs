//! How a change shows a certificate: what is asked of one, how one differs, and what a new one has of its own.
//!
//! Must never show more of a key than the digest of its public half.

use time::OffsetDateTime;

use crate::change::{Attribute, Change, Shown};
use crate::probe::Undecided;
use crate::x509::{self, CertificateInfo, Difference, timestamp};

/// What is asked of a certificate, as its change shows it.
pub(crate) struct Wish<'a> {
    pub(crate) common_name: Option<&'a str>,
    pub(crate) organization: Option<&'a str>,
    pub(crate) names: Option<String>,
    pub(crate) usages: Option<String>,
    pub(crate) key_type: String,
    pub(crate) path_length: Option<String>,
}

impl Wish<'_> {
    /// What is asked for, under its names.
    pub(crate) fn wanted(self) -> Vec<(&'static str, Shown)> {
        let Self { common_name, organization, names, usages, key_type, path_length } = self;
        let all = [
            ("common_name", common_name.into()),
            ("organization", organization.into()),
            ("names", names.into()),
            ("usages", usages.into()),
            ("key_type", key_type.into()),
            ("path_length", path_length.into()),
        ];
        all.into_iter().filter(|(_, shown)| *shown != Shown::Absent).collect()
    }
}

/// Whether a change brings a newly made certificate, as [`show_issue`] has put it there.
pub(crate) fn is_issued(change: &Change) -> bool {
    let unknown = |attribute: &Attribute| attribute.name == "fingerprint" && attribute.after == Shown::Unknown;
    change.attributes.iter().any(unknown)
}

/// Shows a certificate that is to be made where there is none that could be read.
pub(crate) fn show_wish(change: &mut Change, wish: Wish<'_>) {
    wish.wanted().into_iter().for_each(|(name, shown)| change.compare(name, Shown::Absent, shown));
}

/// Shows how a certificate that is there differs, and why it is made anew.
pub(crate) fn show_differences(change: &mut Change, differences: &[Difference]) {
    for Difference { attribute, before, after, reason, consequence: _ } in differences {
        change.reasons.push(reason.clone());
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        match *attribute {
            // The end is shown in any case.
            "not_after" | "not_before" | "lifetime" => {}
            // Both sides are digests of public keys, and the one to come is not made yet.
            "key" => change.differs("public_key", text(before), Shown::Unknown),
            name => change.differs(name, text(before), text(after)),
        }
    }
}

/// Shows what every new certificate has of its own. Without an end it is for the authority to say.
pub(crate) fn show_issue(change: &mut Change, before: Option<&CertificateInfo>, end: Option<OffsetDateTime>) {
    let after = end.map_or(Shown::Unknown, |end| Shown::Text(timestamp(end)));
    change.differs(NOT_AFTER, before.map(|certificate| timestamp(certificate.not_after)), after);
    change.differs("serial", before.map(|certificate| certificate.serial.clone()), Shown::Unknown);
    change.differs("fingerprint", before.map(|certificate| certificate.sha256.clone()), Shown::Unknown);
}

const NOT_AFTER: &str = "not_after";

/// The end of the certificate that a change brings, as [`show_issue`] has put it there.
pub(crate) fn end_of(change: &Change) -> Option<OffsetDateTime> {
    let attribute = change.attributes.iter().find(|attribute| attribute.name == NOT_AFTER)?;
    let Shown::Text(text) = &attribute.after else { return None };
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

/// What a certificate is by, for one that is known beforehand.
pub(crate) fn identity(certificate: &CertificateInfo) -> Vec<(&'static str, Shown)> {
    let listed = |items: Vec<String>| (!items.is_empty()).then(|| items.join(", "));
    let names = certificate.names.iter().map(ToString::to_string).chain(certificate.other_names.iter().cloned());
    let all = [
        ("common_name", certificate.common_name.clone().into()),
        ("organization", certificate.organization.clone().into()),
        ("names", listed(names.collect()).into()),
        ("usages", listed(certificate.usages.iter().cloned().collect()).into()),
        ("key_type", certificate.key.to_string().into()),
        ("path_length", certificate.path_length.map(|length| length.to_string()).into()),
        ("issuer", certificate.issuer.clone().into()),
        (NOT_AFTER, timestamp(certificate.not_after).into()),
        ("serial", certificate.serial.clone().into()),
        ("fingerprint", certificate.sha256.clone().into()),
    ];
    all.into_iter().filter(|(_, shown)| *shown != Shown::Absent).collect()
}

/// Shows how a certificate differs from one that is known beforehand.
pub(crate) fn show_identity(change: &mut Change, before: Option<&CertificateInfo>, after: &CertificateInfo) {
    let (before, after) = (before.map(identity).unwrap_or_default(), identity(after));
    let side = |side: &[(&'static str, Shown)], name: &str| {
        side.iter().find(|(known, _)| *known == name).map_or(Shown::Absent, |(_, shown)| shown.clone())
    };
    let mut names: Vec<&'static str> = after.iter().map(|(name, _)| *name).collect();
    names.extend(before.iter().map(|(name, _)| *name).filter(|name| !after.iter().any(|(known, _)| known == name)));
    names.into_iter().for_each(|name| change.compare(name, side(&before, name), side(&after, name)));
}

/// Certificates of a chain on one line, each by its subject and the start of its fingerprint; none for an empty chain.
pub(crate) fn subjects(chain: &[CertificateInfo]) -> Option<String> {
    let one = |certificate: &CertificateInfo| {
        let start = certificate.sha256.get(..12).unwrap_or(&certificate.sha256);
        format!("{} (sha256 {start})", certificate.called())
    };
    (!chain.is_empty()).then(|| chain.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// What made a certificate impossible, with what lies behind it.
pub(crate) fn unmade(error: &x509::Error) -> Undecided {
    Undecided::new(chain(error))
}

/// An error with all that lies behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The certificate and its chain as a server shows them: without the root, which whoever trusts it has (RFC 8446
/// section 4.4.2).
pub(crate) fn served(path: &[CertificateInfo]) -> Vec<CertificateInfo> {
    let above = path.iter().skip(1).filter(|certificate| !certificate.is_self_signed());
    path.first().into_iter().chain(above).cloned().collect()
}

/// The root of a path, if it leads there.
pub(crate) fn roots(path: &[CertificateInfo]) -> Vec<CertificateInfo> {
    path.iter().filter(|certificate| certificate.is_self_signed()).cloned().collect()
}

/// Certificates one after another.
pub(crate) fn pem(certificates: &[CertificateInfo]) -> Result<String, Undecided> {
    certificates.iter().map(CertificateInfo::pem).collect::<Result<_, _>>().map_err(|error| unmade(&error))
}
