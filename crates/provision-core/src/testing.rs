//! A made-up host and the contract suite: for testing kinds, here and elsewhere, without a host.
//!
//! The fake interprets questions and steps as data, remembers plans as a host does, counts exchanges, and can be told to
//! fail, to be locked, and to be cut off.

use std::sync::{Mutex, PoisonError};

mod answer;
mod case;
mod connection;
mod memory;
mod put_back;
mod state;
mod step;
mod unit;

#[cfg(test)]
mod tests;

pub use case::{Case, NOW, case, contract};
pub use memory::{Noted, Past, Remembered};
pub use state::State;

/// A host that exists in memory only.
#[derive(Debug, Default)]
pub struct FakeHost {
    state: Mutex<State>,
}

impl FakeHost {
    /// A host with an ordinary tree of directories, a running firewall, and an HTTP server on port 8080 whose status is
    /// `ok`.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::new(State::ordinary()) }
    }

    /// Looks at the state, or changes it as somebody else would.
    pub fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        // A panic of another test thread leaves plain data behind, which is as good as before.
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connects anew after [`State::cut_at`] has cut the connection: until then every exchange fails.
    pub fn reconnect(&self) {
        self.with(|state| state.lost = false);
    }
}
