//! Each mistake that people make with three files from an authority has a message of its own.

use time::macros::datetime;

use super::super::{
    AuthoritySpec, KeyType, LeafSpec, Lifetime, Pair, generate_authority, issue_authority, issue_leaf, self_signed_leaf,
};
use super::*;

type Problem = Box<dyn std::error::Error>;
type TestResult = Result<(), Problem>;

const NOW: OffsetDateTime = datetime!(2026-10-01 12:00 UTC);

/// A root, two authorities below it, and what the lower one has issued.
struct Site {
    root: Pair,
    middle: Pair,
    issuing: Pair,
    leaf: Pair,
}

fn authority(name: &str, path_length: u8) -> Result<AuthoritySpec, Problem> {
    Ok(AuthoritySpec { path_length, ..AuthoritySpec::new(name.parse()?) })
}

fn leaf_spec(names: &[&str]) -> Result<LeafSpec, Problem> {
    Ok(LeafSpec::new(Names::new(names.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?)?))
}

impl Site {
    fn new() -> Result<Self, Problem> {
        let root = generate_authority(&authority("Root", 2)?, NOW)?;
        let middle = issue_authority(&authority("Middle", 1)?, &root.issuer(), NOW)?;
        let issuing = issue_authority(&authority("Issuing", 0)?, &middle.issuer(), NOW)?;
        let leaf = issue_leaf(&leaf_spec(&["a.example", "*.b.example", "192.0.2.1"])?, &issuing.issuer(), NOW)?;
        Ok(Self { root, middle, issuing, leaf })
    }

    fn chain(&self) -> String {
        [&self.issuing, &self.middle, &self.root].map(|pair| pair.certificate_pem.as_str()).concat()
    }

    fn full(&self) -> String {
        format!("{}{}", self.leaf.certificate_pem, self.chain())
    }
}

fn read(certificate: &str, chain: Option<&str>, key: &str, role: Role) -> Result<Given, GivenError> {
    let (certificate, chain, key) = (certificate.as_bytes(), chain.map(str::as_bytes), key.as_bytes());
    Given::read(&Parts { certificate, chain, key, passphrase: None }, role)
}

/// The part, what is wrong with it, and what to do.
fn told(answer: Result<Given, GivenError>) -> String {
    match answer {
        Ok(given) => format!("good: {}", given.certificates().len()),
        Err(error) => format!("{:?}: {error} ({})", error.part, error.flaw.help()),
    }
}

#[test]
fn a_chain_is_taken_in_whichever_files_it_comes() -> TestResult {
    let site = Site::new()?;
    let (leaf, key) = (&*site.leaf.certificate_pem, &*site.leaf.key_pem);
    let without_root = [&site.issuing, &site.middle].map(|pair| pair.certificate_pem.as_str()).concat();
    for (certificate, chain, count) in [
        (leaf.to_owned(), None, 1),
        (site.full(), None, 4),
        (leaf.to_owned(), Some(site.chain()), 4),
        (leaf.to_owned(), Some(without_root), 3),
        (leaf.to_owned(), Some(site.issuing.certificate_pem.clone()), 2),
        (format!("{leaf}{}", site.issuing.certificate_pem), Some(site.middle.certificate_pem.clone()), 3),
        (format!("{key}{leaf}"), None, 1),
        (site.full().replace('\n', "\r\n"), None, 4),
    ] {
        assert_eq!(told(read(&certificate, chain.as_deref(), key, Role::Leaf)), format!("good: {count}"));
    }
    let given = read(&format!("{}{leaf}", &*site.leaf.key_pem), None, &format!("{leaf}{key}"), Role::Leaf)?;
    assert_eq!(given.key_pem(), key);
    assert_eq!(given.certificate().map(CertificateInfo::pem).transpose()?.as_deref(), Some(leaf));
    let own = read(&site.chain(), None, &site.issuing.key_pem, Role::Authority)?;
    assert_eq!(own.certificates().len(), 3);
    let lone = self_signed_leaf(&leaf_spec(&["a.example"])?, NOW)?;
    assert_eq!(told(read(&lone.certificate_pem, None, &lone.key_pem, Role::Leaf)), "good: 1");
    Ok(())
}

#[test]
fn each_mistake_with_files_is_named() -> TestResult {
    let site = Site::new()?;
    let other = self_signed_leaf(&leaf_spec(&["other.example"])?, NOW)?;
    // The same name, another key.
    let namesake = issue_authority(&authority("Issuing", 0)?, &site.middle.issuer(), NOW)?;
    let stranger = generate_authority(&authority("Stranger", 1)?, NOW)?;
    let (leaf, key) = (site.leaf.certificate_pem.clone(), &*site.leaf.key_pem);
    let cert = |pair: &Pair| pair.certificate_pem.clone();
    let (root, middle, issuing) = (cert(&site.root), cert(&site.middle), cert(&site.issuing));
    let short =
        |text: &str| CertificateInfo::clone(&inspect_all(text.as_bytes()).unwrap_or_default()[0]).public_key_sha256;
    let pem = "it takes PEM: base64 between lines of `-----BEGIN ...-----` and `-----END ...-----`";
    let mismatch = format!(
        "Key: the private key does not belong to the certificate of a.example: the key's public half is sha256:{}, the \
         certificate's sha256:{} (take the key that the certificate was requested with; `openssl pkey -in KEY -pubout \
         -outform der | sha256sum` prints the first of the two)",
        short(&other.certificate_pem),
        short(&leaf)
    );
    let no_pem = format!("Certificate: found no certificate in PEM, only text without any PEM section ({pem})");
    let no_chain = format!("Chain: found no certificate in PEM, only an empty file ({pem})");
    let no_key = format!("Key: found no private key in PEM, only `CERTIFICATE` ({pem})");
    let cases: Vec<(String, Option<String>, String, &str)> = vec![
        ("garbage".to_owned(), None, key.to_owned(), &no_pem),
        (leaf.clone(), Some(String::new()), key.to_owned(), &no_chain),
        (leaf.clone(), None, leaf.clone(), &no_key),
        (leaf.clone(), None, other.key_pem.to_string(), &mismatch),
        (
            leaf.clone(),
            None,
            format!("{key}{}", &*other.key_pem),
            "Key: there are 2 private keys, and a certificate has one (leave the one that belongs to the certificate)",
        ),
        (
            format!("{issuing}{leaf}"),
            None,
            key.to_owned(),
            "Certificate: the certificate of Issuing comes first, and the private key belongs to that of a.example (put \
             the certificate of a.example first, then its issuer's, and so on towards the root)",
        ),
        (
            issuing.clone(),
            Some(format!("{middle}{root}")),
            site.issuing.key_pem.to_string(),
            "Certificate: Issuing is the certificate of an authority, not of a server or client (take the certificate that \
             it has issued; an authority is a certificate_authority resource)",
        ),
        (
            root.clone(),
            None,
            site.root.key_pem.to_string(),
            "Certificate: Root is the certificate of an authority, not of a server or client (`openssl req -x509` makes \
             authorities unless it is told `-addext basicConstraints=critical,CA:FALSE`)",
        ),
        (
            format!("{leaf}{middle}{issuing}{root}"),
            None,
            key.to_owned(),
            "Certificate: the chain is in the wrong order: a.example, Middle, Issuing, Root (each is followed by its \
             issuer's: a.example, Issuing, Middle, Root)",
        ),
        (
            leaf.clone(),
            Some(format!("{root}{middle}{issuing}")),
            key.to_owned(),
            "Chain: the chain is in the wrong order: a.example, Root, Middle, Issuing (each is followed by its issuer's: \
             a.example, Issuing, Middle, Root)",
        ),
        (
            leaf.clone(),
            Some(format!("{issuing}{root}")),
            key.to_owned(),
            "Chain: the chain has a gap: Issuing is issued by CN=Middle, whose certificate is missing, and next comes Root \
             (put the certificate of CN=Middle there, or take out Root if it does not belong to the chain)",
        ),
        (
            leaf.clone(),
            Some(middle.clone()),
            key.to_owned(),
            "Chain: the chain has a gap: a.example is issued by CN=Issuing, whose certificate is missing, and next comes \
             Middle (put the certificate of CN=Issuing there, or take out Middle if it does not belong to the chain)",
        ),
        (
            leaf.clone(),
            Some(format!("{}{}", site.chain(), stranger.certificate_pem)),
            key.to_owned(),
            "Chain: Stranger does not belong to the chain, which ends with Root (take it out)",
        ),
        (
            leaf.clone(),
            Some(format!("{issuing}{}", other.certificate_pem)),
            key.to_owned(),
            "Chain: other.example does not belong to the chain, which ends with Issuing (take it out)",
        ),
        (
            leaf.clone(),
            Some(format!("{}{middle}", namesake.certificate_pem)),
            key.to_owned(),
            "Chain: a.example is not signed by the Issuing that is in the chain, but by another one of that name (take the \
             certificate of Issuing that came along with it, or have it issued anew)",
        ),
        (
            leaf.clone(),
            Some(site.full()),
            key.to_owned(),
            "Chain: the certificate of a.example is there twice (take one out: the certificate itself is no part of the \
             chain that follows it)",
        ),
    ];
    for (certificate, chain, key, message) in cases {
        assert_eq!(told(read(&certificate, chain.as_deref(), &key, Role::Leaf)), message);
    }
    let leaf_as_authority = read(&leaf, None, key, Role::Authority);
    assert_eq!(
        told(leaf_as_authority),
        "Certificate: a.example is not the certificate of an authority: its basic constraints do not say that it is an \
         authority (take the certificate of whoever is to sign; one for a server is a certificate resource)"
    );
    Ok(())
}

#[test]
fn who_may_not_sign_or_not_so_deep_makes_no_chain() -> TestResult {
    let site = Site::new()?;
    // Two authorities that nobody but a careless one would issue: rcgen signs whatever it is told.
    let below = |issuer: &Pair, name: &str| -> Result<Pair, Problem> {
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate()?;
        let above = rcgen::KeyPair::try_from(pem::read_private_key(issuer.key_pem.as_bytes())?.secret_der())?;
        let mut of_issuer = rcgen::CertificateParams::default();
        of_issuer.distinguished_name = rcgen::DistinguishedName::new();
        let issued = super::super::inspect(issuer.certificate_pem.as_bytes())?;
        of_issuer.distinguished_name.push(rcgen::DnType::CommonName, issued.common_name.unwrap_or_default());
        let signed = parameters.signed_by(&key, &rcgen::Issuer::from_params(&of_issuer, &above))?;
        Ok(Pair {
            certificate_pem: pem::write_certificate(signed.der().to_vec()).map_err(|error| error.to_string())?,
            key_pem: pem::write_private_key(key.serialized_der()).map_err(|error| error.to_string())?,
        })
    };
    let wrong = below(&site.leaf, "wrong.example")?;
    let answer = read(&wrong.certificate_pem, Some(&site.full()), &wrong.key_pem, Role::Leaf);
    assert_eq!(
        told(answer),
        "Chain: a.example has signed the certificate of wrong.example and may not: its basic constraints do not say that it \
         is an authority (no client accepts that: have the certificates issued anew)"
    );
    let narrow = generate_authority(&authority("Narrow", 0)?, NOW)?;
    let refused = issue_authority(&authority("Below", 0)?, &narrow.issuer(), NOW).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some("Narrow cannot issue the certificate of an authority: its path length is 0, so that it signs leaves only")
    );
    let refused = issue_authority(&authority("Below", 2)?, &site.root.issuer(), NOW).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some(
            "Root cannot issue the certificate of an authority: its path length is 2, and 2 below it is more than one less"
        )
    );
    Ok(())
}

#[test]
fn names_are_covered_as_clients_see_it() -> TestResult {
    let site = Site::new()?;
    let given = read(&site.leaf.certificate_pem, None, &site.leaf.key_pem, Role::Leaf)?;
    let names = "*.b.example, a.example, 192.0.2.1";
    let usual = "have it issued for them too, or take them out of `names`; `*.` stands for exactly one label";
    for (wanted, missing) in [
        (vec!["a.example"], None),
        (vec!["A.Example", "192.0.2.1"], None),
        (vec!["x.b.example", "*.b.example"], None),
        (vec!["b.example"], Some("b.example")),
        (vec!["x.y.b.example", "a.example"], Some("x.y.b.example")),
        (vec!["*.a.example"], Some("*.a.example")),
        (vec!["192.0.2.2", "2001:db8::1"], Some("192.0.2.2, 2001:db8::1")),
    ] {
        let answer = given.check_names(leaf_names(&wanted)?).map_err(|error| error.to_string());
        let expected = missing.map(|missing| format!("the certificate is not for {missing}: it is for {names}"));
        assert_eq!(answer.err(), expected, "{wanted:?}");
    }
    let help = given.check_names(leaf_names(&["b.example"])?).map_err(|error| error.flaw.help());
    assert_eq!(help.err().as_deref(), Some(usual));
    Ok(())
}

fn leaf_names(names: &[&str]) -> Result<&'static Names, Problem> {
    Ok(Box::leak(Box::new(leaf_spec(names)?.names)))
}

#[test]
fn it_must_be_for_what_it_is_used_for() -> TestResult {
    for (own, wanted, message) in [
        (Usages::Server, Usages::Server, None),
        (Usages::ServerAndClient, Usages::Client, None),
        (Usages::Server, Usages::Client, Some("the certificate is for server-auth, and not for client-auth")),
        (Usages::Client, Usages::ServerAndClient, Some("the certificate is for client-auth, and not for server-auth")),
    ] {
        let pair = self_signed_leaf(&LeafSpec { usages: own, ..leaf_spec(&["a.example"])? }, NOW)?;
        let given = read(&pair.certificate_pem, None, &pair.key_pem, Role::Leaf)?;
        assert_eq!(given.check_usages(wanted).map_err(|error| error.to_string()).err().as_deref(), message);
    }
    Ok(())
}

#[test]
fn time_counts_for_the_whole_chain() -> TestResult {
    let lifetime = Lifetime::from_days(30)?;
    let root = generate_authority(&authority("Root", 1)?, NOW)?;
    let issuing = issue_authority(&AuthoritySpec { lifetime, ..authority("Issuing", 0)? }, &root.issuer(), NOW)?;
    let leaf = issue_leaf(&leaf_spec(&["a.example"])?, &issuing.issuer(), NOW)?;
    let chain = format!("{}{}", issuing.certificate_pem, root.certificate_pem);
    let given = read(&leaf.certificate_pem, Some(&chain), &leaf.key_pem, Role::Leaf)?;
    for (now, message) in [
        (NOW, None),
        (NOW + time::Duration::days(30), Some("the certificate of a.example expired at 2026-10-31T12:00:00Z")),
        (
            NOW - time::Duration::days(1),
            Some(
                "the certificate of a.example is not valid before 2026-10-01T00:00:00Z, and it is 2026-09-30T12:00:00Z here",
            ),
        ),
    ] {
        assert_eq!(given.check_time(now).map_err(|flaw| flaw.to_string()).err().as_deref(), message);
    }
    let own = read(&chain, None, &issuing.key_pem, Role::Authority)?;
    let late = own.check_time(NOW + time::Duration::days(31)).map_err(|flaw| flaw.to_string());
    assert_eq!(late.err().as_deref(), Some("the certificate of Issuing expired at 2026-10-31T12:00:00Z"));
    Ok(())
}

#[test]
fn nothing_of_a_key_or_a_passphrase_is_printed() -> TestResult {
    let pair = self_signed_leaf(&LeafSpec { key_type: KeyType::EcdsaP384, ..leaf_spec(&["a.example"])? }, NOW)?;
    let secret = pair.key_pem.lines().nth(1).ok_or("no key")?;
    let parts = Parts {
        certificate: pair.certificate_pem.as_bytes(),
        chain: None,
        key: pair.key_pem.as_bytes(),
        passphrase: Some("hunter22"),
    };
    let error = Given::read(&parts, Role::Leaf).err().ok_or("a passphrase for nothing")?;
    assert_eq!(
        told(Err(error)),
        "Passphrase: there is a passphrase, and the private key is not encrypted (take `passphrase` out, or leave it empty)"
    );
    let given = Given::read(&Parts { passphrase: None, ..parts }, Role::Leaf)?;
    for shown in [format!("{parts:?}"), format!("{given:#?}")] {
        assert!(!shown.contains(secret) && !shown.contains("hunter22") && !shown.contains("PRIVATE"), "{shown}");
    }
    Ok(())
}
