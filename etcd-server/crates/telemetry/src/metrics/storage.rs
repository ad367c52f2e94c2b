//! Counters of the raft log, the state store, the key space, watches and leases.

use prometheus::{IntCounter, IntGauge};

use super::builder::{Builder, Durations};

/// The raft log, the state store and raft snapshots on the disk.
#[derive(Debug)]
pub struct DiskMetrics {
    /// Making appended records of the raft log durable: one fdatasync.
    pub wal_fsync: Durations,
    /// Handing appended records to the system: one write.
    pub wal_write: Durations,
    /// Bytes of those writes.
    pub wal_write_bytes: IntGauge,
    /// Writing one batch of applied entries to the state store, which stands for etcd's commit of
    /// its page file.
    pub backend_commit: Durations,
    /// One Defragment.
    pub defrag: Durations,
    /// 1 while a Defragment runs.
    pub defrag_inflight: IntGauge,
    /// Streaming one backup to a client of Snapshot.
    pub backend_snapshot: Durations,
    /// Making the applied state durable, so that the raft log may be cut before it.
    pub snapshot_save: Durations,
    /// Cutting the raft log and making its new beginning durable.
    pub snapshot_fsync: Durations,
    /// Making the files of a received raft snapshot durable.
    pub received_snapshot_fsync: Durations,
    /// Saving a received raft snapshot, from its first byte to its last fsync.
    pub received_snapshot_save: Durations,
}

impl DiskMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            wal_fsync: builder.durations("etcd_disk_wal_fsync_duration_seconds"),
            wal_write: builder.durations("etcd_disk_wal_write_duration_seconds"),
            wal_write_bytes: builder.gauge("etcd_disk_wal_write_bytes_total"),
            backend_commit: builder.durations("etcd_disk_backend_commit_duration_seconds"),
            defrag: builder.durations("etcd_disk_backend_defrag_duration_seconds"),
            defrag_inflight: builder.gauge("etcd_disk_defrag_inflight"),
            backend_snapshot: builder.durations("etcd_disk_backend_snapshot_duration_seconds"),
            snapshot_save: builder.durations("etcd_debugging_snap_save_total_duration_seconds"),
            snapshot_fsync: builder.durations("etcd_snap_fsync_duration_seconds"),
            received_snapshot_fsync: builder.durations("etcd_snap_db_fsync_duration_seconds"),
            received_snapshot_save: builder.durations("etcd_snap_db_save_total_duration_seconds"),
        }
    }
}

/// Operations on the key space, inside transactions too.
#[derive(Debug)]
pub struct MvccMetrics {
    pub range: IntCounter,
    pub put: IntCounter,
    /// Range deletions, not keys deleted.
    pub delete: IntCounter,
    /// Transactions of more than one operation.
    pub txn: IntCounter,
    /// Bytes of the keys and values put; a gauge that only grows.
    pub put_bytes: IntGauge,
    /// Answering Hash.
    pub hash: Durations,
    /// Answering HashKV, and the hashes of the corruption check.
    pub hash_by_revision: Durations,
    /// Revisions of keys removed by compaction.
    pub compacted_keys: IntCounter,
    /// Unix seconds at the end of the last compaction since the start.
    pub compaction_last: IntGauge,
    /// One step of a compaction.
    pub compaction_step: Durations,
    /// A compaction from its first step to its last.
    pub compaction: Durations,
}

impl MvccMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            range: builder.counter("etcd_mvcc_range_total"),
            put: builder.counter("etcd_mvcc_put_total"),
            delete: builder.counter("etcd_mvcc_delete_total"),
            txn: builder.counter("etcd_mvcc_txn_total"),
            put_bytes: builder.gauge("etcd_debugging_mvcc_total_put_size_in_bytes"),
            hash: builder.durations("etcd_mvcc_hash_duration_seconds"),
            hash_by_revision: builder.durations("etcd_mvcc_hash_rev_duration_seconds"),
            compacted_keys: builder.counter("etcd_debugging_mvcc_db_compaction_keys_total"),
            compaction_last: builder.gauge("etcd_debugging_mvcc_db_compaction_last"),
            compaction_step: builder.durations("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds"),
            compaction: builder.durations("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds"),
        }
    }
}

/// Watch streams.
#[derive(Debug)]
pub struct WatchMetrics {
    /// Events sent to watchers.
    pub events: IntCounter,
    /// Sending one answer with events.
    pub send_events: Durations,
    /// The same, divided by the number of its events.
    pub send_per_event: Durations,
    /// Sending one progress notification.
    pub send_progress: Durations,
    /// Sending one answer to a create or cancel.
    pub send_control: Durations,
}

impl WatchMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            events: builder.counter("etcd_debugging_mvcc_events_total"),
            send_events: builder.durations("etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds"),
            send_per_event: builder
                .durations("etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds"),
            send_progress: builder.durations("etcd_debugging_server_watch_send_loop_progress_duration_seconds"),
            send_control: builder.durations("etcd_debugging_server_watch_send_loop_control_stream_duration_seconds"),
        }
    }
}

/// Leases.
#[derive(Debug)]
pub struct LeaseMetrics {
    /// Grants applied.
    pub granted: IntCounter,
    /// Revokes applied.
    pub revoked: IntCounter,
    /// Keep-alives answered as the leader.
    pub renewed: IntCounter,
    /// Leases for which this member, as the leader, proposed a revoke because their time was over.
    pub expired: IntCounter,
    /// Times to live of the grants applied.
    pub ttl: Durations,
}

impl LeaseMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            granted: builder.counter("etcd_debugging_lease_granted_total"),
            revoked: builder.counter("etcd_debugging_lease_revoked_total"),
            renewed: builder.counter("etcd_debugging_lease_renewed_total"),
            expired: builder.counter("etcd_debugging_server_lease_expired_total"),
            ttl: builder.durations("etcd_debugging_lease_ttl_total"),
        }
    }
}
