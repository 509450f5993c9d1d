//! What the known_hosts files say of one host, and whether a key it presents is among them.
//!
//! The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"; which line wins is what OpenSSH does (hostfile.c,
//! sshconnect.c). Never writes a file: accepting a key is the user's own act.

use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{HostPatterns, Marker};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sha1::Sha1;

use crate::transport::TransportError;

/// Host key algorithms in OpenSSH's own order. `ssh-rsa` is absent: SHA-1, and OpenSSH has refused it since 8.8.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

const DEFAULT_PORT: u16 = 22;

/// The keys known for one host.
#[derive(Debug)]
pub(super) struct KnownHost {
    /// As known_hosts spells it: `name`, or `[name]:port`.
    name: String,
    listed: Vec<Listed>,
    /// Keys under the name without its port. OpenSSH accepts them for any port, but a mismatch with them means nothing.
    without_port: Vec<Listed>,
    revoked: Vec<Listed>,
    /// Where a new line belongs.
    file: String,
}

#[derive(Debug)]
struct Listed {
    key: PublicKey,
    file: String,
    line: usize,
}

impl KnownHost {
    /// Reads what the files say of a host; a file that does not exist says nothing.
    pub(super) async fn read(files: &[Utf8PathBuf], host: &str, port: u16) -> Result<Self, TransportError> {
        let mut texts = Vec::new();
        for file in files {
            match tokio::fs::read(file).await {
                Ok(bytes) => texts.push((file.as_path(), String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
                // Going on without it could overlook a revoked key.
                Err(source) => return Err(TransportError::KnownHosts { path: file.to_string(), source }),
            }
        }
        let mut known = Self::parse(texts.iter().map(|(file, text)| (*file, text.as_str())), host, port);
        known.file = files.first().map(ToString::to_string).unwrap_or_default();
        Ok(known)
    }

    fn parse<'a>(texts: impl IntoIterator<Item = (&'a Utf8Path, &'a str)>, host: &str, port: u16) -> Self {
        let spellings = spellings(host);
        let with_port: Vec<String> = spellings.iter().map(|name| with_port(name, port)).collect();
        let mut known = Self {
            name: with_port.first().cloned().unwrap_or_default(),
            listed: Vec::new(),
            without_port: Vec::new(),
            revoked: Vec::new(),
            file: String::new(),
        };
        for (file, text) in texts {
            for (number, text) in text.lines().enumerate() {
                let Some(line) = Line::parse(text) else {
                    tracing::debug!("{file} line {} is not a known_hosts line: skipped", number + 1);
                    continue;
                };
                let here = line.names(&with_port);
                if !here && !line.names(&spellings) {
                    continue;
                }
                let Some(key) = line.key() else {
                    tracing::debug!("{file} line {} has a key that cannot be read: skipped", number + 1);
                    continue;
                };
                let listed = Listed { key, file: file.to_string(), line: number + 1 };
                match line.marker {
                    Some(Marker::Revoked) => known.revoked.push(listed),
                    // An authority signs host certificates, which are never asked for: it vouches for no plain key.
                    Some(Marker::CertAuthority) => (),
                    None if here => known.listed.push(listed),
                    None => known.without_port.push(listed),
                }
            }
        }
        known
    }

    /// The algorithms to offer, those of known keys first: a host with several keys then shows one that can be checked.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let known = if self.listed.is_empty() { &self.without_port } else { &self.listed };
        let is_known = |algorithm: &Algorithm| known.iter().any(|listed| same_kind(&listed.key.algorithm(), algorithm));
        let (mut first, rest): (Vec<_>, Vec<_>) = ALGORITHMS.into_iter().partition(is_known);
        first.extend(rest);
        first
    }

    /// Accepts a key that is listed; refuses any other.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), TransportError> {
        let is_it = |listed: &&Listed| listed.key.key_data() == key.key_data();
        let host = self.name.clone();
        let algorithm = key.algorithm().to_string();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if let Some(Listed { file, line, .. }) = self.revoked.iter().find(is_it) {
            let (known_hosts, line) = (file.clone(), *line);
            return Err(TransportError::RevokedHostKey { host, algorithm, fingerprint, known_hosts, line });
        }
        if self.listed.iter().chain(&self.without_port).any(|listed| is_it(&listed)) {
            return Ok(());
        }
        let same_algorithm = self.listed.iter().find(|listed| listed.key.algorithm() == key.algorithm());
        if let Some(Listed { file, line, .. }) = same_algorithm.or(self.listed.first()) {
            let (known_hosts, line) = (file.clone(), *line);
            return Err(TransportError::ChangedHostKey { host, algorithm, fingerprint, known_hosts, line });
        }
        let plain = PublicKey::new(key.key_data().clone(), "");
        let known_hosts_line = format!("{host} {}", plain.to_openssh().unwrap_or_default());
        Err(TransportError::UnknownHostKey {
            host,
            algorithm,
            fingerprint,
            known_hosts_line,
            known_hosts: self.file.clone(),
        })
    }
}

/// `rsa-sha2-256` and `rsa-sha2-512` are ways to sign with the one kind of RSA key.
fn same_kind(key: &Algorithm, offered: &Algorithm) -> bool {
    key == offered || matches!((key, offered), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// The names a host may be listed under, the best first: an address also in its canonical spelling, a name in lower
/// case.
fn spellings(host: &str) -> Vec<String> {
    let typed = host.to_lowercase();
    match typed.parse::<IpAddr>().map(|address| address.to_string()) {
        Ok(canonical) if canonical != typed => vec![canonical, typed],
        _ => vec![typed],
    }
}

fn with_port(name: &str, port: u16) -> String {
    if port == DEFAULT_PORT { name.to_owned() } else { format!("[{name}]:{port}") }
}

/// One line whose key has not been looked at: most lines are another host's.
struct Line<'a> {
    marker: Option<Marker>,
    hosts: HostPatterns,
    key: [&'a str; 2],
}

impl<'a> Line<'a> {
    /// Splits a line; none for a comment and for what OpenSSH skips as malformed.
    ///
    /// The library's own `KnownHosts` takes single spaces only and does not count lines, so it is used for the fields
    /// alone.
    fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let first = fields.next().filter(|field| !field.starts_with('#'))?;
        let (marker, hosts) =
            if first.starts_with('@') { (Some(first.parse().ok()?), fields.next()?) } else { (None, first) };
        Some(Self { marker, hosts: hosts.parse().ok()?, key: [fields.next()?, fields.next()?] })
    }

    fn names(&self, spellings: &[String]) -> bool {
        spellings.iter().any(|host| match &self.hosts {
            HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|hmac| hmac.chain_update(host.as_bytes()).verify_slice(hash).is_ok()),
            HostPatterns::Patterns(patterns) => named(patterns, host),
        })
    }

    fn key(&self) -> Option<PublicKey> {
        PublicKey::from_openssh(&self.key.join(" ")).ok()
    }
}

/// A negated pattern that matches overrules every other.
fn named(patterns: &[String], host: &str) -> bool {
    let mut named = false;
    for pattern in patterns {
        let pattern = pattern.to_lowercase();
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, host) => return false,
            Some(_) => (),
            None => named |= matches(&pattern, host),
        }
    }
    named
}

/// Matches `*` and `?`; brackets mean themselves.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Where to go on when the last `*` has to take one character more. An earlier one never has to.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            (Some((wanted, pattern_rest)), Some((found, text_rest))) if *wanted == b'?' || wanted == found => {
                pattern = pattern_rest;
                text = text_rest;
            }
            (None, None) => return true,
            _ => {
                let Some((after_star, (_, later))) = retry.and_then(|(rest, from)| Some((rest, from.split_first()?)))
                else {
                    return false;
                };
                retry = Some((after_star, later));
                pattern = after_star;
                text = later;
            }
        }
    }
}

/// What a text says of a host and of a key that it presents, for the fuzzer.
///
/// # Errors
/// When the key is not known there.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn judge(text: &str, host: &str, port: u16) -> Result<(), TransportError> {
    let known = KnownHost::parse([(Utf8Path::new("known_hosts"), text)], host, port);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIZ2Ix9np+ohB1LgjTP7JvY8LlfSLOcKn3369zSqXcow";
    let _offered = known.algorithms();
    PublicKey::from_openssh(key).map_or(Ok(()), |key| known.check(&key))
}

#[cfg(test)]
mod tests;
