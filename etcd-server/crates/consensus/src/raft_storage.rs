//! The end of the log in memory, as raft reads it.
//!
//! Holds every entry that is not applied and as many behind as [`Keep`] allows; a follower that
//! needs older ones is sent a snapshot. All entries that raft has returned for persisting are here
//! at once, which raft-rs' asynchronous mode requires.

use crate::entry::{self, Entry, HardState};
use bytes::Bytes;
use raft::eraftpb::{self, ConfState, Snapshot, SnapshotMetadata};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error, StorageError, util};
use std::collections::{BTreeMap, VecDeque};

/// The voters and learners of a configuration.
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

/// The bounds of the log in memory behind the applied index, for followers that are close behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Entries at most.
    pub entries: u64,
    /// Bytes of their payloads at most.
    pub bytes: u64,
    /// Bytes at most, instead, while a follower that takes in a snapshot needs them behind it.
    pub bytes_behind_snapshots: u64,
}

impl Keep {
    /// Returns fixed bounds, independent of the followers' needs.
    pub const fn at_most(entries: u64, bytes: u64) -> Self {
        Self { entries, bytes, bytes_behind_snapshots: bytes }
    }
}

/// A snapshot as raft sees it: the state itself is sent and installed by the owner of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMark {
    /// Index of the last entry whose effects are in the state.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The configuration at that index.
    pub voters: Voters,
}

/// The recovered log and state of a member that starts.
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

pub(crate) struct RaftStorage {
    hard_state: HardState,
    voters: Voters,
    before_index: u64,
    before_term: u64,
    entries: VecDeque<eraftpb::Entry>,
    applied: u64,
    /// Payload bytes of the entries up to the applied index.
    applied_bytes: u64,
    /// By member: a snapshot that it may have the beginning of.
    begun: BTreeMap<u64, SnapshotMark>,
    /// The last entry with a request to etcd's v2 store, or 0. Once it is applied, a follower that
    /// would need it is sent a snapshot instead: a member of etcd 3.7 stops when it reads such an
    /// entry.
    last_v2: u64,
}

impl RaftStorage {
    pub(crate) fn new(recovered: &Recovered, applied: u64) -> Self {
        let mut raft_storage = Self {
            hard_state: recovered.hard_state,
            voters: recovered.voters.clone(),
            before_index: recovered.before_index,
            before_term: recovered.before_term,
            entries: recovered.entries.iter().map(Entry::to_raft).collect(),
            applied: recovered.before_index,
            applied_bytes: 0,
            begun: BTreeMap::new(),
            last_v2: 0,
        };
        raft_storage.last_v2 = last_v2(raft_storage.entries.iter()).unwrap_or(0);
        raft_storage.apply(applied);
        raft_storage
    }

    pub(crate) fn before(&self) -> u64 {
        self.before_index
    }

    pub(crate) fn last(&self) -> u64 {
        self.entries.back().map_or(self.before_index, |entry| entry.index)
    }

    /// Configuration changes that are not applied yet, with their indexes.
    pub(crate) fn unapplied_changes(&self) -> impl Iterator<Item = (u64, Bytes)> {
        let unapplied = self.entries.iter().rev().take_while(|entry| entry.index > self.applied);
        let changes = unapplied.filter(|entry| entry.entry_type != eraftpb::EntryType::EntryNormal);
        changes.map(|entry| (entry.index, entry::content(entry.clone()).1))
    }

    /// Appends the entries that raft wants persisted, cutting off those that they replace.
    pub(crate) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        while self.entries.back().is_some_and(|last| last.index >= first.index) {
            self.entries.pop_back();
        }
        let (index, term) = self.entries.back().map_or((self.before_index, self.before_term), |e| (e.index, e.term));
        assert!(first.index == index + 1, "entry {} is appended behind entry {index}", first.index);
        assert!(first.term >= term, "an entry of term {} is appended behind one of {term}", first.term);
        assert!(index >= self.applied, "entries from {} on replace applied ones up to {}", first.index, self.applied);
        self.entries.extend(entries.iter().cloned());
        self.last_v2 = last_v2(entries.iter()).unwrap_or(self.last_v2);
    }

    /// Entries up to `index` are applied.
    pub(crate) fn apply(&mut self, index: u64) {
        for at in self.applied.max(self.before_index) + 1..=index {
            self.applied_bytes += self.position(at).map_or(0, |position| payload_bytes(&self.entries[position]));
        }
        self.applied = self.applied.max(index);
    }

    /// Drops applied entries beyond `keep`, oldest first. Those above `needed` are kept as long as
    /// there is room for them.
    pub(crate) fn forget(&mut self, keep: Keep, needed: u64) {
        let needed = self.begun.values().map(|mark| mark.index).fold(needed, u64::min);
        while let Some(first) = self.entries.front().filter(|first| first.index <= self.applied) {
            let kept = self.applied - self.before_index;
            let is_needed = first.index > needed;
            let bytes_max = if is_needed { keep.bytes_behind_snapshots } else { keep.bytes };
            let is_readable = first.index > self.last_v2;
            if is_readable && (is_needed || kept <= keep.entries) && self.applied_bytes <= bytes_max {
                return;
            }
            (self.before_index, self.before_term) = (first.index, first.term);
            let bytes = payload_bytes(first);
            assert!(
                bytes <= self.applied_bytes,
                "entry {} has {bytes} bytes, and all applied ones {}",
                first.index,
                self.applied_bytes
            );
            self.applied_bytes -= bytes;
            self.entries.pop_front();
        }
    }

    /// Restarts the log behind a snapshot.
    pub(crate) fn reset(&mut self, mark: &SnapshotMark) {
        assert!(mark.index > self.applied, "a snapshot at {} replaces entries up to {}", mark.index, self.applied);
        assert!(!mark.voters.voters.is_empty(), "the snapshot at {} has no voters", mark.index);
        self.entries.clear();
        self.begun.clear();
        (self.before_index, self.before_term, self.applied_bytes) = (mark.index, mark.term, 0);
        self.voters = mark.voters.clone();
    }

    /// Records that `member` may have the beginning of this snapshot, and resumes it when it needs
    /// one; `None` clears the record.
    pub(crate) fn set_begun(&mut self, member: u64, mark: Option<SnapshotMark>) {
        match mark {
            Some(mark) => drop(self.begun.insert(member, mark)),
            None => drop(self.begun.remove(&member)),
        }
    }

    /// The configuration has changed.
    pub(crate) fn set_voters(&mut self, voters: Voters) {
        self.voters = voters;
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

impl Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.to_raft(), conf_state: self.voters.to_raft() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
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

    /// The mark of the state as applied now, or of one that the member has the beginning of, at
    /// once: the owner of the node adds the state itself when it sends it.
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<Snapshot> {
        if self.applied == 0 {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        // Useless without the entries behind it.
        let begun = self.begun.get(&to).filter(|mark| mark.index >= self.before_index);
        let (index, term, voters) = match begun {
            Some(mark) => (mark.index, mark.term, mark.voters.to_raft()),
            None => (self.applied, self.term(self.applied)?, self.voters.to_raft()),
        };
        let mut metadata = SnapshotMetadata { index, term, ..SnapshotMetadata::default() };
        metadata.set_conf_state(voters);
        let mut snapshot = Snapshot::default();
        snapshot.set_metadata(metadata);
        Ok(snapshot)
    }
}

/// Returns the index of the last of `entries` that holds a request to etcd's v2 store.
fn last_v2<'a>(entries: impl DoubleEndedIterator<Item = &'a eraftpb::Entry>) -> Option<u64> {
    let is_v2 = |entry: &&eraftpb::Entry| {
        entry.entry_type == eraftpb::EntryType::EntryNormal && entry::is_v2_request(&entry.data)
    };
    entries.rev().find(is_v2).map(|entry| entry.index)
}

fn payload_bytes(entry: &eraftpb::Entry) -> u64 {
    u64::try_from(entry.data.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryKind;

    fn raft_storage(entries: u64, applied: u64) -> RaftStorage {
        let entries = (1..=entries)
            .map(|index| Entry { term: 1, index, kind: EntryKind::Normal, data: Bytes::from(vec![0; 10]) })
            .collect();
        let voters = Voters { voters: vec![1], learners: Vec::new() };
        RaftStorage::new(&Recovered { entries, voters, ..Recovered::default() }, applied)
    }

    #[test]
    fn only_what_is_applied_is_forgotten_and_no_more_than_has_to() {
        let mut raft_storage = raft_storage(20, 8);
        raft_storage.forget(Keep::at_most(5, 1000), u64::MAX);
        assert_eq!((raft_storage.before_index, raft_storage.last()), (3, 20));
        raft_storage.apply(15);
        raft_storage.forget(Keep::at_most(100, 30), u64::MAX);
        assert_eq!((raft_storage.before_index, raft_storage.applied_bytes), (12, 30));
        raft_storage.forget(Keep::at_most(0, 0), u64::MAX);
        assert_eq!((raft_storage.before_index, raft_storage.applied_bytes), (15, 0));
        assert_eq!(raft_storage.term(15).unwrap(), 1);
    }

    #[test]
    fn what_is_needed_behind_a_snapshot_has_room_of_its_own() {
        let keep = Keep { bytes_behind_snapshots: 150, ..Keep::at_most(5, 60) };
        let mut raft_storage = raft_storage(20, 20);
        raft_storage.forget(keep, 7);
        assert_eq!(raft_storage.before_index, 7);
        raft_storage.forget(Keep { bytes_behind_snapshots: 100, ..keep }, 9);
        assert_eq!(raft_storage.before_index, 10, "not without end");
        raft_storage.forget(keep, u64::MAX);
        assert_eq!(raft_storage.before_index, 15);
    }

    #[test]
    fn a_snapshot_that_a_member_has_the_beginning_of_is_gone_on_with_for_as_long_as_the_log_goes_on_behind_it() {
        let keep = Keep { bytes_behind_snapshots: 150, ..Keep::at_most(5, 60) };
        let mut raft_storage = raft_storage(20, 20);
        let index_for =
            |raft_storage: &RaftStorage, member| raft_storage.snapshot(0, member).unwrap().get_metadata().index;
        raft_storage.set_begun(2, Some(SnapshotMark { index: 9, term: 1, voters: Voters::default() }));
        raft_storage.forget(keep, u64::MAX);
        assert_eq!((raft_storage.before_index, index_for(&raft_storage, 2), index_for(&raft_storage, 3)), (9, 9, 20));
        raft_storage.forget(Keep { bytes_behind_snapshots: 100, ..keep }, u64::MAX);
        assert_eq!((raft_storage.before_index, index_for(&raft_storage, 2)), (10, 20), "not without end");
        raft_storage.set_begun(2, None);
        raft_storage.forget(keep, u64::MAX);
        assert_eq!(raft_storage.before_index, 15);
    }

    #[test]
    fn applied_v2_requests_are_never_sent() {
        let v2 = Bytes::from_static(b"\x08\x01\x12\x03PUT");
        let entry = |index, data: &Bytes| Entry { term: 1, index, kind: EntryKind::Normal, data: data.clone() };
        let normal = Bytes::from_static(b"\xa2\x06\x00");
        let entries =
            (1..=20).map(|index| entry(index, if [4, 9, 15].contains(&index) { &v2 } else { &normal })).collect();
        let voters = Voters { voters: vec![1], learners: Vec::new() };
        let mut raft_storage = RaftStorage::new(&Recovered { entries, voters, ..Recovered::default() }, 6);
        raft_storage.forget(Keep::at_most(100, 1000), u64::MAX);
        assert_eq!(raft_storage.before_index, 6, "the last one at 15 is not applied yet");
        raft_storage.apply(20);
        raft_storage.forget(Keep::at_most(100, 1000), 3);
        assert_eq!(raft_storage.before_index, 15, "whoever needs them");
        let more = [entry(21, &normal).to_raft(), entry(22, &v2).to_raft(), entry(23, &normal).to_raft()];
        raft_storage.append(&more);
        raft_storage.apply(23);
        raft_storage.forget(Keep::at_most(100, 1000), u64::MAX);
        assert_eq!((raft_storage.before_index, raft_storage.last()), (22, 23));
    }

    #[test]
    fn a_snapshot_is_the_mark_of_what_is_applied() {
        let raft_storage = raft_storage(20, 8);
        let snapshot = raft_storage.snapshot(0, 2).unwrap();
        assert_eq!(
            (snapshot.get_metadata().index, snapshot.get_metadata().get_conf_state().voters.as_slice()),
            (8, &[1][..])
        );
        assert!(RaftStorage::new(&Recovered::default(), 0).snapshot(0, 2).is_err());
    }

    #[test]
    fn snapshot_names_the_members_of_the_last_change() {
        let mut raft_storage = raft_storage(20, 8);
        let changed = Voters { voters: vec![1, 3], learners: vec![2] };
        raft_storage.set_voters(changed.clone());
        let snapshot = raft_storage.snapshot(0, 2).unwrap();
        assert_eq!(Voters::from_raft(snapshot.get_metadata().get_conf_state()), changed);
    }

    #[test]
    fn changes_behind_the_applied_index_are_found() {
        let kind = |index| if index % 3 == 0 { EntryKind::ConfChange } else { EntryKind::Normal };
        let data = |index: u64| Bytes::from(index.to_string());
        let entries = (1..=12).map(|index| Entry { term: 1, index, kind: kind(index), data: data(index) }).collect();
        let mut raft_storage = RaftStorage::new(&Recovered { entries, ..Recovered::default() }, 2);
        let found = |raft_storage: &RaftStorage| raft_storage.unapplied_changes().collect::<Vec<_>>();
        assert_eq!(found(&raft_storage), [12, 9, 6, 3].map(|index| (index, data(index))));
        raft_storage.apply(9);
        assert_eq!(found(&raft_storage), [(12, data(12))]);
        raft_storage.apply(12);
        assert_eq!(found(&raft_storage), []);
    }
}
