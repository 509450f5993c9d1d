//! What there is on a host that filters.

macro_rules! host {
    () => {
        r#"
prepare_firewall_host() { fw_fresh; }
set_firewall_host() { :; }
get_firewall_host() { # name
  fw_name "$1"; fw_look && fw_choose || return
  fw_kept="firewalld $fw_daemon
ufw $fw_ufw
nft $fw_nft
by $fw_by"
  case $fw_by in
    firewalld)
      if fw_zone_of "$fw_named"; then
        fw_kept="$fw_kept
zone $fw_zone"
      elif [ -n "$fw_zones" ]; then fw_kept="$fw_kept
$fw_zones"
      else return 1; fi
      case $fw_item in *services*)
        fw_said=$(fw_bus $fw_o/config $fw_f.config getServiceNames) || { got="firewalld cannot be asked: $fw_said"; return 1; }
        fw_kept="$fw_kept
$(fw_words service "$fw_said")" ;;
      esac ;;
    ufw)
      case $fw_item in *services*) fw_kept="$fw_kept
$(sed -n 's/^\[\(..*\)\]$/service \1/p' /etc/ufw/applications.d/* 2>/dev/null)" ;; esac ;;
    nftables)
      fw_said=$(nft -s -t list ruleset 2>&1 </dev/null) || { got="nft cannot be asked: $fw_said"; return 1; }
      fw_forwarding=
      for fw_file in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do
        fw_word=0; { read -r fw_word <"$fw_file"; } 2>/dev/null
        fw_forwarding="$fw_forwarding $fw_word"
      done
      fw_kept="$fw_kept
forwarding$fw_forwarding
$(printf '%s\n' "$fw_said" | fw_chains)" ;;
  esac
  got=$fw_kept
}
"#
    };
}

pub(super) use host;
