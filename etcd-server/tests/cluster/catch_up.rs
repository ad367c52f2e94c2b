//! Members that are far behind.

use crate::support::{Load, PATIENCE, all_equal, get, holds_all, put, settings};
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, StatusRequest,
};
use rpc::etcdserverpb::{lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use testbed::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_catches_up_by_snapshot_and_is_promoted() {
    let mut cluster = Cluster::start(settings(&["--snapshot-catchup-entries", "50"]), 1).await.unwrap();
    let mut kv = cluster.kv(0).await.unwrap();
    let mut leases = LeaseClient::new(cluster.channel(0).await.unwrap());
    leases.lease_grant(LeaseGrantRequest { id: 9, ttl: 600 }).await.unwrap();
    for number in 0..400 {
        put(&mut kv, &format!("key{}", number % 90), &format!("value {number}")).await.unwrap();
    }
    kv.put(PutRequest { key: "leased".into(), lease: 9, ..PutRequest::default() }).await.unwrap();
    kv.delete_range(DeleteRangeRequest { key: "key7".into(), ..DeleteRangeRequest::default() }).await.unwrap();
    kv.compact(CompactionRequest { revision: 200, physical: true }).await.unwrap();
    let learner = cluster.add(0, true).await.unwrap();
    if let Err(error) = cluster.promote(0, learner, PATIENCE).await {
        panic!("{error}\n{}\n{}", cluster.members[0].log_tail(), cluster.members[learner].log_tail());
    }
    cluster.members[learner].healthy().await.unwrap();
    let log = cluster.members[learner].log_tail();
    assert!(log.contains("installed the state of another member"), "it came by a snapshot: {log}");
    assert!(all_equal(&cluster.hashes().await.unwrap()));
    let mut there = LeaseClient::new(cluster.channel(learner).await.unwrap());
    let told = there.lease_time_to_live(LeaseTimeToLiveRequest { id: 9, keys: true }).await.unwrap().into_inner();
    assert_eq!((told.granted_ttl, told.keys), (600, vec![bytes::Bytes::from("leased")]));
    // The installed snapshot is there after a crash, and the log continues from it.
    if let Err(error) = put(&mut kv, "behind", "the snapshot").await {
        panic!("{error}\n{}\n{}", cluster.members[0].log_tail(), cluster.members[learner].log_tail());
    }
    cluster.members[learner].kill();
    cluster.members[learner].relaunch().unwrap();
    cluster.members[learner].healthy().await.unwrap();
    assert_eq!(get(&mut cluster.kv(learner).await.unwrap(), "behind").await.as_deref(), Some("the snapshot"));
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_catches_up_by_snapshot_while_writes_go_on() {
    let mut cluster = Cluster::start(settings(&["--snapshot-catchup-entries", "50"]), 3).await.unwrap();
    let away = (cluster.leader(PATIENCE).await.unwrap() + 1) % 3;
    cluster.members[away].kill();
    let others: Vec<usize> = (0..3).filter(|member| *member != away).collect();
    let mut kv = cluster.kv(others[0]).await.unwrap();
    for number in 0..1000 {
        put(&mut kv, &format!("key{}", number % 100), &format!("value {number}")).await.unwrap();
    }
    let load = Load::start(others.iter().map(|member| cluster.members[*member].endpoint()).collect());
    cluster.members[away].relaunch().unwrap();
    cluster.members[away].healthy().await.unwrap();
    let (acknowledged, failed) = load.finish().await;
    assert_eq!(failed, 0);
    let status = MaintenanceClient::new(cluster.channel(away).await.unwrap())
        .status(StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(status.raft_applied_index > 1000, "{status:?}");
    holds_all(&cluster, away, &acknowledged).await;
    assert!(cluster.members[away].log_tail().contains("installed the state of another member"));
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}

/// Returns the received bytes of another member's snapshot in a data directory.
fn arrived_bytes(cluster: &Cluster, member: usize) -> u64 {
    let entries = std::fs::read_dir(cluster.members[member].data_dir().join("member")).into_iter().flatten().flatten();
    let arriving = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("incoming-"));
    arriving.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_whose_sending_breaks_off_is_gone_on_with_where_it_broke() {
    const ENOUGH_BYTES: u64 = 8 << 20;
    let mut cluster = Cluster::start(settings(&["--snapshot-catchup-entries", "50"]), 3).await.unwrap();
    let away = (cluster.leader(PATIENCE).await.unwrap() + 1) % 3;
    cluster.members[away].kill();
    let others: Vec<usize> = (0..3).filter(|member| *member != away).collect();
    let mut kv = cluster.kv(others[0]).await.unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for number in 0..1000 {
        let value: String = (0..64 << 10).map(|_| random.alphanumeric()).collect();
        put(&mut kv, &format!("key{number}"), &value).await.unwrap();
    }
    let load = Load::start(others.iter().map(|member| cluster.members[*member].endpoint()).collect());
    cluster.members[away].relaunch().unwrap();
    let begun = Instant::now();
    while arrived_bytes(&cluster, away) < ENOUGH_BYTES {
        assert!(begun.elapsed() < PATIENCE, "no state arrives: {}", cluster.members[away].log_tail());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cluster.members[away].kill();
    let before = arrived_bytes(&cluster, away);
    assert!(before >= ENOUGH_BYTES, "the process left what it had: {before} bytes");
    cluster.members[away].relaunch().unwrap();
    cluster.members[away].healthy().await.unwrap();
    let (acknowledged, failed) = load.finish().await;
    assert_eq!(failed, 0);
    holds_all(&cluster, away, &acknowledged).await;
    let log = cluster.members[away].log_tail();
    assert!(log.contains(&format!("\"from-byte\":{before}")), "{log}");
    assert_eq!(log.matches("installed the state of another member").count(), 1, "{log}");
    assert_eq!(arrived_bytes(&cluster, away), 0, "what was taken in is gone");
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}
