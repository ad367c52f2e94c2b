//! Flags of the commands that look.

use crate::cluster_config::DocumentArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Member of this host [default: the member with the name of the host]
    #[arg(long, value_name = "NAME")]
    pub(crate) member: Option<String>,
    /// Skip the measurement of the disk's sync time
    #[arg(long)]
    pub(crate) no_probe: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Check the cluster through its members
    Cluster,
    /// Check this host: configuration, certificates, disk, clock, unit; the member may be down
    Host {
        /// Configuration file of the member
        #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
        config: PathBuf,
        /// Skip the measurement of the disk's sync time
        #[arg(long)]
        no_probe: bool,
    },
    /// Check the data directory of a stopped member
    Offline {
        #[arg(value_name = "DATA_DIR")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure the time of a small synced write, which bounds the latency of every put
    Fsync(FsyncArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FsyncArgs {
    /// Directory on the disk to measure; a file is written there and removed
    #[arg(long, value_name = "DIR", default_value = "/var/lib/etcd")]
    pub(crate) dir: PathBuf,
    /// Size of each write in bytes
    #[arg(long, default_value_t = 2300, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) bytes: u32,
    /// Number of writes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) writes: u32,
}
