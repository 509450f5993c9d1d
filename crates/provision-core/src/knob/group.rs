//! Groups of the host's own, group(5), through the tools of shadow.

use super::KnobSort;

/// A group by its name. Its text is `gid 1001`. What is set may begin with `system yes`, for a new one with a number from
/// the system's range, and may leave the number out.
pub static GROUP: KnobSort = KnobSort {
    word: "group",
    noun: "the group",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: super::ABSENT,
};

const FUNCTIONS: &str = r#"
prepare_group() {
  group_lacks=
  for g_tool in groupadd groupmod groupdel; do command -v "$g_tool" >/dev/null 2>&1 || group_lacks="$group_lacks $g_tool"; done
}
get_group() { # name
  got=absent
  if [ -n "$group_lacks" ]; then got="the host lacks$group_lacks, which manage groups (the package passwd or shadow-utils)"; return 1; fi
  while IFS=: read -r g_name g_rest g_id g_rest; do
    if [ "$g_name" = "$1" ]; then got="gid $g_id"; return 0; fi
  done </etc/group
  # As an answer of getent would be of a group that a directory service has.
  if g_rest=$(limited 10 getent group "$1" </dev/null 2>/dev/null) && [ -n "$g_rest" ]; then
    got='it is not in /etc/group but comes from somewhere else (see nsswitch.conf), and can only be changed there'; return 1
  fi
}
set_group() { # name state limit
  if [ "$2" = absent ]; then limited "$3" groupdel -- "$1" </dev/null; return; fi
  get_group "$1" || { printf '%s\n' "$got"; return 1; }
  g_id=; case $2 in *'gid '*) g_id=${2##*gid } ;; esac
  if [ "$got" = absent ]; then
    case $2 in 'system yes'*) g_rest=-r ;; *) g_rest= ;; esac
    limited "$3" groupadd $g_rest ${g_id:+-g "$g_id"} -- "$1" </dev/null
  elif [ -n "$g_id" ] && [ "$got" != "gid $g_id" ]; then
    limited "$3" groupmod -g "$g_id" -- "$1" </dev/null
  fi
}
"#;
