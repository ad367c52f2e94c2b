//! Several members as one cluster: what one acknowledges all have, whoever leads, comes or goes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests: a failure is a failed test, figures are printed")]

use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, MoveLeaderRequest, PutRequest,
    RangeRequest, StatusRequest,
};
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testbed::{Cluster, Settings};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

const OURS: &str = env!("CARGO_BIN_EXE_etcd-server");
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(flags: &[&str]) -> Settings {
    let mut settings = Settings::new(OURS);
    settings.flags =
        ["--heartbeat-interval", "50", "--election-timeout", "500"].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
    settings
}

async fn put(client: &mut KvClient<Channel>, key: &str, value: &str) -> Result<i64, tonic::Status> {
    let put = PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() };
    Ok(client.put(put).await?.into_inner().header.unwrap().revision)
}

async fn get(client: &mut KvClient<Channel>, key: &str) -> Option<String> {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let kvs = client.range(range).await.unwrap().into_inner().kvs;
    kvs.first().map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
}

fn all_equal(hashes: &[u32]) -> bool {
    hashes.windows(2).all(|pair| pair[0] == pair[1])
}

/// Writes numbers until told to stop; keeps what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(BTreeMap<String, String>, u64)>,
}

impl Load {
    fn start(endpoints: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut acknowledged, mut failed) = (BTreeMap::new(), 0);
            let mut clients = BTreeMap::new();
            for number in 0_u64.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let at = usize::try_from(number).unwrap() % endpoints.len();
                let client = match clients.entry(at) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => {
                        let endpoint = tonic::transport::Endpoint::from_shared(endpoints[at].clone()).unwrap();
                        let Ok(channel) = endpoint.timeout(Duration::from_secs(2)).connect().await else {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            continue;
                        };
                        vacant.insert(KvClient::new(channel))
                    }
                };
                // A key of its own for each write: an unknown outcome hides no other.
                let (key, value) = (format!("load/{number}"), format!("value {number}"));
                if put(client, &key, &value).await.is_ok() {
                    acknowledged.insert(key, value);
                } else {
                    failed += 1;
                    clients.remove(&at);
                }
            }
            (acknowledged, failed)
        });
        Self { stop, task }
    }

    async fn finish(self) -> (BTreeMap<String, String>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn holds_all(cluster: &Cluster, member: usize, acknowledged: &BTreeMap<String, String>) {
    let mut kv = cluster.kv(member).await.unwrap().max_decoding_message_size(usize::MAX);
    let range = RangeRequest { key: "load/".into(), range_end: "load0".into(), ..RangeRequest::default() };
    let kvs = kv.range(range).await.unwrap().into_inner().kvs;
    let found: BTreeMap<&[u8], &[u8]> = kvs.iter().map(|kv| (&kv.key[..], &kv.value[..])).collect();
    for (key, value) in acknowledged {
        assert_eq!(found.get(key.as_bytes()), Some(&value.as_bytes()), "{key} was acknowledged; member {member}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_are_one_cluster() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    for member in 0..3 {
        put(&mut cluster.kv(member).await.unwrap(), &format!("key{member}"), "value").await.unwrap();
        for reader in 0..3 {
            assert_eq!(get(&mut cluster.kv(reader).await.unwrap(), &format!("key{member}")).await.as_deref(), Some("value"));
        }
    }
    let lists: Vec<_> = [cluster.list(0).await.unwrap(), cluster.list(1).await.unwrap(), cluster.list(2).await.unwrap()].into();
    assert!(lists.iter().all(|list| *list == lists[0] && list.len() == 3 && list.iter().all(|member| !member.client_ur_ls.is_empty())));
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
    assert_eq!(elsewhere.move_leader(MoveLeaderRequest { target_id }).await.unwrap_err().message(), "etcdserver: not leader");
    let mut maintenance = MaintenanceClient::new(cluster.channel(leader).await.unwrap());
    let unknown = maintenance.move_leader(MoveLeaderRequest { target_id: 1 }).await.unwrap_err();
    assert_eq!(unknown.message(), "etcdserver: bad leader transferee");
    maintenance.move_leader(MoveLeaderRequest { target_id }).await.unwrap();
    assert_eq!(cluster.leader(PATIENCE).await.unwrap(), target);
    put(&mut cluster.kv(leader).await.unwrap(), "after", "1").await.unwrap();
}

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
    // The one that leads leaves last but one: it hands over by itself.
    for leaving in [2, 1] {
        remove_when_healthy(&cluster, leaving).await;
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

/// Adds a voter, trying until the members have been connected for long enough.
async fn add_when_healthy(cluster: &mut Cluster) -> usize {
    let begun = Instant::now();
    loop {
        match cluster.add(0, false).await {
            Ok(added) => return added,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Removes a member, trying until the others have been connected for long enough.
async fn remove_when_healthy(cluster: &Cluster, leaving: usize) {
    let begun = Instant::now();
    while let Err(error) = cluster.remove(0, leaving).await {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
        // A busy machine may take too long to answer at all; what counts is that it is never done.
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
async fn a_leader_whose_disk_hangs_gives_up_leadership() {
    let Some(disk) = testbed::LoopDisk::new(512 << 20).unwrap() else {
        println!("skipped: no loop mounts here");
        return;
    };
    let slow = Settings { parent: Some(disk.path()), ..settings(&[]) };
    let mut cluster = Cluster::start_each(vec![slow, settings(&[]), settings(&[])]).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    if leader != 0 {
        let target_id = cluster.id_of(0, 0).await.unwrap();
        MaintenanceClient::new(cluster.channel(leader).await.unwrap()).move_leader(MoveLeaderRequest { target_id }).await.unwrap();
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
async fn a_cluster_that_lost_its_quorum_goes_on_from_one_member() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "kept", "yes").await.unwrap();
    assert_eq!(get(&mut cluster.kv(2).await.unwrap(), "kept").await.as_deref(), Some("yes"));
    for member in &mut cluster.members {
        member.kill();
    }
    let mut survivor = cluster.members.swap_remove(2);
    survivor.set_flags(&["--force-new-cluster"]);
    survivor.restart().await.unwrap();
    cluster.members = vec![survivor];
    assert_eq!(get(&mut cluster.kv(0).await.unwrap(), "kept").await.as_deref(), Some("yes"));
    assert_eq!(cluster.list(0).await.unwrap().len(), 1);
    // The flag is for one start; the next one knows a cluster of one, which grows again.
    cluster.members[0].set_flags(&[]);
    cluster.members[0].restart().await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "more", "yes").await.unwrap();
    let added = add_when_healthy(&mut cluster).await;
    assert_eq!(get(&mut cluster.kv(added).await.unwrap(), "kept").await.as_deref(), Some("yes"));
}

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
    // What was installed is there after a fall, and the log goes on from it.
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
    let status = MaintenanceClient::new(cluster.channel(away).await.unwrap()).status(StatusRequest {}).await.unwrap().into_inner();
    assert!(status.raft_applied_index > 1000, "{status:?}");
    holds_all(&cluster, away, &acknowledged).await;
    assert!(cluster.members[away].log_tail().contains("installed the state of another member"));
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}
