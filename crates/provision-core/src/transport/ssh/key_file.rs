//! Private keys in files: what can be known of one without its passphrase, and how it is opened.
//!
//! Never keeps a passphrase, and asks for one no earlier than the host has said that it would take the key.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use russh::keys::{Error as KeyError, PrivateKey, PublicKey, decode_secret_key};
use zeroize::Zeroizing;

/// How often a passphrase is asked for one key: OpenSSH's `NumberOfPasswordPrompts`.
const ATTEMPTS: u32 = 3;

/// Knows the passphrases of key files, by asking a person.
#[async_trait]
pub trait Passphrases: fmt::Debug + Send + Sync {
    /// Gives the passphrase of a key file, or none to leave that key out.
    ///
    /// `attempt` counts from 1; from 2 on the last answer was wrong. A prompt that blocks belongs in a thread of its
    /// own.
    async fn passphrase(&self, key_file: &Utf8Path, attempt: u32) -> Option<Zeroizing<String>>;
}

/// A key file as far as it can be read without a passphrase.
pub(super) struct KeyFile {
    pub(super) path: Utf8PathBuf,
    /// From the file itself, or from the `.pub` beside it.
    pub(super) public: Option<PublicKey>,
    secret: Result<Zeroizing<String>, String>,
}

impl KeyFile {
    pub(super) async fn read(path: &Utf8Path) -> Self {
        let text = tokio::fs::read_to_string(path).await.map(Zeroizing::new);
        let beside = tokio::fs::read_to_string(format!("{path}.pub")).await.ok();
        // In OpenSSH's order: a file may be a public key whose private half is in the agent, or only in a token.
        let itself = text.as_deref().ok().and_then(|text| parse_public(text));
        let is_public = itself.is_some();
        let public = itself
            .or_else(|| beside.as_deref().and_then(parse_public))
            .or_else(|| text.as_deref().ok().and_then(|text| contained_public(text)));
        let secret = match text {
            Ok(_) if is_public => Err("it is a public key that the agent does not have".to_owned()),
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("no such file".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Self { path: path.to_owned(), public, secret }
    }

    /// Why the file holds no private key, if it does not.
    pub(super) fn unusable(&self) -> Option<&str> {
        self.secret.as_ref().err().map(String::as_str)
    }

    /// Opens the private key, asking for its passphrase where it has one.
    pub(super) async fn open(
        &self,
        passphrases: Option<&dyn Passphrases>,
        person: &Person,
    ) -> Result<PrivateKey, String> {
        let secret = self.secret.as_ref().map_err(Clone::clone)?;
        match decode_secret_key(secret, None) {
            Ok(key) => return self.own(key),
            Err(error) if !is_locked(secret, &error) => return Err(error.to_string()),
            Err(_) => (),
        }
        let passphrases = passphrases.ok_or("it has a passphrase, and nobody can be asked for it")?;
        for attempt in 1..=ATTEMPTS {
            let answer = {
                let _busy = person.busy();
                passphrases.passphrase(&self.path, attempt).await
            };
            let passphrase = answer.ok_or("no passphrase was given")?;
            let secret = secret.clone();
            // The key derivation takes a good part of a second, by design.
            let opened = tokio::task::spawn_blocking(move || decode_secret_key(&secret, Some(&passphrase)));
            match opened.await {
                Ok(Ok(key)) => return self.own(key),
                Ok(Err(error)) => tracing::debug!("{} stays locked: {error}", self.path),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("wrong passphrase".to_owned())
    }

    /// A `.pub` that is another key's would end in a signature that the host calls wrong.
    fn own(&self, key: PrivateKey) -> Result<PrivateKey, String> {
        match &self.public {
            Some(public) if public.key_data() != key.public_key().key_data() => {
                Err(format!("{}.pub is another key's", self.path))
            }
            _ => Ok(key),
        }
    }
}

fn is_locked(secret: &str, error: &KeyError) -> bool {
    // The PEM formats say so in their header, and their parsers only that the key is malformed.
    matches!(error, KeyError::KeyIsEncrypted) || secret.contains("ENCRYPTED")
}

fn parse_public(text: &str) -> Option<PublicKey> {
    text.lines().find_map(|line| PublicKey::from_openssh(line.trim()).ok())
}

/// OpenSSH's own format has the public key in the clear; the others must not be locked.
fn contained_public(text: &str) -> Option<PublicKey> {
    let opened = PrivateKey::from_openssh(text).ok().or_else(|| decode_secret_key(text, None).ok())?;
    Some(opened.public_key().clone())
}

/// Whether somebody is being asked for something just now: that time is not the host's.
#[derive(Default)]
pub(super) struct Person(AtomicUsize);

impl Person {
    pub(super) fn busy(&self) -> impl Drop + Send + '_ {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// Odd while somebody is busy, and never the same again after that.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Busy<'a>(&'a Person);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}
