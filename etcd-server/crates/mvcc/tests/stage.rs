//! The key space with the surroundings that apply gives it: a store, the batch being filled, leases
//! and a removal.

use bytes::Bytes;
use mvcc::compaction::Removal;
use mvcc::{KeySpace, Leases, MvccError, ReadPoint, Sizes};
use proto::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, TxnRequest, TxnResponse};
use schema::{Batch, MemoryBatch, MemoryStore};
use std::collections::BTreeSet;
use types::{Event, LeaseId};

/// Leases 1 and 2 and their attached keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TestLeases {
    pub(crate) attached: BTreeSet<(i64, Vec<u8>)>,
}

impl Leases for TestLeases {
    fn exists(&self, lease: LeaseId) -> bool {
        matches!(lease.0, 1 | 2)
    }

    fn attach(&mut self, lease: LeaseId, key: &[u8], _: &mut dyn Batch) {
        assert!(self.attached.insert((lease.0, key.to_vec())), "attached twice: {key:?}");
    }

    fn detach(&mut self, lease: LeaseId, key: &[u8], _: &mut dyn Batch) {
        assert!(self.attached.remove(&(lease.0, key.to_vec())), "was not attached: {key:?}");
    }
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) store: MemoryStore,
    pub(crate) space: KeySpace,
    pub(crate) batch: MemoryBatch,
    pub(crate) leases: TestLeases,
    /// The state for readers: as it was when the last batch was written.
    pub(crate) point: ReadPoint,
    pub(crate) removal: Option<Removal>,
    /// Revisions that the last removal has removed so far.
    pub(crate) freed_revisions: u64,
    sizes: Sizes,
}

type Outcome<T> = (Result<T, MvccError>, Vec<Event>);

impl Stage {
    pub(crate) fn new(sizes: Sizes) -> Self {
        let store = MemoryStore::new();
        let space = KeySpace::load_with(&store, sizes).unwrap();
        let point = space.read_point();
        let (batch, leases) = (MemoryBatch::default(), TestLeases::default());
        Self { store, space, batch, leases, point, removal: None, freed_revisions: 0, sizes }
    }

    pub(crate) fn put(&mut self, request: &PutRequest) -> Outcome<PutResponse> {
        let mut write = self.space.write(&self.store, &mut self.batch, &mut self.leases);
        let response = mvcc::execute_put(&mut write, request).unwrap();
        (response, write.end())
    }

    pub(crate) fn delete_range(&mut self, request: &DeleteRangeRequest) -> Outcome<DeleteRangeResponse> {
        let mut write = self.space.write(&self.store, &mut self.batch, &mut self.leases);
        let response = mvcc::execute_delete_range(&mut write, request).unwrap();
        (Ok(response), write.end())
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Outcome<TxnResponse> {
        let mut write = self.space.write(&self.store, &mut self.batch, &mut self.leases);
        let response = mvcc::execute_txn(&mut write, request).unwrap();
        (response, write.end())
    }

    pub(crate) fn put_value(&mut self, key: &Bytes, value: &str) {
        let (done, _) = self.put(&PutRequest {
            key: key.clone(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            ..Default::default()
        });
        done.unwrap();
    }

    pub(crate) fn delete_key(&mut self, key: &Bytes) {
        self.delete_range(&DeleteRangeRequest { key: key.clone(), ..Default::default() }).0.unwrap();
    }

    pub(crate) fn bump(&mut self, revision: i64) {
        self.space.write(&self.store, &mut self.batch, &mut self.leases).bump(revision).unwrap();
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), MvccError> {
        self.space.compact(revision, &mut self.batch)
    }

    /// Writes the batch and shows it to readers.
    pub(crate) fn flush(&mut self) {
        self.space.settle(&self.store, &mut self.batch).unwrap();
        std::mem::take(&mut self.batch).write(&mut self.store);
        self.space.visible();
        self.point = self.space.read_point();
    }

    /// One removal step over `revisions` revisions. Returns whether nothing is left to remove.
    pub(crate) fn remove_step(&mut self, revisions: usize) -> bool {
        if self.removal.is_none() {
            self.removal = Removal::due(&self.store, self.point.compacted).unwrap();
        }
        let Some(removal) = &mut self.removal else { return true };
        let mut batch = MemoryBatch::default();
        let done = removal.step(&self.store, revisions, &mut batch).unwrap();
        self.freed_revisions = removal.freed_revisions();
        batch.write(&mut self.store);
        if done {
            self.removal = None;
        }
        false
    }

    pub(crate) fn remove_all(&mut self) {
        while !self.remove_step(1000) {}
    }

    /// Restarts as after a crash: unwritten changes are lost.
    pub(crate) fn restart(&mut self) {
        self.batch = MemoryBatch::default();
        self.removal = None;
        self.space = KeySpace::load_with(&self.store, self.sizes).unwrap();
        self.point = self.space.read_point();
    }
}
