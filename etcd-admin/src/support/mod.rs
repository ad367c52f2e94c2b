//! The support bundle.

mod args;
mod bundle;

pub(crate) use args::SupportCommand;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) async fn support(context: &Context, client: &Client, command: SupportCommand) -> Result<ExitCode, CliError> {
    match command {
        SupportCommand::Bundle(args) => bundle::bundle(context, client, &args).await,
    }
}
