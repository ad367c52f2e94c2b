//! RocksDB as the state store: the only crate that knows it.
//!
//! The store keeps no write-ahead log of its own: the raft log is one. Every batch carries the
//! applied index, all column families are flushed together, so the state on disk is always that
//! after some prefix of the log, and starting means applying the rest again. Any error is a
//! [`types::Fault`]: nothing is retried, repaired or answered from a store that failed.

mod error;
mod options;
mod store;

pub use error::OpenError;
pub use options::StoreOptions;
pub use store::{Snapshot, Store, StoreBatch, StoreCursor};
