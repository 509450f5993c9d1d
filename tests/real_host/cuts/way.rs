//! The ways in which an apply is cut.

use std::thread;
use std::time::{Duration, Instant};

use provision_tests::Error;
use provision_tests::cutting::{Reached, Wrappers};

use super::site::{Running, Site};
use crate::support::Ran;

/// How long the command may wait for a host that says nothing, where that is what is tried.
pub const SILENCE: &str = "3s";

/// How long nothing passes. A command that waits for a host to help itself waits longer than that.
const UNHEARD: Duration = Duration::from_secs(6);

/// Far above that: a command that does not end by then never will.
const STUCK: Duration = Duration::from_secs(120);

/// What is cut, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The command here, by SIGKILL.
    Command,
    /// The connection: the session's sshd on the host, by SIGKILL.
    Session,
    /// The connection: no packet passes, in either direction, for longer than the command waits for one.
    Packets,
    /// What made the call on the host: the shell of one step.
    Step,
    /// The whole program on the host.
    Program,
    /// The host, without warning.
    Power,
}

impl Way {
    pub const ALL: [Self; 6] = [Self::Command, Self::Session, Self::Packets, Self::Step, Self::Program, Self::Power];

    pub const fn silence(self) -> &'static str {
        match self {
            Self::Packets | Self::Power => SILENCE,
            _ => "30s",
        }
    }

    /// Whether a host that is merely slow can pass for one that is gone.
    pub fn is_impatient(self) -> bool {
        self.silence() == SILENCE
    }

    /// Whether what waits on the host can still be waiting when the next run comes.
    pub const fn leaves(self) -> bool {
        matches!(self, Self::Command | Self::Session | Self::Packets)
    }
}

impl Site<'_> {
    /// Cuts, lets what waits go on unless it is to stay, and gives the command's own view of it.
    pub fn cut(&mut self, way: Way, mut running: Running, at: &Reached, stay: Stay) -> Result<Ran, Error> {
        let go = |wrappers: &Wrappers| if stay == Stay::No { wrappers.release(at) } else { Ok(()) };
        match way {
            Way::Command => {
                running.child.kill().map_err(Error::Run)?;
                let ran = running.end()?;
                go(&self.wrappers)?;
                return Ok(ran);
            }
            Way::Session => {
                // The name is long enough, and only this host's processes are seen from there.
                self.host.sh("pkill -KILL sshd-session")?;
                go(&self.wrappers)?;
            }
            Way::Packets => {
                self.host.cable_out()?;
                // What the host goes on doing, it does without being heard.
                go(&self.wrappers)?;
                let ended = running.ended_within(UNHEARD);
                self.host.cable_in()?;
                ended?;
            }
            Way::Step => {
                self.wrappers.kill(at.caller)?;
                go(&self.wrappers)?;
            }
            Way::Program => {
                let program = self.wrappers.top(at.caller);
                self.wrappers.kill(program)?;
                go(&self.wrappers)?;
            }
            Way::Power => {
                // First the cable: a kernel without power says no goodbyes.
                self.host.cable_out()?;
                self.host.unplug()?;
                self.host.cable_in()?;
                self.host.plug_in()?;
                self.wrappers = Wrappers::install(&self.host)?;
            }
        }
        running.ended()?;
        running.end()
    }
}

/// Whether what waits on the host goes on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    Yes,
    No,
}

impl Running {
    /// Waits for its end; one that never comes is an error.
    pub fn ended(&mut self) -> Result<(), Error> {
        if self.ended_within(STUCK)? {
            return Ok(());
        }
        self.child.kill().map_err(Error::Run)?;
        Err(Error::Bed(format!("the command had not ended {STUCK:?} after the cut")))
    }

    /// Waits for its end, but no longer than that; whether it has come.
    fn ended_within(&mut self, limit: Duration) -> Result<bool, Error> {
        let limit = Instant::now() + limit;
        while self.child.try_wait().map_err(Error::Run)?.is_none() {
            if Instant::now() > limit {
                return Ok(false);
            }
            pause(2);
        }
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has nothing else to do")]
pub fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}
