//! The housekeeping thread: removes history that compaction made obsolete, flushes the state, and
//! truncates the log up to the flushed index.
//!
//! It works in small paced steps beside apply and never holds anything that apply or a reader waits
//! for.

use crate::Observer;
use crate::install;
use crate::messages::{CompactorCommand, LogCommand};
use crate::published::Published;
use mvcc::compaction::Removal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use storage::Store;
use types::Fault;

/// Bytes of revisions written since the last flush after which the next one is due. Less than the
/// memtables hold, so that flushes happen when we know the applied index that they make durable.
const FLUSH_BYTES: u64 = 24 << 20;
/// Time after which applied entries are flushed, so that the log does not grow for ever on a quiet
/// member.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
/// Revisions looked at without a pause: about a millisecond's work.
const STEP_REVISIONS_MAX: usize = 100;
/// Interval between two checks of whether a flush is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Compactor {
    /// The state that is worked on, and those that were replaced and may still be read.
    pub(crate) store: Arc<Store>,
    pub(crate) retired: Vec<Arc<Store>>,
    pub(crate) published: Arc<Published>,
    pub(crate) commands: Receiver<CompactorCommand>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) log: Sender<LogCommand>,
    /// Revisions looked at in one step.
    pub(crate) step_revisions: usize,
    /// Pause between two steps.
    pub(crate) step_interval: Duration,
    /// Entries that the log keeps behind the flushed index, for followers that are behind.
    pub(crate) log_entries_kept: u64,
}

struct Flushed {
    at: Instant,
    written_bytes: u64,
    applied: u64,
}

impl Compactor {
    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let mut removal = Removal::due(&*self.store, self.published.read_point().compacted)?;
        let applied = self.published.applied.load(Ordering::Acquire);
        let mut flushed = Flushed {
            at: Instant::now(),
            written_bytes: self.published.written_bytes.load(Ordering::Relaxed),
            applied,
        };
        let mut removal_begun = Instant::now();
        loop {
            if self.follow_state() {
                removal = Removal::due(&*self.store, self.published.read_point().compacted)?;
            }
            let wait = if removal.is_some() { self.pace().1 } else { LOOK_INTERVAL };
            match self.commands.recv_timeout(wait) {
                Ok(CompactorCommand::Compacted(revision)) => {
                    // The state may have been replaced while this thread waited.
                    if self.follow_state() {
                        removal = None;
                    }
                    if removal.is_none() {
                        removal_begun = Instant::now();
                        removal = Removal::due(&*self.store, revision)?;
                        self.hash_before(removal.as_ref())?;
                    }
                }
                Ok(CompactorCommand::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(step) = &mut removal
                && self.step(step)?
            {
                self.observer.removal_completed(removal_begun.elapsed());
                tracing::info!(
                    compact_revision = step.target(),
                    took = ?removal_begun.elapsed(),
                    number_of_keys_compacted = step.freed_revisions(),
                    current_db_size_bytes = self.published.database_bytes(),
                    "finished scheduled compaction"
                );
                removal_begun = Instant::now();
                // Another compaction may have come while this one was under way.
                removal = Removal::due(&*self.store, self.published.read_point().compacted)?;
                self.hash_before(removal.as_ref())?;
            }
            self.flush_if_due(&mut flushed)?;
        }
    }

    /// Switches to the present state, and removes those that have no readers any more. Returns
    /// `true` if it is another one.
    fn follow_state(&mut self) -> bool {
        for index in (0..self.retired.len()).rev() {
            if Arc::strong_count(&self.retired[index]) == 1
                && let Some(store) = Arc::into_inner(self.retired.swap_remove(index))
            {
                install::discard(store);
            }
        }
        let present = self.published.store();
        if Arc::ptr_eq(&present, &self.store) {
            return false;
        }
        self.retired.push(std::mem::replace(&mut self.store, present));
        true
    }

    /// Returns the revisions of one step and the pause before it: as many in the same time as
    /// configured, but in unnoticeable pieces.
    fn pace(&self) -> (usize, Duration) {
        let revisions = self.step_revisions.clamp(1, STEP_REVISIONS_MAX);
        let pieces = u32::try_from(self.step_revisions.div_ceil(revisions)).unwrap_or(u32::MAX);
        (revisions, self.step_interval / pieces.max(1))
    }

    /// Hashes history up to a compaction whose removal is about to begin, where that is wanted. The
    /// one before is removed completely. One that was interrupted by a restart is not hashed, as in
    /// etcd: a part of its history may be gone.
    fn hash_before(&self, removal: Option<&Removal>) -> Result<(), Fault> {
        let Some(removal) = removal.filter(|_| self.published.hashes_compactions()) else { return Ok(()) };
        let compacted = self.published.removed.load(Ordering::Acquire);
        let hash = mvcc::hash_of_compaction(&self.store.snapshot(), compacted, removal.target())?;
        tracing::info!(
            hash = hash.hash,
            revision = hash.hash_revision,
            compact_revision = hash.compact_revision,
            "storing new hash"
        );
        self.published.keep_compaction_hash(hash);
        Ok(())
    }

    fn step(&self, removal: &mut Removal) -> Result<bool, Fault> {
        let begun = Instant::now();
        let revisions_before = removal.freed_revisions();
        let mut batch = self.store.batch();
        let done = removal.step(&*self.store, self.pace().0, &mut batch)?;
        assert!(
            removal.freed_revisions() >= revisions_before,
            "{revisions_before} revisions were removed, and now {}",
            removal.freed_revisions()
        );
        self.store.write(batch)?;
        self.observer.removal_step(removal.freed_revisions() - revisions_before, begun.elapsed());
        self.published.freed_bytes.store(removal.freed_bytes(), Ordering::Relaxed);
        if done {
            self.published.removed.store(removal.target(), Ordering::Release);
        }
        Ok(done)
    }

    fn flush_if_due(&self, flushed: &mut Flushed) -> Result<(), Fault> {
        let applied = self.published.applied.load(Ordering::Acquire);
        assert!(applied >= flushed.applied, "entry {} is flushed, and {applied} applied", flushed.applied);
        let written_bytes = self.published.written_bytes.load(Ordering::Relaxed);
        let by_bytes = written_bytes.saturating_sub(flushed.written_bytes) >= FLUSH_BYTES;
        let by_time = applied > flushed.applied && flushed.at.elapsed() >= FLUSH_INTERVAL;
        if !by_bytes && !by_time {
            return Ok(());
        }
        self.store.background_errors()?;
        tracing::info!(
            local_member_applied_index = applied,
            local_member_snapshot_index = flushed.applied,
            "triggering snapshot"
        );
        let begun = Instant::now();
        self.store.flush()?;
        self.observer.state_flushed(begun.elapsed());
        tracing::info!(snapshot_index = applied, "saved snapshot to disk");
        // Entries that were applied before the flush began are in it, index and state together.
        drop(self.log.send(LogCommand::Truncate(applied.saturating_sub(self.log_entries_kept))));
        *flushed = Flushed { at: Instant::now(), written_bytes, applied };
        Ok(())
    }
}
