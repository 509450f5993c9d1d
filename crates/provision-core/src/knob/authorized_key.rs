//! Keys that may log in: lines of `~/.ssh/authorized_keys`, sshd(8).

use super::KnobSort;

#[cfg(test)]
mod tests;

/// A key of a user, named by the user, the key's type and its letters: `core ssh-ed25519 AAAA...`. Its text is the line, with
/// its options and its comment; where it stands several times, all of them.
///
/// The directory and the file are made where they are missing, private and the user's own, as sshd wants them (`StrictModes`),
/// and go with the last that is in them.
pub static AUTHORIZED_KEY: KnobSort = KnobSort {
    word: "authorized_key",
    noun: "the key",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: true,
    stays: None,
    unset: super::ABSENT,
};

const FUNCTIONS: &str = r#"
prepare_authorized_key() { key_blank=$(printf ' \t\r'); }
key_account() { # user: sets key_home and key_owner; 1 when there is no such user
  key_home=; key_owner=
  if e=$(limited 10 getent passwd "$1" </dev/null 2>/dev/null) && [ -n "$e" ]; then
    e=${e#*:*:}; key_owner=${e%%:*}; e=${e#*:}; key_owner=$key_owner:${e%%:*}; e=${e#*:*:}; key_home=${e%%:*}
  else
    while IFS=: read -r k_name k_rest k_uid k_gid k_rest k_home k_rest; do
      if [ "$k_name" = "$1" ]; then key_owner=$k_uid:$k_gid; key_home=$k_home; fi
    done </etc/passwd
  fi
  key_file=$key_home/.ssh/authorized_keys
  [ -n "$key_home" ]
}
key_plain() { # whether nothing leads elsewhere; sets got to what does
  for k in "$key_home/.ssh" "$key_file"; do
    if [ -L "$k" ]; then got="$k is a link to $(readlink -- "$k"), and is left alone"; return 1; fi
  done
  if [ -e "$key_file" ] && [ ! -f "$key_file" ]; then got="$key_file is not a file"; return 1; fi
}
key_is() { # line type letters
  case $1 in '#'*) return 1 ;; esac
  case " $1 " in *["$key_blank"]"$2"["$key_blank"]"$3"["$key_blank"]*) return 0 ;; esac
  return 1
}
get_authorized_key() { # 'user type letters'
  set -- $1
  got=absent
  if ! key_account "$1"; then return 0; fi
  key_plain || return
  if [ ! -e "$key_file" ]; then return 0; fi
  if [ ! -r "$key_file" ]; then got="$key_file cannot be read"; return 1; fi
  k_found=
  while IFS= read -r k || [ -n "$k" ]; do
    if key_is "$k" "$2" "$3"; then k_found="$k_found${k_found:+
}$k"; fi
  done <"$key_file"
  if [ -n "$k_found" ]; then got=$k_found; fi
}
set_authorized_key() { # 'user type letters' state
  k_state=$2; set -- $1
  if ! key_account "$1"; then
    if [ "$k_state" = absent ]; then return 0; fi
    echo "the host has no user $1"; return 1
  fi
  key_plain || { printf '%s\n' "$got"; return 1; }
  if [ "$k_state" = absent ]; then
    if [ ! -e "$key_file" ]; then return 0; fi
  else
    if [ ! -d "$key_home" ]; then echo "$key_home, the home of $1, is not there"; return 1; fi
    if [ ! -d "$key_home/.ssh" ]; then
      mkdir -m 0700 -- "$key_home/.ssh" && key_own -h "$key_home/.ssh" || return
    fi
  fi
  t=$key_home/.ssh/.authorized_keys.provision-new
  rm -f -- "$t" || return
  k_mode=600
  if [ -e "$key_file" ]; then k_mode=$(stat -c %a -- "$key_file") || return; fi
  # The directory is the user's: what is made there is made anew, and is only touched through what was opened.
  set -C
  key_lines "$2" "$3" 3>"$t"; c=$?
  set +C
  if [ $c != 0 ]; then rm -f -- "$t"; return $c; fi
  if [ "$k_state" = absent ] && [ ! -s "$t" ]; then
    rm -f -- "$t" "$key_file" && { rmdir -- "$key_home/.ssh" 2>/dev/null || :; }
    return
  fi
  sync -- "$t" 2>/dev/null </dev/null || sync
  mv -f -- "$t" "$key_file" || { c=$?; rm -f -- "$t"; return $c; }
}
key_own() { # [-h] path: it becomes the user's, where we may be somebody else
  if [ "$(id -u)" = 0 ]; then if [ $# = 2 ]; then chown -h -- "$key_owner" "$2"; else chown -- "$key_owner" "$1"; fi; fi
}
key_lines() { # type letters: all lines, with those of the key as they are to be, to 3
  set +C
  k_done=; if [ "$k_state" = absent ]; then k_done=1; fi
  if [ -e "$key_file" ]; then
    while IFS= read -r k || [ -n "$k" ]; do
      if ! key_is "$k" "$1" "$2"; then printf '%s\n' "$k" >&3 || return
      elif [ -z "$k_done" ]; then k_done=1; printf '%s\n' "$k_state" >&3 || return; fi
    done <"$key_file"
  fi
  if [ -z "$k_done" ]; then printf '%s\n' "$k_state" >&3 || return; fi
  key_own /proc/self/fd/3 && chmod -- "0$k_mode" /proc/self/fd/3
}
"#;
