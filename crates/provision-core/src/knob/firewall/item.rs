//! One item of whichever firewall there is.

macro_rules! item {
    () => {
        r#"
prepare_firewall() { fw_fresh; }
get_firewall() { # name
  fw_name "$1"; fw_look && fw_choose || return
  case $fw_by in
    firewalld)
      fw_zone_of "$fw_named" && fw_daemon_is permanent || return
      got="firewalld $fw_zone $fw_is"; fw_kept=$got
      fw_daemon_is running || return
      got="$fw_kept $fw_is" ;;
    nftables) fw_table_is || return; got="nftables - $fw_is" ;;
    ufw) fw_rules_are || return; got="ufw - $fw_is" ;;
    *) got=none ;;
  esac
}
set_firewall() { # name state
  # What is said of it beforehand is not the host's business.
  fw_wish=${2##*
}
  fw_name "$1"; fw_limit=$3
  fw_look || { printf '%s\n' "$got"; return 1; }
  # As it says, whoever else keeps the host's firewall by now.
  set -- $fw_wish
  case $1 in auto) fw_by=auto; fw_choose ;; *) fw_by=$1 ;; esac
  case $fw_by in
    firewalld)
      if [ "$fw_daemon" != running ]; then fw_offline "$2" "$3"; return; fi
      fw_zone_of "$2" || { printf '%s\n' "$got"; return 1; }
      # The permanent configuration first: when the running one fails, a reload mends it, never the other way round.
      fw_daemon_set permanent "$3" && fw_daemon_set running "$4" ;;
    nftables) fw_table_set "$3" ;;
    ufw) fw_rules_set "$3" "$4" ;;
    none)
      case $1 in auto) echo 'the host has neither firewalld that runs nor ufw that is active nor nft'; return 1 ;; esac ;;
  esac
}
"#
    };
}

pub(super) use item;
