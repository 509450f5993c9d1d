//! Where Quadlet files stand, as whom they are put there and who reads them.

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::resource::definition::{Home, Reader};
use crate::resource::quadlet::DIRECTORY;
use crate::resource::{Setup, scope};
use crate::step::Ownership;
use crate::systemd::Manager;

/// Where an administrator's Quadlet files stand.
const DEFAULT_DIRECTORY: &str = "/etc/containers/systemd";
/// Where podman's generator looks for the system's own units; podman-systemd.unit(5).
const READ: [&str; 3] = [DEFAULT_DIRECTORY, "/run/containers/systemd", "/usr/share/containers/systemd"];
/// Below the first: for the managers of users.
const USERS: &str = "/etc/containers/systemd/users";

/// Where a user's own Quadlet files stand, below the home, and the other places where users' managers look; the same page.
const USER_DIRECTORY: [&str; 3] = [".config", "containers", "systemd"];
const USER_READ: [&str; 4] =
    [USERS, "/run/user", "/run/containers/systemd/users", "/usr/share/containers/systemd/users"];

/// A directory of Quadlet files.
#[derive(Debug)]
pub(crate) struct Place {
    /// Whose units are made of what stands there.
    pub(crate) manager: Manager,
    pub(crate) directory: AbsPath,
    /// As whom it is put there.
    pub(crate) writer: Manager,
    /// Directories that are made with what is put there, the outermost first.
    pub(crate) made: Vec<AbsPath>,
}

/// Who reads what stands in a directory.
pub(crate) fn reader(directory: &AbsPath, manager: &Manager) -> Reader {
    let for_users = || USERS.parse().is_ok_and(|users| directory.is_within(&users));
    match manager {
        Manager::System if for_users() => Reader::Nobody,
        Manager::System => Reader::of(directory, &READ),
        user => Reader::of_user(user, directory, &USER_DIRECTORY.join("/"), &USER_READ),
    }
}

impl Place {
    /// Reads `scope` and `directory`; nothing when one of them is wrong.
    pub(crate) fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Self> {
        let manager = scope::manager(fields);
        let written: Option<AbsPath> = fields.optional(DIRECTORY.name);
        let manager = manager?;
        if fields.has(DIRECTORY.name) {
            let directory = written?;
            let is_default = manager == Manager::System && directory.as_str() == DEFAULT_DIRECTORY;
            let made = is_default.then(|| directory.clone()).into_iter().collect();
            return Some(Self { manager, directory, writer: Manager::System, made });
        }
        let made = match &manager {
            Manager::System => vec![DEFAULT_DIRECTORY.parse().ok()?],
            user => scope::below_home(&USER_DIRECTORY, user, fields, setup)?,
        };
        Some(Self { directory: made.last()?.clone(), writer: manager.clone(), manager, made })
    }

    /// Where the directory comes from, and the one within that a file has of its own.
    pub(crate) fn home(&self, own: Option<AbsPath>) -> Home {
        let made: Vec<AbsPath> = self.made.iter().cloned().chain(own).collect();
        if made.is_empty() { Home::Expected } else { Home::Made(made) }
    }

    /// Who reads what stands there.
    pub(crate) fn reader(&self) -> Reader {
        reader(&self.directory, &self.manager)
    }

    /// Who owns what is put there.
    pub(crate) fn ownership(&self) -> Ownership {
        scope::ownership(&self.writer)
    }
}
