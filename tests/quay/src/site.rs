//! What one installation is made of, whichever line it is of.

use std::path::PathBuf;

use crate::redis::Redis;
use crate::{Failure, listen};

/// Which image this is.
#[derive(Debug, Clone)]
pub struct Image {
    pub version: String,
    pub fault: Option<Fault>,
}

/// How an image fails that is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It takes over the database, listens, and never becomes healthy.
    Unhealthy,
    /// It ends at once and has touched nothing.
    Exits,
}

/// The two payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Two(Two),
    Three,
}

/// What only the 2.x line has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Two {
    /// Build logs' and user events'.
    pub redis: [Redis; 2],
    /// FEATURE_USER_INITIALIZE
    pub user_initialize: Initialize,
    /// Its digest is in the database: with another one Quay cannot read what it has encrypted.
    pub secret_key_digest: String,
    /// WORKER_COUNT, as it was given.
    pub worker_count: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialize {
    On,
    Off,
}

/// Who may push into a namespace that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    MadeOnPush,
    /// Only the user's own.
    Own,
}

#[derive(Debug, Clone)]
pub struct Site {
    pub image: Image,
    pub line: Line,
    /// `NAME[:PORT]`, which clients are sent to.
    pub hostname: String,
    /// Of those URLs.
    pub scheme: String,
    pub database: PathBuf,
    pub storage: PathBuf,
    pub namespaces: Namespaces,
    pub listen: listen::Listen,
    /// PEM files; without them it serves plain HTTP.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Image {
    pub fn of_environment() -> Result<Self, Failure> {
        let version = environment("QUAY_VERSION").unwrap_or_else(|| "0".to_owned());
        let fault = match environment("STAND_IN_FAULT").as_deref() {
            None | Some("") => None,
            Some("unhealthy") => Some(Fault::Unhealthy),
            Some("exits") => Some(Fault::Exits),
            Some(other) => return Err(format!("STAND_IN_FAULT is unhealthy or exits, not {other}").into()),
        };
        Ok(Self { version, fault })
    }

    /// For comparing: the numbers in `v3.12.1`.
    pub fn order(version: &str) -> Vec<u32> {
        version.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse().ok()).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "an image says what it is in its environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
