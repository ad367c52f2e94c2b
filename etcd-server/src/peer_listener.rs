//! Connections of other members: encrypted by the scheme of the URL that they came by.

use crate::file_limit;
use crate::listeners::{AcceptPause, Socket, Stream, accept_one};
use peer::Transport;
use std::net::SocketAddr;
use tls::{Acceptor, Protocols};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// Accepts until it is told to stop; no failure ends it earlier.
pub(crate) async fn accept_peers(socket: Socket, acceptor: Option<Acceptor>, transport: Transport, mut stop: watch::Receiver<bool>) {
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
                connections.spawn(connection(stream, acceptor.clone(), transport.clone()));
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

async fn connection(stream: Stream, acceptor: Option<Acceptor>, transport: Transport) {
    match stream {
        Stream::Tcp(stream, remote) => {
            drop(stream.set_nodelay(true));
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
    let served = match acceptor {
        None => peer::serve(stream, transport).await,
        Some(acceptor) => {
            // Told and counted by the acceptor.
            let Ok(mut accepted) = acceptor.accept(stream, remote, Protocols::Http1).await else { return };
            tokio::select! {
                ended = peer::serve(accepted.stream, transport) => ended,
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
