//! Persisted records and the small storage trait that the core reads and writes through.
//!
//! The core never names RocksDB: it reads through [`View`] and [`Cursor`] and writes into a
//! [`Batch`], which `storage` implements on disk and [`MemoryStore`] in memory. A batch is written
//! atomically over all tables.
#![forbid(unsafe_code)]

pub mod bump_record;
pub mod current_record;
pub mod history_key;
mod memory;
pub mod meta;
pub mod revision_record;
mod store;
pub mod version_walk;

pub use memory::{MemoryBatch, MemoryStore};
pub use store::{Batch, Cursor, Table, View};
