//! Owns the reading of a docker archive: `manifest.json` of `docker save` and `podman save`, as in moby's
//! `image/tarexport` and go.podman.io/image `docker/internal/tarfile`.

use serde::Deserialize;
use serde_json::json as value;

use super::layered::{DOCKER, Layer, Layered};
use super::oci::{Config, check_digest, is_sha256_hex, json};
use super::stream::{Contents, Stretch};
use super::{ArchivedImage, ImageArchiveError};
use crate::blob::sha256_hex;

const MANIFEST: &str = "manifest.json";

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Reads `manifest.json`; absent when there is none.
pub(super) fn manifest(contents: &Contents) -> Result<Option<Vec<Item>>, ImageArchiveError> {
    contents.document(MANIFEST).map(|bytes| json(MANIFEST, bytes)).transpose()
}

/// Every image of the manifest.
pub(super) fn images(contents: &Contents, items: &[Item]) -> Result<Vec<ArchivedImage>, ImageArchiveError> {
    items.iter().map(|item| image(contents, item)).collect()
}

fn image(contents: &Contents, item: &Item) -> Result<ArchivedImage, ImageArchiveError> {
    let Item { config: path, repo_tags, layers } = item;
    let missing = |path: &str| ImageArchiveError::MissingBlob { path: path.to_owned() };
    let bytes = contents.document(path).ok_or_else(|| missing(path))?;
    // The config is named by its digest: `HEX.json`, or `blobs/sha256/HEX` since Docker 25.
    let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
    if let Some(hex) = Some(name.strip_suffix(".json").unwrap_or(name)).filter(|hex| is_sha256_hex(hex)) {
        check_digest(path, hex, bytes)?;
    }
    let platform = json::<Config>(path, bytes)?.platform();
    if let Some(layer) = layers.iter().flatten().find(|layer| contents.length(layer).is_none()) {
        return Err(missing(layer));
    }
    Ok(ArchivedImage {
        names: repo_tags.clone().unwrap_or_default(),
        image_id: sha256_hex(bytes),
        manifest_digest: None,
        platform,
    })
}

/// An image layer by layer, with the manifest that podman makes of it when it loads the archive.
pub(super) fn layered(contents: &Contents, image: &ArchivedImage) -> Option<Layered> {
    let items = manifest(contents).ok()??;
    let is_it = |item: &&Item| contents.document(&item.config).is_some_and(|bytes| sha256_hex(bytes) == image.image_id);
    let item = items.iter().find(is_it)?;
    let config = contents.document(&item.config)?.to_vec();
    let diff_ids = json::<Config>("", &config).ok()?.rootfs?.diff_ids;
    let paths = item.layers.as_deref()?;
    if paths.len() != diff_ids.len() {
        return None;
    }
    let layer = |(path, diff_id): (&String, String)| {
        // A compressed one has another digest than the one by which podman knows it.
        let Stretch { offset, length, compressed } = contents.stretch(path)?;
        (!compressed).then(|| Layer { digest: diff_id.clone(), diff_id, offset, length })
    };
    let layers = paths.iter().zip(diff_ids).map(layer).collect::<Option<Vec<_>>>()?;
    let described: Vec<_> = layers
        .iter()
        .map(|layer| value!({ "mediaType": LAYER, "size": layer.length, "digest": layer.digest }))
        .collect();
    let manifest = value!({
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": { "mediaType": CONFIG, "size": config.len(), "digest": format!("sha256:{}", image.image_id) },
        "layers": described,
    });
    let name = image.names.first().cloned();
    Some(Layered { media_type: DOCKER.to_owned(), manifest: manifest.to_string().into_bytes(), config, layers, name })
}

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Of an archive's layer, though it is not compressed: so podman has it.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
