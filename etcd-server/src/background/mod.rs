//! Background tasks of a member, beside requests: some of them only while it is leader.

pub(crate) mod apply_events;
mod auto_compaction;
mod cluster_version;
pub(crate) mod corruption;
mod lease_expiry;
mod promotion;
mod publish;
pub(crate) mod token_files;

use crate::host::systemd;
use api::Server;
use config::Settings;
use peer::Transport;
use replica::Replica;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::Metrics;
use tokio::task::JoinHandle;

/// Starts all duties; each ends when the process does.
pub(crate) fn start(
    server: &Server,
    transport: &Transport,
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Vec<JoinHandle<()>> {
    let replica = server.replica();
    // Only members of etcd, and the check, compare the hashes of compactions.
    let (always, members) = (settings.corrupt_check.compact_hash_interval.is_some(), transport.clone());
    replica.published().hash_compactions_when(move || always || members.may_have_etcd_members());
    let mut tasks = vec![
        tokio::spawn(lease_expiry::run(Arc::clone(replica), Arc::clone(metrics))),
        tokio::spawn(cluster_version::run(Arc::clone(replica), transport.clone())),
        tokio::spawn(corruption::compare_live(server.clone(), transport.clone())),
        tokio::spawn(systemd::tell_status(Arc::clone(replica), transport.clone())),
        tokio::spawn(systemd::feed_watchdog(Arc::clone(replica))),
        tokio::spawn(publish::run(Arc::clone(replica), publish::Attributes::of(settings))),
    ];
    if let Some(interval) = settings.downgrade_check {
        tasks.push(tokio::spawn(cluster_version::end_completed_downgrade(
            Arc::clone(replica),
            transport.clone(),
            interval,
        )));
    }
    if settings.limits.auto_promote_learners {
        tasks.push(tokio::spawn(promotion::run(server.clone())));
    }
    if let Some(interval) = settings.corrupt_check.compact_hash_interval {
        tasks.push(tokio::spawn(corruption::compare_after_compactions(server.clone(), transport.clone(), interval)));
    }
    if let Some(interval) = settings.corrupt_check.interval {
        tasks.push(tokio::spawn(corruption::compare_periodically(server.clone(), transport.clone(), interval)));
    }
    tasks.extend(auto_compaction::start(replica, &settings.auto_compaction));
    tasks
}

/// Waits until everything is applied that was known to be committed when the process started.
pub(crate) async fn wait_for_replay(replica: &Replica) {
    let committed = replica.published().raft_status().commit;
    let mut look = tokio::time::interval(Duration::from_millis(10));
    while replica.published().raft_status().applied < committed {
        look.tick().await;
    }
}

/// Waits until a leader is known, this member has published itself and replayed its log.
pub(crate) async fn wait_for_leader(replica: &Replica) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        look.tick().await;
        let published = replica.published();
        let known = published.members().cluster_version().is_some();
        let named = published.members().member(replica.member_id()).is_some_and(membership::Member::is_started);
        // Entries acknowledged before the last end must be readable, also by serializable reads.
        if published.raft_status().leader != 0 && known && named && replica.barrier().await.is_ok() {
            return;
        }
    }
}
