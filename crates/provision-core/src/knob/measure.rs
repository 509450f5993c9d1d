//! What a host has to offer: memory, processors, disk, free ports, names that lead to it, the time. Read, never set.

use super::KnobSort;

/// A measure, named by what is measured. Its text:
/// - `memory`: kibibytes of memory; `cpus`: processors; `cgroup`: the version, 1 or 2; `clock`: seconds since 1970;
///   `podman`: what `podman --version` says, empty without it.
/// - `program unzip`: `yes` or `no`, whether the host has a program of that name.
/// - `disk 1024 /srv`: three words and a path: kibibytes that are free where the path is or will be, kibibytes that are
///   below the path already (counted only where fewer than 1024 are free, 0 otherwise) and the file system's mount point.
/// - `port 8443/tcp`: `free`, or a line for each process that listens: its control group and its name, parted by a tab;
///   a line `unknown` for one that cannot be seen.
/// - `addresses`: those lines of `name` that tell the host's own.
/// - `umask`: of whoever logs in, such as `0022`, in octal.
/// - `linger core`: `yes`, or why that user could not linger: `no user`, `no loginctl`, or what loginctl says.
/// - `name registry.example.com`: lines `to ADDRESS`, none where the host cannot resolve it, `own ADDRESS` (IPv4) and
///   `own6 HEX` (IPv6).
pub static MEASURE: KnobSort = KnobSort {
    word: "measure",
    noun: "the host's",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: FREE,
};

/// The text of a port that nobody listens on.
pub const FREE: &str = "free";
/// The line of a listener whose process is not to be seen.
pub const UNKNOWN: &str = "unknown";

const FUNCTIONS: &str = r#"
prepare_measure() { :; }
get_measure() { # what
  case $1 in
    memory) got=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo 2>/dev/null) ;;
    cpus) got=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c '^processor' /proc/cpuinfo 2>/dev/null) ;;
    cgroup) if [ -e /sys/fs/cgroup/cgroup.controllers ]; then got=2; else got=1; fi ;;
    clock) got=$(date +%s 2>/dev/null) ;;
    podman) got=; if command -v podman >/dev/null 2>&1; then got=$(podman --version 2>/dev/null </dev/null); fi; return 0 ;;
    umask) got=${login_umask-} ;;
    addresses) got=$(measure_own); return 0 ;;
    linger\ *) measure_linger "${1#linger }"; return 0 ;;
    program\ *) if command -v "${1#program }" >/dev/null 2>&1; then got=yes; else got=no; fi; return 0 ;;
    disk\ *) m=${1#disk }; measure_disk "${m%% *}" "${m#* }"; return ;;
    port\ *) measure_port "${1#port }"; return 0 ;;
    name\ *) measure_name "${1#name }"; return ;;
  esac
  if [ -z "$got" ]; then got="the host does not say how it is with $1"; return 1; fi
}
measure_disk() { # kibibytes path
  m=$2
  while [ ! -e "$m" ] && [ -n "$m" ]; do m=${m%/*}; done
  got=$(df -Pk "${m:-/}" 2>&1) || return 1
  got=$(printf '%s\n' "$got" | awk 'NR == 2 { free = $4; $1 = $2 = $3 = $4 = $5 = ""; sub(/^ +/, ""); print free, $0 }')
  m=0
  # Counting goes through all of it, so it is done only where it matters.
  if [ "${got%% *}" -lt "$1" ] && [ -e "$2" ]; then
    m=$(limited 120 du -skx "$2" 2>/dev/null </dev/null | awk '{ print $1; exit }')
    if [ -z "$m" ]; then got="what is below $2 could not be counted within two minutes"; return 1; fi
  fi
  got="${got%% *} $m ${got#* }"
}
measure_port() { # port/protocol
  got=free
  case $1 in */udp) m=07 ;; *) m=0A ;; esac
  # proc(5): the local address ends with the port, st is the state, the tenth word the inode of the socket.
  m=$(cat /proc/net/${1#*/} /proc/net/${1#*/}6 2>/dev/null |
    awk -v port="$(printf ':%04X' "${1%/*}")" -v state=$m \
      '$4 == state && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }')
  if [ -z "$m" ]; then return 0; fi
  # Who has it open, over all processes once.
  got=$(ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v sockets="$m" '
    BEGIN { count = split(sockets, list, "\n"); for (i = 1; i <= count; i++) wanted[list[i]] = 1 }
    /^\/proc\/[0-9]+\/fd:$/ { split($0, part, "/"); next }
    $NF in wanted && !seen[part[3]]++ { print part[3] }' |
    while read -r m; do
      # cgroups(7): with version 1 beside it the unit is in the line of systemd's own hierarchy.
      n=$(awk -F: '$1 == 0 || $2 == "name=systemd" { sub(/^[^:]*:[^:]*:/, ""); if (length($0) > length(found)) found = $0 }
        END { print found }' "/proc/$m/cgroup") || continue
      if read -r m <"/proc/$m/comm"; then printf '%s\t%s\n' "$n" "$m"; fi
    done 2>/dev/null | sort -u)
  if [ -z "$got" ]; then got=unknown; fi
}
measure_name() { # name
  if ! command -v getent >/dev/null 2>&1; then got='the host has no getent(1) to resolve names with'; return 1; fi
  got=$( {
    getent ahosts "$1" | awk '!seen[$1]++ { print "to", $1 }'
    measure_own
  } 2>/dev/null </dev/null)
  return 0
}
measure_own() {
  # The kernel's own tables: not every host has ip(8).
  awk '$1 == "|--" { address = $2 } $1 == "/32" && $3 == "LOCAL" && !seen[address]++ { print "own", address }' /proc/net/fib_trie
  awk '{ print "own6", $1 }' /proc/net/if_inet6
} 2>/dev/null
measure_linger() { # user
  got=yes
  if ! command id -u "$1" >/dev/null 2>&1; then got='no user'
  elif ! command -v loginctl >/dev/null 2>&1; then got='no loginctl'
  elif ! m=$(limited 20 loginctl --no-pager --no-legend list-sessions 2>&1 >/dev/null </dev/null); then
    got=$(printf '%s\n' "${m:-it does not answer}" | awk 'NR == 1'); fi
}
set_measure() { echo "a measure is read and never set"; return 1; }
"#;

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;
    use crate::knob::Knob;
    use crate::probe::Ask;
    use crate::probe::runtime_tests::{ask, home};
    use crate::shell::trial::{shells, tool};

    fn measured(name: &str) -> Vec<Result<String, String>> {
        let knob = Knob::new(&MEASURE, name);
        let measure = |shell| {
            let answers = ask(shell, home().path(), &[Ask::Knob(knob.clone())]);
            answers.knob(&knob).cloned().map_err(|reason| reason.message)
        };
        shells().into_iter().map(measure).collect()
    }

    #[test]
    fn a_host_says_what_it_has() {
        for what in ["memory", "cpus", "cgroup", "clock"] {
            for found in measured(what) {
                let number: u64 = found.as_ref().unwrap().parse().unwrap();
                assert!(number > 0, "{what}: {found:?}");
            }
        }
    }

    #[test]
    fn the_umask_is_that_of_the_login() {
        // Programs run with one of their own.
        for found in measured("umask") {
            let found = found.unwrap();
            assert!(found.len() >= 3 && found.bytes().all(|byte| (b'0'..=b'7').contains(&byte)), "{found}");
            let own = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout;
            assert_eq!(u32::from_str_radix(&found, 8), u32::from_str_radix(String::from_utf8_lossy(&own).trim(), 8));
        }
    }

    #[test]
    fn who_could_linger_is_told_and_who_could_not() {
        for (user, bin, expected) in [
            ("no-such-user", None, "no user"),
            ("root", Some("exit 0"), "yes"),
            (
                "root",
                Some("echo said; echo 'Failed to connect to bus' >&2; echo more >&2; exit 1"),
                "Failed to connect to bus",
            ),
            ("root", Some("exit 1"), "it does not answer"),
        ] {
            for shell in shells() {
                let home = home();
                tool(&home.path().join("bin"), "loginctl", bin.unwrap_or("exit 2"));
                let knob = Knob::new(&MEASURE, format!("linger {user}"));
                let answers = ask(shell, home.path(), &[Ask::Knob(knob.clone())]);
                assert_eq!(answers.knob(&knob).map(String::as_str), Ok(expected), "{shell:?}");
            }
        }
    }

    #[test]
    fn its_own_addresses_are_told_without_a_name() {
        for found in measured("addresses") {
            assert!(found.as_ref().unwrap().starts_with("own "), "{found:?}");
        }
    }

    #[test]
    fn a_program_is_there_or_not() {
        for (name, there) in [("sed", "yes"), ("no-such-program", "no"), ("$(id)", "no")] {
            for found in measured(&format!("program {name}")) {
                assert_eq!(found.as_deref(), Ok(there), "{name}");
            }
        }
    }

    #[test]
    fn disk_is_that_of_the_nearest_directory_and_counted_only_where_it_matters() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a b");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("f"), vec![b'x'; 300_000]).unwrap();
        let name = |need: u64, below: &str| format!("disk {need} {}{below}", path.display());
        for found in measured(&name(1, "/not/yet")) {
            let found = found.unwrap();
            let words: Vec<&str> = found.splitn(3, ' ').collect();
            assert!(words[0].parse::<u64>().unwrap() > 0 && words[1] == "0" && words[2].starts_with('/'), "{found}");
        }
        for found in measured(&name(1 << 60, "")) {
            let found = found.unwrap();
            let used: u64 = found.split(' ').nth(1).unwrap().parse().unwrap();
            assert!((290..400).contains(&used), "{found}");
        }
    }

    #[test]
    fn a_port_is_free_or_somebody_listens() {
        let listener =
            TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        for found in measured(&format!("port {port}/tcp")) {
            let found = found.unwrap();
            assert!(found.starts_with('/') && found.contains('\t'), "{found}");
        }
        for found in measured(&format!("port {port}/udp")) {
            assert_eq!(found.as_deref(), Ok(FREE));
        }
    }

    #[test]
    fn a_name_leads_somewhere_or_nowhere() {
        for found in measured("name localhost") {
            let found = found.unwrap();
            assert!(found.contains("to 127.0.0.1\n") || found.contains("to ::1\n"), "{found}");
            assert!(found.contains("own 127.0.0.1"), "{found}");
        }
        for found in measured("name no-such-name.invalid") {
            assert!(!found.as_deref().unwrap().contains("to "), "{found:?}");
        }
    }
}
