//! Owns the one pass over a bundle that finds it whole: every member where its manifest says, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::manifest::{LONGEST, Manifest, Member};
use super::place::is_safe;
use super::{BundleError, MANIFEST};
use crate::blob::{Blob, hex};

/// An empty block; a tar ends with two.
const BLOCK: u64 = 512;

/// Reads all of a bundle; its members are stretches of the file at `path`.
pub(super) fn read(
    mut file: impl Read + Seek,
    path: &Utf8Path,
) -> Result<(Manifest, BTreeMap<String, Blob>), BundleError> {
    let length = file.seek(SeekFrom::End(0)).map_err(BundleError::Read)?;
    let ended = ends(&mut file, length).map_err(BundleError::Read)?;
    file.rewind().map_err(BundleError::Read)?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 18, file));
    let mut entries = archive.entries().map_err(BundleError::Read)?;
    let mut manifest = None;
    let mut members = BTreeMap::new();
    let mut end = 0;
    let mut expected: Vec<Member> = Vec::new();
    loop {
        let last = || members.keys().next_back().map_or(MANIFEST, String::as_str).to_owned();
        let next = expected.last().map(|member| member.path.clone());
        let Some(entry) = entries.next() else {
            // What is cut off has no end; what was taken out of a whole tar leaves one.
            return match (manifest, next) {
                (Some(_), Some(next)) if ended => Err(BundleError::Missing(next)),
                (_, Some(next)) => Err(BundleError::Truncated(next)),
                (None, None) => Err(BundleError::Truncated(MANIFEST.to_owned())),
                (Some(_), None) if !ended || length < end + 2 * BLOCK => {
                    Err(BundleError::Truncated("its last block".to_owned()))
                }
                (Some(_), None) if length != end + 2 * BLOCK => {
                    Err(BundleError::Unlisted("what follows the end".to_owned()))
                }
                (Some(manifest), None) => Ok((manifest, members)),
            };
        };
        let broken = |name: &str, source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Truncated(name.to_owned()),
            _ if !ended => BundleError::Truncated(name.to_owned()),
            _ => BundleError::Damaged(name.to_owned()),
        };
        let mut entry = entry.map_err(|source| broken(&next.clone().unwrap_or_else(last), source))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (offset, size) = (entry.raw_file_position(), entry.size());
        end = offset.saturating_add(size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX));
        if !is_safe(&name) {
            return Err(BundleError::Escaping(name));
        }
        if manifest.is_none() {
            let found = first(&name, size, &mut entry).map_err(|error| match error {
                BundleError::Read(source) => broken(MANIFEST, source),
                error => error,
            })?;
            expected = listed(&found)?;
            manifest = Some(found);
            continue;
        }
        let wanted = match expected.pop() {
            Some(wanted) if wanted.path == name => wanted,
            Some(wanted) if expected.iter().any(|later| later.path == name) => {
                return Err(BundleError::Missing(wanted.path));
            }
            _ => return Err(BundleError::Unlisted(name)),
        };
        if !entry.header().entry_type().is_file() || size != wanted.length {
            return Err(BundleError::Altered(name));
        }
        if offset.saturating_add(size) > length {
            return Err(BundleError::Truncated(name));
        }
        let mut hasher = Hashing(Sha256::new());
        io::copy(&mut entry, &mut hasher).map_err(|source| broken(&name, source))?;
        if hex(&hasher.0.finalize()) != wanted.sha256 {
            return Err(BundleError::Altered(name));
        }
        members.insert(name, Blob::from_stretch(path.to_owned(), offset, size, wanted.sha256));
    }
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the last two blocks are empty.
fn ends(file: &mut (impl Read + Seek), length: u64) -> io::Result<bool> {
    let mut blocks = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(2 * BLOCK)))?;
    file.read_to_end(&mut blocks)?;
    Ok(blocks.len() as u64 == 2 * BLOCK && blocks.iter().all(|byte| *byte == 0))
}

fn first(name: &str, size: u64, entry: &mut impl Read) -> Result<Manifest, BundleError> {
    if name != MANIFEST {
        return Err(BundleError::Missing(MANIFEST.to_owned()));
    }
    if size > LONGEST {
        return Err(BundleError::Manifest(format!("it is longer than {LONGEST} bytes")));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(BundleError::Read)?;
    if (text.len() as u64) < size {
        return Err(BundleError::Truncated(MANIFEST.to_owned()));
    }
    Manifest::read(&text)
}

/// The members that must follow, the next one last.
fn listed(manifest: &Manifest) -> Result<Vec<Member>, BundleError> {
    if let Some(member) = manifest.members.iter().find(|member| !is_safe(&member.path)) {
        return Err(BundleError::Escaping(member.path.clone()));
    }
    if !manifest.members.iter().any(|member| member.path == manifest.plan) {
        return Err(BundleError::Missing(manifest.plan.clone()));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = manifest.members.iter().find(|member| !names.insert(&member.path)) {
        return Err(BundleError::Manifest(format!("{} is in it twice", twice.path)));
    }
    Ok(manifest.members.iter().rev().cloned().collect())
}
