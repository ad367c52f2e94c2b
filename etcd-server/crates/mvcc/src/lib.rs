//! The versioned key space: put, delete, range, transactions, compaction and hashes.
//!
//! Every change gets a revision. The newest version of each live key is in
//! [`schema::Table::Current`]; replaced versions and deletions lie side by side in
//! [`schema::Table::History`], newest first; [`schema::Table::Revisions`] holds, in the order of
//! history, the key that each revision changed. Apply changes the [`KeySpace`]; readers read at a
//! [`ReadPoint`] and never wait for apply.
#![forbid(unsafe_code)]

mod checksum;
pub mod compaction;
mod compare;
mod counts;
mod error;
mod hash_kv;
mod key_space;
mod live_hash;
mod parts;
mod range;
mod read;
mod recent;
pub mod record;
mod rows;
mod txn;
mod versions;
mod walk;
mod write;
mod write_buffer;

pub use error::MvccError;
pub use hash_kv::{HashKv, hash_kv, hash_of_compaction};
pub use key_space::{KeySpace, Leases, Sizes};
pub use live_hash::LiveHash;
pub use parts::Parts;
pub use range::{RangeOptions, RangeResult};
pub use read::ReadPoint;
pub use txn::{Executed, execute_delete_range, execute_put, execute_txn, execute_txn_read};
pub use write::Write;

/// The compacted revision of a store that was never compacted.
pub const NEVER_COMPACTED: types::MainRevision = -1;
