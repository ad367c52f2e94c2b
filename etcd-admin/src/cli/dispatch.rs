//! Runs a parsed command; each returns the exit status of its result.

use crate::cli::args::Command;
use crate::cli::context::Context;
use crate::cli::manual;
use crate::doctor;
use crate::explain;
use crate::init;
use crate::maintenance;
use crate::members;
use crate::migrate;
use crate::pki;
use crate::recover;
use crate::snapshot;
use crate::support;
use crate::top;
use admin_client::{Client, Settings, TlsFiles};
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Ca(command) => pki::ca(context, command),
        Command::Cert(command) => pki::cert(context, command),
        Command::Crl(command) => pki::crl(context, command),
        Command::Init(command) => init::init(context, command),
        Command::Adopt(args) => init::adopt(context, &args),
        Command::Preflight(args) => doctor::preflight(context, &args),
        Command::Doctor(command) => doctor::doctor(context, command),
        Command::Explain(args) => explain::explain(context, &args),
        Command::Bench(command) => doctor::bench(context, &command),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { dir } => manual::pages(&dir),
        // Of these, the commands without a connection come here.
        Command::Snapshot(_) | Command::Recover(_) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| CliError::new(admin_ui::error::FAILED, format!("start: {error}")))?;
            let client = Client::new(Settings::plain("127.0.0.1:2379", TlsFiles::default()))?;
            runtime.block_on(run_online(context, &client, command))
        }
        // Commands with a connection go another way.
        Command::Shared(_)
        | Command::Join(_)
        | Command::Wait(_)
        | Command::Roll(_)
        | Command::Maintenance(_)
        | Command::Top(_)
        | Command::Support(_)
        | Command::Status
        | Command::Member(_)
        | Command::Leader(_)
        | Command::Migrate(_) => Err(CliError::usage("this command connects to members")),
    }
}

/// Commands that ask members.
pub(crate) async fn run_online(context: &Context, client: &Client, command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Join(args) => init::join(context, client, &args).await,
        Command::Roll(args) => maintenance::roll(context, client, &args).await,
        Command::Maintenance(command) => maintenance::maintenance(context, client, command).await,
        Command::Top(args) => top::top(context, client, &args).await,
        Command::Support(command) => support::support(context, client, command).await,
        Command::Wait(args) => members::wait(context, client, &args).await,
        Command::Doctor(_) => doctor::doctor_of_cluster(context, client).await,
        Command::Status => members::status(context, client).await,
        Command::Member(command) => members::member(context, client, command).await,
        Command::Leader(command) => members::leadership(context, client, command).await,
        Command::Migrate(command) => migrate::migrate(context, client, command).await,
        Command::Snapshot(command) => snapshot::online(context, client, command).await,
        Command::Recover(command) => recover::run(context, client, command).await,
        offline @ (Command::Init(_)
        | Command::Adopt(_)
        | Command::Preflight(_)
        | Command::Bench(_)
        | Command::Explain(_)
        | Command::Ca(_)
        | Command::Cert(_)
        | Command::Crl(_)
        | Command::Completion { .. }
        | Command::Man { .. }
        | Command::Shared(_)) => run(context, offline),
    }
}
