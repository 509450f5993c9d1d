//! The machine this runs on, as a host: the same requests, run by a child process.
//!
//! The command gets this process's environment and working directory, where SSH would give a login's.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::{Exit, Request, Resolved, Sink, Stream, Transport, TransportError};

const LABEL: &str = "local";

/// Runs requests on this machine, as the user this process runs as. Needs a POSIX system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

#[async_trait]
impl Transport for Local {
    async fn exchange(&self, request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        child::exchange(request, sink).await
    }

    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let failed = |reason: String| TransportError::Tunnel {
            host: LABEL.to_owned(),
            target: super::host_and_port(host, port),
            reason,
        };
        match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {limit:?}"))),
        }
    }

    async fn resolve(&self, name: &str) -> Result<Resolved, String> {
        super::resolve_here(name, true).await
    }

    fn label(&self) -> &str {
        LABEL
    }
}

fn not_run(source: io::Error) -> TransportError {
    TransportError::Connect { host: LABEL.to_owned(), source }
}

#[cfg(not(unix))]
mod child {
    use super::{Exit, Request, Sink, TransportError, io, not_run};

    pub(super) async fn exchange(_: Request, _: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        let reason = "this machine has no POSIX shell, so it cannot be a host itself";
        Err(not_run(io::Error::new(io::ErrorKind::Unsupported, reason)))
    }
}

#[cfg(unix)]
mod child {
    use std::process::Stdio;

    use bytes::Bytes;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
    use tokio::process::{Child, ChildStdin, Command};

    use super::super::pump::{Outlet, Pulse, Tail, Watch, pump};
    use super::{Exit, LABEL, Request, Sink, TransportError, io, not_run};

    /// What a pipe holds on Linux.
    const BUFFER: usize = 64 * 1024;

    pub(super) async fn exchange(request: Request, sink: &mut (dyn Sink + '_)) -> Result<Exit, TransportError> {
        let Request { command, input, silence } = request;
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_run)?;
        let pulse = Pulse::new();
        let outlet = StandardInput(child.stdin.take());
        let drain = async { drain(&mut child, &pulse, sink).await.map_err(not_run) };
        pump(input, outlet, drain, Watch { pulse: &pulse, limit: silence, host: LABEL }).await
    }

    struct StandardInput(Option<ChildStdin>);

    impl Outlet for StandardInput {
        async fn send(&mut self, piece: Bytes) -> bool {
            match &mut self.0 {
                Some(stdin) => stdin.write_all(&piece).await.is_ok(),
                None => false,
            }
        }

        // Closed by being dropped.
        async fn finish(self) {}
    }

    async fn drain(child: &mut Child, pulse: &Pulse, sink: &mut (dyn Sink + '_)) -> io::Result<Exit> {
        let mut stderr = Tail::default();
        let (stdout_pipe, stderr_pipe) = (child.stdout.take(), child.stderr.take());
        tokio::try_join!(
            read(stdout_pipe, pulse, |piece| sink.accept(piece)),
            read(stderr_pipe, pulse, |piece| stderr.push(piece)),
        )?;
        let status = child.wait().await?;
        // No code: a signal. A code is 0 to 255 on every POSIX system.
        Ok(Exit { status: status.code().and_then(|code| code.try_into().ok()), stderr: stderr.into_bytes() })
    }

    async fn read(
        pipe: Option<impl AsyncRead + Unpin>,
        pulse: &Pulse,
        mut accept: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let Some(mut pipe) = pipe else { return Ok(()) };
        let mut buffer = Vec::with_capacity(BUFFER);
        while pipe.read_buf(&mut buffer).await? > 0 {
            pulse.beat();
            accept(&buffer);
            buffer.clear();
        }
        Ok(())
    }
}
