//! Figures, not verdicts: what connecting, a round trip and an upload cost against a private sshd on loopback.
//!
//! `cargo run --release -p provision-core --example ssh_speed`. Measures OpenSSH's client beside it. Needs
//! openssh-server.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it measures and prints")]

use std::time::{Duration, Instant};

use provision_core::blob::Blob;
use provision_core::transport::ssh::Ssh;
use provision_core::transport::{Request, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant as Moment;

#[expect(dead_code, reason = "shared with the tests")]
#[path = "../tests/ssh/sshd.rs"]
mod sshd;

use self::sshd::{Sshd, file_of};

const LENGTH: usize = 512 * 1024 * 1024;

async fn run(host: &Ssh, command: &str, input: Vec<Blob>) -> Duration {
    let start = Instant::now();
    let request = Request { command: command.to_owned(), input, silence: Duration::from_secs(60) };
    let exit = host.exchange(request, &mut Vec::new()).await.unwrap();
    assert_eq!(exit.status, Some(0));
    start.elapsed()
}

/// Stands in for distance: passes every byte on after a while.
async fn delay(port: u16, one_way: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            // A connection takes a round trip before anything can be said.
            tokio::time::sleep(one_way * 2).await;
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (client, server) = (client.into_split(), server.into_split());
            tokio::spawn(pass(client.0, server.1, one_way));
            tokio::spawn(pass(server.0, client.1, one_way));
        }
    });
    own
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin + Send + 'static, one_way: Duration) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<(Moment, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let _ = sender.send((Moment::now() + one_way, buffer.iter().take(read).copied().collect()));
    }
}

fn rate(took: Duration) -> f64 {
    f64::from(u32::try_from(LENGTH / 1024).unwrap()) / 1024.0 / took.as_secs_f64()
}

#[tokio::main]
async fn main() {
    round_trips().await;
    upload().await;
}

async fn round_trips() {
    // Without the start-up files of whoever runs this, which may cost more than all the rest.
    let server = Sshd::start_with("SetEnv HOME=/nonexistent");
    for trip in [0_u32, 50] {
        let mut options = server.options("id_ed25519");
        if trip > 0 {
            options.port = delay(server.port, Duration::from_millis(trip.into()) / 2).await;
            let line = format!("[127.0.0.1]:{} {}\n", options.port, server.public("host_ed25519"));
            options.known_hosts = vec![server.known_hosts(&line)];
        }
        for _ in 0..5 {
            let start = Instant::now();
            let host = Ssh::connect(&options).await.unwrap();
            let connected = start.elapsed();
            let first = run(&host, "true", vec![]).await;
            let second = run(&host, "true", vec![]).await;
            println!("{trip} ms: connect {connected:.0?}, first exchange {first:.0?}, second {second:.0?}");
        }
        let took = openssh(&server, options.port, "true", std::process::Stdio::null());
        println!("{trip} ms: ssh {took:.0?}");
    }
}

async fn upload() {
    let server = Sshd::start();
    let path = server.path("blob");
    let bytes = file_of(&path, LENGTH);
    let in_file = Blob::from_file(path.clone(), LENGTH as u64, String::new());
    let in_memory = Blob::from_bytes(bytes);
    let host = Ssh::connect(&server.options("id_ed25519")).await.unwrap();
    for _ in 0..3 {
        let memory = run(&host, "cat >/dev/null", vec![in_memory.clone()]).await;
        let file = run(&host, "cat >/dev/null", vec![in_file.clone()]).await;
        let start = Instant::now();
        let down = {
            run(&host, &format!("head -c {LENGTH} /dev/zero"), vec![]).await;
            start.elapsed()
        };
        println!(
            "MB/s: up from memory {:.0}, up from a file {:.0}, down {:.0}; ssh {:.0}",
            rate(memory),
            rate(file),
            rate(down),
            rate(openssh(&server, server.port, "cat >/dev/null", std::fs::File::open(&path).unwrap())),
        );
    }
}

/// The same by OpenSSH's client.
fn openssh(server: &Sshd, port: u16, command: &str, input: impl Into<std::process::Stdio>) -> Duration {
    let start = Instant::now();
    let status = std::process::Command::new("ssh")
        .args(["-F", "none", "-p", &port.to_string(), "-i", server.path("id_ed25519").as_str()])
        .arg(format!("-oUserKnownHostsFile={}", server.path("known_hosts")))
        .args(["-oIdentityAgent=none", &format!("{}@127.0.0.1", server.user), command])
        .stdin(input)
        .status()
        .unwrap();
    assert!(status.success());
    start.elapsed()
}
