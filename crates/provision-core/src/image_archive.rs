//! Owns what an image archive says of itself: which images are in it, under which names, and the ID podman will give
//! them. Reads one stream once, or only what it needs of a file, holds no layer in memory and never unpacks anything.
//!
//! # Formats
//! An OCI archive is a tar of an image layout (image-spec `image-layout.md`: `oci-layout`, `index.json`, `blobs/`), a
//! docker archive one with a `manifest.json` (`docker save`). Docker 25 and later writes both into one file. Like
//! `podman load`, which tries an OCI archive first and takes only one with a single entry in its index, this reads such a
//! file as an OCI archive if it has one image, and as a docker archive if it has several.
//!
//! # Image ID
//! podman's ID of a loaded image is the SHA-256 of its config blob: `computeID` in go.podman.io/image
//! `storage/storage_dest.go`. (It is another for layers fetched by table of contents, which needs a source that serves
//! ranges of blobs; archives do not.)
//!
//! # Names
//! `podman load` names the image of an OCI archive by the annotation `io.containerd.image.name` of its entry in
//! `index.json` or else by `org.opencontainers.image.ref.name` (go.podman.io/common `libimage/pull.go`,
//! `nameFromAnnotations`), and those of a docker archive by `RepoTags`. Each goes through
//! [`ImageReference::stored_name`]: `localhost/registry:1` stays as it is; `registry:1` becomes
//! `localhost/registry:1`; and a `ref.name` that is only a tag, as the specification recommends and skopeo writes, is
//! taken for a name: `1` becomes `localhost/1:latest`. Without a name the image has none but its ID.

mod docker;
mod error;
mod layered;
mod oci;
mod platform;
mod stream;

use std::io::{Read, Seek};
use std::ops::Range;
use std::sync::Arc;

pub use error::{ImageArchiveError, SelectError};
pub use layered::{Layered, Layers};
pub use platform::{Platform, PlatformError};

use crate::image_reference::ImageReference;
use stream::Contents;

/// What was found in an image archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// How it is written.
    pub format: ArchiveFormat,
    /// The images in it, in its order.
    pub images: Vec<ArchivedImage>,
    /// Length of the whole file in bytes.
    pub length: u64,
    /// SHA-256 of the whole file in lower-case hex; absent when its layers were passed over.
    pub sha256: Option<String>,
    /// What was read, to find layers by.
    pub(crate) found: Found,
}

/// What was read of an archive. It follows from the rest, and two archives do not differ by it.
#[derive(Debug, Clone)]
pub(crate) struct Found(Arc<Contents>);

impl PartialEq for Found {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Found {}

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A tar of an OCI image layout; podman's transport `oci-archive`.
    Oci {
        /// Entries of its `index.json`. `podman load` takes an archive with one; of several, one is loaded with
        /// `podman pull oci-archive:FILE:NAME`.
        entries: usize,
    },
    /// As `docker save` writes it; podman's transport `docker-archive`. `podman load` loads all of its images.
    Docker,
}

/// One image of an archive. An index of several platforms is as many images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedImage {
    /// Its names as the archive has them; see [`Self::loaded_names`] for what podman makes of them.
    pub names: Vec<String>,
    /// podman's ID of it once loaded: the digest of its config in lower-case hex, without `sha256:`.
    pub image_id: String,
    /// The digest of its manifest with `sha256:`; absent in a docker archive, which has no manifest to be hashed.
    pub manifest_digest: Option<String>,
    /// What it runs on, from its config.
    pub platform: Option<Platform>,
}

impl ArchivedImage {
    /// The names it has after `podman load`; what is no reference is left out, podman refuses to load it.
    #[must_use]
    pub fn loaded_names(&self) -> Vec<ImageReference> {
        let names = self.names.iter().filter_map(|name| name.parse().ok());
        names.map(|name: ImageReference| name.stored_name()).collect()
    }

    fn is_named(&self, name: &str) -> bool {
        let wanted = name.parse().map(|name: ImageReference| name.stored_name());
        self.names.iter().any(|own| own == name) || wanted.is_ok_and(|name| self.loaded_names().contains(&name))
    }

    fn label(&self) -> String {
        let name = self.names.first().map_or_else(|| format!("sha256:{}", self.image_id), Clone::clone);
        match &self.platform {
            Some(platform) => format!("{name} ({platform})"),
            None => name,
        }
    }
}

impl ImageArchive {
    /// Reads an archive to its end, plain or gzip.
    ///
    /// Every JSON document that an image is found by is checked against its digest, and every layer must be there in
    /// its full length; the layers' own digests are left to podman, which checks them when it loads.
    ///
    /// # Errors
    /// When it cannot be read, is cut off, contradicts itself, or is no image archive.
    pub fn read(source: impl Read) -> Result<Self, ImageArchiveError> {
        let (contents, length, sha256) = stream::read(source)?;
        Self::new(contents, length, Some(sha256))
    }

    /// Reads what an archive says of its images and passes over the rest, so that one of many gigabytes takes no longer
    /// than a small one. One that is compressed has to be read to its end all the same.
    ///
    /// # Errors
    /// As for [`ImageArchive::read`], but for damage within a layer.
    pub fn index(source: impl Read + Seek) -> Result<Self, ImageArchiveError> {
        let (contents, length) = stream::index(source)?;
        Self::new(contents, length, None)
    }

    /// Where in a tar of image archives one of them is, by its path there: an image archive that others are packed with,
    /// such as the old installer's `image-archive.tar`.
    ///
    /// # Errors
    /// When it is no tar, is compressed as a whole, so that nothing in it can be read where it is, or has no such file.
    pub fn member(source: impl Read + Seek, path: &str) -> Result<Range<u64>, ImageArchiveError> {
        stream::member(source, path.trim_start_matches("./"))
    }

    /// An image of it layer by layer, as it may be sent in part; none where the archive is compressed as a whole or its layers
    /// are not files in it, and for an archive that was read with [`ImageArchive::read`].
    #[must_use]
    pub fn layered(&self, image: &ArchivedImage) -> Option<Layered> {
        match self.format {
            ArchiveFormat::Oci { .. } => oci::layered(&self.found.0, image),
            ArchiveFormat::Docker => docker::layered(&self.found.0, image),
        }
    }

    fn new(contents: Contents, length: u64, sha256: Option<String>) -> Result<Self, ImageArchiveError> {
        let (format, images) = Self::images_of(&contents).map_err(|error| match error {
            // A file that breaks off between two entries of the tar is only recognised by what is not there.
            ImageArchiveError::NotAnImage | ImageArchiveError::MissingBlob { .. } if !contents.ended => {
                ImageArchiveError::Truncated
            }
            error => error,
        })?;
        if images.is_empty() {
            return Err(ImageArchiveError::NoImages);
        }
        Ok(Self { format, images, length, sha256, found: Found(Arc::new(contents)) })
    }

    fn images_of(contents: &Contents) -> Result<(ArchiveFormat, Vec<ArchivedImage>), ImageArchiveError> {
        let index = oci::index(contents)?;
        let manifest = docker::manifest(contents)?;
        match (index, manifest) {
            (Some(index), None) => Ok((index.format(), oci::images(contents, &index)?)),
            (Some(index), Some(_)) if index.has_one_entry() => Ok((index.format(), oci::images(contents, &index)?)),
            (_, Some(manifest)) => Ok((ArchiveFormat::Docker, docker::images(contents, &manifest)?)),
            (None, None) => Err(ImageArchiveError::NotAnImage),
        }
    }

    /// The one image that fits a name (as in the archive or as podman will name it) and a platform, as far as given.
    ///
    /// # Errors
    /// When none fits, or several do.
    pub fn select(&self, name: Option<&str>, platform: Option<&Platform>) -> Result<&ArchivedImage, SelectError> {
        let fits = |image: &&ArchivedImage| {
            name.is_none_or(|name| image.is_named(name))
                && platform.is_none_or(|wanted| image.platform.as_ref().is_none_or(|own| own.runs_on(wanted)))
        };
        let found: Vec<&ArchivedImage> = self.images.iter().filter(fits).collect();
        let labels = |images: &[&ArchivedImage]| images.iter().map(|image| image.label()).collect();
        match found.as_slice() {
            [image] => Ok(image),
            [] => {
                let wanted = [name.map(str::to_owned), platform.map(Platform::to_string)];
                let wanted = wanted.into_iter().flatten().collect::<Vec<_>>().join(" for ");
                Err(SelectError::NotFound { wanted, found: labels(&self.images.iter().collect::<Vec<_>>()) })
            }
            several => Err(SelectError::Several { found: labels(several) }),
        }
    }
}

#[cfg(test)]
mod tests;
