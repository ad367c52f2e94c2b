//! The limits of one connection.

use std::time::Duration;

/// Bounds of one HTTP connection. A client that exceeds one is answered (429, 408, 431) or
/// disconnected; it never makes the server grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From accepting the connection to the end of its first request's headers; then the connection
    /// is closed.
    pub header_timeout: Duration,
    /// Between requests, including the headers of the next one. etcd's ReadHeaderTimeout is as
    /// long, and there it is the only bound.
    pub idle_timeout: Duration,
    /// From the first byte of a JSON request message to its last; a stream may be idle between
    /// messages for as long as it likes.
    pub body_timeout: Duration,
    /// Bytes of request line and headers together; more is answered with 431.
    pub header_bytes_max: usize,
    /// Bytes of one request message as gRPC carries it; more is answered with 429, as by etcd.
    pub message_bytes_max: usize,
    /// Bytes of the JSON text of one message; more is answered likewise. etcd has no bound here.
    pub text_bytes_max: usize,
}

/// Bytes of a request beyond `--max-request-bytes` in its envelope (etcd's grpcOverheadBytes).
const OVERHEAD_BYTES: usize = 512 * 1024;

impl Limits {
    /// Bytes of text for a byte of message: base64 needs four thirds, names of fields more.
    const TEXT_FACTOR: usize = 4;

    /// The limits that go with `--max-request-bytes`.
    pub fn for_request_bytes(request_bytes_max: usize) -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            body_timeout: Duration::from_secs(30),
            header_bytes_max: 64 * 1024,
            message_bytes_max: request_bytes_max.saturating_add(OVERHEAD_BYTES),
            text_bytes_max: request_bytes_max.saturating_add(OVERHEAD_BYTES).saturating_mul(Self::TEXT_FACTOR),
        }
    }
}
