//! Maintenance and support: space, order of restarts, a live view, a support bundle, topics, a lost
//! password.

mod bundle;
mod catalog;
mod explain;
mod reclaim;
mod rescue;
mod roll;
mod top;
mod topics;
mod words;

pub(crate) use words::{ExplainWords, MaintenanceCommand, RescueWords, RollWords, SupportCommand, TopWords};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use std::process::ExitCode;

pub(crate) async fn maintenance(context: &Context, client: &Client, command: MaintenanceCommand) -> Result<ExitCode, Failure> {
    match command {
        MaintenanceCommand::Reclaim(words) => reclaim::reclaim(context, client, &words).await,
    }
}

pub(crate) async fn roll(context: &Context, client: &Client, words: &RollWords) -> Result<ExitCode, Failure> {
    roll::roll(context, client, words).await
}

pub(crate) async fn support(context: &Context, client: &Client, command: SupportCommand) -> Result<ExitCode, Failure> {
    match command {
        SupportCommand::Bundle(words) => bundle::bundle(context, client, &words).await,
    }
}

pub(crate) async fn top(context: &Context, client: &Client, words: &TopWords) -> Result<ExitCode, Failure> {
    top::top(context, client, words).await
}

pub(crate) fn explain(context: &Context, words: &ExplainWords) -> Result<ExitCode, Failure> {
    explain::explain(context, words)
}

pub(crate) fn rescue(context: &Context, words: &RescueWords) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(crate::failure::FAILED, format!("start: {error}")))?;
    runtime.block_on(rescue::rescue(context, words))
}
