//! Acting as a user on a host: shell functions that find out whose a manager of systemd's is, and run a command there.
//!
//! A command that root runs for a user has nothing of root's around it: an environment of its own, the user's groups, a
//! directory that the user may enter. `setpriv` replaces itself by the command; `runuser` and `su` go through PAM, and
//! are for hosts without it (BusyBox has no `setpriv` that changes users).

/// They read, and write nothing. `why` says why nobody can act for a manager.
pub(crate) const MANAGER: &str = r#"
whose= lent=
whose() { # manager: sets who, uid, gid, home, rundir (the run-time directory) and hand (how root becomes them), all for `as`
  if [ "$whose" = "$1" ]; then return 0; fi
  whose=; who=; hand=; why=; rundir=; uid=; gid=; home=
  case $1 in
    -) ;;
    '~')
      uid=$(id -u); gid=$(id -g); home=$HOME
      if [ "$uid" = 0 ]; then why='the steps run as root, whose podman is the one of the system: say whose with a scope of "user:NAME"'; return 1; fi
      who=$(id -un); rundir=${XDG_RUNTIME_DIR-} ;;
    *)
      uid=$(id -u "$1" 2>/dev/null) && gid=$(id -g "$1") || { why="the host has no user $1"; return 2; }
      if [ "$uid" = 0 ]; then why="$1 is root, whose podman is the one of the system: leave the scope out"; return 1; fi
      # A name has no character that means anything to a shell.
      eval "home=~$1"
      if [ "$uid" != "$(id -u)" ]; then
        if [ "$(id -u)" != 0 ]; then why="the steps run as $(id -un), and only root can act for $1"; return 1; fi
        if setpriv "--reuid=$uid" "--regid=$gid" --init-groups -- true </dev/null >/dev/null 2>&1; then hand=setpriv
        elif command -v runuser >/dev/null 2>&1; then hand=runuser
        else hand=su; fi
      fi
      who=$1 ;;
  esac
  rundir=${rundir:-/run/user/$uid}; whose=$1
}
asleep() { # whether it is a user's manager that does not run
  [ -n "$who" ] && [ ! -S "$rundir/systemd/private" ]
}
as() { # limit command: as whose it is; a limit of - is none
  if [ -z "$who" ]; then
    if [ "$1" = - ]; then shift; "$@"; else limited "$@"; fi
    return
  fi
  (
    l=$1; shift; b=; if [ -S "$rundir/bus" ]; then b=DBUS_SESSION_BUS_ADDRESS=unix:path=$rundir/bus; fi
    case $lent:$1 in
      # What it would warn of is that no manager runs.
      "$whose:podman") shift; set -- podman --log-level=error --cgroup-manager=cgroupfs "$@" ;;
      *) lent= ;;
    esac
    set -- env -i "HOME=$home" "USER=$who" "LOGNAME=$who" SHELL=/bin/sh "PATH=$PATH" LC_ALL=C "XDG_RUNTIME_DIR=$rundir" $b "$@"
    case ${lent:+lent}$hand in
      lent*)
        # A failure of its own has the status 1, which means something with podman.
        set -- --quiet --wait --pipe --collect "--property=User=$who" -- \
          /bin/sh -c '"$@" || { c=$?; [ $c != 1 ] || c=41; exit $c; }' sh "$@"
        if [ "$l" != - ]; then set -- "--property=RuntimeMaxSec=$l" "$@"; fi
        # What it keeps of a boot is its own, and goes with it.
        if [ ! -e "$rundir" ]; then
          set -- --property=TemporaryFileSystem=/run/user --property=TemporaryFileSystem=/dev/shm:mode=1777 \
            "--property=TemporaryFileSystem=$rundir:mode=0700,uid=$uid,gid=$gid" "$@"
        fi
        set -- systemd-run "$@" ;;
      setpriv) set -- setpriv "--reuid=$uid" "--regid=$gid" --init-groups -- "$@" ;;
      runuser) set -- runuser -u "$who" -- "$@" ;;
      su) set -- su -s /bin/sh -c 'exec "$@"' -- "$who" sh "$@" ;;
    esac
    cd / || exit
    if [ "$l" = - ]; then "$@"; else limited "$l" "$@"; fi
    c=$?
    case ${lent:+lent}$c in lent1) c=125 ;; lent41) c=1 ;; esac
    exit $c
  )
}
systemd() { # limit arguments
  l=$1; shift; as "$l" systemctl ${who:+--user} "$@" </dev/null
}
managed() { # core/registry.service: sets m to whose it is, x to its name
  case $1 in */*) m=${1%%/*}; x=${1#*/} ;; *) m=-; x=$1 ;; esac
}
"#;

/// The same for steps, which may start a manager.
pub(crate) const AWAKE: &str = r#"
acting() { # manager: as `whose`; and it runs, or is started where it may be
  whose "$1" || { echo "$why"; return 1; }
  if ! asleep; then return 0; fi
  if [ -e "/var/lib/systemd/linger/$who" ]; then
    if [ -n "$hand" ]; then systemctl start "user@$uid.service" </dev/null || return; fi
    t=0; while asleep && [ $t -lt 100 ]; do sleep 0.1 2>/dev/null || { sleep 1; t=$((t + 9)); }; t=$((t + 1)); done
    if ! asleep; then return 0; fi
  fi
  echo "the systemd of $who does not run, because $who is not logged in and does not linger: let the plan have a linger resource with user = \"$who\", or run loginctl enable-linger $who"
  return 1
}
dormant() { # manager: whether nothing of it runs or is to run: its user has gone, or does not linger and is not logged in
  whose "$1"; case $? in 0) ;; 2) return 0 ;; *) return 1 ;; esac
  [ -n "$hand" ] && asleep && [ ! -e "/var/lib/systemd/linger/$who" ]
}
offline() { # limit verb unit: what a manager that does not run need not be asked for: whether its unit starts with it
  [ -z "$who" ] || as "$1" env SYSTEMD_OFFLINE=1 systemctl --user "$2" -- "$3" </dev/null
}
keeping() { # manager: as `whose`, for what podman keeps of theirs: that can be taken away of a user whose manager does not run
  whose "$1" || { echo "$why"; return 1; }
  # In a service of the system's, for as long as a command takes: a manager would start all that the user has enabled.
  if dormant "$1" && command -v systemd-run >/dev/null 2>&1; then lent=$1; return 0; fi
  acting "$1"
}
"#;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{AWAKE, MANAGER};
    use crate::shell::trial::{run, shells, tool};
    use crate::shell::{LIMITED, WHOLE, preamble};

    /// A host where `core` has the number 4711, and what runs it says so.
    fn program(home: &std::path::Path, me: &str, text: &str) -> String {
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let id = format!(
            "case $* in -u) echo {me} ;; -un) echo me ;; -g) echo {me} ;; '-u core'|'-g core') echo 4711 ;; '-u admin'|'-g admin') echo 0 ;; *) exit 1 ;; esac"
        );
        tool(&bin, "id", &id);
        tool(
            &bin,
            "setpriv",
            "[ \"$*\" = '--reuid=4711 --regid=4711 --init-groups -- true' ] || { echo \"setpriv $1 $2 $3\"; shift 4; exec \"$@\"; }",
        );
        let functions = [LIMITED, MANAGER, AWAKE].concat();
        format!("{}PATH={}:$PATH\n{functions}\n{text}\n{WHOLE}", preamble("n"), bin.display())
    }

    #[test]
    fn root_acts_as_a_user_with_nothing_of_its_own() {
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            let text = "HIDDEN=1; export HIDDEN; whose core; home=/home/core; as - sh -c 'pwd; env | sort'; as 5 echo 'two  words'";
            let said = run(shell, &["-c", &program(home.path(), "0", text)], b"");
            let said = String::from_utf8(said).unwrap();
            let said: Vec<&str> =
                said.lines().filter(|line| !line.starts_with("PATH=") && !line.starts_with("_=")).collect();
            let expected = [
                "setpriv --reuid=4711 --regid=4711 --init-groups",
                "/",
                "HOME=/home/core",
                "LC_ALL=C",
                "LOGNAME=core",
                "PWD=/",
                "SHELL=/bin/sh",
                "USER=core",
                "XDG_RUNTIME_DIR=/run/user/4711",
                "setpriv --reuid=4711 --regid=4711 --init-groups",
                "two  words",
            ];
            let said: Vec<&str> =
                said.into_iter().filter(|line| !line.starts_with("SHLVL=") && !line.starts_with("OLDPWD=")).collect();
            assert_eq!(said, expected, "{shell:?}");
        }
    }

    #[test]
    fn who_cannot_be_acted_for_is_said() {
        for (me, manager, why) in [
            ("0", "nobody1", "2 the host has no user nobody1"),
            (
                "0",
                "~",
                "1 the steps run as root, whose podman is the one of the system: say whose with a scope of \"user:NAME\"",
            ),
            ("0", "admin", "1 admin is root, whose podman is the one of the system: leave the scope out"),
            ("1000", "core", "1 the steps run as me, and only root can act for core"),
        ] {
            for shell in shells() {
                let home = tempfile::tempdir().unwrap();
                let text = format!("whose '{manager}'; echo \"$? $why\"");
                let said = run(shell, &["-c", &program(home.path(), me, &text)], b"");
                assert_eq!(String::from_utf8(said).unwrap().trim_end(), why, "{shell:?}");
            }
        }
    }

    #[test]
    fn a_manager_that_does_not_run_and_may_not_be_started_is_an_error() {
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            let said = run(shell, &["-c", &program(home.path(), "0", "acting core || echo \"$?\"")], b"");
            let said = String::from_utf8(said).unwrap();
            assert!(said.starts_with("the systemd of core does not run"), "{shell:?}: {said}");
            assert!(said.ends_with("\n1\n"), "{shell:?}: {said}");
        }
    }
}
