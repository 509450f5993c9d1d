//! What is asked of a running service, and what its answer must be. The asking is the engine's.

use std::time::Duration;

use crate::path::AbsPath;

/// A question that is repeated until it is answered as it should be or the time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Where to connect, as seen from the host.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// What is asked once connected.
    pub question: Question,
    /// TLS, where it is spoken.
    pub tls: Option<Tls>,
    /// When to give up.
    pub limit: Duration,
    /// How long to wait between two tries.
    pub pause: Duration,
}

/// How the other side is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The name or address that the certificate must carry.
    pub name: String,
    /// The authority that must have signed it: a file on the host.
    pub authority: AbsPath,
}

/// What is asked once connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Nothing: that the connection stands, with TLS where asked, is enough.
    Connect,
    /// An HTTP GET.
    Http(Http),
}

/// An HTTP GET and the answer that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The `Host` header: name, and port where it is not the scheme's own.
    pub authority: String,
    /// Path with query, starting with `/`.
    pub target: String,
    /// Statuses that are right.
    pub status: Vec<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Values that the JSON body must have.
    pub json: Vec<JsonValue>,
}

/// A place in a JSON document and the value it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonValue {
    /// A JSON pointer (RFC 6901): `/data/services/database`.
    pub pointer: String,
    /// The wanted value: text as itself, anything else as JSON spells it.
    pub equals: String,
}
