//! The reasons why a request is not proposed.

/// The defect of a request that makes it invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// A key is empty.
    #[error("key is not provided")]
    EmptyKey,
    /// An operation of a transaction holds nothing.
    #[error("key not found")]
    EmptyOperation,
    /// `ignore_value` with a value.
    #[error("value is provided")]
    ValueProvided,
    /// `ignore_lease` with a lease.
    #[error("lease is provided")]
    LeaseProvided,
    /// More operations than allowed.
    #[error("too many operations in txn request")]
    TooManyOperations,
    /// A key is put twice, or put and deleted, in one branch.
    #[error("duplicate key given in txn request")]
    DuplicateKey,
    /// A sort order or target that does not exist.
    #[error("invalid sort option")]
    InvalidSortOption,
}
