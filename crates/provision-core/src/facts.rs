//! What a host says of itself, for templates: `fact.os_id`.

use std::collections::BTreeMap;

use crate::shell::{WHOLE, preamble, sections};

/// The names of all facts, each with what it is.
pub const NAMES: &[(&str, &str)] = &[
    ("arch", "machine architecture as `uname -m` has it: x86_64, aarch64"),
    ("home", "home directory of the user as whom the steps run"),
    ("hostname", "`uname -n`"),
    ("kernel", "`uname -r`"),
    ("os_id", "`ID` of os-release(5): debian, fedora, rhel"),
    ("os_version", "`VERSION_ID` of os-release(5): 13, 42, 9.6; empty where there is none"),
    ("podman_version", "such as 5.4.2; empty without podman"),
    ("systemd_version", "such as 257; empty without systemd"),
    ("user", "name of the user as whom the steps run"),
];

/// The facts of one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Plausible facts of no host at all, for looking through a plan without one.
    #[must_use]
    pub fn example() -> Self {
        let values = ["x86_64", "/root", "host", "6.12.0", "debian", "13", "5.4.2", "257", "root"];
        Self(NAMES.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), value.to_owned())).collect())
    }

    /// All facts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets one, for a host that is made up.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

/// The program that gathers the facts. Like a probe it only reads.
pub(crate) fn program(nonce: &str) -> String {
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
if command -v systemctl >/dev/null 2>&1; then
  say fact systemd_version; v=$(systemctl --version 2>/dev/null); v=${v#systemd }; printf '%s' "${v%% *}"
fi
say end
}
main </dev/null
"#,
    );
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
    let mut facts: BTreeMap<String, String> =
        NAMES.iter().map(|(name, _)| ((*name).to_owned(), String::new())).collect();
    for section in sections {
        if let Some(slot) = section.head.strip_prefix("fact ").and_then(|name| facts.get_mut(name)) {
            // One line, whatever the host says: a fact goes into names and paths.
            *slot = String::from_utf8_lossy(section.body).lines().next().unwrap_or_default().trim().to_owned();
        }
    }
    Some(Facts(facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_by_name_and_one_line_each() {
        let reply =
            b"\n@n begin\n\n@n fact arch\nx86_64\n\n@n fact os_id\ndebian\nevil\n\n@n fact other\nx\n\n@n end\n";
        let facts = read(reply, "n").unwrap();
        let found: BTreeMap<_, _> = facts.iter().collect();
        assert_eq!(found.len(), NAMES.len());
        assert_eq!((found["arch"], found["os_id"], found["podman_version"]), ("x86_64", "debian", ""));
        assert_eq!(read(b"\n@n begin\n", "n"), None);
    }
}
