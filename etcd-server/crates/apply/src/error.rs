//! Everything the state may say no with.

/// The reason why an ordered request changed nothing, or its client gets an error. The same on
/// every member, except [`ApplyError::NoSpace`] by quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// From the key space.
    #[error(transparent)]
    Keys(#[from] mvcc::MvccError),
    /// From the lessor.
    #[error(transparent)]
    Lease(#[from] lease::LeaseError),
    /// From users, roles and permissions.
    #[error(transparent)]
    Auth(#[from] auth::AuthError),
    /// From the members.
    #[error(transparent)]
    Membership(#[from] membership::MembershipError),
    /// The quota is used up, or the NOSPACE alarm is active.
    #[error("etcdserver: no space")]
    NoSpace,
    /// The CORRUPT alarm is active.
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    /// The entry holds no request that this version knows.
    #[error("etcdserver: unknown request")]
    UnknownRequest,
}
