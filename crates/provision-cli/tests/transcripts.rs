//! The command, by whole transcripts: what was typed, standard output, standard error, exit code.
//!
//! A case is a file in `tests/transcripts`: a title, the files that are there before (`=== NAME`), and lines that begin
//! with `$ `, each followed by what came of it. They run one after the other through `sh` in a directory of their own.
//! `SNAPSHOTS=overwrite` writes what came into the files; look at the difference before you believe it.
//!
//! In every case `HOME` is an empty directory, there is no agent and no terminal, and `$CLOSED` is a port of 127.0.0.1
//! on which nothing listens. Linux only: messages of the system and script(1) differ elsewhere.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use snapbox::{Assert, Data, Redactions};

const COMMAND: &str = env!("CARGO_BIN_EXE_provision");

/// What stands for output that did not end its last line.
const UNENDED: &str = "[no newline]\n";

/// What is another each time: clocks, this machine's name, digests with a path of the sandbox in them, who owns files.
const VARYING: [(&str, &str); 7] = [
    ("[TIME]", r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9](\.[0-9]+)?Z"),
    ("[MACHINE]", r#"tester@(?<redacted>[^ \n",]+)"#),
    ("[PLAN]", r"plan (?<redacted>[0-9a-f]{12})"),
    ("[DIGEST]", r#""(plan|digest)": "(?<redacted>[0-9a-f]{64})""#),
    ("[STATE]", r#""observed": "(?<redacted>[0-9a-f]{64})""#),
    ("[SUM]", r#"(SHA-256 |"sha256": ")(?<redacted>[0-9a-f]{64})"#),
    ("[OWNER]", r"(file|directory)[: ][0-7]{4}[: ](?<redacted>[0-9]+:[0-9]+)"),
];

struct Case {
    title: String,
    files: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut case = Self { title: String::new(), files: Vec::new(), lines: Vec::new() };
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                case.lines.push(command.to_owned());
            } else if !case.lines.is_empty() {
                // What came of a command the last time.
            } else if let Some(name) = line.strip_prefix("=== ") {
                case.files.push((name.to_owned(), String::new()));
            } else if let Some((_, content)) = case.files.last_mut() {
                content.push_str(line);
                content.push('\n');
            } else {
                case.title.push_str(line);
                case.title.push('\n');
            }
        }
        case
    }

    fn run(&self) -> String {
        let mut transcript = self.title.clone();
        for (name, content) in &self.files {
            let _ = write!(transcript, "=== {name}\n{content}");
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (work, home) = (root.join("work"), root.join("home"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&work).unwrap();
        for (name, content) in &self.files {
            let path = work.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // An empty line before the next part belongs to the transcript.
            fs::write(path, content.strip_suffix("\n\n").map_or(content.clone(), |text| format!("{text}\n"))).unwrap();
        }
        let closed = closed_port().to_string();
        let mut redactions = Redactions::new();
        redactions.insert("[ROOT]", root.to_str().unwrap().to_owned()).unwrap();
        redactions.insert("[VERSION]", env!("CARGO_PKG_VERSION")).unwrap();
        redactions.insert("[CLOSED]", closed.clone()).unwrap();
        for (name, pattern) in VARYING {
            redactions.insert(name, Regex::new(pattern).unwrap()).unwrap();
        }
        for line in &self.lines {
            let output = Command::new("/bin/sh")
                .args(["-c", line])
                .current_dir(&work)
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", Path::new(COMMAND).parent().unwrap().display()))
                .env("HOME", &home)
                .env("USER", "tester")
                .env("LC_ALL", "C.UTF-8")
                .env("CLOSED", &closed)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let _ = writeln!(transcript, "$ {line}");
            for (name, bytes) in [("", &output.stdout), ("--- stderr\n", &output.stderr)] {
                let text = redactions.redact(&String::from_utf8_lossy(bytes));
                if !text.is_empty() {
                    transcript.push_str(name);
                    transcript.push_str(&text);
                    if !text.ends_with('\n') {
                        transcript.push_str(UNENDED);
                    }
                }
            }
            let _ = writeln!(transcript, "--- exit {}\n", output.status.code().unwrap());
        }
        transcript
    }
}

/// A port that was free a moment ago. The address is this machine's alone, so nobody else takes it in between.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn every_transcript_is_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut different = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let actual = Case::parse(&fs::read_to_string(&path).unwrap()).run();
        let expected = Data::read_from(&path, None).raw();
        let assert = Assert::new().action_env("SNAPSHOTS");
        if let Err(difference) = assert.try_eq(Some(&name), Data::text(actual), expected) {
            eprintln!("{difference}");
            different.push(name);
        }
    }
    assert!(different.is_empty(), "these transcripts differ: {different:?}");
}
