//! TLS that trusts the plan's authority and nothing else: not the system's authorities, not this machine's clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::check::Tls;
use crate::path::AbsPath;
use crate::resource::Materials;
use crate::transport::Stream;

/// The authority that a check trusts; nothing for a check that speaks no TLS.
pub(crate) struct Trust(Option<Client>);

/// One side of a handshake.
pub(crate) struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
    authority: AbsPath,
}

impl Trust {
    /// Takes the authority's certificates out of the materials.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(crate) fn new(tls: Option<&Tls>, materials: &Materials, now: OffsetDateTime) -> Result<Self, String> {
        let Some(Tls { name, authority }) = tls else { return Ok(Self(None)) };
        let pem = materials.file(authority).map_err(|reason| reason.to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("cannot read the PEM of {authority}: {error}"))?;
            roots.add(certificate).map_err(|error| format!("cannot use the certificate of {authority}: {error}"))?;
        }
        if roots.is_empty() {
            return Err(format!("there is no certificate in {authority}"));
        }
        let fixed = |error: &dyn std::fmt::Display| format!("cannot set up TLS: {error}");
        // Given, never the process's: an embedder may have set another, or none.
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| fixed(&error))?;
        let config = ClientConfig::builder_with_details(provider, Arc::new(At(now)))
            .with_safe_default_protocol_versions()
            .map_err(|error| fixed(&error))?
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        let server =
            ServerName::try_from(name.clone()).map_err(|_| format!("{name:?} is no name for a certificate"))?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self(Some(Client { connector, name: server, authority: authority.clone() })))
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.0.as_ref()
    }
}

impl Client {
    pub(super) async fn handshake(&self, stream: Box<dyn Stream>) -> Result<TlsStream<Box<dyn Stream>>, String> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(reason)) => self.refusal(reason),
            Some(Error::InvalidMessage(_)) => "what answers there does not speak TLS".to_owned(),
            Some(Error::AlertReceived(alert)) => format!("the TLS handshake was refused with the alert {alert:?}"),
            Some(other) => format!("the TLS handshake failed: {other}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the connection was closed during the TLS handshake".to_owned()
            }
            None => format!("the TLS handshake failed: {error}"),
        }
    }

    fn refusal(&self, reason: &CertificateError) -> String {
        match reason {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("the certificate is not signed by {}", self.authority)
            }
            CertificateError::NotValidForName => format!("the certificate is not for {}", self.name.to_str()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                format!("the certificate is not for {} but for {names}", self.name.to_str())
            }
            CertificateError::Expired => "the certificate has expired".to_owned(),
            CertificateError::ExpiredContext { not_after, .. } => {
                format!("the certificate has expired on {}", day(*not_after))
            }
            CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
            CertificateError::NotValidYetContext { not_before, time } => format!(
                "the certificate is not valid before {}, and here it is {}: compare the clocks",
                day(*not_before),
                day(*time)
            ),
            other => format!("the certificate is refused: {other}"),
        }
    }
}

/// A name as the verifier presents it, such as `DnsName("registry.example")`, without its wrapping.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').map_or(presented, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"')
}

fn day(at: UnixTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let at = i64::try_from(at.as_secs()).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| "an unknown day".to_owned())
}

/// A clock that stands still: the library reads none.
#[derive(Debug)]
struct At(OffsetDateTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        u64::try_from(self.0.unix_timestamp())
            .ok()
            .map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
