//! The server's side of a handshake: bounded in time and in number, and never resumed.

use crate::address_check;
use crate::alert;
use crate::connections::{self, Connection, PeerIdentity};
use crate::endpoint::{Endpoint, Loaded};
use crate::error::HandshakeError;
use crate::first_byte::Begun;
use crate::rejection;
use crate::remedy;
use crate::shown::{self, ShownNames};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// From the accepted socket to the end of the handshake; etcd's own bound.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The protocols of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// gRPC over HTTP/2, and HTTP/1.1.
    Both,
    Http2,
    Http1,
}

/// The configuration for each kind of listener.
#[derive(Debug)]
pub(crate) struct ServerConfigs {
    both: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

impl ServerConfigs {
    pub(crate) fn of(config: &ServerConfig) -> Self {
        let with = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { both: with(&[b"h2", b"http/1.1"]), http2: with(&[b"h2"]), http1: with(&[b"http/1.1"]) }
    }

    fn of_kind(&self, protocols: Protocols) -> &Arc<ServerConfig> {
        match protocols {
            Protocols::Both => &self.both,
            Protocols::Http2 => &self.http2,
            Protocols::Http1 => &self.http1,
        }
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted<I> {
    pub stream: TlsStream<Begun<I>>,
    /// The identity of the client; `None` where no certificate was demanded.
    pub identity: Option<PeerIdentity>,
    /// `true` if HTTP/2 was agreed upon; without any agreement it was not.
    pub is_http2: bool,
    /// To be kept as long as the connection.
    pub connection: Connection,
}

/// Accepts connections of one endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor {
    endpoint: Arc<Endpoint>,
}

impl Acceptor {
    pub(crate) fn of(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint }
    }

    /// Does the handshake. `remote` is unknown for unix sockets. Failures are counted and logged
    /// here, with bounds.
    ///
    /// # Errors
    /// The reason why the connection is not to be served; it is closed by dropping it.
    pub async fn accept<I>(
        &self,
        io: I,
        remote: Option<SocketAddr>,
        protocols: Protocols,
    ) -> Result<Accepted<I>, HandshakeError>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut server_name = None;
        let handshake = self.within_bounds(io, remote, protocols, &mut server_name);
        let (accepted, shown) = Box::pin(shown::observed(handshake)).await;
        let counters = &self.endpoint.counters;
        let counter = match &accepted {
            Ok(_) => &counters.accepted,
            Err(HandshakeError::Timeout) => &counters.timed_out,
            Err(HandshakeError::Crowded) => &counters.crowded_out,
            Err(
                HandshakeError::Tls(_)
                | HandshakeError::Certificate(_)
                | HandshakeError::Address { .. }
                | HandshakeError::OtherAddress { .. }
                | HandshakeError::Dropped,
            ) => &counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &accepted {
            self.log_rejection(error, remote, server_name.as_deref().unwrap_or_default(), shown.as_ref());
        }
        accepted
    }

    async fn within_bounds<I>(
        &self,
        io: I,
        remote: Option<SocketAddr>,
        protocols: Protocols,
        server_name: &mut Option<String>,
    ) -> Result<Accepted<I>, HandshakeError>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut place = self.endpoint.room.enter();
        tokio::select! {
            biased;
            done = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.handshake(io, remote, protocols, server_name)) => done.unwrap_or(Err(HandshakeError::Timeout)),
            () = place.asked_out() => Err(HandshakeError::Crowded),
        }
    }

    async fn handshake<I>(
        &self,
        io: I,
        remote: Option<SocketAddr>,
        protocols: Protocols,
        server_name: &mut Option<String>,
    ) -> Result<Accepted<I>, HandshakeError>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let io = Begun::read(io).await?;
        let start = Box::pin(LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io)).await?;
        *server_name = start.client_hello().server_name().map(str::to_owned);
        // The files loaded now decide, however long the client took for its first message.
        let loaded = self.endpoint.loaded.load_full();
        let servers = loaded.servers.as_ref().ok_or(HandshakeError::Dropped)?;
        let stream = Box::pin(rejection::during(start.into_stream(Arc::clone(servers.of_kind(protocols))))).await;
        let stream = stream.map_err(|(error, refused)| {
            refused.map_or_else(|| error.into(), |refused| HandshakeError::Certificate(Box::new(refused)))
        })?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (identity, connection) = self.identify(&loaded, &stream)?;
        if let (Some(identity), Some(remote), true) = (&identity, remote, self.endpoint.settings.checks_addresses) {
            address_check::check(&identity.names, remote.ip()).await?;
        }
        Ok(Accepted { stream, identity, is_http2, connection })
    }

    /// Identifies a new connection. It is added to the live connections before the files are looked
    /// at once more, so that a reload in between finds it.
    fn identify<I>(
        &self,
        loaded: &Arc<Loaded>,
        stream: &TlsStream<Begun<I>>,
    ) -> Result<(Option<PeerIdentity>, Connection), HandshakeError> {
        let Some(chain) = stream.get_ref().1.peer_certificates() else { return Ok((None, Connection::anonymous())) };
        let chain: Vec<_> = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let now = OffsetDateTime::now_utc();
        let identity = connections::identity(&loaded.tls_files, &chain, now).ok_or(HandshakeError::Dropped)?;
        self.endpoint.weak.tell(self.endpoint.settings.role.label(), &chain[0]);
        let connection = self.endpoint.connections.enter(chain.clone(), identity.issuer.clone(), now);
        let newest = self.endpoint.loaded.load_full();
        if !Arc::ptr_eq(&newest, loaded) && connections::identity(&newest.tls_files, &chain, now).is_none() {
            return Err(HandshakeError::Dropped);
        }
        Ok((Some(identity), connection))
    }

    /// Logs why a connection was rejected, in etcd's words. A client that leaves during the
    /// handshake, as port probes do, is not worth more than a debug line.
    fn log_rejection(
        &self,
        error: &HandshakeError,
        source: Option<SocketAddr>,
        server_name: &str,
        shown: Option<&CertificateDer<'_>>,
    ) {
        let remote = source.map_or_else(|| "unix".to_owned(), |remote| remote.to_string());
        let endpoint = self.endpoint.settings.role.label();
        let text = alert::go_text(error);
        if matches!(error, HandshakeError::Tls(error) if error.kind() == ErrorKind::UnexpectedEof) {
            tracing::debug!(remote_addr = remote, server_name, error = %text, "rejected connection on {endpoint} endpoint");
            return;
        }
        let host = source.map_or_else(String::new, |source| source.ip().to_string());
        let Some(left_out) = self.endpoint.quiet.allows(&format!("{host} {text}"), Instant::now()) else { return };
        let remedy = remedy::of_rejected(error);
        match shown.map(ShownNames::of) {
            None => {
                tracing::warn!(remote_addr = remote, server_name, error = %text, remedy, left_out, "rejected connection on {endpoint} endpoint");
            }
            Some(ShownNames { ip_addresses, dns_names }) => {
                tracing::warn!(
                    remote_addr = remote,
                    server_name,
                    ip_addresses = ?ip_addresses,
                    dns_names = ?dns_names,
                    error = %text,
                    remedy,
                    left_out,
                    "rejected connection on {endpoint} endpoint"
                );
            }
        }
    }
}
