//! Trying Quadlet files with podman's own generator before they are put in place: what is tried, as data, and the shell
//! function that tries it.
//!
//! All of it happens in a private directory that goes in whatever way it ends, of a file system in memory where the host
//! has one for us. What the generator makes must have every service that the files are for, and still every service that
//! it makes of the files of others.

use std::fmt::Write;

use crate::path::AbsPath;
use crate::probe::generator::write_overlay;
use crate::quadlet::complaints;
use crate::shell::{quote, words};
use crate::systemd::Manager;

#[cfg(test)]
mod tests;

/// Quadlet files as they are to be, to be tried with those that stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rehearsal {
    /// Whose units they are, and so whose generator.
    pub manager: Manager,
    /// The files that come or change.
    pub files: Vec<Rehearsed>,
    /// Where there is nothing any more.
    pub gone: Vec<AbsPath>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rehearsed {
    /// Where it will stand.
    pub path: AbsPath,
    /// What will stand there.
    pub laid: Laid,
    /// The service that must come of it; a drop-in has none.
    pub service: Option<String>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Laid {
    /// A file with this text.
    File(String),
    /// A symbolic link.
    Link(String),
}

impl Rehearsal {
    pub(super) fn describe(&self) -> String {
        let names: Vec<&str> = self.files.iter().map(|file| file.path.name()).collect();
        format!("try {} with podman's unit generator", names.join(", "))
    }

    fn services(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|file| file.service.as_deref())
    }
}

/// What a rehearsal came to that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaws {
    /// Services that would not be made, though they should.
    pub lost: Vec<String>,
    /// What the generator said; or, where nothing is lost, why it could not be asked.
    pub said: Vec<String>,
}

impl Flaws {
    /// Reads what the function printed.
    pub(crate) fn read(text: &str) -> Self {
        let whole = text.split_once("\nsaid\n").filter(|_| text.starts_with("stage "));
        let Some((head, said)) = whole else {
            return Self { lost: Vec::new(), said: text.trim().lines().map(str::to_owned).collect() };
        };
        let mut lines = head.lines();
        let stage = lines.next().and_then(|line| line.strip_prefix("stage ")).unwrap_or_default();
        let lost = lines.filter_map(|line| line.strip_prefix("lost ")).map(str::to_owned).collect();
        Self { lost, said: complaints(said, stage) }
    }
}

/// What the function printed, for people. What is not its own stays as it is.
pub(crate) fn told(output: &str) -> String {
    if !output.starts_with("stage ") || !output.contains("\nsaid\n") {
        return output.to_owned();
    }
    let Flaws { lost, said } = Flaws::read(output);
    let lost = lost.iter().map(|service| format!("{service} would not be made"));
    lost.chain(said).collect::<Vec<_>>().join("\n")
}

pub(super) const REHEARSAL: &str = r#"
rehearse() { # overlay own manager 'services': in a process of its own, which takes the stage with it
  (
    trap '[ -z "$stage" ] || rm -rf -- "$stage"' 0; trap 'exit 1' 1 2 13 15
    stage=; generator_of "$3" || exit
    if [ "$(id -u)" = 0 ]; then r=/run; else r=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; fi
    if [ ! -d "$r" ] || [ ! -w "$r" ]; then r=${TMPDIR:-/tmp}; fi
    stage=$(mktemp -d "$r/provision-rehearsal.XXXXXX" 2>&1) || { echo "$stage"; stage=; exit 1; }
    staged && "$1" && generate "$dirs" "$stage/.made" || exit
    made=" $(sed -n 's/^---\(.*\)---$/\1/p' <"$stage/.made" | tr '\n' ' ')"; lost=
    for s in $4; do case $made in *" $s "*) ;; *) lost="$lost $s" ;; esac; done
    if [ -z "$lost" ] && complained <"$stage/.made.said"; then
      # Somebody else's file may have been wrong before, which is no business of ours.
      generate '' "$stage/.own" || exit
      while IFS= read -r l; do
        case $l in
          ---*---) s=${l#---}; s=${s%---} ;;
          SourcePath=*) case $made in *" $s "*) ;; *) "$2" "${l#*=}" || lost="$lost $s" ;; esac ;;
        esac
      done <"$stage/.own"
    fi
    if [ -z "$lost" ]; then exit 0; fi
    echo "stage $stage"
    for s in $lost; do echo "lost $s"; done
    echo said; cat -- "$stage/.made.said"
    exit 1
  )
}
complained() { # whether there is more in the generator's words than what it reads
  while IFS= read -r l || [ -n "$l" ]; do
    case $l in *': Loading source '*|*': No files parsed '*|*': No files to parse '*|'') ;; *) return 0 ;; esac
  done
  return 1
}
"#;

/// The functions that a rehearsal is made of, under a name, and the call of it.
pub(super) fn write_functions(script: &mut String, name: &str, rehearsal: &Rehearsal) -> std::fmt::Result {
    write_overlay(script, &format!("overlay_{name}"), rehearsal)?;
    let own = rehearsal.files.iter().map(|file| &file.path).chain(&rehearsal.gone);
    let own = own.map(|path| quote(path.as_str())).collect::<Vec<_>>().join("|");
    writeln!(script, "own_{name}() {{ case $1 in {own}) return 0 ;; esac; return 1; }}")
}

/// The call of such functions.
pub(super) fn call(name: &str, rehearsal: &Rehearsal) -> String {
    let services = rehearsal.services().collect::<Vec<_>>().join(" ");
    words(["rehearse", &format!("overlay_{name}"), &format!("own_{name}"), rehearsal.manager.word(), &services])
}
