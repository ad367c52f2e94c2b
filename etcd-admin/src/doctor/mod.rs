//! Checks of this host, of a cluster, and of data: findings, each with its remedy.
//!
//! Nothing is changed by any of it, but for a file that the probe of the disk writes and removes. A
//! finding's `check` is stable: programs and people look it up by that word.

mod args;
mod bench;
mod cluster;
mod data;
mod disk;
mod environment;
mod finding;
mod host;
mod lists;
mod mixed;
mod ownership;
mod packages;
mod preflight;
mod snapshots;
mod systemd;

pub(crate) use args::{BenchCommand, DoctorCommand, PreflightArgs};
pub(crate) use cluster::problems;
pub(crate) use disk::probe;
pub(crate) use finding::{Finding, tell};
pub(crate) use snapshots::failed_snapshots;

use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) fn preflight(context: &Context, args: &PreflightArgs) -> Result<ExitCode, CliError> {
    preflight::preflight(context, args)
}

/// The scopes that need no connection.
pub(crate) fn doctor(context: &Context, command: DoctorCommand) -> Result<ExitCode, CliError> {
    match command {
        DoctorCommand::Host { config, no_probe } => host::doctor(context, &config, no_probe),
        DoctorCommand::Offline { data_dir } => data::doctor(context, &data_dir),
        DoctorCommand::Cluster => Err(CliError::usage("this command connects to members")),
    }
}

pub(crate) async fn doctor_of_cluster(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    cluster::doctor(context, client).await
}

pub(crate) fn bench(context: &Context, command: &BenchCommand) -> Result<ExitCode, CliError> {
    match command {
        BenchCommand::Fsync(args) => bench::fsync(context, args),
    }
}
