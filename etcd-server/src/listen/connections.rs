//! Connections: encrypted or plain, gRPC or HTTP/1.1 on the same port, and the identity of the
//! client.

use crate::listen::listeners::{DRAIN_TIME, Kind, Security, Stream};
use crate::member::LocalMember;
use api::{Http2Settings, ObservedRoutes, Server, Web};
use config::{Names, Settings};
use futures::future::BoxFuture;
use gateway::{AllowList, Gateway, Limits, Peer};
use nix::sys::socket::{MsgFlags, recv};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;
use tls::{Acceptor, Protocols};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

/// Bytes of a message beyond the largest request: its envelope.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 512 * 1024;
/// The beginning of every HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// The record type that every TLS connection begins with.
const TLS_HANDSHAKE: u8 = 0x16;
/// Time limit from accepting a connection to knowing its protocol.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of a gRPC request, in bytes.
const HEADER_BYTES_MAX: u32 = 64 << 10;

fn gateway_settings(settings: &Settings) -> gateway::Settings {
    let names = |names: &Names| match names {
        Names::Any => AllowList::new(["*"]),
        Names::Listed(listed) => AllowList::new(listed.iter().cloned()),
    };
    gateway::Settings {
        enable_gateway: settings.http.gateway,
        cors: names(&settings.http.cors_origins),
        host_whitelist: names(&settings.http.host_whitelist),
        client_cert_auth: settings.tls.client.client_cert_auth,
        request_timeout: request_timeout(settings),
        limits: Limits::for_request_bytes(usize::try_from(settings.limits.request_bytes_max).unwrap_or(usize::MAX)),
    }
}

fn request_timeout(settings: &Settings) -> Duration {
    Duration::from_secs(5) + 2 * settings.election.timeout
}

/// Zero leaves it to etcd's gRPC library, which then wants five minutes.
fn client_ping_interval_min(settings: &Settings) -> Duration {
    let configured = settings.listen.keep_alive.min_time;
    if configured.is_zero() { Duration::from_secs(5 * 60) } else { configured }
}

/// The settings of every connection.
struct ConnectionSettings {
    limits: Limits,
    request_timeout: Duration,
    http2: Http2Settings,
    use_h2_library: bool,
    /// `true` if the common name of a client's certificate is its user.
    certificates_name_users: bool,
}

impl ConnectionSettings {
    fn new(settings: &Settings) -> Self {
        Self {
            limits: Limits::for_request_bytes(usize::try_from(settings.limits.request_bytes_max).unwrap_or(usize::MAX)),
            request_timeout: request_timeout(settings),
            http2: Http2Settings {
                streams_max: settings.listen.concurrent_streams_max,
                header_bytes_max: HEADER_BYTES_MAX,
                ping_interval: settings.listen.keep_alive.interval,
                client_ping_interval_min: client_ping_interval_min(settings),
                ping_timeout: settings.listen.keep_alive.timeout.unwrap_or(Duration::from_secs(20)),
            },
            use_h2_library: settings.listen.use_h2_library,
            certificates_name_users: settings.tls.client.client_cert_auth,
        }
    }
}

/// The two ends of a connection; nothing of a unix socket.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

/// Serves connections; cloned for each.
#[derive(Clone)]
pub(crate) struct Service {
    gateway: Gateway<ObservedRoutes>,
    routes: ObservedRoutes,
    server: Server,
    member: Arc<LocalMember>,
    settings: Arc<ConnectionSettings>,
    stop: watch::Receiver<bool>,
    /// `true` when calls that continue after `stop` are to end.
    end: watch::Receiver<bool>,
    /// Turns true when the member can serve calls. Before, only the pages about the member itself
    /// are served.
    ready: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(
        settings: &Settings,
        server: Server,
        member: Arc<LocalMember>,
        stop: watch::Receiver<bool>,
        ready: watch::Receiver<bool>,
    ) -> Self {
        let routes = server.routes();
        let end = after(stop.clone(), DRAIN_TIME / 2);
        let gateway = Gateway::new(routes.clone(), member.clone(), gateway_settings(settings));
        let gateway = gateway.ended_by(end.clone()).held_until(ready.clone());
        Self {
            gateway,
            routes,
            server,
            member,
            settings: Arc::new(ConnectionSettings::new(settings)),
            stop,
            end,
            ready,
        }
    }

    /// Turns true when the daemon stops.
    pub(crate) fn stop_signal(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Serves one connection to its end.
    pub(crate) async fn connection(self, kind: Kind, stream: Stream, security: Security) {
        let outcome = match stream {
            Stream::Tcp(stream, remote) => {
                // Small answers must not wait for more to say.
                drop(stream.set_nodelay(true));
                let ends = Ends { remote: Some(remote), local: stream.local_addr().ok() };
                self.stream(kind, stream, ends, security).await
            }
            Stream::Unix(stream) => self.stream(kind, stream, Ends::default(), security).await,
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn plain(
        self,
        kind: Kind,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ends: Ends,
        http2: std::io::Result<bool>,
    ) -> Result<(), gateway::BoxError> {
        if http2? {
            return self.grpc(stream, ends, None).await;
        }
        self.http(kind, stream, Peer { remote: ends.remote, ..Peer::default() }).await
    }

    /// Serves a connection over TLS: its client has shown the demanded certificate, or does not get
    /// here.
    async fn secure(
        self,
        kind: Kind,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ends: Ends,
        acceptor: Acceptor,
    ) -> Result<(), gateway::BoxError> {
        let remote = ends.remote;
        let protocols = match kind {
            Kind::Both => Protocols::Both,
            Kind::Grpc => Protocols::Http2,
            Kind::Http | Kind::Metrics => Protocols::Http1,
        };
        // Logged and counted by the acceptor.
        let Ok(mut accepted) = acceptor.accept(stream, remote, protocols).await else { return Ok(()) };
        let common_name = accepted.identity.and_then(|identity| identity.common_name);
        let peer = Peer { remote, tls: true, common_name: common_name.clone() };
        let served = async {
            if !accepted.is_http2 && kind != Kind::Grpc {
                return self.http(kind, accepted.stream, peer).await;
            }
            let web = (kind == Kind::Both).then(|| web(&self.gateway, &peer));
            self.known_as(common_name.as_deref()).grpc(accepted.stream, ends, web).await
        };
        tokio::select! {
            ended = served => ended,
            () = accepted.connection.trust_is_lost() => {
                tracing::info!(remote_addr = ?remote, common_name, "connection ended: its certificate is not trusted any more");
                Ok(())
            }
        }
    }

    /// The services as the bearer of a certificate calls them. JSON requests never come this way:
    /// theirs is the gateway's own connection.
    fn known_as(self, common_name: Option<&str>) -> Self {
        match common_name.filter(|name| self.settings.certificates_name_users && !name.is_empty()) {
            Some(name) => {
                let server = self.server.certified_as(name);
                Self { routes: server.routes(), server, ..self }
            }
            None => self,
        }
    }

    async fn stream<S>(self, kind: Kind, stream: S, ends: Ends, security: Security) -> Result<(), gateway::BoxError>
    where
        S: Peek + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let acceptor = match security {
            Security::Plain => None,
            Security::Tls(acceptor) => Some(acceptor),
            Security::Either(acceptor) => begins_as_tls(&stream).await?.then_some(acceptor),
        };
        match acceptor {
            Some(acceptor) => Box::pin(self.secure(kind, stream, ends, acceptor)).await,
            None => {
                let http2 = kind.speaks_http2(&stream).await;
                self.plain(kind, stream, ends, http2).await
            }
        }
    }

    async fn grpc(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        ends: Ends,
        web: Option<Web>,
    ) -> Result<(), gateway::BoxError> {
        tokio::select! {
            () = turned(self.ready) => {}
            () = turned(self.stop.clone()) => return Ok(()),
        }
        let (stopped, ending) = (turned(self.stop), turned(self.end.clone()));
        let routes = self.routes.for_connection(ends.remote, ends.local);
        let Self { server, settings, end, .. } = self;
        let http2 = settings.http2;
        // On the heap, once for a connection: it is large.
        let served: BoxFuture<'_, Result<(), gateway::BoxError>> = if settings.use_h2_library {
            let served = api::serve_h2_connection(stream, server, routes, web, http2, stopped, ending);
            Box::pin(async { Ok(served.await?) })
        } else {
            let served = api::serve_connection(stream, server, routes, web, http2, stopped, ending);
            Box::pin(async { Ok(served.await?) })
        };
        tokio::select! {
            ended = served => ended,
            () = cut(end) => Ok(()),
        }
    }

    async fn http(
        self,
        kind: Kind,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) -> Result<(), gateway::BoxError> {
        let (stopped, end) = (turned(self.stop.clone()), self.end.clone());
        let served = async {
            if kind == Kind::Metrics {
                let Self { member, settings, .. } = &self;
                gateway::serve_metrics_connection(
                    stream,
                    member.clone(),
                    settings.limits,
                    settings.request_timeout,
                    stopped,
                )
                .await
            } else {
                gateway::serve_connection(stream, self.gateway.clone(), peer, stopped).await
            }
        };
        tokio::select! {
            ended = served => ended,
            () = cut(end) => Ok(()),
        }
    }
}

/// Returns once the signal is given.
async fn turned(mut signal: watch::Receiver<bool>) {
    // The sender goes only with the process.
    drop(signal.wait_for(|given| *given).await);
}

/// Returns once a client that does not take its last frames is to be disconnected.
async fn cut(end: watch::Receiver<bool>) {
    turned(end).await;
    tokio::time::sleep(DRAIN_TIME / 4).await;
}

/// A signal that is given some time after another.
fn after(signal: watch::Receiver<bool>, time: Duration) -> watch::Receiver<bool> {
    let (later_tx, later) = watch::channel(false);
    tokio::spawn(async move {
        turned(signal).await;
        tokio::time::sleep(time).await;
        later_tx.send_replace(true);
        // Receivers are to see the value, not the end of the channel.
        later_tx.closed().await;
    });
    later
}

/// Returns the handler of plain requests over HTTP/2.
fn web(gateway: &Gateway<ObservedRoutes>, peer: &Peer) -> Web {
    let (gateway, peer) = (gateway.clone(), peer.clone());
    Arc::new(move |request| {
        let response = gateway.clone().handle(peer.clone(), request);
        Box::pin(async move { response.await.map(tonic::body::Body::new) })
    })
}

impl Kind {
    /// Returns `true` for HTTP/2, by the first bytes where both protocols are served.
    async fn speaks_http2(self, stream: &impl Peek) -> std::io::Result<bool> {
        match self {
            Self::Both => tokio::time::timeout(FIRST_BYTES_TIMEOUT, begins_as_http2(stream)).await.unwrap_or(Ok(false)),
            Self::Grpc => Ok(true),
            Self::Http | Self::Metrics => Ok(false),
        }
    }
}

/// Returns `true` if the first byte begins a TLS handshake. A connection that says nothing is no
/// different from one that is closed.
async fn begins_as_tls(stream: &impl Peek) -> std::io::Result<bool> {
    let mut first = [0];
    let seen = tokio::time::timeout(FIRST_BYTES_TIMEOUT, stream.look(&mut first)).await.unwrap_or(Ok(0))?;
    Ok(seen == 1 && first == [TLS_HANDSHAKE])
}

async fn begins_as_http2(stream: &impl Peek) -> std::io::Result<bool> {
    let mut first = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.look(&mut first).await?;
        if seen == 0 || !HTTP2_PREFACE.starts_with(&first[..seen]) {
            return Ok(false);
        }
        if seen == first.len() {
            return Ok(true);
        }
        // Looking again at once would find the same bytes.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A socket whose first bytes can be looked at without taking them.
trait Peek: Sync {
    fn look(&self, first: &mut [u8]) -> impl Future<Output = std::io::Result<usize>> + Send;
}

impl Peek for TcpStream {
    async fn look(&self, first: &mut [u8]) -> std::io::Result<usize> {
        self.peek(first).await
    }
}

impl Peek for UnixStream {
    async fn look(&self, first: &mut [u8]) -> std::io::Result<usize> {
        self.async_io(Interest::READABLE, || Ok(recv(self.as_raw_fd(), first, MsgFlags::MSG_PEEK)?)).await
    }
}
