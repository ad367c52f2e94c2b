//! A downgrade: the cluster version goes down at once, and back up when it is cancelled.

use crate::support::{PATIENCE, settings};
use proto::etcdserverpb::{DowngradeRequest, DowngradeResponse, StatusRequest, downgrade_request::DowngradeAction};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::time::{Duration, Instant};
use testbed::Cluster;

async fn downgrade(cluster: &Cluster, via: usize, action: DowngradeAction, version: &str) -> Result<DowngradeResponse, tonic::Status> {
    let mut maintenance = MaintenanceClient::new(cluster.channel(via).await.unwrap());
    let request = DowngradeRequest { action: action.into(), version: version.into() };
    maintenance.downgrade(request).await.map(tonic::Response::into_inner)
}

/// Waits until all members report this storage version, and this target of a downgrade.
async fn all_report(cluster: &Cluster, storage: &str, target: &str) {
    let begun = Instant::now();
    for member in 0..cluster.members.len() {
        let mut maintenance = MaintenanceClient::new(cluster.channel(member).await.unwrap());
        loop {
            let status = maintenance.status(StatusRequest {}).await.unwrap().into_inner();
            let downgrade = status.downgrade_info.clone().unwrap();
            if status.storage_version == storage && downgrade.target_version == target && downgrade.enabled != target.is_empty() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "member {member} reports {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downgrade_lowers_the_cluster_version_until_it_is_cancelled() {
    let cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    all_report(&cluster, "3.7.0", "").await;
    for (version, text) in [
        ("3.5.0", "etcdserver: invalid downgrade target version"),
        ("3.7.0", "etcdserver: invalid downgrade target version"),
        ("3.8", "etcdserver: invalid downgrade target version"),
        ("next", "etcdserver: wrong downgrade target version format"),
        ("", "etcdserver: wrong downgrade target version format"),
    ] {
        for action in [DowngradeAction::Validate, DowngradeAction::Enable] {
            assert_eq!(downgrade(&cluster, 0, action, version).await.unwrap_err().message(), text, "{version}");
        }
    }
    assert_eq!(downgrade(&cluster, 1, DowngradeAction::Validate, "3.6").await.unwrap().version, "3.7");
    // etcd reports success for a cancellation without a downgrade, too.
    assert_eq!(downgrade(&cluster, 1, DowngradeAction::Cancel, "").await.unwrap().version, "3.7");
    assert_eq!(downgrade(&cluster, 1, DowngradeAction::Enable, "3.6.0").await.unwrap().version, "3.7");
    all_report(&cluster, "3.6.0", "3.6.0").await;
    let again = downgrade(&cluster, 2, DowngradeAction::Enable, "3.5").await.unwrap_err();
    assert_eq!(again.message(), "etcdserver: cluster has a downgrade job in progress");
    downgrade(&cluster, 2, DowngradeAction::Cancel, "").await.unwrap();
    all_report(&cluster, "3.7.0", "").await;
}
