//! Packing: a plan is read through a [`Gathering`], which remembers every file that was looked at, and then writes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::manifest::{Manifest, Member};
use super::place::{DOWNLOADS, common, is_safe, member, normal};
use super::{COMMAND, MANIFEST, PackError};
use crate::blob::{Blob, hex};
use crate::fetch::Download;
use crate::image_archive::ImageArchive;
use crate::plan::Plan;
use crate::plan::asset::{Assets, Folder, PlanFile};

/// The files that a plan reads on this side.
pub struct Gathering {
    plan: Utf8PathBuf,
    working_directory: Utf8PathBuf,
    downloads: Vec<(String, Blob)>,
    seen: Arc<Mutex<Seen>>,
}

/// Where files are, by what their paths come to.
#[derive(Default)]
struct Seen(BTreeMap<Utf8PathBuf, Found>);

struct Found {
    /// As it was opened: a link in it may be followed before a `..`.
    path: Utf8PathBuf,
    /// Another file whose path comes to the same, by such a link.
    other: Option<Utf8PathBuf>,
    beside: bool,
    absolute: bool,
}

/// What came into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its members, without the manifest.
    pub members: usize,
    /// Length of the file in bytes.
    pub length: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
    /// Files in it that hold a private key, as they are called here.
    pub private_keys: Vec<String>,
}

impl Gathering {
    /// Of a plan's file, and where relative paths start.
    #[must_use]
    pub fn new(plan: &Utf8Path, working_directory: &Utf8Path) -> Self {
        let gathering = Self {
            plan: plan.to_owned(),
            working_directory: working_directory.to_owned(),
            downloads: Vec::new(),
            seen: Arc::default(),
        };
        gathering.add(plan);
        gathering
    }

    /// The files beside the plan, for [`Plan::parse`].
    #[must_use]
    pub fn assets(&self) -> Arc<dyn Assets> {
        let folder = self.plan.parent().map(Utf8Path::to_owned).unwrap_or_default();
        Arc::new(Recorder {
            inner: Arc::new(Folder(folder)),
            seen: Arc::clone(&self.seen),
            working_directory: self.working_directory.clone(),
            beside: true,
        })
    }

    /// One more file, which the plan names on another host only. Relative to the working directory.
    pub fn add(&self, path: &Utf8Path) {
        note(&self.seen, &self.working_directory.join(path), Asked { beside: true, absolute: false });
    }

    /// What this side has downloaded for the plan ([`Plan::outside`]).
    pub fn download(&mut self, download: &Download, content: Blob) {
        self.downloads.push((format!("{DOWNLOADS}/{}", download.sha256), content));
    }

    /// As whoever packs would write it.
    fn short(&self, path: &str) -> String {
        let path = normal(Utf8Path::new(path));
        path.strip_prefix(&self.working_directory).unwrap_or(&path).to_string()
    }

    /// Writes the bundle: the plan, which was read with [`Gathering::assets`], and `command`, the `provision` that is to go
    /// with it, built for `system` such as `x86_64-linux`. Every file is read twice, once for its digest.
    ///
    /// # Errors
    /// When a file cannot be read or has a name that cannot be packed, or `out` cannot be written.
    pub fn pack(
        &self,
        plan: &Plan,
        command: &Utf8Path,
        system: Option<&str>,
        out: impl Write,
    ) -> Result<Packed, PackError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_plan = normal(&self.working_directory.join(&self.plan));
        let beside = seen.0.iter().filter(|(_, found)| found.beside).filter_map(|(path, _)| path.parent());
        let tree = common(beside);
        let mut sources = vec![(COMMAND.to_owned(), Blob::unhashed(command.to_owned(), 0))];
        let mut later: BTreeMap<String, Blob> = self.downloads.iter().cloned().collect();
        for (path, found) in &seen.0 {
            if let Some(other) = &found.other {
                return Err(PackError::Ambiguous { one: found.path.to_string(), other: other.to_string() });
            }
            later.insert(member(path, tree.as_deref()), Blob::unhashed(found.path.clone(), 0));
        }
        sources.extend(later);
        let mut manifest = Manifest::new(plan.name(), system, member(&of_plan, tree.as_deref()));
        let within = |path: &Utf8Path| tree.as_ref().is_some_and(|tree| path.starts_with(tree));
        if seen.0.iter().any(|(path, found)| found.absolute && within(path)) {
            manifest.tree = tree.as_ref().map(ToString::to_string);
        }
        manifest.values = plan.values().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut private_keys = Vec::new();
        for (name, blob) in &mut sources {
            if !is_safe(name) {
                return Err(PackError::Name(name.clone()));
            }
            let (measured, is_key) = measure(blob)?;
            if is_key {
                private_keys.push(self.short(&label(blob)));
            }
            *blob = measured;
            let (length, sha256) = (blob.length(), blob.sha256().to_owned());
            if name.strip_prefix(DOWNLOADS).is_some_and(|rest| rest.trim_start_matches('/') != sha256) {
                return Err(PackError::Changed(label(blob)));
            }
            manifest.members.push(Member { path: name.clone(), length, sha256 });
        }
        let mut out = tar::Builder::new(Meter { inner: out, hasher: Sha256::new(), length: 0 });
        let text = manifest.text();
        append(&mut out, MANIFEST, text.len() as u64, text.as_bytes())?;
        for (name, blob) in &sources {
            let mut content = Checked::open(blob)?;
            append(&mut out, name, blob.length(), &mut content)?;
            content.end()?;
        }
        let Meter { mut inner, hasher, length } = out.into_inner().map_err(PackError::Write)?;
        inner.flush().map_err(PackError::Write)?;
        Ok(Packed { members: sources.len(), length, sha256: hex(&hasher.finalize()), private_keys })
    }
}

/// A header says nothing of when, by whom and where it was packed. The command can be run where it is unpacked, and what else
/// is in a bundle is for whoever unpacks it alone: it may be a key.
fn append(
    out: &mut tar::Builder<impl Write>,
    name: &str,
    length: u64,
    mut content: impl Read,
) -> Result<(), PackError> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(if name == COMMAND { 0o755 } else { 0o600 });
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    let mut failed = false;
    let watched = Watched { inner: &mut content, failed: &mut failed };
    let done = out.append_data(&mut header, name, watched);
    done.map_err(
        |source| if failed { PackError::Read { path: name.to_owned(), source } } else { PackError::Write(source) },
    )
}

/// Tells who of the two has failed.
struct Watched<'a, R> {
    inner: &'a mut R,
    failed: &'a mut bool,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        *self.failed |= read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

/// The file that a blob is.
fn label(blob: &Blob) -> String {
    match blob.pieces() {
        [crate::blob::Piece::File { path, .. }] => path.to_string(),
        _ => String::new(),
    }
}

/// Reads a file for its length and digest; whether there is a private key in it.
fn measure(blob: &Blob) -> Result<(Blob, bool), PackError> {
    let [crate::blob::Piece::File { path, .. }] = blob.pieces() else { return Ok((blob.clone(), false)) };
    let failed = |source| PackError::Read { path: path.to_string(), source };
    let mut file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    let (mut hasher, mut length, mut is_key) = (Sha256::new(), 0, false);
    let mut buffer = vec![0_u8; 1 << 18];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
        // Only what is small can be one; in a program the words are its own.
        is_key |= length == 0 && count < KEY && piece.windows(KEY_MARK.len()).any(|window| window == KEY_MARK);
        hasher.update(piece);
        length += count as u64;
    }
    Ok((Blob::from_file(path.clone(), length, hex(&hasher.finalize())), is_key))
}

/// How a private key in PEM ends its first line.
const KEY_MARK: &[u8] = b"PRIVATE KEY-----";
/// No file with keys is this long.
const KEY: usize = 1 << 17;

/// The content of a blob, and whether it still is what was measured.
struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    blob: &'a Blob,
    hasher: Sha256,
}

impl<'a> Checked<'a> {
    fn open(blob: &'a Blob) -> Result<Self, PackError> {
        let failed = |source| PackError::Read { path: label(blob), source };
        let mut inner: Box<dyn Read> = Box::new(io::empty());
        for piece in blob.pieces() {
            inner = Box::new(inner.chain(piece.open().map_err(failed)?));
        }
        Ok(Self { inner, blob, hasher: Sha256::new() })
    }

    fn end(self) -> Result<(), PackError> {
        let same = hex(&self.hasher.finalize()) == self.blob.sha256();
        if same { Ok(()) } else { Err(PackError::Changed(label(self.blob))) }
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Counts and hashes what is written.
struct Meter<W> {
    inner: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// How a file was asked for.
#[derive(Clone, Copy)]
struct Asked {
    /// Below the plan's own tree: by a plan in it, by a relative path.
    beside: bool,
    absolute: bool,
}

fn note(seen: &Mutex<Seen>, path: &Utf8Path, asked: Asked) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let found = Found { path: path.to_owned(), other: None, beside: false, absolute: false };
    let found = seen.0.entry(normal(path)).or_insert(found);
    if found.path != path && found.path.canonicalize_utf8().ok() != path.canonicalize_utf8().ok() {
        found.other = Some(path.to_owned());
    }
    found.beside |= asked.beside;
    found.absolute |= asked.absolute;
}

/// Files beside a plan, and which of them were looked at.
struct Recorder {
    inner: Arc<dyn Assets>,
    seen: Arc<Mutex<Seen>>,
    working_directory: Utf8PathBuf,
    /// Whether the plan is in the tree of the one that is packed.
    beside: bool,
}

impl Recorder {
    fn asked(&self, name: &str) -> Asked {
        let absolute = Utf8Path::new(name).is_absolute();
        Asked { beside: self.beside && !absolute, absolute }
    }

    fn note(&self, name: &str) -> Result<(), String> {
        note(&self.seen, &self.working_directory.join(self.inner.locate(name)?), self.asked(name));
        Ok(())
    }
}

impl Assets for Recorder {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        self.inner.locate(name)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let bytes = self.inner.read(name)?;
        self.note(name).map(|()| bytes)
    }

    fn blob(&self, name: &str) -> Result<Blob, String> {
        let blob = self.inner.blob(name)?;
        self.note(name).map(|()| blob)
    }

    fn plan(&self, name: &str) -> Result<PlanFile, String> {
        let plan = self.inner.plan(name)?;
        let asked = self.asked(name);
        note(&self.seen, &self.working_directory.join(&plan.name), asked);
        let (seen, working_directory) = (Arc::clone(&self.seen), self.working_directory.clone());
        let assets = Arc::new(Self { inner: plan.assets, seen, working_directory, beside: asked.beside });
        Ok(PlanFile { assets, ..plan })
    }

    fn image_archive(&self, name: &str, member: Option<&str>) -> Result<(ImageArchive, Blob), String> {
        let found = self.inner.image_archive(name, member)?;
        self.note(name).map(|()| found)
    }
}
