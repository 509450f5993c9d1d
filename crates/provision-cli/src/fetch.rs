//! Downloads on this side. What has been downloaded once is kept under its digest, in the cache directory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use provision_core::blob::Blob;
use provision_core::fetch::{Download, Fetch};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::ring::default_provider;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// Longest time for a connection, and for a server's first word.
const PATIENCE: Duration = Duration::from_secs(30);

/// Downloads, over the proxy that the environment names and with the trust of this system.
pub struct Fetcher {
    directory: Option<Utf8PathBuf>,
}

impl Fetcher {
    /// Keeps what it downloads below the cache directory.
    pub fn new(cache: Option<&Utf8Path>) -> Self {
        Self { directory: cache.map(|cache| cache.join("downloads")) }
    }
}

#[async_trait]
impl Fetch for Fetcher {
    async fn fetch(&self, download: &Download) -> Result<Blob, String> {
        let directory = self.directory.clone().ok_or("there is no cache directory: set XDG_CACHE_HOME or HOME")?;
        let download = download.clone();
        let brought = tokio::task::spawn_blocking(move || bring(&directory, &download));
        brought.await.map_err(|error| error.to_string())?
    }
}

/// Gives the file that is kept, after downloading it where there is none.
fn bring(directory: &Utf8Path, download: &Download) -> Result<Blob, String> {
    let kept = directory.join(&download.sha256);
    if let Ok(length) = kept_length(&kept, download) {
        return Ok(Blob::from_file(kept, length, download.sha256.clone()));
    }
    fs::create_dir_all(directory).map_err(|error| format!("cannot make {directory}: {error}"))?;
    // Of this process, so that two that download the same do not write into one file.
    let part = directory.join(format!("{}.{}.part", download.sha256, std::process::id()));
    let written = receive(&download.url, &part).and_then(|(length, sha256)| {
        if sha256 != download.sha256 {
            return Err(format!("what it gives has the SHA-256 {sha256}, and the plan wants {}", download.sha256));
        }
        fs::rename(&part, &kept).map_err(|error| format!("cannot keep it as {kept}: {error}"))?;
        Ok(length)
    });
    match written {
        Ok(length) => Ok(Blob::from_file(kept, length, download.sha256.clone())),
        Err(reason) => {
            // Best effort: what is left has a name of its own and is never taken for a download.
            drop(fs::remove_file(&part));
            Err(reason)
        }
    }
}

/// The length of what is kept, once its digest has been looked at again: a disk may have lost some of it.
fn kept_length(kept: &Utf8Path, download: &Download) -> io::Result<u64> {
    let mut file = File::open(kept)?;
    let (length, sha256) = copy(&mut file, &mut io::sink())?;
    if sha256 == download.sha256 { Ok(length) } else { Err(io::Error::other("not what was downloaded")) }
}

fn receive(url: &str, part: &Utf8Path) -> Result<(u64, String), String> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build();
    let answer = config.new_agent().get(url).call().map_err(|error| error.to_string())?;
    let mut file = File::create(part).map_err(|error| format!("cannot write {part}: {error}"))?;
    let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
    let received = copy(&mut body, &mut file).map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| format!("cannot write {part}: {error}"))?;
    Ok(received)
}

/// Copies all of it, and gives its length and digest.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    let mut length = 0;
    loop {
        let count = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
        hasher.update(piece);
        to.write_all(piece)?;
        length += count as u64;
    }
    Ok((length, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use provision_core::blob::sha256_hex;

    use super::*;

    /// A server that gives one answer and is gone.
    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/f", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(&answer).unwrap();
        });
        url
    }

    fn answer(status: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn names(directory: &Utf8Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_downloaded_is_kept_and_damage_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(cache.path()).unwrap().join("downloads");
        let sha256 = sha256_hex(b"content");
        let download = |url: String| Download { url, sha256: sha256.clone() };
        let blob = bring(&directory, &download(serve(answer("200 OK", b"content")))).unwrap();
        assert_eq!((blob.length(), blob.sha256()), (7, sha256.as_str()));
        // Nobody is asked the second time.
        bring(&directory, &download("http://127.0.0.1:1/".to_owned())).unwrap();
        fs::write(directory.join(&sha256), "damaged").unwrap();
        bring(&directory, &download(serve(answer("200 OK", b"content")))).unwrap();
        assert_eq!(fs::read(directory.join(&sha256)).unwrap(), b"content");
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let cache = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(cache.path()).unwrap().join("downloads");
        let sha256 = sha256_hex(b"content");
        let cases = [
            (answer("200 OK", b"other"), "what it gives has the SHA-256"),
            (answer("404 Not Found", b""), "http status: 404"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncont".to_vec(), ""),
        ];
        for (answer, expected) in cases {
            let reason = bring(&directory, &Download { url: serve(answer), sha256: sha256.clone() }).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(names(&directory), [""; 0]);
        }
    }
}
