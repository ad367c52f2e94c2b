//! Leases live at the leader: what one promises the next one keeps.

use crate::support::{PATIENCE, settings};
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, StatusRequest};
use rpc::etcdserverpb::{lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use testbed::Cluster;
use tonic::transport::Channel;

const LEASES: i64 = 40;
const TTL_SECONDS: i64 = 60;
/// From the next leader giving every lease its full time to the former one doing so.
const APART: Duration = Duration::from_secs(8);

async fn renew(mut leases: LeaseClient<Channel>, id: i64) -> Option<(i64, Instant)> {
    let asked = Instant::now();
    let mut answers = leases.lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id }])).await.ok()?.into_inner();
    Some((answers.message().await.ok()??.ttl, asked))
}

/// The former leader finds the renewals waiting before it hears of the next one, and renews by its own clock.
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
    // What was sent is in the socket of the one that sleeps.
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
