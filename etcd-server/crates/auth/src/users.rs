//! Changes to users and questions about them. Each method is one RPC.
//!
//! The roles of a user are kept sorted, as etcd stores them.

use crate::store::{AuthStore, DropTokens, ROOT};
use crate::{AuthError, password, record};
use bytes::Bytes;
use proto::authpb::{User, UserAddOptions};
use proto::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};
use schema::Batch;

impl AuthStore {
    /// Adds a user. The password arrives hashed; with the option `no_password` it is ignored.
    ///
    /// # Errors
    /// [`AuthError::UserEmpty`], [`AuthError::UserAlreadyExists`], [`AuthError::NoPasswordUser`]
    /// when the hash is not base64.
    pub fn user_add(&mut self, request: &AuthUserAddRequest, batch: &mut dyn Batch) -> Result<(), AuthError> {
        let name = request.name.as_str();
        if name.is_empty() {
            return Err(AuthError::UserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(AuthError::UserAlreadyExists);
        }
        let options = request.options.unwrap_or(UserAddOptions { no_password: false });
        let password = match options.no_password {
            true => Bytes::new(),
            false => self.password_to_store(name, &request.password, &request.hashed_password)?,
        };
        let user = User { name: Self::name_bytes(name), password, roles: Vec::new(), options: Some(options) };
        self.put_user(name, user, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`AuthError::InvalidAuthMgmt`] for `root` while authentication is on,
    /// [`AuthError::UserNotFound`].
    pub fn user_delete(
        &mut self,
        request: &AuthUserDeleteRequest,
        batch: &mut dyn Batch,
    ) -> Result<DropTokens, AuthError> {
        if self.enabled() && request.name == ROOT {
            return Err(AuthError::InvalidAuthMgmt);
        }
        self.users.remove(&request.name).ok_or(AuthError::UserNotFound)?;
        record::delete_user(batch, &request.name);
        self.commit_revision(batch);
        Ok(DropTokens::OfUser(request.name.clone()))
    }

    /// Changes a user's password. An empty one leaves no hash, so no login with it succeeds; users
    /// without a password stay so.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::NoPasswordUser`] when the hash is not base64.
    pub fn user_change_password(
        &mut self,
        request: &AuthUserChangePasswordRequest,
        batch: &mut dyn Batch,
    ) -> Result<DropTokens, AuthError> {
        let entry = self.users.get(&request.name).ok_or(AuthError::UserNotFound)?;
        let password = match entry.has_no_password() {
            true => Bytes::new(),
            false => self.password_to_store(&request.name, &request.password, &request.hashed_password)?,
        };
        let user = User { password, ..entry.user.clone() };
        self.put_user(&request.name, user, batch);
        self.commit_revision(batch);
        Ok(DropTokens::OfUser(request.name.clone()))
    }

    /// Gives a user a role. A role it already holds is no error and no change.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::RoleNotFound`], except for `root`, which may be
    /// granted before it is created.
    pub fn user_grant_role(
        &mut self,
        request: &AuthUserGrantRoleRequest,
        batch: &mut dyn Batch,
    ) -> Result<(), AuthError> {
        let entry = self.users.get(&request.user).ok_or(AuthError::UserNotFound)?;
        if request.role != ROOT && !self.roles.contains_key(&request.role) {
            return Err(AuthError::RoleNotFound);
        }
        if entry.holds(&request.role) {
            return Ok(());
        }
        let mut user = entry.user.clone();
        user.roles.push(request.role.clone());
        user.roles.sort();
        self.put_user(&request.user, user, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    /// [`AuthError::InvalidAuthMgmt`] for `root` from `root` while authentication is on,
    /// [`AuthError::UserNotFound`], [`AuthError::RoleNotGranted`].
    pub fn user_revoke_role(
        &mut self,
        request: &AuthUserRevokeRoleRequest,
        batch: &mut dyn Batch,
    ) -> Result<(), AuthError> {
        if self.enabled() && request.name == ROOT && request.role == ROOT {
            return Err(AuthError::InvalidAuthMgmt);
        }
        let entry = self.users.get(&request.name).ok_or(AuthError::UserNotFound)?;
        if !entry.holds(&request.role) {
            return Err(AuthError::RoleNotGranted);
        }
        let mut user = entry.user.clone();
        user.roles.retain(|held| *held != request.role);
        self.put_user(&request.name, user, batch);
        self.commit_revision(batch);
        Ok(())
    }

    /// The roles of a user, sorted.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`].
    pub fn user_get(&self, request: &AuthUserGetRequest) -> Result<Vec<String>, AuthError> {
        Ok(self.users.get(&request.name).ok_or(AuthError::UserNotFound)?.user.roles.clone())
    }

    /// All user names, sorted.
    pub fn user_list(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    /// Entries from before etcd 3.5 carry the plain password; those are hashed here, with a salt
    /// that every member computes alike.
    fn password_to_store(&self, name: &str, plain: &str, hashed: &str) -> Result<Bytes, AuthError> {
        if !plain.is_empty() && hashed.is_empty() {
            let salt = password::salt_of_change(name, self.auth_revision());
            let hash = password::hash_password(plain, password::BCRYPT_COST_DEFAULT, salt);
            return hash.map(Bytes::from).map_err(|_| AuthError::NoPasswordUser);
        }
        password::from_raft(hashed).map(Bytes::from).ok_or(AuthError::NoPasswordUser)
    }
}
