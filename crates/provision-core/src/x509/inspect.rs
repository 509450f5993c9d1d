//! Reading a certificate back into a value, and asking what belongs to what.

use std::collections::BTreeSet;
use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension};
use x509_parser::x509::AttributeTypeAndValue;

use super::error::Error;
use super::key::{self, KeyAlgorithm};
use super::pem;
use super::san::{DnsName, San};
use crate::blob::sha256_hex;

/// What a certificate says. Digests, identifiers and the serial number are in lower-case hex without separators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// Subject as one line, such as `O=Example, CN=registry.example.com`; empty when there is none.
    pub subject: String,
    /// First common name of the subject.
    pub common_name: Option<String>,
    /// First organization of the subject.
    pub organization: Option<String>,
    /// Subject of whoever signed it, as one line.
    pub issuer: String,
    /// Names that [`San`] can say.
    pub names: BTreeSet<San>,
    /// Other subject alternative names: mail addresses, URIs, host names with an underscore.
    pub other_names: BTreeSet<String>,
    /// Kind of its key.
    pub key: KeyAlgorithm,
    /// First second of its validity.
    pub not_before: OffsetDateTime,
    /// Last second of its validity.
    pub not_after: OffsetDateTime,
    /// Whether it is an authority's (`cA` of RFC 5280 section 4.2.1.9).
    pub is_ca: bool,
    /// How many authorities may follow below it; absent when there is no limit.
    pub path_length: Option<u32>,
    /// Key usage by the names of RFC 5280 section 4.2.1.3; empty when the extension is absent.
    pub key_usages: BTreeSet<String>,
    /// Extended key usage: `server-auth`, `client-auth` and so on, or an object identifier; empty when absent.
    pub usages: BTreeSet<String>,
    /// Serial number.
    pub serial: String,
    /// SHA-256 of the whole certificate in DER: its fingerprint.
    pub sha256: String,
    /// SHA-256 of the public key; compare with [`super::public_key_sha256`].
    pub public_key_sha256: String,
    /// Subject key identifier.
    pub subject_key_id: Option<String>,
    /// Key identifier of whoever signed it.
    pub authority_key_id: Option<String>,
    /// How it is signed, as an object identifier.
    pub signature_algorithm: String,
    /// How many certificates the text held; this is the first.
    pub count: usize,
    /// The certificate itself, so that a signature can be checked.
    der: Vec<u8>,
}

/// Reads the first certificate of a PEM text. Text around it and sections of other kinds are passed over.
///
/// # Errors
/// When there is no certificate in it, when the text is cut off, or when the section holds something else.
pub fn inspect(certificate_pem: &[u8]) -> Result<CertificateInfo, Error> {
    let (der, count) = pem::read_certificates(certificate_pem)?;
    CertificateInfo::from_der(der, count)
}

/// Reads every certificate of a PEM text, at least one, in their order.
///
/// # Errors
/// As [`inspect`], for any of them.
pub fn inspect_all(certificates_pem: &[u8]) -> Result<Vec<CertificateInfo>, Error> {
    let all = pem::read_all_certificates(certificates_pem)?;
    let count = all.len();
    all.into_iter().map(|der| CertificateInfo::from_der(der, count)).collect()
}

/// Whether a private key is the one of a certificate: the public half of the one is in the other.
///
/// # Errors
/// When one of the two cannot be read.
pub fn key_matches(certificate_pem: &[u8], key_pem: &[u8]) -> Result<bool, Error> {
    Ok(inspect(certificate_pem)?.public_key_sha256 == key::public_key_sha256(key_pem)?)
}

/// Whether the first certificate was issued by the second; see [`CertificateInfo::is_issued_by`].
///
/// # Errors
/// When one of the two cannot be read, or the signature is made with an algorithm that is not supported.
pub fn issued_by(certificate_pem: &[u8], authority_pem: &[u8]) -> Result<bool, Error> {
    inspect(certificate_pem)?.is_issued_by(&inspect(authority_pem)?)
}

impl CertificateInfo {
    /// Whether `authority` signed this certificate: the names and key identifiers fit and the signature holds.
    ///
    /// A certificate renewed under the same name and key still counts as the authority's.
    ///
    /// # Errors
    /// When all but the signature fits, and that is made with an algorithm other than RSA, ECDSA on P-256 or P-384,
    /// and Ed25519.
    pub fn is_issued_by(&self, authority: &Self) -> Result<bool, Error> {
        let (certificate, issuer) = (parse(&self.der)?, parse(&authority.der)?);
        // Compared as bytes: whoever signs copies its subject, and OpenSSL wants the identifiers to fit as well.
        if certificate.issuer().as_raw() != issuer.subject().as_raw()
            || matches!((&self.authority_key_id, &authority.subject_key_id), (Some(said), Some(is)) if said != is)
        {
            return Ok(false);
        }
        match certificate.verify_signature(Some(issuer.public_key())) {
            Ok(()) => Ok(true),
            Err(x509_parser::error::X509Error::SignatureVerificationError) => Ok(false),
            Err(source) => Err(Error::Signature { subject: self.called().to_owned(), source: source.into() }),
        }
    }

    /// The same, where a signature that cannot be checked here is taken for good if the names and key identifiers fit.
    #[must_use]
    pub fn may_be_issued_by(&self, authority: &Self) -> bool {
        self.is_issued_by(authority).unwrap_or_else(|error| matches!(error, Error::Signature { .. }))
    }

    /// Whether it vouches for itself, as roots do.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.may_be_issued_by(self)
    }

    /// Whether a client that looks for a name accepts it (RFC 9525 section 6: a `*` stands for exactly one label).
    #[must_use]
    pub fn covers(&self, name: &San) -> bool {
        self.names.iter().any(|own| own.covers(name))
    }

    /// The certificate alone as PEM, with line feeds.
    ///
    /// # Errors
    /// Never for one that was read.
    pub fn pem(&self) -> Result<String, Error> {
        pem::write_certificate(self.der.clone()).map_err(Error::Certificate)
    }

    /// What it lacks to be an authority's; none when it is one.
    pub(super) fn why_no_authority(&self) -> Option<&'static str> {
        if !self.is_ca {
            return Some("its basic constraints do not say that it is an authority");
        }
        (!self.key_usages.is_empty() && !self.key_usages.contains("keyCertSign"))
            .then_some("its key usage does not include keyCertSign")
    }

    /// The digest that it is signed with, when that has been broken.
    pub(super) fn weak_signature(&self) -> Option<&'static str> {
        match self.signature_algorithm.as_str() {
            "1.2.840.113549.1.1.2" => Some("MD2"),
            "1.2.840.113549.1.1.4" => Some("MD5"),
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => Some("SHA-1"),
            _ => None,
        }
    }

    /// What to call it in a message.
    pub(crate) fn called(&self) -> &str {
        match &self.common_name {
            Some(name) => name,
            None if self.subject.is_empty() => "a certificate without a subject",
            None => &self.subject,
        }
    }

    /// The subject in DER, for whoever is issued by it.
    pub(super) fn subject_der(&self) -> Result<Vec<u8>, Error> {
        Ok(parse(&self.der)?.subject().as_raw().to_vec())
    }

    /// The subject key identifier as bytes.
    pub(super) fn subject_key_id_bytes(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(key_identifiers(&parse(&self.der)?).0)
    }

    pub(super) fn from_der(der: Vec<u8>, count: usize) -> Result<Self, Error> {
        let certificate = parse(&der)?;
        let extensions = Extensions::of(&certificate)?;
        let (subject_key_id, authority_key_id) = key_identifiers(&certificate);
        Ok(Self {
            subject: certificate.subject().to_string(),
            common_name: first_text(certificate.subject().iter_common_name()),
            organization: first_text(certificate.subject().iter_organization()),
            issuer: certificate.issuer().to_string(),
            names: extensions.names,
            other_names: extensions.other_names,
            key: KeyAlgorithm::of(certificate.public_key()),
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
            is_ca: certificate.is_ca(),
            path_length: extensions.path_length,
            key_usages: extensions.key_usages,
            usages: extensions.usages,
            serial: hex(&certificate.serial.to_bytes_be()),
            sha256: sha256_hex(&der),
            public_key_sha256: sha256_hex(certificate.public_key().raw),
            subject_key_id: subject_key_id.as_deref().map(hex),
            authority_key_id: authority_key_id.as_deref().map(hex),
            signature_algorithm: certificate.signature_algorithm.algorithm.to_id_string(),
            count,
            der,
        })
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Error::Certificate("there is more after the certificate".into())),
        Err(error) => Err(Error::Certificate(error.to_string().into())),
    }
}

/// The extensions that matter here. One that cannot be read makes the certificate unreadable: guessing that it was
/// absent would say that a certificate has no names.
#[derive(Default)]
struct Extensions {
    names: BTreeSet<San>,
    other_names: BTreeSet<String>,
    key_usages: BTreeSet<String>,
    usages: BTreeSet<String>,
    path_length: Option<u32>,
}

impl Extensions {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, Error> {
        let mut found = Self::default();
        // A second extension of a kind is an error (RFC 5280 section 4.2), and these accessors say so.
        let unreadable = |error: x509_parser::error::X509Error| Error::Certificate(error.into());
        for name in certificate
            .subject_alternative_name()
            .map_err(unreadable)?
            .into_iter()
            .flat_map(|extension| &extension.value.general_names)
        {
            match san(name) {
                Some(name) => found.names.insert(name),
                None => found.other_names.insert(name.to_string()),
            };
        }
        if let Some(extension) = certificate.key_usage().map_err(unreadable)? {
            found.key_usages = key_usage_names(extension.value);
        }
        if let Some(extension) = certificate.extended_key_usage().map_err(unreadable)? {
            found.usages = usage_names(extension.value);
        }
        if let Some(extension) = certificate.basic_constraints().map_err(unreadable)? {
            found.path_length = extension.value.path_len_constraint;
        }
        Ok(found)
    }
}

fn san(name: &GeneralName<'_>) -> Option<San> {
    match name {
        GeneralName::DNSName(name) => name.parse::<DnsName>().ok().map(San::Dns),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(San::Ip)
        }
        _ => None,
    }
}

fn key_usage_names(usage: &KeyUsage) -> BTreeSet<String> {
    let named = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ];
    present(&named).collect()
}

fn usage_names(usage: &ExtendedKeyUsage<'_>) -> BTreeSet<String> {
    let named = [
        (usage.any, "any"),
        (usage.server_auth, "server-auth"),
        (usage.client_auth, "client-auth"),
        (usage.code_signing, "code-signing"),
        (usage.email_protection, "email-protection"),
        (usage.time_stamping, "time-stamping"),
        (usage.ocsp_signing, "ocsp-signing"),
    ];
    present(&named).chain(usage.other.iter().map(|oid| oid.to_id_string())).collect()
}

fn present(named: &[(bool, &'static str)]) -> impl Iterator<Item = String> {
    named.iter().filter(|(there, _)| *there).map(|(_, name)| (*name).to_owned())
}

/// Subject and authority key identifier (RFC 5280 sections 4.2.1.1 and 4.2.1.2).
fn key_identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut subject, mut authority) = (None, None);
    for extension in certificate.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (subject, authority)
}

fn first_text<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<String> {
    let attribute = attributes.next()?;
    // The two 16 and 32 bit string types of old are not decoded; nothing compares equal to them, which is right.
    let text =
        attribute.as_str().map_or_else(|_| String::from_utf8_lossy(attribute.as_slice()).into_owned(), str::to_owned);
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
