//! The replicated state of one member over a store in memory, fed one entry after the other.

use apply::{Applied, ApplyError, Ordered, Settings, State};
use membership::Version;
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RequestHeader};
use schema::{MemoryBatch, MemoryStore};

/// The limit on sizes that tests set where they do not care.
const NO_QUOTA: Option<u64> = None;

/// A state, its store, and the batch that is being filled: as on disk, a batch is readable only
/// after [`Member::end_batch`].
pub(crate) struct Member {
    pub(crate) state: State,
    store: MemoryStore,
    batch: MemoryBatch,
    index: u64,
}

impl Member {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            quota_bytes: NO_QUOTA,
            minimum_lease_ttl_seconds: 1,
            own_version: Version::new(3, 7, 1),
            keeps_checkpoints: false,
        };
        let (store, mut batch) = (MemoryStore::new(), MemoryBatch::default());
        let state = State::load(&store, settings, &mut batch).unwrap();
        Self { state, store, batch, index: 0 }
    }

    /// Applies `request` as the next entry, without ending the batch.
    pub(crate) fn apply(&mut self, request: InternalRaftRequest) -> Applied {
        let header = Some(RequestHeader { id: self.index + 1, ..RequestHeader::default() });
        self.apply_data(InternalRaftRequest { header, ..request }.encode_to_vec())
    }

    /// Applies the bytes of an entry.
    pub(crate) fn apply_data(&mut self, data: Vec<u8>) -> Applied {
        self.index += 1;
        let stored_bytes = self.state.keys.written_bytes();
        self.state.apply(&self.store, &mut self.batch, self.index, &data.into(), stored_bytes).unwrap()
    }

    /// The response to `request`.
    pub(crate) fn respond(&mut self, request: InternalRaftRequest) -> Result<Ordered, ApplyError> {
        self.apply(request).outcome
    }

    /// Makes the applied entries readable.
    pub(crate) fn end_batch(&mut self) {
        let sealed = self.state.settle(&self.store, &mut self.batch, self.index, 1).unwrap();
        std::mem::take(&mut self.batch).write(&mut self.store);
        self.state.visible(sealed);
    }
}
