//! The replicated auth state: users, roles, the switch and the auth revision.
//!
//! Invariants: memory and tables are equal after every method; the auth revision is at least 1 and
//! grows by one with every change except switching on; while authentication is on, the user `root`
//! exists and holds the role `root`. Users and roles are changed in `users.rs` and `roles.rs`;
//! permissions are decided in `access.rs` and `requests.rs`.

use crate::permissions::{Access, KeyPermissions};
use crate::{AuthError, Identity, Login, record};
use bytes::Bytes;
use proto::authpb::{Role, User};
use schema::{Batch, View};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use types::{Fault, KeyRange};

/// The name of the user that administers, and of the role that may do everything.
pub const ROOT: &str = "root";

/// The simple tokens that must be dropped on every member because of a change. JWTs cannot be
/// dropped; a changed auth revision stops them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "tokens of a changed user must not outlive the change"]
pub enum DropTokens {
    /// None.
    Nobody,
    /// Those of this user.
    OfUser(String),
    /// All.
    Everybody,
}

/// A user as stored, with its key permissions once they were computed.
pub(crate) struct UserEntry {
    pub(crate) user: User,
    permissions: OnceLock<KeyPermissions>,
}

impl UserEntry {
    pub(crate) fn new(user: User) -> Self {
        Self { user, permissions: OnceLock::new() }
    }

    pub(crate) fn holds(&self, role: &str) -> bool {
        self.user.roles.iter().any(|held| held == role)
    }

    pub(crate) fn has_no_password(&self) -> bool {
        self.user.options.as_ref().is_some_and(|options| options.no_password)
    }
}

/// The auth state of this member. Cloning it is cheap enough to publish a copy after each change:
/// records are shared.
#[derive(Clone)]
pub struct AuthStore {
    enabled: bool,
    auth_revision: u64,
    pub(crate) users: BTreeMap<String, Arc<UserEntry>>,
    pub(crate) roles: BTreeMap<String, Arc<Role>>,
}

impl fmt::Debug for AuthStore {
    // Password hashes must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthStore")
            .field("enabled", &self.enabled)
            .field("auth_revision", &self.auth_revision)
            .field("users", &self.users.len())
            .field("roles", &self.roles.len())
            .finish()
    }
}

impl AuthStore {
    /// The state as stored in `view`. On the first start the auth revision 1 is written into
    /// `batch`.
    ///
    /// # Errors
    /// A record that cannot be read is a fault: guessing at permissions is not an option.
    ///
    /// # Panics
    /// If the auth revision of a fresh store is not 1.
    pub fn load<V: View>(view: &V, batch: &mut dyn Batch) -> Result<Self, Fault> {
        let attempt = |fault: Fault| fault.during("load auth state");
        let stored = record::read_revision(view).map_err(attempt)?.unwrap_or(0);
        let mut store = Self {
            enabled: record::read_enabled(view).map_err(attempt)?,
            auth_revision: stored,
            users: record::read_users(view).map_err(attempt)?,
            roles: record::read_roles(view).map_err(attempt)?,
        };
        if stored == 0 {
            store.commit_revision(batch);
        }
        assert!(store.auth_revision > 0, "the auth revision counts from 1");
        Ok(store)
    }

    /// Returns `true` if authentication is on.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Counts the changes to users, roles and the switch; 1 on a fresh store.
    pub fn auth_revision(&self) -> u64 {
        self.auth_revision
    }

    /// Switches authentication on; asking twice is no error. Does not count as a change.
    ///
    /// # Errors
    /// [`AuthError::RootUserNotExist`], [`AuthError::RootRoleNotExist`]. The role's own record need
    /// not exist.
    pub fn auth_enable(&mut self, batch: &mut dyn Batch) -> Result<(), AuthError> {
        if self.enabled {
            return Ok(());
        }
        let root = self.users.get(ROOT).ok_or(AuthError::RootUserNotExist)?;
        if !root.holds(ROOT) {
            return Err(AuthError::RootRoleNotExist);
        }
        self.enabled = true;
        record::write_enabled(batch, true);
        Ok(())
    }

    /// Switches authentication off; asking twice is no error and no change.
    pub fn auth_disable(&mut self, batch: &mut dyn Batch) -> DropTokens {
        if !self.enabled {
            return DropTokens::Nobody;
        }
        self.enabled = false;
        record::write_enabled(batch, false);
        self.commit_revision(batch);
        DropTokens::Everybody
    }

    /// Returns the data for checking a password, so that the slow part can run elsewhere. If the
    /// auth revision has moved when the check is done, the caller starts over.
    ///
    /// # Errors
    /// [`AuthError::AuthNotEnabled`]; [`AuthError::NoPasswordUser`]. An unknown user is no error
    /// here but never passes the check, and the check takes as long as for a known one.
    pub fn login(&self, name: &str) -> Result<Login, AuthError> {
        if !self.enabled {
            return Err(AuthError::AuthNotEnabled);
        }
        match self.users.get(name) {
            Some(entry) if entry.has_no_password() => Err(AuthError::NoPasswordUser),
            Some(entry) => Ok(Login::of_user(entry.user.password.clone(), self.auth_revision)),
            None => Ok(Login::of_nobody(self.auth_revision)),
        }
    }

    /// Checks whether `name` may be given a token when its login is applied; the password was
    /// checked before proposing.
    ///
    /// # Errors
    /// [`AuthError::AuthNotEnabled`]; [`AuthError::AuthFailed`] when the user no longer exists or
    /// logs in by certificate only.
    pub fn authenticate(&self, name: &str) -> Result<(), AuthError> {
        if !self.enabled {
            return Err(AuthError::AuthNotEnabled);
        }
        let may_log_in = self.users.get(name).is_some_and(|entry| !entry.has_no_password());
        if may_log_in { Ok(()) } else { Err(AuthError::AuthFailed) }
    }

    /// Checks whether `identity` may access every key of `range`. With authentication off
    /// everything is allowed.
    ///
    /// # Errors
    /// [`AuthError::UserEmpty`] for an anonymous caller, [`AuthError::AuthOldRevision`] for an old
    /// auth revision, else [`AuthError::PermissionDenied`].
    pub fn check(&self, identity: &Identity, access: Access, range: &KeyRange) -> Result<(), AuthError> {
        if !self.enabled {
            return Ok(());
        }
        if identity.auth_revision == 0 {
            return Err(AuthError::UserEmpty);
        }
        if identity.auth_revision < self.auth_revision {
            return Err(AuthError::AuthOldRevision);
        }
        let entry = self.users.get(&identity.user).ok_or(AuthError::PermissionDenied)?;
        let allowed = entry.holds(ROOT) || self.permissions_of(entry).allow(access, range);
        if allowed { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }

    fn permissions_of<'a>(&self, entry: &'a UserEntry) -> &'a KeyPermissions {
        let roles = || entry.user.roles.iter().filter_map(|name| self.roles.get(name)).map(Arc::as_ref);
        entry.permissions.get_or_init(|| KeyPermissions::of(roles()))
    }

    /// Stores `user` and drops its computed permissions.
    pub(crate) fn put_user(&mut self, name: &str, user: User, batch: &mut dyn Batch) {
        assert!(user.name == name.as_bytes(), "the record of user {name:?} names {:?}", user.name);
        record::write_user(batch, &user);
        self.users.insert(name.to_owned(), Arc::new(UserEntry::new(user)));
    }

    /// Stores `role` and drops the computed permissions of the users that hold it.
    pub(crate) fn put_role(&mut self, name: &str, role: Role, batch: &mut dyn Batch) {
        assert!(role.name == name.as_bytes(), "the record of role {name:?} names {:?}", role.name);
        record::write_role(batch, &role);
        self.roles.insert(name.to_owned(), Arc::new(role));
        for entry in self.users.values_mut().filter(|entry| entry.holds(name)) {
            *entry = Arc::new(UserEntry::new(entry.user.clone()));
        }
    }

    pub(crate) fn commit_revision(&mut self, batch: &mut dyn Batch) {
        self.auth_revision += 1;
        record::write_revision(batch, self.auth_revision);
    }

    /// Returns every role name and its permissions, in name order, for reports.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.roles.iter().map(|(name, role)| (name.as_str(), role.as_ref()))
    }

    /// Every user's name with the roles it holds, in name order. Hashes are not given out.
    pub fn users(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.users.iter().map(|(name, entry)| (name.as_str(), &entry.user.roles[..]))
    }

    /// The bytes of a name as records hold it.
    pub(crate) fn name_bytes(name: &str) -> Bytes {
        Bytes::copy_from_slice(name.as_bytes())
    }
}
