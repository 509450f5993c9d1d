//! The names that a host has for itself, hostname(7): the one that the kernel has, and the one for the next boot.

use super::KnobSort;

/// There are two, `static hostname`, which is what /etc/hostname says, and `running hostname`. Their text is the name. Every
/// host has them, so that neither is anybody's in particular.
pub static HOSTNAME: KnobSort = KnobSort {
    word: "hostname",
    noun: "the",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: "localhost",
};

const FUNCTIONS: &str = r#"
prepare_hostname() { :; }
get_hostname() { # name
  got=absent
  case $1 in
    static*) if [ -e /etc/hostname ]; then got=$(cat /etc/hostname 2>&1) || return 1; fi ;;
    *) IFS= read -r got </proc/sys/kernel/hostname || { got='/proc/sys/kernel/hostname cannot be read'; return 1; } ;;
  esac
}
set_hostname() { # name state
  case $1:$2 in
    static*:absent) rm -f /etc/hostname ;;
    static*)
      # Whole or not at all, where it is a file of its own; a container may have it mounted.
      if { printf '%s\n' "$2" >/etc/.hostname.new && chmod 0644 /etc/.hostname.new && mv -f /etc/.hostname.new /etc/hostname; } 2>/dev/null; then return 0; fi
      rm -f /etc/.hostname.new; printf '%s\n' "$2" >/etc/hostname ;;
    *:absent) return 0 ;;
    *)
      { printf '%s\n' "$2" >/proc/sys/kernel/hostname; } 2>/dev/null && return
      echo "the kernel does not take the name $2: the host may be a container without the right to set it"; return 1 ;;
  esac
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::trial::{run, shells};

    #[test]
    fn both_names_are_read_and_set() {
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            let at = home.path().display();
            let functions =
                FUNCTIONS.replace("/etc/", &format!("{at}/")).replace("/proc/sys/kernel/", &format!("{at}/k"));
            let calls = "show() { get_hostname 'static hostname'; printf '%s ' \"$got\"; get_hostname 'running hostname'; echo \"$got\"; }
                echo old >K; show; set_hostname 'static hostname' a.b 9; set_hostname 'running hostname' c 9; show
                set_hostname 'static hostname' absent 9; show"
                .replace('K', &format!("{at}/khostname"));
            let said = run(shell, &["-c", &format!("{functions}\n{calls}")], b"");
            assert_eq!(String::from_utf8(said).unwrap(), "absent old\na.b c\nabsent c\n", "{shell:?}");
        }
    }
}
