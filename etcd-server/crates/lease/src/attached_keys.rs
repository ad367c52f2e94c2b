//! Keys attached to leases: rows of [`Table::LeaseKeys`], plus the rows changed since the view was
//! taken.
//!
//! A row is (lease id, big-endian; user key) → nothing. No index of attached keys is held in
//! memory: the keys of a lease are read from the view, corrected by `pending`. Pending rows are as
//! many as the batches that no view shows yet have changed.

use crate::lease_record::encode_key;
use bytes::Bytes;
use schema::{Batch, Cursor, Table, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{Fault, LeaseId};

/// Names the changes made up to a point, for
/// [`Lessor::became_visible`](crate::Lessor::became_visible).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sealed(u64);

/// Rows that differ from those of the view.
#[derive(Debug, Default)]
pub(crate) struct AttachedKeys {
    pending: BTreeMap<(LeaseId, Bytes), Pending>,
    /// Each change in order, so that visible changes are dropped without a walk over the rest.
    order: VecDeque<(u64, LeaseId, Bytes)>,
    /// Number of the batch being filled.
    filling: u64,
    /// Batches before this one are visible.
    visible_to: u64,
    row: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    attached: bool,
    batch: u64,
}

impl AttachedKeys {
    pub(crate) fn attach(&mut self, batch: &mut dyn Batch, id: LeaseId, key: &[u8]) {
        self.encode_row(id, key);
        batch.put(Table::LeaseKeys, &self.row, &[]);
        self.note(id, key, true);
    }

    pub(crate) fn detach(&mut self, batch: &mut dyn Batch, id: LeaseId, key: &[u8]) {
        self.encode_row(id, key);
        batch.delete(Table::LeaseKeys, &self.row);
        self.note(id, key, false);
    }

    /// The keys attached to `id` now, ascending.
    pub(crate) fn of(&self, view: &impl View, id: LeaseId) -> Result<Vec<Bytes>, Fault> {
        let stored = stored_keys(view, id)?;
        let mut changed =
            self.pending.range((id, Bytes::new())..).take_while(|((lease, _), _)| *lease == id).peekable();
        if changed.peek().is_none() {
            return Ok(stored);
        }
        let mut keys = BTreeSet::from_iter(stored);
        for ((_, key), pending) in changed {
            if pending.attached {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        Ok(keys.into_iter().collect())
    }

    pub(crate) fn seal(&mut self) -> Sealed {
        let sealed = Sealed(self.filling);
        self.filling += 1;
        sealed
    }

    pub(crate) fn became_visible(&mut self, sealed: Sealed) {
        assert!(sealed.0 < self.filling, "only a batch that was sealed becomes visible");
        assert!(sealed.0 >= self.visible_to, "batch {} becomes visible behind {}", sealed.0, self.visible_to);
        self.visible_to = sealed.0 + 1;
        while let Some((batch, _, _)) = self.order.front()
            && *batch <= sealed.0
            && let Some((batch, id, key)) = self.order.pop_front()
        {
            let row = (id, key);
            if self.pending.get(&row).is_some_and(|pending| pending.batch == batch) {
                self.pending.remove(&row);
            }
        }
        assert!(
            self.pending.len() <= self.order.len(),
            "{} changed rows come from {} changes",
            self.pending.len(),
            self.order.len()
        );
    }

    pub(crate) fn pending_rows(&self) -> usize {
        self.order.len()
    }

    fn note(&mut self, id: LeaseId, key: &[u8], attached: bool) {
        let (batch, key) = (self.filling, Bytes::copy_from_slice(key));
        assert!(batch >= self.visible_to, "batch {batch} is visible, and lease {id} changes in it");
        if let Some((before, ..)) = self.order.back() {
            assert!(*before <= batch, "a change of batch {batch} comes behind one of {before}");
        }
        self.pending.insert((id, key.clone()), Pending { attached, batch });
        self.order.push_back((batch, id, key));
    }

    fn encode_row(&mut self, id: LeaseId, key: &[u8]) {
        self.row.clear();
        self.row.extend_from_slice(&encode_key(id));
        self.row.extend_from_slice(key);
    }
}

/// Returns the keys attached to `id` in `view`, ascending, without those of later batches.
pub fn stored_keys(view: &impl View, id: LeaseId) -> Result<Vec<Bytes>, Fault> {
    let prefix = encode_key(id);
    let mut keys = Vec::new();
    let mut cursor = view.cursor(Table::LeaseKeys, None)?;
    cursor.seek(&prefix)?;
    while let Some((row, _)) = cursor.item()
        && let Some(key) = row.strip_prefix(&prefix)
    {
        keys.push(Bytes::copy_from_slice(key));
        cursor.next()?;
    }
    Ok(keys)
}
