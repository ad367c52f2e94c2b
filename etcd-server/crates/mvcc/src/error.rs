//! The refusals of the key space. The same on every member.

use types::MainRevision;

/// The state says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MvccError {
    /// History below the compacted revision is gone.
    #[error("mvcc: required revision has been compacted")]
    Compacted {
        /// The requested revision.
        requested: MainRevision,
        /// The oldest revision that can still be read.
        compacted: MainRevision,
    },
    /// That revision does not exist yet.
    #[error("mvcc: required revision is a future revision")]
    FutureRevision {
        /// The requested revision.
        requested: MainRevision,
        /// The newest revision.
        current: MainRevision,
    },
    /// `ignore_value` or `ignore_lease` of a key that does not live.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A put names a lease that does not exist.
    #[error("lease not found")]
    LeaseNotFound,
}
