//! ufw: its rules are read where ufw keeps them; it is started only to change one, since it is made of Python.

macro_rules! ufw {
    () => {
        r#"
fw_rules_read() { # sets fw_four, fw_six, fw_live_four and fw_live_six to the rules of each family, as noted and in force
  if [ -n "$fw_rules" ]; then return 0; fi
  fw_four=$(grep '^### tuple ### ' /etc/ufw/user.rules 2>&1); fw_code=$?
  if [ $fw_code -gt 1 ]; then got="the rules of ufw cannot be read: $fw_four"; return 1; fi
  fw_live_four=$(iptables -w -S ufw-user-input 2>/dev/null </dev/null)
  fw_six=never; fw_live_six=never
  if grep -q '^IPV6=["'\'']*[yY][eE][sS]' /etc/default/ufw 2>/dev/null; then
    fw_six=$(grep '^### tuple ### ' /etc/ufw/user6.rules 2>&1); fw_code=$?
    if [ $fw_code -gt 1 ]; then got="the rules of ufw cannot be read: $fw_six"; return 1; fi
    fw_live_six=$(ip6tables -w -S ufw6-user-input 2>/dev/null </dev/null)
  fi
  fw_rules=read
}
fw_saying() { # rules of one family, anywhere: sets fw_does to what the rule of fw_item does, and no where there is none
  if [ "$1" = never ]; then fw_does=never; return 0; fi
  fw_does=no; fw_each=$1
  while [ -n "$fw_each" ]; do
    fw_line=${fw_each%%
*}
    case $fw_each in *"
"*) fw_each=${fw_each#*
} ;; *) fw_each= ;; esac
    fw_line=${fw_line#'### tuple ### '}; fw_word=${fw_line%% *}; fw_line="${fw_line#* } "
    case $fw_item in
      'port '*) case $fw_line in "$fw_proto $fw_ports_ufw $2 any $2 in "*) fw_does=$fw_word; return 0 ;; esac ;;
      # One of a profile for each of its protocols.
      *) case $fw_line in *" $2 any $2 $fw_profile - in "*) fw_does=$fw_word; return 0 ;; esac ;;
    esac
  done
}
fw_acting() { # rules of one family in force: sets fw_does
  if [ "$1" = never ]; then fw_does=never; return 0; fi
  fw_does=no
  case $fw_item:$fw_ports_ufw in
    port*:*:*) fw_line="-p $fw_proto -m multiport --dports $fw_ports_ufw " ;;
    port*) fw_line="-p $fw_proto -m $fw_proto --dport $fw_ports_ufw " ;;
    *) fw_line="dapp_$fw_profile" ;;
  esac
  fw_each=$1
  while [ -n "$fw_each" ]; do
    fw_word=${fw_each%%
*}
    case $fw_each in *"
"*) fw_each=${fw_each#*
} ;; *) fw_each= ;; esac
    case $fw_item:$fw_word in
      port*:"-A ufw-user-input $fw_line-j "*|port*:"-A ufw6-user-input $fw_line-j "*) ;;
      port*:"-A ufw-user-input $fw_line"*limit-accept|port*:"-A ufw6-user-input $fw_line"*limit-accept) ;;
      service*:*"$fw_line\\'\""*|service*:*"$fw_line'\""*|service*:*"$fw_line\" -j"*|service*:*"'$fw_line'"*) ;;
      *) continue ;;
    esac
    case $fw_word in
      *' -j ACCEPT') fw_does=allow ;;
      *limit-accept) fw_does=limit ;;
      *' -j DROP') fw_does=deny ;;
      *' -j REJECT'*) fw_does=reject ;;
      *) continue ;;
    esac
    return 0
  done
}
fw_ufw_item() { # sets fw_spec, and what fw_item is called in the rules; 1 with got where ufw has no such thing
  case $fw_item in
    'port '*)
      fw_words_of; fw_ports_ufw=$(printf '%s' "$fw_port" | tr - :); fw_profile= ;;
    'service '*) fw_ports_ufw=; fw_profile=$(printf '%s' "${fw_item#* }" | sed 's/ /%20/g') ;;
    *) got="ufw has no such thing as ${fw_item%% *}"; return 1 ;;
  esac
}
fw_rules_are() { # sets fw_is for fw_item
  fw_ufw_item && fw_rules_read || return
  fw_saying "$fw_four" 0.0.0.0/0; fw_is=$fw_does
  fw_saying "$fw_six" ::/0; fw_is=$fw_is/$fw_does
  fw_acting "$fw_live_four"; fw_is="$fw_is $fw_does"
  fw_acting "$fw_live_six"; fw_is=$fw_is/$fw_does
}
fw_rules_set() { # yes, no, or what the rule of each family is to do; likewise what is in force
  fw_rules=
  if ! command -v ufw >/dev/null 2>&1; then
    [ "$1" != no ] && [ "$1" != no/no ] && [ "$1" != no/never ] || return 0
    echo 'the host has no ufw any more'; return 1
  fi
  fw_rules_are || { printf '%s\n' "$got"; return 1; }
  fw_now=${fw_is%% *}; fw_forced=${fw_is#* }
  case $1 in yes) set -- allow/allow ;; no) set -- no/no ;; *) set -- "$1" ;; esac
  fw_now_four=${fw_now%/*}; fw_now_six=${fw_now#*/}; fw_to_four=${1%/*}; fw_to_six=${1#*/}
  # What lets it in, if slowly, stays as it is.
  case $fw_to_four:$fw_now_four in allow:limit*|allow:allow*) fw_to_four=$fw_now_four ;; esac
  case $fw_to_six:$fw_now_six in allow:limit*|allow:allow*) fw_to_six=$fw_now_six ;; *:never|never:*) fw_to_six=$fw_now_six ;; esac
  if [ "$fw_now_four/$fw_now_six" = "$fw_to_four/$fw_to_six" ]; then
    # What is noted is not in force.
    [ "$fw_now" = "$fw_forced" ] || fw_ufw_run reload
    return
  fi
  if [ "$fw_to_six" = "$fw_now_six" ] && [ "$fw_now_six" = never ] || [ "$fw_now_four:$fw_to_four" = "$fw_now_six:$fw_to_six" ]; then
    fw_ufw_rule both "$fw_now_four" "$fw_to_four"
  else
    fw_ufw_rule 0.0.0.0/0 "$fw_now_four" "$fw_to_four" && fw_ufw_rule ::/0 "$fw_now_six" "$fw_to_six"
  fi
}
fw_ufw_rule() { # family, what its rule does, what it is to do
  if [ "$2" = "$3" ]; then return 0; fi
  fw_way=$1
  # allow_log and allow_log-all are two words on the command line.
  if [ "$3" = no ]; then set -- delete $(printf '%s' "$2" | tr _ ' '); else set -- $(printf '%s' "$3" | tr _ ' '); fi
  case $fw_way:$fw_item in
    both:port*) set -- "$@" "$fw_ports_ufw/$fw_proto" ;;
    both:*) set -- "$@" "${fw_item#* }" ;;
    *:port*) set -- "$@" proto "$fw_proto" to "$fw_way" port "$fw_ports_ufw" ;;
    *) set -- "$@" to "$fw_way" app "${fw_item#* }" ;;
  esac
  fw_ufw_run "$@"
}
fw_ufw_run() {
  fw_said=$(limited "$fw_limit" ufw "$@" 2>&1 </dev/null) && return
  fw_code=$?; printf 'ufw %s: %s\n' "$*" "$fw_said"; return $fw_code
}
"#
    };
}

pub(super) use ufw;
