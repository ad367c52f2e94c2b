//! Bucket `lease`. Attached keys are not in it: they follow from the newest version of each key.

use super::record::{Entry, RecordError, be64, decode, encode};
use bytes::Bytes;
use proto::leasepb::Lease;

/// The entry of a lease, under its id; negative ids come last.
pub fn lease_entry(lease: &Lease) -> Entry {
    (Bytes::copy_from_slice(&lease.id.to_be_bytes()), encode(lease))
}

/// Reads an entry, whose key and value must name the same lease.
pub fn lease_from(key: &[u8], value: Bytes) -> Result<Lease, RecordError> {
    let lease: Lease = decode("lease", value)?;
    let id = be64("lease id", key)?.cast_signed();
    if id != lease.id {
        return Err(RecordError::new("lease", format!("lease {:016x} lies under {id:016x}", lease.id)));
    }
    Ok(lease)
}
