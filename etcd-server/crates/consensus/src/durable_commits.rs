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
}

impl DurableCommits {
    pub(crate) fn new(durable: u64) -> Self {
        Self { durable, under_way: VecDeque::new(), held: VecDeque::new() }
    }

    /// More entries are committed.
    pub(crate) fn hold(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.held.extend(entries);
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
        self.under_way.push_back((number, commit));
    }

    /// Everything up to this ready is durable.
    pub(crate) fn persisted(&mut self, number: u64) {
        let done = self.under_way.partition_point(|(under_way, _)| *under_way <= number);
        for (_, commit) in self.under_way.drain(..done) {
            self.durable = self.durable.max(commit);
        }
    }

    /// Drops the held entries, which a snapshot replaces.
    pub(crate) fn forget(&mut self) {
        self.held.clear();
    }
}
