//! The Lease service.

use crate::keep_alive::KeepAliveStream;
use crate::kv::off_thread;
use crate::server::{Server, unexpected};
use crate::spans;
use crate::status::{ToStatus as _, leader_changed};
use apply::{ApplyResponse, Ordered};
use auth::{Access, AuthStore, Identity, RequestClass};
use bytes::Bytes;
use proto::etcdserverpb::{
    InternalRaftRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use rpc::etcdserverpb::lease_server::Lease;
use std::pin::Pin;
use tonic::{Request, Response, Status, Streaming};
use types::LeaseId;

/// The answer to a question about a lease that does not exist.
const NO_TTL: i64 = -1;

impl Server {
    /// Orders a grant; without an id one is drawn.
    pub(crate) async fn lease_grant(
        &self,
        mut request: LeaseGrantRequest,
        identity: &Identity,
    ) -> Result<LeaseGrantResponse, Status> {
        while request.id == 0 {
            request.id = (self.replica.next_id() & (u64::MAX >> 1)).cast_signed();
        }
        let id = request.id;
        let _span = spans::lease_grant(&request);
        let request = InternalRaftRequest { lease_grant: Some(request), ..InternalRaftRequest::default() };
        self.check_quota(&request).await?;
        match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::LeaseGrant(ttl), revision } => {
                Ok(LeaseGrantResponse { header: Some(self.header(revision)), id, ttl, error: String::new() })
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// Orders a revoke.
    pub(crate) async fn lease_revoke(&self, id: i64, identity: &Identity) -> Result<LeaseRevokeResponse, Status> {
        let _span = spans::lease("lease_revoke", id);
        let request =
            InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id }), ..InternalRaftRequest::default() };
        match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::Done, revision } => {
                Ok(LeaseRevokeResponse { header: Some(self.header(revision)) })
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    async fn lease_keys(&self, id: LeaseId) -> Result<Vec<Bytes>, Status> {
        off_thread(&self.replica, move |_, store| lease::stored_keys(store, id))
            .await
            .map_err(|fault| self.faulted(fault))
    }

    /// Catches up before a permission check: a member that lags knows neither all keys of a lease
    /// nor revoked permissions. Root needs no check.
    pub(crate) async fn catch_up_for(&self, identity: &Identity) -> Result<(), Status> {
        if may_everything(&self.published().auth(), identity) { Ok(()) } else { self.barrier().await }
    }

    /// Checks access to all keys of a lease; root needs none, so the keys are not even read.
    pub(crate) async fn check_lease_keys(
        &self,
        id: LeaseId,
        access: Access,
        identity: &Identity,
    ) -> Result<(), Status> {
        let store = self.published().auth();
        if may_everything(&store, identity) {
            return Ok(());
        }
        store.permit(identity, RequestClass::Authenticated).map_err(|refusal| refusal.to_status())?;
        let keys = self.lease_keys(id).await?;
        store.check_keys(identity, access, &keys).map_err(|refusal| refusal.to_status())
    }

    async fn time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
        identity: &Identity,
    ) -> Result<LeaseTimeToLiveResponse, Status> {
        let id = LeaseId(request.id);
        if request.keys {
            self.catch_up_for(identity).await?;
        }
        let store = self.published().auth();
        let checked_at = store.auth_revision();
        store.permit(identity, RequestClass::Authenticated).map_err(|refusal| refusal.to_status())?;
        if request.keys {
            self.check_lease_keys(id, Access::Read, identity).await?;
        }
        let (header, told) = if self.leads() {
            let told = self.time_to_live_here(id, request.keys).await?;
            (self.header_now(), told)
        } else {
            (self.header_now(), self.time_to_live_at_leader(id.0, request.keys).await?)
        };
        let unknown = || LeaseTimeToLiveResponse { id: id.0, ttl: NO_TTL, ..LeaseTimeToLiveResponse::default() };
        let response = LeaseTimeToLiveResponse { header: Some(header), ..told.unwrap_or_else(unknown) };
        // The leader may know of keys that have not reached this member: the returned keys have to
        // be permitted.
        if request.keys && store.permit(identity, RequestClass::Root).is_err() {
            store.check_keys(identity, Access::Read, &response.keys).map_err(|refusal| refusal.to_status())?;
        }
        // And only if permissions have not changed meanwhile.
        if request.keys && self.published().auth().auth_revision() != checked_at {
            return Err(auth::AuthError::AuthOldRevision.to_status());
        }
        Ok(response)
    }

    /// Returns the remaining time of a lease, as this member, the leader, knows it; without a
    /// header. Permission was checked by the member that received the request.
    pub async fn time_to_live_here(&self, id: LeaseId, keys: bool) -> Result<Option<LeaseTimeToLiveResponse>, Status> {
        self.barrier().await?;
        let (found, leads) = {
            let expiry = self.published().expiry().lock();
            (expiry.time_to_live(id, self.replica.clock().now()), expiry.is_leading())
        };
        let Some(found) = found else {
            // A member that was replaced as leader behind the barrier knows no deadlines any more,
            // but not that there is no such lease.
            return if leads { Ok(None) } else { Err(leader_changed()) };
        };
        let keys = if keys { self.lease_keys(id).await? } else { Vec::new() };
        Ok(Some(LeaseTimeToLiveResponse {
            header: None,
            id: id.0,
            ttl: found.remaining_seconds,
            granted_ttl: found.granted_seconds,
            keys,
        }))
    }

    async fn leases(&self, identity: &Identity) -> Result<LeaseLeasesResponse, Status> {
        self.catch_up_for(identity).await?;
        let ids = self.published().expiry().lock().leases_by_deadline();
        for id in &ids {
            self.check_lease_keys(*id, Access::Read, identity).await?;
        }
        self.published().auth().permit(identity, RequestClass::Authenticated).map_err(|refusal| refusal.to_status())?;
        let leases = ids.into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(LeaseLeasesResponse { header: Some(self.header_now()), leases })
    }
}

/// Returns `true` if nothing has to be looked up to permit it: there are no users, or it is root.
fn may_everything(store: &AuthStore, identity: &Identity) -> bool {
    !store.enabled() || store.permit(identity, RequestClass::Root).is_ok()
}

#[tonic::async_trait]
impl Lease for Server {
    type LeaseKeepAliveStream = Pin<Box<dyn futures::Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        let identity = self.permitted(request.metadata(), RequestClass::Authenticated)?;
        Ok(Response::new(Self::lease_grant(self, request.into_inner(), &identity).await?))
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let identity = self.permitted(request.metadata(), RequestClass::Authenticated)?;
        Ok(Response::new(Self::lease_revoke(self, request.into_inner().id, &identity).await?))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let identity = self.identity(request.metadata())?;
        Ok(Response::new(Box::pin(KeepAliveStream::new(self.clone(), request.into_inner(), identity))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        Ok(Response::new(self.time_to_live(request.into_inner(), &identity).await?))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let identity = self.identity(request.metadata())?;
        Ok(Response::new(self.leases(&identity).await?))
    }
}
