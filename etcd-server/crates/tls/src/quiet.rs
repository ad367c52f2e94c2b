//! Rate limit for log lines that any client can cause: so many in a second, then the number of the
//! omitted ones.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

const LINES_MAX: u32 = 10;
const SPAN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Quiet {
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        Self { inside: Mutex::new(Inside { since: Instant::now(), lines: 0, left_out: 0 }) }
    }

    /// Returns the number of lines omitted since the last one. `None` if no line may be written
    /// now.
    pub(crate) fn allows(&self, now: Instant) -> Option<u64> {
        let mut inside = self.inside.lock();
        if now.duration_since(inside.since) >= SPAN {
            (inside.since, inside.lines) = (now, 0);
        }
        if inside.lines == LINES_MAX {
            inside.left_out += 1;
            return None;
        }
        inside.lines += 1;
        Some(std::mem::take(&mut inside.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let quiet = Quiet::new();
        let now = Instant::now();
        let written = (0..25).filter(|_| quiet.allows(now).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(quiet.allows(now + SPAN), Some(15));
    }
}
