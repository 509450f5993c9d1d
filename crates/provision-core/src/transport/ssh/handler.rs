//! What the SSH library calls back for, and the socket it runs on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use russh::client;
use russh::keys::PublicKeyOrCertificate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::known_hosts::KnownHost;
use crate::transport::TransportError;

/// Checks the host key and remembers why the connection ended.
pub(super) struct Handler {
    pub(super) known: KnownHost,
    pub(super) ending: Ending,
}

/// What a callback may fail with.
#[derive(Debug)]
pub(super) enum HandlerError {
    Refused(TransportError),
    Library(russh::Error),
}

impl From<russh::Error> for HandlerError {
    fn from(error: russh::Error) -> Self {
        Self::Library(error)
    }
}

impl client::Handler for Handler {
    type Error = HandlerError;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.known.check(key).map_err(HandlerError::Refused)?;
                Ok(true)
            }
            // Never asked for, so never trusted.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }

    async fn disconnected(&mut self, reason: client::DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                self.ending.set(info.message);
                Ok(())
            }
            client::DisconnectReason::Error(error) => {
                if let HandlerError::Library(error) = &error {
                    self.ending.set(error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// Why the connection ended, once it has.
#[derive(Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Option<String>>>);

impl Ending {
    fn set(&self, reason: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn lost(&self, host: &str) -> TransportError {
        TransportError::Lost { host: host.to_owned(), source: self.get().map(Into::into) }
    }
}

/// A socket that fails at once when its [`oneshot::Sender`] is dropped, and that acknowledges at once what is short.
///
/// The library runs a connection in a task of its own, which during the key exchange listens to nothing but the socket:
/// without this, giving up on a host that never answers would leave the task and the socket behind.
pub(super) struct Socket {
    stream: TcpStream,
    cut: oneshot::Receiver<()>,
    is_cut: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> (Self, oneshot::Sender<()>) {
        let (held, cut) = oneshot::channel();
        (Self { stream, cut, is_cut: false }, held)
    }

    // Reading and writing are polled by one task, so one waker is enough for both.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_cut {
            self.is_cut = Pin::new(&mut self.cut).poll(context).is_ready();
        }
        if self.is_cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Acknowledges what has just been read.
    ///
    /// OpenSSH's server leaves Nagle's algorithm on: after the login it announces its host keys, and holds back its
    /// answer to the first channel until that is acknowledged. The 40 ms of a delayed acknowledgement are half of a
    /// short exchange on a LAN. Linux forgets the setting, so it is made every time.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn acknowledge(&self) {
        // It saves time and nothing else, so it may fail.
        let _ = self.stream.set_quickack(true);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn acknowledge(&self) {}
}

/// Longer reads are part of a stream that the kernel acknowledges often enough.
const SHORT: usize = 4096;

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && buffer.filled().len().saturating_sub(before) < SHORT {
            self.acknowledge();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
