//! SELinux's booleans, the contexts that a host gives to files beside those of its policy, and the labels that files have.
//!
//! Nothing of it runs Python to look: what semanage(8) has noted stands in files that libsemanage writes and libselinux
//! reads. `booleans.local`, in the module store, has a line `NAME=1` for each boolean that was set with `setsebool -P`;
//! `file_contexts.local` has `PATTERN [TYPE] CONTEXT` (selabel_file(5)), written anew, and copied to where it is read, at
//! each commit of semanage's.

use super::{ABSENT, KnobSort};

#[cfg(test)]
mod tests;

/// A boolean by its name. Its text is `running on|off` and, in a second line, `stored on|off`, or `stored unset` for one that
/// nobody set for good, which has the value of the policy at the next boot; [`NOWHERE`] and [`TOOLLESS`]; `unknown` where the
/// policy has none of that name, with the name that it now has in a second line, if any.
pub static SELINUX_BOOLEAN: KnobSort = KnobSort {
    word: "selinux_boolean",
    noun: "the SELinux boolean",
    functions: BOOLEAN,
    show: show_boolean,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: "running off\nstored unset",
};

/// The context of files that a pattern fits, named by the pattern, and what sort of file alone with a blank before it:
/// `/srv/www(/.*)? directory`. Its text is the type, where user, role and level are the usual ones (`system_u`, `object_r`,
/// `s0`), the whole context otherwise, or `<<none>>`; [`NOWHERE`] and [`TOOLLESS`]; `conflict A B` where all below A counts as
/// below B, so that no pattern below A is ever looked at.
pub static SELINUX_CONTEXT: KnobSort = KnobSort {
    word: "selinux_context",
    noun: "the SELinux context of",
    functions: CONTEXT,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

/// The labels of a file, or with `/**` behind its path of all below it. Their text is `right`, where all are as the host says
/// that they should be, or `wrong 3 PATH from CONTEXT to CONTEXT`, with the first of so many; `absent` where nothing is there;
/// [`NOWHERE`] and [`TOOLLESS`]. They can only be set right.
pub static SELINUX_LABELS: KnobSort = KnobSort {
    word: "selinux_labels",
    noun: "the SELinux labels of",
    functions: LABELS,
    show: KnobSort::as_it_is,
    settled,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: RIGHT,
};

/// On a host without SELinux.
pub const NOWHERE: &str = "nowhere";
/// On a host that has it and lacks a program: this, a blank and the program.
pub const TOOLLESS: &str = "toolless";
/// The labels of files are what they should be.
pub const RIGHT: &str = "right";

fn show_boolean(state: &str) -> String {
    state.replace("running ", "").replace("\nstored ", ", at boot ")
}

fn settled(state: &str) -> String {
    if state.starts_with("wrong") { RIGHT.to_owned() } else { state.to_owned() }
}

/// What all of them need. `/sys/fs/selinux/enforce` is there while the kernel has SELinux and a policy.
macro_rules! shared {
    () => {
        r#"
selinux_there() { # program*: sets got to why nothing can be done
  if [ ! -e /sys/fs/selinux/enforce ]; then got=nowhere; return 1; fi
  for se_tool; do
    command -v "$se_tool" >/dev/null 2>&1 || { got="toolless $se_tool"; return 1; }
  done
}
selinux_policy() { # sets se_policy to the name of the policy, such as targeted
  se_policy=$(sed -n 's/^[[:blank:]]*SELINUXTYPE[[:blank:]]*=[[:blank:]]*\([^[:blank:]]*\).*/\1/p' /etc/selinux/config 2>/dev/null)
  [ -n "$se_policy" ] || se_policy=targeted
}
selinux_do() { # limit command: what it says is said where it fails
  # What it writes is for others to read as well.
  se_said=$( umask 022; limited "$@" </dev/null 2>&1 ) && return
  se_code=$?; printf '%s\n' "$se_said"; return $se_code
}
"#
    };
}

const BOOLEAN: &str = concat!(
    shared!(),
    r#"
prepare_selinux_boolean() { # all of them at once
  se_all=; got=; se_lack=
  selinux_there getsebool setsebool || { se_lack=$got; return 0; }
  selinux_policy
  if ! se_all=$(getsebool -a 2>&1 </dev/null); then
    case $se_all in *'SELinux is disabled'*) se_lack=nowhere ;; *) se_lack="failed $se_all" ;; esac
    return 0
  fi
  se_root=$(sed -n 's/^[[:blank:]]*store-root[[:blank:]]*=[[:blank:]]*"\{0,1\}\([^[:blank:]"]*\).*/\1/p' /etc/selinux/semanage.conf 2>/dev/null)
  for se_store in "${se_root:-/var/lib/selinux}" /var/lib/selinux /etc/selinux; do
    se_store=$se_store/$se_policy/active
    if [ -d "$se_store" ]; then break; fi
  done
  if [ ! -x "$se_store" ]; then
    se_lack="failed what is set for the next boot is kept in ${se_root:-/var/lib/selinux}/$se_policy/active, which is not there or only for root to read"
  fi
}
get_selinux_boolean() { # name
  case $se_lack in
    '') ;;
    failed\ *) got=${se_lack#failed }; return 1 ;;
    *) got=$se_lack; return 0 ;;
  esac
  got="
$se_all
"
  case $got in
    *"
$1 --> o"*) ;;
    *)
      got=unknown
      if [ -r "/etc/selinux/$se_policy/booleans.subs_dist" ]; then
        while read -r se_old se_new; do
          if [ "$se_old" = "$1" ]; then got="unknown
$se_new"; fi
        done <"/etc/selinux/$se_policy/booleans.subs_dist"
      fi
      return 0 ;;
  esac
  got=${got#*"
$1 --> "}
  # One that was set and is not in force yet has `pending: on` behind it.
  got=${got%%[!onf]*}; se_stored=unset
  if [ -e "$se_store/booleans.local" ]; then
    while IFS='= ' read -r se_name se_value; do
      if [ "$se_name" = "$1" ]; then
        case $se_value in 1*|true*|TRUE*) se_stored=on ;; *) se_stored=off ;; esac
      fi
    done <"$se_store/booleans.local" || { got="$se_store/booleans.local cannot be read"; return 1; }
  fi
  got="running $got
stored $se_stored"
}
set_selinux_boolean() { # name state limit
  case $2 in running\ *) ;; *) return 0 ;; esac
  se_running=${2#running }; se_running=${se_running%%
*}; se_wish=${2##* }
  get_selinux_boolean "$1" || { printf '%s\n' "$got"; return 1; }
  case $got in
    running\ *) ;;
    nowhere) echo 'there is no SELinux on the host, or it is disabled'; return 1 ;;
    toolless*) echo "the host has no ${got#* }"; return 127 ;;
    *) echo "the policy of the host has no boolean $1"; return 1 ;;
  esac
  # Nothing takes a value back that is stored: then the one that was in force is.
  if [ "$se_wish" = unset ] && [ "${got##* }" != unset ]; then se_wish=$se_running; fi
  if [ "${got##* }" != "$se_wish" ]; then
    # The running value follows.
    selinux_do "$3" setsebool -P "$1" "$se_wish" || return
    got="running $se_wish
"
  fi
  case $got in
    "running $se_running
"*) ;;
    *) selinux_do "$3" setsebool "$1" "$se_running" ;;
  esac
}
"#
);

const CONTEXT: &str = concat!(
    shared!(),
    r#"
prepare_selinux_context() { selinux_policy; se_files=/etc/selinux/$se_policy/contexts/files/file_contexts; }
selinux_pattern() { # name: sets se_pattern, se_letter as semanage has the sort of file, se_mark as the files have it
  se_pattern=${1%% *}
  case $1 in
    *' file') se_letter=f; se_mark=-- ;;
    *' directory') se_letter=d; se_mark=-d ;;
    *' character-device') se_letter=c; se_mark=-c ;;
    *' block-device') se_letter=b; se_mark=-b ;;
    *' socket') se_letter=s; se_mark=-s ;;
    *' link') se_letter=l; se_mark=-l ;;
    *' pipe') se_letter=p; se_mark=-p ;;
    *) se_letter=a; se_mark= ;;
  esac
}
get_selinux_context() { # name
  selinux_there semanage || return 0
  selinux_pattern "$1"; got=absent
  if [ ! -d "${se_files%/*}" ]; then got="${se_files%/*} is not there: the policy $se_policy is not installed"; return 1; fi
  if [ -e "$se_files.local" ]; then
    while read -r se_first se_second se_third; do
      if [ "$se_first" != "$se_pattern" ]; then continue; fi
      case $se_second in --|-?) ;; *) se_third=$se_second; se_second= ;; esac
      if [ "$se_second" = "$se_mark" ]; then got=${se_third%% *}; fi
    done <"$se_files.local" || { got="$se_files.local cannot be read"; return 1; }
  fi
  case $got in
    absent)
      for se_file in "$se_files.subs" "$se_files.subs_dist"; do
        if [ ! -r "$se_file" ]; then continue; fi
        while read -r se_first se_second; do
          case $se_first in ''|'#'*) continue ;; esac
          case $se_pattern in "$se_first"/*) got="conflict $se_first ${se_second%% *}" ;; esac
        done <"$se_file"
      done ;;
    '<<'*) got='<<none>>' ;;
    system_u:object_r:*)
      se_third=${got#system_u:object_r:}; se_third=${se_third%:s0}
      case $se_third in *:*) ;; *) got=$se_third ;; esac ;;
  esac
}
set_selinux_context() { # name state limit
  case $2 in nowhere|toolless*|conflict*) return 0 ;; esac
  get_selinux_context "$1" || { printf '%s\n' "$got"; return 1; }
  case $got in
    nowhere) echo 'there is no SELinux on the host, or it is disabled'; return 1 ;;
    toolless*) echo "the host has no ${got#* }"; return 127 ;;
  esac
  se_user=system_u; se_level=s0; se_type=$2
  case $2 in
    absent)
      case $got in absent|conflict*) return 0 ;; esac
      selinux_do "$3" semanage fcontext -d -f "$se_letter" "$se_pattern"; return ;;
    *:*:*)
      se_user=${2%%:*}; se_type=${2#*:*:}
      case $se_type in *:*) se_level=${se_type#*:}; se_type=${se_type%%:*} ;; esac ;;
  esac
  case $got in absent|conflict*) se_verb=-a ;; *) se_verb=-m ;; esac
  se_out=$(selinux_do "$3" semanage fcontext $se_verb -f "$se_letter" -t "$se_type" -s "$se_user" -r "$se_level" "$se_pattern") && return
  se_code=$?
  # An older one takes a pattern that the policy has for one to be modified.
  case $se_verb:$se_out in
    -a:*'already defined'*) selinux_do "$3" semanage fcontext -m -f "$se_letter" -t "$se_type" -s "$se_user" -r "$se_level" "$se_pattern"; return ;;
  esac
  printf '%s\n' "$se_out"; return $se_code
}
"#
);

const LABELS: &str = concat!(
    shared!(),
    r#"
prepare_selinux_labels() { :; }
selinux_files() { # name: sets se_path, se_deep and se_glob; restorecon reads its arguments as patterns
  se_path=${1%/\*\*}; se_deep=
  if [ "$se_path" != "$1" ]; then se_deep=-R; fi
  se_glob=$se_path
  case $se_path in *[][*?\\]*) se_glob=$(printf '%s' "$se_path" | sed 's/[][*?\\]/\\&/g') ;; esac
}
get_selinux_labels() { # path
  selinux_there restorecon || return 0
  selinux_files "$1"; got=absent
  if [ ! -e "$se_path" ] && [ ! -L "$se_path" ]; then return 0; fi
  # The status is the last line. An older restorecon says `reset PATH context A->B`.
  se_out=$( { limited 60 restorecon $se_deep -n -v -- "$se_glob" </dev/null 2>&1; printf '\n%s\n' "$?"; } | awk '
    /^Would relabel / { if (!n++) first = substr($0, 15) }
    /^restorecon reset / { if (!n++) first = substr($0, 18) }
    !/^Would relabel |^restorecon reset | not reset as customized by admin / && NF { if (other == "") other = $0 }
    NF { last = $0 }
    END { print last; print n + 0; print first; print other }' )
  se_code=${se_out%%
*}; se_out=${se_out#*
}
  se_count=${se_out%%
*}; se_out=${se_out#*
}
  case $se_code:$se_count in
    124:*) got="restorecon does not get through $se_path within 60 s"; return 1 ;;
    0:0) got=right ;;
    *:0) got=${se_out#*
}; return 1 ;;
    *) got="wrong $se_count ${se_out%%
*}" ;;
  esac
}
set_selinux_labels() { # path state limit
  case $2 in right|wrong*) ;; *) return 0 ;; esac
  selinux_there restorecon || { echo "the labels of $1 cannot be set: $got"; return 1; }
  selinux_files "$1"
  if [ ! -e "$se_path" ] && [ ! -L "$se_path" ]; then return 0; fi
  selinux_do "$3" restorecon $se_deep -- "$se_glob"
}
"#
);
