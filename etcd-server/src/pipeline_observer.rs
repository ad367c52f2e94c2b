//! Counts what the pipeline does, under etcd's names.

use api::observe::{count_operations, kind_of_applied};
use apply::{Refusal, RequestKind};
use engine::{AppliedRequest, Observer};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::metrics::Metrics;

#[derive(Debug)]
pub(crate) struct PipelineObserver {
    metrics: Arc<Metrics>,
    /// Applying that takes longer is told in the log (`--warning-apply-duration`).
    slow_apply: Duration,
}

impl PipelineObserver {
    pub(crate) fn new(metrics: Arc<Metrics>, slow_apply: Duration) -> Self {
        Self { metrics, slow_apply }
    }

    #[cold]
    fn tell_slow(&self, applied: &AppliedRequest<'_>) {
        self.metrics.server.slow_apply.inc();
        tracing::warn!(
            took = ?applied.took,
            "expected-duration" = ?self.slow_apply,
            prefix = "",
            request = kind_of_applied(applied.kind).label(),
            request_bytes = applied.data.len(),
            index = applied.index,
            error = applied.refusal.map(tracing::field::display),
            "apply request took too long"
        );
    }
}

impl Observer for PipelineObserver {
    fn applied(&self, applied: &AppliedRequest<'_>) {
        // etcd counts a compacted revision as a success.
        let success = applied.refusal.is_none_or(|refusal| matches!(refusal, Refusal::Keys(mvcc::Refusal::Compacted { .. })));
        self.metrics.server.apply.record(kind_of_applied(applied.kind), success, applied.took);
        count_operations(&self.metrics, applied.operations);
        if applied.took > self.slow_apply {
            self.tell_slow(applied);
        }
    }

    fn batch_written(&self, took: Duration) {
        self.metrics.disk.backend_commit.record(took);
    }

    fn log_written(&self, bytes: u64, took: Duration) {
        self.metrics.disk.wal_write_bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.disk.wal_write.record(took);
    }

    fn log_synced(&self, took: Duration) {
        self.metrics.disk.wal_fsync.record(took);
    }

    fn removal_step(&self, revisions: u64, took: Duration) {
        self.metrics.mvcc.compacted_keys.inc_by(revisions);
        self.metrics.mvcc.compaction_step.record(took);
    }

    fn removal_completed(&self, took: Duration) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.mvcc.compaction_last.set(i64::try_from(unix.as_secs()).unwrap_or(i64::MAX));
        self.metrics.mvcc.compaction.record(took);
    }

    fn leader_changed(&self) {
        self.metrics.server.leader_changes_seen.inc();
    }

    fn lease_granted(&self, ttl_seconds: i64) {
        self.metrics.lease.granted.inc();
        self.metrics.lease.ttl.record(Duration::from_secs(ttl_seconds.unsigned_abs()));
    }

    fn lease_revoked(&self) {
        self.metrics.lease.revoked.inc();
    }

    fn request_decided(&self, kind: RequestKind, success: bool, took: Duration) {
        self.metrics.server.requests.record(kind_of_applied(kind), success, took);
    }

    fn proposal_failed(&self) {
        self.metrics.server.proposals_failed.inc();
    }

    fn read_index_timed_out(&self) {
        self.metrics.server.slow_read_indexes.inc();
    }

    fn read_index_failed(&self) {
        self.metrics.server.read_indexes_failed.inc();
    }
}
