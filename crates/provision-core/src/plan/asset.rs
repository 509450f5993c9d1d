//! Files beside a plan: sources, templates, image archives.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use crate::blob::{Blob, Stretch};
use crate::image_archive::{ImageArchive, ImageArchiveError};

/// Where a plan's files come from.
pub trait Assets: Send + Sync {
    /// The path on this side of a file that the plan names.
    ///
    /// # Errors
    /// When the plan cannot name files here.
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String>;

    /// Reads a small file whole.
    ///
    /// # Errors
    /// When it cannot be read; the message names it.
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.locate(name)?;
        std::fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))
    }

    /// Reads a file for sending; a large one stays on disk and is streamed.
    ///
    /// # Errors
    /// When it cannot be read; the message names it.
    fn blob(&self, name: &str) -> Result<Blob, String> {
        let path = self.locate(name)?;
        let failed = |error: io::Error| format!("cannot read {path}: {error}");
        let mut file = File::open(&path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(format!("cannot read {path}: not a regular file"));
        }
        if meta.len() <= IN_MEMORY {
            return self.read(name).map(Blob::from_bytes);
        }
        let (length, sha256) = digest(&mut file).map_err(failed)?;
        Ok(Blob::from_file(path, length, sha256))
    }

    /// Reads another plan: a file, or that of a directory.
    ///
    /// # Errors
    /// When it cannot be read; the message names it.
    fn plan(&self, name: &str) -> Result<PlanFile, String> {
        let mut path = self.locate(name)?;
        if path.is_dir() {
            path.push(PLAN_FILE);
        }
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {path}: {error}");
        let identity = path.canonicalize_utf8().map_err(|error| failed(&error))?;
        // A pipe or a device would be waited for, or have no end.
        if !identity.is_file() {
            return Err(failed(&"not a regular file"));
        }
        let bytes = std::fs::read(&identity).map_err(|error| failed(&error))?;
        let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8 text"))?;
        let folder = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
        Ok(PlanFile { name: path.to_string(), identity, text, assets: Arc::new(Folder(folder)) })
    }

    /// Reads what an image archive says of itself, and names it for sending. It is the file, or a member of the tar that
    /// the file is. Its layers are passed over, so that a plan with gigabytes beside it is looked at as quickly as any
    /// other.
    ///
    /// # Errors
    /// When it cannot be read or is no image archive; the message names it.
    fn image_archive(&self, name: &str, member: Option<&str>) -> Result<(ImageArchive, Blob), String> {
        let path = self.locate(name)?;
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {path}: {error}");
        let meta = std::fs::metadata(&path).map_err(|error| failed(&error))?;
        if !meta.is_file() {
            return Err(failed(&"not a regular file"));
        }
        image_archive(Blob::unhashed(path.clone(), meta.len()), &path, member)
    }
}

/// Reads what the image archive in a stretch of a file says of itself, or that in a member of the tar there.
pub(crate) fn image_archive(
    whole: Blob,
    name: &Utf8Path,
    member: Option<&str>,
) -> Result<(ImageArchive, Blob), String> {
    let open = |blob: &Blob| Stretch::open(blob).map_err(|error| format!("cannot read {name}: {error}"));
    let failed = |what: &dyn std::fmt::Display, error: ImageArchiveError| match std::error::Error::source(&error) {
        Some(source) => format!("cannot read {what}: {error}: {source}"),
        None => format!("cannot read {what}: {error}"),
    };
    let Some(member) = member else {
        let archive = ImageArchive::index(open(&whole)?).map_err(|error| failed(&name, error))?;
        return Ok((archive, whole));
    };
    let within = ImageArchive::member(open(&whole)?, member).map_err(|error| failed(&name, error))?;
    let blob = whole.stretch(within).ok_or_else(|| format!("cannot read {name}: it is not a file"))?;
    let what = format_args!("{member} in {name}");
    let archive = ImageArchive::index(open(&blob)?).map_err(|error| failed(&what, error))?;
    Ok((archive, blob))
}

/// Another plan, which a plan uses.
pub struct PlanFile {
    /// What to call it in findings.
    pub name: String,
    /// What tells it from any other plan, however it is named: a circle of plans is known by it.
    pub identity: Utf8PathBuf,
    /// Its text.
    pub text: String,
    /// The files beside it.
    pub assets: Arc<dyn Assets>,
}

/// What the plan of a directory is called.
pub const PLAN_FILE: &str = "plan.toml";

/// Above this a file is streamed from disk when it is sent, not kept in memory.
pub(crate) const IN_MEMORY: u64 = 4 << 20;

fn digest(file: &mut File) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
        hasher.update(piece);
        length += count as u64;
    }
    Ok((length, crate::blob::hex(&hasher.finalize())))
}

/// The directory of a plan's file. Relative names start there; absolute ones are taken as they are.
#[derive(Debug, Clone)]
pub struct Folder(pub Utf8PathBuf);

impl Assets for Folder {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        Ok(self.0.join(Utf8Path::new(name)))
    }
}

/// A plan without files, such as one that was built in Rust.
#[derive(Debug, Clone, Copy)]
pub struct NoAssets;

impl Assets for NoAssets {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        Err(format!("cannot read {name}: this plan has no directory of its own"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::sha256_hex;

    #[test]
    fn a_large_file_has_the_digest_that_its_bytes_have() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_path_buf()).unwrap();
        let bytes = vec![7_u8; (IN_MEMORY + 1) as usize];
        std::fs::write(root.join("large"), &bytes).unwrap();
        let blob = Folder(root).blob("large").unwrap();
        assert_eq!((blob.length(), blob.sha256()), (bytes.len() as u64, sha256_hex(&bytes).as_str()));
        assert!(blob.bytes().is_none());
    }
}
