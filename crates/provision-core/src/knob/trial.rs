//! A sort of knob for tests: a text in a file, whose path is the knob's name. It tells how the rest treats any sort.

use super::KnobSort;

pub static TRIAL: KnobSort = KnobSort {
    word: "trial",
    noun: "the trial",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: true,
    may_cut_off: false,
    stays: None,
    unset: super::ABSENT,
};

const FUNCTIONS: &str = r#"
prepare_trial() { prepared=" $* "; }
get_trial() { # path
  case $prepared in *" $1 "*) ;; *) got="$1 was not prepared"; return 1 ;; esac
  got=absent
  if [ -d "$1" ]; then got="$1 is a directory"; return 1; fi
  if [ -e "$1" ]; then got=$(cat -- "$1" && echo .); got=${got%.}; fi
}
set_trial() { # path state limit policy length
  [ -n "$3" ] || { echo 'no limit'; return 1; }
  if [ "$2" = absent ]; then
    if [ "$4" = keep ] && [ "${1%-data}" != "$1" ]; then kept='it is data'; return 0; fi
    rm -f -- "$1"; return
  fi
  if [ -n "$5" ]; then left=${left#* }; receive "$5" >"$1.input" || return; fi
  if [ "$2" = refused ]; then echo 'this is refused'; return 1; fi
  printf '%s' "$2" >"$1"
}
"#;

mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::blob::Blob;
    use crate::knob::Knob;
    use crate::ledger::{Ended, Scope};
    use crate::object::{Object, Was};
    use crate::probe::Ask;
    use crate::probe::runtime_tests::{ask, home};
    use crate::shell::trial::shells;
    use crate::step::trial::{apply, attempt, batch, begin, done, revert, rollback, stamp, task, was};
    use crate::step::{Data, Outcome, Step};

    const STATE: &str = " a 'b' \"c\" $(touch x) \\n\nline two: % \u{fc} ";

    fn knob(path: &Path) -> Knob {
        Knob::new(&TRIAL, path.to_str().unwrap())
    }

    fn turn(path: &Path, state: &str, input: Option<&[u8]>) -> Step {
        let input = input.map(|bytes| Blob::from_bytes(bytes.to_vec()));
        Step::Turn { knob: knob(path), state: state.to_owned(), input }
    }

    #[test]
    fn a_state_is_read_as_it_is_and_what_cannot_be_found_out_is_said() {
        for shell in shells() {
            let home = home();
            let [there, gone, odd] = ["there", "gone", "bin"].map(|name| home.path().join(name));
            fs::write(&there, STATE).unwrap();
            let asks: Vec<Ask> = [&there, &gone, &odd].iter().map(|path| Ask::Knob(knob(path))).collect();
            let answers = ask(shell, home.path(), &asks);
            assert_eq!(answers.knob(&knob(&there)).map(String::as_str), Ok(STATE), "{shell:?}");
            assert_eq!(answers.knob(&knob(&gone)).map(String::as_str), Ok("absent"), "{shell:?}");
            let reason = answers.knob(&knob(&odd)).unwrap_err().message;
            let odd = odd.to_str().unwrap();
            assert_eq!(reason, format!("cannot find out how the trial {odd} is: {odd} is a directory"), "{shell:?}");
        }
    }

    #[test]
    fn what_it_was_is_noted_and_put_back() {
        for shell in shells() {
            let home = home();
            let [old, new] = ["old", "new"].map(|name| home.path().join(name));
            fs::write(&old, STATE).unwrap();
            let [was_old, was_new] = [&old, &new].map(|path| Object::Knob(knob(path)));
            let steps = vec![turn(&old, "1", None), turn(&new, "2", Some(b"bytes\0\n"))];
            assert_eq!(apply(shell, home.path(), vec![task("a", steps)]).outcomes, [done("")], "{shell:?}");
            assert_eq!(fs::read_to_string(&new).unwrap(), "2");
            assert_eq!(fs::read(home.path().join("new.input")).unwrap(), b"bytes\0\n");
            // A second apply changes what it wants, and not what was there at first.
            apply(shell, home.path(), vec![task("a", vec![turn(&old, "3", None)])]);
            assert_eq!(was(home.path(), Scope::Origin, &was_old), Some(Was::Knob));
            assert_eq!(was(home.path(), Scope::Origin, &was_new), Some(Was::Absent));
            let back = |object| revert(object, Scope::Origin, Data::Keep);
            let reply = apply(shell, home.path(), vec![task("a", vec![back(&was_new), back(&was_old)])]);
            assert_eq!(reply.outcomes, [done("")], "{shell:?}");
            assert_eq!(fs::read_to_string(&old).unwrap(), STATE, "{shell:?}");
            assert!(!new.exists());
            assert_eq!(was(home.path(), Scope::Origin, &was_old), None);
        }
    }

    #[test]
    fn an_apply_of_it_is_rolled_back() {
        for shell in shells() {
            let home = home();
            let path = home.path().join("k");
            fs::write(&path, "1").unwrap();
            apply(shell, home.path(), vec![task("a", vec![turn(&path, "2", None)])]);
            let step = revert(&Object::Knob(knob(&path)), Scope::Apply(1), Data::Keep);
            let reply = attempt(shell, home.path(), &batch(rollback(home.path(), 1), vec![task("a", vec![step])]));
            assert_eq!(reply.outcomes, [done("")], "{shell:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "1");
            assert!(stamp(home.path()).ends_with(Ended::RolledBack.word()));
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_not_touched_and_what_refuses_is_quoted() {
        for shell in shells() {
            let home = home();
            let [odd, plain] = ["bin", "plain"].map(|name| home.path().join(name));
            let tasks = vec![
                task("a", vec![turn(&odd, "1", None)]),
                task("b", vec![turn(&plain, "refused", Some(b"taken all the same"))]),
                task("c", vec![turn(&plain, "1", Some(b"its own"))]),
            ];
            let reply = attempt(shell, home.path(), &batch(begin("0"), tasks));
            let Some(Outcome::Failed { output, .. }) = reply.outcomes.first() else { panic!("{reply:?}") };
            assert!(output.starts_with("cannot note down how the trial"), "{output} {shell:?}");
            let refused = Outcome::Failed { step: 0, status: 1, output: "this is refused".to_owned() };
            assert_eq!(reply.outcomes[1], refused, "{shell:?}");
            assert_eq!(reply.outcomes[2], done(""), "{shell:?}");
            assert_eq!(fs::read(home.path().join("plain.input")).unwrap(), b"its own");
        }
    }

    #[test]
    fn data_stays_unless_it_is_to_go() {
        for shell in shells() {
            let home = home();
            let path = home.path().join("k-data");
            let object = Object::Knob(knob(&path));
            apply(shell, home.path(), vec![task("a", vec![turn(&path, "1", None)])]);
            let kept = apply(shell, home.path(), vec![task("a", vec![revert(&object, Scope::Origin, Data::Keep)])]);
            assert_eq!(kept.outcomes, [done(&format!("kept {object}: it is data"))], "{shell:?}");
            assert_eq!(was(home.path(), Scope::Origin, &object), Some(Was::Absent));
            apply(shell, home.path(), vec![task("a", vec![revert(&object, Scope::Origin, Data::Delete)])]);
            assert!(!path.exists());
            assert_eq!(was(home.path(), Scope::Origin, &object), None);
        }
    }
}
