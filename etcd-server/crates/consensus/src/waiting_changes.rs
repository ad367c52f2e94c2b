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

/// A bounded queue of configuration changes.
#[derive(Debug, Default)]
pub(crate) struct WaitingChanges(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// An encoded `raftpb.ConfChange`.
    change: Bytes,
    /// The tick at which it expires.
    deadline: u64,
    /// It holds for the present leadership; its proposer proposes it again under the next one.
    fenced: bool,
}

impl WaitingChanges {
    /// Appends a change that is proposed by the tick `deadline` or not at all. Returns `false` if
    /// the queue is full.
    #[must_use]
    pub(crate) fn push(&mut self, change: Bytes, deadline: u64, fenced: bool) -> bool {
        let has_room = self.0.len() < CHANGES_MAX;
        if let Some(last) = self.0.back() {
            assert!(last.deadline <= deadline, "a change expires at {deadline}, the one before at {}", last.deadline);
        }
        if has_room {
            self.0.push_back(Waiting { change, deadline, fenced });
        }
        has_room
    }

    /// Removes and returns the first change that has not expired at tick `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Bytes> {
        self.0.retain(|waiting| waiting.deadline >= now);
        self.0.pop_front().map(|waiting| waiting.change)
    }

    /// Removes those that held for a leadership that has ended.
    pub(crate) fn drop_fenced(&mut self) {
        self.0.retain(|waiting| !waiting.fenced);
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
            assert!(waiting.push(change(number), if number == 0 { 5 } else { 10 }, number > 2));
        }
        assert!(!waiting.push(change(CHANGES_MAX), 10, false), "the queue is full");
        assert_eq!(waiting.pop(6), Some(change(1)), "the first one has expired");
        assert!(waiting.push(change(CHANGES_MAX), 10, false));
        assert_eq!(waiting.pop(10), Some(change(2)));
        waiting.drop_fenced();
        assert_eq!(waiting.pop(10), Some(change(CHANGES_MAX)), "those before it held for a leadership");
        assert_eq!(waiting.pop(11), None);
        assert!(waiting.is_empty());
    }
}
