//! How much of other members' messages may wait for the node thread.

use prost::Message as _;
use proto::raftpb::Message;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages that may wait (etcd keeps as many per peer).
const MESSAGES_MAX: usize = 8192;
/// Bytes that may wait, beside the one message that is always let in.
const BYTES_MAX: usize = 128 << 20;

/// Counts what waits. What does not fit is dropped, which raft allows: it is sent again.
#[derive(Debug, Default)]
pub(crate) struct Inlet {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Inlet {
    /// What `message` counts from now on, in bytes, if it may wait.
    pub(crate) fn enter(&self, message: &Message) -> Option<usize> {
        let length = message.encoded_len();
        let (messages, bytes) = (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        if messages >= MESSAGES_MAX || (messages > 0 && bytes.saturating_add(length) > BYTES_MAX) {
            return None;
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        Some(length)
    }

    /// A message that counted so much no longer waits.
    pub(crate) fn leave(&self, bytes: usize) {
        self.messages.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
