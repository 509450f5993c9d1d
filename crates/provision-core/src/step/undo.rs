//! What a host runs by itself when it has not heard from us again after a change that may have cut it off: the whole apply
//! is taken back, with the functions that a rollback uses.
//!
//! The script stands in the directory of its apply and finds everything from there. `armed.TOKEN` beside it says that it
//! is wanted: whoever renames that file first, the script or the one who disarms it, has decided.

use super::journal::JOURNAL;
use super::lock::{LOCK, LOOK};
use super::note::NOTE;
use super::revert::REVERT;
use super::script::FUNCTIONS;
use super::snapshot::SNAPSHOT;
use crate::knob::SORTS;
use crate::probe::store::STORAGE;
use crate::request::REQUEST;
use crate::shell::{AWAKE, LIMITED, MANAGER, preamble};

/// Arming and disarming, for the programs that we send.
pub(super) const ARM: &str = r#"
arm() { # seconds plan length digest
  # Of its own, so that a timer of long ago, for an apply of the same number, takes nothing back.
  clock; token=$$-$clock
  e=$( { take "$3" "$4" "$into/undo" && command : >"$into/armed.$token" && settle && timer "$1" "provision-undo-$2-$token"; } 2>&1 ) && return
  rm -f -- "$into/armed.$token"
  refuse journal '' "cannot arm the host against a change that cuts it off: $e"; release; return 1
}
timer() { # seconds unit
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    systemd-run --quiet --collect --unit="$2" --on-active="$1" --timer-property=AccuracySec=100ms \
      /bin/sh "$into/undo" "$token" </dev/null
    return
  fi
  # Nothing of ours may stay open in it, or the exchange would not end: a shell keeps what it has redirected, and lets go of
  # that with exec alone.
  ( trap '' HUP; exec /bin/sh -c 'sleep "$1"; exec /bin/sh "$2" "$3"' sh "$1" "$into/undo" "$token" ) \
    </dev/null >/dev/null 2>&1 &
}
disarmed() { # plan: what was armed is no more; 1 when nothing was
  a=
  for f in "$state/history/$last"/armed.*; do
    if [ -e "$f" ] && mv -- "$f" "$state/history/$last/disarmed" 2>/dev/null; then
      a=1; systemctl stop "provision-undo-$1-${f##*/armed.}.timer" </dev/null >/dev/null 2>&1
    fi
  done
  [ -n "$a" ]
}
disarm() { # plan
  newest
  if disarmed "$1"; then say begin "$last"; return 0; fi
  # It has begun, or is done with it.
  t=0
  while [ -e "$state/history/$last/firing" ] && [ $t -lt 60 ]; do sleep 1; t=$((t + 1)); done
  newest
  refuse moved "$stamp"; return 1
}
"#;

const UNDO: &str = r#"
undo() {
  into=${0%/*}; state=${into%/history/*}; owed=$state/owed
  mv -- "$into/armed.$1" "$into/firing" || exit 0
  plan=${state##*/}; holder="the way out of $plan, armed by an apply"; lease=600; patience=60
  unnoted=' ' noted= roots= copies= held= drops= bad= stale= halted= lasted= span=0 limit=60
  # Whoever is still at it is cut off.
  surroundings
  if mutex; then if read_lock; then evict; rm -f -- "$state/lock"; fi; exec 9>&-; fi
  enter - last || exit 1
  # Somebody was here since, so the host is not cut off.
  if [ "$into/undo" != "$0" ]; then release; exit 0; fi
  rm -f -- "$into/result"
  back=
  while read -r k; do back="$k $back"; done <"$into/order"
  # One way back may go with another's.
  reverted=$back; removed=
  for k in $back; do
    revert "history/${into##*/}" "$k" keep "$limit" || bad="$bad $k"
  done
  if [ -d /run/systemd/system ]; then unread -; units_read $stale || bad="$bad units"; fi
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
  case $f:$a in enabled:*|*:active|*:activating|*:reloading|*:refreshing) managed "$1"; acting "$m" || return ;; esac
  if [ "$f" = enabled ]; then systemd - enable -- "$x" || return; fi
  case $a in active|activating|reloading|refreshing) told "$limit" restart "$x" && followed "$1" "$limit" ;; esac
}
undo "$1"
"#;

/// The script, which stands in the directory of the apply that it takes back.
pub(crate) fn script() -> String {
    let mut script = preamble("undo");
    for functions in [LIMITED, MANAGER, AWAKE, FUNCTIONS, LOOK, LOCK, NOTE, JOURNAL, REVERT, SNAPSHOT, STORAGE, REQUEST]
    {
        script.push_str(functions);
    }
    // It knows only from the records of what it takes back.
    for sort in SORTS {
        script.push_str(sort.functions);
    }
    // What it runs comes last: what is behind would not be known yet.
    script.push_str(UNDO);
    script
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "nothing else runs in this test's thread")]

    use std::fs;
    use std::path::Path;
    use std::thread::sleep;
    use std::time::Duration;

    use crate::knob::{Knob, KnobSort};
    use crate::shell::trial::{shells, tool};
    use crate::step::trial::{attempt, batch, begin, put, state, task};
    use crate::step::{Arm, Batch, Purpose, Refusal, Step};

    /// An apply of a file over an older one, on a host that takes it back after a second.
    fn armed(home: &Path) -> Batch {
        // Nobody's timer: the host waits by itself.
        fs::create_dir_all(home.join("bin")).unwrap();
        tool(&home.join("bin"), "systemd-run", "exit 9");
        fs::write(home.join("f"), "old").unwrap();
        fs::write(home.join("k"), "old").unwrap();
        let knob = Knob::new(KnobSort::find("trial").unwrap(), home.join("k").to_str().unwrap());
        let turn = Step::Turn { knob, state: "new".to_owned(), input: None };
        let mut batch = batch(begin("0"), vec![task("f", vec![put(&home.join("f"), b"new"), turn])]);
        batch.journal.arm = Some(Arm::new(Duration::from_secs(2)));
        batch
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    fn result(home: &Path) -> String {
        read(&state(home).join("history/1/result"))
    }

    #[test]
    fn a_host_that_hears_nothing_takes_the_apply_back() {
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            let reply = attempt(shell, home.path(), &armed(home.path()));
            assert_eq!((reply.refused, reply.apply), (None, Some(1)), "{shell:?}");
            assert_eq!(read(&home.path().join("f")), "new", "{shell:?}");
            // The exchange has ended before the time was up: what waits holds nothing of it open.
            let names =
                fs::read_dir(state(home.path()).join("history/1")).unwrap().map(|name| name.unwrap().file_name());
            let armed = names.filter(|name| name.to_string_lossy().starts_with("armed.")).count();
            assert_eq!(armed, 1, "{shell:?}");
            for _ in 0..60 {
                if result(home.path()) == "rolled-back\n" && !state(home.path()).join("history/1/firing").exists() {
                    break;
                }
                sleep(Duration::from_millis(100));
            }
            assert_eq!((read(&home.path().join("f")), result(home.path())), ("old".into(), "rolled-back\n".into()));
            assert_eq!(read(&home.path().join("k")), "old", "{shell:?}");
            assert!(!state(home.path()).join("lock").exists(), "{shell:?}");
            // Whoever comes now is told.
            let late = attempt(shell, home.path(), &batch(Purpose::Disarm, Vec::new()));
            assert_eq!(late.refused, Some(Refusal::Moved("1 rolled-back".to_owned())), "{shell:?}");
        }
    }

    #[test]
    fn a_host_that_is_told_so_in_time_stays_as_it_is_and_so_does_one_that_is_used_again() {
        for again in [Purpose::Disarm, begin("1 cut")] {
            let home = tempfile::tempdir().unwrap();
            let reply = attempt(&["dash"], home.path(), &armed(home.path()));
            assert_eq!(reply.refused, None);
            assert_eq!(attempt(&["dash"], home.path(), &batch(again, Vec::new())).refused, None);
            sleep(Duration::from_millis(2_500));
            assert_eq!((read(&home.path().join("f")), result(home.path())), ("new".into(), String::new()));
        }
    }
}
