//! Gathering of the facts about a cluster. Nothing is changed.

use super::facts::{ClusterFacts, Kind, MemberFacts};
use crate::cluster_view::{ClusterView, Seen};
use admin_client::{Account, CallError, Client, Repeat};
use admin_ui::error::CliError;
use futures::future::join_all;
use membership::Version;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::{DowngradeRequest, StatusRequest};
use serde::Deserialize;

/// etcd's response while a downgrade is in progress.
const IN_PROGRESS: &str = "etcdserver: cluster has a downgrade job in progress";
/// A target that no cluster of this program has, so that validating it changes nothing.
const NO_TARGET: &str = "3.4.0";

/// The page /version.
#[derive(Debug, Deserialize)]
struct VersionPage {
    #[serde(rename = "etcdcluster", default)]
    cluster: String,
}

/// The page of one v2 key.
#[derive(Debug, Deserialize)]
struct V2Page {
    node: V2Node,
}

#[derive(Debug, Deserialize)]
struct V2Node {
    #[serde(default)]
    nodes: Vec<serde_json::Value>,
}

/// The facts of one member, and its view of the cluster.
struct Report {
    facts: MemberFacts,
    cluster_version: Option<Version>,
    downgrade: Option<Version>,
}

/// Returns the cluster as a quorum lists it, and the facts that each member reports.
///
/// # Errors
/// When no quorum answers.
pub(super) async fn cluster(client: &Client) -> Result<(ClusterView, ClusterFacts), CliError> {
    let view = ClusterView::look(client).await?;
    let facts = of_view(client, &view).await;
    Ok((view, facts))
}

async fn of_view(client: &Client, view: &ClusterView) -> ClusterFacts {
    let leader = view.leader().map(|seen| seen.member.id);
    let reports = join_all(view.members.iter().map(|seen| report(client, seen, leader))).await;
    ClusterFacts {
        cluster_version: reports.iter().filter_map(|report| report.cluster_version).max(),
        // A member of etcd 3.5 knows that there is a downgrade and not its target.
        downgrade: reports.iter().filter_map(|report| report.downgrade).max(),
        alarms: view.alarms.iter().map(|(id, alarm)| (view.name_of(*id), alarm.clone())).collect(),
        members: reports.into_iter().map(|report| report.facts).collect(),
    }
}

async fn report(client: &Client, seen: &Seen, leader: Option<u64>) -> Report {
    let status = seen.status.as_ref().ok();
    let version: Option<Version> = status.and_then(|status| status.version.parse().ok());
    let kind = kind_of(seen, version);
    let away = match &seen.status {
        Err(error) => Some(error.clone()),
        Ok(_) if !seen.proven && !seen.member.is_learner => Some("it does not follow the leader".to_owned()),
        Ok(_) => None,
    };
    let facts = MemberFacts {
        id: seen.member.id,
        name: seen.name(),
        kind,
        version,
        is_started: seen.has_started(),
        is_learner: seen.member.is_learner,
        leads: leader == Some(seen.member.id),
        away,
        bytes: status.and_then(|status| u64::try_from(status.db_size).ok()).unwrap_or(0),
        quota_bytes: None,
        v2_keys: 0,
    };
    let mut report = Report { facts, cluster_version: None, downgrade: None };
    let (Some(endpoint), Some(_)) = (&seen.endpoint, status) else { return report };
    let Ok(own) = client.at(endpoint) else { return report };
    report.cluster_version = match seen.page() {
        Some(page) => page.cluster_version.as_deref().and_then(|version| version.parse().ok()),
        None => version_page(&own).await,
    };
    report.facts.quota_bytes = match seen.page() {
        Some(page) => Some(page.quota_bytes),
        None => quota(&own).await,
    };
    if kind == Kind::Etcd && version.map(Version::cluster) == Some(Version::new(3, 5, 0)) {
        report.facts.v2_keys = v2_keys(&own).await;
    }
    report.downgrade = downgrade(&own, seen).await;
    report
}

fn kind_of(seen: &Seen, version: Option<Version>) -> Kind {
    match (&seen.account, version) {
        (Account::Own(_), _) => Kind::Ours,
        (Account::Etcd(_), _) => Kind::Etcd,
        // No other version of this server exists.
        (Account::None(_), Some(version)) if version != super::facts::OURS => Kind::Etcd,
        (Account::None(_), _) => Kind::Unknown,
    }
}

async fn version_page(own: &Client) -> Option<Version> {
    let page: VersionPage = serde_json::from_str(&own.page("/version").await.ok()?).ok()?;
    page.cluster.parse().ok()
}

async fn quota(own: &Client) -> Option<i64> {
    let page = own.page("/metrics").await.ok()?;
    let line = page.lines().find_map(|line| line.strip_prefix("etcd_server_quota_backend_bytes "))?;
    #[expect(clippy::cast_possible_truncation, reason = "a quota that Go prints as 2.147483648e+09 is whole")]
    line.trim().parse::<f64>().ok().map(|quota| quota as i64)
}

/// Returns the number of keys below the root of the v2 API; 0 where the API is off.
async fn v2_keys(own: &Client) -> usize {
    let page = own.page("/v2/keys/").await.ok();
    page.and_then(|page| serde_json::from_str::<V2Page>(&page).ok()).map_or(0, |page| page.node.nodes.len())
}

/// Returns the target of the downgrade in progress. etcd 3.5 does not report it, so it is asked to
/// validate one.
async fn downgrade(own: &Client, seen: &Seen) -> Option<Version> {
    let status = own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
    let info = status.ok().and_then(|status| status.downgrade_info);
    if let Some(info) = info {
        return if info.enabled { info.target_version.parse().ok().map(Version::cluster) } else { None };
    }
    if let Some(page) = seen.page() {
        return page.held_version.as_deref().and_then(|version| version.parse().ok());
    }
    if seen.member.is_learner {
        return None;
    }
    let request = DowngradeRequest { action: DowngradeAction::Validate.into(), version: NO_TARGET.to_owned() };
    let validated = own.call(Repeat::Safe, async |session| session.maintenance().downgrade(request.clone()).await);
    match validated.await {
        // The target is not reported: any that is no cluster version will do.
        Err(CallError::Status { status, .. }) if status.message() == IN_PROGRESS => NO_TARGET.parse().ok(),
        Ok(_) | Err(_) => None,
    }
}
