//! Flags of the commands about snapshots.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Revisions that a restore skips, so that none is used twice. etcd's documentation advises this
/// number for a week.
const RAISE: i64 = 1_000_000_000;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save a snapshot from the most up-to-date follower, verify it, and write its manifest
    Save {
        /// Snapshot file [default: a generated name in --dir]
        file: Option<PathBuf>,
        /// Directory for a file named by cluster, revision and time
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Name, id or URL of the member to use
        #[arg(long, value_name = "MEMBER")]
        from: Option<String>,
        /// Read the data directory of a cleanly stopped member, without a connection
        #[arg(long, value_name = "DIR", requires = "file", conflicts_with = "from")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        schedule: ScheduleArgs,
    },
    /// List the snapshots in a directory
    List {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Show the status of a snapshot, like etcdutl
    Status { file: PathBuf },
    /// Verify a snapshot: digest, pages, records, manifest
    Verify {
        file: PathBuf,
        /// Test restore: restore to a temporary directory, start a member, and compare hashes
        #[arg(long, alias = "drill")]
        test_restore: bool,
        /// Accept a file without a digest
        #[arg(long)]
        skip_hash_check: bool,
    },
    /// Restore data directories from a snapshot or from an etcd data directory
    Restore(RestoreArgs),
    /// Remove snapshots that no rule keeps; the newest good one always stays
    Prune(PruneArgs),
    /// Copy a snapshot with its manifest, and verify the copy
    Copy {
        file: PathBuf,
        /// File or directory
        to: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// For timers on all members: save only if this host's member leads, or if no leader answers
    #[arg(long, conflicts_with_all = ["file", "from", "data_dir"])]
    pub(crate) scheduled: bool,
    /// With --scheduled, skip if the directory has a snapshot of the cluster that is younger
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = admin_ui::go_flags::duration, requires = "scheduled")]
    pub(crate) min_age: std::time::Duration,
    /// Metrics file of the run, for the textfile collector of the node exporter
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    pub(crate) metrics_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Snapshot file, or data directory of an etcd
    pub(crate) source: PathBuf,
    /// Members of the new cluster: NAME=PEER-URL, separated by commas
    #[arg(long, value_name = "NAME=URL,…", default_value = "default=http://localhost:2380")]
    pub(crate) initial_cluster: String,
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
    /// Restore only this member [default: all members]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Data directory of the member given by --name
    #[arg(long, value_name = "DIR", required_unless_present = "output_dir", requires = "name")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Directory for the data directories of all members, each in NAME
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data_dir", "name"])]
    pub(crate) output_dir: Option<PathBuf>,
    /// Keep revisions; watchers and caches of the old cluster may then miss changes
    #[arg(long)]
    pub(crate) exact: bool,
    /// Number of revisions to skip
    #[arg(long, value_name = "N", default_value_t = RAISE, conflicts_with = "exact", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) bump_revision: i64,
    /// Accept a file without a digest
    #[arg(long)]
    pub(crate) skip_hash_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Number of newest snapshots to keep
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_last: usize,
    /// Number of hours to keep the newest snapshot of each
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_hourly: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_daily: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_weekly: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_monthly: usize,
}
