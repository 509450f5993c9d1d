//! Cases of differences: what is asked, what is there, when, and the sentences that come of it.

use proptest::prelude::*;
use time::macros::datetime;

use super::super::{
    Names, Pair, Usages, generate_authority, inspect, issue_leaf, public_key_sha256, renew_authority, self_signed_leaf,
};
use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const NOW: OffsetDateTime = datetime!(2026-10-01 12:00:00.75 UTC);

fn authority_spec() -> Result<AuthoritySpec, Box<dyn std::error::Error>> {
    Ok(AuthoritySpec { organization: Some("Example".parse()?), ..AuthoritySpec::new("Registry CA".parse()?) })
}

fn leaf_spec(names: &[&str]) -> Result<LeafSpec, Box<dyn std::error::Error>> {
    let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    Ok(LeafSpec::new(Names::new(names)?))
}

fn info(pair: &Pair) -> Result<CertificateInfo, Box<dyn std::error::Error>> {
    Ok(inspect(pair.certificate_pem.as_bytes())?)
}

/// Each difference as one line, which is also what sorts them.
fn shown(differences: &[Difference]) -> Vec<String> {
    let line = |difference: &Difference| {
        let Difference { attribute, before, after, reason, consequence } = difference;
        format!("{consequence:?} {attribute}: {before} -> {after}: {reason}")
    };
    differences.iter().map(line).collect()
}

#[test]
fn changed_wish_for_a_leaf_is_a_difference() -> TestResult {
    let authority = generate_authority(&authority_spec()?, NOW)?;
    let issuer = info(&authority)?;
    let names = ["a.example", "192.0.2.1"];
    let spec = leaf_spec(&names)?;
    let pair = issue_leaf(&spec, &authority.issuer(), NOW)?;
    let (certificate, key) = (info(&pair)?, public_key_sha256(pair.key_pem.as_bytes())?);

    let cases: Vec<(LeafSpec, &[&str])> = vec![
        (spec.clone(), &[]),
        (leaf_spec(&["192.0.2.1", "A.example"])?, &[]),
        (
            leaf_spec(&["a.example", "192.0.2.1", "::1", "b.example"])?,
            &["Renew names: a.example, 192.0.2.1 -> a.example, b.example, 192.0.2.1, ::1: it lacks b.example, ::1"],
        ),
        (
            leaf_spec(&["a.example"])?,
            &["Renew names: a.example, 192.0.2.1 -> a.example: it has 192.0.2.1, which nobody asks for any more"],
        ),
        (
            leaf_spec(&["b.example", "192.0.2.1"])?,
            &[
                "Renew common_name: a.example -> b.example: the common name is `a.example`, `b.example` is asked for",
                "Renew names: a.example, 192.0.2.1 -> b.example, 192.0.2.1: it lacks b.example, and has a.example, \
                 which nobody asks for any more",
            ],
        ),
        (
            LeafSpec { key_type: KeyType::EcdsaP384, ..spec.clone() },
            &["Replace key_type: ecdsa-p256 -> ecdsa-p384: the key is ecdsa-p256, ecdsa-p384 is asked for"],
        ),
        (
            LeafSpec { usages: Usages::ServerAndClient, ..spec.clone() },
            &["Renew usages: server-auth -> client-auth, server-auth: it is for server-auth, client-auth, \
               server-auth is asked for"],
        ),
        // Longer: with the next renewal. Shorter: at once.
        (LeafSpec { lifetime: Lifetime::from_days(800)?, ..spec.clone() }, &[]),
        (
            LeafSpec { lifetime: Lifetime::from_days(90)?, ..spec.clone() },
            &["Renew lifetime: 2027-11-02T12:00:00Z -> 2026-12-30T12:00:00Z: it is valid for 396 days more, \
               90 days are asked for"],
        ),
    ];
    for (spec, wanted) in cases {
        let expiry = Expiry { now: NOW, renew_before: Duration::days(30) };
        let found = Found { certificate: &certificate, key_sha256: Some(&key) };
        assert_eq!(shown(&leaf_differences(&spec, found, Some(&issuer), expiry)), wanted);
    }
    Ok(())
}

#[test]
fn another_authority_or_key_is_a_difference() -> TestResult {
    let (ours, namesake) = (generate_authority(&authority_spec()?, NOW)?, generate_authority(&authority_spec()?, NOW)?);
    let other = generate_authority(&AuthoritySpec::new("Other CA".parse()?), NOW)?;
    let spec = leaf_spec(&["a.example"])?;
    let (certificate, lonely) =
        (info(&issue_leaf(&spec, &ours.issuer(), NOW)?)?, info(&self_signed_leaf(&spec, NOW)?)?);
    let (ours, namesake, other) = (info(&ours)?, info(&namesake)?, info(&other)?);

    let cases: [(&CertificateInfo, Option<&CertificateInfo>, &[&str]); 6] = [
        (&certificate, Some(&ours), &[]),
        (&lonely, None, &[]),
        (
            &certificate,
            Some(&other),
            &["Renew issuer: O=Example, CN=Registry CA -> CN=Other CA: it is signed by O=Example, CN=Registry CA, \
               not by CN=Other CA"],
        ),
        (
            &certificate,
            Some(&namesake),
            &["Renew issuer: O=Example, CN=Registry CA -> O=Example, CN=Registry CA: it is signed by another \
               authority that is called O=Example, CN=Registry CA too"],
        ),
        (
            &certificate,
            None,
            &["Renew issuer: O=Example, CN=Registry CA -> itself: it is signed by O=Example, CN=Registry \
                 CA, not by itself"],
        ),
        (
            &lonely,
            Some(&other),
            &["Renew issuer: CN=a.example -> CN=Other CA: it is signed by CN=a.example, not by CN=Other CA"],
        ),
    ];
    let expiry = Expiry { now: NOW, renew_before: Duration::days(30) };
    for (certificate, issuer, wanted) in cases {
        let found = Found { certificate, key_sha256: None };
        assert_eq!(shown(&leaf_differences(&spec, found, issuer, expiry)), wanted);
    }

    let found = Found { certificate: &certificate, key_sha256: Some(&ours.public_key_sha256) };
    let wanted = format!(
        "Replace key: sha256:{} -> sha256:{}: the private key is not the one of the certificate",
        ours.public_key_sha256, certificate.public_key_sha256
    );
    assert_eq!(shown(&leaf_differences(&spec, found, Some(&ours), expiry)), [wanted]);
    let found = Found { certificate: &ours, key_sha256: None };
    let attributes = leaf_differences(&spec, found, Some(&ours), expiry);
    let attributes: Vec<&str> = attributes.iter().map(|difference| difference.attribute).collect();
    assert_eq!(attributes, ["common_name", "is_ca", "lifetime", "names", "usages"]);
    Ok(())
}

#[test]
fn leaf_is_renewed_when_its_end_is_near_and_can_be_put_off() -> TestResult {
    // Ends 2027-11-02T12:00:00Z, and a third before that is 132 days and 8 hours.
    let short = AuthoritySpec { lifetime: Lifetime::from_days(100)?, ..authority_spec()? };
    let (long, short) = (generate_authority(&authority_spec()?, NOW)?, generate_authority(&short, NOW)?);
    let spec = leaf_spec(&["a.example"])?;
    let (full, cut) = (issue_leaf(&spec, &long.issuer(), NOW)?, issue_leaf(&spec, &short.issuer(), NOW)?);
    let (long, short, full, cut) = (info(&long)?, info(&short)?, info(&full)?, info(&cut)?);
    assert_eq!(cut.not_after, short.not_after);

    let cases: [(&CertificateInfo, &CertificateInfo, OffsetDateTime, &[&str]); 8] = [
        (&full, &long, datetime!(2027-06-23 03:59:59 UTC), &[]),
        (
            &full,
            &long,
            datetime!(2027-06-23 04:00:01 UTC),
            &["Renew not_after: 2027-11-02T12:00:00Z -> 2028-07-24T04:00:01Z: it expires in 132 days, and is renewed \
               132 days before its end"],
        ),
        (
            &full,
            &long,
            datetime!(2027-11-02 11:00 UTC),
            &["Renew not_after: 2027-11-02T12:00:00Z -> 2028-12-03T11:00:00Z: it expires in less than a day, and is \
               renewed 132 days before its end"],
        ),
        (
            &full,
            &long,
            datetime!(2027-11-03 12:00 UTC),
            &["Renew not_after: 2027-11-02T12:00:00Z -> 2028-12-04T12:00:00Z: it expired 1 day ago, at \
               2027-11-02T12:00:00Z"],
        ),
        (
            &full,
            &long,
            datetime!(2026-09-30 12:00 UTC),
            &["Renew not_before: 2026-10-01T00:00:00Z -> 2026-09-30T00:00:00Z: it is not valid before \
               2026-10-01T00:00:00Z, is the clock of this machine right?"],
        ),
        // Its issuer ends with it: a new one would not live longer.
        (&cut, &short, datetime!(2026-12-30 12:00 UTC), &[]),
        (
            &cut,
            &short,
            datetime!(2027-01-10 12:00 UTC),
            &["Renew not_after: 2027-01-09T12:00:00Z -> 2027-01-09T12:00:00Z: it expired 1 day ago, at \
               2027-01-09T12:00:00Z"],
        ),
        (&full, &long, NOW + Duration::seconds(1), &[]),
    ];
    for (certificate, issuer, now, wanted) in cases {
        let expiry = Expiry { now, renew_before: spec.lifetime.leaf_window() };
        let found = Found { certificate, key_sha256: None };
        assert_eq!(shown(&leaf_differences(&spec, found, Some(issuer), expiry)), wanted, "{now}");
    }
    Ok(())
}

#[test]
fn renewed_authority_keeps_its_leaves_and_lifts_their_limit() -> TestResult {
    let spec = AuthoritySpec { lifetime: Lifetime::from_days(100)?, ..authority_spec()? };
    let old = generate_authority(&spec, NOW)?;
    let leaf = leaf_spec(&["a.example"])?;
    let certificate = info(&issue_leaf(&leaf, &old.issuer(), NOW)?)?;
    let new = info(&renew_authority(&authority_spec()?, &old.issuer(), None, NOW)?)?;
    assert!(certificate.is_issued_by(&new)?);

    let found = Found { certificate: &certificate, key_sha256: None };
    let expiry = Expiry { now: NOW, renew_before: Duration::days(30) };
    assert_eq!(leaf_differences(&leaf, found, Some(&new), expiry), []);
    let expiry = Expiry { now: NOW, renew_before: leaf.lifetime.leaf_window() };
    let wanted = "Renew not_after: 2027-01-09T12:00:00Z -> 2027-11-02T12:00:00Z: it expires in 99 days, and is \
                  renewed 132 days before its end";
    assert_eq!(shown(&leaf_differences(&leaf, found, Some(&new), expiry)), [wanted]);

    // The other way round: a shorter authority under the same key.
    let long = issue_leaf(&leaf, &generate_authority(&authority_spec()?, NOW)?.issuer(), NOW)?;
    let mut outliving = info(&long)?;
    outliving.not_after = end(&old)? + Duration::days(1);
    let found = Found { certificate: &outliving, key_sha256: None };
    let expiry = Expiry { now: NOW, renew_before: Duration::ZERO };
    let differences = shown(&leaf_differences(&leaf, found, Some(&info(&old)?), expiry));
    let wanted = "Renew not_after: 2027-01-10T12:00:00Z -> 2027-01-09T12:00:00Z: it outlives its issuer, which ends at \
                  2027-01-09T12:00:00Z";
    assert_eq!(differences.last().map(String::as_str), Some(wanted));
    Ok(())
}

fn end(pair: &Pair) -> Result<OffsetDateTime, Box<dyn std::error::Error>> {
    Ok(info(pair)?.not_after)
}

#[test]
fn changed_wish_for_an_authority_is_a_difference() -> TestResult {
    let spec = authority_spec()?;
    let certificate = info(&generate_authority(&spec, NOW)?)?;
    let leaf = info(&self_signed_leaf(&leaf_spec(&["a.example"])?, NOW)?)?;
    let year = |days| NOW + Duration::days(days);

    let cases: Vec<(AuthoritySpec, OffsetDateTime, &[&str])> = vec![
        (spec.clone(), NOW, &[]),
        (spec.clone(), year(3469), &[]),
        (AuthoritySpec { lifetime: Lifetime::from_days(7300)?, ..spec.clone() }, year(1), &[]),
        (
            spec.clone(),
            year(3480),
            &["Renew not_after: 2036-09-28T12:00:00Z -> 2046-04-09T12:00:00Z: it expires in 169 days, and is \
               renewed 180 days before its end"],
        ),
        (
            AuthoritySpec { lifetime: Lifetime::from_days(1000)?, ..spec.clone() },
            NOW,
            &["Renew lifetime: 2036-09-28T12:00:00Z -> 2029-06-27T12:00:00Z: it is valid for 3649 days more, \
               1000 days are asked for"],
        ),
        (
            AuthoritySpec { path_length: 1, ..spec.clone() },
            NOW,
            &["Renew path_length: 0 -> 1: the path length is 0, 1 is asked for"],
        ),
        (
            AuthoritySpec { key_type: KeyType::EcdsaP384, ..spec.clone() },
            NOW,
            &["Replace key_type: ecdsa-p256 -> ecdsa-p384: the key is ecdsa-p256, ecdsa-p384 is asked for"],
        ),
        (
            AuthoritySpec::new("Other CA".parse()?),
            NOW,
            &[
                "Replace common_name: Registry CA -> Other CA: the common name is `Registry CA`, `Other CA` \
                 is asked for",
                "Replace organization: Example -> : the organization is `Example`, none is asked for",
            ],
        ),
    ];
    for (spec, now, wanted) in cases {
        let expiry = Expiry { now, renew_before: spec.lifetime.authority_window() };
        let found = Found { certificate: &certificate, key_sha256: None };
        assert_eq!(shown(&authority_differences(&spec, found, None, expiry)), wanted);
    }
    let expiry = Expiry { now: NOW, renew_before: Duration::ZERO };
    let differences = authority_differences(&spec, Found { certificate: &leaf, key_sha256: None }, None, expiry);
    let attributes: Vec<&str> = differences.iter().map(|difference| difference.attribute).collect();
    assert_eq!(attributes, ["common_name", "is_ca", "organization"]);
    assert_eq!(differences.iter().map(|difference| difference.consequence).max(), Some(Consequence::Replace));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the lifetimes and however wide the window, what was just made is left alone.
    #[test]
    fn just_made_leaf_does_not_differ(
        authority_days in 1_u32..4000,
        leaf_days in 1_u32..1000,
        window in 0_i64..2000,
        later in 0_i64..39_600,
        age in 0_i64..86_000,
    ) {
        let check = || -> Result<Vec<Difference>, Box<dyn std::error::Error>> {
            let authority = AuthoritySpec { lifetime: Lifetime::from_days(authority_days)?, ..authority_spec()? };
            let leaf = LeafSpec { lifetime: Lifetime::from_days(leaf_days)?, ..leaf_spec(&["a.example", "::1"])? };
            let authority = generate_authority(&authority, NOW - Duration::seconds(age))?;
            let certificate = info(&issue_leaf(&leaf, &authority.issuer(), NOW)?)?;
            // Still valid: an expired certificate always differs.
            let now = (NOW + Duration::seconds(later)).min(certificate.not_after - Duration::seconds(1));
            let expiry = Expiry { now, renew_before: Duration::days(window) };
            let found = Found { certificate: &certificate, key_sha256: None };
            Ok(leaf_differences(&leaf, found, Some(&info(&authority)?), expiry))
        };
        prop_assert_eq!(check().map_err(|error| error.to_string()), Ok(Vec::new()));
    }
}
