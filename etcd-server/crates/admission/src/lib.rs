//! May this request be asked at all? Checks that need neither order nor state; nothing was proposed
//! when they say no.
//!
//! Order of checks and answers are etcd's (server/etcdserver/api/v3rpc/key.go).
#![forbid(unsafe_code)]

mod error;
mod key;
mod txn;

pub use error::InvalidRequest;
pub use key::{check_delete_range, check_put, check_range};
pub use txn::{check_txn, is_read_only, is_serializable, read_revisions};
