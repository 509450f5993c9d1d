//! Owns an image layer by layer, and makes of it an archive without the layers that a host has already.
//!
//! `podman load` of an OCI archive asks its store for each layer before it looks for the layer's blob
//! (`TryReusingBlobWithOptions` in go.podman.io/image `storage/storage_dest.go`): by the digest of the blob, as that of what
//! is unpacked or of what it was unpacked from. So an archive may lack the blob of a layer that is there. A docker archive
//! may not, it is refused when one of its files is missing; of it an OCI archive is made.
//!
//! What a host has is told by the digest of what is unpacked, since who packs a layer anew packs it otherwise. A layer that is
//! known by that alone is described by it, which makes another manifest; the image's ID is that of its configuration and
//! stays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::blob::{Blob, Piece, sha256_hex};

/// Media type of a manifest of docker's.
pub(super) const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image of an archive, and where its layers are in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layered {
    pub(super) media_type: String,
    /// Its manifest, as it is.
    pub(super) manifest: Vec<u8>,
    pub(super) config: Vec<u8>,
    /// The lowest first.
    pub(super) layers: Vec<Layer>,
    /// The name that it has in the archive.
    pub(super) name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Of the blob, `sha256:...`.
    pub(super) digest: String,
    /// Of what is in the blob, unpacked.
    pub(super) diff_id: String,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Which layers of some a host has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layers {
    /// By the digest of what is unpacked, `sha256:...`: the length of that.
    pub unpacked: BTreeMap<String, u64>,
    /// By the digest of what they were unpacked from.
    pub packed: BTreeSet<String>,
}

impl Layered {
    /// The digests to ask a host for.
    #[must_use]
    pub fn digests(&self) -> BTreeSet<String> {
        self.layers.iter().flat_map(|layer| [layer.digest.clone(), layer.diff_id.clone()]).collect()
    }

    /// How many layers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// How many of them a host has.
    #[must_use]
    pub fn present(&self, there: &Layers) -> usize {
        self.layers.iter().filter(|layer| there.unpacked.contains_key(&layer.diff_id)).count()
    }

    /// An OCI archive of the image without the layers that are there, to be loaded there; `archive` is the whole one. None
    /// where none of them is there, and where it cannot be made.
    #[must_use]
    pub fn without(&self, there: &Layers, archive: &Blob) -> Option<Blob> {
        let [Piece::File { path, offset: start, .. }] = archive.pieces() else { return None };
        if self.present(there) == 0 {
            return None;
        }
        let manifest = self.manifest(there)?;
        let (hex, config) = (sha256_hex(&manifest), sha256_hex(&self.config));
        let mut entry =
            json!({ "mediaType": self.media_type, "digest": format!("sha256:{hex}"), "size": manifest.len() });
        if let (Some(name), Some(entry)) = (&self.name, entry.as_object_mut()) {
            entry.insert("annotations".to_owned(), json!({ "org.opencontainers.image.ref.name": name }));
        }
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
        let mut tar = Tar::default();
        tar.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.document("index.json", index.as_bytes())?;
        tar.document(&blob(&hex), &manifest)?;
        tar.document(&blob(&config), &self.config)?;
        let mut sent = BTreeSet::new();
        for layer in self.layers.iter().filter(|layer| !there.unpacked.contains_key(&layer.diff_id)) {
            let Layer { digest, offset, length, .. } = layer;
            if sent.insert(digest) {
                let stretch = Piece::File { path: path.clone(), offset: start.checked_add(*offset)?, length: *length };
                tar.stretch(&blob(digest.strip_prefix("sha256:")?), stretch)?;
            }
        }
        Some(tar.end())
    }

    /// The manifest as it is, where podman finds every layer that is there by it.
    fn manifest(&self, there: &Layers) -> Option<Vec<u8>> {
        let found = |layer: &Layer| layer.digest == layer.diff_id || there.packed.contains(&layer.digest);
        let unknown = |layer: &Layer| there.unpacked.get(&layer.diff_id).copied().filter(|_| !found(layer));
        if self.layers.iter().all(|layer| unknown(layer).is_none()) {
            return Some(self.manifest.clone());
        }
        let mut manifest: Value = serde_json::from_slice(&self.manifest).ok()?;
        let described = manifest.get_mut("layers")?.as_array_mut()?;
        for (descriptor, layer) in described.iter_mut().zip(&self.layers) {
            if let Some(length) = unknown(layer) {
                let media_type = if self.media_type == DOCKER { DOCKER_LAYER } else { LAYER };
                *descriptor = json!({ "mediaType": media_type, "digest": layer.diff_id, "size": length });
            }
        }
        Some(manifest.to_string().into_bytes())
    }
}

/// Of a layer that is not compressed.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

fn blob(hex: &str) -> String {
    format!("blobs/sha256/{hex}")
}

/// A tar whose files stay where they are.
#[derive(Default)]
struct Tar {
    pieces: Vec<Piece>,
    /// What is yet to be a piece.
    text: Vec<u8>,
}

const BLOCK: usize = 512;

impl Tar {
    fn header(&mut self, name: &str, length: u64) -> Option<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).ok()?;
        header.set_mode(0o644);
        header.set_size(length);
        header.set_cksum();
        self.text.extend_from_slice(header.as_bytes());
        Some(())
    }

    /// Fills the last block of something of some length.
    fn fill(&mut self, length: u64) {
        let over = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        let zeros = if over == 0 { 0 } else { BLOCK - over };
        self.text.extend(std::iter::repeat_n(0, zeros));
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Option<()> {
        self.header(name, bytes.len() as u64)?;
        self.text.extend_from_slice(bytes);
        self.fill(bytes.len() as u64);
        Some(())
    }

    fn stretch(&mut self, name: &str, stretch: Piece) -> Option<()> {
        let length = stretch.length();
        self.header(name, length)?;
        self.cut();
        self.pieces.push(stretch);
        self.fill(length);
        Some(())
    }

    fn cut(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::from_bytes(std::mem::take(&mut self.text)));
        }
    }

    fn end(mut self) -> Blob {
        self.text.extend([0; 2 * BLOCK]);
        self.cut();
        Blob::unhashed_pieces(self.pieces)
    }
}
