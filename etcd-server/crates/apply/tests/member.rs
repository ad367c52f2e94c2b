//! The replicated state of one member over a store in memory, fed one entry after the other, and
//! the model beside it.

use apply::{Applied, ApplyError, MembershipChange, Ordered, Settings, State};
use membership::Version;
use model::{Limits, Model};
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RequestHeader};
use proto::raftpb::ConfChange;
use schema::{MemoryBatch, MemoryStore};

/// The number of learners that a cluster of these tests may have.
pub(crate) const LEARNERS_MAX: usize = 1;

/// A state, its store, and the batch that is being filled: as on disk, a batch is readable only
/// after [`Member::end_batch`].
pub(crate) struct Member {
    pub(crate) state: State,
    pub(crate) model: Model,
    /// Size that the quota is compared with.
    pub(crate) stored_bytes: u64,
    settings: Settings,
    store: MemoryStore,
    batch: MemoryBatch,
    index: u64,
}

impl Member {
    pub(crate) fn new() -> Self {
        Self::with_quota(None)
    }

    pub(crate) fn with_quota(quota_bytes: Option<u64>) -> Self {
        let own_version = Version::new(3, 7, 1);
        let settings = Settings { quota_bytes, minimum_lease_ttl_seconds: 2, own_version, keeps_checkpoints: false };
        let limits = Limits {
            quota_bytes,
            minimum_ttl_seconds: settings.minimum_lease_ttl_seconds,
            learners_max: LEARNERS_MAX,
            keeps_checkpoints: false,
        };
        let (store, mut batch) = (MemoryStore::new(), MemoryBatch::default());
        let state = State::load(&store, settings, &mut batch).unwrap();
        Self { state, model: Model::new(limits), stored_bytes: 0, settings, store, batch, index: 0 }
    }

    /// Applies `request` as the next entry, without ending the batch.
    pub(crate) fn apply(&mut self, request: InternalRaftRequest) -> Applied {
        let header = RequestHeader { id: self.index + 1, ..request.header.clone().unwrap_or_default() };
        self.apply_data(&InternalRaftRequest { header: Some(header), ..request }.encode_to_vec())
    }

    /// Applies the bytes of an entry, and compares the outcome with that of the model.
    pub(crate) fn apply_data(&mut self, data: &[u8]) -> Applied {
        let applied = self.apply_unjudged(data.to_vec());
        let expected = self.model.apply(self.index, data, self.stored_bytes);
        assert_eq!(judge::verdict(&applied, self.state.keys.current()), expected, "entry {}", self.index);
        applied
    }

    /// Applies the bytes of an entry that the model does not know.
    pub(crate) fn apply_unjudged(&mut self, data: Vec<u8>) -> Applied {
        self.index += 1;
        self.state.apply(&self.store, &mut self.batch, self.index, &data.into(), self.stored_bytes).unwrap()
    }

    /// Applies a configuration change, and compares the outcome with that of the model.
    pub(crate) fn apply_conf_change(&mut self, change: &ConfChange) -> (Applied, MembershipChange) {
        self.index += 1;
        let data = change.encode_to_vec();
        let (applied, group) =
            self.state.apply_conf_change(&mut self.batch, self.index, &data.clone().into(), LEARNERS_MAX).unwrap();
        let (expected, configuration) = self.model.apply_configuration(&data);
        assert_eq!(judge::verdict(&applied, self.state.keys.current()), expected, "entry {}", self.index);
        assert_eq!(judge::configuration(group), configuration, "entry {}", self.index);
        (applied, group)
    }

    /// The response to `request`.
    pub(crate) fn respond(&mut self, request: InternalRaftRequest) -> Result<Ordered, ApplyError> {
        self.apply(request).outcome
    }

    /// Makes the applied entries readable, and compares the state with that of the model.
    pub(crate) fn end_batch(&mut self) {
        let sealed = self.state.settle(&self.store, &mut self.batch, self.index, 1).unwrap();
        std::mem::take(&mut self.batch).write(&mut self.store);
        self.state.visible(sealed);
        assert_eq!(judge::summary_of(&self.state, &self.store).unwrap(), judge::summary_of_model(&self.model));
    }

    /// Loads the state again from the store, as a restart does.
    pub(crate) fn restart(&mut self) {
        self.end_batch();
        let mut written = MemoryBatch::default();
        self.state = State::load(&self.store, self.settings, &mut written).unwrap();
        self.model.restart();
        assert!(written.changes.is_empty(), "a store that is complete gets no further records");
        assert_eq!(judge::summary_of(&self.state, &self.store).unwrap(), judge::summary_of_model(&self.model));
    }

    /// Returns a stored row, escaped.
    pub(crate) fn stored(&self, table: schema::Table, key: &[u8]) -> Option<Vec<u8>> {
        schema::View::get(&self.store, table, key).unwrap().map(|value| value.to_vec())
    }
}
