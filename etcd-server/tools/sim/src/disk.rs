//! A member's disk: its durable and its written content, and the effect of a crash on the
//! difference.
//!
//! The log behaves as `raftlog` does: each write is complete or, when it was cut off, a prefix of
//! its entries with the old commit; writes are lost from the end. The state is that of the last
//! flush, complete; a snapshot replaces it at once.

use crate::check::{Checked, check};
use consensus::{Entry, HardState};
use fastrand::Rng;
use schema::MemoryStore;
use std::sync::Arc;

/// The log as it would be read back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) hard_state: HardState,
    /// Index and term of the entry right before the first.
    pub(crate) before: (u64, u64),
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    pub(crate) entries: Vec<Entry>,
    pub(crate) hard_state: Option<HardState>,
    /// A note that entries up to here are committed.
    pub(crate) commit: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// The content that survives any crash.
    pub(crate) log: Log,
    unsynced: Vec<Write>,
    /// The state as flushed, and the index and term up to which it goes.
    pub(crate) state: Arc<MemoryStore>,
    pub(crate) flushed: (u64, u64),
    /// `true` if a snapshot was installed and the log not restarted yet.
    installing: bool,
}

impl Log {
    pub(crate) fn last(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    /// Returns `true` if it holds, or once held, this entry.
    pub(crate) fn holds(&self, index: u64, term: u64) -> bool {
        index < self.before.0
            || (index, term) == self.before
            || self.entry(index).is_some_and(|entry| entry.term == term)
    }

    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        let position = index.checked_sub(self.before.0 + 1)?;
        self.entries.get(usize::try_from(position).ok()?)
    }

    fn write(&mut self, write: Write) {
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
        }
        self.entries.extend(write.entries);
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.hard_state.commit = self.hard_state.commit.max(write.commit.unwrap_or(0));
    }

    pub(crate) fn forget(&mut self, index: u64) {
        let gone = self.entries.iter().take_while(|entry| entry.index <= index).count();
        if let Some(last) = self.entries.drain(..gone).next_back() {
            self.before = (last.index, last.term);
        }
    }
}

impl Disk {
    pub(crate) fn write(&mut self, write: Write) {
        self.unsynced.push(write);
    }

    /// Everything written is durable.
    pub(crate) fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            self.log.write(write);
        }
    }

    /// Loses power, or kills the process: of the unsynced writes a part may have arrived.
    pub(crate) fn crash(&mut self, random: &mut Rng) {
        let arrived = random.usize(..=self.unsynced.len());
        let mut unsynced = std::mem::take(&mut self.unsynced).into_iter();
        for write in unsynced.by_ref().take(arrived) {
            self.log.write(write);
        }
        let torn = unsynced.next().filter(|_| random.bool());
        if let Some(mut torn) = torn {
            torn.entries.truncate(random.usize(..=torn.entries.len()));
            torn.commit = None;
            torn.hard_state = torn.hard_state.map(|state| HardState { commit: self.log.hard_state.commit, ..state });
            self.log.write(torn);
        }
    }

    pub(crate) fn flush(&mut self, state: &MemoryStore, applied: (u64, u64)) {
        self.state = Arc::new(state.clone());
        self.flushed = applied;
    }

    /// A snapshot takes the place of the state, in one step.
    pub(crate) fn install(&mut self, state: Arc<MemoryStore>, mark: (u64, u64)) {
        self.state = state;
        self.flushed = mark;
        self.installing = true;
    }

    /// Restarts the log behind a snapshot.
    pub(crate) fn restart_log(&mut self, mark: (u64, u64), hard_state: Option<HardState>) {
        self.sync();
        let hard_state = hard_state.unwrap_or(self.log.hard_state);
        self.log = Log { hard_state, before: mark, entries: Vec::new() };
        self.installing = false;
    }

    /// Recovers at a start: a snapshot that was installed and whose log was not restarted yet is
    /// finished.
    pub(crate) fn recover(&mut self) -> Checked {
        if self.installing {
            self.restart_log(self.flushed, None);
        }
        let (index, term) = self.flushed;
        check(self.log.holds(index, term), || {
            format!("the state goes to entry {index} of term {term}, which the log does not hold")
        })
    }
}
