//! Checks from this side, through the connection to the host: TCP, TLS, HTTP.
//!
//! Nothing of a check reaches the network of this side: every connection is opened by [`Connection::connect_tcp`].

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};

use crate::attribute::Span;
use crate::check::{Check, Question};
use crate::connection::Connection;
use crate::transport::TransportError;

mod http;
#[cfg(test)]
pub(crate) mod server;
mod tls;

pub(crate) use tls::Trust;

/// Longest time for one try: a service that accepts connections and never answers must not use up the whole limit, and
/// ten seconds are more than any healthy one takes.
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// Even at the end of the limit a try gets this long: a round trip to the other side of the world, several times.
const SHORTEST_TRY: Duration = Duration::from_secs(2);

/// Asks until the answer is right or the time is up, and says what was answered.
///
/// # Errors
/// With the reason of the last try, in words for people.
pub(crate) async fn until(check: &Check, trust: &Trust, connection: &dyn Connection) -> Result<String, String> {
    let end = Instant::now() + check.limit;
    loop {
        let limit = end.saturating_duration_since(Instant::now()).clamp(SHORTEST_TRY, LONGEST_TRY);
        let mut stage = Stage::Connect;
        let failure = match timeout(limit, once(check, trust, connection, limit, &mut stage)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::passing(format!("{} within {} s", stage.missing(), limit.as_secs())),
        };
        if failure.lasting {
            return Err(failure.reason);
        }
        if Instant::now() + check.pause >= end {
            let limit = Span::seconds(check.limit.as_secs());
            return Err(format!("gave up after {limit}: {}", failure.reason));
        }
        sleep(check.pause).await;
    }
}

/// Why one try came to nothing.
#[derive(Debug)]
struct Failure {
    reason: String,
    /// Trying again cannot help.
    lasting: bool,
}

impl Failure {
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: false }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Tunnel { target, reason, .. } => {
                Self::passing(format!("no connection to {target}: {reason}"))
            }
            error @ TransportError::ConnectTimeout { .. } => Self::passing(error.to_string()),
            TransportError::TunnelForbidden { host } => Self {
                reason: format!(
                    "{host} forbids tunnels (AllowTcpForwarding of its sshd): allow them, or write `from = \"host\"`"
                ),
                lasting: true,
            },
            error => Self { reason: error.to_string(), lasting: true },
        }
    }
}

/// How far a try has come, for telling what never came.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Connect,
    Tls,
    Answer,
}

impl Stage {
    const fn missing(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Tls => "it accepts connections, but no TLS handshake",
            Self::Answer => "no whole answer",
        }
    }
}

async fn once(
    check: &Check,
    trust: &Trust,
    connection: &dyn Connection,
    limit: Duration,
    stage: &mut Stage,
) -> Result<String, Failure> {
    let stream = connection.connect_tcp(&check.host, check.port, limit).await?;
    let Some(tls) = trust.client() else {
        *stage = Stage::Answer;
        return match &check.question {
            Question::Connect => Ok("accepts connections".to_owned()),
            Question::Http(question) => http::get(question, stream).await.map_err(Failure::passing),
        };
    };
    *stage = Stage::Tls;
    let stream = tls.handshake(stream).await.map_err(Failure::passing)?;
    *stage = Stage::Answer;
    match &check.question {
        Question::Connect => Ok("speaks TLS, certificate verified".to_owned()),
        Question::Http(question) => {
            let answer = http::get(question, stream).await.map_err(Failure::passing)?;
            Ok(format!("{answer} over TLS, certificate verified"))
        }
    }
}

/// The time of a check: the one that the plan of changes was made at, moved on by what has passed since.
pub(crate) fn moved_on(now: OffsetDateTime, since: std::time::Instant) -> OffsetDateTime {
    now + since.elapsed()
}

#[cfg(test)]
mod tests;
