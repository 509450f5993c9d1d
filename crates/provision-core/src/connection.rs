//! A host as the engine sees it: questions are answered, steps are done. Over a shell and a transport, or made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::attribute::UserName;
use crate::blob::Blob;
use crate::facts::{self, Facts};
use crate::path::AbsPath;
use crate::probe::reply::ReplyError;
use crate::probe::{self, Answer, Answers, Ask};
use crate::shell::{Become, WHOLE, bootstrap, nonce, preamble, quote, sections};
use crate::step::reply::{BatchReply, Heard, Progress};
use crate::step::{self, Batch};
use crate::transport::{Anew, Exit, Request, Stream, Transport, TransportError};

/// What the engine needs of a host. Each method but [`Connection::connect_tcp`] is one exchange.
#[async_trait]
pub trait Connection: Send + Sync {
    /// What to call the host in messages.
    fn label(&self) -> &str;

    /// Gathers the facts, with the home directories of some users.
    async fn facts(&self, homes: &BTreeSet<UserName>) -> Result<Facts, ConnectionError>;

    /// Answers every question, if only by saying that it is unknown.
    async fn ask(&self, asks: &BTreeSet<Ask>) -> Result<Answers, ConnectionError>;

    /// Reads whole files, however secret. A file that is not there is left out.
    async fn read(&self, paths: &BTreeSet<AbsPath>) -> Result<BTreeMap<AbsPath, Zeroizing<Vec<u8>>>, ConnectionError>;

    /// Does the steps of a batch, and tells of each task as it learns of it.
    async fn run(&self, batch: Batch, tell: &mut (dyn FnMut(Heard) + Send)) -> Result<BatchReply, ConnectionError>;

    /// Opens a TCP connection as seen from the host.
    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError>;

    /// Connects to the host anew, once over each address family under which it is known. Nothing comes back for a host that
    /// cannot be lost.
    async fn anew(&self) -> Vec<Again> {
        Vec::new()
    }
}

/// A new connection to a host that is connected already.
pub struct Again {
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// The connection, or why there is none.
    pub connection: Result<Box<dyn Connection>, ConnectionError>,
}

/// Why a host could not be asked or changed at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The transport failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The host's shell did not run the program.
    #[error("{host} did not run the program it was sent{}", explain(.status, .stderr))]
    NotStarted {
        /// The host.
        host: String,
        /// Exit status of the login shell, or of sudo.
        status: Option<u32>,
        /// The end of what it said.
        stderr: String,
    },
    /// The reply ended early.
    #[error("the reply of {host} was cut short{}", explain(.status, .stderr))]
    Cut {
        /// The host.
        host: String,
        /// Exit status.
        status: Option<u32>,
        /// The end of what it said.
        stderr: String,
    },
    /// This machine has no randomness.
    #[error("this machine gives no random numbers: {0}")]
    Random(String),
}

fn explain(status: &Option<u32>, stderr: &str) -> String {
    let mut text = status.map(|status| format!(" (exit status {status})")).unwrap_or_default();
    let last: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    if let Some(line) = last.last() {
        let _infallible = write!(text, ": {}", line.trim());
    }
    text
}

/// A host with a POSIX shell behind a transport.
pub struct ShellConnection<T> {
    transport: T,
    become_: Become,
    silence: Duration,
    state: Option<AbsPath>,
}

impl<T: Transport> ShellConnection<T> {
    /// Uses a transport that is connected. `silence` is the longest time without a byte in either direction.
    pub fn new(transport: T, become_: Become, silence: Duration) -> Self {
        Self { transport, become_, silence, state: None }
    }

    /// Keeps what the host remembers of plans in another directory than the usual one.
    #[must_use]
    pub fn with_state(self, state: Option<AbsPath>) -> Self {
        Self { state, ..self }
    }

    /// Gives the transport back, so that it can say goodbye to its host.
    pub fn into_transport(self) -> T {
        self.transport
    }

    fn request(&self, program: String, blobs: Vec<Blob>, patience: Duration) -> Request {
        // Always set, so that no variable of the login can stand for it.
        let base = quote(self.state.as_ref().map_or("", AbsPath::as_str));
        let program = format!("base={base}\n{program}");
        let command = bootstrap(&program, self.become_);
        let input = std::iter::once(Blob::from_bytes(program.into_bytes())).chain(blobs).collect();
        Request { command, input, silence: self.silence.saturating_add(patience) }
    }

    /// Runs a program that only reads, and gives its whole output.
    async fn exchange(&self, program: String) -> Result<(Vec<u8>, Exit), ConnectionError> {
        let mut reply = Vec::new();
        let exit = self.transport.exchange(self.request(program, Vec::new(), Duration::ZERO), &mut reply).await?;
        Ok((reply, exit))
    }

    fn refuse(&self, error: ReplyError, exit: &Exit) -> ConnectionError {
        let host = self.transport.label().to_owned();
        let stderr = String::from_utf8_lossy(&exit.stderr).trim().to_owned();
        match error {
            ReplyError::NotStarted => ConnectionError::NotStarted { host, status: exit.status, stderr },
            ReplyError::Cut => ConnectionError::Cut { host, status: exit.status, stderr },
        }
    }
}

fn random_nonce() -> Result<String, ConnectionError> {
    nonce().map_err(|error| ConnectionError::Random(error.to_string()))
}

#[async_trait]
impl<T: Transport> Connection for ShellConnection<T> {
    fn label(&self) -> &str {
        self.transport.label()
    }

    async fn facts(&self, homes: &BTreeSet<UserName>) -> Result<Facts, ConnectionError> {
        let nonce = random_nonce()?;
        let (reply, exit) = self.exchange(facts::program(homes, &nonce)).await?;
        facts::read(&reply, &nonce).ok_or_else(|| self.refuse(ReplyError::NotStarted, &exit))
    }

    async fn ask(&self, asks: &BTreeSet<Ask>) -> Result<Answers, ConnectionError> {
        if asks.is_empty() {
            return Ok(Answers::default());
        }
        let nonce = random_nonce()?;
        let (reply, exit) = self.exchange(probe::script::program(asks, &nonce)).await?;
        let all: Vec<&Ask> = asks.iter().collect();
        let mut answers = probe::reply::read(&all, &reply, &nonce).map_err(|error| self.refuse(error, &exit))?;
        for ask in asks {
            if let Ask::Here(name) = ask {
                let found = self.transport.resolve(name.as_str()).await;
                answers.insert(ask.clone(), found.map_or_else(Answer::Unknown, Answer::Here));
            }
        }
        Ok(answers)
    }

    async fn read(&self, paths: &BTreeSet<AbsPath>) -> Result<BTreeMap<AbsPath, Zeroizing<Vec<u8>>>, ConnectionError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nonce = random_nonce()?;
        let mut program = preamble(&nonce);
        program.push_str("main() {\nsay begin\n");
        for path in paths {
            let path = quote(path.as_str());
            let _infallible =
                writeln!(program, "if [ -f {path} ] && [ -r {path} ]; then say file {path}; cat -- {path}; fi");
        }
        let _infallible = writeln!(program, "say end\n}}\nmain </dev/null\n{WHOLE}");
        let (reply, exit) = self.exchange(program).await?;
        let reply = Zeroizing::new(reply);
        let sections = sections(&reply, &nonce);
        if sections.last().is_none_or(|last| last.head != "end") {
            return Err(self.refuse(ReplyError::NotStarted, &exit));
        }
        let found = |path: &&AbsPath| {
            let head = format!("file {path}");
            let section = sections.iter().find(|section| section.head == head)?;
            Some(((*path).clone(), Zeroizing::new(section.body.to_vec())))
        };
        Ok(paths.iter().filter_map(|path| found(&path)).collect())
    }

    async fn run(&self, batch: Batch, tell: &mut (dyn FnMut(Heard) + Send)) -> Result<BatchReply, ConnectionError> {
        let nonce = random_nonce()?;
        let program = step::script::program(&batch, &nonce);
        let blobs: Vec<Blob> = batch.blobs().cloned().collect();
        let request = self.request(program, blobs, step::script::patience(&batch));
        let mut progress = Progress::new(&nonce, tell);
        let ended = self.transport.exchange(request, &mut progress).await;
        progress.finish();
        let read = step::reply::read(&batch, &progress.reply, &nonce);
        match (ended, read) {
            (Ok(exit), Err(error)) => Err(self.refuse(error, &exit)),
            (Err(error), Err(_)) => Err(error.into()),
            // What was done before the connection was lost has been done: the report must say so.
            (Err(error), Ok(reply)) => Ok(BatchReply { lost: Some(error.to_string()), ..reply }),
            (Ok(exit), Ok(reply)) if !reply.ended => {
                let lost = self.refuse(ReplyError::Cut, &exit).to_string();
                Ok(BatchReply { lost: Some(lost), ..reply })
            }
            (Ok(_), Ok(reply)) => Ok(reply),
        }
    }

    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        self.transport.connect_tcp(host, port, limit).await
    }

    async fn anew(&self) -> Vec<Again> {
        let shell = |transport: Box<dyn Transport>| {
            let (become_, silence, state) = (self.become_, self.silence, self.state.clone());
            Box::new(ShellConnection { transport, become_, silence, state }) as Box<dyn Connection>
        };
        let again = |anew: Anew| Again {
            family: anew.family,
            connection: anew.transport.map(shell).map_err(ConnectionError::Transport),
        };
        self.transport.anew().await.into_iter().map(again).collect()
    }
}
