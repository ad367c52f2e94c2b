//! Members and leadership: shown, and changed one careful step at a time.
//!
//! The steps of a command follow from the state of the cluster, so that an interrupted command
//! resumes where it stopped when it is repeated, and a complete one changes nothing.

mod args;
mod change;
mod journal;
mod leader;
mod learner;
mod show;
mod wait;

pub(crate) use args::{LeaderCommand, MemberCommand, WaitForArgs};
pub(crate) use change::{
    add_learner, all_must_answer, has_urls, must_bear, new_member, question, remove_through_others,
};
pub(crate) use leader::{successor, transfer};
pub(crate) use learner::promote_learner;
pub(crate) use show::{MemberStatus, status};
pub(crate) use wait::wait;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) async fn member(context: &Context, client: &Client, command: MemberCommand) -> Result<ExitCode, CliError> {
    match command {
        MemberCommand::List => show::list(context, client).await,
        MemberCommand::Add(args) => change::add(context, client, &args).await,
        MemberCommand::Remove(args) => change::remove(context, client, &args).await,
        MemberCommand::Replace(args) => change::replace(context, client, &args).await,
        MemberCommand::Rebuild(args) => change::rebuild(context, client, &args).await,
        MemberCommand::Promote(args) => change::promote(context, client, &args).await,
        MemberCommand::Update { member, peer_urls } => change::update(context, client, &member, &peer_urls).await,
        MemberCommand::OkToStop { members } => show::ok_to_stop(context, client, &members).await,
        MemberCommand::OkToRemove { member } => show::ok_to_remove(context, client, &member).await,
    }
}

pub(crate) async fn leadership(
    context: &Context,
    client: &Client,
    command: LeaderCommand,
) -> Result<ExitCode, CliError> {
    match command {
        LeaderCommand::Show => leader::show(context, client).await,
        LeaderCommand::Move { to } => leader::transfer_leadership(context, client, to.as_deref()).await,
    }
}
