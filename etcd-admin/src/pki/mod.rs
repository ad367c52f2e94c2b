//! Certificates: CAs, the certificates they issue, and CRLs. One file per noun or task.

mod args;
mod cas;
mod check;
mod hosts;
mod issue;
mod lists;
mod rescue;
mod rotate;
mod show;

pub(crate) use args::*;
pub(crate) use cas::unlock;
pub(crate) use hosts::matched;
pub(crate) use lists::current_list;

use crate::cli::context::Context;
use admin_ui::error::CliError;
use std::process::ExitCode;

pub(crate) fn ca(context: &Context, command: CaCommand) -> Result<ExitCode, CliError> {
    match command {
        CaCommand::Init(args) => cas::init(context, &args),
        CaCommand::Show { issued } => cas::show(context, issued),
        CaCommand::Rotate(args) => rotate::rotate(context, &args),
        CaCommand::Rescue(args) => rescue::rescue(context, &args),
    }
}

pub(crate) fn cert(context: &Context, command: CertCommand) -> Result<ExitCode, CliError> {
    match command {
        CertCommand::Issue(args) => issue::issue(context, &args),
        CertCommand::Request(args) => hosts::request(context, &args),
        CertCommand::Sign(args) => issue::sign(context, &args),
        CertCommand::Install(args) => hosts::install(context, &args),
        CertCommand::Renew(args) => issue::renew(context, &args),
        CertCommand::Revoke(args) => lists::revoke(context, &args),
        CertCommand::Inspect { files } => show::inspect(context, &files),
        CertCommand::Verify(args) => check::verify(context, &args),
        CertCommand::Status(args) => show::status(context, &args),
        CertCommand::NeedsRenewal(args) => Ok(check::needs_renewal(context, &args)),
    }
}

pub(crate) fn crl(context: &Context, command: CrlCommand) -> Result<ExitCode, CliError> {
    match command {
        CrlCommand::Publish { kind, days, if_due, passphrase } => {
            let lifetime = time::Duration::days(days);
            if if_due {
                lists::publish_if_due(context, kind.into(), lifetime, &passphrase)
            } else {
                lists::publish(context, kind.into(), lifetime, &passphrase)
            }
        }
        CrlCommand::Show { file } => lists::show(context, &file),
    }
}
