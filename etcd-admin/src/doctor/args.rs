//! Flags of the commands that look.

use crate::init::DocumentArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Which member this host is to be; else the one that has its name
    #[arg(long, value_name = "NAME")]
    pub(crate) member: Option<String>,
    /// Does not write to the disk to see how long a sync takes
    #[arg(long)]
    pub(crate) no_probe: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// The cluster, as its members tell it
    Cluster,
    /// This host: configuration, certificates, disk, clock, unit; works with the member down
    Host {
        /// The member's configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
        config: PathBuf,
        /// Does not write to the disk to see how long a sync takes
        #[arg(long)]
        no_probe: bool,
    },
    /// The data directory of a member that does not run
    Offline {
        #[arg(value_name = "DATA_DIR")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// How long a small write takes until it is on the disk, which is what every put waits for
    Fsync(FsyncArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FsyncArgs {
    /// Directory on the disk that is meant; a file is written there and removed
    #[arg(long, value_name = "DIR", default_value = "/var/lib/etcd")]
    pub(crate) dir: PathBuf,
    /// Bytes of each write
    #[arg(long, default_value_t = 2300, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) bytes: u32,
    /// How many writes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) writes: u32,
}
