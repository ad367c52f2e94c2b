//! The reasons for which an ordered request is refused.

/// A refusal, by the text that a client of etcd gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// `mvcc: required revision has been compacted`.
    Compacted,
    /// `mvcc: required revision is a future revision`.
    FutureRevision,
    /// `key not found`.
    KeyNotFound,
    /// `requested lease not found`.
    LeaseNotFound,
    /// `lease already exists`.
    LeaseExists,
    /// `too large lease TTL`.
    LeaseTtlTooLarge,
    /// `mvcc: database space exceeded`.
    NoSpace,
    /// `corrupt cluster`.
    Corrupt,
    /// A request that is none of those that etcd knows.
    UnknownRequest,
    /// `user name is empty`.
    UserEmpty,
    /// `user name already exists`.
    UserExists,
    /// `user name not found`.
    UserNotFound,
    /// `role name is empty`.
    RoleEmpty,
    /// `role name already exists`.
    RoleExists,
    /// `role name not found`.
    RoleNotFound,
    /// `authentication failed, invalid user ID or password`.
    AuthFailed,
    /// `auth: authentication failed, password was given for no password user`.
    NoPasswordUser,
    /// `permission denied`.
    PermissionDenied,
    /// `role is not granted to the user`.
    RoleNotGranted,
    /// `permission is not granted to the role`.
    PermissionNotGranted,
    /// `permission not given`.
    PermissionNotGiven,
    /// `authentication is not enabled`.
    AuthNotEnabled,
    /// `revision of auth store is old`.
    AuthOldRevision,
    /// `invalid auth management`.
    InvalidAuthManagement,
    /// `root user does not exist`.
    RootUserNotExist,
    /// `root user does not have root role`.
    RootRoleNotExist,
    /// `member not found`, also of a removed member.
    MemberNotFound,
    /// `member ID already exist`.
    MemberExists,
    /// `Peer URLs already exists`.
    PeerUrlExists,
    /// `too many learner members in cluster`.
    TooManyLearners,
    /// `can only promote a learner member`.
    MemberNotLearner,
    /// A refusal that no ordered request can have.
    Other,
}
