//! Settings of this member alone: its name, directories, addresses and limits.

use crate::row::{Kind, Row};

const NOT_BBOLT: &str = "it tunes etcd's storage engine; the state here lives in RocksDB";

pub(super) const ROWS: &[Row] = &[
    Row::new("name", Kind::Text, "default", "Name of this member, as it appears in --initial-cluster."),
    Row::new(
        "data-dir",
        Kind::Text,
        "",
        "Directory of this member's data. Empty stands for NAME.etcd in the current directory.",
    ),
    Row::new(
        "wal-dir",
        Kind::Text,
        "",
        "Directory of the raft log, on a disk of its own for example. Empty keeps it inside the data directory.",
    ),
    Row::new(
        "snapshot-count",
        Kind::Unsigned(64),
        "10000",
        "Applied entries after which the state is made durable and the raft log may be cut.",
    )
    .no_effect("the state is made durable by the bytes that were written, and the raft log is cut behind it"),
    Row::new(
        "snapshot-catchup-entries",
        Kind::Unsigned(64),
        "5000",
        "Raft entries kept behind the last cut, so that a slow follower catches up without a snapshot.",
    ),
    Row::new("heartbeat-interval", Kind::Unsigned(64), "100", "Milliseconds between two heartbeats of a leader."),
    Row::new(
        "election-timeout",
        Kind::Unsigned(64),
        "1000",
        "Milliseconds without a leader before an election. At least five heartbeats, at most 50000.",
    ),
    Row::new(
        "initial-election-tick-advance",
        Kind::Bool,
        "true",
        "Shorten the first election timeout after a start. Turn off where members are far apart.",
    ),
    Row::new(
        "listen-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "URLs to accept other members on. The host is an IP address or localhost.",
    ),
    Row::new(
        "listen-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "URLs to accept clients on: gRPC, and HTTP unless --listen-client-http-urls is given.",
    ),
    Row::new(
        "listen-client-http-urls",
        Kind::Urls,
        "",
        "URLs to accept HTTP clients on; takes HTTP away from --listen-client-urls.",
    ),
    Row::new("max-snapshots", Kind::Unsigned(64), "5", "Snapshot files to keep. Deprecated.")
        .deprecated("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."),
    Row::new("max-wals", Kind::Unsigned(64), "5", "Write-ahead log files to keep.")
        .no_effect("the raft log here is cut by what is durable, not by a number of files"),
    Row::new("memory-mlock", Kind::Bool, "false", "Hold the database's pages in memory.").no_effect(NOT_BBOLT),
    Row::new(
        "quota-backend-bytes",
        Kind::Signed,
        "0",
        "Bytes of data at which writes are refused with a NOSPACE alarm. 0 stands for 2 GiB, a negative number for no limit.",
    ),
    Row::new("backend-bbolt-freelist-type", Kind::Text, "map", "Kind of the database's free list.")
        .no_effect(NOT_BBOLT),
    Row::new("backend-batch-interval", Kind::Duration, "0s", "Longest time before the database commits a batch.")
        .no_effect(NOT_BBOLT),
    Row::new("backend-batch-limit", Kind::Signed, "0", "Most operations before the database commits a batch.")
        .no_effect(NOT_BBOLT),
    Row::new(
        "bootstrap-defrag-threshold-megabytes",
        Kind::Unsigned(64),
        "0",
        "Defragment at start when this many megabytes would be freed.",
    )
    .no_effect("disk space is given back while running, and starting never waits for it"),
    Row::new("max-txn-ops", Kind::Unsigned(64), "128", "Most operations in one transaction."),
    Row::new("max-request-bytes", Kind::Unsigned(64), "1572864", "Largest request accepted, in bytes."),
    Row::new(
        "max-concurrent-streams",
        Kind::Unsigned(32),
        "4294967295",
        "Most HTTP/2 streams that one connection may have open.",
    ),
    Row::new(
        "use-h2-library",
        Kind::Bool,
        "false",
        "Serve HTTP/2 with the h2 library in place of the server's own implementation. Not in etcd.",
    ),
    Row::new("max-learners", Kind::Signed, "1", "Most learners the cluster may have."),
    Row::new(
        "auto-promote-learners",
        Kind::Bool,
        "false",
        "Promote a learner by itself when it has caught up. Not in etcd.",
    ),
    Row::new("enable-grpc-gateway", Kind::Bool, "true", "Serve the JSON form of the API under /v3."),
    Row::new(
        "grpc-keepalive-min-time",
        Kind::Duration,
        "5s",
        "Shortest time between two pings of a client; clients that ping faster are disconnected.",
    ),
    Row::new(
        "grpc-keepalive-interval",
        Kind::Duration,
        "2h0m0s",
        "Time between pings to an idle client. 0 turns them off.",
    ),
    Row::new(
        "grpc-keepalive-timeout",
        Kind::Duration,
        "20s",
        "Time to wait for the response to such a ping before the connection is closed. 0 turns it off.",
    ),
    Row::new("socket-reuse-port", Kind::Bool, "false", "Set SO_REUSEPORT on listeners.")
        .yaml(&["socket-options", "reuse-port"]),
    Row::new("socket-reuse-address", Kind::Bool, "false", "Set SO_REUSEADDR on listeners.")
        .yaml(&["socket-options", "reuse-address"])
        .no_effect("listeners always have SO_REUSEADDR, as those of Go programs do"),
    Row::new(
        "raft-read-timeout",
        Kind::Duration,
        "5s",
        "Time limit for reading from another member. At least 5s. Its key in a file is not in etcd.",
    )
    .no_effect("a member that is silent is found by missing heartbeats, whatever its connections do"),
    Row::new(
        "raft-write-timeout",
        Kind::Duration,
        "5s",
        "Time limit for writing to another member. At least 5s. Its key in a file is not in etcd.",
    ),
];
