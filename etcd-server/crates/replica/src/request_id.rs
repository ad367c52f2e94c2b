//! Ids of requests, unique over members and restarts as etcd's are.

use std::sync::atomic::{AtomicU64, Ordering};
use types::MemberId;

/// The low 16 bits of the member, 40 bits of the start time in milliseconds, and a counter that
/// runs into them.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u64,
    counter: AtomicU64,
}

impl RequestIds {
    /// Starts counting at `unix_milliseconds`.
    pub fn new(member: MemberId, unix_milliseconds: u64) -> Self {
        let counter = (unix_milliseconds & ((1 << 40) - 1)) << 8;
        Self { prefix: member.0 << 48, counter: AtomicU64::new(counter) }
    }

    /// An id that was not given out before.
    pub fn next(&self) -> u64 {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        self.prefix | (counter & ((1 << 48) - 1))
    }
}
