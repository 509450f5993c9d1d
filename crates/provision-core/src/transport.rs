//! How a request reaches a host and its reply comes back: one command, its standard input, its standard output.
//!
//! A transport knows nothing of resources, probes or steps, and builds no shell text.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::blob::Blob;

pub mod local;
mod pump;
pub mod ssh;

/// A connection to one host. Dropping it closes it, with every tunnel through it.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Runs one request and hands every piece of its standard output to `sink` as it arrives.
    ///
    /// # Errors
    /// When the host could not be reached any more, was silent for longer than [`Request::silence`],
    /// or a file of the input could not be read. A command that fails is not an error: see [`Exit`]. Nor is one that
    /// ends before it has read all of its input. What it leaves running in the background with its output still open is
    /// waited for.
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError>;

    /// Opens a TCP connection as seen from the host (through the tunnel, for SSH).
    ///
    /// Over SSH a stream that is held without being read can hold up the whole connection once some megabytes have
    /// piled up.
    ///
    /// # Errors
    /// When the host refuses, cannot reach the address, or `limit` passes.
    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError>;

    /// What a name leads to on this side, from where the host is reached. A name that is not known here leads to nothing.
    ///
    /// # Errors
    /// When that cannot be told, in words for people.
    async fn resolve(&self, name: &str) -> Result<Resolved, String> {
        Err(format!("what {name} leads to on this side cannot be told over this connection"))
    }

    /// What to call the host in messages, such as `root@[2001:db8::1]:22` or `local`.
    fn label(&self) -> &str;

    /// Connects to the host anew, once over each address family under which it is known, and logs in. Nothing comes back for a
    /// host that cannot be lost, such as this machine.
    async fn anew(&self) -> Vec<Anew> {
        Vec::new()
    }
}

/// What a name leads to on this side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Whether this side is the host itself: there a loopback address leads to it.
    pub itself: bool,
}

/// How long a name is looked up. Resolvers give up after ten seconds themselves (`resolv.conf(5)`, two tries of five).
const LOOKUP: Duration = Duration::from_secs(15);

/// What this side's own resolver says.
async fn resolve_here(name: &str, itself: bool) -> Result<Resolved, String> {
    let lookup = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((name, 0)));
    let Ok(found) = lookup.await else {
        return Err(format!("what {name} leads to on this side was not told within {} s", LOOKUP.as_secs()));
    };
    // A resolver says "there is none" and "I could not ask" by the same error; both are as bad for whoever uses the name.
    let addresses: BTreeSet<IpAddr> = found.into_iter().flatten().map(|address| address.ip()).collect();
    Ok(Resolved { addresses: addresses.into_iter().collect(), itself })
}

/// A new connection to a host that is connected already.
pub struct Anew {
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// The connection, or why there is none.
    pub transport: Result<Box<dyn Transport>, TransportError>,
}

#[async_trait]
impl Transport for Box<dyn Transport> {
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        self.as_ref().exchange(request, sink).await
    }

    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        self.as_ref().connect_tcp(host, port, limit).await
    }

    async fn resolve(&self, name: &str) -> Result<Resolved, String> {
        self.as_ref().resolve(name).await
    }

    fn label(&self) -> &str {
        self.as_ref().label()
    }

    async fn anew(&self) -> Vec<Anew> {
        self.as_ref().anew().await
    }
}

/// Takes standard output as it comes.
pub trait Sink: Send {
    /// Takes the next piece; pieces end anywhere, not only at a line's end.
    fn accept(&mut self, piece: &[u8]);
}

impl Sink for Vec<u8> {
    fn accept(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// A two-way byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One command with what goes to its standard input.
#[derive(Debug)]
pub struct Request {
    /// The command line for the login shell, whatever shell that is; made by [`crate::shell`].
    pub command: String,
    /// Standard input, in order; it is closed after the last.
    pub input: Vec<Blob>,
    /// How long the command may go on without a byte in either direction before the exchange is given up.
    pub silence: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit status; absent when a signal ended it.
    pub status: Option<u32>,
    /// The last [`STDERR_LIMIT`] bytes of standard error.
    pub stderr: Vec<u8>,
}

/// How much of standard error is kept: enough for any message, not enough to fill the memory.
pub const STDERR_LIMIT: usize = 64 * 1024;

/// Why a host could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection could not be made.
    #[error("cannot connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the network said.
        source: std::io::Error,
    },
    /// Nothing answered in time.
    #[error("{host} did not answer within {limit:?}")]
    ConnectTimeout {
        /// Host and port.
        host: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// The host key is not in any known_hosts file.
    #[error("the {algorithm} host key of {host} is not known: {fingerprint}")]
    UnknownHostKey {
        /// As known_hosts spells it: `name` or `[name]:port`.
        host: String,
        /// Such as `ssh-ed25519`.
        algorithm: String,
        /// `SHA256:...`, as ssh-keygen prints it.
        fingerprint: String,
        /// The line that would accept the key.
        known_hosts_line: String,
        /// The file it belongs in.
        known_hosts: String,
    },
    /// The host key differs from every known one. Never accepted.
    #[error("the {algorithm} host key of {host} is not the one in {known_hosts} line {line}: {fingerprint}")]
    ChangedHostKey {
        /// As known_hosts spells it.
        host: String,
        /// Such as `ssh-ed25519`.
        algorithm: String,
        /// Of the key that was presented.
        fingerprint: String,
        /// The file with the other key.
        known_hosts: String,
        /// Its line.
        line: usize,
    },
    /// The host key is marked `@revoked`. Never accepted, wherever else it is listed.
    #[error("the {algorithm} host key of {host} is revoked in {known_hosts} line {line}: {fingerprint}")]
    RevokedHostKey {
        /// As known_hosts spells it.
        host: String,
        /// Such as `ssh-ed25519`.
        algorithm: String,
        /// Of the key that was presented.
        fingerprint: String,
        /// The file that revokes it.
        known_hosts: String,
        /// Its line.
        line: usize,
    },
    /// A known_hosts file is there but cannot be read, so it cannot be known what it forbids.
    #[error("cannot read {path}")]
    KnownHosts {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No key or agent identity was accepted.
    #[error("{host} accepted none of the keys for user {user} (tried: {tried})")]
    Authentication {
        /// Host and port.
        host: String,
        /// Login name.
        user: String,
        /// What was offered, comma-separated; `nothing` when there was nothing to offer.
        tried: String,
    },
    /// A key file could not be used.
    #[error("cannot use key file {path}: {reason}")]
    KeyFile {
        /// Its path.
        path: String,
        /// Why, such as a missing passphrase.
        reason: String,
    },
    /// The host took the login but runs no commands for it.
    #[error("{host} refused to run a command")]
    Exec {
        /// The host.
        host: String,
    },
    /// No bytes for too long.
    #[error("{host} was silent for {limit:?}")]
    Silent {
        /// The host.
        host: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// The connection ended early.
    #[error("the connection to {host} was lost")]
    Lost {
        /// The host.
        host: String,
        /// What the library said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A tunnelled TCP connection was refused.
    #[error("cannot reach {target} from {host}: {reason}")]
    Tunnel {
        /// The host.
        host: String,
        /// `address:port`.
        target: String,
        /// What the host said.
        reason: String,
    },
    /// The host opens no tunnelled connections at all.
    #[error("{host} forbids tunnels")]
    TunnelForbidden {
        /// The host.
        host: String,
    },
    /// A file on this side could not be read while it was sent.
    #[error("cannot read {path}")]
    Input {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes an address and a port the way URLs do: `[2001:db8::1]:22`.
fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
