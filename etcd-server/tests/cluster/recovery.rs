//! Recovery from failures that a cluster does not survive by itself.

use crate::support::{add_when_healthy, get, put, settings};
use testbed::Cluster;

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
