//! Changes to roles and questions about them. Each method is one RPC.
//!
//! The permissions of a role are kept sorted by key, and among equal keys in the order of granting.
//! etcd's sort keeps that order for up to 12 permissions of one role and may shuffle equal keys
//! beyond.

use crate::permissions::is_grantable;
use crate::store::{AuthStore, ROOT, UserEntry};
use crate::{AuthError, record};
use bytes::Bytes;
use proto::authpb::{Permission, Role, permission};
use proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest,
};
use schema::Batch;
use std::sync::Arc;

impl AuthStore {
    /// Adds a role without permissions.
    ///
    /// # Errors
    /// [`AuthError::RoleEmpty`], [`AuthError::RoleAlreadyExists`].
    pub fn role_add(&mut self, request: &AuthRoleAddRequest, batch: &mut dyn Batch) -> Result<(), AuthError> {
        if request.name.is_empty() {
            return Err(AuthError::RoleEmpty);
        }
        if self.roles.contains_key(&request.name) {
            return Err(AuthError::RoleAlreadyExists);
        }
        let role = Role { name: Self::name_bytes(&request.name), key_permission: Vec::new() };
        self.put_role(&request.name, role, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// Deletes a role and takes it from every user. Tokens stay valid.
    ///
    /// # Errors
    /// [`AuthError::InvalidAuthMgmt`] for `root` while authentication is on,
    /// [`AuthError::RoleNotFound`].
    pub fn role_delete(&mut self, request: &AuthRoleDeleteRequest, batch: &mut dyn Batch) -> Result<(), AuthError> {
        if self.enabled() && request.role == ROOT {
            return Err(AuthError::InvalidAuthMgmt);
        }
        self.roles.remove(&request.role).ok_or(AuthError::RoleNotFound)?;
        record::delete_role(batch, &request.role);
        for entry in self.users.values_mut().filter(|entry| entry.holds(&request.role)) {
            let mut user = entry.user.clone();
            user.roles.retain(|held| *held != request.role);
            record::write_user(batch, &user);
            *entry = Arc::new(UserEntry::new(user));
        }
        self.commit_revision(batch);
        Ok(())
    }

    /// Grants a permission, or changes the type of the one on the same range. Counts as a change
    /// even when nothing differs.
    ///
    /// Only the first stored permission with this key is compared, as in etcd, so with several
    /// ranges that start at one key a range can come to be stored twice.
    ///
    /// # Errors
    /// [`AuthError::PermissionNotGiven`], [`AuthError::InvalidAuthMgmt`] for an impossible range,
    /// [`AuthError::RoleNotFound`].
    pub fn role_grant_permission(
        &mut self,
        request: &AuthRoleGrantPermissionRequest,
        batch: &mut dyn Batch,
    ) -> Result<(), AuthError> {
        let given = request.perm.as_ref().ok_or(AuthError::PermissionNotGiven)?;
        if !is_grantable(given) {
            return Err(AuthError::InvalidAuthMgmt);
        }
        let mut role = Role::clone(self.roles.get(&request.name).ok_or(AuthError::RoleNotFound)?);
        let first = role.key_permission.partition_point(|stored| stored.key < given.key);
        match role.key_permission.get_mut(first) {
            Some(stored) if stored.key == given.key && stored.range_end == given.range_end => {
                stored.perm_type = given.perm_type
            }
            _ => {
                role.key_permission.push(given.clone());
                role.key_permission.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
        self.put_role(&request.name, role, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// Revokes the permission on exactly this range.
    ///
    /// # Errors
    /// [`AuthError::RoleNotFound`], [`AuthError::PermissionNotGranted`].
    pub fn role_revoke_permission(
        &mut self,
        request: &AuthRoleRevokePermissionRequest,
        batch: &mut dyn Batch,
    ) -> Result<(), AuthError> {
        let mut role = Role::clone(self.roles.get(&request.role).ok_or(AuthError::RoleNotFound)?);
        let before = role.key_permission.len();
        role.key_permission.retain(|stored| stored.key != request.key || stored.range_end != request.range_end);
        if role.key_permission.len() == before {
            return Err(AuthError::PermissionNotGranted);
        }
        self.put_role(&request.role, role, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// Returns the permissions of a role. The role `root`, if it was created, has all permissions,
    /// regardless of the stored ones.
    ///
    /// # Errors
    /// [`AuthError::RoleNotFound`].
    pub fn role_get(&self, request: &AuthRoleGetRequest) -> Result<Vec<Permission>, AuthError> {
        let role = self.roles.get(&request.role).ok_or(AuthError::RoleNotFound)?;
        if request.role == ROOT {
            let everything = permission::Type::Readwrite.into();
            return Ok(vec![Permission {
                perm_type: everything,
                key: Bytes::new(),
                range_end: Bytes::from_static(b"\0"),
            }]);
        }
        Ok(role.key_permission.clone())
    }

    /// All role names, sorted.
    pub fn role_list(&self) -> Vec<String> {
        self.roles.keys().cloned().collect()
    }
}
