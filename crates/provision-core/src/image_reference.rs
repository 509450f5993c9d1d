//! Owns the name of a container image: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar is that of `docker/reference` in go.podman.io/image (once `docker/distribution/reference`), the
//! normalisation that of `NormalizeName` in go.podman.io/common `libimage/normalize.go`.
//!
//! A name without a registry is kept as it is and never becomes one of `docker.io`: which registry podman asks for it
//! depends on the host's `registries.conf` and on short-name aliases, and before any of them on whether an image
//! `localhost/NAME` is there.

use std::fmt;
use std::str::FromStr;

/// Longest name in bytes, registry and repository together: `NameTotalLengthMax`.
const LONGEST_NAME: usize = 255;
/// Longest tag in bytes, from the grammar: `[\w][\w.-]{0,127}`.
const LONGEST_TAG: usize = 128;
/// The tag meant by a name with neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// Where podman keeps images that have no registry.
const LOCAL_REGISTRY: &str = "localhost";
/// Digests podman knows, with the length of their hex: go-digest's registered algorithms.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The name of an image, its parts valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a string names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageReferenceError {
    /// Nothing there.
    #[error("an image reference is empty")]
    Empty,
    /// A transport or a URL.
    #[error("image {text:?} has a scheme or transport in front; an image reference starts with its registry")]
    Transport {
        /// The text as given.
        text: String,
    },
    /// An image's ID, which says nothing of where it comes from.
    #[error("image {text:?} is an ID, not a name; a name by digest is registry/repository@sha256:...")]
    Id {
        /// The text as given.
        text: String,
    },
    /// A registry that is none.
    #[error("registry {registry:?} of image {text:?} is not a host name with an optional port")]
    Registry {
        /// The text as given.
        text: String,
        /// The part of it.
        registry: String,
    },
    /// Upper case in the repository.
    #[error("repository of image {text:?} has upper case letters; {suggestion} would be right")]
    UpperCase {
        /// The text as given.
        text: String,
        /// The repository in lower case.
        suggestion: String,
    },
    /// A repository that is none.
    #[error(
        "repository {repository:?} of image {text:?} is not made of lower case letters and digits, \
         joined by / and inside a part by . _ __ or dashes"
    )]
    Repository {
        /// The text as given.
        text: String,
        /// The part of it.
        repository: String,
    },
    /// A tag that is none.
    #[error(
        "tag {tag:?} of image {text:?} is not 1 to {LONGEST_TAG} letters, digits or _ . - beginning with a letter, a digit or _"
    )]
    Tag {
        /// The text as given.
        text: String,
        /// The part of it.
        tag: String,
    },
    /// A digest that is none.
    #[error("digest {digest:?} of image {text:?} is not sha256: (sha384:, sha512:) and its lower case hex")]
    Digest {
        /// The text as given.
        text: String,
        /// The part of it.
        digest: String,
    },
    /// A name that is too long.
    #[error("name of image {text:?} is {length} bytes long; {LONGEST_NAME} are allowed")]
    TooLong {
        /// The text as given.
        text: String,
        /// Length of registry and repository.
        length: usize,
    },
}

impl ImageReference {
    /// The registry with its port; absent for a short name.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The repository within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag that was written; absent without one, whether or not `latest` is meant.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:` and hex.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Says whether the registry is missing, so that the host decides what is meant.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.registry.is_none()
    }

    /// The name without tag and digest, such as `quay.io/podman/hello`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The same image in a registry, if none was written.
    ///
    /// # Errors
    /// When that is no registry.
    pub fn with_registry(&self, registry: &str) -> Result<Self, ImageReferenceError> {
        match self.registry {
            Some(_) => Ok(self.clone()),
            None => format!("{registry}/{self}").parse(),
        }
    }

    /// The name under which podman keeps an image that it loads, builds, imports or tags as this: a short name gets
    /// `localhost/`, a name with neither tag nor digest `:latest`, and beside a digest the tag is dropped.
    /// (What it pulls by a short name is kept under the registry it came from.)
    #[must_use]
    pub fn stored_name(&self) -> Self {
        let tag = match (&self.tag, &self.digest) {
            (_, Some(_)) => None,
            (tag, None) => Some(tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned())),
        };
        let registry = self.registry.clone().or_else(|| Some(LOCAL_REGISTRY.to_owned()));
        Self { registry, repository: self.repository.clone(), tag, digest: self.digest.clone() }
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        use ImageReferenceError as Error;
        let given = || text.to_owned();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.contains("://") || text.contains(":/") {
            return Err(Error::Transport { text: given() });
        }
        if is_hex(text.strip_prefix("sha256:").unwrap_or(text), 64) {
            return Err(Error::Id { text: given() });
        }
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let digest_known = |digest: &str| {
            let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
            DIGESTS.iter().any(|(known, length)| *known == algorithm && is_hex(hex, *length))
        };
        if let Some(digest) = digest.filter(|digest| !digest_known(digest)) {
            return Err(Error::Digest { text: given(), digest: digest.to_owned() });
        }
        // A first part is a registry only when it looks like one: `splitDockerDomain`.
        let looks_like_registry = |part: &str| part.contains(['.', ':']) || part == LOCAL_REGISTRY;
        let (registry, rest) = match rest.split_once('/').filter(|(first, _)| looks_like_registry(first)) {
            Some((registry, rest)) => (Some(registry), rest),
            None => (None, rest),
        };
        if let Some(registry) = registry.filter(|registry| !is_registry(registry)) {
            return Err(Error::Registry { text: given(), registry: registry.to_owned() });
        }
        let (repository, tag) = rest.split_once(':').map_or((rest, None), |(repository, tag)| (repository, Some(tag)));
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(Error::Tag { text: given(), tag: tag.to_owned() });
        }
        if !repository.split('/').all(is_component) {
            let suggestion = repository.to_lowercase();
            return Err(if suggestion != repository && suggestion.split('/').all(is_component) {
                Error::UpperCase { text: given(), suggestion }
            } else {
                Error::Repository { text: given(), repository: repository.to_owned() }
            });
        }
        // Docker Hub's own rules, which podman applies to names that say docker.io.
        let registry = registry.map(|registry| if registry == "index.docker.io" { "docker.io" } else { registry });
        let repository = match registry {
            Some("docker.io") if !repository.contains('/') => format!("library/{repository}"),
            _ => repository.to_owned(),
        };
        let [registry, tag, digest] = [registry, tag, digest].map(|part| part.map(str::to_owned));
        let reference = Self { registry, repository, tag, digest };
        match reference.name().len() {
            length if length > LONGEST_NAME => Err(Error::TooLong { text: given(), length }),
            _ => Ok(reference),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = text.bytes().next().is_some_and(word);
    first && text.len() <= LONGEST_TAG && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `[a-z0-9]+(?:(?:[._]|__|[-]*)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(alphanumeric).filter(|separator| !separator.is_empty());
    let known = |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
    text.starts_with(alphanumeric) && text.ends_with(alphanumeric) && separators.all(known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_taken_apart_and_normalised_as_podman_does() {
        let by_digest = format!("quay.io/a/b:1@sha256:{HEX}");
        let stored_by_digest = format!("quay.io/a/b@sha256:{HEX}");
        for (text, registry, repository, tag, stored) in [
            ("quay.io/podman/hello", Some("quay.io"), "podman/hello", None, "quay.io/podman/hello:latest"),
            ("localhost/registry:1", Some("localhost"), "registry", Some("1"), "localhost/registry:1"),
            (
                "registry.example:5000/a__b/c-d.e:v1.0",
                Some("registry.example:5000"),
                "a__b/c-d.e",
                Some("v1.0"),
                "registry.example:5000/a__b/c-d.e:v1.0",
            ),
            ("busybox", None, "busybox", None, "localhost/busybox:latest"),
            ("library/busybox:1", None, "library/busybox", Some("1"), "localhost/library/busybox:1"),
            ("docker.io/busybox:1", Some("docker.io"), "library/busybox", Some("1"), "docker.io/library/busybox:1"),
            ("index.docker.io/a/b", Some("docker.io"), "a/b", None, "docker.io/a/b:latest"),
            ("localhost:5000", None, "localhost", Some("5000"), "localhost/localhost:5000"),
            ("EXAMPLE.com/a", Some("EXAMPLE.com"), "a", None, "EXAMPLE.com/a:latest"),
            (&by_digest, Some("quay.io"), "a/b", Some("1"), &stored_by_digest),
        ] {
            let image: ImageReference = text.parse().unwrap();
            assert_eq!((image.registry(), image.repository(), image.tag()), (registry, repository, tag), "{text}");
            assert_eq!(image.stored_name().to_string(), stored, "{text}");
            assert_eq!(image.stored_name().stored_name(), image.stored_name());
        }
        assert_eq!(by_digest.parse::<ImageReference>().unwrap().digest(), Some(format!("sha256:{HEX}").as_str()));
    }

    #[test]
    fn short_names_get_a_registry_only_on_request() {
        let short: ImageReference = "app:1".parse().unwrap();
        assert!(short.is_short());
        assert_eq!(short.with_registry("docker.io").unwrap().to_string(), "docker.io/library/app:1");
        let full: ImageReference = "quay.io/a/app:1".parse().unwrap();
        assert_eq!(full.with_registry("docker.io"), Ok(full));
    }

    #[test]
    fn wrong_references_say_what_is_wrong() {
        let id = HEX.to_owned();
        for (text, start) in [
            ("", "an image reference is empty"),
            ("docker://quay.io/a", r#"image "docker://quay.io/a" has a scheme or transport in front"#),
            ("oci-archive:/tmp/a.tar", r#"image "oci-archive:/tmp/a.tar" has a scheme or transport in front"#),
            (&id, &format!(r#"image "{HEX}" is an ID, not a name"#)),
            (
                "quay.io/Podman/hello",
                r#"repository of image "quay.io/Podman/hello" has upper case letters; podman/hello would be right"#,
            ),
            ("quay.io/a//b", r#"repository "a//b" of image "quay.io/a//b" is not made of"#),
            ("quay.io/a..b", r#"repository "a..b" of image"#),
            ("quay.io/_a", r#"repository "_a" of image"#),
            ("-x.io/a", r#"registry "-x.io" of image "-x.io/a" is not a host name"#),
            ("[::1]:5000/a", r#"registry "[::1]:5000" of image"#),
            ("a:", r#"tag "" of image "a:" is not 1 to 128"#),
            ("a:-x", r#"tag "-x" of image"#),
            ("a@sha256:abc", r#"digest "sha256:abc" of image"#),
            ("a b", r#"repository "a b" of image"#),
        ] {
            let message = text.parse::<ImageReference>().unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
        let long = format!("quay.io/{}", "a".repeat(LONGEST_NAME));
        assert!(matches!(long.parse::<ImageReference>(), Err(ImageReferenceError::TooLong { length: 263, .. })));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(text in "([a-z.]{1,4}(:[0-9]{1,3})?/)?[a-z._/-]{1,6}(:[a-zA-Z0-9.]{1,3})?") {
            if let Ok(image) = text.parse::<ImageReference>() {
                prop_assert_eq!(image.to_string().parse(), Ok(image));
            }
        }
    }
}
