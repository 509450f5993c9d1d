//! Bytes on their way to a host: what a step carries beside its script.
//!
//! Never read twice for its digest, never printed.

use std::fmt;
use std::sync::Arc;

use camino::Utf8PathBuf;
use zeroize::Zeroizing;

/// Content to be sent, with its length and SHA-256 known beforehand.
#[derive(Clone)]
pub struct Blob {
    source: BlobSource,
    length: u64,
    sha256: String,
}

/// Where the bytes of a [`Blob`] come from.
#[derive(Clone)]
pub enum BlobSource {
    /// In memory; wiped when the last owner goes, since it may be a private key.
    Memory(Arc<Zeroizing<Vec<u8>>>),
    /// A file on this side, streamed when it is sent.
    File(Utf8PathBuf),
}

impl Blob {
    /// Takes bytes that are already in memory.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let sha256 = sha256_hex(&bytes);
        let length = bytes.len() as u64;
        Self { source: BlobSource::Memory(Arc::new(Zeroizing::new(bytes))), length, sha256 }
    }

    /// Names a file whose length and digest (lower-case hex SHA-256) the caller has read.
    #[must_use]
    pub fn from_file(path: Utf8PathBuf, length: u64, sha256: String) -> Self {
        Self { source: BlobSource::File(path), length, sha256 }
    }

    /// Names a file whose length the caller has read, and whose content is verified by whoever takes it: an image
    /// archive, whose layers podman checks. Hashing gigabytes at each look at a plan would be for nothing.
    #[must_use]
    pub fn unhashed(path: Utf8PathBuf, length: u64) -> Self {
        Self { source: BlobSource::File(path), length, sha256: String::new() }
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 in lower-case hex; empty for [`Blob::unhashed`], which therefore can be no file's content.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where the bytes are.
    #[must_use]
    pub fn source(&self) -> &BlobSource {
        &self.source
    }

    /// The bytes, when they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.source {
            BlobSource::Memory(bytes) => Some(bytes),
            BlobSource::File(_) => None,
        }
    }
}

impl fmt::Debug for Blob {
    // The content may be a secret: length and digest only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("length", &self.length).finish_non_exhaustive()
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.sha256 == other.sha256
    }
}

impl Eq for Blob {}

/// SHA-256 of some bytes in lower-case hex, as `sha256sum` prints it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(bytes))
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}
