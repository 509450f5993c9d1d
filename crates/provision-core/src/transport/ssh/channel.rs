//! Channels of a connection: one that runs a command, and one that is a tunnelled TCP connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelStream, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime;
use tokio::sync::oneshot;

use super::handler::{Ending, Handler};
use crate::transport::pump::{Outlet, Pulse, Tail, Watch, pump};
use crate::transport::{Exit, Request, Sink, TransportError};

/// The extended data type that is standard error, RFC 4254, section 5.2.
const STDERR: u32 = 1;

/// A channel on its way.
pub(super) type Opening = oneshot::Receiver<Result<Channel<Msg>, russh::Error>>;

/// What a channel is opened for.
pub(super) enum Purpose {
    Session,
    Tcp { host: String, port: u16 },
}

/// Opens a channel in a task of its own, so that it can be asked for before it is needed, and so that one whose opener
/// has gone is closed when the host has opened it after all.
pub(super) fn open(handle: &Arc<Handle<Handler>>, purpose: Purpose) -> Opening {
    let handle = Arc::clone(handle);
    let (sender, opening) = oneshot::channel();
    tokio::spawn(async move {
        let opened = match purpose {
            Purpose::Session => handle.channel_open_session().await,
            // The originator is only for the host's log, and no socket of ours is behind this.
            Purpose::Tcp { host, port } => handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await,
        };
        if let Err(Ok(unwanted)) = sender.send(opened) {
            let _ = unwanted.close().await;
        }
    });
    opening
}

/// A channel that was opened to run a command.
pub(super) struct Session<'a> {
    pub(super) channel: Channel<Msg>,
    pub(super) host: &'a str,
    pub(super) ending: &'a Ending,
}

impl Session<'_> {
    /// Runs one command; `behind` is called as soon as the command is on its way, to send something right behind it.
    pub(super) async fn run(
        self,
        request: Request,
        sink: &mut (dyn Sink + '_),
        behind: impl FnOnce() + Send,
    ) -> Result<Exit, TransportError> {
        let Request { command, input, silence } = request;
        let (mut reader, writer) = self.channel.split();
        let writer = Arc::new(writer);
        let _closing = Closing { writer: Arc::clone(&writer), runtime: runtime::Handle::try_current().ok() };
        // The answer is wanted but not waited for: it comes among the output.
        writer.exec(true, command).await.map_err(|_| self.ending.lost(self.host))?;
        behind();

        let pulse = Pulse::new();
        let watch = Watch { pulse: &pulse, limit: silence, host: self.host };
        let drain = async {
            drain(&mut reader, &pulse, sink).await.map_err(|failure| match failure {
                Failure::Lost => self.ending.lost(self.host),
                Failure::Refused => TransportError::Exec { host: self.host.to_owned() },
            })
        };
        pump(input, StandardInput(writer), drain, watch).await
    }
}

struct StandardInput(Arc<ChannelWriteHalf<Msg>>);

impl Outlet for StandardInput {
    async fn send(&mut self, piece: Bytes) -> bool {
        // Waits for the host's window, so the library never queues what the host does not take.
        self.0.data_bytes(piece).await.is_ok()
    }

    async fn finish(self) {
        // A connection that is gone shows where the output is read.
        let _ = self.0.eof().await;
    }
}

enum Failure {
    Lost,
    Refused,
}

async fn drain(reader: &mut ChannelReadHalf, pulse: &Pulse, sink: &mut (dyn Sink + '_)) -> Result<Exit, Failure> {
    let mut stderr = Tail::default();
    let mut status = None;
    let mut is_over = false;
    // The status may come before the last of the output (RFC 4254, section 6.10). By the close that follows both, the
    // library has answered it, so the host's session is free for the next exchange.
    loop {
        let message = reader.wait().await;
        pulse.beat();
        match message {
            Some(ChannelMsg::Data { data }) => sink.accept(&data),
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => stderr.push(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(exit_status);
                is_over = true;
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                tracing::debug!("the command was ended by {signal_name:?}");
                is_over = true;
            }
            Some(ChannelMsg::Failure) => return Err(Failure::Refused),
            Some(ChannelMsg::Close) if is_over => break,
            Some(ChannelMsg::Close) | None => return Err(Failure::Lost),
            Some(_) => (),
        }
    }
    Ok(Exit { status, stderr: stderr.into_bytes() })
}

/// Closes the channel when it goes, however the exchange ended: the library would leave it open.
struct Closing {
    writer: Arc<ChannelWriteHalf<Msg>>,
    runtime: Option<runtime::Handle>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let writer = Arc::clone(&self.writer);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move { writer.close().await });
        }
    }
}

/// A tunnelled TCP connection.
///
/// The library spawns a task when such a stream is dropped, which panics outside a runtime; so it is dropped within the
/// one it was made in.
pub(super) struct Tunnel {
    stream: Option<ChannelStream<Msg>>,
    runtime: Option<runtime::Handle>,
}

impl Tunnel {
    pub(super) fn new(channel: Channel<Msg>) -> Self {
        Self { stream: Some(channel.into_stream()), runtime: runtime::Handle::try_current().ok() }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut ChannelStream<Msg>>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _entered = self.runtime.as_ref().map(runtime::Handle::enter);
        drop(self.stream.take());
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The library calls an empty write an error.
        if bytes.is_empty() { Poll::Ready(Ok(0)) } else { self.stream()?.poll_write(context, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}
