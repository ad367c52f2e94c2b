//! member list, status, ok-to-stop, ok-to-remove.

use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Judgement, LinkState, Seen, headline, role};
use crate::doctor;
use admin_client::{Client, Disk, LeaderChange};
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::size;
use admin_ui::output::{print_result, table};
use admin_ui::progress::note;
use serde::Serialize;
use std::process::ExitCode;

/// A member, for programs. Ids are hexadecimal text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MemberStatus {
    id: String,
    name: String,
    /// `leader`, `follower`, `learner`, `candidate`, `unstarted` or `unreachable`.
    role: String,
    /// It has proven that it follows the leader.
    in_sync: bool,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// It is a real etcd.
    is_etcd: bool,
    /// Of a member of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    package_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
    /// Index and term of the last log entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_term: Option<u64>,
    /// Entries behind the member that has applied most.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    /// Days until its first certificate or CRL expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_days: Option<i64>,
    /// Its connections, as it reports them.
    connections: Vec<Connection>,
    alarms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The connection of a member to another one.
#[derive(Clone, Debug, Serialize)]
struct Connection {
    to: String,
    #[serde(flatten)]
    state: LinkState,
}

impl MemberStatus {
    pub(crate) fn of(view: &ClusterView, seen: &Seen) -> Self {
        let status = seen.status.as_ref().ok();
        let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
        let others = view.members.iter().filter(|other| other.member.id != seen.member.id);
        let page = seen.page();
        Self {
            id: seen.id(),
            name: seen.member.name.clone(),
            role: role(view, seen).to_owned(),
            in_sync: seen.proven,
            peer_urls: seen.member.peer_ur_ls.clone(),
            client_urls: seen.member.client_ur_ls.clone(),
            version: status.map(|status| status.version.clone()),
            is_etcd: seen.is_etcd(),
            package_version: page.map(|page| page.package_version.clone()),
            term: status.map(|status| status.raft_term),
            applied_index: status.map(|status| status.raft_applied_index),
            last_index: seen.last_entry().map(|(_, index)| index),
            last_term: seen.last_entry().map(|(term, _)| term),
            lag: status.map(|status| newest.saturating_sub(status.raft_applied_index)),
            database_bytes: status.map(|status| status.db_size),
            disk: page.and_then(|page| page.disk.clone()),
            certificate_days: seen.certificate_days(),
            connections: others.map(|other| Connection { to: other.name(), state: view.link(seen, other) }).collect(),
            alarms: view
                .alarms
                .iter()
                .filter(|(id, _)| *id == seen.member.id)
                .map(|(_, alarm)| alarm.clone())
                .collect(),
            error: seen.status.as_ref().err().cloned(),
        }
    }

    /// A line of `member list`.
    fn row(&self) -> Vec<String> {
        let bytes = self.database_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let mut note = self.alarms.join(" ");
        if self.role == "unreachable" {
            note += self.error.as_deref().unwrap_or_default();
        } else if self.role == "follower" && !self.in_sync {
            note += "does not follow a leader";
        }
        vec![
            self.id.clone(),
            self.shown_name(),
            self.role.clone(),
            or_dash(
                self.version
                    .as_ref()
                    .map(|version| if self.is_etcd { format!("{version} (etcd)") } else { version.clone() }),
            ),
            or_dash(self.term),
            or_dash(self.applied_index),
            or_dash(self.lag),
            or_dash(bytes.map(size)),
            self.client_urls.join(","),
            note,
        ]
    }

    /// A line of `status`, which fits a terminal of 80 columns.
    fn short_row(&self) -> Vec<String> {
        let open = self.connections.iter().filter(|connection| connection.state == LinkState::Open).count();
        let is_known = self.connections.iter().any(|connection| connection.state != LinkState::Unknown);
        let bytes = self.database_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        vec![
            self.shown_name(),
            self.role.clone(),
            or_dash(self.term),
            or_dash(self.last_index.or(self.applied_index)),
            or_dash(self.lag),
            or_dash(bytes.map(size)),
            or_dash(self.disk.as_ref().map(|disk| format!("{}%", disk.free_percent()))),
            or_dash(self.certificate_days.map(|days| format!("{days} d"))),
            or_dash((is_known && self.error.is_none()).then(|| format!("{open}/{}", self.connections.len()))),
            self.client_urls.first().cloned().unwrap_or_else(|| "-".to_owned()),
        ]
    }

    fn shown_name(&self) -> String {
        if self.name.is_empty() { self.id.clone() } else { self.name.clone() }
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

const HEAD: [&str; 10] = ["ID", "NAME", "ROLE", "VERSION", "TERM", "APPLIED", "LAG", "SIZE", "CLIENT URLS", ""];
const SHORT_HEAD: [&str; 10] = ["NAME", "ROLE", "TERM", "LAST", "LAG", "SIZE", "FREE", "CERT", "PEERS", "ENDPOINT"];

/// The cluster, for programs.
#[derive(Debug, Serialize)]
struct ClusterStatus {
    cluster_id: String,
    /// As members of ours report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_version: Option<String>,
    /// The version that the cluster keeps until `migrate commit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_version: Option<String>,
    revision: i64,
    /// All voters follow the leader, all members are connected, and no alarm is raised.
    healthy: bool,
    /// A quorum has confirmed the list of members.
    confirmed: bool,
    voters: usize,
    quorum: usize,
    /// Failures that the cluster survives now, by the reports of the members about their
    /// connections.
    tolerated: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_leader_change: Option<LeaderChange>,
    members: Vec<MemberStatus>,
    alarms: Vec<String>,
    problems: Vec<doctor::Finding>,
}

impl ClusterStatus {
    fn of(view: &ClusterView) -> Self {
        Self {
            cluster_id: format!("{:x}", view.cluster_id),
            cluster_version: view.cluster_version().map(str::to_owned),
            held_version: view.held_version().map(str::to_owned),
            revision: view.revision,
            healthy: view.is_healthy(),
            confirmed: view.confirmed,
            voters: view.voters().count(),
            quorum: view.quorum(),
            tolerated: view.tolerance().verified,
            leader: view.leader().map(Seen::name),
            last_leader_change: view.last_leader_change(),
            members: view.members.iter().map(|seen| MemberStatus::of(view, seen)).collect(),
            alarms: view.alarms.iter().map(|(id, alarm)| format!("{alarm} of {}", view.name_of(*id))).collect(),
            problems: doctor::problems(view).into_iter().chain(doctor::failed_snapshots()).collect(),
        }
    }

    fn text(&self, view: &ClusterView) -> String {
        let rows: Vec<_> = self.members.iter().map(MemberStatus::short_row).collect();
        let change = self.last_leader_change.as_ref().map(|change| view.describe_leader_change(change));
        let change = change.map_or_else(String::new, |change| format!("\nLeader: {change}."));
        let hold = self.held_version.as_ref().map_or_else(String::new, |held| {
            format!("\nThe cluster version is held at {held} until etcd-admin migrate commit.")
        });
        let head = headline(view) + &change + &hold;
        let problems: String = self.problems.iter().map(doctor::Finding::paragraph).collect();
        let problems = if problems.is_empty() { String::new() } else { format!("\nProblems\n{problems}") };
        format!("{head}\n\n{}{problems}", table(&SHORT_HEAD, &rows))
    }
}

pub(super) async fn list(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let view = ClusterView::survey(client).await?;
    if !view.confirmed {
        note(
            "no leader: this list is the one that the members had last, and no quorum confirms it (etcd-admin status)",
        );
    }
    let members: Vec<_> = view.members.iter().map(|seen| MemberStatus::of(&view, seen)).collect();
    print_result(context.format, &members, || {
        table(&HEAD, &members.iter().map(MemberStatus::row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the whole cluster on one page; ends with 3 when it is not healthy.
pub(crate) async fn status(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let view = ClusterView::survey(client).await?;
    let status = ClusterStatus::of(&view);
    print_result(context.format, &status, || status.text(&view))?;
    Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

fn judged(context: &Context, what: &str, judgement: &Judgement) -> Result<ExitCode, CliError> {
    print_result(context.format, judgement, || {
        let after = format!("afterwards {} more may fail", judgement.tolerated);
        if judgement.ok {
            format!("ok: {what}: {}; {after}\n", judgement.reason)
        } else {
            format!("NOT OK: {what}: {}\n", judgement.reason)
        }
    })?;
    Ok(if judgement.ok { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

pub(super) async fn ok_to_stop(context: &Context, client: &Client, args: &[String]) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let gone = args.iter().map(|arg| view.expect(arg)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = gone.iter().map(|seen| seen.name()).collect();
    judged(context, &format!("stop {}", names.join(", ")), &view.may_stop(&gone))
}

pub(super) async fn ok_to_remove(context: &Context, client: &Client, arg: &str) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let gone = view.expect(arg)?;
    judged(context, &format!("remove {}", gone.name()), &view.may_remove(gone))
}
