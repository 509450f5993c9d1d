//! What every transport promises of an exchange and of a tunnel, checked on whichever it is given.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use provision_core::blob::{Blob, sha256_hex};
use provision_core::transport::{Exit, Request, STDERR_LIMIT, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::sshd::{file_of, free_port};

const MEGABYTE: usize = 1024 * 1024;

pub async fn run(
    host: &dyn Transport,
    command: &str,
    input: Vec<Blob>,
    silence: Duration,
) -> Result<(Exit, Vec<u8>), TransportError> {
    let mut output = Vec::new();
    let request = Request { command: command.to_owned(), input, silence };
    let exit = host.exchange(request, &mut output).await?;
    Ok((exit, output))
}

async fn ok(host: &dyn Transport, command: &str, input: Vec<Blob>) -> (Exit, Vec<u8>) {
    run(host, command, input, Duration::from_secs(20)).await.unwrap()
}

fn success(stderr: &[u8]) -> Exit {
    Exit { status: Some(0), stderr: stderr.to_vec() }
}

fn blob_of(path: &Utf8Path, bytes: &[u8]) -> Blob {
    Blob::from_file(path.to_owned(), bytes.len() as u64, sha256_hex(bytes))
}

/// Runs everything; one function, so that one server serves it all.
pub async fn check(host: &dyn Transport) {
    status_output_and_stderr_are_told_apart(host).await;
    input_arrives_whole_and_in_order(host).await;
    both_directions_move_at_once(host).await;
    early_end_is_not_an_error(host).await;
    silence_is_an_error(host).await;
    unreadable_input_is_an_error(host).await;
    tunnel_carries_bytes(host).await;
}

async fn status_output_and_stderr_are_told_apart(host: &dyn Transport) {
    assert_eq!(ok(host, "echo out; echo err >&2", vec![]).await, (success(b"err\n"), b"out\n".to_vec()));
    let (exit, output) = ok(host, "exit 42", vec![]).await;
    assert_eq!((exit.status, output), (Some(42), vec![]));
    let (exit, _) = ok(host, "kill -9 $$", vec![]).await;
    assert_eq!(exit.status, None);
    let (exit, _) = ok(host, "head -c 300000 /dev/zero >&2; printf end >&2", vec![]).await;
    assert_eq!(exit.stderr.len(), STDERR_LIMIT);
    assert!(exit.stderr.ends_with(b"\0end"));
}

async fn input_arrives_whole_and_in_order(host: &dyn Transport) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path()).unwrap().join("blob");
    let in_file = file_of(&path, 3 * MEGABYTE + 17);
    let input = vec![
        Blob::from_bytes(b"first,".to_vec()),
        Blob::from_bytes(vec![]),
        blob_of(&path, &in_file),
        Blob::from_bytes(b",last".to_vec()),
    ];
    let expected = [b"first,", &in_file[..], b",last"].concat();
    let (exit, output) = ok(host, "sha256sum", input).await;
    assert_eq!(exit, success(b""));
    assert_eq!(String::from_utf8(output).unwrap(), format!("{}  -\n", sha256_hex(&expected)));

    // A file that has grown since: only what was announced is sent.
    let (_, output) = ok(host, "wc -c", vec![blob_of(&path, &in_file[..1000])]).await;
    assert_eq!(String::from_utf8(output).unwrap().trim(), "1000");
}

async fn both_directions_move_at_once(host: &dyn Transport) {
    let bytes: Vec<u8> = (0..10 * MEGABYTE).map(|place| u8::try_from(place % 253).unwrap()).collect();
    let (exit, output) = ok(host, "cat", vec![Blob::from_bytes(bytes.clone())]).await;
    assert_eq!(exit, success(b""));
    assert_eq!(sha256_hex(&output), sha256_hex(&bytes));

    // The host prints it all before it reads anything.
    let command = "head -c 10485760 /dev/zero; sha256sum; head -c 10485760 /dev/zero >&2";
    let (exit, output) = ok(host, command, vec![Blob::from_bytes(bytes.clone())]).await;
    assert_eq!((exit.status, exit.stderr.len()), (Some(0), STDERR_LIMIT));
    let (zeros, digest) = output.split_at(10 * MEGABYTE);
    assert!(zeros.iter().all(|byte| *byte == 0));
    assert_eq!(String::from_utf8_lossy(digest), format!("{}  -\n", sha256_hex(&bytes)));
}

async fn early_end_is_not_an_error(host: &dyn Transport) {
    let much = Blob::from_bytes(vec![7; 30 * MEGABYTE]);
    let (exit, output) = ok(host, "head -c 3 | wc -c; exit 9", vec![much.clone()]).await;
    assert_eq!((exit.status, String::from_utf8(output).unwrap().trim()), (Some(9), "3"));
    // Nor is a command that goes on after it has closed its input.
    let (exit, output) = ok(host, "exec <&-; sleep 0.3; echo done", vec![much]).await;
    assert_eq!((exit, output), (success(b""), b"done\n".to_vec()));
}

async fn silence_is_an_error(host: &dyn Transport) {
    let limit = Duration::from_millis(1000);
    let start = Instant::now();
    let error = run(host, "echo started; exec sleep 20", vec![], limit).await.unwrap_err();
    assert!(matches!(error, TransportError::Silent { .. }), "{error}");
    assert!(start.elapsed() >= limit && start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A command that says something now and then is not silent, and the connection still serves.
    let command = "for i in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $i; done";
    assert_eq!(run(host, command, vec![], limit).await.unwrap().0, success(b""));
    // Input that nobody takes is silence, too.
    let stuck = Blob::from_bytes(vec![0; 30 * MEGABYTE]);
    let error = run(host, "exec sleep 20", vec![stuck], limit).await.unwrap_err();
    assert!(matches!(error, TransportError::Silent { .. }), "{error}");
    assert_eq!(ok(host, "echo still here", vec![]).await.1, b"still here\n");
}

async fn unreadable_input_is_an_error(host: &dyn Transport) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path()).unwrap().join("blob");
    let missing = Blob::from_file(path.clone(), 10, String::new());
    let error = run(host, "cat", vec![missing], Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(&error, TransportError::Input { path: named, .. } if named == path.as_str()), "{error}");

    file_of(&path, 100);
    let shrunk = Blob::from_file(path, 101, String::new());
    let error = run(host, "cat", vec![shrunk], Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, TransportError::Input { .. }), "{error}");
}

async fn tunnel_carries_bytes(host: &dyn Transport) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let stream = host.connect_tcp("127.0.0.1", port, Duration::from_secs(5)).await.unwrap();
    let sent: Vec<u8> = (0..2 * MEGABYTE).map(|place| u8::try_from(place % 249).unwrap()).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let mut received = Vec::new();
    let (_, written) = tokio::join!(async { read.read_to_end(&mut received).await.unwrap() }, async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await
    },);
    written.unwrap();
    echo.await.unwrap();
    assert_eq!(sha256_hex(&received), sha256_hex(&sent));

    let port = free_port();
    let error = host.connect_tcp("127.0.0.1", port, Duration::from_secs(5)).await.err().unwrap();
    let TransportError::Tunnel { target, .. } = &error else { unreachable!("{error}") };
    assert_eq!(*target, format!("127.0.0.1:{port}"));
}
