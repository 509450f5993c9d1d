//! What is asked of the person at the terminal: passphrases, and whether to go on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use provision_core::transport::ssh::Passphrases;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::view::safe;

/// Asks for the passphrases of key files on the terminal, once for all hosts.
#[derive(Default)]
pub struct Terminal {
    /// Held while somebody is asked, so that two questions do not mix.
    known: Mutex<BTreeMap<Utf8PathBuf, Zeroizing<String>>>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terminal")
    }
}

/// Somebody to ask, if there is a terminal. Standard input may be something else.
pub fn passphrases() -> Option<Arc<dyn Passphrases>> {
    let device = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };
    OpenOptions::new().read(true).write(true).open(device).ok()?;
    Some(Arc::new(Terminal::default()))
}

#[async_trait]
impl Passphrases for Terminal {
    async fn passphrase(&self, key_file: &Utf8Path, attempt: u32) -> Option<Zeroizing<String>> {
        let mut known = self.known.lock().await;
        if attempt == 1
            && let Some(passphrase) = known.get(key_file)
        {
            return Some(passphrase.clone());
        }
        let again = if attempt == 1 { "" } else { "That was not it. " };
        let question = format!("{again}Passphrase for {}: ", safe::line(key_file.as_str()));
        let asked = tokio::task::spawn_blocking(move || rpassword::prompt_password(question).map(Zeroizing::new));
        let passphrase = asked.await.ok()?.ok().filter(|passphrase| !passphrase.is_empty())?;
        known.insert(key_file.to_owned(), passphrase.clone());
        Some(passphrase)
    }
}

/// Whether a question can be shown and answered.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks whether to go on; anything but yes is no.
///
/// # Errors
/// When the terminal fails.
pub async fn confirm(question: &'static str) -> Result<bool, Error> {
    let ask = move || {
        let mut stdout = io::stdout().lock();
        write!(stdout, "{question} [y/N] ")?;
        stdout.flush()?;
        let mut answer = String::new();
        if io::stdin().read_line(&mut answer)? == 0 {
            writeln!(stdout)?;
        }
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    };
    // In a thread of its own: the connections must be kept alive while somebody thinks.
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| Error::Here { what: "ask", source })
}
