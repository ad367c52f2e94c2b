//! A downgrade: the cluster version goes down at once, and back up when it is cancelled.

use crate::support::{PATIENCE, settings};
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use testbed::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downgrade_lowers_the_cluster_version_until_it_is_cancelled() {
    let cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    cluster.wait_for_versions("3.7.0", "", PATIENCE).await.unwrap();
    for (version, text) in [
        ("3.5.0", "etcdserver: invalid downgrade target version"),
        ("3.7.0", "etcdserver: invalid downgrade target version"),
        ("3.8", "etcdserver: invalid downgrade target version"),
        ("next", "etcdserver: wrong downgrade target version format"),
        ("", "etcdserver: wrong downgrade target version format"),
    ] {
        for action in [DowngradeAction::Validate, DowngradeAction::Enable] {
            assert_eq!(cluster.downgrade(0, action, version).await.unwrap_err().message(), text, "{version}");
        }
    }
    assert_eq!(cluster.downgrade(1, DowngradeAction::Validate, "3.6").await.unwrap().version, "3.7");
    // etcd reports success for a cancellation without a downgrade, too.
    assert_eq!(cluster.downgrade(1, DowngradeAction::Cancel, "").await.unwrap().version, "3.7");
    assert_eq!(cluster.downgrade(1, DowngradeAction::Enable, "3.6.0").await.unwrap().version, "3.7");
    cluster.wait_for_versions("3.6.0", "3.6.0", PATIENCE).await.unwrap();
    let again = cluster.downgrade(2, DowngradeAction::Enable, "3.5").await.unwrap_err();
    assert_eq!(again.message(), "etcdserver: cluster has a downgrade job in progress");
    cluster.downgrade(2, DowngradeAction::Cancel, "").await.unwrap();
    cluster.wait_for_versions("3.7.0", "", PATIENCE).await.unwrap();
}
