//! The support bundle.

mod bundle;
mod words;

pub(crate) use words::SupportCommand;

use crate::cli::context::Context;
use crate::client::Client;
use crate::ui::failure::Failure;
use std::process::ExitCode;

pub(crate) async fn support(context: &Context, client: &Client, command: SupportCommand) -> Result<ExitCode, Failure> {
    match command {
        SupportCommand::Bundle(words) => bundle::bundle(context, client, &words).await,
    }
}
