use std::time::Duration;

use time::macros::datetime;
use time::{Duration as Days, OffsetDateTime};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::server::Server;
use super::{Trust, until};
use crate::check::{Check, Http, JsonValue, Question, Tls};
use crate::connection::ShellConnection;
use crate::path::AbsPath;
use crate::resource::Materials;
use crate::shell::Become;
use crate::transport::local::Local;
use crate::x509::{self, AuthoritySpec, LeafSpec, Names, Pair};

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const HEALTHY: &str = r#"{"data":{"services":{"database":true,"disk":"fine","free":7}}}"#;

fn check(port: u16, question: Question) -> Check {
    let (limit, pause) = (Duration::from_millis(50), Duration::from_millis(20));
    Check { host: "127.0.0.1".to_owned(), port, question, tls: None, limit, pause }
}

fn http() -> Http {
    let (authority, target) = ("registry.example".to_owned(), "/healthz".to_owned());
    Http { authority, target, status: vec![200], contains: None, json: Vec::new() }
}

fn authority_path() -> AbsPath {
    "/etc/registry/ca.crt".parse().unwrap()
}

fn with_tls(check: Check, name: &str) -> Check {
    Check { tls: Some(Tls { name: name.to_owned(), authority: authority_path() }), ..check }
}

async fn ask_trusting(check: &Check, pem: &str, now: OffsetDateTime) -> Result<String, String> {
    let mut materials = Materials::default();
    materials.insert(authority_path(), Zeroizing::new(pem.as_bytes().to_vec()));
    let trust = Trust::new(check.tls.as_ref(), &materials, now)?;
    until(check, &trust, &ShellConnection::new(Local, Become::No, Duration::from_secs(5))).await
}

async fn ask(check: &Check) -> Result<String, String> {
    ask_trusting(check, "", NOW).await
}

fn authority(name: &str) -> Pair {
    x509::generate_authority(&AuthoritySpec::new(name.parse().unwrap()), NOW).unwrap()
}

fn leaf(authority: &Pair, names: &[&str]) -> Pair {
    let names = Names::new(names.iter().map(|name| name.parse().unwrap())).unwrap();
    x509::issue_leaf(&LeafSpec::new(names), &authority.issuer(), NOW).unwrap()
}

#[tokio::test]
async fn answers_over_http_are_judged() {
    let json = |pointer: &str, equals: &str| Http {
        json: vec![JsonValue { pointer: pointer.to_owned(), equals: equals.to_owned() }],
        ..http()
    };
    let contains = |text: &str| Http { contains: Some(text.to_owned()), ..http() };
    let cases: &[(&str, &str, Http, Result<&str, &str>)] = &[
        ("200 OK", "", http(), Ok("200 OK")),
        ("401 Unauthorized", "", Http { status: vec![200, 401], ..http() }, Ok("401 Unauthorized")),
        ("502 Bad Gateway", "", http(), Err("status 502 instead of 200")),
        (
            "503 No",
            "starting\n up",
            Http { status: vec![200, 204], ..http() },
            Err("status 503 instead of 200 or 204: starting up"),
        ),
        ("200 OK", HEALTHY, contains("database"), Ok("200 OK")),
        ("200 OK", "no", contains("yes"), Err("the answer does not contain \"yes\": no")),
        ("200 OK", "", contains("yes"), Err("the answer does not contain \"yes\"")),
        ("200 OK", HEALTHY, json("/data/services/database", "true"), Ok("200 OK")),
        ("200 OK", HEALTHY, json("/data/services/disk", "fine"), Ok("200 OK")),
        ("200 OK", HEALTHY, json("/data/services/free", "7"), Ok("200 OK")),
        ("200 OK", HEALTHY, json("/data/services/free", "8"), Err("/data/services/free is 7 instead of 8")),
        ("200 OK", HEALTHY, json("/data/cache", "true"), Err("the answer has no /data/cache")),
        ("200 OK", "<p>", json("/a", "1"), Err("the answer is not JSON: expected value at line 1 column 1")),
    ];
    for (status, body, question, expected) in cases {
        let port = Server::http(status, body).start().await;
        let expected = expected.map(str::to_owned).map_err(|reason| format!("gave up after 0s: {reason}"));
        assert_eq!(ask(&check(port, Question::Http(question.clone()))).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_said_so() {
    let cases: &[(&[u8], &str)] = &[
        (b"SSH-2.0-x\r\n", "what answers there does not speak HTTP"),
        (b"", "the connection was closed before the answer"),
    ];
    for (answer, expected) in cases {
        let port = Server::raw(answer).start().await;
        let found = ask(&check(port, Question::Http(http()))).await;
        assert_eq!(found, Err(format!("gave up after 0s: {expected}")));
    }
}

#[tokio::test]
async fn a_body_without_end_is_given_up() {
    let huge = "x".repeat((1 << 20) + 1);
    let port = Server::http("200 OK", &huge).start().await;
    let question = Http { contains: Some("y".to_owned()), ..http() };
    let found = ask(&check(port, Question::Http(question))).await;
    assert_eq!(found, Err("gave up after 0s: the answer is longer than 1048576 bytes".to_owned()));
}

#[tokio::test]
async fn a_closed_port_is_refused_and_an_open_one_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(ask(&check(port, Question::Connect)).await, Ok("accepts connections".to_owned()));
    drop(listener);
    let refused = ask(&check(port, Question::Connect)).await.unwrap_err();
    // What follows is the system's own number of the error.
    let expected = format!("gave up after 0s: no connection to 127.0.0.1:{port}: Connection refused");
    assert!(refused.starts_with(&expected), "{refused}");
}

#[tokio::test]
async fn what_comes_up_late_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        TcpListener::bind(address).await.unwrap()
    });
    let patient = Check { limit: Duration::from_secs(20), ..check(address.port(), Question::Connect) };
    assert_eq!(ask(&patient).await, Ok("accepts connections".to_owned()));
    drop(late.await.unwrap());
}

#[tokio::test]
async fn one_who_never_answers_is_not_waited_for_forever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let found = ask(&check(port, Question::Http(http()))).await;
    assert_eq!(found, Err("gave up after 0s: no whole answer within 2 s".to_owned()));
}

#[tokio::test]
async fn a_certificate_of_the_authority_is_trusted_by_name_and_by_address() {
    let ca = authority("Registry CA");
    let server = Server::http("200 OK", "").tls(&leaf(&ca, &["registry.example", "2001:db8::1"]));
    let port = server.start().await;
    for name in ["registry.example", "2001:db8::1"] {
        let check = with_tls(check(port, Question::Http(http())), name);
        let found = ask_trusting(&check, &ca.certificate_pem, NOW).await;
        assert_eq!(found, Ok("200 OK over TLS, certificate verified".to_owned()));
    }
    let check = with_tls(check(port, Question::Connect), "registry.example");
    let found = ask_trusting(&check, &ca.certificate_pem, NOW).await;
    assert_eq!(found, Ok("speaks TLS, certificate verified".to_owned()));
}

#[tokio::test]
async fn a_certificate_that_vouches_for_itself_is_trusted_when_it_is_the_authority() {
    let spec = LeafSpec::new(Names::new(["registry.example".parse().unwrap()]).unwrap());
    let own = x509::self_signed_leaf(&spec, NOW).unwrap();
    let port = Server::http("200 OK", "").tls(&own).start().await;
    let check = with_tls(check(port, Question::Connect), "registry.example");
    let found = ask_trusting(&check, &own.certificate_pem, NOW).await;
    assert_eq!(found, Ok("speaks TLS, certificate verified".to_owned()));
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_with_the_reason() {
    let (ca, other) = (authority("Registry CA"), authority("Other CA"));
    let good = leaf(&ca, &["registry.example", "192.0.2.1"]);
    let days = |count| NOW + Days::days(count);
    let cases: &[(&str, &str, &Pair, OffsetDateTime, &str)] = &[
        ("another authority", "registry.example", &other, NOW, "the certificate is not signed by /etc/registry/ca.crt"),
        (
            "another name",
            "mirror.example",
            &ca,
            NOW,
            "the certificate is not for mirror.example but for registry.example, 192.0.2.1",
        ),
        (
            "another address",
            "192.0.2.2",
            &ca,
            NOW,
            "the certificate is not for 192.0.2.2 but for registry.example, 192.0.2.1",
        ),
        ("after its end", "registry.example", &ca, days(3000), "the certificate has expired on 2027-07-03 12:00 UTC"),
        (
            "before its time",
            "registry.example",
            &ca,
            days(-2),
            "the certificate is not valid before 2026-06-01 00:00 UTC, and here it is 2026-05-30 12:00 UTC: compare the clocks",
        ),
    ];
    let port = Server::http("200 OK", "").tls(&good).start().await;
    for (what, name, trusted, now, expected) in cases {
        let check = with_tls(check(port, Question::Connect), name);
        let found = ask_trusting(&check, &trusted.certificate_pem, *now).await;
        assert_eq!(found, Err(format!("gave up after 0s: {expected}")), "{what}");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_said_so() {
    let ca = authority("Registry CA");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let check = with_tls(check(port, Question::Connect), "registry.example");
    let found = ask_trusting(&check, &ca.certificate_pem, NOW).await;
    assert_eq!(found, Err("gave up after 0s: what answers there does not speak TLS".to_owned()));
}

#[tokio::test]
async fn an_authority_that_is_none_is_found_out_before_anything_is_asked() {
    let check = with_tls(check(1, Question::Connect), "registry.example");
    let key = authority("Registry CA").key_pem;
    for pem in ["", key.as_str()] {
        let found = ask_trusting(&check, pem, NOW).await;
        assert_eq!(found, Err("there is no certificate in /etc/registry/ca.crt".to_owned()));
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let found = ask_trusting(&check, broken, NOW).await;
    assert!(found.is_err_and(|reason| reason.starts_with("cannot use the certificate of /etc/registry/ca.crt: ")));
}
