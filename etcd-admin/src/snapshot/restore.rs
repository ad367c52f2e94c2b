//! snapshot restore: the data directories of a new cluster, all from one plan.

use super::args::RestoreArgs;
use super::manifest::Manifest;
use crate::cli::context::Context;
use admin_offline::data_dir::must_be_free;
use admin_offline::new_cluster::{NewCluster, NewMember};
use admin_offline::restore::make_data_dirs;
use admin_offline::snapshot_file::{Digested, SnapshotFile};
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Restored {
    changed: bool,
    dry_run: bool,
    source: PathBuf,
    cluster_id: String,
    revision_found: i64,
    revision: i64,
    members: Vec<RestoredMember>,
}

#[derive(Debug, Serialize)]
struct RestoredMember {
    name: String,
    id: String,
    data_dir: PathBuf,
}

pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, CliError> {
    let cluster = NewCluster::parse(&args.initial_cluster, &args.initial_cluster_token)?;
    let wanted: Vec<(&NewMember, PathBuf)> = match (&args.output_dir, &args.data_dir, &args.name) {
        (Some(output), _, _) => cluster.members.iter().map(|member| (member, output.join(&member.name))).collect(),
        (None, Some(data_dir), Some(name)) => vec![(cluster.member(name)?, data_dir.clone())],
        (None, _, _) => return Err(CliError::usage("give --output-dir DIR, or --name NAME and --data-dir DIR")),
    };
    wanted.iter().try_for_each(|(_, data_dir)| must_be_free(data_dir))?;
    let digested = if args.skip_hash_check { Digested::Ignored } else { Digested::Required };
    let file = SnapshotFile::open(&args.source, digested)?;
    let figures = file.status(backend_file::StatusStyle::V3_6)?;
    let raise =
        if args.exact { None } else { Some(args.bump_revision.max(past_high_water(&args.source, figures.revision)?)) };
    let mut revision = figures.revision + raise.unwrap_or(0);
    if !context.dry_run {
        revision = make_data_dirs(&file, &cluster, &wanted, raise, figures.total_keys)?;
    }
    let members = wanted.iter().map(|(member, data_dir)| RestoredMember {
        name: member.name.clone(),
        id: member.id_text(),
        data_dir: data_dir.clone(),
    });
    let report = Restored {
        changed: true,
        dry_run: context.dry_run,
        source: args.source.clone(),
        cluster_id: format!("{:x}", cluster.cluster_id),
        revision_found: figures.revision,
        revision,
        members: members.collect(),
    };
    print_result(context.format, &report, || {
        let lead = if report.dry_run { "would restore" } else { "restored" };
        let lines: String = report
            .members
            .iter()
            .map(|member| format!("{lead} {} ({}) in {}\n", member.name, member.id, member.data_dir.display()))
            .collect();
        let raised = if args.exact {
            format!("Revisions are as they were, up to {}.\n", report.revision)
        } else {
            format!(
                "Revision {} became {}, and all before it is compacted: watchers of the old cluster must start again.\n",
                report.revision_found, report.revision
            )
        };
        format!("{lines}{raised}Start the members with\n  --initial-cluster {}\n", args.initial_cluster)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the increment by which the revision passes the highest known one of the old cluster.
fn past_high_water(source: &Path, revision: i64) -> Result<i64, CliError> {
    let known = if source.is_dir() { None } else { Manifest::read(source)? };
    Ok(known.map_or(0, |manifest| manifest.revision_high_water.saturating_sub(revision).saturating_add(1)))
}
