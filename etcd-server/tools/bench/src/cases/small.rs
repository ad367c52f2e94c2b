//! One round of a case about small requests.

use std::{sync::Arc, time::Duration};

use proto::{
    etcdserverpb::{
        Compare, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, PutRequest, RangeRequest, RequestOp,
        TxnRequest, WatchCreateRequest, WatchRequest, WatchResponse,
        compare::{CompareResult, CompareTarget, TargetUnion},
        request_op::Request,
        watch_request::RequestUnion,
    },
    healthpb::HealthCheckRequest,
};
use rpc::{
    etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient},
    healthpb::health_client::HealthClient,
};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{Case, Plan};
use crate::{
    load::{Sample, closed_loop, sample},
    target::{ANSWER_BYTES_MAX, BenchError, Target},
};

/// Size of every value.
pub(super) const VALUE_BYTES: usize = 256;
/// Puts in one transaction while filling: below etcd's limit of 128.
const FILL_BATCH: u64 = 100;
const WATCHERS: usize = 500;

pub(super) fn key(number: u64) -> String {
    format!("key/{number:012}")
}

pub(super) fn put_request(key: String) -> PutRequest {
    PutRequest { key: key.into(), value: vec![b'v'; VALUE_BYTES].into(), ..PutRequest::default() }
}

/// Puts keys 0 to `keys`.
pub(super) async fn fill(target: &Target, keys: u64) -> Result<(), BenchError> {
    let connections = target.connections(8).await?;
    let mut tasks = JoinSet::new();
    let workers = 32;
    for worker in 0..workers {
        let mut kv = KvClient::new(connection(&connections, worker));
        tasks.spawn(async move {
            let mut from = worker as u64 * FILL_BATCH;
            while from < keys {
                let put = |number| RequestOp { request: Some(Request::RequestPut(put_request(key(number)))) };
                let success = (from..keys.min(from + FILL_BATCH)).map(put).collect();
                kv.txn(TxnRequest { success, ..TxnRequest::default() }).await?;
                from += workers as u64 * FILL_BATCH;
            }
            Ok::<_, Status>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done?.map_err(target.failed())?;
    }
    Ok(())
}

fn connection(connections: &[Channel], client: usize) -> Channel {
    connections[client % connections.len()].clone()
}

pub(super) async fn round(case: Case, target: &Target, plan: &Plan) -> Result<Sample, BenchError> {
    let (keys, duration) = (plan.keys, plan.round);
    match case {
        Case::PutOne => puts(target, 1, 1, keys, duration).await,
        Case::PutMany => puts(target, 256, 16, keys, duration).await,
        Case::PutVeryMany => puts(target, 1000, 64, keys, duration).await,
        Case::GetLinearizable => gets(target, false, keys, duration).await,
        Case::GetSerializable => gets(target, true, keys, duration).await,
        Case::RangeThousand => ranges(target, keys, duration).await,
        Case::CompareAndSwap => swaps(target, duration).await,
        Case::KeepAlive => keep_alives(target, duration).await,
        Case::Watch => watches(target, duration).await,
        Case::Empty | Case::Large | Case::History | Case::Away => empty_calls(target, duration).await,
    }
}

async fn empty_calls(target: &Target, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let client = |number| {
        let health = HealthClient::new(connection(&connections, number));
        move || {
            let mut health = health.clone();
            async move { health.check(HealthCheckRequest::default()).await.map(drop) }
        }
    };
    sample(target, closed_loop(target, 256, duration, client)).await
}

async fn puts(
    target: &Target,
    clients: usize,
    connections: usize,
    keys: u64,
    duration: Duration,
) -> Result<Sample, BenchError> {
    let connections = target.connections(connections).await?;
    let client = |number: usize| {
        let kv = KvClient::new(connection(&connections, number));
        let mut rng = fastrand::Rng::with_seed(number as u64);
        move || {
            let mut kv = kv.clone();
            let request = put_request(key(rng.u64(..keys)));
            async move { kv.put(request).await.map(drop) }
        }
    };
    sample(target, closed_loop(target, clients, duration, client)).await
}

async fn gets(target: &Target, serializable: bool, keys: u64, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let client = |number: usize| {
        let kv = KvClient::new(connection(&connections, number));
        let mut rng = fastrand::Rng::with_seed(number as u64);
        move || {
            let mut kv = kv.clone();
            let request = RangeRequest { key: key(rng.u64(..keys)).into(), serializable, ..RangeRequest::default() };
            async move { kv.range(request).await.map(drop) }
        }
    };
    sample(target, closed_loop(target, 256, duration, client)).await
}

async fn ranges(target: &Target, keys: u64, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(4).await?;
    let client = |number: usize| {
        let kv = KvClient::new(connection(&connections, number)).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut rng = fastrand::Rng::with_seed(number as u64);
        move || {
            let mut kv = kv.clone();
            let first = rng.u64(..keys - 1000);
            let request =
                RangeRequest { key: key(first).into(), range_end: key(first + 1000).into(), ..RangeRequest::default() };
            async move {
                let read = kv.range(request).await?.into_inner().kvs.len();
                if read == 1000 { Ok(()) } else { Err(Status::data_loss(format!("{read} keys instead of 1000"))) }
            }
        }
    };
    sample(target, closed_loop(target, 16, duration, client)).await
}

/// Each client has a key of its own, so every swap succeeds.
async fn swaps(target: &Target, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let client = |number: usize| {
        let kv = KvClient::new(connection(&connections, number));
        move || {
            let mut kv = kv.clone();
            async move {
                let own = format!("swap/{number}");
                let read =
                    kv.range(RangeRequest { key: own.clone().into(), ..RangeRequest::default() }).await?.into_inner();
                let revision = read.kvs.first().map_or(0, |kv| kv.mod_revision);
                let swapped = kv.txn(swap(own, revision)).await?.into_inner().succeeded;
                if swapped { Ok(()) } else { Err(Status::aborted("somebody else swapped")) }
            }
        }
    };
    sample(target, closed_loop(target, 64, duration, client)).await
}

fn swap(key: String, mod_revision: i64) -> TxnRequest {
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone().into(),
        target_union: Some(TargetUnion::ModRevision(mod_revision)),
        ..Compare::default()
    };
    let put = RequestOp { request: Some(Request::RequestPut(put_request(key))) };
    TxnRequest { compare: vec![compare], success: vec![put], failure: Vec::new() }
}

async fn keep_alives(target: &Target, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let opening = (0..256).map(|number| KeptLease::open(connection(&connections, number)));
    let leases: Vec<_> = futures::future::try_join_all(opening).await.map_err(target.failed())?;
    let leases: Vec<_> = leases.into_iter().map(|lease| Arc::new(Mutex::new(lease))).collect();
    let client = |number: usize| {
        let lease = Arc::clone(&leases[number]);
        move || {
            let lease = Arc::clone(&lease);
            async move { lease.lock().await.keep_alive().await }
        }
    };
    sample(target, closed_loop(target, leases.len(), duration, client)).await
}

/// A lease with the stream that keeps it alive.
#[derive(Debug)]
struct KeptLease {
    id: i64,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    responses: Streaming<LeaseKeepAliveResponse>,
}

impl KeptLease {
    /// The first request is in the channel before the stream is opened: a server may say nothing
    /// before it has one.
    async fn open(connection: Channel) -> Result<Self, Status> {
        let mut client = LeaseClient::new(connection);
        let id = client.lease_grant(LeaseGrantRequest { ttl: 600, id: 0 }).await?.into_inner().id;
        let (requests, receiver) = mpsc::channel(1);
        requests.try_send(LeaseKeepAliveRequest { id }).map_err(|error| Status::internal(error.to_string()))?;
        let mut responses = client.lease_keep_alive(ReceiverStream::new(receiver)).await?.into_inner();
        responses.message().await?;
        Ok(Self { id, requests, responses })
    }

    async fn keep_alive(&mut self) -> Result<(), Status> {
        let ended = || Status::cancelled("the keep-alive stream ended");
        self.requests.send(LeaseKeepAliveRequest { id: self.id }).await.map_err(|_| ended())?;
        let left = self.responses.message().await?.ok_or_else(ended)?.ttl;
        if left > 0 { Ok(()) } else { Err(Status::not_found("the lease is gone")) }
    }
}

/// Four writers put under the prefix; the round ends when all watchers have all events.
async fn watches(target: &Target, duration: Duration) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let mut streams = Vec::new();
    for number in 0..WATCHERS {
        let (requests, receiver) = mpsc::channel(1);
        let create = WatchCreateRequest {
            key: "watched/".into(),
            range_end: "watched0".into(),
            ..WatchCreateRequest::default()
        };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.try_send(create).map_err(|error| target.failed()(Status::internal(error.to_string())))?;
        let opened = WatchClient::new(connection(&connections, number)).watch(ReceiverStream::new(receiver)).await;
        let mut responses = opened.map_err(target.failed())?.into_inner();
        responses.message().await.map_err(target.failed())?;
        streams.push((requests, responses));
    }
    let writer = target.connection().await?;
    let client = |number: usize| {
        let kv = KvClient::new(writer.clone());
        move || {
            let mut kv = kv.clone();
            let request = put_request(format!("watched/{number}"));
            async move { kv.put(request).await.map(drop) }
        }
    };
    let measured = async {
        let (sender, written) = watch::channel(None);
        let mut readers = JoinSet::new();
        for (requests, responses) in streams {
            readers.spawn(read_events(requests, responses, written.clone()));
        }
        let (puts, latencies) = closed_loop(target, 4, duration, client).await?;
        sender.send_replace(Some(puts));
        let mut delivered = 0;
        while let Some(read) = readers.join_next().await {
            delivered += read?.map_err(target.failed())?;
        }
        Ok((delivered, latencies))
    };
    sample(target, measured).await
}

/// Reads until it has as many events as were `written` in the end.
async fn read_events(
    requests: mpsc::Sender<WatchRequest>,
    mut responses: Streaming<WatchResponse>,
    mut written: watch::Receiver<Option<u64>>,
) -> Result<u64, Status> {
    let mut read = 0;
    let mut goal = *written.borrow_and_update();
    while goal.is_none_or(|goal| read < goal) {
        tokio::select! {
            response = responses.message() => {
                let response = response?.ok_or_else(|| Status::cancelled("the watch stream ended"))?;
                read += response.events.len() as u64;
            }
            changed = written.changed(), if goal.is_none() => {
                changed.map_err(|_| Status::cancelled("the writers failed"))?;
                goal = *written.borrow_and_update();
            }
        }
    }
    drop(requests);
    Ok(read)
}
