//! Connects to the hosts of a plan the way OpenSSH would: same keys, same agent, same known hosts.

use camino::{Utf8Path, Utf8PathBuf};
use provision_core::connection::{Connection, ConnectionError, ShellConnection};
use provision_core::engine::EngineError;
use provision_core::plan::host::{Host, Reach, SshAddress};
use provision_core::transport::TransportError;
use provision_core::transport::local::Local;
use provision_core::transport::ssh::{Ssh, SshOptions};

use crate::args;
use crate::error::Error;
use crate::prompt::Terminal;
use crate::surroundings::Surroundings;

/// What OpenSSH tries without being told, in its order.
const DEFAULT_IDENTITIES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// A host that answers.
pub enum Link {
    /// This machine.
    Local(ShellConnection<Local>),
    /// A host over SSH.
    Ssh(Box<ShellConnection<Ssh>>),
}

impl Link {
    /// What the engine needs.
    pub fn connection(&self) -> &dyn Connection {
        match self {
            Self::Local(connection) => connection,
            Self::Ssh(connection) => connection.as_ref(),
        }
    }

    /// Says goodbye, so that the host logs no lost connection.
    pub async fn close(self) {
        match self {
            Self::Local(_) => {}
            Self::Ssh(connection) => connection.into_transport().close().await,
        }
    }
}

/// Everything that a login may need, gathered once for all hosts.
pub struct Connector {
    user: Option<String>,
    known_hosts: Vec<Utf8PathBuf>,
    /// Named on the command line.
    identities: Vec<Utf8PathBuf>,
    home: Option<Utf8PathBuf>,
    /// Where relative paths in the plan start.
    folder: Utf8PathBuf,
    agent: Option<Utf8PathBuf>,
    terminal: Option<Terminal>,
}

impl Connector {
    /// Takes what the command line says, and what is usual where it says nothing.
    ///
    /// # Errors
    /// When a file that was named is not there.
    pub fn new(reach: &args::Reach, plan: &Utf8Path, surroundings: &Surroundings) -> Result<Self, Vec<Error>> {
        let named = reach.identity.iter().chain(&reach.known_hosts);
        let missing = |path: &Utf8PathBuf| {
            let source = std::fs::metadata(path).err()?;
            Some(Error::Read { path: path.clone(), source, help: None })
        };
        let missing: Vec<Error> = named.filter_map(missing).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let absolute = |path: &Utf8PathBuf| surroundings.working_directory.join(path);
        Ok(Self {
            user: surroundings.user.clone(),
            known_hosts: match &reach.known_hosts {
                Some(file) => vec![file.clone()],
                None => known_hosts(surroundings),
            },
            identities: reach.identity.clone(),
            home: surroundings.home.clone(),
            folder: plan.parent().map(|folder| absolute(&folder.to_owned())).unwrap_or_default(),
            agent: surroundings.agent.clone().or_else(|| cfg!(windows).then(|| WINDOWS_AGENT.into())),
            terminal: Terminal::open(),
        })
    }

    /// As whom one logs in to a host over SSH.
    pub fn user<'a>(&'a self, host: &'a Host) -> Option<&'a str> {
        match &host.reach {
            Reach::Local => None,
            Reach::Ssh(SshAddress { user, .. }) => user.as_deref().or(self.user.as_deref()),
        }
    }

    /// Connects to a host and logs in.
    ///
    /// # Errors
    /// When it cannot be reached or trusted, or does not let us in.
    pub async fn connect(&self, host: &Host) -> Result<Link, Error> {
        let failed = |error: TransportError| {
            Error::host(&host.name, self.user(host), EngineError::Connection(ConnectionError::Transport(error)))
        };
        match &host.reach {
            Reach::Local => {
                Ok(Link::Local(ShellConnection::new(Local, host.become_, host.silence).with_state(host.state.clone())))
            }
            Reach::Ssh(address) => {
                let ssh = Ssh::connect(&self.options(host, address)?).await.map_err(failed)?;
                let connection = ShellConnection::new(ssh, host.become_, host.silence);
                Ok(Link::Ssh(Box::new(connection.with_state(host.state.clone()))))
            }
        }
    }

    fn options(&self, host: &Host, address: &SshAddress) -> Result<SshOptions, Error> {
        let SshAddress { address, port, user: _, identity, connect_limit } = address;
        let user = self.user(host).ok_or_else(|| {
            Error::usage(
                format!("nobody says as whom to log in to host {}", host.name),
                format!("add `user = ...` to [host.{}]", host.name),
            )
        })?;
        let mut options = SshOptions::new(address, user);
        options.port = *port;
        options.known_hosts.clone_from(&self.known_hosts);
        options.identity_files = self.identity_files(identity.as_deref());
        options.agent.clone_from(&self.agent);
        options.passphrases = self.terminal.as_ref().map(Terminal::for_host);
        options.connect_timeout = *connect_limit;
        Ok(options)
    }

    /// Only those that are named, where any is; otherwise the usual ones that exist.
    fn identity_files(&self, of_plan: Option<&str>) -> Vec<Utf8PathBuf> {
        let of_plan = of_plan.map(|path| match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(path),
        });
        let named: Vec<Utf8PathBuf> = self.identities.iter().cloned().chain(of_plan).collect();
        if !named.is_empty() {
            return named;
        }
        let usual = |home: &Utf8PathBuf| DEFAULT_IDENTITIES.map(|name| home.join(".ssh").join(name));
        self.home.iter().flat_map(usual).filter(|path| path.exists()).collect()
    }
}

const WINDOWS_AGENT: &str = r"\\.\pipe\openssh-ssh-agent";

fn known_hosts(surroundings: &Surroundings) -> Vec<Utf8PathBuf> {
    let own = surroundings.home.iter().map(|home| home.join(".ssh"));
    let own = own.flat_map(|folder| [folder.join("known_hosts"), folder.join("known_hosts2")]);
    let system = match (&surroundings.program_data, cfg!(windows)) {
        (Some(folder), true) => folder.join("ssh"),
        _ => Utf8PathBuf::from("/etc/ssh"),
    };
    own.chain([system.join("ssh_known_hosts"), system.join("ssh_known_hosts2")]).collect()
}
