//! `migrate status`: how far the migration is.

use super::args::StatusArgs;
use super::facts::{ClusterFacts, Kind, OURS};
use super::gather;
use super::journal::{Direction, Journal, Journals, Step};
use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, table};
use membership::Version;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    kind: Kind,
    version: String,
    leads: bool,
    learner: bool,
    available: bool,
}

/// A journal of this host.
#[derive(Debug, Serialize)]
struct OnHost {
    member: String,
    direction: Direction,
    /// The step that is done next; `None` if all are done.
    next_step: Option<Step>,
    last_step: Option<Step>,
    /// RFC 3339.
    last_time: Option<String>,
    aside: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Status {
    changed: bool,
    cluster_version: String,
    /// The version that the cluster keeps until `migrate commit`.
    held_version: Option<String>,
    migrated: usize,
    members: Vec<Member>,
    journals: Vec<OnHost>,
    next: String,
}

pub(super) async fn status(context: &Context, client: &Client, args: &StatusArgs) -> Result<ExitCode, CliError> {
    let journals = Journals::at(&args.state_dir).all()?;
    let (_, cluster) = gather::cluster(client).await?;
    let status = Status::of(&cluster, &journals);
    print_result(context.format, &status, || status.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Status {
    fn of(cluster: &ClusterFacts, journals: &[Journal]) -> Self {
        let members = cluster.members.iter().map(|member| Member {
            name: member.name.clone(),
            kind: member.kind,
            version: member.version.map(|version| version.to_string()).unwrap_or_default(),
            leads: member.leads,
            learner: member.is_learner,
            available: member.away.is_none() && member.is_started,
        });
        Self {
            changed: false,
            cluster_version: cluster.cluster_version.map(|version| version.to_string()).unwrap_or_default(),
            held_version: cluster.held().map(|version| version.to_string()),
            migrated: cluster.ours().count(),
            members: members.collect(),
            journals: journals.iter().map(OnHost::of).collect(),
            next: next(cluster, journals),
        }
    }

    fn text(&self) -> String {
        let row = |member: &Member| {
            let runs = match member.kind {
                Kind::Etcd => format!("etcd {}", member.version),
                Kind::Ours => format!("etcd-server ({})", member.version),
                Kind::Unknown => format!("unknown {}", member.version),
            };
            let role = match (member.available, member.learner, member.leads) {
                (false, _, _) => "not available",
                (true, true, _) => "learner",
                (true, false, true) => "leader",
                (true, false, false) => "follower",
            };
            vec![member.name.clone(), runs, role.to_owned()]
        };
        let members = table(&["MEMBER", "RUNS", "ROLE"], &self.members.iter().map(row).collect::<Vec<_>>());
        let is_low = self.cluster_version.parse().is_ok_and(|version: Version| version.cluster() < OURS.cluster());
        let hold = match (&self.held_version, is_low && self.migrated < self.members.len()) {
            (Some(_), _) => ", held until etcd-admin migrate commit",
            (None, true) => ", kept by the members of etcd",
            (None, false) => "",
        };
        let journals: String = self.journals.iter().map(OnHost::line).collect();
        format!(
            "{} of {} members are migrated. Cluster version {}{hold}.\n\n{members}{journals}\nnext: {}\n",
            self.migrated,
            self.members.len(),
            self.cluster_version,
            self.next
        )
    }
}

impl OnHost {
    fn of(journal: &Journal) -> Self {
        let last = journal.done.last();
        Self {
            member: journal.name.clone(),
            direction: journal.direction,
            next_step: journal.next(),
            last_step: last.map(|done| done.step),
            last_time: last.map(|done| done.time.clone()),
            aside: journal.aside.clone(),
        }
    }

    fn line(&self) -> String {
        let kept: String = self.aside.iter().map(|path| format!("  kept: {}\n", path.display())).collect();
        let state = match (self.next_step, self.direction) {
            (None, _) => "all steps are done".to_owned(),
            (Some(step), direction) => format!("next step: {}", step.title(direction)),
        };
        format!("\nOn this host, {}: {state}\n{kept}", self.member)
    }
}

fn next(cluster: &ClusterFacts, journals: &[Journal]) -> String {
    if let Some(open) = journals.iter().find(|journal| journal.next().is_some()) {
        return match open.direction {
            Direction::Run => "etcd-admin migrate run, on this host; or etcd-admin migrate rollback".to_owned(),
            Direction::Rollback => "etcd-admin migrate rollback, on this host".to_owned(),
        };
    }
    let is_raised = cluster.cluster_version.is_some_and(|version| version.cluster() >= OURS.cluster());
    let etcds = cluster.etcds().min_by_key(|etcd| (etcd.leads, &etcd.name));
    match (etcds, is_raised) {
        (Some(etcd), _) => format!("etcd-admin migrate run, on the host of {}", etcd.name),
        (None, false) => "etcd-admin migrate commit; until then etcd-admin migrate rollback goes back".to_owned(),
        (None, true) => "nothing: the migration is complete".to_owned(),
    }
}
