//! Kernel parameters: the files below `/proc/sys`, proc(5).

use super::KnobSort;

/// A kernel parameter, named by its path below `/proc/sys`: `net/ipv4/ip_forward`. Its text is what the file says, blanks
/// made one.
pub static SYSCTL: KnobSort = KnobSort {
    word: "sysctl",
    noun: "the kernel parameter",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: "0",
};

const FUNCTIONS: &str = r#"
prepare_sysctl() { :; }
get_sysctl() { # path below /proc/sys
  got=absent
  if [ ! -e "/proc/sys/$1" ]; then return 0; fi
  # Values in a row are parted by tabs; what is several lines stays so.
  got=$(tr -s '\t ' '  ' 2>&1 <"/proc/sys/$1") || { got="/proc/sys/$1 cannot be read"; return 1; }
}
set_sysctl() { # path value
  if [ "$2" = absent ]; then return 0; fi
  { printf '%s\n' "$2" >"/proc/sys/$1"; } 2>/dev/null && return
  echo "the kernel does not take the value $2 for /proc/sys/$1"; return 1
}
"#;
