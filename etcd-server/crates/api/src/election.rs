//! The Election service.

use crate::Server;
use crate::identity::Caller;
use crate::session::{Candidate, created_at, operation, prefix_of, unknown};
use auth::Identity;
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, ResponseHeader, TxnRequest};
use proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse, ResignRequest,
    ResignResponse,
};
use rpc::v3electionpb::election_server::Election;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

fn no_leader_given() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

impl Server {
    /// Changes the value of a leader's key, if it still is the leader's.
    async fn proclaim(&self, leader: &LeaderKey, value: Bytes, identity: &Identity) -> Result<Option<ResponseHeader>, Status> {
        let put = PutRequest { key: leader.key.clone(), value, lease: leader.lease, ..PutRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(leader.key.clone(), leader.rev)],
            success: vec![operation(Operation::RequestPut(put))],
            failure: Vec::new(),
        };
        let response = self.txn(request, Caller::Known(identity)).await.map_err(|status| unknown(&status))?;
        if response.succeeded { Ok(response.header) } else { Err(Status::unknown("election: not leader")) }
    }

    async fn campaign(&self, request: CampaignRequest, identity: &Identity) -> Result<CampaignResponse, Status> {
        let lease = self.session_lease(request.lease, identity).await?;
        let candidate = self.enter(&request.name, lease, request.value.clone(), identity).await?;
        let Candidate { key, create_revision, found, .. } = candidate.clone();
        let leader = LeaderKey { name: request.name, key, rev: create_revision, lease: candidate.lease };
        if found.is_some_and(|found| found.value != request.value) {
            self.proclaim(&leader, request.value, identity).await?;
        }
        self.wait_for_turn(&candidate, identity).await?;
        // The header is that of the first request, whatever came of the campaign after it.
        Ok(CampaignResponse { header: candidate.header, leader: Some(leader) })
    }

    /// Sends the leader's key whenever it, or its value, is another.
    async fn observe(
        &self,
        name: &[u8],
        identity: &Identity,
        responses: &mpsc::Sender<Result<LeaderResponse, Status>>,
    ) -> Result<(), Status> {
        let prefix = prefix_of(name);
        let mut revision = self.revision.clone();
        let mut told = 0;
        loop {
            revision.mark_unchanged();
            let (header, leader) = self.oldest(&prefix, identity).await?;
            if let Some(kv) = leader.filter(|kv| kv.mod_revision != told) {
                told = kv.mod_revision;
                if responses.send(Ok(LeaderResponse { header, kv: Some(kv) })).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                changed = revision.changed() => changed.map_err(|_| Status::unavailable("etcdserver: server stopped"))?,
                () = responses.closed() => return Ok(()),
            }
        }
    }
}

#[tonic::async_trait]
impl Election for Server {
    type ObserveStream = Pin<Box<dyn futures::Stream<Item = Result<LeaderResponse, Status>> + Send>>;

    async fn campaign(&self, request: Request<CampaignRequest>) -> Result<Response<CampaignResponse>, Status> {
        let identity = self.identity(request.metadata()).map_err(|status| unknown(&status))?;
        Ok(Response::new(Self::campaign(self, request.into_inner(), &identity).await?))
    }

    async fn proclaim(&self, request: Request<ProclaimRequest>) -> Result<Response<ProclaimResponse>, Status> {
        let identity = self.identity(request.metadata());
        let request = request.into_inner();
        let leader = request.leader.ok_or_else(no_leader_given)?;
        let identity = identity.map_err(|status| unknown(&status))?;
        let header = Self::proclaim(self, &leader, request.value, &identity).await?;
        Ok(Response::new(ProclaimResponse { header }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let identity = self.identity(request.metadata()).map_err(|status| unknown(&status))?;
        let (header, leader) = self.oldest(&prefix_of(&request.into_inner().name), &identity).await?;
        let kv = leader.ok_or_else(|| Status::unknown("election: no leader"))?;
        Ok(Response::new(LeaderResponse { header, kv: Some(kv) }))
    }

    async fn observe(&self, request: Request<LeaderRequest>) -> Result<Response<Self::ObserveStream>, Status> {
        let identity = self.identity(request.metadata()).map_err(|status| unknown(&status))?;
        let (responses, stream) = mpsc::channel(16);
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(status) = Self::observe(&server, &request.into_inner().name, &identity, &responses).await {
                drop(responses.send(Err(status)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let identity = self.identity(request.metadata());
        let leader = request.into_inner().leader.ok_or_else(no_leader_given)?;
        let identity = identity.map_err(|status| unknown(&status))?;
        let delete = DeleteRangeRequest { key: leader.key.clone(), ..DeleteRangeRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(leader.key.clone(), leader.rev)],
            success: vec![operation(Operation::RequestDeleteRange(delete))],
            failure: Vec::new(),
        };
        let response = self.txn(request, Caller::Known(&identity)).await.map_err(|status| unknown(&status))?;
        Ok(Response::new(ResignResponse { header: response.header }))
    }
}
