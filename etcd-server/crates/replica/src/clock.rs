//! This process' monotonic time line.

use std::time::Instant;
use types::MonotonicTime;

/// Counts milliseconds from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock {
    /// Now.
    pub fn now(&self) -> MonotonicTime {
        MonotonicTime(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
