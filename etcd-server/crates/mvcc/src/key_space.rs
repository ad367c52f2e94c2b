//! The key space as apply changes it: current revision, counts, totals, live hash, and the changes
//! pending in the batch being filled.
//!
//! Invariants: only apply changes it, entry by entry in log order; between [`KeySpace::settle`] and
//! [`KeySpace::visible`] the batch is written; pending changes are never in the store and
//! everything else is. No copy of keys or values is held but a bounded cache.

use crate::counts::{Changed, Counts};
use crate::live_hash::LiveHash;
use crate::recent::RecentRows;
use crate::walk;
use crate::write::Write;
use crate::write_buffer::WriteBuffer;
use crate::{MvccError, NEVER_COMPACTED, ReadPoint};
use bytes::Bytes;
use schema::{Batch, Table, View, meta};
use types::{Fault, LeaseId, MainRevision};

/// Main revision of a store that was never written to.
const FIRST_REVISION: MainRevision = 1;

/// Sizes that change the memory and time of the key space, never its responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Live keys that one bucket of the counts holds before it is cut in two; at least one.
    pub bucket_keys_max: u32,
    /// Keys whose newest version is remembered, if it is not large; at least one.
    pub cached_keys: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { bucket_keys_max: 512, cached_keys: 1 << 15 }
    }
}

/// The leases that puts attach keys to.
pub trait Leases {
    /// Returns `true` if the lease exists.
    fn exists(&self, lease: LeaseId) -> bool;
    /// `key` now belongs to `lease`.
    fn attach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch);
    /// `key` no longer belongs to `lease`.
    fn detach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch);
}

/// The key space between two entries.
#[derive(Debug)]
pub struct KeySpace {
    pub(crate) current: MainRevision,
    pub(crate) compacted: MainRevision,
    pub(crate) counts: Counts,
    pub(crate) counts_changed: Changed,
    pub(crate) written_bytes: u64,
    pub(crate) live_hash: LiveHash,
    pub(crate) recent: RecentRows,
    pub(crate) write_buffer: WriteBuffer,
    /// `true` if the batch being filled changes anything.
    changed: bool,
    /// `true` if everything that was changed has been written into the batch.
    settled: bool,
}

impl KeySpace {
    /// Reads the last written state; a store without any of it is an empty one.
    pub fn load(view: &impl View) -> Result<Self, Fault> {
        Self::load_with(view, Sizes::default())
    }

    /// As [`KeySpace::load`], with other sizes than the usual ones.
    pub fn load_with(view: &impl View, sizes: Sizes) -> Result<Self, Fault> {
        let revision =
            |key| -> Result<Option<MainRevision>, Fault> { Ok(meta::read_u64(view, key)?.map(u64::cast_signed)) };
        let live_hash = view.get(Table::Meta, meta::LIVE_HASH)?.map_or(Ok([0; 16]), |stored| {
            stored[..].try_into().map_err(|_| Fault::corrupt("live hash", "is not sixteen bytes long"))
        })?;
        Ok(Self {
            current: revision(meta::CURRENT_REVISION)?.unwrap_or(FIRST_REVISION),
            compacted: revision(meta::COMPACT_REVISION)?.unwrap_or(NEVER_COMPACTED),
            counts: Counts::load(view, sizes.bucket_keys_max)?,
            counts_changed: Changed::default(),
            written_bytes: meta::read_u64(view, meta::WRITTEN_BYTES)?.unwrap_or(0),
            live_hash: LiveHash(u128::from_be_bytes(live_hash)),
            recent: RecentRows::new(sizes.cached_keys),
            write_buffer: WriteBuffer::default(),
            changed: false,
            settled: true,
        })
    }

    /// The newest main revision.
    pub fn current(&self) -> MainRevision {
        self.current
    }

    /// The oldest main revision that can be read, or [`NEVER_COMPACTED`].
    pub fn compacted(&self) -> MainRevision {
        self.compacted
    }

    /// Bytes of all revisions ever written, removed ones included.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Hash of the live records.
    pub fn live_hash(&self) -> LiveHash {
        self.live_hash
    }

    /// Returns the read point of the state as it is now, for readers once it is visible.
    ///
    /// # Panics
    /// If the compacted revision is above the newest one.
    pub fn read_point(&self) -> ReadPoint {
        assert!(
            self.compacted <= self.current,
            "revision {} is compacted, and the newest one is {}",
            self.compacted,
            self.current
        );
        ReadPoint { current: self.current, compacted: self.compacted, counts: self.counts.clone() }
    }

    /// Starts the changes of one request. Nothing of it counts before [`Write::end`].
    pub fn write<'a, V: View>(
        &'a mut self,
        view: &'a V,
        batch: &'a mut dyn Batch,
        leases: &'a mut dyn Leases,
    ) -> Write<'a, V> {
        self.changed = true;
        self.settled = false;
        Write::new(self, view, batch, leases)
    }

    /// Forgets history below `revision`: at once for readers; removal is [`crate::compaction`]'s
    /// work.
    pub fn compact(&mut self, revision: MainRevision, batch: &mut dyn Batch) -> Result<(), MvccError> {
        if revision <= self.compacted {
            return Err(MvccError::Compacted { requested: revision, compacted: self.compacted });
        }
        if revision > self.current {
            return Err(MvccError::FutureRevision { requested: revision, current: self.current });
        }
        assert!(
            self.compacted < revision && revision <= self.current,
            "compaction moves up to {revision}, at most to {}",
            self.current
        );
        self.compacted = revision;
        meta::write_u64(batch, meta::COMPACT_REVISION, revision.cast_unsigned());
        Ok(())
    }

    /// Raises the newest main revision to one without a change in history. No effect if it is not
    /// above the current one.
    pub fn raise(&mut self, revision: MainRevision) {
        self.changed = true;
        self.settled = false;
        self.current = self.current.max(revision);
    }

    /// Writes rows, counts and totals behind the entries of a batch; the batch is complete with it.
    ///
    /// # Panics
    /// If no key lives and the live hash is not that of nothing, or a pending change is newer than
    /// the newest revision.
    pub fn settle<V: View>(&mut self, view: &V, batch: &mut dyn Batch) -> Result<(), Fault> {
        if !self.changed {
            return Ok(());
        }
        let Self { counts, counts_changed, write_buffer, current, live_hash, .. } = self;
        assert!(
            write_buffer.newest() <= *current,
            "a change of revision {} is pending, and the newest revision is {current}",
            write_buffer.newest()
        );
        assert!(counts.total() > 0 || live_hash.0 == 0, "no key lives, and the live hash is {:x}", live_hash.0);
        counts.settle(view, write_buffer, *current, counts_changed, batch)?;
        self.write_buffer.write(batch);
        meta::write_u64(batch, meta::CURRENT_REVISION, self.current.cast_unsigned());
        meta::write_u64(batch, meta::WRITTEN_BYTES, self.written_bytes);
        batch.put(Table::Meta, meta::LIVE_HASH, &self.live_hash.0.to_be_bytes());
        self.settled = true;
        Ok(())
    }

    /// The batch can be read from the store now: nothing is pending any more.
    ///
    /// # Panics
    /// If changes were made behind [`KeySpace::settle`]: they are not in the batch.
    pub fn visible(&mut self) {
        assert!(self.settled, "changes up to revision {} become visible without being written", self.current);
        self.write_buffer.clear();
        self.changed = false;
    }

    /// The row of `key` as it is now, if it lives.
    pub(crate) fn newest<V: View>(&self, view: &V, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        match self.recent.get(key) {
            Some(known) => Ok(known.clone()),
            None => walk::newest(view, &self.write_buffer, key),
        }
    }
}
