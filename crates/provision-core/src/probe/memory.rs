//! What a host remembers of plans, and what podman and directories have by name: the shell functions that look, and what they
//! said. They read, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Answer, Ask, Store};
use crate::ledger::{Applied, Ended, LedgerFound, LockFound, Memory, Scope};
use crate::object::{Object, Record};
use crate::shell::{Section, quote, words};

pub(super) const FUNCTIONS: &str = r#"
memory() { # plan digest of the ledger that need not be sent
  state "$1"; say memory "$state"
  if [ -e "$state/ledger" ]; then
    h=$(sha256sum <"$state/ledger" 2>/dev/null)
    if [ "${h%% *}" = "$2" ]; then say ledger-same
    elif [ -r "$state/ledger" ]; then say ledger; cat -- "$state/ledger"
    else say memory-failed "$state/ledger cannot be read"; fi
  fi
  newest
  if [ "$last" != 0 ]; then say last "$last" "$result"; cat -- "$state/history/$last/head"; fi
  boot
  if read_lock; then if alive; then say lock-held "$lock_holder"; else say lock-left "$lock_holder"; fi
  elif [ -e "$state/lock" ]; then say lock-left nobody; fi
  for f in "$state"/origin/*; do
    case $f in *.was) ;; *) if [ -s "$f" ]; then say touched; break; fi ;; esac
  done
  for f in "${state%/*}"/*/ledger; do
    if [ ! -e "$f" ] || [ "$f" = "$state/ledger" ]; then continue; fi
    p=${f%/ledger}; say held "${p##*/}"
    grep -E '^ *"(path|unit|image|port|volume|network) ' "$f" 2>/dev/null
  done
}
records() { # plan scope
  state "$1"; say records "$1 $2"
  case $2 in
    history/*) [ -e "$state/$2/order" ] && while read -r f; do line "$state/$2/$f"; done <"$state/$2/order" ;;
    *) for f in "$state/$2"/*; do case $f in *.was) ;; *) line "$f" ;; esac; done ;;
  esac
  return 0
}
line() { # file: its first line
  if [ -s "$1" ] && IFS= read -r l <"$1"; then printf '%s\n' "$l"; fi
}
history() { # plan
  state "$1"; say history
  for f in "$state"/history/*/head; do
    f=${f%/head}; f=${f##*/}
    case $f in *[!0-9]*) continue ;; esac
    ended "$f"; say past "$f" "$result"; cat -- "$state/history/$f/head"
  done
}
listing() { # directory
  say listing "$1"
  for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\n' "${f##*/}"; fi
  done
}
stored() { # sort name
  graph
  if [ "$1" = volume ]; then p=$g/volumes/$2
  elif [ "$u" = 0 ]; then p=/etc/containers/networks/$2.json
  else p=$g/networks/$2.json; fi
  if [ -e "$p" ]; then say stored "$1" yes "$2"; else say stored "$1" no "$2"; fi
}
"#;

/// Questions of this sort, as calls of the functions.
pub(super) fn write(script: &mut String, asks: &BTreeSet<&Ask>) -> std::fmt::Result {
    for ask in asks {
        match ask {
            Ask::Memory { plan, ledger } => writeln!(script, "memory {}", words([plan, ledger]))?,
            Ask::Records { plan, scope } => writeln!(script, "records {}", words([plan, &scope.directory()]))?,
            Ask::History(plan) => writeln!(script, "history {}", quote(plan))?,
            Ask::Listing(path) => writeln!(script, "listing {}", quote(path.as_str()))?,
            Ask::Stored { sort, name } => writeln!(script, "stored {}", words([word(*sort), name]))?,
            _ => {}
        }
    }
    Ok(())
}

const fn word(sort: Store) -> &'static str {
    match sort {
        Store::Volume => "volume",
        Store::Network => "network",
    }
}

/// What the functions said.
#[derive(Default)]
pub(super) struct Remembered {
    memory: Option<Memory>,
    failed: Option<String>,
    records: BTreeMap<String, Result<Vec<Record>, String>>,
    history: Option<Vec<Applied>>,
    listings: BTreeMap<String, Vec<String>>,
    stored: BTreeMap<(String, String), bool>,
}

impl Remembered {
    /// Takes a section in, if it is one of these.
    pub(super) fn hear(&mut self, word: &str, rest: &str, section: &Section<'_>) {
        let text = String::from_utf8_lossy(section.body);
        let lines = || text.lines().map(str::to_owned);
        match word {
            "memory" => self.memory = Some(Memory { directory: rest.to_owned(), ..Memory::default() }),
            "memory-failed" => self.failed = Some(rest.to_owned()),
            "records" => {
                let read = lines().map(|line| line.parse::<Record>()).collect();
                self.records.insert(rest.to_owned(), read);
            }
            "history" => self.history = Some(Vec::new()),
            "past" => {
                if let (Some(history), Some(applied)) = (&mut self.history, applied(rest, section.body)) {
                    history.push(applied);
                }
            }
            "listing" => {
                self.listings.insert(rest.to_owned(), lines().collect());
            }
            "stored" => {
                let mut parts = rest.splitn(3, ' ');
                if let (Some(sort), Some(there), Some(name)) = (parts.next(), parts.next(), parts.next()) {
                    self.stored.insert((sort.to_owned(), name.to_owned()), there == "yes");
                }
            }
            _ => {
                if let Some(memory) = &mut self.memory {
                    remember(memory, word, rest, section.body);
                }
            }
        }
    }

    /// The answer to a question of this sort.
    pub(super) fn answer(&self, ask: &Ask) -> Result<Answer, String> {
        let silent = || format!("the host did not answer {ask:?}");
        match ask {
            Ask::Memory { .. } => match (&self.failed, &self.memory) {
                (Some(reason), _) => Err(reason.clone()),
                (None, Some(memory)) => Ok(Answer::Memory(memory.clone())),
                (None, None) => Err("the host did not say what it remembers of the plan".to_owned()),
            },
            Ask::Records { plan, scope } => {
                let found = self.records.get(&format!("{plan} {}", scope.directory())).ok_or_else(silent)?;
                let mut records = found.clone()?;
                if *scope == Scope::Origin {
                    records.sort_by_key(|record| record.object.key());
                }
                Ok(Answer::Records(records))
            }
            Ask::History(_) => {
                let mut history = self.history.clone().ok_or_else(silent)?;
                history.sort_by_key(|applied| applied.number);
                Ok(Answer::History(history))
            }
            Ask::Listing(path) => {
                let mut names = self.listings.get(path.as_str()).cloned().ok_or_else(silent)?;
                names.sort();
                Ok(Answer::Listing(names))
            }
            Ask::Stored { sort, name } => {
                let key = (word(*sort).to_owned(), name.clone());
                self.stored.get(&key).copied().map(Answer::Stored).ok_or_else(silent)
            }
            _ => Err(silent()),
        }
    }
}

fn remember(memory: &mut Memory, word: &str, rest: &str, body: &[u8]) {
    match word {
        "ledger-same" => memory.ledger = LedgerFound::Same,
        "ledger" => memory.ledger = LedgerFound::Other(body.to_vec()),
        "last" => memory.last = applied(rest, body),
        "lock-held" => memory.lock = Some(LockFound { holder: rest.to_owned(), alive: true }),
        "lock-left" => memory.lock = Some(LockFound { holder: rest.to_owned(), alive: false }),
        "touched" => memory.touched = true,
        "held" => {
            let text = String::from_utf8_lossy(body);
            let objects = text.lines().filter_map(|line| {
                let string: String = serde_json::from_str(line.trim().trim_end_matches(',')).ok()?;
                string.parse::<Object>().ok()
            });
            memory.others.insert(rest.to_owned(), objects.collect());
        }
        _ => {}
    }
}

/// `7 done`, and the head.
fn applied(rest: &str, head: &[u8]) -> Option<Applied> {
    let (number, result) = rest.split_once(' ')?;
    let result = Ended::from_word(result);
    Some(Applied { number: number.parse().ok()?, result, head: serde_json::from_slice(head).ok() })
}
