//! The way out when most members are lost for good: look at what survived, choose the best, begin a new cluster with all that it holds.
//!
//! Nothing is changed in the data directories that survived until a whole new one is ready; then the old one is moved aside with a note. The
//! new cluster has an id of its own, so that an old member that comes back is refused. What has been done is journaled beside the plan; the
//! same command goes on where it stopped.

mod apply;
mod inspect;
mod plan;
mod throwaway;
mod words;

pub(crate) use throwaway::Throwaway;
pub(crate) use words::RecoverCommand;

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use std::process::ExitCode;

pub(crate) async fn run(context: &Context, client: &Client, command: RecoverCommand) -> Result<ExitCode, Failure> {
    match command {
        RecoverCommand::Inspect { data_dirs } => inspect::inspect(context, &data_dirs),
        RecoverCommand::Plan(words) => plan::plan(context, client, &words).await,
        RecoverCommand::Apply { plan, yes } => apply::apply(context, &plan, yes).await,
        RecoverCommand::Verify { plan } => apply::verify(context, client, &plan).await,
    }
}
