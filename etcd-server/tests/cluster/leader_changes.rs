//! Clients do not notice that the leader changes: their requests wait, or are proposed again, and
//! each is executed once.

use crate::monitoring::page;
use crate::support::{OURS, PATIENCE, put};
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, MoveLeaderRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    request_op,
};
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testbed::{Cluster, Settings};
use tonic::transport::Channel;

/// An election timeout that no test waits for: whoever leads earlier does so for another reason.
const NEVER: &str = "40000";
/// Counting clients.
const CLIENTS: usize = 12;

fn settings(election_timeout: &str) -> Settings {
    let mut settings = Settings::new(OURS);
    settings.flags =
        ["--heartbeat-interval", "100", "--election-timeout", election_timeout].map(str::to_owned).to_vec();
    settings
}

/// Returns the value of a series of a member; 0 for one that is not there.
async fn figure(cluster: &Cluster, member: usize, series: &str) -> f64 {
    let page = page(cluster.members[member].endpoint().trim_start_matches("http://")).await;
    let line = page.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Waits until a series of a member has this value or more.
async fn reaches(cluster: &Cluster, member: usize, series: &str, value: f64) {
    let begun = Instant::now();
    while figure(cluster, member, series).await < value {
        assert!(begun.elapsed() < PATIENCE, "{series} of member {member} does not reach {value}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn version(kv: &mut KvClient<Channel>, key: &str) -> i64 {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    kv.range(range).await.unwrap().into_inner().kvs.first().map_or(0, |found| found.version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_outlives_the_leader_that_it_went_to() {
    let mut cluster = Cluster::start(settings(NEVER), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let [first, second] = [(leader + 1) % 3, (leader + 2) % 3];
    LeaseClient::new(cluster.channel(first).await.unwrap())
        .lease_grant(LeaseGrantRequest { id: 7, ttl: 600 })
        .await
        .unwrap();
    // The leader takes no more requests, and its connections stay: nobody looks for another one.
    cluster.members[leader].freeze(true).unwrap();
    let mut writers = Vec::new();
    for (number, member) in [first, second, first, second].into_iter().enumerate() {
        let mut kv = cluster.kv(member).await.unwrap();
        writers.push(tokio::spawn(async move { put(&mut kv, &format!("key{number}"), "value").await }));
    }
    let mut leases = LeaseClient::new(cluster.channel(second).await.unwrap());
    let keep_alive = tokio::spawn(async move {
        let requests = tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }]);
        leases.lease_keep_alive(requests).await.unwrap().into_inner().message().await
    });
    for member in [first, second] {
        reaches(&cluster, member, "etcd_server_proposals_pending", 2.0).await;
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()));
    cluster.members[leader].kill();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(keep_alive.await.unwrap().unwrap().unwrap().ttl, 600);
    let mut kv = cluster.kv(first).await.unwrap();
    for number in 0..4 {
        assert_eq!(version(&mut kv, &format!("key{number}")).await, 1, "each is executed once");
    }
    let mut ended = 0.0;
    for member in [first, second] {
        reaches(&cluster, member, "etcd_server_proposals_resumed_total", 2.0).await;
        assert!(figure(&cluster, member, "etcd_server_leaderless_seconds_total").await > 0.0);
        ended += figure(&cluster, member, "etcd_server_leader_changes_by_cause_total{cause=\"process_ended\"}").await;
    }
    assert!(ended > 0.0, "nobody found the process of the leader ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_arrives_twice_is_executed_once() {
    let mut cluster = Cluster::start(settings(NEVER), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let follower = (leader + 1) % 3;
    let mut kv = cluster.kv(follower).await.unwrap();
    cluster.members[leader].freeze(true).unwrap();
    let mut writer = cluster.kv(follower).await.unwrap();
    let writing = tokio::spawn(async move { put(&mut writer, "key", "value").await });
    // The follower cannot know that the message has arrived.
    reaches(&cluster, follower, "etcd_server_proposals_forwarded_again_total", 1.0).await;
    cluster.members[leader].freeze(false).unwrap();
    writing.await.unwrap().unwrap();
    reaches(&cluster, leader, "etcd_server_proposals_deduplicated_total", 1.0).await;
    assert_eq!(version(&mut kv, "key").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_while_leadership_moves() {
    let mut cluster = Cluster::start(settings("2000"), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let [target, other] = [(leader + 1) % 3, (leader + 2) % 3];
    let target_id = cluster.id_of(leader, target).await.unwrap();
    // The target does not respond: leadership stays under way for an election timeout.
    cluster.members[target].freeze(true).unwrap();
    let mut maintenance = MaintenanceClient::new(cluster.channel(leader).await.unwrap());
    let moving = tokio::spawn(async move { maintenance.move_leader(MoveLeaderRequest { target_id }).await });
    let mut kv = [cluster.kv(leader).await.unwrap(), cluster.kv(other).await.unwrap()];
    let begun = Instant::now();
    let mut written = 0;
    while figure(&cluster, leader, "etcd_server_proposals_held_total").await == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "no request has waited");
        let [at_leader, at_other] = &mut kv;
        let (one, two) = tokio::join!(put(at_leader, "one", "value"), put(at_other, "two", "value"));
        one.unwrap();
        two.unwrap();
        written += 1;
    }
    cluster.members[target].freeze(false).unwrap();
    // The transfer may have been given up.
    drop(moving.await.unwrap());
    let [reader, _] = &mut kv;
    assert_eq!([version(reader, "one").await, version(reader, "two").await], [written, written]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_executed_once() {
    let mut cluster = Cluster::start(settings("1000"), 3).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // Members of clients outlive everything; another one is killed.
    let killed = 0;
    let mut counters = Vec::new();
    for number in 0..CLIENTS {
        let (mut kv, stop) = (cluster.kv(1 + number % 2).await.unwrap(), Arc::clone(&stop));
        counters.push(tokio::spawn(async move {
            let key = format!("counter{number}");
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                increment(&mut kv, &key, number % 3 == 0).await.map_err(|status| format!("{key}: {status}"))?;
                count += 1;
            }
            Ok::<_, String>(count)
        }));
    }
    for _ in 0..3 {
        for target in [1, 2, killed] {
            let leader = cluster.leader(PATIENCE).await.unwrap();
            if leader != target {
                cluster.move_leader(leader, target).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        cluster.members[killed].kill();
        assert_ne!(cluster.leader(PATIENCE).await.unwrap(), killed);
        cluster.members[killed].relaunch().unwrap();
        cluster.members[killed].healthy().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut kv = cluster.kv(killed).await.unwrap();
    for (number, counter) in counters.into_iter().enumerate() {
        let count = counter.await.unwrap().unwrap();
        assert!(count > 10, "counter{number} got to {count}");
        assert_eq!(version(&mut kv, &format!("counter{number}")).await, count, "counter{number}");
    }
    assert!(crate::support::all_equal(&cluster.hashes().await.unwrap()));
}

/// The version of a key counts its puts.
async fn increment(kv: &mut KvClient<Channel>, key: &str, by_txn: bool) -> Result<(), tonic::Status> {
    let put = PutRequest { key: key.to_owned().into(), value: "x".into(), ..PutRequest::default() };
    if by_txn {
        let success = vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }];
        kv.txn(TxnRequest { success, ..TxnRequest::default() }).await.map(drop)
    } else {
        kv.put(put).await.map(drop)
    }
}
