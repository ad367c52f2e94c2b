//! Leases live at the leader: the next leader keeps the promises of the one before.

use crate::support::{PATIENCE, all_equal, settings};
use futures::StreamExt as _;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseTimeToLiveRequest, MoveLeaderRequest,
    PutRequest, RangeRequest, StatusRequest,
};
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use testbed::Cluster;
use tonic::transport::Channel;

const LEASES: i64 = 40;
const TTL_SECONDS: i64 = 60;
/// From the next leader giving every lease its full time to the former one doing so.
const APART: Duration = Duration::from_secs(8);

async fn renew(mut leases: LeaseClient<Channel>, id: i64) -> Option<(i64, Instant)> {
    let asked = Instant::now();
    let mut responses =
        leases.lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id }])).await.ok()?.into_inner();
    Some((responses.message().await.ok()??.ttl, asked))
}

/// The former leader finds the renewals waiting before it hears of the next one, and renews by its
/// own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_replaced_while_it_slept_promises_nothing() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let former = cluster.leader(PATIENCE).await.unwrap();
    let leases = LeaseClient::new(cluster.channel(former).await.unwrap());
    for id in 1..=LEASES {
        leases.clone().lease_grant(LeaseGrantRequest { id, ttl: TTL_SECONDS }).await.unwrap();
    }
    let mut other = MaintenanceClient::new(cluster.channel((former + 1) % 3).await.unwrap());
    let mut leader = async || other.status(StatusRequest {}).await.unwrap().into_inner().leader;
    let before = leader().await;
    cluster.members[former].freeze(true).unwrap();
    let asleep = Instant::now();
    while [0, before].contains(&leader().await) {
        assert!(asleep.elapsed() < PATIENCE, "nobody else was elected");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(APART).await;
    let renewals: Vec<_> = (1..=LEASES).map(|id| tokio::spawn(renew(leases.clone(), id))).collect();
    // The sent bytes are in the socket of the sleeping member.
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.members[former].freeze(false).unwrap();
    let mut promised = Vec::new();
    for (id, renewal) in (1..).zip(renewals) {
        promised.extend(renewal.await.unwrap().map(|(ttl, asked)| (id, ttl, asked)));
    }
    println!("{} of {LEASES} renewals were promised", promised.len());
    let next = cluster.leader(PATIENCE).await.unwrap();
    let mut at_next = LeaseClient::new(cluster.channel(next).await.unwrap());
    for (id, ttl, asked) in promised {
        let told = at_next.lease_time_to_live(LeaseTimeToLiveRequest { id, keys: false }).await.unwrap().into_inner();
        let passed = i64::try_from(asked.elapsed().as_secs()).unwrap();
        assert!(
            ttl == TTL_SECONDS && told.ttl + passed + 2 >= ttl,
            "lease {id}: {ttl} s were promised {passed} s ago, {} are left",
            told.ttl
        );
    }
}

/// Leases that run out within the same second.
const CROWD: i64 = 20_000;
const CROWD_TTL_SECONDS: i64 = 12;
/// Time limit for the revocation of all of them, on a loaded machine; a failure hangs for ever.
const CROWD_PATIENCE: Duration = Duration::from_secs(240);

async fn leases_at(cluster: &Cluster, member: usize) -> usize {
    let mut leases = LeaseClient::new(cluster.channel(member).await.unwrap());
    leases.lease_leases(LeaseLeasesRequest {}).await.map_or(usize::MAX, |told| told.into_inner().leases.len())
}

/// A new leader gives every lease its full time again, so that all run out at once; it falls while
/// it revokes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_leases_runs_out_at_once_while_the_leader_changes() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let first = cluster.leader(PATIENCE).await.unwrap();
    let channel = cluster.channel(first).await.unwrap();
    let (leases, kv) = (LeaseClient::new(channel.clone()), KvClient::new(channel));
    let grants = futures::stream::iter(1..=CROWD).map(|id| {
        let (mut leases, mut kv) = (leases.clone(), kv.clone());
        async move {
            leases.lease_grant(LeaseGrantRequest { id, ttl: CROWD_TTL_SECONDS }).await.unwrap();
            if id % 100 == 0 {
                kv.put(PutRequest { key: format!("leased/{id}").into(), lease: id, ..PutRequest::default() })
                    .await
                    .unwrap();
            }
        }
    });
    grants.buffer_unordered(256).collect::<Vec<()>>().await;
    let granted = leases_at(&cluster, first).await;
    let next = (first + 1) % 3;
    let target_id = MaintenanceClient::new(cluster.channel(next).await.unwrap())
        .status(StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let target_id = target_id.header.unwrap().member_id;
    MaintenanceClient::new(cluster.channel(first).await.unwrap())
        .move_leader(MoveLeaderRequest { target_id })
        .await
        .unwrap();
    let moved = Instant::now();
    assert!(granted > 0 && leases_at(&cluster, next).await > 0);
    // The first revocations show that they have run out; that is when the new leader falls.
    let begun = leases_at(&cluster, (first + 2) % 3).await;
    while leases_at(&cluster, (first + 2) % 3).await >= begun {
        assert!(moved.elapsed() < CROWD_PATIENCE, "none of {begun} runs out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.members[next].kill();
    let left = leases_at(&cluster, (first + 2) % 3).await;
    cluster.members[next].relaunch().unwrap();
    cluster.members[next].healthy().await.unwrap();
    for member in 0..3 {
        while leases_at(&cluster, member).await != 0 {
            assert!(moved.elapsed() < CROWD_PATIENCE, "leases are left at member {member}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    println!(
        "{granted} of {CROWD} leases were there, {left} when the leader fell, none {:?} after it had begun",
        moved.elapsed()
    );
    let mut kv = cluster.kv(first).await.unwrap();
    let range = RangeRequest {
        key: "leased/".into(),
        range_end: "leased0".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    assert_eq!(kv.range(range).await.unwrap().into_inner().count, 0);
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}
