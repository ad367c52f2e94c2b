//! The changes of one request: they share a main revision, and sub revisions count them.

use crate::key_space::{KeySpace, Leases};
use crate::latest::Latest;
use crate::live_hash::LiveHash;
use crate::range::Source;
use crate::record::{self, Fields};
use crate::walk;
use bytes::Bytes;
use proto::mvccpb::KeyValue;
use schema::revision_record::{self, RevisionRecord};
use schema::{Batch, Table, View, history_key};
use std::ops::ControlFlow;
use types::{Event, Fault, KeyRange, LeaseId, MainRevision, Revision};

/// What a stored revision costs beside its record, in bytes: its key and headers in etcd's backend file, so that quotas mean the same.
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
    pub(crate) fn new(space: &'a mut KeySpace, view: &'a V, batch: &'a mut dyn Batch, leases: &'a mut dyn Leases) -> Self {
        let begin = space.current;
        Self { space, view, batch, leases, begin, events: Vec::new(), changed: Vec::new() }
    }

    /// The revision an answer's header carries at this point of the request: the new one as soon as anything changed.
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
            overlay: &self.space.overlay,
            counts: &self.space.counts,
            current: self.revision(),
            compacted: self.space.compacted,
        }
    }

    /// The newest version of `key` as this request sees it.
    pub fn latest(&mut self, key: &[u8]) -> Result<Option<Latest>, Fault> {
        self.space.latest(self.view, key)
    }

    /// The whole record of `key` as this request sees it.
    pub fn record(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let found = walk::version_at(self.view, &self.space.overlay, key, MainRevision::MAX)?;
        Ok(found.map(|(_, record)| record).filter(|record| !record.is_empty()))
    }

    /// Writes `value` under `key` and attaches the key to `lease`, or to none. The lease exists.
    pub fn put(&mut self, key: &Bytes, value: Bytes, lease: LeaseId) -> Result<(), Fault> {
        let old = self.latest(key)?;
        let revision = self.next_revision();
        let kv = KeyValue {
            key: key.clone(),
            create_revision: old.map_or(revision.main, |old| old.create_revision),
            mod_revision: revision.main,
            version: old.map_or(1, |old| old.version + 1),
            value,
            lease: lease.0,
        };
        let record = record::encode(&kv);
        let new = Latest {
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease,
            hash: LiveHash::of(&record),
        };
        self.move_key(key, old.map_or(LeaseId::NONE, |old| old.lease), lease);
        if old.is_none() {
            self.space.counts.added(key, &mut self.space.counts_changed);
        }
        self.remember(key.clone(), revision, record, old, Some(new));
        Ok(())
    }

    /// Deletes every live key of `range` in key order; returns the records that were deleted.
    pub fn delete_range(&mut self, range: &KeyRange) -> Result<Vec<Bytes>, Fault> {
        let mut records = Vec::new();
        if let Some(key) = range.as_single() {
            // Only the last version of a live key has to be read, and none of a key that does not live.
            if self.latest(key)?.is_some() {
                records.extend(self.record(key)?);
            }
        } else {
            walk::live_records(self.view, &self.space.overlay, range, MainRevision::MAX, |record| {
                records.push(Bytes::copy_from_slice(record));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for record in &records {
            self.delete(record)?;
        }
        Ok(records)
    }

    /// Ends the request: a revision is spent if anything changed. Returns the events in order.
    pub fn end(self) -> Vec<Event> {
        self.space.current = self.revision();
        self.events
    }

    fn delete(&mut self, old_record: &Bytes) -> Result<(), Fault> {
        let fields = Fields::parse(old_record)?;
        let old = Latest {
            create_revision: fields.create_revision,
            mod_revision: fields.mod_revision,
            version: fields.version,
            lease: fields.lease,
            hash: LiveHash::of(old_record),
        };
        let key = old_record.slice_ref(fields.key);
        let revision = self.next_revision();
        self.move_key(&key, old.lease, LeaseId::NONE);
        self.space.counts.removed(&key, &mut self.space.counts_changed);
        self.remember(key, revision, Bytes::new(), Some(old), None);
        Ok(())
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

    fn remember(&mut self, key: Bytes, revision: Revision, record: Bytes, old: Option<Latest>, new: Option<Latest>) {
        let stored_key = history_key::encode(&key, revision);
        self.changed.clear();
        RevisionRecord { tombstone: record.is_empty(), user_key: &key }.encode_into(&mut self.changed);
        self.batch.put(Table::History, &stored_key, &record);
        self.batch.put(Table::Revisions, &revision_record::encode_key(revision), &self.changed);
        self.space.live_hash.replace(old.map(|old| old.hash), new.map(|new| new.hash));
        self.space.written_bytes += revision_bytes(&key, &record);
        self.space.latest.set(&key, new);
        self.space.overlay.insert(stored_key, record.clone());
        self.events.push(Event { revision, key, record });
    }
}

/// What one revision counts towards the quota: a tombstone counts its key, as etcd stores one.
pub(crate) fn revision_bytes(key: &[u8], record: &[u8]) -> u64 {
    let stored = if record.is_empty() { key.len() } else { record.len() };
    stored as u64 + REVISION_OVERHEAD_BYTES
}
