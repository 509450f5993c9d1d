//! What an exchange writes down on a host before and after its tasks: shell functions, and the calls of them.
//!
//! Nothing is touched before the notes of what is there, the head of the apply and the ledger are on disk. A directory of
//! the history gets its name when its head is whole; the origin only gains records, and never loses one that was not
//! taken back.

use std::fmt::Write;

use super::{Arm, Batch, Keep, Purpose, Step, rehearsal};
use crate::blob::Blob;
use crate::ledger::Ended;
use crate::shell::{quote, words};

#[cfg(test)]
mod tests;

pub(super) const JOURNAL: &str = r#"
take() { # length digest file: what comes next on standard input
  fresh "$3" && keep "$1" "$3" || return
  d=$(sha256sum <"$3") || return
  [ "${d%% *}" = "$2" ] || { echo "what arrived for $3 is not what was sent"; return 1; }
}
same() { # file name: another name for a file that is only ever replaced
  rm -f -- "$2" && { ln -- "$1" "$2" 2>/dev/null || cp -p -- "$1" "$2"; }
}
begin() { # head: length digest, ledger: length digest, 'applies bytes'
  new=$state/history/.new
  if e=$( {
    rm -rf -- "$new" "$state/ledger.new" "${state%/*}/.${state##*/}.gone" &&
    mkdir -p -m 0700 -- "$state/history" "$state/origin" && mkdir -m 0700 -- "$new" &&
    take "$1" "$2" "$new/head" && take "$3" "$4" "$state/ledger.new" &&
    { [ ! -e "$state/ledger" ] || same "$state/ledger" "$new/ledger"; } &&
    debts >"$new/owed" && printf '%s\n' "$5" >"$new/keep" && command : >"$new/order" && mv -- "$new" "$into"
  } 2>&1 ); then return 0; fi
  rm -rf -- "$new" "$state/ledger.new"
  refuse journal '' "$e"; release; return 1
}
debts() {
  for f in "$owed"/*; do if [ -e "$f" ]; then printf '%s\n' "${f##*/}" || return; fi; done
}
begun() {
  if e=$( { rooted && mv -f -- "$state/ledger.new" "$state/ledger" && settle; } 2>&1 ); then
    noted=; copies=; roots=; return 0
  fi
  ledger_back; uproot; rm -rf -- "$into" "$state/ledger.new"
  refuse journal '' "$e"; release; return 1
}
went_on() { # what was noted in an apply that has begun is on disk
  if [ -z "$noted" ]; then return 0; fi
  e=$( { rooted && settle; } 2>&1 ) || return
  noted=; copies=; roots=
}
ledger_back() {
  # rename(2) does nothing between two names of one file, and mv fails.
  if [ "$into/ledger" -ef "$state/ledger" ]; then return 0; fi
  if [ -e "$into/ledger" ]; then same "$into/ledger" "$state/ledger.new" && mv -f -- "$state/ledger.new" "$state/ledger"
  else rm -f -- "$state/ledger"; fi
}
spared=
uproot() { # what this apply was the first to touch, and is back, is as if it had never been touched
  set --
  for f in "$state"/origin/*; do
    case $f in *.was) continue ;; esac
    IFS= read -r line <"$f" || line=
    case $line in "$apply "*) ;; *) continue ;; esac
    # What stays because it is data has come with the plan all the same, and goes with it when data may.
    case " $spared " in *" ${f##*/} "*) continue ;; esac
    [ -e "$into/${f##*/}.stays" ] || set -- "$@" "$f" "$f.was" "$f.value.was"
  done 2>/dev/null
  [ $# = 0 ] || rm -f -- "$@"
}
sweep() { # what the newest apply has left half made, where it did not come to a good end
  if [ $result = done ]; then return 0; fi
  while read -r f; do
    IFS= read -r line <"$state/history/$last/$f" || continue
    line=${line#* * * }
    case $line in path\ *) line=${line#path } ;; edit\ *) line=${line#edit * * } ;; *) continue ;; esac
    f=${line%/*}/.${line##*/}.provision-new
    for f in "$f" "$f.old"; do if [ -f "$f" ] || [ -L "$f" ]; then rm -f -- "$f"; fi; done
  done 2>/dev/null <"$state/history/$last/order"
  rm -rf -- "$state/history/$last"/*.saving
}
spare() { # digest*: of what has arrived and was not used only these stay
  for f in "$state"/arriving/*; do
    case " $* " in *" ${f##*/} "*) ;; *) rm -f -- "$f" ;; esac
  done
  rmdir -- "$state/arriving" 2>/dev/null
  return 0
}
roll_back() {
  if [ -z "$bad" ] && ! e=$( {
    set --
    for f in "$into"/dropped/*; do if [ -e "$f" ] || [ -L "$f" ]; then set -- "$@" "${f##*/}"; fi; done
    { [ $# = 0 ] || plant "$into/dropped" "$@"; } && uproot && ledger_back && debts_back &&
    echo rolled-back >"$into/result" && spare && settle && unsave
  } 2>&1 ); then refuse journal '' "$e"; fi
  release
}
unsave() { # what was put back is not put back again
  while read -r f; do
    IFS= read -r line <"$into/$f" || continue
    case $line in *' copy:'*' snapshot '*) rm -rf -- "$into/$f.was" || return ;; esac
  done 2>/dev/null <"$into/order"
  rm -f -- "$into/saved"
}
debts_back() {
  set -- ' '; while read -r f; do set -- "$1$f "; done 2>/dev/null <"$into/owed"
  for f in "$owed"/*; do
    case $1 in *" ${f##*/} "*) ;; *) rm -f -- "$f" || return ;; esac
  done
  [ "$1" = ' ' ] || owe $1
}
conclude() { # result stay|vanish [ledger: length digest]
  if e=$( {
    { [ $# = 2 ] || { take "$3" "$4" "$state/ledger.new" && mv -f -- "$state/ledger.new" "$state/ledger"; }; } &&
    { [ ! -e "$into/head" ] || [ -s "$into/result" ] || [ "$1" = cut ] || printf '%s\n' "$1" >"$into/result"; } && settle
  } 2>&1 ); then
    case $1 in done) spare ;; esac
    prune
  else refuse journal '' "$e"; release; return; fi
  if [ "$2" = vanish ] && untouched && mutex; then
    gone=${state%/*}/.${state##*/}.gone
    rm -rf -- "$gone"; mv -- "$state" "$gone"
    exec 9>&-
    rm -rf -- "$gone"; rmdir -- "${state%/*}" 2>/dev/null
  else release; fi
}
untouched() {
  for f in "$state"/origin/*; do
    case $f in *.was) ;; *) if [ -s "$f" ]; then return 1; fi ;; esac
  done
}
prune() { # the oldest applies go, but never the newest
  { read -r most room <"$into/keep"; } 2>/dev/null || return
  applies=0; total=0
  eval "$(cd -- "$state/history" && {
    find . -name '*.was' -type d -prune -o -name '*.was' -type f -exec stat -c '%s %n' {} + 2>/dev/null
    # What is kept of data is weighed when it is copied.
    for f in */saved; do if [ -e "$f" ]; then while read -r s; do echo "$s $f"; done <"$f"; fi; done
  } | {
    set --
    while read -r s f; do
      f=${f#./}; f=${f%%/*}
      case $f in *[!0-9]*) continue ;; esac
      case " $* " in *" $f "*) eval "weight_$f=\$((weight_$f + s))" ;; *) set -- "$@" "$f"; eval "weight_$f=$s" ;; esac
    done
    for f; do eval "echo weight_$f=\$weight_$f"; done
  } )"
  for f in "$state"/history/*; do
    f=${f##*/}
    case $f in *[!0-9]*) continue ;; esac
    applies=$((applies + 1)); eval "total=\$((total + \${weight_$f:-0}))"
  done
  while [ $applies -gt 1 ] && { [ $applies -gt "$most" ] || [ $total -gt "$room" ]; }; do
    oldest=$apply
    for f in "$state"/history/*; do
      f=${f##*/}
      case $f in *[!0-9]*) continue ;; esac
      if [ "$f" -lt "$oldest" ]; then oldest=$f; fi
    done
    if [ "$oldest" = "$apply" ]; then return 0; fi
    rm -rf -- "$state/history/$oldest" || return
    applies=$((applies - 1)); eval "total=\$((total - \${weight_$oldest:-0}))"
  done
}
"#;

/// Writes the functions that the opening calls.
pub(super) fn write_functions(script: &mut String, batch: &Batch) -> std::fmt::Result {
    let Purpose::Begin { rehearsals, .. } = &batch.journal.purpose else { return Ok(()) };
    rehearsals
        .iter()
        .enumerate()
        .try_for_each(|(at, tried)| rehearsal::write_functions(script, &format!("first_{at}"), tried))
}

/// Writes what comes before the tasks, in a function that ends when nothing is to be done.
pub(super) fn write_opening(script: &mut String, batch: &Batch) -> std::fmt::Result {
    let journal = &batch.journal;
    if let Purpose::Begin { rehearsals, .. } = &journal.purpose {
        for (at, tried) in rehearsals.iter().enumerate() {
            let call = rehearsal::call(&format!("first_{at}"), tried);
            writeln!(script, "e=$({call} 2>&1) || {{ refuse rehearsal '' \"$e\"; return; }}")?;
        }
    }
    let holder = format!("{} since {}", one_line(&journal.who), one_line(&journal.since));
    writeln!(
        script,
        "holder={} lease={} patience={}",
        quote(&holder),
        journal.lease.as_secs(),
        journal.wait.as_secs()
    )?;
    writeln!(script, "unnoted=' ' noted= roots= copies= held= apply=0 drops=")?;
    // Whoever comes anew shows that the host is not cut off.
    let disarmed = format!("disarmed {}", quote(&batch.plan));
    match &journal.purpose {
        Purpose::Begin { stamp, head, ledger, keep, awaited, rehearsals: _ } => {
            let Keep { applies, bytes } = keep;
            let call = words([
                "begin",
                &head.length().to_string(),
                head.sha256(),
                &ledger.length().to_string(),
                ledger.sha256(),
                &format!("{applies} {bytes}"),
            ]);
            writeln!(script, "enter {} next || return\ndrops=1\n{disarmed}", quote(stamp))?;
            let spare = words(std::iter::once("spare").chain(awaited.iter().map(String::as_str)));
            writeln!(script, "sweep\n{spare}\n{call} || return\nnotes\nbegun || return")?;
            write_arming(script, batch)?;
        }
        Purpose::Watch => {}
        Purpose::Disarm => return writeln!(script, "disarm {}", quote(&batch.plan)),
        Purpose::Continue => {
            writeln!(script, "enter - same || return\ndrops=1\nnotes")?;
            writeln!(script, "went_on || {{ refuse journal '' \"$e\"; return; }}")?;
            write_arming(script, batch)?;
        }
        Purpose::Rollback { stamp, number, stays } => {
            writeln!(script, "enter {} last || return\n{disarmed}\nspared={}", quote(stamp), quote(&stays.join(" ")))?;
            writeln!(script, "into=$state/history/{number}\nsweep\nrm -f -- \"$into/result\"")?;
            let reverts = batch.tasks.iter().flat_map(|task| &task.steps);
            let known: Vec<String> = reverts
                .filter_map(|step| if let Step::Revert(revert) = step { Some(revert.object.key()) } else { None })
                .collect();
            let limit = batch.step_limit.as_secs().max(1).to_string();
            let call = words(["overlooked", &number.to_string(), &limit, &known.join(" ")]);
            writeln!(script, "{call} || {{ refuse journal '' \"$e\"; release; return; }}")?;
        }
        Purpose::End { stamp: Some(stamp), .. } => {
            writeln!(script, "enter {} last || return\n{disarmed}\nsweep", quote(stamp))?;
        }
        // A step that was killed has not cleaned up behind itself.
        Purpose::End { stamp: None, result: Ended::Failed, .. } => writeln!(script, "enter - same || return\nsweep")?,
        Purpose::End { stamp: None, .. } => writeln!(script, "enter - same || return")?,
    }
    writeln!(script, "say begin $apply")
}

/// Writes what comes after the tasks.
pub(super) fn write_closing(script: &mut String, batch: &Batch) -> std::fmt::Result {
    match &batch.journal.purpose {
        Purpose::Begin { .. } | Purpose::Continue | Purpose::Watch | Purpose::Disarm => Ok(()),
        Purpose::Rollback { .. } => writeln!(script, "roll_back"),
        Purpose::End { result, ledger, vanish, .. } => {
            let fate = if *vanish { "vanish" } else { "stay" };
            let ledger = ledger.iter().flat_map(|blob: &Blob| [blob.length().to_string(), blob.sha256().to_owned()]);
            let call = ["conclude", result.word(), fate].map(str::to_owned);
            writeln!(script, "{}", words(call.into_iter().chain(ledger)))
        }
    }
}

/// Lets the host take the apply back by itself, unless it hears from us.
fn write_arming(script: &mut String, batch: &Batch) -> std::fmt::Result {
    let Some(Arm { after, script: undo }) = &batch.journal.arm else { return Ok(()) };
    let (after, length) = (after.as_secs().max(1).to_string(), undo.length().to_string());
    let call = words(["arm", &after, &batch.plan, &length, undo.sha256()]);
    writeln!(script, "{call} || return")
}

/// The lock is read by lines.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
