//! `doctor offline`: the data of a member that does not run. Nothing of it is changed.

use super::finding::{Finding, tell};
use super::ownership::owner;
use crate::cli::context::Context;
use admin_offline::data_dir::{inspect, is_real_etcds, must_be_idle};
use admin_ui::error::{CliError, REFUSED};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn doctor(context: &Context, data: &Path) -> Result<ExitCode, CliError> {
    let owner = owner(data, None);
    let is_foreign = owner.as_ref().is_some_and(Finding::is_problem);
    if let Err(error) = must_be_idle(data) {
        // A lock file of another user cannot be opened, which says nothing about its use.
        if is_foreign && error.code() != REFUSED {
            return tell(context, owner.into_iter().collect());
        }
        return Err(error);
    }
    let mut findings: Vec<Finding> = owner.into_iter().collect();
    if is_real_etcds(data) {
        let remedy = "move it with etcd-admin adopt, or read it with etcd-admin snapshot restore";
        findings.push(Finding::bad("format", data.display(), "it is the data of a real etcd", remedy));
        return tell(context, findings);
    }
    findings.push(modes(data));
    match inspect(data) {
        Err(error) if error.code() == REFUSED => {
            let remedy = "a new member begins here: join, or member rebuild; nothing is lost";
            findings.push(Finding::warning("data", data.display(), error.to_string(), remedy));
        }
        Err(error) if is_foreign => {
            let remedy = "correct the owner first, then check again";
            findings.push(Finding::bad("data", data.display(), error.to_string(), remedy));
        }
        Err(error) => {
            let remedy = "do not repair it by hand: rebuild the member (etcd-admin member rebuild); if most members are like this, compare the remaining data with etcd-admin recover inspect";
            findings.push(Finding::bad("data", data.display(), error.to_string(), remedy));
        }
        Ok(found) => {
            let text = format!(
                "member {} of cluster {}: revision {}, applied {}, log up to {} in term {}",
                found.member, found.cluster, found.revision, found.applied_index, found.last_index, found.last_term
            );
            findings.push(Finding::good("data", data.display(), text));
            findings.push(if found.last_index < found.commit {
                let remedy =
                    "its log ends before what it has promised: take it out and in again (etcd-admin member rebuild)";
                let text = format!("the log ends at {}, and {} was committed", found.last_index, found.commit);
                Finding::bad("log", data.display(), text, remedy)
            } else {
                Finding::good(
                    "log",
                    data.display(),
                    format!("{} entries wait to be applied", found.commit.saturating_sub(found.applied_index)),
                )
            });
            findings.push(if found.members.iter().any(|member| member.id == found.member) {
                Finding::good("membership", data.display(), format!("one of {} members", found.members.len()))
            } else {
                let remedy =
                    "it was removed from the cluster; move the directory away before the member is added again";
                Finding::warning("membership", data.display(), "it is not among the members that it knows of", remedy)
            });
        }
    }
    tell(context, findings)
}

fn modes(data: &Path) -> Finding {
    match std::fs::metadata(data) {
        Err(error) => Finding::bad("mode", data.display(), error.to_string(), "is this the data directory?"),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let mode = metadata.permissions().mode() & 0o777;
            Finding::warning(
                "mode",
                data.display(),
                format!("other users can read it: mode {mode:04o}"),
                format!("chmod 0700 {}", data.display()),
            )
        }
        Ok(_) => Finding::good("mode", data.display(), "for its owner alone"),
    }
}
