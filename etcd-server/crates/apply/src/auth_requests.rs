//! Requests on users, roles and the switch.

use crate::ApplyError;
use crate::applied::{ApplyResponse, Effect};
use crate::state::{Context, State};
use auth::{DropTokens, Identity, RequestClass};
use proto::etcdserverpb::{InternalAuthenticateRequest, InternalRaftRequest};
use schema::View;

impl State {
    pub(crate) fn auth_request<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &InternalRaftRequest,
    ) -> Result<ApplyResponse, ApplyError> {
        if let Some(login) = &request.authenticate {
            return self.authenticate(context, login);
        }
        if request.auth_status.is_some() {
            return Ok(ApplyResponse::AuthStatus {
                enabled: self.auth.enabled(),
                auth_revision: self.auth.auth_revision(),
            });
        }
        if let Some(get) = &request.auth_user_get {
            self.auth.permit(identity, RequestClass::User(&get.name))?;
            return Ok(ApplyResponse::Names(self.auth.user_get(get)?));
        }
        if let Some(get) = &request.auth_role_get {
            self.auth.permit(identity, RequestClass::Role(&get.role))?;
            return Ok(ApplyResponse::Permissions(self.auth.role_get(get)?));
        }
        self.auth.permit(identity, RequestClass::Root)?;
        self.administer_users(context, request)
            .or_else(|| self.administer_roles(context, request))
            .unwrap_or(Err(ApplyError::UnknownRequest))
    }

    fn authenticate<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        login: &InternalAuthenticateRequest,
    ) -> Result<ApplyResponse, ApplyError> {
        self.auth.authenticate(&login.name)?;
        // etcd numbers a simple token by the index before its entry's.
        let token_index = context.index.saturating_sub(1);
        if !login.simple_token.is_empty() {
            let token = auth::simple_token(&login.simple_token, token_index);
            context.gathered.effects.push(Effect::AssignToken { token, user: login.name.clone() });
        }
        Ok(ApplyResponse::Authenticated { user: login.name.clone(), token_index })
    }

    fn administer_users<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &InternalRaftRequest,
    ) -> Option<Result<ApplyResponse, ApplyError>> {
        let batch = &mut *context.batch;
        let drop_tokens = if request.auth_enable.is_some() {
            self.auth.auth_enable(batch).map(|()| DropTokens::Nobody)
        } else if request.auth_disable.is_some() {
            Ok(self.auth.auth_disable(batch))
        } else if let Some(add) = &request.auth_user_add {
            self.auth.user_add(add, batch).map(|()| DropTokens::Nobody)
        } else if let Some(delete) = &request.auth_user_delete {
            self.auth.user_delete(delete, batch)
        } else if let Some(change) = &request.auth_user_change_password {
            self.auth.user_change_password(change, batch)
        } else if let Some(grant) = &request.auth_user_grant_role {
            self.auth.user_grant_role(grant, batch).map(|()| DropTokens::Nobody)
        } else if let Some(revoke) = &request.auth_user_revoke_role {
            self.auth.user_revoke_role(revoke, batch).map(|()| DropTokens::Nobody)
        } else {
            return request.auth_user_list.is_some().then(|| Ok(ApplyResponse::Names(self.auth.user_list())));
        };
        Some(drop_tokens.map_err(ApplyError::from).map(|tokens| {
            if tokens != DropTokens::Nobody {
                context.gathered.effects.push(Effect::DropTokens(tokens));
            }
            ApplyResponse::Done
        }))
    }

    fn administer_roles<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &InternalRaftRequest,
    ) -> Option<Result<ApplyResponse, ApplyError>> {
        let batch = &mut *context.batch;
        let done = if let Some(add) = &request.auth_role_add {
            self.auth.role_add(add, batch)
        } else if let Some(grant) = &request.auth_role_grant_permission {
            self.auth.role_grant_permission(grant, batch)
        } else if let Some(revoke) = &request.auth_role_revoke_permission {
            self.auth.role_revoke_permission(revoke, batch)
        } else if let Some(delete) = &request.auth_role_delete {
            self.auth.role_delete(delete, batch)
        } else {
            return request.auth_role_list.is_some().then(|| Ok(ApplyResponse::Names(self.auth.role_list())));
        };
        Some(done.map(|()| ApplyResponse::Done).map_err(ApplyError::from))
    }
}
