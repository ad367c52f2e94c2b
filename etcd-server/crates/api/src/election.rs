//! The Election service.

use crate::Server;
use crate::concurrency::{Candidate, created_at, operation, prefix_end, prefix_of, unknown};
use crate::identity::Caller;
use crate::internal_watch::Observed;
use auth::Identity;
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, ResponseHeader, TxnRequest, WatchCreateRequest, WatchResponse,
};
use proto::mvccpb::event::EventType;
use proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse,
    ResignRequest, ResignResponse,
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
    async fn proclaim(
        &self,
        leader: &LeaderKey,
        value: Bytes,
        identity: &Identity,
    ) -> Result<Option<ResponseHeader>, Status> {
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
        let candidacy = self.enter(&request.name, lease, request.value.clone(), identity).await?;
        let Candidate { key, create_revision, found, header, .. } = candidacy.candidate().clone();
        let leader = LeaderKey { name: request.name, key, rev: create_revision, lease };
        if found.is_some_and(|found| found.value != request.value) {
            self.proclaim(&leader, request.value, identity).await?;
        }
        let waited = self.wait_for_turn(candidacy.candidate(), identity).await;
        // A failure leaves the key, as in etcd; a caller that goes away takes it along.
        candidacy.keep();
        waited?;
        // The header is that of the first request, regardless of the rest of the campaign.
        Ok(CampaignResponse { header, leader: Some(leader) })
    }

    /// Sends the leader's key, each value that it is given, and the next leader's key once it is
    /// gone (etcd: client/v3/concurrency/election.go, observe).
    async fn observe(
        &self,
        name: &[u8],
        identity: &Identity,
        responses: &mpsc::Sender<Result<LeaderResponse, Status>>,
    ) -> Result<(), Status> {
        let prefix = prefix_of(name);
        loop {
            let (header, leader) = self.oldest(&prefix, identity).await?;
            let read_at = header.as_ref().map_or(0, |header| header.revision);
            let Some(leader) = leader else {
                self.wait_for_leader(&prefix, read_at + 1).await?;
                continue;
            };
            let key = leader.key.clone();
            if responses.send(Ok(LeaderResponse { header, kv: Some(leader) })).await.is_err() {
                return Ok(());
            }
            if !self.follow_leader(key, read_at + 1, responses).await? {
                return Ok(());
            }
        }
    }

    /// Returns once a key under `prefix` has been put.
    async fn wait_for_leader(&self, prefix: &Bytes, start_revision: i64) -> Result<(), Status> {
        let filters = vec![FilterType::Nodelete.into()];
        let (key, range_end) = (prefix.clone(), prefix_end(prefix));
        let mut watch = self
            .internal_watch(WatchCreateRequest {
                key,
                range_end,
                start_revision,
                filters,
                ..WatchCreateRequest::default()
            })
            .await?;
        watch.next().await.map(drop)
    }

    /// Sends each value that the leader's key is given. Returns whether the client still wants more
    /// once the key is gone.
    async fn follow_leader(
        &self,
        key: Bytes,
        start_revision: i64,
        responses: &mpsc::Sender<Result<LeaderResponse, Status>>,
    ) -> Result<bool, Status> {
        let mut watch =
            self.internal_watch(WatchCreateRequest { key, start_revision, ..WatchCreateRequest::default() }).await?;
        while let Observed::Events(WatchResponse { header, events, .. }) = watch.next().await? {
            for event in events {
                if event.r#type() == EventType::Delete {
                    return Ok(true);
                }
                if responses.send(Ok(LeaderResponse { header, kv: event.kv })).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
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
            let name = request.into_inner().name;
            tokio::select! {
                observed = Self::observe(&server, &name, &identity, &responses) => {
                    if let Err(status) = observed {
                        drop(responses.send(Err(status)).await);
                    }
                }
                () = responses.closed() => {}
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
