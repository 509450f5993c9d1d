//! Taking an object back on a host to what a record says that it was: shell functions, and the call of them.
//!
//! Each does nothing where that has been done already: a batch that was cut is simply sent again.

use std::time::Duration;

use super::{Data, Revert, Step};
use crate::object::Object;
use crate::shell::words;

#[cfg(test)]
mod tests;

pub(super) const REVERT: &str = r#"
revert() { # directory key keep|delete limit
  record=$state/$1/$2
  # Never noted: the apply did not come to it.
  [ -s "$record" ] || return 0
  IFS= read -r line <"$record" || return
  object=${line#* * * }; was=${line#* * }; was=${was%% *}; kept=
  case $object in
    path\ *) revert_path "${object#path }" "$record.was" "$3" ;;
    unit\ *) revert_unit "${object#unit }" "$4" ;;
    image\ *) revert_image "${object#image }" "$3" ;;
    port\ *) revert_port "$record" ${object#port } ;;
    volume\ *) revert_stored volume "$3" "$4" ${object#volume } ;;
    network\ *) revert_stored network delete "$4" ${object#network } ;;
    knob\ *) o=${object#knob }; revert_knob "$record" "$3" "$4" "${o%% *}" "${o#* }" ;;
    *) echo "$record cannot be read"; return 1 ;;
  esac || return
  if [ -n "$kept" ]; then printf 'kept %s: %s\n' "$object" "$kept"; return 0; fi
  if [ "$1" != origin ] || [ -z "$drops" ]; then return 0; fi
  # The record first: without it the copy means nothing, and is found by whoever puts the record back.
  if [ -e "$record.was" ] || [ -L "$record.was" ]; then set -- "$record" "$record.was"; else set -- "$record"; fi
  mkdir -p -m 0700 -- "$into/dropped" && mv -f -- "$@" "$into/dropped/"
}
revert_path() { # path copy keep|delete
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
down() { # unit limit: stops it unless it is
  active=$(systemctl show --no-pager --property=ActiveState -- "$1" </dev/null) || { printf '%s\n' "$active"; return 1; }
  case ${active#*=} in inactive|failed|'') return 0 ;; esac
  units_read && limited "$2" systemctl stop -- "$1" </dev/null
}
revert_unit() { # name limit
  a=${was#unit:}; f=${a#*:}; a=${a%%:*}
  case $a in
    # Started again by a step of its own, where it must be.
    active|activating|reloading|refreshing) ;;
    *)
      down "$1" "$2" || return
      # Of a unit that is gone there is nothing to forget.
      [ "$a" = failed ] || systemctl reset-failed -- "$1" </dev/null >/dev/null 2>&1 ;;
  esac
  case $f in
    enabled) ;;
    *)
      e=$(systemctl show --no-pager --property=UnitFileState -- "$1" </dev/null) || { printf '%s\n' "$e"; return 1; }
      [ "${e#*=}" != enabled ] || limited "$2" systemctl disable -- "$1" </dev/null ;;
  esac
}
revert_image() { # name keep|delete
  case $was in
    image:*) podman tag "${was#image:}" "$1" </dev/null ;;
    *)
      e=$(podman_has image "$1" 2>&1) || { printf '%s\n' "$e"; return 1; }
      if [ "$e" = absent ]; then return 0; fi
      if [ "$2" = keep ]; then kept='an image is data, which is kept'; return 0; fi
      podman rmi -- "$1" </dev/null ;;
  esac
}
revert_port() { # record layer zone port/protocol
  { IFS= read -r l; IFS= read -r l; } <"$1"
  case $l in 'zone '*) l=${l#zone } ;; *) l=${3#-} ;; esac
  if [ "$was" = present ]; then port "$2" "$l" "${4%/*}" "${4#*/}"; else unport "$2" "$l" "${4%/*}" "${4#*/}"; fi
}
unport() { # layer zone port protocol
  # What is in force goes with the firewall that is.
  if [ "$1" = running ] && stopped; then return 0; fi
  zoned "$2" || return
  if [ "$1" = running ]; then
    e=$(firewalld $o $f.zone removePort sss "$z" "$3" "$4") && return
  else
    c=$(configured) || { printf '%s\n' "$c"; return 1; }
    e=$(firewalld "$c" $f.config.zone removePort ss "$3" "$4") && return
  fi
  # Somebody else closed it, or the zone is gone: that is what was wanted.
  case $e in *NOT_ENABLED*) return 0 ;; esac
  printf '%s\n' "$e"; return 1
}
stopped() { # whether nobody is there to say what is in force
  e=$(busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s org.fedoraproject.FirewallD1 </dev/null 2>&1)
  case $e in *false*) return 0 ;; esac
  return 1
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
  e=$(podman_has "$1" "$4" 2>&1) || { printf '%s\n' "$e"; return 1; }
  if [ "$e" = present ] && [ "$2" = keep ]; then kept='a volume is data, which is kept'; return 0; fi
  # Its unit is up for as long as it has made it; down, the next start makes it again.
  down "$5" "$3" || return
  if [ "$e" = present ]; then limited "$3" podman "$1" rm -- "$4" </dev/null; fi
}
"#;

/// A step as shell text.
pub(super) fn command(revert: &Revert, limit: &str) -> String {
    let Revert { object, scope, data } = revert;
    let policy = match data {
        Data::Keep => "keep",
        Data::Delete => "delete",
    };
    let mut text = words(["revert", &scope.directory(), &object.key(), policy, limit]);
    if unit_file(object) {
        text.push_str(" && stale=1");
    }
    text
}

/// Whether it acts upon a unit, which systemd must have read before.
pub(super) fn acts(step: &Step) -> bool {
    matches!(step, Step::Revert(revert) if matches!(revert.object, Object::Unit(_) | Object::Volume { .. } | Object::Network { .. }))
}

/// Whether systemd has to read its units after it.
pub(super) fn leaves_unread(step: &Step) -> bool {
    matches!(step, Step::Revert(revert) if unit_file(&revert.object))
}

/// Whether it is what systemd makes units of, or a directory of such (systemd.unit(5), podman-systemd.unit(5)).
fn unit_file(object: &Object) -> bool {
    const SYSTEM: [&str; 7] = [
        "/etc/systemd/",
        "/run/systemd/",
        "/usr/lib/systemd/",
        "/usr/local/lib/systemd/",
        "/lib/systemd/",
        "/etc/containers/systemd",
        "/usr/share/containers/systemd",
    ];
    const USER: [&str; 3] = ["/.config/systemd/", "/.config/containers/systemd", "/.local/share/systemd/"];
    object.path().is_some_and(|path| {
        SYSTEM.iter().any(|start| path.as_str().starts_with(start))
            || USER.iter().any(|part| path.as_str().contains(part))
    })
}

/// How much longer than one of its commands a step may take: it stops a unit, removes what that held, and disables it.
pub(super) const fn limit(limit: Duration) -> Duration {
    limit.saturating_mul(3)
}
