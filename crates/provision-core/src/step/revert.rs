//! Taking an object back on a host to what a record says that it was: shell functions, and the call of them.
//!
//! Each does nothing where that has been done already: a batch that was cut is simply sent again.

use std::time::Duration;

use super::script::rewritten;
use super::{Data, Revert};
use crate::object::Object;
use crate::shell::words;

#[cfg(test)]
mod tests;

pub(super) const REVERT: &str = r#"
revert() { # directory key keep|delete limit [path and what `rewrite` is told]
  record=$state/$1/$2
  # Never noted, since the apply did not come to it; or taken back by a run that was cut, perhaps before its units were read.
  if [ ! -s "$record" ]; then
    case ${7-} in ''|same|gone) ;; *) left=${left#* }; receive "$7" >/dev/null ;; esac
    for f in "$state"/history/*/dropped/"$2"; do
      { IFS= read -r line <"$f"; } 2>/dev/null || continue
      case $line in
        *\ path\ *) reread "${line#* * * path }" ;;
        *\ edit\ *) reread "${line#* * * edit * * }" ;;
      esac
    done
    return 0
  fi
  IFS= read -r line <"$record" || return
  object=${line#* * * }; was=${line#* * }; was=${was%% *}; kept=
  case $object in
    path\ *) revert_path "${object#path }" "$record.was" "$3" && reread "${object#path }" ;;
    unit\ *) revert_unit "${object#unit }" "$4" ;;
    image\ *\ *) revert_image "$3" ${object#image } ;;
    image\ *) revert_image "$3" - "${object#image }" ;;
    volume\ *) revert_stored volume "$3" "$4" ${object#volume } ;;
    network\ *) revert_stored network delete "$4" ${object#network } ;;
    snapshot\ *) o=${object#snapshot }; revert_snapshot "$record" "$4" "${o%% *}" "${o#* }" ;;
    knob\ *) o=${object#knob }; revert_knob "$record" "$3" "$4" "${o%% *}" "${o#* }" ;;
    edit\ *)
      if [ $# = 4 ]; then revert_whole "${object#edit * * }" "$record.whole.was"
      else rewrite "$5" "$6" "$7" "$8" '' '' ''; fi && reread "${object#edit * * }" ;;
    *) echo "$record cannot be read"; return 1 ;;
  esac || return
  if [ -n "$kept" ]; then
    case $1 in history/*) command : >"$record.stays" || return ;; esac
    printf 'kept %s: %s\n' "$object" "$kept"; return 0
  fi
  if [ "$1" != origin ] || [ -z "$drops" ]; then return 0; fi
  # The record first: without it the copy means nothing, and is found by whoever puts the record back.
  set -- "$record"
  for o in "$record.was" "$record.value.was"; do if [ -e "$o" ] || [ -L "$o" ]; then set -- "$@" "$o"; fi; done
  mkdir -p -m 0700 -- "$into/dropped" && mv -f -- "$@" "$into/dropped/"
}
astray() { # path: whether a directory above is a link that somebody else may turn elsewhere, and sets link to it
  link=; r=${1%/*}; r=${r#/}
  while [ -n "$r" ]; do
    link=$link/${r%%/*}
    case $r in */*) r=${r#*/} ;; *) r= ;; esac
    if [ -L "$link" ] && [ ! -O "$link" ]; then case $(stat -c %u -- "$link") in 0) ;; *) return 0 ;; esac; fi
  done
  return 1
}
revert_path() { # path copy keep|delete
  if astray "$1"; then echo "$1 is behind the link $link, which is somebody else's and could lead anywhere: it is not followed"; return 1; fi
  case $was in
    absent) remove "$1" "$3" ;;
    directory:*)
      if [ -L "$1" ] || [ ! -d "$1" ]; then remove "$1" "$3" && mkdir -- "$1" || return; fi
      m=${was#directory:}; u=${m#*:}; m=${m%%:*}
      e=$(stat -c %u:%g -- "$1") || return
      [ "$e" = "$u" ] || chown -- "$u" "$1" || return
      # Five digits: with fewer, GNU chmod leaves the set-user-ID and set-group-ID bits of a directory.
      chmod -- "0$m" "$1" ;;
    file:*|link)
      if [ -d "$1" ] && [ ! -L "$1" ]; then
        remove "$1" "$3" || return
        if [ -n "$kept" ]; then kept=; echo "$1 is now a directory that is not empty: what was there before cannot be put back"; return 1; fi
      fi
      t=${1%/*}/.${1##*/}.provision-new
      if [ -e "$t" ] || [ -L "$t" ]; then rm -f -- "$t" || return; fi
      cp -a -- "$2" "$t" && { [ -L "$t" ] || flushed "$t"; } && over "$t" "$1" || { c=$?; rm -f -- "$t"; return $c; } ;;
    *) echo "$1 was neither a file nor a directory nor a link: it cannot be put back"; return 1 ;;
  esac
}
revert_whole() { # path copy: the file as it was, or not at all where there is no copy
  if [ ! -e "$2" ]; then rm -f -- "$1"; return; fi
  t=${1%/*}/.${1##*/}.provision-new
  rm -f -- "$t" && cp -a -- "$2" "$t" && flushed "$t" && over "$t" "$1" || { c=$?; rm -f -- "$t"; return $c; }
}
flushed() { # file
  sync -- "$1" 2>/dev/null </dev/null || dd if=/dev/null of="$1" conv=notrunc,fsync 2>/dev/null || sync
}
remove() { # path keep|delete: sets kept to why it is still there
  if [ -L "$1" ] || [ -f "$1" ]; then rm -f -- "$1"; return; fi
  if [ ! -e "$1" ]; then return 0; fi
  if [ ! -d "$1" ]; then echo "$1 is now a device, a socket or a pipe, which is not removed"; return 1; fi
  if e=$(rmdir -- "$1" 2>&1); then return 0; fi
  if hollow "$1"; then printf '%s\n' "$e"; return 1; fi
  if [ "$2" = keep ]; then kept='it is a directory that is not empty'; return 0; fi
  if mounted "$1"; then echo "$1 cannot be removed: a file system is mounted at $mount; unmount it first"; return 1; fi
  if rm -rf --one-file-system -- "$state/.none" 2>/dev/null; then rm -rf --one-file-system -- "$1"; else rm -rf -- "$1"; fi
}
hollow() { # directory
  for i in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ -e "$i" ] || [ -L "$i" ]; then return 1; fi
  done
}
mounted() { # directory: whether a file system is mounted at it or below, and sets mount to where
  r=$(cd -P -- "$1" && pwd -P && echo .) || return
  r=${r%??}; m=
  # Blanks and backslashes are written as octal numbers there, proc(5).
  while :; do
    case $r in
      *[' \']*) i=${r%%[' \']*}; r=${r#"$i"}; case $r in ' '*) m=$m$i'\040' ;; *) m=$m$i'\134' ;; esac; r=${r#?} ;;
      *) m=$m$r; break ;;
    esac
  done
  while read -r i i i i mount i; do
    case $mount in "$m"|"$m"/*) return 0 ;; esac
  done </proc/self/mountinfo
  return 1
}
reread() { # path: whoever makes units of what stands there has yet to read it; systemd.unit(5), podman-systemd.unit(5)
  case $1 in
    /etc/containers/systemd/users/*/*) m=${1#/etc/containers/systemd/users/}; m=$(id -un "${m%%/*}" 2>/dev/null) || return 0 ;;
    # Of all users: that of each who logs in.
    /etc/systemd/user/*|/etc/containers/systemd/users/*) return 0 ;;
    /etc/systemd/*|/run/systemd/*|/usr/lib/systemd/*|/usr/local/lib/systemd/*|/lib/systemd/*|/etc/containers/systemd|/etc/containers/systemd/*|/usr/share/containers/systemd|/usr/share/containers/systemd/*) unread -; return ;;
    # What stands in a home is its owner's.
    */.config/systemd/user*) m=$(owner "${1%%/.config/systemd/user*}") ;;
    */.config/containers/systemd*) m=$(owner "${1%%/.config/containers/systemd*}") ;;
    */.local/share/systemd/user*) m=$(owner "${1%%/.local/share/systemd/user*}") ;;
    *) return 0 ;;
  esac
  case $m in ''|root|UNKNOWN|*[!A-Za-z0-9_.~-]*) ;; *) unread "$m" ;; esac
}
owner() { # home: the manager that reads what is in it
  if [ ! -O "$1" ]; then stat -c %U -- "$1" 2>/dev/null; elif [ "$(id -u)" != 0 ]; then echo '~'; fi
}
down() { # unit limit: stops it unless it is
  managed "$1"
  if dormant "$m"; then return 0; fi
  whose "$m" || { echo "$why"; return 1; }
  if asleep; then return 0; fi
  active=$(systemd - show --no-pager --property=ActiveState -- "$x") || { printf '%s\n' "$active"; return 1; }
  case ${active#*=} in inactive|failed|'') return 0 ;; esac
  units_read "$m" && managed "$1" || return
  systemd "$2" stop -- "$x" && return
  c=$?
  # A file system that is in use cannot be unmounted, and systemctl does not say so.
  case $x in *.mount) journalctl --no-pager --output=cat --lines=5 --unit="$x" </dev/null 2>&1 ;; esac
  return $c
}
revert_unit() { # name limit
  a=${was#unit:}; f=${a#*:}; a=${a%%:*}
  managed "$1"
  if dormant "$m"; then
    if [ "$f" != enabled ] && [ "$(offline - is-enabled "$x" 2>/dev/null)" = enabled ]; then offline "$2" disable "$x"; fi
    return
  fi
  case $a in
    # Started again by a step of its own, where it must be.
    active|activating|reloading|refreshing) ;;
    *)
      down "$1" "$2" || return
      # Of a unit that is gone there is nothing to forget.
      [ "$a" = failed ] || asleep || systemd - reset-failed -- "$x" >/dev/null 2>&1 ;;
  esac
  case $f in
    enabled) ;;
    *)
      managed "$1"
      # One that does not run is asked as well: a unit may start with it.
      e=$(acting "$m") || { whose "$m" || { echo "$why"; return 1; }; return 0; }
      whose "$m" && e=$(systemd - show --no-pager --property=UnitFileState -- "$x") || { printf '%s\n' "$e"; return 1; }
      [ "${e#*=}" != enabled ] || { units_read "$m" && systemd "$2" disable -- "$x"; } ;;
  esac
}
revert_image() { # keep|delete manager name|ID
  case $3 in *[!0-9a-f]*) ;; *) revert_image_itself "$@"; return ;; esac
  case $was in
    image:*) keeping "$2" && as - podman tag "${was#image:}" "$3" </dev/null ;;
    *)
      e=$(podman_has "$2" image "$3" 2>&1) || { printf '%s\n' "$e"; return 1; }
      if [ "$e" = absent ]; then return 0; fi
      if [ "$1" = keep ]; then kept='an image is data, which is kept'; return 0; fi
      keeping "$2" && as - podman rmi -- "$3" </dev/null ;;
  esac
}
revert_image_itself() { # keep|delete manager ID
  if [ "$was" != absent ]; then return 0; fi
  e=$(podman_has "$2" image "$3" 2>&1) || { printf '%s\n' "$e"; return 1; }
  if [ "$e" = absent ]; then return 0; fi
  if [ "$1" = keep ]; then kept='an image is data, which is kept'; return 0; fi
  keeping "$2" || return
  e=$(as - podman image inspect --format '{{len .RepoTags}} {{len .RepoDigests}}' -- "$3" </dev/null 2>&1) || { printf '%s\n' "$e"; return 1; }
  # Whoever has given it a name has it.
  if [ "$e" != '0 0' ]; then return 0; fi
  e=$(as - podman rmi -- "$3" </dev/null 2>&1) && return
  c=$?
  # podman-rmi(1)
  case $c in 2) kept="something still uses it: $e"; return 0 ;; esac
  printf '%s\n' "$e"; return $c
}
revert_knob() { # record keep|delete limit word name
  want=absent
  # The dot keeps blank ends.
  if [ "$was" != absent ]; then want=$(cat -- "$1.was" && echo .) || return; want=${want%.}; fi
  got=; "prepare_$4" "$5"; "get_$4" "$5" || { printf '%s\n' "$got"; return 1; }
  [ "$got" = "$want" ] || "set_$4" "$5" "$want" "$3" "$2" ''
}
revert_stored() { # volume|network keep|delete limit name unit
  if [ "$was" != absent ]; then return 0; fi
  managed "$5"
  e=$(podman_has "$m" "$1" "$4" 2>&1) || { printf '%s\n' "$e"; return 1; }
  if [ "$e" = present ] && [ "$2" = keep ]; then kept='a volume is data, which is kept'; return 0; fi
  # Its unit is up for as long as it has made it; down, the next start makes it again.
  down "$5" "$3" || return
  managed "$5"
  if [ "$e" = present ]; then keeping "$m" && as "$3" podman "$1" rm -- "$4" </dev/null; fi
}
"#;

/// A step as shell text.
pub(super) fn command(revert: &Revert, limit: &str) -> String {
    let Revert { object, scope, data, rewrite } = revert;
    let policy = match data {
        Data::Keep => "keep",
        Data::Delete => "delete",
    };
    let mut text = words(["revert", &scope.directory(), &object.key(), policy, limit]);
    if let (Object::Edit(edit), Some(rewrite)) = (object, rewrite) {
        text = format!("{text} {} {}", words([edit.path.as_str()]), rewritten(rewrite));
    }
    text
}

/// How much longer than one of its commands a step may take: it stops a unit, removes what that held, and disables it.
pub(super) const fn limit(limit: Duration) -> Duration {
    limit.saturating_mul(3)
}
