//! The end of the log in memory, as raft reads it.
//!
//! Holds every entry from the oldest one that may still be asked for; what is older is the log on disk's business. Everything raft has
//! handed out for persisting is here at once, which is what raft-rs' asynchronous mode asks for.

use crate::entry::{Entry, HardState};
use raft::eraftpb::{self, ConfState, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error, StorageError, util};
use std::collections::VecDeque;

/// Who votes and who only learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters {
    /// Members that vote, ascending.
    pub voters: Vec<u64>,
    /// Members that receive the log without a vote, ascending.
    pub learners: Vec<u64>,
}

impl Voters {
    pub(crate) fn to_raft(&self) -> ConfState {
        ConfState::from((self.voters.clone(), self.learners.clone()))
    }

    pub(crate) fn from_raft(state: &ConfState) -> Self {
        let mut voters = Self { voters: state.voters.clone(), learners: state.learners.clone() };
        voters.voters.sort_unstable();
        voters.learners.sort_unstable();
        voters
    }
}

/// What a member finds when it starts.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The hard state as it was last persisted.
    pub hard_state: HardState,
    /// Index of the entry right before the first one in `entries`; 0 when the log is whole.
    pub before_index: u64,
    /// Its term.
    pub before_term: u64,
    /// The entries, without a gap.
    pub entries: Vec<Entry>,
    /// The configuration at the applied index.
    pub voters: Voters,
}

pub(crate) struct Tail {
    hard_state: HardState,
    voters: Voters,
    before_index: u64,
    before_term: u64,
    entries: VecDeque<eraftpb::Entry>,
}

impl Tail {
    pub(crate) fn new(recovered: &Recovered) -> Self {
        Self {
            hard_state: recovered.hard_state,
            voters: recovered.voters.clone(),
            before_index: recovered.before_index,
            before_term: recovered.before_term,
            entries: recovered.entries.iter().map(Entry::to_raft).collect(),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.entries.back().map_or(self.before_index, |entry| entry.index)
    }

    /// Appends what raft wants persisted, cutting off what it replaces.
    pub(crate) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        while self.entries.back().is_some_and(|last| last.index >= first.index) {
            self.entries.pop_back();
        }
        self.entries.extend(entries.iter().cloned());
    }

    /// Forgets entries up to and including `index`.
    pub(crate) fn forget(&mut self, index: u64) {
        while let Some(first) = self.entries.front().filter(|first| first.index <= index) {
            (self.before_index, self.before_term) = (first.index, first.term);
            self.entries.pop_front();
        }
    }

    fn position(&self, index: u64) -> Result<usize, Error> {
        if index <= self.before_index {
            return Err(Error::Store(StorageError::Compacted));
        }
        if index > self.last() {
            return Err(Error::Store(StorageError::Unavailable));
        }
        usize::try_from(index - self.before_index - 1).map_err(|_| Error::Store(StorageError::Unavailable))
    }
}

impl Storage for Tail {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.to_raft(), conf_state: self.voters.to_raft() })
    }

    fn entries(&self, low: u64, high: u64, max_size: impl Into<Option<u64>>, _: GetEntriesContext) -> raft::Result<Vec<eraftpb::Entry>> {
        if low >= high {
            return Ok(Vec::new());
        }
        let (first, last) = (self.position(low)?, self.position(high - 1)?);
        let mut entries: Vec<_> = self.entries.range(first..=last).cloned().collect();
        util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.before_index {
            return Ok(self.before_term);
        }
        Ok(self.entries[self.position(index)?].term)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before_index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
