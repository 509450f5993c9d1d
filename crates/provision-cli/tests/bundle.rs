//! A bundle brings what this side would download, and reaches for nothing where it is applied.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use provision_core::blob::sha256_hex;

/// Longer than what is kept in memory, and of no one piece.
fn content() -> Vec<u8> {
    (0..5_000_000_u32).map(|at| (at / 7) as u8).collect()
}

/// A server that gives one answer and is gone.
fn serve(content: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tool", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
        stream.write_all(&[head.into_bytes(), content].concat()).unwrap();
    });
    url
}

fn provision(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
    command.args(arguments).current_dir(home).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home);
    command.stdin(Stdio::null()).output().unwrap()
}

fn ok(output: Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_this_side_downloads_is_in_the_bundle_and_is_not_downloaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let (here, there) = (root.join("here"), root.join("there"));
    fs::create_dir_all(&here).unwrap();
    fs::create_dir_all(&there).unwrap();
    let (url, sha256) = (serve(content()), sha256_hex(&content()));
    let path = there.join("tool");
    let text = format!(
        "name = \"site\"\n[download.tool]\nurl = \"{url}\"\npath = \"{}\"\nsha256 = \"{sha256}\"\nvia = \"here\"\n",
        path.display()
    );
    fs::write(here.join("plan.toml"), text).unwrap();
    fs::write(here.join("command"), "").unwrap();
    let pack = ["bundle", "plan.toml", "--output", "../there/site.bundle", "--command", "command"];
    ok(provision(&here, &pack));
    fs::remove_dir_all(here).unwrap();
    // Nobody answers any more, and there is nothing in the cache of this home.
    let output = provision(&there, &["apply", "site.bundle", "--yes"]);
    ok(output);
    assert!(fs::read(path).unwrap() == content());
    assert!(!there.join(".cache").exists());
}
