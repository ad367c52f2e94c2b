//! Flags of the commands about members.

use admin_ui::go_flags::duration;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List members with role, lag, version and size
    List,
    /// Add a member as a learner, wait until it has caught up, and promote it
    Add(AddArgs),
    /// Remove a member, if the remaining members keep the quorum
    Remove(RemoveArgs),
    /// Replace a running or failed member with a new one
    Replace(ReplaceArgs),
    /// Rebuild a member: remove it, then add it again with an empty data directory
    Rebuild(RebuildArgs),
    /// Promote a learner as soon as it has caught up
    Promote(PromoteArgs),
    /// Change the peer URLs of a member
    Update {
        /// Name, id or URL of the member
        member: String,
        /// Peer URLs, separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
        peer_urls: Vec<String>,
    },
    /// Check whether members may be stopped (exit status 0 if the others keep the quorum, else 3)
    OkToStop {
        /// Names, ids or URLs of the members
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Check whether a member may be removed (exit status 0 if the others keep the quorum, else 3)
    OkToRemove {
        /// Name, id or URL of the member
        member: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Timeout for the new member to catch up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Leave the member a learner; promote it later with `member promote`
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the new member
    pub(crate) name: String,
    /// Peer URLs of the new member, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
    pub(crate) peer_urls: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name, id or URL of the member
    pub(crate) member: String,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Name, id or URL of the member to remove
    pub(crate) member: String,
    /// Name of the new member
    #[arg(long = "with", value_name = "NAME")]
    pub(crate) name: String,
    /// Peer URLs of the new member, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
    pub(crate) peer_urls: Vec<String>,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Name, id or URL of the member
    pub(crate) member: String,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Name, id or URL of the member
    pub(crate) member: String,
    /// Timeout for the member to catch up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Show the leader
    Show,
    /// Transfer leadership to another voter
    Move {
        /// Name, id or URL of the voter [default: the most up-to-date one]
        #[arg(long, value_name = "MEMBER")]
        to: Option<String>,
    },
}

/// A condition to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// The cluster has a leader
    Leader,
    /// A linearizable read succeeds
    Quorum,
    /// Every voter follows the leader, and there is no alarm
    Healthy,
    /// All members, or the given one, have applied the entries known at the start
    CaughtUp,
}

impl Goal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Leader => "led",
            Self::Quorum => "a quorum",
            Self::Healthy => "healthy",
            Self::CaughtUp => "caught up",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WaitForArgs {
    /// Condition to wait for
    #[arg(long = "for", value_enum, value_name = "GOAL")]
    pub(crate) goal: Goal,
    /// Member to wait for: name, id or URL [default: all members]
    #[arg(long, value_name = "MEMBER")]
    pub(crate) member: Option<String>,
    /// Timeout; exit status 8 when it is reached
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}
