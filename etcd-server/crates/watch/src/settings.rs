//! The bounds that a hub keeps.

/// Bytes that etcd adds to the largest request when it bounds a message
/// (server/etcdserver/api/v3rpc/grpc.go).
const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Bounds on queues and messages, in bytes of encoded answers.
///
/// Memory: `total_bytes_max`, plus for each stream one answer more, because a stream with nothing
/// queued always gets its next answer, so that full queues of others cannot stop it. Bytes shared
/// by several streams count once for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Queued and not yet drained, per stream. A watcher of a stream without room catches up from
    /// the store later.
    pub stream_bytes_max: usize,
    /// Queued and not yet drained, over all streams.
    pub total_bytes_max: usize,
    /// An answer is closed at the end of the revision that brings it here; a larger revision still
    /// travels whole.
    pub response_bytes_max: usize,
    /// Number of watchers of a stream try again at once when it has room. At least one.
    pub retries_at_once: usize,
    /// A watcher that asked for fragments gets messages below this size, or of a single event.
    pub fragment_bytes: usize,
}

impl Settings {
    /// The usual bounds for a server that accepts requests of `request_bytes_max`.
    pub fn for_request_bytes(request_bytes_max: usize) -> Self {
        Self {
            stream_bytes_max: 4 << 20,
            total_bytes_max: 128 << 20,
            response_bytes_max: 256 << 10,
            retries_at_once: 64,
            fragment_bytes: request_bytes_max.saturating_add(GRPC_OVERHEAD_BYTES),
        }
    }

    /// Returns `true` if `bytes` more may be queued for a stream that holds `stream_bytes`, while
    /// all hold `total_bytes`.
    pub(crate) fn has_room(&self, stream_bytes: usize, total_bytes: usize, bytes: usize) -> bool {
        let fits = stream_bytes + bytes <= self.stream_bytes_max && total_bytes + bytes <= self.total_bytes_max;
        stream_bytes == 0 || fits
    }
}
