//! A private OpenSSH server on a high loopback port, with keys and files of its own, run as whoever runs the test.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use provision_core::transport::ssh::SshOptions;
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// What unlocks `id_locked` and `id_pem`.
pub const PASSPHRASE: &str = "correct horse";

/// User keys that the server accepts; `id_stranger` and `id_locked_stranger` it does not.
pub const KEYS: [&str; 5] = ["id_ed25519", "id_ecdsa", "id_rsa", "id_locked", "id_pem"];

pub struct Sshd {
    pub port: u16,
    pub user: String,
    directory: TempDir,
    child: Child,
}

impl Sshd {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with further lines in its configuration.
    pub fn start_with(configuration: &str) -> Self {
        assert!(fs::exists(SSHD).unwrap(), "{SSHD} is missing: install the package openssh-server");
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let user = output("id", &["-un"]);
        if user == "root" {
            // Compiled in; a server that root starts insists on it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        keygen(&["-t", "ed25519", "-N", "", "-f", root.join("host_ed25519").as_str()]);
        keygen(&["-t", "rsa", "-b", "2048", "-N", "", "-f", root.join("host_rsa").as_str()]);
        for (name, arguments) in [
            ("id_ed25519", vec!["-t", "ed25519", "-N", ""]),
            ("id_ecdsa", vec!["-t", "ecdsa", "-b", "384", "-N", ""]),
            ("id_rsa", vec!["-t", "rsa", "-b", "2048", "-N", ""]),
            ("id_locked", vec!["-t", "ed25519", "-N", PASSPHRASE]),
            ("id_pem", vec!["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", PASSPHRASE]),
            ("id_stranger", vec!["-t", "ed25519", "-N", ""]),
            ("id_locked_stranger", vec!["-t", "ed25519", "-N", PASSPHRASE]),
        ] {
            let file = root.join(name);
            keygen(&[&arguments[..], &["-C", name, "-f", file.as_str()]].concat());
        }
        let authorized: String =
            KEYS.iter().map(|name| fs::read_to_string(root.join(format!("{name}.pub"))).unwrap()).collect();
        fs::write(root.join("authorized_keys"), authorized).unwrap();

        let port = free_port();
        let configuration = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {root}/host_ed25519\nHostKey {root}/host_rsa\n\
             AuthorizedKeysFile {root}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             LogLevel VERBOSE\n{configuration}\n"
        );
        fs::write(root.join("sshd_config"), configuration).unwrap();
        let log = fs::File::create(root.join("log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f", root.join("sshd_config").as_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { port, user, directory, child };
        let patience = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < patience, "sshd does not listen:\n{}", server.log());
            pause();
        }
        server
    }

    pub fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.directory.path()).unwrap().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until the server has logged something.
    pub async fn logged(&self, text: &str) {
        let patience = Instant::now() + Duration::from_secs(10);
        while !self.log().contains(text) {
            assert!(Instant::now() < patience, "no {text:?} in:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `ssh-ed25519 AAAA...` of a key.
    pub fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    pub fn fingerprint(&self, name: &str) -> String {
        output("ssh-keygen", &["-lf", self.path(name).as_str()]).split(' ').nth(1).unwrap().to_owned()
    }

    pub fn known_hosts(&self, text: &str) -> Utf8PathBuf {
        let path = self.path("known_hosts");
        fs::write(&path, text).unwrap();
        path
    }

    /// The name of the server as known_hosts spells it.
    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// Options with the Ed25519 host key known and one key to log in with.
    pub fn options(&self, identity: &str) -> SshOptions {
        let known = self.known_hosts(&format!("{} {}\n", self.name(), self.public("host_ed25519")));
        let mut options = SshOptions::new("127.0.0.1", &self.user);
        options.port = self.port;
        options.known_hosts = vec![known];
        options.identity_files = vec![self.path(identity)];
        options.connect_timeout = Duration::from_secs(10);
        options
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent with some of a server's keys.
pub struct Agent {
    pub socket: Utf8PathBuf,
    child: Child,
}

impl Agent {
    pub fn start(server: &Sshd, keys: &[&str]) -> Self {
        let socket = server.path("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a", socket.as_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < patience, "ssh-agent does not listen");
            pause();
        }
        for key in keys {
            let status = Command::new("ssh-add")
                .args(["-q", server.path(key).as_str()])
                .env("SSH_AUTH_SOCK", &socket)
                .status()
                .unwrap();
            assert!(status.success());
        }
        Self { socket, child }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn keygen(arguments: &[&str]) {
    assert!(Command::new("ssh-keygen").arg("-q").args(arguments).stdout(Stdio::null()).status().unwrap().success());
}

/// A port where nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A file of a length whose content is not all the same.
pub fn file_of(path: &Utf8Path, length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..length).map(|place| u8::try_from((place * 31 + place / 251) % 256).unwrap()).collect();
    fs::File::create(path).unwrap().write_all(&bytes).unwrap();
    bytes
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "it waits for another process, and nothing else runs here")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
