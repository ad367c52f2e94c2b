//! A rate: so many per second, with a bounded burst.

use types::MonotonicTime;

/// A bucket of permits that refills evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimiter {
    per_second: u64,
    burst: u64,
    /// Thousandths of a permit, so that a millisecond refills `per_second` of them.
    level: u64,
    refilled: MonotonicTime,
}

impl RateLimiter {
    /// Starts with a whole burst.
    pub(crate) fn new(per_second: u64, burst: u64, now: MonotonicTime) -> Self {
        Self { per_second, burst, level: burst.saturating_mul(1000), refilled: now }
    }

    /// Permits at hand.
    pub(crate) fn available(&mut self, now: MonotonicTime) -> u64 {
        let elapsed = now.0.saturating_sub(self.refilled.0);
        self.refilled = self.refilled.max(now);
        let full = self.burst.saturating_mul(1000);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.per_second)).min(full);
        self.level / 1000
    }

    /// Uses one permit; the caller has seen that there is one.
    pub(crate) fn take(&mut self) {
        assert!(self.level >= 1000, "a permit is used, and {} thousandths are left", self.level);
        self.level -= 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut rate_limiter = RateLimiter::new(10, 3, MonotonicTime(0));
        for _ in 0..3 {
            assert!(rate_limiter.available(MonotonicTime(0)) > 0);
            rate_limiter.take();
        }
        assert_eq!([0, 99, 100, 250, 9000].map(|at| rate_limiter.available(MonotonicTime(at))), [0, 0, 1, 2, 3]);
    }
}
