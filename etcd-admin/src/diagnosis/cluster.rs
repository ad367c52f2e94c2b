//! `doctor cluster`: what its members tell of themselves and of each other.

use super::finding::{Finding, tell};
use crate::client::{Client, Repeat};
use crate::cluster::{ClusterView, Seen};
use crate::context::Context;
use crate::ctl::size;
use crate::failure::Failure;
use proto::etcdserverpb::{HashKvRequest, MemberListRequest};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Entries behind which nobody worries.
const LAG_MAX: u64 = 1000;
/// Share of its size that a database may hold for nothing, in percent, and the size from which it matters.
const FREE_PERCENT: i64 = 50;
const FREE_MATTERS: i64 = 64 << 20;
/// Share of the quota at which it is time to act, in percent.
const QUOTA_PERCENT: i64 = 80;

pub(super) async fn doctor(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let view = ClusterView::look(client).await?;
    let mut findings = vec![leader(&view), voters(&view)];
    findings.extend(view.members.iter().map(|seen| member(&view, seen)));
    findings.extend(versions(&view));
    findings.extend(alarms(&view));
    for seen in &view.members {
        findings.extend(space(seen));
    }
    findings.extend(lists(client, &view).await);
    findings.extend(hashes(client, &view).await);
    tell(context, findings)
}

fn leader(view: &ClusterView) -> Finding {
    match view.leader() {
        Some(leader) => Finding::good("leader", leader.name(), "leads"),
        None => Finding::bad(
            "leader",
            "",
            "nobody leads",
            "most members are down or cut off: etcd-admin status, and etcd-admin doctor host on each",
        ),
    }
}

fn voters(view: &ClusterView) -> Finding {
    let (voters, tolerated) = (view.voters().count(), view.tolerated());
    let text = format!("{voters} vote, {} are needed, {tolerated} more may fail", view.quorum());
    match (voters, tolerated) {
        (1, _) => Finding::warning("quorum", "", text, "grow it to three: etcd-admin join on another host"),
        (_, 0) => Finding::bad("quorum", "", text, "bring back or replace the members that are away, before one more fails"),
        (voters, _) if voters % 2 == 0 => {
            Finding::warning("quorum", "", text, "an even number bears no more failures than one less: add or remove one")
        }
        _ => Finding::good("quorum", "", text),
    }
}

fn member(view: &ClusterView, seen: &Seen) -> Finding {
    let name = seen.name();
    let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
    match &seen.status {
        _ if !seen.is_started() => {
            let cure = format!("start it (etcd-admin join on its host), or take it out: etcd-admin member remove {}", seen.id());
            Finding::bad("member", name, "it was added and has never run; it blocks other changes of members", cure)
        }
        Err(error) => {
            let cure =
                format!("on its host: etcd-admin doctor host; if it is lost: etcd-admin member replace {name} --with NAME --peer-urls URL");
            Finding::bad("member", name, format!("not reached: {error}"), cure)
        }
        Ok(status) if !status.errors.is_empty() => {
            Finding::warning("member", name, status.errors.join("; "), "etcd-admin explain tells of each")
        }
        Ok(_) if seen.member.is_learner => {
            Finding::warning("member", name.clone(), "it learns and does not vote", format!("etcd-admin member promote {name}"))
        }
        Ok(_) if !seen.proven => {
            let cure = "it is cut off from the leader, or its disk hangs: etcd-admin doctor host there";
            Finding::bad("member", name, "it answers, but does not follow the leader", cure)
        }
        Ok(status) if newest.saturating_sub(status.raft_applied_index) > LAG_MAX => {
            let text = format!("{} entries behind", newest - status.raft_applied_index);
            Finding::warning("member", name, text, "slow disk or network: etcd-admin bench fsync there")
        }
        Ok(_) => Finding::good("member", name, "keeps up"),
    }
}

fn versions(view: &ClusterView) -> Option<Finding> {
    let versions: BTreeSet<String> =
        view.members.iter().filter_map(|seen| seen.status.as_ref().ok()).map(|status| status.version.clone()).collect();
    let listed = versions.iter().cloned().collect::<Vec<_>>().join(", ");
    match versions.len() {
        0 => None,
        1 => Some(Finding::good("version", "", listed)),
        _ => Some(Finding::warning(
            "version",
            "",
            format!("members differ: {listed}"),
            "finish the upgrade: etcd-admin roll upgrade tells the order",
        )),
    }
}

fn alarms(view: &ClusterView) -> Vec<Finding> {
    let told = view.alarms.iter().map(|(id, alarm)| {
        let name = view.name_of(*id);
        let cure = match alarm.as_str() {
            "NOSPACE" => "nothing can be written: etcd-admin maintenance reclaim, then raise quota or delete keys",
            "CORRUPT" => "its data differs from the others': etcd-admin member rebuild, and never disarm before",
            _ => "etcd-admin explain tells of it",
        };
        Finding::bad("alarm", name, alarm.clone(), cure)
    });
    told.collect()
}

fn space(seen: &Seen) -> Vec<Finding> {
    let Ok(status) = &seen.status else { return Vec::new() };
    let bytes = |bytes: i64| size(u64::try_from(bytes).unwrap_or(0));
    let text = format!("{}, of which {} in use", bytes(status.db_size), bytes(status.db_size_in_use));
    let mut findings = Vec::new();
    let wasted = status.db_size - status.db_size_in_use;
    findings.push(if status.db_size > FREE_MATTERS && wasted * 100 > status.db_size * FREE_PERCENT {
        Finding::warning("space", seen.name(), text, "give it back: etcd-admin defrag --endpoints of one member at a time")
    } else {
        Finding::good("space", seen.name(), text)
    });
    if status.db_size_quota > 0 && status.db_size * 100 > status.db_size_quota * QUOTA_PERCENT {
        let text = format!("{} of a quota of {}", bytes(status.db_size), bytes(status.db_size_quota));
        let cure = "etcd-admin maintenance reclaim forgets history; is auto-compaction on?";
        findings.push(Finding::warning("quota", seen.name(), text, cure));
    }
    findings
}

/// Every member has to list the same members.
async fn lists(client: &Client, view: &ClusterView) -> Vec<Finding> {
    let wanted: Vec<u64> = view.members.iter().map(|seen| seen.member.id).collect();
    let mut findings = Vec::new();
    for seen in view.members.iter().filter(|seen| seen.status.is_ok()) {
        let Some(own) = seen.endpoint.as_ref().and_then(|endpoint| client.at(endpoint).ok()) else { continue };
        let request = MemberListRequest { linearizable: false };
        let listed = own.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
        let listed: Option<Vec<u64>> = listed.ok().map(|listed| listed.members.iter().map(|member| member.id).collect());
        if listed.is_some_and(|listed| listed != wanted) {
            let cure = "if it stays so it is of another cluster: look at its data directory with etcd-admin doctor offline";
            findings.push(Finding::warning("members", seen.name(), "it lists other members than the leader", cure));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("members", "", "all list the same members"));
    }
    findings
}

/// The same key space at the same revision on all.
async fn hashes(client: &Client, view: &ClusterView) -> Option<Finding> {
    let mut hashes = Vec::new();
    for seen in view.members.iter().filter(|seen| seen.proven) {
        let own = client.at(seen.endpoint.as_ref()?).ok()?;
        let request = HashKvRequest { revision: view.revision };
        let answer = own.call(Repeat::Safe, async |session| session.maintenance().hash_kv(request).await).await.ok()?;
        hashes.push((seen.name(), answer.hash, answer.compact_revision));
    }
    let compacted: BTreeSet<i64> = hashes.iter().map(|(_, _, compacted)| *compacted).collect();
    let distinct: BTreeSet<u32> = hashes.iter().map(|(_, hash, _)| *hash).collect();
    let text = hashes.iter().map(|(name, hash, _)| format!("{name} {hash:08x}")).collect::<Vec<_>>().join(", ");
    match (compacted.len(), distinct.len()) {
        (_, 0) => None,
        (1, 1) => Some(Finding::good("content", "", format!("the same at revision {} on {}", view.revision, hashes.len()))),
        // Compacted at different moments, which hashes tell apart too.
        (compacted, _) if compacted > 1 => None,
        _ => {
            let cure = "the one that differs from the majority is damaged: etcd-admin member rebuild";
            Some(Finding::bad("content", "", format!("members differ at revision {}: {text}", view.revision), cure))
        }
    }
}
