//! Where the programs of this workspace are. Cargo tells a test only those of its own package.

use std::env;
use std::path::PathBuf;

use crate::Error;

/// The command under test: `PROVISION_BIN`, or what `cargo build -p provision-cli` made in this target directory.
pub fn provision() -> Result<PathBuf, Error> {
    #[expect(clippy::disallowed_methods, reason = "how a caller names a binary built elsewhere, such as a release")]
    let given = env::var_os("PROVISION_BIN");
    match given {
        Some(path) => Ok(path.into()),
        None => built("provision"),
    }
}

/// A binary of this workspace, built in the same profile as the running test.
pub fn built(name: &str) -> Result<PathBuf, Error> {
    let test = env::current_exe().map_err(Error::Run)?;
    // target/debug/deps/real_host-0123456789abcdef, or target/debug/delay_proxy
    let profile = test.ancestors().skip(1).find(|directory| !directory.ends_with("deps"));
    let binary = profile.unwrap_or(&test).join(name).with_extension(env::consts::EXE_EXTENSION);
    if binary.exists() { Ok(binary) } else { Err(Error::NotBuilt(binary)) }
}
