//! Log lines that another server can cause with every request: one a minute for each text.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time between two lines with the same text.
const INTERVAL: Duration = Duration::from_secs(60);
/// Texts that are remembered. When there are more, all are forgotten: texts contain identifiers
/// that a remote server chooses.
const TEXTS_MAX: usize = 64;

/// The texts that were logged lately.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<BTreeMap<String, Instant>>);

impl LogLimit {
    /// Returns `true` if `text` was not logged within the last minute, and notes that it is logged
    /// now.
    pub(crate) fn allows(&self, text: &str, now: Instant) -> bool {
        let mut logged = self.0.lock();
        if logged.get(text).is_some_and(|last| now.duration_since(*last) < INTERVAL) {
            return false;
        }
        if logged.len() >= TEXTS_MAX {
            logged.clear();
        }
        logged.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_each_text_once_a_minute() {
        let limit = LogLimit::default();
        let now = Instant::now();
        assert!(limit.allows("a", now));
        assert!(!limit.allows("a", now + INTERVAL / 2));
        assert!(limit.allows("b", now), "another text");
        assert!(limit.allows("a", now + INTERVAL));
        for number in 0..1000 {
            limit.allows(&number.to_string(), now);
        }
        assert!(limit.0.lock().len() <= TEXTS_MAX);
    }
}
