//! Etcd's backend file (bbolt), written in sequential passes and read back.
//!
//! [`bolt`] knows the file: pages, trees, the trailing digest; nothing of etcd's content.
//! [`backend`] knows that content: buckets, keys, values and the hashes over them; nothing of
//! pages. [`status`] joins the two, as `etcdutl snapshot status` does.
//!
//! Nothing here knows RocksDB, gRPC or a clock. Files are read with positioned reads, never mapped,
//! so a file that shrinks or lies about itself is an error and not a crash.
#![forbid(unsafe_code)]

pub mod backend;
pub mod bolt;
mod by_revision;
pub mod image;
mod spill_file;
mod status;

pub use spill_file::{NoSpillFile, SpillFile};
pub use status::{Status, StatusStyle, status};
