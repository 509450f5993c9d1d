//! The server: who comes in, and what is asked.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::api::{self, Answer, Health};
use crate::database::Database;
use crate::redis::Trouble;
use crate::registry::{self, Body, Registry};
use crate::site::{Fault, Line, Namespaces, Site};
use crate::{Failure, certificate, say};

/// More than the first user takes.
const LARGEST_DOCUMENT: usize = 64 * 1024;

struct Server {
    site: Shown,
    database: Mutex<Database>,
    /// Digests of what was right before, since bcrypt takes its time and a push asks often.
    right: Mutex<HashSet<[u8; 32]>>,
    /// Of the registry; none: it was not started.
    socket: Option<PathBuf>,
}

/// What of the site is looked at while it serves.
type Shown = Arc<Site>;

/// Serves until it is told to end.
pub async fn run(site: &Site) -> Result<(), Failure> {
    let digest = match &site.line {
        Line::Two(two) => Some(two.secret_key_digest.as_str()),
        Line::Three => None,
    };
    let database = Database::open(&site.database, &site.image, digest)?;
    let acceptor = match &site.certificate {
        Some((certificate, key)) => Some(TlsAcceptor::from(certificate::server(certificate, key)?)),
        None => None,
    };
    if !api::is_writable(&site.storage) {
        return Err(format!("the storage {} cannot be written", site.storage.display()).into());
    }
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let [terminate, interrupt] = &mut ends;
    tokio::select! {
        found = wait_for_redis(&site.line) => found?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let mut registry = match site.image.fault {
        None => Some(Registry::start(site).await?),
        Some(Fault::Unhealthy | Fault::Exits) => None,
    };
    let listener = site.listen.bind()?;
    say(&format!("{} serves {} on {}", site.image.version, site.hostname, listener.local_addr()?));
    let server = Arc::new(Server {
        site: Arc::new(site.clone()),
        database: Mutex::new(database),
        right: Mutex::default(),
        socket: registry.as_ref().map(|registry| registry.socket.clone()),
    });
    let ended = async {
        match &mut registry {
            Some(registry) => registry.process.wait().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = accept(&server, &listener, acceptor) => Ok(()),
        status = ended => Err(format!("the registry ended: {}", status?).into()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A server that comes late is waited for, one that refuses the password is the end.
async fn wait_for_redis(line: &Line) -> Result<(), Failure> {
    let Line::Two(two) = line else { return Ok(()) };
    for redis in &two.redis {
        let mut tries = 50;
        loop {
            match redis.check().await {
                Ok(()) => break,
                Err(Trouble::Refused(why)) => return Err(why.into()),
                Err(Trouble::Unreachable(why)) if tries == 0 => {
                    say(&format!("warning: {why}"));
                    break;
                }
                Err(Trouble::Unreachable(_)) => {
                    tries -= 1;
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
    Ok(())
}

async fn accept(server: &Arc<Server>, listener: &tokio::net::TcpListener, acceptor: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (server, acceptor) = (Arc::clone(server), acceptor.clone());
        // How a client goes away is its own affair.
        tokio::spawn(async move {
            match acceptor {
                None => serve(server, stream).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => serve(server, stream).await,
                    Err(_) => Ok(()),
                },
            }
        });
    }
}

async fn serve(
    server: Arc<Server>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move {
            let mut response = server.answer(request).await.unwrap_or_else(|error| {
                say(&format!("error: {error}"));
                document((502, json!({ "message": error.to_string() })))
            });
            if let Ok(version) = HeaderValue::from_str(&server.site.image.version) {
                response.headers_mut().insert("x-quay-version", version);
            }
            Ok::<_, Infallible>(response)
        }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

/// A body that is whole already, so that it cannot break off.
fn made(body: impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static) -> Body {
    body.map_err(|never| match never {}).boxed()
}

fn document((status, value): Answer) -> Response<Body> {
    let mut response = Response::new(made(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let path = request.uri().path().to_owned();
        let unknown = || document((404, json!({ "message": "not found" })));
        match (&self.site.line, path.as_str()) {
            (_, "/stand-in") => Ok(document(api::about(&self.site))),
            (Line::Two(_), "/health" | "/health/instance" | "/health/endtoend") | (Line::Three, "/healthz") => {
                if request.method() != Method::GET {
                    return Ok(document((405, json!({ "message": "method not allowed" }))));
                }
                Ok(document(self.health().await.answer(&self.site.line)))
            }
            (Line::Two(two), "/api/v1/user/initialize") => {
                if request.method() != Method::POST {
                    return Ok(document((405, json!({ "message": "method not allowed" }))));
                }
                let body = Limited::new(request.into_body(), LARGEST_DOCUMENT).collect().await?.to_bytes();
                Ok(document(api::initialize(two, &mut *self.database.lock().await, &body)?))
            }
            (Line::Two(_), path) if path.starts_with("/api/v1/users/") => {
                let name = path.trim_start_matches("/api/v1/users/");
                Ok(document(api::user(&*self.database.lock().await, name)))
            }
            (_, path) if path == "/v2" || path.starts_with("/v2/") => self.registry(request).await,
            _ => Ok(unknown()),
        }
    }

    async fn health(&self) -> Health {
        let mut redis = true;
        if let Line::Two(two) = &self.site.line {
            for server in &two.redis {
                redis &= server.check().await.is_ok();
            }
        }
        let registry = match (&self.socket, Request::get("/v2/").header("host", "registry").body(made(Empty::new()))) {
            (Some(socket), Ok(request)) => {
                registry::pass(socket, request).await.is_ok_and(|response| response.status() == StatusCode::OK)
            }
            _ => false,
        };
        Health {
            database: self.database.lock().await.is_there(),
            registry,
            storage: api::is_writable(&self.site.storage),
            redis,
        }
    }

    /// Everything below /v2/: who asks is looked at here, the rest is the registry's.
    async fn registry(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let error = |status: u16, code: &str, message: &str| {
            document((status, json!({ "errors": [{ "code": code, "message": message, "detail": Value::Null }] })))
        };
        let Some(user) = self.user(&request).await else {
            let mut response = error(401, "UNAUTHORIZED", "Requires authentication");
            let realm = HeaderValue::from_str(&format!("Basic realm=\"{}\"", self.site.hostname))?;
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            let version = HeaderValue::from_static("registry/2.0");
            response.headers_mut().insert("docker-distribution-api-version", version);
            return Ok(response);
        };
        let Some(socket) = &self.socket else {
            return Ok(error(503, "UNAVAILABLE", "this image never becomes healthy"));
        };
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let namespace = request.uri().path().trim_start_matches("/v2/").split('/').next().unwrap_or_default();
        if writes && self.site.namespaces == Namespaces::Own && namespace != user {
            return Ok(error(403, "DENIED", &format!("there is no namespace {namespace}")));
        }
        request.headers_mut().remove(AUTHORIZATION);
        registry::pass(socket, request.map(BodyExt::boxed)).await
    }

    /// Whose name and password come with it, if they are right.
    async fn user(&self, request: &Request<Incoming>) -> Option<String> {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        let digest: [u8; 32] = Sha256::digest(&pair).into();
        if !self.right.lock().await.contains(&digest) {
            if !self.database.lock().await.knows(name, password) {
                return None;
            }
            self.right.lock().await.insert(digest);
        }
        Some(name.to_owned())
    }
}
