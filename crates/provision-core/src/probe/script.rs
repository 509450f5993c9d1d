//! The shell program of a batch of questions. It only reads: no redirection but to `/dev/null`, no here-document (bash
//! keeps those in temporary files), no tool that writes. What podman's generator is given (`generator.rs`) stands in a file
//! system in memory that is the asking process's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::generator::{self, GENERATOR};
use super::memory::{self, MEMORY};
use super::podman::PODMAN;
use super::store::{STORAGE, STORE};
use super::{Ask, CONTENT_LIMIT, Guard, Store, Wanted};
use crate::knob::{Knob, KnobSort};
use crate::path::AbsPath;
use crate::request::{Query, REQUEST, statuses};
use crate::shell::{LIMITED, MANAGER, STATE, WHOLE, preamble, quote, words};
use crate::step::Rehearsal;
use crate::step::lock::LOOK;
use crate::systemd::{Managed, Manager};

/// Most paths in one tool run: well under the 128 KiB that Linux allows one argument list entry and the 2 MiB of all,
/// and small enough that the shell's own copying of the list does not show.
const PATHS_AT_ONCE: usize = 200;

/// The unit properties that [`super::UnitState`] has, in the order in which the reply is read by name.
const UNIT_PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload";

const FUNCTIONS: &str = r#"
units() { # properties manager unit*
  say units "$2"
  whose "$2" || {
    # Of a user that is not there, nothing is up.
    if [ $? = 2 ]; then say asleep "$2"; else say failed systemctl "$2 $why"; fi; return 0
  }
  if asleep; then say asleep "$2"; return 0; fi
  p=$1; m=$2; shift 2
  systemd - show --no-pager --property="$p" -- "$@" 2>&1 || say failed systemctl "$m"
}
paths() {
  stat -c '=%f %u %g %s %U %G %n' -- "$@" 2>&1
  for p; do
    if [ -L "$p" ]; then say link "$p"; readlink -- "$p"; fi
  done
}
sums() {
  for p; do
    IFS= read -r l || break
    h=${l%% *}; h=${h#\\}; c=${w%% *}; w=${w#* }
    case $p in *\\*) ;; *) case $l in *"  $p") ;; *) break ;; esac ;; esac
    say sum "$h $p"
    case $c in
      never) ;;
      "$h") ;;
      *) say content "$p"; dd bs=65536 count=4 if="$p" 2>/dev/null ;;
    esac
  done
}
keys() {
  command -v openssl >/dev/null 2>&1 || { say missing openssl; return 0; }
  for p; do
    [ -f "$p" ] && [ ! -L "$p" ] && [ -r "$p" ] || continue
    # With a passphrase given, if an empty one, openssl never asks for one.
    h=$(openssl pkey -in "$p" -passin pass: -pubout -outform der </dev/null 2>/dev/null | sha256sum)
    say key "${h%% *} $p"
  done
}
joined() { # number, files
  i=$1; shift
  for p; do
    if [ ! -f "$p" ] || [ -L "$p" ] || [ ! -r "$p" ]; then say joined "$i" none; return 0; fi
  done
  h=$(cat -- "$@" 2>/dev/null | sha256sum)
  say joined "$i" "${h%% *}"
}
listing() { # directory
  say listing "$1"
  if [ ! -d "$1" ]; then return 0; fi
  if [ ! -r "$1" ] || [ ! -x "$1" ]; then say listing-failed "$1"; return 0; fi
  for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\0' "${f##*/}"; fi
  done
}
query() { # number limit options 'statuses' text
  if ! requested "$2" "$3"; then say query "$1" none; printf '%s' "$http_why"
  elif expected "$4" "$5"; then say query "$1" yes
  else say query "$1" "$http_status"; fi
}
knob() { # word name
  got=
  if "get_$1" "$2"; then say knob "$1 $2"; else say knob-unknown "$1 $2"; fi
  printf '%s' "$got"
}
"#;

/// Writes the program for some questions.
pub(crate) fn program<'a>(asks: impl IntoIterator<Item = &'a Ask>, nonce: &str) -> String {
    let mut script = preamble(nonce);
    script.push_str(STATE);
    for functions in [LIMITED, MANAGER, FUNCTIONS, STORAGE, STORE, LOOK, MEMORY] {
        script.push_str(functions);
    }
    let batch = Batch::sort(asks);
    if batch.podman || !batch.generated.is_empty() {
        script.push_str(GENERATOR);
        script.push_str(PODMAN);
    }
    if !batch.queries.is_empty() {
        script.push_str(REQUEST);
    }
    for (sort, _) in batch.sorts() {
        script.push_str(sort.functions);
    }
    script.push_str("main() {\nsay begin\n");
    let _infallible = batch.write(&mut script, nonce);
    let _infallible = writeln!(script, "say end\n}}\nmain </dev/null\n{WHOLE}");
    script
}

/// The questions by the tool that answers them.
#[derive(Default)]
struct Batch<'a> {
    paths: BTreeSet<&'a AbsPath>,
    files: BTreeMap<&'a AbsPath, BTreeSet<&'a Wanted>>,
    keys: BTreeSet<&'a AbsPath>,
    joined: BTreeSet<&'a [AbsPath]>,
    units: BTreeMap<&'a Manager, BTreeSet<&'a str>>,
    images: BTreeSet<&'a Manager>,
    layers: BTreeSet<(&'a Manager, &'a BTreeSet<String>)>,
    podman: bool,
    generated: BTreeSet<&'a Rehearsal>,
    guards: BTreeSet<&'a Guard>,
    queries: BTreeSet<&'a Query>,
    owed: BTreeSet<&'a str>,
    memory: memory::Asked<'a>,
    listings: BTreeSet<&'a AbsPath>,
    stored: BTreeSet<(Store, &'a Managed)>,
    knobs: BTreeSet<&'a Knob>,
}

impl<'a> Batch<'a> {
    fn sort(asks: impl IntoIterator<Item = &'a Ask>) -> Self {
        let mut batch = Self::default();
        for ask in asks {
            match ask {
                Ask::Path(path) => {
                    batch.paths.insert(path);
                }
                Ask::File { path, content } => {
                    // Read together with what the path is, so that a link or an unreadable file is told apart.
                    batch.paths.insert(path);
                    batch.files.entry(path).or_default().insert(content);
                }
                Ask::PublicKey(path) => {
                    batch.paths.insert(path);
                    batch.keys.insert(path);
                }
                Ask::Joined(paths) => {
                    batch.joined.insert(paths);
                }
                Ask::Unit(Managed { manager, name }) => {
                    batch.units.entry(manager).or_default().insert(name);
                }
                Ask::Images(manager) => {
                    batch.images.insert(manager);
                }
                Ask::Layers { manager, digests } => {
                    batch.layers.insert((manager, digests));
                }
                Ask::Podman => batch.podman = true,
                Ask::Generated(rehearsal) => {
                    batch.generated.insert(rehearsal);
                }
                Ask::Guard(guard) => {
                    batch.guards.insert(guard);
                }
                Ask::Query(query) => {
                    batch.queries.insert(query);
                }
                Ask::Owed(plan) => {
                    batch.owed.insert(plan);
                }
                Ask::Memory { .. } | Ask::Records { .. } | Ask::History(_) => batch.memory.insert(ask),
                Ask::Listing(path) => {
                    batch.listings.insert(path);
                }
                Ask::Stored { sort, name } => {
                    batch.stored.insert((*sort, name));
                }
                Ask::Knob(knob) => {
                    batch.knobs.insert(knob);
                }
                // Not of the host: whoever is connected to it knows.
                Ask::Here(_) => {}
            }
        }
        batch
    }

    /// The knobs by sort.
    fn sorts(&self) -> impl Iterator<Item = (&'static KnobSort, Vec<&str>)> {
        // They are sorted by sort.
        let knobs: Vec<&Knob> = self.knobs.iter().copied().collect();
        let chunks: Vec<(&'static KnobSort, Vec<&str>)> = knobs
            .chunk_by(|one, other| one.sort().word == other.sort().word)
            .filter_map(|chunk| Some((chunk.first()?.sort(), chunk.iter().map(|knob| knob.name()).collect())))
            .collect();
        chunks.into_iter()
    }

    fn write(&self, script: &mut String, nonce: &str) -> std::fmt::Result {
        let paths: Vec<&AbsPath> = self.paths.iter().copied().collect();
        for chunk in paths.chunks(PATHS_AT_ONCE) {
            writeln!(script, "say paths; paths {}", words(chunk.iter().map(|path| path.as_str())))?;
        }
        let files: Vec<(&AbsPath, &BTreeSet<&Wanted>)> =
            self.files.iter().map(|(path, wanted)| (*path, wanted)).collect();
        if !files.is_empty() {
            writeln!(script, "command -v sha256sum >/dev/null 2>&1 || say missing sha256sum")?;
        }
        for chunk in files.chunks(PATHS_AT_ONCE) {
            writeln!(script, "set --; w=")?;
            for (path, wanted) in chunk {
                let path = quote(path.as_str());
                writeln!(
                    script,
                    "[ -f {path} ] && [ ! -L {path} ] && [ -r {path} ] && set -- \"$@\" {path} && w=\"$w\"{}' '",
                    code(wanted)
                )?;
            }
            writeln!(script, "[ $# = 0 ] || sha256sum -- \"$@\" 2>/dev/null | sums \"$@\"")?;
        }
        if !self.keys.is_empty() {
            writeln!(script, "keys {}", words(self.keys.iter().map(|path| path.as_str())))?;
        }
        for (index, paths) in self.joined.iter().enumerate() {
            writeln!(script, "joined {index} {}", words(paths.iter().map(AbsPath::as_str)))?;
        }
        for (manager, units) in &self.units {
            writeln!(script, "units {UNIT_PROPERTIES} {} {}", quote(manager.word()), words(units))?;
        }
        for manager in &self.images {
            writeln!(script, "images {}", quote(manager.word()))?;
        }
        for (index, (manager, digests)) in self.layers.iter().enumerate() {
            let fixed = ["layers".to_owned(), index.to_string(), manager.word().to_owned()];
            writeln!(script, "{}", words(fixed.iter().chain(*digests)))?;
        }
        if self.podman {
            writeln!(script, "podman_found")?;
        }
        generator::write_asks(script, self.generated.iter().copied(), nonce)?;
        for (index, guard) in self.guards.iter().enumerate() {
            writeln!(script, "{}; say guard {index} $?", guard_command(guard))?;
        }
        for (index, Query { request, expected, limit }) in self.queries.iter().enumerate() {
            let (index, limit) = (index.to_string(), limit.as_secs().max(1).to_string());
            let (config, status) = (request.config(), statuses(&expected.status));
            let text = expected.contains.as_deref().unwrap_or_default();
            writeln!(script, "{}", words(["query", &index, &limit, &config, &status, text]))?;
        }
        for plan in &self.owed {
            let plan = quote(plan);
            writeln!(
                script,
                "say owed {plan}; state {plan}; for f in \"$state\"/owed/*; do [ -e \"$f\" ] && printf '%s\\n' \"${{f##*/}}\"; done"
            )?;
        }
        self.memory.write(script)?;
        for path in &self.listings {
            writeln!(script, "{}", words(["listing", path.as_str()]))?;
        }
        for (sort, name) in &self.stored {
            writeln!(script, "{}", words(["stored", sort.word(), name.manager.word(), &name.name]))?;
        }
        for (sort, names) in self.sorts() {
            writeln!(script, "prepare_{} {}", sort.word, words(&names))?;
            for name in names {
                writeln!(script, "{}", words(["knob", sort.word, name]))?;
            }
        }
        Ok(())
    }
}

/// A guard as shell text whose exit status is the guard's; for programs that have the function `asked`.
pub(crate) fn guard_command(guard: &Guard) -> String {
    let limit = guard.limit.as_secs().max(1).to_string();
    let directory = guard.directory.as_ref().map_or("", AbsPath::as_str);
    words(["asked", &limit, directory].into_iter().chain(guard.argv.iter().map(String::as_str)))
}

/// What `sums` is told about a file: `never`, a digest, or a word that no digest equals.
fn code(wanted: &BTreeSet<&Wanted>) -> String {
    if wanted.iter().all(|wanted| **wanted == Wanted::Never) {
        return "never".to_owned();
    }
    match wanted.iter().copied().collect::<Vec<_>>().as_slice() {
        [Wanted::Unless(digest)] if digest.bytes().all(|b| b.is_ascii_hexdigit()) => digest.clone(),
        _ => "always".to_owned(),
    }
}

/// The units of some questions in the order in which their manager is asked for them.
pub(crate) fn units<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> BTreeMap<&'a Manager, Vec<&'a str>> {
    Batch::sort(asks).units.into_iter().map(|(manager, units)| (manager, units.into_iter().collect())).collect()
}

/// The guards of some questions in the order in which the program numbers them.
pub(crate) fn guards<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Vec<&'a Guard> {
    Batch::sort(asks).guards.into_iter().collect()
}

/// Whose layers some questions are about, in the order in which the program numbers them, each with their digests.
pub(crate) fn layers<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Vec<(&'a Manager, &'a BTreeSet<String>)> {
    Batch::sort(asks).layers.into_iter().collect()
}

/// The requests of some questions in the order in which the program numbers them.
pub(crate) fn queries<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Vec<&'a Query> {
    Batch::sort(asks).queries.into_iter().collect()
}

/// The files of some questions in the order in which the program numbers them.
pub(crate) fn joined<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Vec<&'a [AbsPath]> {
    Batch::sort(asks).joined.into_iter().collect()
}

/// The questions of what a generator makes, in the order in which the program numbers them.
pub(crate) fn rehearsals<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Vec<&'a Rehearsal> {
    Batch::sort(asks).generated.into_iter().collect()
}

// `dd` above reads 4 blocks of 64 KiB; the two must stay the same number.
const _: () = assert!(CONTENT_LIMIT == 4 * 65_536);
