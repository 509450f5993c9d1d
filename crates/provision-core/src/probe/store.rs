//! podman's images, volumes and networks, read from the files in which it keeps them: asking podman itself writes.

use std::collections::BTreeMap;

use super::{ImageState, Store};

pub(super) const STORE: &str = r#"
conf() { # key file: a path or word that storage.conf sets
  [ -r "$2" ] && sed -n "/^[[:blank:]]*$1[[:blank:]]*=/{s/^[^=]*=[[:blank:]]*[\"']\\([^\"']*\\)[\"'].*/\\1/p;q;}" "$2"
}
shelf() { # root driver: the images of one store, as podman itself keeps the list of them
  if [ -n "$2" ] && [ -e "$1/$2-images/images.json" ]; then
    set -- "$1/$2-images/images.json"
  else
    set -- "$1"/*-images/images.json
  fi
  for j; do
    [ -e "$j" ] || continue
    say image-store "$j"
    cat -- "$j" 2>/dev/null || say failed podman "cannot read $j"
  done
}
storage() { # sets g to podman's graph root, d to its driver, c to the file that says so
  u=$(id -u); r=
  if [ "$u" = 0 ]; then
    g=/var/lib/containers/storage; c=/etc/containers/storage.conf
    [ -e "$c" ] || c=/usr/share/containers/storage.conf
  else
    g=${XDG_DATA_HOME:-$HOME/.local/share}/containers/storage; c=${XDG_CONFIG_HOME:-$HOME/.config}/containers/storage.conf
    for f in "$c" /etc/containers/storage.conf /usr/share/containers/storage.conf; do
      [ -e "$f" ] || continue
      r=$(conf rootless_storage_path "$f"); break
    done
  fi
  c=${CONTAINERS_STORAGE_CONF:-$c}
  f=$(conf graphroot "$c"); f=${f:-$r}
  case $f in *'$UID'*) f=${f%%'$UID'*}$u${f#*'$UID'} ;; esac
  case $f in *'$USER'*) f=${f%%'$USER'*}$(id -un)${f#*'$USER'} ;; esac
  case $f in '$HOME'*) f=$HOME${f#'$HOME'} ;; esac
  g=${f:-$g}; d=${STORAGE_DRIVER:-$(conf driver "$c")}
}
images() {
  command -v podman >/dev/null 2>&1 || { say missing podman; return 0; }
  storage
  shelf "$g" "$d"
  f=$(conf imagestore "$c"); [ -z "$f" ] || shelf "$f" "$d"
  [ -r "$c" ] && sed -n '/^[[:blank:]]*additionalimagestores/,/]/{s/#.*//;p;/]/q;}' "$c" | tr ',[]' '\n\n\n' |
    sed -n "s/.*[\"']\\(\\/[^\"']*\\)[\"'].*/\\1/p" | while IFS= read -r f; do shelf "$f" "$d"; done
  return 0
}
stored() { # volume|network name: by the files that podman keeps of them
  storage
  case $1 in
    volume) set -- "$@" "$g/volumes/$2" ;;
    # Both of podman's network stacks, netavark and CNI.
    *)
      if [ "$u" = 0 ]; then set -- "$@" "/etc/containers/networks/$2.json" "/etc/cni/net.d/$2.conflist"
      else set -- "$@" "$g/networks/$2.json" "${XDG_CONFIG_HOME:-$HOME/.config}/cni/net.d/$2.conflist"; fi ;;
  esac
  if [ -e "$3" ] || [ -e "${4:-$3}" ]; then say stored yes "$1 $2"; else say stored no "$1 $2"; fi
}
"#;

impl Store {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }
}

/// One entry of the `images.json` of containers/storage (`Image` in its `images.go`): the list that podman works with,
/// written anew as a whole at each change. `podman images` tells the same, and more than a reader may: it makes what is
/// not there yet (directories, a database, the state after a boot, without root a process that stays).
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StoredImage {
    id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    big_data_digests: Option<BTreeMap<String, String>>,
}

impl StoredImage {
    pub(super) fn state(self) -> ImageState {
        let Self { id, digest, names, big_data_digests } = self;
        // What is kept of an image under a name that starts like this is a manifest.
        let manifests = big_data_digests.into_iter().flatten().filter(|(name, _)| name.starts_with("manifest"));
        let mut digests: Vec<String> = manifests.map(|(_, digest)| digest).chain(digest).collect();
        digests.sort();
        digests.dedup();
        let mut names = names.unwrap_or_default();
        names.sort();
        ImageState { id, digests, names }
    }
}
