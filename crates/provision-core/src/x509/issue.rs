//! Making certificates: authorities, leaves, and leaves that vouch for themselves.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use rsa::pkcs8::der::asn1::BitStringRef;
use rsa::pkcs8::der::{self, Encode, Header, Length, Reader, SliceReader, Tag};
use time::{OffsetDateTime, UtcOffset};
use zeroize::Zeroizing;

use super::error::{Cause, Error};
use super::inspect::{CertificateInfo, inspect};
use super::key::{self, KeyAlgorithm};
use super::san::San;
use super::spec::{AuthoritySpec, LeafSpec, Lifetime, SELF_SIGNED_NAME, SubjectText, Usages};
use super::{CLOCK_SKEW, IssuerPem, Pair, pem};

/// Bytes of a serial number. RFC 5280 section 4.1.2.2 allows 20, and 8 of them random make it unpredictable.
const SERIAL_LENGTH: usize = 16;

/// Makes an authority with a new key. An RSA key may take seconds: keep this off the threads of an async runtime.
///
/// # Errors
/// When the system gives no randomness, or the lifetime reaches beyond the year 9999.
pub fn generate_authority(spec: &AuthoritySpec, now: OffsetDateTime) -> Result<Pair, Error> {
    let key = key::generate(spec.key_type)?;
    let parameters = authority_parameters(spec, now)?;
    self_signed(&parameters, &key, spec.common_name.as_str())
}

/// Makes an authority with a new key below another one. It ends no later than its issuer.
///
/// # Errors
/// As [`issue_leaf`], and when the issuer's path length allows no such authority below it.
pub fn issue_authority(spec: &AuthoritySpec, issuer: &IssuerPem<'_>, now: OffsetDateTime) -> Result<Pair, Error> {
    let issuer = Superior::read(issuer)?;
    let parameters = issuer.limited(spec, now)?;
    let key = key::generate(spec.key_type)?;
    let above = issuer.parameters()?;
    sign(&parameters, &key, issuer.signer(&above)?, None)
        .and_then(|certificate| pair(certificate, &key))
        .map_err(|source| Error::Sign { subject: spec.common_name.to_string(), source })
}

/// Makes a new certificate for an authority that keeps its key, its subject and its key identifier: what it issued stays
/// good, and whoever trusts the old certificate goes on accepting new leaves until that one ends. Whoever signs it may be
/// another one than before; without an issuer it signs itself.
///
/// # Errors
/// When the two do not belong together, or `spec` asks for another name or type of key than the authority has; with an
/// issuer as [`issue_authority`].
pub fn renew_authority(
    spec: &AuthoritySpec,
    current: &IssuerPem<'_>,
    issuer: Option<&IssuerPem<'_>>,
    now: OffsetDateTime,
) -> Result<Pair, Error> {
    let (certificate, key) = read_pair(current)?;
    let refuse = |why: String| Err(Error::NotARenewal { subject: certificate.called().to_owned(), why });
    let AuthoritySpec { common_name, organization, key_type, lifetime: _, path_length: _ } = spec;
    if certificate.common_name.as_deref() != Some(common_name.as_str())
        || certificate.organization.as_deref() != organization.as_ref().map(SubjectText::as_str)
    {
        return refuse(format!("`{common_name}` is another name than it has"));
    }
    if certificate.key != KeyAlgorithm::Known(*key_type) {
        return refuse(format!("its key is {}, {key_type} is asked for", certificate.key));
    }
    let refused = |source| Error::Sign { subject: certificate.called().to_owned(), source };
    let subject = certificate.subject_der()?;
    let id = certificate.subject_key_id_bytes()?.map(KeyIdMethod::PreSpecified);
    if let Some(issuer) = issuer {
        let issuer = Superior::read(issuer)?;
        let mut parameters = issuer.limited(spec, now)?;
        parameters.key_identifier_method = id.unwrap_or(parameters.key_identifier_method);
        let above = issuer.parameters()?;
        return sign(&parameters, &key, issuer.signer(&above)?, Some(&subject))
            .and_then(|certificate| pair(certificate, &key))
            .map_err(refused);
    }
    if !certificate.is_issued_by(&certificate)? {
        return refuse(format!("it is signed by {}, not by itself", certificate.issuer));
    }
    let mut parameters = authority_parameters(spec, now)?;
    parameters.key_identifier_method = id.unwrap_or(parameters.key_identifier_method);
    sign(&parameters, &key, Signer { key: &key, name: Some(subject.clone()), parameters: &parameters }, Some(&subject))
        .and_then(|certificate| pair(certificate, &key))
        .map_err(refused)
}

/// Makes a leaf with a new key, signed by an authority. It ends no later than its issuer. RSA may take seconds.
///
/// # Errors
/// When the issuer's certificate and key cannot be read or do not belong together, when it is no authority's, or when it
/// is not valid at `now`.
pub fn issue_leaf(spec: &LeafSpec, issuer: &IssuerPem<'_>, now: OffsetDateTime) -> Result<Pair, Error> {
    let issuer = Superior::read(issuer)?;
    check_may_issue(&issuer.certificate, now)?;
    let parameters = issuer.within(leaf_parameters(spec, now)?);
    let key = key::generate(spec.key_type)?;
    let above = issuer.parameters()?;
    sign(&parameters, &key, issuer.signer(&above)?, None)
        .and_then(|certificate| pair(certificate, &key))
        .map_err(|source| Error::Sign { subject: title(spec), source })
}

/// Makes a leaf with a new key that vouches for itself: whoever is to trust it must be given this very certificate.
///
/// # Errors
/// When the system gives no randomness, or the lifetime reaches beyond the year 9999.
pub fn self_signed_leaf(spec: &LeafSpec, now: OffsetDateTime) -> Result<Pair, Error> {
    let mut parameters = leaf_parameters(spec, now)?;
    if spec.subject_common_name().is_none() {
        parameters.distinguished_name.push(DnType::CommonName, SELF_SIGNED_NAME);
    }
    self_signed(&parameters, &*key::generate(spec.key_type)?, &title(spec))
}

/// An authority that signs others than itself.
struct Superior {
    certificate: CertificateInfo,
    key: Zeroizing<KeyPair>,
}

impl Superior {
    fn read(issuer: &IssuerPem<'_>) -> Result<Self, Error> {
        let (certificate, key) = read_pair(issuer)?;
        Ok(Self { certificate, key })
    }

    /// What a certificate of its is to say, cut to its own validity.
    fn within(&self, mut parameters: CertificateParams) -> CertificateParams {
        parameters.not_before = parameters.not_before.max(self.certificate.not_before);
        parameters.not_after = parameters.not_after.min(self.certificate.not_after);
        parameters
    }

    /// What an authority below it is to say.
    fn limited(&self, spec: &AuthoritySpec, now: OffsetDateTime) -> Result<CertificateParams, Error> {
        check_may_issue_authority(&self.certificate, spec.path_length, now)?;
        Ok(self.within(authority_parameters(spec, now)?))
    }

    /// Its identifier as its certificate has it, whichever way that was computed.
    fn parameters(&self) -> Result<CertificateParams, Error> {
        let mut parameters = CertificateParams::default();
        if let Some(id) = self.certificate.subject_key_id_bytes()? {
            parameters.key_identifier_method = KeyIdMethod::PreSpecified(id);
        }
        Ok(parameters)
    }

    fn signer<'a>(&'a self, parameters: &'a CertificateParams) -> Result<Signer<'a>, Error> {
        Ok(Signer { key: &self.key, name: Some(self.certificate.subject_der()?), parameters })
    }
}

fn authority_parameters(spec: &AuthoritySpec, now: OffsetDateTime) -> Result<CertificateParams, Error> {
    let AuthoritySpec { common_name, organization, key_type: _, lifetime, path_length } = spec;
    let mut parameters = parameters(*lifetime, now)?;
    if let Some(organization) = organization {
        parameters.distinguished_name.push(DnType::OrganizationName, organization.as_str());
    }
    parameters.distinguished_name.push(DnType::CommonName, common_name.as_str());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(*path_length));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

fn leaf_parameters(spec: &LeafSpec, now: OffsetDateTime) -> Result<CertificateParams, Error> {
    let LeafSpec { common_name: _, names, key_type, lifetime, usages } = spec;
    let mut parameters = parameters(*lifetime, now)?;
    if let Some(name) = spec.subject_common_name() {
        parameters.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if key_type.is_rsa() {
        // Key exchange of TLS 1.2 and older; an ECDSA key cannot do that.
        parameters.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    parameters.extended_key_usages = match usages {
        Usages::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usages::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usages::ServerAndClient => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    for name in names.as_set() {
        parameters.subject_alt_names.push(match name {
            San::Ip(address) => SanType::IpAddress(*address),
            San::Dns(name) => SanType::DnsName(
                name.as_str()
                    .try_into()
                    .map_err(|source: rcgen::Error| Error::Sign { subject: title(spec), source: source.into() })?,
            ),
        });
    }
    Ok(parameters)
}

/// What every certificate has: validity, serial number and key identifiers, and an empty subject.
fn parameters(lifetime: Lifetime, now: OffsetDateTime) -> Result<CertificateParams, Error> {
    // A certificate knows whole seconds in UTC only.
    let now = now.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(now);
    let mut parameters = CertificateParams::default();
    parameters.not_before = now.checked_sub(CLOCK_SKEW).ok_or(Error::TooLong)?;
    parameters.not_after = now.checked_add(lifetime.duration()).ok_or(Error::TooLong)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.serial_number = Some(serial_number()?);
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

fn serial_number() -> Result<SerialNumber, Error> {
    let mut serial = [0; SERIAL_LENGTH];
    getrandom::fill(&mut serial).map_err(Error::Random)?;
    // Positive, and never shorter: the first bit clear, the second set.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::from_slice(&serial))
}

fn read_pair(issuer: &IssuerPem<'_>) -> Result<(CertificateInfo, Zeroizing<KeyPair>), Error> {
    let certificate = inspect(issuer.certificate_pem)?;
    let key = key::read(issuer.key_pem)?;
    if crate::blob::sha256_hex(&key.subject_public_key_info()) == certificate.public_key_sha256 {
        Ok((certificate, key))
    } else {
        Err(Error::IssuerKeyMismatch { subject: certificate.called().to_owned() })
    }
}

/// Whether an authority may issue certificates at `now`.
///
/// # Errors
/// When its certificate does not allow it, or is not valid at that time.
pub fn check_may_issue(authority: &CertificateInfo, now: OffsetDateTime) -> Result<(), Error> {
    let subject = authority.called().to_owned();
    if let Some(why) = authority.why_no_authority() {
        return Err(Error::NotAnAuthority { subject, why });
    }
    if authority.subject.is_empty() {
        return Err(Error::NotAnAuthority { subject, why: "it has no subject that an issued certificate could name" });
    }
    if authority.not_after <= now {
        return Err(Error::IssuerExpired { subject, not_after: authority.not_after });
    }
    if authority.not_before > now {
        return Err(Error::IssuerNotYetValid { subject, not_before: authority.not_before, now });
    }
    Ok(())
}

/// Whether an authority may issue the certificate of another one, below which `path_length` more may follow.
///
/// # Errors
/// As [`check_may_issue`], and when its path length does not allow it.
pub fn check_may_issue_authority(
    authority: &CertificateInfo,
    path_length: u8,
    now: OffsetDateTime,
) -> Result<(), Error> {
    check_may_issue(authority, now)?;
    allows(authority.called(), authority.path_length, path_length)
}

/// Whether the path length of an authority allows one below it, with this one of its own.
pub(crate) fn allows(subject: &str, allowed: Option<u32>, path_length: u8) -> Result<(), Error> {
    let why = match allowed {
        Some(0) => "its path length is 0, so that it signs leaves only".to_owned(),
        Some(allowed) if u32::from(path_length) >= allowed => {
            format!("its path length is {allowed}, and {path_length} below it is more than one less")
        }
        _ => return Ok(()),
    };
    Err(Error::PathLength { subject: subject.to_owned(), why })
}

fn title(spec: &LeafSpec) -> String {
    spec.names.as_set().first().map(ToString::to_string).unwrap_or_default()
}

fn self_signed(parameters: &CertificateParams, key: &KeyPair, subject: &str) -> Result<Pair, Error> {
    sign(parameters, key, Signer { key, name: None, parameters }, None)
        .and_then(|certificate| pair(certificate, key))
        .map_err(|source| Error::Sign { subject: subject.to_owned(), source })
}

fn pair(certificate_der: Vec<u8>, key: &KeyPair) -> Result<Pair, Cause> {
    Ok(Pair {
        certificate_pem: pem::write_certificate(certificate_der)?,
        key_pem: pem::write_private_key(key.serialized_der())?,
    })
}

/// Whoever signs: the key, and the subject in DER as its certificate has it, unless rcgen may write that from
/// `parameters`.
struct Signer<'a> {
    key: &'a KeyPair,
    name: Option<Vec<u8>>,
    parameters: &'a CertificateParams,
}

/// Signs a certificate with the issuer's name, and the subject's if one is given, copied byte by byte.
///
/// rcgen would write the issuer's name anew, and knows every attribute once only: from a site's authority called
/// `DC=com, DC=example, CN=...` it would make another name, and no client would find the issuer.
fn sign(
    parameters: &CertificateParams,
    key: &KeyPair,
    signer: Signer<'_>,
    subject: Option<&[u8]>,
) -> Result<Vec<u8>, Cause> {
    let issuer = Issuer::from_params(signer.parameters, signer.key);
    let drafted = parameters.signed_by(key, &issuer)?.der().to_vec();
    let Some(name) = signer.name else {
        return Ok(drafted);
    };

    // Certificate and TBSCertificate of RFC 5280 section 4.1.
    let mut outer = SliceReader::new(&drafted)?;
    let (fields, algorithm) = outer.sequence(|reader| {
        let fields = reader.sequence(elements)?;
        let algorithm = reader.tlv_bytes()?;
        reader.tlv_bytes()?;
        Ok::<_, der::Error>((fields, algorithm))
    })?;
    let [version, serial, inner_algorithm, _, validity, drafted_subject, rest @ ..] = fields.as_slice() else {
        return Err("the drafted certificate lacks a field".into());
    };
    let subject = subject.unwrap_or(drafted_subject);
    let mut content = [*version, serial, inner_algorithm, &name, validity, subject].concat();
    content.extend(rest.iter().copied().flatten());
    let signed = sequence(&content)?;
    let signature = signer.key.sign(&signed)?;
    let signature = BitStringRef::from_bytes(&signature)?.to_der()?;
    Ok(sequence(&[signed.as_slice(), algorithm, &signature].concat())?)
}

pub(super) fn elements<'a>(reader: &mut SliceReader<'a>) -> der::Result<Vec<&'a [u8]>> {
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(reader.tlv_bytes()?);
    }
    Ok(elements)
}

pub(super) fn sequence(content: &[u8]) -> der::Result<Vec<u8>> {
    let mut der = Header::new(Tag::Sequence, Length::try_from(content.len())?).to_der()?;
    der.extend_from_slice(content);
    Ok(der)
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::super::{Names, issued_by, key_matches};
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    const NOW: OffsetDateTime = datetime!(2026-10-01 12:00 UTC);

    fn authority(days: u32) -> Result<Pair, Box<dyn std::error::Error>> {
        let lifetime = Lifetime::from_days(days)?;
        Ok(generate_authority(&AuthoritySpec { lifetime, ..AuthoritySpec::new("Registry CA".parse()?) }, NOW)?)
    }

    fn leaf_spec() -> Result<LeafSpec, Box<dyn std::error::Error>> {
        Ok(LeafSpec::new(Names::new(["a.example".parse()?])?))
    }

    #[test]
    fn leaf_lies_within_its_issuers_validity() -> TestResult {
        let authority = authority(30)?;
        let leaf = issue_leaf(&leaf_spec()?, &authority.issuer(), NOW - Duration::hours(6))?;
        let (issuer, leaf) =
            (inspect(authority.certificate_pem.as_bytes())?, inspect(leaf.certificate_pem.as_bytes())?);
        assert_eq!((leaf.not_before, leaf.not_after), (issuer.not_before, issuer.not_after));
        Ok(())
    }

    #[test]
    fn who_may_not_issue_is_told_why() -> TestResult {
        let (ours, other) = (authority(30)?, authority(30)?);
        let leaf = issue_leaf(&leaf_spec()?, &ours.issuer(), NOW)?;
        for (issuer, now, message) in [
            (
                leaf.issuer(),
                NOW,
                "a.example cannot issue certificates: its basic constraints do not say that it is an authority",
            ),
            (
                IssuerPem { key_pem: other.key_pem.as_bytes(), ..ours.issuer() },
                NOW,
                "the private key does not belong to the certificate of Registry CA",
            ),
            (
                ours.issuer(),
                NOW + Duration::days(30),
                "Registry CA cannot issue certificates: it expired at 2026-10-31T12:00:00Z",
            ),
            (
                ours.issuer(),
                NOW - Duration::days(30),
                "Registry CA cannot issue certificates before 2026-10-01T00:00:00Z, and it is \
                 2026-09-01T12:00:00Z here; is the clock of this machine right?",
            ),
            (
                IssuerPem { certificate_pem: b"", ..ours.issuer() },
                NOW,
                "found no certificate in PEM, only an empty file",
            ),
        ] {
            let refused = issue_leaf(&leaf_spec()?, &issuer, now).map_err(|error| error.to_string());
            assert_eq!(refused, Err(message.to_owned()));
        }
        let far = OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT);
        assert!(matches!(self_signed_leaf(&leaf_spec()?, far), Err(Error::TooLong)));
        Ok(())
    }

    #[test]
    fn renewed_authority_keeps_name_key_and_leaves() -> TestResult {
        let old = authority(30)?;
        let leaf = issue_leaf(&leaf_spec()?, &old.issuer(), NOW)?;
        let spec = AuthoritySpec { path_length: 1, ..AuthoritySpec::new("Registry CA".parse()?) };
        let later = NOW + Duration::days(29);
        let new = renew_authority(&spec, &old.issuer(), None, later)?;

        assert_eq!(new.key_pem, old.key_pem);
        let (before, after) = (inspect(old.certificate_pem.as_bytes())?, inspect(new.certificate_pem.as_bytes())?);
        assert_eq!(after.not_after, later + spec.lifetime.duration());
        assert_eq!((&after.subject, &after.issuer), (&before.subject, &before.subject));
        assert_eq!((&after.subject_key_id, after.path_length), (&before.subject_key_id, Some(1)));
        assert_ne!(after.serial, before.serial);
        for authority in [&old, &new] {
            assert!(issued_by(leaf.certificate_pem.as_bytes(), authority.certificate_pem.as_bytes())?);
        }

        let refused = renew_authority(&AuthoritySpec::new("Other CA".parse()?), &old.issuer(), None, NOW);
        let message = "cannot renew Registry CA under its key: `Other CA` is another name than it has";
        assert_eq!(refused.map_err(|error| error.to_string()), Err(message.to_owned()));
        let spec = AuthoritySpec { key_type: super::super::KeyType::EcdsaP384, ..spec };
        let refused = renew_authority(&spec, &old.issuer(), None, NOW).map_err(|error| error.to_string());
        let message = "cannot renew Registry CA under its key: its key is ecdsa-p256, ecdsa-p384 is asked for";
        assert_eq!(refused, Err(message.to_owned()));
        Ok(())
    }

    #[test]
    fn every_key_and_serial_is_new() -> TestResult {
        let (one, other) = (self_signed_leaf(&leaf_spec()?, NOW)?, self_signed_leaf(&leaf_spec()?, NOW)?);
        assert_ne!(one.key_pem, other.key_pem);
        let (first, second) = (inspect(one.certificate_pem.as_bytes())?, inspect(other.certificate_pem.as_bytes())?);
        assert_ne!(first.serial, second.serial);
        assert!(key_matches(one.certificate_pem.as_bytes(), one.key_pem.as_bytes())?);
        Ok(())
    }

    #[test]
    fn name_too_long_for_a_subject_is_in_the_names_only() -> TestResult {
        let long = format!("{}.example.com", "a".repeat(60));
        let spec = LeafSpec::new(Names::new([long.parse()?])?);
        let issued = issue_leaf(&spec, &authority(30)?.issuer(), NOW)?;
        let lonely = self_signed_leaf(&spec, NOW)?;
        let (issued, lonely) =
            (inspect(issued.certificate_pem.as_bytes())?, inspect(lonely.certificate_pem.as_bytes())?);
        assert_eq!((issued.subject.as_str(), lonely.subject.as_str()), ("", "CN=self-signed"));
        assert_eq!((&issued.names, &lonely.names), (spec.names.as_set(), spec.names.as_set()));
        Ok(())
    }
}
