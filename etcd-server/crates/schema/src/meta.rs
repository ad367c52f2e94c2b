//! Keys of [`Table::Meta`], and the encoding of the numbers behind them.

use crate::{Batch, Table, View};
use types::Fault;

/// Version of this layout: `be64`. Any other than [`FORMAT`] is refused at start.
pub const FORMAT_VERSION: &[u8] = b"format";
/// The layout that this code reads and writes.
pub const FORMAT: u64 = 2;
/// Index of the last entry whose effects are in the state: `be64`.
pub const APPLIED_INDEX: &[u8] = b"appliedIndex";
/// Term of that entry: `be64`.
pub const APPLIED_TERM: &[u8] = b"appliedTerm";
/// Configuration of the raft group at the applied index: `raftpb.ConfState`.
pub const CONF_STATE: &[u8] = b"confState";
/// This member's id, as it was when the state was begun: `be64`.
pub const MEMBER_ID: &[u8] = b"memberId";
/// The cluster's id: `be64`.
pub const CLUSTER_ID: &[u8] = b"clusterId";
/// Index at which this state came whole from another member: `be64`; absent in a state that was
/// applied here from the beginning.
pub const INSTALLED_INDEX: &[u8] = b"installedIndex";
/// Term of that index: `be64`.
pub const INSTALLED_TERM: &[u8] = b"installedTerm";
/// The newest main revision: `be64`.
pub const CURRENT_REVISION: &[u8] = b"currentRevision";
/// Revision up to which history is no longer answered: `be64`.
pub const COMPACT_REVISION: &[u8] = b"compactRevision";
/// Revision up to which history has been removed from the tables: `be64`.
pub const COMPACTED_REVISION: &[u8] = b"compactedRevision";
/// Bytes of all revisions ever written: `be64`.
pub const WRITTEN_BYTES: &[u8] = b"writtenBytes";
/// Bytes of revisions that compaction has removed: `be64`.
pub const FREED_BYTES: &[u8] = b"freedBytes";
/// Order-free hash of the live records: sixteen bytes, big-endian.
pub const LIVE_HASH: &[u8] = b"liveHash";

/// Reads a number; nothing stored is `None`.
pub fn read_u64(view: &impl View, key: &[u8]) -> Result<Option<u64>, Fault> {
    let Some(stored) = view.get(Table::Meta, key)? else { return Ok(None) };
    let bytes: [u8; 8] = stored[..]
        .try_into()
        .map_err(|_| Fault::corrupt(format_args!("state value {}", key.escape_ascii()), "is not eight bytes long"))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Writes a number.
pub fn write_u64(batch: &mut dyn Batch, key: &[u8], value: u64) {
    batch.put(Table::Meta, key, &value.to_be_bytes());
}
