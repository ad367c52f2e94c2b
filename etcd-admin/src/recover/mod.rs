//! Recovery after permanent loss of quorum: inspect the surviving data, choose the best, start a
//! new cluster with all of it.
//!
//! Nothing is changed in the surviving data directories until a whole new one is ready; then the
//! old one is renamed with a note. The new cluster has an id of its own, so that an old member that
//! comes back is refused. Completed steps are journaled beside the plan; the same command resumes
//! where it stopped.

mod apply;
mod args;
mod inspect;
mod plan;

pub(crate) use args::RecoverCommand;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) async fn run(context: &Context, client: &Client, command: RecoverCommand) -> Result<ExitCode, CliError> {
    match command {
        RecoverCommand::Inspect { data_dirs } => inspect::inspect(context, &data_dirs),
        RecoverCommand::Plan(args) => plan::plan(context, client, &args).await,
        RecoverCommand::Apply { plan, yes } => apply::apply(context, &plan, yes).await,
        RecoverCommand::Verify { plan } => apply::verify(context, client, &plan).await,
    }
}
