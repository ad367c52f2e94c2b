//! Removal of history that compaction has made unreadable, in small steps beside everything else.
//!
//! Of each key the newest version at or below the compacted revision stays, unless it is a
//! tombstone; a tombstone exactly at that revision stays too, so that a watcher starting there
//! still sees the deletion. A step looks only at revisions since the previous compaction: each of
//! them makes its key's previous version obsolete.

use crate::write::revision_bytes;
use bytes::Bytes;
use schema::revision_record::{self, RevisionRecord};
use schema::{Batch, Cursor as _, Table, View, history_key, meta};
use types::{Fault, MainRevision, Revision};

/// The progress of the removal. Steps can be repeated: removed versions are not found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    next: Revision,
    target: MainRevision,
    freed_bytes: u64,
    freed_revisions: u64,
}

impl Removal {
    /// Returns the removal that the state requires, if one is due. `freed_bytes` continues from the
    /// stored value.
    pub fn due(view: &impl View, compacted: MainRevision) -> Result<Option<Self>, Fault> {
        let done = meta::read_u64(view, meta::COMPACTED_REVISION)?.map_or(crate::NEVER_COMPACTED, u64::cast_signed);
        let freed_bytes = meta::read_u64(view, meta::FREED_BYTES)?.unwrap_or(0);
        // The tombstones kept at the previous compaction's own revision are looked at again, hence
        // not `done + 1`.
        Ok((compacted > done).then(|| Self {
            next: Revision::new(done.max(0), 0),
            target: compacted,
            freed_bytes,
            freed_revisions: 0,
        }))
    }

    /// The revision up to which history is being removed.
    pub fn target(&self) -> MainRevision {
        self.target
    }

    /// Bytes freed since the store was made.
    pub fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// Revisions removed since this removal began.
    pub fn freed_revisions(&self) -> u64 {
        self.freed_revisions
    }

    /// Removes the versions that at most `revisions` of history have made obsolete. Returns `true`
    /// if the removal is complete with this batch.
    ///
    /// # Panics
    /// If the store returns revisions out of order.
    pub fn step(&mut self, view: &impl View, revisions: usize, batch: &mut dyn Batch) -> Result<bool, Fault> {
        let mut cursor = view.cursor(Table::Revisions, None)?;
        cursor.seek(&revision_record::encode_key(self.next))?;
        for _ in 0..revisions {
            let Some((stored_key, stored)) = cursor.item() else { return Ok(self.finish(batch)) };
            let revision = revision_record::decode_key(stored_key)?;
            assert!(revision >= self.next, "the removal goes back from {:?} to {revision:?}", self.next);
            if revision.main > self.target {
                return Ok(self.finish(batch));
            }
            let change = RevisionRecord::decode(stored)?;
            self.remove_superseded_by(view, revision, change, batch)?;
            self.next = Revision::new(revision.main, revision.sub + 1);
            cursor.next()?;
        }
        meta::write_u64(batch, meta::FREED_BYTES, self.freed_bytes);
        Ok(false)
    }

    fn remove_superseded_by(
        &mut self,
        view: &impl View,
        revision: Revision,
        change: RevisionRecord<'_>,
        batch: &mut dyn Batch,
    ) -> Result<(), Fault> {
        if let Some((older, record)) = version_before(view, change.user_key, revision)? {
            assert!(older < revision, "the version before {revision:?} is {older:?}");
            // A tombstone below the target was removed when the walk met it, maybe in this very
            // batch.
            if !(record.is_empty() && older.main < self.target) {
                self.remove(change.user_key, older, &record, batch);
            }
        }
        if change.is_tombstone() && revision.main < self.target {
            self.remove(change.user_key, revision, &[], batch);
        }
        Ok(())
    }

    fn remove(&mut self, user_key: &[u8], revision: Revision, record: &[u8], batch: &mut dyn Batch) {
        batch.delete(Table::History, &history_key::encode(user_key, revision));
        batch.delete(Table::Revisions, &revision_record::encode_key(revision));
        self.freed_bytes += revision_bytes(user_key, record);
        self.freed_revisions += 1;
    }

    fn finish(&self, batch: &mut dyn Batch) -> bool {
        meta::write_u64(batch, meta::FREED_BYTES, self.freed_bytes);
        meta::write_u64(batch, meta::COMPACTED_REVISION, self.target.cast_unsigned());
        true
    }
}

/// The version of `user_key` directly older than `revision`.
fn version_before(view: &impl View, user_key: &[u8], revision: Revision) -> Result<Option<(Revision, Bytes)>, Fault> {
    // A whole key, as every look-up in the history needs: stores find the prefix by the length of
    // the suffix.
    let before =
        if revision.sub > 0 { (revision.main, revision.sub - 1) } else { (revision.main - 1, i64::from(u32::MAX)) };
    let from = history_key::encode(user_key, Revision::new(before.0, before.1));
    let mut prefix = Vec::with_capacity(user_key.len() + 2);
    history_key::push_prefix(&mut prefix, user_key);
    let Some((key, record)) = view.first_with_prefix(Table::History, &prefix, &from)? else { return Ok(None) };
    Ok(Some((history_key::split(&key)?.1, record)))
}
