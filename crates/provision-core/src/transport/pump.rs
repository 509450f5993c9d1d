//! Feeding a command its input while its output is read: what every transport does the same way.
//!
//! Both directions always move at once, so that a host that prints a lot before it reads cannot bring both sides to a
//! stop.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use camino::Utf8PathBuf;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Exit, STDERR_LIMIT, TransportError};
use crate::blob::{Blob, Piece};

/// How much goes out before the next look at the clock: one SSH packet. Larger pieces were no faster, and on a slow
/// line one of them could outlast the silence limit.
const PIECE: usize = 32 * 1024;

/// How much of a file is read at once: several pieces, so that the thread pool behind `tokio::fs` is not asked for
/// each.
const CHUNK: usize = 512 * 1024;

/// Standard input of a command.
pub(super) trait Outlet: Send {
    /// Sends one piece; false once nobody reads any more, which is not an error: the command may have what it wants.
    fn send(&mut self, piece: Bytes) -> impl Future<Output = bool> + Send;

    /// Says that there is no more.
    fn finish(self) -> impl Future<Output = ()> + Send;
}

/// Runs `drain` to its end while the input goes out, and gives up when neither moves for `silence`.
///
/// The command's end is the end: input that is left over then is dropped.
pub(super) async fn pump(
    input: Vec<Blob>,
    outlet: impl Outlet,
    drain: impl Future<Output = Result<Exit, TransportError>> + Send,
    watch: Watch<'_>,
) -> Result<Exit, TransportError> {
    let mut drain = pin!(drain);
    let mut feed = pin!(feed(input, outlet, watch.pulse));
    let mut silence = pin!(watch.pulse.silence(watch.limit));
    let mut fed = false;
    loop {
        tokio::select! {
            biased;
            end = &mut drain => return end,
            result = &mut feed, if !fed => {
                result?;
                fed = true;
            }
            () = &mut silence => {
                return Err(TransportError::Silent { host: watch.host.to_owned(), limit: watch.limit });
            }
        }
    }
}

/// What [`pump`] needs to call an exchange dead.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) pulse: &'a Pulse,
    pub(super) limit: Duration,
    pub(super) host: &'a str,
}

async fn feed(input: Vec<Blob>, mut outlet: impl Outlet, pulse: &Pulse) -> Result<(), TransportError> {
    for (piece, skipped) in input.iter().flat_map(unsent) {
        let mut chunks = Chunks::open(piece, skipped).await?;
        while let Some(mut chunk) = chunks.next().await? {
            while !chunk.is_empty() {
                let piece = chunk.split_to(PIECE.min(chunk.len()));
                if !outlet.send(piece).await {
                    return Ok(());
                }
                pulse.beat();
            }
        }
    }
    outlet.finish().await;
    Ok(())
}

/// The pieces of a blob that the other side does not have, and how much of each it has.
fn unsent(blob: &Blob) -> Vec<(&Piece, u64)> {
    let mut there = blob.there();
    let mut unsent = Vec::new();
    for piece in blob.pieces() {
        let skipped = there.min(piece.length());
        there -= skipped;
        if skipped < piece.length() {
            unsent.push((piece, skipped));
        }
    }
    unsent
}

/// The bytes of one piece, without copying those that are in memory.
enum Chunks {
    Memory(Option<Bytes>),
    File { file: File, path: Utf8PathBuf, left: u64 },
}

/// Keeps the shared bytes of a blob alive while they are on their way; they are wiped by their last owner as ever.
struct Shared(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Chunks {
    /// Opens a piece without so many bytes at its beginning.
    async fn open(piece: &Piece, skipped: u64) -> Result<Self, TransportError> {
        match piece {
            Piece::Memory(bytes) => {
                let mut bytes = Bytes::from_owner(Shared(Arc::clone(bytes)));
                drop(bytes.split_to(usize::try_from(skipped).unwrap_or(usize::MAX).min(bytes.len())));
                Ok(Self::Memory(Some(bytes)))
            }
            Piece::File { path, offset, length } => {
                let (offset, length) = (offset + skipped, length - skipped);
                let opened = async {
                    let mut file = File::open(path).await?;
                    if offset != 0 {
                        file.seek(SeekFrom::Start(offset)).await?;
                    }
                    Ok(file)
                };
                let file = opened.await.map_err(|source| unreadable(path, source))?;
                Ok(Self::File { file, path: path.clone(), left: length })
            }
        }
    }

    /// Gives exactly the announced length: the host tells one blob from the next by it.
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        let (file, path, left) = match self {
            Self::Memory(bytes) => return Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Self::File { left: 0, .. } => return Ok(None),
            Self::File { file, path, left } => (file, path, left),
        };
        let wanted = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = BytesMut::with_capacity(wanted);
        let read = (&mut *file).take(wanted as u64).read_buf(&mut chunk).await;
        match read.map_err(|source| unreadable(path, source))? {
            0 => {
                let shrunk = io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was sent");
                Err(unreadable(path, shrunk))
            }
            read => {
                *left = left.saturating_sub(read as u64);
                Ok(Some(chunk.freeze()))
            }
        }
    }
}

fn unreadable(path: &Utf8PathBuf, source: io::Error) -> TransportError {
    TransportError::Input { path: path.to_string(), source }
}

/// When a byte last moved.
pub(super) struct Pulse {
    start: Instant,
    // Milliseconds since the start; an atomic because both directions beat it and the future must be `Send`.
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for `limit`.
    async fn silence(&self, limit: Duration) {
        loop {
            let idle = self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)));
            match limit.checked_sub(idle) {
                None | Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }
}

/// The end of standard error.
#[derive(Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
        // Trimmed at twice the limit, not at every piece: each trim moves the whole tail.
        if self.0.len() > 2 * STDERR_LIMIT {
            self.trim();
        }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.trim();
        self.0
    }

    fn trim(&mut self) {
        let surplus = self.0.len().saturating_sub(STDERR_LIMIT);
        self.0.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_last_bytes() {
        let cases: [(&[usize], usize); 4] =
            [(&[], 0), (&[10], 10), (&[STDERR_LIMIT, 1], STDERR_LIMIT), (&[3 * STDERR_LIMIT, 7], STDERR_LIMIT)];
        for (pieces, expected) in cases {
            let mut tail = Tail::default();
            for (number, length) in pieces.iter().enumerate() {
                tail.push(&vec![u8::try_from(number).unwrap_or(0); *length]);
            }
            let bytes = tail.into_bytes();
            assert_eq!(bytes.len(), expected);
            assert_eq!(bytes.last().copied(), pieces.len().checked_sub(1).and_then(|last| u8::try_from(last).ok()));
        }
    }
}
