//! Real hosts to test on, from Rust: a [`Testbed`] makes [`Host`]s, and a host runs commands and is recorded.
//!
//! Everything is made and removed by the script `tests/testbed/bed`, whose head tells how. Nothing here touches the
//! machine's own network, and nothing is left when the test process is gone, in whatever way it went.
//!
//! ```no_run
//! # fn main() -> Result<(), provision_tests::Error> {
//! use provision_tests::Testbed;
//!
//! let bed = Testbed::shared()?;
//! let mirror = bed.host("mirror")?; // booted by whoever asks first
//! let before = mirror.snapshot()?;
//! bed.provision()?.args(["plan", "registry.toml"]).output().map_err(provision_tests::Error::Run)?;
//! assert_eq!(before.differences(&mirror.snapshot()?), [""; 0]);
//! # Ok(())
//! # }
//! ```

mod bed;
pub mod case;
pub mod cutting;
pub mod delay;
mod error;
mod host;
mod images;
mod recording;
mod seed;
mod target;

pub use bed::{DelayProxy, Testbed};
pub use error::Error;
pub use host::{Host, Output};
pub use images::{Build, Image, Payload, QuayImages};
pub use recording::{EXCLUDED_PATHS, EXCLUDED_UNITS, Entry, Recording, Snapshot, TIMELESS, UnitState, UnitStates};
pub use seed::Seed;
pub use target::{built, provision};
