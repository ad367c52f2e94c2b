//! Counters of the member as a whole: requests, proposals, read indexes, leader changes, health
//! checks.

use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::builder::{Builder, Durations, DurationsVec, OnUse};
use super::request_kind::RequestKind;

/// Durations by kind of request and success.
#[derive(Debug)]
pub struct RequestDurations {
    family: DurationsVec,
    version: Option<&'static str>,
    children: OnUse<Durations>,
}

impl RequestDurations {
    fn applying(builder: &Builder) -> Self {
        let family = builder.durations_by("etcd_server_apply_duration_seconds", &["version", "op", "success"]);
        Self { family, version: Some("v3"), children: OnUse::new(RequestKind::ALL.len() * 2) }
    }

    fn requests(builder: &Builder) -> Self {
        let family = builder.durations_by("etcd_server_request_duration_seconds", &["type", "success"]);
        Self { family, version: None, children: OnUse::new(RequestKind::ALL.len() * 2) }
    }

    /// Records one request. A refused request is no success, except one that asks for a compacted
    /// revision while being applied: etcd counts that one as a success.
    pub fn record(&self, kind: RequestKind, success: bool, took: Duration) {
        let word = success_label(success);
        let child = self.children.get(kind.place(success), || match self.version {
            Some(version) => self.family.of(&[version, kind.op_label(), word]),
            None => self.family.of(&[kind.label(), word]),
        });
        child.record(took);
    }
}

/// Durations by success alone.
#[derive(Debug)]
pub struct OutcomeDurations {
    family: DurationsVec,
    children: OnUse<Durations>,
}

impl OutcomeDurations {
    pub fn record(&self, success: bool, took: Duration) {
        self.children.get(usize::from(success), || self.family.of(&[success_label(success)])).record(took);
    }
}

fn success_label(success: bool) -> &'static str {
    if success { "true" } else { "false" }
}

/// The two families of checks, as the label `type` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Live,
    Ready,
}

/// One check of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    SerializableRead,
    LinearizableRead,
    DataCorruption,
    NonLearner,
}

impl Check {
    pub const ALL: [Self; 4] = [Self::SerializableRead, Self::LinearizableRead, Self::DataCorruption, Self::NonLearner];

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::DataCorruption => "data_corruption",
            Self::NonLearner => "non_learner",
        }
    }
}

/// Results of /health, /livez and /readyz.
#[derive(Debug)]
pub struct HealthMetrics {
    /// Answers of /health.
    pub success: IntCounter,
    pub failures: IntCounter,
    last: IntGaugeVec,
    results: IntCounterVec,
}

impl HealthMetrics {
    fn new(builder: &Builder) -> Self {
        Self {
            success: builder.counter("etcd_server_health_success"),
            failures: builder.counter("etcd_server_health_failures"),
            last: builder.gauges("etcd_server_healthcheck", &["type", "name"]),
            results: builder.counters("etcd_server_healthchecks_total", &["type", "name", "status"]),
        }
    }

    /// One check of /livez or /readyz was made.
    pub fn checked(&self, probe: Probe, check: Check, good: bool) {
        let probe = match probe {
            Probe::Live => "livez",
            Probe::Ready => "readyz",
        };
        let status = if good { "success" } else { "error" };
        self.last.with_label_values(&[probe, check.label()]).set(i64::from(good));
        self.results.with_label_values(&[probe, check.label(), status]).inc();
    }
}

/// Counters of the member as a whole.
#[derive(Debug)]
pub struct ServerMetrics {
    /// Applying one request to the state.
    pub apply: RequestDurations,
    /// From proposing, or starting to read, to the result.
    pub requests: RequestDurations,
    /// Reading one range, those inside transactions too.
    pub range: OutcomeDurations,
    /// Applies that took longer than `--warning-apply-duration`.
    pub slow_apply: IntCounter,
    /// A leader is known that differs from the last one known; the first one counts, and so does
    /// the same one after none.
    pub leader_changes_seen: IntCounter,
    /// A proposal of this member was dropped, timed out or lost its leader.
    pub proposals_failed: IntCounter,
    /// A read index timed out, or its answer came too late.
    pub slow_read_indexes: IntCounter,
    /// A read index could not be asked for, or the leader changed meanwhile.
    pub read_indexes_failed: IntCounter,
    /// As the leader: a heartbeat left later than twice the interval after the last.
    pub heartbeat_send_failures: IntCounter,
    /// As the leader: a learner became a voter.
    pub learner_promote_successes: IntCounter,
    learner_promote_failures: IntCounterVec,
    pub health: HealthMetrics,
}

impl ServerMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        let range = builder.durations_by("etcd_server_range_duration_seconds", &["success"]);
        Self {
            apply: RequestDurations::applying(builder),
            requests: RequestDurations::requests(builder),
            range: OutcomeDurations { family: range, children: OnUse::new(2) },
            slow_apply: builder.counter("etcd_server_slow_apply_total"),
            leader_changes_seen: builder.counter("etcd_server_leader_changes_seen_total"),
            proposals_failed: builder.counter("etcd_server_proposals_failed_total"),
            slow_read_indexes: builder.counter("etcd_server_slow_read_indexes_total"),
            read_indexes_failed: builder.counter("etcd_server_read_indexes_failed_total"),
            heartbeat_send_failures: builder.counter("etcd_server_heartbeat_send_failures_total"),
            learner_promote_successes: builder.counter("etcd_server_learner_promote_successes"),
            learner_promote_failures: builder.counters("etcd_server_learner_promote_failures", &["Reason"]),
            health: HealthMetrics::new(builder),
        }
    }

    /// As the leader: a learner could not be promoted. `reason` is one of etcd's error texts, and
    /// static so that no text of a request becomes a label.
    pub fn learner_promote_failed(&self, reason: &'static str) {
        self.learner_promote_failures.with_label_values(&[reason]).inc();
    }
}
