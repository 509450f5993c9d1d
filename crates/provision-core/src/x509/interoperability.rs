//! Other people's software agrees: OpenSSL's command reads, verifies and supplies certificates, and rustls accepts
//! them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{CertificateError, RootCertStore};

use super::*;

type Problem = Box<dyn std::error::Error>;
type TestResult = Result<(), Problem>;

const NOW: OffsetDateTime = datetime!(2026-10-01 12:00 UTC);

/// A directory in which `openssl` runs.
struct Openssl(TempDir);

impl Openssl {
    fn new() -> Result<Self, Problem> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> TestResult {
        Ok(std::fs::write(self.path().join(name), text)?)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        Ok(std::fs::read(self.path().join(name))?)
    }

    /// Runs one command, its arguments divided by spaces, and returns what it printed; an error when it fails.
    fn run(&self, command: &str) -> Result<String, Problem> {
        let output = Command::new("openssl").args(command.split(' ')).current_dir(self.path()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("openssl {command}: {said}{}", String::from_utf8_lossy(&output.stdout)).into())
        }
    }
}

fn spec(names: &[&str]) -> Result<LeafSpec, Problem> {
    Ok(LeafSpec::new(Names::new(names.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?)?))
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, Problem> {
    Ok(CertificateDer::from_pem_slice(pem.as_bytes())?)
}

fn roots(pem: &str) -> Result<Arc<RootCertStore>, Problem> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pem)?)?;
    Ok(Arc::new(roots))
}

fn at(time: OffsetDateTime) -> Result<UnixTime, Problem> {
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(time.unix_timestamp().try_into()?)))
}

/// Verifies as a TLS client would that connects to `name`.
fn accepts(root: &str, leaf: &str, name: &str, time: OffsetDateTime) -> Result<(), Problem> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(root)?, provider).build()?;
    let name = ServerName::try_from(name.to_owned())?;
    verifier.verify_server_cert(&certificate(leaf)?, &[], &name, &[], at(time)?)?;
    Ok(())
}

const NAMES: [&str; 4] = ["registry.example.com", "*.apps.example.com", "192.0.2.1", "2001:db8::1"];

#[test]
fn chain_is_accepted_for_each_of_its_names_and_no_other() -> TestResult {
    let openssl = Openssl::new()?;
    for key_type in [KeyType::EcdsaP256, KeyType::EcdsaP384] {
        let authority =
            generate_authority(&AuthoritySpec { key_type, ..AuthoritySpec::new("Registry CA".parse()?) }, NOW)?;
        let issued = issue_leaf(&spec(&NAMES)?, &authority.issuer(), NOW)?;
        let lonely = self_signed_leaf(&spec(&NAMES)?, NOW)?;
        for (root, leaf) in
            [(&authority.certificate_pem, &issued.certificate_pem), (&lonely.certificate_pem, &lonely.certificate_pem)]
        {
            openssl.write("ca.pem", root)?;
            openssl.write("leaf.pem", leaf)?;
            let verify = format!("verify -CAfile ca.pem -purpose sslserver -attime {}", NOW.unix_timestamp());
            for (name, option, accepted) in [
                ("registry.example.com", "-verify_hostname", true),
                ("REGISTRY.example.com", "-verify_hostname", true),
                ("console.apps.example.com", "-verify_hostname", true),
                ("192.0.2.1", "-verify_ip", true),
                ("2001:db8::1", "-verify_ip", true),
                ("2001:db8:0:0:0:0:0:1", "-verify_ip", true),
                ("apps.example.com", "-verify_hostname", false),
                ("a.b.apps.example.com", "-verify_hostname", false),
                ("other.example.com", "-verify_hostname", false),
                ("192.0.2.2", "-verify_ip", false),
                ("2001:db8::2", "-verify_ip", false),
            ] {
                let by_rustls = accepts(root, leaf, name, NOW);
                assert_eq!(by_rustls.is_ok(), accepted, "rustls, {name}: {by_rustls:?}");
                let by_openssl = openssl.run(&format!("{verify} {option} {name} leaf.pem"));
                assert_eq!(by_openssl.is_ok(), accepted, "openssl, {name}: {by_openssl:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn validity_is_what_others_take_it_for() -> TestResult {
    let authority = generate_authority(&AuthoritySpec::new("Registry CA".parse()?), NOW)?;
    let leaf = issue_leaf(&spec(&NAMES)?, &authority.issuer(), NOW)?;
    let end = NOW + Lifetime::LEAF.duration();
    for (time, accepted) in [
        (NOW - CLOCK_SKEW, true),
        (NOW - CLOCK_SKEW - time::Duration::SECOND, false),
        (end, true),
        (end + time::Duration::SECOND, false),
    ] {
        let answer = accepts(&authority.certificate_pem, &leaf.certificate_pem, "192.0.2.1", time);
        assert_eq!(answer.is_ok(), accepted, "{time}: {answer:?}");
    }
    Ok(())
}

#[test]
fn usages_are_what_others_take_them_for() -> TestResult {
    let authority = generate_authority(&AuthoritySpec::new("Registry CA".parse()?), NOW)?;
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots(&authority.certificate_pem)?, provider).build()?;
    for (usages, server, client) in
        [(Usages::Server, true, false), (Usages::Client, false, true), (Usages::ServerAndClient, true, true)]
    {
        let leaf = issue_leaf(&LeafSpec { usages, ..spec(&NAMES)? }, &authority.issuer(), NOW)?;
        let as_server = accepts(&authority.certificate_pem, &leaf.certificate_pem, "192.0.2.1", NOW);
        let as_client = clients.verify_client_cert(&certificate(&leaf.certificate_pem)?, &[], at(NOW)?);
        assert_eq!((as_server.is_ok(), as_client.is_ok()), (server, client), "{usages:?}");
    }
    Ok(())
}

#[test]
fn openssl_reads_what_was_asked_for() -> TestResult {
    let openssl = Openssl::new()?;
    let authority =
        AuthoritySpec { organization: Some("Example".parse()?), ..AuthoritySpec::new("Registry CA".parse()?) };
    let authority = generate_authority(&authority, NOW)?;
    // The only RSA key that a test makes: without optimisation it takes a while.
    let leaf = LeafSpec { key_type: KeyType::Rsa2048, ..spec(&NAMES)? };
    let leaf = issue_leaf(&leaf, &authority.issuer(), NOW)?;
    openssl.write("ca.pem", &authority.certificate_pem)?;
    openssl.write("leaf.pem", &leaf.certificate_pem)?;
    openssl.write("leaf.key", &leaf.key_pem)?;

    for (file, wanted) in [
        (
            "ca.pem",
            vec![
                "Version: 3 (0x2)",
                "Subject: CN=Registry CA,O=Example",
                "Issuer: CN=Registry CA,O=Example",
                "Not Before: Oct  1 00:00:00 2026 GMT",
                "Not After : Sep 28 12:00:00 2036 GMT",
                "NIST CURVE: P-256",
                "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
                "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
                "X509v3 Subject Key Identifier",
            ],
        ),
        (
            "leaf.pem",
            vec![
                "Subject: CN=registry.example.com",
                "Issuer: CN=Registry CA,O=Example",
                "Public-Key: (2048 bit)",
                "X509v3 Basic Constraints: critical\n                CA:FALSE",
                "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment",
                "X509v3 Extended Key Usage: \n                TLS Web Server Authentication",
                "DNS:*.apps.example.com, DNS:registry.example.com, IP Address:192.0.2.1, IP \
                 Address:2001:DB8:0:0:0:0:0:1",
                "X509v3 Authority Key Identifier",
            ],
        ),
    ] {
        let text = openssl.run(&format!("x509 -noout -text -nameopt RFC2253 -in {file}"))?;
        for line in wanted {
            assert!(text.contains(line), "{file} lacks {line:?}:\n{text}");
        }
    }
    let time = NOW.unix_timestamp();
    openssl.run(&format!("verify -x509_strict -check_ss_sig -CAfile ca.pem -attime {time} leaf.pem"))?;
    openssl.run("pkey -noout -check -in leaf.key")?;

    let info = inspect(leaf.certificate_pem.as_bytes())?;
    assert_eq!(info.key, KeyAlgorithm::Known(KeyType::Rsa2048));
    let fingerprint =
        openssl.run("x509 -noout -fingerprint -sha256 -serial -in leaf.pem")?.replace(':', "").to_lowercase();
    assert_eq!(fingerprint, format!("sha256 fingerprint={}\nserial={}\n", info.sha256, info.serial));
    openssl.run("pkey -pubout -outform der -in leaf.key -out public.der")?;
    assert_eq!(public_key_sha256(leaf.key_pem.as_bytes())?, crate::blob::sha256_hex(&openssl.read("public.der")?));

    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    CertifiedKey::from_der(vec![certificate(&leaf.certificate_pem)?], key, &ring::default_provider())?;
    accepts(&authority.certificate_pem, &leaf.certificate_pem, "192.0.2.1", NOW)
}

#[test]
fn authority_of_openssl_issues_in_every_format_of_its_key() -> TestResult {
    let openssl = Openssl::new()?;
    // A directory's name has the same attribute twice, and a foreign key identifier is a SHA-1.
    let subject = "/DC=com/DC=example/OU=One/OU=Two/O=Example/CN=Site_CA";
    for (name, make, convert) in [
        ("pkcs8-rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out made", "pkey -in made -out key"),
        (
            "pkcs1",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out made",
            "rsa -in made -traditional -out key",
        ),
        ("sec1-p256 with parameters", "ecparam -name prime256v1 -genkey -out key", "version"),
        ("sec1-p384", "ecparam -name secp384r1 -genkey -noout -out key", "version"),
        ("pkcs8-p384", "ecparam -name secp384r1 -genkey -noout -out made", "pkey -in made -out key"),
        ("ed25519", "genpkey -algorithm ED25519 -out key", "version"),
    ] {
        openssl.run(make)?;
        openssl.run(convert)?;
        let usage = "keyUsage=critical,keyCertSign,cRLSign";
        openssl.run(&format!("req -x509 -new -key key -out ca.pem -days 36500 -addext {usage} -subj {subject}"))?;
        let (authority, key) = (openssl.read("ca.pem")?, openssl.read("key")?);
        assert!(key_matches(&authority, &key)?, "{name}");

        let now = now_utc();
        let leaf = issue_leaf(&spec(&NAMES)?, &IssuerPem { certificate_pem: &authority, key_pem: &key }, now)?;
        openssl.write("leaf.pem", &leaf.certificate_pem)?;
        openssl
            .run("verify -x509_strict -CAfile ca.pem -verify_ip 192.0.2.1 leaf.pem")
            .map_err(|error| format!("{name}: {error}"))?;
        assert!(issued_by(leaf.certificate_pem.as_bytes(), &authority)?, "{name}");
        accepts(str::from_utf8(&authority)?, &leaf.certificate_pem, "192.0.2.1", now)?;
    }
    Ok(())
}

/// What is told of a key that somebody brings with its certificate.
fn brought(openssl: &Openssl, passphrase: Option<&str>) -> Result<String, Problem> {
    let (certificate, key) = (openssl.read("cert.pem")?, openssl.read("key")?);
    let parts = Parts { certificate: &certificate, chain: None, key: &key, passphrase };
    Ok(match Given::read(&parts, Role::Leaf) {
        Ok(given) => {
            assert!(key_matches(&certificate, given.key_pem().as_bytes())?);
            "good".to_owned()
        }
        Err(error) => format!("{:?}: {error}", error.part),
    })
}

const SELF_SIGNED: &str = "-subj /CN=a.example -addext subjectAltName=DNS:a.example -addext \
                           basicConstraints=critical,CA:FALSE -days 5 -out cert.pem";

#[test]
fn keys_of_openssl_are_read_in_every_format_they_come_in() -> TestResult {
    let openssl = Openssl::new()?;
    let encrypted = "pkcs8 -topk8 -in made -passout pass:hunter22 -out key";
    let weak = "Key: the private key is encrypted in a way that is not read here, or damaged: PBES2 with PBKDF2 or scrypt \
                is; `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW_KEY` rewrites it so";
    let legacy = "Key: the private key is encrypted in OpenSSL's traditional way (`Proc-Type: 4,ENCRYPTED`), which is \
                  not read here; `openssl pkcs8 -topk8 -in KEY -out NEW_KEY` rewrites it under a passphrase";
    let p256 = "ecparam -name prime256v1 -genkey -noout -out made";
    for (make, convert, passphrase, message) in [
        (p256, "ec -in made -out key".to_owned(), None, "good"),
        (p256, "pkey -in made -out key".to_owned(), None, "good"),
        (p256, format!("{encrypted} -v2 aes-256-cbc"), Some("hunter22"), "good"),
        (p256, format!("{encrypted} -v2 aes-128-cbc -v2prf hmacWithSHA512"), Some("hunter22"), "good"),
        (p256, format!("{encrypted} -v2 aes-256-cbc -v2prf hmacWithSHA1"), Some("hunter22"), "good"),
        (p256, format!("{encrypted} -scrypt"), Some("hunter22"), "good"),
        (
            p256,
            format!("{encrypted} -scrypt"),
            Some("hunter23"),
            "Passphrase: the passphrase does not open the private key",
        ),
        (
            p256,
            format!("{encrypted} -scrypt"),
            None,
            "Key: the private key is encrypted, and there is no passphrase for it",
        ),
        (p256, format!("{encrypted} -v2 des3"), Some("hunter22"), "good"),
        (p256, format!("{encrypted} -v1 PBE-SHA1-3DES"), Some("hunter22"), weak),
        (p256, "ec -in made -aes256 -passout pass:hunter22 -out key".to_owned(), Some("hunter22"), legacy),
        ("genpkey -algorithm ED25519 -out made", "pkey -in made -out key".to_owned(), None, "good"),
        ("genpkey -algorithm ED25519 -out made", format!("{encrypted} -v2 aes-256-cbc"), Some("hunter22"), "good"),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out made",
            "rsa -in made -traditional -out key".to_owned(),
            None,
            "good",
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out made",
            "rsa -in made -traditional -aes256 -passout pass:hunter22 -out key".to_owned(),
            Some("hunter22"),
            legacy,
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes256 -pass pass:hunter22 -out key",
            "pkey -in key -passin pass:hunter22 -out made".to_owned(),
            Some("hunter22"),
            "good",
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out made",
            "pkey -in made -out key".to_owned(),
            None,
            "Certificate: the key of a.example is rsa-1024, which is too short: clients refuse it",
        ),
    ] {
        openssl.run(make)?;
        openssl.run(&convert)?;
        openssl.run(&format!("req -x509 -new -key made {SELF_SIGNED}"))?;
        assert_eq!(brought(&openssl, passphrase)?, message, "{make}, {convert}");
    }
    Ok(())
}

#[test]
fn a_key_is_the_same_in_every_format() -> TestResult {
    let openssl = Openssl::new()?;
    let pkcs8 = "pkey -in made -out key";
    for (make, formats) in [
        (
            "ecparam -name secp384r1 -genkey -out made",
            [
                pkcs8,
                "ec -in made -out key",
                "ec -in made -no_public -out no_public",
                "pkcs8 -topk8 -nocrypt -in made -out key",
            ],
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out made",
            [
                pkcs8,
                "rsa -in made -traditional -out key",
                "rsa -in made -out key",
                "pkcs8 -topk8 -nocrypt -in made -out key",
            ],
        ),
    ] {
        openssl.run(make)?;
        openssl.run(&format!("req -x509 -new -key made {SELF_SIGNED}"))?;
        let mut keys = std::collections::BTreeSet::new();
        for format in formats {
            openssl.run(format)?;
            let (certificate, key) = (openssl.read("cert.pem")?, openssl.read("key")?);
            let parts = Parts { certificate: &certificate, chain: None, key: &key, passphrase: None };
            keys.insert(Given::read(&parts, Role::Leaf)?.key_pem().to_owned());
        }
        assert_eq!(keys.len(), 1, "{make}");
        openssl.write("written", keys.first().ok_or("none")?)?;
        openssl.run("pkey -noout -check -in written")?;
    }
    Ok(())
}

#[test]
fn what_is_no_pem_says_how_it_becomes_one() -> TestResult {
    let openssl = Openssl::new()?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out key")?;
    openssl.run(&format!("req -x509 -new -key key {SELF_SIGNED}"))?;
    for (convert, message) in [
        (
            "x509 -in cert.pem -outform der -out cert.pem",
            "Certificate: found no certificate in PEM, only binary data, perhaps DER: `openssl x509 -inform der -in FILE -out NEW` and \
             `openssl pkey -inform der -in FILE -out NEW` turn that into PEM",
        ),
        (
            "pkcs12 -export -in cert.pem -inkey key -passout pass:hunter22 -out cert.pem",
            "Certificate: found no certificate in PEM, only a PKCS#12 file: `openssl pkcs12 -in FILE -nokeys -out \
             CERTIFICATES` and `openssl pkcs12 -in FILE -nocerts -out KEY` turn that into PEM",
        ),
        (
            "crl2pkcs7 -nocrl -certfile cert.pem -out cert.pem",
            "Certificate: found no certificate in PEM, only `PKCS7`: `openssl pkcs7 -print_certs -in FILE -out NEW` takes \
             the certificates out",
        ),
        (
            "req -new -key key -subj /CN=a.example -out cert.pem",
            "Certificate: found no certificate in PEM, only `CERTIFICATE REQUEST`: that is a request; an authority makes a \
             certificate from it",
        ),
    ] {
        let good = openssl.read("cert.pem")?;
        openssl.run(convert)?;
        assert_eq!(brought(&openssl, None)?, message, "{convert}");
        std::fs::write(openssl.path().join("cert.pem"), good)?;
    }
    openssl.run("pkey -in key -outform der -out key.der")?;
    std::fs::rename(openssl.path().join("key.der"), openssl.path().join("key"))?;
    assert_eq!(
        brought(&openssl, None)?,
        "Key: found no private key in PEM, only binary data, perhaps DER: `openssl x509 -inform der -in FILE -out NEW` and `openssl pkey -inform der -in FILE -out NEW` turn that into PEM"
    );
    Ok(())
}

#[test]
fn common_names_and_addresses_among_names_do_not_count() -> TestResult {
    let openssl = Openssl::new()?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out key")?;
    let no_ca = "-addext basicConstraints=critical,CA:FALSE -days 5 -out cert.pem";
    for (names, wanted, message) in [
        (
            "",
            "a.example",
            "the certificate is not for a.example: it is for no name or address at all; clients do not look at its common \
             name `a.example` (RFC 9525): have it issued with it as a subject alternative name",
        ),
        (
            "-addext subjectAltName=DNS:a.example,DNS:192.0.2.1",
            "192.0.2.1",
            "the certificate is not for 192.0.2.1: it is for a.example, DNSName(192.0.2.1); 192.0.2.1 is in it as a DNS \
             name, and clients look for addresses among the addresses",
        ),
    ] {
        openssl
            .run(format!("req -x509 -new -key key -subj /CN=a.example {names} {no_ca}").replace("  ", " ").as_str())?;
        let (certificate, key) = (openssl.read("cert.pem")?, openssl.read("key")?);
        let given =
            Given::read(&Parts { certificate: &certificate, chain: None, key: &key, passphrase: None }, Role::Leaf)?;
        let answer = given.check_names(&Names::new([wanted.parse()?])?);
        assert_eq!(answer.map_err(|error| format!("{error}; {}", error.flaw.help())), Err(message.to_owned()));
    }
    Ok(())
}

#[test]
fn signatures_with_broken_digests_are_refused() -> TestResult {
    let openssl = Openssl::new()?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out ca.key")?;
    openssl.run("req -x509 -new -key ca.key -subj /CN=CA -days 5 -sha1 -out ca.pem")?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out key")?;
    openssl.run("req -new -key key -subj /CN=a.example -out csr")?;
    for (digest, message) in [
        ("sha1", "Certificate: the certificate of a.example is signed with SHA-1, which clients refuse"),
        ("sha256", "good"),
    ] {
        openssl.run(&format!("x509 -req -in csr -CA ca.pem -CAkey ca.key -days 5 -{digest} -out cert.pem"))?;
        assert_eq!(brought(&openssl, None)?, message);
    }
    Ok(())
}

#[test]
fn chain_of_three_authorities_is_accepted_by_others() -> TestResult {
    let openssl = Openssl::new()?;
    let spec_of = |name: &str, path_length| -> Result<AuthoritySpec, Problem> {
        Ok(AuthoritySpec { path_length, ..AuthoritySpec::new(name.parse()?) })
    };
    let root = generate_authority(&spec_of("Root", 2)?, NOW)?;
    let middle = issue_authority(&spec_of("Middle", 1)?, &root.issuer(), NOW)?;
    let issuing = issue_authority(&spec_of("Issuing", 0)?, &middle.issuer(), NOW)?;
    let renewed = renew_authority(&spec_of("Issuing", 0)?, &issuing.issuer(), Some(&middle.issuer()), NOW)?;
    let leaf = issue_leaf(&spec(&NAMES)?, &issuing.issuer(), NOW)?;
    openssl.write("root.pem", &root.certificate_pem)?;
    openssl.write("leaf.pem", &leaf.certificate_pem)?;
    for below in [&issuing, &renewed] {
        openssl.write("chain.pem", &format!("{}{}", below.certificate_pem, middle.certificate_pem))?;
        let time = NOW.unix_timestamp();
        openssl.run(&format!(
            "verify -x509_strict -CAfile root.pem -untrusted chain.pem -verify_ip 192.0.2.1 -attime {time} leaf.pem"
        ))?;
    }
    assert_eq!(renewed.key_pem, issuing.key_pem);
    let all = format!("{}{}{}", middle.certificate_pem, root.certificate_pem, issuing.certificate_pem);
    let found = path(&inspect_all(format!("{}{all}", leaf.certificate_pem).as_bytes())?);
    let names: Vec<_> = found.iter().filter_map(|certificate| certificate.common_name.as_deref()).collect();
    assert_eq!(names, ["registry.example.com", "Issuing", "Middle", "Root"]);
    Ok(())
}

#[test]
fn renewed_authority_of_openssl_keeps_its_subject_byte_by_byte() -> TestResult {
    let openssl = Openssl::new()?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out key")?;
    openssl.run("req -x509 -new -key key -out ca.pem -days 40 -subj /C=DE/DC=com/DC=example/O=Example/CN=Site_CA")?;
    let (certificate_pem, key_pem) = (openssl.read("ca.pem")?, openssl.read("key")?);
    let issuer = IssuerPem { certificate_pem: &certificate_pem, key_pem: &key_pem };
    let now = now_utc();
    let leaf = issue_leaf(&spec(&NAMES)?, &issuer, now)?;

    let spec = AuthoritySpec { organization: Some("Example".parse()?), ..AuthoritySpec::new("Site_CA".parse()?) };
    let renewed = renew_authority(&spec, &issuer, None, now)?;
    assert_eq!(inspect(renewed.certificate_pem.as_bytes())?.subject, "C=DE, DC=com, DC=example, O=Example, CN=Site_CA");
    openssl.write("renewed.pem", &renewed.certificate_pem)?;
    openssl.write("leaf.pem", &leaf.certificate_pem)?;
    openssl.run("verify -x509_strict -check_ss_sig -CAfile renewed.pem leaf.pem")?;
    accepts(&renewed.certificate_pem, &leaf.certificate_pem, "registry.example.com", now)
}

#[test]
fn certificate_made_elsewhere_is_described() -> TestResult {
    let openssl = Openssl::new()?;
    openssl.run(
        "req -x509 -newkey rsa:1024 -nodes -keyout key -out odd.pem -days 1 -subj / -addext \
         subjectAltName=DNS:Under_Score.example,DNS:Plain.Example,email:a@b.example,URI:spiffe://x/y,IP:192.0.2.1 \
         -addext extendedKeyUsage=codeSigning,1.2.3.4",
    )?;
    let info = inspect(&openssl.read("odd.pem")?)?;
    assert_eq!(info.key, KeyAlgorithm::Other("rsa-1024".to_owned()));
    assert_eq!((info.subject.as_str(), info.common_name, info.organization), ("", None, None));
    assert_eq!(info.names, ["plain.example".parse()?, "192.0.2.1".parse()?].into());
    let others = ["DNSName(Under_Score.example)", "RFC822Name(a@b.example)", "URI(spiffe://x/y)"];
    assert_eq!(info.other_names, others.map(str::to_owned).into());
    assert_eq!(info.usages, ["1.2.3.4", "code-signing"].map(str::to_owned).into());

    openssl.run("ecparam -name secp521r1 -genkey -noout -out key")?;
    openssl.run("req -x509 -new -key key -out p521.pem -days 1 -subj /CN=p521")?;
    let info = inspect(&openssl.read("p521.pem")?)?;
    assert_eq!(info.key, KeyAlgorithm::Other("ecdsa-1.3.132.0.35".to_owned()));
    assert!(matches!(info.is_issued_by(&info), Err(Error::Signature { .. })));
    assert!(matches!(public_key_sha256(&openssl.read("key")?), Err(Error::Key(_))));
    Ok(())
}

#[test]
fn authority_may_not_have_another_authority_below_it() -> TestResult {
    let openssl = Openssl::new()?;
    let authority = generate_authority(&AuthoritySpec::new("Registry CA".parse()?), NOW)?;
    openssl.write("ca.pem", &authority.certificate_pem)?;
    openssl.write("ca.key", &authority.key_pem)?;
    openssl.run("ecparam -name prime256v1 -genkey -noout -out below.key")?;
    openssl.run("req -new -key below.key -subj /CN=Below -addext basicConstraints=critical,CA:TRUE -out below.csr")?;
    openssl.run("x509 -req -in below.csr -CA ca.pem -CAkey ca.key -days 5 -copy_extensions copy -out below.pem")?;
    let now = now_utc();
    let (certificate_pem, key_pem) = (openssl.read("below.pem")?, openssl.read("below.key")?);
    let leaf = issue_leaf(&spec(&NAMES)?, &IssuerPem { certificate_pem: &certificate_pem, key_pem: &key_pem }, now)?;
    openssl.write("leaf.pem", &leaf.certificate_pem)?;
    let refused = openssl.run("verify -CAfile ca.pem -untrusted below.pem leaf.pem").map_err(|error| error.to_string());
    assert!(refused.is_err_and(|message| message.contains("path length constraint exceeded")));
    Ok(())
}

#[test]
fn self_signed_leaf_signs_nothing_else() -> TestResult {
    let lonely = self_signed_leaf(&spec(&NAMES)?, NOW)?;
    let other = self_signed_leaf(&spec(&NAMES)?, NOW)?;
    let problem = accepts(&lonely.certificate_pem, &other.certificate_pem, "192.0.2.1", NOW).err().ok_or("accepted")?;
    let refused = tokio_rustls::rustls::Error::InvalidCertificate(CertificateError::BadSignature);
    assert_eq!(problem.to_string(), refused.to_string());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "other software looks at this machine's clock")]
fn now_utc() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
