//! `migrate commit`: the hold of the cluster version is released, and the version rises.

use super::args::CommitArgs;
use super::facts::{ClusterFacts, OURS};
use super::{compare, gather, hold, run};
use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::confirm::confirm;
use admin_ui::error::{CliError, TIMED_OUT};
use admin_ui::output::print_result;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Serialize)]
struct Committed {
    changed: bool,
    dry_run: bool,
    cluster_version: String,
}

pub(super) async fn commit(context: &Context, client: &Client, args: &CommitArgs) -> Result<ExitCode, CliError> {
    let (view, cluster) = gather::cluster(client).await?;
    must_be_migrated(&cluster)?;
    run::refuse_bad(&compare::compare(client, &view).await, "nothing was changed")?;
    let held = cluster.held();
    if let (Some(held), false) = (held, context.dry_run) {
        let what = format!(
            "This releases the hold of the cluster version at {held}. Members of etcd {} cannot return afterwards.",
            held.minor_text()
        );
        confirm(&what, &format!("{:x}", view.cluster_id), args.yes)?;
        hold::release(client).await?;
        wait_for_version(client, args.wait).await?;
    }
    let version = if held.is_some() { Some(OURS.cluster()) } else { cluster.cluster_version };
    let cluster_version = version.map(|version| version.to_string()).unwrap_or_default();
    let report = Committed { changed: held.is_some(), dry_run: context.dry_run, cluster_version };
    print_result(context.format, &report, || match (report.changed, report.dry_run) {
        (false, _) => format!("the cluster version is {}, and not held: nothing changed\n", report.cluster_version),
        (true, true) => format!("would release the hold; the cluster version rises to {}\n", report.cluster_version),
        (true, false) => format!("the cluster version is {}: the migration is complete\n", report.cluster_version),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses while a member is not ours.
fn must_be_migrated(cluster: &ClusterFacts) -> Result<(), CliError> {
    let left: Vec<&str> = cluster
        .members
        .iter()
        .filter(|member| member.kind != super::Kind::Ours)
        .map(|member| member.name.as_str())
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let text = format!("not migrated: {}; on its host: etcd-admin migrate run", left.join(", "));
    Err(CliError::refused(text))
}

async fn wait_for_version(client: &Client, limit: Duration) -> Result<(), CliError> {
    let begun = Instant::now();
    loop {
        let (_, cluster) = gather::cluster(client).await?;
        if cluster.cluster_version == Some(OURS.cluster()) {
            return Ok(());
        }
        if begun.elapsed() > limit {
            let text = format!(
                "the hold is released, and the cluster version did not rise to {} within {limit:?}: etcd-admin doctor cluster",
                OURS.cluster()
            );
            return Err(CliError::new(TIMED_OUT, text));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
