//! Directories that an archive was unpacked into.

use super::{ABSENT, KnobSort};

#[cfg(test)]
mod tests;

/// A directory, named by its path, with all that was unpacked into it. Its text is one line: the SHA-256 of the archive, its
/// format, how many directories were left out, the owner and the group; `foreign` for one that no archive was unpacked into.
/// When it is set, a second line may name the archive's place on the host; without that it comes along with the step.
///
/// The line is kept in the directory as `.provision-archive`. What was there before is kept beside it, until something else
/// is unpacked, so that it can come back.
pub static ARCHIVE: KnobSort = KnobSort {
    word: "archive",
    noun: "the contents of",
    functions: FUNCTIONS,
    show,
    settled,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

fn show(state: &str) -> String {
    state.split(' ').next().unwrap_or_default().chars().take(12).collect()
}

fn settled(state: &str) -> String {
    state.lines().next().unwrap_or_default().to_owned()
}

const FUNCTIONS: &str = r#"
prepare_archive() { :; }
get_archive() { # path
  got=absent
  if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then got="$1 is not a directory"; return 1; fi
  if [ ! -d "$1" ]; then return 0; fi
  got=foreign
  # The directory may be somebody else's, and lead anywhere.
  if [ -f "$1/.provision-archive" ] && [ ! -L "$1/.provision-archive" ] && [ -r "$1/.provision-archive" ]; then IFS= read -r got <"$1/.provision-archive" || got=foreign; fi
}
set_archive() { # path state limit policy length
  t=${1%/*}/.${1##*/}.provision-new; k=${1%/*}/.${1##*/}.provision-was; archive_new=$2
  # What no archive brought is nobody's to throw away, and is kept apart.
  if [ -d "$1" ] && [ ! -e "$1/.provision-archive" ] || [ "$2" = foreign ]; then k=${1%/*}/.${1##*/}.provision-foreign; fi
  case $2 in
    absent) archive_away "$1" "$k"; return ;;
    *' '*' '*' '*' '*) ;;
    # It was there before any archive.
    *) archive_back "$1" "$k" "$t"; return ;;
  esac
  archive_line=${2%%
*}
  if [ -z "$5" ] && [ "$archive_line" = "$2" ]; then archive_back "$1" "$k" "$t"; return; fi
  rm -rf -- "$t" && mkdir -m 0700 -- "$t" && mkdir -- "$t/in" || return
  archive_fill "$t" "$5" "$3" && archive_swap "$1" "$t" "$k" || { c=$?; rm -rf -- "$t"; return $c; }
}
archive_fill() { # directory length limit
  a=$1/archive
  if [ -n "$2" ]; then left=${left#* }; receive "$2" >"$a" || return
  else
    o=${archive_new#*
}
    a=$1/archive; cp -- "$o" "$a" || return
  fi
  w=$archive_line; s=${w%% *}; w=${w#* }; f=${w%% *}; w=${w#* }; n=${w%% *}; w=${w#* }; u=${w%% *}; g=${w#* }
  d=$(sha256sum <"$a") || return
  if [ "${d%% *}" != "$s" ]; then echo "the archive has the SHA-256 ${d%% *}, and the plan wants $s"; return 1; fi
  case $f in
    zip) archive_tool unzip && limited "$3" unzip -q -o "$a" -d "$1/in" </dev/null ;;
    tar) limited "$3" tar -x -o -f "$a" -C "$1/in" </dev/null ;;
    *)
      case $f in gzip) z=gzip ;; xz) z=xz ;; zstd) z=zstd ;; esac
      # To a file first: the status of the first of two in a pipe is lost.
      archive_tool $z && limited "$3" $z -dc <"$a" >"$1/tar" && rm -f -- "$a" && limited "$3" tar -x -o -f "$1/tar" -C "$1/in" </dev/null && rm -f -- "$1/tar" ;;
  esac || return
  rm -f -- "$a"
  while [ "$n" -gt 0 ]; do archive_strip "$1" || return; n=$((n - 1)); done
  archive_apart "$1/in" || return
  chmod 0755 -- "$1/in" && archive_own "$1/in" || return
  # The archive may have one of that name, that leads elsewhere.
  rm -rf -- "$1/in/.provision-archive" && fresh "$1/in/.provision-archive" || return
  printf '%s\n' "$archive_line" >"$1/in/.provision-archive" && chmod 0644 -- "$1/in/.provision-archive" || return
  sync -f -- "$1" 2>/dev/null </dev/null || sync
}
archive_apart() { # directory: whether no file in it is one from outside as well, which would get its owner with it
  o=$( { find "$1" ! -type d -links +1 -exec stat -c '%d:%i %h' -- {} + && echo all; } 2>&1 | awk '
    NF == 2 { seen[$1]++; links[$1] = $2; next }
    { last = $0 }
    END { for (i in seen) if (seen[i] < links[i]) n++; print (last == "all" ? n + 0 : last) }')
  case $o in
    0) ;;
    [1-9]*) echo 'the archive has a link to a file that is not of it'; return 1 ;;
    *) printf 'whether the archive has links to files that are not of it cannot be told: %s\n' "$o"; return 1 ;;
  esac
}
archive_own() { # directory
  case $u:$g in
    -:-) ;;
    *:-) chown -R -h -- "$u" "$1" ;;
    -:*) chgrp -R -h -- "$g" "$1" ;;
    *) chown -R -h -- "$u:$g" "$1" ;;
  esac
}
archive_tool() { # program
  command -v "$1" >/dev/null 2>&1 || { echo "$1 is not installed on the host, and unpacking this archive takes it"; return 127; }
}
archive_strip() { # directory: what is in its one directory takes that one's place
  set -- "$1" "$1"/in/* "$1"/in/.[!.]* "$1"/in/..?*
  o=
  d=$1; shift
  for i; do
    if [ ! -e "$i" ] && [ ! -L "$i" ]; then continue; fi
    if [ -n "$o" ] || [ -L "$i" ] || [ ! -d "$i" ]; then echo 'strip is too much: the archive has more than one directory there'; return 1; fi
    o=$i
  done
  [ -n "$o" ] || { echo 'strip is too much: the archive has nothing there'; return 1; }
  mv -- "$o" "$d/out" && rmdir -- "$d/in" && mv -- "$d/out" "$d/in"
}
archive_swap() { # path directory kept: what is there stays as kept
  if [ -e "$1" ]; then
    archive_gone "$3" && mv -- "$1" "$3" || return
  fi
  mv -- "$2/in" "$1" && rmdir -- "$2" && return
  # Nothing is there now: what was comes back.
  c=$?; [ -e "$1" ] || mv -- "$3" "$1"; return $c
}
archive_away() { # path kept
  if [ -e "$1" ] && [ ! -e "$1/.provision-archive" ]; then echo "$1 is not what an archive was unpacked into; it is not removed"; return 1; fi
  archive_gone "$1" && archive_gone "$2"
}
archive_gone() { # directory
  if [ ! -d "$1" ]; then return 0; fi
  if mounted "$1"; then echo "$1 cannot be removed: a file system is mounted at $mount; unmount it first"; return 1; fi
  rm -rf -- "$1"
}
archive_back() { # path kept staging: what was there before
  i=$archive_new; j=$1; get_archive "$2" || return
  if [ "$got" != "$i" ]; then echo "what was in $j before is not kept any more"; return 1; fi
  rm -rf -- "$3" && mv -- "$j" "$3" && mv -- "$2" "$j" && archive_gone "$3"
}
"#;
