//! Arguments of `support`.

use crate::client::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum SupportCommand {
    /// Collects what others need to help: settings, figures, log, certificates' dates; never keys
    /// or values
    Bundle(BundleArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// New directory for it; named after the time if not said
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The configuration of the member on this machine
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) config: PathBuf,
    /// A file with the daemon's log; else the journal of etcd-server
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Between the three looks at the figures
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub(crate) interval: Duration,
}
