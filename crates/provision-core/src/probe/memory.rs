//! What a host remembers of a plan: asked for and read. It is only looked at; what writes it is in `step/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Ask;
use crate::ledger::{Applied, Ended, LedgerFound, LockFound, Memory, Records, Scope};
use crate::object::Object;
use crate::shell::{Section, words};

#[cfg(test)]
mod tests;

pub(super) const MEMORY: &str = r#"
memory() { # digest-of-the-ledger plan
  state "$2"; say memory "$1 $2"; say memory-directory "$state"
  if [ -e "$state/ledger" ]; then
    h=$(sha256sum <"$state/ledger") 2>/dev/null
    if [ "${h%% *}" = "$1" ]; then say memory-same
    elif [ -r "$state/ledger" ]; then say memory-ledger; cat -- "$state/ledger"
    else say memory-failed "cannot read $state/ledger"; fi
  fi
  newest
  if [ "$last" != 0 ]; then say memory-last "$last $result"; cat -- "$state/history/$last/head" 2>/dev/null; fi
  boot
  if [ -s "$state/lock" ]; then
    if ! read_lock; then say memory-lock gone 'an apply that was cut'
    elif alive; then say memory-lock alive "$lock_holder"
    else say memory-lock gone "$lock_holder"; fi
  fi
  for f in "$state"/origin/*; do
    case $f in *.was) ;; *) if [ -s "$f" ]; then say memory-touched; break; fi ;; esac
  done
  for f in "$state"/arriving/*; do
    if [ -f "$f" ] && [ ! -L "$f" ] && h=$(stat -c %s -- "$f" 2>/dev/null); then say memory-arriving "$h ${f##*/}"; fi
  done
  for f in "${state%/*}"/*/ledger; do
    if [ "$f" = "$state/ledger" ] || [ ! -e "$f" ]; then continue; fi
    h=${f%/ledger}; say memory-other "${h##*/}"
    # One object a line; what is wanted of a resource is never an array.
    sed -n '/^ *"objects": \[$/,/^ *\]/p' "$f" 2>/dev/null
  done
}
records() { # directory plan
  state "$2"; say records "$1 $2"; d=$state/$1
  if [ "$1" = origin ]; then
    for f in "$d"/*; do case $f in *.was) ;; *) first "$f" ;; esac; done
  elif [ -e "$d/order" ]; then
    while read -r f; do first "$d/$f"; done <"$d/order"
  fi
}
first() { # file: its first line
  if [ -s "$1" ] && IFS= read -r line <"$1"; then printf '%s\n' "$line"; fi
}
history() { # plan
  state "$1"; say history "$1"
  for f in "$state"/history/*/head; do
    h=${f%/head}; h=${h##*/}
    case $h in *[!0-9]*) continue ;; esac
    ended "$h"; say applied "$h $result"; cat -- "$f" 2>/dev/null
  done
}
"#;

/// The questions that a host answers from what it remembers.
#[derive(Default)]
pub(super) struct Asked<'a> {
    memories: BTreeSet<(&'a str, &'a str)>,
    records: BTreeSet<(Scope, &'a str)>,
    histories: BTreeSet<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn insert(&mut self, ask: &'a Ask) {
        match ask {
            Ask::Memory { plan, ledger } => {
                self.memories.insert((ledger, plan));
            }
            Ask::Records { plan, scope } => {
                self.records.insert((*scope, plan));
            }
            Ask::History(plan) => {
                self.histories.insert(plan);
            }
            _ => {}
        }
    }

    pub(super) fn write(&self, script: &mut String) -> std::fmt::Result {
        for (ledger, plan) in &self.memories {
            writeln!(script, "{}", words(["memory", ledger, plan]))?;
        }
        for (scope, plan) in &self.records {
            writeln!(script, "{}", words(["records", &scope.directory(), plan]))?;
        }
        for plan in &self.histories {
            writeln!(script, "{}", words(["history", plan]))?;
        }
        Ok(())
    }
}

/// What was answered, by the words after the marker of each question's first section.
#[derive(Default)]
pub(super) struct Found {
    memories: BTreeMap<String, Result<Memory, String>>,
    records: BTreeMap<String, Result<Records, String>>,
    histories: BTreeMap<String, Vec<Applied>>,
    /// To which question the sections belong that come now.
    memory: String,
    history: String,
}

impl Found {
    pub(super) fn memory(&self, plan: &str, ledger: &str) -> Result<Memory, String> {
        let unanswered = || Err(format!("the host did not say what it remembers of {plan}"));
        self.memories.get(&format!("{ledger} {plan}")).cloned().unwrap_or_else(unanswered)
    }

    pub(super) fn records(&self, plan: &str, scope: Scope) -> Result<Records, String> {
        let unanswered = || Err(format!("the host did not send its records of {plan}"));
        self.records.get(&format!("{} {plan}", scope.directory())).cloned().unwrap_or_else(unanswered)
    }

    pub(super) fn history(&self, plan: &str) -> Result<Vec<Applied>, String> {
        let mut applies =
            self.histories.get(plan).cloned().ok_or_else(|| format!("the host did not send its history of {plan}"))?;
        applies.sort_by_key(|applied| applied.number);
        Ok(applies)
    }

    /// Takes a section in, when it is of what is remembered.
    pub(super) fn take(&mut self, word: &str, rest: &str, section: &Section<'_>) {
        match word {
            "memory" => {
                rest.clone_into(&mut self.memory);
                self.memories.insert(rest.to_owned(), Ok(Memory::default()));
            }
            "memory-failed" => {
                self.memories.insert(self.memory.clone(), Err(rest.to_owned()));
            }
            "records" => {
                let text = String::from_utf8_lossy(section.body);
                let records = text.lines().filter(|line| !line.is_empty()).map(str::parse).collect();
                self.records.insert(rest.to_owned(), records);
            }
            "history" => {
                rest.clone_into(&mut self.history);
                self.histories.insert(rest.to_owned(), Vec::new());
            }
            "applied" => {
                let applies = self.histories.entry(self.history.clone()).or_default();
                applies.extend(applied(rest, section.body));
            }
            _ => {
                if let Some(Ok(memory)) = self.memories.get_mut(&self.memory) {
                    part(memory, word, rest, section.body);
                }
            }
        }
    }
}

fn part(memory: &mut Memory, word: &str, rest: &str, body: &[u8]) {
    match word {
        "memory-directory" => rest.clone_into(&mut memory.directory),
        "memory-same" => memory.ledger = LedgerFound::Same,
        "memory-ledger" => memory.ledger = LedgerFound::Other(body.to_vec()),
        "memory-last" => memory.last = applied(rest, body),
        "memory-lock" => {
            let (state, holder) = rest.split_once(' ').unwrap_or((rest, ""));
            memory.lock = Some(LockFound { holder: holder.to_owned(), alive: state == "alive" });
        }
        "memory-arriving" => memory.arriving.extend(arriving(rest)),
        "memory-touched" => memory.touched = true,
        "memory-other" => {
            memory.others.insert(rest.to_owned(), objects(body));
        }
        _ => {}
    }
}

/// `1048576`, and a digest.
fn arriving(text: &str) -> Option<(String, u64)> {
    let (length, digest) = text.split_once(' ')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then_some((digest.to_owned(), length.parse().ok()?))
}

/// `7 done`, and the file `head`.
fn applied(text: &str, head: &[u8]) -> Option<Applied> {
    let (number, word) = text.split_once(' ')?;
    let head = serde_json::from_slice(head).ok();
    Some(Applied { number: number.parse().ok()?, result: Ended::from_word(word), head })
}

/// The objects among lines of a ledger: each is a JSON string on a line of its own. One that this version does not know is
/// none that it could make.
fn objects(lines: &[u8]) -> BTreeSet<Object> {
    let text = String::from_utf8_lossy(lines);
    let object = |line: &str| serde_json::from_str::<String>(line.trim().trim_end_matches(',')).ok()?.parse().ok();
    text.lines().filter_map(object).collect()
}
