//! The real registry behind it: Debian's `docker-registry`, on a socket that only this process is meant to use.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::Failure;
use crate::site::Site;

const PROGRAM: &str = "/usr/bin/docker-registry";
/// A registry that is not there after this never will be.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is passed on, and what is made here.
pub type Body = BoxBody<Bytes, hyper::Error>;

pub struct Registry {
    pub process: Child,
    pub socket: PathBuf,
}

impl Registry {
    /// Starts it and waits until it answers.
    pub async fn start(site: &Site) -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("registry-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let (file, socket) = (directory.join("config.yml"), directory.join("socket"));
        // A socket that is left over in a container that was stopped the hard way.
        let _ = fs::remove_file(&socket);
        fs::write(&file, serde_json::to_vec_pretty(&config(site, &socket)?)?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        let mut process = Command::new(PROGRAM)
            .arg("serve")
            .arg(&file)
            // It takes settings from REGISTRY_...
            .env_clear()
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {PROGRAM}: {error}"))?;
        let mut waited = Duration::ZERO;
        while UnixStream::connect(&socket).await.is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(format!("{PROGRAM} ended: {status}").into());
            }
            if waited > PATIENCE {
                return Err(format!("{PROGRAM} does not answer").into());
            }
            let step = Duration::from_millis(20);
            sleep(step).await;
            waited += step;
        }
        Ok(Self { process, socket })
    }
}

/// JSON is YAML.
fn config(site: &Site, socket: &Path) -> Result<serde_json::Value, Failure> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    Ok(json!({
        "version": "0.1",
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": site.storage }, "delete": { "enabled": true } },
        "http": {
            "net": "unix",
            "addr": socket,
            // Like Quay it sends clients on to the name that it was given, whatever name they came by.
            "host": format!("{}://{}", site.scheme, site.hostname),
            "secret": secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        },
    }))
}

/// Passes a request on; bodies stream both ways.
pub async fn pass(socket: &Path, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    Ok(response.map(BodyExt::boxed))
}
