//! The limit on pings of a client, as etcd's gRPC library has it.
//!
//! Rule (grpc-go internal/transport/http2_server.go, handlePing): a ping sooner than the shortest
//! interval after the one before is a strike, and so is one within two hours while no stream is
//! open; the third strike ends the connection; any DATA or HEADERS frame that the server sends
//! resets them.

use std::time::{Duration, Instant};

/// Strikes that are forgiven.
const STRIKES_MAX: u32 = 2;
/// The shortest interval while no stream is open.
const IDLE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// The pings of a client.
#[derive(Debug)]
pub struct PingPolicy {
    interval_min: Duration,
    last_ping: Option<Instant>,
    strikes: u32,
    forgiven: bool,
}

impl PingPolicy {
    /// Permits a ping every `interval_min` while a stream is open.
    #[must_use]
    pub fn new(interval_min: Duration) -> Self {
        Self { interval_min, last_ping: None, strikes: 0, forgiven: false }
    }

    /// Counts a ping. Returns `true` if it is one too many.
    pub fn ping(&mut self, now: Instant, streams_are_open: bool) -> bool {
        let last = self.last_ping.replace(now);
        if std::mem::take(&mut self.forgiven) {
            self.strikes = 0;
            return false;
        }
        let interval_min = if streams_are_open { self.interval_min } else { IDLE_INTERVAL };
        self.strikes += u32::from(last.is_some_and(|last| now.saturating_duration_since(last) < interval_min));
        self.strikes > STRIKES_MAX
    }

    /// Resets the strikes: a DATA or HEADERS frame was sent.
    pub fn forgive(&mut self) {
        self.forgiven = true;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the moment itself does not matter")]
mod tests {
    use super::*;

    fn policy() -> PingPolicy {
        PingPolicy::new(Duration::from_secs(5))
    }

    #[test]
    fn third_ping_too_soon_is_one_too_many() {
        let (mut policy, begin) = (policy(), Instant::now());
        let ends: Vec<bool> = (0..4).map(|second| policy.ping(begin + Duration::from_secs(second), true)).collect();
        assert_eq!(ends, [false, false, false, true]);
    }

    #[test]
    fn frames_that_are_sent_and_slow_pings_are_permitted() {
        let (mut policy, begin) = (policy(), Instant::now());
        for second in 0..20 {
            if second % 3 == 0 {
                policy.forgive();
            }
            assert!(!policy.ping(begin + Duration::from_secs(second), true));
        }
        for ping in 1..20 {
            assert!(!policy.ping(begin + Duration::from_secs(20 + 5 * ping), true));
        }
    }

    #[test]
    fn idle_clients_may_ping_every_other_hour() {
        let (mut policy, begin) = (policy(), Instant::now());
        let ends: Vec<bool> = (0..4).map(|ping| policy.ping(begin + Duration::from_secs(600 * ping), false)).collect();
        assert_eq!(ends, [false, false, false, true]);
    }
}
