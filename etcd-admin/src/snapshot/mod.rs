//! Snapshots: etcd's backend file with a digest at its end, taken, looked at, restored, kept and
//! dropped.

mod args;
mod keep;
mod look;
mod manifest;
mod metrics;
pub(crate) mod owner;
mod restore;
mod save;
mod test_restore;
mod turn;

pub(crate) use args::SnapshotCommand;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

/// Commands that ask members.
pub(crate) async fn online(context: &Context, client: &Client, command: SnapshotCommand) -> Result<ExitCode, CliError> {
    match command {
        SnapshotCommand::Save { file: Some(file), data_dir: Some(data_dir), .. } => {
            save::offline(context, &file, &data_dir)
        }
        SnapshotCommand::Save { file, dir, from, schedule, .. } => {
            save::save(context, client, &save::SaveArgs { file, dir, from, schedule }).await
        }
        offline @ (SnapshotCommand::List { .. }
        | SnapshotCommand::Status { .. }
        | SnapshotCommand::Verify { .. }
        | SnapshotCommand::Restore(_)
        | SnapshotCommand::Prune(_)
        | SnapshotCommand::Copy { .. }) => run(context, offline).await,
    }
}

async fn run(context: &Context, command: SnapshotCommand) -> Result<ExitCode, CliError> {
    match command {
        SnapshotCommand::Save { .. } => Err(CliError::usage("this command connects to members")),
        SnapshotCommand::List { dir } => look::list(context, &dir),
        SnapshotCommand::Status { file } => look::status(context, &file),
        SnapshotCommand::Verify { file, test_restore, skip_hash_check } => {
            look::verify(context, &file, test_restore, skip_hash_check).await
        }
        SnapshotCommand::Restore(args) => restore::restore(context, &args),
        SnapshotCommand::Prune(args) => keep::prune(context, &args),
        SnapshotCommand::Copy { file, to } => keep::copy(context, &file, &to),
    }
}
