//! Owns what an image runs on: operating system, architecture and variant, in Go's words.

use std::fmt;
use std::str::FromStr;

/// A platform such as `linux/amd64` or `linux/arm/v7`; image-spec `image-index.md`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Why text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no platform such as linux/amd64 or linux/arm64/v8")]
pub struct PlatformError {
    text: String,
}

impl Platform {
    /// Makes a platform. `uname -m`'s words for architectures are taken as well as Go's.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i486" | "i586" | "i686" => "386",
            other => other,
        };
        // The first arm64 and amd64 are what is meant without a variant.
        let variant = match (architecture, variant) {
            (_, None | Some("")) | ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            (_, Some(variant)) => Some(variant.to_owned()),
        };
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant }
    }

    /// Says whether an image for this can be taken for a wanted platform; a variant counts only if both name one.
    #[must_use]
    pub fn runs_on(&self, wanted: &Self) -> bool {
        let variants = [&self.variant, &wanted.variant];
        let [Some(own), Some(other)] = variants else {
            return (&self.os, &self.architecture) == (&wanted.os, &wanted.architecture);
        };
        (&self.os, &self.architecture, own) == (&wanted.os, &wanted.architecture, other)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let parts: Vec<&str> = text.split('/').filter(word).collect();
        match parts.as_slice() {
            [os, architecture] if text.matches('/').count() == 1 => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] if text.matches('/').count() == 2 => {
                Ok(Self::new(os, architecture, Some(variant)))
            }
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_normalised() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux//amd64", "linux/amd 64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn variant_counts_only_if_both_name_one() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        for (image, wanted, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64", "linux/amd64", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            assert_eq!(platform(image).runs_on(&platform(wanted)), fits, "{image} {wanted}");
        }
    }
}
