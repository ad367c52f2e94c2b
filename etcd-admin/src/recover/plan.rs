//! recover plan.

use super::args::PlanArgs;
use super::inspect::{Found, Survivor, look};
use crate::cli::context::Context;
use admin_client::{Client, Repeat};
use admin_offline::new_cluster::NewCluster;
use admin_ui::error::{CliError, FAILED, INTEGRITY};
use admin_ui::output::print_result;
use proto::etcdserverpb::RangeRequest;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The plan, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: String,
    pub(crate) made_at: String,
    /// The one whose data goes on.
    pub(crate) donor: Survivor,
    /// All that were looked at.
    pub(crate) survivors: Vec<Survivor>,
    pub(crate) initial_cluster: String,
    pub(crate) initial_cluster_token: String,
    pub(crate) cluster_id: String,
    pub(crate) output: PathBuf,
    pub(crate) bump_revision: i64,
    /// The possible loss, in words.
    pub(crate) loss: String,
}

impl Plan {
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read(path).map_err(|error| CliError::at(path, error))?;
        serde_json::from_slice(&text)
            .map_err(|error| CliError::new(INTEGRITY, format!("{}: it is not a plan: {error}", path.display())))
    }

    pub(crate) fn cluster(&self) -> Result<NewCluster, CliError> {
        NewCluster::parse(&self.initial_cluster, &self.initial_cluster_token)
    }
}

pub(super) async fn plan(context: &Context, client: &Client, args: &PlanArgs) -> Result<ExitCode, CliError> {
    let found = look(&args.data_dirs);
    if let Some(endpoint) = served(client, &found).await {
        let text = format!(
            "Nothing to do: {endpoint} serves reads that need a quorum. Use `etcd-admin member replace` for members that are lost.\n"
        );
        return admin_ui::output::say(&text).map(|()| ExitCode::SUCCESS);
    }
    let donor = choose(&found)?;
    if args.plan.exists() {
        return Err(CliError::refused(format!(
            "{} is there already: apply it, or name another file with --plan",
            args.plan.display()
        )));
    }
    let token =
        args.initial_cluster_token.clone().unwrap_or_else(|| format!("recovered-{}", context.now.unix_timestamp()));
    let cluster = NewCluster::parse(&args.initial_cluster, &token)?;
    let plan = Plan {
        api_version: "etcd-admin/v1".to_owned(),
        made_at: certs::rfc3339(context.now),
        loss: loss(donor),
        donor: donor.clone(),
        survivors: found.survivors.clone(),
        initial_cluster: args.initial_cluster.clone(),
        cluster_id: format!("{:x}", cluster.cluster_id),
        initial_cluster_token: token,
        output: args.output_dir.clone(),
        bump_revision: args.bump_revision,
    };
    if plan.cluster_id == donor.cluster {
        return Err(CliError::refused(
            "the new cluster would have the id of the old one: give another --initial-cluster-token",
        ));
    }
    if !context.dry_run {
        let text = serde_json::to_string_pretty(&plan)
            .map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
        certs::files::create(&args.plan, format!("{text}\n").as_bytes(), 0o600)?;
    }
    print_result(context.format, &plan, || {
        format!(
            "Recover from {} ({}, term {}, index {}).\n{}\nThe new cluster {} has {} members; old members that return are refused.\n{}",
            donor.data_dir.display(),
            if donor.name.is_empty() { &donor.member } else { &donor.name },
            donor.last_term,
            donor.last_index,
            plan.loss,
            plan.cluster_id,
            cluster.members.len(),
            if context.dry_run {
                String::new()
            } else {
                format!("{}\nNext: etcd-admin recover apply {}\n", args.plan.display(), args.plan.display())
            }
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The best of the survivors, which all have to be of one cluster.
fn choose(found: &Found) -> Result<&Survivor, CliError> {
    let lost =
        || found.lost.iter().map(|lost| format!("\n  {}: {}", lost.data_dir.display(), lost.error)).collect::<String>();
    let best = found
        .survivors
        .first()
        .ok_or_else(|| CliError::new(INTEGRITY, format!("no data directory can be used{}", lost())))?;
    if let Some(other) = found.survivors.iter().find(|other| other.cluster != best.cluster) {
        let text = format!(
            "{} is of cluster {}, and {} of {}: give those of one cluster",
            best.data_dir.display(),
            best.cluster,
            other.data_dir.display(),
            other.cluster
        );
        return Err(CliError::refused(text));
    }
    Ok(best)
}

/// Returns the writes that a majority may have acknowledged without the donor.
fn loss(donor: &Survivor) -> String {
    format!(
        "All entries up to {} are present. Entries that only lost members had after it are lost; their number is unknown; \
         entries {} to {} are not known to be committed here, and are kept.",
        donor.last_index,
        donor.commit + 1,
        donor.last_index
    )
}

/// Returns a serving endpoint, if one of the known ones serves.
async fn served(client: &Client, found: &Found) -> Option<String> {
    let mut endpoints = client.settings.endpoints.clone();
    endpoints.extend(found.survivors.iter().flat_map(|survivor| survivor.client_urls.clone()));
    endpoints.sort();
    endpoints.dedup();
    for endpoint in endpoints {
        let Ok(own) = client.at(&endpoint) else { continue };
        let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
        let asked = own.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await;
        if asked.is_ok() || asked.is_err_and(|error| error.code() == tonic::Code::PermissionDenied) {
            return Some(endpoint);
        }
    }
    None
}
