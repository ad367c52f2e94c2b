//! Log lines that any client can cause: one a minute for each cause, and so many in a second in
//! total.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LINES_MAX: u32 = 10;
const SPAN: Duration = Duration::from_secs(1);
/// Time between two lines about the same cause.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// Causes that are remembered. When there are more, all are forgotten: they contain addresses that
/// a client chooses.
const CAUSES_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct Quiet {
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    since: Instant,
    lines: u32,
    left_out: u64,
    logged: BTreeMap<String, Instant>,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        Self { inside: Mutex::new(Inside { since: Instant::now(), lines: 0, left_out: 0, logged: BTreeMap::new() }) }
    }

    /// Returns the number of lines that were left out since the last one, if a line about `cause`
    /// may be written at `now`.
    pub(crate) fn allows(&self, cause: &str, now: Instant) -> Option<u64> {
        let mut inside = self.inside.lock();
        if now.duration_since(inside.since) >= SPAN {
            (inside.since, inside.lines) = (now, 0);
        }
        let is_repeated = inside.logged.get(cause).is_some_and(|last| now.duration_since(*last) < REPEAT_INTERVAL);
        if is_repeated || inside.lines == LINES_MAX {
            inside.left_out += 1;
            return None;
        }
        if inside.logged.len() >= CAUSES_MAX {
            inside.logged.clear();
        }
        inside.logged.insert(cause.to_owned(), now);
        inside.lines += 1;
        Some(std::mem::take(&mut inside.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_counts_lines_of_many_causes() {
        let quiet = Quiet::new();
        let now = Instant::now();
        let written = (0..25).filter(|cause| quiet.allows(&cause.to_string(), now).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(quiet.allows("another", now + SPAN), Some(15));
    }

    #[test]
    fn writes_one_line_a_minute_for_one_cause() {
        let quiet = Quiet::new();
        let now = Instant::now();
        // A member tries nine times a second.
        let lines = (0..9 * 120)
            .filter(|attempt| quiet.allows("peer", now + Duration::from_secs(60) * *attempt / (9 * 60)).is_some());
        assert_eq!(lines.count(), 2);
        assert!(quiet.allows("client", now + SPAN).is_some());
    }

    #[test]
    fn remembers_a_bounded_number_of_causes() {
        let quiet = Quiet::new();
        let now = Instant::now();
        for number in 0..10_000 {
            quiet.allows(&number.to_string(), now + SPAN * number);
        }
        assert!(quiet.inside.lock().logged.len() <= CAUSES_MAX);
    }
}
