//! Disk space, the order of restarts, and a lost root password.

mod args;
mod reclaim;
mod rescue;
mod roll;

pub(crate) use args::{MaintenanceCommand, RescueArgs, RollArgs};

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) async fn maintenance(
    context: &Context,
    client: &Client,
    command: MaintenanceCommand,
) -> Result<ExitCode, CliError> {
    match command {
        MaintenanceCommand::Reclaim(args) => reclaim::reclaim(context, client, &args).await,
    }
}

pub(crate) async fn roll(context: &Context, client: &Client, args: &RollArgs) -> Result<ExitCode, CliError> {
    roll::roll(context, client, args).await
}

pub(crate) fn rescue(context: &Context, args: &RescueArgs) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(admin_ui::error::FAILED, format!("start: {error}")))?;
    runtime.block_on(rescue::rescue(context, args))
}
