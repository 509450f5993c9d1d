//! Noting on a host what is there before it is touched: shell functions, and the calls of them.
//!
//! Notes go to `history/N`, and to `origin` for what the plan had not touched before. Paths where nothing stands, which are
//! most in a first apply, cost no process; of what stands somewhere, 50 cost one stat(1) and one sha256sum(1), and each
//! file one cp(1).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::script::join;
use super::{Batch, Rewrite, Step, Task};
use crate::knob::{Knob, SORTS};
use crate::object::Object;
use crate::path::AbsPath;
use crate::shell::{quote, words};
use crate::systemd::Manager;

#[cfg(test)]
mod tests;

/// Most objects in one list of arguments: few enough that the shell's own copying of the list does not show.
const AT_ONCE: usize = 50;

pub(super) const NOTE: &str = r#"
record() { # key address was object depth
  if { printf '%s %s %s %s\n' "$apply" "$2" "$3" "$4" >"$into/$1"; } 2>/dev/null; then
    noted="$noted $1"
    if [ "$5" = origin ] && [ ! -s "$state/origin/$1" ]; then
      roots="$roots $1"; case $3 in file:*|link|knob|edit) copies="$copies $1.was" ;; esac
      if [ -e "$into/$1.value.was" ]; then copies="$copies $1.value.was"; fi
    fi
  else
    rm -f -- "$into/$1" "$into/$1.was" "$into/$1.value.was"; return 1
  fi
}
unnoted() { # 'tasks' what [why]: of these tasks nothing may be done
  c="cannot note down $2 before it is changed: ${3:-$into cannot be written; is the disk full?}"
  for i in $1; do unnoted="$unnoted$i "; eval "unnoted_$i=\$c"; done
}
absent() { # 'tasks' key address depth way path: notes that nothing is there; 1 when something is, which is to be noted yet
  if [ -s "$into/$2" ]; then return 0; fi
  if [ -e "$6" ] || [ -L "$6" ]; then tasks=$1; key=$2; address=$3; depth=$4; way=$5; path=$6; return 1; fi
  record "$2" "$3" absent "path $6" "$4" || unnoted "$1" "what is at $6"
}
stats() { # ('tasks' key address depth way path)*
  i=$#
  while [ $i -gt 0 ]; do set -- "$@" "$6"; shift 6; i=$((i - 6)); done
  stat -c '%a %u %g %s %n' -- "$@"
}
described() { # path: what stat says of it, from 5; 1 when it says nothing
  if [ -z "$line" ]; then IFS= read -r line <&5 || line=; fi
  case $line in *" $1") ;; *) return 1 ;; esac
  set -- ${line%% /*}; line=
  case $1 in ?) mode=000$1 ;; ??) mode=00$1 ;; ???) mode=0$1 ;; *) mode=$1 ;; esac
  user=$2; group=$3; size=$4
}
present() { # ('tasks' key address depth way path)*: notes what stands there
  stats "$@" 2>/dev/null >"$into/.stat"
  files=; lost=; line=; copied "$@" 5<"$into/.stat"
  if [ -n "$files" ]; then (cd -- "$into" && sha256sum -- $files) else :; fi 2>/dev/null >"$into/.sums"
  line=; if ! present_noted "$@" 5<"$into/.stat" 6<"$into/.sums"; then
    while [ $# != 0 ]; do unnoted "$1" "what is at $6"; shift 6; done
  fi
  rm -f -- "$into/.stat" "$into/.sums"
}
copied() { # keeps copies of files and links, and sets files to the former's
  while [ $# != 0 ]; do
    if described "$6"; then
      if [ -L "$6" ] || [ -f "$6" ]; then
        # A file that is only ever replaced by another can be kept itself, where it is on the same file system.
        if [ ! -L "$6" ] && [ "$5$((size > 1048576))" = link1 ] && ln -- "$6" "$into/$2.was" 2>/dev/null; then c=0
        else e=$(cp -a -- "$6" "$into/$2.was" 2>&1); c=$?; fi
        if [ $c != 0 ]; then rm -f -- "$into/$2.was"; lost="$lost $2 "; unnoted "$1" "what is at $6" "$e"
        elif [ ! -L "$into/$2.was" ]; then files="$files $2.was"; fi
      fi
    fi
    shift 6
  done
}
present_noted() {
  while [ $# != 0 ]; do
    was=; e=
    if ! described "$6"; then e=$(stat -- "$6" 2>&1 >/dev/null)
    elif [ -L "$into/$2.was" ]; then was=link
    elif [ -f "$into/$2.was" ]; then
      IFS= read -r l <&6 || l=
      case $l in *" $2.was") was=file:$mode:$user:$group:$size:${l%% *} ;; esac
    elif [ -d "$6" ] && [ ! -L "$6" ]; then was=directory:$mode:$user:$group
    else was=other
    fi
    case $lost in
      *" $2 "*) ;;
      *) [ -n "$was" ] && record "$2" "$3" "$was" "path $6" "$4" || { rm -f -- "$into/$2.was"; unnoted "$1" "what is at $6" "$e"; } ;;
    esac
    shift 6
  done
}
shown() { # reads what systemctl show says of one unit from 5; 1 when there is nothing
  load=; active=; file=
  while IFS= read -r l <&5; do
    case $l in
      '') [ -z "$load" ] || return 0 ;;
      LoadState=*) load=${l#*=} ;;
      ActiveState=*) active=${l#*=} ;;
      UnitFileState=*) file=${l#*=} ;;
    esac
  done
  [ -n "$load" ]
}
show() { systemd - show --no-pager --property=LoadState,ActiveState,UnitFileState -- "$@"; }
names() {
  i=$#
  while [ $i -gt 0 ]; do set -- "$@" "$5"; shift 5; i=$((i - 5)); done
  show "$@"
}
units() { # manager ('tasks' key address depth unit)*
  m=$1; shift
  case $m in -) p= ;; *) p=$m/ ;; esac
  if dormant "$m"; then
    while [ $# != 0 ]; do
      file=$(offline - is-enabled "$5" 2>/dev/null); active=inactive
      case $file in ''|not-found) active=unknown; file=unknown ;; esac
      [ -s "$into/$2" ] || record "$2" "$3" "unit:$active:$file" "unit $p$5" "$4" || unnoted "$1" "how the unit $p$5 is"
      shift 5
    done
    return 0
  fi
  if ! e=$( { acting "$m" && names "$@" 2>&1 >"$into/.units"; } ); then
    if [ $# = 5 ]; then unnoted "$1" "how the unit $p$5 is" "${e:-systemctl show failed}"
    # One that systemctl will not hear of must not hide the others.
    else while [ $# != 0 ]; do units "$m" "$1" "$2" "$3" "$4" "$5"; shift 5; done; fi
  elif ! units_noted "$@" 5<"$into/.units"; then while [ $# != 0 ]; do unnoted "$1" "how the unit $p$5 is"; shift 5; done
  fi
  rm -f -- "$into/.units"
}
units_noted() {
  while [ $# != 0 ]; do
    if [ -s "$into/$2" ]; then shown
    elif ! shown; then unnoted "$1" "how the unit $p$5 is" 'systemctl show did not tell'
    else
      if [ "$load:$active" = not-found:inactive ]; then active=unknown; file=unknown; fi
      record "$2" "$3" "unit:$active:${file:-none}" "unit $p$5" "$4" || unnoted "$1" "how the unit $p$5 is"
    fi
    shift 5
  done
}
other() { # 'tasks' key address depth object: what podman has
  if [ -s "$into/$2" ]; then return 0; fi
  set -- "$@" ${5#* }
  e=$(case $5 in
    image\ *\ *) image_was "$6" "$7" ;;
    image\ *) image_was - "$6" ;;
    volume\ *) managed "$7"; podman_has "$m" volume "$6" ;;
    network\ *) managed "$7"; podman_has "$m" network "$6" ;;
  esac 2>&1) || { unnoted "$1" "how the $5 is" "$e"; return; }
  was=${e%%
*}
  l=${e#"$was"}
  record "$2" "$3" "$was" "$5$l" "$4" || unnoted "$1" "how the $5 is"
}
turned() { # 'tasks' key address depth word name: how a knob is
  if [ -s "$into/$2" ]; then return 0; fi
  got=
  if ! "get_$5" "$6"; then unnoted "$1" "how the $5 $6 is" "$got"; return; fi
  was=absent; e=
  if [ "$got" != absent ]; then was=knob; { printf '%s' "$got" >"$into/$2.was"; } 2>/dev/null || was=; fi
  case $was:$5 in knob:secret) e=$(keep_secret "$into/$2.value.was" 2>&1) || was= ;; esac
  [ -n "$was" ] && record "$2" "$3" "$was" "knob $5 $6" "$4" || { rm -f -- "$into/$2.was" "$into/$2.value.was"; unnoted "$1" "how the $5 $6 is" "$e"; }
}
edited() { # 'tasks' key address depth object path 'digests' note: what a piece of a file is, and for a host that helps itself the file
  if [ -s "$into/$2" ]; then return 0; fi
  sum "$6"; e=
  case " $7 " in
    *" $sum "*)
      if e=$( { { [ "$sum" = - ] || cp -a -- "$6" "$into/$2.whole.was"; } && printf '%s' "$8" >"$into/$2.was"; } 2>&1 ) &&
        record "$2" "$3" edit "$5" "$4"; then return 0; fi
      rm -f -- "$into/$2.was" "$into/$2.whole.was" ;;
    *) e='it has changed since it was looked at: apply again' ;;
  esac
  unnoted "$1" "what is in $6" "$e"
}
podman_has() { # manager sort name
  command -v podman >/dev/null 2>&1 || { echo absent; return; }
  # Of a user that has gone there is nothing to tell.
  whose "$1"; if [ $? = 2 ]; then echo absent; return; fi
  keeping "$1" || return
  as - podman "$2" exists -- "$3" </dev/null; c=$?
  case $c in 0) echo present ;; 1) echo absent ;; *) return $c ;; esac
}
image_was() { # manager name
  command -v podman >/dev/null 2>&1 || { echo absent; return; }
  # Of a user that has gone there is nothing to tell.
  whose "$1"; if [ $? = 2 ]; then echo absent; return; fi
  keeping "$1" || return
  if o=$(as - podman image inspect --format '{{.Id}}' -- "$2" </dev/null 2>&1); then echo "image:${o#sha256:}"; return; fi
  as - podman image exists -- "$2" </dev/null; c=$?
  case $c in 1) echo absent ;; 0) printf '%s\n' "$o"; return 1 ;; *) return $c ;; esac
}
rooted() { # what the plan had not touched before is noted in its origin, too; what was noted is put in order
  [ -z "$noted" ] || printf '%s\n' $noted >>"$into/order" || return
  # A copy is on disk before there is a record that nothing replaces any more.
  [ -z "$copies" ] || settle || return
  [ -z "$roots" ] || plant "$into" $copies $roots || return
  noted=; copies=; roots=
}
plant() { # directory names: the same files, in origin
  d=$1; shift
  (cd -- "$state/origin" && rm -f -- "$@" && cd -- "$d" && { ln -- "$@" "$state/origin/" 2>/dev/null || grow "$@"; })
}
grow() { (cd -- "$state/origin" && rm -f -- "$@") && cp -a -- "$@" "$state/origin/"; }
settle() { sync -f -- "$state" 2>/dev/null </dev/null || sync; }
"#;

/// A thing that some tasks touch.
struct Note {
    key: String,
    object: Object,
    /// Whose it is: the first that touches it.
    address: String,
    /// The places of the tasks.
    tasks: Vec<usize>,
    /// Where it is noted: a thing that is only taken back was in the origin before, if ever.
    depth: &'static str,
    /// How a file is kept: by a link where it is only ever replaced, never changed in place.
    way: &'static str,
    /// What is known of a piece of a file beforehand.
    rewrite: Option<Rewrite>,
}

const ORIGIN: &str = "origin";
const COPY: &str = "copy";

/// Whether a task is noted only when its turn comes.
pub(super) fn later(task: &Task) -> bool {
    task.late
}

/// Writes the functions that note: `notes` for all tasks, and `notes_7` for a task 7 that is noted late.
pub(super) fn write(script: &mut String, batch: &Batch) -> std::fmt::Result {
    let tasks = || batch.tasks.iter().enumerate();
    write_function(script, "notes", &notes(tasks().filter(|(_, task)| !later(task))))?;
    for (index, task) in tasks().filter(|(_, task)| later(task)) {
        write_function(script, &format!("notes_{index}"), &notes(std::iter::once((index, task))))?;
    }
    Ok(())
}

/// The objects of some tasks, each once, in the order in which they are touched.
fn notes<'a>(tasks: impl Iterator<Item = (usize, &'a Task)>) -> Vec<Note> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut notes: Vec<Note> = Vec::new();
    for (index, task) in tasks {
        let runs = task.steps.iter().any(|step| matches!(step, Step::Run(_)));
        for step in &task.steps {
            let reverts = matches!(step, Step::Revert(_));
            let replaces = !runs && (reverts || matches!(step, Step::PutFile { .. } | Step::PutUserFile { .. }));
            for object in step.objects() {
                let key = object.key();
                let drifted = task.drifted.contains(&object);
                let at = *places.entry(key.clone()).or_insert(notes.len());
                if at == notes.len() {
                    let address = task.address.to_string();
                    notes.push(Note {
                        key,
                        object,
                        address,
                        tasks: Vec::new(),
                        depth: "history",
                        way: "link",
                        rewrite: None,
                    });
                }
                let Some(note) = notes.get_mut(at) else { continue };
                note.rewrite = note.rewrite.take().or_else(|| step.rewrite().cloned());
                if !note.tasks.contains(&index) {
                    note.tasks.push(index);
                }
                if !reverts && !drifted {
                    note.depth = ORIGIN;
                }
                if !replaces {
                    note.way = COPY;
                }
            }
        }
    }
    notes
}

fn write_function(script: &mut String, name: &str, notes: &[Note]) -> std::fmt::Result {
    let chosen =
        |wanted: fn(&Object) -> bool| notes.iter().filter(move |note| wanted(&note.object)).collect::<Vec<_>>();
    writeln!(script, "{name}() {{\n:")?;
    for chunk in chosen(|object| object.path().is_some()).chunks(AT_ONCE) {
        writeln!(script, "set --")?;
        for note in chunk {
            let path = note.object.path().map_or("", AbsPath::as_str);
            let call = words(["absent", &join(&note.tasks), &note.key, &note.address, note.depth, note.way, path]);
            writeln!(script, "{call} || set -- \"$@\" \"$tasks\" $key \"$address\" $depth $way \"$path\"")?;
        }
        writeln!(script, "[ $# = 0 ] || present \"$@\"")?;
    }
    let units = chosen(|object| matches!(object, Object::Unit(_)));
    let mut managers: BTreeMap<&Manager, Vec<(&Note, &str)>> = BTreeMap::new();
    for note in &units {
        if let Object::Unit(unit) = &note.object {
            managers.entry(&unit.manager).or_default().push((note, &unit.name));
        }
    }
    for (manager, units) in managers {
        for chunk in units.chunks(AT_ONCE) {
            write!(script, "units {}", quote(manager.word()))?;
            for (note, unit) in chunk {
                write!(script, " {}", words([&join(&note.tasks), &note.key, &note.address, note.depth, unit]))?;
            }
            writeln!(script)?;
        }
    }
    for sort in SORTS {
        let knob = |note: &Note| match &note.object {
            Object::Knob(knob) if knob.sort().word == sort.word => Some(knob.clone()),
            _ => None,
        };
        let found: Vec<(&Note, Knob)> = notes.iter().filter_map(|note| Some((note, knob(note)?))).collect();
        if !found.is_empty() {
            writeln!(script, "prepare_{} {}", sort.word, words(found.iter().map(|(_, knob)| knob.name())))?;
        }
        for (note, knob) in found {
            let call = ["turned", &join(&note.tasks), &note.key, &note.address, note.depth, sort.word, knob.name()];
            writeln!(script, "{}", words(call))?;
        }
    }
    for note in notes {
        let (Object::Edit(edit), Some(Rewrite { before, note: text, .. })) = (&note.object, &note.rewrite) else {
            continue;
        };
        let object = note.object.to_string();
        let text = String::from_utf8_lossy(text.bytes().unwrap_or_default());
        let (tasks, before) = (join(&note.tasks), before.join(" "));
        let call =
            ["edited", &tasks, &note.key, &note.address, note.depth, &object, edit.path.as_str(), &before, &text];
        writeln!(script, "{}", words(call))?;
    }
    let known = |object: &Object| matches!(object, Object::Unit(_) | Object::Knob(_) | Object::Edit(_));
    let told = |object: &Object| object.path().is_none() && !known(object);
    for note in notes.iter().filter(|note| told(&note.object)) {
        let object = note.object.to_string();
        let call = ["other", &join(&note.tasks), &note.key, &note.address, note.depth, &object];
        writeln!(script, "{}", words(call))?;
    }
    writeln!(script, "}}")
}
