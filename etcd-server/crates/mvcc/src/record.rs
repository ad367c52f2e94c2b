//! One stored version of a key: the canonical encoding of `mvccpb.KeyValue`, and access to its
//! fields without copying.
//!
//! The bytes are returned, hashed and backed up as they are, so they must equal etcd's own
//! encoding: fields ascending, defaults left out.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use proto::mvccpb::KeyValue;
use types::{Fault, LeaseId, MainRevision};

/// Encodes one version.
pub fn encode(kv: &KeyValue) -> Bytes {
    kv.encode_to_vec().into()
}

/// Encodes the placeholder of a bump record, see [`schema::bump_record`].
pub fn bump(revision: MainRevision) -> Bytes {
    encode(&KeyValue { create_revision: revision, mod_revision: revision, version: 1, ..KeyValue::default() })
}

/// Decodes one version; the key and value share the buffer.
pub fn decode(record: Bytes) -> Result<KeyValue, Fault> {
    KeyValue::decode(record).map_err(|error| Fault::corrupt("key-value record", error))
}

/// The numbers of a record and its key and value, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The user key.
    pub key: &'a [u8],
    /// Main revision at which the key began to exist.
    pub create_revision: MainRevision,
    /// Main revision of this version.
    pub mod_revision: MainRevision,
    /// Writes since creation, this one included.
    pub version: i64,
    /// The value.
    pub value: &'a [u8],
    /// The lease attached, if any.
    pub lease: LeaseId,
}

impl<'a> Fields<'a> {
    /// Reads a stored record. Unknown fields are corruption, because no other program writes here.
    pub fn parse(record: &'a [u8]) -> Result<Self, Fault> {
        Self::parse_wire(record).ok_or_else(|| Fault::corrupt("key-value record", "is not a KeyValue"))
    }

    fn parse_wire(mut rest: &'a [u8]) -> Option<Self> {
        let mut fields = Self::default();
        while !rest.is_empty() {
            let (tag, wire_type) = decode_key(&mut rest).ok()?;
            let number = decode_varint(&mut rest).ok()?;
            match (tag, wire_type) {
                (1, WireType::LengthDelimited) => fields.key = take(&mut rest, number)?,
                (2, WireType::Varint) => fields.create_revision = number.cast_signed(),
                (3, WireType::Varint) => fields.mod_revision = number.cast_signed(),
                (4, WireType::Varint) => fields.version = number.cast_signed(),
                (5, WireType::LengthDelimited) => fields.value = take(&mut rest, number)?,
                (6, WireType::Varint) => fields.lease = LeaseId(number.cast_signed()),
                _ => return None,
            }
        }
        Some(fields)
    }
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_without_decoding() {
        let kv = KeyValue {
            key: "k".into(),
            create_revision: 2,
            mod_revision: 300,
            version: 9,
            value: vec![7; 300].into(),
            lease: -5,
        };
        let record = encode(&kv);
        let fields = Fields::parse(&record).unwrap();
        assert_eq!(fields.key, b"k");
        assert_eq!((fields.create_revision, fields.mod_revision, fields.version), (2, 300, 9));
        assert_eq!((fields.value.len(), fields.lease), (300, LeaseId(-5)));
    }

    #[test]
    fn etcd_bytes_are_ours() {
        // From a real etcd 3.5: put a=1 as the first write.
        let kv =
            KeyValue { key: "a".into(), create_revision: 2, mod_revision: 2, version: 1, value: "1".into(), lease: 0 };
        assert_eq!(encode(&kv)[..], [0x0a, 1, b'a', 0x10, 2, 0x18, 2, 0x20, 1, 0x2a, 1, b'1']);
    }

    #[test]
    fn damage_is_refused() {
        for damaged in [&[0x0a, 9, 1][..], &[0xff], &[0x3a, 0], &[0x08, 1]] {
            assert!(Fields::parse(damaged).is_err(), "{damaged:?}");
        }
    }
}
