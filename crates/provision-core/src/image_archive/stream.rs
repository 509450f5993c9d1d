//! Owns the one pass over an archive: its digest and length, the lengths of its entries, and its small JSON documents.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::ImageArchiveError;

/// Longest document that is kept: what registries take for a manifest (distribution-spec), and more than any config.
const LONGEST_DOCUMENT: u64 = 4 * 1024 * 1024;
/// All documents together, and all names of entries together: a bound on memory, far above any archive there is.
const KEPT_LIMIT: usize = 64 * 1024 * 1024;
/// Reading in large pieces keeps the hashing busy.
const BUFFER: usize = 256 * 1024;
/// How many files are named where the one that is meant is not there.
const NAMED: usize = 20;
/// A tar's block: it ends with two of them empty.
const BLOCK: u64 = 512;

/// What is left of an archive after the pass.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Files that look like JSON, by path.
    documents: HashMap<String, Vec<u8>>,
    /// Length of every file and 0 for every link, by path.
    lengths: HashMap<String, u64>,
    /// Where in the file those begin that are files as they are, by path; of an archive that was not compressed.
    stretches: HashMap<String, Stretch>,
    /// The tar has its closing empty block.
    pub(super) ended: bool,
}

/// A file in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// It begins as what is compressed does.
    pub(super) compressed: bool,
}

impl Contents {
    pub(super) fn stretch(&self, path: &str) -> Option<Stretch> {
        self.stretches.get(path).copied()
    }

    pub(super) fn document(&self, path: &str) -> Option<&[u8]> {
        self.documents.get(path).map(Vec::as_slice)
    }

    pub(super) fn length(&self, path: &str) -> Option<u64> {
        self.lengths.get(path).copied()
    }
}

/// Reads everything, and returns the contents with the length and the SHA-256 of the file.
pub(super) fn read(source: impl Read) -> Result<(Contents, u64, String), ImageArchiveError> {
    let mut meter = Meter { inner: source, hasher: Sha256::new(), length: 0, state: State::Open };
    let mut head = Vec::new();
    if let Err(source) = meter.by_ref().take(BLOCK).read_to_end(&mut head) {
        return Err(ImageArchiveError::Read { source });
    }
    let gzip = is_gzip(&head)?;
    let mut whole = Cursor::new(head).chain(BufReader::with_capacity(BUFFER, meter));
    let walked = if gzip {
        // To its end, where the checksum is.
        let mut decoder = MultiGzDecoder::new(&mut whole);
        walk(&mut decoder).and_then(|contents| drain(&mut decoder).map(|()| contents))
    } else {
        walk(&mut whole)
    };
    // Not after an error: whether the end was reached by then tells what the error means.
    let walked = walked.and_then(|contents| drain(&mut whole).map(|()| contents));
    let (_, buffered) = whole.into_inner();
    let Meter { hasher, length, state, .. } = buffered.into_inner();
    let contents = walked.map_err(|stop| stop.explain(&state))?;
    let sha256 = hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    });
    Ok((contents, length, sha256))
}

/// Reads what is needed of a plain archive and returns it with the length of the file; a compressed one is read whole.
pub(super) fn index(mut source: impl Read + Seek) -> Result<(Contents, u64), ImageArchiveError> {
    let failed = |source| ImageArchiveError::Read { source };
    let mut head = Vec::new();
    source.by_ref().take(BLOCK).read_to_end(&mut head).map_err(failed)?;
    source.rewind().map_err(failed)?;
    if is_gzip(&head)? {
        return read(source).map(|(contents, length, _)| (contents, length));
    }
    let length = source.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut tail = Vec::new();
    source.seek(SeekFrom::Start(length.saturating_sub(BLOCK))).map_err(failed)?;
    source.read_to_end(&mut tail).map_err(failed)?;
    source.rewind().map_err(failed)?;
    let mut archive = tar::Archive::new(source);
    let entries = archive.entries_with_seek().map_err(|source| Stop::Error { source, entries: 0 });
    let walked = entries.and_then(|entries| collect(entries, length));
    // Whether an error means damage or an early end is known by the end itself.
    let ended = tail.len() as u64 == BLOCK && tail.iter().all(|byte| *byte == 0);
    let state = if ended { State::Open } else { State::Ended };
    let contents = walked.map_err(|stop| stop.explain(&state))?;
    Ok((Contents { ended, ..contents }, length))
}

/// Where a file of a plain tar is.
pub(super) fn member(mut source: impl Read + Seek, path: &str) -> Result<Range<u64>, ImageArchiveError> {
    let failed = |source| ImageArchiveError::Read { source };
    let mut head = Vec::new();
    source.by_ref().take(BLOCK).read_to_end(&mut head).map_err(failed)?;
    source.rewind().map_err(failed)?;
    if is_gzip(&head)? {
        return Err(compressed("gzip", "gzip -d"));
    }
    let (contents, _) = index(source)?;
    if let Some(Stretch { offset, length, .. }) = contents.stretch(path) {
        return Ok(offset..offset.saturating_add(length));
    }
    let mut found: Vec<String> = contents.lengths.into_keys().collect();
    found.sort();
    found.truncate(NAMED);
    Err(ImageArchiveError::NoMember { path: path.to_owned(), found })
}

fn is_gzip(head: &[u8]) -> Result<bool, ImageArchiveError> {
    match head {
        [0x1f, 0x8b, ..] => Ok(true),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(compressed("xz", "xz -d")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(compressed("zstd", "zstd -d")),
        [b'B', b'Z', b'h', ..] => Err(compressed("bzip2", "bzip2 -d")),
        _ => Ok(false),
    }
}

fn compressed(algorithm: &'static str, command: &'static str) -> ImageArchiveError {
    ImageArchiveError::Compressed { algorithm, command }
}

/// Why the pass came to a stop.
enum Stop {
    Error { source: io::Error, entries: usize },
    TooLarge,
}

impl Stop {
    /// The tar and gzip readers have errors of one type for everything; who failed is known by the meter.
    fn explain(self, state: &State) -> ImageArchiveError {
        match (self, state) {
            (Self::TooLarge, _) => ImageArchiveError::TooLarge { limit: KEPT_LIMIT },
            (Self::Error { source, .. }, State::Failed) => ImageArchiveError::Read { source },
            (Self::Error { source, entries: 0 }, _) if source.kind() != ErrorKind::UnexpectedEof => {
                ImageArchiveError::NotAnArchive
            }
            (Self::Error { .. }, State::Ended) => ImageArchiveError::Truncated,
            (Self::Error { source, .. }, State::Open) => ImageArchiveError::Damaged { source },
        }
    }
}

fn drain(reader: &mut impl Read) -> Result<(), Stop> {
    io::copy(reader, &mut io::sink()).map(drop).map_err(|source| Stop::Error { source, entries: 1 })
}

fn walk(reader: &mut impl Read) -> Result<Contents, Stop> {
    let mut trailer = Trailer { inner: reader, zeros: 0 };
    let mut archive = tar::Archive::new(&mut trailer);
    let entries = archive.entries().map_err(|source| Stop::Error { source, entries: 0 })?;
    // How long it is shows at its end: what was not there to be read is an error by then.
    let contents = collect(entries, u64::MAX)?;
    Ok(Contents { ended: trailer.zeros >= BLOCK, ..contents })
}

/// Takes what is needed of the entries of a tar of some length.
fn collect<R: Read>(entries: tar::Entries<'_, R>, length: u64) -> Result<Contents, Stop> {
    let mut contents = Contents::default();
    let mut kept = 0;
    let stop = |source, entries| Stop::Error { source, entries };
    for (before, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|source| stop(source, before))?;
        let kind = entry.header().entry_type();
        let file = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if !(file || kind.is_symlink() || kind.is_hard_link()) {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let size = if file { entry.size() } else { 0 };
        // Passing over what is not there succeeds.
        if !kind.is_gnu_sparse()
            && entry.raw_file_position().saturating_add(size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX))
                > length
        {
            return Err(stop(ErrorKind::UnexpectedEof.into(), before + 1));
        }
        kept += path.len();
        // A path that comes twice is, once unpacked, the later one.
        contents.documents.remove(&path);
        contents.stretches.remove(&path);
        let offset = entry.raw_file_position();
        let mut head = Vec::new();
        entry.by_ref().take(BLOCK).read_to_end(&mut head).map_err(|source| stop(source, before + 1))?;
        if kind.is_file() && length != u64::MAX {
            let compressed = is_gzip(&head).unwrap_or(true);
            contents.stretches.insert(path.clone(), Stretch { offset, length: size, compressed });
        }
        if size < LONGEST_DOCUMENT
            && let Some(document) = document(head, &mut entry).map_err(|source| stop(source, before + 1))?
        {
            kept += document.len();
            contents.documents.insert(path.clone(), document);
        }
        contents.lengths.insert(path, size);
        if kept > KEPT_LIMIT {
            return Err(Stop::TooLarge);
        }
    }
    Ok(contents)
}

/// The whole of a file if it begins like a JSON object or list.
fn document(mut bytes: Vec<u8>, file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

enum State {
    Open,
    Ended,
    Failed,
}

/// Hashes and counts what goes by.
struct Meter<R> {
    inner: R,
    hasher: Sha256,
    length: u64,
    state: State,
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(0) if !buffer.is_empty() => {
                self.state = State::Ended;
                Ok(0)
            }
            Ok(count) => {
                self.hasher.update(buffer.get(..count).unwrap_or_default());
                self.length += count as u64;
                Ok(count)
            }
            Err(error) => {
                if error.kind() != ErrorKind::Interrupted {
                    self.state = State::Failed;
                }
                Err(error)
            }
        }
    }
}

/// Counts the zeros that what went by ends with.
struct Trailer<R> {
    inner: R,
    zeros: u64,
}

impl<R: Read> Read for Trailer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        let zeros = read.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { self.zeros + zeros as u64 } else { zeros as u64 };
        Ok(count)
    }
}
