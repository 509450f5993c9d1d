//! What both sorts of knob of a firewall stand on: who keeps the host's firewall.

macro_rules! common {
    () => {
        r#"
fw_look() { # sets fw_daemon, fw_ufw and fw_nft to how each of the three is; 1 with got where that cannot be found out
  if [ -n "$fw_daemon" ]; then return 0; fi
  fw_f=org.fedoraproject.FirewallD1; fw_o=/org/fedoraproject/FirewallD1
  fw_state=absent; fw_ufw=absent; fw_nft=absent
  if command -v firewalld >/dev/null 2>&1 || command -v firewall-cmd >/dev/null 2>&1; then fw_state=stopped; fi
  if command -v busctl >/dev/null 2>&1; then
    # Asked of the bus itself, which starts nothing and says it the same way everywhere.
    if fw_said=$(busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s $fw_f </dev/null 2>&1); then
      case $fw_said in *true*) fw_state=running ;; esac
    elif [ "$fw_state" = stopped ]; then got="firewalld cannot be asked: $fw_said"; return 1; fi
  elif [ "$fw_state" = stopped ]; then got='firewalld cannot be asked: the host has no busctl'; return 1; fi
  if command -v ufw >/dev/null 2>&1; then
    fw_ufw=inactive
    if grep -q '^ENABLED=["'\'']*[yY][eE][sS]' /etc/ufw/ufw.conf 2>/dev/null; then fw_ufw=active; fi
  fi
  if command -v nft >/dev/null 2>&1; then fw_nft=present; fi
  fw_daemon=$fw_state
}
fw_name() { # name: sets fw_item, fw_by and fw_named to its parts
  fw_item=$1; fw_by=auto; fw_named=-
  case $fw_item in by=*) fw_by=${fw_item%% *}; fw_by=${fw_by#by=}; fw_item=${fw_item#by=$fw_by}; fw_item=${fw_item# } ;; esac
  case $fw_item in zone=*) fw_named=${fw_item%% *}; fw_named=${fw_named#zone=}; fw_item=${fw_item#zone=$fw_named}; fw_item=${fw_item# } ;; esac
}
fw_choose() { # sets fw_by to the one that counts, where nobody has said which, and to none where that is not there
  case $fw_by in
    auto)
      if [ "$fw_daemon" = running ]; then fw_by=firewalld
      elif [ "$fw_ufw" = active ]; then fw_by=ufw
      elif [ "$fw_nft" = present ]; then fw_by=nftables
      else fw_by=none; fi ;;
    firewalld) [ "$fw_daemon" = running ] || fw_by=none ;;
    ufw) [ "$fw_ufw" = active ] || fw_by=none ;;
    nftables) [ "$fw_nft" = present ] || fw_by=none ;;
  esac
}
fw_fresh() { # forgets what was read
  fw_daemon=; fw_in=; fw_listed=; fw_table=; fw_rules=
}
"#
    };
}

pub(super) use common;
