//! Renewals of leases, in batches: all requests that wait on a stream are renewed together, behind
//! one barrier, and forwarded together.
//!
//! A client that keeps thousands of leases on one stream is answered in a few rounds instead of one
//! round for each lease.

use crate::Server;
use auth::{Access, Identity};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use otlp::{CallSpan, ChildSpan};
use peer::lease_batch::LEASES_MAX;
use pipeline::{KeepAliveRound, Renewed};
use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse, ResponseHeader};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use telemetry::metrics::StreamApi;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use types::LeaseId;

/// Time between two attempts to renew a lease that has run out and whose revoke is not applied yet.
const EXPIRED_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A request that has not been answered.
#[derive(Debug)]
struct Waiting {
    id: LeaseId,
    /// The revision before the renewal, as etcd's response has it.
    header: ResponseHeader,
    /// The span of the renewal, from its arrival to its response; `None` unless the call is traced.
    _span: Option<ChildSpan>,
}

/// Responses that wait until they are sent, at most.
const RESPONSES_MAX: usize = 16;

/// The responses of a stream of keep-alives. It renews while it is polled, so that a client that
/// takes no responses gets no renewals, and a stream needs no task.
pub(crate) struct KeepAliveStream {
    /// `None` once the client has no more requests, or the stream has failed.
    renewing: Option<BoxFuture<'static, Result<(), Status>>>,
    responses: mpsc::Receiver<Result<LeaseKeepAliveResponse, Status>>,
    failure: Option<Status>,
}

impl KeepAliveStream {
    pub(crate) fn new(server: Server, requests: Streaming<LeaseKeepAliveRequest>, identity: Identity) -> Self {
        let (responses_tx, responses) = mpsc::channel(RESPONSES_MAX);
        let span = otlp::current();
        let renewing = async move { server.keep_alives(requests, &identity, &responses_tx, span.as_ref()).await };
        Self { renewing: Some(Box::pin(renewing)), responses, failure: None }
    }
}

impl futures::Stream for KeepAliveStream {
    type Item = Result<LeaseKeepAliveResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Ok(response) = self.responses.try_recv() {
            return Poll::Ready(Some(response));
        }
        if let Some(renewing) = &mut self.renewing
            && let Poll::Ready(ended) = renewing.as_mut().poll(cx)
        {
            self.renewing = None;
            self.failure = ended.err();
        }
        match ready!(self.responses.poll_recv(cx)) {
            Some(response) => Poll::Ready(Some(response)),
            None => Poll::Ready(self.failure.take().map(Err)),
        }
    }
}

impl Server {
    /// Renews a lease and returns its time to live; zero if it does not exist. Permission was
    /// checked by the member that the client is connected to.
    pub async fn renew(&self, id: LeaseId) -> Result<i64, Status> {
        loop {
            if let [Some(ttl)] = self.renew_round(&[id]).await?[..] {
                return Ok(ttl);
            }
            tokio::time::sleep(EXPIRED_LOOK_INTERVAL).await;
        }
    }

    /// Renews leases here, or at the leader, and returns their times to live in the same order;
    /// zero for a lease that does not exist, `None` for one to be renewed again: its revoke is
    /// under way, or leadership moves.
    pub async fn renew_round(&self, ids: &[LeaseId]) -> Result<Vec<Option<i64>>, Status> {
        let Some(term) = self.leading_term() else {
            return match self.renew_at_leader(ids).await {
                Ok(ttls) => Ok(ttls),
                // This member may lead by now.
                Err(_) if self.leads() => Ok(vec![None; ids.len()]),
                Err(status) => Err(status),
            };
        };
        let now = self.replica.clock().now();
        let mut round = KeepAliveRound::begin(term, &mut self.published().expiry().lock(), ids, now);
        if round.needs_barrier() {
            self.barrier().await?;
        }
        let checkpointed = round.behind_barrier(&self.published().expiry().lock());
        if !checkpointed.is_empty() {
            let request = pipeline::reset_checkpoints(&checkpointed);
            self.propose(request, &self.replica.own_identity()).await?;
        }
        self.observer.metrics().lease.renewed.inc_by(round.renewed() as u64);
        let ttl = |renewed| match renewed {
            Renewed::Lives { ttl_seconds } => Some(ttl_seconds),
            Renewed::NotFound => Some(0),
            Renewed::Again => None,
        };
        Ok(round.finish(self.leading_term()).into_iter().map(ttl).collect())
    }

    /// Serves a stream of keep-alives until the client has no more.
    pub(crate) async fn keep_alives(
        &self,
        mut requests: Streaming<LeaseKeepAliveRequest>,
        identity: &Identity,
        responses: &mpsc::Sender<Result<LeaseKeepAliveResponse, Status>>,
        call: Option<&CallSpan>,
    ) -> Result<(), Status> {
        let mut waiting: Vec<Waiting> = Vec::new();
        // `Err` once no more requests come: the result of the stream.
        let mut open: Result<(), Result<(), Status>> = Ok(());
        loop {
            let mut arrived = self.next_requests(&mut requests, &mut open, waiting.is_empty(), call).await;
            if let Err(status) = self.permit_renewals(&mut arrived, identity).await {
                open = Err(Err(status));
            }
            waiting.append(&mut arrived);
            if waiting.is_empty()
                && let Err(ended) = open
            {
                return ended;
            }
            // Those at the front have waited longest; the rest is for the next round.
            let round = waiting.len().min(LEASES_MAX);
            let ids: Vec<LeaseId> = waiting[..round].iter().map(|waiting| waiting.id).collect();
            let mut ttls = self.renew_round(&ids).await?.into_iter();
            let mut again = Vec::new();
            for request in waiting.drain(..) {
                let Some(Some(ttl)) = ttls.next() else {
                    again.push(request);
                    continue;
                };
                let response = LeaseKeepAliveResponse { header: Some(request.header), id: request.id.0, ttl };
                // A response that waits for others would promise more time than is left.
                if responses.send(Ok(response)).await.is_err() {
                    return Ok(());
                }
            }
            waiting = again;
        }
    }

    /// The requests that have arrived. Waits for the first one, but not for long while others are
    /// to be renewed again.
    async fn next_requests(
        &self,
        requests: &mut Streaming<LeaseKeepAliveRequest>,
        open: &mut Result<(), Result<(), Status>>,
        nothing_waits: bool,
        call: Option<&CallSpan>,
    ) -> Vec<Waiting> {
        let mut arrived = Vec::new();
        let mut next = if open.is_err() {
            if !nothing_waits {
                tokio::time::sleep(EXPIRED_LOOK_INTERVAL).await;
            }
            None
        } else if nothing_waits {
            Some(requests.message().await)
        } else {
            tokio::time::timeout(EXPIRED_LOOK_INTERVAL, requests.message()).await.ok()
        };
        while let Some(message) = next {
            match message {
                Ok(Some(request)) => arrived.push(Waiting {
                    id: LeaseId(request.id),
                    header: self.header_now(),
                    _span: call.map(|call| call.child("lease_renew", [("id", request.id.into())])),
                }),
                Ok(None) => *open = Err(Ok(())),
                Err(status) => {
                    self.observer.receive_failed(StreamApi::LeaseKeepAlive, &status);
                    *open = Err(Err(status));
                }
            }
            let more = open.is_ok() && arrived.len() < LEASES_MAX;
            next = if more { requests.message().now_or_never() } else { None };
        }
        arrived
    }

    /// Drops the first renewal that is not permitted, and all behind it.
    async fn permit_renewals(&self, arrived: &mut Vec<Waiting>, identity: &Identity) -> Result<(), Status> {
        if arrived.is_empty() {
            return Ok(());
        }
        if let Err(status) = self.catch_up_for(identity).await {
            arrived.clear();
            return Err(status);
        }
        for at in 0..arrived.len() {
            if let Err(status) = self.check_lease_keys(arrived[at].id, Access::Write, identity).await {
                arrived.truncate(at);
                return Err(status);
            }
        }
        Ok(())
    }
}
