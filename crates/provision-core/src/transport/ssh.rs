//! A host over SSH: one connection, host key checked, logged in by key, one channel an exchange.
//!
//! The only module that names the SSH library. Reads no environment, home or `~/.ssh/config`, and writes no
//! known_hosts: everything it goes by is in [`SshOptions`].

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use russh::client::{self, Handle, Msg};
use russh::{Channel, ChannelOpenFailure, Disconnect, Preferred, SshId, cipher, compression};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use self::authenticate::Login;
use self::channel::{Opening, Purpose, Session, Tunnel};
use self::handler::{Ending, Handler, HandlerError, Socket};
pub use self::key_file::Passphrases;
use self::known_hosts::KnownHost;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use self::known_hosts::judge;
use super::{Anew, Exit, Request, Resolved, Sink, Stream, Transport, TransportError, host_and_port};

mod authenticate;
mod channel;
mod handler;
mod key_file;
mod known_hosts;

/// How to reach a host and log in to it.
///
/// # OpenSSH's defaults
/// A command that wants to behave like `ssh` fills this in so, `~` being the home directory of the user's account:
/// - `user`: the local login name; `port`: 22.
/// - `known_hosts`: `~/.ssh/known_hosts`, `~/.ssh/known_hosts2`, `/etc/ssh/ssh_known_hosts`,
///   `/etc/ssh/ssh_known_hosts2`, in this order. On Windows the last two are in `%ProgramData%\ssh`. Files that do not
///   exist are fine.
/// - `identity_files`: `~/.ssh/id_rsa`, `~/.ssh/id_ecdsa`, `~/.ssh/id_ed25519`, those that exist; only the ones the
///   user names, if there are any.
/// - `agent`: what `SSH_AUTH_SOCK` says, unless it is empty; on Windows `\\.\pipe\openssh-ssh-agent` when it says
///   nothing.
/// - `identities_only`: false, like `IdentitiesOnly`.
/// - `passphrases`: asks on the terminal, if there is one.
///
/// `~/.ssh/config` and `/etc/ssh/ssh_config` are not read, so neither are aliases, jump hosts and proxy commands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SshOptions {
    /// Name or address; an IPv6 address may stand in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Files with known host keys. A new key belongs in the first.
    pub known_hosts: Vec<Utf8PathBuf>,
    /// Private key files, or public ones whose private half the agent has.
    pub identity_files: Vec<Utf8PathBuf>,
    /// Socket of the agent; the name of its pipe on Windows.
    pub agent: Option<Utf8PathBuf>,
    /// Leaves out the agent's keys that are not among the identity files.
    pub identities_only: bool,
    /// Who knows the passphrases of key files; without it locked keys are left out.
    pub passphrases: Option<Arc<dyn Passphrases>>,
    /// How long each of these may take: a TCP connection to one address, the key exchange, an answer to an offered key.
    pub connect_timeout: Duration,
    /// How long the host may be silent before it is asked whether it is still there; three unanswered times end the
    /// connection.
    pub keepalive: Duration,
}

impl SshOptions {
    /// Options without any known host, key or agent.
    #[must_use]
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 22,
            user: user.into(),
            known_hosts: Vec::new(),
            identity_files: Vec::new(),
            agent: None,
            identities_only: false,
            passphrases: None,
            connect_timeout: Duration::from_secs(15),
            keepalive: Duration::from_secs(15),
        }
    }
}

/// How many keepalives may go unanswered: OpenSSH's `ServerAliveCountMax`.
const KEEPALIVES: usize = 3;

/// What the host may send before we take it: four times what OpenSSH grants, for fast lines that are long. It makes no
/// difference on loopback, and none to uploads, where the host's window counts.
const WINDOW: u32 = 8 * 1024 * 1024;

/// OpenSSH sends at most this much in a packet whatever is granted.
const PACKET: u32 = 32 * 1024;

/// How long to wait after each refusal of a session: a host with `MaxSessions 1` counts the last one for a moment after
/// its end.
const PAUSES: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];

/// How long a graceful end may take: enough to write the goodbye. russh then waits for the host to close its side, which
/// costs a round trip and tells nobody anything.
const FAREWELL: Duration = Duration::from_millis(5);

/// A connection to a host over SSH. Dropping it closes it; [`Ssh::close`] says goodbye first.
pub struct Ssh {
    label: String,
    host: String,
    handle: Arc<Handle<Handler>>,
    ending: Ending,
    /// The channel of the next exchange, asked for while the last one ran: a round trip less.
    next: Mutex<Option<Opening>>,
    /// The host allows but one session at a time and refused such a channel.
    one_by_one: AtomicBool,
    /// The socket fails when this goes.
    held: oneshot::Sender<()>,
    /// How it was reached, for connecting anew.
    options: SshOptions,
}

impl Ssh {
    /// Connects, checks the host key and logs in.
    ///
    /// # Errors
    /// When the host cannot be reached, its key is not a known one, or it accepts none of the keys.
    pub async fn connect(options: &SshOptions) -> Result<Self, TransportError> {
        Self::connect_to(None, options).await
    }

    /// The same, to some of its addresses only.
    async fn connect_to(addresses: Option<&[SocketAddr]>, options: &SshOptions) -> Result<Self, TransportError> {
        let name = bare(&options.host);
        let host = host_and_port(name, options.port);
        let timeout = || TransportError::ConnectTimeout { host: host.clone(), limit: options.connect_timeout };
        let failed = |source| TransportError::Connect { host: host.clone(), source };

        let known = KnownHost::read(&options.known_hosts, name, options.port).await?;
        let config = Arc::new(config(options, &known));
        let stream = connect(name, addresses, options).await.map_err(failed)?.ok_or_else(timeout)?;
        let (stream, held) = Socket::new(stream);
        let ending = Ending::default();
        let handler = Handler { known, ending: ending.clone() };
        let handshake = client::connect_stream(config, stream, handler);
        let mut handle = match tokio::time::timeout(options.connect_timeout, handshake).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(HandlerError::Refused(error))) => return Err(error),
            Ok(Err(HandlerError::Library(russh::Error::IO(error)))) => return Err(failed(error)),
            Ok(Err(HandlerError::Library(error))) => return Err(failed(io::Error::other(error))),
            Err(_) => return Err(timeout()),
        };
        Login { handle: &mut handle, options, host: &host, ending: &ending }.run().await?;

        let label = format!("{}@{host}", options.user);
        Ok(Self {
            label,
            host,
            handle: Arc::new(handle),
            ending,
            next: Mutex::new(None),
            one_by_one: AtomicBool::new(false),
            held,
            options: options.clone(),
        })
    }

    /// Ends the connection in order, so that the host logs no lost one.
    pub async fn close(self) {
        let Self { label: _, host: _, handle, ending: _, next, one_by_one: _, held, options: _ } = self;
        drop(next);
        let _ = handle.disconnect(Disconnect::ByApplication, "", "en").await;
        if let Some(handle) = Arc::into_inner(handle) {
            let _ = tokio::time::timeout(FAREWELL, handle).await;
        }
        drop(held);
    }

    fn ask_for_next(&self) {
        if !self.one_by_one.load(Ordering::Relaxed) {
            let opening = channel::open(&self.handle, Purpose::Session);
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(opening);
        }
    }

    async fn session(&self) -> Result<Session<'_>, TransportError> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(opening) = next {
            match opening.await {
                Ok(Ok(channel)) => return Ok(self.session_on(channel)),
                Ok(Err(_)) | Err(_) => self.one_by_one.store(true, Ordering::Relaxed),
            }
        }
        for pause in PAUSES {
            match channel::open(&self.handle, Purpose::Session).await {
                Ok(Ok(channel)) => return Ok(self.session_on(channel)),
                Ok(Err(russh::Error::ChannelOpenFailure(_))) => tokio::time::sleep(pause).await,
                Ok(Err(_)) | Err(_) => return Err(self.ending.lost(&self.host)),
            }
        }
        Err(TransportError::Exec { host: self.host.clone() })
    }

    fn session_on(&self, channel: Channel<Msg>) -> Session<'_> {
        Session { channel, host: &self.host, ending: &self.ending }
    }
}

#[async_trait]
impl Transport for Ssh {
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        let Ok(session) = tokio::time::timeout(request.silence, self.session()).await else {
            return Err(TransportError::Silent { host: self.host.clone(), limit: request.silence });
        };
        session?.run(request, sink, || self.ask_for_next()).await
    }

    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let opening = channel::open(&self.handle, Purpose::Tcp { host: host.to_owned(), port });
        let reason = match tokio::time::timeout(limit, opening).await {
            Ok(Ok(Ok(channel))) => return Ok(Box::new(Tunnel::new(channel))),
            Ok(Ok(Err(russh::Error::ChannelOpenFailure(failure)))) => match failure {
                ChannelOpenFailure::AdministrativelyProhibited => {
                    return Err(TransportError::TunnelForbidden { host: self.host.clone() });
                }
                ChannelOpenFailure::ConnectFailed => "nothing accepts a connection there".to_owned(),
                failure => failure.description().to_owned(),
            },
            Ok(Ok(Err(_)) | Err(_)) => return Err(self.ending.lost(&self.host)),
            Err(_) => format!("no answer within {limit:?}"),
        };
        Err(TransportError::Tunnel { host: self.host.clone(), target: host_and_port(host, port), reason })
    }

    async fn resolve(&self, name: &str) -> Result<Resolved, String> {
        super::resolve_here(name, false).await
    }

    fn label(&self) -> &str {
        &self.label
    }

    async fn anew(&self) -> Vec<Anew> {
        let found = resolve(bare(&self.options.host), &self.options).await;
        let addresses = match found {
            Ok(Some(addresses)) => addresses,
            Ok(None) => {
                return vec![nowhere(TransportError::ConnectTimeout {
                    host: self.host.clone(),
                    limit: self.options.connect_timeout,
                })];
            }
            Err(source) => return vec![nowhere(TransportError::Connect { host: self.host.clone(), source })],
        };
        let families: [(&str, fn(&SocketAddr) -> bool); 2] =
            [("IPv4", SocketAddr::is_ipv4), ("IPv6", SocketAddr::is_ipv6)];
        let mut anew = Vec::new();
        for (family, is_of) in families {
            let of_family: Vec<SocketAddr> = addresses.iter().copied().filter(is_of).collect();
            if !of_family.is_empty() {
                let connected = Self::connect_to(Some(&of_family), &self.options).await;
                anew.push(Anew { family, transport: connected.map(|ssh| Box::new(ssh) as Box<dyn Transport>) });
            }
        }
        anew
    }
}

fn nowhere(error: TransportError) -> Anew {
    Anew { family: "any address family", transport: Err(error) }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(host)
}

/// The host's addresses; none when that took too long.
async fn resolve(name: &str, options: &SshOptions) -> io::Result<Option<Vec<SocketAddr>>> {
    let lookup = tokio::net::lookup_host((name, options.port));
    match tokio::time::timeout(options.connect_timeout, lookup).await {
        Ok(found) => found.map(|addresses| Some(addresses.collect())),
        Err(_) => Ok(None),
    }
}

fn config(options: &SshOptions, known: &KnownHost) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-provision_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        keepalive_interval: Some(options.keepalive),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        preferred: Preferred {
            key: Cow::Owned(known.algorithms()),
            cipher: Cow::Borrowed(&CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// AES in hardware first. Uploads with the first of them went twice as fast as OpenSSH's client in the same minute,
/// with the second 1.5 times, with the third as fast, with the others at 0.6 (`examples/ssh_speed.rs`). No one of them
/// is weak.
const CIPHERS: [cipher::Name; 6] = [
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

/// Connects to the first of the host's addresses that answers; none when the last to be tried did not answer in time.
async fn connect(name: &str, addresses: Option<&[SocketAddr]>, options: &SshOptions) -> io::Result<Option<TcpStream>> {
    let limit = options.connect_timeout;
    let addresses = match addresses {
        Some(addresses) => addresses.to_vec(),
        None => match resolve(name, options).await? {
            Some(addresses) => addresses,
            None => return Ok(None),
        },
    };
    let mut last = Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    for address in addresses {
        last = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests and answers are small and wait for each other.
                stream.set_nodelay(true)?;
                return Ok(Some(stream));
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(None),
        };
    }
    last
}
