//! The metrics of etcd 3.7.1 that are not shown, each with its reason.

/// The reason why a family of etcd is not shown.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    /// The name of the family, or a prefix of names when it ends in `*`.
    pub name: &'static str,
    pub reason: &'static str,
}

impl Absence {
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        }
    }
}

const fn absent(name: &'static str, reason: &'static str) -> Absence {
    Absence { name, reason }
}

const NO_B_TREE: &str = "a phase of committing a B-tree page file; the store here writes a log-structured batch in one step, \
    measured by etcd_disk_backend_commit_duration_seconds";
const NO_V2_STORE: &str = "counts requests to the store of API v2, which does not exist here";
const NEVER_SHOWN: &str = "defined by etcd and never registered, so no etcd shows it";

/// Every family of etcd 3.7.1 that is not shown here.
pub const ABSENCES: &[Absence] = &[
    absent(
        "go_*",
        "describes the runtime of a Go program: its collector, heap and scheduler. A constant would mislead; memory, processor time and \
         descriptors are in process_*, which etcd's alerts, dashboard and etcdctl read",
    ),
    absent("etcd_server_go_version", "tells the Go version that built the server; none did"),
    absent(
        "etcd_grpc_proxy_*",
        "counts the work of the gRPC proxy, which is another program; a plain etcd server shows constant zeros",
    ),
    absent("etcd_debugging_disk_backend_commit_rebalance_duration_seconds", NO_B_TREE),
    absent("etcd_debugging_disk_backend_commit_spill_duration_seconds", NO_B_TREE),
    absent("etcd_debugging_disk_backend_commit_write_duration_seconds", NO_B_TREE),
    absent(
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "the pause while the index of all keys in memory is compacted; there is no such index",
    ),
    absent(
        "etcd_debugging_snap_save_marshalling_duration_seconds",
        "the time to encode a .snap file; a raft snapshot here is a set of linked files",
    ),
    absent("etcd_debugging_store_expires_total", NO_V2_STORE),
    absent("etcd_debugging_store_reads_total", NO_V2_STORE),
    absent("etcd_debugging_store_watch_requests_total", NO_V2_STORE),
    absent("etcd_debugging_store_watchers", NO_V2_STORE),
    absent("etcd_debugging_store_writes_total", NO_V2_STORE),
    absent("etcd_debugging_store_reads_failed_total", NEVER_SHOWN),
    absent("etcd_debugging_store_writes_failed_total", NEVER_SHOWN),
];
