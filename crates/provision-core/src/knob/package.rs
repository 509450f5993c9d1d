//! Packages: dpkg(1) through apt-get(8), or rpm(8) through dnf(8); and what installing or removing some would come to.
//!
//! Whatever comes along is noted before it is unpacked, like what a step touches; so it goes when nothing needs it any
//! more, and what was there before never does. What something else needs is not removed: apt-get and dnf would take that
//! something along, so the removing is dpkg's and rpm's own, which refuse.

use super::KnobSort;

#[cfg(test)]
mod tests;

/// A package by name, `tool` or `libc6:i386`; `dnf/tool` on a host that has both and is told to use the second. Its text
/// is `version 1.0-1`, `held yes|no|never` (`never` where dnf has no versionlock) and, of dpkg, `marked manual|auto`; one
/// that is there by halves has `broken WHY` before.
///
/// What is set has these, `version` empty for whichever comes; and `with a=1 b`, all of its resource that are to be
/// installed in one run; `for package.x`, on whose behalf the rest is noted; `recommends yes|no`; `removes yes` where
/// other packages may go; `refresh yes` where the lists are to be fetched first; `file a.deb` for one that comes with the
/// step, and `later yes` where another file comes with the next.
pub static PACKAGE: KnobSort = KnobSort {
    word: "package",
    noun: "the package",
    functions: FUNCTIONS,
    show,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: Some(
        "what it keeps in /etc and /var stays unless data is deleted, and what something else needs stays anyway",
    ),
    unset: super::ABSENT,
};

/// What would come of `install a b=1`, `install-lean a` (nothing that is only recommended), `install-full a`, `remove a`
/// or `files deb a`, with a last word `by:dnf` as for [`PACKAGE`]: lines `install NAME VERSION`, `change NAME OLD NEW` and
/// `remove NAME VERSION`; or `nothing`, `unknown`, `unfetched`, or `unlocated WHY`. It is never set.
pub static PACKAGE_PLAN: KnobSort = KnobSort {
    word: "package_plan",
    noun: "the plan to",
    functions: PLAN_FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: "nothing",
};

fn show(state: &str) -> String {
    let get = |key: &str| state.lines().find_map(|line| line.strip_prefix(key));
    let held = if get("held ") == Some("yes") { ", held" } else { "" };
    format!("{}{held}", get("version ").unwrap_or_default())
}

const FUNCTIONS: &str = r#"
package_tool() { # name: sets p_tool to the program of that name; a shell of BusyBox takes dpkg and rpm for its own
  p_dirs=$PATH:
  while [ -n "$p_dirs" ]; do
    p_tool=${p_dirs%%:*}/$1; p_dirs=${p_dirs#*:}
    if [ -x "$p_tool" ]; then
      case $(readlink -f -- "$p_tool") in */busybox) ;; *) return 0 ;; esac
    fi
  done
  p_tool=$1; return 1
}
prepare_package() {
  p_status=
  if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then p_usual=apt
  elif command -v dnf >/dev/null 2>&1 && package_tool rpm; then p_usual=dnf
  else p_usual=; return 0; fi
  p_debs=; p_rpms=
  for p_name; do
    case $p_usual:$p_name in *:dnf/*) p_rpms="$p_rpms ${p_name#dnf/}" ;; apt:*) p_debs="$p_debs $p_name" ;; *) p_rpms="$p_rpms $p_name" ;; esac
  done
  if [ -n "$p_debs" ]; then
    p_status=$(dpkg-query -W -f 'apt|${Package}|${Architecture}|${db:Status-Abbrev}|${Version}\n' -- $p_debs 2>/dev/null </dev/null)
    # What apt-mark would say, which writes apt's caches anew.
    p_auto=$(sed -n '/^Package: /{s///;h;}; /^Auto-Installed: 1/{g;p;}' /var/lib/apt/extended_states 2>/dev/null)
  fi
  if [ -n "$p_rpms" ] && package_tool rpm; then
    p_status="$p_status
$("$p_tool" -q --qf 'dnf|%{NAME}|%{ARCH}|ii |%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n' -- $p_rpms 2>/dev/null </dev/null)"
  fi
}
package_by() { # name: sets p_by to who manages it, and p_name to its name there
  p_by=$p_usual; p_name=$1
  case $1 in dnf/*) p_by=dnf; p_name=${1#dnf/} ;; esac
  if [ -z "$p_by" ]; then got='the host has neither apt-get with dpkg nor dnf with rpm'; return 1; fi
  command -v "$p_by" >/dev/null 2>&1 || command -v "$p_by-get" >/dev/null 2>&1 || { got="the host has no $p_by"; return 1; }
}
package_find() { # name: sets p_state and p_version; 1 when nothing is known of it
  p_rest=$p_status
  while [ -n "$p_rest" ]; do
    p_line=${p_rest%%
*}
    case $p_rest in *'
'*) p_rest=${p_rest#*
} ;; *) p_rest= ;; esac
    case $p_line in "$p_by|${1%%:*}|"*) ;; *) continue ;; esac
    p_line=${p_line#*|*|}
    case $1 in *:*) [ "${p_line%%|*}" = "${1#*:}" ] || continue ;; esac
    p_line=${p_line#*|}; p_state=${p_line%%|*}; p_version=${p_line#*|}
    case $p_state in ?n*|?c*) continue ;; esac
    p_version=${p_version#0:}; return 0
  done
  return 1
}
get_package() { # name
  got=absent
  package_by "$1" || return
  package_find "$p_name" || return 0
  got="version $p_version"
  if [ "$p_by" = apt ]; then
    case $p_state in h*) got="$got
held yes" ;; *) got="$got
held no" ;; esac
    case "
$p_auto
" in *"
${p_name%%:*}
"*) got="$got
marked auto" ;; *) got="$got
marked manual" ;; esac
    case $p_state in ?'i '*) ;; *) got="broken dpkg has it as $p_state
$got" ;; esac
  else
    package_locks
    case $p_locks in
      '') got="$got
held never" ;;
      *"
$p_name-"[0-9]*) got="$got
held yes" ;;
      *) got="$got
held no" ;;
    esac
  fi
}
package_locks() { # sets p_locks to what dnf's versionlock has, with a line feed before each; empty when there is none
  p_locks=
  for p_file in /usr/lib/python3*/site-packages/dnf-plugins/versionlock.py /usr/lib/python3/dist-packages/dnf-plugins/versionlock.py; do
    if [ -e "$p_file" ]; then p_locks='
'; fi
  done
  if [ -n "$p_locks" ] && [ -r /etc/dnf/plugins/versionlock.list ]; then p_locks="
$(cat /etc/dnf/plugins/versionlock.list)"; fi
}
package_says() { # state key: sets p_value; 1 when the state does not say
  p_text="
$1
"
  case $p_text in *"
$2 "*) ;; *) p_value=; return 1 ;; esac
  p_value=${p_text#*"
$2 "}
  p_value=${p_value%%"
"*}
}
package_run() { # limit command: as nobody is there to answer, waiting for whoever holds the lock; what it says is in p_said
  p_limit=$1; shift
  clock; p_until=$((clock + p_limit / 2)); p_mended=
  while :; do
    p_said=$( {
      # Packages are for everybody, and so are the lists.
      umask 022
      DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1
      export DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND NEEDRESTART_MODE NEEDRESTART_SUSPEND UCF_FORCE_CONFFOLD
      limited "$p_limit" "$@" </dev/null
    } 2>&1 ) && return 0
    p_code=$?; clock
    case $p_said in
      *'Could not get lock'*|*'Unable to lock'*|*'frontend lock'*|*'status database is locked'*)
        if [ "$clock" -lt "$p_until" ]; then sleep 2; continue; fi ;;
      *'dpkg was interrupted'*)
        if [ -z "$p_mended" ]; then
          p_mended=1; package_tool dpkg
          (umask 022; DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; limited "$p_limit" "$p_tool" --force-confdef --force-confold --configure -a </dev/null >/dev/null 2>&1)
          continue
        fi ;;
    esac
    return $p_code
  done
}
package_get() { # limit arguments
  p_limit=$1; shift
  # An edited file of a package's configuration stays as it is, and one that is not edited is the new one: nobody is asked.
  package_run "$p_limit" apt-get -y -q=2 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
set_package() { # name state limit policy length
  p_own=$1; p_wish=$2; p_max=$3; p_policy=$4
  package_by "$1" || { printf '%s\n' "$got"; return 1; }
  if [ "$p_wish" = absent ]; then package_goes "$1"; return; fi
  p_here=$p_name
  if [ -n "$5" ]; then
    left=${left#* }
    package_says "$p_wish" file
    mkdir -p -- "$into/packages" && receive "$5" >"$into/packages/$p_value" || return
    if package_says "$p_wish" later; then return 0; fi
  fi
  get_package "$1" || { printf '%s\n' "$got"; return 1; }
  package_says "$p_wish" version; p_exact=$p_value
  package_says "$got" version; p_now=$p_value
  package_says "$got" held; p_held=$p_value
  if [ "$got" = absent ] || [ -n "$5" ] || case $got in broken*) : ;; *) [ -n "$p_exact" ] && [ "$p_exact" != "$p_now" ] ;; esac; then
    if [ "$p_held" = yes ]; then package_hold no || return; fi
    package_comes; p_code=$?
    rm -rf -- "$into/packages"
    if [ $p_code != 0 ]; then printf '%s\n' "$p_said"; [ "$p_held" != yes ] || package_hold yes; return $p_code; fi
    if [ "$p_held" = yes ]; then package_hold yes || return; fi
    prepare_package "$1"; get_package "$1" || { printf '%s\n' "$got"; return 1; }
  fi
  if package_says "$p_wish" marked; then
    p_new=$p_value; package_says "$got" marked
    if [ "$p_by" = apt ] && [ "$p_new" != "$p_value" ]; then package_run "$p_max" apt-mark "$p_new" "$p_here" || { printf '%s\n' "$p_said"; return 1; }; fi
  fi
  if package_says "$p_wish" held; then
    p_new=$p_value; package_says "$got" held
    if [ "$p_new" != never ] && [ "$p_new" != "$p_value" ]; then package_hold "$p_new" || return; fi
  fi
}
package_hold() { # yes|no
  case $p_by:$1 in
    apt:yes) package_run "$p_max" apt-mark hold "$p_here" ;;
    apt:no) package_run "$p_max" apt-mark unhold "$p_here" ;;
    dnf:yes) package_run "$p_max" dnf -y -q versionlock add "$p_here" ;;
    dnf:no) package_run "$p_max" dnf -y -q versionlock delete "$p_here" ;;
  esac || { printf '%s\n' "$p_said"; return 1; }
}
package_comes() {
  package_says "$p_wish" with || { p_value=$p_here; if [ -n "$p_exact" ]; then p_value=$p_here=$p_exact; fi; }
  set -- $p_value
  if [ -d "$into/packages" ]; then set -- "$into"/packages/*.*; fi
  p_refreshed=
  if package_says "$p_wish" refresh; then package_fetch || return; fi
  package_in_one_run "$@" && return
  p_code=$?
  case $p_said in
    *'Unable to locate'*|*'was not found'*|*'Unable to fetch'*|*'no installation candidate'*|*'Failed to fetch'*|*'No match for argument'*|*'Unable to find a match'*) ;;
    *) return $p_code ;;
  esac
  # Its lists are older than what they name.
  if [ -n "$p_refreshed" ]; then return $p_code; fi
  p_first=$p_said
  package_fetch || { p_said="$p_first
$p_said"; return 1; }
  package_in_one_run "$@"
}
package_fetch() {
  p_refreshed=1
  case $p_by in
    apt) package_get "$p_max" update ;;
    dnf) package_run "$p_max" dnf -y -q --refresh makecache ;;
  esac
}
package_in_one_run() { # names, with versions, or files
  case $p_by in
    apt)
      if package_says "$p_wish" recommends; then
        case $p_value in yes) set -- --install-recommends "$@" ;; *) set -- --no-install-recommends "$@" ;; esac
      fi
      if ! package_says "$p_wish" removes; then set -- --no-remove "$@"; fi
      package_get "$p_max" -s --allow-downgrades install "$@" || return
      package_noted $(printf '%s\n' "$p_said" | sed -n 's/^\(Inst\|Remv\) \([^ ]*\) .*/\2/p') || return
      package_get "$p_max" --allow-downgrades install "$@" ;;
    dnf)
      p_words=; for p_word; do case $p_word in /*) ;; *=*) p_word=${p_word%%=*}-${p_word#*=} ;; esac; p_words="$p_words $p_word"; done
      set -- $p_words
      if package_says "$p_wish" recommends; then
        case $p_value in yes) set -- --setopt=install_weak_deps=True "$@" ;; *) set -- --setopt=install_weak_deps=False "$@" ;; esac
      fi
      package_run "$p_max" dnf --assumeno install "$@"
      p_names=$(printf '%s\n' "$p_said" | sed -n '/^\(Install\|Upgrad\|Downgrad\|Remov\|Reinstall\)ing[a-z ]*:/,/^Transaction Summary/s/^ \([^ ][^ ]*\).*/\1/p')
      package_noted $p_names || return
      package_run "$p_max" dnf -y -q install "$@" ;;
  esac
}
package_noted() { # names: what is about to come or change beside what the plan names is noted like anything that a step touches
  # A way back has its notes already.
  if [ -z "$drops" ] || ! package_says "$p_wish" for; then return 0; fi
  p_for=$p_value; p_prefix=; case $p_own in dnf/*) p_prefix=dnf/ ;; esac
  p_names=; for p_name; do p_names="$p_names $p_prefix$p_name"; done
  prepare_package $p_names
  unnoted=' '
  for p_each in $p_names; do
    p_key=$(printf '%s' "knob package $p_each" | sha256sum) || return
    turned 0 "$(printf '%.16s' "$p_key")" "$p_for" origin package "$p_each"
  done
  case $unnoted in *' 0 '*) p_said=$unnoted_0; return 1 ;; esac
  p_said=$( { rooted && settle; } 2>&1 ) || return
  noted=; roots=; copies=
  package_by "$p_own"
}
package_goes() { # name: with it whatever goes in the same task, in one run
  p_all=$p_own
  for p_key in $reverted; do
    { IFS= read -r p_line <"${record%/*}/$p_key"; } 2>/dev/null || continue
    case $p_line in *' absent knob package '*) p_all="$p_all ${p_line##* }" ;; esac
  done
  for p_each in $removed; do p_all="$p_all $p_each"; done
  prepare_package $p_all
  package_by "$p_own"; package_find "$p_name" || return 0
  p_chosen=; p_along=
  for p_each in $p_all; do
    package_by "$p_each"; if ! package_find "$p_name"; then continue; fi
    case " $p_chosen $p_along " in *" $p_name "*) continue ;; esac
    get_package "$p_each"
    case $p_each:$got in "$p_own:"*) p_chosen="$p_chosen $p_name" ;; *'marked auto'*) p_along="$p_along $p_name" ;; *) p_chosen="$p_chosen $p_name" ;; esac
  done
  package_by "$p_own"; p_here=$p_name
  # One that only came along goes with the others, when nothing needs it any more; its turn comes again.
  get_package "$p_own"
  case $got in *'marked auto'*) p_first=$(for p_each in $p_chosen; do [ "$p_each" = "$p_here" ] || echo "$p_each"; done); p_along="$p_along $p_here"; p_chosen=$p_first ;; esac
  package_drop $p_chosen
  p_refused=$p_said
  package_unneeded; p_going=
  # What this plan has brought, and nothing that was there before.
  for p_each in $p_unneeded; do
    case " $p_along " in *" $p_each "*) p_going="$p_going $p_each"; continue ;; esac
    p_key=$(printf '%s' "knob package ${p_prefix}$p_each" | sha256sum); p_key=$(printf '%.16s' "$p_key")
    { IFS= read -r p_line <"$state/origin/$p_key"; } 2>/dev/null || continue
    case $p_line in *' absent knob package '*) p_going="$p_going $p_each" ;; esac
  done
  package_drop $p_going
  prepare_package "$p_own"
  if ! package_find "$p_here"; then return 0; fi
  p_said="$p_refused
$p_said"
  case " $p_chosen " in *" $p_here "*)
    case $p_said in
      *'depends on'*|*'is needed by'*) ;;
      *) printf '%s\n' "$p_said"; return 1 ;;
    esac ;;
  esac
  if [ -z "$reverted" ]; then printf '%s\n' "$p_said"; return 1; fi
  p_line=$(printf '%s\n' "$p_said" | sed -n 's/^ *\([^ ]*\) depends on .*/\1/p; s/.*is needed by (installed) \(.*\)/\1/p' | head -n 3 | tr '\n' ' ')
  p_line=${p_line% }
  kept="something else needs it${p_line:+: $p_line}"
}
package_unneeded() { # sets p_unneeded
  p_prefix=; case $p_own in dnf/*) p_prefix=dnf/ ;; esac
  case $p_by in
    apt) package_get "$p_max" -s autoremove; p_unneeded=$(printf '%s\n' "$p_said" | sed -n 's/^Remv \([^ ]*\) .*/\1/p') ;;
    dnf) package_run "$p_max" dnf -C -q repoquery --unneeded --qf '%{name}
'; p_unneeded=$p_said ;;
  esac || p_unneeded=
}
package_drop() { # names: those that nothing else needs; what is said of the others is in p_said
  p_said=
  if [ $# = 0 ]; then return 0; fi
  if [ "$p_by" = apt ]; then
    if [ "$p_policy" = delete ]; then p_verb=--purge; else p_verb=--remove; fi
    package_tool dpkg; package_run "$p_max" "$p_tool" $p_verb -- "$@"; return
  fi
  # rpm takes all or nothing: first all, then each by itself for as long as one more goes.
  if package_erase "$@"; then return 0; fi
  while :; do
    p_left=; p_gone=
    for p_each; do if package_erase "$p_each"; then p_gone=1; else p_left="$p_left $p_each"; p_last=$p_said; fi; done
    if [ -z "$p_left" ]; then p_said=; return 0; fi
    if [ -z "$p_gone" ]; then p_said=$p_last; return 1; fi
    set -- $p_left
  done
}
package_erase() {
  package_tool rpm; package_run "$p_max" "$p_tool" -e --test -- "$@" && package_run "$p_max" dnf -y -q --setopt=clean_requirements_on_remove=False remove "$@"
}
"#;

const PLAN_FUNCTIONS: &str = r#"
prepare_package_plan() {
  if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then q_usual=apt; else q_usual=dnf; fi
}
q_apt() { # a dry run that keeps its caches in memory: apt-get would write them anew
  apt-get -s -q=2 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Dir::Log::Planner=/dev/null -o Dir::Log::Solver=/dev/null \
    -o Debug::NoLocking=1 -o APT::Get::Show-User-Simulation-Note=0 "$@" </dev/null 2>&1
}
q_met() { # words: whether all are there, in their versions
  for q_word; do
    q_found=$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' -- "${q_word%%=*}" 2>/dev/null </dev/null) || return 1
    case $q_found in ?'i '*) ;; *) return 1 ;; esac
    case $q_word in *=*) [ "${q_found#???}" = "${q_word#*=}" ] || return 1 ;; esac
  done
}
q_there() { # names: whether one of them is
  for q_word; do
    q_found=$(dpkg-query -W -f '${db:Status-Abbrev}' -- "$q_word" 2>/dev/null </dev/null) || continue
    case $q_found in ?n*|?c*) ;; *) return 0 ;; esac
  done
  return 1
}
get_package_plan() { # verb names
  set -- $1
  q_by=$q_usual; q_verb=$1; shift
  for q_word; do case $q_word in by:dnf) q_by=dnf ;; esac; done
  got=unknown
  case $q_verb:$q_by in
    files:apt) if [ "$1" != deb ]; then got='the packages of the host are of dpkg, and these files are not'; return 1; fi; return 0 ;;
    files:dnf) if [ "$1" != rpm ]; then got='the packages of the host are of rpm, and these files are not'; return 1; fi; return 0 ;;
    *:dnf) return 0 ;;
    install*) q_met "$@" && { got=nothing; return 0; } ;;
    remove:*) q_there "$@" || { got=nothing; return 0; } ;;
  esac
  case $q_verb in
    install) q_said=$(q_apt --allow-downgrades --allow-change-held-packages install "$@") ;;
    install-lean) q_said=$(q_apt --allow-downgrades --allow-change-held-packages --no-install-recommends install "$@") ;;
    install-full) q_said=$(q_apt --allow-downgrades --allow-change-held-packages --install-recommends install "$@") ;;
    remove) q_said=$(q_apt --allow-change-held-packages remove "$@") ;;
  esac || {
    got=${q_said#*E: }
    case $q_said in *'Unable to locate'*|*'was not found'*|*'no installation candidate'*) ;; *) return 1 ;; esac
    got="unlocated $got"
    for q_word in /var/lib/apt/lists/*_Packages*; do if [ -e "$q_word" ]; then return 0; fi; done
    got=unfetched; return 0
  }
  got=$(printf '%s\n' "$q_said" | sed -n \
    -e 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\) .*/change \1 \2 \3/p' \
    -e 's/^Inst \([^ ]*\) (\([^ ]*\) .*/install \1 \2/p' \
    -e 's/^Remv \([^ ]*\) \[\([^]]*\)\].*/remove \1 \2/p')
  [ -n "$got" ] || got=nothing
}
set_package_plan() { echo 'what would come of it is not set'; return 1; }
"#;
