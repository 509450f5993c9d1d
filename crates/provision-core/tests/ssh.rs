//! The SSH transport against a real OpenSSH server on loopback, and the local one beside it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use provision_core::transport::TransportError;
use provision_core::transport::local::Local;
use provision_core::transport::ssh::{Passphrases, Ssh, SshOptions};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

#[path = "ssh/exchange.rs"]
mod exchange;
#[path = "ssh/sshd.rs"]
mod sshd;

use self::sshd::{Agent, KEYS, PASSPHRASE, Sshd, free_port, keygen};

/// Gives one answer, and counts how often it was asked.
#[derive(Debug)]
struct Answer {
    passphrase: Option<&'static str>,
    asked: AtomicU32,
    pause: Duration,
}

#[async_trait]
impl Passphrases for Answer {
    async fn passphrase(&self, _: &Utf8Path, attempt: u32) -> Option<Zeroizing<String>> {
        assert_eq!(attempt, self.asked.fetch_add(1, Ordering::Relaxed) + 1);
        tokio::time::sleep(self.pause).await;
        self.passphrase.map(|passphrase| Zeroizing::new(passphrase.to_owned()))
    }
}

fn answering(options: &mut SshOptions, passphrase: Option<&'static str>) -> Arc<Answer> {
    let answer = Arc::new(Answer { passphrase, asked: AtomicU32::new(0), pause: Duration::ZERO });
    options.passphrases = Some(answer.clone());
    answer
}

async fn failure(options: &SshOptions) -> TransportError {
    Ssh::connect(options).await.err().unwrap()
}

async fn works(options: &SshOptions) {
    let host = Ssh::connect(options).await.unwrap();
    let (exit, output) = exchange::run(&host, "echo hello", vec![], Duration::from_secs(5)).await.unwrap();
    assert_eq!((exit.status, output), (Some(0), b"hello\n".to_vec()));
    host.close().await;
}

/// What was tried, when no key was accepted.
fn tried(error: TransportError) -> String {
    let TransportError::Authentication { tried, .. } = error else { unreachable!("{error}") };
    tried
}

#[tokio::test]
async fn local_keeps_the_promises_of_a_transport() {
    exchange::check(&Local).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn ssh_keeps_the_promises_of_a_transport() {
    let server = Sshd::start();
    exchange::check(&Ssh::connect(&server.options("id_ed25519")).await.unwrap()).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn ssh_needs_but_one_session_at_a_time() {
    let server = Sshd::start_with("MaxSessions 1");
    let host = Ssh::connect(&server.options("id_ed25519")).await.unwrap();
    for _ in 0..5 {
        assert_eq!(exchange::run(&host, "echo", vec![], Duration::from_secs(5)).await.unwrap().1, b"\n");
    }
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn unknown_host_key_is_refused_with_the_line_that_accepts_it() {
    let server = Sshd::start();
    let mut options = server.options("id_ed25519");
    options.known_hosts = vec![server.known_hosts(""), server.path("none")];
    let error = failure(&options).await;
    let TransportError::UnknownHostKey { host, algorithm, fingerprint, known_hosts_line, known_hosts } = error else {
        unreachable!("{error}");
    };
    assert_eq!(host, server.name());
    assert_eq!(algorithm, "ssh-ed25519");
    assert_eq!(fingerprint, server.fingerprint("host_ed25519"));
    assert_eq!(known_hosts, options.known_hosts[0].as_str());
    server.known_hosts(&format!("{known_hosts_line}\n"));
    works(&options).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn host_key_is_checked_against_known_hosts() {
    let server = Sshd::start();
    let options = server.options("id_ed25519");
    let (name, good, bad) = (server.name(), server.public("host_ed25519"), server.public("id_stranger"));

    server.known_hosts(&format!("\n{name} {bad}\n"));
    let error = failure(&options).await;
    let TransportError::ChangedHostKey { fingerprint, line, .. } = &error else { unreachable!("{error}") };
    assert_eq!((fingerprint, *line), (&server.fingerprint("host_ed25519"), 2));

    // A key of an algorithm that the server does not have.
    server.known_hosts(&format!("{name} {}\n", server.public("id_ecdsa")));
    assert!(matches!(failure(&options).await, TransportError::ChangedHostKey { line: 1, .. }));

    server.known_hosts(&format!("@revoked * {good}\n{name} {good}\n"));
    assert!(matches!(failure(&options).await, TransportError::RevokedHostKey { line: 1, .. }));

    // Only the server's second-best key is known.
    server.known_hosts(&format!("{name} {}\n", server.public("host_rsa")));
    works(&options).await;

    // Hashed, and by a pattern; for any port.
    let hashed = server.known_hosts(&format!("{name} {good}\n"));
    keygen(&["-H", "-f", hashed.as_str()]);
    assert!(fs::read_to_string(&hashed).unwrap().starts_with("|1|"));
    works(&options).await;
    server.known_hosts(&format!("127.0.0.? {good}\n"));
    works(&options).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn every_kind_of_key_logs_in() {
    let server = Sshd::start();
    for key in KEYS {
        let mut options = server.options(key);
        answering(&mut options, Some(PASSPHRASE));
        works(&options).await;
    }
    // Without its public half beside it.
    for key in KEYS {
        fs::remove_file(server.path(&format!("{key}.pub"))).unwrap();
        let mut options = server.options(key);
        answering(&mut options, Some(PASSPHRASE));
        works(&options).await;
    }
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn passphrase_is_asked_for_only_when_the_host_takes_the_key() {
    let server = Sshd::start();
    let mut options = server.options("id_locked_stranger");
    options.identity_files.push(server.path("id_locked"));
    let answer = answering(&mut options, Some(PASSPHRASE));
    works(&options).await;
    assert_eq!(answer.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn slow_typing_is_not_held_against_the_host() {
    let server = Sshd::start();
    let mut options = server.options("id_locked");
    options.connect_timeout = Duration::from_millis(500);
    options.passphrases = Some(Arc::new(Answer {
        passphrase: Some(PASSPHRASE),
        asked: AtomicU32::new(0),
        pause: Duration::from_millis(1700),
    }));
    works(&options).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn locked_key_that_stays_locked_is_named() {
    let server = Sshd::start();
    let mut options = server.options("id_locked");
    options.identity_files.push(server.path("id_stranger"));
    for (passphrase, asked, expected) in [(Some("wrong"), 3, "wrong passphrase"), (None, 1, "no passphrase was given")]
    {
        let answer = answering(&mut options, passphrase);
        let error = failure(&options).await;
        let TransportError::KeyFile { path, reason } = &error else { unreachable!("{error}") };
        assert_eq!((path.as_str(), reason.as_str()), (server.path("id_locked").as_str(), expected));
        assert_eq!(answer.asked.load(Ordering::Relaxed), asked);
    }
    options.passphrases = None;
    assert!(matches!(failure(&options).await, TransportError::KeyFile { .. }));
    // It is left out, not in the way.
    options.identity_files.push(server.path("id_ed25519"));
    works(&options).await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn refused_keys_are_named() {
    let server = Sshd::start();
    let mut options = server.options("id_stranger");
    options.identity_files.push(server.path("none"));
    options.agent = Some(server.path("no_agent"));
    let tried = tried(failure(&options).await);
    let (agent, stranger, none) = (server.path("no_agent"), server.path("id_stranger"), server.path("none"));
    assert_eq!(
        tried,
        format!("agent {agent} (No such file or directory (os error 2)), {stranger}, {none} (no such file)")
    );
    options.identity_files.clear();
    options.agent = None;
    assert_eq!(self::tried(failure(&options).await), "nothing");
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn agent_logs_in() {
    let server = Sshd::start();
    for key in ["id_ed25519", "id_ecdsa", "id_rsa"] {
        let agent = Agent::start(&server, &["id_stranger", key]);
        let mut options = server.options("none");
        options.agent = Some(agent.socket.clone());
        works(&options).await;
        // The file next to it is but a public key.
        options.identity_files = vec![server.path(&format!("{key}.pub"))];
        options.identities_only = true;
        works(&options).await;
        options.identity_files.clear();
        assert_eq!(tried(failure(&options).await), "nothing");
        fs::remove_file(&agent.socket).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn named_keys_come_before_the_host_gives_up() {
    let server = Sshd::start_with("MaxAuthTries 2");
    let strangers = ["s1", "s2", "s3"];
    for name in strangers {
        keygen(&["-t", "ed25519", "-N", "", "-C", name, "-f", server.path(name).as_str()]);
    }
    let agent = Agent::start(&server, &["s1", "s2", "s3", "id_ed25519"]);
    let mut options = server.options("none");
    options.agent = Some(agent.socket.clone());
    let tried = tried(failure(&options).await);
    assert!(tried.starts_with("agent key s1, agent key s2, then the host hung up: Too many"), "{tried}");
    options.identity_files = vec![server.path("id_ed25519")];
    works(&options).await;
    // Not in the agent, so it comes last, unless the others are left out.
    options.identity_files = vec![server.path("id_ecdsa")];
    assert!(self::tried(failure(&options).await).contains("hung up"));
    options.identities_only = true;
    works(&options).await;
}

#[tokio::test]
async fn refused_connection_is_told() {
    let mut options = SshOptions::new("127.0.0.1", "nobody");
    options.port = free_port();
    let error = failure(&options).await;
    let TransportError::Connect { host, source } = &error else { unreachable!("{error}") };
    assert_eq!(*host, format!("127.0.0.1:{}", options.port));
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn host_that_never_speaks_is_given_up_and_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = SshOptions::new("127.0.0.1", "nobody");
    options.port = listener.local_addr().unwrap().port();
    options.connect_timeout = Duration::from_millis(300);
    // Silent from the start, and after its first line: a task of the library is at work by then.
    for first in ["", "SSH-2.0-silent\r\n"] {
        let host = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, first.as_bytes()).await.unwrap();
            let mut received = Vec::new();
            tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut received)).await.unwrap().unwrap();
        };
        let (error, ()) = tokio::join!(failure(&options), host);
        assert!(matches!(error, TransportError::ConnectTimeout { .. }), "{error}");
    }
}

#[tokio::test]
async fn host_that_is_no_ssh_server_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = SshOptions::new("127.0.0.1", "nobody");
    options.port = listener.local_addr().unwrap().port();
    let host = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (error, ()) = tokio::join!(failure(&options), host);
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn lost_connection_is_told() {
    let server = Sshd::start();
    let host = Ssh::connect(&server.options("id_ed25519")).await.unwrap();
    let lost = exchange::run(&host, "kill -9 $PPID; exec sleep 20", vec![], Duration::from_secs(10)).await;
    assert!(matches!(lost, Err(TransportError::Lost { .. })), "{lost:?}");
    let lost = exchange::run(&host, "echo", vec![], Duration::from_secs(10)).await;
    assert!(matches!(lost, Err(TransportError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn host_that_stops_answering_is_given_up() {
    let server = Sshd::start();
    let mut options = server.options("id_ed25519");
    options.keepalive = Duration::from_millis(200);
    let host = Ssh::connect(&options).await.unwrap();
    let (_, process) = exchange::run(&host, "echo $PPID", vec![], Duration::from_secs(5)).await.unwrap();
    let process = String::from_utf8(process).unwrap();
    let frozen = format!("kill -STOP {}; exec sleep 30", process.trim());
    let lost = exchange::run(&host, &frozen, vec![], Duration::from_secs(20)).await;
    let killed = std::process::Command::new("kill").args(["-KILL", process.trim()]).status().unwrap();
    assert!(killed.success());
    assert!(matches!(lost, Err(TransportError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn connection_ends_with_its_owner() {
    let server = Sshd::start();
    let options = server.options("id_ed25519");
    let host = Ssh::connect(&options).await.unwrap();
    // Given up in the middle of an exchange.
    let running = exchange::run(&host, "exec cat", vec![], Duration::from_secs(20));
    let _ = tokio::time::timeout(Duration::from_millis(200), running).await;
    drop(host);
    server.logged("Connection closed by").await;
    works(&options).await;
    server.logged("Received disconnect from").await;
}

#[tokio::test]
#[ignore = "needs sshd; tests/run runs it"]
async fn abandoned_exchange_closes_its_channel() {
    let server = Sshd::start();
    let host = Ssh::connect(&server.options("id_ed25519")).await.unwrap();
    let mark = server.path("mark");
    // The input stays open until the exchange is dropped: only then does `cat` end.
    let stuck = provision_core::blob::Blob::from_bytes(vec![0; 30 * 1024 * 1024]);
    let command = format!("sleep 0.5; cat >/dev/null; touch {mark}");
    let running = exchange::run(&host, &command, vec![stuck], Duration::from_secs(20));
    assert!(tokio::time::timeout(Duration::from_millis(200), running).await.is_err());
    for _ in 0..100 {
        if mark.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(mark.exists());
    assert_eq!(exchange::run(&host, "echo", vec![], Duration::from_secs(5)).await.unwrap().1, b"\n");
}
