//! As much of a Redis client as tells whether the password is right. Protocol: RESP 2,
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server of Redis and its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    pub host: String,
    pub port: u16,
    pub password: String,
}

/// Why it cannot be used.
#[derive(Debug)]
pub enum Trouble {
    /// It may come yet.
    Unreachable(String),
    /// It answers, and not as it should: WRONGPASS and the like. The answer.
    Refused(String),
}

impl Redis {
    /// Logs in and says hello.
    pub async fn check(&self) -> Result<(), Trouble> {
        let Self { host, port, password } = self;
        let at = |error: &dyn std::fmt::Display| Trouble::Unreachable(format!("redis at {host}:{port}: {error}"));
        let asked = timeout(Duration::from_secs(2), async {
            let mut stream = BufReader::new(TcpStream::connect((host.as_str(), *port)).await?);
            let login = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
            for command in [login.as_str(), "*1\r\n$4\r\nPING\r\n"] {
                stream.write_all(command.as_bytes()).await?;
                stream.flush().await?;
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                if !line.starts_with('+') {
                    return Ok(Err(line.trim().trim_start_matches('-').to_owned()));
                }
            }
            Ok(Ok(()))
        });
        match asked.await {
            Err(elapsed) => Err(at(&elapsed)),
            Ok(Err::<_, std::io::Error>(error)) => Err(at(&error)),
            Ok(Ok(Err(refusal))) if refusal.is_empty() => Err(at(&"closed the connection")),
            Ok(Ok(Err(refusal))) => Err(Trouble::Refused(format!("redis at {host}:{port} says: {refusal}"))),
            Ok(Ok(Ok(()))) => Ok(()),
        }
    }
}
