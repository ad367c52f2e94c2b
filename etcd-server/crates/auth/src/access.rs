//! Access rules while authentication is on. Key operations are checked in `requests.rs`.

use crate::permissions::Access;
use crate::{AuthError, AuthStore, Identity, ROOT};
use types::KeyRange;

/// The permission that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestClass<'a> {
    /// None: `AuthStatus`, `Authenticate`, health checks.
    Open,
    /// Any identity: `Status`, `Alarm` GET, `MemberList`, `LeaseGrant`, `LeaseTimeToLive` without
    /// keys.
    Authenticated,
    /// Root, or to be this user: `UserGet`.
    User(&'a str),
    /// Root, or to hold this role: `RoleGet`.
    Role(&'a str),
    /// Permission on these keys: everything of the KV and Watch services, and leases with keys
    /// attached.
    Keys(Access, &'a KeyRange),
    /// The role `root`: all other auth requests, `Compact`, all of Maintenance except `Status` and
    /// reading alarms, and all of Cluster except `MemberList`.
    Root,
}

impl AuthStore {
    /// Checks whether `identity` may send a request of this class. With authentication off
    /// everything is allowed.
    ///
    /// # Errors
    /// [`AuthError::UserEmpty`] for an anonymous caller; [`AuthError::UserNotFound`] for an
    /// administrator that no longer exists; [`AuthError::PermissionDenied`]; for keys those of
    /// [`AuthStore::check`].
    pub fn permit(&self, identity: &Identity, class: RequestClass<'_>) -> Result<(), AuthError> {
        if !self.enabled() {
            return Ok(());
        }
        match class {
            RequestClass::Open => Ok(()),
            RequestClass::Authenticated => named(identity),
            // Checked before looking whether the user exists, so that callers cannot find out names
            // by trying.
            RequestClass::User(name) if identity.user == name => Ok(()),
            RequestClass::Role(name) if self.users.get(&identity.user).is_some_and(|entry| entry.holds(name)) => Ok(()),
            RequestClass::Keys(access, range) => self.check(identity, access, range),
            RequestClass::Root | RequestClass::User(_) | RequestClass::Role(_) => self.must_be_root(identity),
        }
    }

    /// The auth revision is not looked at: etcd lets an administrator's older identity pass
    /// (auth/store.go).
    fn must_be_root(&self, identity: &Identity) -> Result<(), AuthError> {
        named(identity)?;
        let entry = self.users.get(&identity.user).ok_or(AuthError::UserNotFound)?;
        if entry.holds(ROOT) { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }
}

fn named(identity: &Identity) -> Result<(), AuthError> {
    if identity.user.is_empty() { Err(AuthError::UserEmpty) } else { Ok(()) }
}
