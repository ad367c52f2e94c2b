//! One of our members among members of a real etcd: it joins, becomes leader and sends snapshots,
//! and all of them hold the same.
//!
//! Needs `ETCD_BIN_DIR`, a directory with etcd 3.5; skips with a line without it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests: a failure is a failed test")]

use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::{
    CompactionRequest, HashKvRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp,
    StatusRequest, TxnRequest, request_op,
};
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
        kv.put(PutRequest { key: key.into(), value: format!("{number}").into(), ..PutRequest::default() })
            .await
            .unwrap();
    }
}

async fn assert_all_hold_the_same(cluster: &Cluster) {
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_ours_joins_a_real_etcd_and_takes_over() {
    let Some(dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("ETCD_BIN_DIR is not set");
        return;
    };
    let etcd = format!("{}/etcd", dir.to_str().unwrap());
    // Small logs, so that a late member gets a snapshot.
    let real = settings(&etcd, &["--snapshot-count", "20", "--experimental-snapshot-catchup-entries", "5"]);
    let mut cluster = Cluster::start(real.clone(), 2).await.unwrap();
    put_some(&cluster, 0, "before").await;
    LeaseClient::new(cluster.channel(0).await.unwrap())
        .lease_grant(LeaseGrantRequest { id: 5, ttl: 900 })
        .await
        .unwrap();
    tokio::time::sleep(HEALTH_TIME).await;

    cluster.settings = settings(OURS, &["--snapshot-catchup-entries", "5"]);
    let ours = cluster.add(0, false).await.unwrap();
    assert!(
        cluster.members[ours].log_tail().contains("installed the state of another member"),
        "{}",
        cluster.members[ours].log_tail()
    );
    assert_all_hold_the_same(&cluster).await;
    let mut leases = LeaseClient::new(cluster.channel(ours).await.unwrap());
    let told = leases.lease_time_to_live(LeaseTimeToLiveRequest { id: 5, keys: false }).await.unwrap().into_inner();
    assert_eq!(told.granted_ttl, 900, "asked of the leader, a real etcd");

    let leader = cluster.leader(PATIENCE).await.unwrap();
    cluster.move_leader(leader, ours).await.unwrap();
    assert_eq!(cluster.leader(PATIENCE).await.unwrap(), ours);
    put_some(&cluster, 0, "led by ours").await;
    assert_all_hold_the_same(&cluster).await;

    // A real member that was away catches up from ours, by a snapshot.
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

/// Runs one of etcd's tools, which must succeed.
fn run(dir: &std::path::Path, tool: &str, arguments: &[&str]) {
    let ran = std::process::Command::new(dir.join(tool)).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The hash and the compacted revision that it takes into account, as each member reports them.
async fn hashes_at(cluster: &Cluster, revision: i64) -> Vec<(u32, i64)> {
    let mut hashes = Vec::new();
    for member in 0..cluster.members.len() {
        let mut maintenance = MaintenanceClient::new(cluster.channel(member).await.unwrap());
        let hashed = maintenance.hash_kv(HashKvRequest { revision }).await.unwrap().into_inner();
        hashes.push((hashed.hash, hashed.compact_revision));
    }
    hashes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_equal_etcds_after_bumped_restore_and_compactions() {
    let Some(dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("ETCD_BIN_DIR is not set");
        return;
    };
    let dir = std::path::PathBuf::from(dir);
    let mut cluster = Cluster::start(settings(dir.join("etcd").to_str().unwrap(), &[]), 1).await.unwrap();
    put_some(&cluster, 0, "before the snapshot").await;
    let scratch = tempfile::tempdir().unwrap();
    let snapshot = scratch.path().join("snapshot.db");
    let (endpoint, snapshot) = (cluster.members[0].endpoint(), snapshot.to_str().unwrap());
    run(&dir, "etcdctl", &["--endpoints", &endpoint, "snapshot", "save", snapshot]);
    cluster.members[0].stop();
    let (data_dir, place) = (cluster.members[0].data_dir(), cluster.members[0].place().clone());
    std::fs::remove_dir_all(&data_dir).unwrap();
    let (entry, url) = (place.entry(), place.peer_url());
    let restore =
        ["snapshot", "restore", snapshot, "--bump-revision", "1000", "--mark-compacted", "--name", &place.name];
    let member =
        ["--initial-cluster", &entry, "--initial-advertise-peer-urls", &url, "--data-dir", data_dir.to_str().unwrap()];
    run(&dir, "etcdutl", &[&restore[..], &member].concat());
    cluster.members[0].restart().await.unwrap();

    cluster.settings = settings(OURS, &[]);
    let ours = cluster.add(0, false).await.unwrap();
    assert_all_hold_the_same(&cluster).await;
    for round in 0..3 {
        put_some(&cluster, ours, "behind the bumped revision").await;
        assert_all_hold_the_same(&cluster).await;
        let mut kv = cluster.kv(ours).await.unwrap();
        let newest = kv.range(RangeRequest { key: "x".into(), ..RangeRequest::default() }).await.unwrap();
        let compacted = newest.into_inner().header.unwrap().revision - 7;
        kv.compact(CompactionRequest { revision: compacted, physical: true }).await.unwrap();
        // Each member removes in its own time; its response at the compacted revision changes when
        // that is done.
        let begun = std::time::Instant::now();
        loop {
            let hashes = hashes_at(&cluster, compacted).await;
            if hashes[0] == hashes[1] && hashes[0].1 < compacted {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "round {round}, at the compacted revision {compacted}: {hashes:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_all_hold_the_same(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_apply_would_refuse_are_not_proposed() {
    let Some(dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("ETCD_BIN_DIR is not set");
        return;
    };
    let etcd = format!("{}/etcd", dir.to_str().unwrap());
    let mut cluster = Cluster::start(settings(&etcd, &[]), 1).await.unwrap();
    cluster.settings = settings(OURS, &[]);
    let ours = cluster.add(0, false).await.unwrap();
    let put = PutRequest { key: "written".into(), value: "by a refused transaction".into(), ..PutRequest::default() };
    let range = RangeRequest { key: "read".into(), revision: 1_000_000, ..RangeRequest::default() };
    let success = [request_op::Request::RequestPut(put), request_op::Request::RequestRange(range)];
    let success = success.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
    let txn = TxnRequest { success, ..TxnRequest::default() };
    let refused = cluster.kv(ours).await.unwrap().txn(txn).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: required revision is a future revision");
    let range = RangeRequest { key: "written".into(), ..RangeRequest::default() };
    for member in [0, ours] {
        let found = cluster.kv(member).await.unwrap().range(range.clone()).await.unwrap().into_inner();
        assert_eq!(found.count, 0, "member {member} has written what was refused");
    }
    assert_all_hold_the_same(&cluster).await;
}

/// The real etcd in `ETCD_BIN_DIR`, if it is of a version that can be downgraded.
fn etcd_with_downgrades() -> Option<String> {
    let program = format!("{}/etcd", std::env::var("ETCD_BIN_DIR").ok()?);
    let version = std::process::Command::new(&program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains("etcd Version: 3.7.").then_some(program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downgrade_is_enabled_and_cancelled_with_either_leader() {
    let Some(etcd) = etcd_with_downgrades() else {
        skip::report("ETCD_BIN_DIR has no etcd 3.7");
        return;
    };
    let mut cluster =
        Cluster::start_each(vec![settings(&etcd, &[]), settings(&etcd, &[]), settings(OURS, &[])]).await.unwrap();
    let ours = 2;
    cluster.wait_for_versions("3.7.0", "", PATIENCE).await.unwrap();
    for wanted in [ours, 0, ours] {
        let leader = cluster.leader(PATIENCE).await.unwrap();
        if leader != wanted {
            cluster.move_leader(leader, wanted).await.unwrap();
            assert_eq!(cluster.leader(PATIENCE).await.unwrap(), wanted);
        }
        // Through a member of either kind.
        for (enabler, canceller) in [(ours, 0), (0, ours)] {
            let context = format!("leader {wanted}, enabled through {enabler}");
            let validated = cluster.downgrade(enabler, DowngradeAction::Validate, "3.6").await;
            assert_eq!(validated.unwrap().version, "3.7", "{context}");
            cluster
                .downgrade(enabler, DowngradeAction::Enable, "3.6")
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            cluster
                .wait_for_versions("3.6.0", "3.6.0", PATIENCE)
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            put_some(&cluster, enabler, "while the downgrade is enabled").await;
            cluster
                .downgrade(canceller, DowngradeAction::Cancel, "")
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            cluster.wait_for_versions("3.7.0", "", PATIENCE).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        assert_all_hold_the_same(&cluster).await;
    }
}

/// The cluster version that a member of ours reports as its storage version.
async fn cluster_version(cluster: &Cluster, member: usize) -> String {
    let mut maintenance = MaintenanceClient::new(cluster.channel(member).await.unwrap());
    maintenance.status(StatusRequest {}).await.unwrap().into_inner().storage_version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_cluster_version_lets_older_member_return() {
    let Some(dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("ETCD_BIN_DIR is not set");
        return;
    };
    let real = settings(&format!("{}/etcd", dir.to_str().unwrap()), &[]);
    let mut cluster = Cluster::start(real.clone(), 1).await.unwrap();
    cluster.settings = settings(OURS, &[]);
    for _ in 0..2 {
        cluster.add(0, false).await.unwrap();
        tokio::time::sleep(HEALTH_TIME).await;
    }
    let held = cluster_version(&cluster, 1).await;
    if held == "3.7.0" {
        skip::report("ETCD_BIN_DIR has etcd 3.7, whose cluster version needs no hold");
        return;
    }
    cluster.downgrade(1, DowngradeAction::Enable, &held).await.unwrap();
    put_some(&cluster, 0, "held").await;
    assert_all_hold_the_same(&cluster).await;
    remove(&mut cluster, 0).await;

    // Only ours are left, they restart, and each of them leads for longer than a leader takes to
    // set the version.
    for member in 0..2 {
        cluster.members[member].kill();
        cluster.members[member].restart().await.unwrap();
    }
    for _ in 0..2 {
        let leader = cluster.leader(PATIENCE).await.unwrap();
        tokio::time::sleep(HEALTH_TIME).await;
        assert_eq!(cluster_version(&cluster, leader).await, held);
        cluster.move_leader(leader, 1 - leader).await.unwrap();
    }
    // So a member of the older version starts again, with the data of ours.
    tokio::time::sleep(HEALTH_TIME).await;
    cluster.settings = real;
    let returned = cluster.add(0, false).await.unwrap();
    put_some(&cluster, returned, "returned").await;
    assert_all_hold_the_same(&cluster).await;
    assert_eq!(cluster_version(&cluster, 0).await, held);

    // Without the real member and the hold the version rises.
    tokio::time::sleep(HEALTH_TIME).await;
    remove(&mut cluster, returned).await;
    cluster.downgrade(1, DowngradeAction::Cancel, "").await.unwrap();
    for member in 0..2 {
        let begun = std::time::Instant::now();
        while cluster_version(&cluster, member).await != "3.7.0" {
            assert!(begun.elapsed() < PATIENCE, "{}", cluster.members[member].log_tail());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Removes a member, which does not lead then, and stops it. Later members get its place in the
/// list.
async fn remove(cluster: &mut Cluster, member: usize) {
    let other = usize::from(member == 0);
    if cluster.leader(PATIENCE).await.unwrap() == member {
        cluster.move_leader(member, other).await.unwrap();
        assert_eq!(cluster.leader(PATIENCE).await.unwrap(), other);
    }
    cluster.remove(other, member).await.unwrap();
    drop(cluster.members.remove(member));
}
