//! Compaction without being asked: by number of revisions, or by age.

use config::AutoCompaction;
use consensus::Role;
use proto::etcdserverpb::{CompactionRequest, InternalRaftRequest};
use replica::{Replica, RequestError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Interval between two checks of the number of revisions (etcd: v3compactor/revision.go).
const REVISION_INTERVAL: Duration = Duration::from_secs(300);
/// Periods above it are kept in steps of an hour (etcd: v3compactor/periodic.go).
const PERIOD_STEP_MAX: Duration = Duration::from_secs(3600);
/// Looks per step.
const LOOKS_PER_STEP: u32 = 10;

/// Starts the configured compactions.
pub(crate) fn start(replica: &Arc<Replica>, settings: &AutoCompaction) -> Option<JoinHandle<()>> {
    match settings {
        AutoCompaction::Off => None,
        AutoCompaction::Revision(keep) => {
            let keep = i64::try_from(keep.get()).unwrap_or(i64::MAX);
            Some(tokio::spawn(by_revision(Arc::clone(replica), keep)))
        }
        AutoCompaction::Periodic(period) => Some(tokio::spawn(by_age(Arc::clone(replica), *period))),
    }
}

async fn by_revision(replica: Arc<Replica>, keep: i64) {
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + REVISION_INTERVAL, REVISION_INTERVAL);
    loop {
        look.tick().await;
        compact(&replica, replica.published().read_point().current - keep).await;
    }
}

/// Remembers the revision at each look, and compacts at the one that is a period old, once per
/// step.
async fn by_age(replica: Arc<Replica>, period: Duration) {
    let step = period.min(PERIOD_STEP_MAX);
    let look_interval = step / LOOKS_PER_STEP;
    let kept =
        usize::try_from(period.as_nanos() / look_interval.as_nanos().max(1)).unwrap_or(usize::MAX).saturating_add(1);
    let mut look = tokio::time::interval(look_interval.max(Duration::from_millis(1)));
    let mut revisions = VecDeque::new();
    let mut looks_since = 0;
    loop {
        look.tick().await;
        revisions.push_back(replica.published().read_point().current);
        if revisions.len() > kept {
            revisions.pop_front();
        }
        looks_since += 1;
        if revisions.len() == kept && looks_since >= LOOKS_PER_STEP {
            looks_since = 0;
            if let Some(revision) = revisions.front() {
                compact(&replica, *revision).await;
            }
        }
    }
}

/// Only the leader proposes, so that members do not repeat each other.
async fn compact(replica: &Replica, revision: i64) {
    let published = replica.published();
    if revision <= published.read_point().compacted.max(1) || published.raft_status().role != Role::Leader {
        return;
    }
    tracing::info!(revision, "starting auto compaction");
    let compaction = CompactionRequest { revision, physical: false };
    let request = InternalRaftRequest { compaction: Some(compaction), ..InternalRaftRequest::default() };
    match replica.propose(request, &replica.own_identity()).await {
        Ok(_) => tracing::info!(revision, "completed auto compaction"),
        // Another compaction was faster.
        Err(RequestError::State(apply::ApplyError::Keys(mvcc_refusal))) => {
            tracing::info!(revision, reason = %mvcc_refusal, "skipped auto compaction")
        }
        Err(error) => tracing::warn!(revision, %error, "failed auto compaction"),
    }
}
