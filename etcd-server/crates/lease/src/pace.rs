//! A rate: so many per second, with a bounded burst.

use types::Moment;

/// A bucket of permits that refills evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    per_second: u64,
    burst: u64,
    /// Thousandths of a permit, so that a millisecond refills `per_second` of them.
    level: u64,
    refilled: Moment,
}

impl Pace {
    /// Starts with a whole burst.
    pub(crate) fn new(per_second: u64, burst: u64, now: Moment) -> Self {
        Self { per_second, burst, level: burst.saturating_mul(1000), refilled: now }
    }

    /// Permits at hand.
    pub(crate) fn available(&mut self, now: Moment) -> u64 {
        let elapsed = now.0.saturating_sub(self.refilled.0);
        self.refilled = self.refilled.max(now);
        let full = self.burst.saturating_mul(1000);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.per_second)).min(full);
        self.level / 1000
    }

    /// Uses one permit; the caller has seen that there is one.
    pub(crate) fn take(&mut self) {
        self.level = self.level.saturating_sub(1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut pace = Pace::new(10, 3, Moment(0));
        for _ in 0..3 {
            assert!(pace.available(Moment(0)) > 0);
            pace.take();
        }
        assert_eq!([0, 99, 100, 250, 9000].map(|at| pace.available(Moment(at))), [0, 0, 1, 2, 3]);
    }
}
