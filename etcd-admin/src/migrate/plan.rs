//! `migrate plan`: which member is migrated when, and how long it takes. Nothing is changed.

use super::facts::{ClusterFacts, Kind, MemberFacts, OURS};
use super::gather;
use crate::cli::context::Context;
use admin_client::Client;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, size, table};
use serde::Serialize;
use std::process::ExitCode;

/// Time of a member with little data, and bytes that a busy member receives in a second; measured
/// with 157 MB on a loaded machine.
const BASE_SECONDS: u64 = 3;
const BYTES_PER_SECOND: u64 = 10 << 20;

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Planned {
    member: String,
    kind: Kind,
    version: String,
    leads: bool,
    bytes: u64,
    /// Expected time; 0 for a member that is migrated.
    seconds: u64,
    /// The command on its host; empty for a member that is migrated.
    command: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Plan {
    /// A plan changes nothing.
    changed: bool,
    cluster_version: String,
    /// `true` if the cluster version has to be held for a way back.
    needs_hold: bool,
    seconds: u64,
    /// In the order of their migration: migrated ones, followers, the leader.
    members: Vec<Planned>,
}

pub(super) async fn plan(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let (_, cluster) = gather::cluster(client).await?;
    let plan = Plan::of(&cluster);
    print_result(context.format, &plan, || plan.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Plan {
    fn of(cluster: &ClusterFacts) -> Self {
        let mut order: Vec<&MemberFacts> = cluster.members.iter().collect();
        order.sort_by_key(|member| (member.kind != Kind::Ours, member.leads, member.name.clone()));
        let members: Vec<Planned> = order.into_iter().map(planned).collect();
        Self {
            changed: false,
            cluster_version: cluster.cluster_version.map(|version| version.to_string()).unwrap_or_default(),
            needs_hold: cluster.cluster_version.is_some_and(|version| version.cluster() < OURS.cluster()),
            seconds: members.iter().map(|member| member.seconds).sum(),
            members,
        }
    }

    fn text(&self) -> String {
        let row = |(number, member): (usize, &Planned)| {
            let kind = match member.kind {
                Kind::Etcd => format!("etcd {}", member.version),
                Kind::Ours => "migrated".to_owned(),
                Kind::Unknown => format!("unknown {}", member.version),
            };
            let time = if member.seconds > 0 { format!("{} s", member.seconds) } else { "-".to_owned() };
            let role = if member.leads { "leader" } else { "follower" };
            vec![
                number.to_string(),
                member.member.clone(),
                role.to_owned(),
                kind,
                size(member.bytes),
                time,
                member.command.clone(),
            ]
        };
        let rows: Vec<_> = (1..).zip(&self.members).map(row).collect();
        let head = ["", "MEMBER", "ROLE", "RUNS", "SIZE", "TIME", "ON ITS HOST"];
        let hold = if self.needs_hold {
            format!("The cluster version stays at {} until etcd-admin migrate commit.\n", self.cluster_version)
        } else {
            String::new()
        };
        format!("{}\nAbout {} s in all. One member at a time.\n{hold}", table(&head, &rows), self.seconds)
    }
}

fn planned(member: &MemberFacts) -> Planned {
    let (seconds, command) = match member.kind {
        Kind::Ours => (0, String::new()),
        Kind::Etcd | Kind::Unknown => {
            (BASE_SECONDS + member.bytes / BYTES_PER_SECOND, "etcd-admin migrate run".to_owned())
        }
    };
    Planned {
        member: member.name.clone(),
        kind: member.kind,
        version: member.version.map(|version| version.to_string()).unwrap_or_default(),
        leads: member.leads,
        bytes: member.bytes,
        seconds,
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use membership::Version;

    #[test]
    fn leader_comes_last_and_migrated_members_first() {
        let member = |name: &str, kind, leads| MemberFacts {
            id: 1,
            name: name.to_owned(),
            kind,
            version: Some(Version::new(3, 5, 30)),
            is_started: true,
            is_learner: false,
            leads,
            away: None,
            bytes: 25 << 20,
            quota_bytes: None,
            v2_keys: 0,
        };
        let cluster = ClusterFacts {
            members: vec![
                member("a", Kind::Etcd, true),
                member("c", Kind::Etcd, false),
                member("b", Kind::Etcd, false),
                member("d", Kind::Ours, false),
            ],
            cluster_version: Some(Version::new(3, 5, 0)),
            downgrade: None,
            alarms: Vec::new(),
        };
        let plan = Plan::of(&cluster);
        let order: Vec<&str> = plan.members.iter().map(|member| member.member.as_str()).collect();
        assert_eq!((order, plan.seconds, plan.needs_hold), (vec!["d", "b", "c", "a"], 15, true));
        assert!(plan.text().contains("stays at 3.5.0"), "{}", plan.text());
    }
}
