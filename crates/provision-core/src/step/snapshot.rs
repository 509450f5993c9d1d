//! Data on a host, copied aside while nothing runs on them, and put back: shell functions, and the calls of them.
//!
//! A copy is `KEY.was` beside the records of its apply: a directory of what `cp -a` makes, or, of what is a user's, a tar
//! archive that is written and read with that user's rights alone (and user IDs, podman-unshare(1)). The record comes once
//! the copy is whole and on disk, and the unit is started after that: a copy without a record is none.

use super::Step;
use crate::object::Object;
use crate::saved::Saved;
use crate::shell::words;
use crate::systemd::Managed;

#[cfg(test)]
mod tests;

pub(super) const SNAPSHOT: &str = r#"
owned() { # limit command: with the rights of whoever the data are, and all user IDs that containers of a user have
  if [ -n "$who" ] && command -v podman >/dev/null 2>&1; then save_limit=$1; shift; as "$save_limit" podman unshare "$@"
  else as "$@"; fi
}
place() { # manager 'path PATH'|'volume NAME': sets place to where the data stand, empty for a volume that is not there
  whose "$1" || { echo "$why"; return 1; }
  case $2 in
    path\ *)
      place=${2#path }
      if [ -L "$place" ]; then echo "$place is a link, which could lead elsewhere tomorrow: name what it leads to"; return 1; fi
      if [ -z "$who" ] && astray "$place"; then echo "$place is behind the link $link, which is somebody else's and could lead anywhere: it is not followed"; return 1; fi
      return 0 ;;
  esac
  place=; if ! command -v podman >/dev/null 2>&1; then return 0; fi
  acting "$1" || return
  for v in "${2#volume }" "systemd-${2#volume }"; do
    as - podman volume exists -- "$v" </dev/null; c=$?
    case $c in
      0)
        place=$(as - podman volume inspect --format '{{.Mountpoint}}' -- "$v" </dev/null 2>&1) || { printf '%s\n' "$place"; return 1; }
        case $place in /*) return 0 ;; esac
        echo "what is in the volume $v does not stand on the host, so it cannot be copied: leave it out"; return 1 ;;
      1) ;;
      *) return $c ;;
    esac
  done
}
# What SQLite keeps beside a database belongs to it.
weighed='p=$1; if [ ! -e "$p" ]; then echo absent; exit; fi
if [ -f "$p" ]; then for s in -wal -shm -journal; do if [ -f "$p$s" ]; then set -- "$@" "$p$s"; fi; done; fi
du -sk -- "$@" | { t=0; while read -r n s; do t=$((t + n)); done; echo $t; }'
room() { # directory kibibytes what for
  e=$(df -Pk -- "$1" 2>&1) || { printf '%s\n' "$e"; return 1; }
  free=$(printf '%s\n' "$e" | awk 'NR == 2 { print $4 }')
  if [ "$free" -ge "$2" ]; then return 0; fi
  echo "there is no room $3: it takes $((($2 + 1023) / 1024)) MiB in $1, and $((free / 1024)) MiB are free there, $((($2 - free + 1023) / 1024)) MiB too few; nothing was stopped"
  return 1
}
debt() { # unit: sets debt to the name under which it is noted that it is owed a restart
  case $1 in */*) debt=${1%%/*}=${1#*/} ;; *) debt=$1 ;; esac
}
along() { # unit: sets along to the units that are up and that systemd stops with it: those that a restart would start again
  along=; beside=" $1 "; next=$1
  while [ -n "$next" ]; do
    e=$(systemd - show --no-pager --property=RequiredBy,BoundBy,ConsistsOf -- $next) || { printf '%s\n' "$e"; return 1; }
    next=
    for v in $e; do
      v=${v#*=}
      case $beside in *" $v "*) ;; *) beside="$beside$v "; next="$next $v" ;; esac
    done
  done
  for v in ${beside#" $1 "}; do
    case $(systemd - is-active -- "$v" 2>/dev/null) in active|reloading|activating) along="$along $v" ;; esac
  done
}
halt() { # unit limit: stops it; what systemd stops along is noted, to be started with it again
  managed "$1"; whose "$m" || { echo "$why"; return 1; }
  ticks; since=$ticks; active=
  if asleep; then return 0; fi
  along "$x" || return
  if [ -n "$along" ]; then
    [ -d "$owed" ] || mkdir -p -m 0700 -- "$owed" || return
    debt "$1"; printf '%s\n' $along >"$owed/$debt" && settle || return
  fi
  down "$1" "$2" || return
  case ${active#*=} in inactive|failed|'') ;; *) halted="$halted $1=$since" ;; esac
}
save() { # limit unit (key 'path PATH'|'volume NAME')*
  kept_limit=$1; kept_unit=$2; shift 2
  managed "$kept_unit"; kept_by=$m
  # Nothing is stopped before all of it is known to fit.
  kept_left=$#; need=0
  while [ "$kept_left" -gt 0 ]; do
    place "$kept_by" "$2" || return
    size=absent
    if [ -n "$place" ]; then size=$(owned "$kept_limit" sh -c "$weighed" sh "$place" </dev/null) || { printf '%s\n' "$size"; return 1; }; fi
    case $size in absent) ;; *[!0-9]*|'') echo "$place cannot be counted: $size"; return 1 ;; *) need=$((need + size)) ;; esac
    set -- "$@" "$1" "$2" "$place" "$size"; shift 2; kept_left=$((kept_left - 2))
  done
  room "$into" $need "to copy the data of $kept_unit aside" || return
  halt "$kept_unit" "$kept_limit" || return
  while [ $# != 0 ]; do
    aside "$1" "$2" "$3" "$4" || { c=$?; rm -rf -- "$into/$1.saving"; echo "$kept_unit is stopped: its data could not be copied aside, and it is not started upon them"; return $c; }
    shift 4
  done
}
aside() { # key data place kibibytes
  was=absent
  if [ "$4" != absent ]; then
    was=copy:$(($4 * 1024)); rm -rf -- "$into/$1.saving" || return
    whose "$kept_by" || { echo "$why"; return 1; }
    if [ -z "$who" ]; then
      mkdir -m 0700 -- "$into/$1.saving" && limited "$kept_limit" sh -c "$copied_aside" sh "$3" "$into/$1.saving" </dev/null &&
        printf '%s\n' "$(($4 * 1024))" >>"$into/saved" || return
    else owned "$kept_limit" sh -c "$packed" sh "$3" </dev/null >"$into/$1.saving" || return
    fi
    settle && mv -- "$into/$1.saving" "$into/$1.was" || return
  fi
  printf '%s %s %s %s\n' "$apply" "$address" "$was" "snapshot $kept_unit $2" >"$into/$1.saving" && settle &&
    mv -f -- "$into/$1.saving" "$into/$1" && printf '%s\n' "$1" >>"$into/order" && settle
}
copied_aside='p=$1 t=$2; set -- "$p"
if [ -f "$p" ]; then for s in -wal -shm -journal; do if [ -f "$p$s" ]; then set -- "$@" "$p$s"; fi; done; fi
case $(cp --help 2>&1) in *--reflink*) exec cp -a --reflink=auto -- "$@" "$t/" ;; *) exec cp -a -- "$@" "$t/" ;; esac'
packed='p=$1; cd -- "${p%/*}/" || exit; b=${p##*/}; set -- "./$b"
if [ -f "$b" ]; then for s in -wal -shm -journal; do if [ -f "./$b$s" ]; then set -- "$@" "./$b$s"; fi; done; fi
case $(tar --version 2>/dev/null) in *GNU*) exec tar --numeric-owner --acls --xattrs --sparse -cf - -- "$@" ;; *) exec tar -cf - -- "$@" ;; esac'
revert_snapshot() { # record limit unit 'path PATH'|'volume NAME'
  # Nothing is stopped before all of it is known to have room.
  if ! fits "${1%/*}" "$3"; then return 1; fi
  managed "$3"; place "$m" "$4" || return
  if [ "$was" = absent ]; then
    case $4 in volume\ *) if [ -n "$place" ]; then kept='it has come since, and a volume is data, which is kept'; fi; return 0 ;; esac
    halt "$3" "$2" && whose "$m" || return
    owned "$2" sh -c 'for s in "" -wal -shm -journal; do if [ -z "$s" ] || [ -f "$1$s" ]; then rm -rf -- "$1$s" || exit; fi; done' sh "$place" </dev/null
    return
  fi
  halt "$3" "$2" && whose "$m" || return
  if [ -d "$1.was" ]; then limited "$2" sh -c "$swapped" sh "$place" "$1.was" </dev/null
  else owned "$2" sh -c "$swapped" sh "$place" - <"$1.was"; fi
}
overlooked() { # number limit 'keys': puts back what was kept after the host was looked at, by a script that was still at work
  if [ ! -e "$into/order" ]; then return 0; fi
  number=$1; kept_limit=$2; beheld=" $3 "
  while read -r k <&8; do
    case $beheld in *" $k "*) continue ;; esac
    IFS= read -r line <"$into/$k" || continue
    case $line in *' copy:'*' snapshot '*|*' absent snapshot '*) ;; *) continue ;; esac
    e=$(revert "history/$number" "$k" keep "$kept_limit" 2>&1 </dev/null) || return
  done 8<"$into/order"
}
fits() { # directory unit: whether each copy of its data is there and has room beside what it replaces
  while IFS= read -r line <&7; do
    copy=$1/$line
    IFS= read -r line <"$copy" || continue
    case $line in *' copy:'*" snapshot $2 "*) ;; *) continue ;; esac
    of=${line#*" snapshot $2 "}; need=${line#* * copy:}; need=${need%% *}
    managed "$2"; place "$m" "$of" || return
    if [ -z "$place" ]; then echo "the volume ${of#volume } is gone from the host: make it again (podman volume create), then go on"; return 1; fi
    if [ ! -e "$copy.was" ]; then echo "the copy of ${of#* } is gone from the host: put it back by hand, then go on"; return 1; fi
    r=${place%/*}; while [ ! -d "$r/" ]; do r=${r%/*}; done
    room "$r/" $((need / 1024)) "to put ${of#* } back" || return
  done 7<"$1/order"
}
# What is there stays until all of the copy stands beside it. A directory that is a mount point, or in one that is not ours to
# write in, changes from within.
swapped='umask 077; p=$1 from=$2; b=${p##*/}; d=${p%/*}; t=$d/.$b.provision-new; old=$d/.$b.provision-old; within=
if [ -d "$p" ] && { [ ! -w "$d/" ] || [ "$(stat -c %d -- "$p")" != "$(stat -c %d -- "$d/")" ]; }; then
  within=1; t=$p/.provision-new; old=$p/.provision-old
fi
fill() {
  if [ "$from" = - ]; then
    case $(tar --version 2>/dev/null) in
      *GNU*) (cd -- "$t" && exec tar --numeric-owner --acls --xattrs -xpf -) ;;
      *) (cd -- "$t" && exec tar -xpf -) ;;
    esac
  else
    case $(cp --help 2>&1) in *--reflink*) cp -a --reflink=auto -- "$from/." "$t/" ;; *) cp -a -- "$from/." "$t/" ;; esac
  fi
}
into() {
  to=$1; shift
  for f; do
    case ${f##*/} in .provision-new|.provision-old) continue ;; esac
    if [ -e "$f" ] || [ -L "$f" ]; then mv -f -- "$f" "$to/" || return; fi
  done
}
labelled() {
  if [ "$from" = - ] && [ -e /sys/fs/selinux/enforce ]; then chcon -R --reference="$p" -- "$t/$b" 2>/dev/null; fi
  return 0
}
flushed() { sync -f -- "$t" 2>/dev/null || sync; }
rm -rf -- "$t" && mkdir -- "$t" && fill && flushed && labelled || { c=$?; rm -rf -- "$t"; exit $c; }
if [ ! -e "$t/$b" ]; then rm -rf -- "$t"; echo "the copy of $p has nothing of that name in it"; exit 1; fi
if [ -n "$within" ] && [ -d "$t/$b" ]; then
  rm -rf -- "$old" && mkdir -- "$old" && into "$old" "$p"/* "$p"/.[!.]* "$p"/..?* &&
    into "$p" "$t/$b"/* "$t/$b"/.[!.]* "$t/$b"/..?* || exit
  if [ "$(stat -c "%u:%g %a" -- "$p")" != "$(stat -c "%u:%g %a" -- "$t/$b")" ]; then
    chown "$(stat -c %u:%g -- "$t/$b")" "$p" && chmod "0$(stat -c %a -- "$t/$b")" "$p" || exit
  fi
else
  if [ -d "$p" ] || { [ -d "$t/$b" ] && [ -e "$p" ]; }; then rm -rf -- "$old" && mv -- "$p" "$old" || exit; fi
  if [ -f "$t/$b" ]; then for s in -wal -shm -journal; do
    rm -f -- "$p$s" && { [ ! -f "$t/$b$s" ] || mv -f -- "$t/$b$s" "$p$s"; } || exit
  done; fi
  mv -f -- "$t/$b" "$p" || exit
fi
flushed; rm -rf -- "$t" "$old"'
"#;

/// The call that saves the data of a unit.
pub(super) fn save(unit: &Managed, data: &[Saved], limit: &str) -> String {
    let mut arguments = vec!["save".to_owned(), limit.to_owned(), unit.to_string()];
    for of in data {
        let object = Object::Snapshot { unit: unit.clone(), of: of.clone() };
        arguments.extend([object.key(), of.to_string()]);
    }
    words(arguments)
}

/// Whether a step needs these functions.
pub(super) fn concerns(step: &Step) -> bool {
    match step {
        Step::Save { .. } => true,
        Step::Revert(revert) => matches!(revert.object, Object::Snapshot { .. }),
        _ => false,
    }
}
