//! PEM text (RFC 7468) in and out: finding the section that is meant, and saying what is there when it is not.

use rsa::pkcs8::der::Document;
use rsa::pkcs8::{LineEnding, SecretDocument};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::{Cause, Error};

const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private key";

/// What editors on Windows put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first certificate in DER, and how many there are. Text around them and sections of other kinds are passed over.
pub(super) fn read_certificates(text: &[u8]) -> Result<(Vec<u8>, usize), Error> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(CERTIFICATE, &error))?;
    let count = certificates.len();
    match certificates.into_iter().next() {
        Some(first) => Ok((first.to_vec(), count)),
        None => Err(missing(CERTIFICATE, text)),
    }
}

/// The first private key, in whichever of the three formats; text before it, such as `EC PARAMETERS`, is passed over.
pub(super) fn read_private_key(text: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, Error> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(Zeroizing::new(key)),
        // PKCS#8 has a label of its own for an encrypted key, the older formats a header (RFC 1421) within the section.
        Err(_) if mentions(text, b"ENCRYPTED") => Err(Error::EncryptedKey),
        Err(pem::Error::NoItemsFound) => Err(missing(PRIVATE_KEY, text)),
        Err(error) => Err(unreadable(PRIVATE_KEY, &error)),
    }
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
    let labels: Vec<String> = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))
        .map(|label| format!("`{}`", String::from_utf8_lossy(label)))
        .collect();
    let found = if !labels.is_empty() {
        labels.join(", ")
    } else if text.is_empty() {
        "an empty file".to_owned()
    } else if text.starts_with(&[0x30, 0x82]) {
        // A DER sequence of 256 to 65535 bytes, as certificates and keys are.
        "binary data, perhaps DER: `openssl x509 -inform der` and `openssl pkey -inform der` turn that into PEM"
            .to_owned()
    } else {
        "text without any PEM section".to_owned()
    };
    Error::Missing { wanted, found }
}

fn mentions(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
