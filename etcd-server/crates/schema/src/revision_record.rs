//! Records of [`Table::Revisions`](crate::Table::Revisions): the key that each revision changed, in
//! the order of history.
//!
//! Key: main and sub revision, big-endian, 8 and 4 bytes. Value: length of the record that the
//! change wrote, big-endian, 4 bytes, zero for a deletion; then the user key. With these lengths
//! the size of history is known without reading any record.

use crate::history_key::sub_to_stored;
use types::{Fault, Revision};

/// Length of a key of the table.
pub const KEY_BYTES: usize = 12;

/// The change of one revision, and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionRecord<'a> {
    /// Bytes of the record that was written; zero for a deletion, which writes none.
    pub record_bytes: u32,
    /// The key.
    pub user_key: &'a [u8],
}

impl<'a> RevisionRecord<'a> {
    /// Returns `true` if the key was deleted.
    pub fn is_tombstone(self) -> bool {
        self.record_bytes == 0
    }

    /// Appends the stored value.
    pub fn encode_into(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.record_bytes.to_be_bytes());
        out.extend_from_slice(self.user_key);
    }

    /// Reads a stored value.
    pub fn decode(stored: &'a [u8]) -> Result<Self, Fault> {
        let (length, user_key) =
            stored.split_first_chunk().ok_or_else(|| Fault::corrupt("revision record", "shorter than its length"))?;
        Ok(Self { record_bytes: u32::from_be_bytes(*length), user_key })
    }
}

/// The stored key of `revision`.
///
/// # Panics
/// If it is negative, which would come behind all others.
pub fn encode_key(revision: Revision) -> [u8; KEY_BYTES] {
    assert!(revision.main >= 0, "{revision:?} is no position in history");
    let mut out = [0; KEY_BYTES];
    out[..8].copy_from_slice(&revision.main.to_be_bytes());
    out[8..].copy_from_slice(&sub_to_stored(revision.sub).to_be_bytes());
    out
}

/// Reads a stored key.
pub fn decode_key(stored: &[u8]) -> Result<Revision, Fault> {
    let stored: [u8; KEY_BYTES] = stored
        .try_into()
        .map_err(|_| Fault::corrupt("revision key", format_args!("is {} bytes long", stored.len())))?;
    let (main, sub) = stored.split_at(8);
    let main = i64::from_be_bytes(main.try_into().expect("eight bytes were split off"));
    let sub = u32::from_be_bytes(sub.try_into().expect("four bytes were split off"));
    Ok(Revision::new(main, i64::from(sub)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_come_back() {
        let revision = Revision::new(7, 3);
        assert_eq!(decode_key(&encode_key(revision)).unwrap(), revision);
        for record_bytes in [0, 70_000] {
            let mut value = Vec::new();
            let record = RevisionRecord { record_bytes, user_key: b"k" };
            record.encode_into(&mut value);
            assert_eq!((RevisionRecord::decode(&value).unwrap(), record.is_tombstone()), (record, record_bytes == 0));
        }
    }

    #[test]
    fn unknown_lengths_are_damage() {
        assert!(RevisionRecord::decode(&[0; 3]).is_err());
        assert!(decode_key(&[0; 11]).is_err());
    }
}
