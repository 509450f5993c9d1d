//! The first member of a bundle, as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BundleError;

/// The version of the format. A later one is refused.
pub const VERSION: u32 = 1;

const FORMAT: &str = "provision-bundle";

/// Longest manifest that is read: far above a bundle of ten thousand files.
pub(super) const LONGEST: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    /// The plan's name.
    pub(super) name: String,
    /// What packed it: `provision 0.1.0`.
    pub(super) made_by: String,
    /// For what the command in it was built: `x86_64-linux`; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) system: Option<String>,
    /// The member that is the plan.
    pub(super) plan: String,
    /// What `plan/` was where it was packed; only where a file below it was named by an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tree: Option<String>,
    /// Values of inputs, as [`crate::plan::Plan::values`] tells them.
    pub(super) values: BTreeMap<String, serde_json::Value>,
    /// All other members, in their order.
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub(super) path: String,
    pub(super) length: u64,
    pub(super) sha256: String,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Beginning {
    format: String,
    version: u32,
}

impl Manifest {
    pub(super) fn new(name: &str, system: Option<&str>, plan: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            made_by: concat!("provision ", env!("CARGO_PKG_VERSION")).to_owned(),
            system: system.map(str::to_owned),
            plan,
            tree: None,
            values: BTreeMap::new(),
            members: Vec::new(),
        }
    }

    pub(super) fn text(&self) -> String {
        // Maps with names for keys and plain values: there is nothing in it that JSON could not hold.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn read(text: &[u8]) -> Result<Self, BundleError> {
        let broken = |error: serde_json::Error| BundleError::Manifest(error.to_string());
        let beginning: Beginning = serde_json::from_slice(text).map_err(broken)?;
        if beginning.format != FORMAT {
            return Err(BundleError::Manifest(format!("its format is {:?}", beginning.format)));
        }
        if beginning.version > VERSION {
            return Err(BundleError::Later(beginning.version));
        }
        serde_json::from_slice(text).map_err(broken)
    }
}
