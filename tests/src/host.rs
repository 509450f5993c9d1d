//! One host: what is run on it and what is read from it.

use std::fmt;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::Error;
use crate::bed::{Run, done};
use crate::recording::{self, Snapshot, UnitStates};

/// A booted Debian host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its host name; `NAME.example.com` is the same host.
    pub name: String,
    /// On the bridge.
    pub ipv4: Ipv4Addr,
    /// On the bridge.
    pub ipv6: Ipv6Addr,
    /// Private key that opens root's and core's account.
    pub ssh_key: PathBuf,
    /// Knows this host by its names and addresses.
    pub known_hosts: PathBuf,
    run: Arc<Run>,
    _life: Arc<Life>,
}

/// When a host ends: with its bed, or with the last who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plug {
    Shared,
    Own,
}

#[derive(Debug)]
struct Life {
    run: Arc<Run>,
    name: String,
    plug: Plug,
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.plug == Plug::Own {
            // What remains goes with the bed.
            let _ = done(self.run.bed().args(["down", &self.name]));
        }
    }
}

/// How a command ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `None`: by a signal.
    pub code: Option<i32>,
    /// Standard output, lossily.
    pub stdout: String,
    /// Standard error, lossily.
    pub stderr: String,
    /// For messages: where, and what was run.
    pub command: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output without the last newline, or everything there is to say about the failure.
    pub fn ok(self) -> Result<String, Error> {
        if self.success() { Ok(self.stdout.trim_end_matches('\n').to_owned()) } else { Err(Error::Command(self)) }
    }

    fn new(command: String, output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), command }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr, command } = self;
        match code {
            Some(code) => write!(f, "{command}: exit code {code}")?,
            None => write!(f, "{command}: ended by a signal")?,
        }
        write!(f, "\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Host {
    pub(crate) fn new(run: Arc<Run>, name: &str, plug: Plug) -> Result<Self, Error> {
        let life = Arc::new(Life { run: Arc::clone(&run), name: name.to_owned(), plug });
        let addresses = std::fs::read_to_string(run.path(&format!("hosts/{name}/addresses"))).map_err(Error::Run)?;
        let mut words = addresses.split_whitespace();
        let (Some(Ok(ipv4)), Some(Ok(ipv6))) = (words.next().map(str::parse), words.next().map(str::parse)) else {
            return Err(Error::Bed(format!("{name} has no addresses but '{addresses}'")));
        };
        Ok(Self {
            name: name.to_owned(),
            ipv4,
            ipv6,
            ssh_key: run.path("key"),
            known_hosts: run.path("known_hosts"),
            run,
            _life: life,
        })
    }

    /// Runs a command as root, past the network and without a login, so that it leaves nothing but what it does.
    pub fn exec(&self, command: &[&str]) -> Result<Output, Error> {
        self.exec_with(command, b"")
    }

    /// Like [`Host::exec`], with standard input.
    pub fn exec_with(&self, command: &[&str], input: &[u8]) -> Result<Output, Error> {
        let output = self.exec_raw(command, input)?;
        Ok(Output::new(format!("{}: {}", self.name, command.join(" ")), output))
    }

    /// Like [`Host::exec`], for a shell script (dash).
    pub fn sh(&self, script: &str) -> Result<Output, Error> {
        self.exec(&["sh", "-c", script])
    }

    /// Runs a shell script in a login of this user over ssh, as the machine's own client does it: a real session, with
    /// the user's service manager and run-time directory.
    pub fn login(&self, user: &str, script: &str) -> Result<Output, Error> {
        let output = self.ssh(user).arg(self.ipv4.to_string()).arg(script).output().map_err(Error::Run)?;
        Ok(Output::new(format!("{user}@{}: {script}", self.name), output))
    }

    /// The machine's `ssh`, in the bridge's network namespace, with the key and the known hosts of the run and nothing
    /// of this machine's configuration. What is missing is where to and what.
    pub fn ssh(&self, user: &str) -> Command {
        let mut command = self.run.command_in_bridge("ssh");
        command
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "GlobalKnownHostsFile=none"])
            .args(["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "IdentityAgent=none", "-l", user, "-i"])
            .arg(&self.ssh_key)
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.known_hosts.display()))
            .stdin(Stdio::null());
        command
    }

    /// Powers off in good order and boots again. Files stay, but not those in /run, /tmp and /dev/shm.
    pub fn reboot(&self) -> Result<(), Error> {
        done(self.run.bed().args(["reboot", &self.name]))
    }

    /// Ends every process on the host at once and boots again: a power cut, though the disk forgets nothing.
    pub fn power_cut(&self) -> Result<(), Error> {
        self.unplug()?;
        self.plug_in()
    }

    /// The first half of [`Host::power_cut`]; the host is then off, and its address does not answer.
    pub fn unplug(&self) -> Result<(), Error> {
        done(self.run.bed().args(["cut", &self.name]))
    }

    /// Boots a host that is off.
    pub fn plug_in(&self) -> Result<(), Error> {
        done(self.run.bed().args(["boot", &self.name]))
    }

    /// Pulls the host's cable: what is under way is lost, and neither side is told. Its connections stay.
    pub fn cable_out(&self) -> Result<(), Error> {
        done(self.run.bed().args(["link", &self.name, "down"]))
    }

    /// The end of [`Host::cable_out`].
    pub fn cable_in(&self) -> Result<(), Error> {
        done(self.run.bed().args(["link", &self.name, "up"]))
    }

    /// The host's `/` as this machine sees it: everything that is mounted there, also `/run` and `/proc`. Another one
    /// after each boot.
    pub fn root(&self) -> Result<PathBuf, Error> {
        let output = self.run.bed().args(["leader", &self.name]).output().map_err(Error::Run)?;
        let leader = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && !leader.is_empty() {
            return Ok(PathBuf::from(format!("/proc/{leader}/root")));
        }
        Err(Error::Bed(format!("{} is off", self.name)))
    }

    /// Writes a file as root, mode 0644 if it is new, with the directories above it.
    pub fn copy_in(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let script = r#"mkdir -p -- "$(dirname -- "$1")" && cat >"$1""#;
        let output = self.exec_raw(&["sh", "-c", script, "sh", path], bytes)?;
        Output::new(format!("{}: write {path}", self.name), output).ok().map(drop)
    }

    /// Reads a file as root.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let output = self.exec_raw(&["cat", "--", path], b"")?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Command(Output::new(format!("{}: read {path}", self.name), output)))
    }

    /// Tells this host the other's names, in /etc/hosts.
    pub fn learn(&self, other: &Self) -> Result<(), Error> {
        let Self { name, ipv4, ipv6, .. } = other;
        let script = r#"for address in "$2" "$3"; do echo "$address $1 $1.example.com" >>/etc/hosts; done"#;
        self.exec(&["sh", "-c", script, "sh", name, &ipv4.to_string(), &ipv6.to_string()])?.ok().map(drop)
    }

    /// Records the whole file system, but for [`crate::EXCLUDED_PATHS`]. Takes a second or two.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let list = self.exec_raw(&["sh", "-c", &recording::list_script()], b"")?;
        recording::read_snapshot(&list.stdout)
    }

    /// Records the system's units, but for [`crate::EXCLUDED_UNITS`].
    pub fn unit_states(&self) -> Result<UnitStates, Error> {
        let states = self.sh(recording::UNITS_SCRIPT)?.ok()?;
        Ok(recording::read_units(&states))
    }

    /// Records the units of a user's own service manager, which must be running (a login, or lingering).
    pub fn user_unit_states(&self, user: &str) -> Result<UnitStates, Error> {
        let script = format!(
            "exec runuser -u \"$1\" -- env XDG_RUNTIME_DIR=/run/user/$(id -u \"$1\") sh -c 'systemctl() {{ command systemctl --user \"$@\"; }}\n{}'",
            recording::UNITS_SCRIPT
        );
        let states = self.exec(&["sh", "-c", &script, "sh", user])?.ok()?;
        Ok(recording::read_units(&states))
    }

    fn exec_raw(&self, command: &[&str], input: &[u8]) -> Result<std::process::Output, Error> {
        let mut child = self
            .run
            .bed()
            .args(["exec", &self.name])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::Run)?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // Beside the reading, or both sides could wait for each other. A command need not read what it is given.
            scope.spawn(|| stdin.map(|mut pipe| pipe.write_all(input)));
            child.wait_with_output().map_err(Error::Run)
        })
    }
}
