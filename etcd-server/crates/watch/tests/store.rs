//! A small store to watch: a key space over memory.

use bytes::Bytes;
use mvcc::compaction::Removal;
use mvcc::{KeySpace, Leases};
use schema::{Batch, MemoryBatch, MemoryStore};
use types::{Event, KeyRange, LeaseId, MainRevision};

/// One change of a request.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(String, String),
    Delete(KeyRange),
}

pub(crate) struct Store {
    pub(crate) view: MemoryStore,
    space: KeySpace,
}

struct NoLeases;

impl Leases for NoLeases {
    fn exists(&self, _: LeaseId) -> bool {
        false
    }

    fn attach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}

    fn detach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}
}

impl Store {
    pub(crate) fn new() -> Self {
        let view = MemoryStore::new();
        let space = KeySpace::load(&view).unwrap();
        Self { view, space }
    }

    /// Executes one request; its events.
    pub(crate) fn execute(&mut self, changes: &[Change]) -> Vec<Event> {
        let mut batch = MemoryBatch::default();
        let mut leases = NoLeases;
        let mut write = self.space.write(&self.view, &mut batch, &mut leases);
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    write.put(&Bytes::from(key.clone()), Bytes::from(value.clone()), LeaseId::NONE).unwrap()
                }
                Change::Delete(range) => drop(write.delete_range(range).unwrap()),
            }
        }
        let events = write.end();
        self.space.settle(&self.view, &mut batch).unwrap();
        batch.write(&mut self.view);
        self.space.visible();
        events
    }

    /// Forgets history below `revision`, for readers and, if asked for, in the tables.
    pub(crate) fn compact(&mut self, revision: MainRevision, remove: bool) {
        let mut batch = MemoryBatch::default();
        if self.space.compact(revision, &mut batch).is_err() {
            return;
        }
        batch.write(&mut self.view);
        if !remove {
            return;
        }
        let mut batch = MemoryBatch::default();
        let mut removal = Removal::due(&self.view, revision).unwrap().unwrap();
        assert!(removal.step(&self.view, usize::MAX, &mut batch).unwrap());
        batch.write(&mut self.view);
    }

    pub(crate) fn current(&self) -> MainRevision {
        self.space.current()
    }

    pub(crate) fn compacted(&self) -> MainRevision {
        self.space.compacted()
    }
}
