//! Reading certificates that are whole, odd, damaged or something else.

use proptest::prelude::*;
use time::macros::datetime;

use super::super::{
    AuthoritySpec, KeyType, LeafSpec, Names, Pair, Usages, generate_authority, issue_leaf, public_key_sha256,
    self_signed_leaf,
};
use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const NOW: OffsetDateTime = datetime!(2026-10-01 12:00 UTC);

fn leaf() -> Result<Pair, Box<dyn std::error::Error>> {
    let names =
        Names::new(["a.example".parse()?, "*.b.example".parse()?, "192.0.2.1".parse()?, "2001:db8::1".parse()?])?;
    Ok(self_signed_leaf(&LeafSpec { usages: Usages::ServerAndClient, ..LeafSpec::new(names) }, NOW)?)
}

#[test]
fn what_was_made_is_read_back() -> TestResult {
    let spec = AuthoritySpec {
        organization: Some("Müller & Söhne, \"Example\"".parse()?),
        key_type: KeyType::EcdsaP384,
        path_length: 2,
        ..AuthoritySpec::new("Registry CA".parse()?)
    };
    let authority = generate_authority(&spec, NOW)?;
    let names = Names::new(["b.example".parse()?, "2001:db8::1".parse()?])?;
    let leaf = issue_leaf(&LeafSpec::new(names.clone()), &authority.issuer(), NOW)?;
    let (authority, leaf) = (inspect(authority.certificate_pem.as_bytes())?, inspect(leaf.certificate_pem.as_bytes())?);

    assert_eq!(authority.common_name.as_deref(), Some("Registry CA"));
    assert_eq!(authority.organization.as_deref(), Some("Müller & Söhne, \"Example\""));
    assert_eq!(authority.key, KeyAlgorithm::Known(KeyType::EcdsaP384));
    assert_eq!((authority.is_ca, authority.path_length), (true, Some(2)));
    assert_eq!(authority.key_usages, ["cRLSign", "keyCertSign"].map(str::to_owned).into());
    assert_eq!(authority.usages, BTreeSet::new());
    assert_eq!(authority.authority_key_id, authority.subject_key_id);
    assert_eq!(
        (authority.not_before, authority.not_after),
        (datetime!(2026-10-01 0:00 UTC), datetime!(2036-09-28 12:00 UTC))
    );

    assert_eq!(leaf.subject, "CN=b.example");
    assert_eq!(leaf.issuer, authority.subject);
    assert_eq!(&leaf.names, names.as_set());
    assert_eq!(leaf.key, KeyAlgorithm::Known(KeyType::EcdsaP256));
    assert_eq!((leaf.is_ca, leaf.path_length), (false, None));
    assert_eq!(leaf.key_usages, ["digitalSignature".to_owned()].into());
    assert_eq!(leaf.usages, Usages::Server.names());
    assert_eq!(leaf.authority_key_id, authority.subject_key_id);
    assert_ne!(leaf.subject_key_id, authority.subject_key_id);
    assert_eq!((leaf.not_before, leaf.not_after), (datetime!(2026-10-01 0:00 UTC), datetime!(2027-11-02 12:00 UTC)));
    for info in [&authority, &leaf] {
        assert_eq!((info.serial.len(), info.sha256.len(), info.public_key_sha256.len(), info.count), (32, 64, 64, 1));
        assert_eq!(info.subject_key_id.as_deref().map(str::len), Some(40));
    }
    Ok(())
}

#[test]
fn text_around_the_first_certificate_is_passed_over() -> TestResult {
    let (first, second) = (leaf()?, leaf()?);
    let (certificate, other, key) = (&first.certificate_pem, &second.certificate_pem, &*first.key_pem);
    let wanted = inspect(certificate.as_bytes())?;
    for (text, count) in [
        (format!("{certificate}{other}"), 2),
        (format!("subject=CN = a.example\nissuer=whoever\n\n{certificate}\nthe end"), 1),
        (format!("{key}{certificate}"), 1),
        (format!("\u{feff}{certificate}"), 1),
        (certificate.replace('\n', "\r\n"), 1),
        (certificate.trim_end().to_owned(), 1),
    ] {
        assert_eq!(inspect(text.as_bytes())?, CertificateInfo { count, ..wanted.clone() });
    }
    Ok(())
}

#[test]
fn what_is_no_certificate_is_named() -> TestResult {
    let pair = leaf()?;
    let (certificate, key) = (&pair.certificate_pem, &*pair.key_pem);
    let cut = |length: usize| certificate.get(..length).unwrap_or_default().to_owned();
    let trusted = certificate.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let (der, _) = pem::read_certificates(certificate.as_bytes())?;
    let longer = pem::write_certificate(der.iter().copied().chain([0x30, 0x00]).collect());
    for (text, message) in [
        (String::new().into_bytes(), "found no certificate in PEM, only an empty file"),
        (b"garbage".to_vec(), "found no certificate in PEM, only text without any PEM section"),
        (key.as_bytes().to_vec(), "found no certificate in PEM, only `PRIVATE KEY`"),
        (
            trusted.into_bytes(),
            "found no certificate in PEM, only `TRUSTED CERTIFICATE`: `openssl x509 -in FILE -out NEW` takes out what OpenSSL \
             has added",
        ),
        (
            der,
            "found no certificate in PEM, only binary data, perhaps DER: `openssl x509 -inform der -in FILE -out NEW` and \
             `openssl pkey -inform der -in FILE -out NEW` turn that into PEM",
        ),
        (
            cut(300).into_bytes(),
            "cannot read the certificate: the text is cut off, a PEM section has no `-----END` line",
        ),
        (
            format!("{certificate}{}", cut(300)).into_bytes(),
            "cannot read the certificate: the text is cut off, a PEM section has no `-----END` line",
        ),
        (
            certificate.replacen("CERTIFICATE-----", "CERTIFICATE----", 1).into_bytes(),
            "cannot read the certificate: a `-----BEGIN` line does not end in five hyphens",
        ),
        (
            certificate.replacen("MII", "M\u{7}I", 1).into_bytes(),
            "cannot read the certificate: a PEM section holds something other than base64",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            "cannot read the certificate: the PEM section is whole, but what is in it is not an X.509 certificate",
        ),
        (
            key.replace("PRIVATE KEY", "CERTIFICATE").into_bytes(),
            "cannot read the certificate: the PEM section is whole, but what is in it is not an X.509 certificate",
        ),
    ] {
        assert_eq!(inspect(&text).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    assert!(longer.is_err(), "more than one DER value in a section");
    Ok(())
}

#[test]
fn what_is_no_usable_key_is_named() -> TestResult {
    let pair = leaf()?;
    let cut = pair.key_pem.get(..100).unwrap_or_default();
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                     AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for (text, message) in [
        ("", "found no private key in PEM, only an empty file"),
        (&*pair.certificate_pem, "found no private key in PEM, only `CERTIFICATE`"),
        (cut, "cannot read the private key: the text is cut off, a PEM section has no `-----END` line"),
        (
            encrypted,
            "the private key is encrypted in OpenSSL's traditional way (`Proc-Type: 4,ENCRYPTED`), which is not read \
             here; `openssl pkcs8 -topk8 -in KEY -out NEW_KEY` rewrites it under a passphrase",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "the private key is encrypted; decrypt it first with `openssl pkey -in KEY -out PLAIN_KEY`",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "cannot use the private key: neither ECDSA on P-256 or P-384, nor Ed25519, nor RSA of 2048 to \
             4096 bits, with its public key included; `openssl pkey -in KEY -out NEW_KEY` rewrites one that lacks it",
        ),
    ] {
        assert_eq!(public_key_sha256(text.as_bytes()).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    Ok(())
}

#[test]
fn key_matches_its_own_certificate_only() -> TestResult {
    let (one, other) = (leaf()?, leaf()?);
    assert!(key_matches(one.certificate_pem.as_bytes(), one.key_pem.as_bytes())?);
    assert!(!key_matches(one.certificate_pem.as_bytes(), other.key_pem.as_bytes())?);
    Ok(())
}

#[test]
fn forged_signature_is_not_the_authoritys() -> TestResult {
    let spec = AuthoritySpec::new("Registry CA".parse()?);
    let authority = generate_authority(&spec, NOW)?;
    let leaf = issue_leaf(&LeafSpec::new(Names::new(["a.example".parse()?])?), &authority.issuer(), NOW)?;
    assert!(issued_by(leaf.certificate_pem.as_bytes(), authority.certificate_pem.as_bytes())?);
    assert!(!issued_by(authority.certificate_pem.as_bytes(), leaf.certificate_pem.as_bytes())?);

    let (mut der, _) = pem::read_certificates(leaf.certificate_pem.as_bytes())?;
    let name = der.windows(9).rposition(|window| window == b"a.example").ok_or("no name")?;
    der.get_mut(name).map(|byte| *byte = b'b').ok_or("no name")?;
    let forged = CertificateInfo::from_der(der, 1)?;
    assert_eq!(forged.names, ["b.example".parse()?].into());
    assert!(!forged.is_issued_by(&inspect(authority.certificate_pem.as_bytes())?)?);
    Ok(())
}

#[test]
fn key_material_is_never_printed() -> TestResult {
    let pair = leaf()?;
    let secret = pair.key_pem.lines().nth(1).ok_or("no key")?;
    for shown in [format!("{pair:?}"), format!("{:?}", pair.issuer()), format!("{:#?}", pair)] {
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE"), "{shown}");
    }
    Ok(())
}

proptest! {
    /// Bytes from a host are anything; they must be read or refused.
    #[test]
    fn damaged_certificate_does_not_panic(at in 0_usize..600, byte in any::<u8>(), keep in 300_usize..3000) {
        let made = || Ok::<_, Box<dyn std::error::Error>>(pem::read_certificates(leaf()?.certificate_pem.as_bytes())?);
        let (mut der, _) = made().map_err(|error| TestCaseError::fail(error.to_string()))?;
        if let Some(place) = der.get_mut(at) {
            *place = byte;
        }
        der.truncate(keep);
        if let Ok(info) = CertificateInfo::from_der(der, 1) {
            let _answer = info.is_issued_by(&info);
        }
    }
}
