//! Sockets: binding, accepting, and telling gRPC from HTTP/1.1 on the same port.

use crate::file_limit;
use crate::member::LocalMember;
use crate::tasks::Tasks;
use api::{Http2Settings, ObservedRoutes, Server};
use config::{Endpoint, Names, Settings, Url};
use gateway::{AllowList, Gateway, Limits, Peer};
use peer::Transport;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// What a message may hold beyond the largest request: its envelope.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 512 * 1024;
/// How every HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// From accepting a connection to knowing what it speaks.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept failed (out of file descriptors, mostly): the listener must survive, without burning a processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Headers of a gRPC request, in bytes.
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// Connections get so long to finish what they are at when the daemon stops.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("listen {url}: {source}")]
    Bind { url: String, source: std::io::Error },
    #[error("listen {url}: unix sockets are served on paths only, and {path} is taken by something else")]
    NotASocket { url: String, path: String },
}

enum Socket {
    Tcp(TcpListener),
    Unix(tokio::net::UnixListener),
}

/// What is served behind a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// gRPC and HTTP, told apart by the first bytes.
    Both,
    /// gRPC alone, because HTTP has addresses of its own.
    Grpc,
    /// HTTP alone.
    Http,
    /// Metrics and health alone.
    Metrics,
}

/// Bound, not yet served.
pub(crate) struct Listeners {
    sockets: Vec<(Kind, Url, Socket)>,
    peers: Vec<Socket>,
}

/// Being served.
pub(crate) struct Serving {
    accepting: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Waits until all connections have ended, within bounds. The stop signal was given before.
    pub(crate) async fn finish(self) {
        for accepting in self.accepting {
            drop(tokio::time::timeout(DRAIN_TIME, accepting).await);
        }
    }
}

impl Listeners {
    /// Binds every configured address.
    pub(crate) async fn bind(settings: &Settings) -> Result<Self, ListenError> {
        let listen = &settings.listen;
        let clients = if listen.client_http.is_empty() { Kind::Both } else { Kind::Grpc };
        let wanted = [(clients, &listen.client), (Kind::Http, &listen.client_http), (Kind::Metrics, &listen.metrics)];
        let mut sockets = Vec::new();
        for (kind, url) in wanted.into_iter().flat_map(|(kind, urls)| urls.iter().map(move |url| (kind, url))) {
            sockets.push((kind, url.clone(), bind(url).await?));
        }
        let mut peers = Vec::new();
        for url in &listen.peer {
            peers.push(bind(url).await?);
        }
        Ok(Self { sockets, peers })
    }

    /// Serves other members until `stop` turns true.
    pub(crate) fn serve_peers(&mut self, transport: &Transport, stop: &watch::Receiver<bool>) -> Serving {
        let accepting = self.peers.drain(..).map(|socket| tokio::spawn(accept_peers(socket, transport.clone(), stop.clone())));
        Serving { accepting: accepting.collect() }
    }

    /// Serves until `stop` turns true.
    pub(crate) fn serve(self, settings: &Settings, server: Server, member: Arc<LocalMember>, stop: watch::Receiver<bool>) -> Serving {
        let routes = server.routes();
        let gateway = Gateway::new(routes.clone(), member.clone(), gateway_settings(settings));
        let service = Service { gateway, routes, server, member, settings: Arc::new(ConnectionSettings::new(settings)), stop };
        let connections = Arc::new(Semaphore::new(file_limit::connections_max()));
        let accepting = self.sockets.into_iter().map(|(kind, url, socket)| {
            if kind != Kind::Metrics {
                tracing::info!(
                    traffic = "grpc+http",
                    address = url.as_str(),
                    "serving client traffic insecurely; this is strongly discouraged!"
                );
            }
            // Those who look at metrics and health find a place whatever clients do.
            let connections = if kind == Kind::Metrics { Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX)) } else { connections.clone() };
            tokio::spawn(service.clone().accept(kind, socket, connections))
        });
        Serving { accepting: accepting.collect() }
    }
}

async fn bind(url: &Url) -> Result<Socket, ListenError> {
    let failed = |source| ListenError::Bind { url: url.as_str().to_owned(), source };
    match url.endpoint() {
        Endpoint::Tcp { host, port } => {
            let host = if host.is_empty() { "0.0.0.0" } else { host.as_str() };
            TcpListener::bind((host, *port)).await.map(Socket::Tcp).map_err(failed)
        }
        Endpoint::Unix(path) => {
            // What an earlier run left behind may go; what is no socket may not.
            match std::fs::symlink_metadata(path) {
                Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
                Ok(_) => return Err(ListenError::NotASocket { url: url.as_str().to_owned(), path: path.display().to_string() }),
                Err(_) => {}
            }
            tokio::net::UnixListener::bind(path).map(Socket::Unix).map_err(failed)
        }
    }
}

fn gateway_settings(settings: &Settings) -> gateway::Settings {
    let names = |names: &Names| match names {
        Names::Any => AllowList::new(["*"]),
        Names::Listed(listed) => AllowList::new(listed.iter().cloned()),
    };
    gateway::Settings {
        enable_gateway: settings.http.gateway,
        cors: names(&settings.http.cors_origins),
        host_whitelist: names(&settings.http.host_whitelist),
        client_cert_auth: false,
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

/// What every connection is served with.
struct ConnectionSettings {
    limits: Limits,
    request_timeout: Duration,
    http2: Http2Settings,
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
        }
    }
}

/// Connections at a time to a listener that serves metrics and health alone.
const METRICS_CONNECTIONS_MAX: usize = 64;

#[derive(Clone)]
struct Service {
    gateway: Gateway<ObservedRoutes>,
    routes: ObservedRoutes,
    server: Server,
    member: Arc<LocalMember>,
    settings: Arc<ConnectionSettings>,
    stop: watch::Receiver<bool>,
}

impl Service {
    async fn accept(self, kind: Kind, socket: Socket, places: Arc<Semaphore>) {
        let mut stop = self.stop.clone();
        let connections = Tasks::default();
        let accept = async || {
            let place = Arc::clone(&places).acquire_owned().await;
            accept_one(&socket).await.map(|stream| (stream, place))
        };
        loop {
            let accepted = tokio::select! {
                accepted = accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, place)) => {
                    let service = self.clone();
                    connections.spawn(async move {
                        service.connection(kind, stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.finish().await;
    }

    async fn connection(self, kind: Kind, stream: Stream) {
        let outcome = match stream {
            Stream::Tcp(stream, remote) => {
                // Small answers must not wait for more to say.
                drop(stream.set_nodelay(true));
                let peer = Peer { remote: Some(remote), ..Peer::default() };
                let http2 = match kind {
                    Kind::Both => tokio::time::timeout(FIRST_BYTES_TIMEOUT, speaks_http2(&stream)).await.unwrap_or(Ok(false)),
                    Kind::Grpc => Ok(true),
                    Kind::Http | Kind::Metrics => Ok(false),
                };
                match http2 {
                    Ok(true) => self.grpc(stream, Some(remote)).await,
                    Ok(false) => self.http(kind, stream, peer).await,
                    Err(_) => return,
                }
            }
            Stream::Unix(stream) => match kind {
                Kind::Both | Kind::Grpc => self.grpc(stream, None).await,
                Kind::Http | Kind::Metrics => self.http(kind, stream, Peer::default()).await,
            },
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn grpc(
        self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        remote: Option<SocketAddr>,
    ) -> Result<(), gateway::BoxError> {
        let (mut stop, mut cut) = (self.stop.clone(), self.stop);
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let served = api::serve_http2(stream, self.server, self.routes.for_remote(remote), self.settings.http2, stopped);
        // Streams that never end by themselves are cut; the client comes back elsewhere.
        let cut = async move {
            drop(cut.wait_for(|stop| *stop).await);
            tokio::time::sleep(DRAIN_TIME / 2).await;
        };
        tokio::select! {
            ended = served => ended.map_err(Into::into),
            () = cut => Ok(()),
        }
    }

    async fn http(
        self,
        kind: Kind,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) -> Result<(), gateway::BoxError> {
        let mut stop = self.stop.clone();
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let served = async {
            if kind == Kind::Metrics {
                let Self { member, settings, .. } = &self;
                gateway::serve_metrics_connection(stream, member.clone(), settings.limits, settings.request_timeout, stopped).await
            } else {
                gateway::serve_connection(stream, self.gateway.clone(), peer, stopped).await
            }
        };
        let mut cut = self.stop.clone();
        tokio::select! {
            ended = served => ended,
            () = async { drop(cut.wait_for(|stop| *stop).await); tokio::time::sleep(DRAIN_TIME / 2).await } => Ok(()),
        }
    }
}

async fn accept_peers(socket: Socket, transport: Transport, mut stop: watch::Receiver<bool>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&socket) => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let transport = transport.clone();
                connections.spawn(async move {
                    let served = match stream {
                        Stream::Tcp(stream, _) => {
                            drop(stream.set_nodelay(true));
                            peer::serve(stream, transport).await
                        }
                        Stream::Unix(stream) => peer::serve(stream, transport).await,
                    };
                    if let Err(error) = served {
                        tracing::debug!(%error, "connection of a peer ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection of a peer");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Streams never end by themselves.
    connections.shutdown().await;
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

async fn accept_one(socket: &Socket) -> std::io::Result<Stream> {
    match socket {
        Socket::Tcp(listener) => listener.accept().await.map(|(stream, remote)| Stream::Tcp(stream, remote)),
        Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
    }
}

/// Looks at the first bytes without taking them.
async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 || !HTTP2_PREFACE.starts_with(&first[..seen]) {
            return Ok(false);
        }
        if seen == first.len() {
            return Ok(true);
        }
        // Peeking again at once would find the same bytes.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
