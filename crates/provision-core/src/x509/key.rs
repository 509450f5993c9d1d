//! Private keys: their types, making them, reading them, and the public half as one digest.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::{KeyPair, PublicKeyData};
use rsa::RsaPrivateKey;
use rsa::pkcs8::der::asn1::{AnyRef, OctetStringRef};
use rsa::pkcs8::der::{Encode, Reader, SliceReader};
use rsa::pkcs8::spki::AlgorithmIdentifierRef;
use rsa::pkcs8::{EncodePrivateKey, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::error::{Cause, Error};
use super::issue::{elements, sequence};
use super::pem;
use crate::blob::sha256_hex;

/// RFC 5480 section 2.1.1.
const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 section 2.1.1.1.
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 5480 section 2.1.1.1.
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A type of key that can be made: a short name, which is how plans write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyType {
    /// ECDSA on NIST P-256: accepted everywhere, small and fast, hence the default.
    #[default]
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// RSA of 2048 bits, for clients that know nothing else.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits, the most that ring signs with. Making one takes a second or two.
    Rsa4096,
}

impl KeyType {
    /// Every type, the default first.
    pub const ALL: [Self; 5] = [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The name in plans and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    /// Whether it is RSA, of any size.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No key type has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no key type: one of ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096")]
pub struct UnknownKeyType {
    /// As written.
    pub name: String,
}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(name: &str) -> Result<Self, UnknownKeyType> {
        let known = Self::ALL.into_iter().find(|key_type| key_type.name() == name);
        known.ok_or_else(|| UnknownKeyType { name: name.to_owned() })
    }
}

/// What kind of key a certificate is about, including those that cannot be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// One that can be made.
    Known(KeyType),
    /// Another, such as `ed25519`, `rsa-1024`, or the object identifier of its algorithm or curve.
    Other(String),
}

impl KeyAlgorithm {
    pub(super) fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        let algorithm = key.algorithm.algorithm.to_id_string();
        let name = match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => format!("rsa-{}", rsa.key_size()),
            Ok(PublicKey::EC(_)) => match key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()) {
                Some(curve) if curve.to_id_string() == SECP256R1.to_string() => "ecdsa-p256".to_owned(),
                Some(curve) if curve.to_id_string() == SECP384R1.to_string() => "ecdsa-p384".to_owned(),
                Some(curve) => format!("ecdsa-{}", curve.to_id_string()),
                None => "ecdsa".to_owned(),
            },
            // RFC 8410 section 3.
            _ if algorithm == "1.3.101.112" => "ed25519".to_owned(),
            _ => algorithm,
        };
        name.parse().map_or_else(|UnknownKeyType { name }| Self::Other(name), Self::Known)
    }
}

impl KeyAlgorithm {
    /// Whether it is an RSA key that is too short for today's clients, which take 2048 bits and more.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        let Self::Other(name) = self else { return false };
        name.strip_prefix("rsa-").and_then(|bits| bits.parse().ok()).is_some_and(|bits: u32| bits < SHORTEST_RSA)
    }
}

/// NIST SP 800-131A revision 2, table 2, and the CA/Browser Forum's baseline requirements, section 6.1.5.
const SHORTEST_RSA: u32 = 2048;

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(key_type) => key_type.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// SHA-256, in lower-case hex, of the public half of a private key as certificates hold it (SubjectPublicKeyInfo).
///
/// The same as `openssl pkey -in KEY -pubout -outform der | sha256sum` prints.
///
/// # Errors
/// When there is no usable private key in the PEM text.
pub fn public_key_sha256(key_pem: &[u8]) -> Result<String, Error> {
    Ok(sha256_hex(&read(key_pem)?.subject_public_key_info()))
}

/// Makes a key.
pub(super) fn generate(key_type: KeyType) -> Result<Zeroizing<KeyPair>, Error> {
    let key = match key_type {
        KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(Cause::from),
        KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).map_err(Cause::from),
        KeyType::Rsa2048 => generate_rsa(2048, generator()?),
        KeyType::Rsa3072 => generate_rsa(3072, generator()?),
        KeyType::Rsa4096 => generate_rsa(4096, generator()?),
    };
    key.map(Zeroizing::new).map_err(|source| Error::GenerateKey { key_type, source })
}

/// A generator seeded with 256 bits from the operating system. Asking the system for every number instead would leave
/// no way but a panic if it failed midway: the RSA crate takes infallible generators only.
fn generator() -> Result<StdRng, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(Error::Random)?;
    Ok(StdRng::from_seed(*seed))
}

fn generate_rsa(bits: usize, mut generator: StdRng) -> Result<KeyPair, Cause> {
    let pkcs8 = RsaPrivateKey::new(&mut generator, bits)?.to_pkcs8_der()?;
    Ok(KeyPair::try_from(pkcs8.as_bytes())?)
}

/// Reads a key in PKCS#8 (RFC 5208), SEC1 (RFC 5915) or PKCS#1 (RFC 8017 appendix A.1.2).
pub(super) fn read(key_pem: &[u8]) -> Result<Zeroizing<KeyPair>, Error> {
    from_der(&*pem::read_private_key(key_pem)?)
}

/// Reads a key that may be under a passphrase; says whether it was.
pub(super) fn read_under(key_pem: &[u8], passphrase: Option<&str>) -> Result<(Zeroizing<KeyPair>, Protection), Error> {
    match (pem::read_key_section(key_pem)?, passphrase) {
        (pem::KeySection::Plain(key), _) => Ok((from_der(&key)?, Protection::None)),
        (pem::KeySection::Encrypted(_), None) => Err(Error::EncryptedKey),
        (pem::KeySection::Encrypted(der), Some(passphrase)) => {
            let key = from_pkcs8(decrypted(&der, passphrase)?.as_bytes()).map_err(Error::Key)?;
            Ok((Zeroizing::new(key), Protection::Passphrase))
        }
    }
}

/// How a key was protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    None,
    Passphrase,
}

/// Opens PKCS#8 under a passphrase (RFC 8018: PBES2).
fn decrypted(der: &[u8], passphrase: &str) -> Result<SecretDocument, Error> {
    use pkcs8::pkcs5;
    let key = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| Error::UnknownEncryption)?;
    key.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) => Error::WrongPassphrase,
        pkcs8::Error::EncryptedPrivateKey(_) => Error::UnknownEncryption,
        // One wrong passphrase in 256 ends in what looks like padding, and before it is anything but a key.
        _ => Error::WrongPassphrase,
    })
}

/// A key in PKCS#8 as it is always written, so that the same key in another format is no other key: version 1 without
/// attributes (RFC 5958 section 2), and the curve of an elliptic one said once (RFC 5915 section 3 lets it be said again).
pub(super) fn canonical(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let key = PrivateKeyInfoRef::try_from(pkcs8)?;
    let mut content = Zeroizing::new(key.private_key.as_bytes().to_vec());
    if key.algorithm.oid == ID_EC_PUBLIC_KEY {
        let fields = SliceReader::new(key.private_key.as_bytes())?.sequence(elements)?;
        let kept = fields.into_iter().filter(|field| field.first() != Some(&CURVE_AGAIN));
        content = Zeroizing::new(sequence(&Zeroizing::new(kept.collect::<Vec<_>>().concat()))?);
    }
    let envelope = PrivateKeyInfoRef::new(key.algorithm, OctetStringRef::new(&content)?);
    Ok(Zeroizing::new(envelope.to_der()?))
}

/// The tag of `parameters` in an ECPrivateKey.
const CURVE_AGAIN: u8 = 0xa0;

fn from_der(key: &PrivateKeyDer<'_>) -> Result<Zeroizing<KeyPair>, Error> {
    let pair = match key {
        PrivateKeyDer::Pkcs8(key) => from_pkcs8(key.secret_pkcs8_der()),
        // The section does not have to name the curve, and ring refuses the wrong one.
        PrivateKeyDer::Sec1(key) => wrapped(ID_EC_PUBLIC_KEY, AnyRef::from(&SECP256R1), key.secret_sec1_der())
            .or_else(|_| wrapped(ID_EC_PUBLIC_KEY, AnyRef::from(&SECP384R1), key.secret_sec1_der())),
        PrivateKeyDer::Pkcs1(key) => wrapped(rsa::pkcs1::ALGORITHM_OID, AnyRef::NULL, key.secret_pkcs1_der()),
        _ => Err("a format of private key that did not exist when this was written".into()),
    };
    pair.map(Zeroizing::new).map_err(Error::Key)
}

/// Reads one of the older formats by putting it into a PKCS#8 envelope, the only thing ring takes.
fn wrapped(algorithm: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Result<KeyPair, Cause> {
    let algorithm = AlgorithmIdentifierRef { oid: algorithm, parameters: Some(parameters) };
    let envelope = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(key)?);
    from_pkcs8(&Zeroizing::new(envelope.to_der()?))
}

fn from_pkcs8(der: &[u8]) -> Result<KeyPair, Cause> {
    Ok(KeyPair::try_from(der)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        for key_type in KeyType::ALL {
            assert_eq!(key_type.to_string().parse(), Ok(key_type));
        }
        assert_eq!(KeyType::ALL.first(), Some(&KeyType::default()));
    }

    #[test]
    fn unknown_type_is_refused_with_those_there_are() {
        let refused = "rsa-1024".parse::<KeyType>().map_err(|error| error.to_string()).err().unwrap_or_default();
        assert_eq!(refused, "`rsa-1024` is no key type: one of ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096");
        for key_type in KeyType::ALL {
            assert!(refused.contains(key_type.name()), "{key_type}");
        }
    }
}
