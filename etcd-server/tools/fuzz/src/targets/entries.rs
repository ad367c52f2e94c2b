//! Committed entries: every entry of a leader's log is applied, or ends the member with a reason,
//! but never by a panic.

use crate::messages::{DESCRIPTORS, random};
use crate::{Dice, Target};
use apply::{Settings, State};
use bytes::Bytes;
use membership::Version;
use prost::Message as _;
use prost_reflect::MessageDescriptor;
use proto::etcdserverpb::InternalRaftRequest;
use schema::{MemoryBatch, MemoryStore};

/// Entries after which a new state begins, so that an input can be made again without all those
/// before it.
const ENTRIES_PER_STATE: u64 = 200;

pub(super) struct Entries {
    descriptor: MessageDescriptor,
    store: MemoryStore,
    state: State,
    index: u64,
}

fn fresh() -> (MemoryStore, State) {
    let settings = Settings {
        quota_bytes: Some(1 << 20),
        minimum_lease_ttl_seconds: 1,
        own_version: Version::new(3, 7, 1),
        keeps_checkpoints: true,
    };
    let (mut store, mut changes) = (MemoryStore::new(), MemoryBatch::default());
    let state = State::load(&store, settings, &mut changes).expect("an empty store can be loaded");
    changes.write(&mut store);
    (store, state)
}

impl Entries {
    pub(super) fn new() -> Self {
        let name = "etcdserverpb.InternalRaftRequest";
        let descriptor = DESCRIPTORS.get_message_by_name(name).expect("raft's requests are described");
        let (store, state) = fresh();
        Self { descriptor, store, state, index: 0 }
    }

    /// Begins again with an empty log.
    fn restart(&mut self) {
        (self.store, self.state) = fresh();
        self.index = 0;
    }

    fn apply(&mut self, data: &Bytes) -> bool {
        self.index += 1;
        let mut changes = MemoryBatch::default();
        let applied = self.state.apply(&self.store, &mut changes, self.index, data, 0);
        let settled =
            applied.and_then(|applied| Ok((applied, self.state.settle(&self.store, &mut changes, self.index, 1)?)));
        let Ok((applied, sealed)) = settled else {
            // The member would stop here.
            self.restart();
            return false;
        };
        changes.write(&mut self.store);
        self.state.visible(sealed);
        applied.outcome.is_ok()
    }
}

impl Target for Entries {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        if self.index >= ENTRIES_PER_STATE {
            self.restart();
        }
        let mut bytes = random(&self.descriptor, dice).encode_to_vec();
        if dice.once_in(3) {
            dice.spoil(&mut bytes);
        }
        let bytes = without_passwords(bytes);
        self.apply(&bytes.into())
    }
}

/// A plain password, which only very old entries hold, would have a twentieth of a second spent on
/// it.
fn without_passwords(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut request) = InternalRaftRequest::decode(&bytes[..]) else { return bytes };
    let add = request.auth_user_add.as_mut().map(|add| &mut add.password);
    let change = request.auth_user_change_password.as_mut().map(|change| &mut change.password);
    let plain: Vec<_> = add.into_iter().chain(change).filter(|password| !password.is_empty()).collect();
    if plain.is_empty() {
        return bytes;
    }
    plain.into_iter().for_each(String::clear);
    request.encode_to_vec()
}
