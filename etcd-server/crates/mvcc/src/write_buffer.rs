//! Written rows that cannot be read from the store yet, because their batch is still being filled:
//! both tables of versions, mirrored.

use bytes::Bytes;
use schema::{Batch, Table};
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use types::{MainRevision, Revision};

/// A pending row of [`schema::Table::Current`]: its key and value; no value when the key was
/// deleted.
pub(crate) type PendingRow<'a> = (&'a Bytes, &'a Option<Bytes>);

/// Pending items of [`schema::Table::Current`] and [`schema::Table::History`], as these tables will
/// hold them.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    /// Main revision of the newest pending change; zero while there is none.
    newest: MainRevision,
    current: BTreeMap<Bytes, Option<Bytes>>,
    history: BTreeMap<Vec<u8>, Bytes>,
}

impl WriteBuffer {
    pub(crate) const fn new() -> Self {
        Self { newest: 0, current: BTreeMap::new(), history: BTreeMap::new() }
    }

    /// Main revision of the newest pending change; zero when nothing is pending.
    pub(crate) fn newest(&self) -> MainRevision {
        self.newest
    }

    /// The keys that were changed, in order.
    pub(crate) fn user_keys(&self) -> impl Iterator<Item = &Bytes> {
        self.current.keys()
    }

    /// `revision` put `stored` under `user_key`, or deleted the key.
    pub(crate) fn set_current(&mut self, user_key: Bytes, revision: Revision, stored: Option<Bytes>) {
        assert!(
            revision.main >= self.newest,
            "a change of revision {} comes behind one of {}",
            revision.main,
            self.newest
        );
        self.newest = revision.main;
        self.current.insert(user_key, stored);
    }

    pub(crate) fn insert_history(&mut self, stored_key: Vec<u8>, record: Bytes) {
        self.history.insert(stored_key, record);
    }

    /// Forgets everything: the batch can be read from the store now.
    pub(crate) fn clear(&mut self) {
        self.newest = 0;
        self.current.clear();
        self.history.clear();
    }

    /// Writes everything into the batch, in the order of the tables: the store takes neighbours for
    /// less than scattered keys, and of a key that was put several times the last row alone.
    pub(crate) fn write(&self, batch: &mut dyn Batch) {
        for (user_key, stored) in &self.current {
            match stored {
                Some(stored) => batch.put(Table::Current, user_key, stored),
                None => batch.delete(Table::Current, user_key),
            }
        }
        for (stored_key, record) in &self.history {
            batch.put(Table::History, stored_key, record);
        }
    }

    /// Returns the effect of the batch on the row of `user_key`: none, its deletion, or a new
    /// value.
    pub(crate) fn current(&self, user_key: &[u8]) -> Option<&Option<Bytes>> {
        self.current.get(user_key)
    }

    /// Pending rows from `start` on, up to `end` if there is one; `start` does not lie behind it.
    pub(crate) fn current_between(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> btree_map::Range<'_, Bytes, Option<Bytes>> {
        self.current.range::<[u8], _>((Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded)))
    }

    /// The first pending history item whose stored key is `>= from`.
    pub(crate) fn first_from(&self, from: &[u8]) -> Option<(&[u8], &Bytes)> {
        self.after_bound(Bound::Included(from))
    }

    /// The first pending history item whose stored key is `> key`.
    pub(crate) fn first_after(&self, key: &[u8]) -> Option<(&[u8], &Bytes)> {
        self.after_bound(Bound::Excluded(key))
    }

    fn after_bound(&self, bound: Bound<&[u8]>) -> Option<(&[u8], &Bytes)> {
        self.history.range::<[u8], _>((bound, Bound::Unbounded)).next().map(|(key, record)| (&key[..], record))
    }
}
