//! PEM text (RFC 7468) in and out: finding the section that is meant, and saying what is there when it is not.

use rsa::pkcs8::der::Document;
use rsa::pkcs8::{LineEnding, SecretDocument};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::{Cause, Error};

const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private key";

/// What editors on Windows put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file has for a private key.
pub(super) enum KeySection {
    /// One that can be used as it is.
    Plain(Zeroizing<PrivateKeyDer<'static>>),
    /// PKCS#8 under a passphrase (RFC 5958 section 3), in DER.
    Encrypted(Zeroizing<Vec<u8>>),
}

/// The first certificate in DER, and how many there are. Text around them and sections of other kinds are passed over.
pub(super) fn read_certificates(text: &[u8]) -> Result<(Vec<u8>, usize), Error> {
    let all = read_all_certificates(text)?;
    let count = all.len();
    all.into_iter().next().map(|first| (first, count)).ok_or_else(|| missing(CERTIFICATE, text))
}

/// Every certificate in DER, at least one.
pub(super) fn read_all_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(CERTIFICATE, &error))?;
    if certificates.is_empty() {
        return Err(missing(CERTIFICATE, text));
    }
    Ok(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// The first private key, in whichever of the three formats; text before it, such as `EC PARAMETERS`, is passed over.
pub(super) fn read_private_key(text: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, Error> {
    match read_key_section(text)? {
        KeySection::Plain(key) => Ok(key),
        KeySection::Encrypted(_) => Err(Error::EncryptedKey),
    }
}

/// The first private key, be it under a passphrase.
pub(super) fn read_key_section(text: &[u8]) -> Result<KeySection, Error> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if key_labels(text).next() == Some(ENCRYPTED_LABEL) {
        // The reader below passes over what it does not know; under the label of a plain key it takes any bytes.
        let plain = Zeroizing::new(replaced(text, ENCRYPTED_LABEL, PLAIN_LABEL));
        let key = PrivatePkcs8KeyDer::from_pem_slice(&plain).map_err(|error| unreadable(PRIVATE_KEY, &error))?;
        return Ok(KeySection::Encrypted(Zeroizing::new(key.secret_pkcs8_der().to_vec())));
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(KeySection::Plain(Zeroizing::new(key))),
        // A header (RFC 1421) within a section of one of the older formats.
        Err(_) if mentions(text, b"Proc-Type: 4,ENCRYPTED") => Err(Error::LegacyEncryption),
        Err(pem::Error::NoItemsFound) => Err(missing(PRIVATE_KEY, text)),
        Err(error) => Err(unreadable(PRIVATE_KEY, &error)),
    }
}

/// How many private keys there are, of formats that are known.
pub(super) fn count_private_keys(text: &[u8]) -> usize {
    key_labels(text).count()
}

const ENCRYPTED_LABEL: &[u8] = b"ENCRYPTED PRIVATE KEY";
const PLAIN_LABEL: &[u8] = b"PRIVATE KEY";

fn key_labels(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let known: [&[u8]; 4] = [PLAIN_LABEL, ENCRYPTED_LABEL, b"EC PRIVATE KEY", b"RSA PRIVATE KEY"];
    labels(text).filter(move |label| known.contains(label))
}

fn labels(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.trim_ascii_end().strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        result.extend_from_slice(before);
        result.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}

/// A certificate in PEM. Line feeds everywhere: what goes to a host must not depend on the machine that made it.
pub(super) fn write_certificate(der: Vec<u8>) -> Result<String, Cause> {
    Ok(Document::try_from(der)?.to_pem("CERTIFICATE", LineEnding::LF)?)
}

/// A PKCS#8 key in PEM; every copy made on the way is wiped.
pub(super) fn write_private_key(pkcs8: &[u8]) -> Result<Zeroizing<String>, Cause> {
    Ok(SecretDocument::try_from(pkcs8)?.to_pem("PRIVATE KEY", LineEnding::LF)?)
}

// The text of the library's errors may quote the file: none of it is passed on.
fn unreadable(wanted: &'static str, error: &pem::Error) -> Error {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "the text is cut off, a PEM section has no `-----END` line",
        pem::Error::IllegalSectionStart { .. } => "a `-----BEGIN` line does not end in five hyphens",
        pem::Error::Base64Decode(_) => "a PEM section holds something other than base64",
        _ => "the text is not PEM",
    };
    Error::Pem { wanted, why }
}

fn missing(wanted: &'static str, text: &[u8]) -> Error {
    let found: Vec<String> = labels(text).map(|label| format!("`{}`", String::from_utf8_lossy(label))).collect();
    let found = if !found.is_empty() {
        let hint = labels(text).find_map(hint).map_or_else(String::new, |hint| format!(": {hint}"));
        format!("{}{hint}", found.join(", "))
    } else if text.is_empty() {
        "an empty file".to_owned()
    } else if let Some(content) = der_content(text) {
        // A PFX starts with its version (RFC 7292 section 4), which is 3 and nobody else's.
        if content.starts_with(&[2, 1, 3]) {
            "a PKCS#12 file: `openssl pkcs12 -in FILE -nokeys -out CERTIFICATES` and `openssl pkcs12 -in FILE -nocerts \
             -out KEY` turn that into PEM"
                .to_owned()
        } else {
            "binary data, perhaps DER: `openssl x509 -inform der -in FILE -out NEW` and `openssl pkey -inform der -in FILE -out NEW` turn that into PEM"
                .to_owned()
        }
    } else {
        "text without any PEM section".to_owned()
    };
    Error::Missing { wanted, found }
}

/// What to do with a section of another kind.
fn hint(label: &[u8]) -> Option<&'static str> {
    match label {
        b"TRUSTED CERTIFICATE" => Some("`openssl x509 -in FILE -out NEW` takes out what OpenSSL has added"),
        b"PKCS7" => Some("`openssl pkcs7 -print_certs -in FILE -out NEW` takes the certificates out"),
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => {
            Some("that is a request; an authority makes a certificate from it")
        }
        b"OPENSSH PRIVATE KEY" => Some("`ssh-keygen -p -m PKCS8 -f COPY` rewrites a copy of it"),
        b"DSA PRIVATE KEY" => Some("TLS has no use for DSA"),
        _ => None,
    }
}

/// What is in a DER sequence; none when the text does not start as one, as certificates and keys do.
fn der_content(text: &[u8]) -> Option<&[u8]> {
    let (tag, length) = (text.first()?, text.get(1)?);
    let header = if *length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) };
    (*tag == 0x30 && header <= 6).then(|| text.get(header..)).flatten()
}

fn mentions(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
