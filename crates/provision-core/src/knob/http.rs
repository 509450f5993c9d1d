//! What requests have made, as far as another request takes it back.

use super::{ABSENT, KnobSort};

/// What one resource's request made, by the plan and the resource: `registry/http=admin`. Its text is what takes it back,
/// `DELETE https://name/path`; that stands, with the rest of it and as private, in the plan's state from when the first
/// request was made.
pub static HTTP: KnobSort = KnobSort {
    word: WORD,
    noun: "what was requested for",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

/// The word of the sort.
pub(crate) const WORD: &str = "http";

// The file has what takes it back in its first line, statuses of success in its second, then curl's options.
const FUNCTIONS: &str = r#"
prepare_http() { :; }
http_place() { # name: sets http_file
  case ${state-} in
    */"${1%%/*}") http_file=$state/made/${1#*/} ;;
    *) http_file=$(state "${1%%/*}"; printf '%s' "$state/made/${1#*/}") ;;
  esac
}
get_http() { # name
  got=absent; http_place "$1"
  if [ ! -e "$http_file" ]; then return 0; fi
  { IFS= read -r got <"$http_file"; } 2>/dev/null || { got="$http_file cannot be read"; return 1; }
}
note_http() { # name title 'statuses' options: from now on it can be taken back
  http_place "$1"
  mkdir -p -m 0700 -- "${http_file%/*}" && fresh "$http_file.new" && printf '%s\n%s\n%s' "$2" "$3" "$4" >"$http_file.new" &&
    mv -f -- "$http_file.new" "$http_file" && settle
}
set_http() { # name state limit policy
  # What a request took away, only an apply makes again.
  if [ "$2" != absent ]; then return 0; fi
  http_place "$1"
  if [ ! -e "$http_file" ]; then return 0; fi
  { IFS= read -r http_title && IFS= read -r http_wanted && http_options=$(cat; echo .); } <"$http_file" || return
  http_options=${http_options%.}
  if requested "$3" "$http_options"; then
    # Whoever has gone already need not go.
    case " $http_wanted 404 410 " in *" $http_status "*) rm -f -- "$http_file"; return ;; esac
    http_told; echo "$http_title: status $http_status instead of $http_wanted: $http_body"; return 1
  fi
  case $4:$http_code in
    delete:*) echo "nobody answers $http_title ($http_why): taken for gone"; rm -f -- "$http_file" ;;
    keep:6|keep:7) echo "nobody answers $http_title ($http_why): start what does, or let data be deleted, which takes it for gone"; return 1 ;;
    *) echo "$http_title: $http_why"; return 1 ;;
  esac
}
"#;
