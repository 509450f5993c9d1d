//! The lock of a plan on a host, as shell functions: one exchange at a time, and only of whoever began.
//!
//! Who holds it is written in `lock`: until when, in seconds since the boot, and by which processes. The anchor is the
//! process that lives as long as the connection (sshd's, or this one for the local transport); the script is the exchange
//! at work. A pid means nothing once it was used again, so each goes with its start time. `lock` is read and changed
//! under flock(1) on `mutex`, which is let go of before anything else runs; only the first line is renewed without it, in
//! place, by the holder.

#[cfg(test)]
mod tests;

/// Looks at the lock, and writes nothing.
pub(crate) const LOOK: &str = r#"
proc() { # pid: what stat, proc(5), has of it; 1 when there is no such process, or only what is left of one
  proc_text=
  [ -r "/proc/$1/stat" ] || return 1
  # A name may have anything in it, parentheses and line ends too; behind the last parenthesis there are only numbers.
  { while IFS= read -r proc_line || [ -n "$proc_line" ]; do proc_text="$proc_text$proc_line "; done <"/proc/$1/stat"; } 2>/dev/null
  case $proc_text in *')'*) ;; *) return 1 ;; esac
  proc_name=${proc_text#*\(}; proc_name=${proc_name%\)*}
  set -- ${proc_text##*\)}
  [ $# -ge 20 ] || return 1
  case $1 in Z|X|x) return 1 ;; esac
  proc_parent=$2; shift 19; proc_start=$1
}
boot() { boot=-; { IFS= read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null; }
read_lock() { # 1 when there is none, or none that is whole
  lock_until=
  [ -s "$state/lock" ] || return 1
  if { { read -r lock_until && read -r lock_boot && read -r lock_anchor lock_anchor_start &&
    read -r lock_script lock_script_start && read -r lock_apply && IFS= read -r lock_holder; } <"$state/lock"; } 2>/dev/null
  then case $lock_until:$lock_script:$lock_apply in *[!0-9:]*) ;; ?*:?*:?*) return 0 ;; esac; fi
  lock_until=; return 1
}
alive() { # whether its holder is still there
  clock
  [ "$lock_boot" = "$boot" ] && [ "$clock" -lt "$lock_until" ] || return 1
  # A process that could not be looked at, as on a host that hides them: the time alone tells.
  [ "$lock_anchor_start" = - ] || { proc "$lock_anchor" && [ "$proc_start" = "$lock_anchor_start" ]; }
}
newest() { # sets last, the number of the newest apply, result, how it ended, and stamp
  last=0
  for h in "$state"/history/*/head; do
    h=${h%/head}; h=${h##*/}
    case $h in *[!0-9]*) ;; *) if [ "$h" -gt "$last" ]; then last=$h; fi ;; esac
  done
  ended "$last"
  stamp=$last; if [ "$last" != 0 ]; then stamp="$last $result"; fi
}
ended() { # apply: sets result
  result=; { read -r result <"$state/history/$1/result"; } 2>/dev/null
  case $result in done|failed|rolled-back) ;; *) result=cut ;; esac
}
"#;

/// Takes, renews and frees the lock.
pub(super) const LOCK: &str = r#"
refuse() { # word text [why]
  say refused "$1${2:+ $2}"; printf %s "${3-}"
}
surroundings() {
  boot; anchor=$PPID; anchor_start=-; script_start=-
  while proc "$anchor" && [ "$proc_name" = sudo ]; do anchor=$proc_parent; done
  if proc "$anchor"; then anchor_start=$proc_start; fi
  if proc $$; then script_start=$proc_start; fi
}
running() { # whether the script that took the lock still runs
  [ "$lock_boot" = "$boot" ] && proc "$lock_script" && [ "$proc_start" = "$lock_script_start" ]
}
mine() { # held by this connection, and none of its other scripts is at work
  [ "$lock_boot $lock_anchor $lock_anchor_start" = "$boot $anchor $anchor_start" ] || return 1
  [ "$lock_script $lock_script_start" = "$$ $script_start" ] || ! running
}
mutex() { # waits for the short time in which somebody else looks at the lock; until `exec 9>&-` nothing else may run
  while :; do
    e=$( { mkdir -p -m 0700 -- "$state" && command : >>"$state/mutex"; } 2>&1 ) || return
    command exec 9>>"$state/mutex" || continue
    d=600
    # Asked again and again: not every flock has a limit, and BusyBox's timeout leaves a process behind that holds the file.
    until e=$(flock -n 9 2>&1 </dev/null); do
      c=$?; d=$((d - 1))
      if [ $c != 1 ] || [ $d -lt 0 ]; then exec 9>&-; e="cannot lock $state/mutex: ${e:-exit status $c}"; return 1; fi
      # The line keeps the connection from looking dead.
      case $d in *0) echo ;; esac
      sleep 0.1 9>&- 2>/dev/null || { d=$((d - 9)); sleep 1 9>&-; }
    done
    # It may have gone with the whole directory meanwhile.
    if [ "$state/mutex" -ef /proc/$$/fd/9 ]; then return 0; fi
    exec 9>&-
  done
}
taken() { read_lock && ! mine && alive; }
enter() { # stamp apply: takes the lock and sets apply, or says why not. Apply is `next`, `last`, or `same` for what this
  # connection began. A stamp of - is any.
  told=; took=; held=; surroundings
  clock; patience=$((clock + patience))
  while :; do
    # Looked at before the mutex is taken, so that many who wait do not disturb the one who works.
    if ! taken; then
      if ! mutex; then refuse journal '' "$e"; return 1; fi
      if ! taken; then break; fi
      exec 9>&-
    fi
    if [ -z "$told" ]; then say waiting "$lock_holder"; told=1; fi
    clock; if [ "$clock" -ge $patience ]; then refuse locked "$lock_holder"; return 1; fi
    # The line keeps the connection from looking dead.
    sleep 1; echo
  done
  newest
  if [ -n "$lock_until" ] && mine; then :
  elif [ "$2" = same ]; then
    exec 9>&-; refuse moved "$stamp"; return 1
  elif [ -n "$lock_until" ]; then
    took=$lock_holder; evict
  fi
  c=0
  if [ "$1" != - ] && [ "$1" != "$stamp" ]; then c=1; rm -f -- "$state/lock"
  else
    case $2 in next) apply=$((last + 1)) ;; last) apply=$last ;; *) apply=$lock_apply ;; esac
    clock
    e=$( { printf '%-10s\n%s\n%s %s\n%s %s\n%s\n%s\n' $((clock + lease)) "$boot" "$anchor" "$anchor_start" $$ "$script_start" \
      "$apply" "$holder" >"$state/lock"; } 2>&1 ) || { c=2; rm -f -- "$state/lock"; }
  fi
  exec 9>&-
  if [ -n "$took" ]; then say took-over "$took"; fi
  case $c in
    0) held=1; into=$state/history/$apply ;;
    1) refuse moved "$stamp"; return 1 ;;
    *) refuse journal '' "cannot write $state/lock${e:+: $e}"; return 1 ;;
  esac
}
evict() { # ends what is left of the script that held the lock; its children are stopped first, so that none gets away
  running || return 0
  kill -s STOP "$lock_script" 2>/dev/null
  doomed=" $lock_script "; more=1
  while [ -n "$more" ]; do
    more=
    for d in /proc/[0-9]*; do
      d=${d#/proc/}
      case $doomed in *" $d "*) continue ;; esac
      proc "$d" || continue
      case $doomed in *" $proc_parent "*) kill -s STOP "$d" 2>/dev/null; doomed="$doomed$d "; more=1 ;; esac
    done
  done
  kill -s KILL $doomed 2>/dev/null
  d=0
  while [ $d -lt 50 ] && running; do d=$((d + 1)); sleep 0.1 9>&- 2>/dev/null || sleep 1 9>&-; done
}
renew() { # seconds bytes: how long the host may now be busy, or wait for what it is sent, at 16 KiB a second and 4 MiB at once
  span=$1
  if [ -z "$held" ] || [ ! -e "$state/lock" ]; then return 0; fi
  b=$2; if [ "$b" -gt 4194304 ]; then b=4194304; fi
  clock
  printf '%-10s\n' $((clock + lease + $1 + b / 16384)) 1<>"$state/lock"
}
release() {
  mutex || return
  if read_lock && [ "$lock_script $lock_script_start" = "$$ $script_start" ]; then rm -f -- "$state/lock"; fi
  exec 9>&-
}
"#;
