//! A bundle: one file with a plan, the plans that it uses, every file that they read on this side, what this side would
//! download for them, and the `provision` that packed it. It is made where there is a network ([`Gathering`]) and read where
//! there is none ([`Bundle`]), straight from the file: nothing is unpacked.
//!
//! # Format
//! An uncompressed tar, so that `tar` opens it and a member is a stretch of the file; what is large in it, layers of images,
//! is compressed already or streams faster than it would compress. Its first member, [`MANIFEST`], lists all others in their
//! order, each with its length and SHA-256; by that member's name a bundle is recognised. Times, owners and the like are zero:
//! what is packed twice is the same file twice.
//!
//! | member | |
//! |---|---|
//! | `provision-bundle.json` | the manifest |
//! | `provision` | the command |
//! | `plan/...` | the plan and what is named relative to it, in the same places to one another |
//! | `elsewhere/...` | what is named by an absolute path |
//! | `downloads/SHA256` | what this side downloads |
//!
//! Values of secret inputs are never in it.

mod error;
mod gathering;
mod manifest;
mod opened;
mod place;
#[cfg(test)]
mod tests;
mod whole;

pub use error::{BundleError, PackError};
pub use gathering::{Gathering, Packed};
pub use manifest::VERSION;
pub use opened::Bundle;

/// The first member of a bundle.
pub const MANIFEST: &str = "provision-bundle.json";

/// The member that is the command.
pub const COMMAND: &str = "provision";

/// Reads a bundle in memory, for the fuzzer: the names of its members.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn members(bytes: &[u8]) -> Result<Vec<String>, BundleError> {
    let (_, members) = whole::read(std::io::Cursor::new(bytes), camino::Utf8Path::new("x"))?;
    Ok(members.into_keys().collect())
}

/// Whether a file is meant to be a bundle, by its first bytes.
#[must_use]
pub fn is_meant(start: &[u8]) -> bool {
    start.strip_prefix(MANIFEST.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}
