//! Counts of things that are under way at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter of operations of one kind in progress. Cloning it gives another handle on the same
/// counter.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Begun(UnderWay);

impl UnderWay {
    /// Counts one more, until the returned value is dropped.
    #[must_use]
    pub fn begin(&self) -> Begun {
        self.0.fetch_add(1, Ordering::Relaxed);
        Begun(self.clone())
    }

    /// Returns the present number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
