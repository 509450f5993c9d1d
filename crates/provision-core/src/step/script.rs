//! The shell program of a batch of steps. What steps carry follows the program on standard input, in order.

use std::fmt::Write;
use std::time::Duration;

use super::fetch::FETCH;
use super::journal::{self, JOURNAL};
use super::lock::{LOCK, LOOK};
use super::note::{self, NOTE};
use super::rehearsal::{self, REHEARSAL};
use super::request::{self, EFFECT};
use super::revert::{self, REVERT};
use super::snapshot::{self, SNAPSHOT};
use super::undo::ARM;
use super::{After, Await, Batch, Need, Ownership, Purpose, Revert, Rewrite, Run, Step, Task};
use crate::blob::Blob;
use crate::fetch::Download;
use crate::knob::{ABSENT, SORTS, http, secret};
use crate::object::Object;
use crate::path::AbsPath;
use crate::probe::Guard;
use crate::probe::generator::GENERATOR;
use crate::probe::script::guard_command;
use crate::probe::store::STORAGE;
use crate::request::REQUEST;
use crate::shell::{AWAKE, LIMITED, MANAGER, STATE, WHOLE, preamble, quote, words};
use crate::systemd::Manager;

/// Largest piece that is read at once: one `dd` block, which is taken whole before the first byte is written, so that a
/// full disk cannot leave half of it on standard input.
const BLOCK: u64 = 1 << 20;

pub(super) const FUNCTIONS: &str = r#"
receive() {
  q=$(($1 / 1048576)); r=$(($1 % 1048576))
  while [ $q -gt 4 ]; do
    renew "$span" 4194304; dd bs=1048576 count=4 iflag=fullblock 2>/dev/null || return; q=$((q - 4))
  done
  renew "$span" 4194304
  [ $q = 0 ] || dd bs=1048576 count=$q iflag=fullblock 2>/dev/null || return
  [ $r = 0 ] || dd bs=$r count=1 iflag=fullblock 2>/dev/null
}
arrive() { # digest length there: the rest of what is large, kept until it is used, so that a transfer that is cut goes on
  arrived=$state/arriving/$1
  [ -d "$state/arriving" ] || mkdir -m 0700 -- "$state/arriving" || return
  if [ "$3" = 0 ]; then fresh "$arrived" || return
  else
    if [ -L "$arrived" ] || ! s=$(stat -c %s -- "$arrived" 2>/dev/null) || [ "$s" -lt "$3" ]; then
      echo "what had arrived of it is gone: apply again"; return 1
    fi
    # Who was cut may have written on after it was looked at.
    [ "$s" = "$3" ] || dd if=/dev/null of="$arrived" bs=1 seek="$3" count=0 2>/dev/null || return
  fi
  left=${left#* }
  receive $(($2 - $3)) | { cat >>"$arrived"; c=$?; [ $c = 0 ] || cat >/dev/null; exit $c; } || { c=$?; rm -f -- "$arrived"; return $c; }
  s=$(stat -c %s -- "$arrived") || return
  [ "$s" = "$2" ] || { echo "the connection ended after $s of $2 bytes"; return 1; }
  d=$(sha256sum <"$arrived") || return
  [ "${d%% *}" = "$1" ] || { rm -f -- "$arrived"; echo "what arrived is not what was sent: apply again"; return 1; }
}
used() { # command: it takes what has arrived from standard input, as if it were on its way
  spared=$left; left="- $left"
  "$@" <"$arrived"; c=$?
  left=$spared
  [ $c = 0 ] || { arrived=; return $c; }
  rm -f -- "$arrived"; arrived=
}
discard() { for k; do receive "$k" >/dev/null; done; }
own() { # path user group
  case $2:$3 in
    :) ;;
    *:) chown -h -- "$2" "$1" ;;
    :*) chgrp -h -- "$3" "$1" ;;
    *) chown -h -- "$2:$3" "$1" ;;
  esac
}
directory() { # path mode user group
  mkdir -- "$1" || return
  own "$1" "$3" "$4" && chmod -- "$2" "$1" || { c=$?; rmdir -- "$1"; return $c; }
}
ensure() { # path
  [ -d "$1" ] || mkdir -m 0755 -- "$1"
}
attributes() { # path mode user group
  own "$1" "$3" "$4" || return
  [ -z "$2" ] || chmod -- "$2" "$1"
}
fresh() { # path: an empty private file that nobody else can have made; `command` keeps a failure from ending the shell
  if [ -e "$1" ] || [ -L "$1" ]; then rm -f -- "$1" || return; fi
  set -C; command : >"$1"; c=$?; set +C; return $c
}
keep() { # length file: what comes next on standard input, on disk before it is renamed
  case $1 in
    0) ;;
    # One block is taken whole before its first byte is written: a full disk leaves nothing of it on standard input.
    ?|??|???|????|?????|??????) flush "$2" bs="$1" count=1 iflag=fullblock ;;
    *) receive "$1" | { flush "$2" bs=1048576; c=$?; [ $c = 0 ] || cat >/dev/null; exit $c; } ;;
  esac
}
flush() { # file dd-operands
  f=$1; shift
  e=$(dd of="$f" conv=fsync "$@" 2>&1) && return
  # Its first line is the error; the others count records.
  c=$?; printf '%s\n' "${e%%
*}"; return $c
}
stage() { # path length digest: the blob as a private file beside the path
  t=${1%/*}/.${1##*/}.provision-new
  fresh "$t" || return
  left=${left#* }
  keep "$2" "$t" || { c=$?; rm -f -- "$t"; return $c; }
  d=$(sha256sum <"$t") || { rm -f -- "$t"; return 1; }
  [ "${d%% *}" = "$3" ] || { rm -f -- "$t"; echo "what arrived for $1 is not what was sent"; return 1; }
}
put() { # path length digest mode user group limit [validating command]
  p=$1; m=$4; u=$5; g=$6; l=$7
  if [ -d "$p" ] && [ ! -L "$p" ]; then echo "$p is a directory"; return 1; fi
  stage "$p" "$2" "$3" || return
  shift 7
  own "$t" "$u" "$g" && chmod -- "$m" "$t" || { rm -f -- "$t"; return 1; }
  if [ $# != 0 ]; then
    limited "$l" "$@" </dev/null || { c=$?; rm -f -- "$t"; echo "the new content of $p was refused by: $1"; return $c; }
  fi
  over "$t" "$p" || { c=$?; rm -f -- "$t"; return $c; }
}
sum() { # path: sets sum to the digest of the file there, - where there is nothing, or a word that no digest is
  if [ -L "$1" ]; then sum=link
  elif [ -f "$1" ]; then sum=$(sha256sum 2>/dev/null <"$1") || sum=unreadable; sum=${sum%% *}
  elif [ -e "$1" ]; then sum=other
  else sum=-; fi
}
meant() { # path digest: whether the file there is still the one that was looked at
  sum "$1"
  [ "$sum" = "$2" ] || { echo "$1 has changed since it was looked at: apply again"; return 1; }
}
rewrite() { # path digest same|gone|length [digest mode user group]: the file's new content, and all else of it as it is
  meant "$1" "$2" || return
  case $3 in
    same) return 0 ;;
    gone) rm -f -- "$1"; return ;;
  esac
  stage "$1" "$3" "$4" || return
  if [ "$2" = - ]; then own "$t" "$6" "$7" && chmod -- "$5" "$t" || { rm -f -- "$t"; return 1; }
  else clad "$1" "$t" || { c=$?; rm -f -- "$t" "$t.old"; return $c; }
  fi
  # Once more, just before: what comes between is lost otherwise.
  meant "$1" "$2" && over "$t" "$1" || { c=$?; rm -f -- "$t"; return $c; }
}
clad() { # path staged: what is staged gets mode, owners, access lists and whatever else the file has
  rm -f -- "$2.old" && cp -a -- "$1" "$2.old" && cat -- "$2" >"$2.old" || return
  e=$(stat -c '%a %u %g' -- "$1") && [ "$e" = "$(stat -c '%a %u %g' -- "$2.old")" ] || { echo "the owners of $1 cannot be kept"; return 1; }
  mv -f -- "$2.old" "$2" || return
  flushed "$2"
}
ensure_user() { # manager path
  whose "$1" || { echo "$why"; return 1; }
  [ -d "$2" ] || as - mkdir -m 0700 -- "$2" </dev/null
}
put_user() { # manager path length digest mode: what arrived is handed over whole, and nothing of root's touches the path
  whose "$1" || { echo "$why"; return 1; }
  left=${left#* }
  take "$3" "$4" "$into/.handed" || { c=$?; rm -f -- "$into/.handed"; return $c; }
  as - sh -c "$handed" sh "$2" "$5" <"$into/.handed"; c=$?
  rm -f -- "$into/.handed"; return $c
}
handed='umask 077; p=$1; t=${p%/*}/.${p##*/}.provision-new
if [ -d "$p" ] && [ ! -L "$p" ]; then echo "$p is a directory"; exit 1; fi
rm -f -- "$t" && { set -C; cat >"$t"; } && chmod -- "$2" "$t" && { sync -- "$t" 2>/dev/null || sync; } && {
  mv -fT -- "$t" "$p" 2>/dev/null || { if [ -L "$p" ]; then rm -f -- "$p"; fi; mv -f -- "$t" "$p"; }
} || { c=$?; rm -f -- "$t"; exit $c; }'
over() { # staged path
  # A link to a directory must be replaced, not entered, and mv -T is not everywhere.
  if mv -fT -- "$1" "$2" 2>/dev/null; then return 0; fi
  if [ -L "$2" ]; then rm -f -- "$2" || return; fi
  mv -f -- "$1" "$2"
}
link() { # path target
  t=${1%/*}/.${1##*/}.provision-new
  if [ -e "$1" ] && [ ! -L "$1" ]; then echo "$1 is not a link"; return 1; fi
  rm -f -- "$t" && ln -s -- "$2" "$t" && over "$t" "$1"
}
link_user() { # manager path target
  whose "$1" || { echo "$why"; return 1; }
  as - sh -c "$linked" sh "$2" "$3" </dev/null
}
linked='t=${1%/*}/.${1##*/}.provision-new
if [ -e "$1" ] && [ ! -L "$1" ]; then echo "$1 is not a link"; exit 1; fi
rm -f -- "$t" && ln -s -- "$2" "$t" && {
  mv -fT -- "$t" "$1" 2>/dev/null || { if [ -L "$1" ]; then rm -f -- "$1"; fi; mv -f -- "$t" "$1"; }
} || { c=$?; rm -f -- "$t"; exit $c; }'
remove() { # path: what is there, but for a directory with something in it
  if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1"; else rm -f -- "$1"; fi
}
remove_user() { # manager path
  whose "$1" || { echo "$why"; return 1; }
  as - sh -c 'if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1"; else rm -f -- "$1"; fi' sh "$2" </dev/null
}
unread() { # manager: it has yet to read its units
  case " $stale " in *" $1 "*) ;; *) stale="$stale $1" ;; esac
}
units_read() { # manager*: those read their units that have yet to; one that does not run will when it starts
  for m; do
    case " $stale " in *" $m "*) ;; *) continue ;; esac
    whose "$m" || { echo "$why"; return 1; }
    asleep || systemd - daemon-reload || leaving || return
    k=; for i in $stale; do [ "$i" = "$m" ] || k="$k $i"; done; stale=$k
  done
}
ticks() { # hundredths of a second since the boot
  read -r ticks clock_idle </proc/uptime; ticks=${ticks%%.*}${ticks#*.}
}
leaving() { # whether the manager that did not answer is on its way out: that of a user who lingers no more
  if [ -z "$who" ]; then return 1; fi
  t=0; until asleep; do
    if [ $t -ge 50 ]; then return 1; fi
    sleep 0.1 2>/dev/null || { sleep 1; t=$((t + 9)); }; t=$((t + 1))
  done
}
unit() { # limit manager verb name
  acting "$2" && units_read "$2" || return
  ticks; since=$ticks
  told "$1" "$3" "$4" && { served "$@"; return; }
  c=$?
  case $3 in restart) stopped "$2" "$4" ;; esac
  case $3 in
    start|restart|reload|stop)
      systemd - status --no-pager --lines=0 -- "$4" 2>&1
      logged "$4" ;;
  esac
  return $c
}
told() { # limit verb unit
  # How often it may start in how many seconds (StartLimitBurst=, systemd.unit(5)) bounds a unit that fails again and again,
  # and counts a start by somebody who knows what he does as well: those of before are forgotten, and that it failed.
  case $2 in start|restart) systemd - reset-failed -- "$3" >/dev/null 2>&1 ;; esac
  systemd "$1" "$2" -- "$3"
}
logged() { # unit: what it said last, and what its manager said of it
  if [ -z "$who" ]; then journalctl --no-pager --output=cat --lines=20 --unit="$1" </dev/null 2>&1
  else
    journalctl --no-pager --output=cat --lines=20 "_UID=$uid" "_SYSTEMD_USER_UNIT=$1" + "_UID=$uid" "USER_UNIT=$1" </dev/null 2>/dev/null
  fi
  return 0
}
logs() { # unit*
  for k; do
    managed "$k"; whose "$m" || continue
    printf 'the last lines of the log of %s:\n' "$k"; logged "$x"
  done
}
stopped() { # manager unit: is down since `since`, unless that is known
  case $1 in -) k=$2 ;; *) k=$1/$2 ;; esac
  case "$halted " in *" $k="*) ;; *) halted="$halted $k=$since" ;; esac
}
served() { # limit manager verb name: notes how long it did not serve, when that is over, and starts what was stopped along
  case $3 in start|restart) ;; *) return 0 ;; esac
  case $2 in -) k=$4 ;; *) k=$2/$4 ;; esac
  ticks
  case "$halted " in
    *" $k="*) since=${halted##*" $k="}; since=${since%% *}; halted=${halted%%" $k=$since"*}${halted##*" $k=$since"} ;;
    # Since when one that is started has been down nobody knows.
    *) [ "$3" = restart ] || since=- ;;
  esac
  lasted="$lasted $k=$since:$ticks"
  followed "$k" "$1"
}
followed() { # unit limit
  case $1 in */*) k=$owed/${1%%/*}=${1#*/} ;; *) k=$owed/$1 ;; esac
  if [ ! -s "$k" ]; then return 0; fi
  while read -r k; do
    told "$2" start "$k" || echo "$k, which was stopped along with $1, does not start again"
  done <"$k"
}
load() { # limit length manager id name
  acting "$3" || return
  left=${left#* }
  had=$(as - podman images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' </dev/null 2>/dev/null)
  # What podman leaves unread, because it failed at once or the disk is full, is taken off all the same.
  if [ -n "$arrived" ] && [ -z "$who" ]; then
    # podman makes no copy of its own of what is a file.
    o=$(as "$1" podman load --quiet --input "$arrived" </dev/null 2>&1) || { c=$?; printf '%s\n' "$o"; return $c; }
  else
    o=$(receive "$2" | { as "$1" podman load --quiet 2>&1; c=$?; cat >/dev/null; exit $c; }) || { c=$?; printf '%s\n' "$o"; return $c; }
  fi
  as - podman image inspect --format '{{.Id}}' -- "$4" </dev/null >/dev/null 2>&1 || { printf '%s\n' "$o" "the archive did not bring the image $4"; return 1; }
  as - podman tag "$4" "$5" </dev/null && alone "$4" "$5"
}
alone() { # id name: of the names that the archive has brought only this one stays; another's come back
  for k in $(printf '%s\n' "$o" | sed -n 's/^Loaded image[^:]*: //p' | tr ',' ' '); do
    case $k in "$2"|sha256:*) continue ;; esac
    c=$(printf '%s\n' "$had" | awk -v k="$k" '$2 == k { print $1; exit }')
    if [ -n "$c" ]; then as - podman tag "${c#sha256:}" "$k" </dev/null || return; continue; fi
    c=$(as - podman image inspect --format '{{.Id}}' -- "$k" </dev/null 2>/dev/null) || continue
    if [ "${c#sha256:}" = "$1" ]; then as - podman untag "$k" "$k" </dev/null
    else as - podman rmi -- "$k" </dev/null >/dev/null; fi || return
  done
}
tag() { # manager id name
  acting "$1" && as - podman tag "$2" "$3" </dev/null
}
pull() { # limit manager reference [platform]
  acting "$2" && as "$1" podman pull --quiet ${4:+"--platform=$4"} -- "$3" </dev/null
}
needed() { # the status that means so, 0 or 1; limit directory guard: 1 when it is not needed, more when nobody can tell
  w=$1; shift; asked "$@" 8>&-; c=$?
  # As timeout and shells have it: the time was up, not tried, not to be run, not there.
  case $c in 124|125|126|127) shift 2; printf 'the guard %s cannot be asked: exit status %s\n' "$1" "$c"; return "$c" ;; esac
  if [ $c != 0 ]; then c=1; fi
  [ $c = "$w" ]
}
run() { # limit directory length command; a length of - is no input
  if [ "$3" = - ]; then aloud start "$@" </dev/null; return; fi
  left=${left#* }
  receive "$3" | { aloud start "$@"; c=$?; cat >/dev/null; exit $c; }
}
aloud() { # command: what it prints goes out as it comes, on 8, and whoever still holds its output is waited for
  say output "$number" >&8
  # One that has lost its listeners works on: it may be an hour's work.
  c=$( { { ( "$@" ) 3>&- 8>&- 2>&1; printf %s "$?" >&3; } | { cat >&8 || cat >/dev/null; }; } 3>&1 )
  return "${c:-1}"
}
start() {
  # The usual one: what a command leaves behind is for others too, where it does not say otherwise itself.
  umask 022
  l=$1; if [ -n "$2" ]; then cd "$2" || exit; fi; shift 3; limited "$l" "$@"
}
answers() { # limit pause statuses needle curl-arguments
  command -v curl >/dev/null 2>&1 || { echo "curl is not installed on the host"; return 127; }
  # By the time since the boot: the clock may be set on the way.
  l=$1; w=$2; s=$3; b=$4; shift 4; clock; t=$clock
  while :; do
    clock; m=$((l + t - clock)); [ $m -le 10 ] || m=10; [ $m -ge 2 ] || m=2
    r=$(curl -q --silent --show-error --globoff --noproxy '*' --proto =http,https --http1.1 --max-time $m \
      --max-filesize 1048576 --write-out '\n%{http_code}' "$@" </dev/null 2>&1); c=$?
    h=${r##*
}
    r=${r%
*}
    if [ $c != 0 ]; then
      e=${r#*curl: }; e=${e%%
*}
    else
      case " $s " in
        *" $h "*) case $r in *"$b"*) echo "status $h, as seen from the host"; ticks; lasted="$lasted @=$ticks:$ticks"; return 0 ;; esac; e="the answer does not contain $b" ;;
        *) e="status $h instead of $s" ;;
      esac
    fi
    clock; [ $((clock + w - t)) -lt "$l" ] || break
    # systemd has given up on it, so there is nothing to wait for.
    for k in $asked; do
      managed "$k"; whose "$m" || continue
      case $(systemd - is-active -- "$x" 2>/dev/null) in failed) printf 'there will be no answer, since %s has failed: %s\n' "$k" "$e"; return 1 ;; esac
    done
    sleep "$w"
  done
  printf 'gave up after %ss: %s\n' "$l" "$e"
  return 1
}
turn() { # word name state limit policy length
  w=$1; shift
  # What is to be set may rest on what an earlier step has done.
  "prepare_$w" "$1"; "set_$w" "$@"
}
owe() {
  [ -d "$owed" ] || mkdir -p -m 0700 -- "$owed" || return
  m=
  for k; do if [ ! -e "$owed/$k" ]; then command : >"$owed/$k" || return; m=1; fi; done
  # It outlasts a host that stops hard in the middle of what causes it.
  [ -z "$m" ] || settle
}
pay() { for k; do rm -f -- "$owed/$k"; done; }
task() { # number 'tasks it needs' 'lengths it carries' 'owes' 'pays'
  for d in $2; do
    case " $bad " in *" $d "*) bad="$bad $1"; discard $3; say skipped "$1" "$d"; return ;; esac
  done
  say begun "$1"; number=$1; renew "$limit" 0
  case " $late " in *" $1 "*) "notes_$1"; went_on || unnoted "$1" 'what is there' "$e" ;; esac
  case $unnoted in *" $1 "*)
    eval "e=\$unnoted_$1"
    bad="$bad $1"; discard $3; say failed "$1" 0 1; printf '%s' "$e"; return ;;
  esac
  if [ -n "$4" ] && ! e=$(owe $4 2>&1); then
    bad="$bad $1"; discard $3; say failed "$1" 0 1; printf '%s' "$e"; return
  fi
  # What is yet to be read is known to the task's own shell alone.
  e=$( { left="$3 "; [ "$left" = " " ] && left=; at=0; "task_$1"; c=$?; discard $left; printf '\n%s %s %s|%s|%s' "$at" "$c" "$stale" "$halted" "$lasted"; } 2>&1 )
  a=${e##*
}
  e=${e%
*}
  k=${a##*'|'}; a=${a%'|'*}; halted=${a##*'|'}; a=${a%'|'*}
  stale=${a#* * }; a=${a%" $stale"}
  for k in $k; do say served "$1" "$k"; done
  case $a in
    '- 0') [ -z "$5" ] || pay $5; say unneeded "$1" ;;
    *' 0') [ -z "$5" ] || pay $5; say done "$1"; printf '%s' "$e" ;;
    *)
      # What is down because of it is not up again.
      for k in $halted; do say served "$1" "$k:0"; done
      bad="$bad $1"; say failed "$1" "$a"; printf '%s' "$e" ;;
  esac
}
"#;

/// Writes the program for a batch.
pub(crate) fn program(batch: &Batch, nonce: &str) -> String {
    let mut script = preamble(nonce);
    script.push_str(STATE);
    for functions in [LIMITED, MANAGER, AWAKE, FUNCTIONS, LOOK, LOCK, NOTE, JOURNAL, REVERT, ARM] {
        script.push_str(functions);
    }
    let rolls_back = matches!(batch.journal.purpose, Purpose::Rollback { .. });
    if rolls_back || batch.tasks.iter().flat_map(|task| &task.steps).any(snapshot::concerns) {
        script.push_str(SNAPSHOT);
    }
    if rehearses(batch) {
        script.push_str(GENERATOR);
        script.push_str(REHEARSAL);
    }
    let fetches = |task: &Task| task.steps.iter().any(|step| matches!(step, Step::Fetch { .. }));
    if batch.tasks.iter().any(fetches) {
        script.push_str(FETCH);
    }
    let objects: Vec<Object> = batch.tasks.iter().flat_map(|task| &task.steps).flat_map(Step::objects).collect();
    let sorts = SORTS.iter().filter(|sort| {
        objects.iter().any(|object| matches!(object, Object::Knob(knob) if knob.sort().word == sort.word))
    });
    let requests = |task: &Task| task.steps.iter().any(|step| matches!(step, Step::Request(_)));
    let mut requesting = batch.tasks.iter().any(requests);
    if requesting {
        script.push_str(EFFECT);
    }
    for sort in sorts {
        script.push_str(sort.functions);
        requesting |= sort.word == http::WORD;
        if sort.word == secret::WORD {
            script.push_str(STORAGE);
        }
    }
    if requesting {
        script.push_str(REQUEST);
    }
    let _infallible = write_batch(&mut script, batch);
    script
}

fn write_batch(script: &mut String, batch: &Batch) -> std::fmt::Result {
    let journaled = matches!(batch.journal.purpose, Purpose::Begin { .. } | Purpose::Continue);
    if journaled {
        note::write(script, batch)?;
    }
    journal::write_functions(script, batch)?;
    for (index, task) in batch.tasks.iter().enumerate() {
        for (at, step) in task.steps.iter().enumerate() {
            if let Step::Rehearse(rehearsal) = step {
                rehearsal::write_functions(script, &format!("{index}_{at}"), rehearsal)?;
            }
        }
        // No unit's name has anything in it that a shell takes for something else, once it stands in a variable.
        writeln!(script, "task_{index}() {{\nasked={}", quote(&join(&task.asked)))?;
        write_leaving(script, task)?;
        if task.steps.iter().any(|step| matches!(step, Step::Save { .. })) {
            writeln!(script, "address={}", quote(&task.address.to_string()))?;
        }
        for (at, step) in task.steps.iter().enumerate() {
            let (limit, bytes) = (limit(step, batch).as_secs(), step.blob().map_or(0, Blob::sent));
            let command = match step {
                Step::Rehearse(rehearsal) => rehearsal::call(&format!("{index}_{at}"), rehearsal),
                step => command(step, batch),
            };
            let command = match step.kept() {
                Some(blob) => {
                    let (length, there) = (blob.length().to_string(), blob.there().to_string());
                    format!("{} && {}", words(["arrive", blob.sha256(), &length, &there]), used(&command))
                }
                None => command,
            };
            let failed = match (step, task.asked.as_slice()) {
                (Step::Await(_), [_, ..]) => "{ c=$?; logs $asked; return $c; }".to_owned(),
                _ => "return".to_owned(),
            };
            writeln!(script, "at={at}; renew {limit} {bytes}; {command} || {failed}")?;
        }
        writeln!(script, "}}")?;
    }
    let numbers = |wanted: fn(&Task) -> bool| -> String {
        join(&batch.tasks.iter().enumerate().filter(|(_, task)| wanted(task)).map(|(at, _)| at).collect::<Vec<_>>())
    };
    writeln!(
        script,
        "work() {{\nbad= stale= reverted= removed= arrived= halted= lasted= span=0 limit={}",
        batch.step_limit.as_secs()
    )?;
    writeln!(script, "late='{}'", if journaled { numbers(note::later) } else { String::new() })?;
    writeln!(script, "state {}; owed=$state/owed", quote(&batch.plan))?;
    journal::write_opening(script, batch)?;
    for (index, task) in batch.tasks.iter().enumerate() {
        let (owes, pays) = (notes(&task.owes), notes(&task.pays));
        // Nobody but a command gets hold of where its output goes: what a tool leaves running would keep it open.
        let aloud = if task.steps.iter().any(|step| matches!(step, Step::Run(_))) { " 8>&1" } else { "" };
        writeln!(
            script,
            "task {index} '{}' '{}' {} {}{aloud}",
            join(&task.after),
            join(&lengths(task)),
            quote(&owes),
            quote(&pays)
        )?;
    }
    writeln!(
        script,
        "if [ -n \"$stale\" ] && ! e=$(units_read $stale 2>&1); then say reload-failed; printf '%s' \"$e\"; fi"
    )?;
    journal::write_closing(script, batch)?;
    writeln!(script, "}}\nmain() {{\nwork\nsay end\n}}\nmain\n{WHOLE}")
}

/// Tells a step of what else the same task takes away: some things, such as packages, only go together.
fn write_leaving(script: &mut String, task: &Task) -> std::fmt::Result {
    let (mut reverted, mut removed) = (Vec::new(), Vec::new());
    for step in &task.steps {
        match step {
            Step::Revert(Revert { object: object @ Object::Knob(_), .. }) => reverted.push(object.key()),
            Step::Turn { knob, state, .. } if state == ABSENT => removed.push(knob.name().to_owned()),
            _ => {}
        }
    }
    if reverted.is_empty() && removed.is_empty() {
        return Ok(());
    }
    writeln!(script, "reverted={}; removed={}", quote(&reverted.join(" ")), quote(&removed.join(" ")))
}

/// A command that takes its input from what has arrived.
fn used(command: &str) -> String {
    // Guards and the like are more than one command.
    format!("{{ used_step() {{ {command}; }}; used used_step; }}")
}

/// The longest that a batch may be silent for since one of its tasks has a limit of its own: a command that prints nothing
/// is not a host that is gone.
pub(crate) fn patience(batch: &Batch) -> Duration {
    let own = |step: &&Step| matches!(step, Step::Run(_) | Step::Await(_) | Step::Fetch { .. } | Step::Request(_));
    let sum = |sum: Duration, step: &Step| sum.saturating_add(limit(step, batch));
    batch.tasks.iter().map(|task| task.steps.iter().filter(own).fold(Duration::ZERO, sum)).max().unwrap_or_default()
}

/// The longest that a step may take, apart from what it is sent.
fn limit(step: &Step, batch: &Batch) -> Duration {
    match step {
        Step::Run(run) => run.guards.iter().fold(run.limit, |sum, need| match need {
            Need::Absent(_) => sum,
            Need::Fails(guard) | Need::Succeeds(guard) => sum.saturating_add(guard.limit),
        }),
        // Its last request may end a little after the time is up.
        Step::Await(wait) => wait.limit.saturating_add(wait.pause).saturating_add(Duration::from_secs(10)),
        Step::Fetch { limit, .. } => *limit,
        // Both may be asked a last time when the time is up.
        Step::Request(effect) => {
            effect.within.saturating_add(effect.every).saturating_add(effect.unless.limit.saturating_mul(2))
        }
        Step::Revert(_) => revert::limit(batch.step_limit),
        // It stops the unit, and counts and copies each.
        Step::Save { data, .. } => {
            let commands = 1 + 2 * u32::try_from(data.len()).unwrap_or(u32::MAX / 2);
            batch.step_limit.saturating_mul(commands)
        }
        _ => batch.step_limit,
    }
}

/// Whether podman's generator is asked for anything.
fn rehearses(batch: &Batch) -> bool {
    let in_turn = |step: &Step| matches!(step, Step::Rehearse(_));
    matches!(&batch.journal.purpose, Purpose::Begin { rehearsals, .. } if !rehearsals.is_empty())
        || batch.tasks.iter().flat_map(|task| &task.steps).any(in_turn)
}

/// What is owed, by the names of its notes. Unit names have no blank and no character that a shell expands.
fn notes(owed: &[String]) -> String {
    join(&owed.iter().map(|unit| unit.replace('/', "=")).collect::<Vec<_>>())
}

fn lengths(task: &Task) -> Vec<u64> {
    task.steps.iter().filter_map(Step::blob).map(Blob::sent).collect()
}

pub(super) fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// One step as shell text. Every function it names is in [`FUNCTIONS`].
fn command(step: &Step, batch: &Batch) -> String {
    let limit = batch.step_limit.as_secs().max(1).to_string();
    match step {
        Step::MakeDirectory { path, mode, ownership } => {
            let (user, group) = names(ownership);
            words(["directory", path.as_str(), &digits(*mode), &user, &group])
        }
        Step::EnsureDirectory { path } => words(["ensure", path.as_str()]),
        Step::EnsureUserDirectory { manager, path } => words(["ensure_user", manager.word(), path.as_str()]),
        Step::PutUserFile { manager, path, content, mode } => {
            let (length, mode) = (content.length().to_string(), digits(*mode));
            words(["put_user", manager.word(), path.as_str(), &length, content.sha256(), &mode])
        }
        Step::SetAttributes { path, mode, ownership } => {
            let (user, group) = names(ownership);
            let mode = mode.map(digits).unwrap_or_default();
            words(["attributes", path.as_str(), &mode, &user, &group])
        }
        Step::PutFile { path, content, mode, ownership, validate } => {
            let (user, group) = names(ownership);
            let (length, mode) = (content.length().to_string(), digits(*mode));
            let fixed = ["put", path.as_str(), &length, content.sha256(), &mode, &user, &group, &limit];
            let staged = staged(path);
            let validate = validate.iter().map(|argument| argument.replace("%s", &staged));
            words(fixed.into_iter().map(str::to_owned).chain(validate))
        }
        Step::Rewrite { edit, rewrite, mode, ownership } => {
            let (user, group) = names(ownership);
            let text = words(["rewrite", edit.path.as_str()]);
            let made = words([&digits(*mode), &user, &group]);
            format!("{text} {} {made} && {}", rewritten(rewrite), words(["reread", edit.path.as_str()]))
        }
        Step::Fetch { path, download, mode, ownership, limit } => {
            let (user, group) = names(ownership);
            let limit = limit.as_secs().max(1).to_string();
            let Download { url, sha256 } = download;
            words(["fetch", path.as_str(), url, sha256, &digits(*mode), &user, &group, &limit])
        }
        Step::PutLink { path, target } => words(["link", path.as_str(), target]),
        Step::PutUserLink { manager, path, target } => words(["link_user", manager.word(), path.as_str(), target]),
        Step::Remove { manager: Manager::System, path } => words(["remove", path.as_str()]),
        Step::Remove { manager, path } => words(["remove_user", manager.word(), path.as_str()]),
        // Done before the next unit of that manager is acted upon.
        Step::ReloadUnits(manager) => words(["unread", manager.word()]),
        Step::Unit { unit, action } => words(["unit", &limit, unit.manager.word(), action.verb(), &unit.name]),
        Step::Save { unit, data } => snapshot::save(unit, data, &limit),
        Step::Overhear(units) => words(std::iter::once("logs".to_owned()).chain(units.iter().map(ToString::to_string))),
        Step::LoadImage { archive, id, name } => {
            words(["load", &limit, &archive.length().to_string(), name.manager.word(), id, &name.name])
        }
        Step::TagImage { id, name } => words(["tag", name.manager.word(), id, &name.name]),
        Step::PullImage { reference, platform } => {
            let fixed = ["pull", &limit, reference.manager.word(), &reference.name];
            words(fixed.into_iter().chain(platform.as_deref()))
        }
        Step::Revert(step) => revert::command(step, &limit),
        // Made with functions of its own, by `write_batch`.
        Step::Rehearse(_) | Step::Claim(_) => ":".to_owned(),
        Step::Turn { knob, state, input } => {
            let length = input.as_ref().map(|blob| blob.length().to_string()).unwrap_or_default();
            words(["turn", knob.sort().word, knob.name(), state, &limit, "keep", &length])
        }
        Step::Run(run) => run_command(run),
        Step::Request(effect) => request::command(effect),
        Step::Await(wait) => await_command(wait),
    }
}

/// What the function `rewrite` is told of a file's old and new content.
pub(super) fn rewritten(rewrite: &Rewrite) -> String {
    let old = rewrite.before.last().map_or(Rewrite::NO_FILE, String::as_str);
    match &rewrite.after {
        After::Same => words([old, "same", ""]),
        After::Gone => words([old, "gone", ""]),
        After::Content(blob) => words([old, &blob.length().to_string(), blob.sha256()]),
    }
}

/// A mode for chmod(1). Five digits: with fewer, GNU chmod leaves a directory's set-user-ID and set-group-ID bits as
/// they are.
fn digits(mode: crate::attribute::Mode) -> String {
    format!("0{mode}")
}

/// The name under which a file is staged; `stage` makes the same.
fn staged(path: &AbsPath) -> String {
    let directory = path.as_str().rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{directory}/.{}.provision-new", path.name())
}

fn names(ownership: &Ownership) -> (String, String) {
    let text =
        |account: &Option<crate::attribute::Account>| account.as_ref().map(ToString::to_string).unwrap_or_default();
    (text(&ownership.user), text(&ownership.group))
}

fn run_command(run: &Run) -> String {
    let Run { argv, directory, input, limit, guards } = run;
    let mut text = String::from("{ ");
    for need in guards {
        let _infallible = match need {
            Need::Absent(path) => {
                write!(text, "if [ -e {0} ] || [ -L {0} ]; then at=-; return 0; fi; ", quote(path.as_str()))
            }
            Need::Fails(guard) => write!(text, "{}; ", needed(1, guard)),
            Need::Succeeds(guard) => write!(text, "{}; ", needed(0, guard)),
        };
    }
    let limit = limit.as_secs().max(1).to_string();
    let length = input.as_ref().map_or_else(|| "-".to_owned(), |input| input.length().to_string());
    let fixed = ["run", &limit, directory.as_ref().map_or("", AbsPath::as_str), &length];
    let _infallible = write!(text, "{}; }}", words(fixed.into_iter().chain(argv.iter().map(String::as_str))));
    text
}

/// A guard whose answer ends the task: well when the command is not needed, badly when nobody can tell.
fn needed(status: u8, guard: &Guard) -> String {
    let needed = guard_command(guard).replacen("asked ", &format!("needed {status} "), 1);
    // `task` reads the dash as: not needed after all.
    format!("{needed} || {{ c=$?; [ $c = 1 ] || return $c; at=-; return 0; }}")
}

fn await_command(wait: &Await) -> String {
    let statuses = wait.status.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let limit = wait.limit.as_secs().to_string();
    let pause = wait.pause.as_secs().max(1).to_string();
    let needle = wait.contains.clone().unwrap_or_default();
    format!("{} {}", words(["answers", &limit, &pause, &statuses, &needle]), words(&wait.curl))
}

// `receive` above divides by the same number.
const _: () = assert!(BLOCK == 1_048_576);
