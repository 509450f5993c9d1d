//! What can go wrong with the bed itself. What a test finds out about a host is data, not one of these.

use std::io;
use std::path::PathBuf;

use crate::Output;

/// The bed, or a command that was expected to succeed, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started or talked to.
    #[error("cannot run a program of the testbed")]
    Run(#[source] io::Error),
    /// `tests/testbed/bed` failed; it says why.
    #[error("the testbed failed: {0}")]
    Bed(String),
    /// A command ended with something else than 0, where [`Output::ok`] wanted 0.
    #[error("{0}")]
    Command(Output),
    /// A recording of a host could not be read.
    #[error("cannot read the recording of a host: {0}")]
    Recording(String),
    /// A program of this workspace was not built.
    #[error("{} does not exist: run `cargo build --workspace` first, or tests/run", .0.display())]
    NotBuilt(PathBuf),
}
