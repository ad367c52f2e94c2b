//! The Auth service. Everything but the slow part of a password is ordered like any other request,
//! reads included.

use crate::server::{Server, unexpected};
use crate::status::ToStatus as _;
use apply::{ApplyResponse, Ordered};
use auth::{Identity, Login};
use proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthRoleAddRequest,
    AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse, AuthRoleGetRequest, AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest, AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest, AuthStatusResponse,
    AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse,
    AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse, InternalAuthenticateRequest,
    InternalRaftRequest, ResponseHeader,
};
use replica::RequestError;
use rpc::etcdserverpb::auth_server::Auth;
use tonic::{Request, Response, Status};

impl Server {
    /// Runs work that burns a processor for a tenth of a second, a few at a time, where it keeps no
    /// socket waiting.
    async fn burn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        let stopped = |_| Status::unavailable("etcdserver: server stopped");
        let permit = self
            .hashing
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Status::unavailable("etcdserver: server stopped"))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(stopped)
    }

    /// The hash that travels in the raft entry instead of the password.
    async fn hash(&self, password: String) -> Result<String, Status> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Status::internal(format!("draw a salt: {error}")))?;
        let cost = self.settings.bcrypt_cost;
        let hashed = self.burn(move || auth::hash_for_raft(&password, cost, salt)).await?;
        hashed.map_err(|error| Status::unknown(error.to_string()))
    }

    /// Checks a password when it is the name's turn, and returns the auth revision that it was
    /// checked at.
    async fn check_password(&self, login: Login, name: &str, password: String) -> Result<u64, Status> {
        let turn = self.wrong_passwords.lock().turn(name, self.replica.clock().now(), self.replica.request_timeout());
        let Some(wait) = turn else { return Err(RequestError::TooManyRequests.to_status()) };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let cost = self.settings.bcrypt_cost;
        let checked = self.burn(move || login.verify(&password, cost)).await?;
        match checked {
            Ok(_) => self.wrong_passwords.lock().right(name),
            Err(_) => self.wrong_passwords.lock().wrong(name, self.replica.clock().now()),
        }
        checked.map_err(|refusal| refusal.to_status())
    }

    async fn authenticate(&self, request: AuthenticateRequest) -> Result<AuthenticateResponse, Status> {
        self.barrier().await?;
        loop {
            let login = self.published().auth().login(&request.name).map_err(|refusal| refusal.to_status())?;
            let auth_revision = self.check_password(login, &request.name, request.password.clone()).await?;
            let letters =
                self.tokens.draw_letters().map_err(|error| Status::internal(format!("draw a token: {error}")))?;
            let login = InternalAuthenticateRequest {
                name: request.name.clone(),
                password: String::new(),
                simple_token: letters.clone(),
            };
            let ordered = InternalRaftRequest { authenticate: Some(login), ..InternalRaftRequest::default() };
            let (user, token_index, revision) = match self.propose(ordered, &Identity::default()).await? {
                Ordered { response: ApplyResponse::Authenticated { user, token_index }, revision } => {
                    (user, token_index, revision)
                }
                ordered => return Err(unexpected(&ordered)),
            };
            // The password was checked against data that has changed since: check again.
            let now = self.published().auth().auth_revision();
            if now != auth_revision {
                continue;
            }
            let identity = Identity::new(user, now);
            let tokens = self.tokens.clone();
            let token = self.burn(move || tokens.token_of(&identity, &letters, token_index)).await?;
            let token = token.map_err(|refusal| refusal.to_status())?;
            return Ok(AuthenticateResponse { header: Some(self.header(revision)), token });
        }
    }

    /// Orders a request whose response is a header alone, and returns that.
    async fn done(&self, request: InternalRaftRequest, identity: &Identity) -> Result<ResponseHeader, Status> {
        match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::Done, revision } => Ok(self.header(revision)),
            ordered => Err(unexpected(&ordered)),
        }
    }

    async fn names(
        &self,
        request: InternalRaftRequest,
        identity: &Identity,
    ) -> Result<(ResponseHeader, Vec<String>), Status> {
        match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::Names(names), revision } => Ok((self.header(revision), names)),
            ordered => Err(unexpected(&ordered)),
        }
    }
}

/// Orders a request as it is and answers a header alone.
macro_rules! ordered {
    ($server:ident, $request:ident, $field:ident, $response:ident) => {{
        let identity = $server.identity($request.metadata())?;
        let ordered = InternalRaftRequest { $field: Some($request.into_inner()), ..InternalRaftRequest::default() };
        let header = Some($server.done(ordered, &identity).await?);
        Ok(Response::new($response { header }))
    }};
}

#[tonic::async_trait]
impl Auth for Server {
    async fn auth_enable(&self, request: Request<AuthEnableRequest>) -> Result<Response<AuthEnableResponse>, Status> {
        ordered!(self, request, auth_enable, AuthEnableResponse)
    }

    async fn auth_disable(
        &self,
        request: Request<AuthDisableRequest>,
    ) -> Result<Response<AuthDisableResponse>, Status> {
        ordered!(self, request, auth_disable, AuthDisableResponse)
    }

    async fn auth_status(&self, request: Request<AuthStatusRequest>) -> Result<Response<AuthStatusResponse>, Status> {
        // Every client may call this, but not with an invalid token.
        self.identity(request.metadata())?;
        let ordered = InternalRaftRequest { auth_status: Some(request.into_inner()), ..InternalRaftRequest::default() };
        match self.propose(ordered, &Identity::default()).await? {
            Ordered { response: ApplyResponse::AuthStatus { enabled, auth_revision }, revision } => {
                Ok(Response::new(AuthStatusResponse { header: Some(self.header(revision)), enabled, auth_revision }))
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        Ok(Response::new(Self::authenticate(self, request.into_inner()).await?))
    }

    async fn user_add(&self, request: Request<AuthUserAddRequest>) -> Result<Response<AuthUserAddResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let mut request = request.into_inner();
        let no_password = request.options.is_some_and(|options| options.no_password);
        let password = std::mem::take(&mut request.password);
        // A hash that the client made itself does not count here; etcd takes one for a change of
        // password alone.
        request.hashed_password = if no_password { String::new() } else { self.hash(password).await? };
        let ordered = InternalRaftRequest { auth_user_add: Some(request), ..InternalRaftRequest::default() };
        let header = Some(self.done(ordered, &identity).await?);
        Ok(Response::new(AuthUserAddResponse { header }))
    }

    async fn user_change_password(
        &self,
        request: Request<AuthUserChangePasswordRequest>,
    ) -> Result<Response<AuthUserChangePasswordResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let mut request = request.into_inner();
        let password = std::mem::take(&mut request.password);
        if !password.is_empty() {
            request.hashed_password = self.hash(password).await?;
        }
        let ordered =
            InternalRaftRequest { auth_user_change_password: Some(request), ..InternalRaftRequest::default() };
        let header = Some(self.done(ordered, &identity).await?);
        Ok(Response::new(AuthUserChangePasswordResponse { header }))
    }

    async fn user_get(&self, request: Request<AuthUserGetRequest>) -> Result<Response<AuthUserGetResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let ordered =
            InternalRaftRequest { auth_user_get: Some(request.into_inner()), ..InternalRaftRequest::default() };
        let (header, roles) = self.names(ordered, &identity).await?;
        Ok(Response::new(AuthUserGetResponse { header: Some(header), roles }))
    }

    async fn user_list(&self, request: Request<AuthUserListRequest>) -> Result<Response<AuthUserListResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let ordered =
            InternalRaftRequest { auth_user_list: Some(request.into_inner()), ..InternalRaftRequest::default() };
        let (header, users) = self.names(ordered, &identity).await?;
        Ok(Response::new(AuthUserListResponse { header: Some(header), users }))
    }

    async fn role_list(&self, request: Request<AuthRoleListRequest>) -> Result<Response<AuthRoleListResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let ordered =
            InternalRaftRequest { auth_role_list: Some(request.into_inner()), ..InternalRaftRequest::default() };
        let (header, roles) = self.names(ordered, &identity).await?;
        Ok(Response::new(AuthRoleListResponse { header: Some(header), roles }))
    }

    async fn role_get(&self, request: Request<AuthRoleGetRequest>) -> Result<Response<AuthRoleGetResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        let ordered =
            InternalRaftRequest { auth_role_get: Some(request.into_inner()), ..InternalRaftRequest::default() };
        match self.propose(ordered, &identity).await? {
            Ordered { response: ApplyResponse::Permissions(perm), revision } => {
                Ok(Response::new(AuthRoleGetResponse { header: Some(self.header(revision)), perm }))
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    async fn user_delete(
        &self,
        request: Request<AuthUserDeleteRequest>,
    ) -> Result<Response<AuthUserDeleteResponse>, Status> {
        ordered!(self, request, auth_user_delete, AuthUserDeleteResponse)
    }

    async fn user_grant_role(
        &self,
        request: Request<AuthUserGrantRoleRequest>,
    ) -> Result<Response<AuthUserGrantRoleResponse>, Status> {
        ordered!(self, request, auth_user_grant_role, AuthUserGrantRoleResponse)
    }

    async fn user_revoke_role(
        &self,
        request: Request<AuthUserRevokeRoleRequest>,
    ) -> Result<Response<AuthUserRevokeRoleResponse>, Status> {
        ordered!(self, request, auth_user_revoke_role, AuthUserRevokeRoleResponse)
    }

    async fn role_add(&self, request: Request<AuthRoleAddRequest>) -> Result<Response<AuthRoleAddResponse>, Status> {
        ordered!(self, request, auth_role_add, AuthRoleAddResponse)
    }

    async fn role_delete(
        &self,
        request: Request<AuthRoleDeleteRequest>,
    ) -> Result<Response<AuthRoleDeleteResponse>, Status> {
        ordered!(self, request, auth_role_delete, AuthRoleDeleteResponse)
    }

    async fn role_grant_permission(
        &self,
        request: Request<AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<AuthRoleGrantPermissionResponse>, Status> {
        ordered!(self, request, auth_role_grant_permission, AuthRoleGrantPermissionResponse)
    }

    async fn role_revoke_permission(
        &self,
        request: Request<AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<AuthRoleRevokePermissionResponse>, Status> {
        ordered!(self, request, auth_role_revoke_permission, AuthRoleRevokePermissionResponse)
    }
}
