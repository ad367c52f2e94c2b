//! Arguments of `maintenance`, `roll` and `auth rescue`.

use super::roll::Kind;
use crate::client::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Forgets history, gives the space back member by member, and lifts the alarm of no space
    Reclaim(ReclaimArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReclaimArgs {
    /// Newest revisions whose history is kept
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) keep_revisions: u32,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RollArgs {
    #[arg(value_enum)]
    pub(crate) kind: Kind,
}

/// `auth rescue`, which stands among etcdctl's own commands about users.
#[derive(Debug, Args)]
pub(crate) struct RescueArgs {
    /// The configuration of the member on this machine, which has to be stopped
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) config: PathBuf,
    /// File whose first line is the new password of root
    #[arg(long, value_name = "FILE", required_unless_present = "disable")]
    pub(crate) new_password_file: Option<PathBuf>,
    /// Switches authentication off, in place of a new password
    #[arg(long, conflicts_with = "new_password_file")]
    pub(crate) disable: bool,
    /// Time for the member to find its cluster
    #[arg(long, default_value = "3m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
