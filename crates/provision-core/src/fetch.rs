//! Downloads that go through this side: for hosts that reach nothing themselves.

use std::str::FromStr;

use async_trait::async_trait;

use crate::blob::Blob;

/// Something on the web whose content is known by its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Download {
    /// `https://...` or `http://...`.
    pub url: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
}

/// Something that a resource needs and neither the plan nor the files beside it bring.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// Downloaded on this side.
    Here(Download),
    /// What the host gets itself, in words that follow the resource's address, such as `pulls quay.io/a/b:1`.
    Host(String),
}

/// Who downloads on this side. The library has no client of its own, no cache and no proxy: whoever embeds it does.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Brings it, unless it was brought before. The digest of what is given must be the one that is asked for.
    ///
    /// # Errors
    /// Why it cannot be had, as one sentence without the address.
    async fn fetch(&self, download: &Download) -> Result<Blob, String>;
}

/// Brings nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoFetch;

#[async_trait]
impl Fetch for NoFetch {
    async fn fetch(&self, _download: &Download) -> Result<Blob, String> {
        Err("nothing on this side downloads: use `via = \"host\"`, or give one to `Orders::fetch`".to_owned())
    }
}

/// The SHA-256 of some content, in lower-case hex; `sha256:` before it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256(String);

impl Sha256 {
    /// Its hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(hex))
        } else {
            Err("it is the 64 hex digits that `sha256sum` prints")
        }
    }
}

/// An address of something on the web: `https://name/path` or `http://...` (RFC 3986), without a user, whose password
/// everybody could read, and without a fragment, which reaches no server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress(String);

impl WebAddress {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some(rest) = rest else { return Err("it starts with https:// or http://") };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a user and password in an address can be read by everybody: leave them out");
        }
        if text.contains('#') {
            return Err("what follows `#` reaches no server: leave it out");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        {
            return Err("blanks and characters beyond ASCII are written as %20 and the like");
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err("it names no host");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_digests_are_what_they_look_like() {
        for text in ["https://example.com/a?b=c%20d", "http://[fd00::1]:8080/x", "https://example.com"] {
            assert_eq!(text.parse::<WebAddress>().map(|address| address.0), Ok(text.to_owned()));
        }
        for wrong in
            ["", "ftp://a/b", "https://", "https:///x", "https://a:b@c/", "https://a/b c", "https://a/#b", "-o x"]
        {
            assert!(wrong.parse::<WebAddress>().is_err(), "{wrong}");
        }
        let hex = "A8".repeat(32);
        assert_eq!(format!("sha256:{hex}").parse::<Sha256>().map(|digest| digest.0), Ok(hex.to_lowercase()));
        assert!("a8".parse::<Sha256>().is_err());
    }
}
