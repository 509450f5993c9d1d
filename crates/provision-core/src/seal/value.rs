//! A shown value as it is written in a sealed plan.

use serde::{Deserialize, Serialize};

use crate::change::Shown;
use crate::secret::Secrets;

/// [`Shown`], as text. What is secret has no content here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Value {
    Absent,
    Text { text: String },
    Content { text: String },
    Bytes { length: u64, sha256: String },
    Secret,
    Unknown,
}

impl Value {
    pub(super) fn of(shown: &Shown, secrets: &Secrets) -> Self {
        match shown {
            Shown::Absent => Self::Absent,
            Shown::Text(text) => Self::Text { text: secrets.mask(text) },
            Shown::Content(text) => Self::Content { text: secrets.mask(text) },
            Shown::Bytes { length, sha256 } => Self::Bytes { length: *length, sha256: sha256.clone() },
            Shown::Secret => Self::Secret,
            Shown::Unknown => Self::Unknown,
        }
    }
}
