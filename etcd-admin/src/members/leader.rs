//! The leader, and transfer of leadership.

use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::{Client, Repeat, explained};
use admin_ui::error::{CHECK_FAILED, CliError, FAILED};
use admin_ui::output::print_result;
use proto::etcdserverpb::{MoveLeaderRequest, StatusRequest};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks whether it has happened.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Serialize)]
struct Leads {
    id: String,
    name: String,
    term: u64,
}

#[derive(Debug, Serialize)]
struct HandedOver {
    changed: bool,
    from: String,
    to: String,
}

pub(super) async fn show(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let Some(leader) = view.leader() else { return Err(CliError::new(CHECK_FAILED, "the cluster has no leader")) };
    let term = leader.status.as_ref().map_or(0, |status| status.raft_term);
    let report = Leads { id: leader.id(), name: leader.name(), term };
    print_result(context.format, &report, || format!("{} ({}) leads in term {term}\n", report.name, report.id))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn transfer_leadership(
    context: &Context,
    client: &Client,
    to: Option<&str>,
) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let leader = view.leader().ok_or_else(|| CliError::new(CHECK_FAILED, "the cluster has no leader"))?;
    let target = match to {
        Some(arg) => view.expect(arg)?,
        None => successor(&view)?,
    };
    if target.member.is_learner || !target.proven {
        let why = if target.member.is_learner {
            "it is a learner and does not vote"
        } else {
            "it does not prove that it follows the leader"
        };
        return Err(CliError::refused(format!("{} cannot lead: {why}", target.name())));
    }
    let changed = target.member.id != leader.member.id;
    let report = HandedOver { changed, from: leader.name(), to: target.name() };
    if changed && !context.dry_run {
        transfer(client, leader, target).await?;
    }
    print_result(context.format, &report, || match (changed, context.dry_run) {
        (false, _) => format!("{} leads already: nothing changed\n", report.to),
        (true, true) => format!("would hand leadership from {} to {}\n", report.from, report.to),
        (true, false) => format!("{} leads now; it was {}\n", report.to, report.from),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the voter that takes over if none is named.
pub(crate) fn successor(view: &ClusterView) -> Result<&Seen, CliError> {
    let follower = view.most_up_to_date_follower();
    follower.ok_or_else(|| CliError::refused("no other voter proves that it follows the leader"))
}

/// Asks the leader itself, and waits until the other one leads.
pub(crate) async fn transfer(client: &Client, leader: &Seen, target: &Seen) -> Result<(), CliError> {
    let endpoint = leader.endpoint.clone().unwrap_or_default();
    let own = client.at(&endpoint)?;
    let request = MoveLeaderRequest { target_id: target.member.id };
    if let Err(error) = own.call(Repeat::Unsafe, async |session| session.maintenance().move_leader(request).await).await
    {
        return Err(explained(&own, error).await);
    }
    let (begun, limit) = (Instant::now(), client.settings.command_timeout);
    while begun.elapsed() < limit {
        let status = own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
        if status.is_ok_and(|status| status.leader == target.member.id) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(CliError::new(
        FAILED,
        format!("leadership was handed to {}, which did not take it within {limit:?}", target.name()),
    ))
}
