//! One file per noun; each command returns the exit code of its result.

mod authorities;
mod check;
mod hosts;
mod issue;
mod lists;
mod manual;
mod rescue;
mod rotate;
mod show;

pub(crate) use authorities::unlock;
pub(crate) use hosts::matched;
pub(crate) use lists::current_list;
pub(crate) use manual::completion_script;

use crate::bootstrap;
use crate::care;
use crate::client::{Client, Settings, TlsFiles};
use crate::cluster;
use crate::context::Context;
use crate::diagnosis;
use crate::failure::Failure;
use crate::recover;
use crate::snapshot;
use crate::words::{CaCommand, CertCommand, Command, CrlCommand};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Ca(CaCommand::Init(words)) => authorities::init(context, &words),
        Command::Ca(CaCommand::Show { issued }) => authorities::show(context, issued),
        Command::Ca(CaCommand::Rotate(words)) => rotate::rotate(context, &words),
        Command::Ca(CaCommand::Rescue(words)) => rescue::rescue(context, &words),
        Command::Cert(CertCommand::Issue(words)) => issue::issue(context, &words),
        Command::Cert(CertCommand::Request(words)) => hosts::request(context, &words),
        Command::Cert(CertCommand::Sign(words)) => issue::sign(context, &words),
        Command::Cert(CertCommand::Install(words)) => hosts::install(context, &words),
        Command::Cert(CertCommand::Renew(words)) => issue::renew(context, &words),
        Command::Cert(CertCommand::Revoke(words)) => lists::revoke(context, &words),
        Command::Cert(CertCommand::Inspect { files }) => show::inspect(context, &files),
        Command::Cert(CertCommand::Verify(words)) => check::verify(context, &words),
        Command::Cert(CertCommand::Status(words)) => show::status(context, &words),
        Command::Cert(CertCommand::NeedsRenewal(words)) => Ok(check::needs_renewal(context, &words)),
        Command::Crl(CrlCommand::Publish { kind, days, if_due, passphrase }) => {
            let lifetime = time::Duration::days(days);
            if if_due {
                lists::publish_if_due(context, kind.into(), lifetime, &passphrase)
            } else {
                lists::publish(context, kind.into(), lifetime, &passphrase)
            }
        }
        Command::Crl(CrlCommand::Show { file }) => lists::show(context, &file),
        Command::Init(command) => bootstrap::init(context, command),
        Command::Adopt(words) => bootstrap::adopt(context, &words),
        Command::Preflight(words) => diagnosis::preflight(context, &words),
        Command::Doctor(command) => diagnosis::doctor(context, command),
        Command::Explain(words) => care::explain(context, &words),
        Command::Bench(command) => diagnosis::bench(context, &command),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { dir } => manual::pages(&dir),
        // Of these, the commands without a connection come here.
        Command::Snapshot(_) | Command::Recover(_) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::new(crate::failure::FAILED, format!("start: {error}")))?;
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
        | Command::Leader(_) => Err(Failure::usage("this command asks members")),
    }
}

/// Commands that ask members.
pub(crate) async fn run_online(context: &Context, client: &Client, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Join(words) => bootstrap::join(context, client, &words).await,
        Command::Roll(words) => care::roll(context, client, &words).await,
        Command::Maintenance(command) => care::maintenance(context, client, command).await,
        Command::Top(words) => care::top(context, client, &words).await,
        Command::Support(command) => care::support(context, client, command).await,
        Command::Wait(words) => cluster::wait(context, client, &words).await,
        Command::Doctor(_) => diagnosis::doctor_of_cluster(context, client).await,
        Command::Status => cluster::status(context, client).await,
        Command::Member(command) => cluster::member(context, client, command).await,
        Command::Leader(command) => cluster::leadership(context, client, command).await,
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
