//! From `cluster.yaml` to hosts: rendering a configuration, planning changes, applying them;
//! joining; adopting etcd's configuration.
//!
//! `render` knows no host. `plan` and `apply` look at this one, through the same [`plan::Plan`], so
//! that the printed plan is carried out. A file is not overwritten without being kept, and a second
//! run changes nothing.

mod adopt;
mod apply;
mod args;
mod certificates;
mod document;
mod files;
mod join;
mod local;
mod plan;
mod sign;

pub(crate) use adopt::{Conversion, Placement};
pub(crate) use args::{AdoptArgs, InitCommand, JoinArgs};

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) fn init(context: &Context, command: InitCommand) -> Result<ExitCode, CliError> {
    match command {
        InitCommand::New(args) => document::new(&args),
        InitCommand::Local(args) => local::local(context, &args),
        InitCommand::Schema => admin_ui::output::say(crate::cluster_config::SCHEMA).map(|()| ExitCode::SUCCESS),
        InitCommand::Render { document, out } => document::render(context, document.cluster.as_deref(), &out),
        InitCommand::Plan(args) => apply::plan(context, &args),
        InitCommand::Apply(args) => apply::apply(context, &args),
        InitCommand::Sign(args) => sign::sign(context, &args),
    }
}

pub(crate) fn adopt(context: &Context, args: &AdoptArgs) -> Result<ExitCode, CliError> {
    adopt::adopt(context, args)
}

pub(crate) async fn join(context: &Context, client: &Client, args: &JoinArgs) -> Result<ExitCode, CliError> {
    join::join(context, client, args).await
}
