//! The changes of one request: they share a main revision, and sub revisions count them.

use crate::key_space::{KeySpace, Leases};
use crate::live_hash::LiveHash;
use crate::range::Source;
use crate::record::{self, Fields};
use crate::walk;
use bytes::Bytes;
use prost::Message as _;
use proto::mvccpb::KeyValue;
use schema::revision_record::{self, RevisionRecord};
use schema::{Batch, Table, View, bump_record, current_record, history_key};
use types::{Event, Fault, KeyRange, LeaseId, MainRevision, Revision};

/// Bytes of a stored revision beside its record: its key and headers in etcd's backend file, so
/// that quotas mean the same.
pub(crate) const REVISION_OVERHEAD_BYTES: u64 = 33;

/// One request being executed.
pub struct Write<'a, V: View> {
    pub(crate) space: &'a mut KeySpace,
    pub(crate) view: &'a V,
    batch: &'a mut dyn Batch,
    pub(crate) leases: &'a mut dyn Leases,
    /// Newest main revision before this request.
    begin: MainRevision,
    events: Vec<Event>,
    /// The revision record being written: one buffer for all changes of the request.
    changed: Vec<u8>,
}

impl<V: View> std::fmt::Debug for Write<'_, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Write").field("begin", &self.begin).field("events", &self.events.len()).finish_non_exhaustive()
    }
}

impl<'a, V: View> Write<'a, V> {
    pub(crate) fn new(
        space: &'a mut KeySpace,
        view: &'a V,
        batch: &'a mut dyn Batch,
        leases: &'a mut dyn Leases,
    ) -> Self {
        let begin = space.current;
        Self { space, view, batch, leases, begin, events: Vec::new(), changed: Vec::new() }
    }

    /// The revision an answer's header carries at this point of the request: the new one as soon as
    /// anything changed.
    pub fn revision(&self) -> MainRevision {
        if self.events.is_empty() { self.begin } else { self.begin + 1 }
    }

    /// The newest main revision before this request.
    pub(crate) fn begin(&self) -> MainRevision {
        self.begin
    }

    pub(crate) fn compacted(&self) -> MainRevision {
        self.space.compacted
    }

    /// The state as this request sees it, its own changes included.
    pub(crate) fn source(&self) -> Source<'_, V> {
        Source {
            view: self.view,
            write_buffer: &self.space.write_buffer,
            counts: &self.space.counts,
            current: self.revision(),
            compacted: self.space.compacted,
        }
    }

    /// The record of `key` as this request sees it; nothing when the key does not live.
    pub fn record(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        Ok(self.space.newest(self.view, key)?.map(|row| record_of(&row)))
    }

    /// Writes `value` under `key` and attaches the key to `lease`, or to none. The lease exists.
    pub fn put(&mut self, key: &Bytes, value: Bytes, lease: LeaseId) -> Result<(), Fault> {
        let row = self.space.newest(self.view, key)?;
        let old = row.as_ref().map(Old::of).transpose()?;
        let old_fields = old.as_ref().map(|old| Fields::parse(&old.record)).transpose()?;
        let revision = self.next_revision();
        if let Some(old) = &old {
            assert!(old.revision < revision, "{revision:?} replaces a version of {:?}", old.revision);
        }
        let kv = KeyValue {
            key: key.clone(),
            create_revision: old_fields.map_or(revision.main, |old| old.create_revision),
            mod_revision: revision.main,
            version: old_fields.map_or(1, |old| old.version + 1),
            value,
            lease: lease.0,
        };
        self.move_key(key, old_fields.map_or(LeaseId::NONE, |old| old.lease), lease);
        if old.is_none() {
            self.space.counts.added(key, &mut self.space.counts_changed);
        }
        let mut row = current_record::begin(revision, kv.encoded_len());
        kv.encode_raw(&mut row);
        self.remember(key.clone(), revision, old, Some(row.into()));
        Ok(())
    }

    /// Deletes every live key of `range` in key order; returns the records that were deleted.
    pub fn delete_range(&mut self, range: &KeyRange) -> Result<Vec<Bytes>, Fault> {
        let mut rows = Vec::new();
        if let Some(key) = range.as_single() {
            rows.extend(self.space.newest(self.view, key)?);
        } else {
            walk::newest_rows(self.view, &self.space.write_buffer, range, |row| {
                rows.push(Bytes::copy_from_slice(row))
            })?;
        }
        rows.iter().map(|row| self.delete(row)).collect()
    }

    /// Restores one change of history at its revision: `record` as it was stored, or `None` for a
    /// deletion. Changes come in the order of their revisions, and the history of a key may begin
    /// with any of its versions.
    ///
    /// # Panics
    /// If `revision` is below the newest one, or the request has made a change of its own.
    pub fn restore(self, revision: Revision, key: &Bytes, record: Option<Bytes>) -> Result<(), Fault> {
        let mut write = self;
        assert!(
            write.events.is_empty(),
            "{revision:?} is restored by a request that made {} changes",
            write.events.len()
        );
        assert!(
            revision.main >= write.space.current,
            "revision {} is restored behind {}",
            revision.main,
            write.space.current
        );
        let row = write.space.newest(write.view, key)?;
        let old = row.as_ref().map(Old::of).transpose()?;
        let old_lease =
            old.as_ref().map_or(Ok(LeaseId::NONE), |old| Fields::parse(&old.record).map(|fields| fields.lease))?;
        let lease =
            record.as_ref().map_or(Ok(LeaseId::NONE), |record| Fields::parse(record).map(|fields| fields.lease))?;
        // A lease that was revoked meanwhile took its keys with it, further on in history.
        let lease = if write.leases.exists(lease) { lease } else { LeaseId::NONE };
        write.move_key(key, if write.leases.exists(old_lease) { old_lease } else { LeaseId::NONE }, lease);
        let counts = &mut write.space.counts;
        match (&old, &record) {
            (None, Some(_)) => counts.added(key, &mut write.space.counts_changed),
            (Some(_), None) => counts.removed(key, &mut write.space.counts_changed),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let row = record.map(|record| {
            let mut row = current_record::begin(revision, record.len());
            row.extend_from_slice(&record);
            row.into()
        });
        write.remember(key.clone(), revision, old, row);
        write.space.current = revision.main;
        Ok(())
    }

    /// Makes `revision` the newest one without changing a key, as a restore with `--bump-revision`
    /// does: see [`schema::bump_record`].
    pub fn bump(self, revision: MainRevision) -> Result<(), Fault> {
        self.restore(Revision::new(revision, 0), &Bytes::from_static(bump_record::KEY), Some(record::bump(revision)))
    }

    /// Ends the request: a revision is spent if anything changed. Returns the events in order.
    ///
    /// # Panics
    /// If the newest revision is no longer the one at the beginning of the request.
    pub fn end(self) -> Vec<Event> {
        assert!(
            self.space.current == self.begin,
            "revision {} became {} during a request",
            self.begin,
            self.space.current
        );
        self.space.current = self.revision();
        self.events
    }

    /// Deletes the key with this row; returns its record.
    fn delete(&mut self, row: &Bytes) -> Result<Bytes, Fault> {
        let old = Old::of(row)?;
        let record = old.record.clone();
        let fields = Fields::parse(&record)?;
        let key = record.slice_ref(fields.key);
        let revision = self.next_revision();
        assert!(old.revision < revision, "{revision:?} deletes a version of {:?}", old.revision);
        self.move_key(&key, fields.lease, LeaseId::NONE);
        self.space.counts.removed(&key, &mut self.space.counts_changed);
        self.remember(key, revision, Some(old), None);
        Ok(record)
    }

    fn next_revision(&self) -> Revision {
        Revision::new(self.begin + 1, i64::try_from(self.events.len()).expect("a request has fewer than 2^63 changes"))
    }

    fn move_key(&mut self, key: &[u8], from: LeaseId, to: LeaseId) {
        if from == to {
            return;
        }
        if from.is_some() {
            self.leases.detach(from, key, self.batch);
        }
        if to.is_some() {
            self.leases.attach(to, key, self.batch);
        }
    }

    /// Moves the old version of `key` to history and puts the new row, or a tombstone, in its
    /// place; both are pending until [`KeySpace::settle`] writes the result of the whole batch.
    fn remember(&mut self, key: Bytes, revision: Revision, old: Option<Old>, row: Option<Bytes>) {
        let record = row.as_ref().map(record_of).unwrap_or_default();
        let hash = |record: &Bytes| LiveHash::of(record);
        self.space.live_hash.replace(old.as_ref().map(|old| hash(&old.record)), row.is_some().then(|| hash(&record)));
        self.space.written_bytes += revision_bytes(&key, &record);
        if let Some(old) = old {
            self.put_history(&key, old.revision, old.record);
        }
        if row.is_none() {
            self.put_history(&key, revision, Bytes::new());
        }
        self.changed.clear();
        let record_bytes =
            u32::try_from(record.len()).expect("a record is part of one request, which has less than 2^32 bytes");
        RevisionRecord { record_bytes, user_key: &key }.encode_into(&mut self.changed);
        self.batch.put(Table::Revisions, &revision_record::encode_key(revision), &self.changed);
        self.space.recent.set(&key, row.clone());
        self.space.write_buffer.set_current(key.clone(), revision, row);
        self.events.push(Event { revision, key, record });
    }

    fn put_history(&mut self, key: &[u8], revision: Revision, record: Bytes) {
        self.space.write_buffer.insert_history(history_key::encode(key, revision), record);
    }
}

/// The version of a key that a change supersedes.
struct Old {
    revision: Revision,
    record: Bytes,
}

impl Old {
    fn of(row: &Bytes) -> Result<Self, Fault> {
        let (revision, record) = current_record::split(row)?;
        Ok(Self { revision, record: row.slice_ref(record) })
    }
}

/// The record in a row of [`Table::Current`].
fn record_of(row: &Bytes) -> Bytes {
    row.slice(current_record::HEAD_BYTES..)
}

/// Returns the bytes of one revision that count towards the quota: a tombstone counts its key, as
/// etcd stores one.
pub(crate) fn revision_bytes(key: &[u8], record: &[u8]) -> u64 {
    let stored = if record.is_empty() { key.len() } else { record.len() };
    stored as u64 + REVISION_OVERHEAD_BYTES
}
