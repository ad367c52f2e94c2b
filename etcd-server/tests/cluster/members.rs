//! Members come and go, and the cluster goes on.

use crate::support::{
    Load, OURS, PATIENCE, add_when_healthy, all_equal, holds_all, put, remove_when_healthy, settings,
};
use proto::etcdserverpb::{MemberAddRequest, MemberRemoveRequest, MemberUpdateRequest};
use rpc::etcdserverpb::{cluster_client::ClusterClient, kv_client::KvClient};
use std::time::{Duration, Instant};
use testbed::{Cluster, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_and_shrinks_under_load() {
    let mut cluster = Cluster::start(settings(&[]), 1).await.unwrap();
    let load = Load::start(vec![cluster.members[0].endpoint()]);
    for _ in 0..2 {
        let added = add_when_healthy(&mut cluster).await;
        put(&mut cluster.kv(added).await.unwrap(), "grown", "yes").await.unwrap();
    }
    assert_eq!(cluster.list(2).await.unwrap().len(), 3);
    assert!(all_equal(&cluster.hashes().await.unwrap()));
    // The leader leaves last but one: it transfers leadership by itself.
    for leaving in [2, 1] {
        remove_when_healthy(&cluster, 0, leaving).await;
        let mut left = cluster.members.remove(leaving);
        let ended = left.wait_for_end(Duration::from_secs(10)).unwrap();
        assert!(ended.success(), "{ended}: {}", left.log_tail());
        assert!(left.log_tail().contains("the member has been permanently removed from the cluster"));
    }
    put(&mut cluster.kv(0).await.unwrap(), "alone", "again").await.unwrap();
    let (acknowledged, failed) = load.finish().await;
    println!("{} writes acknowledged, {failed} with an unknown outcome", acknowledged.len());
    assert!(acknowledged.len() > 50);
    holds_all(&cluster, 0, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_hands_over_before_it_is_removed() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    cluster.remove(leader, leader).await.unwrap();
    let mut left = cluster.members.remove(leader);
    assert!(left.wait_for_end(Duration::from_secs(10)).unwrap().success(), "{}", left.log_tail());
    put(&mut cluster.kv(0).await.unwrap(), "after", "1").await.unwrap();
    // It may not come back.
    left.relaunch().unwrap();
    assert!(left.wait_for_end(Duration::from_secs(10)).unwrap().success());
    assert!(left.log_tail().contains("data-dir used by this member must be removed"));
    // A service that ends with 0 before it was ready would be started again for ever.
    let as_service = std::process::Command::new(OURS)
        .env("NOTIFY_SOCKET", "/nonexistent/notify")
        .args([
            "--name",
            &left.place().name,
            "--listen-client-urls",
            &left.endpoint(),
            "--advertise-client-urls",
            &left.endpoint(),
        ])
        .args(["--listen-peer-urls", &left.peer_url(), "--initial-advertise-peer-urls", &left.peer_url(), "--data-dir"])
        .arg(left.data_dir())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert_eq!(as_service.unwrap().code(), Some(78));
    assert_eq!(cluster.list(0).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_member_is_not_removed_while_another_is_silent() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let (silent, healthy) = ((leader + 1) % 3, (leader + 2) % 3);
    // Its sockets stay open; it only says nothing any more.
    cluster.members[silent].freeze(true).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    for via in [leader, healthy] {
        // A busy machine may take too long to respond at all; it must only never be done.
        let begun = Instant::now();
        loop {
            let refused = cluster.remove(via, healthy).await.unwrap_err();
            if refused.to_string().contains("etcdserver: unhealthy cluster") {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "leader {leader}, asked {via}: {refused}");
        }
    }
    put(&mut cluster.kv(leader).await.unwrap(), "still", "two of three").await.unwrap();
    cluster.remove(leader, silent).await.unwrap();
    cluster.members[silent].freeze(false).unwrap();
    assert!(cluster.members[silent].wait_for_end(Duration::from_secs(15)).unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_is_promoted_by_itself_where_that_is_asked_for() {
    let mut cluster = Cluster::start(settings(&["--auto-promote-learners"]), 1).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "before", "1").await.unwrap();
    let learner = cluster.add(0, true).await.unwrap();
    let begun = Instant::now();
    while cluster.list(0).await.unwrap().iter().any(|member| member.is_learner) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{}\n{}",
            cluster.members[0].log_tail(),
            cluster.members[learner].log_tail()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    put(&mut cluster.kv(learner).await.unwrap(), "after", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_data_does_not_come_back_as_itself() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "kept", "1").await.unwrap();
    cluster.members[2].kill();
    std::fs::remove_dir_all(cluster.members[2].data_dir()).unwrap();
    for flags in [&[][..], &["--initial-cluster-state", "existing"]] {
        refused_as_wiped(&mut cluster.members[2], flags);
    }
    let leader = cluster.leader(PATIENCE).await.unwrap();
    put(&mut cluster.kv(leader).await.unwrap(), "kept", "2").await.unwrap();
}

fn refused_as_wiped(member: &mut Server, flags: &[&str]) {
    member.set_flags(flags);
    member.relaunch().unwrap();
    let ended = member.wait_for_end(PATIENCE).unwrap();
    let log = member.log_tail();
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(log.contains("has already been bootstrapped: its data directory was lost or moved"), "{log}");
    assert!(!member.data_dir().exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_goes_on_and_less_does_not() {
    for size in 1..=7 {
        let mut cluster = Cluster::start(settings(&[]), size).await.unwrap();
        let tolerated = (size - 1) / 2;
        for gone in 0..tolerated {
            cluster.members[gone].kill();
        }
        let leader = cluster.leader(PATIENCE).await.unwrap();
        put(&mut cluster.kv(leader).await.unwrap(), "without", &tolerated.to_string()).await.unwrap();
        println!("{size} members go on without {tolerated}");
        if size > 1 {
            stops_without_one_more(&mut cluster, tolerated).await;
        }
    }
}

/// Kills `next` too: nothing is acknowledged until it is back.
async fn stops_without_one_more(cluster: &mut Cluster, next: usize) {
    cluster.members[next].kill();
    let mut kv = cluster.kv(next + 1).await.unwrap();
    let written = tokio::time::timeout(Duration::from_secs(2), put(&mut kv, "without", "one more")).await;
    assert!(!matches!(written, Ok(Ok(_))), "less than a majority acknowledged a write");
    cluster.members[next].restart().await.unwrap();
    put(&mut cluster.kv(next).await.unwrap(), "with", "it again").await.unwrap();
}

/// Add, update and remove without a pause, each through another member; more of them with
/// `MEMBER_CYCLES`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn membership_changes_follow_each_other_without_pause() {
    let cycles: usize = std::env::var("MEMBER_CYCLES").map_or(10, |cycles| cycles.parse().unwrap());
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    cluster.leader(PATIENCE).await.unwrap();
    let mut clients = Vec::new();
    for member in 0..3 {
        clients.push(ClusterClient::new(cluster.channel(member).await.unwrap()));
    }
    let [url, other] = ["http://127.0.0.1:1", "http://127.0.0.1:2"].map(str::to_owned);
    // Members must have been connected for a while before any change is allowed.
    let begun = Instant::now();
    while let Err(status) =
        clients[0].clone().member_add(MemberAddRequest { peer_ur_ls: vec![other.clone()], is_learner: true }).await
    {
        assert!(begun.elapsed() < PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let learner = cluster.list(0).await.unwrap().into_iter().find(|member| member.is_learner).unwrap();
    clients[0].clone().member_remove(MemberRemoveRequest { id: learner.id }).await.unwrap();
    for cycle in 0..cycles {
        let client = |step: usize| clients[(cycle + step) % 3].clone();
        let add = MemberAddRequest { peer_ur_ls: vec![url.clone()], is_learner: true };
        let added = client(0).member_add(add).await.unwrap_or_else(|status| panic!("cycle {cycle}, add: {status}"));
        let id = added.into_inner().member.unwrap().id;
        let update = MemberUpdateRequest { id, peer_ur_ls: vec![other.clone()] };
        client(1).member_update(update).await.unwrap_or_else(|status| panic!("cycle {cycle}, update: {status}"));
        let remove = MemberRemoveRequest { id };
        client(2).member_remove(remove).await.unwrap_or_else(|status| panic!("cycle {cycle}, remove: {status}"));
    }
    assert_eq!(cluster.list(0).await.unwrap().len(), 3);
}

/// Requests that wait at a member that is removed fail at once, and its clients see its connections
/// end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_member_fails_waiting_requests_at_once() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let (leaving, staying) = ((leader + 1) % 3, (leader + 2) % 3);
    let endpoint = cluster.members[leaving].endpoint();
    let load = tokio::spawn(async move {
        let mut client = KvClient::connect(endpoint).await.unwrap();
        let mut refused = Vec::new();
        for number in 0.. {
            if let Err(status) = put(&mut client, &format!("key {number}"), "x").await {
                // Errors other than the server's own come from the connection, which has ended.
                if !status.message().starts_with("etcdserver:") {
                    break;
                }
                refused.push(status);
            }
        }
        refused
    });
    remove_when_healthy(&cluster, staying, leaving).await;
    let refused = load.await.unwrap();
    assert!(refused.iter().all(|status| status.message() == "etcdserver: server stopped"), "{refused:?}");
    assert!(refused.iter().all(|status| status.code() == tonic::Code::Unavailable), "{refused:?}");
    assert!(cluster.members[leaving].wait_for_end(PATIENCE).is_some());
}
