//! Arguments of `support`.

use admin_ui::go_flags::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum SupportCommand {
    /// Collect settings, metrics, log and certificate dates; never keys or values
    Bundle(BundleArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Directory to create [default: named by the time]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Configuration file of the member on this host
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) config: PathBuf,
    /// Log file of the daemon [default: the journal of etcd-server]
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Interval between the three metric samples
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub(crate) interval: Duration,
}
