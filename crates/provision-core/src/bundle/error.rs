//! What can be wrong with a bundle, and with packing one.

use std::io;

use super::VERSION;

/// Why a file cannot be used as a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It cannot be read.
    #[error("the bundle cannot be read")]
    Read(#[source] io::Error),
    /// A later version of this program wrote it.
    #[error("the bundle has format {0}, and this version of provision reads format {VERSION}")]
    Later(u32),
    /// Its manifest is none.
    #[error("the manifest of the bundle cannot be read: {0}")]
    Manifest(String),
    /// It ends early.
    #[error("the bundle is cut off in {0}: it did not arrive whole")]
    Truncated(String),
    /// A member is not what the manifest says.
    #[error("{0} in the bundle is not what was packed: it was altered or damaged")]
    Altered(String),
    /// A member is not there.
    #[error("{0} is missing in the bundle")]
    Missing(String),
    /// Something is there that the manifest does not have.
    #[error("{0} in the bundle is not in its manifest")]
    Unlisted(String),
    /// A name leads out of wherever it would be unpacked.
    #[error("{0:?} in the bundle is no name for a member")]
    Escaping(String),
    /// It is no tar from some member on.
    #[error("the bundle is damaged after {0}")]
    Damaged(String),
}

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file that belongs into it cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It became another while it was packed.
    #[error("{0} has changed while it was packed")]
    Changed(String),
    /// Two files would have one name.
    #[error("{one} and {other} are different files, and would be one in the bundle: a link leads out of its directory")]
    Ambiguous {
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
    /// A file has a name that a bundle cannot have.
    #[error("{0:?} has a name that cannot be in a bundle")]
    Name(String),
    /// The bundle cannot be written.
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
}
