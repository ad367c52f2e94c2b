//! Certificates: CAs, the certificates they issue, and CRLs. One file per noun or task.

mod cas;
mod check;
mod hosts;
mod issue;
mod lists;
mod rescue;
mod rotate;
mod show;
mod words;

pub(crate) use cas::unlock;
pub(crate) use hosts::matched;
pub(crate) use lists::current_list;
pub(crate) use words::*;

use crate::cli::context::Context;
use crate::ui::failure::Failure;
use std::process::ExitCode;

pub(crate) fn ca(context: &Context, command: CaCommand) -> Result<ExitCode, Failure> {
    match command {
        CaCommand::Init(words) => cas::init(context, &words),
        CaCommand::Show { issued } => cas::show(context, issued),
        CaCommand::Rotate(words) => rotate::rotate(context, &words),
        CaCommand::Rescue(words) => rescue::rescue(context, &words),
    }
}

pub(crate) fn cert(context: &Context, command: CertCommand) -> Result<ExitCode, Failure> {
    match command {
        CertCommand::Issue(words) => issue::issue(context, &words),
        CertCommand::Request(words) => hosts::request(context, &words),
        CertCommand::Sign(words) => issue::sign(context, &words),
        CertCommand::Install(words) => hosts::install(context, &words),
        CertCommand::Renew(words) => issue::renew(context, &words),
        CertCommand::Revoke(words) => lists::revoke(context, &words),
        CertCommand::Inspect { files } => show::inspect(context, &files),
        CertCommand::Verify(words) => check::verify(context, &words),
        CertCommand::Status(words) => show::status(context, &words),
        CertCommand::NeedsRenewal(words) => Ok(check::needs_renewal(context, &words)),
    }
}

pub(crate) fn crl(context: &Context, command: CrlCommand) -> Result<ExitCode, Failure> {
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
