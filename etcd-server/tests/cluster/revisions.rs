//! The revision in the header of a response is that of the request's own change, regardless of
//! concurrent writes.

use crate::support::{PATIENCE, settings};
use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::join_all;
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RequestOp, ResponseHeader,
    TxnRequest, WatchCreateRequest, WatchRequest, compare, request_op, watch_request,
};
use proto::mvccpb::event::EventType;
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use testbed::Cluster;
use tokio::sync::oneshot;
use tonic::transport::Channel;

const WRITERS: usize = 8;
const LEASES: i64 = 300;

/// Changes by key, value (empty for a deletion) and kind, with the revision in the header of the
/// response.
type Responses = Vec<((String, String), i64)>;

fn revision(header: Option<ResponseHeader>) -> i64 {
    header.unwrap().revision
}

/// Puts, changes in a transaction and deletes keys of its own until `stop`; every change has a key
/// and value of its own.
async fn write(mut kv: KvClient<Channel>, writer: usize, stop: Arc<AtomicBool>) -> Responses {
    let mut responses = Responses::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("writer{writer}/{number}");
        let put = PutRequest { key: key.clone().into(), value: "put".into(), ..PutRequest::default() };
        responses.push(((key.clone(), "put".into()), revision(kv.put(put).await.unwrap().into_inner().header)));
        let put = PutRequest { key: key.clone().into(), value: "txn".into(), ..PutRequest::default() };
        let compare = Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Version.into(),
            key: key.clone().into(),
            target_union: Some(compare::TargetUnion::Version(1)),
            ..Compare::default()
        };
        let success = vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }];
        let txn = kv.txn(TxnRequest { compare: vec![compare], success, failure: vec![] }).await.unwrap().into_inner();
        assert!(txn.succeeded);
        responses.push(((key.clone(), "txn".into()), revision(txn.header)));
        let delete = DeleteRangeRequest { key: key.clone().into(), ..DeleteRangeRequest::default() };
        responses.push(((key, String::new()), revision(kv.delete_range(delete).await.unwrap().into_inner().header)));
    }
    responses
}

/// Grants leases, attaches a key to each, and revokes them. A grant changes no key: its revision
/// must not be before an earlier one's.
async fn lease(channel: Channel, first: i64) -> Responses {
    let (mut kv, mut leases) = (KvClient::new(channel.clone()), LeaseClient::new(channel));
    let (mut responses, newest) = (Responses::new(), AtomicI64::new(0));
    let not_before = |revision: i64, call: &str| {
        let before = newest.fetch_max(revision, Ordering::Relaxed);
        assert!(revision >= before, "{call}: revision {revision} after {before}");
        revision
    };
    for id in first..first + LEASES {
        let granted = leases.lease_grant(LeaseGrantRequest { id, ttl: 600 }).await.unwrap().into_inner();
        not_before(revision(granted.header), "grant");
        let key = format!("leased/{id}");
        let put = PutRequest { key: key.clone().into(), value: "leased".into(), lease: id, ..PutRequest::default() };
        let put = not_before(revision(kv.put(put).await.unwrap().into_inner().header), "put");
        responses.push(((key.clone(), "leased".into()), put));
        let revoked = leases.lease_revoke(LeaseRevokeRequest { id }).await.unwrap().into_inner();
        responses.push(((key, String::new()), not_before(revision(revoked.header), "revoke")));
    }
    responses
}

/// Reads the revisions of all changes by key and value, until there are as many as `changes` says
/// in the end.
async fn watch(channel: Channel, changes: oneshot::Receiver<usize>) -> HashMap<(String, String), i64> {
    let create = WatchCreateRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        start_revision: 2,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::iter([request]).chain(tokio_stream::pending());
    let mut responses = WatchClient::new(channel).watch(requests).await.unwrap().into_inner();
    let (mut seen, mut changes, mut expected) = (HashMap::new(), changes.into_stream(), usize::MAX);
    while seen.len() < expected {
        let response = tokio::select! {
            Some(known) = changes.next() => {
                expected = known.unwrap();
                continue;
            }
            response = responses.message() => response.unwrap().unwrap(),
        };
        for event in response.events {
            let deleted = event.r#type() == EventType::Delete;
            let kv = event.kv.unwrap();
            let value = if deleted { String::new() } else { String::from_utf8(kv.value.to_vec()).unwrap() };
            seen.insert((String::from_utf8(kv.key.to_vec()).unwrap(), value), kv.mod_revision);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_carry_their_own_revision_beside_writers() {
    for size in [1, 3] {
        let mut cluster = Cluster::start(settings(&[]), size).await.unwrap();
        let leader = cluster.leader(PATIENCE).await.unwrap();
        let (changes, expected) = oneshot::channel();
        let watcher = tokio::spawn(watch(cluster.channel(0).await.unwrap(), expected));
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let kv = cluster.kv(writer % size).await.unwrap();
            writers.push(tokio::spawn(write(kv, writer, Arc::clone(&stop))));
        }
        // One client at the leader and one at another member, where there is one.
        let at_leader = lease(cluster.channel(leader).await.unwrap(), 1);
        let elsewhere = lease(cluster.channel((leader + 1) % size).await.unwrap(), 1_000);
        let (mut responses, others) = tokio::join!(at_leader, elsewhere);
        stop.store(true, Ordering::Relaxed);
        responses.extend(others);
        responses.extend(join_all(writers).await.into_iter().flat_map(Result::unwrap));
        changes.send(responses.len()).unwrap();
        let seen = watcher.await.unwrap();
        let wrong: Vec<_> = responses.iter().filter(|(change, revision)| seen[change] != *revision).collect();
        assert!(
            wrong.is_empty(),
            "{} of {} responses carry another revision: {:?}",
            wrong.len(),
            responses.len(),
            wrong[0]
        );
        println!("{size} members: {} responses carry the revision of their own change", responses.len());
    }
}
