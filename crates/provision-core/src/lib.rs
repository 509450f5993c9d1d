//! Models the steps of installing something on a host as an idempotent graph of resources, and applies it over SSH.

pub mod blob;
pub mod image_archive;
pub mod image_reference;
pub mod quadlet;
pub mod systemd;
pub mod transport;
