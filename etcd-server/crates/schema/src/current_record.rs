//! Records of [`Table::Current`]: user key → the newest version of a live key.
//!
//! Value: the version's revision (main and sub, big-endian, 8 and 4 bytes), then the encoded
//! `mvccpb.KeyValue`. The record itself holds its main revision alone, and the key that it gets in
//! [`Table::History`] when it is replaced needs both.

use crate::revision_record::{self, KEY_BYTES};
use crate::{Table, View, history_key};
use bytes::Bytes;
use types::{Fault, Revision};

/// Bytes of the revision in front of the record.
pub const HEAD_BYTES: usize = KEY_BYTES;

/// A value without its record, which is appended behind: with room for `record_bytes` of it.
pub fn begin(revision: Revision, record_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + record_bytes);
    out.extend_from_slice(&revision_record::encode_key(revision));
    out
}

/// Reads a stored value.
pub fn split(stored: &[u8]) -> Result<(Revision, &[u8]), Fault> {
    let (revision, record) = stored
        .split_at_checked(HEAD_BYTES)
        .ok_or_else(|| Fault::corrupt("current record", "shorter than its revision"))?;
    if record.is_empty() {
        return Err(Fault::corrupt("current record", "is empty"));
    }
    Ok((revision_record::decode_key(revision)?, record))
}

/// Returns the record that `revision` wrote under `user_key`, from either table; empty for a
/// tombstone. `None` if compaction has removed it.
///
/// `view` may change meanwhile: a record leaves [`Table::Current`] in the batch that puts it into
/// [`Table::History`], so a reader that does not find it there first finds it here afterwards.
pub fn record_of(view: &impl View, user_key: &[u8], revision: Revision) -> Result<Option<Bytes>, Fault> {
    if let Some(stored) = view.get(Table::Current, user_key)? {
        let (current, record) = split(&stored)?;
        if current == revision {
            return Ok(Some(stored.slice_ref(record)));
        }
    }
    view.get(Table::History, &history_key::encode(user_key, revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch as _, MemoryStore};

    #[test]
    fn values_come_back_and_damage_is_refused() {
        let mut stored = begin(Revision::new(7, 3), 1);
        assert!(split(&stored).is_err(), "a key that lives has a record");
        stored.push(9);
        assert_eq!(split(&stored).unwrap(), (Revision::new(7, 3), &[9][..]));
        assert!(split(&stored[..5]).is_err());
    }

    #[test]
    fn a_record_is_found_before_and_after_it_was_superseded() {
        let mut store = MemoryStore::new();
        let (old, new) = (Revision::new(2, 1), Revision::new(2, 2));
        store.put(Table::Current, b"k", &[&begin(old, 1)[..], b"1"].concat());
        assert_eq!(record_of(&store, b"k", old).unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(record_of(&store, b"k", new).unwrap(), None);
        store.put(Table::Current, b"k", &[&begin(new, 1)[..], b"2"].concat());
        store.put(Table::History, &history_key::encode(b"k", old), b"1");
        assert_eq!(record_of(&store, b"k", old).unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(record_of(&store, b"k", new).unwrap().as_deref(), Some(&b"2"[..]));
    }
}
