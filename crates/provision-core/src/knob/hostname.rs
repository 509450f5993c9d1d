//! The name that the kernel has for the host, hostname(7). The one for the next boot is in a file.

use super::KnobSort;

/// There is one, `hostname hostname`. Its text is the name.
pub static HOSTNAME: KnobSort = KnobSort {
    word: "hostname",
    noun: "the running",
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
get_hostname() {
  IFS= read -r got </proc/sys/kernel/hostname || { got='/proc/sys/kernel/hostname cannot be read'; return 1; }
}
set_hostname() { # name state
  if [ "$2" = absent ]; then return 0; fi
  { printf '%s\n' "$2" >/proc/sys/kernel/hostname; } 2>/dev/null && return
  echo "the kernel does not take the name $2: the host may be a container without the right to set it"; return 1
}
"#;
