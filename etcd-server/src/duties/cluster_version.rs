//! Agreeing on the version of the cluster: the leader asks every member for its own, and proposes the lowest.

use crate::ETCD_VERSION;
use auth::Identity;
use consensus::Role;
use engine::Engine;
use futures::future::join_all;
use membership::Version;
use peer::{Transport, ask};
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::ClusterVersionSetRequest;
use std::sync::Arc;
use std::time::Duration;
use types::MemberId;

/// Between two rounds (etcd: monitorVersionInterval).
const INTERVAL: Duration = Duration::from_secs(4);
/// Until a member that has become the leader looks for the first time.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// For one member's answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a new cluster is set to while a member cannot be asked.
const UNDECIDED: Version = Version::new(3, 0, 0);

/// Keeps the version right for as long as this member leads, each time it does.
pub(crate) async fn run(engine: Arc<Engine>, transport: Transport) {
    loop {
        while engine.published().standing().role != Role::Leader {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        if let Some(version) = decide(&engine, &transport).await {
            let set = ClusterVersionSetRequest { ver: version.to_string() };
            let request = InternalRaftRequest { cluster_version_set: Some(set), ..InternalRaftRequest::default() };
            match engine.propose(request, &Identity::default()).await {
                Ok(_) => tracing::info!(cluster_version = %version, "cluster version is updated"),
                Err(error) => tracing::warn!(%error, "failed to update cluster version"),
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The version to be set, if it is another one.
async fn decide(engine: &Engine, transport: &Transport) -> Option<Version> {
    let own: Version = ETCD_VERSION.parse().ok()?;
    let members = engine.published().members();
    let others = members.members().map(|member| member.id).filter(|id| *id != engine.member_id());
    let asked: Option<Vec<Version>> = join_all(others.map(|id| version_of(transport, id))).await.into_iter().collect();
    let lowest = asked.map(|versions| versions.into_iter().chain([own]).map(Version::cluster).min().unwrap_or(own.cluster()));
    match (members.cluster_version(), lowest) {
        (None, lowest) => Some(lowest.unwrap_or(UNDECIDED)),
        (Some(_), None) => None,
        (Some(present), Some(lowest)) => {
            let downgrade = members.downgrade();
            let is_target = downgrade.enabled && downgrade.target_version == lowest.to_string();
            (lowest > present || (lowest < present && is_target)).then_some(lowest)
        }
    }
}

async fn version_of(transport: &Transport, id: MemberId) -> Option<Version> {
    let question = |url| async move { ask::version(transport.connect(), &url, TIMEOUT).await };
    let failed = |error: &ask::AskError| tracing::debug!(remote_member_id = %id, %error, "failed to get version");
    transport.ask(id, question, failed).await.map(|(version, _)| version)
}
