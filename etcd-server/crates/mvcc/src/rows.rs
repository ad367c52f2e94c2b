//! The rows of [`Table::Current`] in a range, in key order, including the pending ones of the
//! overlay.

use crate::write_buffer::{PendingRow, WriteBuffer};
use bytes::Bytes;
use schema::{Cursor as _, Table, View};
use std::cmp::Ordering;
use std::collections::btree_map;
use std::ops::Bound;
use types::{Fault, KeyRange};

/// A position among the rows of a range.
pub(crate) struct Rows<'a, V: View + 'a> {
    stored: V::Cursor<'a>,
    pending: Option<PendingRow<'a>>,
    /// The pending rows after that.
    pending_rest: btree_map::Range<'a, Bytes, Option<Bytes>>,
}

impl<'a, V: View> Rows<'a, V> {
    /// Stands on the first row of `range`, which is not empty.
    pub(crate) fn new(view: &'a V, write_buffer: &'a WriteBuffer, range: &KeyRange) -> Result<Self, Fault> {
        let end = end_of(range);
        let mut stored = view.cursor(Table::Current, end.as_deref())?;
        stored.seek(range.start())?;
        let mut pending_rest = write_buffer.current_between(range.start(), end.as_deref());
        let pending = pending_rest.next();
        let mut rows = Self { stored, pending, pending_rest };
        rows.pass_deleted()?;
        Ok(rows)
    }

    /// User key and stored value.
    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        let stored = self.stored.item();
        let pending = self.pending.and_then(|(key, value)| Some((&key[..], &value.as_ref()?[..])));
        match (stored, pending) {
            (Some(stored), Some(pending)) => Some(if pending.0 <= stored.0 { pending } else { stored }),
            (stored, pending) => stored.or(pending),
        }
    }

    /// Moves to the next row.
    pub(crate) fn next(&mut self) -> Result<(), Fault> {
        self.step()?;
        self.pass_deleted()
    }

    fn step(&mut self) -> Result<(), Fault> {
        let order = match (self.stored.item(), self.pending) {
            (Some((stored, _)), Some((pending, _))) => stored.cmp(pending),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        if order.is_ge() {
            self.pending = self.pending_rest.next();
        }
        if order.is_le() { self.stored.next() } else { Ok(()) }
    }

    fn pass_deleted(&mut self) -> Result<(), Fault> {
        while let Some((deleted, None)) = self.pending {
            if self.stored.item().is_some_and(|(stored, _)| stored < &deleted[..]) {
                break;
            }
            self.step()?;
        }
        Ok(())
    }
}

fn end_of(range: &KeyRange) -> Option<Vec<u8>> {
    match range.end_bound() {
        Bound::Included(key) => Some([key, &[0]].concat()),
        Bound::Excluded(key) => Some(key.to_vec()),
        Bound::Unbounded => None,
    }
}
