//! Committed entries before they are returned: membership changes wait until it is durable that
//! they are committed.
//!
//! The commit index is otherwise never synced for its own sake: a member that loses it learns it
//! again from its cluster. The members of that cluster must not be lost with it.

use crate::entry::{Entry, EntryKind};
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct DurableCommits {
    /// Entries up to here are durably known to be committed.
    durable: u64,
    /// Commit indexes that were handed out for persisting, by the number of their ready.
    under_way: VecDeque<(u64, u64)>,
    /// Committed entries that are not handed out yet: from a change of the group on.
    held: VecDeque<Entry>,
    /// The last entry that was held, or that a snapshot covers.
    newest: u64,
}

impl DurableCommits {
    /// Entries up to `applied` are known.
    pub(crate) fn new(durable: u64, applied: u64) -> Self {
        Self { durable, under_way: VecDeque::new(), held: VecDeque::new(), newest: applied }
    }

    /// More entries are committed: those behind the last, each once.
    pub(crate) fn hold(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            assert!(entry.index == self.newest + 1, "entry {} is committed behind entry {}", entry.index, self.newest);
            self.newest = entry.index;
            self.held.push_back(entry);
        }
    }

    /// Returns the entries that can be applied now, in order.
    pub(crate) fn release(&mut self) -> Vec<Entry> {
        let durable = self.durable;
        let may_go = |entry: &&Entry| entry.kind == EntryKind::Normal || entry.index <= durable;
        let going = self.held.iter().take_while(may_go).count();
        self.held.drain(..going).collect()
    }

    /// Returns `true` if an entry waits for a commit index that was never returned for persisting.
    pub(crate) fn must_sync(&self) -> bool {
        let handed_out = self.under_way.back().map_or(self.durable, |(_, commit)| *commit);
        self.held.front().is_some_and(|entry| entry.index > handed_out)
    }

    /// A commit index is on its way to the disk.
    pub(crate) fn handed_out(&mut self, number: u64, commit: u64) {
        if let Some((last, before)) = self.under_way.back() {
            assert!(
                *last < number && *before <= commit,
                "ready {number} has commit index {commit}, and ready {last} had {before}"
            );
        }
        self.under_way.push_back((number, commit));
    }

    /// Everything up to this ready is durable.
    pub(crate) fn persisted(&mut self, number: u64) {
        let done = self.under_way.partition_point(|(under_way, _)| *under_way <= number);
        for (_, commit) in self.under_way.drain(..done) {
            self.durable = self.durable.max(commit);
        }
    }

    /// Drops the held entries, which a snapshot at `index` replaces.
    pub(crate) fn forget(&mut self, index: u64) {
        assert!(index > self.newest, "a snapshot at {index} replaces entries up to {}", self.newest);
        self.held.clear();
        self.newest = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(index: u64, kind: EntryKind) -> Entry {
        Entry { term: 1, index, kind, data: Bytes::new() }
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.index).collect()
    }

    /// Entries 5 to 9, of which 7 changes the members; known to be committed up to 4.
    fn change_at_seven() -> DurableCommits {
        let mut commits = DurableCommits::new(4, 4);
        let kind = |index| if index == 7 { EntryKind::ConfChange } else { EntryKind::Normal };
        commits.hold((5..10).map(|index| entry(index, kind(index))));
        commits
    }

    #[test]
    fn change_and_what_follows_wait_for_its_commit_index() {
        let mut commits = change_at_seven();
        assert_eq!(indexes(&commits.release()), [5, 6]);
        assert!(commits.must_sync(), "no commit index is on its way to the disk");
        commits.handed_out(1, 6);
        assert!(commits.must_sync(), "the one on its way does not reach the change");
        commits.handed_out(2, 7);
        assert!(!commits.must_sync());
        commits.persisted(1);
        assert!(commits.release().is_empty());
        commits.persisted(2);
        assert_eq!(indexes(&commits.release()), [7, 8, 9]);
        assert!(commits.release().is_empty() && !commits.must_sync(), "nothing is held any more");
    }

    #[test]
    fn durable_commit_index_never_moves_back() {
        let mut commits = DurableCommits::new(9, 8);
        commits.handed_out(1, 3);
        commits.persisted(1);
        commits.hold([entry(9, EntryKind::ConfChange), entry(10, EntryKind::ConfChange)]);
        assert_eq!(indexes(&commits.release()), [9]);
        assert!(commits.must_sync());
    }

    #[test]
    fn later_ready_makes_earlier_ones_durable() {
        let mut commits = change_at_seven();
        commits.handed_out(1, 6);
        commits.handed_out(3, 8);
        commits.persisted(5);
        assert_eq!(indexes(&commits.release()), [5, 6, 7, 8, 9]);
    }

    #[test]
    #[should_panic(expected = "entry 8 is committed behind entry 9")]
    fn a_committed_entry_comes_once() {
        let mut commits = change_at_seven();
        commits.hold([entry(8, EntryKind::Normal)]);
    }

    #[test]
    fn snapshot_replaces_what_is_held() {
        let mut commits = change_at_seven();
        commits.forget(20);
        assert!(!commits.must_sync() && commits.release().is_empty());
        commits.hold([entry(21, EntryKind::Normal)]);
        assert_eq!(indexes(&commits.release()), [21]);
    }
}
