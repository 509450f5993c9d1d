//! Owns the reading of an OCI image layout; image-spec `image-layout.md`, `image-index.md`, `manifest.md`, `config.md`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::layered::{Layer, Layered};
use super::stream::{Contents, Stretch};
use super::{ArchiveFormat, ArchivedImage, ImageArchiveError, Platform};
use crate::blob::sha256_hex;

/// Indexes hold manifests, seldom indexes; a chain this long is a mistake or an attack.
const DEEPEST: usize = 4;
const INDEX: &str = "index.json";
const LAYOUT: &str = "oci-layout";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media types of a config that makes an image, and not some other artifact.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// An image index, and also docker's manifest list.
#[derive(Deserialize)]
pub(super) struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    /// Where a layer that is not in the archive can be fetched from.
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// An index or a manifest: which of them is told by what it has, since the media type is optional.
#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// The part of a config that says what the image runs on.
#[derive(Deserialize)]
pub(super) struct Config {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(default)]
    pub(super) rootfs: Option<RootFs>,
}

/// The layers of an image, unpacked, the lowest first.
#[derive(Deserialize)]
pub(super) struct RootFs {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

impl Config {
    pub(super) fn platform(&self) -> Option<Platform> {
        Some(Platform::new(self.os.as_deref()?, self.architecture.as_deref()?, self.variant.as_deref()))
    }
}

impl Index {
    pub(super) fn has_one_entry(&self) -> bool {
        self.manifests.len() == 1
    }

    pub(super) fn format(&self) -> ArchiveFormat {
        ArchiveFormat::Oci { entries: self.manifests.len() }
    }
}

impl Descriptor {
    /// The name podman gives the image; see the module's documentation.
    fn name(&self) -> Option<&String> {
        let annotations = self.annotations.as_ref()?;
        let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        names.into_iter().filter_map(|key| annotations.get(key)).find(|name| !name.is_empty())
    }

    /// BuildKit puts provenance beside an image, in the same index.
    fn is_attestation(&self) -> bool {
        self.annotations.as_ref().is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
    }

    fn hex(&self) -> Result<&str, ImageArchiveError> {
        let hex = self.digest.strip_prefix("sha256:").filter(|hex| is_sha256_hex(hex));
        hex.ok_or_else(|| ImageArchiveError::Digest { digest: self.digest.clone() })
    }

    fn path(&self) -> Result<String, ImageArchiveError> {
        Ok(format!("blobs/sha256/{}", self.hex()?))
    }

    /// Finds the blob in its full length.
    fn locate(&self, contents: &Contents) -> Result<String, ImageArchiveError> {
        let path = self.path()?;
        match contents.length(&path) {
            None => Err(ImageArchiveError::MissingBlob { path }),
            Some(found) if found != self.size => {
                Err(ImageArchiveError::BlobLength { path, expected: self.size, found })
            }
            Some(_) => Ok(path),
        }
    }

    /// Reads the blob and checks its digest.
    fn read<T: DeserializeOwned>(&self, contents: &Contents) -> Result<T, ImageArchiveError> {
        let path = self.locate(contents)?;
        let Some(bytes) = contents.document(&path) else { return Err(ImageArchiveError::NotADocument { path }) };
        check_digest(&path, self.hex()?, bytes)?;
        json(&path, bytes)
    }
}

/// Reads `index.json`; absent when there is none.
pub(super) fn index(contents: &Contents) -> Result<Option<Index>, ImageArchiveError> {
    let Some(bytes) = contents.document(INDEX) else { return Ok(None) };
    // podman does not ask for the layout file, so its absence is nobody's problem.
    if let Some(layout) = contents.document(LAYOUT) {
        let Layout { image_layout_version: version } = json(LAYOUT, layout)?;
        if !version.starts_with("1.") {
            return Err(ImageArchiveError::LayoutVersion { version });
        }
    }
    json(INDEX, bytes).map(Some)
}

/// Every image an index leads to.
pub(super) fn images(contents: &Contents, index: &Index) -> Result<Vec<ArchivedImage>, ImageArchiveError> {
    let mut images = Vec::new();
    for descriptor in &index.manifests {
        collect(contents, descriptor, descriptor.name(), 0, &mut images)?;
    }
    Ok(images)
}

fn collect(
    contents: &Contents,
    descriptor: &Descriptor,
    name: Option<&String>,
    depth: usize,
    images: &mut Vec<ArchivedImage>,
) -> Result<(), ImageArchiveError> {
    if depth > DEEPEST {
        return Err(ImageArchiveError::TooDeep { limit: DEEPEST });
    }
    let Document { manifests, config, layers } = descriptor.read(contents)?;
    if let Some(manifests) = manifests {
        return collect_platforms(contents, &manifests, name, depth + 1, images);
    }
    let Some(config) =
        config.filter(|config| config.media_type.is_empty() || CONFIGS.contains(&config.media_type.as_str()))
    else {
        return Ok(());
    };
    let platform = config.read::<Config>(contents)?.platform();
    for layer in layers.iter().flatten().filter(|layer| layer.urls.as_ref().is_none_or(Vec::is_empty)) {
        layer.locate(contents)?;
    }
    // One image under two names has two entries in the index.
    if let Some(known) = images.iter_mut().find(|image| image.manifest_digest.as_ref() == Some(&descriptor.digest)) {
        known.names.extend(name.filter(|name| !known.names.contains(name)).cloned());
        return Ok(());
    }
    images.push(ArchivedImage {
        names: name.cloned().into_iter().collect(),
        image_id: config.hex()?.to_owned(),
        manifest_digest: Some(descriptor.digest.clone()),
        platform,
    });
    Ok(())
}

/// Collects from an index within the index. `docker save` keeps the whole index of an image of which it has one
/// platform only: what is not there is left out, unless nothing is there.
fn collect_platforms(
    contents: &Contents,
    manifests: &[Descriptor],
    name: Option<&String>,
    depth: usize,
    images: &mut Vec<ArchivedImage>,
) -> Result<(), ImageArchiveError> {
    let mut missing = None;
    let mut found = false;
    for descriptor in manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
        match collect(contents, descriptor, name, depth, images) {
            Ok(()) => found = true,
            Err(error @ ImageArchiveError::MissingBlob { .. }) => missing = missing.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if !found => Err(error),
        _ => Ok(()),
    }
}

/// An image layer by layer.
pub(super) fn layered(contents: &Contents, image: &ArchivedImage) -> Option<Layered> {
    let digest = image.manifest_digest.clone()?;
    let path = format!("blobs/sha256/{}", digest.strip_prefix("sha256:")?);
    let manifest = contents.document(&path)?.to_vec();
    let Document { config, layers, .. } = json(&path, &manifest).ok()?;
    let config = contents.document(&config?.path().ok()?)?.to_vec();
    let Config { rootfs, .. } = json("", &config).ok()?;
    let (layers, diff_ids) = (layers?, rootfs?.diff_ids);
    if layers.len() != diff_ids.len() {
        return None;
    }
    let layer = |(layer, diff_id): (&Descriptor, String)| {
        let foreign = layer.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        let Stretch { offset, length, .. } = contents.stretch(&layer.path().ok()?)?;
        (!foreign && length == layer.size).then(|| Layer { digest: layer.digest.clone(), diff_id, offset, length })
    };
    let layers = layers.iter().zip(diff_ids).map(layer).collect::<Option<Vec<_>>>()?;
    let of = |document: &serde_json::Value| document.get("mediaType")?.as_str().map(str::to_owned);
    let media_type = of(&serde_json::from_slice(&manifest).ok()?).unwrap_or_else(|| MANIFEST.to_owned());
    Some(Layered { media_type, manifest, config, layers, name: image.names.first().cloned() })
}

pub(super) fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn check_digest(path: &str, expected: &str, bytes: &[u8]) -> Result<(), ImageArchiveError> {
    let found = sha256_hex(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ImageArchiveError::DigestMismatch { path: path.to_owned(), expected: expected.to_owned(), found })
}

pub(super) fn json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ImageArchiveError> {
    serde_json::from_slice(bytes).map_err(|source| ImageArchiveError::Json { path: path.to_owned(), source })
}
