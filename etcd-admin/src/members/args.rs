//! Flags of the commands about members.

use crate::client::duration;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Lists the members: roles, lag, versions, sizes
    List,
    /// Adds a member as a learner, waits until it has caught up, and lets it vote
    Add(AddArgs),
    /// Removes a member, if the others can go on without it
    Remove(RemoveArgs),
    /// Puts another member in the place of one, dead or alive
    Replace(ReplaceArgs),
    /// Takes a member out and in again, to begin anew with empty data
    Rebuild(RebuildArgs),
    /// Lets a learner vote as soon as it has caught up
    Promote(PromoteArgs),
    /// Changes where other members reach a member
    Update {
        /// Name, id or URL
        member: String,
        /// Peer URLs, separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
        peer_urls: Vec<String>,
    },
    /// Says whether members may be stopped: 0 when the others keep the quorum, 3 when not
    OkToStop {
        /// Names, ids or URLs
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Says whether a member may be removed: 0 when the others keep the quorum, 3 when not
    OkToRemove {
        /// Name, id or URL
        member: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Time until the new member has to have caught up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Leaves it a learner; `member promote` goes on
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the new member
    pub(crate) name: String,
    /// Its peer URLs, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
    pub(crate) peer_urls: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name, id or URL
    pub(crate) member: String,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Name, id or URL of the one that goes
    pub(crate) member: String,
    /// Name of the one that comes
    #[arg(long = "with", value_name = "NAME")]
    pub(crate) name: String,
    /// Its peer URLs, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
    pub(crate) peer_urls: Vec<String>,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Name, id or URL
    pub(crate) member: String,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Name, id or URL
    pub(crate) member: String,
    /// Time until it has to have caught up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Says who leads
    Show,
    /// Hands leadership to another voter
    Move {
        /// Name, id or URL; the one that is furthest if not said
        #[arg(long, value_name = "MEMBER")]
        to: Option<String>,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Somebody leads
    Leader,
    /// A read that needs a quorum is answered
    Quorum,
    /// Every voter follows the leader, and there is no alarm
    Healthy,
    /// Everybody, or the one named, has applied what the others had when the wait began
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
    /// What to wait for
    #[arg(long = "for", value_enum, value_name = "GOAL")]
    pub(crate) goal: Goal,
    /// The one member that has to have caught up: name, id or URL
    #[arg(long, value_name = "MEMBER")]
    pub(crate) member: Option<String>,
    /// Time until it is given up, with exit code 8
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}
