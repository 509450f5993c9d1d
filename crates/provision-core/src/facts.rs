//! What a host says of itself, for templates: `fact.os_id`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::attribute::UserName;
use crate::path::AbsPath;
use crate::plan::lend::View;
use crate::secret::Text;
use crate::shell::{WHOLE, preamble, quote, sections};
use crate::systemd::Manager;

mod addresses;

/// The names of all facts, each with what it is.
pub const NAMES: &[(&str, &str)] = &[
    ("arch", "machine architecture as `uname -m` has it: x86_64, aarch64"),
    ("home", "home directory of the user as whom the steps run"),
    ("hostname", "`uname -n`"),
    ("ipv4", "its addresses of IPv4 that others reach, with a blank between them; empty where there is none"),
    ("ipv6", "the same of IPv6, without those that are temporary"),
    ("kernel", "`uname -r`"),
    ("os_id", "`ID` of os-release(5): debian, fedora, rhel"),
    ("os_version", "`VERSION_ID` of os-release(5): 13, 42, 9.6; empty where there is none"),
    ("podman_version", "such as 5.4.2; empty without podman"),
    ("runtime_directory", "the login's `XDG_RUNTIME_DIR`, also where the steps run as root: /run/user/1000"),
    ("selinux", "`enforcing`, `permissive` or `disabled`"),
    ("systemd_version", "such as 257; empty without systemd"),
    ("user", "name of the user as whom the steps run"),
];

/// The facts of one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    values: BTreeMap<String, String>,
    /// Home directories of the users that were asked about; none of a user that the host does not have.
    homes: BTreeMap<UserName, Option<AbsPath>>,
    /// What is in the files of secrets that were made up once; none where there is no such file yet.
    kept: BTreeMap<AbsPath, Option<Text>>,
    /// Of the hosts that this one takes values of.
    others: BTreeMap<String, Facts>,
    made_up: bool,
}

impl Facts {
    /// Plausible facts of no host at all, for looking through a plan without one.
    #[must_use]
    pub fn example() -> Self {
        let values = [
            "x86_64",
            "/root",
            "host",
            "192.0.2.10",
            "2001:db8::10",
            "6.12.0",
            "debian",
            "13",
            "5.4.2",
            "/run/user/0",
            "disabled",
            "257",
            "root",
        ];
        let values =
            NAMES.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), value.to_owned())).collect();
        Self { values, made_up: true, ..Self::default() }
    }

    /// All facts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets one, for a host that is made up.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Remembers what is in the file of a secret that was made up once.
    pub fn keep(&mut self, path: AbsPath, content: Option<Text>) {
        self.kept.insert(path, content);
    }

    /// Remembers the facts of another host, of which this one takes values.
    pub(crate) fn lend(&mut self, host: &str, facts: Self) {
        self.others.insert(host.to_owned(), facts);
    }

    /// Takes in what the host has said of itself.
    pub(crate) fn extend(&mut self, said: Self) {
        let Self { values, homes, made_up, .. } = said;
        (self.values, self.homes, self.made_up) = (values, homes, made_up);
    }

    /// Those of another host.
    pub(crate) fn lent(&self, host: &str) -> Option<&Self> {
        self.others.get(host)
    }

    /// Whether they are of no host at all.
    pub(crate) const fn is_example(&self) -> bool {
        self.made_up
    }

    /// The home directory of whose a manager is.
    fn home(&self, manager: &Manager) -> HomeFound {
        let known = |path: Result<AbsPath, _>| path.map_or(HomeFound::Unasked, HomeFound::Known);
        match manager {
            Manager::System | Manager::Own => {
                self.values.get("home").map_or(HomeFound::Unasked, |home| known(home.parse()))
            }
            Manager::User(name) => match self.homes.get(name) {
                Some(Some(home)) => HomeFound::Known(home.clone()),
                Some(None) => HomeFound::NoUser,
                None if self.made_up => known(format!("/home/{name}").parse()),
                None => HomeFound::Unasked,
            },
        }
    }
}

/// What is known of a home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeFound {
    /// Where it is.
    Known(AbsPath),
    /// The host has no such user.
    NoUser,
    /// The host was not asked.
    Unasked,
}

/// Home directories, for resources whose paths depend on one. It remembers whose were asked for.
#[derive(Debug)]
pub struct Homes<'a> {
    facts: &'a Facts,
    asked: RefCell<BTreeSet<Manager>>,
}

impl<'a> Homes<'a> {
    /// As some facts have them.
    #[must_use]
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, asked: RefCell::default() }
    }

    /// The home directory of whose a manager is.
    #[must_use]
    pub fn of(&self, manager: &Manager) -> HomeFound {
        self.asked.borrow_mut().insert(manager.clone());
        self.facts.home(manager)
    }

    /// Whose were asked for.
    pub(crate) fn asked(&self) -> BTreeSet<Manager> {
        self.asked.borrow().clone()
    }
}

/// Secrets that were made up once and are kept on the host, for resources that hand them on. It remembers which were asked for.
#[derive(Debug)]
pub struct KeptSecrets<'a> {
    facts: &'a Facts,
    asked: RefCell<BTreeSet<AbsPath>>,
}

impl<'a> KeptSecrets<'a> {
    /// As some facts have them.
    #[must_use]
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, asked: RefCell::default() }
    }

    /// What is in a file: nothing of a host that was not asked, and none where there is no such file yet.
    #[must_use]
    pub fn of(&self, path: &AbsPath) -> Option<&Option<Text>> {
        self.asked.borrow_mut().insert(path.clone());
        self.facts.kept.get(path)
    }

    /// Which were asked for.
    pub(crate) fn asked(&self) -> BTreeSet<AbsPath> {
        self.asked.borrow().clone()
    }
}

/// What a resource lends to other hosts: what is in files of its own.
#[derive(Debug, Clone, Copy)]
pub struct Lends<'a> {
    view: View,
    /// Whether others take anything of it.
    lent: bool,
    kept: &'a KeptSecrets<'a>,
}

impl<'a> Lends<'a> {
    pub(crate) const fn new(view: View, lent: bool, kept: &'a KeptSecrets<'a>) -> Self {
        Self { view, lent, kept }
    }

    /// What is in a file, for others and never for the host itself, which would not know it in time; while no host is known,
    /// an example. Whoever has the file is made to tell what is in it.
    #[must_use]
    pub fn content(&self, path: &AbsPath, example: &str) -> Option<Text> {
        match self.view {
            View::Example => Some(Text::plain(example)),
            View::Own if !self.lent => None,
            View::Own => {
                let _asked = self.kept.of(path);
                None
            }
            View::Lent => self.kept.of(path).cloned().flatten(),
        }
    }
}

/// The program that gathers the facts. Like a probe it only reads.
pub(crate) fn program(users: &BTreeSet<UserName>, nonce: &str) -> String {
    let mut script = preamble(nonce);
    script.push_str(
        r#"main() {
say begin
say fact arch; uname -m
say fact home; printf '%s' "$HOME"
say fact hostname; uname -n
say fact kernel; uname -r
say fact user; id -un
for f in /etc/os-release /usr/lib/os-release; do
  if [ -r $f ]; then
    say fact os_id; ( . $f; printf '%s' "${ID-}" )
    say fact os_version; ( . $f; printf '%s' "${VERSION_ID-}" )
    break
  fi
done
if command -v podman >/dev/null 2>&1; then say fact podman_version; v=$(podman --version 2>/dev/null); printf '%s' "${v##* }"; fi
say fact runtime_directory
# sudo takes the variable away, or has the one of its own session.
if [ -n "${SUDO_UID-}" ] && [ "$SUDO_UID" != 0 ]; then printf /run/user/%s "$SUDO_UID"; else printf %s "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"; fi
say fact selinux; v=; if [ -r /sys/fs/selinux/enforce ]; then read -r v </sys/fs/selinux/enforce; fi
case $v in 1) printf enforcing ;; 0) printf permissive ;; *) printf disabled ;; esac
if command -v systemctl >/dev/null 2>&1; then
  say fact systemd_version; v=$(systemctl --version 2>/dev/null); v=${v#systemd }; printf '%s' "${v%% *}"
fi
"#,
    );
    script.push_str(addresses::PROGRAM);
    for user in users {
        // The name has no character that means anything to a shell.
        let text = "say home NAME; if id -u NAME >/dev/null 2>&1; then h=~NAME; printf '%s' \"$h\"; fi\n";
        script.push_str(&text.replace("NAME", &quote(user.as_str())));
    }
    script.push_str("say end\n}\nmain </dev/null\n");
    script.push_str(WHOLE);
    script.push('\n');
    script
}

/// Reads the reply; none when the program did not reach its end.
pub(crate) fn read(reply: &[u8], nonce: &str) -> Option<Facts> {
    let sections = sections(reply, nonce);
    if sections.last()?.head != "end" {
        return None;
    }
    let mut homes = BTreeMap::new();
    let mut facts: BTreeMap<String, String> =
        NAMES.iter().map(|(name, _)| ((*name).to_owned(), String::new())).collect();
    let mut tables = addresses::Tables::default();
    for section in sections {
        tables.take(&section);
        if let Some(slot) = section.head.strip_prefix("fact ").and_then(|name| facts.get_mut(name)) {
            // One line, whatever the host says: a fact goes into names and paths.
            *slot = first_line(section.body);
        } else if let Some(Ok(name)) = section.head.strip_prefix("home ").map(str::parse) {
            homes.insert(name, first_line(section.body).parse().ok());
        }
    }
    facts.insert("ipv4".to_owned(), tables.ipv4());
    facts.insert("ipv6".to_owned(), tables.ipv6());
    Some(Facts { values: facts, homes, ..Facts::default() })
}

fn first_line(body: &[u8]) -> String {
    String::from_utf8_lossy(body).lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_by_name_and_one_line_each() {
        let reply =
            b"\n@n begin\n\n@n fact arch\nx86_64\n\n@n fact os_id\ndebian\nevil\n\n@n fact other\nx\n\n@n home core\n/home/core\n@n home gone\n\n@n end\n";
        let facts = read(reply, "n").unwrap();
        let found: BTreeMap<_, _> = facts.iter().collect();
        assert_eq!(found.len(), NAMES.len());
        assert_eq!((found["arch"], found["os_id"], found["podman_version"]), ("x86_64", "debian", ""));
        assert_eq!(read(b"\n@n begin\n", "n"), None);
        let home = |text: &str| facts.home(&text.parse().unwrap());
        assert_eq!(home("user:core"), HomeFound::Known("/home/core".parse().unwrap()));
        assert_eq!(
            (home("user:gone"), home("user:other"), home("user")),
            (HomeFound::NoUser, HomeFound::Unasked, HomeFound::Unasked)
        );
    }

    #[test]
    fn what_selinux_does_is_told() {
        use crate::shell::trial::{run, shells};
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            let at = home.path().join("enforce");
            let selinux = || {
                let program = program(&BTreeSet::new(), "n").replace("/sys/fs/selinux/enforce", at.to_str().unwrap());
                let facts = read(&run(shell, &["-c", &program], b""), "n").unwrap();
                facts.iter().find(|(name, _)| *name == "selinux").unwrap().1.to_owned()
            };
            assert_eq!(selinux(), "disabled", "{shell:?}");
            // As the kernel has it: without an end of line.
            for (text, word) in [("1", "enforcing"), ("0", "permissive")] {
                std::fs::write(&at, text).unwrap();
                assert_eq!(selinux(), word, "{shell:?}");
            }
        }
    }

    #[test]
    fn the_run_time_directory_is_that_of_the_login() {
        use crate::shell::trial::{run, shells};
        for shell in shells() {
            let told = |before: &str| {
                let program = format!("{before}\n{}", program(&BTreeSet::new(), "n"));
                let facts = read(&run(shell, &["-c", &program], b""), "n").unwrap();
                facts.iter().find(|(name, _)| *name == "runtime_directory").unwrap().1.to_owned()
            };
            assert_eq!(told("SUDO_UID=1000 XDG_RUNTIME_DIR=/run/user/0"), "/run/user/1000", "{shell:?}");
            assert_eq!(told("SUDO_UID=0 XDG_RUNTIME_DIR=/run/else"), "/run/else", "{shell:?}");
            assert_eq!(told("unset SUDO_UID XDG_RUNTIME_DIR; id() { echo 7; }"), "/run/user/7", "{shell:?}");
        }
    }

    #[test]
    fn homes_are_those_of_the_host() {
        use crate::shell::trial::{run, shells};
        let users: BTreeSet<UserName> = ["root", "no-such-user"].iter().map(|name| name.parse().unwrap()).collect();
        for shell in shells() {
            let facts = read(&run(shell, &["-c", &program(&users, "n")], b""), "n").unwrap();
            let home = |text: &str| facts.home(&text.parse().unwrap());
            assert_eq!(home("user:root"), HomeFound::Known("/root".parse().unwrap()), "{shell:?}");
            assert_eq!(home("user:no-such-user"), HomeFound::NoUser, "{shell:?}");
        }
    }
}
