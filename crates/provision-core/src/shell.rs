//! The quoting types: how text becomes part of a POSIX shell program, and how such a program reaches a host's shell.
//!
//! Nothing else in the library writes a quote character for a shell.

use std::fmt::Write;

mod manager;

pub(crate) use manager::{AWAKE, MANAGER};

/// One word of shell text that stands for exactly the given text.
///
/// Single quotes keep everything but themselves (POSIX.1-2017, XCU 2.2.2), so a quote is closed, escaped, and opened again.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b':' | b'@' | b'%' | b'+');
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// An argument list as shell text, every word quoted.
#[must_use]
pub fn words<T: AsRef<str>>(arguments: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for argument in arguments {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&quote(argument.as_ref()));
    }
    text
}

/// As whom the far side's shell runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// As the user who logged in.
    No,
    /// As root, through `sudo -n`: it must not ask for a password.
    Root,
}

/// The last line of every program: a comment, and the proof that nothing of it is missing.
pub(crate) const WHOLE: &str = "#whole";

/// The command line that makes the login shell run a program that comes on standard input.
///
/// It must mean the same to sh, bash, fish and csh, so it has single quotes and no `!`, `\` or newline inside them.
/// The program is taken from standard input by its exact length; what follows it there is left for the program to read.
/// `dd` is the one POSIX tool that can promise that: shells and `head` may read ahead. `iflag=fullblock` (GNU, BusyBox
/// and toybox) makes it wait for the whole program when the network delivers it in pieces. Of a program that was cut on
/// its way nothing runs: `WHOLE` is its last line.
#[must_use]
pub fn bootstrap(program: &str, become_: Become) -> String {
    let mut line = String::from("exec ");
    if become_ == Become::Root {
        line.push_str("sudo -n -- ");
    }
    let _infallible = write!(
        line,
        "/bin/sh -c 'p=\"$(command dd bs={} count=1 iflag=fullblock 2>/dev/null)\"; case \"$p\" in *\"{WHOLE}\") eval \"$p\" ;; esac'",
        program.len()
    );
    line
}

/// The shell's options as a program wants them. A bash that is `/bin/sh` takes over what a profile has exported in
/// `SHELLOPTS`. Programs read no variable before they set it; tests would see that.
const OPTIONS: &str = if cfg!(test) { "set +efvxC -u" } else { "set +efvxC +u" };

/// What programs call by name. A bash that is `/bin/sh` takes over functions that a profile has exported.
const COMMANDS: &str = "command printf echo read cd pwd test true umask kill wait trap type \
    cat chgrp chmod chown cp curl date dd find flock ln ls mkdir mktemp mv readlink rm rmdir sed sha256sum sleep sort \
    stat sync tail tar timeout touch tr awk basename dirname env expr grep head cut wc \
    busctl firewall-offline-cmd ip ip6tables iptables loginctl nft openssl podman systemctl systemd-run sysctl journalctl ufw uname";

/// What every program starts with: the shell as it is without a profile, a known locale, a path that finds the
/// administrator's tools, files private until their mode is set, and a marker that only this exchange knows.
#[must_use]
pub(crate) fn preamble(nonce: &str) -> String {
    format!(
        "{OPTIONS}; unset -f {COMMANDS} 2>/dev/null\n\
         login_umask=$(umask)\n\
         LC_ALL=C; export LC_ALL; unset CDPATH; IFS=' \t\n'; umask 077\n\
         PATH=\"${{PATH:-/usr/bin:/bin}}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"; export PATH\n\
         n={nonce}\n\
         say() {{ printf '\\n@%s %s\\n' \"$n\" \"$*\"; }}\n"
    )
}

/// Where a plan keeps its state on a host, as a shell function that sets `state`: below `$base` where the plan names one,
/// otherwise the system's for root (FHS 5.8), the user's own for anybody else (XDG base directories).
pub(crate) const STATE: &str = r#"
state() {
  if [ -n "${base-}" ]; then state=$base/$1; elif [ "$(id -u)" = 0 ]; then state=/var/lib/provision/$1; else state=${XDG_STATE_HOME:-$HOME/.local/state}/provision/$1; fi
}
"#;

/// Shell functions that tell the seconds since the boot, and run a command no longer than it may take. `asked` does it for its exit status alone, which is 126
/// when the command cannot even be tried.
pub(crate) const LIMITED: &str = r#"
clock() { read -r clock clock_idle </proc/uptime; clock=${clock%%.*}; }
limited() { # limit command
  if ! command -v timeout >/dev/null 2>&1; then shift; "$@"; return; fi
  clock; limited=$((clock + $1)); timeout "$@"; limited="$limited $?"
  clock
  # What BusyBox ends is told from what ends itself by the time alone.
  if [ "${limited#* }" = 143 ] && [ "$clock" -ge "${limited% *}" ]; then return 124; fi
  return "${limited#* }"
}
asked() { # limit directory command
  ( l=$1; if [ -n "$2" ]; then cd "$2" || exit 126; fi; shift 2; limited "$l" "$@" ) </dev/null >/dev/null 2>&1
}
"#;

/// A marker that nothing on the host can foresee, so that no output can pass for one of ours: 128 random bits in hex.
///
/// # Errors
/// When this machine has no source of randomness.
pub(crate) fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(crate::blob::hex(&bytes))
}

/// One marked section of a reply: the words after the marker, and the bytes up to the next marker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    pub(crate) head: &'a str,
    pub(crate) body: &'a [u8],
}

/// Cuts a reply into its sections. What stands before the first marker, such as a login banner, is left out.
pub(crate) fn sections<'a>(reply: &'a [u8], nonce: &str) -> Vec<Section<'a>> {
    let marker = format!("\n@{nonce} ");
    let marker = marker.as_bytes();
    let mut starts = Vec::new();
    let mut from = 0;
    while let Some(at) = find(reply.get(from..).unwrap_or_default(), marker) {
        starts.push(from + at);
        from += at + marker.len();
    }
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(reply.len()));
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let section = reply.get(start + marker.len()..end)?;
            let line = section.iter().position(|byte| *byte == b'\n')?;
            let head = std::str::from_utf8(section.get(..line)?).ok()?;
            Some(Section { head, body: section.get(line + 1..)? })
        })
        .collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // A marker is rare and starts with a newline: skip from newline to newline.
    let mut from = 0;
    loop {
        let rest = haystack.get(from..)?;
        let at = rest.iter().position(|byte| *byte == b'\n')?;
        if rest.get(at..)?.starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
}

/// Real shells, for tests of the programs that are sent to hosts.
#[cfg(test)]
pub(crate) mod trial {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// The shells that a host may have. A missing one fails the test that wants it, unless `tests/run` could not install
    /// BusyBox and has said that it is left out.
    pub(crate) fn shells() -> Vec<&'static [&'static str]> {
        let mut shells: Vec<&[&str]> = vec![&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
        #[expect(clippy::disallowed_methods, reason = "how tests/run says what it left out")]
        if std::env::var_os("PROVISION_WITHOUT_BUSYBOX").is_some() {
            shells.pop();
        }
        shells
    }

    /// Puts an executable program of a shell into a directory, which is then to stand first in a test's `PATH`.
    #[cfg(unix)]
    pub(crate) fn tool(directory: &std::path::Path, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a shell with some arguments and input, and gives its standard output.
    pub(crate) fn run(shell: &[&str], arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} is needed for this test: {error}", shell[0]));
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A program may end before it has read everything.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap().stdout
        })
    }
}

#[cfg(test)]
mod tests {
    use super::trial::{run, shells};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_quoted_word_is_the_same_word_to_every_shell(text in "[^\0]{0,40}") {
            for shell in shells() {
                let out = run(shell, &["-c", &format!("printf %s {}", quote(&text))], b"");
                prop_assert_eq!(String::from_utf8_lossy(&out), text.as_str(), "{:?}", shell);
            }
        }
    }

    #[test]
    fn a_program_leaves_the_data_behind_it_untouched() {
        let program = format!("printf '%s|' first\ncat\n#{}\n{WHOLE}\n", "x".repeat(100_000));
        let mut input = program.clone().into_bytes();
        input.extend(0..=255_u8);
        let line = bootstrap(&program, Become::No);
        for shell in shells() {
            let mut expected = b"first|".to_vec();
            expected.extend(0..=255_u8);
            assert_eq!(run(shell, &["-c", &line], &input), expected, "{shell:?}");
        }
    }

    #[test]
    fn what_a_profile_exports_does_not_reach_a_program() {
        let program = format!("{}stat -c %n /; printf '%s|' done /us*; {WHOLE}\n", preamble("n"));
        let line = bootstrap(&program, Become::No).replacen("/bin/sh", "bash --posix", 1);
        let mut child = std::process::Command::new("bash")
            .args(["-c", &line])
            // As `export -f stat printf dd`, and `export SHELLOPTS` with some of them on.
            .envs(["stat", "printf", "dd"].map(|name| (format!("BASH_FUNC_{name}%%"), "() { echo hijacked; }")))
            .env("SHELLOPTS", "errexit:noclobber:noglob:nounset:verbose:xtrace")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), program.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&out), "/\ndone|/usr|");
    }

    #[test]
    fn of_a_program_that_was_cut_nothing_runs() {
        let program = format!("echo ran\n{WHOLE}\n");
        let line = bootstrap(&program, Become::No);
        for shell in shells() {
            assert_eq!(run(shell, &["-c", &line], program.as_bytes()), b"ran\n", "{shell:?}");
            // Without its last newline it is whole all the same: the shell takes that away itself.
            for length in 0..program.len() - 1 {
                assert_eq!(run(shell, &["-c", &line], &program.as_bytes()[..length]), b"", "{length} bytes, {shell:?}");
            }
        }
    }

    #[test]
    fn sections_are_cut_at_markers_only() {
        let reply = b"banner\n\n@abc one two\nbody\n@abx not\n\x00\xff\n@abc end\n";
        assert_eq!(
            sections(reply, "abc"),
            [Section { head: "one two", body: b"body\n@abx not\n\x00\xff" }, Section { head: "end", body: b"" }]
        );
        assert_eq!(sections(b"", "abc"), []);
        assert_eq!(sections(b"\n@abc cut", "abc"), []);
    }
}
