//! The version of the cluster: the leader decides it from the versions of all members, and ends a
//! downgrade that is complete.

use crate::version::ETCD_VERSION;
use auth::Identity;
use consensus::Role;
use futures::future::join_all;
use membership::{Version, decide_cluster_version, downgrade_is_complete};
use peer::{Transport, ask};
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::{ClusterVersionSetRequest, DowngradeInfoSetRequest};
use replica::Replica;
use std::sync::Arc;
use std::time::Duration;
use types::MemberId;

/// Time between two decisions (etcd: monitorVersionInterval).
const INTERVAL: Duration = Duration::from_secs(4);
/// Time until a new leader makes its first decision.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Time that a member has to report its version.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Sets the cluster version while this member is the leader.
pub(crate) async fn run(replica: Arc<Replica>, transport: Transport) {
    loop {
        while !leads(&replica) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        update(&replica, &transport).await;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Ends a downgrade once all members run the target version, while this member is the leader.
/// Checks every `interval`.
pub(crate) async fn end_completed_downgrade(replica: Arc<Replica>, transport: Transport, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let members = replica.published().members();
        let Some(target) = members.downgrade().target().filter(|_| leads(&replica)) else { continue };
        if !downgrade_is_complete(members.downgrade(), &versions(&replica, &transport).await) {
            continue;
        }
        tracing::info!(cluster_version = target.as_cluster(), "the cluster has been downgraded");
        let cancel = DowngradeInfoSetRequest { enabled: false, ver: String::new() };
        let request = InternalRaftRequest { downgrade_info_set: Some(cancel), ..InternalRaftRequest::default() };
        if let Err(error) = replica.propose(request, &Identity::default()).await {
            tracing::warn!(%error, "failed to cancel downgrade");
        }
    }
}

fn leads(replica: &Replica) -> bool {
    replica.published().raft_status().role == Role::Leader
}

async fn update(replica: &Replica, transport: &Transport) {
    let known: Option<Vec<Version>> = versions(replica, transport).await.into_iter().collect();
    let lowest = known.and_then(|versions| versions.into_iter().min());
    let members = replica.published().members();
    let present = members.cluster_version();
    let version = match decide_cluster_version(present, lowest, members.downgrade()) {
        Ok(Some(version)) => version,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "failed to monitor cluster version");
            return;
        }
    };
    match present {
        None => {
            tracing::info!(cluster_version = version.as_cluster(), "setting up initial cluster version using v3 API")
        }
        Some(from) => {
            tracing::info!(from = from.as_cluster(), to = version.as_cluster(), "updating cluster version using v3 API")
        }
    }
    let set = ClusterVersionSetRequest { ver: version.to_string() };
    let request = InternalRaftRequest { cluster_version_set: Some(set), ..InternalRaftRequest::default() };
    match replica.propose(request, &Identity::default()).await {
        Ok(_) => tracing::info!(cluster_version = version.as_cluster(), "cluster version is updated"),
        Err(error) => tracing::warn!(%error, "failed to update cluster version"),
    }
}

/// The version of each member, this one's included; `None` for a member that does not report it.
async fn versions(replica: &Replica, transport: &Transport) -> Vec<Option<Version>> {
    let members = replica.published().members();
    let own = ETCD_VERSION.parse().ok();
    let versions = members.members().map(|member| async move {
        if member.id == replica.member_id() { own } else { version_of(transport, member.id).await }
    });
    join_all(versions).await
}

async fn version_of(transport: &Transport, id: MemberId) -> Option<Version> {
    let request = |target: ask::Target| async move { ask::version(&target, TIMEOUT).await };
    let failed = |error: &ask::PeerCallError| tracing::debug!(remote_member_id = %id, %error, "failed to get version");
    transport.ask(id, request, failed).await
}
