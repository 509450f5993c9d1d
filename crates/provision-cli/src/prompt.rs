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

/// Passphrases by key file.
type Known = BTreeMap<Utf8PathBuf, Zeroizing<String>>;

/// The terminal at which passphrases are asked for, once for all hosts.
#[derive(Clone)]
pub struct Terminal {
    /// Held while somebody is asked, so that two questions do not mix.
    known: Arc<Mutex<Known>>,
}

impl Terminal {
    /// The terminal, if there is one. Standard input may be something else.
    pub fn open() -> Option<Self> {
        let device = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };
        OpenOptions::new().read(true).write(true).open(device).ok()?;
        Some(Self { known: Arc::default() })
    }

    /// What one host asks.
    pub fn for_host(&self) -> Arc<dyn Passphrases> {
        Arc::new(Asker { terminal: self.clone(), given: Mutex::default() })
    }
}

/// Asks on behalf of one host.
struct Asker {
    terminal: Terminal,
    /// What this host was given. When it asks again, that was wrong.
    given: Mutex<Known>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

#[async_trait]
impl Passphrases for Asker {
    async fn passphrase(&self, key_file: &Utf8Path, _attempt: u32) -> Option<Zeroizing<String>> {
        let mut known = self.terminal.known.lock().await;
        let mut given = self.given.lock().await;
        let wrong = given.get(key_file);
        let passphrase = match known.get(key_file) {
            // Another host has asked in the meantime.
            Some(passphrase) if wrong != Some(passphrase) => passphrase.clone(),
            _ => {
                let again = if wrong.is_some() { "That was not it. " } else { "" };
                let question = format!("{again}Passphrase for {}: ", safe::line(key_file.as_str()));
                let ask = move || rpassword::prompt_password(question).map(Zeroizing::new);
                let asked = tokio::task::spawn_blocking(ask).await;
                asked.ok()?.ok().filter(|passphrase| !passphrase.is_empty())?
            }
        };
        known.insert(key_file.to_owned(), passphrase.clone());
        given.insert(key_file.to_owned(), passphrase.clone());
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
pub async fn confirm(question: &str) -> Result<bool, Error> {
    let question = safe::line(question).into_owned();
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
    asked
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|source| Error::Here { what: "ask".to_owned(), source })
}
