//! Connections of other members: encrypted by the scheme of the URL that they came by.

use crate::host::file_limit;
use crate::listen::listeners::{AcceptPause, Socket, Stream, accept_one};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use peer::Transport;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tls::{Acceptor, Protocols};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Accepts until the stop signal; no failure ends it earlier.
pub(crate) async fn accept_peers(
    socket: Socket,
    acceptor: Option<Acceptor>,
    transport: Transport,
    write_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = tokio::task::JoinSet::new();
    let mut pause = AcceptPause::default();
    let connections_max = file_limit::peer_connections_max();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&socket), if connections.len() < connections_max => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                pause = AcceptPause::default();
                connections.spawn(connection(stream, acceptor.clone(), transport.clone(), write_timeout));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection of a peer");
                pause.wait().await;
            }
        }
    }
    // Streams never end by themselves.
    connections.shutdown().await;
}

/// Limits writes: a connection whose other side takes nothing for so long is broken; its streams
/// are opened again by the other side.
fn limit_writes(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(stream, TcpUserTimeout, &milliseconds)?)
}

async fn connection(stream: Stream, acceptor: Option<Acceptor>, transport: Transport, write_timeout: Duration) {
    match stream {
        Stream::Tcp(stream, remote) => {
            if let Err(error) = stream.set_nodelay(true).and_then(|()| limit_writes(&stream, write_timeout)) {
                tracing::debug!(%error, "a connection of a peer was gone before it was served");
                return;
            }
            serve(stream, Some(remote), acceptor, transport).await;
        }
        Stream::Unix(stream) => serve(stream, None, acceptor, transport).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: Option<SocketAddr>,
    acceptor: Option<Acceptor>,
    transport: Transport,
) {
    let from = remote.map(|remote| remote.ip());
    let served = match acceptor {
        None => peer::serve(stream, from, transport).await,
        Some(acceptor) => {
            // Logged and counted by the acceptor.
            let Ok(mut accepted) = acceptor.accept(stream, remote, Protocols::Http1).await else { return };
            tokio::select! {
                ended = peer::serve(accepted.stream, from, transport) => ended,
                () = accepted.connection.trust_is_lost() => {
                    tracing::warn!(remote_addr = ?remote, "connection of a peer ended: its certificate is not trusted any more");
                    return;
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection of a peer ended");
    }
}
