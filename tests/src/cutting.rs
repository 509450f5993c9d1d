//! Stopping a program on a host at an exact call of one of the commands that it runs.
//!
//! The commands are wrapped (`tests/testbed/wrapper`) by a directory that sshd puts first in the path of a login. It is
//! on a tmpfs, so that no snapshot sees it and a power cut takes it away. Nothing else on the host meets the wrappers:
//! systemd's units have a path of their own.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Host};

/// What is wrapped: the commands that change something, lock or write it to disk, and those that measure what is there.
const WRAPPED: &[&str] = &[
    "busctl",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "dd",
    "flock",
    "ln",
    "mkdir",
    "mv",
    "podman",
    "rm",
    "rmdir",
    "sha256sum",
    "stat",
    "sync",
    "systemctl",
    "touch",
];

/// Opening a FIFO this way fails until somebody reads from it (open(2), and fifo(7)): `O_NONBLOCK`.
const NONBLOCK: i32 = 0o4000;

const INSTALL: &str = r#"
umask 022
mkdir -p /run/cuts/bin
cat >/run/cuts/wrapper
chmod 0755 /run/cuts/wrapper
mkfifo /run/cuts/gate
for name; do ln -s ../wrapper "/run/cuts/bin/$name"; done
"#;

/// Once a host, and kept on its disk: a path for logins. A directory that is not there is passed over.
const PREPARE: &str = r"
echo 'SetEnv PATH=/run/cuts/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' >/etc/ssh/sshd_config.d/cuts.conf
systemctl reload ssh
";

/// The wrappers of one host.
#[derive(Debug)]
pub struct Wrappers {
    host: Host,
    /// The host's `/run/cuts`, as it is seen from here.
    directory: PathBuf,
}

/// On which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The command has not been started.
    Before,
    /// It has ended.
    After,
}

/// What the call does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Waits until it is let go.
    Hold,
    /// Goes on.
    Pass,
}

/// The call that was meant has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The process that made the call, by its number on the host.
    pub caller: u32,
    /// The wrapper.
    pub process: u32,
    /// The command and its arguments.
    pub call: String,
}

impl Wrappers {
    /// Lets logins of this host find wrappers first. To be called before the host is recorded.
    pub fn prepare(host: &Host) -> Result<(), Error> {
        host.sh(PREPARE)?.ok().map(drop)
    }

    /// Puts them on the host; again after each boot.
    pub fn install(host: &Host) -> Result<Self, Error> {
        let arguments: Vec<&str> = ["sh", "-c", INSTALL, "sh"].into_iter().chain(WRAPPED.iter().copied()).collect();
        host.exec_with(&arguments, include_bytes!("../testbed/wrapper"))?.ok()?;
        Ok(Self { host: host.clone(), directory: host.root()?.join("run/cuts") })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Counts calls from 1 on, and at one of them does as asked. Of call 0 there is none.
    pub fn arm(&self, call: u32, side: Side, then: Then) -> Result<(), Error> {
        self.disarm()?;
        let calls = self.file("calls");
        absent(fs::remove_dir_all(&calls))?;
        fs::create_dir(&calls).map_err(Error::Run)?;
        absent(fs::remove_file(self.file("reached")))?;
        let side = if side == Side::Before { "before" } else { "after" };
        let then = if then == Then::Hold { "hold" } else { "pass" };
        fs::write(self.file("armed.new"), format!("{call} {side} {then}\n")).map_err(Error::Run)?;
        fs::rename(self.file("armed.new"), self.file("armed")).map_err(Error::Run)
    }

    /// Lets every call pass uncounted.
    pub fn disarm(&self) -> Result<(), Error> {
        absent(fs::remove_file(self.file("armed")))
    }

    /// The calls that were counted, in order.
    pub fn calls(&self) -> Result<Vec<String>, Error> {
        let mut calls = Vec::new();
        for number in 1.. {
            match fs::read_to_string(self.file(&format!("calls/{number}"))) {
                Ok(call) => calls.push(call.trim_end().to_owned()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(Error::Run(error)),
            }
        }
        Ok(calls)
    }

    /// Whether the call that was meant has come.
    #[must_use]
    pub fn reached(&self) -> Option<Reached> {
        let text = fs::read_to_string(self.file("reached")).ok().filter(|text| text.ends_with('\n'))?;
        let mut words = text.trim_end().splitn(3, ' ');
        Some(Reached {
            caller: words.next()?.parse().ok()?,
            process: words.next()?.parse().ok()?,
            call: words.next()?.to_owned(),
        })
    }

    /// Waits for the call that is meant; none when the command here has ended before it.
    pub fn wait(&self, command: &mut Child) -> Result<Option<Reached>, Error> {
        loop {
            if let Some(reached) = self.reached() {
                return Ok(Some(reached));
            }
            if command.try_wait().map_err(Error::Run)?.is_some() {
                return Ok(None);
            }
            pause();
        }
    }

    /// Whether a process of the host is still there.
    #[must_use]
    pub fn lives(&self, process: u32) -> bool {
        self.directory.join(format!("../../proc/{process}")).exists()
    }

    /// The program that a process belongs to: the first one below sshd's.
    #[must_use]
    pub fn top(&self, process: u32) -> u32 {
        let mut top = process;
        while let Some((parent, name)) = self.parent(top) {
            if name.starts_with("sshd") || parent <= 1 {
                break;
            }
            top = parent;
        }
        top
    }

    /// The parent of a process, and that one's name.
    fn parent(&self, process: u32) -> Option<(u32, String)> {
        let read = |process: u32, file: &str| {
            fs::read_to_string(self.directory.join(format!("../../proc/{process}/{file}"))).ok()
        };
        let stat = read(process, "stat")?;
        // After the name, which is in brackets and may have any in it: the state, and then the parent.
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some((parent, read(parent, "comm")?))
    }

    /// Lets the call go that waits, if it still lives.
    pub fn release(&self, reached: &Reached) -> Result<(), Error> {
        let limit = Instant::now() + Duration::from_secs(5);
        while self.lives(reached.process) {
            let gate = OpenOptions::new().write(true).custom_flags(NONBLOCK).open(self.file("gate"));
            match gate {
                Ok(_) => return Ok(()),
                // It has said that it is there, and is about to wait.
                Err(_) if Instant::now() < limit => pause(),
                Err(error) => return Err(Error::Run(error)),
            }
        }
        Ok(())
    }

    /// Ends a process of the host at once.
    pub fn kill(&self, process: u32) -> Result<(), Error> {
        // It may have ended by itself.
        self.host.exec(&["kill", "-KILL", &process.to_string()]).map(drop)
    }
}

impl Host {
    /// The processes that logins over ssh have on the host, but for sshd's own: what a program has left running.
    pub fn login_processes(&self) -> Result<Vec<String>, Error> {
        let root = self.root()?;
        let mut found = Vec::new();
        for slice in directories(&root.join("sys/fs/cgroup/user.slice")) {
            for scope in directories(&slice).into_iter().filter(|path| path.extension().is_some_and(|e| e == "scope")) {
                // It goes with its last process.
                let processes = fs::read_to_string(scope.join("cgroup.procs")).unwrap_or_default();
                for process in processes.lines() {
                    let command = fs::read(root.join("proc").join(process).join("cmdline")).unwrap_or_default();
                    let command = String::from_utf8_lossy(&command).replace('\0', " ");
                    if !command.is_empty() && !command.starts_with("sshd-session:") {
                        found.push(format!("{process} {command}"));
                    }
                }
            }
        }
        Ok(found)
    }
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn absent(result: io::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Run(error)),
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has nothing else to do")]
fn pause() {
    thread::sleep(Duration::from_millis(2));
}
