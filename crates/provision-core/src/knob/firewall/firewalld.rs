//! firewalld over its bus: busctl(1) is a small program, while firewall-cmd(1) starts a Python interpreter.
//!
//! What a rule comes down to is firewalld's to say: it is asked whether it has one, however it writes it itself.

macro_rules! firewalld {
    () => {
        r#"
fw_bus() { busctl --auto-start=no call $fw_f "$@" </dev/null 2>&1; }
fw_words() { # prefix 'what busctl said': each quoted word on a line of its own
  fw_each=$2
  while :; do
    case $fw_each in *\"*\"*) ;; *) return 0 ;; esac
    fw_each=${fw_each#*\"}; printf '%s %s\n' "$1" "${fw_each%%\"*}"; fw_each=${fw_each#*\"}
  done
}
fw_zone_of() { # zone, or - for the default one: sets fw_zone and fw_config; 1 with got, and fw_zones where there is no such zone
  fw_zones=
  if [ "$fw_in" = "$1" ]; then return 0; fi
  fw_in=; fw_listed=; fw_zone=$1
  if [ "$1" = - ]; then
    fw_zone=$(fw_bus $fw_o $fw_f getDefaultZone) || { got="firewalld cannot be asked: $fw_zone"; return 1; }
    fw_zone=${fw_zone#*\"}; fw_zone=${fw_zone%\"*}
  fi
  fw_config=$(fw_bus $fw_o/config $fw_f.config getZoneByName s "$fw_zone") &&
    fw_said=$(fw_bus $fw_o $fw_f.zone getPorts s "$fw_zone") || {
    case $fw_config in o*) ;; *) fw_said=$fw_config ;; esac
    got="firewalld cannot be asked: $fw_said"
    case $fw_said in *INVALID_ZONE*)
      got="firewalld has no zone $fw_zone"
      fw_said=$(fw_words ' ' "$(fw_bus $fw_o $fw_f.zone getZones)")
      fw_zones="running"$(printf '%s' "$fw_said" | tr -d '\n')
      fw_said=$(fw_words ' ' "$(fw_bus $fw_o/config $fw_f.config getZoneNames)")
      fw_zones="$fw_zones
permanent"$(printf '%s' "$fw_said" | tr -d '\n') ;;
    esac
    return 1
  }
  fw_config=${fw_config#*\"}; fw_config=${fw_config%\"*}
  fw_ports=$fw_said; fw_in=$1
}
fw_open() { # layer: sets fw_list to the ports that are open, as busctl says it
  if [ "$1" = running ]; then fw_list=$fw_ports; return 0; fi
  if [ -z "$fw_listed" ]; then
    fw_kept_ports=$(fw_bus "$fw_config" $fw_f.config.zone getPorts) || { got="firewalld cannot be asked: $fw_kept_ports"; return 1; }
    fw_listed=1
  fi
  fw_list=$fw_kept_ports
}
fw_part() { # first last protocol: sets fw_is to yes, no, or what of these ports is in fw_list
  fw_is=; fw_next=$1; fw_low=
  while [ "$fw_next" -le "$2" ]; do
    # Whichever has the next port, or the first one after it.
    fw_from=; fw_at=
    for fw_word in $fw_list; do
      case $fw_word in \"*\") fw_word=${fw_word#\"}; fw_word=${fw_word%\"} ;; *) continue ;; esac
      if [ -z "$fw_at" ]; then fw_at=$fw_word; continue; fi
      case $fw_at in *[!0-9-]*|''|-*|*-|*-*-*) fw_at=; continue ;; esac
      if [ "$fw_word" = "$3" ] && [ "${fw_at#*-}" -ge "$fw_next" ]; then
        if [ -z "$fw_from" ] || [ "${fw_at%-*}" -lt "$fw_from" ]; then fw_from=${fw_at%-*}; fw_to=${fw_at#*-}; fi
      fi
      fw_at=
    done
    if [ -z "$fw_from" ] || [ "$fw_from" -gt "$2" ]; then break; fi
    if [ "$fw_from" -lt "$fw_next" ]; then fw_from=$fw_next; fi
    if [ "$fw_to" -gt "$2" ]; then fw_to=$2; fi
    # Neighbours are one.
    if [ -z "$fw_low" ]; then fw_low=$fw_from
    elif [ "$fw_from" -gt $((fw_high + 1)) ]; then fw_is=$fw_is,$fw_low-$fw_high; fw_low=$fw_from; fi
    fw_high=$fw_to; fw_next=$((fw_to + 1))
  done
  if [ -n "$fw_low" ]; then fw_is=$fw_is,$fw_low-$fw_high; fi
  fw_is=${fw_is#,}
  case $fw_is in '') fw_is=no ;; "$1-$2") fw_is=yes ;; esac
}
fw_say() { # layer add|remove|query noun words: sets fw_said to what firewalld says
  fw_layer=$1; fw_verb=$2$3; shift 3
  fw_sign=; for fw_word; do fw_sign=s$fw_sign; done
  if [ "$fw_layer" = permanent ]; then
    fw_said=$(fw_bus "$fw_config" $fw_f.config.zone "$fw_verb" "$fw_sign" "$@"); return
  fi
  # For good: what comes for a time has a number of seconds here.
  case $fw_verb in addSource) ;; add*) set -- "$@" 0; fw_sign=${fw_sign}i ;; esac
  fw_said=$(fw_bus $fw_o $fw_f.zone "$fw_verb" "s$fw_sign" "$fw_zone" "$@")
}
fw_has() { # layer noun words: sets fw_is to yes or no
  fw_noun=$2; fw_layer=$1; shift 2
  fw_say "$fw_layer" query "$fw_noun" "$@" || {
    # What of it is unknown is said by whoever asks what there is.
    case $fw_said in *INVALID_SERVICE*) fw_is=no; return 0 ;; esac
    got="firewalld says: ${fw_said#Call failed: }"; return 1
  }
  case $fw_said in *true*) fw_is=yes ;; *) fw_is=no ;; esac
}
fw_do() { # layer add|remove noun words
  fw_say "$@" && return
  # Somebody else has done it since it was looked at: that is what was wanted.
  case $2:$fw_said in add:*ALREADY_ENABLED*|remove:*NOT_ENABLED*) return 0 ;; esac
  printf 'firewalld says: %s\n' "${fw_said#Call failed: }"; return 1
}
fw_words_of() { # an item: sets fw_noun and the words of what it is; a forward has fw_port, fw_proto, fw_to_port and fw_address
  fw_rest=${fw_item#* }
  case $fw_item in
    'port '*) fw_noun=Port; fw_port=${fw_rest%/*}; fw_proto=${fw_rest#*/} ;;
    'service '*) fw_noun=Service ;;
    'rule '*) fw_noun=RichRule; fw_rest=$fw_item ;;
    'source '*) fw_noun=Source ;;
    'masquerade '*)
      fw_noun=RichRule
      case $fw_rest in *:*) fw_family=ipv6 ;; *) fw_family=ipv4 ;; esac
      fw_rest="rule family=\"$fw_family\" destination address=\"$fw_rest\" masquerade" ;;
    'forward '*)
      fw_noun=ForwardPort; fw_to_port=; fw_address=
      fw_port=${fw_rest%%/*}; fw_rest="${fw_rest#*/} "; fw_proto=${fw_rest%% *}; fw_rest=${fw_rest#* }
      case $fw_rest in 'to '*) fw_rest=${fw_rest#to }; fw_to_port=${fw_rest%% *}; fw_rest=${fw_rest#* } ;; esac
      case $fw_rest in 'at '*) fw_rest=${fw_rest#at }; fw_address=${fw_rest%% *} ;; esac
      # firewalld's forward on the host itself is of IPv4 alone.
      fw_rest="rule family=\"ipv6\" forward-port port=\"$fw_port\" protocol=\"$fw_proto\" to-port=\"$fw_to_port\"" ;;
  esac
}
fw_daemon_is() { # layer: sets fw_is for fw_item
  fw_words_of
  case $fw_noun in
    Port) fw_open "$1" && fw_part "${fw_port%-*}" "${fw_port#*-}" "$fw_proto" ;;
    ForwardPort)
      fw_has "$1" ForwardPort "$fw_port" "$fw_proto" "$fw_to_port" "$fw_address" || return
      if [ -n "$fw_address" ]; then return 0; fi
      fw_four=$fw_is; fw_has "$1" RichRule "$fw_rest" || return
      case $fw_four:$fw_is in yes:no) fw_is=ipv4 ;; no:yes) fw_is=ipv6 ;; esac ;;
    *) fw_has "$1" "$fw_noun" "$fw_rest" ;;
  esac
}
fw_daemon_set() { # layer state: yes, no, or a part
  fw_words_of
  case $fw_noun:$2 in
    Port:yes) fw_do "$1" add Port "$fw_port" "$fw_proto" ;;
    Port:*)
      fw_first=${fw_port%-*}; fw_last=${fw_port#*-}; fw_wanted=
      [ "$2" = no ] || fw_wanted=$2
      for fw_each in $(printf '%s' "$fw_wanted" | tr , ' '); do fw_do "$1" add Port "$(fw_range "$fw_each")" "$fw_proto" || return; done
      # Of the rest, what is open by now.
      fw_in=; fw_zone_of "$fw_zone" && fw_open "$1" || { printf '%s\n' "$got"; return 1; }
      fw_gap=$fw_first
      for fw_each in $(printf '%s' "$fw_wanted" | tr , ' ') $((fw_last + 1)); do
        if [ "${fw_each%-*}" -gt "$fw_gap" ]; then
          fw_end=$((${fw_each%-*} - 1))
          fw_part "$fw_gap" "$fw_end" "$fw_proto"
          case $fw_is in no) fw_is= ;; yes) fw_is=$fw_gap-$fw_end ;; esac
          for fw_word in $(printf '%s' "$fw_is" | tr , ' '); do fw_do "$1" remove Port "$(fw_range "$fw_word")" "$fw_proto" || return; done
        fi
        fw_gap=$((${fw_each#*-} + 1))
      done ;;
    ForwardPort:*)
      fw_four=remove; fw_six=remove
      case $2 in yes) fw_four=add; fw_six=add ;; ipv4) fw_four=add ;; ipv6) fw_six=add ;; esac
      fw_do "$1" $fw_four ForwardPort "$fw_port" "$fw_proto" "$fw_to_port" "$fw_address" || return
      if [ -z "$fw_address" ]; then fw_do "$1" $fw_six RichRule "$fw_rest"; fi ;;
    *:yes) fw_do "$1" add "$fw_noun" "$fw_rest" ;;
    *) fw_do "$1" remove "$fw_noun" "$fw_rest" ;;
  esac
}
fw_range() { # first-last, as firewalld has it
  if [ "${1%-*}" = "${1#*-}" ]; then printf '%s' "${1%-*}"; else printf '%s' "$1"; fi
}
fw_offline() { # zone state: what is in force goes with the firewall that is, and the rest is in its files
  command -v firewall-offline-cmd >/dev/null 2>&1 || {
    [ "$2" = no ] && return
    echo 'firewalld does not run'; return 1
  }
  fw_words_of
  case $2 in yes) fw_verb=add ;; no) fw_verb=remove ;; *) echo "firewalld does not run: start it, so that ports can be put back in part"; return 1 ;; esac
  case $fw_noun in
    Port) fw_offline_do "$1" "--$fw_verb-port=$fw_port/$fw_proto" ;;
    Service)
      if [ $fw_verb = remove ]; then fw_offline_do "$1" "--remove-service-from-zone=$fw_rest"
      else fw_offline_do "$1" "--add-service=$fw_rest"; fi ;;
    Source) fw_offline_do "$1" "--$fw_verb-source=$fw_rest" ;;
    RichRule) fw_offline_do "$1" "--$fw_verb-rich-rule=$fw_rest" ;;
    ForwardPort)
      fw_word="port=$fw_port:proto=$fw_proto${fw_to_port:+:toport=$fw_to_port}${fw_address:+:toaddr=$fw_address}"
      fw_offline_do "$1" "--$fw_verb-forward-port=$fw_word" || return
      if [ -z "$fw_address" ]; then fw_offline_do "$1" "--$fw_verb-rich-rule=$fw_rest"; fi ;;
  esac
}
fw_offline_do() { # zone option: it takes one at a time
  if [ "$1" = - ]; then shift; else set -- "--zone=$1" "$2"; fi
  fw_said=$(limited "$fw_limit" firewall-offline-cmd "$@" 2>&1 </dev/null) && return
  case $fw_said in *NOT_ENABLED*|*ALREADY_ENABLED*) return 0 ;; esac
  printf '%s\n' "$fw_said"; return 1
}
"#
    };
}

pub(super) use firewalld;
