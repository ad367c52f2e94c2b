//! `migrate`: the members of a running cluster of etcd are replaced by ours, one after the other,
//! and back.
//!
//! Facts are gathered ([`gather`], [`host`]) and judged ([`judge`], [`plan`], [`hold`]) apart from
//! each other; judging is a function of the facts. [`run`] and [`rollback`] carry out the steps of
//! [`journal`]. Every step looks at the present state first and may be repeated, and the journal
//! keeps what the cluster no longer knows once the member is removed. Data is never deleted.

mod args;
mod commit;
mod compare;
mod etcd_config;
mod facts;
mod gather;
mod hold;
mod host;
mod journal;
mod judge;
mod plan;
mod rollback;
mod run;
mod service;
mod status;

pub(crate) use args::MigrateCommand;
pub(crate) use compare::compare;
pub(crate) use facts::Kind;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) async fn migrate(context: &Context, client: &Client, command: MigrateCommand) -> Result<ExitCode, CliError> {
    match command {
        MigrateCommand::Plan => plan::plan(context, client).await,
        MigrateCommand::Preflight(args) => judge::preflight(context, client, &args).await,
        MigrateCommand::Run(args) => run::run(context, client, &args).await,
        MigrateCommand::Verify => compare::verify(context, client).await,
        MigrateCommand::Rollback(args) => rollback::rollback(context, client, &args).await,
        MigrateCommand::Commit(args) => commit::commit(context, client, &args).await,
        MigrateCommand::Status(args) => status::status(context, client, &args).await,
    }
}
