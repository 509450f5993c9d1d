//! podman's images, volumes and networks, read from the files in which it keeps them: asking podman itself writes.

use std::collections::{BTreeMap, BTreeSet};

use super::{ImageState, Store};
use crate::image_archive::Layers;

/// Where somebody keeps what podman stores.
pub(crate) const STORAGE: &str = r#"
conf() { # key file: a path or word that storage.conf sets
  [ -r "$2" ] && sed -n "/^[[:blank:]]*$1[[:blank:]]*=/{s/^[^=]*=[[:blank:]]*[\"']\\([^\"']*\\)[\"'].*/\\1/p;q;}" "$2"
}
storage() { # manager: sets g to podman's graph root, d to its driver, c to the file that says so; 2 when there is no such user
  r=
  if [ "$1" = - ]; then
    u=$(id -u); whom=; h=$HOME; a=${XDG_DATA_HOME:-$h/.local/share}; b=${XDG_CONFIG_HOME:-$h/.config}
  else
    whose "$1" || return
    # The manager knows nothing of what a login of the user sets.
    u=$uid; whom=$who; h=$home; a=$h/.local/share; b=$h/.config
  fi
  if [ "$u" = 0 ]; then
    g=/var/lib/containers/storage; c=/etc/containers/storage.conf
    [ -e "$c" ] || c=/usr/share/containers/storage.conf
  else
    g=$a/containers/storage; c=$b/containers/storage.conf
    for f in "$c" /etc/containers/storage.conf /usr/share/containers/storage.conf; do
      [ -e "$f" ] || continue
      r=$(conf rootless_storage_path "$f"); break
    done
  fi
  [ -n "$whom" ] || c=${CONTAINERS_STORAGE_CONF:-$c}
  f=$(conf graphroot "$c"); f=${f:-$r}
  case $f in *'$UID'*) f=${f%%'$UID'*}$u${f#*'$UID'} ;; esac
  case $f in *'$USER'*) f=${f%%'$USER'*}${whom:-$(id -un)}${f#*'$USER'} ;; esac
  case $f in '$HOME'*) f=$h${f#'$HOME'} ;; esac
  g=${f:-$g}; d=$(conf driver "$c"); [ -n "$whom" ] || d=${STORAGE_DRIVER:-$d}
}
"#;

pub(super) const STORE: &str = r#"
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
images() { # manager
  say images "$1"
  command -v podman >/dev/null 2>&1 || { say missing podman; return 0; }
  storage "$1" || {
    # A user that is not there has none.
    [ $? = 2 ] || say failed podman "$why"; return 0
  }
  shelf "$g" "$d"
  f=$(conf imagestore "$c"); [ -z "$f" ] || shelf "$f" "$d"
  [ -r "$c" ] && sed -n '/^[[:blank:]]*additionalimagestores/,/]/{s/#.*//;p;/]/q;}' "$c" | tr ',[]' '\n\n\n' |
    sed -n "s/.*[\"']\\(\\/[^\"']*\\)[\"'].*/\\1/p" | while IFS= read -r f; do shelf "$f" "$d"; done
  return 0
}
layers() { # number manager digest*: which of these layers a store has, as podman itself keeps the list of them
  say layers "$1"
  command -v podman >/dev/null 2>&1 && storage "$2" || return 0
  shift 2
  for k do
    shift; set -- "$@" -e "\"diff-digest\":\"$k\"" -e "\"compressed-diff-digest\":\"$k\""
  done
  [ $# != 0 ] || return 0
  if [ -z "$d" ] || [ ! -e "$g/$d-layers/layers.json" ]; then d='*'; fi
  for k in "$g"/$d-layers/layers.json; do
    # Its length follows what a layer is unpacked.
    if [ -r "$k" ]; then tr ',{}' '\n\n\n' <"$k" | grep -F -A1 "$@"; fi
  done
  return 0
}
stored() { # volume|network manager name: by the files that podman keeps of them
  storage "$2" || {
    if [ $? = 2 ]; then say stored no "$*"; else say stored-failed "$* $why"; fi; return 0
  }
  case $1 in
    volume) set -- "$@" "$g/volumes/$3" ;;
    # Both of podman's network stacks, netavark and CNI.
    *)
      if [ "$u" = 0 ]; then set -- "$@" "/etc/containers/networks/$3.json" "/etc/cni/net.d/$3.conflist"
      else set -- "$@" "$g/networks/$3.json" "$b/cni/net.d/$3.conflist"; fi ;;
  esac
  if [ -e "$4" ] || [ -e "${5:-$4}" ]; then say stored yes "$1 $2 $3"; else say stored no "$1 $2 $3"; fi
}
"#;

/// What was found of some layers: lines of one field each.
pub(super) fn layers(body: &[u8], asked: &BTreeSet<String>) -> Layers {
    let mut layers = Layers::default();
    let text = String::from_utf8_lossy(body);
    let field = |line: &str, name: &str| {
        let value = line.strip_prefix(&format!("\"{name}\":"))?;
        Some(value.trim_matches('"').to_owned()).filter(|value| asked.contains(value) || name.ends_with("size"))
    };
    let mut unpacked = None;
    for line in text.lines() {
        if let Some(digest) = field(line, "diff-digest") {
            unpacked = Some(digest);
        } else if let Some(length) = field(line, "diff-size") {
            if let (Some(digest), Ok(length)) = (unpacked.take(), length.parse()) {
                layers.unpacked.insert(digest, length);
            }
        } else if let Some(digest) = field(line, "compressed-diff-digest") {
            layers.packed.insert(digest);
        }
    }
    layers
}

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
