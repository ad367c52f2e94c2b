//! The choice of calls that are traced: those of a sampled caller, and a share of those without a
//! caller's trace.

use crate::ids;
use parking_lot::Mutex;
use std::time::Instant;

const PER_MILLION: u64 = 1_000_000;

/// Decides by the trace id, as the samplers of OpenTelemetry do, so that all members of a cluster
/// decide alike for one id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    /// Ids below it are sampled, of 63 bits.
    bound: u64,
}

impl Sampler {
    pub(crate) fn new(rate_per_million: u32) -> Self {
        let rate = u64::from(rate_per_million).min(PER_MILLION);
        let bound = u128::from(rate) * (1 << 63) / u128::from(PER_MILLION);
        Self { bound: u64::try_from(bound).unwrap_or(1 << 63) }
    }

    /// Returns the id of a new trace, or `None` if the call is not traced.
    pub(crate) fn new_trace(self) -> Option<[u8; 16]> {
        if self.bound == 0 {
            return None;
        }
        let lower = ids::random();
        (lower >> 1 < self.bound).then(|| ids::trace_id(lower))
    }
}

/// The cap on spans per second: a caller that samples everything would otherwise decide the cost of
/// tracing here.
#[derive(Debug)]
pub(crate) struct Cap {
    per_second: u32,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    begun: Instant,
    spans: u32,
}

impl Cap {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, second: Mutex::new(Second { begun: Instant::now(), spans: 0 }) }
    }

    /// Returns `true` if one more span may be made at `now`.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        if now.saturating_duration_since(second.begun).as_secs() >= 1 {
            *second = Second { begun: now, spans: 0 };
        }
        second.spans = second.spans.saturating_add(1);
        second.spans <= self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_share_of_traced_calls_is_the_rate() {
        let traced = |rate| (0..100_000).filter(|_| Sampler::new(rate).new_trace().is_some()).count();
        assert_eq!(traced(0), 0);
        assert_eq!(traced(1_000_000), 100_000);
        assert!((700..1_300).contains(&traced(10_000)), "one in a hundred");
        assert!((49_000..51_000).contains(&traced(500_000)), "every second");
    }

    #[test]
    fn spans_above_the_cap_wait_for_the_next_second() {
        let cap = Cap::new(3);
        let now = Instant::now();
        assert_eq!((0..5).filter(|_| cap.allows(now)).count(), 3);
        assert!(!cap.allows(now + Duration::from_millis(900)));
        assert!(cap.allows(now + Duration::from_millis(1_100)));
    }
}
