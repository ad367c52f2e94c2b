//! The state as etcd's backend file, for backups and whole-backend hashes.

use backup::bolt::{Plan, TRAILER_BYTES, Trailer};
use backup::image;
use bytes::Bytes;
use storage::Store;
use types::Fault;

/// The hash of the whole backend.
pub(crate) fn hash(store: &Store) -> Result<u32, Fault> {
    image::hash(&store.snapshot())
}

/// Gives the file of the state as it is now to `take`, part by part, each with the bytes that follow it; stops when `take` says so.
/// The digest comes last, and does not count among the bytes that remain.
pub(crate) fn stream(store: &Store, mut take: impl FnMut(Bytes, u64) -> bool) -> Result<(), Fault> {
    let snapshot = store.snapshot();
    let buckets = image::buckets(&snapshot)?;
    let plan = Plan::measure(&buckets)?;
    let mut remaining = plan.size_bytes();
    for part in plan.write(Trailer::Sha256) {
        let part = part?;
        let is_digest = remaining == 0 && part.len() as u64 == TRAILER_BYTES;
        remaining -= if is_digest { 0 } else { part.len() as u64 };
        if !take(part, remaining) {
            return Ok(());
        }
    }
    Ok(())
}
