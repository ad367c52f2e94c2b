//! The table of all families that are shown: names, types, labels and buckets are those of etcd
//! 3.7.1.
//!
//! Families that etcd shows and this server does not are in [`ABSENCES`](super::ABSENCES).

/// Type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram(Buckets),
}

/// Upper bounds of a histogram's buckets; the last one, without bound, is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// The library's own: from 5 ms to 10 s.
    Default,
    /// `first`, then each twice the one before.
    Doubling { first: f64, count: u8 },
}

// A bound is a constant of this file and never NaN.
impl Eq for Buckets {}

impl Buckets {
    #[must_use]
    pub fn bounds(self) -> Vec<f64> {
        match self {
            Self::Default => prometheus::DEFAULT_BUCKETS.to_vec(),
            Self::Doubling { first, count } => (0..i32::from(count)).map(|step| first * 2f64.powi(step)).collect(),
        }
    }
}

/// One family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    buckets: Buckets,
    help: &'static str,
) -> Family {
    Family { name, kind: Kind::Histogram(buckets), labels, help }
}

/// Every family shown, by name. Gauges whose name ends in `_total` are etcd's, too.
#[rustfmt::skip] // One row each.
pub const CATALOG: &[Family] = &[
    gauge("etcd_cluster_version", &["cluster_version"], "1 for the version that all members of the cluster speak, in the label 'cluster_version'."),
    gauge("etcd_debugging_auth_revision", &[], "Revision of the users, roles and permissions."),
    counter("etcd_debugging_lease_granted_total", &[], "Leases granted."),
    counter("etcd_debugging_lease_renewed_total", &[], "Leases renewed by this member as the leader."),
    counter("etcd_debugging_lease_revoked_total", &[], "Leases revoked."),
    histogram("etcd_debugging_lease_ttl_total", &[], Buckets::Doubling { first: 1.0, count: 24 }, "Times to live of the leases granted, in seconds."),
    gauge("etcd_debugging_mvcc_compact_revision", &[], "Revision of the last compaction, -1 before the first."),
    gauge("etcd_debugging_mvcc_current_revision", &[], "Current revision of the key space."),
    counter("etcd_debugging_mvcc_db_compaction_keys_total", &[], "Revisions of keys removed by compaction."),
    gauge("etcd_debugging_mvcc_db_compaction_last", &[], "Unix time at which the last compaction ended, 0 when there was none since the start."),
    histogram("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", &[], Buckets::Doubling { first: 1.0, count: 13 }, "Duration of one step of a compaction."),
    histogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", &[], Buckets::Doubling { first: 100.0, count: 14 }, "Duration of a compaction from its first step to its last."),
    counter("etcd_debugging_mvcc_events_total", &[], "Events sent to watchers by this member."),
    gauge("etcd_debugging_mvcc_keys_total", &[], "Keys that exist now."),
    gauge("etcd_debugging_mvcc_pending_events_total", &[], "Events that wait to be sent to watchers."),
    gauge("etcd_debugging_mvcc_slow_watcher_total", &[], "Watchers that have not caught up with the current revision."),
    gauge("etcd_debugging_mvcc_total_put_size_in_bytes", &[], "Bytes of keys and values put, as seen by this member."),
    gauge("etcd_debugging_mvcc_watch_stream_total", &[], "Open watch streams."),
    gauge("etcd_debugging_mvcc_watcher_total", &[], "Watchers."),
    gauge("etcd_debugging_server_alarms", &["server_id", "alarm_type"], "1 while the alarm is raised for the member, 0 after it is lowered."),
    counter("etcd_debugging_server_lease_expired_total", &[], "Leases that this member, as the leader, let expire."),
    histogram("etcd_debugging_server_watch_send_loop_control_stream_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time a watch stream takes to send one response to a create or cancel."),
    histogram("etcd_debugging_server_watch_send_loop_progress_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time a watch stream takes to send one progress notification."),
    histogram("etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time a watch stream takes to send one response with events, divided by their number."),
    histogram("etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time a watch stream takes to send one response with events."),
    histogram("etcd_debugging_snap_save_total_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to make the applied state durable, so that the raft log may be cut."),
    histogram("etcd_disk_backend_commit_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to write one batch of applied entries to the state store."),
    histogram("etcd_disk_backend_defrag_duration_seconds", &[], Buckets::Doubling { first: 0.1, count: 13 }, "Time of a defragmentation."),
    histogram("etcd_disk_backend_snapshot_duration_seconds", &[], Buckets::Doubling { first: 0.01, count: 17 }, "Time to stream a backup to a client."),
    gauge("etcd_disk_defrag_inflight", &[], "1 while a defragmentation runs on this member, else 0."),
    histogram("etcd_disk_wal_fsync_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to make appended records of the raft log durable."),
    gauge("etcd_disk_wal_write_bytes_total", &[], "Bytes written to the raft log."),
    histogram("etcd_disk_wal_write_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to hand appended records of the raft log to the system."),
    gauge("etcd_mvcc_db_open_read_transactions", &[], "Views of the state that are being read."),
    gauge("etcd_mvcc_db_total_size_in_bytes", &[], "Bytes of the state store on the disk."),
    gauge("etcd_mvcc_db_total_size_in_use_in_bytes", &[], "Bytes of the state store that hold data in use."),
    counter("etcd_mvcc_delete_total", &[], "Range deletions executed by this member."),
    histogram("etcd_mvcc_hash_duration_seconds", &[], Buckets::Doubling { first: 0.01, count: 15 }, "Time to serve a Hash request."),
    histogram("etcd_mvcc_hash_rev_duration_seconds", &[], Buckets::Doubling { first: 0.01, count: 15 }, "Time to hash the key space at a revision."),
    counter("etcd_mvcc_put_total", &[], "Puts executed by this member."),
    counter("etcd_mvcc_range_total", &[], "Ranges read by this member."),
    counter("etcd_mvcc_txn_total", &[], "Transactions of more than one operation executed by this member."),
    gauge("etcd_network_active_peers", &["Local", "Remote"], "1 while this member is connected with the peer, else 0."),
    counter("etcd_network_client_grpc_received_bytes_total", &[], "Bytes of messages received from gRPC clients."),
    counter("etcd_network_client_grpc_sent_bytes_total", &[], "Bytes of messages sent to gRPC clients."),
    counter("etcd_network_disconnected_peers_total", &["Local", "Remote"], "Times the connection with the peer was lost."),
    gauge("etcd_network_known_peers", &["Local", "Remote"], "1 while the peer is a member of the cluster, else 0."),
    counter("etcd_network_peer_received_bytes_total", &["From"], "Bytes received from the peer."),
    counter("etcd_network_peer_received_failures_total", &["From"], "Messages of the remote address that could not be received."),
    histogram("etcd_network_peer_round_trip_time_seconds", &["To"], Buckets::Doubling { first: 0.0001, count: 16 }, "Time of one probe to the peer and back."),
    counter("etcd_network_peer_sent_bytes_total", &["To"], "Bytes sent to the peer."),
    counter("etcd_network_peer_sent_failures_total", &["To"], "Messages that could not be sent to the peer."),
    counter("etcd_network_server_stream_failures_total", &["Type", "API"], "Streams with clients that this member, not the client, made fail."),
    counter("etcd_network_snapshot_receive_failures", &["From"], "Raft snapshots of the peer whose receipt failed."),
    gauge("etcd_network_snapshot_receive_inflights_total", &["From"], "Raft snapshots that are being received from the peer."),
    counter("etcd_network_snapshot_receive_success", &["From"], "Raft snapshots received from the peer."),
    histogram("etcd_network_snapshot_receive_total_duration_seconds", &["From"], Buckets::Doubling { first: 0.1, count: 10 }, "Time to receive a raft snapshot from the peer."),
    counter("etcd_network_snapshot_send_failures", &["To"], "Raft snapshots that could not be sent to the peer."),
    gauge("etcd_network_snapshot_send_inflights_total", &["To"], "Raft snapshots that are being sent to the peer."),
    counter("etcd_network_snapshot_send_success", &["To"], "Raft snapshots sent to the peer."),
    histogram("etcd_network_snapshot_send_total_duration_seconds", &["To"], Buckets::Doubling { first: 0.1, count: 10 }, "Time to send a raft snapshot to the peer."),
    histogram("etcd_server_apply_duration_seconds", &["version", "op", "success"], Buckets::Doubling { first: 0.0001, count: 20 }, "Time to apply one request to the state."),
    counter("etcd_server_client_requests_total", &["type", "client_api_version"], "Requests of clients by the version of their library."),
    gauge("etcd_server_feature_enabled", &["name", "stage"], "1 for a feature that is on, 0 for one that is off."),
    gauge("etcd_server_has_leader", &[], "1 while this member knows a leader, else 0."),
    counter("etcd_server_health_failures", &[], "Health checks answered with failure."),
    counter("etcd_server_health_success", &[], "Health checks answered with success."),
    gauge("etcd_server_healthcheck", &["type", "name"], "Last result of the check: 1 for good, 0 for bad."),
    counter("etcd_server_healthchecks_total", &["type", "name", "status"], "Results of the check."),
    counter("etcd_server_heartbeat_send_failures_total", &[], "Heartbeats that this member sent too late as the leader; the disk is likely too slow."),
    gauge("etcd_server_id", &["server_id"], "1 for this member's id, in the label 'server_id', in hexadecimal."),
    gauge("etcd_server_is_leader", &[], "1 while this member is the leader, else 0."),
    gauge("etcd_server_is_learner", &[], "1 while this member is a learner, else 0."),
    counter("etcd_server_leader_changes_seen_total", &[], "Changes of the leader seen."),
    counter("etcd_server_learner_promote_failures", &["Reason"], "Learners that this member failed to promote as the leader, by reason."),
    counter("etcd_server_learner_promote_successes", &[], "Learners promoted by this member as the leader."),
    gauge("etcd_server_proposals_applied_total", &[], "Index of the last entry applied."),
    gauge("etcd_server_proposals_committed_total", &[], "Index of the last entry committed."),
    counter("etcd_server_proposals_failed_total", &[], "Proposals that failed."),
    gauge("etcd_server_proposals_pending", &[], "Proposals that wait to be committed."),
    gauge("etcd_server_quota_backend_bytes", &[], "Quota of the state store in bytes."),
    histogram("etcd_server_range_duration_seconds", &["success"], Buckets::Doubling { first: 0.0001, count: 20 }, "Time to read one range."),
    counter("etcd_server_read_indexes_failed_total", &[], "Read indexes that could not be had."),
    histogram("etcd_server_request_duration_seconds", &["type", "success"], Buckets::Doubling { first: 0.001, count: 14 }, "Time from proposing a request, or starting to read, to its result."),
    counter("etcd_server_slow_apply_total", &[], "Requests whose applying took longer than the warning limit."),
    counter("etcd_server_slow_read_indexes_total", &[], "Read indexes that did not come in time or came too late to be of use."),
    gauge("etcd_server_snapshot_apply_in_progress_total", &[], "1 while a received raft snapshot is being installed, else 0."),
    gauge("etcd_server_version", &["server_version"], "1 for the version of this server, in the label 'server_version'."),
    histogram("etcd_snap_db_fsync_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to make the files of a received raft snapshot durable."),
    histogram("etcd_snap_db_save_total_duration_seconds", &[], Buckets::Doubling { first: 0.1, count: 10 }, "Time to save a received raft snapshot."),
    histogram("etcd_snap_fsync_duration_seconds", &[], Buckets::Doubling { first: 0.001, count: 14 }, "Time to cut the raft log and make its new beginning durable."),
    counter("grpc_server_handled_total", &["grpc_type", "grpc_service", "grpc_method", "grpc_code"], "RPCs completed, by their code."),
    histogram("grpc_server_handling_seconds", &["grpc_type", "grpc_service", "grpc_method"], Buckets::Default, "Time from the start of an RPC to its completion."),
    counter("grpc_server_msg_received_total", &["grpc_type", "grpc_service", "grpc_method"], "Messages of RPCs received."),
    counter("grpc_server_msg_sent_total", &["grpc_type", "grpc_service", "grpc_method"], "Messages of RPCs sent."),
    counter("grpc_server_started_total", &["grpc_type", "grpc_service", "grpc_method"], "RPCs started."),
    gauge("os_fd_limit", &[], "Descriptors that this process may have open."),
    gauge("os_fd_used", &[], "Descriptors that this process has open."),
    counter("process_cpu_seconds_total", &[], "Processor time spent in user and system mode, in seconds."),
    gauge("process_max_fds", &[], "Descriptors that this process may have open."),
    counter("process_network_receive_bytes_total", &[], "Bytes received in the process's network namespace."),
    counter("process_network_transmit_bytes_total", &[], "Bytes sent in the process's network namespace."),
    gauge("process_open_fds", &[], "Descriptors that this process has open."),
    gauge("process_resident_memory_bytes", &[], "Memory of this process in RAM, in bytes."),
    gauge("process_start_time_seconds", &[], "Unix time at which this process started, in seconds."),
    gauge("process_virtual_memory_bytes", &[], "Address space of this process, in bytes."),
    gauge("process_virtual_memory_max_bytes", &[], "Limit of the address space of this process, in bytes."),
    gauge("promhttp_metric_handler_requests_in_flight", &[], "Scrapes being answered."),
    counter("promhttp_metric_handler_requests_total", &["code"], "Scrapes answered, by HTTP status."),
];
