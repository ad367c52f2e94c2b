//! Reading at a published revision, beside apply.

use crate::counts::Counts;
use crate::range::{self, RangeOptions, RangeResult, Source};
use crate::write_buffer::WriteBuffer;
use crate::{MvccError, NEVER_COMPACTED, Sizes, walk};
use bytes::Bytes;
use schema::View;
use types::{Fault, MainRevision};

pub(crate) static NOTHING_PENDING: WriteBuffer = WriteBuffer::new();

/// The state of the key space that a reader needs: taken once, it stays valid while apply
/// continues.
///
/// Only compaction can take versions away under a reader: after a read at revision `at` without a
/// snapshot of the store, the caller must check that the compacted revision has not passed `at`,
/// else the result may have holes.
#[derive(Clone, Debug)]
pub struct ReadPoint {
    /// The newest main revision.
    pub current: MainRevision,
    /// The oldest main revision that can be read, or [`NEVER_COMPACTED`].
    pub compacted: MainRevision,
    pub(crate) counts: Counts,
}

impl ReadPoint {
    /// An empty store.
    pub fn empty() -> Self {
        Self { current: 1, compacted: NEVER_COMPACTED, counts: Counts::empty(Sizes::default().bucket_keys_max) }
    }

    /// Answers a range request.
    pub fn range<V: View>(&self, view: &V, options: &RangeOptions) -> Result<Result<RangeResult, MvccError>, Fault> {
        self.source(view).range(options)
    }

    /// The revision that a request for `requested` reads.
    pub fn resolve(&self, requested: MainRevision) -> Result<MainRevision, MvccError> {
        range::resolve(requested, self.current, self.compacted)
    }

    /// The record of `key` at main revision `at`; nothing when it does not live then.
    pub fn record_at<V: View>(&self, view: &V, key: &[u8], at: MainRevision) -> Result<Option<Bytes>, Fault> {
        let found = walk::version_at(view, &NOTHING_PENDING, key, at)?;
        Ok(found.map(|(_, record)| record).filter(|record| !record.is_empty()))
    }

    /// All live keys.
    pub fn live_keys(&self) -> u64 {
        self.counts.total()
    }

    pub(crate) fn source<'a, V: View>(&'a self, view: &'a V) -> Source<'a, V> {
        Source {
            view,
            write_buffer: &NOTHING_PENDING,
            counts: &self.counts,
            current: self.current,
            compacted: self.compacted,
        }
    }
}
