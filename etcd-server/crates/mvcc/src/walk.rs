//! The newest versions at a revision, of one key or of a range: over the store and the pending
//! rows.
//!
//! A key's newest version is in [`Table::Current`]; the batch that replaces or deletes it moves it
//! to [`Table::History`]. Readers hold no snapshot: apply may write between two of their reads, and
//! the store may be newer than the revision they read at. It is enough that **Current is read
//! first, and History as it is afterwards**:
//! - A version in Current that is not newer than the revision is the newest of its key there: when
//!   the revision was published, everything up to it had been written, and Current held the newest.
//! - When Current holds a newer one or none, then the key's newest version at the revision, if it
//!   had any, was replaced before Current was read. So it is in History by then, and stays until
//!   compaction passes it. A key put for the first time after the revision has no version in
//!   History that is old enough, and a tombstone there shows that the key did not live.
//! - When, after Current was read, the store still has no revision newer than the one read at,
//!   Current was exactly that revision's state, and History need not be read at all. This is the
//!   usual case.
//!
//! A cursor sees the store as it was when it was made, wherever it is moved later; so for ranges
//! "read" means "made the cursor". If a version is seen in both tables, because it was moved in
//! between, Current goes first and it counts once.

use crate::rows::Rows;
use crate::versions::Versions;
use crate::write_buffer::WriteBuffer;
use bytes::Bytes;
use schema::{Table, View, current_record, history_key, meta};
use std::cmp::Ordering;
use std::ops::ControlFlow;
use types::{Fault, KeyRange, MainRevision, Revision};

/// Calls `found` with the record of every key of `range` that lives at main revision `at`, in key
/// order, until it breaks.
pub(crate) fn live_records<V: View>(
    view: &V,
    write_buffer: &WriteBuffer,
    range: &KeyRange,
    at: MainRevision,
    mut found: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    if range.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(view, write_buffer, range)?;
    if !is_newest(view, write_buffer, at)? {
        return merged_records(rows, Versions::new(view, write_buffer, range, at)?, at, found);
    }
    while let Some((_, stored)) = rows.item() {
        if found(current_record::split(stored)?.1)?.is_break() {
            break;
        }
        rows.next()?;
    }
    Ok(())
}

/// Calls `found` with the stored value of every live key of `range`, including pending ones.
pub(crate) fn newest_rows<V: View>(
    view: &V,
    write_buffer: &WriteBuffer,
    range: &KeyRange,
    mut found: impl FnMut(&[u8]),
) -> Result<(), Fault> {
    if range.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(view, write_buffer, range)?;
    while let Some((_, stored)) = rows.item() {
        found(stored);
        rows.next()?;
    }
    Ok(())
}

/// The newest version of `user_key` that is not newer than `at`; the record is empty for a
/// tombstone, which may also be left out.
pub(crate) fn version_at<V: View>(
    view: &V,
    write_buffer: &WriteBuffer,
    user_key: &[u8],
    at: MainRevision,
) -> Result<Option<(Revision, Bytes)>, Fault> {
    match newest(view, write_buffer, user_key)? {
        Some(stored) => {
            let (revision, record) = current_record::split(&stored)?;
            if revision.main <= at {
                return Ok(Some((revision, stored.slice_ref(record))));
            }
        }
        None if is_newest(view, write_buffer, at)? => return Ok(None),
        None => {}
    }
    superseded_version_at(view, write_buffer, user_key, at)
}

/// The row of `user_key` in [`Table::Current`]; nothing when the key does not live.
pub(crate) fn newest<V: View>(view: &V, write_buffer: &WriteBuffer, user_key: &[u8]) -> Result<Option<Bytes>, Fault> {
    match write_buffer.current(user_key) {
        Some(pending) => Ok(pending.clone()),
        None => view.get(Table::Current, user_key),
    }
}

/// Returns `true` if nothing newer than `at` is written or pending.
fn is_newest<V: View>(view: &V, write_buffer: &WriteBuffer, at: MainRevision) -> Result<bool, Fault> {
    if at == MainRevision::MAX {
        return Ok(true);
    }
    let written = meta::read_u64(view, meta::CURRENT_REVISION)?.map_or(0, u64::cast_signed);
    Ok(written.max(write_buffer.newest()) <= at)
}

fn superseded_version_at<V: View>(
    view: &V,
    write_buffer: &WriteBuffer,
    user_key: &[u8],
    at: MainRevision,
) -> Result<Option<(Revision, Bytes)>, Fault> {
    let mut from = Vec::with_capacity(user_key.len() + 16);
    history_key::push_prefix(&mut from, user_key);
    let prefix_length = from.len();
    history_key::push_revision(&mut from, Revision::new(at, i64::from(u32::MAX)));
    let prefix = &from[..prefix_length];
    let pending = write_buffer.first_from(&from).filter(|(key, _)| key.starts_with(prefix));
    if let Some((key, record)) = pending {
        // Pending versions are newer than stored ones.
        return Ok(Some((history_key::split(key)?.1, record.clone())));
    }
    let Some((key, record)) = view.first_with_prefix(Table::History, prefix, &from)? else { return Ok(None) };
    Ok(Some((history_key::split(&key)?.1, record)))
}

/// Merges both tables by user key; the forms of keys in History sort as the keys do.
fn merged_records<V: View>(
    mut rows: Rows<'_, V>,
    mut versions: Versions<'_, V>,
    at: MainRevision,
    mut found: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    let mut prefix = Vec::new();
    loop {
        let (row, superseded) = (rows.item(), versions.item()?);
        let order = match (row, superseded) {
            (Some((key, _)), Some((other, _))) => {
                prefix.clear();
                history_key::push_prefix(&mut prefix, key);
                prefix[..].cmp(other)
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        let row = row.filter(|_| order.is_le()).map(|(_, stored)| current_record::split(stored)).transpose()?;
        let row = row.filter(|(revision, _)| revision.main <= at).map(|(_, record)| record);
        let superseded =
            superseded.filter(|_| order.is_ge()).map(|(_, record)| record).filter(|record| !record.is_empty());
        if let Some(record) = row.or(superseded)
            && found(record)?.is_break()
        {
            return Ok(());
        }
        if order.is_le() {
            rows.next()?;
        }
        if order.is_ge() {
            versions.next_key()?;
        }
    }
}
