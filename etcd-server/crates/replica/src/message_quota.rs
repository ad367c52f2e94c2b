//! The quota of other members' messages that wait for the node thread.

use prost::Message as _;
use proto::raftpb::Message;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages that may wait (etcd keeps as many per peer).
const MESSAGES_MAX: usize = 8192;
/// Bytes that may wait, beside the one message that is always let in.
const BYTES_MAX: usize = 128 << 20;

/// A counter of waiting messages. Messages beyond the quota are dropped, which raft allows: they
/// are sent again.
#[derive(Debug, Default)]
pub(crate) struct MessageQuota {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl MessageQuota {
    /// Adds `message` to the quota, and returns its size in bytes. `None` if there is no room.
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
        let messages = self.messages.fetch_sub(1, Ordering::Relaxed);
        assert!(messages > 0, "a message leaves, and none has entered");
        let entered = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(bytes <= entered, "{bytes} bytes leave, and {entered} have entered");
    }
}
