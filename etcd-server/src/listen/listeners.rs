//! Sockets: binding and accepting.

use crate::host::file_limit;
use crate::listen::connections::Service;
use crate::listen::encryption::Encryption;
use crate::listen::peer_listener::accept_peers;
use crate::listen::socket_activation::PassedSockets;
use crate::member::LocalMember;
use crate::tasks::Tasks;
use api::Server;
use config::{Endpoint, Settings, SocketSettings, Url};
use peer::Transport;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tls::Acceptor;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Connections that wait to be accepted; the system may hold fewer.
const BACKLOG: u32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections at a time to a listener that serves metrics and health alone.
const METRICS_CONNECTIONS_MAX: usize = 64;
/// Time for connections to finish their calls when the daemon stops.
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

/// The services behind a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// gRPC and HTTP, distinguished by the first bytes.
    Both,
    /// gRPC alone, because HTTP has addresses of its own.
    Grpc,
    /// HTTP alone.
    Http,
    /// Metrics and health alone.
    Metrics,
}

/// A socket with the URLs that lead to it: two, where one address is served with and without
/// encryption.
struct Bound {
    urls: Vec<Url>,
    socket: Socket,
}

impl Bound {
    fn security(&self, acceptor: Option<&Acceptor>) -> Security {
        let (secure, plain): (Vec<_>, Vec<_>) = self.urls.iter().partition(|url| url.scheme().is_secure());
        match acceptor.filter(|_| !secure.is_empty()) {
            Some(acceptor) if plain.is_empty() => Security::Tls(acceptor.clone()),
            Some(acceptor) => Security::Either(acceptor.clone()),
            None => Security::Plain,
        }
    }
}

/// The encryption of connections to a socket.
#[derive(Clone)]
pub(crate) enum Security {
    Plain,
    Tls(Acceptor),
    /// Known by the first byte of each.
    Either(Acceptor),
}

/// The files of unix sockets that this process has made.
pub(crate) struct SocketFiles(Vec<PathBuf>);

impl SocketFiles {
    /// Removes them, as etcd does at its end. One that is gone already is no loss.
    pub(crate) fn remove(self) {
        for path in self.0 {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "failed to remove the file of a unix socket");
            }
        }
    }
}

/// Bound, not yet served.
pub(crate) struct Listeners {
    sockets: Vec<(Kind, Bound)>,
    peers: Vec<Bound>,
    peer_urls: Vec<Url>,
    /// Unix sockets that were passed, by path.
    passed: Vec<PathBuf>,
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
            // As in etcd, one address may be given with both schemes.
            let shared = sockets
                .iter_mut()
                .find(|(other, bound): &&mut (Kind, Bound)| *other == kind && is_shared(&bound.urls, url));
            match shared {
                Some((_, bound)) => bound.urls.push(url.clone()),
                None => sockets.push((
                    kind,
                    Bound { urls: vec![url.clone()], socket: bind(url, &listen.socket, &mut passed).await? },
                )),
            }
        }
        let mut peers = Vec::new();
        for url in &listen.peer {
            peers.push(Bound { urls: vec![url.clone()], socket: bind(url, &listen.socket, &mut passed).await? });
        }
        let passed_paths = passed.taken_paths().to_vec();
        passed.tell_of_the_rest();
        Ok(Self {
            peer_urls: listen.peer.clone(),
            passed: passed_paths,
            sockets,
            peers,
            acceptor: encryption.for_clients(),
            peer_acceptor: encryption.for_members(),
            peer_write_timeout: settings.peer.write_timeout,
        })
    }

    /// Serves other members until `stop` turns true.
    pub(crate) fn serve_peers(&mut self, transport: &Transport, stop: &watch::Receiver<bool>) -> Serving {
        let accepting = self.peers.drain(..).map(|bound| {
            for url in &bound.urls {
                tracing::info!(address = url.as_str(), "serving peer traffic");
            }
            let acceptor = self.peer_acceptor.clone().filter(|_| bound.urls.iter().all(|url| url.scheme().is_secure()));
            tokio::spawn(accept_peers(bound.socket, acceptor, transport.clone(), self.peer_write_timeout, stop.clone()))
        });
        Serving { accepting: accepting.collect() }
    }

    /// The files of unix sockets that are served; those of passed sockets belong to the service
    /// manager.
    pub(crate) fn socket_files(&self) -> SocketFiles {
        let bound = self.sockets.iter().map(|(_, bound)| bound).filter(|bound| matches!(bound.socket, Socket::Unix(_)));
        let paths = bound.flat_map(|bound| &bound.urls).chain(&self.peer_urls).filter_map(|url| match url.endpoint() {
            Endpoint::Unix(path) if !self.passed.contains(path) => Some(path.clone()),
            Endpoint::Unix(_) | Endpoint::Tcp { .. } => None,
        });
        SocketFiles(paths.collect())
    }

    /// Returns the addresses at which clients are served.
    pub(crate) fn client_addresses(&self) -> Vec<(Kind, Url)> {
        self.sockets.iter().flat_map(|(kind, bound)| bound.urls.iter().map(move |url| (*kind, url.clone()))).collect()
    }

    /// Serves until `stop` turns true; before `ready` does, only the pages about the member.
    pub(crate) fn serve(
        self,
        settings: &Settings,
        server: Server,
        member: Arc<LocalMember>,
        stop: watch::Receiver<bool>,
        ready: watch::Receiver<bool>,
    ) -> Serving {
        let service = Service::new(settings, server, member, stop, ready);
        let acceptor = self.acceptor;
        let places = Arc::new(Semaphore::new(file_limit::connections_max()));
        let accepting = self.sockets.into_iter().map(|(kind, bound)| {
            let security = bound.security(acceptor.as_ref());
            // Metrics and health checks have places of their own, independent of clients.
            let places = if kind == Kind::Metrics {
                Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX))
            } else {
                Arc::clone(&places)
            };
            tokio::spawn(accept(service.clone(), kind, bound.socket, security, places))
        });
        Serving { accepting: accepting.collect() }
    }
}

/// URLs as log lines list them.
pub(crate) fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.as_str().to_owned()).collect()
}

/// Logs the addresses at which clients are served from now on.
pub(crate) fn log_client_addresses(addresses: &[(Kind, Url)]) {
    addresses.iter().for_each(|(kind, url)| tell(*kind, url, url.scheme().is_secure()));
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

/// Returns `true` if a URL leads to the address of these with another kind of encryption.
fn is_shared(urls: &[Url], url: &Url) -> bool {
    urls.iter().all(|bound| bound.is_same_place(url) && bound.scheme().is_secure() != url.scheme().is_secure())
}

/// Binds one of the addresses of a host, the first that can be bound. Every socket gets
/// SO_REUSEADDR, as in Go.
fn listen_at(addresses: &[SocketAddr], options: &SocketSettings) -> std::io::Result<TcpListener> {
    let mut failed = None;
    for address in addresses {
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.set_reuseport(options.reuse_port)?;
            socket.bind(*address)?;
            socket.listen(BACKLOG)
        };
        match bound() {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| std::io::Error::other("the host has no address")))
}

async fn bind(url: &Url, options: &SocketSettings, passed: &mut PassedSockets) -> Result<Socket, ListenError> {
    let failed = |source| ListenError::Bind { url: url.as_str().to_owned(), source };
    match url.endpoint() {
        Endpoint::Tcp { host, port } => {
            let host = if host.is_empty() { "0.0.0.0" } else { host.as_str() };
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, *port)).await.map_err(failed)?.collect();
            let socket = match passed.at_address(&addresses) {
                Some(socket) => TcpListener::from_std(socket),
                None => listen_at(&addresses, options),
            };
            socket.map(Socket::Tcp).map_err(failed)
        }
        Endpoint::Unix(path) => {
            if let Some(socket) = passed.at_path(Path::new(path)) {
                return tokio::net::UnixListener::from_std(socket).map(Socket::Unix).map_err(failed);
            }
            // A socket of an earlier run may be removed; any other file may not.
            match std::fs::symlink_metadata(path) {
                Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
                Ok(_) => {
                    return Err(ListenError::NotASocket {
                        url: url.as_str().to_owned(),
                        path: path.display().to_string(),
                    });
                }
                Err(_) => {}
            }
            tokio::net::UnixListener::bind(path).map(Socket::Unix).map_err(failed)
        }
    }
}

/// After an accept failed (out of file descriptors, mostly): the listener must survive, without
/// burning a processor. Each failure in a row doubles the pause.
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

/// Accepts until the stop signal; no failure ends it earlier.
async fn accept(service: Service, kind: Kind, socket: Socket, security: Security, places: Arc<Semaphore>) {
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
                let (service, security) = (service.clone(), security.clone());
                connections.spawn(async move {
                    Box::pin(service.connection(kind, stream, security)).await;
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
