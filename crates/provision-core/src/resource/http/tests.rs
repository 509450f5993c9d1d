use super::*;
use crate::testing::{Case, case};

const ADMIN: &str = "url = 'http://127.0.0.1:8081/users'\njson = { name = 'admin', password = '{{ input.password }}' }\n\
    unless = { url = 'http://127.0.0.1:8081/users/admin', user = 'admin', password = '{{ input.password }}' }";
const DELETE: &str = "\ndelete = { url = 'http://127.0.0.1:8081/users/admin' }";
const ASKED: &str = "http://127.0.0.1:8081/users/admin";

fn admin(more: &str) -> Case {
    case("http", &format!("{ADMIN}{more}")).secret_input("password", "hunter22")
}

fn answered(case: Case, reply: Reply) -> Case {
    case.given(|host| _ = host.replies.insert(ASKED.to_owned(), reply))
}

fn nobody() -> Reply {
    Reply::NoAnswer("(7) Failed to connect".to_owned())
}

fn effect(case: &Case) -> Effect {
    let steps = case.host().with(|host| host.steps.clone());
    match steps.into_iter().find_map(|(_, step)| if let Step::Request(effect) = step { Some(effect) } else { None }) {
        Some(effect) => *effect,
        None => panic!("no request was made"),
    }
}

#[test]
fn it_is_made_once_unless_the_guard_says_that_it_has_been_done() {
    admin("")
        .expects(Action::Run, "")
        .because("GET http://127.0.0.1:8081/users/admin answers 404")
        .steps("POST http://127.0.0.1:8081/users")
        .in_sync();
    answered(admin(""), Reply::Expected).in_sync();
    admin("").holds("");
    admin(DELETE).holds("knob http case/http=x");
}

#[test]
fn what_is_sent_is_as_it_is_written_and_seen_by_nobody() {
    let made = admin("\nheaders = { X-Token = '{{ input.password }}' }").applied();
    let Effect { unless, request, .. } = effect(&made);
    let config = request.config();
    assert!(config.contains(r#"data-raw = "{\"name\":\"admin\",\"password\":\"hunter22\"}""#), "{config}");
    assert!(
        config.contains("header = \"X-Token: hunter22\"\nheader = \"Content-Type: application/json\"\n"),
        "{config}"
    );
    assert!(unless.request.config().contains("user = \"admin:hunter22\""));
    assert!(!format!("{request:?} {unless:?}").contains("hunter22"));
    let changes = admin("").changes();
    assert!(!format!("{changes:?}").contains("hunter22"), "{changes:?}");
}

#[test]
fn while_nobody_answers_it_is_shown_where_something_comes_that_may() {
    answered(admin(""), nobody())
        .undecided("GET http://127.0.0.1:8081/users/admin gets no answer: (7) Failed to connect");
    answered(admin(""), Reply::Other(503))
        .undecided("GET http://127.0.0.1:8081/users/admin gets no answer: status 503");
    let served =
        "[container.c]\nimage = 'quay.io/a/b:1'\npublish = ['127.0.0.1:8081:80']\n[service.c]\nunit = 'c.service'\n";
    let case = answered(admin("").plan(served), nobody())
        .because(
            "GET http://127.0.0.1:8081/users/admin gets no answer: (7) Failed to connect, and is asked again once what comes \
             before has changed",
        )
        .expects(Action::Run, "");
    let case = answered(case, Reply::Expected).because(
        "GET http://127.0.0.1:8081/users/admin answers 200 as things are, and is asked again once what answers has started \
         anew",
    );
    let order: Vec<String> = case.changes().graph().resources().map(|(address, _)| address.to_string()).collect();
    assert_eq!(order, ["container.c", "service.c", "http.x"]);
}

#[test]
fn a_yes_is_in_doubt_only_where_what_the_request_uses_changes() {
    let file = "[file.f]\npath = '/srv/f'\ncontent = 'new'\n";
    answered(admin("\nheaders = { X-File = '{{ file.f.path }}' }").plan(file), Reply::Expected)
        .because(
            "GET http://127.0.0.1:8081/users/admin answers 200 as things are, and is asked again once what it uses has changed",
        )
        .mended();
    answered(admin("\nafter = ['file.f']").plan(file), Reply::Expected).in_sync();
    answered(admin("").plan(""), Reply::Other(200)).because("GET http://127.0.0.1:8081/users/admin answers 200");
    let text = ADMIN.replace("unless = {", "unless = { contains = 'yes',");
    let texted = case("http", &text).secret_input("password", "hunter22");
    answered(texted, Reply::Other(200))
        .because("GET http://127.0.0.1:8081/users/admin answers 200 without \"yes\"")
        .mended();
}

#[test]
fn an_authority_must_be_there_or_come() {
    let tls = "url = 'https://[::1]:8443/a'\nauthority = '/etc/ca.crt'\nunless.url = 'https://[::1]:8443/b'";
    case("http", tls).undecided(
        "the authority's certificate /etc/ca.crt is not on the host, and nothing changes that could make it",
    );
    let made = case("http", tls).given_file("/etc/ca.crt", "x", "0644").mended();
    assert!(effect(&made).request.config().contains("cacert = \"/etc/ca.crt\"\n"));
    assert_eq!(effect(&made).request.url, "https://[::1]:8443/a");
}

#[test]
fn what_makes_no_sense_is_refused() {
    case("http", "url = 'tcp://a.example:1'\nmethod = 'post'").refused(
        "2:7: http.x would make its request at every apply \
         (add `unless = { url = \"...\" }`: a request that only reads, and whose answer says that this has been done)\n\
         3:7: a tcp address takes no HTTP request (write https:// or http://)\n\
         4:10: \"post\" is no method of HTTP (one word in capitals: \"POST\", \"PUT\", \"PATCH\")",
    );
    case(
        "http",
        "url = 'http://a.example/'\nunless = { url = 'http://a.example/', method = 'POST' }\nbody = 'x'\njson = 1\n\
         user = 'a'\nstatus = []\ndone_when = [{ status = 400 }]\nheaders = { 'a b' = 'x', c = \"d\\ne\" }",
    )
    .refused(
        "4:48: a dry run makes this request, so that it must change nothing (write \"GET\" or \"HEAD\")\n\
         5:8: http.x has both of `body` and `json` (write one of them)\n\
         7:8: there is no password to this user (add `password`)\n\
         8:10: there is no status (write at least one, such as [200])\n\
         9:14: an answer that says so has a status and a text (write both: `{ status = 400, contains = \"already exists\" }`)\n\
         10:11: \"a b\" is no name of a header (write it as \"X-Name\")\n\
         10:11: the header c is more than one line (write it on one line)",
    );
}
