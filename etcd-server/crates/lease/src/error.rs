//! The responses of the state to lease requests that it cannot grant; the same on every member.

use types::LeaseId;

/// The reason why an ordered lease request changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// No such lease; also the answer to granting id 0, which no lease may have.
    #[error("lease {id} is not known")]
    LeaseNotFound {
        /// The id asked for.
        id: LeaseId,
    },
    /// The id is taken.
    #[error("lease {id} exists already")]
    LeaseExists {
        /// The id asked for.
        id: LeaseId,
    },
    /// The time to live lies above [`TTL_SECONDS_MAX`](crate::TTL_SECONDS_MAX).
    #[error("a time to live of {ttl_seconds} s is too large")]
    TtlTooLarge {
        /// The time to live asked for.
        ttl_seconds: i64,
    },
}
