//! Secrets that were made up once and are kept in a file of their own.

use super::{ABSENT, KnobSort};

/// A secret by the path of its file. Its text is the file's mode, such as `0600`: what is in it is nobody's business, and is
/// never replaced.
pub static RANDOM: KnobSort = KnobSort {
    word: "random",
    noun: "the secret in",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: ABSENT,
};

const FUNCTIONS: &str = r#"
prepare_random() { :; }
get_random() { # path
  got=absent
  if [ -L "$1" ]; then got="$1 is a link, and is left alone"; return 1; fi
  if [ ! -e "$1" ]; then return 0; fi
  if [ ! -f "$1" ]; then got="$1 is not a file"; return 1; fi
  got=$(stat -c %a -- "$1" 2>&1) || return 1
  while [ ${#got} -lt 4 ]; do got=0$got; done
}
set_random() { # path state limit policy length
  if [ "$2" = absent ]; then
    if [ "$4" = keep ] && [ -e "$1" ]; then kept='it is a secret, which data may need'; return 0; fi
    rm -f -- "$1"; return
  fi
  if [ -z "$5" ]; then
    if [ -L "$1" ] || [ ! -f "$1" ]; then echo "$1 is not there as a file any more"; return 1; fi
    chmod -- "$2" "$1"; return
  fi
  left=${left#* }
  t=$1.provision-new
  r_mask=$(umask); umask 077
  rm -f -- "$t"; { receive "$5" >"$t"; } 2>/dev/null; c=$?
  umask "$r_mask"
  if [ $c != 0 ]; then rm -f -- "$t"; echo "$t cannot be written"; return 1; fi
  flushed "$t"
  # What has come meanwhile is somebody's secret.
  if e=$(ln -- "$t" "$1" 2>&1); then rm -f -- "$t"; return; fi
  rm -f -- "$t"; printf '%s\n' "$e"; return 1
}
"#;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::blob::Blob;
    use crate::knob::Knob;
    use crate::ledger::Scope;
    use crate::object::Object;
    use crate::probe::Ask;
    use crate::probe::runtime_tests::{ask, home};
    use crate::shell::trial::shells;
    use crate::step::trial::{apply, done, revert, task};
    use crate::step::{Data, Step};

    const SECRET: &[u8] = b"one $(two) 'x'";

    #[test]
    fn it_is_written_once_and_stays_unless_data_goes() {
        for shell in shells() {
            let home = home();
            let path = home.path().join("a b");
            let knob = Knob::new(&RANDOM, path.to_str().unwrap());
            let is = || ask(shell, home.path(), &[Ask::Knob(knob.clone())]).knob(&knob).cloned();
            assert_eq!(is().as_deref(), Ok(ABSENT), "{shell:?}");
            let turn = |input: Option<&[u8]>| Step::Turn {
                knob: knob.clone(),
                state: "0600".to_owned(),
                input: input.map(|bytes| Blob::from_bytes(bytes.to_vec())),
            };
            let turned = |input: Option<&[u8]>| apply(shell, home.path(), vec![task("f", vec![turn(input)])]).outcomes;
            let content = || fs::read(&path).unwrap();
            assert_eq!(turned(Some(SECRET)), [done("")], "{shell:?}");
            assert_eq!(content(), SECRET, "{shell:?}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600, "{shell:?}");
            assert_eq!(is().as_deref(), Ok("0600"), "{shell:?}");

            // Another one does not take its place.
            assert_ne!(turned(Some(b"other")), [done("")], "{shell:?}");
            assert_eq!(content(), SECRET, "{shell:?}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(turned(None), [done("")], "{shell:?}");
            assert_eq!(is().as_deref(), Ok("0600"), "{shell:?}");
            let names = fs::read_dir(home.path()).unwrap().map(|name| name.unwrap().file_name());
            assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("provision-new")), "{shell:?}");

            let back = |data| {
                let back = revert(&Object::Knob(knob.clone()), Scope::Origin, data);
                apply(shell, home.path(), vec![task("f", vec![back])])
            };
            back(Data::Keep);
            assert_eq!(content(), SECRET, "{shell:?}");
            back(Data::Delete);
            assert_eq!(is().as_deref(), Ok(ABSENT), "{shell:?}");
        }
    }
}
