//! Names that are no longer settings: ignored ones and removed ones.

/// A name that etcd once had.
#[derive(Clone, Copy, Debug)]
pub struct Removed {
    pub name: &'static str,
    /// The etcd release that refused it first.
    pub since: &'static str,
    /// The replacement; empty when there is none.
    pub instead: &'static str,
}

pub(super) const IGNORED: &[&str] = &[
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
];

const fn gone(name: &'static str, since: &'static str, instead: &'static str) -> Removed {
    Removed { name, since, instead }
}

pub(super) const REMOVED: &[Removed] = &[
    gone("discovery", "3.7", "--discovery-token and --discovery-endpoints"),
    gone("discovery-proxy", "3.7", ""),
    gone("experimental-bootstrap-defrag-threshold-megabytes", "3.7", "--bootstrap-defrag-threshold-megabytes"),
    gone("experimental-compact-hash-check-enabled", "3.7", "--feature-gates=CompactHashCheck=true"),
    gone("experimental-compact-hash-check-time", "3.7", "--compact-hash-check-time"),
    gone("experimental-compaction-batch-limit", "3.7", "--compaction-batch-limit"),
    gone("experimental-compaction-sleep-interval", "3.7", "--compaction-sleep-interval"),
    gone("experimental-corrupt-check-time", "3.7", "--corrupt-check-time"),
    gone("experimental-distributed-tracing-address", "3.7", "--distributed-tracing-address"),
    gone("experimental-distributed-tracing-instance-id", "3.7", "--distributed-tracing-instance-id"),
    gone("experimental-distributed-tracing-sampling-rate", "3.7", "--distributed-tracing-sampling-rate"),
    gone("experimental-distributed-tracing-service-name", "3.7", "--distributed-tracing-service-name"),
    gone("experimental-downgrade-check-time", "3.7", "--downgrade-check-time"),
    gone("experimental-enable-distributed-tracing", "3.7", "--enable-distributed-tracing"),
    gone("experimental-enable-lease-checkpoint", "3.7", "--feature-gates=LeaseCheckpoint=true"),
    gone(
        "experimental-enable-lease-checkpoint-persist",
        "3.7",
        "--feature-gates=LeaseCheckpoint=true,LeaseCheckpointPersist=true",
    ),
    gone("experimental-initial-corrupt-check", "3.7", "--feature-gates=InitialCorruptCheck=true"),
    gone("experimental-memory-mlock", "3.7", "--memory-mlock"),
    gone("experimental-peer-skip-client-san-verification", "3.7", "--peer-skip-client-san-verification"),
    gone("experimental-snapshot-catch-up-entries", "3.7", "--snapshot-catchup-entries"),
    gone("experimental-snapshot-catchup-entries", "3.7", "--snapshot-catchup-entries"),
    gone("experimental-stop-grpc-service-on-defrag", "3.7", "--feature-gates=StopGRPCServiceOnDefrag=true"),
    gone("experimental-txn-mode-write-with-shared-buffer", "3.7", "--feature-gates=TxnModeWriteWithSharedBuffer=true"),
    gone("experimental-warning-apply-duration", "3.7", "--warning-apply-duration"),
    gone("experimental-warning-unary-request-duration", "3.7", "--warning-unary-request-duration"),
    gone("experimental-watch-progress-notify-interval", "3.7", "--watch-progress-notify-interval"),
    gone("enable-v2", "3.6", ""),
    gone("experimental-enable-v2v3", "3.6", ""),
    gone("proxy", "3.6", ""),
    gone("proxy-failure-wait", "3.6", ""),
    gone("proxy-refresh-interval", "3.6", ""),
    gone("proxy-dial-timeout", "3.6", ""),
    gone("proxy-write-timeout", "3.6", ""),
    gone("proxy-read-timeout", "3.6", ""),
    gone("log-package-levels", "3.5", "--log-level"),
    gone("debug", "3.5", "--log-level=debug"),
];
