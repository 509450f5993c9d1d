//! What a host runs by itself when it has not heard from us again after a change that may have cut it off: the whole apply
//! is taken back, with the functions that a rollback uses.
//!
//! The script stands in the directory of its apply and finds everything from there. `armed` beside it says that it is
//! wanted: whoever renames that file first, the script or the one who disarms it, has decided.

use super::journal::JOURNAL;
use super::lock::{LOCK, LOOK};
use super::note::NOTE;
use super::revert::REVERT;
use super::script::FUNCTIONS;
use crate::shell::{LIMITED, preamble};

/// Arming and disarming, for the programs that we send.
pub(super) const ARM: &str = r#"
arm() { # seconds plan length digest
  e=$( { take "$3" "$4" "$into/undo" && command : >"$into/armed" && settle && timer "$1" "provision-undo-$2-$apply"; } 2>&1 ) && return
  rm -f -- "$into/armed"
  refuse journal '' "cannot arm the host against a change that cuts it off: $e"; release; return 1
}
timer() { # seconds unit
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    systemd-run --quiet --collect --unit="$2" --on-active="$1" --timer-property=AccuracySec=100ms /bin/sh "$into/undo" </dev/null
    return
  fi
  # Nothing of ours may stay open in it, or the exchange would not end.
  ( trap '' HUP; sleep "$1"; exec /bin/sh "$into/undo" ) </dev/null >/dev/null 2>&1 &
}
disarm() { # plan
  newest; into=$state/history/$last
  if mv -- "$into/armed" "$into/disarmed" 2>/dev/null; then
    systemctl stop "provision-undo-$1-$last.timer" </dev/null >/dev/null 2>&1
    say begin "$last"; return 0
  fi
  # It has begun, or is done with it.
  t=0
  while [ -e "$into/firing" ] && [ $t -lt 60 ]; do sleep 1; t=$((t + 1)); done
  newest
  refuse moved "$stamp"; return 1
}
"#;

const UNDO: &str = r#"
undo() {
  into=${0%/*}; state=${into%/history/*}; owed=$state/owed
  mv -- "$into/armed" "$into/firing" || exit 0
  plan=${state##*/}; holder="the way out of $plan, armed by an apply"; lease=600; patience=60
  unnoted=' ' noted= roots= copies= held= drops= bad= stale= span=0 limit=60
  # Whoever is still at it is cut off.
  surroundings
  if mutex; then if read_lock; then evict; rm -f -- "$state/lock"; fi; exec 9>&-; fi
  enter - last || exit 1
  rm -f -- "$into/result"
  back=
  while read -r k; do back="$k $back"; done <"$into/order"
  for k in $back; do
    revert "history/${into##*/}" "$k" keep "$limit" || bad="$bad $k"
    stale=1
  done
  units_read || bad="$bad units"
  while read -r k; do
    IFS= read -r line <"$into/$k" || continue
    case $line in *' unit:'*' unit '*) ;; *) continue ;; esac
    object=${line#* * * }; was=${line#* * }; was=${was%% *}
    up "${object#unit }" || bad="$bad $k"
  done <"$into/order"
  roll_back
  rm -f -- "$into/firing"
}
up() { # unit: what ran before runs with what is back
  a=${was#unit:}; f=${a#*:}; a=${a%%:*}
  if [ "$f" = enabled ]; then systemctl enable -- "$1" </dev/null || return; fi
  case $a in active|activating|reloading|refreshing) limited "$limit" systemctl restart -- "$1" </dev/null ;; esac
}
undo
"#;

/// The script, which stands in the directory of the apply that it takes back.
pub(crate) fn script() -> String {
    let mut script = preamble("undo");
    for functions in [LIMITED, FUNCTIONS, LOOK, LOCK, NOTE, JOURNAL, REVERT, UNDO] {
        script.push_str(functions);
    }
    script
}
