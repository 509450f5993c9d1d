use super::*;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIZ2Ix9np+ohB1LgjTP7JvY8LlfSLOcKn3369zSqXcow";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIaqiabPZ1WRvr4ThzhBIQhtdnegIyME7T9kjaYJqc1B";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGneWLyy8blPUJ6bpYAFedPaB0Y/PfWVe/zjbHKWkXwr7KGxzCgbZlqUcLD3DKBBpiu+HZMvCbu82nRSkIQ4X9E=";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCnxlONRF2W3JlRzRPQTrYM4JjKi/xqLQWvR125FRTvSN9vmveMAwv/9Tk1COw/WjqrkiQOh8TSDG44kStBn2RYN8OQs2623OHdsUWEldhlo43iv9JJa83KGM2sVyXsgHCVWLDYIqJp4L37OILKx+68ehNEjUCr0y8dLbG14MbTFw==";

/// `host.example`, `[host.example]:2222` and `2001:db8::1`, as `ssh-keygen -H` made them.
const HASHED: [&str; 3] = [
    "|1|th4Lkjz9i4iif26Q+utEnZmvzxc=|iXeRNSBczbryiWcPrAWYCXL2waY=",
    "|1|mDzk0aaUOhJCbbtAt0fkOE2r++g=|rYPEpRDInRyewPR20yEr8hTthEU=",
    "|1|xnrfOsZ+ydd3rMfUOkqJnsU45Jg=|oQsgvUFtW9npmw8C5oe8GTHKOaI=",
];

fn parse(texts: &[&str], host: &str, port: u16) -> KnownHost {
    let files: Vec<Utf8PathBuf> = (1..=texts.len()).map(|number| format!("file{number}").into()).collect();
    KnownHost::parse(files.iter().map(Utf8PathBuf::as_path).zip(texts.iter().copied()), host, port)
}

/// What comes of presenting the Ed25519 key: `known`, `unknown`, or what is wrong and where.
fn verdict(texts: &[&str], host: &str, port: u16) -> String {
    let key = PublicKey::from_openssh(ED25519).unwrap();
    match parse(texts, host, port).check(&key) {
        Ok(()) => "known".to_owned(),
        Err(TransportError::UnknownHostKey { .. }) => "unknown".to_owned(),
        Err(TransportError::ChangedHostKey { known_hosts, line, .. }) => format!("changed {known_hosts}:{line}"),
        Err(TransportError::RevokedHostKey { known_hosts, line, .. }) => format!("revoked {known_hosts}:{line}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn key_is_judged_as_openssh_does() {
    let [hashed, hashed_port, hashed_ipv6] = HASHED;
    let cases: Vec<(String, &str, u16, &str)> = vec![
        (String::new(), "host.example", 22, "unknown"),
        (format!("host.example {ED25519}"), "host.example", 22, "known"),
        (format!("host.example {ED25519} a comment"), "HOST.example", 22, "known"),
        (format!("Host.Example {ED25519}"), "host.example", 22, "known"),
        (format!("a.example,host.example,192.0.2.1 {ED25519}"), "192.0.2.1", 22, "known"),
        (format!("\t host.example \t{ED25519}\r"), "host.example", 22, "known"),
        (format!("#host.example {ED25519}"), "host.example", 22, "unknown"),
        (format!("other.example {OTHER}"), "host.example", 22, "unknown"),
        // Several lines of one host: one that matches is enough.
        (format!("host.example {OTHER}\nhost.example {ED25519}"), "host.example", 22, "known"),
        (format!("# first\nhost.example {OTHER}"), "host.example", 22, "changed file1:2"),
        (format!("host.example {ECDSA}"), "host.example", 22, "changed file1:1"),
        (format!("host.example {ECDSA}\nhost.example {OTHER}"), "host.example", 22, "changed file1:2"),
        // Patterns.
        (format!("*.example {ED25519}"), "host.example", 22, "known"),
        (format!("h?st.* {ED25519}"), "host.example", 22, "known"),
        (format!("*.example,!host.example {ED25519}"), "host.example", 22, "unknown"),
        (format!("!host.example,*.example {OTHER}"), "host.example", 22, "unknown"),
        (format!("!*.test,*.example {ED25519}"), "host.example", 22, "known"),
        // Hashes.
        (format!("{hashed} {ED25519}"), "host.example", 22, "known"),
        (format!("{hashed} {OTHER}"), "host.example", 22, "changed file1:1"),
        (format!("{hashed} {OTHER}"), "a.example", 22, "unknown"),
        (format!("{hashed_port} {ED25519}"), "host.example", 2222, "known"),
        (format!("{hashed_port} {ED25519}"), "host.example", 22, "unknown"),
        (format!("{hashed_ipv6} {ED25519}"), "2001:DB8:0::1", 22, "known"),
        // Ports: the plain name vouches for every port, but its mismatch is none.
        (format!("[host.example]:2222 {ED25519}"), "host.example", 2222, "known"),
        (format!("[host.example]:2222 {ED25519}"), "host.example", 22, "unknown"),
        (format!("[host.example]:2222 {ED25519}"), "host.example", 2223, "unknown"),
        (format!("[*.example]:2222 {ED25519}"), "host.example", 2222, "known"),
        (format!("host.example {ED25519}"), "host.example", 2222, "known"),
        (format!("host.example {OTHER}"), "host.example", 2222, "unknown"),
        (format!("[host.example]:2222 {OTHER}\nhost.example {ED25519}"), "host.example", 2222, "known"),
        // IPv6.
        (format!("2001:db8::1 {ED25519}"), "2001:db8::1", 22, "known"),
        (format!("2001:db8::1 {ED25519}"), "2001:DB8:0:0::1", 22, "known"),
        (format!("2001:db8:0:0::1 {ED25519}"), "2001:db8:0:0::1", 22, "known"),
        (format!("[2001:db8::1]:2222 {OTHER}"), "2001:db8::1", 2222, "changed file1:1"),
        // Markers.
        (format!("@revoked * {ED25519}\nhost.example {ED25519}"), "host.example", 22, "revoked file1:1"),
        (format!("host.example {ED25519}\n@revoked host.example {ED25519}"), "host.example", 2222, "revoked file1:2"),
        (format!("@revoked {hashed} {ED25519}"), "host.example", 22, "revoked file1:1"),
        (format!("@revoked * {OTHER}\nhost.example {ED25519}"), "host.example", 22, "known"),
        (format!("@cert-authority * {ED25519}"), "host.example", 22, "unknown"),
        (format!("@cert-authority * {OTHER}\nhost.example {ED25519}"), "host.example", 22, "known"),
        (format!("@unheard-of host.example {ED25519}"), "host.example", 22, "unknown"),
        // Malformed lines cost themselves only.
        (
            format!("host.example\n|1|x {OTHER}\nhost.example ssh-ed25519 AAAA\nhost.example {ED25519}"),
            "host.example",
            22,
            "known",
        ),
        (
            format!("host.example 2048 35 123456789\nhost.example ssh-dss AAAAB3\nhost.example {ED25519}"),
            "host.example",
            22,
            "known",
        ),
    ];
    for (text, host, port, expected) in cases {
        assert_eq!(verdict(&[&text], host, port), expected, "{host} {port} in:\n{text}");
    }
}

#[test]
fn all_files_are_read() {
    let (ours, theirs) = (format!("host.example {OTHER}"), format!("host.example {ED25519}"));
    assert_eq!(verdict(&[&ours, &theirs], "host.example", 22), "known");
    assert_eq!(verdict(&["", &ours], "host.example", 22), "changed file2:1");
    let revoked = format!("@revoked * {ED25519}");
    assert_eq!(verdict(&[&theirs, &revoked], "host.example", 22), "revoked file2:1");
}

#[test]
fn unknown_key_comes_with_the_line_that_accepts_it() {
    let mut key = PublicKey::from_openssh(ED25519).unwrap();
    key.set_comment("root@host");
    let mut known = parse(&[], "2001:db8::1", 2222);
    "~/known_hosts".clone_into(&mut known.file);
    let error = known.check(&key).unwrap_err();
    let TransportError::UnknownHostKey { host, algorithm, fingerprint, known_hosts_line, known_hosts } = error else {
        unreachable!("{error}");
    };
    assert_eq!(host, "[2001:db8::1]:2222");
    assert_eq!(algorithm, "ssh-ed25519");
    assert_eq!(fingerprint, "SHA256:lAW9EYO8449Ab4wNgcFOWOcfAksxwqy05xtGzKePRn8");
    assert_eq!(known_hosts_line, format!("[2001:db8::1]:2222 {ED25519}"));
    assert_eq!(known_hosts, "~/known_hosts");
    assert_eq!(verdict(&[&known_hosts_line], "2001:db8::1", 2222), "known");
}

#[test]
fn algorithms_of_known_keys_are_offered_first() {
    let cases = [
        (String::new(), 22, "ssh-ed25519"),
        (format!("host.example {RSA}"), 22, "rsa-sha2-512,rsa-sha2-256,ssh-ed25519"),
        (format!("host.example {ECDSA}\nhost.example {RSA}"), 22, "ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"),
        (format!("@revoked * {RSA}\n@cert-authority * {ECDSA}"), 22, "ssh-ed25519"),
        (format!("host.example {RSA}"), 2222, "rsa-sha2-512"),
        (format!("host.example {RSA}\n[host.example]:2222 {ECDSA}"), 2222, "ecdsa-sha2-nistp256,ssh-ed25519"),
    ];
    for (text, port, expected) in cases {
        let offered = parse(&[&text], "host.example", port).algorithms();
        assert_eq!(offered.len(), ALGORITHMS.len());
        let names: Vec<String> = offered.iter().map(ToString::to_string).collect();
        let names = names.join(",");
        assert!(names.starts_with(expected), "{names} in:\n{text}");
    }
}
