//! Metrics of the pipeline, under etcd's names.

use api::observe::{count_operations, kind_of_applied};
use api::request_text;
use apply::{ApplyError, ApplyResponse, RequestKind};
use prost::Message as _;
use replica::{AppliedRequest, Observer};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::metrics::Metrics;

#[derive(Debug)]
pub(crate) struct PipelineObserver {
    metrics: Arc<Metrics>,
    /// Applying that takes longer is logged (`--warning-apply-duration`).
    slow_apply: Duration,
}

impl PipelineObserver {
    pub(crate) fn new(metrics: Arc<Metrics>, slow_apply: Duration) -> Self {
        Self { metrics, slow_apply }
    }

    #[cold]
    fn log_slow(&self, applied: &AppliedRequest<'_>) {
        self.metrics.server.slow_apply.inc();
        tracing::warn!(
            took = ?applied.took,
            "expected-duration" = ?self.slow_apply,
            prefix = "",
            request = request_text::raft_request(applied.data),
            response = response_text(applied),
            error = applied.outcome.err().map(tracing::field::display),
            "apply request took too long"
        );
    }

    #[cold]
    fn log_failed(applied: &AppliedRequest<'_>, refusal: &ApplyError) {
        tracing::warn!(
            took = ?applied.took,
            request = request_text::raft_request(applied.data),
            response = response_text(applied),
            error = %refusal,
            "failed to apply request"
        );
    }
}

/// The size of a response, as etcd logs it; nothing for one that apply leaves to the service.
fn response_text(applied: &AppliedRequest<'_>) -> String {
    let size = match applied.outcome {
        Ok(ApplyResponse::Put(response)) => response.encoded_len(),
        Ok(ApplyResponse::DeleteRange(response)) => response.encoded_len(),
        Ok(ApplyResponse::Txn(response)) => response.encoded_len(),
        Ok(
            ApplyResponse::Done
            | ApplyResponse::Compaction(_)
            | ApplyResponse::LeaseGrant(_)
            | ApplyResponse::Alarms(_)
            | ApplyResponse::Authenticated { .. }
            | ApplyResponse::AuthStatus { .. }
            | ApplyResponse::Names(_)
            | ApplyResponse::Permissions(_)
            | ApplyResponse::Members(_),
        )
        | Err(_) => return String::new(),
    };
    format!("size:{size}")
}

impl Observer for PipelineObserver {
    fn applied(&self, applied: &AppliedRequest<'_>) {
        // etcd counts a compacted revision as a success.
        let failure = applied
            .outcome
            .err()
            .filter(|refusal| !matches!(refusal, ApplyError::Keys(mvcc::MvccError::Compacted { .. })));
        self.metrics.server.apply.record(kind_of_applied(applied.kind), failure.is_none(), applied.took);
        count_operations(&self.metrics, applied.operations);
        if applied.took > self.slow_apply {
            self.log_slow(applied);
        }
        if let Some(refusal) = failure {
            Self::log_failed(applied, refusal);
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

    fn state_flushed(&self, took: Duration) {
        self.metrics.disk.snapshot_save.record(took);
    }

    fn log_truncated(&self, took: Duration) {
        self.metrics.disk.snapshot_fsync.record(took);
    }

    fn heartbeats_late(&self, exceeded: Duration) {
        self.metrics.server.heartbeat_send_failures.inc();
        tracing::warn!(
            "exceeded-duration" = ?exceeded,
            "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk"
        );
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
