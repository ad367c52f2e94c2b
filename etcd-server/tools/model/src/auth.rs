//! Users, roles, the switch, and the permissions of callers.

use crate::response::{Effect, Response, Tokens};
use crate::{Model, Refusal};
use bytes::Bytes;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{InternalRaftRequest, PutRequest, RequestHeader, TxnRequest};
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "root";

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The roles it holds.
    pub roles: BTreeSet<String>,
    /// `true` if it logs in by certificate alone.
    pub no_password: bool,
}

/// The permissions of a role, by key, and among equal keys in the order of granting.
pub type Role = Vec<Permission>;

/// Users, roles and the switch.
#[derive(Clone, Debug)]
pub struct Users {
    /// `true` if authentication is on.
    pub enabled: bool,
    /// The number of changes, from 1.
    pub revision: u64,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
}

/// The kind of access to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self { enabled: false, revision: 1, users: BTreeMap::new(), roles: BTreeMap::new() }
    }

    fn holds(&self, user: &str, role: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.roles.contains(role))
    }

    /// Checks that the caller administers.
    pub(crate) fn check_admin(&self, caller: &RequestHeader) -> Result<(), Refusal> {
        if !self.enabled {
            return Ok(());
        }
        if caller.username.is_empty() {
            return Err(Refusal::UserEmpty);
        }
        if !self.users.contains_key(&caller.username) {
            return Err(Refusal::UserNotFound);
        }
        if self.holds(&caller.username, ROOT) { Ok(()) } else { Err(Refusal::PermissionDenied) }
    }

    /// Checks that the caller may access every key from `key` to `range_end`.
    pub(crate) fn check_keys(
        &self,
        caller: &RequestHeader,
        access: Access,
        key: &[u8],
        range_end: &[u8],
    ) -> Result<(), Refusal> {
        if !self.enabled {
            return Ok(());
        }
        if caller.auth_revision == 0 {
            return Err(Refusal::UserEmpty);
        }
        if caller.auth_revision < self.revision {
            return Err(Refusal::AuthOldRevision);
        }
        let Some(user) = self.users.get(&caller.username) else { return Err(Refusal::PermissionDenied) };
        if user.roles.contains(ROOT) {
            return Ok(());
        }
        let granted =
            user.roles.iter().filter_map(|role| self.roles.get(role)).flatten().filter(|grant| grants(grant, access));
        if is_covered(&granted.collect::<Vec<_>>(), key, range_end) { Ok(()) } else { Err(Refusal::PermissionDenied) }
    }
}

fn grants(permission: &Permission, access: Access) -> bool {
    match Type::try_from(permission.perm_type) {
        Ok(Type::Readwrite) => true,
        Ok(Type::Read) => access == Access::Read,
        Ok(Type::Write) => access == Access::Write,
        Err(_) => false,
    }
}

/// Returns the first key above all keys of a range; `None` if the range is open.
fn end_of(key: &[u8], range_end: &[u8]) -> Option<Vec<u8>> {
    match range_end {
        [] => Some([key, b"\0"].concat()),
        [0] => None,
        end => Some(end.to_vec()),
    }
}

/// Returns `true` if the grants together contain every key from `key` to `range_end`: from the
/// first key, each step goes to the furthest end of a grant that contains the key reached.
fn is_covered(granted: &[&Permission], key: &[u8], range_end: &[u8]) -> bool {
    let end = end_of(key, range_end);
    // No key is empty: the smallest one is a single zero byte.
    let mut reached = if key.is_empty() { vec![0] } else { key.to_vec() };
    loop {
        let containing = granted
            .iter()
            .filter(|grant| !grant.key.is_empty() && crate::keys::is_in(&reached, &grant.key, &grant.range_end));
        let ends: Vec<_> = containing.map(|grant| end_of(&grant.key, &grant.range_end)).collect();
        if ends.contains(&None) {
            return true;
        }
        let Some(Some(next)) = ends.into_iter().max() else { return false };
        if end.as_ref().is_some_and(|end| next >= *end) {
            return true;
        }
        if next <= reached {
            return false;
        }
        reached = next;
    }
}

impl Model {
    pub(crate) fn check_put_permission(&self, caller: &RequestHeader, put: &PutRequest) -> Result<(), Refusal> {
        self.users.check_keys(caller, Access::Write, &put.key, &[])?;
        self.check_lease_permission(caller, put.lease)?;
        if put.prev_kv { self.users.check_keys(caller, Access::Read, &put.key, &[]) } else { Ok(()) }
    }

    /// Checks that the caller may delete every key of a lease.
    pub(crate) fn check_lease_permission(&self, caller: &RequestHeader, lease: i64) -> Result<(), Refusal> {
        self.keys_of_lease(lease).iter().try_for_each(|key| self.users.check_keys(caller, Access::Write, key, &[]))
    }

    pub(crate) fn check_txn_permission(&self, caller: &RequestHeader, txn: &TxnRequest) -> Result<(), Refusal> {
        for compare in &txn.compare {
            self.users.check_keys(caller, Access::Read, &compare.key, &compare.range_end)?;
        }
        for operation in txn.success.iter().chain(&txn.failure) {
            match &operation.request {
                Some(Request::RequestRange(range)) => {
                    self.users.check_keys(caller, Access::Read, &range.key, &range.range_end)?
                }
                Some(Request::RequestPut(put)) => self.check_put_permission(caller, put)?,
                Some(Request::RequestDeleteRange(delete)) => {
                    self.users.check_keys(caller, Access::Write, &delete.key, &delete.range_end)?;
                    if delete.prev_kv {
                        self.users.check_keys(caller, Access::Read, &delete.key, &delete.range_end)?;
                    }
                }
                Some(Request::RequestTxn(inner)) => self.check_txn_permission(caller, inner)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Executes a request on users, roles or the switch.
    pub(crate) fn administer(
        &mut self,
        index: u64,
        caller: &RequestHeader,
        request: &InternalRaftRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        let auth = &mut self.users;
        if let Some(login) = &request.authenticate {
            if !auth.enabled {
                return Err(Refusal::AuthNotEnabled);
            }
            auth.users.get(&login.name).filter(|user| !user.no_password).ok_or(Refusal::AuthFailed)?;
            // The number of a simple token is the index of the entry before.
            let number = index - 1;
            if !login.simple_token.is_empty() {
                effects.push(Effect::AssignToken(format!("{}.{number}", login.simple_token), login.name.clone()));
            }
            return Ok(Response::Authenticated(login.name.clone(), number));
        }
        if request.auth_status.is_some() {
            return Ok(Response::AuthStatus(auth.enabled, auth.revision));
        }
        if let Some(get) = &request.auth_user_get {
            if caller.username != get.name {
                auth.check_admin(caller)?;
            }
            let user = auth.users.get(&get.name).ok_or(Refusal::UserNotFound)?;
            return Ok(Response::Names(user.roles.iter().cloned().collect()));
        }
        if let Some(get) = &request.auth_role_get {
            if !auth.holds(&caller.username, &get.role) {
                auth.check_admin(caller)?;
            }
            let role = auth.roles.get(&get.role).ok_or(Refusal::RoleNotFound)?;
            return Ok(Response::Permissions(if get.role == ROOT { all_permissions() } else { role.clone() }));
        }
        auth.check_admin(caller)?;
        match auth.change_users(request, effects) {
            Some(done) => done,
            None => auth.change_roles(request).unwrap_or(Err(Refusal::UnknownRequest)),
        }
    }
}

/// The permissions that the role root has, whatever was granted to it.
fn all_permissions() -> Role {
    vec![Permission { perm_type: Type::Readwrite.into(), key: Bytes::new(), range_end: Bytes::from_static(b"\0") }]
}

impl Users {
    fn change_users(
        &mut self,
        request: &InternalRaftRequest,
        effects: &mut Vec<Effect>,
    ) -> Option<Result<Response, Refusal>> {
        let done = if request.auth_enable.is_some() {
            self.enable()
        } else if request.auth_disable.is_some() {
            if self.enabled {
                self.enabled = false;
                self.revision += 1;
                effects.push(Effect::DropTokens(Tokens::All));
            }
            Ok(())
        } else if let Some(add) = &request.auth_user_add {
            let no_password = add.options.is_some_and(|options| options.no_password);
            self.add_user(&add.name, no_password, &add.hashed_password)
        } else if let Some(delete) = &request.auth_user_delete {
            self.delete_user(&delete.name, effects)
        } else if let Some(change) = &request.auth_user_change_password {
            self.change_password(&change.name, &change.hashed_password, effects)
        } else if let Some(grant) = &request.auth_user_grant_role {
            self.grant_role(&grant.user, &grant.role)
        } else if let Some(revoke) = &request.auth_user_revoke_role {
            self.revoke_role(&revoke.name, &revoke.role)
        } else {
            let names = || Response::Names(self.users.keys().cloned().collect());
            return request.auth_user_list.is_some().then(|| Ok(names()));
        };
        Some(done.map(|()| Response::Done))
    }

    fn enable(&mut self) -> Result<(), Refusal> {
        if !self.enabled {
            let root = self.users.get(ROOT).ok_or(Refusal::RootUserNotExist)?;
            if !root.roles.contains(ROOT) {
                return Err(Refusal::RootRoleNotExist);
            }
            self.enabled = true;
        }
        Ok(())
    }

    fn add_user(&mut self, name: &str, no_password: bool, hash: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::UserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(Refusal::UserExists);
        }
        if !no_password && !is_base64(hash) {
            return Err(Refusal::NoPasswordUser);
        }
        self.users.insert(name.to_owned(), User { roles: BTreeSet::new(), no_password });
        self.revision += 1;
        Ok(())
    }

    fn delete_user(&mut self, name: &str, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        self.users.remove(name).ok_or(Refusal::UserNotFound)?;
        self.revision += 1;
        effects.push(Effect::DropTokens(Tokens::OfUser(name.to_owned())));
        Ok(())
    }

    fn change_password(&mut self, name: &str, hash: &str, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
        let user = self.users.get(name).ok_or(Refusal::UserNotFound)?;
        if !user.no_password && !is_base64(hash) {
            return Err(Refusal::NoPasswordUser);
        }
        self.revision += 1;
        effects.push(Effect::DropTokens(Tokens::OfUser(name.to_owned())));
        Ok(())
    }

    fn grant_role(&mut self, user: &str, role: &str) -> Result<(), Refusal> {
        let known = role == ROOT || self.roles.contains_key(role);
        let user = self.users.get_mut(user).ok_or(Refusal::UserNotFound)?;
        if !known {
            return Err(Refusal::RoleNotFound);
        }
        // A role that the user holds already is no change.
        if user.roles.insert(role.to_owned()) {
            self.revision += 1;
        }
        Ok(())
    }

    fn revoke_role(&mut self, user: &str, role: &str) -> Result<(), Refusal> {
        if self.enabled && user == ROOT && role == ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        let user = self.users.get_mut(user).ok_or(Refusal::UserNotFound)?;
        if !user.roles.remove(role) {
            return Err(Refusal::RoleNotGranted);
        }
        self.revision += 1;
        Ok(())
    }

    fn change_roles(&mut self, request: &InternalRaftRequest) -> Option<Result<Response, Refusal>> {
        let done = if let Some(add) = &request.auth_role_add {
            self.add_role(&add.name)
        } else if let Some(grant) = &request.auth_role_grant_permission {
            self.grant_permission(&grant.name, grant.perm.as_ref())
        } else if let Some(revoke) = &request.auth_role_revoke_permission {
            self.revoke_permission(&revoke.role, &revoke.key, &revoke.range_end)
        } else if let Some(delete) = &request.auth_role_delete {
            self.delete_role(&delete.role)
        } else {
            let names = || Response::Names(self.roles.keys().cloned().collect());
            return request.auth_role_list.is_some().then(|| Ok(names()));
        };
        Some(done.map(|()| Response::Done))
    }

    fn add_role(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::RoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Refusal::RoleExists);
        }
        self.roles.insert(name.to_owned(), Role::new());
        self.revision += 1;
        Ok(())
    }

    fn grant_permission(&mut self, role: &str, permission: Option<&Permission>) -> Result<(), Refusal> {
        let permission = permission.ok_or(Refusal::PermissionNotGiven)?;
        let ends_too_early =
            permission.range_end.len() > 1 || permission.range_end.first().is_some_and(|byte| *byte != 0);
        if permission.key.is_empty() || (ends_too_early && permission.range_end <= permission.key) {
            return Err(Refusal::InvalidAuthManagement);
        }
        let role = self.roles.get_mut(role).ok_or(Refusal::RoleNotFound)?;
        // Only the first permission of a key is compared, so that one may be there twice.
        match role.iter_mut().find(|held| held.key == permission.key) {
            Some(held) if held.range_end == permission.range_end => held.perm_type = permission.perm_type,
            _ => role.push(permission.clone()),
        }
        role.sort_by(|a, b| a.key.cmp(&b.key));
        self.revision += 1;
        Ok(())
    }

    fn revoke_permission(&mut self, role: &str, key: &[u8], range_end: &[u8]) -> Result<(), Refusal> {
        let role = self.roles.get_mut(role).ok_or(Refusal::RoleNotFound)?;
        let before = role.len();
        role.retain(|held| held.key != key || held.range_end != range_end);
        if role.len() == before {
            return Err(Refusal::PermissionNotGranted);
        }
        self.revision += 1;
        Ok(())
    }

    fn delete_role(&mut self, name: &str) -> Result<(), Refusal> {
        if self.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        self.roles.remove(name).ok_or(Refusal::RoleNotFound)?;
        for user in self.users.values_mut() {
            user.roles.remove(name);
        }
        self.revision += 1;
        Ok(())
    }
}

/// Returns `true` if the text may be a hash as entries carry it. Whether its bits are right is not
/// judged.
fn is_base64(text: &str) -> bool {
    text.len().is_multiple_of(4) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}
