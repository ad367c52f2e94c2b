//! A stretch of history: how large it is, its entries as they lie in memory, and how they are put
//! in order.
//!
//! An entry in memory and in scratch space: main revision 8 bytes, sub revision 4, kind 1, length
//! 4, then the record or the deleted key.

use bytes::{Buf as _, BufMut as _, Bytes};
use schema::revision_record::{self, RevisionRecord};
use schema::version_walk::{Version, Written};
use schema::{Cursor as _, Table, View, bump_record, current_record};
use types::{Fault, Revision};

/// Bytes of a part. An entry that is larger is a part of its own.
const PART_BYTES: u64 = 16 << 20;

/// Bytes in front of an entry's data.
const HEAD_BYTES: u64 = 17;

/// A stretch of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: usize,
    pub(super) first: Revision,
    pub(super) last: Revision,
    pub(super) entries: u64,
    /// Bytes of all entries, heads included.
    pub(super) bytes: u64,
}

/// Cuts history into parts.
pub(super) fn parts(view: &impl View) -> Result<Vec<Part>, Fault> {
    let mut parts: Vec<Part> = Vec::new();
    let mut cursor = view.scan(Table::Revisions)?;
    while let Some((key, stored)) = cursor.item() {
        let revision = revision_record::decode_key(key)?;
        let change = RevisionRecord::decode(stored)?;
        let data_bytes = if change.is_tombstone() {
            change.user_key.len() as u64
        } else {
            u64::from(bump_record::backend_value_bytes(change.user_key, change.record_bytes))
        };
        let bytes = HEAD_BYTES + data_bytes;
        match parts.last_mut() {
            Some(part) if part.bytes + bytes <= PART_BYTES => {
                *part = Part { last: revision, entries: part.entries + 1, bytes: part.bytes + bytes, ..*part };
            }
            _ => parts.push(Part { number: parts.len(), first: revision, last: revision, entries: 1, bytes }),
        }
        cursor.next()?;
    }
    Ok(parts)
}

impl Part {
    /// The entries of this part, each looked up by its key.
    pub(super) fn look_up(&self, view: &impl View) -> Result<Vec<u8>, Fault> {
        let mut changes = Vec::new();
        let mut cursor = view.cursor(Table::Revisions, None)?;
        cursor.seek(&revision_record::encode_key(self.first))?;
        while let Some((key, stored)) = cursor.item() {
            let revision = revision_record::decode_key(key)?;
            if revision > self.last {
                break;
            }
            let change = RevisionRecord::decode(stored)?;
            changes.push((change.user_key.to_vec(), revision, change.is_tombstone()));
            cursor.next()?;
        }
        changes.sort_unstable();
        let mut data = Vec::with_capacity(self.capacity());
        for (user_key, revision, tombstone) in changes {
            let version = |written| Version { revision, superseded_by: None, written };
            if tombstone {
                push(&mut data, &version(Written::Tombstone(user_key)))?;
                continue;
            }
            let record = current_record::record_of(view, &user_key, revision)?;
            let record =
                record.ok_or_else(|| Fault::corrupt("history", format_args!("revision {revision:?} has no record")))?;
            push(&mut data, &version(Written::Record(&record)))?;
        }
        Ok(data)
    }

    pub(super) fn capacity(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    fn differs(&self, what: impl std::fmt::Display) -> Fault {
        Fault::corrupt(format_args!("history from revision {:?} to {:?}", self.first, self.last), what)
    }
}

/// Appends a version as an entry.
pub(super) fn push(out: &mut Vec<u8>, version: &Version<'_>) -> Result<(), Fault> {
    let (tombstone, data) = match &version.written {
        Written::Record(record) => (false, bump_record::backend_value(record)),
        Written::Tombstone(key) => (true, &key[..]),
    };
    let too_large = |_| Fault::corrupt("history", format_args!("revision {:?} has four GiB", version.revision));
    out.put_i64(version.revision.main);
    out.put_u32(u32::try_from(version.revision.sub).map_err(too_large)?);
    out.put_u8(u8::from(tombstone));
    out.put_u32(u32::try_from(data.len()).map_err(too_large)?);
    out.put_slice(data);
    Ok(())
}

/// The place of an entry's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) revision: Revision,
    pub(super) tombstone: bool,
    start: usize,
    length: usize,
}

/// The entries of a part, in order.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    data: Bytes,
    entries: std::vec::IntoIter<Entry>,
}

impl Loaded {
    /// Sorts entries by revision, and checks them against `part`.
    pub(super) fn sorted(data: Vec<u8>, part: &Part) -> Result<Self, Fault> {
        let data = Bytes::from(data);
        let mut entries = Vec::with_capacity(usize::try_from(part.entries).unwrap_or(0));
        let mut rest = &data[..];
        while !rest.is_empty() {
            let entry = take(&mut rest, data.len()).ok_or_else(|| part.differs("an entry is cut"))?;
            if !(part.first..=part.last).contains(&entry.revision) {
                return Err(part.differs("an entry lies outside"));
            }
            entries.push(entry);
        }
        entries.sort_unstable_by_key(|entry| entry.revision);
        if entries.len() as u64 != part.entries || entries.windows(2).any(|pair| pair[0].revision == pair[1].revision) {
            return Err(part.differs(format_args!("{} entries for {} changes", entries.len(), part.entries)));
        }
        Ok(Self { data, entries: entries.into_iter() })
    }
}

impl Iterator for Loaded {
    type Item = (Entry, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some((entry, self.data.slice(entry.start..entry.start + entry.length)))
    }
}

fn take(rest: &mut &[u8], bytes: usize) -> Option<Entry> {
    let main = rest.try_get_i64().ok()?;
    let sub = i64::from(rest.try_get_u32().ok()?);
    let tombstone = rest.try_get_u8().ok()? == 1;
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let start = bytes - rest.len();
    *rest = rest.get(length..)?;
    Some(Entry { revision: Revision::new(main, sub), tombstone, start, length })
}
