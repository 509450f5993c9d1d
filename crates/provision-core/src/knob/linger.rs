//! Whether a user lingers: whether systemd runs a manager for the user from boot on, and not only while the user is logged
//! in; loginctl(1).

use super::KnobSort;

/// The lingering of a user, by name; `~` is the user as whom the steps run. Its text is `yes` or `no`.
pub static LINGER: KnobSort = KnobSort {
    word: "linger",
    noun: "the lingering of",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: NOT,
    settled: KnobSort::as_it_is,
};

/// The state of a user who lingers.
pub const LINGERS: &str = "yes";
/// The state of one who does not.
pub const NOT: &str = "no";

const FUNCTIONS: &str = r#"
prepare_linger() { :; }
lingerer() { if [ "$1" = '~' ]; then id -un; else printf '%s\n' "$1"; fi; }
get_linger() { # user
  got=$(lingerer "$1")
  # Of a user that is not there, logind may remember it all the same.
  if ! id -u "$got" >/dev/null 2>&1; then got=absent
  elif [ -e "/var/lib/systemd/linger/$got" ]; then got=yes
  else got=no; fi
}
set_linger() { # user state limit
  got=$(lingerer "$1")
  case $2 in
    yes) limited "$3" loginctl enable-linger "$got" </dev/null || return
      # Root's manager is nothing that is acted upon; what root lingers for is the run-time directory.
      if [ "$(id -u "$got")" != 0 ]; then acting "$1"; return; fi
      t=0; until [ -d /run/user/0 ] || [ $t -ge 100 ]; do sleep 0.1 2>/dev/null || { sleep 1; t=$((t + 9)); }; t=$((t + 1)); done ;;
    no) limited "$3" loginctl disable-linger "$got" </dev/null ;;
    # The user has gone, or comes to an end: nobody lingers.
    *) rm -f -- "/var/lib/systemd/linger/$got" ;;
  esac
}
"#;
