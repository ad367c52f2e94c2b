//! Entries and the hard state, in our own words: raft-rs' types stay inside this crate.

use bytes::Bytes;
use raft::eraftpb;

/// What an entry's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// An encoded `InternalRaftRequest`; empty when a new leader only marks its term.
    Normal,
    /// An encoded `raftpb.ConfChange`, kinds numbered as etcd does.
    ConfChange,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term of the leader that appended it.
    pub term: u64,
    /// Position in the log, from 1.
    pub index: u64,
    /// What `data` is.
    pub kind: EntryKind,
    /// The payload.
    pub data: Bytes,
}

/// What a member must never forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term seen.
    pub term: u64,
    /// Whom this member voted for in that term; 0 for nobody.
    pub vote: u64,
    /// Entries up to here are known to be committed; may lag behind.
    pub commit: u64,
}

impl Entry {
    pub(crate) fn to_raft(&self) -> eraftpb::Entry {
        let mut entry = eraftpb::Entry::default();
        entry.set_entry_type(match self.kind {
            EntryKind::Normal => eraftpb::EntryType::EntryNormal,
            EntryKind::ConfChange => eraftpb::EntryType::EntryConfChange,
        });
        entry.term = self.term;
        entry.index = self.index;
        entry.data = self.data.clone();
        entry
    }

    /// We and etcd propose single changes only, so the joint form never gets into a log.
    pub(crate) fn from_raft(entry: eraftpb::Entry) -> Self {
        let kind = match entry.get_entry_type() {
            eraftpb::EntryType::EntryNormal => EntryKind::Normal,
            eraftpb::EntryType::EntryConfChange | eraftpb::EntryType::EntryConfChangeV2 => EntryKind::ConfChange,
        };
        Self { term: entry.term, index: entry.index, kind, data: entry.data }
    }
}

impl HardState {
    pub(crate) fn to_raft(self) -> eraftpb::HardState {
        eraftpb::HardState { term: self.term, vote: self.vote, commit: self.commit, ..eraftpb::HardState::default() }
    }

    pub(crate) fn from_raft(hard_state: &eraftpb::HardState) -> Self {
        Self { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit }
    }
}
