//! podman's own unit generator, asked on the host what it would make of Quadlet files that are not in place yet:
//! `podman-system-generator --dryrun`, podman-systemd.unit(5).
//!
//! The files that are there are laid into a stage, those that are to come over them, and the generator reads the stage
//! instead of its own directories (`QUADLET_UNIT_DIRS`, since podman 4.4). Every file has its whole path below the stage.
//! Whoever stages says where: an apply in a private directory of a file system in memory where there is one, a dry run in
//! a file system in memory that no other process sees.

use std::fmt::Write;

use super::Generated;
use crate::quadlet::{complaints, generated_units};
use crate::shell::{LIMITED, Section, preamble, quote, words};
use crate::step::{Laid, Rehearsal};

pub(crate) const GENERATOR: &str = r#"
generator_found() { # system|user: sets generator to podman's own
  for generator in ${provision_generators:-/run/systemd /etc/systemd /usr/local/lib/systemd /usr/lib/systemd /lib/systemd}; do
    generator=$generator/$1-generators/podman-$1-generator
    if [ -x "$generator" ]; then return 0; fi
  done
  generator=; return 1
}
generator_of() { # manager: sets generator and sources, the directories from which it reads, those that come first first
  whose "$1" || { echo "$why"; return 1; }
  a=/etc/containers/systemd
  if [ -z "$who" ]; then scope=system; sources="/run/containers/systemd:$a:/usr/share/containers/systemd"
  else
    scope=user; c=$home/.config
    if [ "$1" = '~' ]; then c=${XDG_CONFIG_HOME:-$c}; fi
    sources="$rundir/containers/systemd:$c/containers/systemd:$a/users/$uid:$a/users"
  fi
  generator_found $scope && return
  echo "podman has no unit generator on this host (podman-$scope-generator): its package is not complete, or older than 4.4"
  return 1
}
staged() { # sets dirs to the same directories below the stage, and lays there what is in them
  dirs=; rest=$sources:
  while [ -n "$rest" ]; do
    d=${rest%%:*}; rest=${rest#*:}
    dirs=$dirs${dirs:+:}$stage$d
    mkdir -p -- "$stage$d" || return
    # Each reads only its own of what is for users.
    case $scope:$d in
      system:/etc/containers/systemd) strange=./users ;;
      user:/etc/containers/systemd/users) strange='./[0-9]*' ;;
      *) strange=./. ;;
    esac
    if [ -d "$d" ]; then ( cd -- "$d" && lay "$stage$d" ) || return; fi
  done
}
lay() { # stage: what a generator reads here and below
  find -L . -type d -path "$strange" -prune -o \( -type f -o -type l \) \( -name '*.container' -o -name '*.pod' -o -name '*.volume' -o -name '*.network' \
    -o -name '*.image' -o -name '*.build' -o -name '*.kube' -o -name '*.artifact' -o -path '*.d/*.conf' \) -exec sh -c '
    for f; do
      case $f in */*/*) mkdir -p -- "$0/${f%/*}" ;; esac
      # An instance stays a link to its template.
      l=$(readlink -- "$f") || l=/
      case $l in */*) cp -L -- "$f" "$0/$f" ;; *) cp -P -- "$f" "$0/$f" ;; esac
    done' "$1" {} + 2>/dev/null
  # Of what cannot be read here the generator would not know either.
  return 0
}
put_staged() { # path text
  mkdir -p -- "$stage${1%/*}" && rm -f -- "$stage$1" && printf %s "$2" >"$stage$1"
}
link_staged() { # path target
  mkdir -p -- "$stage${1%/*}" && rm -f -- "$stage$1" && ln -s -- "$2" "$stage$1"
}
generate() { # directories file: what the generator makes of them, and in file.said what it says; of its own without any
  if [ -n "$1" ]; then ( QUADLET_UNIT_DIRS=$1; export QUADLET_UNIT_DIRS; limited 60 "$generator" --dryrun )
  else ( unset QUADLET_UNIT_DIRS; as 60 "$generator" --dryrun ); fi </dev/null >"$2" 2>"$2.said"; c=$?
  # It ends badly where there is nothing to read, and where somebody's file is wrong.
  case $c in 0|1) return 0 ;; esac
  echo "podman's unit generator failed with exit status $c"; cat -- "$2.said"; return 1
}
"#;

/// The functions that lay the files of a rehearsal over those of a stage, under a name.
pub(crate) fn write_overlay(script: &mut String, name: &str, rehearsal: &Rehearsal) -> std::fmt::Result {
    writeln!(script, "{name}() {{\n:")?;
    if !rehearsal.gone.is_empty() {
        let gone = rehearsal.gone.iter().map(|path| format!("\"$stage\"{}", quote(path.as_str())));
        writeln!(script, "rm -f -- {} || return", gone.collect::<Vec<_>>().join(" "))?;
    }
    for file in &rehearsal.files {
        let call = match &file.laid {
            Laid::File(text) => words(["put_staged", file.path.as_str(), text]),
            Laid::Link(target) => words(["link_staged", file.path.as_str(), target]),
        };
        writeln!(script, "{call} || return")?;
    }
    writeln!(script, "}}")
}

/// Asks in a file system in memory that only the asking process sees, and that goes with it: nothing is written on the
/// host. What runs there comes on its standard input, where no list of processes shows it.
const GENERATED: &str = r#"
generated() { # number manager text
  say generated "$1"
  if e=$(generator_of "$2"); then generator_of "$2"; else printf 'failed %s' "$e"; return; fi
  m=; [ "$(id -u)" = 0 ] || m=--map-root-user
  e=$(printf 'generator=%s scope=%s sources=%s\n%s' "$(word "$generator")" $scope "$(word "$sources")" "$3" |
    unshare --mount $m /bin/sh 2>&1) || e="failed this host lets nobody have a file system of their own to try it in: $e"
  printf '%s' "$e"
}
word() { # text: the same as one word of a program
  printf "'"; r=$1
  while :; do case $r in *"'"*) printf "%s'\\\\''" "${r%%"'"*}"; r=${r#*"'"} ;; *) break ;; esac; done
  printf "%s'" "$r"
}
"#;

const INSIDE: &str = r#"
inside() {
  for place in ${provision_places:-/mnt /media /tmp}; do if [ -d "$place" ]; then break; fi; done
  e=$(mount -t tmpfs -o mode=0700 provision "$place" 2>&1) || { printf 'failed %s' "$e"; return; }
  stage=$place/stage
  e=$( { mkdir -- "$stage" && staged && generate "$dirs" "$place/before" && overlay && generate "$dirs" "$place/after"; } 2>&1) ||
    { printf 'failed %s' "$e"; return; }
  for f in before after after.said; do say "generated-$f" "$stage"; cat -- "$place/$f"; done
}
inside </dev/null
"#;

/// Writes the questions of what a generator makes.
pub(super) fn write_asks<'a>(
    script: &mut String,
    asked: impl IntoIterator<Item = &'a Rehearsal>,
    nonce: &str,
) -> std::fmt::Result {
    for (index, rehearsal) in asked.into_iter().enumerate() {
        if index == 0 {
            script.push_str(GENERATED);
        }
        let mut inside = preamble(nonce);
        inside.push_str(LIMITED);
        inside.push_str(GENERATOR);
        write_overlay(&mut inside, "overlay", rehearsal)?;
        inside.push_str(INSIDE);
        let manager = rehearsal.manager.word();
        writeln!(script, "{}", words(["generated", &index.to_string(), manager, &inside]))?;
    }
    Ok(())
}

/// What was said of one question, in the order of its sections: `generated`, then what was made before and after.
#[derive(Debug, Default)]
pub(super) struct Said {
    failed: Option<String>,
    found: Generated,
    whole: bool,
}

impl Said {
    /// Of the section that opens it.
    pub(super) fn new(section: &Section<'_>) -> Self {
        let text = String::from_utf8_lossy(section.body);
        let failed = text.trim().strip_prefix("failed").map(|why| why.trim().to_owned());
        Self { failed, ..Self::default() }
    }

    /// Takes a later section, by the word behind `generated-` and the stage.
    pub(super) fn take(&mut self, word: &str, stage: &str, section: &Section<'_>) {
        let text = String::from_utf8_lossy(section.body).replace(stage, "");
        match word {
            "before" => self.found.before = generated_units(&text),
            "after" => self.found.after = generated_units(&text),
            _ => {
                self.found.complaints = complaints(&text, "");
                self.whole = true;
            }
        }
    }

    pub(super) fn answer(&self) -> Result<Generated, String> {
        match (&self.failed, self.whole) {
            (Some(why), _) => Err(format!("podman's unit generator cannot be asked: {why}")),
            (None, true) => Ok(self.found.clone()),
            (None, false) => Err("the host did not say what podman's unit generator makes".to_owned()),
        }
    }
}
