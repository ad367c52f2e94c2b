//! One of ours among members of a real etcd: it joins, takes over and hands the state on, and all of them hold the same.
//!
//! Needs `ETCD_BIN_DIR`, a folder with etcd 3.5; skips with a line without it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests: a failure is a failed test")]

use proto::etcdserverpb::{LeaseGrantRequest, LeaseTimeToLiveRequest, MoveLeaderRequest, PutRequest};
use rpc::etcdserverpb::{lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::time::Duration;
use testbed::{Cluster, Settings};

const OURS: &str = env!("CARGO_BIN_EXE_etcd-server");
const PATIENCE: Duration = Duration::from_secs(30);
/// Members must have been connected for so long before others may come or go.
const HEALTH_TIME: Duration = Duration::from_secs(6);

fn settings(command: &str, flags: &[&str]) -> Settings {
    let mut settings = Settings::new(command);
    settings.flags = ["--log-level", "info"].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
    settings
}

async fn put_some(cluster: &Cluster, via: usize, prefix: &str) {
    let mut kv = cluster.kv(via).await.unwrap();
    for number in 0..60 {
        let key = format!("{prefix}{}", number % 25);
        kv.put(PutRequest { key: key.into(), value: format!("{number}").into(), ..PutRequest::default() }).await.unwrap();
    }
}

async fn assert_all_hold_the_same(cluster: &Cluster) {
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_ours_joins_a_real_etcd_and_takes_over() {
    let Some(folder) = std::env::var_os("ETCD_BIN_DIR") else {
        println!("skipped: ETCD_BIN_DIR is not set");
        return;
    };
    let etcd = format!("{}/etcd", folder.to_str().unwrap());
    // Small logs, so that whoever comes late is sent the state as a whole.
    let real = settings(&etcd, &["--snapshot-count", "20", "--experimental-snapshot-catchup-entries", "5"]);
    let mut cluster = Cluster::start(real.clone(), 2).await.unwrap();
    put_some(&cluster, 0, "before").await;
    LeaseClient::new(cluster.channel(0).await.unwrap()).lease_grant(LeaseGrantRequest { id: 5, ttl: 900 }).await.unwrap();
    tokio::time::sleep(HEALTH_TIME).await;

    cluster.settings = settings(OURS, &["--snapshot-catchup-entries", "5"]);
    let ours = cluster.add(0, false).await.unwrap();
    assert!(cluster.members[ours].log_tail().contains("installed the state of another member"), "{}", cluster.members[ours].log_tail());
    assert_all_hold_the_same(&cluster).await;
    let mut leases = LeaseClient::new(cluster.channel(ours).await.unwrap());
    let told = leases.lease_time_to_live(LeaseTimeToLiveRequest { id: 5, keys: false }).await.unwrap().into_inner();
    assert_eq!(told.granted_ttl, 900, "asked of the leader, a real etcd");

    let leader = cluster.leader(PATIENCE).await.unwrap();
    let target_id = cluster.id_of(0, ours).await.unwrap();
    MaintenanceClient::new(cluster.channel(leader).await.unwrap()).move_leader(MoveLeaderRequest { target_id }).await.unwrap();
    assert_eq!(cluster.leader(PATIENCE).await.unwrap(), ours);
    put_some(&cluster, 0, "led by ours").await;
    assert_all_hold_the_same(&cluster).await;

    // A real one that was away follows ours, by the state as a whole.
    cluster.members[1].kill();
    put_some(&cluster, ours, "while one was away").await;
    cluster.members[1].restart().await.unwrap();
    put_some(&cluster, 1, "after it came back").await;
    assert_all_hold_the_same(&cluster).await;

    // A new real one gets its state from ours.
    tokio::time::sleep(HEALTH_TIME).await;
    cluster.settings = real;
    let added = cluster.add(ours, false).await.unwrap();
    put_some(&cluster, added, "four of us").await;
    assert_all_hold_the_same(&cluster).await;
    assert_eq!(cluster.list(added).await.unwrap().len(), 4);
}
