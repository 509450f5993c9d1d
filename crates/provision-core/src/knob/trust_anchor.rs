//! Authorities that a host as a whole trusts: update-ca-certificates(8) of Debian, Alpine and SUSE, update-ca-trust(8) of Red
//! Hat and Arch.

use super::{ABSENT, KnobSort};

/// A certificate in the system's trust store, named by its file there without its end. Its text is the PEM; `nowhere` on a
/// host that has no such store, and with a first line `stale` where the store has not been made anew since the file came.
pub static TRUST_ANCHOR: KnobSort = KnobSort {
    word: "trust_anchor",
    noun: "the trust anchor",
    functions: FUNCTIONS,
    show,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

/// On a host without a store.
pub const NOWHERE: &str = "nowhere";
/// Before the certificate, where the store does not have it yet.
pub const STALE: &str = "stale\n";

fn show(state: &str) -> String {
    format!("{} bytes, sha256 {:.12}", state.len(), crate::blob::sha256_hex(state.as_bytes()))
}

const FUNCTIONS: &str = r#"
prepare_trust_anchor() {
  anchors=; anchor_end=crt; anchor_store=/etc/ssl/certs/ca-certificates.crt
  if [ -d /etc/pki/ca-trust/source/anchors ]; then
    anchors=/etc/pki/ca-trust/source/anchors; anchor_end=pem; anchor_store=/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
  elif [ -d /etc/ca-certificates/trust-source/anchors ]; then
    anchors=/etc/ca-certificates/trust-source/anchors; anchor_end=pem
    anchor_store=/etc/ca-certificates/extracted/tls-ca-bundle.pem
  elif [ -d /etc/pki/trust/anchors ]; then anchors=/etc/pki/trust/anchors; anchor_end=pem; anchor_store=/var/lib/ca-certificates/ca-bundle.pem
  elif [ -d /usr/local/share/ca-certificates ] || command -v update-ca-certificates >/dev/null 2>&1; then
    anchors=/usr/local/share/ca-certificates
  fi
}
get_trust_anchor() { # name
  got=nowhere
  if [ -z "$anchors" ]; then return 0; fi
  f=$anchors/$1.$anchor_end; got=absent
  if [ ! -e "$f" ]; then return 0; fi
  got=$(cat -- "$f" 2>/dev/null && echo .) || { got="$f cannot be read"; return 1; }
  got=${got%.}
  # The store is made anew after each change of what it is made of.
  if [ ! -e "$anchor_store" ] || [ "$f" -nt "$anchor_store" ]; then got="stale
$got"; fi
}
set_trust_anchor() { # name pem limit
  if [ -z "$anchors" ]; then
    if [ "$2" = nowhere ] || [ "$2" = absent ]; then return 0; fi
    echo 'the host has no trust store of its own: neither update-ca-certificates nor update-ca-trust is there'; return 1
  fi
  f=$anchors/$1.$anchor_end
  case $2 in
    absent|nowhere) rm -f -- "$f" || return ;;
    *)
      t=$anchors/.$1.provision-new; i=${2#stale
}
      [ -d "$anchors" ] || mkdir -p -- "$anchors" || return
      fresh "$t" && printf '%s' "$i" >"$t" && chmod 0644 -- "$t" && over "$t" "$f" || { c=$?; rm -f -- "$t"; return $c; } ;;
  esac
  if command -v update-ca-trust >/dev/null 2>&1; then limited "$3" update-ca-trust extract </dev/null
  elif command -v update-ca-certificates >/dev/null 2>&1; then
    # Debian's makes the links by hash anew only when it sees a link come or go: not when another authority has the name, and
    # of a file that is gone it sees nothing.
    t=; if [ -L "/etc/ssl/certs/$1.pem" ]; then t=1; rm -f -- "/etc/ssl/certs/$1.pem" || return; fi
    limited "$3" update-ca-certificates </dev/null >/dev/null || return
    if [ -z "$t" ] || [ -e "$f" ]; then return 0; fi
    for t in /etc/ssl/certs/*.[0-9]; do
      if [ -L "$t" ] && [ ! -e "$t" ] && [ "$(readlink -- "$t")" = "$1.pem" ]; then rm -f -- "$t" || return; fi
    done
    # The numbers behind a hash have no gap.
    i=$(limited "$3" openssl rehash /etc/ssl/certs </dev/null 2>&1) || { t=$?; printf '%s\n' "$i"; return $t; }
  else echo 'neither update-ca-certificates nor update-ca-trust is installed'; return 127; fi
}
"#;
