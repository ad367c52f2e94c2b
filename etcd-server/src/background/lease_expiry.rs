//! Revoking leases that have run out, while this member leads.

use replica::Replica;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::Metrics;
use types::LeaseId;

/// Interval between two checks of the deadlines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Leases revoked after one look.
const LEASES_PER_LOOK: usize = 500;

/// Looks at the deadlines for ever.
pub(crate) async fn run(replica: Arc<Replica>, metrics: Arc<Metrics>) {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        loop {
            let now = replica.clock().now();
            let due = replica.published().expiry().lock().expired(now, LEASES_PER_LOOK);
            let more = due.more || !due.items.is_empty();
            revoke(&replica, due.items, &metrics).await;
            if !more {
                break;
            }
        }
        checkpoint(&replica).await;
    }
}

/// Proposes all at once, so that they share appends, and waits for them, so that the next check
/// sees the remaining ones.
async fn revoke(replica: &Replica, leases: Vec<LeaseId>, metrics: &Metrics) {
    let revokes = leases.into_iter().map(|lease| async move {
        metrics.lease.expired.inc();
        if let Err(error) = replica.propose_as_leader(pipeline::revoke_lease(lease)).await {
            tracing::warn!(lease_id = %lease, %error, "failed to revoke lease");
        }
    });
    futures::future::join_all(revokes).await;
}

async fn checkpoint(replica: &Replica) {
    let due = replica.published().expiry().lock().due_checkpoints(replica.clock().now());
    let Some(request) = pipeline::checkpoint_leases(&due.items) else { return };
    if let Err(error) = replica.propose_as_leader(request).await {
        tracing::warn!(%error, "failed to checkpoint leases");
    }
}
