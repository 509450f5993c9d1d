//! Owns what can be wrong with an image archive.

use std::io;

/// Why an archive was not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageArchiveError {
    /// The file itself could not be read.
    #[error("cannot read the image archive")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// Neither tar nor gzip.
    #[error("not an image archive: neither a tar nor a gzip of one")]
    NotAnArchive,
    /// A compression that is not read here.
    #[error("image archive is compressed with {algorithm}; decompress it first with `{command}`")]
    Compressed {
        /// Its name.
        algorithm: &'static str,
        /// What undoes it.
        command: &'static str,
    },
    /// The file ends too early.
    #[error("image archive is truncated")]
    Truncated,
    /// The tar or gzip is broken inside.
    #[error("image archive is damaged")]
    Damaged {
        /// What the decoder said.
        source: io::Error,
    },
    /// A tar of something else.
    #[error("tar archive holds no image: it has neither index.json nor manifest.json")]
    NotAnImage,
    /// JSON that is not what it should be.
    #[error("cannot understand {path} in the image archive")]
    Json {
        /// Path in the archive.
        path: String,
        /// What the decoder said.
        source: serde_json::Error,
    },
    /// A layout this does not know.
    #[error("image archive has image layout version {version:?}; only 1.x is known")]
    LayoutVersion {
        /// What `oci-layout` says.
        version: String,
    },
    /// A digest that is none, or of an algorithm other than SHA-256.
    #[error("digest {digest:?} in the image archive is not sha256: and 64 hex digits")]
    Digest {
        /// The digest as written.
        digest: String,
    },
    /// Something the archive names is not in it.
    #[error("image archive lacks {path}")]
    MissingBlob {
        /// Path in the archive.
        path: String,
    },
    /// Something that should be JSON is not, or is far too long.
    #[error("{path} in the image archive is not a JSON document of less than 4 MiB")]
    NotADocument {
        /// Path in the archive.
        path: String,
    },
    /// A blob is longer or shorter than the archive says.
    #[error("{path} in the image archive is {found} bytes long instead of {expected}")]
    BlobLength {
        /// Path in the archive.
        path: String,
        /// What its descriptor says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// A document is not the one that was meant.
    #[error("{path} in the image archive has digest {found} instead of {expected}")]
    DigestMismatch {
        /// Path in the archive.
        path: String,
        /// The digest it is named by, hex.
        expected: String,
        /// The digest it has, hex.
        found: String,
    },
    /// More documents than can be held.
    #[error("image archive has more than {limit} bytes of JSON, or too many entries")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Indexes within indexes without end.
    #[error("image archive has indexes nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A tar of archives without the one that is meant.
    #[error("it has no file {path} that could be read where it is; it has {}", .found.join(", "))]
    NoMember {
        /// Path in the tar.
        path: String,
        /// Some of the files that are there.
        found: Vec<String>,
    },
    /// Nothing in it.
    #[error("image archive holds no image that could be run")]
    NoImages,
}

/// Why no single image can be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// More than one fits.
    #[error("several images fit: {}; say which by name or platform", .found.join(", "))]
    Several {
        /// Name and platform of each.
        found: Vec<String>,
    },
    /// None fits.
    #[error("image archive has no {wanted}; it has {}", .found.join(", "))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Name and platform of each that is there.
        found: Vec<String>,
    },
}
