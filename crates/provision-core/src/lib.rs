//! Models the steps of installing something on a host as an idempotent graph of resources, and applies it over SSH.
//!
//! The flow, every arrow a value that can be printed, compared and tested without a host:
//!
//! ```text
//! TOML text -> Plan -> Graph -> questions => (one exchange) => Answers -> Changes -> Steps => (one exchange) => Report
//! ```
//!
//! [`plan::Plan`] is read from text or built by [`plan::build::PlanBuilder`]; [`engine::observe`] asks a host,
//! [`engine::Observed::diff`] compares, [`engine::apply`] makes the changes and verifies them. The library prints
//! nothing, reads no environment, home directory or clock, and has no global state.

pub mod address;
pub mod attribute;
pub mod blob;
pub mod bundle;
pub mod change;
pub mod check;
pub mod connection;
pub mod edit;
pub mod engine;
pub mod event;
pub mod facts;
pub mod fetch;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod graph;
pub mod image_archive;
pub mod image_reference;
pub mod knob;
pub mod ledger;
pub mod object;
pub mod path;
pub mod plan;
pub mod probe;
pub mod quadlet;
pub mod report;
pub mod request;
pub mod resource;
pub mod saved;
pub mod seal;
pub mod secret;
pub mod shell;
pub mod step;
pub mod systemd;
pub mod testing;
pub mod transport;
pub mod x509;
