//! snapshot restore: the data directories of a new cluster, all from one plan.

use super::args::RestoreArgs;
use super::file::{Digested, SnapshotFile};
use super::manifest::Manifest;
use crate::cli::context::Context;
use crate::offline::data_dir::{self, NewMember};
use crate::ui::error::{CliError, FAILED};
use crate::ui::output::print_result;
use crate::ui::progress::Progress;
use config::Url;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A new cluster: names, peer URLs and the ids that follow from them.
#[derive(Clone, Debug)]
pub(crate) struct NewCluster {
    pub(crate) members: Vec<NewMember>,
    pub(crate) cluster_id: u64,
}

impl NewCluster {
    /// Reads `NAME=URL,…`; a name may have several URLs.
    pub(crate) fn parse(text: &str, token: &str) -> Result<Self, CliError> {
        let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
            let (name, url) =
                entry.trim().split_once('=').ok_or_else(|| CliError::usage(format!("{entry:?} is not NAME=URL")))?;
            let url = Url::parse(url).map_err(|error| CliError::usage(format!("{entry:?}: {error}")))?;
            by_name.entry(name).or_default().push(url.as_str().to_owned());
        }
        let mut urls: Vec<&String> = by_name.values().flatten().collect();
        urls.sort();
        if let Some(twice) = urls.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CliError::usage(format!("{} is given twice", twice[0])));
        }
        if by_name.is_empty() {
            return Err(CliError::usage("a cluster has members: give --initial-cluster"));
        }
        let members: Vec<NewMember> =
            by_name.into_iter().map(|(name, urls)| NewMember::founding(name, urls, token)).collect();
        let cluster_id = data_dir::cluster_id(&members);
        Ok(Self { members, cluster_id })
    }

    pub(crate) fn member(&self, name: &str) -> Result<&NewMember, CliError> {
        let names = || self.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
        let missing = || {
            CliError::usage(format!(
                "couldn't find local name {name:?} in the initial cluster configuration (it names {})",
                names()
            ))
        };
        self.members.iter().find(|member| member.name == name).ok_or_else(missing)
    }
}

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
        revision = all(&file, &cluster, &wanted, raise, figures.total_keys)?;
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

pub(crate) fn must_be_free(data_dir: &Path) -> Result<(), CliError> {
    let text =
        |more: &str| format!("data-dir {:?} not empty or could not be read{more}", data_dir.display().to_string());
    match std::fs::read_dir(data_dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::refused(text(""))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::new(FAILED, text(&format!(": {error}")))),
    }
}

/// Makes all directories at once, each by a thread of its own; one that fails leaves the others
/// complete, and nothing of its own.
fn all(
    file: &SnapshotFile,
    cluster: &NewCluster,
    wanted: &[(&NewMember, PathBuf)],
    raise: Option<i64>,
    keys: u64,
) -> Result<i64, CliError> {
    let progress = Progress::of_steps("restore");
    let total = keys.max(1);
    let made: Vec<Result<i64, CliError>> = std::thread::scope(|scope| {
        let threads = wanted.iter().skip(1).map(|(member, data_dir)| {
            let path = &file.path;
            scope.spawn(move || {
                let own = SnapshotFile::open(path, Digested::Ignored)?;
                data_dir::make_data_dir(data_dir, member, &cluster.members, raise, &own.bolt, &mut |_| {})
            })
        });
        let threads: Vec<_> = threads.collect();
        let first = wanted.first().map(|(member, data_dir)| {
            data_dir::make_data_dir(data_dir, member, &cluster.members, raise, &file.bolt, &mut |done| {
                progress.at(done.min(total), total)
            })
        });
        let rest = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(CliError::new(FAILED, "a restore stopped unexpectedly")))
        });
        first.into_iter().chain(rest).collect()
    });
    let mut revision = 0;
    for one in made {
        revision = one?;
    }
    Ok(revision)
}
