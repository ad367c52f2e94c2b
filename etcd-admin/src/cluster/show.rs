//! member list, status, ok-to-stop, ok-to-remove.

use super::proof::Judgement;
use super::view::{ClusterView, Seen};
use crate::client::Client;
use crate::context::Context;
use crate::ctl::size;
use crate::failure::{CHECK_FAILED, Failure};
use crate::output::{answer, table};
use serde::Serialize;
use std::process::ExitCode;

/// A member, for programs. Ids are hexadecimal text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MemberTold {
    id: String,
    name: String,
    /// `leader`, `follower`, `learner`, `unstarted` or `unreachable`.
    role: &'static str,
    /// Whether it proved that it follows the leader.
    in_sync: bool,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
    /// Entries behind the leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_bytes: Option<i64>,
    alarms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl MemberTold {
    pub(crate) fn of(view: &ClusterView, seen: &Seen) -> Self {
        let leads = view.leader().is_some_and(|leader| leader.member.id == seen.member.id);
        let status = seen.status.as_ref().ok();
        let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
        let role = match (seen.is_started() || status.is_some(), status.is_some(), seen.member.is_learner) {
            (false, _, _) => "unstarted",
            (true, false, _) => "unreachable",
            (true, true, true) => "learner",
            (true, true, false) if leads => "leader",
            (true, true, false) => "follower",
        };
        Self {
            id: seen.id(),
            name: seen.member.name.clone(),
            role,
            in_sync: seen.proven,
            peer_urls: seen.member.peer_ur_ls.clone(),
            client_urls: seen.member.client_ur_ls.clone(),
            version: status.map(|status| status.version.clone()),
            term: status.map(|status| status.raft_term),
            applied_index: status.map(|status| status.raft_applied_index),
            lag: status.map(|status| newest.saturating_sub(status.raft_applied_index)),
            database_bytes: status.map(|status| status.db_size),
            alarms: view.alarms.iter().filter(|(id, _)| *id == seen.member.id).map(|(_, alarm)| alarm.clone()).collect(),
            error: seen.status.as_ref().err().cloned(),
        }
    }

    fn row(&self) -> Vec<String> {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let bytes = self.database_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let mut note = self.alarms.join(" ");
        if self.role == "unreachable" {
            note += self.error.as_deref().unwrap_or_default();
        } else if self.role == "follower" && !self.in_sync {
            note += "does not follow the leader";
        }
        vec![
            self.id.clone(),
            if self.name.is_empty() { "-".to_owned() } else { self.name.clone() },
            self.role.to_owned(),
            or_dash(self.version.clone()),
            or_dash(self.term.map(|term| term.to_string())),
            or_dash(self.applied_index.map(|index| index.to_string())),
            or_dash(self.lag.map(|lag| lag.to_string())),
            or_dash(bytes.map(size)),
            self.client_urls.join(","),
            note,
        ]
    }
}

const HEAD: [&str; 10] = ["ID", "NAME", "ROLE", "VERSION", "TERM", "APPLIED", "LAG", "SIZE", "CLIENT URLS", ""];

#[derive(Debug, Serialize)]
struct ClusterTold {
    cluster_id: String,
    revision: i64,
    /// All voters follow the leader, and no alarm is raised.
    healthy: bool,
    voters: usize,
    quorum: usize,
    /// Failures that are borne now.
    tolerated: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    members: Vec<MemberTold>,
    alarms: Vec<String>,
}

fn told(view: &ClusterView) -> ClusterTold {
    let leader = view.leader().map(Seen::name);
    ClusterTold {
        cluster_id: format!("{:x}", view.cluster_id),
        revision: view.revision,
        healthy: leader.is_some() && view.alarms.is_empty() && view.voters().all(|seen| seen.proven),
        voters: view.voters().count(),
        quorum: view.quorum(),
        tolerated: view.tolerated(),
        leader,
        members: view.members.iter().map(|seen| MemberTold::of(view, seen)).collect(),
        alarms: view.alarms.iter().map(|(id, alarm)| format!("{alarm} of {id:x}")).collect(),
    }
}

pub(super) async fn list(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let view = ClusterView::look(client).await?;
    let members: Vec<_> = view.members.iter().map(|seen| MemberTold::of(&view, seen)).collect();
    answer(context.format, &members, || table(&HEAD, &members.iter().map(MemberTold::row).collect::<Vec<_>>()))?;
    Ok(ExitCode::SUCCESS)
}

/// The whole cluster on one page; ends with 3 when something is not as it should be.
pub(crate) async fn status(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let view = ClusterView::look(client).await?;
    let told = told(&view);
    answer(context.format, &told, || {
        let head = format!(
            "Cluster {}: {}. {} voters, {} needed, {} may fail. Revision {}.\n",
            told.cluster_id,
            if told.healthy { "healthy" } else { "NOT HEALTHY" },
            told.voters,
            told.quorum,
            told.tolerated,
            told.revision
        );
        let alarms: String = told.alarms.iter().map(|alarm| format!("ALARM {alarm}\n")).collect();
        format!("{head}{alarms}\n{}", table(&HEAD, &told.members.iter().map(MemberTold::row).collect::<Vec<_>>()))
    })?;
    Ok(if told.healthy { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

fn judged(context: &Context, what: &str, judgement: &Judgement) -> Result<ExitCode, Failure> {
    answer(context.format, judgement, || {
        let after = format!("afterwards {} more may fail", judgement.tolerated);
        if judgement.ok {
            format!("ok: {what}: {}; {after}\n", judgement.reason)
        } else {
            format!("NOT OK: {what}: {}\n", judgement.reason)
        }
    })?;
    Ok(if judgement.ok { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

pub(super) async fn ok_to_stop(context: &Context, client: &Client, words: &[String]) -> Result<ExitCode, Failure> {
    let view = ClusterView::look(client).await?;
    let gone = words.iter().map(|word| view.expect(word)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = gone.iter().map(|seen| seen.name()).collect();
    judged(context, &format!("stop {}", names.join(", ")), &view.may_stop(&gone))
}

pub(super) async fn ok_to_remove(context: &Context, client: &Client, word: &str) -> Result<ExitCode, Failure> {
    let view = ClusterView::look(client).await?;
    let gone = view.expect(word)?;
    judged(context, &format!("remove {}", gone.name()), &view.may_remove(gone))
}
