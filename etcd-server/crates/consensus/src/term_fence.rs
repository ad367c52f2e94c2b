//! Forwarded proposals that hold for one term only, and once.
//!
//! A follower that forwards a proposal does not learn whether the leader appended it. So that it may
//! propose it again, it fences it: the message names the term of the leader that it is meant for,
//! and has a number. A leader appends a fenced proposal only in that term, and only the first time
//! that the message arrives. So the follower may also send the same message again in that term, should
//! it have been lost on the way.
//!
//! Invariant: a fenced proposal becomes an entry of its own term or of none, and of at most one.
//! All entries of a term come before those of the next one, so a member that has applied an entry
//! of a later term without having met its proposal knows that nobody ever will, and may propose it
//! again. Leaders need not persist anything for that: a leader that restarts is not the leader of
//! its old term any more.
//!
//! The fence is the context of the message, which etcd neither sends nor reads there.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The first byte of an encoded fence.
const FORMAT: u8 = 1;
/// Processes whose messages a leader remembers in its term: each start of a member is one.
const PROCESSES_MAX: usize = 256;
const WORDS: usize = 256;
/// The newest messages of a process that a leader tells apart. One that was lost is sent again
/// within half a second, while others overtake it.
const OVERTAKING_MAX: u64 = 64 * 256;

/// The fence of a message with proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TermFence {
    /// The term that it holds for.
    pub(crate) term: u64,
    /// The process that sent it: another number after each start of the member.
    pub(crate) process: u64,
    /// The number of the message; it grows within a process.
    pub(crate) number: u64,
}

impl TermFence {
    /// Returns the context of a message.
    pub(crate) fn encode(self) -> Bytes {
        let Self { term, process, number } = self;
        let mut context = vec![FORMAT];
        [term, process, number].iter().for_each(|field| context.extend(field.to_be_bytes()));
        context.into()
    }

    /// Reads the context of a message. `None` if it is no fence.
    pub(crate) fn decode(context: &[u8]) -> Option<Self> {
        let fields: &[u8; 24] = context.strip_prefix(&[FORMAT])?.try_into().ok()?;
        let (fields, _) = fields.as_chunks::<8>();
        let [term, process, number] = [0, 1, 2].map(|field: usize| u64::from_be_bytes(fields[field]));
        Some(Self { term, process, number })
    }
}

/// The fenced messages that a leader has taken in its term.
#[derive(Debug, Default)]
pub(crate) struct TakenMessages {
    term: u64,
    processes: BTreeMap<(u64, u64), Taken>,
    /// In the order of their last messages: a process that runs is never forgotten for one that has
    /// ended.
    order: VecDeque<(u64, u64)>,
}

impl TakenMessages {
    /// Returns `true` if this message of `sender` was not taken in its term.
    pub(crate) fn is_new(&self, sender: u64, fence: TermFence) -> bool {
        let taken = self.processes.get(&(sender, fence.process)).filter(|_| self.term == fence.term);
        taken.is_none_or(|taken| taken.is_new(fence.number))
    }

    /// Records that a message of `sender` was taken.
    pub(crate) fn insert(&mut self, sender: u64, fence: TermFence) {
        if self.term != fence.term {
            *self = Self { term: fence.term, ..Self::default() };
        }
        let process = (sender, fence.process);
        if self.order.back() != Some(&process) {
            if self.processes.contains_key(&process) {
                self.order.retain(|known| *known != process);
            } else if self.order.len() == PROCESSES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.processes.remove(&oldest);
            }
            self.order.push_back(process);
        }
        self.processes.entry(process).or_default().insert(fence.number);
        assert!(
            self.processes.len() == self.order.len(),
            "{} processes are known, and {} in order",
            self.processes.len(),
            self.order.len()
        );
        assert!(self.order.len() <= PROCESSES_MAX, "{} processes are remembered", self.order.len());
    }
}

/// The messages of one process: the newest, and which of those before it.
#[derive(Debug)]
struct Taken {
    newest: u64,
    /// A bit per message, at its number modulo [`OVERTAKING_MAX`].
    bits: Box<[u64; WORDS]>,
}

impl Default for Taken {
    fn default() -> Self {
        Self { newest: 0, bits: Box::new([0; WORDS]) }
    }
}

impl Taken {
    /// A message so old that it is not remembered is none that overtaking explains: not new.
    fn is_new(&self, number: u64) -> bool {
        let remembered = number + OVERTAKING_MAX > self.newest;
        number > self.newest || (remembered && !self.has(number))
    }

    fn insert(&mut self, number: u64) {
        if number > self.newest {
            let passed = (number - self.newest).min(OVERTAKING_MAX);
            (0..passed).for_each(|back| self.set(number - back, false));
            self.newest = number;
        }
        self.set(number, true);
    }

    fn place(number: u64) -> (usize, u64) {
        let position = number % OVERTAKING_MAX;
        (usize::try_from(position / 64).unwrap_or(0), 1 << (position % 64))
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, number: u64, taken: bool) {
        let (word, bit) = Self::place(number);
        if taken {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(term: u64, process: u64, number: u64) -> TermFence {
        TermFence { term, process, number }
    }

    #[test]
    fn fences_are_read_as_they_were_written() {
        let written = fence(3, u64::MAX, 9);
        assert_eq!(TermFence::decode(&written.encode()), Some(written));
        for context in [&b""[..], b"\x01", &[1; 24], &[1; 26], &[2; 25]] {
            assert_eq!(TermFence::decode(context), None, "{context:?}");
        }
    }

    #[test]
    fn each_message_is_new_once() {
        let mut taken = TakenMessages::default();
        // In order, overtaken within the limit, and far ahead.
        for number in [1, 2, 5, 3, 4, 16_000, 16_003, 16_002, 80_000, 64_000] {
            assert!(taken.is_new(7, fence(1, 1, number)), "{number}");
            taken.insert(7, fence(1, 1, number));
            assert!(!taken.is_new(7, fence(1, 1, number)), "{number}");
        }
        for number in [1, 2, 3, 4, 5, 16_000, 16_002, 16_003, 64_000, 80_000] {
            assert!(!taken.is_new(7, fence(1, 1, number)), "{number}");
        }
        assert!(!taken.is_new(7, fence(1, 1, 80_000 - OVERTAKING_MAX)), "too old to be told apart");
        assert!(taken.is_new(7, fence(1, 1, 64_001)));
    }

    #[test]
    fn members_processes_and_terms_have_their_own_numbers() {
        let mut taken = TakenMessages::default();
        taken.insert(7, fence(1, 1, 1));
        for (sender, other) in [(8, fence(1, 1, 1)), (7, fence(1, 2, 1)), (7, fence(2, 1, 1))] {
            assert!(taken.is_new(sender, other));
            taken.insert(sender, other);
            assert!(!taken.is_new(sender, other));
        }
        // Another term has begun, and the messages of the old one are forgotten with it.
        assert_eq!(taken.processes.len(), 1);
    }

    #[test]
    fn the_process_that_is_silent_longest_is_forgotten() {
        let mut taken = TakenMessages::default();
        for process in 0..=256 {
            taken.insert(7, fence(1, process, 1));
            taken.insert(8, fence(1, 1, process));
        }
        assert!(!taken.is_new(8, fence(1, 1, 0)), "it was the first, and goes on");
        for process in 257..=513 {
            taken.insert(7, fence(1, process, 1));
        }
        assert!(taken.is_new(8, fence(1, 1, 256)));
        assert_eq!((taken.processes.len(), taken.order.len()), (PROCESSES_MAX, PROCESSES_MAX));
        assert!(taken.is_new(7, fence(1, 257, 1)) && !taken.is_new(7, fence(1, 258, 1)));
    }
}
