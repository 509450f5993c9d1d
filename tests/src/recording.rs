//! Recordings of a host, to compare: what is in its file system, and what its units do.
//!
//! Two recordings with nothing between them are equal, and a login between them makes no difference. What had to be
//! left out for that stands in lists here, each line with its reason.
//!
//! What tools leave that only read is in a recording, because a plan that calls itself dry should know (all tried here):
//! the first podman command of a user, even `podman ps`, makes its storage, and one that names an image a cache
//! directory; `haproxy -c` and `systemd-analyze verify` have a file for a moment in /dev/shm and /tmp, which the
//! directory's time of modification tells.

use std::collections::BTreeMap;
use std::fmt;

use crate::Error;

/// What a snapshot leaves out: patterns as in `find -path` (where `*` matches a slash as well), each with its reason.
/// A directory that matches is left out with all that is in it.
pub const EXCLUDED_PATHS: &[(&str, &str)] = &[
    ("/proc", "the kernel's"),
    ("/sys", "the kernel's"),
    ("/dev/[!s]*", "devices; /dev/shm is looked at"),
    ("/dev/st*", "devices; /dev/shm is looked at"),
    ("/run/systemd", "systemd's own books: sessions, units, journal streams"),
    ("/run/user/*", "comes and goes with a login"),
    ("/run/log", "the journal, until it is flushed"),
    ("/run/motd.dynamic", "made anew for each login"),
    ("/run/agetty.reload", "made by the console's login, some time after the boot"),
    ("/var/log/journal", "every login is a line in it"),
    ("/var/log/wtmp*", "logins"),
    ("/var/log/btmp*", "logins"),
    ("/var/log/lastlog*", "logins"),
    ("/var/lib/lastlog", "logins"),
    ("/var/lib/wtmpdb", "logins"),
    ("*/containers/storage/storage.lock", "each podman, also one that only reads, signs it"),
    ("/dev/shm/libpod*lock", "each podman, also one that only reads, takes locks in it"),
    ("/var/lib/containers/storage/overlay/*/merged", "a running container's view of layers that are looked at"),
];

/// Directories whose time of modification says nothing, since what is left out comes and goes in them.
pub const TIMELESS: &[&str] = &["/run", "/run/user", "/var/log"];

/// Units that a recording leaves out, by how their names begin, each with its reason.
pub const EXCLUDED_UNITS: &[(&str, &str)] = &[
    ("session-", "a login"),
    ("user-", "a login's slice and run-time directory"),
    ("user@", "a login's service manager"),
    ("run-user-", "a login's run-time directory"),
];

/// Things by name, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording<T>(BTreeMap<String, T>);

/// A file system by path.
pub type Snapshot = Recording<Entry>;

/// Units by name.
pub type UnitStates = Recording<UnitState>;

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As `find -printf %y`: `f`, `d`, `l`, ...
    pub kind: String,
    /// Octal.
    pub mode: String,
    /// Owner.
    pub uid: String,
    /// Group.
    pub gid: String,
    /// In bytes; of a directory, 0: it says only how many names it once held.
    pub size: String,
    /// Seconds since the epoch, to the nanosecond. A directory's tells that a file was in it for a moment.
    pub modified: String,
    /// Of a symbolic link.
    pub target: String,
    /// Of a regular file: SHA-256. Empty if it vanished while it was being read.
    pub digest: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, uid, gid, size, modified, target, digest } = self;
        write!(f, "{kind} {mode} {uid}:{gid} {size} bytes, modified {modified} {target}{digest}")
    }
}

/// What a unit does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `active`, `failed`, `activating`, ...; empty for one that is inactive. Systemd forgets those when it likes, so
    /// nothing else of them but the file is recorded.
    pub active: String,
    /// `running`, `exited`, ...
    pub sub: String,
    /// `enabled`, `disabled`, `static`, ...; empty for a unit without a file.
    pub file: String,
    /// Another one after each start: tells a restart.
    pub invocation: String,
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, sub, file, invocation } = self;
        write!(f, "'{active} {sub}', file '{file}', invocation '{invocation}'")
    }
}

impl<T> Recording<T> {
    /// What was recorded under this path or unit name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name)
    }

    /// All of it, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, thing)| (name.as_str(), thing))
    }
}

impl<T: PartialEq + fmt::Display> Recording<T> {
    /// What became different until `later`: a line a name, sorted; none if they are equal.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(later.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let line = |name: &String| match (self.0.get(name), later.0.get(name)) {
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => Some(format!("changed {name}: {before} -> {after}")),
            (Some(before), None) => Some(format!("gone    {name}: {before}")),
            (None, Some(after)) => Some(format!("new     {name}: {after}")),
            (None, None) => None,
        };
        names.into_iter().filter_map(line).collect()
    }
}

/// Two lists, of NUL-terminated fields and then of digests, with an empty field between them. A file that goes while
/// it is being looked at is no failure.
pub(crate) fn list_script() -> String {
    let excluded: Vec<_> = EXCLUDED_PATHS.iter().map(|(pattern, _)| format!("-path '{pattern}'")).collect();
    let find = format!(r"find / \( {} \) -prune -o", excluded.join(" -o "));
    format!(
        r"{find} -printf '%p\0%y\0%m\0%U\0%G\0%s\0%T@\0%l\0'; printf '\0'; {find} -type f -print0 | xargs -0r sha256sum -z --"
    )
}

pub(crate) fn read_snapshot(reply: &[u8]) -> Result<Snapshot, Error> {
    let text = String::from_utf8_lossy(reply);
    let mut fields = text.split('\0');
    let mut entries = BTreeMap::new();
    while let Some(path) = fields.next().filter(|path| !path.is_empty()) {
        let mut field =
            || fields.next().map(str::to_owned).ok_or_else(|| Error::Recording(format!("ends within {path}")));
        let mut entry = Entry {
            kind: field()?,
            mode: field()?,
            uid: field()?,
            gid: field()?,
            size: field()?,
            modified: field()?,
            target: field()?,
            digest: String::new(),
        };
        if entry.kind == "d" {
            entry.size = "0".to_owned();
        }
        if TIMELESS.contains(&path) {
            entry.modified.clear();
        }
        entries.insert(path.to_owned(), entry);
    }
    for line in fields.filter(|line| !line.is_empty()) {
        let (digest, path) = line.split_once("  ").ok_or_else(|| Error::Recording(format!("no digest in '{line}'")))?;
        // One that came in between is the second list's alone.
        if let Some(entry) = entries.get_mut(path) {
            entry.digest = digest.to_owned();
        }
    }
    if entries.is_empty() {
        return Err(Error::Recording("it is empty".to_owned()));
    }
    Ok(Recording(entries))
}

/// Loaded units, then all unit files.
pub(crate) const UNITS_SCRIPT: &str = r#"
# A service may say that it reloads after whoever asked for that has been told that it is done.
i=0
while [ "$(systemctl list-units --no-legend --no-pager --plain --state=reloading)" ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done
systemctl show --all --property=Id,ActiveState,SubState,UnitFileState,InvocationID "*" || exit
echo
systemctl list-unit-files --no-legend --no-pager --full --plain
"#;

pub(crate) fn read_units(reply: &str) -> UnitStates {
    let mut units: BTreeMap<String, UnitState> = BTreeMap::new();
    for block in reply.split("\n\n") {
        let mut name = None;
        let mut state = UnitState::default();
        for line in block.lines() {
            match line.split_once('=') {
                Some(("Id", id)) => name = Some(id.to_owned()),
                Some(("ActiveState", value)) => state.active = value.to_owned(),
                Some(("SubState", value)) => state.sub = value.to_owned(),
                Some(("UnitFileState", value)) => state.file = value.to_owned(),
                Some(("InvocationID", value)) => state.invocation = value.to_owned(),
                _ => {
                    let mut words = line.split_whitespace();
                    if let (Some(unit), Some(file)) = (words.next(), words.next()) {
                        units.entry(unit.to_owned()).or_default().file = file.to_owned();
                    }
                }
            }
        }
        if state.active == "inactive" {
            state = UnitState { file: state.file, ..UnitState::default() };
        }
        if let Some(name) = name.filter(|_| state != UnitState::default()) {
            units.insert(name, state);
        }
    }
    units.retain(|name, _| !EXCLUDED_UNITS.iter().any(|(start, _)| name.starts_with(start)));
    Recording(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_read_with_its_digests() {
        let reply = b"/a b\0f\x00644\x000\x000\x003\x001.5\0\0/d\0d\x00755\x000\x000\x004096\x002.5\0\0\0abc  /a b\0def  /late\0";
        let snapshot = read_snapshot(reply).unwrap();
        let names: Vec<_> = snapshot.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["/a b", "/d"]);
        assert_eq!(snapshot.get("/a b").unwrap().to_string(), "f 644 0:0 3 bytes, modified 1.5 abc");
        assert_eq!(snapshot.get("/d").unwrap().size, "0");
    }

    #[test]
    fn cut_snapshot_is_refused() {
        assert_eq!(
            read_snapshot(b"/a\0f\x00644\0").unwrap_err().to_string(),
            "cannot read the recording of a host: ends within /a"
        );
        assert_eq!(read_snapshot(b"").unwrap_err().to_string(), "cannot read the recording of a host: it is empty");
    }

    #[test]
    fn restart_is_a_difference() {
        let before =
            read_units("Id=a.service\nActiveState=active\nSubState=running\nInvocationID=1\n\nb.socket static -\n");
        let after =
            read_units("Id=a.service\nActiveState=active\nSubState=running\nInvocationID=2\n\nc.socket disabled -\n");
        assert_eq!(before.differences(&before), [""; 0]);
        assert_eq!(
            before.differences(&after),
            [
                "changed a.service: 'active running', file '', invocation '1' -> 'active running', file '', invocation '2'",
                "gone    b.socket: ' ', file 'static', invocation ''",
                "new     c.socket: ' ', file 'disabled', invocation ''",
            ]
        );
    }

    #[test]
    fn logins_and_forgotten_units_are_not_recorded() {
        let units = read_units(
            "Id=session-1.scope\nActiveState=active\n\nId=gone.service\nActiveState=inactive\nInvocationID=1\n\n\
             Id=off.service\nActiveState=inactive\nUnitFileState=disabled\nInvocationID=1\n",
        );
        assert_eq!(units, read_units("off.service disabled -\n"));
    }
}
