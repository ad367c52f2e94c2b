//! The counts of spans: made, sent and dropped.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of spans. `made` is `sent` and `dropped` together, and the spans that still wait for
/// their batch.
#[derive(Debug, Default)]
pub struct Counts {
    made: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    pub(crate) fn add_made(&self, spans: u64) {
        self.made.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, spans: u64) {
        self.sent.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn add_dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Returns the number of spans that ended, or were left out because there were too many.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns the number of spans that a collector accepted.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the number of spans that no collector got.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
