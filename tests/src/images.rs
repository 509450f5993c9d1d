//! The images that stand in for Quay's, and where their archives are. `tests/testbed/images` makes them, of Debian's
//! packages and of `tests/quay`; `tests/real_host/README.md` says what in them is real.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::bed::{Testbed, bed, said};
use crate::{Error, target};

/// Which payload of the mirror registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Quay 3.12 with Redis, in a pod.
    Two,
    /// One container.
    Three,
}

/// One of the images of a payload, in the order of their versions: each takes over for good what an older one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// v3.12.1, or 1
    First,
    /// v3.12.2, or 2
    Second,
    /// v3.12.3, or 3: takes over the database, listens, and never becomes healthy.
    Unhealthy,
    /// v3.12.4, or 4: ends at once and has touched nothing.
    Exits,
}

/// An image that is not on any host yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name in the archive, with its tag; that of the real one.
    pub name: String,
    /// OCI archive.
    pub archive: PathBuf,
    /// What it says of itself, in the header `X-Quay-Version`; empty for others than Quay.
    pub version: String,
}

/// Where the archives are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuayImages {
    directory: PathBuf,
}

impl Testbed {
    /// The images that stand in for Quay's, made by the first who asks.
    pub fn quay_images(&self) -> Result<QuayImages, Error> {
        static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let make = || -> Result<PathBuf, Error> {
            let directory = said(bed("images").arg("images").arg(target::built("quay")?))?;
            Ok(directory.trim().into())
        };
        let made = MADE.get_or_init(|| make().map_err(|error| error.to_string()));
        made.clone().map(|directory| QuayImages { directory }).map_err(Error::Bed)
    }
}

impl QuayImages {
    /// Quay itself, of one payload.
    #[must_use]
    pub fn quay(&self, payload: Payload, build: Build) -> Image {
        let (repository, file, base) = match payload {
            Payload::Two => ("registry.redhat.io/quay/quay-rhel8", "quay-rhel8", "v3.12."),
            Payload::Three => ("quay.io/quay/quay-mirror", "quay-mirror", ""),
        };
        let number = match build {
            Build::First => 1,
            Build::Second => 2,
            Build::Unhealthy => 3,
            Build::Exits => 4,
        };
        let version = format!("{base}{number}");
        let archive = self.directory.join(format!("{file}-{version}.tar"));
        Image { name: format!("{repository}:{version}"), archive, version }
    }

    /// A real Redis, which takes REDIS_PASSWORD from its environment.
    #[must_use]
    pub fn redis(&self) -> Image {
        self.other("registry.redhat.io/rhel8/redis-6:1-190", "redis-6-1-190.tar")
    }

    /// A pod's infra image.
    #[must_use]
    pub fn pause(&self) -> Image {
        self.other("registry.access.redhat.com/ubi8/pause:8.10-5", "pause-8.10-5.tar")
    }

    /// As the old installer's `image-archive.tar`: a tar of the archives of the first 2.x Quay, Redis and pause, named
    /// `quay.tar`, `redis.tar` and `pause.tar`.
    #[must_use]
    pub fn image_archive(&self) -> PathBuf {
        self.directory.join("image-archive.tar")
    }

    fn other(&self, name: &str, file: &str) -> Image {
        Image { name: name.to_owned(), archive: self.directory.join(file), version: String::new() }
    }
}
