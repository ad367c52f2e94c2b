//! Values that are read when the page is asked for, instead of being counted as they change.

use prometheus::{IntGauge, IntGaugeVec};
use types::MemberId;

use super::builder::Builder;

/// An alarm as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmType {
    NoSpace,
    Corrupt,
}

impl AlarmType {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        }
    }
}

/// The state of the member at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub has_leader: bool,
    pub is_leader: bool,
    pub is_learner: bool,
    pub committed_index: u64,
    pub applied_index: u64,
    /// Proposals of this member that wait for their result.
    pub proposals_pending: u64,
    /// A received raft snapshot is being installed.
    pub installing_snapshot: bool,
    /// The quota in effect; a negative one, which turns it off, as configured.
    pub quota_backend_bytes: i64,
    /// `3.7`; `None` until the cluster has decided.
    pub cluster_version: Option<String>,
    /// Size on the disk, and the part of it that an unfragmented store would take.
    pub database_bytes: u64,
    pub database_bytes_in_use: u64,
    pub open_read_transactions: u64,
    pub current_revision: i64,
    /// -1 before the first compaction.
    pub compact_revision: i64,
    pub live_keys: u64,
    pub pending_events: u64,
    pub slow_watchers: u64,
    pub watch_streams: u64,
    pub watchers: u64,
    pub auth_revision: u64,
    /// The alarms raised now.
    pub alarms: Vec<(MemberId, AlarmType)>,
}

/// The source of the state for the page.
pub trait Source: Send + Sync {
    /// The state now. Answers at once from memory: no disk, no waiting for another thread's turn,
    /// no lock that is held while something slow goes on. A scrape must not hang because the member
    /// does.
    fn sample(&self) -> Sample;
}

/// The value of a gauge in a sample.
type Value = fn(&Sample) -> i64;

/// The gauges that a sample sets.
#[derive(Debug)]
pub(super) struct SampledGauges {
    plain: Vec<(IntGauge, Value)>,
    cluster_version: IntGaugeVec,
    alarms: IntGaugeVec,
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl SampledGauges {
    pub(super) fn new(builder: &Builder) -> Self {
        let rows: [(&str, Value); 19] = [
            ("etcd_server_has_leader", |now| i64::from(now.has_leader)),
            ("etcd_server_is_leader", |now| i64::from(now.is_leader)),
            ("etcd_server_is_learner", |now| i64::from(now.is_learner)),
            ("etcd_server_proposals_committed_total", |now| signed(now.committed_index)),
            ("etcd_server_proposals_applied_total", |now| signed(now.applied_index)),
            ("etcd_server_proposals_pending", |now| signed(now.proposals_pending)),
            ("etcd_server_snapshot_apply_in_progress_total", |now| i64::from(now.installing_snapshot)),
            ("etcd_server_quota_backend_bytes", |now| now.quota_backend_bytes),
            ("etcd_mvcc_db_total_size_in_bytes", |now| signed(now.database_bytes)),
            ("etcd_mvcc_db_total_size_in_use_in_bytes", |now| signed(now.database_bytes_in_use)),
            ("etcd_mvcc_db_open_read_transactions", |now| signed(now.open_read_transactions)),
            ("etcd_debugging_mvcc_current_revision", |now| now.current_revision),
            ("etcd_debugging_mvcc_compact_revision", |now| now.compact_revision),
            ("etcd_debugging_mvcc_keys_total", |now| signed(now.live_keys)),
            ("etcd_debugging_mvcc_pending_events_total", |now| signed(now.pending_events)),
            ("etcd_debugging_mvcc_slow_watcher_total", |now| signed(now.slow_watchers)),
            ("etcd_debugging_mvcc_watch_stream_total", |now| signed(now.watch_streams)),
            ("etcd_debugging_mvcc_watcher_total", |now| signed(now.watchers)),
            ("etcd_debugging_auth_revision", |now| signed(now.auth_revision)),
        ];
        Self {
            plain: rows.into_iter().map(|(name, value)| (builder.gauge(name), value)).collect(),
            cluster_version: builder.gauges("etcd_cluster_version", &["cluster_version"]),
            alarms: builder.gauges("etcd_debugging_server_alarms", &["server_id", "alarm_type"]),
        }
    }

    /// Takes over a sample. `shown` is the sample before it; only one thread at a time calls this.
    pub(super) fn set(&self, now: &Sample, shown: &Sample) {
        for (gauge, value) in &self.plain {
            gauge.set(value(now));
        }
        if now.cluster_version != shown.cluster_version {
            self.cluster_version.reset();
        }
        if let Some(version) = &now.cluster_version {
            self.cluster_version.with_label_values(&[version.as_str()]).set(1);
        }
        let lowered = shown.alarms.iter().filter(|alarm| !now.alarms.contains(alarm)).map(|alarm| (alarm, 0));
        for ((member, alarm), value) in lowered.chain(now.alarms.iter().map(|alarm| (alarm, 1))) {
            self.alarms.with_label_values(&[member.to_string().as_str(), alarm.label()]).set(value);
        }
    }
}
