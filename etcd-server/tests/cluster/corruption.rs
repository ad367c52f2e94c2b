//! A member whose state differs from the others' is found, named and silenced.

use crate::support::{PATIENCE, get, put, settings};
use proto::etcdserverpb::{AlarmRequest, AlarmType};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use schema::{Batch as _, Table, View as _};
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{Store, StoreOptions};
use testbed::Cluster;

/// Changes the value of `key` in a stopped member's state, its checksums being right: damage that
/// no disk does.
fn tamper(state: &Path, key: &str) {
    let store = Store::open(state, &StoreOptions::default()).unwrap();
    let stored = store.snapshot().get(Table::Current, key.as_bytes()).unwrap().unwrap();
    let mut changed = stored.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let mut batch = store.batch();
    batch.put(Table::Current, key.as_bytes(), &changed);
    store.write(batch).unwrap();
    store.flush().unwrap();
}

/// Three members, of which the one at the returned position differs in the key `k`; all are
/// stopped.
async fn with_one_that_differs(flags: &[&str]) -> (Cluster, usize) {
    let mut cluster = Cluster::start(settings(flags), 3).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "k", "value").await.unwrap();
    for member in 0..3 {
        assert_eq!(get(&mut cluster.kv(member).await.unwrap(), "k").await.as_deref(), Some("value"));
    }
    let wrong = (cluster.leader(PATIENCE).await.unwrap() + 1) % 3;
    assert!(cluster.members[wrong].terminate(PATIENCE).is_some());
    tamper(&cluster.members[wrong].data_dir().join("member/state"), "k");
    (cluster, wrong)
}

async fn corrupt_members(cluster: &Cluster, via: usize) -> Vec<u64> {
    let list = AlarmRequest { action: 0, member_id: 0, alarm: AlarmType::None.into() };
    let alarms =
        MaintenanceClient::new(cluster.channel(via).await.unwrap()).alarm(list).await.unwrap().into_inner().alarms;
    alarms.iter().filter(|alarm| alarm.alarm == i32::from(AlarmType::Corrupt)).map(|alarm| alarm.member_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_differs_is_named_and_serves_no_more() {
    let (mut cluster, wrong) = with_one_that_differs(&[]).await;
    cluster.members[wrong].restart().await.unwrap();
    let healthy = (wrong + 1) % 3;
    let wrong_id = cluster.id_of(healthy, wrong).await.unwrap();
    let begun = Instant::now();
    let mut kv = cluster.kv(healthy).await.unwrap();
    // The replacement of the changed record shows that it was another one.
    while corrupt_members(&cluster, healthy).await != [wrong_id] {
        assert!(begun.elapsed() < PATIENCE, "{}", cluster.members[wrong].log_tail());
        drop(put(&mut kv, "k", "next").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("found {:?} after the start", begun.elapsed());
    let refused = put(&mut cluster.kv(wrong).await.unwrap(), "k", "more").await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: corrupt cluster");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_differs_does_not_start_where_it_has_to_compare_first() {
    let (mut cluster, wrong) = with_one_that_differs(&["--feature-gates", "InitialCorruptCheck=true"]).await;
    cluster.members[wrong].relaunch().unwrap();
    let ended = cluster.members[wrong].wait_for_end(PATIENCE).unwrap();
    let log = cluster.members[wrong].log_tail();
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(log.contains("found data inconsistency with peers"), "{log}");
}
