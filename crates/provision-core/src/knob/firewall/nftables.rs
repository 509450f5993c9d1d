//! nftables: one table of our own for all plans of a host, `inet provision`, nft(8).
//!
//! Its chains accept what nobody has decided on and only ever accept, so it closes nothing. A file has what the next boot
//! loads, and a unit of ours loads it; both go with the last rule.

macro_rules! nftables {
    () => {
        r#"
fw_table_file=/etc/provision/firewall.nft
fw_table_unit=/etc/systemd/system/provision-firewall.service
fw_table_link=/etc/systemd/system/multi-user.target.wants/provision-firewall.service
fw_unit() { # nftables.service empties everything when it stops, starts or is reloaded
  fw_word="$(command -v nft) -f $fw_table_file"
  printf '%s\n' '# Made by provision; it goes with the last rule.' \
    '[Unit]' \
    'Description=Firewall rules of provision' \
    'Documentation=man:nft(8)' \
    'Wants=network-pre.target' \
    'Before=network-pre.target shutdown.target' \
    'After=nftables.service' \
    'PartOf=nftables.service' \
    'ReloadPropagatedFrom=nftables.service' \
    'Conflicts=shutdown.target' \
    'DefaultDependencies=no' \
    '' \
    '[Service]' \
    'Type=oneshot' \
    'RemainAfterExit=yes' \
    "ExecStart=$fw_word" \
    "ExecReload=$fw_word" \
    '' \
    '[Install]' \
    'WantedBy=multi-user.target nftables.service'
}
fw_read_rules() { # a table: each rule behind the name of its chain
  while read -r fw_word fw_rest; do
    case $fw_word in
      chain) fw_chain=${fw_rest%% *} ;;
      type|policy|table|delete|'}'|''|'#'*) ;;
      *) printf '%s %s\n' "$fw_chain" "$fw_word${fw_rest:+ $fw_rest}" ;;
    esac
  done
}
fw_chains() { # a ruleset: what filters on the way in and through, and what else accepts in those tables
  fw_hook=
  while read -r fw_word fw_rest; do
    case $fw_word in
      table) fw_table_name=${fw_rest%% \{*}; fw_hook= ;;
      chain) fw_chain=${fw_rest%% *}; fw_hook=- ;;
      type)
        case $fw_hook:$fw_rest in
          -:'filter hook input '*) fw_hook=input ;;
          -:'filter hook forward '*) fw_hook=forward ;;
          -:*) fw_hook=; continue ;;
          *) continue ;;
        esac
        fw_policy=accept; case $fw_rest in *'policy drop'*) fw_policy=drop ;; esac
        fw_chain_said "$fw_policy" ;;
      '}') fw_hook= ;;
      '') ;;
      *)
        case $fw_hook in
          '') ;;
          -) case $fw_rest in *accept*) fw_chain_said accept; [ -n "$fw_hook" ] || continue; fw_hook=other; printf 'rule %s\n' "$fw_word $fw_rest" ;; esac ;;
          other) case $fw_rest in *accept*) printf 'rule %s\n' "$fw_word $fw_rest" ;; esac ;;
          *) printf 'rule %s\n' "$fw_word${fw_rest:+ $fw_rest}" ;;
        esac ;;
    esac
  done
}
fw_chain_said() { # policy
  case $fw_table_name in
    'inet provision') fw_hook= ;;
    'ip '*|'ip6 '*|'inet '*) printf 'chain %s %s %s %s\n' "$fw_table_name" "$fw_chain" "$fw_hook" "$1" ;;
    *) fw_hook= ;;
  esac
}
fw_rule_of() { # sets fw_rule to the chain of fw_item and its rule, as nft prints it
  fw_words_of
  case $fw_item in
    'port '*) fw_rule="input $fw_proto dport $fw_port accept" ;;
    'masquerade '*)
      fw_rule=${fw_item#* }
      case $fw_rule in *:*) fw_family=ip6 ;; *) fw_family=ip ;; esac
      fw_rule="postrouting $fw_family daddr $fw_rule ct status dnat masquerade" ;;
    'forward '*)
      case $fw_address in
        '') fw_rule="redirect to :$fw_to_port" ;;
        *:*) if [ -n "$fw_to_port" ]; then fw_rule="dnat ip6 to [$fw_address]:$fw_to_port"; else fw_rule="dnat ip6 to $fw_address"; fi ;;
        *) fw_rule="dnat ip to $fw_address${fw_to_port:+:$fw_to_port}" ;;
      esac
      fw_rule="prerouting $fw_proto dport $fw_port $fw_rule" ;;
    *) got="nftables has no such thing as ${fw_item%% *}"; return 1 ;;
  esac
}
fw_table_read() { # sets fw_saved and fw_live to the rules in the file and in force, each with a line feed before and behind
  if [ -n "$fw_table" ]; then return 0; fi
  fw_saved=; fw_live=
  if [ -e "$fw_table_file" ]; then
    fw_saved=$(fw_read_rules 2>&1 <"$fw_table_file") || { got="$fw_table_file cannot be read: $fw_saved"; return 1; }
  fi
  if fw_said=$(nft -s list table inet provision 2>&1 </dev/null); then fw_live=$(printf '%s\n' "$fw_said" | fw_read_rules)
  else case $fw_said in *'No such file or directory'*) ;; *) got="nft cannot be asked: $fw_said"; return 1 ;; esac; fi
  fw_saved="
$fw_saved
"
  fw_live="
$fw_live
"
  fw_table=read
}
fw_table_is() { # sets fw_is for fw_item
  fw_rule_of && fw_table_read || return
  fw_is='no no'
  case $fw_live in *"
$fw_rule
"*) fw_is='no yes' ;; esac
  case $fw_saved in *"
$fw_rule
"*)
    # Without the unit nothing loads the file.
    if [ -h "$fw_table_link" ] && [ "$(cat -- "$fw_table_unit" 2>/dev/null)" = "$(fw_unit)" ]; then fw_is="yes ${fw_is#* }"; fi ;;
  esac
}
fw_chain_of() { # name, head: the chain with its rules, where it has any
  fw_word=$(printf '%s\n' "$fw_saved" | sed -n "s/^$1 /		/p")
  [ -z "$fw_word" ] || printf '	chain %s {\n		type %s; policy accept;\n%s\n	}\n' "$1" "$2" "$fw_word"
}
fw_table_text() {
  printf '%s\n' '# Made by provision: the rules of its plans. It goes with the last of them.' \
    'table inet provision' 'delete table inet provision' 'table inet provision {'
  fw_chain_of input 'filter hook input priority filter'
  fw_chain_of prerouting 'nat hook prerouting priority dstnat'
  fw_chain_of postrouting 'nat hook postrouting priority srcnat'
  echo '}'
}
fw_table_set() { # yes|no
  fw_table=; fw_rule_of && fw_table_read || { printf '%s\n' "$got"; return 1; }
  case $1:$fw_saved in
    yes:*"
$fw_rule
"*) ;;
    yes:*) fw_saved="$fw_saved$fw_rule
" ;;
    *:*"
$fw_rule
"*) fw_saved="${fw_saved%%"
$fw_rule
"*}
${fw_saved#*"
$fw_rule
"}" ;;
  esac
  fw_table=
  case $fw_saved in *[a-z]*) ;; *) fw_table_gone; return ;; esac
  (
    umask 022
    mkdir -p -- "${fw_table_file%/*}" && fw_table_text >"$fw_table_file.new"
  ) || return
  fw_said=$(nft -c -f "$fw_table_file.new" 2>&1 </dev/null) || {
    rm -f -- "$fw_table_file.new"; rmdir -- "${fw_table_file%/*}" 2>/dev/null
    printf 'nft refuses the rule %s: %s\n' "${fw_rule#* }" "$fw_said"; return 1
  }
  { sync -- "$fw_table_file.new" 2>/dev/null || sync; } </dev/null
  mv -f -- "$fw_table_file.new" "$fw_table_file" || return
  if [ "$(cat -- "$fw_table_unit" 2>/dev/null)" != "$(fw_unit)" ]; then
    (umask 022; fw_unit >"$fw_table_unit") && limited "$fw_limit" systemctl --no-ask-password daemon-reload </dev/null || return
  fi
  [ -h "$fw_table_link" ] || limited "$fw_limit" systemctl --no-ask-password --quiet enable "${fw_table_unit##*/}" </dev/null || return
  # Loaded by the unit, so that it has been up when nftables.service comes to stop or to reload.
  if limited "$fw_limit" systemctl --quiet is-active "${fw_table_unit##*/}" </dev/null; then nft -f "$fw_table_file" </dev/null
  else limited "$fw_limit" systemctl --no-ask-password start "${fw_table_unit##*/}" </dev/null; fi
}
fw_table_gone() {
  if [ -e "$fw_table_unit" ]; then
    limited "$fw_limit" systemctl --no-ask-password --quiet disable "${fw_table_unit##*/}" </dev/null
    limited "$fw_limit" systemctl --no-ask-password --quiet stop "${fw_table_unit##*/}" </dev/null
    rm -f -- "$fw_table_unit"
    limited "$fw_limit" systemctl --no-ask-password daemon-reload </dev/null
  fi
  rm -f -- "$fw_table_file" "$fw_table_link"
  rmdir -- "${fw_table_file%/*}" 2>/dev/null
  # Where nft has gone, so has the table, at the next boot at the latest.
  command -v nft >/dev/null 2>&1 || return 0
  fw_said=$(nft delete table inet provision 2>&1 </dev/null) && return
  case $fw_said in *'No such file or directory'*) return 0 ;; esac
  printf '%s\n' "$fw_said"; return 1
}
"#
    };
}

pub(super) use nftables;
