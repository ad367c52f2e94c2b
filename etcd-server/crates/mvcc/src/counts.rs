//! The number of live keys in a range, without walking over them.
//!
//! The key space is cut into buckets of neighbouring keys; each knows its number of live keys. A
//! range is whole buckets plus at most two edges that are walked. Buckets split when they outgrow
//! `bucket_keys_max` and merge into their left neighbour when they are empty, so that a bucket
//! costs a few dozen bytes per some hundred keys. The boundaries are not replicated: no response
//! depends on them.

use crate::record::Fields;
use crate::walk;
use crate::write_buffer::WriteBuffer;
use bytes::Bytes;
use imbl::OrdMap;
use schema::{Batch, Cursor, Table, View};
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use types::{Fault, KeyRange, MainRevision};

/// Live keys per bucket at one revision. Cloning is cheap: clones share their common parts.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// First key of each bucket → its live keys. The first bucket begins at the empty key and is
    /// never removed.
    buckets: OrdMap<Bytes, u32>,
    total: u64,
    /// A bucket with more live keys is cut in two.
    bucket_keys_max: u32,
}

/// The changes since the counts were last written.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    buckets: BTreeSet<Bytes>,
}

impl Counts {
    pub(crate) fn empty(bucket_keys_max: u32) -> Self {
        Self { buckets: OrdMap::new(), total: 0, bucket_keys_max: bucket_keys_max.max(1) }
    }

    pub(crate) fn load(view: &impl View, bucket_keys_max: u32) -> Result<Self, Fault> {
        let mut counts = Self::empty(bucket_keys_max);
        let mut cursor = view.cursor(Table::Counts, None)?;
        cursor.seek(&[])?;
        while let Some((first_key, stored)) = cursor.item() {
            let live: [u8; 4] = stored.try_into().map_err(|_| Fault::corrupt("key count", "is not four bytes long"))?;
            let live = u32::from_be_bytes(live);
            counts.total += u64::from(live);
            counts.buckets.insert(Bytes::copy_from_slice(first_key), live);
            cursor.next()?;
        }
        Ok(counts)
    }

    /// All live keys.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// A key that did not live before does now.
    pub(crate) fn added(&mut self, key: &[u8], changed: &mut Changed) {
        let (first_key, live) = self.bucket_of(key);
        changed.buckets.insert(first_key.clone());
        self.buckets.insert(first_key, live + 1);
        self.total += 1;
    }

    /// A key that lived does no longer.
    pub(crate) fn removed(&mut self, key: &[u8], changed: &mut Changed) {
        let (first_key, live) = self.bucket_of(key);
        changed.buckets.insert(first_key.clone());
        let left = live.checked_sub(1).expect("a key that lived was counted");
        self.buckets.insert(first_key, left);
        assert!(self.total > 0, "a live key of a bucket is in the total");
        self.total -= 1;
    }

    /// Splits buckets that have grown too large, merges empty ones, and writes every bucket that
    /// changed.
    pub(crate) fn settle<V: View>(
        &mut self,
        view: &V,
        write_buffer: &WriteBuffer,
        at: MainRevision,
        changed: &mut Changed,
        batch: &mut dyn Batch,
    ) -> Result<(), Fault> {
        let mut pending = std::mem::take(&mut changed.buckets);
        while let Some(first_key) = pending.pop_first() {
            match self.buckets.get(&first_key).copied() {
                Some(live) if live > self.bucket_keys_max => {
                    let cut = self.cut(view, write_buffer, at, &first_key, live)?;
                    pending.insert(first_key);
                    pending.insert(cut);
                }
                Some(0) if !first_key.is_empty() => {
                    self.buckets.remove(&first_key);
                    batch.delete(Table::Counts, &first_key);
                }
                Some(live) => batch.put(Table::Counts, &first_key, &live.to_be_bytes()),
                None => {}
            }
        }
        Ok(())
    }

    /// Live keys of `range` at revision `at`, which these counts belong to.
    pub(crate) fn in_range<V: View>(
        &self,
        view: &V,
        write_buffer: &WriteBuffer,
        range: &KeyRange,
        at: MainRevision,
    ) -> Result<u64, Fault> {
        if range.is_empty() {
            return Ok(0);
        }
        let (first_bucket, _) = self.bucket_of(range.start());
        let mut count = 0;
        let mut buckets = self.buckets.range((Bound::Included(first_bucket), Bound::Unbounded)).peekable();
        while let Some((first_key, live)) = buckets.next() {
            if range.is_below(first_key) {
                break;
            }
            let next = buckets.peek().map(|(next, _)| (*next).clone());
            if first_key >= range.start() && range_covers_up_to(range, next.as_ref()) {
                count += u64::from(*live);
            } else {
                count += walked(view, write_buffer, &intersection(range, first_key, next), at)?;
            }
        }
        Ok(count)
    }

    fn bucket_of(&self, key: &[u8]) -> (Bytes, u32) {
        let found = self.buckets.get_prev(key);
        found.map_or((Bytes::new(), 0), |(first_key, live)| (first_key.clone(), *live))
    }

    /// Cuts the bucket in the middle of its live keys and returns where the new one begins.
    fn cut<V: View>(
        &mut self,
        view: &V,
        write_buffer: &WriteBuffer,
        at: MainRevision,
        first_key: &Bytes,
        live: u32,
    ) -> Result<Bytes, Fault> {
        let next = self.buckets.get_next(&after(first_key)).map(|(next, _)| next.clone());
        let range = KeyRange::from_wire(first_key.clone(), next.unwrap_or_else(|| Bytes::from_static(&[0])));
        let left = live / 2;
        let (mut seen, mut cut) = (0, None);
        walk::live_records(view, write_buffer, &range, at, |record| {
            if seen == left {
                cut = Some(Bytes::copy_from_slice(Fields::parse(record)?.key));
                return Ok(ControlFlow::Break(()));
            }
            seen += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        let cut =
            cut.ok_or_else(|| Fault::corrupt("key count", format_args!("bucket says {live} keys, found {seen}")))?;
        assert!(cut > *first_key, "a bucket is cut behind its first key, at {:?} of {:?}", cut, first_key);
        self.buckets.insert(first_key.clone(), left);
        let replaced = self.buckets.insert(cut.clone(), live - left);
        assert!(replaced.is_none(), "a bucket is cut at {cut:?}, where another one begins");
        Ok(cut)
    }
}

/// Live keys of `range` at `at`, by walking over them.
pub(crate) fn walked<V: View>(
    view: &V,
    write_buffer: &WriteBuffer,
    range: &KeyRange,
    at: MainRevision,
) -> Result<u64, Fault> {
    let mut count = 0;
    walk::live_records(view, write_buffer, range, at, |_| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

fn after(key: &[u8]) -> Bytes {
    let mut after = key.to_vec();
    after.push(0);
    after.into()
}

/// Returns `true` if `range` extends at least to `next`, the first key of the following bucket.
fn range_covers_up_to(range: &KeyRange, next: Option<&Bytes>) -> bool {
    match (range.end_bound(), next) {
        (Bound::Unbounded, _) => true,
        (_, None) => false,
        (Bound::Included(end), Some(next)) => next[..] == after(end)[..],
        (Bound::Excluded(end), Some(next)) => next[..] <= *end,
    }
}

/// The part of `range` inside the bucket from `first_key` up to `next`.
fn intersection(range: &KeyRange, first_key: &Bytes, next: Option<Bytes>) -> KeyRange {
    if range.as_single().is_some() {
        return range.clone();
    }
    let start = first_key.max(range.start()).clone();
    let end = match (range.end_bound(), next) {
        (Bound::Excluded(end), Some(next)) => next.min(Bytes::copy_from_slice(end)),
        (Bound::Excluded(end) | Bound::Included(end), None) => Bytes::copy_from_slice(end),
        (_, Some(next)) => next,
        (Bound::Unbounded, None) => Bytes::from_static(&[0]),
    };
    KeyRange::from_wire(start, end)
}
