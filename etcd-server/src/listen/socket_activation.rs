//! Sockets that systemd has bound before it started this process (socket activation): a port is
//! never closed between two runs.

use listenfd::ListenFd;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The passed sockets that were not taken yet.
#[derive(Debug, Default)]
pub(crate) struct PassedSockets {
    tcp: Vec<std::net::TcpListener>,
    unix: Vec<std::os::unix::net::UnixListener>,
    taken_paths: Vec<PathBuf>,
}

impl PassedSockets {
    /// Takes all of them out of the environment.
    pub(crate) fn take() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            // A request for the wrong kind fails and leaves the socket where it is.
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                socket.set_nonblocking(true)?;
                sockets.tcp.push(socket);
            } else if let Some(socket) = passed.take_unix_listener(index)? {
                socket.set_nonblocking(true)?;
                sockets.unix.push(socket);
            }
        }
        Ok(sockets)
    }

    /// The socket that is bound to one of these addresses.
    pub(crate) fn at_address(&mut self, addresses: &[SocketAddr]) -> Option<std::net::TcpListener> {
        let is_at = |socket: &std::net::TcpListener| socket.local_addr().is_ok_and(|bound| addresses.contains(&bound));
        let found = self.tcp.iter().position(is_at)?;
        Some(self.tcp.swap_remove(found))
    }

    /// The socket that is bound to this path.
    pub(crate) fn at_path(&mut self, path: &Path) -> Option<std::os::unix::net::UnixListener> {
        let is_at = |socket: &std::os::unix::net::UnixListener| {
            socket.local_addr().is_ok_and(|bound| bound.as_pathname() == Some(path))
        };
        let found = self.unix.iter().position(is_at)?;
        self.taken_paths.push(path.to_owned());
        Some(self.unix.swap_remove(found))
    }

    /// The paths of the unix sockets that were taken.
    pub(crate) fn taken_paths(&self) -> &[PathBuf] {
        &self.taken_paths
    }

    /// Logs the sockets that no setting names: their clients would wait for ever.
    pub(crate) fn tell_of_the_rest(self) {
        for socket in &self.tcp {
            tracing::warn!(address = ?socket.local_addr().ok(), "a socket that was passed is not in any --listen setting; it is closed");
        }
        for socket in &self.unix {
            tracing::warn!(address = ?socket.local_addr().ok(), "a socket that was passed is not in any --listen setting; it is closed");
        }
    }
}
