//! The Lock service.

use crate::Server;
use crate::concurrency::unknown;
use crate::identity::Caller;
use bytes::Bytes;
use proto::etcdserverpb::DeleteRangeRequest;
use proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use rpc::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl Lock for Server {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let identity = self.identity(request.metadata()).map_err(|status| unknown(&status))?;
        let request = request.into_inner();
        let lease = self.session_lease(request.lease, &identity).await?;
        let candidacy = self.enter(&request.name, lease, Bytes::new(), &identity).await?;
        let candidate = candidacy.candidate();
        self.wait_for_turn(candidate, &identity).await?;
        // The lease may have run out while it waited.
        let (header, own) = self.lookup(&candidate.key, &identity).await?;
        if own.is_none_or(|own| own.create_revision != candidate.create_revision) {
            return Err(Status::unknown("mutex: session is expired"));
        }
        let key = candidate.key.clone();
        candidacy.keep();
        Ok(Response::new(LockResponse { header, key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let delete = DeleteRangeRequest { key: request.key, ..DeleteRangeRequest::default() };
        // The request is checked before the caller, as a deletion's is.
        let deleted =
            self.delete_range(delete, Caller::Claimed(metadata.as_ref())).await.map_err(|status| unknown(&status))?;
        Ok(Response::new(UnlockResponse { header: deleted.header }))
    }
}
