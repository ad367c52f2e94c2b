//! Sockets: binding and accepting.

use crate::connections::Service;
use crate::encryption::Encryption;
use crate::file_limit;
use crate::member::LocalMember;
use crate::passed_sockets::PassedSockets;
use crate::peer_listener::accept_peers;
use crate::tasks::Tasks;
use api::Server;
use config::{Endpoint, Settings, Url};
use peer::Transport;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tls::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

const ACCEPT_PAUSE: Duration = Duration::from_millis(5);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections at a time to a listener that serves metrics and health alone.
const METRICS_CONNECTIONS_MAX: usize = 64;
/// Connections get so long to finish what they are at when the daemon stops.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(2);

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("listen {url}: {source}")]
    Bind { url: String, source: std::io::Error },
    #[error("take the sockets that were passed (LISTEN_FDS): {0}")]
    Passed(std::io::Error),
    #[error("listen {url}: unix sockets are served on paths only, and {path} is taken by something else")]
    NotASocket { url: String, path: String },
}

pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(tokio::net::UnixListener),
}

/// What is served behind a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
    peers: Vec<(Url, Socket)>,
    /// For those whose URL is secure.
    acceptor: Option<Acceptor>,
    /// The same among members.
    peer_acceptor: Option<Acceptor>,
    peer_write_timeout: Duration,
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
    /// Binds every configured address, or takes the socket that was passed for it.
    pub(crate) async fn bind(settings: &Settings, encryption: &Encryption) -> Result<Self, ListenError> {
        let listen = &settings.listen;
        tracing::info!(listen_peer_urls = ?texts(&listen.peer), "configuring peer listeners");
        tracing::info!(listen_client_urls = ?texts(&listen.client), "configuring client listeners");
        let clients = if listen.client_http.is_empty() { Kind::Both } else { Kind::Grpc };
        let wanted = [(clients, &listen.client), (Kind::Http, &listen.client_http), (Kind::Metrics, &listen.metrics)];
        let mut passed = PassedSockets::take().map_err(ListenError::Passed)?;
        let mut sockets = Vec::new();
        for (kind, url) in wanted.into_iter().flat_map(|(kind, urls)| urls.iter().map(move |url| (kind, url))) {
            sockets.push((kind, url.clone(), bind(url, &mut passed).await?));
        }
        let mut peers = Vec::new();
        for url in &listen.peer {
            peers.push((url.clone(), bind(url, &mut passed).await?));
        }
        passed.tell_of_the_rest();
        Ok(Self {
            sockets,
            peers,
            acceptor: encryption.for_clients(),
            peer_acceptor: encryption.for_members(),
            peer_write_timeout: settings.peer.write_timeout,
        })
    }

    /// Serves other members until `stop` turns true.
    pub(crate) fn serve_peers(&mut self, transport: &Transport, stop: &watch::Receiver<bool>) -> Serving {
        let accepting = self.peers.drain(..).map(|(url, socket)| {
            tracing::info!(address = url.as_str(), "serving peer traffic");
            let acceptor = self.peer_acceptor.clone().filter(|_| url.scheme().is_secure());
            tokio::spawn(accept_peers(socket, acceptor, transport.clone(), self.peer_write_timeout, stop.clone()))
        });
        Serving { accepting: accepting.collect() }
    }

    /// Serves until `stop` turns true.
    pub(crate) fn serve(self, settings: &Settings, server: Server, member: Arc<LocalMember>, stop: watch::Receiver<bool>) -> Serving {
        let service = Service::new(settings, server, member, stop);
        let acceptor = self.acceptor;
        let places = Arc::new(Semaphore::new(file_limit::connections_max()));
        let accepting = self.sockets.into_iter().map(|(kind, url, socket)| {
            let acceptor = acceptor.clone().filter(|_| url.scheme().is_secure());
            tell(kind, &url, acceptor.is_some());
            // Those who look at metrics and health find a place whatever clients do.
            let places = if kind == Kind::Metrics { Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX)) } else { Arc::clone(&places) };
            tokio::spawn(accept(service.clone(), kind, socket, acceptor, places))
        });
        Serving { accepting: accepting.collect() }
    }
}

/// URLs as log lines list them.
pub(crate) fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.as_str().to_owned()).collect()
}

/// etcd's lines.
fn tell(kind: Kind, url: &Url, is_secure: bool) {
    let traffic = match kind {
        Kind::Both => "grpc+http",
        Kind::Grpc => "grpc",
        Kind::Http => "http",
        Kind::Metrics => {
            tracing::info!(address = url.as_str(), "serving metrics");
            return;
        }
    };
    let address = url.as_str();
    if is_secure {
        tracing::info!(traffic, address, "serving client traffic securely");
    } else {
        tracing::info!(traffic, address, "serving client traffic insecurely; this is strongly discouraged!");
    }
}

async fn bind(url: &Url, passed: &mut PassedSockets) -> Result<Socket, ListenError> {
    let failed = |source| ListenError::Bind { url: url.as_str().to_owned(), source };
    match url.endpoint() {
        Endpoint::Tcp { host, port } => {
            let host = if host.is_empty() { "0.0.0.0" } else { host.as_str() };
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, *port)).await.map_err(failed)?.collect();
            let socket = match passed.at_address(&addresses) {
                Some(socket) => TcpListener::from_std(socket),
                None => TcpListener::bind(&addresses[..]).await,
            };
            socket.map(Socket::Tcp).map_err(failed)
        }
        Endpoint::Unix(path) => {
            if let Some(socket) = passed.at_path(Path::new(path)) {
                return tokio::net::UnixListener::from_std(socket).map(Socket::Unix).map_err(failed);
            }
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

/// After an accept failed (out of file descriptors, mostly): the listener must survive, without burning a processor. Each failure in a row
/// doubles the pause.
#[derive(Debug)]
pub(crate) struct AcceptPause(Duration);

impl Default for AcceptPause {
    fn default() -> Self {
        Self(ACCEPT_PAUSE)
    }
}

impl AcceptPause {
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(ACCEPT_PAUSE_MAX);
    }
}

/// Accepts until it is told to stop; no failure ends it earlier.
async fn accept(service: Service, kind: Kind, socket: Socket, acceptor: Option<Acceptor>, places: Arc<Semaphore>) {
    let mut stop = service.stop_signal();
    let connections = Tasks::default();
    let mut pause = AcceptPause::default();
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
                pause = AcceptPause::default();
                let (service, acceptor) = (service.clone(), acceptor.clone());
                connections.spawn(async move {
                    Box::pin(service.connection(kind, stream, acceptor)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                pause.wait().await;
            }
        }
    }
    connections.finish().await;
}

/// An accepted connection.
pub(crate) enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

pub(crate) async fn accept_one(socket: &Socket) -> std::io::Result<Stream> {
    match socket {
        Socket::Tcp(listener) => listener.accept().await.map(|(stream, remote)| Stream::Tcp(stream, remote)),
        Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
    }
}
