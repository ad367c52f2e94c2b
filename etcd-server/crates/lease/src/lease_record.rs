//! Records of [`Table::Leases`]: lease id, big-endian, to `leasepb.Lease`, byte for byte as etcd's
//! backend holds it.

use prost::Message;
use proto::leasepb;
use schema::{Batch, Cursor, Table, View};
use types::{Fault, LeaseId};

/// The recorded times of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Granted time to live, already raised to the granting member's minimum.
    pub ttl_seconds: i64,
    /// Remaining time at the last checkpoint, in seconds; 0 if the full time applies.
    pub remaining_ttl_seconds: i64,
}

impl Terms {
    /// Returns the time that a new leader grants: the remaining time at the last checkpoint, or the
    /// full time.
    pub fn effective_ttl_seconds(self) -> i64 {
        if self.remaining_ttl_seconds > 0 { self.remaining_ttl_seconds } else { self.ttl_seconds }
    }
}

/// The stored key. Ids compare as unsigned numbers there, so negative ones come last.
pub(crate) fn encode_key(id: LeaseId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// Stores the record.
pub(crate) fn write(batch: &mut dyn Batch, id: LeaseId, terms: Terms) {
    let record = leasepb::Lease { id: id.0, ttl: terms.ttl_seconds, remaining_ttl: terms.remaining_ttl_seconds };
    batch.put(Table::Leases, &encode_key(id), &record.encode_to_vec());
}

/// Reads every record, ascending by stored key.
pub(crate) fn read_all(view: &impl View) -> Result<Vec<(LeaseId, Terms)>, Fault> {
    let mut leases = Vec::new();
    let mut cursor = view.cursor(Table::Leases, None)?;
    cursor.seek(&[])?;
    while let Some((key, value)) = cursor.item() {
        leases.push(decode(key, value)?);
        cursor.next()?;
    }
    Ok(leases)
}

fn decode(key: &[u8], value: &[u8]) -> Result<(LeaseId, Terms), Fault> {
    let named = key.try_into().map(i64::from_be_bytes);
    let named = named
        .map_err(|_| Fault::corrupt(format_args!("lease key {}", key.escape_ascii()), "is not eight bytes long"))?;
    let id = LeaseId(named);
    let record =
        leasepb::Lease::decode(value).map_err(|error| Fault::corrupt(format_args!("lease record {id}"), error))?;
    if record.id != named {
        return Err(Fault::corrupt(
            format_args!("lease record {id}"),
            format_args!("speaks of lease {}", LeaseId(record.id)),
        ));
    }
    Ok((id, Terms { ttl_seconds: record.ttl, remaining_ttl_seconds: record.remaining_ttl }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::MemoryStore;

    #[test]
    fn records_are_etcds_bytes() {
        let mut store = MemoryStore::new();
        write(&mut store, LeaseId(7), Terms { ttl_seconds: 600, remaining_ttl_seconds: 0 });
        write(&mut store, LeaseId(-1), Terms { ttl_seconds: 2, remaining_ttl_seconds: 1 });
        let stored: Vec<_> = store.dump().map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect();
        let negative = [&[0x08][..], &[0xff; 9], &[0x01, 0x10, 0x02, 0x18, 0x01]].concat();
        assert_eq!(
            stored,
            [(vec![0, 0, 0, 0, 0, 0, 0, 7], vec![0x08, 0x07, 0x10, 0xd8, 0x04]), (vec![0xff; 8], negative)]
        );
        assert_eq!(read_all(&store).unwrap().len(), 2);
    }

    #[test]
    fn damage_is_a_fault() {
        for (key, value) in [(&[0; 7][..], &[][..]), (&[0; 8], &[0xff]), (&[0, 0, 0, 0, 0, 0, 0, 7], &[0x08, 0x08])] {
            let mut store = MemoryStore::new();
            store.put(Table::Leases, key, value);
            assert!(read_all(&store).is_err(), "{key:?}");
        }
    }
}
