//! podman's secrets, podman-secret(1), read from the files in which it keeps them: asking podman itself writes.

use super::{ABSENT, KnobSort};

#[cfg(test)]
mod tests;

/// A secret by name, with whose it is: `password`, `core/password`. Its text is `driver file`, a line `label KEY=VALUE` for
/// each label in the order of the keys, and `sha256 HEX` of the value: `sha256 lost` where podman has lost it, no such
/// line with another driver, whose values only podman gets at.
///
/// The text has no value. The value comes with the step; and where a record says what was there, it is kept beside that
/// in `KEY.value.was`, in the letters in which podman keeps it (base64) and as private.
pub static SECRET: KnobSort = KnobSort {
    word: WORD,
    noun: "podman's secret",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

/// The word of the sort.
pub(crate) const WORD: &str = "secret";

/// The driver that podman has without another: a file that only whose it is may read.
pub(crate) const DRIVER: &str = "file";

/// A secret as its text has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SecretState {
    pub(crate) driver: String,
    /// Each as `KEY=VALUE`, in the order of the keys.
    pub(crate) labels: Vec<String>,
    /// SHA-256 of the value. It must be seen by nobody: who can guess the value could try.
    pub(crate) sha256: Option<String>,
}

impl SecretState {
    /// Reads a text; none of a secret that is not there.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text == ABSENT {
            return None;
        }
        let mut state = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("driver", driver)) => driver.clone_into(&mut state.driver),
                Some(("label", label)) => state.labels.push(label.to_owned()),
                Some(("sha256", sha256)) => state.sha256 = Some(sha256.to_owned()),
                _ => {}
            }
        }
        Some(state)
    }

    /// Whether podman has the name and no value.
    pub(crate) fn is_lost(&self) -> bool {
        self.sha256.as_deref() == Some("lost")
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let Self { driver, labels, sha256 } = self;
        let mut text = format!("driver {driver}");
        labels.iter().for_each(|label| text.push_str(&format!("\nlabel {label}")));
        sha256.iter().for_each(|sha256| text.push_str(&format!("\nsha256 {sha256}")));
        text
    }

    /// Everything but what tells of the value.
    pub(crate) fn open(text: &str) -> String {
        Self::read(text).map_or_else(|| ABSENT.to_owned(), |state| Self { sha256: None, ..state }.text())
    }
}

// `secrets.json` and `filedriver/secretsdata.json` of containers/common (`secretsdb.go`, `filedriver.go`) are indented JSON
// with one key a line, which is what makes them readable here; names and IDs have no letter that JSON escapes.
const FUNCTIONS: &str = r#"
prepare_secret() { :; }
secret_odd() { got="podman's list of secrets ($secret_file) has $x in a form that provision does not read: $1"; return 1; }
secret_found() { # name: sets secret_id (empty: there is none), secret_driver, secret_labels and secret_path; 1 with got
  managed "$1"; secret_id=; secret_driver=; secret_labels=; secret_path=; secret_value=; secret_sum=; secret_at=
  storage "$m" || { [ $? = 2 ] || { got=$why; return 1; }; return 0; }
  secret_file=$g/secrets/secrets.json
  if [ ! -e "$secret_file" ]; then return 0; fi
  if [ ! -f "$secret_file" ] || [ ! -r "$secret_file" ]; then got="$secret_file cannot be read"; return 1; fi
  secret_path=$g/secrets/filedriver
  while IFS= read -r secret_line || [ -n "$secret_line" ]; do
    case $secret_at:$secret_line in
      :'  "nameToID": {'*) secret_at=names ;;
      names:'    "'"$x"'": "'*) secret_id=${secret_line#*'": "'}; secret_id=${secret_id%%'"'*}; break ;;
      names:'  }'*) break ;;
    esac
  done <"$secret_file"
  if [ -z "$secret_at" ]; then got="podman's list of secrets ($secret_file) is in a form that provision does not read"; return 1; fi
  if [ -z "$secret_id" ]; then return 0; fi
  case $secret_id in *[!0-9a-zA-Z]*) secret_odd 'its ID'; return ;; esac
  secret_at=
  while IFS= read -r secret_line || [ -n "$secret_line" ]; do
    case $secret_at:$secret_line in
      :'    "'"$secret_id"'": {') secret_at=one ;;
      one:'      "labels": {') secret_at=labels ;;
      one:'      "driverOptions": {') secret_at=options ;;
      one:'      "driver": "'*) secret_driver=${secret_line#*'": "'}; secret_driver=${secret_driver%%'"'*} ;;
      one:'    }'*) secret_at=end; break ;;
      labels:'      }'*|options:'      }'*) secret_at=one ;;
      labels:*\\*) secret_odd 'a label with a letter that is escaped'; return ;;
      labels:*)
        secret_line=${secret_line%,}; secret_line=${secret_line#*'"'}; secret_line=${secret_line%'"'}
        secret_labels="$secret_labels
label ${secret_line%%'": "'*}=${secret_line#*'": "'}" ;;
      options:'        "path": "'*)
        case $secret_line in *\\*) secret_odd 'a path with a letter that is escaped'; return ;; esac
        secret_path=${secret_line#*'": "'}; secret_path=${secret_path%%'"'*} ;;
    esac
  done <"$secret_file"
  [ $secret_at = end ] || secret_odd 'it has no end'
}
secret_read() { # sets secret_value, in base64, and secret_sum
  secret_file=$secret_path/secretsdata.json; secret_sum=lost
  if [ ! -e "$secret_file" ]; then return 0; fi
  if [ ! -f "$secret_file" ] || [ ! -r "$secret_file" ]; then got="$secret_file cannot be read"; return 1; fi
  command -v base64 >/dev/null 2>&1 || { got='base64 is not installed on the host, without which secrets are not compared'; return 1; }
  secret_value=$(sed -n "s/^  \"$secret_id\": \"\\([^\"]*\\)\".*/\\1/p" "$secret_file")
  if [ -z "$secret_value" ]; then return 0; fi
  secret_sum=$(printf '%s\n' "$secret_value" | base64 -d 2>/dev/null | sha256sum); secret_sum=${secret_sum%% *}
}
get_secret() { # name
  got=absent; secret_found "$1" || return
  if [ -z "$secret_id" ]; then return 0; fi
  got="driver $secret_driver$secret_labels"
  if [ "$secret_driver" != file ]; then return 0; fi
  secret_got=$got; secret_read || return
  got="$secret_got
sha256 $secret_sum"
}
keep_secret() { # file: the value that get_secret has just read
  case $secret_driver:$secret_sum in
    file:lost) return 0 ;;
    file:*) printf '%s\n' "$secret_value" >"$1" ;;
    *) echo "its value is kept by podman's driver $secret_driver, and only with the driver file it could be put back"; return 1 ;;
  esac
}
set_secret() { # name state limit policy length
  managed "$1"; keeping "$m" || return
  command -v podman >/dev/null 2>&1 || { echo 'podman is not installed on the host'; return 127; }
  secret_name=$1; secret_limit=$3
  get_secret "$1" || { printf '%s\n' "$got"; return 1; }
  secret_before=$got; secret_old=$secret_value
  if [ "$2" = absent ]; then
    [ "$got" = absent ] || secret_gone; return
  fi
  secret_wanted=${2##*'sha256 '}
  if [ -n "$5" ]; then left=${left#* }; secret_value=$(receive "$5" | base64)
  # Only its labels change, or what it was comes back.
  elif [ "$secret_sum" != "$secret_wanted" ]; then
    case $2 in
      *'
sha256 lost') echo "podman had lost the value of $x before, so that there is none to put back"; return 1 ;;
    esac
    secret_value=
    [ ! -s "${record-}.value.was" ] || secret_value=$(cat -- "$record.value.was") || return
  fi
  secret_sum=$(printf '%s\n' "$secret_value" | base64 -d 2>/dev/null | sha256sum)
  if [ "${secret_sum%% *}" != "$secret_wanted" ]; then echo "the value for the secret $x did not arrive, or is not kept any more"; return 1; fi
  secret_e=$(secret_put "$2" "$secret_value" 2>&1) && return
  secret_c=$?; printf '%s\n' "$secret_e"
  # Nothing may be there now, or a name without a value: what was comes back.
  got=; get_secret "$secret_name" && [ "$got" = "$secret_before" ] && return "$secret_c"
  case $secret_before in
    absent) [ "$got" = absent ] || secret_gone ;;
    *) secret_put "$secret_before" "$secret_old" || echo "$x could not be put back as it was" ;;
  esac
  return "$secret_c"
}
secret_gone() {
  as "$secret_limit" podman secret rm -- "$x" </dev/null >/dev/null
}
secret_put() { # state value: makes it so, whatever there is
  secret_new=$2; secret_state=$1
  got=absent; secret_found "$secret_name" || { printf '%s\n' "$got"; return 1; }
  set --; secret_ifs=$IFS; IFS='
'; set -f
  for secret_line in $secret_state; do
    case $secret_line in 'label '*) set -- "$@" --label "${secret_line#label }" ;; esac
  done
  set +f; IFS=$secret_ifs
  if [ -n "$secret_id" ]; then
    case $(as - podman secret create --help </dev/null 2>/dev/null) in
      *--replace*) set -- "$@" --replace ;;
      # Before podman 4.7.
      *) secret_gone || return ;;
    esac
  fi
  printf '%s\n' "$secret_new" | base64 -d | as "$secret_limit" podman secret create --driver file "$@" -- "$x" - >/dev/null
}
"#;
