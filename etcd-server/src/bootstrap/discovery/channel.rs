//! The connection to a discovery cluster: to its first endpoint that takes it.

use config::DiscoverySettings;
use http::Uri;
use hyper_util::rt::TokioIo;
use peer::Socket;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tls::{Connector as TlsConnector, EndpointSettings, KeyPair};
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

/// A channel that connects when something is asked, and again after it broke. An error is one line.
pub(super) fn connect(settings: &DiscoverySettings) -> Result<Channel, String> {
    let endpoints: Vec<Uri> =
        settings.endpoints.iter().map(|endpoint| uri(endpoint, settings)).collect::<Result<_, _>>()?;
    let first = endpoints.first().ok_or("--discovery-endpoints is empty")?.clone();
    let needs_tls = endpoints.iter().any(|endpoint| endpoint.scheme_str() == Some("https"));
    let tls_connector = needs_tls.then(|| tls_connector(settings)).transpose()?;
    let endpoint = Endpoint::from(first)
        .connect_timeout(settings.dial_timeout)
        .http2_keep_alive_interval(settings.keepalive_time)
        .keep_alive_timeout(settings.keepalive_timeout)
        .keep_alive_while_idle(false);
    Ok(endpoint.connect_with_connector_lazy(Connector { endpoints, tls_connector }))
}

/// Returns the URI of an endpoint. It may lack its scheme; then the other settings decide whether
/// it is encrypted.
fn uri(endpoint: &str, settings: &DiscoverySettings) -> Result<Uri, String> {
    let is_secure = !settings.insecure_transport
        || settings.ca.is_some()
        || settings.cert.is_some()
        || settings.insecure_skip_tls_verify;
    let scheme = if is_secure { "https" } else { "http" };
    let text = if endpoint.contains("://") { endpoint.to_owned() } else { format!("{scheme}://{endpoint}") };
    text.parse::<Uri>()
        .ok()
        .filter(|uri| uri.port().is_some())
        .ok_or_else(|| format!("--discovery-endpoints: {endpoint:?} is not host:port"))
}

fn tls_connector(settings: &DiscoverySettings) -> Result<TlsConnector, String> {
    let as_client = settings.cert.clone().zip(settings.key.clone()).map(|(cert, key)| KeyPair { cert, key });
    let settings = EndpointSettings::of_client_alone(as_client, settings.ca.clone(), settings.insecure_skip_tls_verify);
    let endpoint = tls::Endpoint::load(settings).map_err(|error| error.to_string())?;
    Ok(endpoint.connector().offering(b"h2"))
}

#[derive(Clone)]
struct Connector {
    endpoints: Vec<Uri>,
    tls_connector: Option<TlsConnector>,
}

impl Connector {
    async fn connect(self) -> io::Result<TokioIo<Box<dyn Socket>>> {
        let mut failed = io::Error::other("there is no endpoint");
        for endpoint in &self.endpoints {
            match self.connect_to(endpoint).await {
                Ok(socket) => return Ok(TokioIo::new(socket)),
                Err(error) => failed = io::Error::new(error.kind(), format!("{endpoint}: {error}")),
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, endpoint: &Uri) -> io::Result<Box<dyn Socket>> {
        let stream = peer::tcp(endpoint).await?;
        match &self.tls_connector {
            Some(tls_connector) if endpoint.scheme_str() == Some("https") => {
                let host = endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
                Ok(Box::new(tls_connector.connect(stream, host).await?))
            }
            _ => Ok(Box::new(stream)),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Socket>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
