//! Reading: every member is checked before anything is done, and then used where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::manifest::{LONGEST, Manifest};
use super::place::{DOWNLOADS, is_safe, joined, member, normal};
use super::{BundleError, MANIFEST};
use crate::blob::{Blob, hex};
use crate::fetch::{Download, Fetch};
use crate::image_archive::ImageArchive;
use crate::plan::Plan;
use crate::plan::asset::{Assets, Folder, IN_MEMORY, PLAN_FILE, PlanFile};
use crate::plan::input::Inputs;
use crate::plan::problem::{PlanError, Source};

/// A bundle that is whole.
#[derive(Clone)]
pub struct Bundle(Arc<Opened>);

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("path", &self.0.path).finish_non_exhaustive()
    }
}

struct Opened {
    /// As it was named.
    path: Utf8PathBuf,
    /// Where that is.
    absolute: Utf8PathBuf,
    manifest: Manifest,
    members: BTreeMap<String, Blob>,
}

/// An empty block; a tar ends with two.
const BLOCK: u64 = 512;

impl Bundle {
    /// Opens a bundle and reads it to its end, so that whatever is in it is what was packed. A relative path starts at the
    /// working directory.
    ///
    /// # Errors
    /// When anything in it is not what its manifest says.
    pub fn open(path: &Utf8Path, working_directory: &Utf8Path) -> Result<Self, BundleError> {
        Self::open_as(path, path, working_directory)
    }

    /// Opens one that is to be called `name` once it is in place.
    ///
    /// # Errors
    /// As for [`Bundle::open`].
    pub fn open_as(name: &Utf8Path, path: &Utf8Path, working_directory: &Utf8Path) -> Result<Self, BundleError> {
        let path = normal(&working_directory.join(path));
        let file = File::open(&path).map_err(BundleError::Read)?;
        let (manifest, members) = read(file, &path)?;
        let absolute = normal(&working_directory.join(name));
        Ok(Self(Arc::new(Opened { path: normal(name), absolute, manifest, members })))
    }

    /// Reads the plan as somebody elsewhere will, who has nothing but the bundle and the secrets among `inputs`, which are
    /// those that it was packed with.
    ///
    /// # Errors
    /// What they would miss.
    pub fn rehearse(&self, plan: &Plan, inputs: &Inputs) -> Result<(), PlanError> {
        let source = self.plan().unwrap_or_else(|_| Source { name: self.0.path.to_string(), text: String::new() });
        let mut inputs = inputs.secrets(plan, self.0.absolute.join(&self.0.manifest.plan));
        for (name, value) in self.values() {
            inputs.keep(name, value, "the bundle");
        }
        Plan::parse(source, self.members(Here::Missing), &inputs).map(drop)
    }

    /// The name of the plan in it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.manifest.name
    }

    /// The plan. It is called by the bundle and the member: `site.bundle/plan/plan.toml`.
    ///
    /// # Errors
    /// When it cannot be read any more, or is no text.
    pub fn plan(&self) -> Result<Source, String> {
        let name = &self.0.manifest.plan;
        let path = self.0.path.join(name);
        let blob = self.0.members.get(name).ok_or_else(|| missing(&path))?;
        let text = text(&path, blob)?;
        Ok(Source { name: path.to_string(), text })
    }

    /// The files beside the plan. Those that are named by an absolute path and are not in the bundle are those of this side.
    #[must_use]
    pub fn assets(&self) -> Arc<dyn Assets> {
        self.members(Here::There)
    }

    fn members(&self, here: Here) -> Arc<dyn Assets> {
        let folder = self.0.path.join(&self.0.manifest.plan).parent().map(Utf8Path::to_owned).unwrap_or_default();
        Arc::new(Members { opened: Arc::clone(&self.0), folder, here })
    }

    /// The values that inputs had where it was packed, for [`crate::plan::input::Inputs::keep`].
    pub fn values(&self) -> impl Iterator<Item = (&str, &serde_json::Value)> {
        self.0.manifest.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Gives the downloads that are in it, and no others: nothing reaches for a network.
    #[must_use]
    pub fn fetch(&self) -> Arc<dyn Fetch> {
        Arc::new(Carried(Arc::clone(&self.0)))
    }
}

fn read(file: File, path: &Utf8Path) -> Result<(Manifest, BTreeMap<String, Blob>), BundleError> {
    let mut tail = file.try_clone().map_err(BundleError::Read)?;
    let length = tail.seek(SeekFrom::End(0)).map_err(BundleError::Read)?;
    let ended = ends(&mut tail, length).map_err(BundleError::Read)?;
    tail.rewind().map_err(BundleError::Read)?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 18, file));
    let mut entries = archive.entries().map_err(BundleError::Read)?;
    let mut manifest = None;
    let mut members = BTreeMap::new();
    let mut end = 0;
    let mut expected: Vec<super::manifest::Member> = Vec::new();
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
fn ends(file: &mut File, length: u64) -> io::Result<bool> {
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
fn listed(manifest: &Manifest) -> Result<Vec<super::manifest::Member>, BundleError> {
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

fn missing(path: &Utf8Path) -> String {
    format!("cannot read {path}: it is not in the bundle")
}

fn text(path: &Utf8Path, blob: &Blob) -> Result<String, String> {
    let bytes = blob.read().map_err(|error| format!("cannot read {path}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("cannot read {path}: it is not UTF-8 text"))
}

/// The files beside a plan in a bundle.
struct Members {
    opened: Arc<Opened>,
    /// Where the plan is, with the bundle as if it were a directory.
    folder: Utf8PathBuf,
    here: Here,
}

/// What there is besides the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// The files of this side.
    There,
    /// Nothing.
    Missing,
}

/// Where a name leads.
enum Place {
    /// To a place in the bundle.
    Member(String),
    /// To a file of this side.
    Here(Utf8PathBuf),
}

impl Members {
    fn find(&self, name: &str) -> Result<Place, String> {
        let Opened { path, absolute, manifest, members } = self.opened.as_ref();
        let target = normal(&self.folder.join(name));
        let inside = target.strip_prefix(path).or_else(|_| target.strip_prefix(absolute));
        if let Ok(inside) = inside {
            return Ok(Place::Member(joined(inside)));
        }
        if !Utf8Path::new(name).is_absolute() {
            return Err(format!("cannot read {target}: it leads out of the bundle {path}"));
        }
        let there = |name: &String| members.contains_key(name) || members.keys().any(|member| is_below(member, name));
        let carried = Some(member(&target, manifest.tree.as_deref().map(Utf8Path::new))).filter(|name| there(name));
        match carried {
            Some(member) => Ok(Place::Member(member)),
            None if self.here == Here::Missing => Err(missing(&target)),
            None => Ok(Place::Here(target)),
        }
    }

    /// A member, and what to call it.
    fn member(&self, name: &str) -> Result<Option<(Utf8PathBuf, &Blob)>, String> {
        match self.find(name)? {
            Place::Member(member) => {
                let path = self.opened.path.join(&member);
                let blob = self.opened.members.get(&member).ok_or_else(|| missing(&path))?;
                Ok(Some((path, blob)))
            }
            Place::Here(_) => Ok(None),
        }
    }

    /// The files of this side.
    fn here() -> Folder {
        Folder(Utf8PathBuf::new())
    }
}

fn is_below(member: &str, directory: &str) -> bool {
    member.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

impl Assets for Members {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        Ok(match self.find(name)? {
            // Whoever takes it for the beginning of a path may be in another directory.
            Place::Member(member) => self.opened.absolute.join(member),
            Place::Here(path) => path,
        })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        match self.member(name)? {
            Some((path, blob)) => blob.read().map_err(|error| format!("cannot read {path}: {error}")),
            None => Self::here().read(name),
        }
    }

    fn blob(&self, name: &str) -> Result<Blob, String> {
        match self.member(name)? {
            Some((_, blob)) if blob.length() > IN_MEMORY => Ok(blob.clone()),
            Some(_) => self.read(name).map(Blob::from_bytes),
            None => Self::here().blob(name),
        }
    }

    fn plan(&self, name: &str) -> Result<PlanFile, String> {
        let Place::Member(mut member) = self.find(name)? else { return Self::here().plan(name) };
        if self.opened.members.keys().any(|other| is_below(other, &member)) {
            member = format!("{member}/{PLAN_FILE}");
        }
        let path = self.opened.path.join(&member);
        let blob = self.opened.members.get(&member).ok_or_else(|| missing(&path))?;
        let text = text(&path, blob)?;
        let folder = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
        let assets = Arc::new(Self { opened: Arc::clone(&self.opened), folder, here: self.here });
        Ok(PlanFile { name: path.to_string(), identity: path, text, assets })
    }

    fn image_archive(&self, name: &str) -> Result<(ImageArchive, Blob), String> {
        let Some((path, blob)) = self.member(name)? else { return Self::here().image_archive(name) };
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {path}: {error}");
        let stretch = Stretch::open(blob).map_err(|error| failed(&error))?;
        let archive = ImageArchive::index(stretch).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => failed(&format_args!("{error}: {source}")),
            None => failed(&error),
        })?;
        Ok((archive, blob.clone()))
    }
}

/// A member as if it were a file of its own.
struct Stretch {
    file: File,
    start: u64,
    length: u64,
    at: u64,
}

impl Stretch {
    fn open(blob: &Blob) -> io::Result<Self> {
        let [crate::blob::Piece::File { path, offset, length }] = blob.pieces() else {
            return Err(io::Error::other("not a member"));
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

/// The downloads of a bundle.
struct Carried(Arc<Opened>);

#[async_trait]
impl Fetch for Carried {
    async fn fetch(&self, download: &Download) -> Result<Blob, String> {
        let name = format!("{DOWNLOADS}/{}", download.sha256);
        let found = self.0.members.get(&name).filter(|blob| blob.sha256() == download.sha256);
        found.cloned().ok_or_else(|| format!("it is not in the bundle {}: pack it with the same inputs", self.0.path))
    }
}
