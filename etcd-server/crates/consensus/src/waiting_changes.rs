//! Configuration changes that wait until the one before them is applied.
//!
//! raft-rs replaces a change that is proposed while another one is pending with an empty entry, and
//! its client waits in vain. Until an applied change is known to be applied here, the leader keeps
//! those that arrive, its own clients' and forwarded ones alike, and proposes them one after the
//! other.

use bytes::Bytes;
use std::collections::VecDeque;

/// Changes that wait at most. Membership changes come one at a time from an operator or a
/// controller; more are refused.
const CHANGES_MAX: usize = 64;

/// A bounded queue of encoded `raftpb.ConfChange` with the tick at which each one expires.
#[derive(Debug, Default)]
pub(crate) struct WaitingChanges(VecDeque<(u64, Bytes)>);

impl WaitingChanges {
    /// Appends a change that is proposed by the tick `deadline` or not at all. Returns `false` if
    /// the queue is full.
    #[must_use]
    pub(crate) fn push(&mut self, change: Bytes, deadline: u64) -> bool {
        let has_room = self.0.len() < CHANGES_MAX;
        if has_room {
            self.0.push_back((deadline, change));
        }
        has_room
    }

    /// Removes and returns the first change that has not expired at tick `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Bytes> {
        self.0.retain(|(deadline, _)| *deadline >= now);
        self.0.pop_front().map(|(_, change)| change)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_bounded_ordered_and_expire() {
        let mut waiting = WaitingChanges::default();
        let change = |number: usize| Bytes::from(number.to_string());
        for number in 0..CHANGES_MAX {
            assert!(waiting.push(change(number), if number == 0 { 5 } else { 10 }));
        }
        assert!(!waiting.push(change(CHANGES_MAX), 10), "the queue is full");
        assert_eq!(waiting.pop(6), Some(change(1)), "the first one has expired");
        assert!(waiting.push(change(CHANGES_MAX), 10));
        assert_eq!(waiting.pop(10), Some(change(2)));
        assert_eq!(waiting.pop(11), None);
        assert!(waiting.is_empty());
    }
}
