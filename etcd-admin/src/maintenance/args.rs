//! Arguments of `maintenance`, `roll` and `auth rescue`.

use admin_ui::go_flags::duration;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Compact history, defragment each member, and disarm the NOSPACE alarm
    Reclaim(ReclaimArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReclaimArgs {
    /// Number of newest revisions whose history is kept
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_revisions: u32,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RollArgs {
    #[arg(value_enum)]
    pub(crate) kind: Kind,
}

/// The operation on every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The daemon of every member
    Restart,
    /// The package of every host
    Upgrade,
    /// The certificates of every host; needs no restart
    Rotate,
}

/// Arguments of `auth rescue`.
#[derive(Debug, Args)]
pub(crate) struct RescueArgs {
    /// Configuration file of the stopped member on this host
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) config: PathBuf,
    /// File with the new root password on its first line
    #[arg(long, value_name = "FILE", required_unless_present = "disable")]
    pub(crate) new_password_file: Option<PathBuf>,
    /// Disable authentication in place of setting a password
    #[arg(long, conflicts_with = "new_password_file")]
    pub(crate) disable: bool,
    /// Timeout for the member to join its cluster
    #[arg(long, default_value = "3m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
}
