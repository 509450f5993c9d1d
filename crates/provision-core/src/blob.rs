//! Bytes on their way to a host: what a step carries beside its script.
//!
//! Never read twice for its digest, never printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use camino::Utf8PathBuf;
use zeroize::Zeroizing;

/// Content to be sent, with its length and SHA-256 known beforehand.
#[derive(Clone)]
pub struct Blob {
    pieces: Arc<[Piece]>,
    length: u64,
    sha256: String,
    /// How much of it the other side has already.
    there: u64,
}

/// Where some of the bytes of a [`Blob`] come from.
#[derive(Clone)]
pub enum Piece {
    /// In memory; wiped when the last owner goes, since it may be a private key.
    Memory(Arc<Zeroizing<Vec<u8>>>),
    /// A stretch of a file on this side, streamed when it is sent.
    File {
        /// The file.
        path: Utf8PathBuf,
        /// Where in it the stretch begins.
        offset: u64,
        /// How long the stretch is.
        length: u64,
    },
}

impl Piece {
    /// Bytes that are already in memory.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::Memory(Arc::new(Zeroizing::new(bytes)))
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Memory(bytes) => Ok(Box::new(bytes.as_slice())),
            Self::File { path, offset, length } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Ok(Box::new(file.take(*length)))
            }
        }
    }
}

impl Blob {
    /// Takes bytes that are already in memory.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let sha256 = sha256_hex(&bytes);
        let length = bytes.len() as u64;
        Self { pieces: Arc::new([Piece::Memory(Arc::new(Zeroizing::new(bytes)))]), length, sha256, there: 0 }
    }

    /// Names a file whose length and digest (lower-case hex SHA-256) the caller has read.
    #[must_use]
    pub fn from_file(path: Utf8PathBuf, length: u64, sha256: String) -> Self {
        Self::from_stretch(path, 0, length, sha256)
    }

    /// Names a stretch of a file, such as a member of an archive, of which the caller knows the digest.
    #[must_use]
    pub fn from_stretch(path: Utf8PathBuf, offset: u64, length: u64, sha256: String) -> Self {
        Self { pieces: Arc::new([Piece::File { path, offset, length }]), length, sha256, there: 0 }
    }

    /// Names a file whose length the caller has read, and whose content is verified by whoever takes it: an image
    /// archive, whose layers podman checks. Hashing gigabytes at each look at a plan would be for nothing.
    #[must_use]
    pub fn unhashed(path: Utf8PathBuf, length: u64) -> Self {
        Self::from_file(path, length, String::new())
    }

    /// A stretch of what is itself one stretch of a file, as [`Blob::unhashed`].
    pub(crate) fn stretch(&self, within: Range<u64>) -> Option<Self> {
        let [Piece::File { path, offset, length }] = self.pieces() else { return None };
        let fits = within.start <= within.end && within.end <= *length;
        let start = offset.checked_add(within.start).filter(|_| fits)?;
        Some(Self::from_stretch(path.clone(), start, within.end - within.start, String::new()))
    }

    /// What is put together of pieces, as [`Blob::unhashed`].
    pub(crate) fn unhashed_pieces(pieces: Vec<Piece>) -> Self {
        let length = pieces.iter().map(Piece::length).sum();
        Self { pieces: pieces.into(), length, sha256: String::new(), there: 0 }
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

    /// Whether what arrives of it is kept on the host until all of it is there, so that a transfer that was cut goes on where
    /// it ended: it is long enough, and known by its digest.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.length >= KEPT && !self.sha256.is_empty()
    }

    /// The same, of which the host has the beginning already.
    #[must_use]
    pub fn with_beginning(&self, there: u64) -> Self {
        Self { there: there.min(self.length), ..self.clone() }
    }

    /// How much of it the host has already.
    #[must_use]
    pub fn there(&self) -> u64 {
        self.there
    }

    /// How many bytes are sent: all but those that the host has.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.length - self.there
    }

    /// The same with its digest, for which it is read to its end.
    ///
    /// # Errors
    /// When a file cannot be read, or has become shorter.
    pub fn hashed(self) -> io::Result<Self> {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        let mut buffer = vec![0_u8; 1 << 18];
        for piece in self.pieces() {
            let (mut reader, mut left) = (piece.open()?, piece.length());
            while left > 0 {
                let count = reader.read(&mut buffer)?;
                if count == 0 {
                    return Err(shorter());
                }
                hasher.update(buffer.get(..count).unwrap_or_default());
                left = left.saturating_sub(count as u64);
            }
        }
        Ok(Self { sha256: hex(&hasher.finalize()), ..self })
    }

    /// Where the bytes are, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes, when they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self.pieces() {
            [Piece::Memory(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// Reads all of it; not for what is large.
    ///
    /// # Errors
    /// When a file cannot be read, or has become shorter.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in self.pieces() {
            if piece.open()?.read_to_end(&mut bytes)? as u64 != piece.length() {
                return Err(shorter());
            }
        }
        Ok(bytes)
    }
}

/// A stretch of a file as if it were a file of its own.
pub(crate) struct Stretch {
    file: File,
    start: u64,
    length: u64,
    at: u64,
}

impl Stretch {
    /// Opens what is one stretch of a file.
    pub(crate) fn open(blob: &Blob) -> io::Result<Self> {
        let [Piece::File { path, offset, length }] = blob.pieces() else {
            return Err(io::Error::other("not one stretch of a file"));
        };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*offset))?;
        Ok(Self { file, start: *offset, length: *length, at: 0 })
    }
}

impl Read for Stretch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let read = self.file.read(buffer.get_mut(..count).unwrap_or_default())?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Stretch {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let there = self.start.checked_add(at).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.file.seek(SeekFrom::Start(there))?;
        self.at = at;
        Ok(at)
    }
}

fn shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read")
}

/// From this length on what arrives is kept until all of it is there: below it, sending it again costs less than the note.
const KEPT: u64 = 8 << 20;

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

/// A length for people: in the units of podman and of `ls -h --si`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut tenths = bytes.saturating_mul(10) / 1000;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if tenths < 10_000 {
            break;
        }
        tenths /= 1000;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0.0 kB"),
            (2_560, "2.5 kB"),
            (999_999, "999.9 kB"),
            (55_100_000, "55.1 MB"),
            (1_500_000_000, "1.5 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
