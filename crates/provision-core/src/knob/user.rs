//! Users of the host's own, passwd(5), through the tools of shadow.
//!
//! A password never leaves the host: what is known of it is whether there is one and whether it is locked. So an account
//! that was removed comes back with everything but its password, and whoever puts it back is told.

use super::KnobSort;

#[cfg(test)]
mod tests;

/// A user by name. Its text has a line for each of `uid`, `group` (by name), `comment`, `home`, `shell`, `groups` (those
/// besides its own, `a,b`), `subuid` and `subgid` (`100000:65536,...`), `expires` (shadow(5), in days) and `password`
/// (`none`, `set` or `locked`).
///
/// What is set may leave lines out: those are left alone, or as useradd(8) has them. It may have more: `new yes` as its
/// first line where the account is made, `system yes`, `make-home yes`, `add-groups a,b`, and `subids 65536` for at least
/// so many subordinate numbers of each sort.
pub static USER: KnobSort = KnobSort {
    word: "user",
    noun: "the user",
    functions: FUNCTIONS,
    show,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: true,
    stays: None,
    unset: super::ABSENT,
};

fn show(state: &str) -> String {
    let told = state.lines().filter(|line| line.split_once(' ').is_some_and(|(_, value)| !value.is_empty()));
    told.collect::<Vec<_>>().join(", ")
}

const FUNCTIONS: &str = r#"
prepare_user() {
  user_lacks=
  for u_tool in useradd usermod userdel; do command -v "$u_tool" >/dev/null 2>&1 || user_lacks="$user_lacks $u_tool"; done
}
get_user() { # name
  got=absent
  if [ -n "$user_lacks" ]; then got="the host lacks$user_lacks, which manage users (the package passwd or shadow-utils)"; return 1; fi
  if [ ! -e /etc/shadow ]; then got='the host has no /etc/shadow, without which users are not managed'; return 1; fi
  if [ ! -r /etc/shadow ]; then got='only root can read /etc/shadow'; return 1; fi
  u_found=
  while IFS=: read -r u_name u_rest u_uid u_gid u_comment u_home u_shell; do
    if [ "$u_name" = "$1" ]; then u_found=1; break; fi
  done </etc/passwd
  if [ -z "$u_found" ]; then
    if u_rest=$(limited 10 getent passwd "$1" </dev/null 2>/dev/null) && [ -n "$u_rest" ]; then
      got='it is not in /etc/passwd but comes from somewhere else (see nsswitch.conf), and can only be changed there'; return 1
    fi
    return 0
  fi
  u_group=$u_gid; u_groups=
  while IFS=: read -r u_name u_rest u_id u_members; do
    if [ "$u_id" = "$u_gid" ]; then u_group=$u_name; fi
    case ",$u_members," in *",$1,"*) u_groups="$u_groups $u_name" ;; esac
  done </etc/group
  user_sorted '' $u_groups; u_groups=$u_sorted
  u_password=none; u_expires=
  while IFS=: read -r u_name u_hash u_rest u_rest u_rest u_rest u_rest u_id u_rest; do
    if [ "$u_name" != "$1" ]; then continue; fi
    u_expires=$u_id
    case $u_hash in
      '!'|'!!'|'!*'|'*'*|x) ;;
      '!'*) u_password=locked ;;
      *) u_password=set ;;
    esac
  done </etc/shadow
  u_hash=
  user_ranges /etc/subuid "$1" "$u_uid"; u_subuid=$u_sorted
  user_ranges /etc/subgid "$1" "$u_uid"; u_subgid=$u_sorted
  got="uid $u_uid
group $u_group
comment $u_comment
home $u_home
shell $u_shell
groups $u_groups
subuid $u_subuid
subgid $u_subgid
expires $u_expires
password $u_password"
}
user_sorted() { # option words: sets u_sorted to the words in order, with commas
  u_option=$1; shift; u_sorted=
  if [ $# = 0 ]; then return 0; fi
  u_sorted=$(printf '%s\n' "$@" | sort -u $u_option | tr '\n' ,); u_sorted=${u_sorted%,}
}
user_ranges() { # file name uid: sets u_sorted
  u_all=
  if [ -r "$1" ]; then
    while IFS=: read -r u_name u_first u_count; do
      if [ "$u_name" = "$2" ] || [ "$u_name" = "$3" ]; then u_all="$u_all $u_first:$u_count"; fi
    done <"$1"
  fi
  user_sorted -n $u_all
}
user_says() { # state key: sets u_value; 1 when the state does not say
  u_text="
$1
"
  case $u_text in *"
$2 "*) ;; *) u_value=; return 1 ;; esac
  u_value=${u_text#*"
$2 "}
  u_value=${u_value%%"
"*}
}
set_user() { # name state limit
  if [ "$2" = absent ]; then user_goes "$1" "$3"; return; fi
  get_user "$1" || { printf '%s\n' "$got"; return 1; }
  if [ "$got" = absent ]; then
    user_comes "$1" "$2" "$3" || return
    get_user "$1" || { printf '%s\n' "$got"; return 1; }
  fi
  user_changes "$1" "$2" "$3" "$got" || return
  if user_says "$2" subuid; then user_subordinate "$1" "$3" -v -V "$u_value" "$(user_says "$got" subuid; echo "$u_value")" || return; fi
  if user_says "$2" subgid; then user_subordinate "$1" "$3" -w -W "$u_value" "$(user_says "$got" subgid; echo "$u_value")" || return; fi
  if user_says "$2" subids; then
    u_wanted=$u_value
    user_says "$got" subuid; user_more "$1" "$3" -v /etc/subuid "$u_wanted" "$u_value" || return
    user_says "$got" subgid; user_more "$1" "$3" -w /etc/subgid "$u_wanted" "$u_value" || return
  fi
  if user_says "$2" make-home; then user_home "$1" || return; fi
  # Last, so that all else is done.
  if user_says "$2" password && [ "$u_value" != none ]; then
    case $got in *'password none')
      echo "the account $1 is as it was but for its password, which is kept nowhere: set one with passwd(1)"; return 1 ;;
    esac
  fi
}
user_group() { # name: whether there is such a group, and sets u_id to its number
  while IFS=: read -r u_found u_rest u_id u_rest; do if [ "$u_found" = "$1" ]; then return 0; fi; done </etc/group
  return 1
}
user_comes() { # name state limit
  u_name=$1; u_state=$2; u_limit=$3
  set --
  if user_says "$u_state" uid; then set -- "$@" -u "$u_value"; fi
  if user_says "$u_state" system; then set -- "$@" -r; fi
  if user_says "$u_state" comment; then set -- "$@" -c "$u_value"; fi
  if user_says "$u_state" home; then set -- "$@" -d "$u_value"; fi
  if user_says "$u_state" shell; then set -- "$@" -s "$u_value"; fi
  # Ranges that are said are given below; others are useradd's own business.
  if user_says "$u_state" subuid; then set -- "$@" -K SUB_UID_COUNT=0; fi
  if user_says "$u_state" subgid; then set -- "$@" -K SUB_GID_COUNT=0; fi
  if user_says "$u_state" group; then set -- "$@" -g "$u_value"
  elif user_group "$u_name"; then set -- "$@" -g "$u_name"
  else set -- "$@" -U
  fi
  if user_says "$u_state" make-home; then set -- "$@" -m; else set -- "$@" -M; fi
  limited "$u_limit" useradd "$@" -- "$u_name" </dev/null
}
user_changes() { # name state limit now
  u_name=$1; u_state=$2; u_limit=$3; u_now=$4
  set --
  for u_pair in uid:-u group:-g comment:-c home:-d shell:-s groups:-G expires:-e; do
    user_says "$u_state" "${u_pair%%:*}" || continue
    u_new=$u_value; user_says "$u_now" "${u_pair%%:*}"
    if [ "$u_new" != "$u_value" ]; then set -- "$@" "${u_pair#*:}" "$u_new"; fi
  done
  user_says "$u_now" password; u_old=$u_value
  if user_says "$u_state" password; then
    case $u_old:$u_value in
      set:locked) set -- "$@" -L ;;
      locked:set) set -- "$@" -U ;;
      # What was set since goes with the account as it was before; this is no password.
      set:none|locked:none) set -- "$@" -p '!' ;;
    esac
  fi
  if [ $# != 0 ]; then limited "$u_limit" usermod "$@" -- "$u_name" </dev/null || return; fi
  if user_says "$u_state" add-groups; then
    user_says "$u_now" groups; u_old=,$u_value,
    user_says "$u_state" add-groups; u_new=
    for u_value in $(IFS=,; echo $u_value); do
      case $u_old in *",$u_value,"*) ;; *) u_new=$u_new,$u_value ;; esac
    done
    [ -z "$u_new" ] || limited "$u_limit" usermod -a -G "${u_new#,}" -- "$u_name" </dev/null
  fi
}
user_subordinate() { # name limit add delete wanted now
  u_name=$1; u_limit=$2; u_add=$3; u_delete=$4; u_new=,$5,; u_old=,$6,
  set --
  for u_value in $(IFS=,; echo ${u_old}); do
    case $u_new in *",$u_value,"*) ;; *) set -- "$@" "$u_delete" "${u_value%%:*}-$((${u_value%%:*} + ${u_value#*:} - 1))" ;; esac
  done
  for u_value in $(IFS=,; echo ${u_new}); do
    case $u_old in *",$u_value,"*) ;; *) set -- "$@" "$u_add" "${u_value%%:*}-$((${u_value%%:*} + ${u_value#*:} - 1))" ;; esac
  done
  [ $# = 0 ] || limited "$u_limit" usermod "$@" -- "$u_name" </dev/null
}
user_more() { # name limit add file count its-own: one more range behind all others, where its own come to fewer
  u_total=0; u_next=100000
  for u_count in $(IFS=,; echo $6); do u_total=$((u_total + ${u_count#*:})); done
  if [ -r "$4" ]; then
    while IFS=: read -r u_name u_first u_count; do
      case $u_first$u_count in ''|*[!0-9]*) continue ;; esac
      if [ $((u_first + u_count)) -gt "$u_next" ]; then u_next=$((u_first + u_count)); fi
    done <"$4"
  fi
  [ "$u_total" -ge "$5" ] || limited "$2" usermod "$3" "$u_next-$((u_next + $5 - 1))" -- "$1" </dev/null
}
user_home() { # name: makes the home of an account that is there as useradd does
  get_user "$1" || { printf '%s\n' "$got"; return 1; }
  user_says "$got" home; u_home=$u_value
  if [ -e "$u_home" ]; then return 0; fi
  user_says "$got" group
  u_mode=0700
  while read -r u_name u_rest; do if [ "$u_name" = HOME_MODE ]; then u_mode=$u_rest; fi; done 2>/dev/null </etc/login.defs
  mkdir -m 0700 -- "$u_home" || return
  if [ -d /etc/skel ]; then cp -R /etc/skel/. "$u_home/" || return; fi
  chown -Rh -- "$1:$u_value" "$u_home" && chmod -- "$u_mode" "$u_home" || return
  if command -v restorecon >/dev/null 2>&1; then restorecon -R "$u_home"; fi
}
user_goes() { # name limit
  # userdel takes the group of the same name along, also where it was there before: it has a record of its own.
  u_gid=; if user_group "$1"; then u_gid=$u_id; fi
  clock; u_until=$((clock + 20)); [ "$2" -gt 20 ] || u_until=$((clock + $2))
  # Its service manager goes some seconds after its last session.
  while :; do
    u_rest=$(limited "$2" userdel -- "$1" </dev/null 2>&1) && break
    u_status=$?; clock
    if [ $u_status != 8 ] || [ "$clock" -ge $u_until ]; then printf '%s\n' "$u_rest"; return $u_status; fi
    sleep 1
  done
  if [ -n "$u_gid" ] && ! user_group "$1"; then limited "$2" groupadd -g "$u_gid" -- "$1" </dev/null || return; fi
  # As useradd of the Red Hat family makes it.
  for u_rest in /var/mail /var/spool/mail; do
    if [ -f "$u_rest/$1" ] && [ ! -s "$u_rest/$1" ]; then rm -f -- "$u_rest/$1"; fi
  done
}
"#;
