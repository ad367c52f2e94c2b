//! `migrate rollback`: the etcd of this host takes its place back. Its old data cannot be used: the
//! member that it belongs to was removed. It gets the data of the cluster, as every new member.

use super::args::RollbackArgs;
use super::etcd_config::joining;
use super::gather;
use super::journal::{Direction, Journal, Journals};
use super::run::{Executor, client_of};
use super::service::{Daemon, Service};
use crate::cli::context::Context;
use crate::cluster_view::ClusterView;
use crate::snapshot::owner::give_to_owner_of_dir;
use admin_client::Client;
use admin_ui::confirm::confirm;
use admin_ui::error::CliError;
use membership::Version;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::Instant;

pub(super) async fn rollback(context: &Context, client: &Client, args: &RollbackArgs) -> Result<ExitCode, CliError> {
    let begun = Instant::now();
    let journals = Journals::at(&args.steps.state_dir);
    let mut journal = find(&journals, args)?;
    let client = &client_of(client, &journal.others)?;
    let (view, cluster) = gather::cluster(client).await?;
    must_return(&journal, cluster.cluster_version)?;
    // The others may have changed since the migration of this host.
    journal.others = others(&view, &journal);
    let others = client_of(client, &journal.others)?;
    if journal.direction == Direction::Run {
        if view.members.iter().any(|seen| seen.id() == journal.etcd_id) {
            let text = format!(
                "the etcd {} was not removed: there is nothing to roll back; go on with etcd-admin migrate run",
                journal.name
            );
            return Err(CliError::refused(text));
        }
        if !context.dry_run {
            Service::of(&args.steps.service).must_be_known(Daemon::Ours, Daemon::Etcd)?;
            let what =
                format!("This removes the member {} of this server, and starts etcd in its place.", journal.name);
            confirm(&what, &journal.name, args.steps.yes)?;
        }
        journal.turn_back();
    }
    let executor = Executor::new(context, others, journals, journal, &args.steps);
    executor.carry_out(begun, "etcd-admin migrate status").await
}

fn find(journals: &Journals, args: &RollbackArgs) -> Result<Journal, CliError> {
    let nothing = |name: &str| {
        let text = format!(
            "{} has no journal{name}: only a member that etcd-admin migrate run replaced is rolled back, on its host",
            args.steps.state_dir.display()
        );
        CliError::refused(text)
    };
    if let Some(name) = &args.member {
        return journals.read(name)?.ok_or_else(|| nothing(&format!(" of {name}")));
    }
    let mut all = journals.all()?;
    match all.len() {
        0 => Err(nothing("")),
        1 => Ok(all.remove(0)),
        _ => {
            let names = all.iter().map(|journal| journal.name.clone()).collect::<Vec<_>>().join(", ");
            Err(CliError::usage(format!(
                "{} has journals of {names}: name one with --member",
                args.steps.state_dir.display()
            )))
        }
    }
}

/// Returns the client URLs of the other voters that answer.
fn others(view: &ClusterView, journal: &Journal) -> Vec<String> {
    let is_other = |id: &str| Some(id) != journal.our_id.as_deref() && Some(id) != journal.returned_id.as_deref();
    let voters = view.voters().filter(|seen| seen.proven && is_other(&seen.id()));
    voters.filter_map(|seen| seen.endpoint.clone()).collect()
}

/// Refuses an etcd that is older than the cluster version: it would not start.
fn must_return(journal: &Journal, cluster: Option<Version>) -> Result<(), CliError> {
    let etcd: Option<Version> = journal.etcd_version.parse().ok();
    match (etcd.map(Version::cluster), cluster.map(Version::cluster)) {
        (Some(etcd), Some(cluster)) if etcd < cluster => Err(CliError::refused(format!(
            "the cluster version is {cluster}, and etcd {} cannot join it: the migration was committed; replace the members by \
             etcd {}, then use etcdctl downgrade",
            journal.etcd_version,
            cluster.minor_text()
        ))),
        _ => Ok(()),
    }
}

impl Executor<'_> {
    /// Writes the settings of a member that joins into the configuration of the etcd, and keeps the
    /// file that was there.
    pub(super) async fn configure_etcd(&self) -> Result<(), CliError> {
        let from = &self.journal.from;
        let text = std::fs::read_to_string(from).map_err(|error| CliError::at(from, error))?;
        let members = self.initial_cluster().await?;
        let changed =
            joining(&text, &members).map_err(|reason| CliError::usage(format!("{}: {reason}", from.display())))?;
        if changed == text {
            return Ok(());
        }
        let mut kept = from.as_os_str().to_owned();
        kept.push(".before-rollback");
        let kept = std::path::PathBuf::from(kept);
        // The first one is the operator's.
        if !kept.exists() {
            std::fs::copy(from, &kept).map_err(|error| CliError::at(&kept, error))?;
        }
        let mode = std::fs::metadata(from).map_err(|error| CliError::at(from, error))?.permissions().mode() & 0o777;
        certs::files::replace(from, changed.as_bytes(), mode)?;
        give_to_owner_of_dir(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_older_than_cluster_version_is_refused() {
        let journal = |version: &str| Journal { etcd_version: version.to_owned(), ..Journal::begin(1, "m1", 2) };
        for (etcd, cluster, allowed) in [
            ("3.5.30", "3.5.0", true),
            ("3.5.30", "3.6.0", false),
            ("3.6.14", "3.6.0", true),
            ("3.6.14", "3.7.0", false),
            ("3.7.0", "3.7.0", true),
        ] {
            let refused = must_return(&journal(etcd), cluster.parse().ok());
            assert_eq!(refused.is_ok(), allowed, "{etcd} in {cluster}");
        }
    }
}
