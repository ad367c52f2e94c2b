//! The refusals of the auth state: the same on every member.

/// The reason why an auth request is refused.
///
/// `Display` gives the texts that etcd uses inside the server; the mapping to the texts of gRPC is
/// elsewhere, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum AuthError {
    /// A user was to be added without a name, or a request came without an identity.
    #[error("auth: user name is empty")]
    UserEmpty,
    /// A user of this name exists.
    #[error("auth: user name already exists")]
    UserAlreadyExists,
    /// No user has this name.
    #[error("auth: user name not found")]
    UserNotFound,
    /// A role was to be added without a name.
    #[error("auth: role name is empty")]
    RoleEmpty,
    /// A role of this name exists.
    #[error("auth: role name already exists")]
    RoleAlreadyExists,
    /// No role has this name.
    #[error("auth: role name not found")]
    RoleNotFound,
    /// Unknown user or wrong password.
    #[error("auth: authentication failed, invalid user ID or password")]
    AuthFailed,
    /// A password was given for a user that has none and logs in by certificate only.
    #[error("auth: authentication failed, password was given for no password user")]
    NoPasswordUser,
    /// The identity may not do this.
    #[error("auth: permission denied")]
    PermissionDenied,
    /// The user does not hold the role that is to be revoked.
    #[error("auth: role is not granted to the user")]
    RoleNotGranted,
    /// The role does not hold the permission that is to be revoked.
    #[error("auth: permission is not granted to the role")]
    PermissionNotGranted,
    /// A permission was to be granted, but the request carries none.
    #[error("auth: permission not given")]
    PermissionNotGiven,
    /// No login is possible while authentication is off.
    #[error("auth: authentication is not enabled")]
    AuthNotEnabled,
    /// The identity is from before the latest change of users and roles.
    #[error("auth: revision in header is old")]
    AuthOldRevision,
    /// The token is unknown, expired or forged.
    #[error("auth: invalid auth token")]
    InvalidAuthToken,
    /// The change would lock out all users, or the permission's range is impossible.
    #[error("auth: invalid auth management")]
    InvalidAuthMgmt,
    /// Authentication cannot be enabled without the user `root`.
    #[error("auth: root user does not exist")]
    RootUserNotExist,
    /// Authentication cannot be enabled while the user `root` lacks the role `root`.
    #[error("auth: root user does not have root role")]
    RootRoleNotExist,
    /// This member has only the public key, so it can check tokens but not make them.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnlyKey,
}
