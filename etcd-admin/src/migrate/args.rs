//! Flags of `migrate`.

use admin_ui::go_flags::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The directory of the journals on a host.
pub(super) const STATE_DIR: &str = "/var/lib/etcd-admin/migrate";

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Print the members, the order of their migration and the expected time
    Plan,
    /// Check whether the cluster, and the configuration on this host, can be migrated
    Preflight(PreflightArgs),
    /// Replace the etcd on this host by a member of this server; resumable
    Run(RunArgs),
    /// Compare the data, leases, users, roles, members and alarms of all members
    Verify,
    /// Put the etcd of this host back in place of its new member; resumable
    Rollback(RollbackArgs),
    /// Release the hold of the cluster version; older members cannot return afterwards
    Commit(CommitArgs),
    /// Show which members are migrated, the cluster version, its hold, and this host's journal
    Status(StatusArgs),
}

/// The etcd on this host.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HostArgs {
    /// Configuration or environment file of the etcd on this host [default: the places of
    /// distributions]
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Data directory of the new member [default: that of the etcd, whose data is renamed]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Setting without a counterpart to leave out; may be repeated
    #[arg(long, value_name = "SETTING")]
    pub(crate) leave_out: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Check the cluster alone, for example from another machine
    #[arg(long, conflicts_with_all = ["from", "data_dir", "leave_out", "compare"])]
    pub(crate) cluster_only: bool,
    /// Copy of another host's configuration, whose settings must be equal; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Vec<PathBuf>,
}

/// The way in which processes are started and stopped.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServiceArgs {
    /// systemd unit of the etcd
    #[arg(long, default_value = "etcd", value_name = "UNIT")]
    pub(crate) unit: String,
    /// Shell command that stops the running daemon in place of systemctl
    #[arg(long, value_name = "COMMAND")]
    pub(crate) stop: Option<String>,
    /// Shell command that starts the other daemon in place of systemctl
    #[arg(long, value_name = "COMMAND")]
    pub(crate) start: Option<String>,
    /// Print each start and stop, and wait until it is done by hand
    #[arg(long, conflicts_with_all = ["stop", "start"])]
    pub(crate) by_hand: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Configuration file of the new member
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) steps: StepArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Member of this host [default: the one that has a journal here]
    #[arg(long, value_name = "NAME")]
    pub(crate) member: Option<String>,
    #[command(flatten)]
    pub(crate) steps: StepArgs,
}

/// The steps of a member that is replaced, in either direction.
#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Directory of the journal
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Timeout of each step that waits: for the old process to end, for the new one to catch up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CommitArgs {
    /// Timeout for the cluster version to rise
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Directory of the journals
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub(crate) state_dir: PathBuf,
}
