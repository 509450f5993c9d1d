//! Requests that change something: shell functions, and the call of them.

use crate::request::{Delete, Effect, statuses};
use crate::shell::words;

#[cfg(test)]
mod tests;

pub(super) const EFFECT: &str = r#"
http_again() { # whether there is time for another try, after a pause
  clock; [ $((clock + http_every - http_start)) -lt "$http_within" ] || return
  sleep "$http_every"
}
http_undone() { # it was not done after all
  [ -z "$http_noted" ] || rm -f -- "$http_file"
}
request() { # within every limit; guard: options 'statuses' text; title options 'statuses'; to take it back: name title 'statuses' options; (statuses text)*
  http_within=$1; http_every=$2; http_limit=$3; http_ask=$4; http_yes=$5; http_text=$6
  http_title=$7; http_options=$8; http_wanted=$9; http_noted=; shift 9
  clock; http_start=$clock
  # The guard, until whoever answers it is there.
  while :; do
    if requested "$http_limit" "$http_ask"; then
      if expected "$http_yes" "$http_text"; then at=-; return 0; fi
      case " $http_yes " in *" $http_status "*) break ;; esac
      case $http_status in 502|503|504) http_why="status $http_status" ;; *) break ;; esac
    elif [ $http_code = 127 ]; then echo "$http_why"; return 127
    fi
    http_again || { echo "gave up after ${http_within}s, the guard gets no answer: $http_why"; return 1; }
  done
  if [ -n "$1" ]; then
    http_place "$1"; [ -e "$http_file" ] || http_noted=1
    # Before it is done: what is done and not noted, nobody takes back.
    note_http "$1" "$2" "$3" "$4" || { echo 'cannot note down how it is taken back'; return 1; }
  fi
  shift 4
  while :; do
    if requested "$http_limit" "$http_options"; then
      case " $http_wanted " in *" $http_status "*) echo "status $http_status"; return 0 ;; esac
      if [ "$http_status" != 503 ]; then break; fi
      http_why="status $http_status"
    else
      # Only where nobody has heard of it may it be made again.
      case $http_code in 6|7) ;; *) echo "$http_why; whether it was done all the same is not known"; return 1 ;; esac
    fi
    http_again || { http_undone; echo "gave up after ${http_within}s: $http_why"; return 1; }
  done
  while [ $# != 0 ]; do
    if expected "$1" "$2"; then http_undone; echo "status $http_status: it had been done"; return 0; fi
    shift 2
  done
  http_undone; http_told
  printf '%s\n' "status $http_status instead of $http_wanted: $http_body"; return 1
}
"#;

/// A step as shell text.
pub(super) fn command(effect: &Effect) -> String {
    let Effect { unless, request, status, done, within, every, delete } = effect;
    let [within, every, limit] = [within, every, &unless.limit].map(|span| span.as_secs().max(1).to_string());
    let mut all = vec!["request".to_owned(), within, every, limit];
    all.extend([unless.request.config(), statuses(&unless.expected.status)]);
    all.extend([unless.expected.contains.clone().unwrap_or_default(), request.title(), request.config()]);
    all.push(statuses(status));
    match delete {
        Some(Delete { knob, request, status }) => {
            all.extend([knob.name().to_owned(), request.title(), statuses(status), request.config()]);
        }
        None => all.extend([const { String::new() }; 4]),
    }
    for answer in done {
        all.extend([statuses(&answer.status), answer.contains.clone().unwrap_or_default()]);
    }
    words(all)
}
