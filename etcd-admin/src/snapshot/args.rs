//! Flags of the commands about snapshots.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Revisions that are passed over by a restore, so that no revision is ever used twice: etcd's own
/// advice for a week.
const RAISE: i64 = 1_000_000_000;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Takes a snapshot from the freshest follower, checks it, and writes a manifest beside it
    Save {
        /// File; a name in the directory --dir if not said
        file: Option<PathBuf>,
        /// Directory for a file that is named by cluster, revision and time
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Name, id or URL of the member to take it from
        #[arg(long, value_name = "MEMBER")]
        from: Option<String>,
        /// Takes it from the data directory of a member that was stopped cleanly, and asks nobody
        #[arg(long, value_name = "DIR", requires = "file", conflicts_with = "from")]
        data_dir: Option<PathBuf>,
    },
    /// Lists the snapshots of a directory
    List {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Tells a snapshot's figures, as etcdutl does
    Status { file: PathBuf },
    /// Checks a snapshot: digest, pages, records, manifest
    Verify {
        file: PathBuf,
        /// Restores it into a throw-away place, starts a member there, and compares hashes
        #[arg(long)]
        drill: bool,
        /// Takes a file without a digest
        #[arg(long)]
        skip_hash_check: bool,
    },
    /// Makes data directories of a snapshot, or of a real etcd's data directory
    Restore(RestoreArgs),
    /// Removes snapshots that no rule keeps, and never the newest good one
    Prune(PruneArgs),
    /// Copies a snapshot with its manifest, and checks the copy
    Copy {
        file: PathBuf,
        /// File or directory
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Snapshot, or data directory of a real etcd
    pub(crate) source: PathBuf,
    /// Members of the new cluster: NAME=PEER-URL, separated by commas
    #[arg(long, value_name = "NAME=URL,…", default_value = "default=http://localhost:2380")]
    pub(crate) initial_cluster: String,
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
    /// The one member whose data directory is made; all of them if not said
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The data directory of the one member
    #[arg(long, value_name = "DIR", required_unless_present = "output_dir", requires = "name")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Directory for the data directories of all members, each under its name
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data_dir", "name"])]
    pub(crate) output_dir: Option<PathBuf>,
    /// Keeps revisions as they are, although watchers and caches of the old cluster may then be
    /// misled
    #[arg(long)]
    pub(crate) exact: bool,
    /// How far the revision is raised
    #[arg(long, value_name = "N", default_value_t = RAISE, conflicts_with = "exact", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) bump_revision: i64,
    /// Takes a file without a digest
    #[arg(long)]
    pub(crate) skip_hash_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Keeps so many of the newest
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_last: usize,
    /// Keeps the newest of each of so many hours
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_hourly: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_daily: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_weekly: usize,
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_monthly: usize,
}
