//! The functions under every shell, with a curl that says what it is told to say.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::knob::http::HTTP;
use crate::knob::{ABSENT, Knob};
use crate::ledger::Scope;
use crate::object::Object;
use crate::probe::Ask;
use crate::probe::runtime_tests::{ask, home};
use crate::request::{Delete, Effect, Expected, Query, Reply, Request};
use crate::secret::Text;
use crate::shell::trial::{shells, tool};
use crate::step::trial::{apply, done, revert, state, task};
use crate::step::{Data, Outcome, Step};

/// The first of the lines in `answers` goes and is the answer: `STATUS BODY`, or `! CODE WORDS` of a failure. What it is told
/// is added to `told` and, of its input, to `input`.
const CURL: &str = r#"
printf '%s\n' "$*" >>"$HOME/told"; cat >>"$HOME/input"
IFS= read -r answer <"$HOME/answers"; tail -n +2 "$HOME/answers" >"$HOME/rest"; mv "$HOME/rest" "$HOME/answers"
case $answer in
  '') echo 'curl: (2) nothing more to say' >&2; exit 2 ;;
  '! '*) answer=${answer#! }; echo "curl: (${answer%% *}) ${answer#* }" >&2; exit "${answer%% *}" ;;
  *) printf '%b\n%s' "${answer#* }" "${answer%% *}" ;;
esac
"#;

fn host(answers: &[&str]) -> tempfile::TempDir {
    let home = home();
    tool(&home.path().join("bin"), "curl", CURL);
    fs::write(home.path().join("answers"), answers.join("\n") + "\n").unwrap();
    home
}

fn request(method: &str) -> Request {
    Request {
        method: method.to_owned(),
        url: "https://a.example/$(id)".to_owned(),
        connect: None,
        authority: None,
        login: None,
        headers: Vec::new(),
        body: (method == "POST").then(|| Text::secret("it's \"hunter22\"\n%s")),
    }
}

fn effect() -> Effect {
    let expected = Expected { status: vec![200], contains: Some("admin".to_owned()) };
    Effect {
        unless: Query { request: request("GET"), expected, limit: Duration::from_secs(5) },
        request: request("POST"),
        status: vec![200, 201],
        done: vec![Expected { status: vec![400], contains: Some("has one".to_owned()) }],
        within: Duration::from_secs(30),
        every: Duration::from_secs(1),
        delete: None,
    }
}

fn knob() -> Knob {
    Knob::new(&HTTP, "test/http=x")
}

fn deletable() -> Effect {
    let request = Request { headers: vec![("X".to_owned(), Text::secret("a'b"))], ..request("DELETE") };
    Effect { delete: Some(Delete { knob: knob(), request, status: vec![204] }), ..effect() }
}

fn made(shell: &[&str], home: &Path, effect: Effect) -> Outcome {
    let mut outcomes = apply(shell, home, vec![task("x", vec![Step::Request(Box::new(effect))])]).outcomes;
    outcomes.remove(0)
}

fn got(shell: &[&str], home: &Path) -> String {
    let answers = ask(shell, home, &[Ask::Knob(knob())]);
    answers.knob(&knob()).unwrap().clone()
}

fn note(home: &Path) -> String {
    fs::read_to_string(state(home).join("made/http=x")).unwrap_or_default()
}

fn posts(home: &Path) -> usize {
    fs::read_to_string(home.join("input")).unwrap().matches("request = \"POST\"").count()
}

#[test]
fn a_request_is_made_when_its_guard_says_no_and_nothing_of_it_is_an_argument() {
    for shell in shells() {
        let host = host(&["404 none", "201 {\\n}\\n"]);
        assert_eq!(made(shell, host.path(), effect()), done("status 201"), "{shell:?}");
        let read = |name: &str| fs::read_to_string(host.path().join(name)).unwrap();
        assert_eq!(read("input"), [request("GET").config(), request("POST").config()].concat(), "{shell:?}");
        assert!(!read("told").contains("hunter22") && !read("told").contains("a.example"), "{shell:?}");
        for answer in ["200 the admin is there", "200 a\\nadmin"] {
            let host = self::host(&[answer]);
            assert_eq!(made(shell, host.path(), effect()), Outcome::NotNeeded, "{shell:?}");
        }
    }
}

#[test]
fn an_answer_that_says_that_it_had_been_done_is_told_from_what_is_wrong() {
    for shell in shells() {
        let host = host(&["200 nobody", "400 the database has one already"]);
        assert_eq!(made(shell, host.path(), deletable()), done("status 400: it had been done"), "{shell:?}");
        // What others have done, nobody takes back.
        assert_eq!(got(shell, host.path()), ABSENT);
        let host = self::host(&["404 ", "400 the password\\tis\\n too \\033[31mshort"]);
        let Outcome::Failed { output, .. } = made(shell, host.path(), deletable()) else { panic!("{shell:?}") };
        assert_eq!(output, "status 400 instead of 200 201: the password is too [31mshort", "{shell:?}");
        assert_eq!(got(shell, host.path()), ABSENT);
    }
}

#[test]
fn whoever_answers_is_waited_for_and_nothing_is_sent_twice_that_may_have_been_heard() {
    let refused = "! 7 Failed to connect";
    for shell in shells() {
        let host = host(&[refused, "404 ", "201 "]);
        assert_eq!(made(shell, host.path(), effect()), done("status 201"), "{shell:?}");
        let host = self::host(&["502 bad gateway", "404 ", "201 "]);
        assert_eq!(made(shell, host.path(), effect()), done("status 201"), "{shell:?}");
        let host = self::host(&["404 ", refused, "201 "]);
        assert_eq!(made(shell, host.path(), effect()), done("status 201"), "{shell:?}");
        assert_eq!(posts(host.path()), 2);
        let host = self::host(&["404 ", "! 28 Operation timed out", "201 "]);
        let Outcome::Failed { output, .. } = made(shell, host.path(), deletable()) else { panic!("{shell:?}") };
        assert_eq!(output, "(28) Operation timed out; whether it was done all the same is not known", "{shell:?}");
        assert_eq!(posts(host.path()), 1);
        assert_eq!(got(shell, host.path()), "DELETE https://a.example/$(id)", "{shell:?}");
        let host = self::host(&[refused; 9]);
        let impatient = Effect { within: Duration::from_secs(2), ..effect() };
        let Outcome::Failed { output, .. } = made(shell, host.path(), impatient) else { panic!("{shell:?}") };
        assert_eq!(output, "gave up after 2s, the guard gets no answer: (7) Failed to connect", "{shell:?}");
    }
}

#[test]
fn what_takes_it_back_is_kept_in_private_and_used_once() {
    for shell in shells() {
        for (answer, data, expected, stays) in [
            ("204 ", Data::Keep, Ok(""), false),
            ("404 gone", Data::Keep, Ok(""), false),
            (
                "401 not you",
                Data::Keep,
                Err("DELETE https://a.example/$(id): status 401 instead of 204: not you"),
                true,
            ),
            (
                "! 7 refused",
                Data::Keep,
                Err(
                    "nobody answers DELETE https://a.example/$(id) ((7) refused): start what does, or let data be deleted, which takes it for gone",
                ),
                true,
            ),
            (
                "! 7 refused",
                Data::Delete,
                Ok("nobody answers DELETE https://a.example/$(id) ((7) refused): taken for gone"),
                false,
            ),
        ] {
            let host = host(&["404 ", "201 ", answer]);
            assert_eq!(made(shell, host.path(), deletable()), done("status 201"), "{shell:?}");
            let delete = deletable().delete.unwrap().request;
            let kept = format!("DELETE https://a.example/$(id)\n204\n{}", delete.config());
            assert_eq!(note(host.path()), kept, "{shell:?}");
            let path = state(host.path()).join("made/http=x");
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
            fs::remove_file(host.path().join("input")).unwrap();
            let back = vec![task("x", vec![revert(&Object::Knob(knob()), Scope::Origin, data)])];
            let outcome = apply(shell, host.path(), back).outcomes.remove(0);
            match (outcome, expected) {
                (Outcome::Done { output }, Ok(expected)) | (Outcome::Failed { output, .. }, Err(expected)) => {
                    assert_eq!(output, expected, "{shell:?}");
                }
                (outcome, _) => panic!("{outcome:?} {shell:?}"),
            }
            assert_eq!(fs::read_to_string(host.path().join("input")).unwrap(), delete.config(), "{shell:?}");
            assert_eq!(got(shell, host.path()) != ABSENT, stays, "{answer} {shell:?}");
        }
    }
}

#[test]
fn a_question_is_answered_by_status_and_text_or_with_why_not() {
    let query = effect().unless;
    for shell in shells() {
        for (answer, expected) in [
            ("200 an admin", Reply::Expected),
            ("200 nobody", Reply::Other(200)),
            ("404 admin", Reply::Other(404)),
            ("! 60 SSL: no trust", Reply::NoAnswer("(60) SSL: no trust".to_owned())),
        ] {
            let host = host(&[answer]);
            let answers = ask(shell, host.path(), &[Ask::Query(query.clone())]);
            assert_eq!(answers.query(&query), Ok(&expected), "{shell:?}");
        }
    }
}
