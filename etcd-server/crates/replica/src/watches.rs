//! Watches of this member: the way from apply and from clients' streams to the thread that owns the
//! hub, and back.
//!
//! ```text
//! apply ──(changes, bounded)──▶ inbox ──▶ watch thread: hub ──(responses)──▶ outlet of a stream ──▶ its client's socket
//! streams ──(requests)─────────▶                 ▲──────────(sent bytes)───────────┘
//! ```
//! It lives here, beside apply and not with the services, because apply feeds it, because it reads
//! the store, and because its faults end the member as those of the other threads do. The services
//! check the permissions of a stream.

mod response_queue;
mod stream;
mod task;
mod watch_queue;

pub use stream::{WatchRequests, WatchResponses};
pub(crate) use task::WatchTask;
pub(crate) use watch_queue::WatchQueue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watch::StreamId;

/// The numbers of streams, watchers and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchFigures {
    /// Streams that are open.
    pub streams: usize,
    /// Watchers in them.
    pub watchers: usize,
    /// Those of the watchers that are behind.
    pub unsynced_watchers: usize,
    /// Events that wait to be sent.
    pub pending_events: usize,
}

/// The source of watch streams.
#[derive(Debug)]
pub struct Watches {
    watch_queue: Arc<WatchQueue>,
    next_stream: AtomicU64,
}

impl Watches {
    pub(crate) fn new(watch_queue: Arc<WatchQueue>) -> Self {
        Self { watch_queue, next_stream: AtomicU64::new(0) }
    }

    /// Opens a stream: its client's requests go in by the first half, responses come out of the
    /// second. The stream ends when the second is dropped. `progress_interval` is the server's
    /// interval with this stream's jitter.
    pub fn open(&self, progress_interval: Duration) -> (WatchRequests, WatchResponses) {
        let id = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        stream::open(id, progress_interval, &self.watch_queue)
    }

    /// Returns the present numbers of streams, watchers and events.
    pub fn figures(&self) -> WatchFigures {
        let figures = &self.watch_queue.figures;
        WatchFigures {
            streams: figures.streams.load(Ordering::Relaxed),
            watchers: figures.watchers.load(Ordering::Relaxed),
            unsynced_watchers: figures.unsynced_watchers.load(Ordering::Relaxed),
            pending_events: figures.pending_events.load(Ordering::Relaxed),
        }
    }
}
