//! A change of one key, as delivered to watchers.

use crate::Revision;
use bytes::Bytes;

/// A change in the order of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its position in history.
    pub revision: Revision,
    /// The key that changed.
    pub key: Bytes,
    /// The encoded `mvccpb.KeyValue` that was put; empty when the key was deleted.
    pub record: Bytes,
}

impl Event {
    /// Returns `true` if the key was deleted.
    pub fn is_delete(&self) -> bool {
        self.record.is_empty()
    }
}
