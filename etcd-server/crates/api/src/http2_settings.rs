//! The settings of HTTP/2 connections, of either implementation.

use std::time::Duration;

/// From accepting a connection to the end of its HTTP/2 handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes a stream, and a connection, may send before it has to wait for us.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 512 << 10;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// The settings of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct Http2Settings {
    /// Streams open at a time.
    pub streams_max: u32,
    /// Headers of one request, in bytes.
    pub header_bytes_max: u32,
    /// After so long without a sign of life the client is asked for one.
    pub ping_interval: Option<Duration>,
    /// Time limit of the response to a ping.
    pub ping_timeout: Duration,
    /// A client that pings more often is sent away.
    pub client_ping_interval_min: Duration,
}
