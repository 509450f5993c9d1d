//! Reading: every member is checked before anything is done, and then used where it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::BundleError;
use super::manifest::Manifest;
use super::place::{DOWNLOADS, joined, member, normal};
use super::whole::read;
use crate::blob::Blob;
use crate::fetch::{Download, Fetch};
use crate::image_archive::ImageArchive;
use crate::plan::Plan;
use crate::plan::asset::{Assets, Folder, IN_MEMORY, PLAN_FILE, PlanFile, image_archive};
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

    fn image_archive(&self, name: &str, member: Option<&str>) -> Result<(ImageArchive, Blob), String> {
        match self.member(name)? {
            Some((path, blob)) => image_archive(blob.clone(), &path, member),
            None => Self::here().image_archive(name, member),
        }
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
