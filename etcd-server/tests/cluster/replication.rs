//! All members have the acknowledged writes, under any leader.

use crate::support::{Load, PATIENCE, all_equal, get, holds_all, put, settings};
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, MoveLeaderRequest, RangeRequest, StatusRequest,
};
use rpc::etcdserverpb::{lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use testbed::{Cluster, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_are_one_cluster() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    for member in 0..3 {
        put(&mut cluster.kv(member).await.unwrap(), &format!("key{member}"), "value").await.unwrap();
        for reader in 0..3 {
            assert_eq!(
                get(&mut cluster.kv(reader).await.unwrap(), &format!("key{member}")).await.as_deref(),
                Some("value")
            );
        }
    }
    let lists: Vec<_> =
        [cluster.list(0).await.unwrap(), cluster.list(1).await.unwrap(), cluster.list(2).await.unwrap()].into();
    assert!(
        lists.iter().all(|list| *list == lists[0]
            && list.len() == 3
            && list.iter().all(|member| !member.client_ur_ls.is_empty()))
    );
    assert!(all_equal(&cluster.hashes().await.unwrap()));
    // Leases live at the leader, and any member answers for it.
    let follower = (cluster.leader(PATIENCE).await.unwrap() + 1) % 3;
    let mut leases = LeaseClient::new(cluster.channel(follower).await.unwrap());
    leases.lease_grant(LeaseGrantRequest { id: 77, ttl: 300 }).await.unwrap();
    let mut renewed = leases
        .lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id: 77 }, LeaseKeepAliveRequest { id: 78 }]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(renewed.message().await.unwrap().unwrap().ttl, 300);
    assert_eq!(renewed.message().await.unwrap().unwrap().ttl, 0, "there is no such lease");
    let told = leases.lease_time_to_live(LeaseTimeToLiveRequest { id: 77, keys: true }).await.unwrap().into_inner();
    assert_eq!((told.granted_ttl, told.ttl > 290), (300, true), "{told:?}");
    let none = leases.lease_time_to_live(LeaseTimeToLiveRequest { id: 78, keys: true }).await.unwrap().into_inner();
    assert_eq!(none.ttl, -1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let load = Load::start(cluster.members.iter().map(testbed::Server::endpoint).collect());
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let leader = cluster.leader(PATIENCE).await.unwrap();
        let begun = Instant::now();
        cluster.members[leader].kill();
        let next = cluster.leader(PATIENCE).await.unwrap();
        println!("member {} leads {:?} after the leader was killed", next, begun.elapsed());
        assert_ne!(leader, next);
        put(&mut cluster.kv(next).await.unwrap(), "after", "the fall").await.unwrap();
        cluster.members[leader].relaunch().unwrap();
        cluster.members[leader].healthy().await.unwrap();
    }
    let (acknowledged, failed) = load.finish().await;
    println!("{} writes acknowledged, {failed} with an unknown outcome", acknowledged.len());
    assert!(acknowledged.len() > 50);
    for member in 0..3 {
        holds_all(&cluster, member, &acknowledged).await;
    }
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_is_enough_and_less_is_not() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "before", "1").await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let (first, second) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.members[first].kill();
    put(&mut cluster.kv(second).await.unwrap(), "with two", "1").await.unwrap();
    cluster.members[second].kill();
    let mut alone = cluster.kv(leader).await.unwrap();
    let written = tokio::time::timeout(Duration::from_secs(3), put(&mut alone, "alone", "1")).await;
    assert!(!matches!(written, Ok(Ok(_))), "one of three acknowledged a write");
    let serializable = RangeRequest { key: "with two".into(), serializable: true, ..RangeRequest::default() };
    assert_eq!(alone.range(serializable).await.unwrap().into_inner().count, 1, "reads that may be old are answered");
    for member in [first, second] {
        cluster.members[member].relaunch().unwrap();
    }
    for member in [first, second] {
        cluster.members[member].healthy().await.unwrap();
    }
    put(&mut cluster.kv(second).await.unwrap(), "again", "1").await.unwrap();
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_where_it_is_told_to() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let target = (leader + 1) % 3;
    let target_id = cluster.id_of(0, target).await.unwrap();
    let mut elsewhere = MaintenanceClient::new(cluster.channel(target).await.unwrap());
    assert_eq!(
        elsewhere.move_leader(MoveLeaderRequest { target_id }).await.unwrap_err().message(),
        "etcdserver: not leader"
    );
    let mut maintenance = MaintenanceClient::new(cluster.channel(leader).await.unwrap());
    let unknown = maintenance.move_leader(MoveLeaderRequest { target_id: 1 }).await.unwrap_err();
    assert_eq!(unknown.message(), "etcdserver: bad leader transferee");
    maintenance.move_leader(MoveLeaderRequest { target_id }).await.unwrap();
    assert_eq!(cluster.leader(PATIENCE).await.unwrap(), target);
    put(&mut cluster.kv(leader).await.unwrap(), "after", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_gives_up_leadership() {
    let Some(disk) = testbed::LoopDisk::new(512 << 20).unwrap() else {
        skip::report("no loop mounts here");
        return;
    };
    let slow = Settings { parent: Some(disk.path()), ..settings(&[]) };
    let mut cluster = Cluster::start_each(vec![slow, settings(&[]), settings(&[])]).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    if leader != 0 {
        cluster.move_leader(leader, 0).await.unwrap();
    }
    let load = Load::start(vec![cluster.members[1].endpoint(), cluster.members[2].endpoint()]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(disk.freeze(true));
    let begun = Instant::now();
    let moved = loop {
        let mut maintenance = MaintenanceClient::new(cluster.channel(1).await.unwrap());
        let status = maintenance.status(StatusRequest {}).await.unwrap().into_inner();
        let hung = cluster.members[0].status().header.as_ref().unwrap().member_id;
        if status.leader != 0 && status.leader != hung {
            break true;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            break false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!("leadership moved {:?} after the disk hung", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(disk.freeze(false));
    assert!(moved, "the leader kept leading with a disk that hangs");
    let (acknowledged, failed) = load.finish().await;
    println!("{} writes acknowledged, {failed} with an unknown outcome", acknowledged.len());
    for member in 0..3 {
        holds_all(&cluster, member, &acknowledged).await;
    }
    assert!(all_equal(&cluster.hashes().await.unwrap()));
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_told_to_stop_hands_over_first() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    assert!(cluster.members[leader].terminate(PATIENCE).unwrap().success());
    let log = cluster.members[leader].log_tail();
    assert!(log.contains("leadership transfer finished"), "{log}");
    let next = cluster.leader(PATIENCE).await.unwrap();
    put(&mut cluster.kv(next).await.unwrap(), "after", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_behind_does_not_say_that_a_lease_is_gone() {
    let Some(disk) = testbed::LoopDisk::new(512 << 20).unwrap() else {
        skip::report("no loop mounts here");
        return;
    };
    // A leader whose disk hangs stays leader for an election timeout: long enough for these
    // requests.
    let patient = |settings: Settings| Settings { flags: vec!["--election-timeout=5000".to_owned()], ..settings };
    let slow = Settings { parent: Some(disk.path()), ..settings(&[]) };
    let mut cluster = Cluster::start_each([slow, settings(&[]), settings(&[])].map(patient).into()).await.unwrap();
    let leader = cluster.leader(2 * PATIENCE).await.unwrap();
    if leader != 0 {
        cluster.move_leader(leader, 0).await.unwrap();
        assert_eq!(cluster.leader(PATIENCE).await.unwrap(), 0);
    }
    let mut at_leader = LeaseClient::new(cluster.channel(0).await.unwrap());
    let mut elsewhere = LeaseClient::new(cluster.channel(1).await.unwrap());
    assert!(disk.freeze(true));
    // The other two have it durable, and the leader does not.
    let granted = elsewhere.lease_grant(LeaseGrantRequest { id: 7, ttl: 600 }).await;
    let renewal = at_leader.lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }]));
    let early =
        tokio::time::timeout(Duration::from_secs(1), async { renewal.await?.into_inner().message().await }).await;
    assert!(disk.freeze(false));
    granted.unwrap();
    // It waits until it knows; no client is told that the lease does not exist.
    assert!(!matches!(&early, Ok(Ok(Some(renewed))) if renewed.ttl == 0), "{early:?}");
    let mut renewed =
        at_leader.lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }])).await.unwrap().into_inner();
    assert_eq!(renewed.message().await.unwrap().unwrap().ttl, 600);
    drop(cluster);
}
