//! The client's side of a handshake, for connections to other members.

use crate::endpoint::Endpoint;
use crate::rejection;
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// As long as the other side waits.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two log lines about the same host.
const TELL_INTERVAL: Duration = Duration::from_secs(60);
/// Hosts that are remembered for that.
const HOSTS_MAX: usize = 1_000;

/// An encrypted connection to another member.
pub type ConnectorStream<I> = tokio_rustls::client::TlsStream<I>;

/// A connector to other members, with the files that the endpoint has loaded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    endpoint: Arc<Endpoint>,
    offered: Option<&'static [u8]>,
}

impl Connector {
    pub(crate) fn of(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, offered: None }
    }

    /// The same, with a protocol to offer to the other side, as ALPN names it.
    #[must_use]
    pub fn offering(self, protocol: &'static [u8]) -> Self {
        Self { offered: Some(protocol), ..self }
    }

    /// Does the handshake on a connection to `host`, a name or an address as in the URL, without
    /// brackets; its certificate has to stand for it. To members no protocol is offered: they speak
    /// HTTP/1.1, and etcd's would take an offer of anything else badly.
    ///
    /// # Errors
    /// When the other side is not believed, does not believe us, or takes too long.
    pub async fn connect<I>(&self, io: I, host: &str) -> io::Result<ConnectorStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut client = Arc::clone(&self.endpoint.loaded.load().tls_files.client);
        if let Some(protocol) = self.offered {
            Arc::make_mut(&mut client).alpn_protocols = vec![protocol.to_vec()];
        }
        let connector = TlsConnector::from(client);
        let connected =
            tokio::time::timeout(HANDSHAKE_TIMEOUT, Box::pin(rejection::during(connector.connect(name, io)))).await;
        let connected = connected
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake was not completed in time"))?;
        connected.map_err(|(error, refused)| {
            let error = refused.map_or(error, |refused| io::Error::new(io::ErrorKind::InvalidData, refused));
            self.tell(host, &error);
            error
        })
    }

    /// Logs a failed handshake, once in a while for each host: a member tries again several times a
    /// second.
    fn tell(&self, host: &str, error: &io::Error) {
        let mut told = self.endpoint.failures.lock();
        let now = Instant::now();
        if told.get(host).is_some_and(|last| now.duration_since(*last) < TELL_INTERVAL) || told.len() >= HOSTS_MAX {
            return;
        }
        told.insert(host.to_owned(), now);
        tracing::warn!(host, %error, "failed TLS handshake with a member");
    }
}
