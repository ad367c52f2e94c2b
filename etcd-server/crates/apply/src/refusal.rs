//! Everything the state may say no with.

/// The reason why an ordered request changed nothing, or its client gets an error. The same on
/// every member, except [`Refusal::NoSpace`] by quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// From the key space.
    #[error(transparent)]
    Keys(#[from] mvcc::Refusal),
    /// From the lessor.
    #[error(transparent)]
    Lease(#[from] lease::Refusal),
    /// From users, roles and permissions.
    #[error(transparent)]
    Auth(#[from] auth::Refusal),
    /// From the members.
    #[error(transparent)]
    Membership(#[from] membership::Refusal),
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
