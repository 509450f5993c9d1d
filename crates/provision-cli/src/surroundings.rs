//! The working directory, the home directory, the command's own file, the machine's name and the environment. They are read here and nowhere else.

use std::collections::BTreeMap;
use std::io;

use camino::Utf8PathBuf;

use crate::error::Error;
use crate::view::safe;

/// What variables of the environment give inputs are called: `PROVISION_VAR_name`.
const PREFIX: &str = "PROVISION_VAR_";

/// What the command finds around itself.
#[derive(Debug)]
pub struct Surroundings {
    /// Where relative paths start.
    pub working_directory: Utf8PathBuf,
    /// The home directory of whoever runs the command.
    pub home: Option<Utf8PathBuf>,
    /// The login name of whoever runs the command.
    pub user: Option<String>,
    /// What this machine is called.
    pub machine: Option<String>,
    /// The socket of the SSH agent.
    pub agent: Option<Utf8PathBuf>,
    /// Where what can be had again is kept.
    pub cache: Option<Utf8PathBuf>,
    /// Where Windows keeps what is the same for all users.
    pub program_data: Option<Utf8PathBuf>,
    /// Values of inputs by name.
    pub variables: BTreeMap<String, String>,
}

impl Surroundings {
    /// Reads them.
    ///
    /// # Errors
    /// When the working directory is gone or a value is not UTF-8.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads them")]
    pub fn read() -> Result<Self, Error> {
        let failed = |source| Error::Here { what: "tell the working directory".to_owned(), source };
        let working_directory = std::env::current_dir().map_err(failed)?;
        let working_directory = Utf8PathBuf::from_path_buf(working_directory)
            .map_err(|path| failed(io::Error::other(format!("{} is not UTF-8", path.display()))))?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(input) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| {
                Error::usage(format!("the environment variable {PREFIX}{input} is not UTF-8"), "unset it")
            })?;
            variables.insert(input.to_owned(), value);
        }
        let home = std::env::home_dir().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        let cache = ["XDG_CACHE_HOME", "LOCALAPPDATA"].into_iter().find_map(variable).map(Utf8PathBuf::from);
        let cache = cache.filter(|path| path.is_absolute()).or_else(|| Some(home.as_ref()?.join(".cache")));
        Ok(Self {
            working_directory,
            home,
            cache: cache.map(|cache| cache.join("provision")),
            user: ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable),
            machine: machine().or_else(|| variable("COMPUTERNAME")),
            agent: variable("SSH_AUTH_SOCK").map(Utf8PathBuf::from),
            program_data: variable("ProgramData").map(Utf8PathBuf::from),
            variables,
        })
    }

    /// The file of the command that runs.
    ///
    /// # Errors
    /// When the system does not tell, or its path is not UTF-8.
    pub fn command() -> Result<Utf8PathBuf, Error> {
        let failed = |source| Error::Here { what: "tell which file this command is".to_owned(), source };
        let path = std::env::current_exe().map_err(failed)?;
        Utf8PathBuf::from_path_buf(path)
            .map_err(|path| failed(io::Error::other(format!("{} is not UTF-8", path.display()))))
    }

    /// Who is at work, for a host's history and for whoever finds it locked: `user@machine`.
    pub fn who(&self) -> String {
        let user = self.user.as_deref().unwrap_or("somebody");
        let who = match &self.machine {
            Some(machine) => format!("{user}@{machine}"),
            None => user.to_owned(),
        };
        // It goes into lines that others read by their blanks.
        who.chars().map(|c| if c.is_whitespace() || safe::is_hostile(c) { '_' } else { c }).collect()
    }
}

#[cfg(unix)]
fn machine() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(not(unix))]
fn machine() -> Option<String> {
    None
}
