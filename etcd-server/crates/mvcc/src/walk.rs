//! Walking over the keys that live at a revision, in key order, over the store and what is not yet visible in it.

use crate::overlay::Overlay;
use bytes::Bytes;
use schema::{Cursor, Table, View, history_key};
use std::ops::{Bound, ControlFlow};
use types::{Fault, KeyRange, MainRevision, Revision};

/// Versions stepped over one by one before a seek to where we want to be is cheaper.
const STEPS_BEFORE_SEEK: usize = 4;

/// Calls `found` with the record of every key of `range` that lives at main revision `at`, in key order, until it breaks.
pub(crate) fn live_records<V: View>(
    view: &V,
    overlay: &Overlay,
    range: &KeyRange,
    at: MainRevision,
    mut found: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    if range.is_empty() {
        return Ok(());
    }
    let end = upper_bound(range);
    let mut versions = Versions::new(view, overlay, end)?;
    let mut target = Vec::with_capacity(range.start().len() + 16);
    history_key::push_prefix(&mut target, range.start());
    versions.seek(&target)?;
    while let Some((stored, record)) = versions.item() {
        let (prefix, revision) = history_key::split(stored)?;
        target.clear();
        target.extend_from_slice(prefix);
        if revision.main > at {
            versions.step_or_seek_to_revision(&mut target, at)?;
            continue;
        }
        if !record.is_empty() && found(record)?.is_break() {
            return Ok(());
        }
        versions.skip_key(&mut target)?;
    }
    Ok(())
}

/// The newest version of `user_key` that is not newer than `at`; the record is empty for a tombstone.
pub(crate) fn version_at<V: View>(
    view: &V,
    overlay: &Overlay,
    user_key: &[u8],
    at: MainRevision,
) -> Result<Option<(Revision, Bytes)>, Fault> {
    let mut from = Vec::with_capacity(user_key.len() + 16);
    history_key::push_prefix(&mut from, user_key);
    let prefix_length = from.len();
    history_key::push_revision(&mut from, Revision::new(at, i64::from(u32::MAX)));
    let prefix = &from[..prefix_length];
    let pending = overlay.first_from(&from).filter(|(key, _)| key.starts_with(prefix));
    if let Some((key, record)) = pending {
        // Whatever is pending is newer than whatever is stored.
        return Ok(Some((history_key::split(key)?.1, record.clone())));
    }
    let Some((key, record)) = view.first_with_prefix(Table::History, prefix, &from)? else { return Ok(None) };
    Ok(Some((history_key::split(&key)?.1, record)))
}

fn upper_bound(range: &KeyRange) -> Option<Vec<u8>> {
    let mut end = Vec::new();
    match range.end_bound() {
        Bound::Included(key) => history_key::push_after(&mut end, key),
        Bound::Excluded(key) => history_key::push_prefix(&mut end, key),
        Bound::Unbounded => return None,
    }
    Some(end)
}

/// History items of store and overlay together, in stored order, below an upper bound.
struct Versions<'a, V: View + 'a> {
    stored: V::Cursor<'a>,
    overlay: &'a Overlay,
    pending: Option<(&'a [u8], &'a Bytes)>,
    end: Option<Vec<u8>>,
}

impl<'a, V: View> Versions<'a, V> {
    fn new(view: &'a V, overlay: &'a Overlay, end: Option<Vec<u8>>) -> Result<Self, Fault> {
        let stored = view.cursor(Table::History, end.as_deref())?;
        Ok(Self { stored, overlay, pending: None, end })
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.stored.seek(key)?;
        self.pending = self.below_end(self.overlay.first_from(key));
        Ok(())
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        let pending = self.pending.map(|(key, record)| (key, &record[..]));
        match (self.stored.item(), pending) {
            (Some(stored), Some(pending)) => Some(if pending.0 < stored.0 { pending } else { stored }),
            (stored, pending) => stored.or(pending),
        }
    }

    /// The store's cursor keeps to the upper bound by itself; what is pending has to be held to it.
    fn below_end(&self, pending: Option<(&'a [u8], &'a Bytes)>) -> Option<(&'a [u8], &'a Bytes)> {
        pending.filter(|(key, _)| self.end.as_ref().is_none_or(|end| *key < &end[..]))
    }

    fn next(&mut self) -> Result<(), Fault> {
        match (self.stored.item(), self.pending) {
            (Some((stored, _)), Some((pending, _))) if pending < stored => {
                self.pending = self.below_end(self.overlay.first_after(pending));
            }
            (Some(_), _) => self.stored.next()?,
            (None, Some((pending, _))) => self.pending = self.below_end(self.overlay.first_after(pending)),
            (None, None) => {}
        }
        Ok(())
    }

    /// From a version newer than `at` to the newest of the same key that is not, or to a later key.
    fn step_or_seek_to_revision(&mut self, prefix: &mut Vec<u8>, at: MainRevision) -> Result<(), Fault> {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.next()?;
            let Some((stored, _)) = self.item() else { return Ok(()) };
            let (found, revision) = history_key::split(stored)?;
            if found != &prefix[..] || revision.main <= at {
                return Ok(());
            }
        }
        history_key::push_revision(prefix, Revision::new(at, i64::from(u32::MAX)));
        self.seek(prefix)
    }

    /// Past all versions of the key with this prefix.
    fn skip_key(&mut self, prefix: &mut [u8]) -> Result<(), Fault> {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.next()?;
            match self.item() {
                Some((stored, _)) if stored.starts_with(prefix) => {}
                _ => return Ok(()),
            }
        }
        history_key::prefix_to_after(prefix);
        self.seek(prefix)
    }
}
