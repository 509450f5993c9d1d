//! A run of the testbed, and its end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::case::HostKind;
use crate::host::Plug;
use crate::target;
use crate::{Error, Host};

/// The bridge's address, from which every test comes.
const BRIDGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// What the hosts of a run have in common.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
    directory: PathBuf,
}

impl Run {
    /// `tests/testbed/bed`, for this run.
    pub(crate) fn bed(&self) -> Command {
        bed(&self.name)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    pub(crate) fn command_in_bridge(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("ptb-{}-bridge", self.name)]).arg(program);
        command
    }
}

pub(crate) fn bed(run: &str) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testbed/bed"));
    command.env("PROVISION_TESTBED_RUN", run).stdin(Stdio::null());
    command
}

/// Runs a command of the bed to its end.
pub(crate) fn done(command: &mut Command) -> Result<(), Error> {
    said(command).map(drop)
}

/// Like [`done`]: what it says on standard output.
pub(crate) fn said(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(Error::Run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Bed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

type Slot = Arc<OnceLock<Result<Host, String>>>;

/// Hosts on a network of their own. They end with this value, or with the process.
#[derive(Debug)]
pub struct Testbed {
    run: Arc<Run>,
    base: PathBuf,
    /// By name; filled by whoever asks first, while the others wait.
    hosts: Mutex<BTreeMap<String, Slot>>,
    /// Of the next host. Never used twice: a peer may remember an address.
    index: AtomicU32,
    /// Cleans up when its standard input closes, which the kernel does however this process ends.
    guard: Child,
}

impl Testbed {
    /// The one bed of a test binary, made at the first call.
    pub fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceLock<Result<Testbed, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start().map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|error| Error::Bed(error.clone()))
    }

    /// A bed apart from the shared one, gone when it is dropped.
    pub fn start() -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // A process number comes back some day; the guard first cleans what a dead run of that name left.
        let name = format!("t{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut guard = bed(&name)
            .arg("guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What is sent to the tests' process group must not end the one who cleans up after them.
            .process_group(0)
            .spawn()
            .map_err(Error::Run)?;
        let mut lines =
            guard.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        let (Some(directory), Some(base)) = (lines.next(), lines.next()) else {
            // It has said why on standard error.
            return Err(Error::Bed("the run did not start".to_owned()));
        };
        Ok(Self {
            run: Arc::new(Run { name, directory: directory.into() }),
            base: base.into(),
            hosts: Mutex::default(),
            index: AtomicU32::new(1),
            guard,
        })
    }

    /// The host of this name, booted at the first call and shared afterwards. It is `NAME.example.com`, too.
    pub fn host(&self, name: &str) -> Result<Host, Error> {
        let slot =
            Arc::clone(self.hosts.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default());
        slot.get_or_init(|| self.boot(name, "debian13", Plug::Shared).map_err(|error| error.to_string()))
            .clone()
            .map_err(Error::Bed)
    }

    /// A host for one test alone, thrown away when its last clone is dropped. The name must be unlike all others.
    pub fn fresh_host(&self, name: &str) -> Result<Host, Error> {
        self.boot(name, "debian13", Plug::Own)
    }

    /// Like [`Testbed::fresh_host`], of another kind. It has the name of its kind.
    pub fn fresh_host_of(&self, kind: HostKind) -> Result<Host, Error> {
        self.fresh_host_as(kind.name(), kind)
    }

    /// Like [`Testbed::fresh_host_of`], with a name of its own.
    pub fn fresh_host_as(&self, name: &str, kind: HostKind) -> Result<Host, Error> {
        let host = self.boot(name, kind.base(), Plug::Own)?;
        if kind.user() != "root" {
            host.sh("loginctl enable-linger core && until [ -S /run/user/1000/bus ]; do sleep 0.05; done")?.ok()?;
        }
        Ok(host)
    }

    fn boot(&self, name: &str, base: &str, plug: Plug) -> Result<Host, Error> {
        let index = self.index.fetch_add(1, Ordering::Relaxed);
        done(self.run.bed().args(["up", "--as", base, name, &index.to_string()]))?;
        Host::new(Arc::clone(&self.run), name, plug)
    }

    /// A program in the bridge's network namespace, where hosts are reached by address and by name.
    pub fn command_in_bridge(&self, program: impl AsRef<OsStr>) -> Command {
        self.run.command_in_bridge(program)
    }

    /// The command under test, in the bridge's network namespace, with an environment that holds nothing of this
    /// machine's: no agent, no known hosts, an empty home.
    pub fn provision(&self) -> Result<Command, Error> {
        let home = self.run.path("home");
        std::fs::create_dir_all(&home).map_err(Error::Run)?;
        let mut command = self.command_in_bridge(target::provision()?);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &home).stdin(Stdio::null());
        Ok(command)
    }

    /// Private key of the run: root's and core's on every host.
    pub fn ssh_key(&self) -> PathBuf {
        self.run.path("key")
    }

    /// The keys of all hosts, in the format of OpenSSH.
    pub fn known_hosts(&self) -> PathBuf {
        self.run.path("known_hosts")
    }

    /// An OCI archive of `localhost/registry:1`, a real registry (`/usr/bin/docker-registry serve CONFIG`).
    pub fn registry_archive(&self) -> PathBuf {
        self.base.join("registry.oci.tar")
    }

    /// A docker-archive of `localhost/tiny:1`, BusyBox and nothing else.
    pub fn tiny_archive(&self) -> PathBuf {
        self.base.join("tiny.docker.tar")
    }

    /// Another way to a host's ssh port, `each_way` longer in each direction: half of the round trip it stands for.
    pub fn delayed(&self, host: &Host, each_way: Duration) -> Result<DelayProxy, Error> {
        let mut process = self
            .command_in_bridge(target::built("delay_proxy")?)
            .arg(SocketAddr::from((BRIDGE, 0)).to_string())
            .arg(SocketAddr::from((host.ipv4, 22)).to_string())
            .arg(each_way.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::Run)?;
        let line = process.stdout.take().and_then(|stdout| BufReader::new(stdout).lines().next());
        let address = line.and_then(Result::ok).and_then(|line| line.parse::<SocketAddr>().ok());
        let Some(address) = address else {
            return Err(Error::Bed("the delay proxy did not say where it listens".to_owned()));
        };
        let proxy = DelayProxy { address, process };
        done(self.run.bed().args(["know", &host.name, &format!("[{}]:{}", address.ip(), address.port())]))?;
        Ok(proxy)
    }

    /// Where the run keeps its things, for a person who looks: consoles in `hosts/NAME/console.log`.
    pub fn directory(&self) -> &Path {
        &self.run.directory
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It cannot fail to end; and if it did, the next run would clean up.
        let _ = self.guard.wait();
    }
}

/// A running delay proxy; ends when dropped.
#[derive(Debug)]
pub struct DelayProxy {
    /// To connect to instead of the host's own; known under the host's keys.
    pub address: SocketAddr,
    process: Child,
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
