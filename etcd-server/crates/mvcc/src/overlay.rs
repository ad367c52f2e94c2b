//! Versions that were written but cannot be read from the store yet, because their batch is still being filled.

use bytes::Bytes;
use schema::history_key;
use std::collections::BTreeMap;
use std::ops::Bound;
use types::Revision;

/// History items by their stored key, as [`schema::Table::History`] will hold them.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    versions: BTreeMap<Vec<u8>, Bytes>,
}

impl Overlay {
    pub(crate) const fn new() -> Self {
        Self { versions: BTreeMap::new() }
    }

    /// The keys in here, one for each version, in key order.
    pub(crate) fn user_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        self.versions.keys().map(|stored| {
            let (prefix, _) = history_key::split(stored).expect("the overlay holds keys made by history_key");
            history_key::user_key(prefix)
        })
    }

    pub(crate) fn insert(&mut self, stored_key: Vec<u8>, record: Bytes) {
        self.versions.insert(stored_key, record);
    }

    /// Forgets everything: the batch can be read from the store now.
    pub(crate) fn clear(&mut self) {
        self.versions.clear();
    }

    /// The first item whose stored key is `>= from`.
    pub(crate) fn first_from(&self, from: &[u8]) -> Option<(&[u8], &Bytes)> {
        self.after_bound(Bound::Included(from))
    }

    /// The first item whose stored key is `> key`.
    pub(crate) fn first_after(&self, key: &[u8]) -> Option<(&[u8], &Bytes)> {
        self.after_bound(Bound::Excluded(key))
    }

    /// The newest version of `user_key` in here.
    pub(crate) fn latest(&self, user_key: &[u8]) -> Option<(Revision, &Bytes)> {
        if self.versions.is_empty() {
            return None;
        }
        let mut prefix = Vec::with_capacity(user_key.len() + 2);
        history_key::push_prefix(&mut prefix, user_key);
        let (key, record) = self.first_from(&prefix).filter(|(key, _)| key.starts_with(&prefix))?;
        let (_, revision) = history_key::split(key).expect("the overlay holds keys made by history_key");
        Some((revision, record))
    }

    fn after_bound(&self, bound: Bound<&[u8]>) -> Option<(&[u8], &Bytes)> {
        self.versions.range::<[u8], _>((bound, Bound::Unbounded)).next().map(|(key, record)| (&key[..], record))
    }
}
