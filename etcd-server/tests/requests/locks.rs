//! Locks and elections: a waiter wakes for its predecessor alone, and a caller that leaves takes
//! its key along.

use crate::client::{GRPC, call, metric, start, until};
use http::Method;
use prost::Message as _;
use proto::etcdserverpb::{LeaseGrantRequest, PutRequest, RangeRequest};
use proto::v3electionpb::{CampaignRequest, LeaderRequest, ProclaimRequest};
use proto::v3lockpb::{LockRequest, UnlockRequest};
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient};
use rpc::v3electionpb::election_client::ElectionClient;
use rpc::v3lockpb::lock_client::LockClient;
use siege::raw::message;
use testbed::Server;
use tonic::transport::{Channel, Endpoint};

async fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap()
}

async fn lease(channel: &Channel) -> i64 {
    LeaseClient::new(channel.clone()).lease_grant(LeaseGrantRequest { ttl: 600, id: 0 }).await.unwrap().into_inner().id
}

async fn keys(channel: &Channel, prefix: &str) -> i64 {
    let range_end = [&prefix.as_bytes()[..prefix.len() - 1], b"0"].concat();
    let range = RangeRequest {
        key: prefix.to_owned().into(),
        range_end: range_end.into(),
        count_only: true,
        ..RangeRequest::default()
    };
    KvClient::new(channel.clone()).range(range).await.unwrap().into_inner().count
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_do_not_read_when_other_keys_are_written() {
    const WAITERS: i64 = 40;
    const PUTS: u32 = 50;
    let server = start(&[]).await;
    let channel = channel(&server).await;
    let (mut lock, mut kv) = (LockClient::new(channel.clone()), KvClient::new(channel.clone()));
    let held = lock.lock(LockRequest { name: "l".into(), lease: lease(&channel).await }).await.unwrap().into_inner();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..WAITERS {
        let (mut lock, mut election, lease) =
            (lock.clone(), ElectionClient::new(channel.clone()), lease(&channel).await);
        waiting.spawn(async move {
            if number % 2 == 0 {
                lock.lock(LockRequest { name: "l".into(), lease }).await.unwrap().into_inner().key
            } else {
                let campaign = CampaignRequest { name: "l".into(), lease, value: "v".into() };
                election.campaign(campaign).await.unwrap().into_inner().leader.unwrap().key
            }
        });
    }
    until("all waiters' keys", async || keys(&channel, "l/").await == WAITERS + 1).await;
    let port = server.place().client_port;
    let ranges = async || metric(port, "etcd_mvcc_range_total ").await;
    // The last of them may still be reading the key that it waits for.
    let mut before = ranges().await;
    until("all waiters to be at rest", async || {
        let last = std::mem::replace(&mut before, ranges().await);
        (last - before).abs() < f64::EPSILON
    })
    .await;
    for number in 0..PUTS {
        kv.put(PutRequest { key: format!("other/{number}").into(), ..PutRequest::default() }).await.unwrap();
    }
    assert!(ranges().await - before < f64::from(PUTS), "puts of other keys made waiters read");
    // And each gets its turn.
    let mut next = held.key;
    for _ in 0..WAITERS {
        lock.unlock(UnlockRequest { key: next }).await.unwrap();
        next = waiting.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_that_leave_take_their_keys_along() {
    let server = start(&[]).await;
    let channel = channel(&server).await;
    let port = server.place().client_port;
    let mut lock = LockClient::new(channel.clone());
    let held = lock.lock(LockRequest { name: "l".into(), lease: lease(&channel).await }).await.unwrap().into_inner();
    // By their deadlines.
    let lock_request = LockRequest { name: "l".into(), lease: lease(&channel).await }.encode_to_vec();
    let campaign =
        CampaignRequest { name: "l".into(), lease: lease(&channel).await, value: "v".into() }.encode_to_vec();
    for (path, request) in [("/v3lockpb.Lock/Lock", lock_request), ("/v3electionpb.Election/Campaign", campaign)] {
        let response = call(port, Method::POST, path, &[GRPC, ("grpc-timeout", "300m")], &message(&request)).await;
        assert_eq!(
            (response.grpc_status.as_deref(), response.message.as_str()),
            (Some("4"), "context deadline exceeded"),
            "{path}"
        );
        until("the late waiter's key to be removed", async || keys(&channel, "l/").await == 1).await;
    }
    // By going away, at any moment: before, while and after their keys are put.
    for _ in 0..20 {
        for microseconds in [0, 200, 1_000, 5_000] {
            let (mut lock, request) = (lock.clone(), LockRequest { name: "l".into(), lease: lease(&channel).await });
            let waiting = tokio::spawn(async move { lock.lock(request).await });
            tokio::time::sleep(std::time::Duration::from_micros(microseconds)).await;
            waiting.abort();
        }
    }
    until("the keys of all that left to be removed", async || keys(&channel, "l/").await == 1).await;
    // The next one to come gets the lock, not one of them.
    let (mut next, request) = (lock.clone(), LockRequest { name: "l".into(), lease: lease(&channel).await });
    let next = tokio::spawn(async move { next.lock(request).await });
    until("the next waiter's key", async || keys(&channel, "l/").await == 2).await;
    lock.unlock(UnlockRequest { key: held.key }).await.unwrap();
    next.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_see_each_value_and_the_next_leader() {
    let server = start(&[]).await;
    let channel = channel(&server).await;
    let mut election = ElectionClient::new(channel.clone());
    let mut observed = election.observe(LeaderRequest { name: "e".into() }).await.unwrap().into_inner();
    let first = lease(&channel).await;
    let campaign = CampaignRequest { name: "e".into(), lease: first, value: "0".into() };
    let leader = election.campaign(campaign).await.unwrap().into_inner().leader.unwrap();
    assert_eq!(observed.message().await.unwrap().unwrap().kv.unwrap().value, "0");
    for value in 1..50 {
        let proclaim = ProclaimRequest { leader: Some(leader.clone()), value: value.to_string().into() };
        election.proclaim(proclaim).await.unwrap();
    }
    for value in 1..50 {
        assert_eq!(observed.message().await.unwrap().unwrap().kv.unwrap().value, value.to_string());
    }
    let second = CampaignRequest { name: "e".into(), lease: lease(&channel).await, value: "next".into() };
    let mut candidate = election.clone();
    let waiting = tokio::spawn(async move { candidate.campaign(second).await });
    until("the second candidate's key", async || keys(&channel, "e/").await == 2).await;
    election.resign(proto::v3electionpb::ResignRequest { leader: Some(leader) }).await.unwrap();
    let next = observed.message().await.unwrap().unwrap();
    assert_eq!(next.kv.unwrap().value, "next");
    assert!(next.header.unwrap().revision > 0);
    waiting.await.unwrap().unwrap();
}
