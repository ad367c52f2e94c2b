//! Bucket `key`: one entry per change, under its revision.

use super::record::{Entry, RecordError, decode, encode};
use bytes::Bytes;
use proto::mvccpb::KeyValue;
use types::{MainRevision, Revision};

/// Behind the revision of a deletion.
const TOMBSTONE_MARK: u8 = b't';

/// The key of an entry: 17 bytes, or 18 for a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryKey {
    /// When the change was made.
    pub revision: Revision,
    /// `true` if it was a deletion.
    pub tombstone: bool,
}

impl HistoryKey {
    /// The bytes that etcd stores and hashes.
    pub fn encode(self) -> Bytes {
        let revision = self.revision.to_etcd_bytes();
        if self.tombstone {
            [&revision[..], &[TOMBSTONE_MARK]].concat().into()
        } else {
            Bytes::copy_from_slice(&revision)
        }
    }

    /// Reads those bytes. Negative numbers, other lengths and other marks are refused: etcd 3.6
    /// stops at them.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let refuse = || RecordError::new("revision", format!("{:?} is none", bytes.escape_ascii().to_string()));
        let (revision, mark) = bytes.split_at_checked(Revision::ETCD_BYTES).ok_or_else(refuse)?;
        let number =
            |part: &[u8]| part.try_into().ok().map(i64::from_be_bytes).filter(|number| *number >= 0).ok_or_else(refuse);
        let (main, sub) = (number(&revision[..8])?, number(&revision[9..])?);
        if revision[8] != b'_' || !(mark.is_empty() || mark == [TOMBSTONE_MARK]) {
            return Err(refuse());
        }
        Ok(Self { revision: Revision::new(main, sub), tombstone: !mark.is_empty() })
    }
}

/// The entry of a put.
pub fn put_entry(revision: Revision, kv: &KeyValue) -> Entry {
    (HistoryKey { revision, tombstone: false }.encode(), encode(kv))
}

/// The entry of a deletion: its value holds the user's key and nothing else.
pub fn tombstone_entry(revision: Revision, user_key: Bytes) -> Entry {
    (HistoryKey { revision, tombstone: true }.encode(), encode(&KeyValue { key: user_key, ..KeyValue::default() }))
}

/// The entry that `snapshot restore --bump-revision` leaves: `main` becomes the current revision,
/// and nothing else changes.
pub fn bump_entry(main: MainRevision) -> Entry {
    (HistoryKey { revision: Revision::new(main, 0), tombstone: false }.encode(), Bytes::new())
}

/// Reads an entry's value. That of [`bump_entry`] gives an empty key.
pub fn put_from(value: Bytes) -> Result<KeyValue, RecordError> {
    decode("key and value", value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_has_its_known_bytes() {
        let key = HistoryKey { revision: Revision::new(9, 2), tombstone: true };
        let bytes = key.encode();
        assert_eq!(bytes[..], *b"\0\0\0\0\0\0\0\x09_\0\0\0\0\0\0\0\x02t");
        assert_eq!(HistoryKey::decode(&bytes), Ok(key));
    }

    #[test]
    fn what_is_no_revision_is_refused() {
        let good = HistoryKey { revision: Revision::new(9, 2), tombstone: true }.encode();
        for length in (0..17).chain([19]) {
            assert!(HistoryKey::decode(&[&good[..], &good[..]].concat()[..length]).is_err(), "{length} bytes");
        }
        for (at, byte) in [(0, 0x80), (8, b'-'), (9, 0x80), (17, b'u')] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert!(HistoryKey::decode(&bad).is_err(), "{byte} at {at}");
        }
    }
}
