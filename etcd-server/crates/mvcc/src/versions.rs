//! The versions in [`Table::History`] that were the newest of their keys at a revision, in key
//! order, including the pending ones of the overlay.

use crate::write_buffer::WriteBuffer;
use bytes::Bytes;
use schema::{Cursor as _, Table, View, history_key};
use std::ops::Bound;
use types::{Fault, KeyRange, MainRevision, Revision};

/// Versions stepped over one by one before a seek to where we want to be is cheaper.
const STEPS_BEFORE_SEEK: usize = 4;

/// Prefix of the user key, and the record: empty for a tombstone.
pub(crate) type Version<'a> = (&'a [u8], &'a [u8]);

/// A position among the replaced versions of a range: for each key, the newest that is not newer
/// than a revision.
pub(crate) struct Versions<'a, V: View + 'a> {
    stored: V::Cursor<'a>,
    write_buffer: &'a WriteBuffer,
    pending: Option<(&'a [u8], &'a Bytes)>,
    end: Option<Vec<u8>>,
    at: MainRevision,
    /// The key's prefix while a place is looked for.
    target: Vec<u8>,
}

impl<'a, V: View> Versions<'a, V> {
    /// Returns the position of the first version in `range`.
    pub(crate) fn new(
        view: &'a V,
        write_buffer: &'a WriteBuffer,
        range: &KeyRange,
        at: MainRevision,
    ) -> Result<Self, Fault> {
        let end = end_of(range);
        let stored = view.cursor(Table::History, end.as_deref())?;
        let mut first = Vec::with_capacity(range.start().len() + 16);
        history_key::push_prefix(&mut first, range.start());
        let mut versions = Self { stored, write_buffer, pending: None, end, at, target: Vec::new() };
        versions.seek(&first)?;
        versions.pass_newer()?;
        Ok(versions)
    }

    /// The version that this stands on.
    pub(crate) fn item(&self) -> Result<Option<Version<'_>>, Fault> {
        let Some((stored, record)) = self.version() else { return Ok(None) };
        Ok(Some((history_key::split(stored)?.0, record)))
    }

    /// Moves to the version of a later key.
    pub(crate) fn next_key(&mut self) -> Result<(), Fault> {
        if self.take_target()?.is_none() {
            return Ok(());
        }
        self.skip_key()?;
        self.pass_newer()
    }

    fn version(&self) -> Option<(&[u8], &[u8])> {
        let pending = self.pending.map(|(key, record)| (key, &record[..]));
        match (self.stored.item(), pending) {
            (Some(stored), Some(pending)) => Some(if pending.0 < stored.0 { pending } else { stored }),
            (stored, pending) => stored.or(pending),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.stored.seek(key)?;
        self.pending = self.below_end(self.write_buffer.first_from(key));
        Ok(())
    }

    fn seek_target(&mut self) -> Result<(), Fault> {
        let target = std::mem::take(&mut self.target);
        let sought = self.seek(&target);
        self.target = target;
        sought
    }

    /// The store's cursor keeps to the upper bound by itself; pending rows are checked against it.
    fn below_end(&self, pending: Option<(&'a [u8], &'a Bytes)>) -> Option<(&'a [u8], &'a Bytes)> {
        pending.filter(|(key, _)| self.end.as_ref().is_none_or(|end| *key < &end[..]))
    }

    fn step(&mut self) -> Result<(), Fault> {
        match (self.stored.item(), self.pending) {
            (Some((stored, _)), Some((pending, _))) if pending < stored => {
                self.pending = self.below_end(self.write_buffer.first_after(pending));
            }
            (Some(_), _) => self.stored.next()?,
            (None, Some((pending, _))) => self.pending = self.below_end(self.write_buffer.first_after(pending)),
            (None, None) => {}
        }
        Ok(())
    }

    /// Makes the key of the version that the cursor stands on the target; returns that version's
    /// revision.
    fn take_target(&mut self) -> Result<Option<Revision>, Fault> {
        let mut target = std::mem::take(&mut self.target);
        let Some((stored, _)) = self.version() else { return Ok(None) };
        let (prefix, revision) = history_key::split(stored)?;
        target.clear();
        target.extend_from_slice(prefix);
        self.target = target;
        Ok(Some(revision))
    }

    /// Moves up to a version that is not too new, of the same key or a later one.
    fn pass_newer(&mut self) -> Result<(), Fault> {
        while let Some(revision) = self.take_target()? {
            if revision.main <= self.at {
                break;
            }
            self.step_or_seek_to_revision()?;
        }
        Ok(())
    }

    /// From a version that is too new to the newest of the same key that is not, or to a later key.
    fn step_or_seek_to_revision(&mut self) -> Result<(), Fault> {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.step()?;
            let Some((stored, _)) = self.version() else { return Ok(()) };
            let (found, revision) = history_key::split(stored)?;
            if found != &self.target[..] || revision.main <= self.at {
                return Ok(());
            }
        }
        history_key::push_revision(&mut self.target, Revision::new(self.at, i64::from(u32::MAX)));
        self.seek_target()
    }

    /// Past all versions of the target.
    fn skip_key(&mut self) -> Result<(), Fault> {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.step()?;
            match self.version() {
                Some((stored, _)) if stored.starts_with(&self.target) => {}
                _ => return Ok(()),
            }
        }
        history_key::prefix_to_after(&mut self.target);
        self.seek_target()
    }
}

fn end_of(range: &KeyRange) -> Option<Vec<u8>> {
    let mut end = Vec::new();
    match range.end_bound() {
        Bound::Included(key) => history_key::push_after(&mut end, key),
        Bound::Excluded(key) => history_key::push_prefix(&mut end, key),
        Bound::Unbounded => return None,
    }
    Some(end)
}
